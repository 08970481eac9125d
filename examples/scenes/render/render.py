"""Renders the example scenes with Blender's Cycles on one core.

    python3.11 -m venv venv && venv/bin/pip install -r examples/scenes/render/requirements.txt
    venv/bin/python examples/scenes/render/render.py            # both scenes, a few minutes each
    venv/bin/python examples/scenes/render/render.py courtyard --preview --out /tmp/look
"""

import argparse
import json
import tempfile
from pathlib import Path

from PIL import Image, ImageDraw

import courtyard
import prints
import still_life
import studio

SCENES = {"courtyard": courtyard, "still-life": still_life}
# Light paths for each pixel of the target and of a reference: about a minute of one core each. Denoised, no grain is left to see.
SAMPLES = (24, 12)


def main():
    options = arguments()
    with tempfile.TemporaryDirectory() as work:
        for name in options.scenes or SCENES:
            render(name, SCENES[name], options, Path(work))


def arguments():
    parser = argparse.ArgumentParser(description="Render the example scenes.")
    parser.add_argument("scenes", nargs="*", help=f"which ones (all if none is named): {', '.join(SCENES)}")
    parser.add_argument("--out", type=Path, default=Path(__file__).resolve().parent.parent)
    parser.add_argument("--preview", action="store_true", help="half the size, few samples")
    parser.add_argument("--only-target", action="store_true")
    options = parser.parse_args()
    if unknown := set(options.scenes) - set(SCENES):
        parser.error(f"no scene called {', '.join(sorted(unknown))}; there are {', '.join(SCENES)}")
    return options


def render(name, scene, options, work):
    folder = options.out / name
    (folder / "ref").mkdir(parents=True, exist_ok=True)
    (folder / "target").mkdir(exist_ok=True)
    studio.prepare(scale=50 if options.preview else 100)
    target_samples, reference_samples = (10, 10) if options.preview else SAMPLES
    scene.build(prints.print_all(work))
    studio.shoot(scene.TARGET, folder / "target/gt.png", target_samples)
    hidden = hide(folder / "target", scene.hole)
    for i, view in enumerate([] if options.only_target else scene.REFERENCES):
        studio.shoot(view, work / "reference.png", reference_samples)
        Image.open(work / "reference.png").convert("RGB").save(folder / f"ref/{i}.jpg", quality=93, subsampling=0)
    describe(folder, name, scene, hidden)


def hide(folder, hole):
    """Writes mask.png (white = missing) and target.png (the hole painted white); returns the share that is missing."""
    truth = Image.open(folder / "gt.png").convert("RGB")
    truth.save(folder / "gt.png", optimize=True)
    mask = Image.new("L", truth.size, 0)
    hole(ImageDraw.Draw(mask), *truth.size)
    mask.save(folder / "mask.png", optimize=True)
    Image.composite(Image.new("RGB", truth.size, "white"), truth, mask).save(folder / "target.png", optimize=True)
    return mask.histogram()[255] / (mask.width * mask.height)


def describe(folder, name, scene, hidden):
    facts = {
        "name": name,
        "kind": scene.KIND,
        "source": "rendered by examples/scenes/render/render.py (Blender Cycles)",
        "n_ref": len(scene.REFERENCES),
        "notes": scene.NOTES,
        "has_gt": True,
        "size": list(studio.SIZE),
        "hole_fraction": round(hidden, 4),
    }
    (folder / "scene.json").write_text(json.dumps(facts, indent=1) + "\n")


if __name__ == "__main__":
    main()
