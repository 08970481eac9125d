"""Cameras, light and the renderer's settings, the same for both scenes."""

import math
from dataclasses import dataclass

import bpy
from mathutils import Vector

SIZE = (768, 576)


@dataclass(frozen=True)
class Light:
    """A soft rectangular lamp: place, what it points at, side in metres, power in watts, colour."""

    place: tuple
    towards: tuple
    side: float
    watts: float
    colour: tuple


@dataclass(frozen=True)
class View:
    """One photo: where the camera stands, what it looks at, focal length in mm (36 mm film), the lamps, the sky.

    `sky` is the strength of an even grey sky; `sun` is (elevation, bearing) in degrees for a clear one instead."""

    place: tuple
    towards: tuple
    lens: float
    lamps: list
    sky: float
    sun: tuple | None = None
    exposure: float = 0.0


def prepare(scale):
    """An empty scene and Cycles on one core, denoised."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene = bpy.context.scene
    scene.render.engine = "CYCLES"
    scene.cycles.device = "CPU"
    scene.cycles.use_adaptive_sampling, scene.cycles.adaptive_threshold = True, 0.02
    scene.cycles.use_denoising = True
    scene.cycles.max_bounces, scene.cycles.diffuse_bounces = 4, 2
    scene.render.use_persistent_data = True
    scene.cycles.sample_clamp_indirect = 8.0
    scene.render.threads_mode, scene.render.threads = "FIXED", 1
    scene.render.resolution_x, scene.render.resolution_y = SIZE
    scene.render.resolution_percentage = scale
    scene.render.image_settings.file_format = "PNG"
    scene.view_settings.view_transform = "AgX"
    scene.view_settings.look = "AgX - Medium High Contrast"
    scene.camera = bpy.data.objects.new("camera", bpy.data.cameras.new("camera"))
    scene.collection.objects.link(scene.camera)


def shoot(view, path, samples):
    """Sets light and camera for one view and renders it to a PNG."""
    scene = bpy.context.scene
    light_sky(scene, view)
    lamps = [hang(scene, lamp) for lamp in view.lamps]
    scene.camera.location = view.place
    scene.camera.rotation_euler = aim(view.place, view.towards)
    scene.camera.data.lens = view.lens
    scene.view_settings.exposure = view.exposure
    scene.cycles.samples = samples
    scene.render.filepath = str(path)
    bpy.ops.render.render(write_still=True)
    for lamp in lamps:
        bpy.data.objects.remove(lamp)


def aim(place, towards):
    return (Vector(towards) - Vector(place)).to_track_quat("-Z", "Y").to_euler()


def hang(scene, light):
    data = bpy.data.lights.new("lamp", "AREA")
    data.energy, data.size, data.color = light.watts, light.side, light.colour
    lamp = bpy.data.objects.new("lamp", data)
    lamp.location, lamp.rotation_euler = light.place, aim(light.place, light.towards)
    scene.collection.objects.link(lamp)
    return lamp


def light_sky(scene, view):
    scene.world = bpy.data.worlds.new("sky")
    scene.world.use_nodes = True
    nodes, links = scene.world.node_tree.nodes, scene.world.node_tree.links
    background = nodes["Background"]
    background.inputs["Strength"].default_value = view.sky
    background.inputs["Color"].default_value = (0.86, 0.92, 1.0, 1)
    if view.sun:
        sky = nodes.new("ShaderNodeTexSky")
        sky.sky_type = "NISHITA"
        sky.sun_elevation, sky.sun_rotation = math.radians(view.sun[0]), math.radians(view.sun[1])
        sky.sun_size, sky.sun_intensity = math.radians(4.0), 0.35
        links.new(sky.outputs[0], background.inputs["Color"])
