"""Writes metrics.txt, what the tests of `metrics` must reproduce: python make_metrics.py (needs numpy, OpenCV, scikit-image).

The pictures are made by integer formulas, here and in the test. Each line: mask, hole PSNR, hole SSIM, seam PSNR, largest change
more than 8 px outside the hole.
"""

import pathlib

import cv2
import numpy as np
from skimage.metrics import structural_similarity

W, H = 150, 110
y, x = np.mgrid[0:H, 0:W].astype(np.int64)
MASKS = {
    "inside": (x >= 40) & (x < 95) & (y >= 30) & (y < 80),
    "border": (x < 47) | (y >= 98),
    "round": (x - 70) ** 2 + 2 * (y - 50) ** 2 < 1500,
    "corner": (x + 2 * y < 60) | ((x - 120) ** 2 + (y - 90) ** 2 < 40),
}
truth = np.stack([(x * x + 3 * y * y + 37 * c * x + x * y) // 64 % 256 for c in range(3)], 2)
noise = np.stack([(x * 7919 + y * 104729 + c * 1299709) % 8191 % 41 - 20 for c in range(3)], 2)
shifted = np.roll(truth, 2, 1)


def psnr(a, b, where):
    return 10 * np.log10(255.0**2 / max(((a[where] - b[where]) ** 2).mean(), 1e-10))


def line(name, hole):
    near = cv2.distanceTransform((~hole).astype(np.uint8), cv2.DIST_L2, 5)
    deep = cv2.distanceTransform(hole.astype(np.uint8), cv2.DIST_L2, 5)
    target = np.where(hole[..., None], 255, truth)
    result = np.clip(np.where(near[..., None] <= 3, shifted + noise, truth), 0, 255)
    result[0, W - 1, 1] = truth[0, W - 1, 1] ^ 5
    a, b = result.astype(np.float32), truth.astype(np.float32)
    ssim = structural_similarity(a, b, channel_axis=2, gaussian_weights=True, sigma=1.5, use_sample_covariance=False,
                                 data_range=255, full=True)[1].mean(2)[hole].mean()
    seam = np.where(hole, deep, near) <= 16
    far = near > 8
    out = np.abs(result - target)[far].max()
    return f"{name} {psnr(result, truth, hole):.6f} {ssim:.6f} {psnr(result, truth, seam):.6f} {out}\n"


pathlib.Path(__file__).with_name("metrics.txt").write_text("".join(line(n, m) for n, m in MASKS.items()))
