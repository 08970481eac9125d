"""Printed things drawn with Pillow: posters, book covers, labels, glazed tiles, woven cloth.

Everything is drawn from a seed, so the same script always prints the same picture, and no two tiles or motifs are alike: a
matcher should find one place for each of them.
"""

import math
import random
from pathlib import Path

from PIL import Image, ImageDraw, ImageFilter, ImageFont

CREAM = (236, 226, 202)
INKS = [(32, 62, 98), (176, 58, 40), (222, 160, 52), (62, 104, 78), (38, 36, 40), (122, 60, 92), (70, 132, 142)]


def font(size):
    """Pillow's own typeface, so that nothing needs to be installed."""
    return ImageFont.load_default(size=size)


def save(image, folder, name):
    path = Path(folder) / f"{name}.png"
    image.save(path)
    return str(path)


def canvas(width, height, colour=CREAM):
    image = Image.new("RGB", (width, height), colour)
    return image, ImageDraw.Draw(image)


def centred(draw, text, x, y, size, colour):
    draw.text((x, y), text, font=font(size), fill=colour, anchor="mm")


def poster(rng, title, subtitle, width=600, height=840):
    """A concert poster: overlapping discs and bars, two lines of text."""
    ground = rng.choice([CREAM, (34, 52, 74), (206, 92, 56), (228, 190, 110)])
    image, draw = canvas(width, height, ground)
    for _ in range(9):
        x, y, r = rng.randrange(width), rng.randrange(int(height * 0.72)), rng.randrange(30, 170)
        ink = rng.choice(INKS)
        draw.ellipse([x - r, y - r, x + r, y + r], fill=ink)
        draw.ellipse([x - r * 0.6, y - r * 0.6, x + r * 0.6, y + r * 0.6], outline=rng.choice(INKS), width=9)
    for i in range(14):
        x = 30 + i * (width - 60) / 14
        draw.rectangle([x, height * rng.uniform(0.3, 0.6), x + 14, height * 0.74], fill=rng.choice(INKS))
    draw.rectangle([0, height * 0.76, width, height], fill=CREAM)
    centred(draw, title, width / 2, height * 0.83, 92, INKS[4])
    centred(draw, subtitle, width / 2, height * 0.93, 36, INKS[1])
    draw.rectangle([8, 8, width - 9, height - 9], outline=CREAM, width=16)
    return image


def botanical(rng, title, width=600, height=760):
    """A botanical plate: one branching plant with leaves and berries, a caption in italics' place."""
    image, draw = canvas(width, height, (240, 232, 212))

    def branch(x, y, angle, length, depth):
        x2, y2 = x + length * math.cos(angle), y - length * math.sin(angle)
        draw.line([x, y, x2, y2], fill=(70, 84, 48), width=3 + 2 * depth)
        for side in (-1, 1):
            leaf(draw, rng, (x + x2) / 2, (y + y2) / 2, angle + side * rng.uniform(0.6, 1.1), length * 0.75)
        if depth == 0:
            r = rng.randrange(9, 20)
            draw.ellipse([x2 - r, y2 - r, x2 + r, y2 + r], fill=rng.choice([(180, 50, 44), (206, 120, 50), (96, 40, 80)]))
            return
        for turn in (-0.55, 0.1, 0.6):
            branch(x2, y2, angle + turn + rng.uniform(-0.15, 0.15), length * rng.uniform(0.6, 0.78), depth - 1)

    branch(width * 0.5, height * 0.84, math.pi / 2, height * 0.22, 3)
    centred(draw, title, width / 2, height * 0.91, 40, (60, 50, 40))
    draw.rectangle([26, 26, width - 27, height - 27], outline=(120, 100, 70), width=4)
    return image


def leaf(draw, rng, x, y, angle, length):
    green = (rng.randrange(50, 110), rng.randrange(100, 150), rng.randrange(50, 90))
    side = length * 0.22
    tip = (x + length * math.cos(angle), y - length * math.sin(angle))
    middle = (x + length * 0.45 * math.cos(angle), y - length * 0.45 * math.sin(angle))
    across = (side * math.sin(angle), side * math.cos(angle))
    draw.polygon([(x, y), (middle[0] + across[0], middle[1] + across[1]), tip,
                  (middle[0] - across[0], middle[1] - across[1])], fill=green)
    draw.line([(x, y), tip], fill=(40, 70, 40), width=2)


def harbour_map(rng, title, width=900, height=640):
    """An invented town map: coast, blocks, streets and names."""
    image, draw = canvas(width, height, (198, 214, 208))
    coast = [(x, height * (0.68 + 0.1 * math.sin(x / 90) + rng.uniform(-0.03, 0.03))) for x in range(0, width + 30, 30)]
    draw.polygon([(0, 0), *reversed(coast), (0, coast[0][1])] + [(0, 0), (width, 0), *reversed(coast)], fill=(232, 220, 184))
    for x in range(20, width, 62):
        for y in range(20, int(height * 0.55), 48):
            w, h = rng.randrange(26, 52), rng.randrange(20, 40)
            draw.rectangle([x, y, x + w, y + h], fill=rng.choice([(206, 158, 118), (190, 120, 96), (158, 172, 124), (220, 186, 130)]),
                           outline=(110, 90, 70))
    for i in range(16):
        x, y = rng.randrange(width), rng.uniform(0.78, 0.97) * height
        draw.arc([x, y, x + 44, y + 18], 190, 350, fill=(96, 128, 140), width=3)
    draw.rectangle([width * 0.6, height * 0.06, width * 0.94, height * 0.2], fill=CREAM, outline=(90, 70, 50), width=4)
    centred(draw, title, width * 0.77, height * 0.13, 52, (80, 50, 40))
    return image


def spine(rng, title, width=640, height=90):
    """The back of a book, read from left to right."""
    ground = rng.choice(INKS)
    image, draw = canvas(width, height, ground)
    accent = rng.choice([CREAM, (222, 176, 84)])
    for x in (18, 30, width - 24, width - 36, width - 80):
        draw.rectangle([x, 0, x + 5, height], fill=accent)
    for i in range(3):
        cx = width - 60 - 60 * i
        draw.regular_polygon((cx, height / 2, 16 + 4 * i), rng.choice([3, 4, 5, 6]), rotation=rng.randrange(90), fill=accent)
    draw.text((56, height / 2), title, font=font(50), fill=accent, anchor="lm")
    return image


def wrap_label(rng, title, width=1400, height=420, ground=CREAM):
    """A band to wrap around a tin, mug or vase: the title on four sides, motifs between them."""
    image, draw = canvas(width, height, ground)
    for i in range(44):
        x, y = rng.randrange(width), rng.uniform(0.12, 0.88) * height
        r, ink = rng.randrange(14, 46), rng.choice(INKS)
        draw.regular_polygon((x, y, r), rng.choice([3, 4, 5, 6, 8]), rotation=rng.randrange(90), fill=ink)
        draw.ellipse([x - r / 3, y - r / 3, x + r / 3, y + r / 3], fill=ground)
    for y in (0.03, 0.92):
        draw.rectangle([0, height * y, width, height * (y + 0.05)], fill=INKS[0])
    for x in range(0, width, 36):
        draw.polygon([(x, height * 0.09), (x + 18, height * 0.15), (x + 36, height * 0.09)], fill=rng.choice(INKS))
    for i in range(4 if title else 0):
        cx = width * (i + 0.5) / 4
        draw.rectangle([cx - 130, height * 0.34, cx + 130, height * 0.66], fill=INKS[(i + 1) % 4])
        centred(draw, title, cx, height * 0.5, 64, CREAM)
    return image


def tiles(rng, columns, rows, cell=120):
    """A wall of hand-painted tiles, each with its own motif; blue and ochre on white, dark joints."""
    image, draw = canvas(columns * cell, rows * cell, (150, 146, 138))
    for row in range(rows):
        for column in range(columns):
            tile = painted_tile(rng, cell - 5)
            image.paste(tile.rotate(90 * rng.randrange(4)), (column * cell + 2, row * cell + 2))
    return image


def painted_tile(rng, size):
    shade = rng.randrange(-12, 6)
    image, draw = canvas(size * 2, size * 2, (228 + shade, 226 + shade, 214 + shade))
    s = size * 2
    ink = rng.choice([(52, 82, 132), (52, 82, 132), (86, 122, 158), (184, 146, 84), (92, 128, 112)])
    other = rng.choice([(192, 158, 92), (82, 110, 152), (148, 88, 74)])
    for corner in ((0, 0), (s, 0), (0, s), (s, s)):
        r = s * rng.choice([0.2, 0.28, 0.36])
        draw.ellipse([corner[0] - r, corner[1] - r, corner[0] + r, corner[1] + r], fill=rng.choice([ink, other]))
    petals, turn, reach = rng.choice([4, 5, 6, 8]), rng.uniform(0, 3), s * rng.uniform(0.24, 0.38)
    for i in range(petals):
        angle = turn + 2 * math.pi * i / petals
        cx, cy = s / 2 + reach * 0.6 * math.cos(angle), s / 2 + reach * 0.6 * math.sin(angle)
        r = reach * rng.uniform(0.3, 0.42)
        draw.ellipse([cx - r, cy - r, cx + r, cy + r], fill=ink)
    r = s * rng.uniform(0.06, 0.13)
    draw.ellipse([s / 2 - r, s / 2 - r, s / 2 + r, s / 2 + r], fill=other)
    if rng.random() < 0.5:
        draw.line([0, 0, s, s], fill=other, width=6)
    return image.resize((size, size), Image.LANCZOS)


def kilim(rng, width=1600, height=560):
    """A woven runner: rows of diamonds, combs and steps; a slight weave on top."""
    wool = [(150, 40, 36), (28, 48, 84), (214, 178, 116), (196, 104, 46), (60, 84, 66), (232, 220, 192), (58, 32, 34)]
    image, draw = canvas(width, height, wool[0])
    y = 0
    while y < height:
        band = rng.choice([28, 56, 84])
        ground, ink = rng.sample(wool, 2)
        draw.rectangle([0, y, width, y + band], fill=ground)
        x = 0
        while x < width:
            step = rng.choice([28, 56, 84])
            motif(draw, rng, x, y, step, band, ink, rng.choice(wool))
            x += step
        draw.rectangle([0, y, width, y + 3], fill=wool[6])
        y += band
    weave = Image.effect_noise((width, height), 46).filter(ImageFilter.GaussianBlur(0.6)).convert("RGB")
    return Image.blend(image, weave, 0.12)


def motif(draw, rng, x, y, width, height, ink, heart):
    kind = rng.randrange(4)
    if kind == 0:
        draw.polygon([(x + width / 2, y + 4), (x + width - 4, y + height / 2), (x + width / 2, y + height - 4),
                      (x + 4, y + height / 2)], fill=ink)
        draw.rectangle([x + width / 2 - 6, y + height / 2 - 6, x + width / 2 + 6, y + height / 2 + 6], fill=heart)
    elif kind == 1:
        for i in range(0, width, 14):
            draw.rectangle([x + i, y + rng.randrange(height // 2), x + i + 6, y + height], fill=ink)
    elif kind == 2:
        for i in range(4):
            draw.rectangle([x + i * width / 8, y + i * height / 4, x + width - i * width / 8, y + (i + 1) * height / 4], fill=(ink, heart)[i % 2])


def print_all(folder, seed=7):
    """Draws everything once; returns name -> path."""
    rng = random.Random(seed)
    pictures = {
        "poster-jazz": poster(rng, "JAZZ", "every friday in the old mill"),
        "poster-film": poster(rng, "CINEMA", "open air, august 9 to 21"),
        "poster-fair": poster(rng, "KITES", "spring fair at the harbour"),
        "botanical": botanical(rng, "Sorbus aucuparia"),
        "map": harbour_map(rng, "PORTO VELA"),
        "label-tea": wrap_label(rng, "ASSAM"),
        "label-mug": wrap_label(rng, "", ground=(212, 220, 222)),
        "label-vase": wrap_label(rng, "", ground=(190, 120, 80)),
        "crate": wrap_label(rng, "No 47", width=900, height=420, ground=(176, 140, 96)),
        "tiles": tiles(rng, 18, 7),
        "kilim": kilim(rng),
    }
    for i, title in enumerate(["THE GARDEN BOOK", "Atlas of Winds", "Salt & Thyme", "NIGHT TRAINS"]):
        pictures[f"spine-{i}"] = spine(rng, title)
    return {name: save(image, folder, name) for name, image in pictures.items()}
