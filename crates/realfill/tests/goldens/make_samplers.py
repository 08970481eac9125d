"""Writes samplers.json: what diffusers' schedulers make of a toy denoiser over whole runs, and their noise schedules.

    python make_samplers.py        # diffusers 0.42, torch 2.15

The toy denoiser is a fixed formula, repeated in samplers.rs. The noise that random samplers use is in the file, one draw
a step, so that they compare as exactly as the others.
"""

import json
import pathlib
from unittest import mock

import diffusers
import numpy as np
import torch

SHAPE = (2, 1, 3, 4)
MOST_STEPS = 25

SCHEDULERS = {
    "ddpm": (diffusers.DDPMScheduler, {}),
    "ddim": (diffusers.DDIMScheduler, {}),
    "euler": (diffusers.EulerDiscreteScheduler, {}),
    "euler-ancestral": (diffusers.EulerAncestralDiscreteScheduler, {}),
    "dpmpp-2m": (diffusers.DPMSolverMultistepScheduler, {"algorithm_type": "dpmsolver++"}),
    "dpmpp-2m-sde": (diffusers.DPMSolverMultistepScheduler, {"algorithm_type": "sde-dpmsolver++"}),
    "unipc": (diffusers.UniPCMultistepScheduler, {}),
}

# Stable Diffusion's schedule, then variations of one thing or two.
SD = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012}
LEADING = SD | {"timestep_spacing": "leading", "steps_offset": 1}
TRAILING = SD | {"timestep_spacing": "trailing"}
LINSPACE = SD | {"timestep_spacing": "linspace"}
V = {"prediction_type": "v_prediction"}
X0 = {"prediction_type": "sample"}
ZERO_SNR = TRAILING | V | {"rescale_betas_zero_snr": True}
COSINE = {"beta_schedule": "squaredcos_cap_v2"}
NO_CLIP = {"clip_sample": False}
SD_DDIM = LEADING | NO_CLIP | {"set_alpha_to_one": False}

# Sampler, configuration, steps, and where it matters eta or the step to start at.
CASES = [
    ("ddpm", LEADING | NO_CLIP, 20, {}),
    ("ddpm", {}, 25, {}),
    ("ddpm", LINSPACE | X0 | NO_CLIP, 17, {}),
    ("ddpm", ZERO_SNR | NO_CLIP, 20, {}),
    ("ddpm", COSINE | V | NO_CLIP, 20, {}),
    ("ddpm", LEADING | NO_CLIP, 20, {"start": 8}),
    ("ddim", SD_DDIM, 20, {}),
    ("ddim", SD_DDIM | V, 20, {"eta": 0.7}),
    ("ddim", {}, 20, {"eta": 1.0}),
    ("ddim", ZERO_SNR | NO_CLIP, 20, {}),
    ("ddim", TRAILING | X0 | {"clip_sample_range": 0.4}, 20, {}),
    ("ddim", SD_DDIM, 20, {"start": 8}),
    ("euler", SD, 20, {}),
    ("euler", LEADING | V, 17, {}),
    ("euler", LINSPACE | X0, 17, {}),
    ("euler", ZERO_SNR, 20, {}),
    ("euler", SD, 20, {"start": 8}),
    ("euler-ancestral", SD, 20, {}),
    ("euler-ancestral", LEADING | V, 17, {}),
    ("euler-ancestral", ZERO_SNR, 20, {}),
    ("dpmpp-2m", SD, 20, {}),
    ("dpmpp-2m", LINSPACE, 10, {}),
    ("dpmpp-2m", LEADING | V, 17, {}),
    ("dpmpp-2m", ZERO_SNR, 20, {}),
    ("dpmpp-2m", COSINE | X0 | {"lambda_min_clipped": -5.1}, 20, {}),
    ("dpmpp-2m", SD, 20, {"start": 8}),
    ("dpmpp-2m-sde", SD, 20, {}),
    ("dpmpp-2m-sde", LEADING | V, 10, {}),
    ("dpmpp-2m-sde", ZERO_SNR, 20, {}),
    ("dpmpp-2m-sde", TRAILING | X0, 17, {}),
    ("unipc", SD, 20, {}),
    ("unipc", LINSPACE | V, 10, {}),
    ("unipc", LEADING, 17, {}),
    ("unipc", ZERO_SNR, 20, {}),
    ("unipc", COSINE | X0, 20, {}),
    ("unipc", SD, 20, {"start": 8}),
]

SCHEDULES = [{}, SD, COSINE, SD | V | {"rescale_betas_zero_snr": True}, SD | X0]
TIMESTEPS = [0, 500]


def toy(x, t):
    tau = float(t) / 1000
    return torch.tanh(x) * (0.4 + 0.5 * tau) + 0.1 * torch.sin(3 * x + tau)


def flat(x):
    """Nine digits tell any two f32 apart."""
    return [float(f"{v:.9g}") for v in x.flatten().tolist()]


def run(name, config, steps, start, eta, first, draws):
    cls, options = SCHEDULERS[name]
    scheduler = cls.from_config(config | options)
    scheduler.set_timesteps(steps)
    x = first * scheduler.init_noise_sigma
    if start is not None:
        x = first
        if hasattr(scheduler, "set_begin_index"):
            scheduler.set_begin_index(start)
        if name.startswith("euler"):
            x = first * (scheduler.sigmas[start] ** 2 + 1) ** 0.5
    module = f"{cls.__module__}.randn_tensor"
    extra = {"eta": eta} if name == "ddim" else {}
    for i, t in list(enumerate(scheduler.timesteps))[start or 0 :]:
        raw = toy(scheduler.scale_model_input(x, t), t)
        if name == "unipc":
            x = scheduler.step(raw, t, x).prev_sample
            continue
        with mock.patch(module, lambda *args, i=i, **kwargs: draws[i]):
            x = scheduler.step(raw, t, x, **extra).prev_sample
    return scheduler, x


def case(name, config, steps, extra, first, draws):
    start, eta = extra.get("start"), extra.get("eta", 0.0)
    scheduler, x = run(name, config, steps, start, eta, first, draws)
    return {
        "sampler": name,
        "config": {"_class_name": SCHEDULERS[name][0].__name__} | config,
        "steps": steps,
        "start": start,
        "eta": eta,
        "timesteps": flat(scheduler.timesteps.float()),
        "result": flat(x),
    }


def schedule(config, first, noise):
    scheduler = diffusers.DDPMScheduler.from_config(config)
    timesteps = torch.tensor(TIMESTEPS)
    return {
        "config": config,
        "alphas_cumprod": flat(scheduler.alphas_cumprod[::111]),
        "timesteps": TIMESTEPS,
        "noisy": flat(scheduler.add_noise(first, noise, timesteps)),
        "velocity": flat(scheduler.get_velocity(first, noise, timesteps)),
    }


def main():
    rng = np.random.default_rng(0)
    gaussian = lambda *shape: torch.tensor(np.round(rng.standard_normal(shape), 4), dtype=torch.float32)
    first, draws = gaussian(*SHAPE), gaussian(MOST_STEPS, *SHAPE)
    golden = {
        "shape": SHAPE,
        "first": flat(first),
        "draws": [flat(draw) for draw in draws],
        "cases": [case(*c, first, draws) for c in CASES],
        "schedules": [schedule(c, first, draws[0]) for c in SCHEDULES],
    }
    path = pathlib.Path(__file__).with_name("samplers.json")
    lines = ",\n".join(f"{json.dumps(k)}: {rows(v)}" for k, v in golden.items())
    path.write_text("{\n" + lines + "\n}\n")


def rows(value):
    """One case or draw a line."""
    if isinstance(value, list) and not isinstance(value[0], float):
        return "[\n" + ",\n".join(json.dumps(v) for v in value) + "\n]"
    return json.dumps(value)


if __name__ == "__main__":
    main()
