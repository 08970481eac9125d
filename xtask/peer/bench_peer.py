"""One measurement of the PyTorch implementation, for `cargo xtask bench-peer`.

Networks of the shapes of Stable Diffusion 2 inpainting with random weights and low-rank adapters beside them, as the public
implementation of RealFill sets them up. Prints one line of JSON: the best seconds of a run and the process's peak memory.

    pip install torch diffusers transformers peft
    python bench_peer.py denoise --dtype bf16 --runs 3
"""

import argparse
import contextlib
import json
import resource
import time

import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL, UNet2DConditionModel
from peft import LoraConfig, get_peft_model
from transformers import CLIPTextConfig, CLIPTextModel


def adapted(model, targets):
    """The model with adapters of rank 8."""
    return get_peft_model(model, LoraConfig(r=8, lora_alpha=16, lora_dropout=0.1, target_modules=targets))


def make_unet():
    unet = UNet2DConditionModel(
        sample_size=64,
        in_channels=9,
        out_channels=4,
        block_out_channels=(320, 640, 1280, 1280),
        layers_per_block=2,
        attention_head_dim=(5, 10, 20, 20),
        cross_attention_dim=1024,
        use_linear_projection=True,
    )
    return adapted(unet, ["to_q", "to_k", "to_v", "to_out.0"])


def make_text_encoder():
    config = CLIPTextConfig(
        vocab_size=49408,
        hidden_size=1024,
        intermediate_size=4096,
        num_hidden_layers=23,
        num_attention_heads=16,
        max_position_embeddings=77,
        hidden_act="gelu",
    )
    return adapted(CLIPTextModel(config), ["q_proj", "k_proj", "v_proj", "out_proj"])


def make_vae():
    vae = AutoencoderKL(
        block_out_channels=(128, 256, 512, 512),
        layers_per_block=2,
        latent_channels=4,
        down_block_types=["DownEncoderBlock2D"] * 4,
        up_block_types=["UpDecoderBlock2D"] * 4,
    )
    return vae.requires_grad_(False).eval()


def precision(dtype):
    """What the peer's --mixed_precision does."""
    return torch.autocast("cpu", dtype=torch.bfloat16) if dtype == "bf16" else contextlib.nullcontext()


def denoise(side, dtype, batch):
    unet = make_unet().eval()
    x, context = torch.randn(batch, 9, side // 8, side // 8), torch.randn(batch, 77, 1024)

    @torch.no_grad()
    def run():
        with precision(dtype):
            unet(x, torch.tensor([500] * batch), context)

    return run


def encode(side, dtype):
    vae, image = make_vae(), torch.rand(1, 3, side, side) * 2 - 1

    @torch.no_grad()
    def run():
        with precision(dtype):
            vae.encode(image).latent_dist.sample()

    return run


def decode(side, dtype):
    vae, latents = make_vae(), torch.randn(1, 4, side // 8, side // 8)

    @torch.no_grad()
    def run():
        with precision(dtype):
            vae.decode(latents)

    return run


def tune(side, dtype):
    """One step: picture and masked picture encoded, noise predicted, back, clipped, updated."""
    unet, text_encoder, vae = make_unet().train(), make_text_encoder().train(), make_vae()
    trained = [p for model in (unet, text_encoder) for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=2e-4, weight_decay=1e-2)
    image = torch.rand(1, 3, side, side) * 2 - 1
    mask = torch.zeros(1, 1, side // 8, side // 8)
    mask[..., : side // 16] = 1
    tokens = torch.zeros(1, 77, dtype=torch.long)

    def run():
        with precision(dtype):
            with torch.no_grad():
                latents = vae.encode(image).latent_dist.sample() * 0.18215
                masked = vae.encode(image * 0.5).latent_dist.sample() * 0.18215
            noise = torch.randn_like(latents)
            x = torch.cat([0.7 * latents + 0.7 * noise, mask, masked], dim=1)
            prediction = unet(x, torch.tensor([500]), text_encoder(tokens)[0]).sample
        F.mse_loss(prediction.float(), noise.float()).backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return run


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["denoise", "encode", "decode", "tune"])
    parser.add_argument("--dtype", choices=["f32", "bf16"], default="f32")
    parser.add_argument("--side", type=int, default=512)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--runs", type=int, default=2)
    parser.add_argument("--batch", type=int, default=1, help="pictures at once, where one denoises")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.what == "denoise":
        run = denoise(options.side, options.dtype, options.batch)
    else:
        run = {"encode": encode, "decode": decode, "tune": tune}[options.what](options.side, options.dtype)
    run()
    seconds = []
    for _ in range(options.runs):
        start = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - start)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(json.dumps({"seconds": min(seconds), "peak_gib": peak, "version": torch.__version__}))


if __name__ == "__main__":
    main()
