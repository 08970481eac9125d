"""Pretrains the embedded model with PyTorch on an NVIDIA GPU, from the weights that are there.

    python pretrain.py --photos PHOTOS --start embedded.safetensors --output new.safetensors --minutes 5

The network, noise schedule and loss of `realfill pretrain`, ten times as fast. The guides err in the same ways
(crates/realfill/src/training/simulated_guide.rs), and beyond that most are healed at the hole's rim, as real ones are; crops are 128 to
256 px, so that holes are as deep as in a 512-px view. Needs torch, numpy, pillow and safetensors.
"""

import argparse
import json
import math
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from PIL import Image
from safetensors.torch import load_file, save_file
from torch.utils.data import DataLoader, IterableDataset

PATCH, WIDTHS, TIME, HEADS = 4, (64, 128, 256, 320), 256, 64
PIXELS = PATCH * PATCH
# Sides of a crop and their share of the batches.
SIDES, SHARES = (128, 192, 256), (0.4, 0.2, 0.4)


# The network: names and layouts are those of the Rust program's file.


class Linear(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.zeros(inputs, outputs)), nn.Parameter(torch.zeros(outputs))

    def forward(self, x):
        return x @ self.weight + self.bias


class Norm(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.gamma, self.beta = nn.Parameter(torch.ones(width)), nn.Parameter(torch.zeros(width))

    def forward(self, x):
        return F.group_norm(x, 8, self.gamma, self.beta, 1e-5)


class ResBlock(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.norm, self.time = Norm(width), Linear(TIME, 2 * width)
        self.first, self.second = (nn.Conv2d(width, width, 3, padding=1) for _ in range(2))

    def forward(self, x, time):
        scale, shift = self.time(time)[:, :, None, None].chunk(2, dim=1)
        return x + self.second(F.relu(self.first(self.norm(x) * (scale + 1) + shift)))


class SelfAttention(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.norm, self.qkv, self.out = Norm(width), nn.Conv2d(width, 3 * width, 1), nn.Conv2d(width, width, 1)

    def forward(self, x):
        n, width, h, w = x.shape
        parts = self.qkv(self.norm(x)).reshape(n, 3, width // HEADS, HEADS, h * w).transpose(-1, -2)
        mixed = F.scaled_dot_product_attention(*parts.unbind(1))
        return x + self.out(mixed.transpose(-1, -2).reshape(n, width, h, w))


class Stage(nn.Module):
    def __init__(self, level):
        super().__init__()
        self.blocks = nn.ModuleList(ResBlock(WIDTHS[level]) for _ in range(2))
        self.attention = SelfAttention(WIDTHS[level]) if level >= 2 else None

    def forward(self, x, time):
        for block in self.blocks:
            x = block(x, time)
        return x if self.attention is None else self.attention(x)


class TimeEmbedding(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = Linear(64, TIME), Linear(TIME, TIME)
        self.frequencies = nn.Parameter(torch.exp(-math.log(10_000) * torch.arange(32) / 32), requires_grad=False)

    def forward(self, timesteps):
        angles = timesteps[:, None] * self.frequencies
        return F.silu(self.second(F.silu(self.first(torch.cat([angles.sin(), angles.cos()], dim=1)))))


class PatchUNet(nn.Module):
    def __init__(self):
        super().__init__()
        pairs = list(zip(WIDTHS, WIDTHS[1:]))
        self.time, self.input = TimeEmbedding(), nn.Conv2d(11 * PIXELS, WIDTHS[0], 1)
        self.down = nn.ModuleList(Stage(level) for level in range(3))
        self.shrink = nn.ModuleList(nn.Conv2d(a, b, 2, stride=2) for a, b in pairs)
        self.middle = Stage(3)
        self.grow = nn.ModuleList(nn.Conv2d(b, a, 1) for a, b in pairs)
        self.up = nn.ModuleList(Stage(level) for level in range(3))
        self.head = nn.Conv2d(WIDTHS[0], 4 * PIXELS + 8, 3, padding=1)

    def forward(self, noisy, timesteps, known):
        """The clean picture, colours -1 to 1; `known` has the mask, the masked picture, the guide and its trust."""
        mask, masked, guide, trust = known
        time = self.time(timesteps)
        x, skips = self.input(F.pixel_unshuffle(torch.cat([noisy, mask, masked, guide, trust], dim=1), PATCH)), []
        for stage, shrink in zip(self.down, self.shrink):
            x = stage(x, time)
            skips.append(x)
            x = shrink(x)
        x = self.middle(x, time)
        for stage, grow, skip in reversed(list(zip(self.up, self.grow, skips))):
            x = stage(F.interpolate(grow(x), scale_factor=2.0, mode="nearest") + skip, time)
        return composed(self.head(x).float(), guide, trust)


def composed(head, guide, trust):
    own, follow = F.pixel_shuffle(head[:, : 3 * PIXELS], PATCH), F.pixel_shuffle(head[:, 3 * PIXELS : 4 * PIXELS], PATCH)
    smooth = F.interpolate(head[:, 4 * PIXELS :], scale_factor=float(PATCH), mode="bilinear", align_corners=False)
    follow = torch.sigmoid(follow + trust * 6 - 3) * (trust * 50).clamp(max=1)
    corrected = displaced(guide, smooth[:, :2] * 4) * (smooth[:, 2:5] + 1) + smooth[:, 5:]
    return own + (corrected - own) * follow


def displaced(picture, offsets):
    """`picture` read at each pixel's own place plus `offsets` (`[n, 2, h, w]`, x and y in pixels)."""
    h, w = picture.shape[-2:]
    x = (2 * torch.arange(w, device=picture.device) + 1) / w - 1 + offsets[:, 0] * 2 / w
    y = ((2 * torch.arange(h, device=picture.device) + 1) / h - 1)[:, None] + offsets[:, 1] * 2 / h
    return F.grid_sample(picture, torch.stack([x, y], dim=-1), padding_mode="border", align_corners=False)


# The schedule and the loss.


def signal_shares():
    """sqrt of the cumulated alphas of a squared cosine."""
    bar = lambda t: math.cos((t + 0.008) / 1.008 * math.pi / 2) ** 2
    betas = [min(1 - bar((i + 1) / 1000) / bar(i / 1000), 0.999) for i in range(1000)]
    return torch.tensor(np.sqrt(np.cumprod(1 - np.array(betas))), dtype=torch.float32)


def known_of(batch):
    truth, mask, guide, trust = batch
    return mask, truth * (1 - mask), guide, trust


def predicted(network, batch, steps, alphas):
    alpha = alphas[steps][:, None, None, None]
    noisy = batch[0] * alpha + torch.randn_like(batch[0]) * (1 - alpha**2).sqrt()
    return network(noisy, steps.float(), known_of(batch))


def loss_of(network, batch, alphas):
    truth, mask = batch[:2]
    n = len(truth)
    late = torch.rand(n, device=truth.device) < 0.8  # two sampling steps ask for the noisier half alone
    steps = torch.where(late, whole(n, 450, 1000, truth.device), whole(n, 0, 1000, truth.device))
    weight = (1 / (1 - alphas[steps] ** 2)).clamp(max=5)[:, None, None, None]
    place = 0.1 + 0.9 * mask
    error = (predicted(network, batch, steps, alphas) - truth).square()
    return (error * place * weight).sum() / (place.sum() * 3)


# Crops and masks, made by the processor.


def crop(photo, side, random):
    height, width = photo.shape[:2]
    short = min(height, width)
    source = random.integers(min(side * 3 // 4, short), short + 1)
    x, y = random.integers(0, width - source + 1), random.integers(0, height - source + 1)
    view = Image.fromarray(photo[y : y + source, x : x + source]).resize((side, side), Image.Resampling.BILINEAR)
    view = np.asarray(view)
    return view[:, ::-1] if random.random() < 0.5 else view


def rectangles(side, random):
    mask = np.zeros((side, side), bool)
    for _ in range(random.integers(1, 30)):
        w, h = (max(1, int(side * random.uniform(0.03, 0.25))) for _ in range(2))
        x, y = random.integers(0, side - w + 1), random.integers(0, side - h + 1)
        mask[y : y + h, x : x + w] = True
    return mask if random.random() < 0.5 else ~mask


def like_a_users(side, random):
    mask = np.zeros((side, side), bool)
    if random.random() < 0.6:
        w, h = (int(side * random.uniform(0.3, 0.75)) for _ in range(2))
        x, y = random.integers(0, side - w + 1), random.integers(0, side - h + 1)
        mask[y : y + h, x : x + w] = True
    else:
        left, right = random.uniform(0, 0.4), random.uniform(0.7, 1.3)
        place = np.arange(side) / side
        mask[:] = (place < left) | (place > right)
        mask = mask.T if random.random() < 0.5 else mask
        mask[0, 0] |= not mask.any()
    return mask


class Crops(IterableDataset):
    """Batches of one size: pictures, others (wrong content for their guides), masks; as bytes."""

    def __init__(self, photos, pixels, seed):
        self.photos, self.pixels, self.seed = photos, pixels, seed

    def __iter__(self):
        worker = torch.utils.data.get_worker_info()
        random = np.random.default_rng([self.seed, worker.id if worker else 0])
        while True:
            side = int(random.choice(SIDES, p=SHARES))
            yield self.batch(side, max(1, self.pixels // side**2), random)

    def batch(self, side, count, random):
        one = lambda: crop(self.photos[random.integers(len(self.photos))], side, random)
        mask = lambda: (rectangles if random.random() < 0.4 else like_a_users)(side, random)
        pictures, others, masks = (np.stack([make() for _ in range(count)]) for make in (one, one, mask))
        return tuple(torch.from_numpy(part) for part in (pictures, others, masks))


# Guides that err, made on the device.


def uniform(n, low, high, device):
    return low + (high - low) * torch.rand(n, device=device)


def sometimes(n, share, device):
    return (torch.rand(n, device=device) < share)[:, None, None, None]


def spread(values):
    return values[:, None, None, None]


def smooth(n, side, cells, device):
    """`[n, 1, side, side]`: normal values on a grid of `cells` (one number a row), between them a smooth step."""
    knots = torch.randn(n, 10, 10, device=device)
    p = torch.arange(side, device=device) / side * cells[:, None]
    i, f = p.long(), p.frac()
    f = f * f * (3 - 2 * f)
    rows = lambda i: knots.gather(1, i[:, :, None].expand(-1, -1, 10))
    field = rows(i) + (rows(i + 1) - rows(i)) * f[:, :, None]
    columns = lambda i: field.gather(2, i[:, None, :].expand(-1, side, -1))
    return 1.3 * (columns(i) + (columns(i + 1) - columns(i)) * f[:, None, :])[:, None]


def whole(n, low, high, device):
    return torch.randint(low, high, (n,), device=device)


def blobs(n, side, share, device):
    field = smooth(n, side, whole(n, 2, 6, device), device)
    ranked = field.flatten(1).sort(dim=1).values
    cut = ((side * side - 1) * (1 - share.clamp(0, 1))).long()
    return field > spread(ranked.gather(1, cut[:, None])[:, 0])


def blurred(x, sigma, reach):
    taps = torch.arange(-reach, reach + 1, device=x.device)
    weights = torch.exp(-taps**2 / (2 * sigma[:, None] ** 2))
    weights = weights / weights.sum(dim=1, keepdim=True)
    for dim in (-1, -2):
        pad = (reach, reach, 0, 0) if dim == -1 else (0, 0, reach, reach)
        padded, length = F.pad(x, pad, mode="replicate"), x.shape[dim]
        x = sum(padded.narrow(dim, k, length) * spread(weights[:, k]) for k in range(2 * reach + 1))
    return x


def shifted(truth):
    n, _, side, _ = truth.shape
    device = truth.device
    amplitude, reach = 6 * torch.rand(n, device=device) ** 2, 5 * torch.rand(n, device=device) ** 2
    count = whole(n, 2, 7, device)
    offsets = torch.cat([smooth(n, side, count, device) for _ in range(2)], dim=1) * spread(amplitude)
    regions = torch.where(torch.rand(n, device=device) < 0.5, whole(n, 2, 7, device), 1)
    points = torch.rand(n, 6, 2, device=device) * side
    at = torch.arange(side, device=device)
    distance = (at - points[:, :, 0, None, None]) ** 2 + (at[:, None] - points[:, :, 1, None, None]) ** 2
    distance = distance.masked_fill(torch.arange(6, device=device)[:, None, None] >= spread(regions), torch.inf)
    nearest = distance.argmin(1).flatten(1)[:, :, None].expand(-1, -1, 2)
    of_regions = (torch.randn(n, 6, 2, device=device) * reach[:, None, None]).gather(1, nearest)
    return displaced(truth, offsets + of_regions.transpose(1, 2).reshape(n, 2, side, side))


def honest_trust(truth, colour):
    """Falls with the local error, more or less precisely; one time in four it says nothing."""
    n, _, side, _ = truth.shape
    device = truth.device
    local = blurred((truth - colour).abs().mean(1, keepdim=True), uniform(n, 2, 5, device), 11)
    noise = smooth(n, side, whole(n, 3, 9, device), device) * spread(0.15 * torch.rand(n, device=device))
    trust = (torch.exp(-local / spread(uniform(n, 0.04, 0.12, device))) + noise).clamp(0.02, 1)
    return torch.where(sometimes(n, 0.25, device), spread(uniform(n, 0.3, 1, device)), trust)


def relit(colour):
    n, _, side, _ = colour.shape
    device = colour.device
    strength = spread(1.5 * torch.rand(n, device=device) ** 2)
    normal = lambda deviation, c=1: strength * deviation * torch.randn(n, c, 1, 1, device=device)
    gains, gamma = torch.exp(normal(0.25) + normal(0.08, 3)), torch.exp(normal(0.2))
    light = torch.exp(normal(0.15) * smooth(n, side, whole(n, 1, 4, device), device))
    return (colour.clamp(1e-4, 1) ** gamma * gains * light + normal(0.03, 3)).clamp(0, 1)


def carried(values, known):
    """Known values carried smoothly into the rest, by a pyramid of means."""
    levels = [(values * known, known)]
    while levels[-1][0].shape[-1] > 1:
        levels.append(tuple(F.avg_pool2d(part, 2, ceil_mode=True) for part in levels[-1]))
    filled = torch.zeros_like(levels[-1][0])
    for value, weight in reversed(levels):
        filled = F.interpolate(filled, value.shape[-2:], mode="bilinear", align_corners=False)
        share = (weight * 4).clamp(max=1)
        filled = filled + (value / weight.clamp(min=1e-6) - filled) * share
    return filled


def simulated(truth, other, mask):
    """A guide for `truth` (colours 0 to 1) and its trust."""
    n, _, side, _ = truth.shape
    device = truth.device
    colour = shifted(truth)
    colour = torch.where(sometimes(n, 0.3, device), blurred(colour, uniform(n, 0.4, 1.5, device), 4), colour)
    wrong = blobs(n, side, 0.4 * torch.rand(n, device=device), device) & sometimes(n, 0.5, device)
    colour = torch.where(wrong, other, colour)
    trust = honest_trust(truth, colour)
    colour = relit(colour)
    healed = (colour + carried(truth - colour, 1 - mask)).clamp(0, 1)
    colour = torch.where(sometimes(n, 0.6, device), healed, colour)
    gone = blobs(n, side, uniform(n, 0, 0.6, device), device) & sometimes(n, 0.5, device)
    trust = trust * ~gone
    revealed = (mask == 0) & sometimes(n, 0.8, device)
    colour, trust = torch.where(revealed, truth, colour), torch.where(revealed, 1.0, trust)
    trust = trust * ~sometimes(n, 0.2, device)
    return colour, trust


def sample(batch, device):
    picture, other, mask = (part.to(device, non_blocking=True) for part in batch)
    truth, other = (part.permute(0, 3, 1, 2).float() / 255 for part in (picture, other))
    mask = mask[:, None].float()
    guide, trust = simulated(truth, other, mask)
    return truth * 2 - 1, mask, (guide * 2 - 1) * (trust > 0), trust


# Files and the run.


def load(network, path):
    stored = {name: tensor.float() for name, tensor in load_file(path).items()}
    network.load_state_dict(stored, strict=True)


def save(weights, path):
    save_file({name: tensor.half().cpu().contiguous() for name, tensor in weights.items()}, path)


def photos_of(folder):
    paths = sorted(path for path in Path(folder).iterdir() if path.suffix.lower() in (".jpg", ".jpeg", ".png"))
    opened = [np.asarray(Image.open(path).convert("RGB")) for path in paths]
    held = [i % 32 == 16 for i in range(len(opened))]
    return [[photo for photo, out in zip(opened, held) if out == wanted] for wanted in (False, True)]


@torch.no_grad()
def validation_psnr(network, batches, alphas):
    errors = []
    for seed, batch in enumerate(batches):
        torch.manual_seed(seed)
        steps = torch.full((len(batch[0]),), 600, device=batch[0].device)
        error = (predicted(network, batch, steps, alphas).clamp(-1, 1) - batch[0]).square() * batch[1]
        errors.append(float(error.sum() / (3 * batch[1].sum())))
    return [round(-10 * math.log10(error / 4), 3) for error in errors]


def validation_set(photos, device):
    crops = Crops(photos, 0, 5)
    torch.manual_seed(3)
    return [sample(crops.batch(side, 64, np.random.default_rng(side)), device) for side in SIDES]


class Run:
    """A training by the clock: the network, its average, and what they are checked on."""

    def __init__(self, options, held_out):
        self.options, self.device = options, options.device
        self.alphas = signal_shares().to(self.device)
        self.network, self.average = (PatchUNet().to(self.device, memory_format=torch.channels_last) for _ in range(2))
        load(self.network, options.start), load(self.average, options.start)
        trained = [(p, a) for p, a in zip(self.network.parameters(), self.average.parameters()) if p.requires_grad]
        self.weights, self.averaged = (list(part) for part in zip(*trained))
        self.average.requires_grad_(False)
        self.optimizer = torch.optim.AdamW(self.weights, lr=0.0, weight_decay=1e-2, fused=self.device == "cuda")
        self.checks = validation_set(held_out, self.device)

    def learn(self, batch, step, done):
        """One step at the share `done` of the time: the rate rises for 200 steps, then falls along a half cosine."""
        rate = self.options.rate * min(1, (step + 1) / 200) * 0.5 * (1 + math.cos(math.pi * done))
        self.optimizer.param_groups[0]["lr"] = rate
        inputs = sample(batch, self.device)
        with torch.autocast(self.device, dtype=torch.bfloat16):
            loss = loss_of(self.network, inputs, self.alphas)
        loss.backward()
        if torch.nn.utils.clip_grad_norm_(self.weights, 1.0).isfinite():  # one bad step would spoil all weights for good
            self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        torch._foreach_lerp_(self.averaged, self.weights, 1 - min(0.9995, (step + 1) / (step + 10)))
        return loss.detach()

    def tell(self, **values):
        """Saves the average and prints how well it predicts held-out photos, by the side of their crops."""
        save(self.average.state_dict(), self.options.output)
        held_out = validation_psnr(self.average, self.checks, self.alphas)
        print(json.dumps(values | {"held_out_psnr": dict(zip(SIDES, held_out))}), flush=True)
        torch.manual_seed(int(time.time()))

    def train(self, loader):
        start = last = time.perf_counter()
        losses, crops = [], 0
        for step, batch in enumerate(loader):
            secs = time.perf_counter() - start
            if secs > 60 * self.options.minutes:
                return self.tell(steps=step, crops=crops)
            losses.append(self.learn(batch, step, secs / (60 * self.options.minutes)))
            crops += len(batch[0])
            if time.perf_counter() - last > 20:
                last = time.perf_counter()
                self.tell(step=step + 1, secs=round(secs), crops=crops, loss=float(torch.stack(losses).mean()))
                losses = []


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", required=True)
    parser.add_argument("--start", required=True, help="weights to start from")
    parser.add_argument("--output", required=True, help="where the averaged weights go")
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--rate", type=float, default=6e-4, help="AdamW's highest rate")
    parser.add_argument("--batch", type=int, default=128, help="crops of 128 px a step, larger ones by their area")
    parser.add_argument("--workers", type=int, default=14)
    parser.add_argument("--device", default="cuda")
    options = parser.parse_args()
    torch.backends.cudnn.benchmark = True
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    training, held_out = photos_of(options.photos)
    run = Run(options, held_out)
    run.tell(photos=len(training))
    crops = Crops(training, options.batch * 128**2, int(time.time()))
    pinned = options.device == "cuda"
    run.train(DataLoader(crops, batch_size=None, num_workers=options.workers, pin_memory=pinned, prefetch_factor=4))


if __name__ == "__main__":
    main()
