"""A prompt: words, and behind them, perhaps, where the parts of the character are to stand.

"fish; top-bottom" asks for a fish whose parts stand one above the other. Words and layout are
embedded each by itself, and the tokens of one follow those of the other, so that a denoiser meets
the same layouts behind whatever words there are.
"""

from __future__ import annotations

import re
import sys
import unicodedata
from dataclasses import dataclass
from pathlib import Path

LAYOUTS = ("left-right", "top-bottom", "enclosed")
_LAYOUT = "|".join(LAYOUTS).replace("-", "[- ]")
_PLACED = re.compile(rf"(?P<words>.*\S) ?; ?(?P<layout>{_LAYOUT})")
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
    def parse(cls, text: str) -> Prompt:
        """The prompt that a text says; without a layout at its end, all of it are words."""
        text = normalise(text)
        if match := _PLACED.fullmatch(text):
            return cls(match["words"], match["layout"].replace(" ", "-"))
        return cls(text)

    @property
    def texts(self) -> list[str]:
        """The words and the layout, as they are embedded."""
        return [self.words, self.layout] if self.layout else [self.words]

    def __str__(self) -> str:
        return "; ".join(self.texts)


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
    """The lines of a UTF-8 file that are not blank, stripped, by their number from 1.

    "-" is stdin. Raises OSError for a file that cannot be read, ValueError for another encoding.
    """
    stdin = str(path) == "-"
    name = "stdin" if stdin else path
    data = sys.stdin.buffer.read() if stdin else Path(path).read_bytes()
    try:
        text = data.decode("utf-8-sig")  # with or without the mark that Windows puts first
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise ValueError(f"line {line} of {name} is not UTF-8: save the file as UTF-8") from None
    # Not splitlines, which counts a line more than an editor does at a form feed, say.
    lines = {i: line.strip() for i, line in enumerate(re.split(r"\r\n|\r|\n", text), 1)}
    return {i: line for i, line in lines.items() if line}
