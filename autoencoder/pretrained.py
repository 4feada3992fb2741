"""A network as a folder: `config.json` and `model.safetensors`, fp16 on disk, float32 in memory.

A fingerprint of both in the weights' metadata shows damaged and mismatched files.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import ClassVar, Self

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from autoencoder.files import atomic

CONFIG, WEIGHTS = "config.json", "model.safetensors"
LARGEST = 8192  # of all settings
FINGERPRINT = "fingerprint"  # among the metadata of the weights


class WeightsError(ValueError):
    """A folder of weights that cannot be used: what is wrong, and what to do."""


class Pretrained(nn.Module):
    """A network made of one frozen dataclass of settings, and saved beside it.

    Attributes:
        config_class: the dataclass.
        bundled: the folder with the weights that ship, if any do.
        config: the settings of this network.
    """

    config_class: ClassVar[type]
    bundled: ClassVar[Path | None] = None

    def __init__(self, config: object | None = None) -> None:
        super().__init__()
        self.config = self.config_class() if config is None else config

    @property
    def fingerprint(self) -> str:
        """SHA-256 of settings and weights, in hex."""
        return fingerprint(self.config, self)

    def save_pretrained(self, folder: str | Path) -> Path:
        """Writes `config.json` and `model.safetensors`, and returns the folder.

        Raises WeightsError for weights that are not finite in fp16, and writes nothing.
        """
        tensors = {k: v.detach().cpu().half().contiguous() for k, v in self.state_dict().items()}
        for name, tensor in tensors.items():
            if not tensor.isfinite().all():
                raise WeightsError(f"{name} is not finite in float16, so nothing is saved")
        folder = Path(folder)
        with atomic(folder / WEIGHTS) as weights, atomic(folder / CONFIG) as config:
            # save_file would make a file that only its owner may read.
            weights.write_bytes(save(tensors, {FINGERPRINT: fingerprint(self.config, self)}))
            config.write_text(json.dumps(settings(self.config), indent=2) + "\n", "utf-8")
        return folder

    @classmethod
    def from_pretrained(cls, folder: str | Path | None = None) -> Self:
        """The network of a folder, in evaluation mode; None is the one that ships.

        Raises WeightsError for a folder without weights, damaged ones, or another network's.
        """
        return read_model(cls.bundled if folder is None else folder, cls)


def read_model(folder: str | Path, *classes: type[Pretrained]) -> Pretrained:
    """The network of a folder, of whichever class its settings belong to.

    Raises WeightsError where a file is missing or damaged, or the weights are not finite, of
    another architecture than the settings, or not written together with them.
    """
    config = read_config(folder, *(kind.config_class for kind in classes))
    path = Path(folder) / WEIGHTS
    if not path.is_file():
        raise WeightsError(f"no {WEIGHTS} in {folder}: name a folder that a training exported")
    try:
        with safe_open(path, "pt") as file:
            written = (file.metadata() or {}).get(FINGERPRINT)
            stored = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"{path} is damaged ({error}): copy or export it again") from None
    for name, tensor in stored.items():
        if not tensor.is_floating_point() or not tensor.isfinite().all():
            raise WeightsError(f"{name} in {path} is not of finite numbers: export it again")
    kind = next(kind for kind in classes if kind.config_class is type(config))
    with torch.device("meta"), Uninitialized():  # the file has all the weights
        module = kind(config)
    expected = module.state_dict()
    if {k: v.shape for k, v in stored.items()} != {k: v.shape for k, v in expected.items()}:
        raise WeightsError(f"{path} holds the weights of another architecture than its {CONFIG}")
    module.load_state_dict({k: _like(expected[k], v) for k, v in stored.items()}, assign=True)
    if written not in (None, fingerprint(config, module)):
        raise WeightsError(
            f"{path} or {CONFIG} beside it is not as it was exported: copy or export both again"
        )
    return module.eval()


class Uninitialized(TorchFunctionMode):
    """Skips every `normal_`, which on the meta device imports all of `torch._dynamo`."""

    def __torch_function__(self, function, types, args=(), kwargs=None):
        if function.__name__ == "normal_":  # that of a tensor, and that of nn.init
            return None
        return function(*args, **(kwargs or {}))


def _like(expected: Tensor, stored: Tensor) -> Tensor:
    """Stored numbers as float32, laid out in memory as the network wants them."""
    return torch.empty_strided(expected.shape, expected.stride()).copy_(stored)


def read_config(folder: str | Path, *config_classes: type) -> object:
    """The `config.json` of a folder, as whichever dataclass has exactly its settings.

    Raises WeightsError where it is missing, or is of no such class, or makes no network.
    """
    path = Path(folder) / CONFIG
    if not path.is_file():
        raise WeightsError(f"no {CONFIG} in {folder}: name a folder that a training exported")
    try:
        values = json.loads(path.read_text("utf-8"))
        for config_class in config_classes:
            defaults = asdict(config_class())
            before = set(defaults) - set(getattr(config_class, "later", ()))
            if isinstance(values, dict) and before <= set(values) <= set(defaults):
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
    """Raises ValueError for a setting of another type than its default."""
    if type(value) is not type(default):
        raise ValueError(f"{name} is {value!r}, where {type(default).__name__} is expected")
    if isinstance(value, tuple) and {type(v) for v in value} - {type(v) for v in default}:
        raise ValueError(f"{name} is {value!r}, where numbers like {default!r} are expected")


def check_bounds(config: object) -> None:
    """Raises ValueError for a number among a dataclass's settings that is absurdly large."""
    for name, value in asdict(config).items():
        numbers = value if isinstance(value, tuple) else (value,)
        for number in numbers:
            if not isinstance(number, str) and not abs(number) <= LARGEST:
                raise ValueError(f"{name} is beyond {LARGEST}: no model is so large")


def settings(config: object) -> dict[str, object]:
    """The settings of a dataclass, without those of its `later` ones that are as they were before.

    So networks from before a setting came keep their fingerprint.
    """
    before = asdict(type(config)())
    later = getattr(config, "later", ())
    return {k: v for k, v in asdict(config).items() if k not in later or v != before[k]}


def fingerprint(config: object, module: nn.Module) -> str:
    """SHA-256 of settings and weights in hex: what caches are keyed by."""
    digest = hashlib.sha256(json.dumps(settings(config), sort_keys=True).encode())
    for name, tensor in sorted(module.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().to(torch.float16).contiguous().numpy().tobytes())
    return digest.hexdigest()
