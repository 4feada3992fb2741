"""What is known of a glyph, and a page of cards that shows it. Needs no torch."""

from __future__ import annotations

import base64
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from io import BytesIO
from typing import TYPE_CHECKING, Any

from PIL import Image, ImageOps

from conditioning import captions
from conditioning.parts import compositions, readings
from conditioning.prompts import shortened
from conditioning.radicals import RADICALS, Radical, radical

if TYPE_CHECKING:
    from autoencoder.readers.recognizer import Match
    from diffusion.inventions import Invention

LONGEST_MEANING = 40  # characters


@dataclass(frozen=True)
class Known:
    """A character of Unicode, with its English meaning; "" where Unihan has none."""

    character: str
    code_point: str  # "U+92F0"
    meaning: str

    @classmethod
    def of(cls, character: str) -> Known:
        """What is known of a character."""
        return cls(character, f"U+{ord(character):04X}", meaning(character))

    def __str__(self) -> str:
        """鋰 U+92F0, lithium."""
        return f"{self.character} {self.code_point}" + (f", {self.meaning}" if self.meaning else "")


@dataclass(frozen=True)
class Card:
    """What is known of a glyph.

    Attributes:
        prompt: what was asked for.
        caption: what the denoiser was conditioned on.
        seed: its own.
        radical: the number, or None where the words name none.
        name: the English name of the radical.
        form: the radical as it stands here; its first form where that is left to chance.
        part: what stands beside the radical; "" where that is left to chance.
        reading: of the part, in Pinyin.
        sound: what the part was drawn for, as it was asked for.
        meaning: of the part.
        layout: where both stand; "" where that is left to chance.
        existing: the characters that radical and part are already, the likest arrangement first.
        nearest: the existing character that the glyph is most like, or None.
        likeness: to that one, at most 1.
        exists: whether the recogniser takes the glyph for it.
    """

    prompt: str
    caption: str
    seed: int
    radical: int | None = None
    name: str = ""
    form: str = ""
    part: str = ""
    reading: str = ""
    sound: str = ""
    meaning: str = ""
    layout: str = ""
    existing: tuple[Known, ...] = ()
    nearest: Known | None = None
    likeness: float | None = None
    exists: bool = False

    @classmethod
    def of(cls, prompt: str, seed: int, invention: Invention, match: Match | None = None) -> Card:
        """What is known of a glyph by what it was made of, and by the recogniser."""
        part, way = invention.part, invention.arrangement
        found = radical(invention.radical) if invention.radical else named(invention.caption)

        def unlike(character: str) -> int:
            one = compositions()[character]
            pairs = (one.kind[0], way.kind[0]), (one.first, way.first), (one.second, way.second)
            return sum(a != b for a, b in pairs)

        return cls(
            prompt,
            invention.caption,
            seed,
            found and found.number,
            found.names[0] if found else "",
            invention.form or (found.forms[0] if found else ""),
            part,
            reading(part),
            invention.sound,
            meaning(part) if part else "",
            way.layout if way else "",
            tuple(Known.of(one) for one in sorted(invention.existing, key=unlike)),
            Known.of(match.character) if match else None,
            round(match.likeness, 4) if match else None,
            bool(match and match.exists),
        )

    @classmethod
    def read(cls, known: Mapping[str, Any]) -> Card:
        """The card of which `asdict` made a dictionary."""
        existing = tuple(Known(**one) for one in known["existing"])
        nearest = known["nearest"] and Known(**known["nearest"])
        return cls(**{**known, "existing": existing, "nearest": nearest})

    @property
    def heard(self) -> str:
        """How the part is read, and what for where it sounds otherwise alone: "lèi for luo"."""
        plain = [
            re.sub("[^a-z]", "", unicodedata.normalize("NFD", text))
            for text in (self.reading, self.sound or self.reading)
        ]
        return self.reading if plain[0] == plain[1] else f"{self.reading} for {self.sound}".strip()

    def __str__(self) -> str:
        """What was put together: "金 gold + 里 lǐ, left-right: is 鋰 U+92F0, lithium"."""
        if not self.part:
            return ""
        both = f"{self.form} {self.name} + {f'{self.part} {self.heard}'.strip()}, {self.layout}"
        return f"{both}: is {self.existing[0]}" if self.existing else both


def meaning(character: str) -> str:
    """The first sense of a character, short enough for a line."""
    return shortened(captions.meaning(character), LONGEST_MEANING)


def reading(part: str) -> str:
    """How a part is usually read: "lǐ"; "" where nobody knows.

    Forms such as 氵, which Unihan gives no tone, are read as their radical.
    """
    own = readings(part)
    if not own or own[0].isascii():
        own = next((readings(one.forms[0]) for one in RADICALS if part in one.forms), own)
    return own[0] if own else ""


def named(caption: str) -> Radical | None:
    """The radical whose name stands before the words of a caption: "bird; heron"."""
    name, semicolon, words = caption.partition("; ")
    if not semicolon or re.search(r"\bAND\b", words):
        return None
    return next((one for one in RADICALS if one.names[0] == name), None)


# ---- the page ------------------------------------------------------------------------------------


def page(cards: Sequence[Card], images: Sequence[Image.Image], about: str) -> str:
    """A self-contained HTML page of glyphs and what is known of them.

    Args:
        cards: what is known of each.
        images: as many, mode "L", black ink on white.
        about: a line of plain text above them.
    """
    shown = "\n".join(map(_article, cards, images))
    header = f'<header><h1 lang="zh">天書</h1><p>{escape(about)}</p></header>'
    return document(about, _STYLE, f"{header}\n<main>\n{shown}\n</main>", "img-src data:")


def _article(card: Card, image: Image.Image) -> str:
    rows = {"Layout": escape(card.layout)}
    rows["Is already"] = "<br>".join(map(_character, card.existing))
    if card.nearest:
        label = "Exists as" if card.exists else "Nearest"
        rows[label] = f"{_character(card.nearest)} <small>likeness {card.likeness:.2f}</small>"
    rows["Words"], rows["Seed"] = escape(card.caption), str(card.seed)
    facts = "".join(
        f"<div><dt>{label}</dt><dd>{text}</dd></div>" for label, text in rows.items() if text
    )
    made = _component(card.form, card.name) if card.radical else ""
    if card.part:
        heard = f'<span lang="zh-Latn">{escape(card.heard)}</span>' if card.heard else ""
        made += '<span class="plus">+</span>' + _component(card.part, card.meaning, heard)
    alt = f"A character for “{card.prompt}”"
    if card.part:
        alt += f": {card.form} ({card.name}) and {card.part}, {card.layout}"
    return (
        f'<article><figure><img src="{_data_uri(image)}" alt="{escape(alt)}" '
        f'width="{image.width}" height="{image.height}"></figure>\n'
        f"<h2>{escape(card.prompt)}</h2>\n"
        + (f'<p class="made">{made}</p>\n' if made else "")
        + f"<dl>{facts}</dl></article>"
    )


def _component(character: str, english: str, heard: str = "") -> str:
    below = " ".join(filter(None, (heard, escape(english))))
    return f'<span class="one"><b lang="zh">{escape(character)}</b>{below}</span>'


def _character(one: Known) -> str:
    said = f", {escape(one.meaning)}" if one.meaning else ""
    return f'<b lang="zh">{escape(one.character)}</b> {one.code_point}{said}'


def _data_uri(image: Image.Image) -> str:
    """The ink alone, on nothing, so that it stands on paper of any colour."""
    ink = Image.new("LA", image.size)
    ink.putalpha(ImageOps.invert(image))
    file = BytesIO()
    ink.save(file, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


def document(title: str, style: str, body: str, sources: str) -> str:
    """An HTML page that loads nothing but its own style and, as data, what `sources` allow.

    Args:
        title: plain text.
        style, body: as they stand on the page.
        sources: a directive of a content security policy, "img-src data:".
    """
    return _PAGE.format(title=escape(title), style=PALETTE + style, body=body, sources=sources)


_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" \
content="default-src 'none'; {sources}; style-src 'unsafe-inline'">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
{body}
</body>
</html>
"""

PALETTE = """
:root { color-scheme: light dark; --paper: #f6f3ec; --card: #fffdf8; --ink: #1d1b18;
  --quiet: #6d665b; --line: #e2dccf; --seal: #a8321f; }
@media (prefers-color-scheme: dark) {
  :root { --paper: #161513; --card: #1f1d1a; --ink: #ece7dc; --quiet: #a39b8c; --line: #38342d;
    --seal: #e0735f; }
}
* { box-sizing: border-box; margin: 0; }
body { padding: clamp(1rem, 4vw, 3.5rem); background: var(--paper); color: var(--ink);
  font: 0.875rem/1.45 system-ui, "Noto Sans", sans-serif; }
header { display: flex; flex-wrap: wrap; align-items: baseline; gap: 0 1rem; }
header p { color: var(--quiet); }
"""

_STYLE = """
@media (prefers-color-scheme: dark) { img { filter: invert(1); } }
[lang="zh"] { font-family: "Noto Sans SC", "Noto Sans CJK SC", "PingFang SC", "Microsoft YaHei",
  sans-serif; font-weight: 400; }
header { margin-bottom: clamp(1rem, 3vw, 2rem); }
h1 { color: var(--seal); font-size: 1.75rem; letter-spacing: 0.1em; }
main { display: grid; gap: clamp(0.75rem, 2vw, 1.5rem);
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 15rem), 1fr)); }
article { display: flex; flex-direction: column; gap: 0.75rem; padding: 1rem;
  background: var(--card); border: 1px solid var(--line); border-radius: 3px;
  overflow-wrap: anywhere; }
figure { --rule: color-mix(in srgb, var(--seal) 25%, transparent);
  aspect-ratio: 1; border: 1px solid var(--rule); background:
    linear-gradient(var(--rule) 0 0) 50% / 1px 100% no-repeat,
    linear-gradient(var(--rule) 0 0) 50% / 100% 1px no-repeat; }
img { display: block; width: 100%; height: 100%; }
h2 { font: italic 1.25rem/1.2 "Iowan Old Style", Palatino, Georgia, serif; }
.made { display: flex; align-items: start; gap: 0.6rem; color: var(--quiet); line-height: 1.25; }
.one { display: flex; flex-direction: column; min-width: 2rem; }
.one b { color: var(--ink); font-size: 1.75rem; line-height: 1.3; }
.plus { font-size: 1.25rem; line-height: 1.8; }
[lang="zh-Latn"] { color: var(--seal); }
dl { display: grid; gap: 0.3rem; margin-top: auto; padding-top: 0.75rem;
  border-top: 1px solid var(--line); font-variant-numeric: tabular-nums; }
dl div { display: grid; grid-template-columns: 5rem 1fr; }
dt, small { color: var(--quiet); font-size: inherit; white-space: nowrap; }
dd b { font-size: 1.1em; }
"""
