"""One model in all places: its networks and tables as a folder that draws without PyTorch."""

from __future__ import annotations

import gzip
import hashlib
import json
import lzma
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autoencoder import sketches
from conditioning import parts
from conditioning.sources.tables import write_files
from diffusion import inventions, request
from diffusion.export.tables import tables
from diffusion.request import LEAST_SCALE, MOST_GUIDANCE, MOST_SCALE

if TYPE_CHECKING:
    from diffusion.pipeline import GlyphPipeline

FORMAT = 1
MANIFEST = "manifest.json"
ROOT = Path(__file__).parents[2]
COPIED = (  # none of them needs PyTorch, or anything else of this repository
    "diffusion/export/draw.py",
    "diffusion/export/choices.py",
    "diffusion/export/README.md",
    "diffusion/philox.py",
    "conditioning/prompts.py",
    "autoencoder/sketches.py",
)


def export_onnx(
    pipe: GlyphPipeline,
    folder: Path,
    said: Callable[[str, int, float], object] = lambda name, size, difference: None,
) -> dict[str, Any]:
    """Writes all that drawing needs into a folder, whole or not at all, and returns its manifest.

    Args:
        pipe: the model, with a denoiser that predicts the velocity of the process flow.
        folder: made where there is none. ONNX files in it of another export go.
        said: called with each network's name, bytes, and largest difference from PyTorch's output.

    Raises ValueError, in one line, for another denoiser.
    """
    from diffusion.export.networks import parts_of, to_onnx

    config = pipe.denoiser.config
    if (config.process, config.prediction) != ("flow", "velocity"):
        raise ValueError(
            f"a denoiser of the process {config.process} that predicts {config.prediction}: only "
            "the velocity of flow is exported, train_diffusion.py's defaults"
        )
    files = {}
    for name, part in parts_of(pipe).items():
        files[f"{name}.onnx"], difference = to_onnx(part)
        said(name, len(files[f"{name}.onnx"]), difference)
    known = dict(tables(inventions.sketcher()))
    if pipe.prior:
        known["log_frequency"] = pipe.prior.log_frequency.tolist()
    if pipe.recognizer:
        known["characters"] = pipe.recognizer.known.characters
        files["characters.bin"] = pipe.recognizer.known.codes.numpy().tobytes()
    files["tables.json"] = _json(known)
    outlines = lzma.decompress(sketches.TABLE.read_bytes())
    files["outlines.tsv.gz"] = gzip.compress(outlines, mtime=0)
    files["tokenizer.json"] = pipe.text_encoder.tokenizer.to_str().encode()
    files |= {Path(name).name: (ROOT / name).read_bytes() for name in COPIED}
    manifest = {
        "format": FORMAT,
        "model": pipe.denoiser.fingerprint,
        "files": {
            name: {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
            for name, data in sorted(files.items())
        },
        "settings": settings(pipe),
    }
    text = json.dumps(manifest, indent=1, ensure_ascii=False) + "\n"
    write_files(folder, files | {MANIFEST: text.encode()})
    for other in {path.name for path in folder.glob("*.onnx")} - files.keys():
        (folder / other).unlink()
    return manifest


def settings(pipe: GlyphPipeline) -> dict[str, Any]:
    """The numbers of the tables' use, of drawing and of its networks, by name."""
    from diffusion.pipeline import REPAIRS
    from diffusion.prior import BALANCE, SHARPNESS

    config, default = pipe.denoiser.config, request.Request
    found = {
        "image_size": pipe.autoencoder.config.image_size,
        "latent": [config.latent_channels, config.latent_size, config.latent_size],
        "max_tokens": pipe.text_encoder.max_tokens,
        "end": pipe.text_encoder.end,  # the last token of every text
        "longest_prompt": request.LONGEST_PROMPT,
        "steps": request.STEPS,  # from noise
        "repairs": REPAIRS,  # steps at most from parts
        "calls": request.CALLS[0],  # of a student, from noise
        "guidance": request.GUIDANCE,  # from noise; 1 from parts
        "guidances": [LEAST_SCALE, MOST_SCALE] if pipe.student else [-MOST_GUIDANCE, MOST_GUIDANCE],
        "composed": inventions.COMPOSED,
        "sketched": inventions.SKETCHED,
        "choices": inventions.CHOICES,
        "roomy": inventions.ROOMY,
        "redraws": default.redraws,
        "floor": parts.FLOOR,
        "trust": parts.TRUST,
        "usual": parts.USUAL,
        "sketch": {
            name.lower(): getattr(sketches, name)
            for name in (
                "UNITS", "EM", "SMOOTH", "LIGHTER", "DENSEST", "SHARPEST", "WHITE", "GAP",
                "WIDEST", "HALF", "FREE_STANDING", "LEAST", "NARROW", "CHOICE", "MOVE", "HEAVIER",
            )
        },
    }  # fmt: skip
    if pipe.prior:
        found |= {"sharpness": SHARPNESS, "balance": BALANCE}
    if pipe.recognizer:
        found["threshold"] = pipe.recognizer.config.threshold
    return found


def _json(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
