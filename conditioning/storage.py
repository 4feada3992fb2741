"""A text encoder as a folder: `config.json`, `tokenizer.json` and `model.safetensors`.

The weights are float16, carry a digest of all three files, and may have their table of tokens in
eight bits. Folders of other origin have neither, and are read by transformers.
"""

import hashlib
import tempfile
from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from tokenizers import Tokenizer
from torch import Tensor

from conditioning.rounding import from_eight_bits, rounded, to_eight_bits

CONFIG, TOKENIZER, WEIGHTS = "config.json", "tokenizer.json", "model.safetensors"
DIGEST = "sha256"  # of all three, among the metadata of the weights
TABLE, CODES, SCALE = "shared.weight", "shared.codes", "shared.scale"  # whole, or in eight bits


def write_files(folder: str | Path, config: str, tokenizer: str, weights: Mapping[str, Tensor]):
    """Writes the three files, each under a temporary name first.

    The table of tokens is written in eight bits where it was rounded to them. Raises ValueError for
    a weight that is not finite in float16, and writes nothing.
    """
    stored = {name: weight.detach().cpu().half().contiguous() for name, weight in weights.items()}
    for name, weight in stored.items():
        if not weight.isfinite().all():
            raise ValueError(f"{name} is not finite in float16, so it is not saved")
    table = weights[TABLE].detach().cpu()
    if rounded(table).equal(table):  # nothing is lost
        del stored[TABLE]
        stored[CODES], stored[SCALE] = to_eight_bits(table)
    metadata = {"format": "pt", DIGEST: digest_of(config, tokenizer, stored)}
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".part-") as part:
        # save_file would make a file that only its owner may read.
        (Path(part) / WEIGHTS).write_bytes(save(stored, metadata))
        (Path(part) / CONFIG).write_text(config, encoding="utf-8", newline="\n")
        (Path(part) / TOKENIZER).write_text(tokenizer, encoding="utf-8", newline="\n")
        for name in (CONFIG, TOKENIZER, WEIGHTS):
            (Path(part) / name).replace(folder / name)


def digest_of(config: str, tokenizer: str, weights: Mapping[str, Tensor]) -> str:
    """sha256, in hex, of the three files of an encoder."""
    digest = hashlib.sha256(f"{len(config)} {config}{tokenizer}".encode())
    for name, weight in sorted(weights.items()):
        digest.update(f"{name} {weight.dtype} {tuple(weight.shape)}".encode())
        digest.update(weight.numpy().tobytes())
    return digest.hexdigest()


def eight_bit_weights(source: str | Path) -> dict[str, Tensor]:
    """The weights of a folder whose table of tokens is in eight bits, as float32; else none."""
    path = Path(source) / WEIGHTS
    if not path.is_file():
        return {}
    with safe_open(path, "pt") as file:
        if CODES not in file.keys():  # noqa: SIM118, as it is no mapping
            return {}
    weights = {name: weight.float() for name, weight in load_file(path).items()}
    weights[TABLE] = from_eight_bits(weights.pop(CODES), weights.pop(SCALE))
    return weights


def check_digest(folder: Path) -> None:
    """Raises OSError where the files are not as `save_pretrained` wrote them.

    A model from elsewhere does not say how it was written, and is taken as it is.
    """
    path = folder / "model.safetensors"
    if not path.is_file():
        return
    try:
        with safe_open(path, "pt") as file:
            written = (file.metadata() or {}).get(DIGEST)
        if not written:
            return
        files = [(folder / name).read_text(encoding="utf-8") for name in (CONFIG, TOKENIZER)]
        intact = written == digest_of(*files, load_file(path))
    except (OSError, UnicodeDecodeError, SafetensorError) as error:
        raise OSError(f"cannot load the text encoder in {folder}: {first_line(error)}") from error
    if not intact:
        raise OSError(
            f"cannot load the text encoder in {folder}: its files are not as they were exported; "
            "copy or export all of them again"
        )


def load_tokenizer(source: str | Path) -> Tokenizer:
    """The fast tokenizer of a folder or a hub model; raises OSError where there is none."""
    if isinstance(source, Path) and (source / "tokenizer.json").is_file():
        try:
            return Tokenizer.from_file(str(source / "tokenizer.json"))
        except Exception as error:  # the library raises no narrower class
            raise OSError(f"tokenizer.json cannot be read: {first_line(error)}") from error
    from transformers import AutoTokenizer  # slow to import, and only foreign models need it

    try:
        return AutoTokenizer.from_pretrained(source).backend_tokenizer
    except (ValueError, AttributeError, ImportError) as error:
        raise OSError(f"no usable tokenizer: {first_line(error)}") from error


def first_line(error: Exception) -> str:
    return str(error).strip().split("\n", 1)[0].strip()
