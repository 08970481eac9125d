"""A whole job of the public recipe on the embedded model, in PyTorch, for docs/benchmarks.md.

    pip install torch diffusers transformers peft pillow numpy safetensors
    python whole_job_embedded.py run SCENE --side 256 --bf16 --output peer.safetensors
    python whole_job_embedded.py error SCENE --side 256 --weights peer.safetensors out/adapter/embedded.safetensors
    python whole_job_embedded.py error SCENE --side 256 --weights out/adapter/embedded.safetensors --guide GUIDE

`run` does what the public implementation of RealFill does by default (2000 steps of 16 samples for the factors of all attention
layers, 16 candidates of 200 steps of DDPM) with the network of `models/pretrain.py`, without a guide. `error` says how well weights of either
program predict the target's *true* picture inside its hole, which no tuning has seen; GUIDE is `checkpoints/guides/target.safetensors` in the
output folder of a `realfill fill` that was interrupted while it tuned. Both print lines of JSON.
"""

import argparse
import json
import random
import sys
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import DDPMScheduler
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "models"))
from pretrain import PatchUNet, load, signal_shares  # noqa: E402
from whole_job import Scene, psnr  # noqa: E402

EMBEDDED = ROOT / "models" / "embedded.safetensors"


def network_of(path):
    network = PatchUNet()
    load(network, path)
    return network.requires_grad_(False).eval()


def known_of(pictures, masks, guide=None):
    """What the network is told beside the noisy pictures; without a guide its colours and trust are zero."""
    colour, trust = guide or (torch.zeros_like(pictures), torch.zeros_like(masks))
    return masks, pictures * (1 - masks), colour, trust


def noised(clean, times, alphas):
    alpha = alphas[times][:, None, None, None]
    return clean * alpha + torch.randn_like(clean) * (1 - alpha**2).sqrt()


def tune(network, scene, options, alphas, on_step):
    """The public recipe; the loss is weighted over the timesteps as in the network's own training."""
    weights = [p for p in network.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=2e-4, weight_decay=1e-2)
    for step in range(options.steps):
        photos, masks, counts = (torch.cat(part) for part in zip(*(scene.sample() for _ in range(options.batch))))
        times = torch.randint(0, len(alphas), (options.batch,))
        found = network(noised(photos, times, alphas), times.float(), known_of(photos, masks))
        weight = (1 / (1 - alphas[times] ** 2)).clamp(max=5)[:, None, None, None]
        ((found - photos).square() * counts * weight).mean().backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        on_step(step + 1)


@torch.no_grad()
def candidates(network, scene, count, steps):
    schedule = DDPMScheduler(beta_schedule="squaredcos_cap_v2", prediction_type="sample")
    schedule.set_timesteps(steps, device=scene.target.device)
    known = known_of(scene.target, scene.hole)
    pictures = []
    for _ in range(count):
        picture = torch.randn_like(scene.target)
        for time_ in schedule.timesteps:
            picture = schedule.step(network(picture, time_[None].float(), known), time_, picture).prev_sample
        pictures.append(picture.clamp(-1, 1))
    return pictures


@torch.no_grad()
def error(network, scene, alphas, guide=None, draws=64):
    """Mean squared error of the predicted picture of the true target inside its hole; colours from -1 to 1."""
    known, sums = known_of(scene.target, scene.hole, guide), 0.0
    with torch.random.fork_rng(), torch.autocast(scene.truth.device.type, enabled=False):
        torch.manual_seed(7)
        for i in range(draws):
            times = torch.tensor([(2 * i + 1) * len(alphas) // (2 * draws)])
            found = network(noised(scene.truth, times, alphas), times.float(), known)
            sums += float(((found - scene.truth).square() * scene.hole).sum())
    return sums / draws / float(scene.hole.sum()) / 3


def guide_of(path, side):
    """A guide's colours (-1 to 1) and trust at the side of the pictures."""
    kept = load_file(path)
    colour = kept["colour"].permute(2, 0, 1)[None] * 2 - 1
    colour, trust = (F.interpolate(t, (side, side), mode="area") for t in (colour, kept["trust"][None, None]))
    return colour * (trust > 0), trust


def arithmetic(options):
    return torch.autocast(options.device, dtype=torch.bfloat16, enabled=options.bf16)


def say(**values):
    print(json.dumps(values), flush=True)


class Watch:
    """The time of the steps alone, and now and then how far they have come."""

    def __init__(self, network, scene, alphas, every):
        self.network, self.scene, self.alphas, self.every = network, scene, alphas, every
        self.seconds, self.since = 0.0, time.perf_counter()

    def __call__(self, step):
        self.seconds += time.perf_counter() - self.since
        if step % self.every == 0:
            self.network.eval()
            say(step=step, tune_secs=self.seconds, error=error(self.network, self.scene, self.alphas))
            self.network.train()
        self.since = time.perf_counter()


def run(options):
    torch.manual_seed(0), random.seed(0)
    scene, alphas = Scene(options.scene, options.side), signal_shares()
    base = network_of(EMBEDDED)
    say(step=0, error=error(base, scene, alphas))
    config = LoraConfig(r=8, lora_alpha=16, lora_dropout=0.1, target_modules=["qkv", "attention.out"])
    network = get_peft_model(base, config).train()
    watch = Watch(network, scene, alphas, options.check_every)
    with arithmetic(options):
        tune(network, scene, options, alphas, watch)
    network = network.merge_and_unload().eval()
    save_file({name: tensor.contiguous() for name, tensor in network.state_dict().items()}, options.output)
    start = time.perf_counter()
    with arithmetic(options):
        pictures = candidates(network, scene, options.candidates, options.sampling_steps)
    sampled = time.perf_counter() - start
    say(tune_secs=watch.seconds, sample_secs=sampled, hole_psnr=float(np.mean([psnr(p, scene) for p in pictures])))


def errors(options):
    scene, alphas = Scene(options.scene, options.side), signal_shares()
    guide = guide_of(options.guide, options.side) if options.guide else None
    say(**{str(path): error(network_of(path), scene, alphas, guide) for path in [EMBEDDED, *options.weights]})


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["run", "error"])
    parser.add_argument("scene")
    parser.add_argument("--side", type=int, default=256)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu", help="cuda for the quality alone; times are told of the processor")
    parser.add_argument("--bf16", action="store_true", help="multiply in bf16, where that is faster")
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--check-every", type=int, default=100, help="steps between looks at the error, which are not timed")
    parser.add_argument("--candidates", type=int, default=16)
    parser.add_argument("--sampling-steps", type=int, default=200)
    parser.add_argument("--output", default="peer.safetensors")
    parser.add_argument("--weights", nargs="*", default=[])
    parser.add_argument("--guide")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.set_default_device(options.device)
    run(options) if options.what == "run" else errors(options)


if __name__ == "__main__":
    main()
