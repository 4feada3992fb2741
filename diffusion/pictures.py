"""Glyphs on sheets, and the files that they are written to. Needs no torch."""

from __future__ import annotations

import re
import shutil
import subprocess
import unicodedata
import warnings
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.util import find_spec
from math import ceil
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont
from PIL.PngImagePlugin import PngInfo

from autoencoder.files import atomic

MARGIN = 8  # pixels around a glyph on a sheet
GAP = 24  # pixels between the rows of one prompt and the next
PAPER = 255
LABEL = 14  # pixels, the height of a line of text
# Of Linux, Windows and macOS, where they lie wherever such a system has its fonts.
LABEL_FONTS = (
    "NotoSansCJK-Regular.ttc", "DejaVuSans.ttf", "NotoSans-Regular.ttf", "wqy-zenhei.ttc",
    "wqy-microhei.ttc", "msyh.ttc", "simsun.ttc", "arial.ttf", "PingFang.ttc",
    "Hiragino Sans GB.ttc", "Arial Unicode.ttf",
)  # fmt: skip
RESERVED = re.compile("con|prn|aux|nul|(com|lpt)[0-9¹²³]")  # names of devices on Windows
ANIMATED = (".webp", ".gif", ".mp4")


def columns(count: int, blocks: int = 1) -> int:
    """Columns of a sheet of `blocks` prompts with `count` glyphs each, at least 1 of both.

    The fewest that make it no taller than wide, and never more than `count`.
    """
    return next(
        width
        for width in range(1, count + 1)
        if width == count or width >= blocks * ceil(count / width)
    )


def layout(
    glyphs: int, blocks: int, size: tuple[int, int]
) -> tuple[tuple[int, int], list[tuple[int, int]]]:
    """Width and height of a sheet, and the upper left corners of its glyphs, as in `sheet`.

    Raises ValueError for glyphs that do not divide into the blocks.
    """
    count, rest = divmod(glyphs, blocks)
    if rest or not count:
        raise ValueError(f"{glyphs} glyphs do not make {blocks} blocks of the same size")
    across = columns(count, blocks)
    down = ceil(count / across)
    width, height = size[0] + MARGIN, size[1] + MARGIN  # of a cell
    block_height = down * height + GAP
    corners = []
    for i in range(glyphs):
        block, place = divmod(i, count)
        row, column = divmod(place, across)
        corners.append((MARGIN + column * width, MARGIN + block * block_height + row * height))
    return (MARGIN + across * width, MARGIN + blocks * block_height - GAP), corners


def sheet(images: Sequence[Image.Image], blocks: int = 1) -> Image.Image:
    """Glyphs of one size, mode "L", on one white sheet, in reading order.

    Args:
        images: `blocks` times the same number of glyphs, prompt after prompt.
        blocks: prompts; each starts a row of its own, below a gap.

    Raises ValueError for glyphs that do not divide into the blocks.
    """
    size, corners = layout(len(images), blocks, images[0].size if images else (0, 0))
    paper = Image.new("L", size, PAPER)
    for image, corner in zip(images, corners, strict=True):
        paper.paste(image, corner)
    return paper


def labelled(rows: Sequence[Sequence[Image.Image]], labels: Sequence[Sequence[str]]) -> Image.Image:
    """Rows of glyphs on one white sheet, each glyph above a small line of its own.

    Args:
        rows: of glyphs of one size, mode "L".
        labels: as many, the text below each; a row of empty ones takes no room.

    Warns of letters that no font here has.
    """
    width, height = (side + MARGIN for side in rows[0][0].size)
    heights = [height + (LABEL + MARGIN if any(line) else 0) for line in labels]
    across = max(map(len, rows))
    paper = Image.new("L", (MARGIN + across * width, MARGIN + sum(heights)), PAPER)
    pen = ImageDraw.Draw(paper)
    ascent, _ = label_fonts()[0].getmetrics()
    y, missing = MARGIN, ""
    for row, line, tall in zip(rows, labels, heights, strict=True):
        for i, (image, text) in enumerate(zip(row, line, strict=True)):
            x = MARGIN + i * width
            paper.paste(image, (x, y))
            font, lacking = label_font(text)
            missing += lacking
            place = x + image.width / 2, y + image.height + MARGIN / 2 + ascent
            pen.text(place, fitting(text, font, image.width), fill=0, font=font, anchor="ms")
        y += tall
    if missing:
        letters = "".join(dict.fromkeys(missing))
        warnings.warn(f"no font here has {letters}: labels show boxes in their place", stacklevel=2)
    return paper


def fitting(text: str, font: ImageFont.FreeTypeFont, width: int) -> str:
    """As much of the text as is no wider than `width` pixels."""
    while text and font.getlength(text) > width:
        text = text[:-1]
    return text


def label_font(text: str) -> tuple[ImageFont.FreeTypeFont, str]:
    """The first font that has all letters of a text, or else most of them, and those it lacks."""
    found = []
    for font in label_fonts():
        blank = bytes(font.getmask("\U0010ffff"))  # drawn in place of what a font lacks
        lacking = "".join(c for c in text if not c.isspace() and bytes(font.getmask(c)) == blank)
        if not lacking:
            return font, ""
        found.append((font, lacking))
    return min(found, key=lambda pair: len(pair[1]))


@cache
def label_fonts() -> list[ImageFont.FreeTypeFont]:
    """Pillow's own font, Noto Sans SC where it is installed, and those of the system."""
    fonts = [ImageFont.load_default(LABEL)]
    if find_spec("pylopdf_fonts_zh_cn"):
        from pylopdf_fonts_zh_cn import sans_path

        fonts.append(ImageFont.truetype(sans_path(), LABEL))
    for name in LABEL_FONTS:
        try:
            fonts.append(ImageFont.truetype(name, LABEL))
        except OSError:
            continue
    return fonts


def file_stem(text: str, longest: int = 60) -> str:
    """A file name, without suffix, that any system takes: "Sea monster!" becomes "sea-monster".

    Letters and digits of every script stay; a name longer than `longest` characters, or 180 bytes,
    is cut, at a word where it has one. A text without letters and digits gives "glyphs".
    """
    name = re.sub(r"[\W_]+", "-", unicodedata.normalize("NFC", text).lower()).strip("-")
    if len(name) > longest:
        head, _, cut = name[: longest + 1].rpartition("-")
        name = head if len(cut) <= longest // 2 else name[:longest]
    name = name.encode()[:180].decode(errors="ignore")
    return f"{name}-glyphs" if RESERVED.fullmatch(name) else name or "glyphs"


def check_ending(path: Path, endings: Sequence[str]) -> None:
    """Raises ValueError for a file name that ends in none of them, or needs a missing ffmpeg."""
    kind = path.suffix.lower()
    if kind not in endings:
        raise ValueError(f"cannot write {path}: end the name in {', '.join(endings)}")
    if kind == ".mp4" and not shutil.which("ffmpeg"):
        raise ValueError("an .mp4 needs ffmpeg, which is not installed: name a .webp or a .gif")


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
    width, height = frames[0].size
    command = [shutil.which("ffmpeg"), "-v", "error", "-y", "-f", "rawvideo", "-pix_fmt", "gray"]
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
