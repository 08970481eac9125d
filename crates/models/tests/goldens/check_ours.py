"""Checks that adapters written by this crate work in PEFT.

    python check_ours.py          # in this folder; needs cargo beside what generate.py needs

Has the crate's tests write adapters for the golden models with what it computes with them, loads them with PEFT, and compares.
"""

import json
import os
import pathlib
import subprocess
import tempfile

import torch
from diffusers import UNet2DConditionModel
from peft import LoraConfig, PeftModel, get_peft_model, set_peft_model_state_dict
from safetensors.torch import load_file
from transformers import CLIPTextConfig, CLIPTextModel

HERE = pathlib.Path(__file__).parent


def write_ours(place):
    command = ["cargo", "test", "--release", "-p", "realfill-models", "--test", "main", "adapters_of_ours"]
    subprocess.run(command, check=True, env=os.environ | {"REALFILL_PEFT_OUT": str(place)})


def text_encoder(family):
    folder = HERE / family / "text_encoder"
    model = CLIPTextModel(CLIPTextConfig.from_json_file(folder / "config.json"))
    safe = folder / "model.safetensors"
    state = load_file(safe) if safe.exists() else torch.load(folder / "pytorch_model.bin")
    state = {k.removeprefix("text_model."): v.float() for k, v in state.items() if "position_ids" not in k}
    model.load_state_dict(state)
    return model.eval()


def with_adapter(model, folder):
    """As `PeftModel.from_pretrained`, but strict, and with the names of this version of transformers."""
    state = load_file(folder / "adapter_model.safetensors")
    if not any("text_model." in name for name, _ in model.named_modules()):
        state = {k.replace("base_model.model.text_model.", "base_model.model."): v for k, v in state.items()}
    peft = get_peft_model(model, LoraConfig.from_pretrained(folder))
    result = set_peft_model_state_dict(peft, state)
    left = [k for k in result.missing_keys if "lora_" in k]
    assert not left and not result.unexpected_keys, (left, result.unexpected_keys)
    return peft.eval()


def compare(what, ours, theirs):
    ours, theirs = torch.tensor(ours), theirs.flatten()
    error = ((ours - theirs).norm() / theirs.norm()).item()
    print(f"{what}: relative error {error:.1e}")
    assert error <= 1e-4


def check(family, place):
    expected = load_file(HERE / family / "expected.safetensors")
    ours = dict(json.loads((place / family / "outputs.json").read_text()))
    unet = UNet2DConditionModel.from_pretrained(HERE / family / "unet", variant="fp16" if family == "sd15" else None)
    # PEFT's own entry finds and reads the files, too.
    PeftModel.from_pretrained(UNet2DConditionModel.from_config(unet.config), place / family / "unet")
    unet = with_adapter(unet.float(), place / family / "unet")
    text = with_adapter(text_encoder(family), place / family / "text_encoder")
    with torch.no_grad():
        prediction = unet(expected["latents"], expected["timesteps"], expected["hidden"][:2]).sample
        hidden = text(expected["ids"].long()).last_hidden_state
    compare(f"{family} U-Net", ours["prediction"], prediction)
    compare(f"{family} text encoder", ours["hidden"], hidden)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        write_ours(place)
        for family in ("sd15", "sd2"):
            check(family, pathlib.Path(place))
