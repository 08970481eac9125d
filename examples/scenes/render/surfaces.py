"""Procedural materials: bricks, planks, cobbles, plaster, glaze, leaves. All are stained and worn by noise, so that no two
bricks are the same and features can be told apart."""

import bpy


class Surface:
    """A Principled material and short hands for its node graph."""

    def __init__(self, name, roughness=0.7, specular=0.3):
        self.material = bpy.data.materials.new(name)
        self.material.use_nodes = True
        self.tree = self.material.node_tree
        self.shader = self.tree.nodes["Principled BSDF"]
        self.shader.inputs["Roughness"].default_value = roughness
        self.shader.inputs["Specular IOR Level"].default_value = specular
        self.uv = self.node("ShaderNodeTexCoord").outputs["UV"]

    def node(self, kind, **inputs):
        node = self.tree.nodes.new(kind)
        for name, value in inputs.items():
            socket = node.inputs[name.replace("_", " ")]
            if isinstance(value, bpy.types.NodeSocket):
                self.tree.links.new(value, socket)
            else:
                socket.default_value = value
        return node

    def scaled(self, x, y, dx=0.0):
        return self.node("ShaderNodeMapping", Vector=self.uv, Scale=(x, y, 1), Location=(dx, 0, 0)).outputs[0]

    def noise(self, scale, detail=6.0, vector=None, roughness=0.6):
        node = self.node("ShaderNodeTexNoise", Vector=vector or self.uv, Scale=scale, Detail=detail, Roughness=roughness)
        return node.outputs["Fac"]

    def ramp(self, factor, *stops):
        node = self.node("ShaderNodeValToRGB", Fac=factor)
        elements = node.color_ramp.elements
        while len(elements) < len(stops):
            elements.new(0.5)
        for element, (position, colour) in zip(elements, stops):
            element.position, element.color = position, (*colour, 1)
        return node.outputs["Color"]

    def mix(self, a, b, factor, blend="MIX"):
        node = self.tree.nodes.new("ShaderNodeMix")
        node.data_type, node.blend_type = "RGBA", blend
        for socket, value in ((node.inputs[0], factor), (node.inputs[6], a), (node.inputs[7], b)):
            if isinstance(value, bpy.types.NodeSocket):
                self.tree.links.new(value, socket)
            else:
                socket.default_value = value if isinstance(value, float) else (*value, 1)
        return node.outputs[2]

    def stained(self, colour, amount=0.5, scale=1.3):
        """Large dark stains and fine speckles over `colour`."""
        stains = self.ramp(self.noise(scale, 8.0), (0.38, (0.35, 0.32, 0.28)), (0.62, (1, 1, 1)))
        speckles = self.ramp(self.noise(scale * 45, 3.0), (0.3, (0.6, 0.6, 0.6)), (0.6, (1.0, 1.0, 1.0)))
        return self.mix(self.mix(colour, stains, amount, "MULTIPLY"), speckles, amount, "MULTIPLY")

    def bump(self, height, strength=0.4, distance=0.01):
        node = self.node("ShaderNodeBump", Height=height, Strength=strength, Distance=distance)
        self.tree.links.new(node.outputs[0], self.shader.inputs["Normal"])

    def done(self, colour):
        socket = self.shader.inputs["Base Color"]
        if isinstance(colour, bpy.types.NodeSocket):
            self.tree.links.new(colour, socket)
        else:
            socket.default_value = (*colour, 1)
        return self.material


def plain(name, colour, roughness=0.6, metallic=0.0):
    surface = Surface(name, roughness)
    surface.shader.inputs["Metallic"].default_value = metallic
    return surface.done(surface.stained(colour, 0.25, 6.0))


def bricks(name, first, second, mortar, width=0.24, height=0.075, offset=0.5, joint=0.012, roughness=0.9):
    surface = Surface(name, roughness, 0.2)
    wobble = surface.node("ShaderNodeTexNoise", Vector=surface.uv, Scale=9.0, Detail=3.0).outputs["Color"]
    vector = surface.mix(surface.uv, wobble, 0.008)
    node = surface.node("ShaderNodeTexBrick", Vector=vector, Color1=(*first, 1), Color2=(*second, 1), Mortar=(*mortar, 1), Scale=1.0,
                        Mortar_Size=joint, Mortar_Smooth=0.3, Bias=0.0, Brick_Width=width, Row_Height=height)
    node.offset = offset
    rough = surface.noise(60.0, 5.0)
    depth = surface.node("ShaderNodeMath", **{})
    depth.operation = "MULTIPLY_ADD"
    surface.tree.links.new(node.outputs["Fac"], depth.inputs[0])
    depth.inputs[1].default_value = -1.5
    surface.tree.links.new(rough, depth.inputs[2])
    surface.bump(depth.outputs[0], 0.6, 0.008)
    return surface.done(surface.stained(node.outputs["Color"], 0.65))


def planks(name, dark, light, width=0.14, length=1.7, along_x=True, roughness=0.55):
    """Boards of `width` with grain; each board has its own tone."""
    surface = Surface(name, roughness, 0.35)
    if not along_x:
        surface.uv = surface.node("ShaderNodeMapping", Vector=surface.uv, Rotation=(0, 0, 1.5707963)).outputs[0]
    node = surface.node("ShaderNodeTexBrick", Vector=surface.uv, Color1=(0.62, 0.62, 0.62, 1), Color2=(1, 1, 1, 1), Mortar=(0.12, 0.1, 0.08, 1),
                        Scale=1.0, Mortar_Size=0.0025, Mortar_Smooth=0.2, Bias=0.0, Brick_Width=length, Row_Height=width)
    node.offset = 0.37
    swirl = surface.noise(1.6, 4.0, surface.scaled(1.0, 5.0))
    shifted = surface.mix(surface.scaled(2.5, 55.0), surface.ramp(swirl, (0.2, (0, 0, 0)), (0.8, (6, 9, 3))), 0.35, "ADD")
    grain = surface.ramp(surface.noise(1.6, 9.0, shifted, 0.7), (0.33, dark), (0.5, light), (0.68, [c * 0.7 for c in light]))
    surface.bump(surface.noise(2.0, 8.0, surface.scaled(2.5, 60.0)), 0.15, 0.004)
    return surface.done(surface.stained(surface.mix(grain, node.outputs["Color"], 1.0, "MULTIPLY"), 0.35))


def cobbles(name, size=0.16):
    surface = Surface(name, 0.75, 0.35)
    vector = surface.scaled(1 / size, 1 / size)
    cells = surface.node("ShaderNodeTexVoronoi", Vector=vector, Scale=1.0, Randomness=0.75)
    edges = surface.tree.nodes.new("ShaderNodeTexVoronoi")
    edges.feature = "DISTANCE_TO_EDGE"
    surface.tree.links.new(vector, edges.inputs["Vector"])
    edges.inputs["Scale"].default_value, edges.inputs["Randomness"].default_value = 1.0, 0.75
    grey = surface.node("ShaderNodeSeparateColor", Color=cells.outputs["Color"]).outputs[0]
    tone = surface.ramp(grey, (0.0, (0.12, 0.12, 0.13)), (0.4, (0.3, 0.27, 0.24)), (0.7, (0.26, 0.28, 0.31)), (1.0, (0.46, 0.42, 0.36)))
    joint = surface.ramp(edges.outputs["Distance"], (0.02, (0.2, 0.2, 0.16)), (0.09, (1, 1, 1)))
    surface.bump(surface.ramp(edges.outputs["Distance"], (0.0, (0, 0, 0)), (0.25, (1, 1, 1))), 0.8, 0.03)
    return surface.done(surface.stained(surface.mix(tone, joint, 1.0, "MULTIPLY"), 0.6))


def plaster(name, colour, worn):
    """Painted plaster, flaking off in places to show `worn` underneath."""
    surface = Surface(name, 0.9, 0.15)
    flakes = surface.ramp(surface.noise(1.1, 9.0), (0.585, (0, 0, 0)), (0.6, (1, 1, 1)))
    paint = surface.mix(colour, [c * 0.72 for c in colour], surface.noise(0.8, 5.0))
    surface.bump(surface.noise(25.0, 6.0), 0.35, 0.01)
    return surface.done(surface.stained(surface.mix(paint, worn, flakes), 0.55, 0.9))


def leaves(name, dark, light):
    surface = Surface(name, 0.5, 0.3)
    island = surface.tree.nodes.new("ShaderNodeNewGeometry").outputs["Random Per Island"]
    surface.shader.inputs["Subsurface Weight"].default_value = 0.0
    return surface.done(surface.ramp(island, (0.0, dark), (0.7, light), (1.0, [min(1.0, c * 1.5) for c in light])))


def printed(name, path, roughness=0.6, repeat=None, dirt=0.2, gloss=0.0):
    """A print on paper, glaze or cloth. `repeat`: its size in metres where the mesh is measured in metres."""
    surface = Surface(name, roughness, 0.4)
    vector = surface.scaled(1 / repeat[0], 1 / repeat[1]) if repeat else surface.uv
    node = surface.node("ShaderNodeTexImage", Vector=vector)
    node.image = bpy.data.images.load(path)
    surface.shader.inputs["Coat Weight"].default_value = gloss
    return surface.done(surface.stained(node.outputs["Color"], dirt, 2.0))
