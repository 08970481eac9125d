"""The inpainting scene: a kitchen table before a wall of painted tiles. Units are metres; z = 0 is the table's top."""

import math
import random

import shapes
import surfaces
from studio import Light, View

KIND = "inpaint"
NOTES = "A vase, a tin, a bowl of fruit and half of a framed print are missing. The third reference was taken under a lamp in the evening."

DAY = [Light((-2.6, -1.3, 2.1), (0.1, 0.1, 0.2), 1.7, 85, (1.0, 0.95, 0.88)), Light((2.4, -2.4, 1.6), (0, 0, 0.2), 2.2, 22, (0.85, 0.92, 1.0))]
EVENING = [Light((1.7, -1.0, 1.6), (0.0, 0.1, 0.1), 0.9, 55, (1.0, 0.72, 0.45)), Light((-2.2, -2.4, 1.6), (0, 0, 0.2), 2.2, 9, (0.7, 0.82, 1.0))]

TARGET = View((0.02, -1.72, 0.58), (0.0, 0.1, 0.24), 42, DAY, sky=0.35)
REFERENCES = [
    View((-0.5, -1.6, 0.7), (0.0, 0.1, 0.22), 41, DAY, sky=0.35),
    View((0.46, -1.68, 0.48), (0.02, 0.1, 0.24), 42, DAY, sky=0.35),
    View((0.16, -1.5, 0.82), (0.03, 0.1, 0.2), 39, EVENING, sky=0.16),
]


def hole(draw, width, height):
    """The middle of the picture: what someone who stood in front of it would have hidden."""
    draw.ellipse([width * 0.34, height * 0.2, width * 0.60, height * 0.62], fill=255)
    draw.rounded_rectangle([width * 0.36, height * 0.42, width * 0.68, height * 0.83], radius=60, fill=255)


def build(prints):
    rng = random.Random(11)
    table_and_wall(prints)
    books(prints)
    vase(prints, rng)
    fruit(rng)
    small_things(prints)


def table_and_wall(prints):
    oak = surfaces.planks("oak", (0.13, 0.06, 0.025), (0.42, 0.24, 0.11))
    shapes.box("table", (2.6, 1.05, 0.05), (0, 0.02, -0.05), oak)
    shapes.box("runner", (1.42, 0.5, 0.004), (0.02, -0.08, 0.0), surfaces.printed("kilim", prints["kilim"], 0.95, (1.6, 0.0056), 0.3), bevel=0.0)
    runner(prints)
    glazed = surfaces.printed("tiles", prints["tiles"], 0.18, dirt=0.3, gloss=0.3)
    shapes.picture("backsplash", 2.16, 0.84, (0, 0.5, -0.1), glazed)
    shapes.box("ledge", (3.0, 0.09, 0.025), (0, 0.47, 0.745), surfaces.planks("ledge", (0.3, 0.2, 0.12), (0.6, 0.45, 0.3)))
    shapes.box("wall", (6.0, 0.1, 4.0), (0, 0.555, -1.0), surfaces.plaster("limewash", (0.72, 0.66, 0.55), (0.5, 0.36, 0.27)))


def runner(prints):
    cloth = surfaces.printed("cloth", prints["kilim"], 0.95, dirt=0.3)
    shapes.picture("cloth", 1.42, 0.5, (0.02, -0.33, 0.0045), cloth, tilt=-math.pi / 2)


def books(prints):
    paper = surfaces.plain("paper", (0.75, 0.68, 0.52), 0.9)
    sizes = [(0.33, 0.23, 0.05), (0.3, 0.21, 0.042), (0.31, 0.2, 0.036), (0.27, 0.19, 0.045)]
    z = 0.005
    for i, (size, turn) in enumerate(zip(sizes, (0.12, -0.08, 0.2, 0.02))):
        x, y = -0.36, 0.12
        cover = surfaces.printed(f"cover-{i}", prints[f"spine-{i}"], 0.55)
        shapes.box(f"pages-{i}", (size[0] - 0.012, size[1] - 0.01, size[2]), (x, y, z), paper, turn)
        front = (x + (size[1] / 2 + 0.001) * math.sin(turn), y - (size[1] / 2 + 0.001) * math.cos(turn), z)
        shapes.picture(f"spine-{i}", size[0], size[2], front, cover, turn)
        shapes.box(f"board-{i}", (size[0], size[1], 0.004), (x, y, z + size[2] - 0.004), surfaces.printed(f"board-{i}", prints[f"spine-{i}"], 0.5, (0.3, 0.2)), turn, 0.001)
        z += size[2]
    mug = [(0.0, 0.0), (0.036, 0.0), (0.041, 0.006), (0.042, 0.09), (0.038, 0.09), (0.037, 0.012), (0.0, 0.01)]
    shapes.lathe("mug", mug, (-0.34, 0.1, z), surfaces.printed("mug", prints["label-mug"], 0.25, gloss=0.4), unit_uv=True)


def vase(prints, rng):
    curve = [(0.0, 0.0), (0.05, 0.0), (0.062, 0.02), (0.088, 0.1), (0.082, 0.16), (0.05, 0.22), (0.038, 0.255), (0.048, 0.285), (0.042, 0.285), (0.03, 0.25)]
    shapes.lathe("vase", smooth(curve), (-0.03, 0.16, 0.005), surfaces.printed("vase", prints["label-vase"], 0.3, gloss=0.5), unit_uv=True)
    stem = surfaces.plain("stem", (0.1, 0.16, 0.04))
    green = surfaces.leaves("sprig", (0.03, 0.09, 0.02), (0.16, 0.28, 0.06))
    for i in range(11):
        lean, turn = rng.uniform(0.05, 0.2), rng.uniform(0, 6.28)
        top = (-0.03 + lean * math.cos(turn), 0.16 + 0.5 * lean * math.sin(turn), rng.uniform(0.4, 0.56))
        shapes.stalk(f"stem-{i}", [(-0.03, 0.16, 0.2), ((-0.03 + top[0]) / 2, (0.16 + top[1]) / 2, 0.36), top], 0.0025, stem)
        shapes.foliage(f"sprig-{i}", rng, 26, top, (0.05, 0.05, 0.06), 0.05, green)
        flower(f"flower-{i}", rng, top)


def flower(name, rng, top):
    colour = rng.choice([(0.75, 0.1, 0.08), (0.85, 0.42, 0.06), (0.8, 0.72, 0.6), (0.5, 0.1, 0.35)])
    petals = surfaces.leaves(name, colour, [min(1, c * 1.25) for c in colour])
    shapes.foliage(name, rng, 34, (top[0], top[1] - 0.02, top[2] + 0.02), (0.018, 0.018, 0.014), 0.028, petals, upright=0.1)


def smooth(profile, steps=6):
    """Catmull-Rom through the profile's points."""
    ends = [profile[0], *profile, profile[-1]]
    points = []
    for a, b, c, d in zip(ends, ends[1:], ends[2:], ends[3:]):
        for i in range(steps):
            t = i / steps
            points.append(tuple(0.5 * (2 * q + (r - p) * t + (2 * p - 5 * q + 4 * r - s) * t * t + (3 * q - p - 3 * r + s) * t**3)
                                for p, q, r, s in zip(a, b, c, d)))
    return [(max(r, 0.0005), z) for r, z in [*points, profile[-1]]]


def fruit(rng):
    bowl = [(0.0, 0.0), (0.05, 0.0), (0.055, 0.012), (0.1, 0.045), (0.135, 0.09), (0.128, 0.09), (0.09, 0.045), (0.0, 0.02)]
    shapes.lathe("bowl", smooth(bowl), (0.16, -0.1, 0.005), surfaces.planks("bowl", (0.2, 0.1, 0.04), (0.5, 0.3, 0.14), 0.3))
    for i, (x, y, z) in enumerate([(0.1, -0.12, 0.075), (0.17, -0.16, 0.075), (0.22, -0.08, 0.08), (0.15, -0.05, 0.08), (0.16, -0.11, 0.13)]):
        shade = rng.uniform(0.85, 1.1)
        peel = surfaces.plain(f"peel-{i}", (0.8 * shade, 0.3 * shade, 0.03), 0.42) if i != 2 else surfaces.plain("apple", (0.5, 0.05, 0.03), 0.25)
        shapes.ball(f"fruit-{i}", 0.042, (x, y, z), peel, 0.95)


def small_things(prints):
    frame = surfaces.planks("frame", (0.08, 0.04, 0.02), (0.25, 0.13, 0.06), 0.05)
    shapes.box("frame", (0.37, 0.025, 0.45), (0.3, 0.40, 0.004), frame, tilt=-0.12)
    shapes.picture("plate", 0.32, 0.40, (0.3, 0.385, 0.03), surfaces.printed("botanical", prints["botanical"], 0.5), tilt=-0.12)
    tin = [(0.0, 0.0), (0.052, 0.0), (0.053, 0.13), (0.05, 0.134), (0.05, 0.142), (0.0, 0.142)]
    shapes.lathe("tin", tin, (-0.14, -0.12, 0.005), surfaces.printed("tin", prints["label-tea"], 0.35), unit_uv=True)
    shapes.box("crate", (0.3, 0.2, 0.17), (0.66, 0.18, 0.0), surfaces.printed("crate", prints["crate"], 0.8, (0.36, 0.17), 0.5), -0.25)
    shapes.picture("card", 0.13, 0.182, (-0.64, 0.2, 0.0), surfaces.printed("card", prints["poster-jazz"], 0.6), 0.25, -0.2)
    shapes.picture("print", 0.24, 0.336, (-0.62, 0.44, 0.0), surfaces.printed("kites", prints["poster-fair"], 0.6), 0.08, -0.1)
    for i, x in enumerate((-0.72, -0.6, 0.5, 0.62)):
        shapes.lathe(f"jar-{i}", [(0.0, 0.0), (0.05, 0.0), (0.055, 0.1), (0.04, 0.13), (0.0, 0.135)], (x, 0.47, 0.77), surfaces.plain(f"jar-{i}", (0.5, 0.25 + 0.1 * i, 0.15), 0.3))
