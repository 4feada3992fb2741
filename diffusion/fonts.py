"""Fonts that read English: type a word, and its character stands in its place. Needs no torch.

Each word is a ligature of its letters, but only where no letter stands beside it: rules mark the
first and the last letter of whatever is typed, a word is spelt with these, and what is no word of
the list becomes plain letters again.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from io import BytesIO
from itertools import chain, count
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import TYPE_CHECKING

import numpy as np
from fontTools.agl import UV2AGL
from fontTools.fontBuilder import FontBuilder
from fontTools.misc.timeTools import timestampFromString
from fontTools.pens.cu2quPen import Cu2QuPen
from fontTools.pens.pointPen import SegmentToPointPen
from fontTools.pens.recordingPen import DecomposingRecordingPen, RecordingPen
from fontTools.pens.reverseContourPen import ReverseContourPen
from fontTools.pens.t2CharStringPen import T2CharStringPen
from fontTools.pens.transformPen import TransformPen
from fontTools.pens.ttGlyphPen import TTGlyphPen
from fontTools.ttLib import TTFont, TTLibError, newTable
from fontTools.ttLib.tables.ttProgram import Program

from autoencoder.files import atomic
from conditioning.prompts import shortened
from diffusion.outlines import UNITS

if TYPE_CHECKING:
    from fontTools.pens.basePen import AbstractPen

    from diffusion.outlines import Outline

    Shape = Callable[[AbstractPen], object]  # draws a glyph, filled at the left of its contours

ENDINGS = (".ttf", ".otf", ".woff2", ".ufo")
ASCENT = 880  # of the em box above the baseline, as in Noto
ERROR = 0.5  # units that a quadratic curve may lie beside a cubic one
PRIVATE = (range(0xE000, 0xF900), range(0xF0000, 0xFFFFE))  # the BMP's private use area, plane 15
MOST_GLYPHS = 64_000  # of 65,535, with room for letters
MOST_SETS = 20  # ss01 to ss20
LONGEST_NAME, LONGEST_FAMILY = 50, 31  # characters
LATIN = "".join(
    map(chr, chain(range(0x20, 0x7F), range(0xA0, 0xAD), range(0xAE, 0x180), range(0x2010, 0x2027)))
)
LATIN += "‰′″‹›⁄₹€™−"
APOSTROPHES = "'’"
RESERVED = ("Noto", "Source")  # family names that are not for derived fonts
MADE = timestampFromString("Thu Jan  1 00:00:00 2026")  # always, so that bytes can be compared
ABOUT = (
    "Characters that nobody has written, drawn from English by latent diffusion. Where ligatures "
    "are on, as they mostly are, a word that is typed becomes its character."
)


def make_font(
    outlines: Sequence[Outline],
    names: Sequence[str],
    path: str | Path,
    *,
    family: str = "Tianshu",
    latin: str | Path | None = None,
) -> list[Character]:
    """Writes a font of characters, each with its word as a ligature; whole or not at all.

    Args:
        outlines: by `diffusion.outlines.trace`: for each name one, or one and its alternates, as
            many for each.
        names: the words, in any case; "sea monster" is one name.
        path: ends in .ttf, .otf, .woff2, or .ufo for an editor of fonts.
        family: the name of the font.
        latin: a font for letters, digits and punctuation; by default Noto Sans SC.

    Returns: the characters, as they are in the font.

    Raises:
        ValueError: in one line, for what makes no font, such as a glyph without ink.
        OSError: the font cannot be written, or `latin` not be read.
    """
    font = Font.of(outlines, names, family, latin)
    font.save(path)
    return font.characters


@dataclass(frozen=True)
class Character:
    """A word in a font.

    Attributes:
        word: as it is typed.
        code: its code point.
        glyph: its name in the font.
        alternates: the names of further drawings, `ss01` first.
    """

    word: str
    code: int
    glyph: str
    alternates: tuple[str, ...]

    @property
    def escaped(self) -> str:
        """The name in a feature file, where "include" is something else."""
        return f"\\{self.glyph}"

    @property
    def letters(self) -> bool:
        """Whether the word can be typed: it has letters, all of which fonts have."""
        return any(map(str.isalpha, self.word)) and set(self.word) <= set(LATIN)


def characters_of(words: Sequence[str], number: int, taken: Iterable[str] = ()) -> list[Character]:
    """Words with code points, and names of `number` glyphs each that none of those `taken` has.

    Raises ValueError, in one line, for none, a word twice, or more than a font holds.
    """
    if not words:
        raise ValueError("no words: a font needs at least one")
    if not 1 <= number <= 1 + MOST_SETS:
        raise ValueError(f"{number} glyphs of a word: take 1 to {1 + MOST_SETS}")
    if len(words) * number > MOST_GLYPHS:
        total = len(words) * number
        raise ValueError(f"{total:,} glyphs: a font holds {MOST_GLYPHS:,}, so take fewer words")
    if len(set(words)) < len(words):
        twice = next(word for i, word in enumerate(words) if word in words[:i])
        raise ValueError(f'the word "{shortened(twice)}" is there twice: leave one out')
    taken, made = set(taken), []
    for word, code in zip(words, chain(*PRIVATE), strict=False):
        plain = unicodedata.normalize("NFKD", word).encode("ascii", "ignore").decode()
        stem = re.sub("[^A-Za-z0-9]+", "_", plain).strip("_")[:LONGEST_NAME]
        if not stem[:1].isalpha():
            stem = f"word_{stem or f'{code:X}'}"
        names = chain([stem, f"{stem}.word"], (f"{stem}.word{i}" for i in count(2)))
        glyph = next(name for name in names if name not in taken)
        taken.add(glyph)
        alternates = tuple(f"{glyph}.ss{i:02}" for i in range(1, number))
        made.append(Character(word, code, glyph, alternates))
    return made


def check_family(family: str) -> None:
    """Raises ValueError, in one line, for what cannot be the name of a font."""
    if not re.search("[A-Za-z0-9]", family) or not family.isprintable():
        raise ValueError(f'no name of a font, "{shortened(family)}": take one with Latin letters')
    if len(family) > LONGEST_FAMILY:
        raise ValueError(f"a name of {len(family)} characters: take at most {LONGEST_FAMILY}")
    for name in RESERVED:
        if re.search(rf"\b{name}", family, re.IGNORECASE):
            raise ValueError(f'"{name}" is reserved for the fonts of its owner: take another name')


# ---- letters -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Latin:
    """Letters, digits and punctuation of a font, in `UNITS`.

    Attributes:
        names: of the glyph of each character.
        shapes: what draws each glyph.
        advances: of each glyph.
        kerning: between two glyphs.
        heights: of lower case and of capitals.
        reach: above and below the baseline, as lines are set.
        legal: copyright, licence and its address.
    """

    names: Mapping[str, str]
    shapes: Mapping[str, Shape]
    advances: Mapping[str, int]
    kerning: Mapping[tuple[str, str], int]
    heights: tuple[int, int]
    reach: tuple[int, int]
    legal: tuple[str, str, str]

    @classmethod
    def read(cls, path: str | Path | None = None) -> Latin:
        """From a font file, by default that of Noto Sans SC.

        Raises ValueError, in one line, for a file that is no font, has no letters, or may not be
        embedded; OSError for one that cannot be read.
        """
        if path is None:
            from autoencoder.data.fonts import default_font

            path = default_font()
        try:
            font = TTFont(path, fontNumber=0)
            codes, tables = font.getBestCmap() or {}, font["OS/2"]
            glyphs, widths, em = font.getGlyphSet(), font["hmtx"].metrics, font["head"].unitsPerEm
        except (TTLibError, KeyError, AssertionError, ImportError) as error:
            raise ValueError(f"{path} is not a font that can be read: {error!r}") from None
        if not {*b"azAZ09 "} <= set(codes):
            raise ValueError(f"{path} has no Latin letters: name another font")
        if tables.fsType & 0x2:
            raise ValueError(f"{path} may not be embedded, its licence says: name another font")
        scale = UNITS / em
        # Quotes and dashes of Chinese fonts are as wide as characters, but for English.
        proportional = dict(_substitutions(font, "pwid"))
        names = {c: UV2AGL.get(ord(c), f"uni{ord(c):04X}") for c in LATIN if ord(c) in codes}
        theirs = {n: proportional.get(codes[ord(c)], codes[ord(c)]) for c, n in names.items()}
        flipped = "glyf" in font  # TrueType fills at the right

        def draw(name: str, pen: AbstractPen) -> None:
            whole = DecomposingRecordingPen(glyphs)
            glyphs[name].draw(whole)
            pen = TransformPen(pen, (scale, 0, 0, scale, 0, 0))
            whole.replay(ReverseContourPen(pen) if flipped else pen)

        ours: dict[str, list[str]] = {}
        for name, their in theirs.items():
            ours.setdefault(their, []).append(name)
        kerning = {
            (left, right): round(value * scale)
            for (a, b), value in _kerning(font, list(ours)).items()
            for left in ours[a]
            for right in ours[b]
        }
        legal = [font["name"].getDebugName(number) or "" for number in (0, 13, 14)]
        if not legal[1]:
            legal[1:] = (f"That of {font['name'].getDebugName(1)}.", "")
        return cls(
            names,
            {name: partial(draw, their) for name, their in theirs.items()},
            {name: round(widths[their][0] * scale) for name, their in theirs.items()},
            {pair: value for pair, value in kerning.items() if value},
            tuple(round(getattr(tables, at, 0) * scale) for at in ("sxHeight", "sCapHeight")),
            (round(font["hhea"].ascent * scale), -round(font["hhea"].descent * scale)),
            tuple(legal),
        )

    def table(self) -> dict[str, object]:
        """All of it as JSON holds it, by characters: what the page makes its fonts with.

        A glyph is its advance and path data; kerning is by the first character and by how much.
        """
        letters, glyphs, kerning = {name: c for c, name in self.names.items()}, {}, {}
        for name, c in letters.items():
            self.shapes[name](pen := RecordingPen())
            path = (
                " ".join([_PATH[step], *(f"{x:.0f} {y:.0f}" for x, y in points)])
                for step, points in pen.value
            )
            glyphs[c] = [self.advances[name], " ".join(path)]
        for (left, right), by in self.kerning.items():
            row = kerning.setdefault(letters[left], {})
            row[str(by)] = row.get(str(by), "") + letters[right]
        known = {"heights": self.heights, "reach": self.reach, "legal": self.legal}
        return known | {"glyphs": glyphs, "kerning": kerning}


_PATH = {"moveTo": "M", "lineTo": "L", "curveTo": "C", "closePath": "Z"}


def _subtables(font: TTFont, tag: str, feature: str, kind: int) -> Iterator:
    """The subtables of a kind that a feature uses, in their order."""
    if tag not in font or not (table := font[tag].table).FeatureList:
        return
    records = [one for one in table.FeatureList.FeatureRecord if one.FeatureTag == feature]
    for index in sorted({i for one in records for i in one.Feature.LookupListIndex}):
        for sub in table.LookupList.Lookup[index].SubTable:
            sub = getattr(sub, "ExtSubTable", sub)
            if sub.LookupType == kind:
                yield sub


def _substitutions(font: TTFont, feature: str) -> Iterator[tuple[str, str]]:
    """The glyphs that a feature puts one in the place of another."""
    for sub in _subtables(font, "GSUB", feature, 1):
        yield from sub.mapping.items()


def _kerning(font: TTFont, glyphs: Sequence[str]) -> dict[tuple[str, str], int]:
    """What a font moves two glyphs apart; of a pair, its first rule counts."""
    found: dict[tuple[str, str], int] = {}
    for sub in _subtables(font, "GPOS", "kern", 2):
        covered = {name: i for i, name in enumerate(sub.Coverage.glyphs)}
        for left in filter(covered.__contains__, glyphs):
            if sub.Format == 1:
                pairs = sub.PairSet[covered[left]].PairValueRecord
                values = {pair.SecondGlyph: pair.Value1 for pair in pairs}
            else:
                row = sub.Class1Record[sub.ClassDef1.classDefs.get(left, 0)].Class2Record
                of = sub.ClassDef2.classDefs
                values = {right: row[of.get(right, 0)].Value1 for right in glyphs}
            for right in filter(values.__contains__, glyphs):
                value = getattr(values[right], "XAdvance", 0)
                found.setdefault((left, right), value or 0)
    return found


# ---- rules ---------------------------------------------------------------------------------------


def spellings(word: str) -> list[str]:
    """A word as it may be typed: as it is, in lower case, with capitals, in capitals."""
    lower = word.lower()
    titled = re.sub(r"(?<!\S)\S", lambda match: match[0].upper(), lower)
    cases = [word, lower, lower[:1].upper() + lower[1:], titled, lower.upper()]
    curly = [case.replace("'", "’") for case in cases]
    return list(dict.fromkeys(cases + curly))


def marked(text: str) -> list[tuple[str, str]]:
    """Each character, and whether its word has its "start" or "end" there, "both" or neither, "".

    An apostrophe between letters is inside a word, but for the s of "the king's".
    """

    def letter(i: int) -> bool:
        return 0 <= i < len(text) and text[i].isalnum()

    def quote(i: int) -> bool:
        return 0 <= i < len(text) and text[i] in APOSTROPHES

    marks = []
    for i, character in enumerate(text):
        start = letter(i) and not letter(i - 1) and not (quote(i - 1) and letter(i - 2))
        owns = quote(i + 1) and letter(i + 2) and text[i + 2] not in "sS"
        end = letter(i) and not letter(i + 1) and not owns
        marks.append((character, "both" if start and end else "start" * start + "end" * end))
    return marks


@dataclass(frozen=True)
class Rules:
    """The rules of a font, as a feature file, and the letters that they mark.

    `marks` are names of glyphs like "g.start", by that of the letter they look like.
    """

    text: str
    marks: Mapping[str, str]

    @classmethod
    def of(cls, characters: Sequence[Character], latin: Latin) -> Rules:
        """Ligatures for words, sets of alternates, and kerning."""
        names = latin.names
        words: dict[tuple[str, ...], str] = {}
        needed: set[tuple[str, str]] = set()  # letters and their marks
        for character in filter(lambda one: one.letters, characters):
            for text in spellings(character.word):
                if set(text) <= set(names):
                    spelt = [(names[letter], mark) for letter, mark in marked(text)]
                    needed |= {pair for pair in spelt if pair[1]}
                    sequence = tuple(".".join(filter(None, pair)) for pair in spelt)
                    words.setdefault(sequence, character.escaped)
        starts = sorted({name for name, mark in needed if mark != "end"})
        ends = sorted({name for name, mark in needed if mark == "end"})
        boths = sorted({name for name, mark in needed if mark == "both"})
        marks = {f"{name}.start": name for name in starts}
        marks |= {f"{name}.end": name for name in ends}
        marks |= {f"{name}.both": name for name in boths}
        parts = ["languagesystem DFLT dflt;\nlanguagesystem latn dflt;\n"]
        if words:
            letters = {name for c, name in names.items() if c.isalnum()}
            s = {names["s"], names["S"]}
            unlike_s = letters - s | {mark for mark, name in marks.items() if name not in s}
            parts.append(_LIGATURES.format(
                word=" ".join(sorted(letters | set(marks))),
                unlike_s=" ".join(sorted(unlike_s)),
                apostrophes=" ".join(names[c] for c in APOSTROPHES if c in names),
                starting=" ".join(starts),
                ending=" ".join(ends + [f"{name}.start" for name in boths]),
                mark_start=_lines((name, f"{name}.start") for name in starts),
                mark_end=_lines(
                    [(name, f"{name}.end") for name in ends]
                    + [(f"{name}.start", f"{name}.both") for name in boths]
                ),
                words=_words(words),
                plain=_lines(marks.items()),
            ))  # fmt: skip
        for i in range(len(characters[0].alternates)):
            subs = _lines((one.escaped, one.alternates[i]) for one in characters)
            name = f'featureNames {{ name "Drawing {i + 2}"; }};'
            parts.append(f"feature ss{i + 1:02} {{\n    {name}\n{subs}\n}} ss{i + 1:02};\n")
        if latin.kerning:
            pairs = "\n".join(f"    pos {a} {b} {by};" for (a, b), by in latin.kerning.items())
            parts.append(f"feature kern {{\n{pairs}\n}} kern;\n")
        parts.append(_EM_BOX)
        return cls("\n".join(parts), marks)


def _lines(pairs: Iterable[tuple[str, str]]) -> str:
    return "\n".join(f"    sub {old} by {new};" for old, new in pairs)


def _words(words: Mapping[tuple[str, ...], str]) -> str:
    """Lookups of words, of several words first.

    Those of one word begin where a word begins, so that they never meet, and each letter can have a
    lookup of its own; fontTools takes the square of the time for one of all.
    """
    groups: dict[str, list[tuple[str, str]]] = {"": []}
    for old, new in words.items():
        starts = [name for name in old if name.endswith((".start", ".both"))]
        group = old[0] if starts == [old[0]] else ""
        if len(old) == 1:
            group = "letter"  # no ligature
        groups.setdefault(group, []).append((" ".join(old), new))
    lookups = (
        f"  lookup words{i} useExtension {{\n{_lines(lines)}\n  }} words{i};\n"
        for i, lines in enumerate(filter(None, groups.values()))
    )
    return "".join(lookups)


_LIGATURES = """@word = [{word}];
@unlike_s = [{unlike_s}];
@apostrophe = [{apostrophes}];

lookup mark_start {{
{mark_start}
}} mark_start;

lookup mark_end {{
{mark_end}
}} mark_end;

feature liga {{
  lookup starts {{
    ignore sub @word @word';
    ignore sub @word @apostrophe @word';
    sub [{starting}]' lookup mark_start;
  }} starts;
  lookup ends {{
    ignore sub @word' @word;
    ignore sub @word' @apostrophe @unlike_s;
    sub [{ending}]' lookup mark_end;
  }} ends;
{words}  lookup plain {{
{plain}
  }} plain;
}} liga;
"""

_EM_BOX = f"""table BASE {{
  HorizAxis.BaseTagList ideo romn;
  HorizAxis.BaseScriptList DFLT romn {ASCENT - UNITS} 0, latn romn {ASCENT - UNITS} 0;
}} BASE;
"""


# ---- the font ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Font:
    """All that a font is made of, whatever file it is written to."""

    characters: list[Character]
    latin: Latin
    rules: Rules
    shapes: Mapping[str, Shape]
    advances: Mapping[str, int]
    family: str

    @classmethod
    def of(
        cls,
        outlines: Sequence[Outline],
        names: Sequence[str],
        family: str = "Tianshu",
        latin: Latin | str | Path | None = None,
    ) -> Font:
        """The font of outlines, as in `make_font`."""
        check_family(family)
        number, rest = divmod(len(outlines), max(len(names), 1))
        if rest:
            raise ValueError(f"{len(outlines)} outlines for {len(names)} words: as many for each")
        letters = latin if isinstance(latin, Latin) else Latin.read(latin)
        characters = characters_of(names, number, [".notdef", *letters.names.values()])
        rules = Rules.of(characters, letters)
        shapes = {".notdef": partial(_draw, _BOX, 0)}
        advances = {".notdef": UNITS} | dict(letters.advances)
        shapes |= letters.shapes
        drawn = iter(outlines)
        for one in characters:
            for glyph, outline in zip((one.glyph, *one.alternates), drawn, strict=False):
                if not outline:
                    raise ValueError(
                        f'the glyph of "{shortened(one.word)}" has no ink: take another seed'
                    )
                shapes[glyph] = partial(_draw, outline, ASCENT - UNITS)
                advances[glyph] = UNITS
        for mark, name in rules.marks.items():
            shapes[mark], advances[mark] = letters.shapes[name], letters.advances[name]
        return cls(characters, letters, rules, shapes, advances, family)

    def save(self, path: str | Path) -> None:
        """Writes the font, in the format that the ending says; whole or not at all."""
        path = Path(path)
        ending = path.suffix.lower()
        if ending not in ENDINGS:
            raise ValueError(f"cannot write {path}: a font ends in {', '.join(ENDINGS)}")
        if ending == ".ufo":
            with _atomic_folder(path) as part:
                self.write_ufo(part)
            return
        font = self.compile(cubic=True) if ending == ".otf" else self.quadratic
        font.flavor = "woff2" if ending == ".woff2" else None
        with atomic(path) as part:
            font.save(part)

    def woff2(self) -> bytes:
        """The font as a web page embeds it."""
        self.quadratic.flavor = "woff2"
        self.quadratic.save(file := BytesIO())
        return file.getvalue()

    @cached_property
    def quadratic(self) -> TTFont:
        """As nearly every program reads it."""
        return self.compile()

    @property
    def cmap(self) -> dict[int, str]:
        """The glyph of each code point."""
        letters = {ord(character): name for character, name in self.latin.names.items()}
        return letters | {one.code: one.glyph for one in self.characters}

    @property
    def texts(self) -> dict[str, str]:
        """What the table of names says."""
        owner, licence, address = self.latin.legal
        plain = unicodedata.normalize("NFKD", self.family).encode("ascii", "ignore").decode()
        return {
            "copyright": f"Characters: Tianshu, which claims no rights in them. Letters: {owner}",
            "familyName": self.family,
            "styleName": "Regular",
            "uniqueFontIdentifier": f"1.000;{plain} Regular",
            "fullName": f"{self.family} Regular",
            "version": "Version 1.000",
            "psName": re.sub("[^A-Za-z0-9]", "", plain) + "-Regular",
            "description": ABOUT,
            "licenseDescription": licence,
            "licenseInfoURL": address,
        }

    def compile(self, cubic: bool = False) -> TTFont:
        """The font with quadratic curves in `glyf`, or cubic ones in `CFF`."""
        builder = FontBuilder(UNITS, isTTF=not cubic)
        builder.updateHead(created=MADE, modified=MADE, fontRevision=1.0)
        builder.setupGlyphOrder(list(self.shapes))
        builder.setupCharacterMap(self.cmap)
        boxes = (self._cff if cubic else self._glyf)(builder)
        blank = (0, 0, 0, ASCENT)
        low = {name: boxes.get(name, blank) for name in self.shapes}
        builder.setupHorizontalMetrics({n: (self.advances[n], box[0]) for n, box in low.items()})
        builder.setupVerticalMetrics({name: (UNITS, ASCENT - box[3]) for name, box in low.items()})
        above = max(self.latin.reach[0], *(box[3] for box in boxes.values()))
        below = max(self.latin.reach[1], *(-box[1] for box in boxes.values()))
        builder.setupHorizontalHeader(ascent=above, descent=-below)
        builder.setupVerticalHeader(ascent=UNITS // 2, descent=-UNITS // 2)
        builder.setupNameTable({k: v for k, v in self.texts.items() if v}, mac=False)
        builder.setupOS2(
            fsType=0,
            usWeightClass=400,
            sTypoAscender=above,
            sTypoDescender=-below,
            sTypoLineGap=0,
            usWinAscent=above,
            usWinDescent=below,
            sxHeight=self.latin.heights[0],
            sCapHeight=self.latin.heights[1],
            fsSelection=0x40,
            usMaxContext=max(len(one.word) for one in self.characters),
            ulCodePageRange1=1,  # Latin 1
        )
        builder.setupPost(underlinePosition=-100, underlineThickness=50)
        builder.addOpenTypeFeatures(self.rules.text)
        return builder.font

    def _glyf(self, builder: FontBuilder) -> dict[str, tuple[int, ...]]:
        """Sets up quadratic curves; returns the box around each glyph with ink."""
        glyphs = {}
        for name, shape in self.shapes.items():
            pen = TTGlyphPen(None)
            shape(Cu2QuPen(pen, ERROR, reverse_direction=True))
            glyphs[name] = pen.glyph()
        builder.setupGlyf(glyphs)
        gasp = builder.font["gasp"] = newTable("gasp")
        gasp.version, gasp.gaspRange = 1, {0xFFFF: 0xF}  # smooth at every size
        prep = builder.font["prep"] = newTable("prep")
        prep.program = Program()
        prep.program.fromAssembly(["PUSHW[]", "511", "SCANCTRL[]", "PUSHB[]", "4", "SCANTYPE[]"])
        inked = {name: glyph for name, glyph in glyphs.items() if glyph.numberOfContours}
        return {n: (one.xMin, one.yMin, one.xMax, one.yMax) for n, one in inked.items()}

    def _cff(self, builder: FontBuilder) -> dict[str, tuple[int, ...]]:
        """Sets up cubic curves; returns the box around each glyph with ink."""
        strings = {}
        for name, shape in self.shapes.items():
            advance = self.advances[name]
            pen = T2CharStringPen(None if advance == UNITS else advance, None)
            shape(pen)
            strings[name] = pen.getCharString()
        texts = self.texts
        about = {"FullName": texts["psName"].replace("-", " "), "Weight": "Regular"}
        widths = {"defaultWidthX": UNITS, "nominalWidthX": 0}
        builder.setupCFF(texts["psName"], about, strings, widths)
        builder.setupVerticalOrigins({}, ASCENT)
        boxes = {name: string.calcBounds(None) for name, string in strings.items()}
        return {
            name: (*np.floor(box[:2]).astype(int).tolist(), *np.ceil(box[2:]).astype(int).tolist())
            for name, box in boxes.items()
            if box
        }

    def write_ufo(self, path: str | Path) -> None:
        """Writes a Unified Font Object 3, which editors of fonts open."""
        from fontTools.ufoLib import UFOWriter

        texts, codes = self.texts, {name: code for code, name in self.cmap.items()}
        above, below = self.latin.reach
        info = SimpleNamespace(
            familyName=texts["familyName"],
            styleName=texts["styleName"],
            postscriptFontName=texts["psName"],
            copyright=texts["copyright"],
            openTypeNameDescription=texts["description"],
            openTypeNameLicense=texts["licenseDescription"],
            openTypeNameLicenseURL=texts["licenseInfoURL"],
            versionMajor=1,
            versionMinor=0,
            unitsPerEm=UNITS,
            ascender=ASCENT,
            descender=ASCENT - UNITS,
            xHeight=self.latin.heights[0],
            capHeight=self.latin.heights[1],
            openTypeHheaAscender=above,
            openTypeHheaDescender=-below,
            openTypeOS2WinAscent=above,
            openTypeOS2WinDescent=below,
            openTypeOS2TypoAscender=above,
            openTypeOS2TypoDescender=-below,
            openTypeOS2TypoLineGap=0,
            openTypeOS2Type=[],
            openTypeVheaVertTypoAscender=UNITS // 2,
            openTypeVheaVertTypoDescender=-UNITS // 2,
            openTypeVheaVertTypoLineGap=0,
        )
        writer = UFOWriter(str(path), fileCreator="tianshu")
        writer.writeInfo(info)
        writer.writeFeatures(self.rules.text)
        writer.writeLib({"public.glyphOrder": list(self.shapes)})
        glyphs = writer.getGlyphSet()
        for name, shape in self.shapes.items():
            one = SimpleNamespace(
                width=self.advances[name],
                height=UNITS,
                unicodes=[codes[name]] if name in codes else [],
                lib={"public.verticalOrigin": ASCENT},
            )
            glyphs.writeGlyph(name, one, lambda pen, shape=shape: shape(SegmentToPointPen(pen)))
        glyphs.writeContents()
        writer.writeLayerContents()
        writer.close()


_BOX = [
    [np.array([point], float) for point in corners]
    for corners in (
        [(900, 0), (900, 700), (100, 700), (100, 0)],
        [(850, 50), (150, 50), (150, 650), (850, 650)],
    )
]


def _draw(outline: Outline, up: int, pen: AbstractPen) -> None:
    """Draws an outline with a pen, moved up, in whole units."""
    for contour in outline:
        rounded = [[(round(x), round(y) + up) for x, y in one.tolist()] for one in contour]
        pen.moveTo(rounded[-1][-1])
        for i, segment in enumerate(rounded):
            if len(segment) == 3:
                pen.curveTo(*segment)
            elif i < len(rounded) - 1:  # closing draws the last line
                pen.lineTo(*segment)
        pen.closePath()


@contextmanager
def _atomic_folder(path: Path) -> Iterator[Path]:
    """As `autoencoder.files.atomic`, for a folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=path.parent, prefix=".part-") as folder:
        part = Path(folder) / path.name
        yield part
        if path.exists():
            path.rename(Path(folder) / "old")
        part.rename(path)
