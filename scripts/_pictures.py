"""What the verbs that show what is inside share: where a picture goes, and what it says."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from _cli import SEED, check_device, output_file

from diffusion.pictures import file_stem, write_frames, write_png
from diffusion.request import BUNDLED, check_model

if TYPE_CHECKING:
    from PIL import Image

    from diffusion.pipeline import GlyphPipeline

Asked = Annotated[str, typer.Argument(help="What to draw.")]
OUT = ("--out", "-o")
PictureOut = Annotated[
    str | None, typer.Option(*OUT, help="A .png.", show_default="named after what is asked")
]
NoiseSeed = Annotated[
    int, typer.Option(*SEED, help="Seed of the noise that all glyphs share, or random.")
]


def picture_path(
    out: str | None,
    name: str,
    overwrite: bool,
    model: Path = BUNDLED,
    device: str = "auto",
    endings: Sequence[str] = (".png",),
    beside: str = "",
) -> Path:
    """Where to write, by `output_file`: a name made of what is asked gets the first of the endings.

    Raises ValueError or OSError, before anything heavy, for what no picture comes from.
    """
    check_device(device)
    check_model(model)
    return output_file(out, file_stem(name) + endings[0], endings, overwrite, beside)


def save_picture(image: Image.Image, target: Path, pipe: GlyphPipeline | None) -> None:
    """Writes a picture with the command that drew it, and the model if one did, and says so."""
    command = shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])
    command = command.encode("utf-8", "backslashreplace").decode()  # any file name can be said
    model = {"model": pipe.denoiser.fingerprint[:12]} if pipe else {}
    write_png(image, target, {"command": command, "Software": "Tianshu"} | model)
    print(f"wrote {target}: {image.width}×{image.height}")


def save_animation(
    frames: list[Image.Image], target: Path, rate: float, lossless: bool = True
) -> None:
    """Writes an animation and says so."""
    write_frames(frames, target, rate, lossless)
    print(f"wrote {target}: {len(frames)} frames of {frames[0].width}×{frames[0].height}")
