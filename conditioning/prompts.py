"""A prompt: words, and behind them, perhaps, where the parts of the character are to stand.

"fish; top-bottom" asks for a fish whose parts stand one above the other. Words and layout are
embedded each by itself, and the tokens of one follow those of the other, so that a denoiser meets
the same layouts behind whatever words there are.
"""

from __future__ import annotations

import codecs
import re
import sys
import unicodedata
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from string import ascii_lowercase
from typing import NamedTuple

LAYOUTS = ("left-right", "top-bottom", "enclosed")
_LAYOUT = "|".join(LAYOUTS).replace("-", "[- ]")
_PLACED = re.compile(rf"(?P<words>.*\S) ?; ?(?P<layout>{_LAYOUT})")
# "; part ghost" and "; sound luo", but not "; part of a house" or "; sound of bells".
_ASKED = re.compile(
    r"(?P<before>.*?) ?; ?(?P<key>part|sound(?= \S+ ?(?:;|$))) (?P<value>(?!of )[^;]+)"
    "(?P<after>;.*|)"
)
_PLAIN = str.maketrans("‘’‚‛′ʼ“”„‟«»‐‒–—―−_", "'" * 6 + '"' * 6 + "-" * 6 + " ")
# Soft hyphens, joiners, marks of direction, variation selectors, byte-order marks.
_INVISIBLE = re.compile(
    "[\xad\u180b-\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff"
    "\U000e0000-\U000e0fff]"
)


def normalise(text: str) -> str:
    """The one spelling of a text: NFKC, lower case, plain quotes and dashes, single spaces.

    What cannot be seen is left out, an underscore is a space, and lone surrogates, which no
    tokenizer takes, become "?". Twice is the same as once.
    """
    text = text.encode("utf-8", "replace").decode("utf-8")
    if not text.isascii():
        text = _INVISIBLE.sub("", text.replace("´", "'"))  # whose NFKC is a space and an accent
        text = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return " ".join(text.casefold().translate(_PLAIN).split())


@dataclass(frozen=True)
class Prompt:
    """Words, and the layout behind them; `str` of it is what `parse` takes.

    Attributes:
        words: English.
        layout: one of `LAYOUTS`, or "".
    """

    words: str
    layout: str = ""

    @classmethod
    def parse(cls, text: str, meaning: Callable[[str], str] | None = None) -> Prompt:
        """The prompt that a text says; without a layout at its end, all of it are words.

        A Chinese character is read as what it means, with a warning that says so; `meaning` says
        it, by default `conditioning.captions.meaning`.
        """
        words, layout = normalise(text), ""
        if match := _PLACED.fullmatch(words):
            words, layout = match["words"], match["layout"].replace(" ", "-")
        if len(words) == 1 and not words.isascii():
            if meaning is None:
                from conditioning.captions import meaning  # it reads a table

            if english := meaning(words):
                warnings.warn(f'{words} is read as "{english}"', stacklevel=2)
                words = english
        return cls(words, layout)

    @property
    def texts(self) -> list[str]:
        """The words and the layout, as they are embedded."""
        return [self.words, self.layout] if self.layout else [self.words]

    def __str__(self) -> str:
        return "; ".join(self.texts)


class Asked(NamedTuple):
    """A prompt without the part or the sound behind it, and these; "" is none."""

    text: str
    part: str = ""
    sound: str = ""


def asked(text: str) -> Asked:
    """What "robot; sound luo" asks for. Raises ValueError, in one line, for more than one part."""
    rest, found = normalise(text), {}
    while match := _ASKED.fullmatch(rest):
        if found:
            raise ValueError(
                f'more than one part in "{shortened(text)}": a character has a radical and one part'
            )
        found[match["key"]] = match["value"].strip()
        rest = match["before"] + match["after"]
    return Asked(rest if found else text, **found)


def hints(text: str) -> list[str]:
    """What to say of a prompt in the syntax of other programs, which is read as plain words."""
    text = normalise(text)
    said = []
    if match := re.search(r"\b(?:no|without) (?:an? |the |any )?([\w-]+)", text):
        said.append(
            f'"{match[0]}" asks for {match[1]} too: leave it out, and lead away from it with '
            f'--negative "{match[1]}", in Python negative_prompt'
        )
    if match := re.search(r"\([^()]*: ?[\d.]+ ?\)", text):
        said.append(
            f'weights as in "{shortened(match[0])}" are not supported: '
            "--guidance, in Python guidance_scale, follows all words harder"
        )
    if match := re.search(r"\[[^]]*[|:][^]]*\]", text):
        said.append(
            f'"{shortened(match[0])}" is not supported: AND between two prompts asks for both'
        )
    return said


def slips(word: str) -> set[str]:
    """All that is one letter more, fewer or other than a word, or two that changed places."""
    parts = [(word[:i], word[i:]) for i in range(len(word) + 1)]
    fewer = {a + b[1:] for a, b in parts}
    swapped = {a + b[1] + b[0] + b[2:] for a, b in parts if len(b) > 1}
    other = {a + x + rest for a, b in parts for x in ascii_lowercase for rest in (b, b[1:])}
    return (fewer | swapped | other) - {word}


def senses(caption: str) -> list[str]:
    """The glosses of a caption: its parts between semicolons, outside parentheses."""
    return [part for part in split(caption, ";") if part]


def split(text: str, separator: str) -> list[str]:
    """`text` split where `separator` stands outside parentheses; the parts are stripped."""
    if "(" not in text:
        return [part.strip() for part in text.split(separator)]
    parts, depth = [""], 0
    for character in text:
        depth += (character == "(") - (character == ")")
        if character == separator and depth == 0:
            parts.append("")
        else:
            parts[-1] += character
    return [part.strip() for part in parts]


def shortened(text: str, most: int = 60) -> str:
    """A text of at most `most` characters to show in a message, cut off where it is longer."""
    return text if len(text) <= most else f"{text[: most - 3]}..."


def read_lines(path: str | Path) -> dict[int, str]:
    """The lines of a text file that are not blank, stripped, by their number from 1.

    It is in UTF-8, or in UTF-16 as spreadsheets write it, with a byte-order mark; "-" is stdin.
    Raises OSError for a file that cannot be read, ValueError for another encoding.
    """
    stdin = str(path) == "-"
    name = "stdin" if stdin else path
    data = sys.stdin.buffer.read() if stdin else Path(path).read_bytes()
    wide = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        # With or without the mark that Windows puts first.
        text = data.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise ValueError(f"line {line} of {name} is not UTF-8: save the file as UTF-8") from None
    # Not splitlines, which counts a line more than an editor does at a form feed, say.
    lines = {i: line.strip() for i, line in enumerate(re.split(r"\r\n|\r|\n", text), 1)}
    return {i: line for i, line in lines.items() if line}
