"""Writes the CMYK pictures that the tests of `photo` read: python make_cmyk.py (needs Pillow and numpy).

Six flat patches of 16 px in CMYK, as printers' files have them: plain CMYK and YCCK with Adobe's inversion, baseline and
progressive. Pillow writes no YCCK, so Y, Cb, Cr go in as if they were C, M, Y, and the Adobe marker's transform byte is set to 2.
The profile is a bare header that says CMYK: RGB pixels must not keep it.
"""

import io
import pathlib

import numpy as np
from PIL import Image

HERE = pathlib.Path(__file__).parent
PATCHES = [(0, 0, 0, 0), (0, 0, 0, 255), (200, 30, 0, 0), (0, 180, 220, 40), (90, 0, 160, 100), (10, 20, 30, 128)]
PROFILE = bytes(16) + b"CMYK" + bytes(108)


def strip(values):
    return np.repeat(np.repeat(np.array([values], np.uint8), 16, 0), 16, 1)


def rgb(cmyk):
    c, m, y, k = cmyk
    return [(255 - v) * (255 - k) / 255 for v in (c, m, y)]


def save(name, values, adobe_transform, **options):
    out = io.BytesIO()
    Image.fromarray(strip(values), "CMYK").save(out, "JPEG", quality=95, subsampling=0, icc_profile=PROFILE, **options)
    data = bytearray(out.getvalue())
    data[data.index(b"Adobe") + 11] = adobe_transform
    (HERE / name).write_bytes(data)
    decoded = np.asarray(Image.open(HERE / name).convert("RGB")).astype(float)
    error = max(abs(decoded[8, 16 * i + 8] - rgb(p)).max() for i, p in enumerate(PATCHES))
    assert error < 6, (name, error)


def ycck(cmyk):
    """What JPEG stores for Adobe's YCCK: Y, Cb, Cr of CMY, and K inverted. Pillow inverts all four when it writes."""
    r, g, b = cmyk[:3]
    y = 0.299 * r + 0.587 * g + 0.114 * b
    cb = 128 + 0.564 * (b - y)
    cr = 128 + 0.713 * (r - y)
    return [round(min(255, max(0, 255 - v))) for v in (y, cb, cr)] + [cmyk[3]]


save("cmyk.jpg", PATCHES, 0)
save("cmyk-progressive.jpg", PATCHES, 0, progressive=True)
save("ycck.jpg", [ycck(p) for p in PATCHES], 2)
Image.fromarray(strip(PATCHES), "CMYK").save(HERE / "cmyk.tif", compression="tiff_lzw")
