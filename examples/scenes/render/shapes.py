"""Meshes with texture coordinates in metres, so that a brick is the same size on every wall."""

import math

import bpy
from mathutils import Vector


def mesh(name, vertices, faces, uvs, material, location=(0, 0, 0), rotation=(0, 0, 0), smooth=False, bevel=0.0):
    """`uvs` has one pair for each corner of each face, in order."""
    data = bpy.data.meshes.new(name)
    data.from_pydata(vertices, [], faces)
    layer = data.uv_layers.new(name="UVMap")
    for loop, uv in zip(layer.data, uvs, strict=True):
        loop.uv = uv
    data.materials.append(material)
    if smooth:
        data.polygons.foreach_set("use_smooth", [True] * len(data.polygons))
    thing = bpy.data.objects.new(name, data)
    thing.location, thing.rotation_euler = location, rotation
    bpy.context.scene.collection.objects.link(thing)
    if bevel:
        modifier = thing.modifiers.new("bevel", "BEVEL")
        modifier.width, modifier.segments = bevel, 2
    return thing


# The corners of a box's faces, seen from outside, and the two axes that become u and v.
FACES = [((0, 1, 5, 4), 0, 2), ((2, 3, 7, 6), 0, 2), ((1, 2, 6, 5), 1, 2), ((3, 0, 4, 7), 1, 2), ((4, 5, 6, 7), 0, 1), ((3, 2, 1, 0), 0, 1)]


def box(name, size, location, material, turn=0.0, bevel=0.004, tilt=0.0):
    """A box standing on `location` (the centre of its underside)."""
    x, y, z = size[0] / 2, size[1] / 2, size[2]
    corners = [(-x, -y, 0), (x, -y, 0), (x, y, 0), (-x, y, 0), (-x, -y, z), (x, -y, z), (x, y, z), (-x, y, z)]
    uvs = [(corners[i][u] + location[0], corners[i][v] + location[2]) for face, u, v in FACES for i in face]
    return mesh(name, corners, [face for face, _, _ in FACES], uvs, material, location, (tilt, 0, turn), bevel=bevel)


def picture(name, width, height, location, material, turn=0.0, tilt=0.0):
    """A flat print standing upright, facing -y; `location` is the centre of its lower edge."""
    x = width / 2
    corners = [(-x, 0, 0), (x, 0, 0), (x, 0, height), (-x, 0, height)]
    return mesh(name, corners, [(0, 1, 2, 3)], [(0, 0), (1, 0), (1, 1), (0, 1)], material, location, (tilt, 0, turn))


def lathe(name, profile, location, material, segments=72, unit_uv=False, tilt=0.0):
    """Turns a profile of (radius, height) around z. `unit_uv`: one print wraps once around the whole height."""
    low, high = min(z for _, z in profile), max(z for _, z in profile)
    radius = max(r for r, _ in profile)
    vertices, faces, uvs = [], [], []
    for r, z in profile:
        for i in range(segments):
            angle = 2 * math.pi * i / segments
            vertices.append((r * math.sin(angle), -r * math.cos(angle), z))
    for row in range(len(profile) - 1):
        for i in range(segments):
            j = (i + 1) % segments
            faces.append((row * segments + i, row * segments + j, (row + 1) * segments + j, (row + 1) * segments + i))
            for k, step in ((i, row), (i + 1, row), (i + 1, row + 1), (i, row + 1)):
                v = profile[step][1]
                uvs.append((k / segments, (v - low) / (high - low)) if unit_uv else (2 * math.pi * radius * k / segments, v))
    return mesh(name, vertices, faces, uvs, material, location, (tilt, 0, 0), smooth=True)


def ball(name, radius, location, material, squash=1.0):
    turns = 24
    profile = [(max(radius * math.sin(math.pi * i / turns), 1e-4), -radius * squash * math.cos(math.pi * i / turns)) for i in range(turns + 1)]
    return lathe(name, profile, location, material, segments=40)


def foliage(name, rng, count, centre, spread, leaf_length, material, upright=0.3):
    """`count` bent leaves scattered in an ellipsoid; each is an island of its own, so each gets its own green."""
    vertices, faces, uvs = [], [], []
    for _ in range(count):
        point = Vector([rng.gauss(0, 1) for _ in range(3)]).normalized() * rng.uniform(0.35, 1) ** 0.6
        root = Vector(centre) + Vector([p * s for p, s in zip(point, spread)])
        along = (point + Vector([rng.gauss(0, 0.5), rng.gauss(0, 0.5), upright + rng.gauss(0, 0.4)])).normalized()
        across = along.cross(Vector([rng.gauss(0, 1) for _ in range(3)])).normalized()
        length = leaf_length * rng.uniform(0.6, 1.2)
        bend = along.cross(across) * length * 0.15
        base = len(vertices)
        middle = root + along * length * 0.5 + bend
        vertices += [root, middle + across * length * 0.2, root + along * length, middle - across * length * 0.2, middle]
        faces += [(base, base + 1, base + 4), (base + 1, base + 2, base + 4), (base + 2, base + 3, base + 4), (base + 3, base, base + 4)]
        uvs += [(0, 0)] * 12
    return mesh(name, [tuple(v) for v in vertices], faces, uvs, material, smooth=True)


def stalk(name, points, thickness, material):
    """A thin round tube through `points`."""
    curve = bpy.data.curves.new(name, "CURVE")
    curve.dimensions, curve.bevel_depth = "3D", thickness
    spline = curve.splines.new("POLY")
    spline.points.add(len(points) - 1)
    for target, point in zip(spline.points, points):
        target.co = (*point, 1)
    curve.materials.append(material)
    thing = bpy.data.objects.new(name, curve)
    bpy.context.scene.collection.objects.link(thing)
    return thing
