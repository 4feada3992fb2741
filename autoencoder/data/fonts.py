"""Fonts, and characters drawn by one.

A glyph is placed by its em box, the square that a font's Chinese characters are designed in, and
not by its own ink: the dot of 丶 has its place in the square. Where the ink of the font as a whole
lies beside the square that its tables state, the square is moved there.
"""

from __future__ import annotations

import hashlib
import importlib.util
import io
import logging
import struct
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from autoencoder.data.glyphs import GlyphError, GlyphRecord, write_folder
from autoencoder.sketches import EM

SIZE = 128  # pixels
REGULAR = 400  # the OpenType weight called Regular
HAN = range(0x4E00, 0xA000)  # code points of CJK Unified Ideographs
ASTRAY = 0.03  # of the em: ink whose centre is farther from that of the em box is moved there
MEASURED = 200  # characters whose ink says where the centre is; a quarter of it is the least


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
    """A font face at one size, and where its em box lies.

    `ascent` is that of the box above the baseline, 0.88 in Noto, and `shift`, right and down, moves
    the ink into the box; both are parts of the em.
    """

    face: ImageFont.FreeTypeFont
    name: str
    characters: frozenset[int]  # code points
    ascent: float
    shift: tuple[float, float]


def load_font(path: str | Path, index: int = 0, size: float = SIZE * EM) -> Font:
    """The face `index` of a font file with an em of `size` pixels, at weight 400 if it varies.

    Raises GlyphError for a file that is missing, no font or one without outlines, and an index that
    it does not have.
    """
    from fontTools.ttLib import TTFont  # preparing data needs it, training does not

    logging.getLogger("fontTools").setLevel(logging.CRITICAL)  # no dates of 1904 on the terminal
    path = Path(path)
    if not path.is_file():
        raise GlyphError(f"there is no font at {path}")
    faces = _face_count(path)
    if not 0 <= index < faces:
        allowed = f"0 to {faces - 1}" if faces > 1 else "0 alone, as it is no collection"
        raise GlyphError(f"{path} has no font of index {index}: choose {allowed}")
    try:
        with TTFont(path, fontNumber=index, lazy=True) as tables:
            tags = set(tables.keys())
            colour = bool(tags & {"sbix", "CBDT", "COLR", "SVG "})
            no_outlines = GlyphError(
                f"{path} is a {'colour' if colour else 'bitmap'} font without outlines of Chinese: "
                "name one that has them"
            )
            if (colour or tags & {"EBDT", "bdat"}) and not tags & {"glyf", "CFF ", "CFF2"}:
                raise no_outlines
            characters, converted = _character_map(tables)
            ascent = _em_ascent(tables)
            axes = {
                axis.axisTag: min(max(REGULAR, axis.minValue), axis.maxValue)
                if axis.axisTag == "wght"
                else axis.defaultValue
                for axis in (tables["fvar"].axes if "fvar" in tables else ())
            }

        def face_of(size: float) -> ImageFont.FreeTypeFont:
            source, number = (io.BytesIO(converted), 0) if converted else (path, index)
            # The basic layout: one character needs no shaping, and not every Pillow has Raqm.
            face = ImageFont.truetype(source, size, number, layout_engine=ImageFont.Layout.BASIC)
            if axes:
                # Left alone, a variable font draws its default instance, in Noto Sans SC the Thin.
                face.set_variation_by_axes(list(axes.values()))
            return face

        face = face_of(size)
        centres = _ink_centres(face_of(2 * SIZE), characters)  # one for all sizes of images
    except GlyphError:
        raise
    except ImportError:
        raise GlyphError(f"{path} is a WOFF2 font: pip install brotli to read it") from None
    except Exception as error:  # a damaged file can make fontTools fail in any way
        with path.open("rb") as file:
            bitmap = file.read(9).startswith((b"STARTFONT", b"\x01fcp"))  # BDF and PCF
        reason = "a bitmap font has no outlines" if bitmap else repr(error)
        raise GlyphError(f"{path} is not a font that can be read: {reason}") from None
    if colour and not len(centres):
        raise no_outlines
    shift = 0.0, 0.0
    if len(centres) >= MEASURED / 4:
        x, y = np.median(centres, 0).tolist()
        if max(abs(x), abs(y + ascent - 0.5)) > ASTRAY:
            shift = 0 - x, 0.5 - ascent - y
    family, style = face.getname()
    name = f"{family} at weight {axes['wght']:g}" if "wght" in axes else f"{family} {style}"
    return Font(face, name, characters, ascent, shift)


def _face_count(path: Path) -> int:
    """The number of faces in a font file: 1 unless it is a collection."""
    with path.open("rb") as file:
        header = file.read(12)
    if header[:4] == b"ttcf" and len(header) == 12:
        return struct.unpack(">I", header[8:])[0]
    return 1


def _character_map(tables) -> tuple[frozenset[int], bytes]:
    """The code points of a font, and the font itself with a map of them where it has an old one.

    Fonts of before Unicode are mapped by Big5, GB 2312, Shift JIS and the like.
    """
    from fontTools.fontBuilder import buildCmapSubTable

    characters, old = frozenset(tables.getBestCmap() or ()), {}
    if not characters.isdisjoint(HAN):
        return characters, b""
    for table in tables["cmap"].tables:
        codec = table.getEncoding("ascii").replace("gb2312", "gbk")
        for code, name in () if table.isUnicode() else table.cmap.items():
            text = code.to_bytes(1 + (code > 0xFF)).decode(codec, "ignore")
            if len(text) == 1:
                old.setdefault(ord(text), name)
    if frozenset(old).isdisjoint(HAN):
        return characters, b""
    tables["cmap"].tables = [buildCmapSubTable(old, 4, 3, 1)]
    tables.flavor = None
    tables.save(file := io.BytesIO())
    return frozenset(old), file.getvalue()


def _ink_centres(face: ImageFont.FreeTypeFont, characters: Iterable[int]) -> np.ndarray:
    """The centres of the ink of characters evenly spread over a font's Chinese, `(N, 2)`.

    Right of the middle of the advance, and down from the baseline, in parts of the em.
    """
    han = sorted(code for code in characters if code in HAN)
    centres = []
    for character in map(chr, han[:: -(-len(han) // MEASURED) or 1]):
        ink, (x, y) = face.getmask2(character, "L", anchor="ls")
        if box := ink.getbbox():  # None for a blank
            left, top, right, bottom = box
            x += (left + right - face.getlength(character)) / 2
            centres.append((x, y + (top + bottom) / 2))
    return np.array(centres).reshape(-1, 2) / face.size


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
    right, down = font.shift
    x = (size - font.face.getlength(character)) / 2 + right * em
    baseline = (size - em) / 2 + (font.ascent + down) * em
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

    `advance` is called once a record. Warns of a font with more than 1 % of its glyphs clipped.
    Raises GlyphError for a font without Chinese, or with blanks in its place.
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
    if not kept:
        raise GlyphError(f"{font_path} ({font.name}) has blanks for Chinese: name another font")
    images = np.array(images, np.uint8)
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
    if counts.clipped > 0.01 * len(kept):
        warnings.warn(
            f"{counts.clipped / len(kept):.1%} of the glyphs touch the border and may be cut off: "
            f"the ink of {font.name} is larger than its em",
            stacklevel=2,
        )
    sha256 = hashlib.sha256(Path(font_path).read_bytes()).hexdigest()
    font_name = {"name": font.name, "index": index, "sha256": sha256}
    if any(font.shift):
        font_name["shift"] = font.shift
    about = {"font": font_name, "size": size, "em": EM, "counts": counts._asdict()}
    write_folder(folder, images, kept, about)
    return counts
