"""English captions for Chinese characters, from the definitions of Unicode's Unihan database.

A Unihan definition is a note for a reader of dictionaries: "(same as U+4E18 丘) hillock or mound".
A caption is what a person would type: "hillock or mound". The step between them drops references
to other characters, follows them where a reference is all there is, and tidies what is left.
"""

from __future__ import annotations

import csv
import re
import unicodedata
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from conditioning.prompts import normalise, read_lines, senses, shortened, split
from conditioning.radicals import RADICALS, radical
from conditioning.sources.tables import Row, read_files, read_unihan

Cleaned = tuple[str, tuple[str, ...]]  # what `clean` returns


@dataclass(frozen=True)
class Entry:
    """One character: its clean English caption, its Kangxi radical (1-214), its stroke count."""

    character: str
    caption: str
    radical: int
    strokes: int


@dataclass(frozen=True)
class CaptionCounts:
    """Where the captions come from: `total == own + resolved + dropped`."""

    total: int  # definitions in the table
    own: int  # captions from the character's own definition
    resolved: int  # captions taken from the character or radical that the definition points at
    dropped: int  # definitions that said nothing in English and pointed nowhere
    distinct: int  # different captions among own + resolved


def load_entries() -> list[Entry]:
    """Every character with a caption, in code point order."""
    return load_entries_and_counts()[0]


@cache  # to clean all definitions takes a second
def load_entries_and_counts() -> tuple[list[Entry], CaptionCounts]:
    """`load_entries`, with counts of where the captions come from."""
    rows = read_unihan()
    cleaned = {character: clean(definition) for character, definition, _, _ in rows}
    entries = []
    for row in rows:
        if caption := _resolve(row[0], cleaned.get):
            entries.append(_entry(row, caption))
    own = sum(1 for text, _ in cleaned.values() if text)
    counts = CaptionCounts(
        total=len(rows),
        own=own,
        resolved=len(entries) - own,
        dropped=len(rows) - len(entries),
        distinct=len({entry.caption.casefold() for entry in entries}),
    )
    return entries, counts


def load_undefined(source: Path | None = None) -> list[Entry]:
    """The characters without a definition, in code point order; their captions are empty.

    The table lacks them: they come from Unihan's own text files, as in `build_unihan`.
    """
    return [_entry(row, "") for row in read_files(source) if not row[1]]


def load_captions(
    path: str | Path, source: Path | None = None, strict: bool = False
) -> list[Entry]:
    """Captions from your own file, in code point order.

    A line is a character, a tab, comma or semicolon, and English, in quotes as spreadsheets write
    them; several lines of one character are its senses. A header, comments after "#" and blank
    lines say nothing. Radicals that the table lacks come from Unihan's text files, as in
    `build_unihan`.

    Warns, in one line, of lines that cannot be used and are skipped.

    Raises:
        ValueError: no captions, or with `strict` a line that cannot be used; one line.
    """
    known = {row[0]: row for row in read_unihan()}
    captions: dict[str, dict[str, None]] = {}
    skipped: dict[int, str] = {}
    records = _records(read_lines(path))
    lines = {number: _columns(record) for number, record in records.items()}
    if any(isinstance(found, tuple) and found[0] not in known for found in lines.values()):
        known |= {row[0]: row for row in read_files(source)}
    for number, found in lines.items():
        if isinstance(found, str):
            skipped[number] = found
        elif found[0] not in known:
            skipped[number] = f'Unihan knows no radical of "{found[0]}"'
        else:
            captions.setdefault(found[0], {}).update(dict.fromkeys(senses(found[1])))
    reasons = [f"line {number}, {reason}" for number, reason in skipped.items()]
    if reasons and strict:
        raise ValueError(f"{path}, {reasons[0]}")
    if not captions:
        because = f" ({reasons[0]})" if reasons else ""
        raise ValueError(
            f"no captions in {path}{because}: write a character, a tab and English a line"
        )
    if reasons:
        more = f"; and {len(reasons) - 3:,} more" if len(reasons) > 3 else ""
        warnings.warn(
            f"skipped {len(reasons):,} of {len(lines):,} lines of {path}: "
            f"{'; '.join(reasons[:3])}{more}",
            stacklevel=2,
        )
    return [_entry(known[one], "; ".join(glosses)) for one, glosses in sorted(captions.items())]


# A Chinese character, perhaps in quotes and with marks around it that cannot be seen, and what
# stands between it and its caption.
_FIRST = re.compile(
    r'["\s\u200b-\u200f\ufeff]*[\u2e80-\U0003ffff][^\w\s,;"]*"? *(?P<delimiter>[\t,;])'
)


def _records(lines: dict[int, str]) -> dict[int, str]:
    """Lines without comments and a header, by number; a cell in quotes may go on over several."""
    records: dict[int, str] = {}
    begun = 0
    for number, line in lines.items():
        if begun and not _FIRST.match(line) and _cells(records[begun]) is None:
            records[begun] += "\n" + line
        elif not line.startswith(("#", '"#')):
            records[number], begun = line, number
    if records:
        first = min(records)
        if not re.search(_HAN, records[first]) or re.match(r'"?(?:漢字|汉字|字符)', records[first]):
            del records[first]
    return records


def _cells(record: str) -> list[str] | None:
    """The columns of a record; None where a quote is not closed, or one is too long."""
    first = _FIRST.match(record)
    delimiter = first["delimiter"] if first else "\t"
    try:
        rows = list(csv.reader([record, ""], delimiter=delimiter, skipinitialspace=True))
    except csv.Error:
        return None
    return rows[0] if len(rows) == 2 else None


def _columns(record: str) -> tuple[str, str] | str:
    """A record's character and caption, or why it has none."""
    if not _FIRST.match(record):
        return f'"{shortened(record, 20)}" is not a character, a tab and its caption'
    if (cells := _cells(record)) is None:
        return "a quote is not closed, or its text too long"
    character, *texts = map(normalise, cells)
    texts = [text for text in texts if text]
    if len(character) != 1:
        return f'"{character}" is not one character'
    if len(texts) > 1:
        return f"{1 + len(texts)} columns, not 2: a caption with commas goes in quotes"
    if not texts or not senses(texts[0]):
        return "no caption"
    return character, texts[0]


def _entry(row: Row, caption: str) -> Entry:
    character, _, radical_strokes, strokes = row
    # "167'.4" is radical 167, here in its simplified form, and four more strokes.
    number = re.match(r"\d+", radical_strokes).group()
    return Entry(character, caption, int(number), int(strokes))


@cache
def meaning(character: str) -> str:
    """The first sense of a character in English, or the name of a radical's form such as 氵.

    Nothing where Unihan says nothing.
    """
    for one in RADICALS:
        if character in one.forms:
            return one.names[0]
    known = _definitions()
    caption = _resolve(character, lambda one: clean(known[one]) if one in known else None)
    return senses(caption)[0] if caption else ""


@cache
def _definitions() -> dict[str, str]:
    return {character: definition for character, definition, *_ in read_unihan()}


def _resolve(
    character: str, cleaned: Callable[[str], Cleaned | None], seen: frozenset = frozenset()
) -> str:
    """The caption of a character, or of the first thing it points at that has one, or ""."""
    if character in seen or (found := cleaned(character)) is None:
        return ""
    text, targets = found
    if text:
        return text
    for target in targets:
        if target.isdecimal():
            return radical(int(target)).names[0]
        if caption := _resolve(target, cleaned, seen | {character}):
            return caption
    return ""


# ---- from a definition to a caption --------------------------------------------------------------

_HAN = r"[\u2e80-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"
_MARK = rf"(?:U\+?[0-9A-F]{{4,5}}\b(?: HANGZHOU NUMERAL [A-Z]+)?|{_HAN})"
# "U+9149 酉", "贯,貫,實, etc.", "觱篥 bìlì", "大嶼山 daai6ju4saan1"
_MARKS = (
    rf"(?:{_MARK}(?:(?:\s*[,/=]\s*|\s+or\s+|\s+and\s+|\s*){_MARK})*(?:,\s*etc\.)?"
    r"(?:\s+(?:[a-z]+\d)+\b|\s+[a-z]*[à-ǜ][a-zà-ǜ]*)?)"
)
_KIND = (
    r"\b(?:an?|the|same|sane|almost|as|standard|simplified|simple|abbreviated|traditional|ancient"
    r"|archaic|old|obsolete|vulgar|corrupt(?:ed)?|incorrect|non-?\s?classical|non-standard|seal"
    r"|large|small|accounting|and|or|form|from|type|variant|simplification|ideograph|of|for)"
)
_RELATION = (
    rf"(?:(?:{_KIND}[\s,;]+)*"
    rf"\b(?:sa[mn]e as(?:,? of)?|(?:form|from|type|variant|simplification|abbreviated)(?: of)?"
    r"|non-?classical(?: of)?|(?:ideograph|simp\.|used|borrowed) +for|interchangeable(?: with)?"
    r"|(?:sometimes )?used as (?:a synonym for|an equivalent to)|equivalent to"
    r"|synonymous with(?: Mandarin)?|refer to|also known as)"
    r"(?: standard form(?: of)?| [0-9A-F]{4})*)"
)
_REFERENCE = re.compile(rf"(?:as a non-simplified form )?{_RELATION}\s*(?P<marks>{_MARKS})", re.I)
_CONTRAST = re.compile(
    rf"(?:not to be confused with|as distinct from|unlike|e\.g\.,?|obsolete;) *{_MARKS}"
)
_RADICAL = re.compile(
    r"(?:\b(?:a|simplified|variant|(?:the first )?form|of|is|the)\s+)*"
    r"\b(?:(?:KangXi|GB) )?rad(?:\.|ical)(?: number| no\.?)?\s*(?P<number>\d+)",
    re.I,
)
_DICTIONARY = re.compile(  # numbers in other dictionaries and character sets
    r"\(?\b(?:erroneously borrowed for |distinguish )?DKW:? \d+'?(?: \w+\d)?\)?(?: \(\w+\d\))?"
    r"|\bksc extension \d+|\b\d+:\d+\b"
)
# A parenthesis that says what sort of character this is, not what it means.
_TAG = re.compile(
    rf"(?!(?:of|or|and)$)(?:{_KIND}|[\s,;.]|Cant\.?|Tc|J|Jap\.|Japanese|Korean|dial(?:\.|ect)?"
    r"|coll\.|chem\.|slang|Engl?\.|English|loan-?\s?word|kokuji|character|Karlgren|post-subject|pre-verb"
    r"|(?-i:[a-z]{2,}\d|[a-z]*[à-ǜ][a-zà-ǜ]*))*",
    re.I,
)
_PUNCTUATION = str.maketrans({"“": '"', "”": '"', "‘": "'", "’": "'", "—": " - ", "–": "-"})


def clean(definition: str) -> Cleaned:
    """A definition as plain English, and what it refers to.

    Returns the text, perhaps "", and the targets in the order named: characters, or the numbers of
    radicals in decimal digits.
    """
    targets: list[str] = []

    def refer(match: re.Match) -> str:
        for code, character in re.findall(rf"U\+?([0-9A-F]{{4,5}})|({_HAN})", match["marks"]):
            targets.append(character or chr(int(code, 16)))
        return " "

    def refer_to_radical(match: re.Match) -> str:
        targets.append(match["number"])
        return " "

    def parenthesis(match: re.Match) -> str:
        inside = match[1]
        if _TAG.fullmatch(inside):
            return ", "
        if not re.search(_MARK, inside):
            return match[0]
        if _CONTRAST.search(inside):
            return " "
        if _REFERENCE.search(inside):
            # A new gloss begins after a reference, even where no comma says so.
            rest = _strip(_REFERENCE.sub(refer, inside))
            return ", " if _TAG.fullmatch(rest) else f", {rest}, "
        rest = _strip(re.sub(_MARKS, " ", inside))
        return " " if _TAG.fullmatch(rest) else f"({rest})"

    text = _balance(definition.translate(_PUNCTUATION)).replace("(erroneously) ", "")
    text = re.sub(r"\[[^]]*\]", " ", text)  # editors' remarks: [?], [kokuji]
    text = _DICTIONARY.sub(" ", text)
    text = re.sub(r"\(([^()]*)\)", parenthesis, text)
    if re.search(_MARK, text):
        text = _CONTRAST.sub(" ", _REFERENCE.sub(refer, text))
    text = _RADICAL.sub(refer_to_radical, text)
    text = "; ".join(", ".join(_pieces(sense)) for sense in split(text, ";"))
    return _tidy(text), tuple(dict.fromkeys(targets))


def _pieces(sense: str) -> Iterator[str]:
    """The comma-separated parts of a sense without Chinese, and without what hung on it."""
    for piece in split(sense, ","):
        if re.search(_MARK, piece):
            piece = re.sub(_MARKS, " ", piece).strip(" .")
            piece = re.sub(r"^is (?:the )?", "", piece)
            piece = re.sub(r"^another (?:name )+for(?= +\(|$)", "", piece)
            piece = re.sub(r"(?:\s*\b(?:of|for|to|in|with|from|as|by|the))+(?= +\(|$)", "", piece)
        if piece not in ("radical", "component", "used", "when referring to deity"):
            yield piece


def _tidy(text: str) -> str:
    """Plain ASCII, single spaces, no stray punctuation, no gloss twice."""
    text = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    text = re.sub(r"(?<!etc)\. (?=to\b)", "; ", text)
    text = re.sub(r":\s*-+\s*", ": ", text)
    text = re.sub(r"\s*--+\s*", " - ", text)
    said: set[str] = set()
    kept = []
    for sense in split(text, ";"):
        pieces = []
        for piece in map(_strip, split(sense, ",")):
            key = piece.casefold()
            if piece and (key == "etc." or key not in said):
                said.add(key)
                pieces.append(piece)
        if pieces and pieces != ["etc."]:
            kept.append(", ".join(pieces))
    return "; ".join(kept)


def _strip(text: str) -> str:
    """Without outer punctuation; "etc." keeps its stop, and a lone parenthesis loses its own."""
    text = re.sub(r"\s+", " ", text)
    text = re.sub(r"\s+([,;:.?!)])", r"\1", text).replace("( ", "(")
    text = re.sub(r"^[\s,;:-]+|(?:[\s,;:]|\s-)+$", "", text)
    if re.fullmatch(r"\([^()]*\)", text):
        text = text[1:-1]
    if text[:1] in ("'", '"') and text.count(text[0]) == 1 + text.endswith(text[0], 1):
        text = text.strip(text[0])
    if text.endswith(".") and not re.search(r"\b(?:etc|B\.C|A\.D|a\.m|p\.m|sp|var)\.$", text):
        text = text[:-1]
    return text.strip(" ,;:")


def _balance(text: str) -> str:
    """`text` without the parentheses that have no partner."""
    opened, stray = [], set()
    for i, character in enumerate(text):
        if character == "(":
            opened.append(i)
        elif character == ")" and opened:
            opened.pop()
        elif character == ")":
            stray.add(i)
    stray.update(opened)
    return "".join(c for i, c in enumerate(text) if i not in stray) if stray else text
