"""Builds the goldens of the Stable Diffusion models: tiny, randomly initialised models of both families.

    python generate.py            # writes sd15/ and sd2/ beside this file

Needs torch, diffusers, transformers, peft and safetensors (made with 2.15, 0.42, 5.23, 0.21 and 0.7). Every weight is rounded to f16
before anything is computed, so that f16 files hold exactly what the outputs were computed from.

sd15/  like Stable Diffusion 1.5: 1x1-convolution projections, one head count, quick_gelu, padding with <|endoftext|>;
       U-Net as fp16 variant, VAE as PyTorch .bin with the old attention names, tokenizer as vocab.json + merges.txt
sd2/   like Stable Diffusion 2: linear projections, heads per level, gelu, padding with "!"; U-Net in f32 shards, tokenizer.json
"""

import json
import pathlib
import shutil

import torch
from diffusers import AutoencoderKL, DDPMScheduler, UNet2DConditionModel
from peft import LoraConfig, get_peft_model
from safetensors.torch import save_file
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

HERE = pathlib.Path(__file__).parent
PROMPTS = ["a photo of sks", "", "A  PHOTO of 3 cats' tails, it's élan!", "word " * 40]
UNET_TARGETS = ["to_q", "to_k", "to_v", "to_out.0"]
TEXT_TARGETS = ["q_proj", "k_proj", "v_proj", "out_proj"]


def byte_alphabet():
    """The 256 printable stand-ins of byte-level BPE, in CLIP's order."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    shifted = [b for b in range(256) if b not in printable]
    return [chr(b) for b in printable] + [chr(256 + i) for i in range(len(shifted))]


def tokenizer_files(pad):
    merges = ["p h", "ph o", "t o</w>", "pho to</w>", "o f</w>", "s k", "sk s</w>", "a t", "c at", "cat s</w>"]
    letters = byte_alphabet()
    tokens = letters + [c + "</w>" for c in letters] + [m.replace(" ", "") for m in merges]
    tokens += ["<|startoftext|>", "<|endoftext|>"]
    vocab = {token: i for i, token in enumerate(tokens)}
    tokenizer = CLIPTokenizer(vocab=vocab, merges=[tuple(m.split()) for m in merges], pad_token=pad, model_max_length=24)
    return vocab, merges, tokenizer


def save_tokenizer(family, folder, vocab, merges, tokenizer):
    folder.mkdir(parents=True)
    if family == "sd15":
        (folder / "vocab.json").write_text(json.dumps(vocab, ensure_ascii=False))
        (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(merges) + "\n")
        config = {
            "bos_token": {"__type": "AddedToken", "content": "<|startoftext|>"},
            "eos_token": {"__type": "AddedToken", "content": "<|endoftext|>"},
            "model_max_length": 24,
            "pad_token": "<|endoftext|>",
            "tokenizer_class": "CLIPTokenizer",
        }
        (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2))
    else:
        tokenizer.save_pretrained(folder)


def round_to_f16(model, spread):
    """Random weights of a livelier spread than a fresh initialisation, rounded to f16."""
    with torch.no_grad():
        for name, p in model.named_parameters():
            if p.dim() > 1:
                p.normal_(0, spread / (p[0].numel() ** 0.5))
            elif name.endswith("weight"):
                p.normal_(1, 0.2)
            else:
                p.normal_(0, 0.2)
            p.copy_(p.half().float())
    return model.eval()


def unet_of(family):
    common = dict(sample_size=8, in_channels=9, out_channels=4, norm_num_groups=8, cross_attention_dim=16)
    if family == "sd15":
        return UNet2DConditionModel(
            block_out_channels=(16, 24),
            layers_per_block=2,
            down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
            up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
            attention_head_dim=4,
            **common,
        )
    return UNet2DConditionModel(
        block_out_channels=(16, 24, 24),
        layers_per_block=1,
        down_block_types=("CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
        attention_head_dim=(2, 3, 6),
        use_linear_projection=True,
        **common,
    )


def vae_of():
    return AutoencoderKL(
        in_channels=3,
        out_channels=3,
        latent_channels=4,
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        block_out_channels=(8, 16),
        layers_per_block=1,
        norm_num_groups=4,
        sample_size=16,
        scaling_factor=0.18215,
    )


def text_of(family, vocab):
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(vocab),
            hidden_size=16,
            intermediate_size=32,
            num_hidden_layers=2 if family == "sd15" else 3,
            num_attention_heads=4 if family == "sd15" else 2,
            max_position_embeddings=24,
            hidden_act="quick_gelu" if family == "sd15" else "gelu",
            projection_dim=16,
            bos_token_id=len(vocab) - 2,
            eos_token_id=len(vocab) - 1,
            pad_token_id=1,
        )
    )


def old_vae_names(state):
    """The attention names of the checkpoints that were published before diffusers 0.18."""
    new_to_old = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
    old = {}
    for name, tensor in state.items():
        for new, before in new_to_old.items():
            name = name.replace(f"attentions.0.{new}.", f"attentions.0.{before}.")
        old[name] = tensor
    return old


def save_models(family, folder, unet, vae, text):
    if family == "sd15":
        unet.half().save_pretrained(folder / "unet", variant="fp16")
        unet.float()
        vae.save_config(folder / "vae")
        torch.save({k: v.half() for k, v in old_vae_names(vae.state_dict()).items()}, folder / "vae" / "diffusion_pytorch_model.bin")
        text.config.to_json_file(folder / "text_encoder" / "config.json") if (folder / "text_encoder").mkdir() is None else None
        state = {f"text_model.{k}": v.half() for k, v in text.state_dict().items()}
        state["text_model.embeddings.position_ids"] = torch.arange(24)[None]
        torch.save(state, folder / "text_encoder" / "pytorch_model.bin")
    else:
        unet.save_pretrained(folder / "unet", max_shard_size="150KB")
        vae.save_pretrained(folder / "vae")
        text.save_pretrained(folder / "text_encoder")


def scheduler_of():
    return DDPMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=False, steps_offset=1, prediction_type="epsilon"
    )


def adapted(model, targets, seed):
    """The model with a rank-4 adapter whose A and B are both random."""
    peft = get_peft_model(model, LoraConfig(r=4, lora_alpha=8, target_modules=targets, lora_dropout=0.0))
    generator = torch.Generator().manual_seed(seed)
    for name, p in peft.named_parameters():
        if "lora_" in name:
            p.data = torch.randn(p.shape, generator=generator) * 0.2
    return peft.eval()


def gradients(peft, prefix):
    """Gradients under the names of PEFT's files."""
    named = ((n.replace(".default", ""), p) for n, p in peft.named_parameters() if "lora_" in n)
    return {f"{prefix}.{n}": p.grad.clone() for n, p in named}


def tuning_step(unet, text, ids, latents, timesteps, noise):
    unet.zero_grad()
    text.zero_grad()
    context = text(ids).last_hidden_state
    prediction = unet(latents, timesteps, context).sample
    loss = torch.nn.functional.mse_loss(prediction, noise)
    loss.backward()
    return prediction.detach(), loss.detach()


def build(family, seed):
    torch.manual_seed(seed)
    folder = HERE / family
    shutil.rmtree(folder, ignore_errors=True)
    vocab, merges, tokenizer = tokenizer_files("<|endoftext|>" if family == "sd15" else "!")
    save_tokenizer(family, folder / "tokenizer", vocab, merges, tokenizer)
    unet, vae, text = round_to_f16(unet_of(family), 1.0), round_to_f16(vae_of(), 1.0), round_to_f16(text_of(family, vocab), 1.0)
    save_models(family, folder, unet, vae, text)
    scheduler_of().save_pretrained(folder / "scheduler")

    # Two sizes: one that halves evenly, one that does not.
    height, width = (8, 12) if family == "sd15" else (10, 6)
    ids = tokenizer(PROMPTS, padding="max_length", truncation=True, max_length=24, return_tensors="pt").input_ids
    images = torch.rand(2, 3, 16, 24) * 2 - 1
    latents = torch.randn(2, 9, height, width)
    timesteps = torch.tensor([7, 951])
    noise = torch.randn(2, 4, height, width)
    out = {"ids": ids.int(), "images": images, "latents": latents, "timesteps": timesteps.float(), "noise": noise}
    with torch.no_grad():
        hidden = text(ids).last_hidden_state
        moments = vae.encode(images).latent_dist
        out |= {"hidden": hidden, "mean": moments.mean, "logvar": moments.logvar}
        out["decoded"] = vae.decode(moments.mean).sample
        out["prediction"] = unet(latents, timesteps, hidden[:2]).sample

    unet, text = adapted(unet, UNET_TARGETS, seed + 1), adapted(text, TEXT_TARGETS, seed + 2)
    unet.save_pretrained(folder / "adapter" / "unet")
    text.save_pretrained(folder / "adapter" / "text_encoder")
    prediction, loss = tuning_step(unet, text, ids[:2], latents, timesteps, noise)
    out |= {"adapted_prediction": prediction, "loss": loss[None]}
    out |= gradients(unet, "unet") | gradients(text, "text_encoder")
    save_file({k: v.contiguous() for k, v in out.items()}, folder / "expected.safetensors")
    for readme in folder.rglob("README.md"):
        readme.unlink()


if __name__ == "__main__":
    build("sd15", 15)
    build("sd2", 2)
