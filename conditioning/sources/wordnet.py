"""WordNet, read from its database files as wndb(5WN) describes them.

https://wordnet.princeton.edu/documentation/wndb5wn. NLTK's reader also needs `lexnames`, which
Debian's wordnet-base lacks. Without a file, all functions raise FileNotFoundError, in one line.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

WORDNET = Path("/usr/share/wordnet")
PARTS_OF_SPEECH = ("noun", "verb", "adj", "adv")


@dataclass(frozen=True)
class Synset:
    """One meaning.

    Attributes:
        words: those that share it, commonest first, in their own case and with spaces.
        gloss: its definition, without the examples.
        above: keys of the meanings that it is a kind of.
    """

    words: tuple[str, ...]
    gloss: str
    above: tuple[str, ...] = ()


@lru_cache(maxsize=1)  # a training asks for them more than once
def load_synsets(folder: str | Path = WORDNET) -> dict[str, Synset]:
    """All of WordNet's meanings, about 118,000, in the order of its files.

    A key is a part of speech and a place in the file, such as "n02084071".
    """
    return dict(_parse(line) for part in PARTS_OF_SPEECH for line in _lines(folder, f"data.{part}"))


def load_senses(folder: str | Path = WORDNET) -> dict[tuple[str, str], tuple[str, ...]]:
    """Keys of the meanings of a word in lower case, commonest first, by word and "n" or "v"."""
    senses = {}
    for part in PARTS_OF_SPEECH[:2]:
        for line in _lines(folder, f"index.{part}"):
            word, letter, count, *rest = line.split()
            keys = tuple(letter + place for place in rest[-int(count) :])
            senses[word.replace("_", " "), letter] = keys
    return senses


def load_definitions(texts: Iterable[str], folder: str | Path = WORDNET) -> dict[str, str]:
    """What each text means that WordNet has as a word: "salmon, food fish: any of various large…".

    "to row" is looked up among the verbs first, all else among the nouns; texts of more than three
    words are taken for definitions themselves. The commonest meaning counts, with the first word
    of what it is a kind of.
    """
    senses, synsets = load_senses(folder), load_synsets(folder)
    found = {}
    for text in texts:
        article, _, rest = text.strip().lower().partition(" ")
        word, parts = f"{article} {rest}".strip(), "nv"
        if article in ("to", "a", "an", "the") and rest:
            word, parts = rest, "vn" if article == "to" else "nv"
        known = [keys for part in parts if (keys := senses.get((word, part)))]
        if known and len(text.split()) <= 3:
            synset = synsets[known[0][0]]
            kind = f", {synsets[synset.above[0]].words[0]}" if synset.above else ""
            found[text] = f"{text}{kind}: {synset.gloss.split('; ')[0]}"
    return found


def load_counts(folder: str | Path = WORDNET) -> Counter[str]:
    """How often each word, in lower case, occurs in WordNet's sense-tagged texts; most do not."""
    counts: Counter[str] = Counter()
    for line in _lines(folder, "cntlist.rev"):
        sense, _, count = line.split()
        counts[sense.split("%", 1)[0].replace("_", " ")] += int(count)
    return counts


def _lines(folder: str | Path, name: str) -> Iterator[str]:
    """The lines of a file without the licence at its head."""
    path = Path(folder) / name
    if not path.is_file():
        raise FileNotFoundError(
            f"no WordNet database in {path.parent} ({path.name} is missing): install Debian's "
            "wordnet-base, or name the folder that holds data.noun"
        )
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    return (line for line in lines if not line.startswith("  "))


def _parse(line: str) -> tuple[str, Synset]:
    fields, gloss = line.split(" | ", 1)
    place, _, letter, count, *fields = fields.split()
    words, (count, *fields) = fields[: 2 * int(count, 16) : 2], fields[2 * int(count, 16) :]
    fields = fields[: 4 * int(count)]  # pointers; the frames of a verb come after them
    pointers = zip(fields[::4], fields[1::4], fields[2::4], strict=True)  # symbol, place, part
    above = (part + there for symbol, there, part in pointers if symbol in ("@", "@i"))
    # An adjective may carry the place it stands in: "galore(ip)".
    words = (word.split("(", 1)[0].replace("_", " ") for word in words)
    gloss = gloss.split('; "', 1)[0].strip().strip(";:").strip()
    return letter + place, Synset(tuple(words), gloss, tuple(above))
