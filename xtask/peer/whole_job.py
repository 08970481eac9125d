"""A whole job of the PyTorch implementation on a checkpoint that both can load, for docs/benchmarks.md.

    pip install torch diffusers transformers peft pillow numpy
    python whole_job.py run CHECKPOINT SCENE --side 128 --output adapters
    python whole_job.py error CHECKPOINT SCENE --side 128 --adapters FOLDER...

`run` does what the public implementation of RealFill does by default: 2000 steps of 16 samples, everything encoded anew at each step,
then 16 candidates of 200 steps of DDPM. `error` says how well tuned adapters (PEFT's format, of either program) predict
the noise of the target's *true* picture inside its hole, which no tuning has seen. Both print one line of JSON.
"""

import argparse
import json
import random
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL, DDPMScheduler, UNet2DConditionModel
from peft import LoraConfig, PeftModel, get_peft_model
from PIL import Image
from transformers import CLIPTextModel, CLIPTokenizer

PROMPT = "a photo of sks"
ATTENTION = {"unet": ["to_q", "to_k", "to_v", "to_out.0"], "text_encoder": ["q_proj", "k_proj", "v_proj", "out_proj"]}


class Models:
    """A checkpoint, with adapters from a folder, or new ones, or none."""

    def __init__(self, checkpoint, adapters=None, trained=False):
        load = lambda kind, part: kind.from_pretrained(checkpoint, subfolder=part, torch_dtype=torch.float32)
        self.vae = load(AutoencoderKL, "vae").requires_grad_(False).eval()
        self.schedule = DDPMScheduler.from_pretrained(checkpoint, subfolder="scheduler")
        self.tokenizer = CLIPTokenizer.from_pretrained(checkpoint, subfolder="tokenizer")
        self.unet = adapted(load(UNet2DConditionModel, "unet"), "unet", adapters, trained)
        self.text_encoder = adapted(load(CLIPTextModel, "text_encoder"), "text_encoder", adapters, trained)

    def context(self, prompt=PROMPT):
        length = self.tokenizer.model_max_length
        tokens = self.tokenizer(prompt, padding="max_length", truncation=True, max_length=length, return_tensors="pt")
        return self.text_encoder(tokens.input_ids)[0]

    @torch.no_grad()
    def encode(self, pictures):
        return self.vae.encode(pictures).latent_dist.sample() * self.vae.config.scaling_factor

    @torch.no_grad()
    def decode(self, latents):
        return self.vae.decode(latents / self.vae.config.scaling_factor).sample.clamp(-1, 1)

    def given(self, pictures, masks):
        """What the U-Net is told beside the noisy latents: the mask and the masked picture, at the latents' size."""
        latents = self.encode(pictures * (1 - masks))
        return torch.cat([F.interpolate(masks, latents.shape[-2:]), latents], dim=1)

    def save(self, folder):
        self.unet.save_pretrained(folder / "unet")
        self.text_encoder.save_pretrained(folder / "text_encoder")


def adapted(model, part, adapters, trained):
    if adapters:
        return PeftModel.from_pretrained(model, Path(adapters) / part).eval()
    if trained:
        config = LoraConfig(r=8, lora_alpha=16, lora_dropout=0.1, target_modules=ATTENTION[part])
        return get_peft_model(model, config).train()
    return model.requires_grad_(False).eval()


def picture(path, side, mode="RGB"):
    """Squeezed to a square; `[1, c, side, side]`, colours -1 to 1, a mask 0 or 1."""
    filter_ = Image.Resampling.BOX if mode == "L" else Image.Resampling.LANCZOS
    image = Image.open(path).convert(mode).resize((side, side), filter_)
    values = torch.tensor(np.array(image, dtype=np.float32) / 255).reshape(1, side, side, -1).permute(0, 3, 1, 2)
    return (values > 0.5).float() if mode == "L" else values * 2 - 1


def only(folder, stem):
    return next(path for path in sorted(folder.iterdir()) if path.stem == stem)


class Scene:
    def __init__(self, folder, side):
        folder = Path(folder)
        self.side = side
        self.target = picture(only(folder / "target", "target"), side)
        self.truth = picture(only(folder / "target", "gt"), side)
        self.hole = picture(only(folder / "target", "mask"), side, "L")
        self.references = [picture(path, side) for path in sorted((folder / "ref").iterdir())]

    def sample(self):
        """A crop of a reference or of the target, its random mask, and where the truth is known."""
        i = random.randrange(len(self.references) + 1)
        photo = self.target if i == 0 else self.references[i - 1]
        hole = self.hole if i == 0 else torch.zeros_like(self.hole)
        left, top, size = crop(self.side)
        cut = lambda t, mode: F.interpolate(t[..., top:, left:][..., :size, :size], (self.side, self.side), mode=mode)
        hole = cut(hole, "nearest")
        return cut(photo, "bilinear"), torch.maximum(random_mask(self.side), hole), 1 - hole


def crop(side):
    size = random.randint(side * 3 // 4, side)
    return random.randint(0, side - size), random.randint(0, side - size), size


def random_mask(side):
    """Up to 29 rectangles of 3 to 25 % of the side; half the time everything but them."""
    mask = torch.zeros(1, 1, side, side)
    for _ in range(random.randint(1, 29)):
        w, h = (max(1, int(side * random.uniform(0.03, 0.25))) for _ in range(2))
        x, y = random.randint(0, side - w), random.randint(0, side - h)
        mask[..., y : y + h, x : x + w] = 1
    return mask if random.random() < 0.5 else 1 - mask


def tune(models, scene, steps, batch):
    unet, text = [[p for p in m.parameters() if p.requires_grad] for m in (models.unet, models.text_encoder)]
    optimizer = torch.optim.AdamW([{"params": unet, "lr": 2e-4}, {"params": text, "lr": 4e-5}], weight_decay=1e-2)
    for _ in range(steps):
        photos, masks, counts = (torch.cat(part) for part in zip(*(scene.sample() for _ in range(batch))))
        clean = models.encode(photos)
        noise = torch.randn_like(clean)
        times = torch.randint(0, models.schedule.config.num_train_timesteps, (batch,))
        noisy = models.schedule.add_noise(clean, noise, times)
        context = models.context("" if random.random() < 0.1 else PROMPT).expand(batch, -1, -1)
        found = models.unet(torch.cat([noisy, models.given(photos, masks)], dim=1), times, context).sample
        known = F.interpolate(counts, clean.shape[-2:])
        F.mse_loss(found * known, wanted(models, clean, noise, times) * known).backward()
        torch.nn.utils.clip_grad_norm_(unet + text, 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)


def wanted(models, clean, noise, times):
    if models.schedule.config.prediction_type == "v_prediction":
        return models.schedule.get_velocity(clean, noise, times)
    return noise


@torch.no_grad()
def candidates(models, scene, count, steps):
    models.unet.eval(), models.text_encoder.eval()
    given, context = models.given(scene.target, scene.hole), models.context()
    models.schedule.set_timesteps(steps)
    pictures = []
    for _ in range(count):
        latents = torch.randn_like(given[:, 1:])
        for time_ in models.schedule.timesteps:
            found = models.unet(torch.cat([latents, given], dim=1), time_, context).sample
            latents = models.schedule.step(found, time_, latents).prev_sample
        pictures.append(models.decode(latents))
    return pictures


def psnr(picture, scene):
    error = ((picture - scene.truth).square() * scene.hole).sum() / (3 * scene.hole.sum()) / 4
    return float(-10 * torch.log10(error))


@torch.no_grad()
def error(models, scene, draws=256):
    """Mean squared error of the predicted noise (or velocity) of the true target inside its hole."""
    torch.manual_seed(7)
    given, context, clean = models.given(scene.target, scene.hole), models.context(), models.vae.encode(scene.truth).latent_dist.mean
    clean = clean * models.vae.config.scaling_factor
    inside, sums = given[:, :1], 0.0
    for i in range(draws):
        times = torch.tensor([(2 * i + 1) * models.schedule.config.num_train_timesteps // (2 * draws)])
        noise = torch.randn_like(clean)
        noisy = models.schedule.add_noise(clean, noise, times)
        found = models.unet(torch.cat([noisy, given], dim=1), times, context).sample
        sums += float(((found - wanted(models, clean, noise, times)).square() * inside).sum())
    return sums / draws / float(inside.sum()) / clean.shape[1]


def run(options):
    torch.manual_seed(0), random.seed(0)
    scene, start = Scene(options.scene, options.side), time.perf_counter()
    models = Models(options.checkpoint, trained=True)
    tune(models, scene, options.steps, options.batch)
    tuned = time.perf_counter()
    pictures = candidates(models, scene, options.candidates, options.sampling_steps)
    done = time.perf_counter()
    models.save(Path(options.output))
    scores = [psnr(picture, scene) for picture in pictures]
    return {"tune_secs": tuned - start, "sample_secs": done - tuned, "hole_psnr": float(np.mean(scores))}


def errors(options):
    scene = Scene(options.scene, options.side)
    found = {"none": error(Models(options.checkpoint), scene)}
    found |= {folder: error(Models(options.checkpoint, folder), scene) for folder in options.adapters}
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["run", "error"])
    parser.add_argument("checkpoint")
    parser.add_argument("scene")
    parser.add_argument("--side", type=int, default=128)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--candidates", type=int, default=16)
    parser.add_argument("--sampling-steps", type=int, default=200)
    parser.add_argument("--output", default="adapters")
    parser.add_argument("--adapters", nargs="*", default=[])
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print(json.dumps(run(options) if options.what == "run" else errors(options)))


if __name__ == "__main__":
    main()
