"""A model as a folder: `config.json` and `model.safetensors`, fp16 on disk, float32 in memory.

The weights carry the fingerprint of both, so that a file that a disk, a copy or a hand has changed
is no model any more.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TypeVar

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import nn

Config = TypeVar("Config")

CONFIG, WEIGHTS = "config.json", "model.safetensors"
LARGEST = 8192  # of all settings
FINGERPRINT = "fingerprint"  # among the metadata of the weights


class WeightsError(ValueError):
    """A folder of weights that cannot be used: what is wrong, and what to do."""


def read_config(folder: str | Path, *config_classes: type[Config]) -> Config:
    """The `config.json` of a folder as one of some frozen dataclasses of plain values.

    It is the one whose settings, by their names, are those in the file. Raises WeightsError where
    the folder or the file is missing, or its settings are those of no such class, or make no model.
    """
    path = Path(folder) / CONFIG
    if not path.is_file():
        raise WeightsError(f"no {CONFIG} in {folder}: name a folder that a training exported")
    try:
        values = json.loads(path.read_text("utf-8"))
        for config_class in config_classes:
            defaults = asdict(config_class())
            if isinstance(values, dict) and set(values) == set(defaults):
                break
        else:
            names = " or ".join(config_class.__name__ for config_class in config_classes)
            raise ValueError(f"its settings are not those of {names}")
        values = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
        for name, value in values.items():
            _check(name, value, defaults[name])
        return config_class(**values)
    except (ValueError, TypeError) as error:
        raise WeightsError(
            f"{path} does not fit: {error}; name a folder that a training of this model exported"
        ) from None


def _check(name: str, value: object, default: object) -> None:
    """Raises ValueError for a setting that has not its default's type."""
    if type(value) is not type(default):
        raise ValueError(f"{name} is {value!r}, where {type(default).__name__} is expected")
    if isinstance(value, tuple) and {type(v) for v in value} - {type(v) for v in default}:
        raise ValueError(f"{name} is {value!r}, where numbers like {default!r} are expected")


def check_bounds(config: object) -> None:
    """Raises ValueError for a number among a dataclass's settings that is out of all bounds."""
    for name, value in asdict(config).items():
        numbers = value if isinstance(value, tuple) else (value,)
        for number in numbers:
            if not isinstance(number, str) and not abs(number) <= LARGEST:
                raise ValueError(f"{name} is beyond {LARGEST}: no model is so large")


def read_model(folder: str | Path, kinds: Mapping[type, type[nn.Module]]) -> nn.Module:
    """The model of a folder, of the kind that its settings are those of, in evaluation mode.

    `kinds` has the class of the network for each class of settings. Raises WeightsError where a
    file is missing or damaged, the weights belong to another architecture than the settings, are
    no finite numbers, or were not written together with them.
    """
    config = read_config(folder, *kinds)
    path = Path(folder) / WEIGHTS
    if not path.is_file():
        raise WeightsError(f"no {WEIGHTS} in {folder}: name a folder that a training exported")
    try:
        stored = load_file(path)
        with safe_open(path, "pt") as file:
            written = (file.metadata() or {}).get(FINGERPRINT)
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"{path} is damaged ({error}): copy or export it again") from None
    for name, tensor in stored.items():
        if not tensor.is_floating_point() or not tensor.isfinite().all():
            raise WeightsError(f"{name} in {path} is not of finite numbers: export it again")
    kind = kinds[type(config)]
    with torch.device("meta"):  # settings out of bounds would ask for more memory than there is
        expected = {name: weight.shape for name, weight in kind(config).state_dict().items()}
    if {name: tensor.shape for name, tensor in stored.items()} != expected:
        raise WeightsError(f"{path} holds the weights of another architecture than its {CONFIG}")
    module = kind(config)
    module.load_state_dict({name: tensor.float() for name, tensor in stored.items()})
    if written not in (None, fingerprint(config, module)):
        raise WeightsError(
            f"{path} or {CONFIG} beside it is not as it was exported: copy or export both again"
        )
    return module.eval()


def write_model(folder: str | Path, config: object, module: nn.Module) -> Path:
    """Writes both files, each under a temporary name first; returns the folder.

    Raises WeightsError for weights that are not finite in fp16, and writes nothing.
    """
    tensors = {k: v.detach().cpu().half().contiguous() for k, v in module.state_dict().items()}
    for name, tensor in tensors.items():
        if not tensor.isfinite().all():
            raise WeightsError(f"{name} is not finite in float16, so nothing is saved")
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".part-") as part:
        # save_file would make a file that only its owner may read.
        written = {FINGERPRINT: fingerprint(config, module)}
        (Path(part) / WEIGHTS).write_bytes(save(tensors, written))
        (Path(part) / CONFIG).write_text(json.dumps(asdict(config), indent=2) + "\n", "utf-8")
        for name in (WEIGHTS, CONFIG):
            (Path(part) / name).replace(folder / name)
    return folder


def fingerprint(config: object, module: nn.Module) -> str:
    """A SHA-256 of settings and weights in hex: what caches are keyed by."""
    digest = hashlib.sha256(json.dumps(asdict(config), sort_keys=True).encode())
    for name, tensor in sorted(module.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().to(torch.float16).contiguous().numpy().tobytes())
    return digest.hexdigest()
