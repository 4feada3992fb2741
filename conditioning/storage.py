"""A text encoder as a folder: `config.json`, `tokenizer.json` and `model.safetensors`.

The weights are float16 and carry a digest of all three files. The table of tokens, half of a small
T5, may be in eight bits: each row as whole numbers from -127 to 127, times a scale.
"""

import hashlib
import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save
from tokenizers import Tokenizer
from torch import Tensor

CONFIG, TOKENIZER, WEIGHTS = "config.json", "tokenizer.json", "model.safetensors"
DIGEST = "sha256"  # of all three, among the metadata of the weights
TABLE, CODES, SCALE = "shared.weight", "shared.codes", "shared.scale"  # whole, or in eight bits
SMALLEST = 2.0**-14  # below it float16 loses digits


def save_encoder(
    folder: str | Path, config: str, tokenizer: str, weights: Mapping[str, Tensor]
) -> None:
    """Write the three files, the table in eight bits where it was rounded to them.

    Raises:
        ValueError: a weight is not finite in float16; nothing is written.
    """
    stored = {name: weight.detach().cpu().half().contiguous() for name, weight in weights.items()}
    for name, weight in stored.items():
        if not weight.isfinite().all():
            raise ValueError(f"{name} is not finite in float16, so it is not saved")
    table = weights[TABLE].detach().cpu()
    if rounded(table).equal(table):  # nothing is lost
        del stored[TABLE]
        stored[CODES], stored[SCALE] = to_eight_bits(table)
    metadata = {"format": "pt", DIGEST: _digest(config, tokenizer, stored)}
    files = {CONFIG: config.encode(), TOKENIZER: tokenizer.encode()}
    write_files(folder, files | {WEIGHTS: save(stored, metadata)})


def load_encoder(folder: Path) -> tuple[dict[str, Any], Tokenizer, dict[str, Tensor]]:
    """Settings, tokenizer and weights of a folder, as written here or by transformers.

    Raises:
        OSError: the files are not those that were written together.
        Exception: as the libraries raise it, where a file is damaged.
    """
    config, tokenizer = ((folder / name).read_text("utf-8") for name in (CONFIG, TOKENIZER))
    with safe_open(folder / WEIGHTS, "pt") as file:
        written = (file.metadata() or {}).get(DIGEST)  # models from elsewhere have none
        weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    if written and written != _digest(config, tokenizer, weights):
        raise OSError("its files are not as they were exported; copy or export all of them again")
    if CODES in weights:
        weights[TABLE] = from_eight_bits(weights.pop(CODES), weights.pop(SCALE))
    return json.loads(config), Tokenizer.from_str(tokenizer), weights


def write_files(folder: str | Path, files: Mapping[str, bytes]) -> None:
    """Write files into a folder, whole or not at all: under temporary names first."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".part-") as part:
        for name, data in files.items():
            (Path(part) / name).write_bytes(data)
        for name in files:
            (Path(part) / name).replace(folder / name)


def _digest(config: str, tokenizer: str, weights: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256(f"{len(config)} {config}{tokenizer}".encode())
    for name, weight in sorted(weights.items()):
        digest.update(f"{name} {weight.dtype} {tuple(weight.shape)}".encode())
        digest.update(weight.numpy())
    return digest.hexdigest()


# ---- eight bits ----------------------------------------------------------------------------------


def to_eight_bits(table: Tensor) -> tuple[Tensor, Tensor]:
    """Codes `(N, D)` int8 and scales `(N, 1)` float16 of a table `(N, D)`.

    The largest number of each row has the code 127 or -127, unless all of it is below 0.008. What
    `from_eight_bits` makes of them has the same codes and scales again.
    """
    scale = (table.float().abs().amax(dim=1, keepdim=True) / 127).half().clamp_min(SMALLEST)
    codes = (table.float() / scale.float()).round().clamp(-127, 127)
    return codes.to(torch.int8), scale


def from_eight_bits(codes: Tensor, scale: Tensor) -> Tensor:
    """The table, `(N, D)` float32."""
    return codes * scale.float()


def rounded(table: Tensor) -> Tensor:
    """The table, `(N, D)` float32, as it comes back from eight bits."""
    return from_eight_bits(*to_eight_bits(table))
