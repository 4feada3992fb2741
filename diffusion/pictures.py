"""Pictures: glyphs put on a sheet, named, and written with what made them. Needs no torch."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from math import ceil
from pathlib import Path

from PIL import Image
from PIL.PngImagePlugin import PngInfo

MARGIN = 8  # pixels around a glyph on a sheet
GAP = 24  # pixels between the rows of one prompt and the next
PAPER = 255


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


def write_png(image: Image.Image, path: str | Path, about: Mapping[str, object]) -> None:
    """Writes a PNG under a temporary name and renames it, so that it is whole or absent.

    Args:
        image: any that PNG can hold.
        path: its folder exists.
        about: what goes into the file's text chunks, in any script.

    Raises OSError where it cannot be written, and ValueError for text that is not Unicode.
    """
    path = Path(path)
    text = PngInfo()
    for key, value in about.items():
        text.add_text(key, str(value))  # turns into UTF-8 by itself where Latin-1 does not do
    part = path.with_name(f".{os.getpid()}.part")
    try:
        image.save(part, format="PNG", pnginfo=text)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
