"""Writes adapter_model.bin beside this file: sd15's adapter of the text encoder as older versions of PEFT (0.5) write adapters, with torch.save.

    python adapter_bin.py

Needs Python alone: the pickle that torch.save writes (a dictionary of torch._utils._rebuild_tensor_v2) is made with stand-ins.
"""

import collections
import json
import pathlib
import pickle
import struct
import sys
import types
import zipfile

HERE = pathlib.Path(__file__).parent


def stand_in(module, name, what):
    sys.modules.setdefault(module, types.ModuleType(module))
    what.__module__, what.__qualname__ = module, name
    setattr(sys.modules[module], name, what)
    return what


def rebuild(*_):
    raise NotImplementedError


FloatStorage = stand_in("torch", "FloatStorage", type("FloatStorage", (), {}))
rebuild = stand_in("torch._utils", "_rebuild_tensor_v2", rebuild)


class Storage:
    def __init__(self, key, count):
        self.id = ("storage", FloatStorage, key, "cpu", count)


class Tensor:
    def __init__(self, storage, shape):
        self.storage, self.shape = storage, tuple(shape)

    def __reduce__(self):
        strides = tuple(self.shape[1:]) + (1,)
        return rebuild, (self.storage, 0, self.shape, strides, False, collections.OrderedDict())


class Pickler(pickle._Pickler):
    def persistent_id(self, value):
        return value.id if isinstance(value, Storage) else None


def tensors():
    data = (HERE / "sd15/adapter/text_encoder/adapter_model.safetensors").read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    for name, entry in json.loads(data[8 : 8 + length]).items():
        if name != "__metadata__":
            assert entry["dtype"] == "F32" and len(entry["shape"]) == 2
            begin, end = entry["data_offsets"]
            yield name, entry["shape"], data[8 + length + begin : 8 + length + end]


def add(archive, name, data):
    archive.writestr(zipfile.ZipInfo(f"adapter_model/{name}"), data)


def main():
    state = {}
    with zipfile.ZipFile(HERE / "adapter_model.bin", "w") as archive:
        for i, (name, shape, data) in enumerate(tensors()):
            state[name] = Tensor(Storage(str(i), len(data) // 4), shape)
            add(archive, f"data/{i}", data)
        with archive.open(zipfile.ZipInfo("adapter_model/data.pkl"), "w") as file:
            Pickler(file, protocol=2).dump(state)
        add(archive, "version", "3\n")
        add(archive, "byteorder", "little")


main()
