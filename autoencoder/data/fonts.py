"""Fonts, and characters drawn by one.

A glyph is placed by its em box, the square that a font's Chinese characters are designed in, and
not by its ink: the dot of 丶 has its place in the square.
"""

from __future__ import annotations

import hashlib
import importlib.util
import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from autoencoder.data.glyphs import GlyphError, GlyphRecord, write_folder

SIZE = 128  # pixels
EM = 122 / 128  # the em box as a part of the image: some strokes reach a little out of the box
REGULAR = 400  # the OpenType weight called Regular


def default_font() -> Path:
    """Noto Sans SC Regular of the package pylopdf-fonts-zh-cn. Raises GlyphError without it."""
    if importlib.util.find_spec("pylopdf_fonts_zh_cn") is None:
        raise GlyphError(
            "no font: pip install pylopdf-fonts-zh-cn for Noto Sans SC, or name a font of your own"
        )
    import pylopdf_fonts_zh_cn

    return pylopdf_fonts_zh_cn.sans_path()


@dataclass(frozen=True)
class Font:
    """A font face at one size, and where its em box lies."""

    face: ImageFont.FreeTypeFont
    name: str
    characters: frozenset[int]  # code points
    ascent: float  # height of the em box above the baseline, as a part of the em: 0.88 in Noto


def load_font(path: str | Path, index: int = 0, size: float = SIZE * EM) -> Font:
    """The face `index` of a font file with an em of `size` pixels, at weight 400 if it varies.

    Raises GlyphError for a file that is missing or no font, and an index that it does not have.
    """
    from fontTools.ttLib import TTFont  # preparing data needs it, training does not

    path = Path(path)
    if not path.is_file():
        raise GlyphError(f"there is no font at {path}")
    faces = _face_count(path)
    if not 0 <= index < faces:
        allowed = f"0 to {faces - 1}" if faces > 1 else "0 alone, as it is no collection"
        raise GlyphError(f"{path} has no font of index {index}: choose {allowed}")
    try:
        with TTFont(path, fontNumber=index, lazy=True) as tables:
            characters = frozenset(tables.getBestCmap() or ())
            ascent = _em_ascent(tables)
            axes = {
                axis.axisTag: min(max(REGULAR, axis.minValue), axis.maxValue)
                if axis.axisTag == "wght"
                else axis.defaultValue
                for axis in (tables["fvar"].axes if "fvar" in tables else ())
            }
        # The basic layout: one character needs no shaping, and Raqm is not installed everywhere.
        face = ImageFont.truetype(path, size, index, layout_engine=ImageFont.Layout.BASIC)
    except Exception as error:  # a damaged file can make fontTools fail in any way
        raise GlyphError(f"{path} is not a font that can be read: {error!r}") from None
    if axes:
        # Left alone, a variable font draws its default instance, in Noto Sans SC the Thin one.
        face.set_variation_by_axes(list(axes.values()))
    family, style = face.getname()
    name = f"{family} at weight {axes['wght']:g}" if "wght" in axes else f"{family} {style}"
    return Font(face, name, characters, ascent)


def _face_count(path: Path) -> int:
    """The number of faces in a font file: 1 unless it is a collection."""
    with path.open("rb") as file:
        header = file.read(12)
    if header[:4] == b"ttcf" and len(header) == 12:
        return struct.unpack(">I", header[8:])[0]
    return 1


def _em_ascent(tables) -> float:
    """The height of the em box above the baseline, as a part of the em.

    It is the typographic ascender, or else from the ideographic baseline in the table BASE, or else
    0.88, as in nearly all Chinese fonts.
    """
    em = tables["head"].unitsPerEm
    if "OS/2" in tables:
        os2 = tables["OS/2"]
        if os2.sTypoAscender - os2.sTypoDescender == em:
            return os2.sTypoAscender / em
    axis = tables["BASE"].table.HorizAxis if "BASE" in tables else None
    if axis is not None and axis.BaseTagList and "ideo" in axis.BaseTagList.BaselineTag:
        place = axis.BaseTagList.BaselineTag.index("ideo")
        for script in axis.BaseScriptList.BaseScriptRecord:
            if values := script.BaseScript.BaseValues:
                return 1 + values.BaseCoord[place].Coordinate / em
    return 0.88


def draw_glyph(character: str, font: Font, size: int = SIZE) -> np.ndarray:
    """A character with its em box in the middle: uint8 (size, size), 255 = ink."""
    em = font.face.size
    image = Image.new("L", (size, size))
    x = (size - font.face.getlength(character)) / 2
    baseline = (size - em) / 2 + font.ascent * em
    ImageDraw.Draw(image).text((x, baseline), character, fill=255, font=font.face, anchor="ls")
    return np.asarray(image)


class GlyphCounts(NamedTuple):
    """What `write_glyphs` made of the characters given to it."""

    glyphs: int
    missing: int  # characters that the font lacks, or leaves blank
    clipped: int  # glyphs with ink in the outermost row or column of pixels
    train: int
    test: int
    radicals: int  # different radicals among the glyphs


def write_glyphs(
    folder: str | Path,
    records: Iterable[GlyphRecord],
    font_path: str | Path,
    index: int = 0,
    size: int = SIZE,
    advance: Callable[[], object] = lambda: None,
) -> GlyphCounts:
    """Draws every record that the font has into a folder that `GlyphDataset` reads.

    `advance` is called once a record. Raises GlyphError for a font without Chinese.
    """
    if not 16 <= size <= 1024:
        raise GlyphError(f"glyphs cannot be {size} pixels wide: choose a size from 16 to 1024")
    records = list(records)
    font = load_font(font_path, index, size * EM)
    if not any(ord(record.character) in font.characters for record in records):
        raise GlyphError(f"{font_path} ({font.name}) has no Chinese: name a Chinese font")
    images, kept = [], []
    for record in records:
        if ord(record.character) in font.characters:
            image = draw_glyph(record.character, font, size)
            if image.any():
                images.append(image)
                kept.append(record)
        advance()
    images = np.array(images, np.uint8).reshape(-1, size, size)
    edges = images[:, [0, -1]].any((1, 2)) | images[:, :, [0, -1]].any((1, 2))
    train = sum(record.split == "train" for record in kept)
    counts = GlyphCounts(
        glyphs=len(kept),
        missing=len(records) - len(kept),
        clipped=int(edges.sum()),
        train=train,
        test=len(kept) - train,
        radicals=len({record.radical for record in kept}),
    )
    sha256 = hashlib.sha256(Path(font_path).read_bytes()).hexdigest()
    font_name = {"name": font.name, "index": index, "sha256": sha256}
    about = {"font": font_name, "size": size, "em": EM, "counts": counts._asdict()}
    write_folder(folder, images, kept, about)
    return counts
