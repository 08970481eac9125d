"""The outpainting scene: a small courtyard of brick and plaster. Units are metres; z = 0 is the ground, the back wall stands at y = 3."""

import math
import random

import shapes
import surfaces
from studio import View

KIND = "outpaint"
NOTES = "Both sides of a courtyard are missing. The third reference was taken under an overcast sky, the others in low sun."

TARGET = View((0.25, -3.9, 1.55), (0.15, 3.0, 1.5), 27, [], sky=0.3, sun=(38, 215), exposure=-0.45)
REFERENCES = [
    View((-1.25, -3.7, 1.6), (-0.55, 3.0, 1.45), 25, [], sky=0.3, sun=(38, 215), exposure=-0.45),
    View((1.55, -3.5, 1.5), (0.9, 3.0, 1.45), 25, [], sky=0.3, sun=(38, 215), exposure=-0.45),
    View((0.35, -3.0, 1.8), (0.1, 3.0, 1.4), 22, [], sky=1.7),
]


def hole(draw, width, height):
    """Two strips, as when a tall photo is widened."""
    draw.rectangle([0, 0, width * 0.21 - 1, height], fill=255)
    draw.rectangle([width * 0.8, 0, width, height], fill=255)


def build(prints):
    rng = random.Random(23)
    walls(prints)
    door()
    window(rng)
    bench()
    left_side(prints, rng)
    right_side(prints, rng)
    bunting(rng)


def walls(prints):
    brick = surfaces.bricks("brick", (0.26, 0.075, 0.045), (0.5, 0.21, 0.12), (0.46, 0.42, 0.36))
    ochre = surfaces.plaster("ochre", (0.72, 0.43, 0.17), (0.45, 0.36, 0.29))
    stone = surfaces.bricks("stone", (0.42, 0.38, 0.31), (0.62, 0.57, 0.48), (0.3, 0.27, 0.23), 0.52, 0.26, 0.43, 0.018)
    shapes.box("ground", (12, 12, 0.1), (0, 0, -0.1), surfaces.cobbles("cobbles"), bevel=0)
    shapes.box("back", (9, 0.4, 4.6), (0, 3.2, 0), brick, bevel=0)
    shapes.box("left", (0.4, 9, 3.9), (-3.2, -1.0, 0), ochre, bevel=0)
    shapes.box("right", (0.4, 9, 3.5), (3.5, -1.0, 0), stone, bevel=0)
    shapes.box("plinth", (6.6, 0.06, 0.34), (0, 2.98, 0), stone)
    shapes.box("cornice", (9, 0.55, 0.12), (0, 3.15, 3.95), surfaces.plain("cornice", (0.6, 0.55, 0.47), 0.9))
    shapes.picture("film", 0.62, 0.87, (2.52, 2.985, 1.3), surfaces.printed("film", prints["poster-film"], 0.8, dirt=0.5))
    shapes.picture("plan", 0.9, 0.64, (-2.35, 2.985, 1.35), surfaces.printed("plan", prints["map"], 0.8, dirt=0.5))


def door():
    blue = surfaces.planks("door", (0.03, 0.1, 0.14), (0.09, 0.27, 0.33), 0.14, 4.0, along_x=False)
    stone = surfaces.plain("lintel", (0.55, 0.5, 0.42), 0.9)
    shapes.box("leaf", (1.0, 0.06, 2.1), (-1.0, 2.99, 0.16), blue)
    for x in (-1.6, -0.4):
        shapes.box("jamb", (0.2, 0.16, 2.3), (x, 2.97, 0), stone)
    shapes.box("lintel", (1.6, 0.2, 0.24), (-1.0, 2.97, 2.28), stone)
    shapes.box("step", (1.7, 0.55, 0.16), (-1.0, 2.75, 0), stone, bevel=0.012)
    iron = surfaces.plain("iron", (0.03, 0.03, 0.03), 0.4, 0.8)
    for z in (0.55, 1.75):
        shapes.box("hinge", (0.75, 0.02, 0.05), (-1.1, 2.95, z), iron)
    shapes.ball("knob", 0.045, (-0.6, 2.93, 1.15), surfaces.plain("brass", (0.6, 0.4, 0.12), 0.25, 1.0))
    lantern(iron)


def lantern(iron):
    shapes.stalk("arm", [(-0.15, 3.0, 2.45), (-0.15, 2.8, 2.5), (-0.15, 2.72, 2.4)], 0.012, iron)
    shapes.lathe("roof", [(0.001, 0.0), (0.12, -0.1), (0.11, -0.11), (0.001, -0.1)], (-0.15, 2.72, 2.4), iron, 8)
    shapes.lathe("glass", [(0.09, 0.0), (0.06, -0.2), (0.001, -0.21)], (-0.15, 2.72, 2.3), surfaces.plain("pane", (0.8, 0.7, 0.45), 0.2), 8)


def window(rng):
    green = surfaces.planks("shutter", (0.05, 0.12, 0.06), (0.16, 0.3, 0.15), 0.06, 3.0)
    white = surfaces.plain("frame", (0.72, 0.69, 0.62), 0.5)
    shapes.box("panes", (0.9, 0.03, 1.15), (1.05, 2.99, 1.35), surfaces.plain("dark glass", (0.03, 0.045, 0.06), 0.08))
    for x in (0.6, 1.05, 1.5):
        shapes.box("stile", (0.06, 0.07, 1.2), (x, 2.98, 1.33), white)
    for z in (1.31, 1.72, 2.1, 2.49):
        shapes.box("rail", (0.96, 0.06, 0.05), (1.05, 2.98, z), white)
    for x in (0.28, 1.82):
        shapes.box("shutter", (0.5, 0.05, 1.24), (x, 2.96, 1.31), green)
    shapes.box("sill", (1.3, 0.26, 0.07), (1.05, 2.9, 1.24), surfaces.plain("sill", (0.55, 0.5, 0.42), 0.9))
    for i in range(3):
        pot(rng, f"sill-{i}", (0.65 + 0.4 * i, 2.86, 1.31), 0.55, [(0.65, 0.06, 0.06), (0.75, 0.3, 0.06), (0.6, 0.12, 0.35)][i])


def pot(rng, name, place, size, blossom=None):
    clay = surfaces.plain(f"clay-{name}", (0.5 + rng.uniform(-0.08, 0.08), 0.21, 0.1), 0.85)
    outline = [(0.001, 0.0), (0.11, 0.0), (0.16, 0.24), (0.18, 0.24), (0.18, 0.3), (0.15, 0.3), (0.15, 0.26), (0.001, 0.25)]
    shapes.lathe(f"pot-{name}", [(r * size, z * size) for r, z in outline], place, clay)
    green = surfaces.leaves(f"leaves-{name}", (0.02, 0.07, 0.015), (0.12 + rng.uniform(0, 0.08), 0.24, 0.05))
    crown = (place[0], place[1], place[2] + 0.5 * size)
    shapes.foliage(f"plant-{name}", rng, 260, crown, (0.24 * size, 0.24 * size, 0.25 * size), 0.16 * size, green)
    if blossom:
        petals = surfaces.leaves(f"petals-{name}", blossom, [c * 1.3 for c in blossom])
        shapes.foliage(f"blossom-{name}", rng, 90, crown, (0.27 * size, 0.27 * size, 0.29 * size), 0.075 * size, petals)


def bench():
    wood = surfaces.planks("bench", (0.16, 0.09, 0.04), (0.45, 0.29, 0.15), 0.11)
    for i in range(4):
        shapes.box("slat", (1.5, 0.095, 0.035), (1.0, 2.35 + 0.11 * i, 0.44), wood)
    for z in (0.62, 0.76):
        shapes.box("back", (1.5, 0.03, 0.1), (1.0, 2.76, z), wood, tilt=-0.12)
    for x in (0.4, 1.6):
        shapes.box("leg", (0.07, 0.42, 0.44), (x, 2.5, 0), wood)
        shapes.box("post", (0.06, 0.05, 0.9), (x, 2.77, 0), wood)


def left_side(prints, rng):
    turn = math.pi / 2
    shapes.picture("jazz", 0.7, 0.98, (-2.985, 1.75, 1.2), surfaces.printed("jazz", prints["poster-jazz"], 0.8, dirt=0.5), turn)
    shapes.picture("kites", 0.7, 0.98, (-2.985, 0.85, 1.15), surfaces.printed("kites", prints["poster-fair"], 0.8, dirt=0.5), turn)
    barrel = [(0.001, 0.0), (0.27, 0.0), (0.33, 0.25), (0.35, 0.45), (0.33, 0.65), (0.27, 0.9), (0.25, 0.9), (0.25, 0.86), (0.001, 0.86)]
    shapes.lathe("barrel", barrel, (-2.35, 2.35, 0), surfaces.planks("staves", (0.12, 0.06, 0.03), (0.4, 0.24, 0.12), 0.1, 3.0, along_x=False))
    iron = surfaces.plain("hoop", (0.06, 0.05, 0.045), 0.5, 0.7)
    for z, r in ((0.12, 0.303), (0.3, 0.34), (0.62, 0.337), (0.8, 0.297)):
        shapes.lathe("hoop", [(r, z), (r + 0.006, z + 0.02), (r, z + 0.04)], (-2.35, 2.35, 0), iron)
    pot(rng, "barrel", (-2.35, 2.35, 0.87), 0.9, (0.62, 0.1, 0.3))
    pot(rng, "left", (-2.5, 1.3, 0), 1.3)
    pot(rng, "small", (-1.95, 1.75, 0), 0.8, (0.75, 0.35, 0.05))
    ivy = surfaces.leaves("ivy", (0.02, 0.06, 0.015), (0.1, 0.2, 0.04))
    for i in range(16):
        place = (-2.9 + 0.3 * max(0, i - 10), 2.75 + rng.uniform(-0.15, 0.15) if i > 10 else 2.85 - 0.25 * i, 3.1 + rng.uniform(-0.5, 0.4))
        shapes.foliage(f"ivy-{i}", rng, 130, place, (0.16, 0.25, 0.4), 0.12, ivy, upright=-0.4)


def right_side(prints, rng):
    crate = surfaces.planks("crate", (0.22, 0.14, 0.07), (0.6, 0.44, 0.26), 0.095)
    stencil = surfaces.printed("stencil", prints["crate"], 0.85, dirt=0.5)
    for i, (x, y, z, turn) in enumerate([(2.65, 2.3, 0, 0.12), (2.6, 2.35, 0.46, -0.15), (2.55, 1.55, 0, -0.35)]):
        shapes.box(f"crate-{i}", (0.72, 0.5, 0.45), (x, y, z), crate, turn, 0.008)
        front = (x + 0.253 * math.sin(turn), y - 0.253 * math.cos(turn), z + 0.12)
        shapes.picture(f"stencil-{i}", 0.46, 0.21, front, stencil, turn)
    pot(rng, "crate", (2.6, 2.35, 0.92), 0.85, (0.8, 0.55, 0.08))
    pot(rng, "right", (2.95, 0.8, 0), 1.2, (0.6, 0.08, 0.06))
    shapes.picture("tiles", 1.5, 0.58, (3.285, 1.2, 1.65), surfaces.printed("tiles", prints["tiles"], 0.3, dirt=0.4), -math.pi / 2)


def bunting(rng):
    """A line of small flags from wall to wall."""
    inks = [(0.6, 0.1, 0.08), (0.75, 0.5, 0.1), (0.1, 0.25, 0.45), (0.7, 0.66, 0.56), (0.12, 0.35, 0.25)]
    cloth = [surfaces.plain(f"flag-{i}", ink, 0.9) for i, ink in enumerate(inks)]
    for row, (y0, y1, height) in enumerate([(0.9, 2.2, 3.3), (2.4, 1.2, 3.15)]):
        points = [(-3 + 6.3 * t, y0 + (y1 - y0) * t, height - 1.3 * t * (1 - t)) for t in (i / 18 for i in range(19))]
        shapes.stalk(f"line-{row}", points, 0.006, cloth[3])
        for i, (x, y, z) in enumerate(points[1:-1]):
            corners = [(-0.11, 0, 0), (0.11, 0, 0), (rng.uniform(-0.03, 0.03), rng.uniform(-0.06, 0.06), -0.27)]
            shapes.mesh(f"flag-{row}-{i}", corners, [(0, 2, 1)], [(0, 0), (0.5, 0.3), (0.2, 0)], rng.choice(cloth), (x, y, z), (0, 0, rng.uniform(-0.2, 0.2)))
