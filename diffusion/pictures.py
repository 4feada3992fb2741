"""Glyphs on sheets, and the files that they are written to. Needs no torch."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from math import ceil
from pathlib import Path

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from autoencoder.files import atomic

MARGIN = 8  # pixels around a glyph on a sheet
GAP = 24  # pixels between the rows of one prompt and the next
PAPER = 255
ANIMATED = (".gif", ".webp", ".mp4")


def columns(count: int, blocks: int = 1) -> int:
    """Columns of a sheet of `blocks` prompts with `count` glyphs each, at least 1 of both.

    The fewest that make it no taller than wide, and never more than `count`.
    """
    return next(
        width
        for width in range(1, count + 1)
        if width == count or width >= blocks * ceil(count / width)
    )


def sheet(images: Sequence[Image.Image], blocks: int = 1) -> Image.Image:
    """Glyphs of one size, mode "L", on one white sheet, in reading order.

    Args:
        images: `blocks` times the same number of glyphs, prompt after prompt.
        blocks: prompts; each starts a row of its own, below a gap.

    Raises ValueError for glyphs that do not divide into the blocks.
    """
    count, rest = divmod(len(images), blocks)
    if rest or not count:
        raise ValueError(f"{len(images)} glyphs do not make {blocks} blocks of the same size")
    across = columns(count, blocks)
    down = ceil(count / across)
    width, height = images[0].size
    width, height = width + MARGIN, height + MARGIN  # of a cell
    block_height = down * height + GAP
    paper = Image.new("L", (MARGIN + across * width, MARGIN + blocks * block_height - GAP), PAPER)
    for i, image in enumerate(images):
        block, place = divmod(i, count)
        row, column = divmod(place, across)
        x = MARGIN + column * width
        y = MARGIN + block * block_height + row * height
        paper.paste(image, (x, y))
    return paper


def file_stem(text: str, longest: int = 60) -> str:
    """A file name, without suffix, that any system takes: "Sea monster!" becomes "sea-monster".

    Letters and digits of every script stay; a name longer than `longest` characters is cut at a
    word where it has one. A text without letters and digits gives "glyphs".
    """
    name = re.sub(r"[\W_]+", "-", text.lower()).strip("-")
    if len(name) > longest:
        head, _, cut = name[: longest + 1].rpartition("-")
        name = head if len(cut) <= longest // 2 else name[:longest]
    return name or "glyphs"


def check_ending(path: Path, endings: Sequence[str]) -> None:
    """Raises ValueError for a file name that ends in none of them."""
    if path.suffix.lower() not in endings:
        raise ValueError(f"cannot write {path}: end the name in {', '.join(endings)}")


def write_frames(
    frames: Sequence[Image.Image], path: str | Path, rate: float = 20, lossless: bool = True
) -> None:
    """Writes an endless animation, whole or not at all.

    Args:
        frames: of one size and mode "L".
        path: ends in one of `ANIMATED`; an .mp4 is encoded by ffmpeg.
        rate: frames a second.
        lossless: of a .webp; noise takes ten times the room so.

    Raises ValueError for another ending, and where ffmpeg is needed and missing.
    """
    kind = Path(path).suffix.lower()
    check_ending(Path(path), ANIMATED)
    options = {"duration": round(1000 / rate), "loop": 0}
    if kind == ".webp":
        options |= {"lossless": lossless, "quality": 80}
    with atomic(path) as part:
        if kind == ".mp4":
            _encode(frames, part, rate)
        else:
            frames[0].save(part, save_all=True, append_images=frames[1:], **options)


def _encode(frames: Sequence[Image.Image], path: Path, rate: float) -> None:
    """H.264 of grey frames, by ffmpeg; a side of an odd number of pixels gets one more."""
    ffmpeg = shutil.which("ffmpeg")
    if ffmpeg is None:
        raise ValueError("an .mp4 needs ffmpeg, which is not installed: name a .webp or a .gif")
    width, height = frames[0].size
    command = [ffmpeg, "-v", "error", "-y", "-f", "rawvideo", "-pix_fmt", "gray"]
    command += ["-s", f"{width}x{height}", "-r", str(rate), "-i", "-", "-pix_fmt", "yuv420p"]
    command += ["-vf", "pad=ceil(iw/2)*2:ceil(ih/2)*2:color=white", str(path)]
    pixels = b"".join(frame.convert("L").tobytes() for frame in frames)
    done = subprocess.run(command, input=pixels, capture_output=True, check=False)
    if done.returncode:
        raise ValueError(f"ffmpeg cannot encode this: {done.stderr.decode().strip()}")


def write_png(image: Image.Image, path: str | Path, about: Mapping[str, object]) -> None:
    """Writes a PNG, whole or not at all, with `about` in its text chunks.

    Raises OSError where it cannot be written, and ValueError for text that is not Unicode.
    """
    text = PngInfo()
    for key, value in about.items():
        text.add_text(key, str(value))  # as UTF-8 where Latin-1 does not do
    with atomic(path) as part:
        image.save(part, format="PNG", pnginfo=text)
