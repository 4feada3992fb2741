"""The English that the bundled T5 learns from: captions, and the words and glosses of WordNet.

WordNet is read straight from its database files, whose format is described in wndb(5WN),
https://wordnet.princeton.edu/documentation/wndb5wn.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

from conditioning.distillation.vocabulary import count_words
from conditioning.prompts import senses

WORDNET = Path("/usr/share/wordnet")
PARTS_OF_SPEECH = ("noun", "verb", "adj", "adv")


@dataclass(frozen=True)
class Synset:
    """One meaning: the words that share it, commonest first, and its definition."""

    words: tuple[str, ...]
    gloss: str
    key: str = ""  # its part of speech and its place in WordNet's file: "n02084071"
    above: tuple[str, ...] = ()  # keys of the meanings that it is a kind of


def load_synsets(folder: str | Path = WORDNET) -> list[Synset]:
    """Every synset of WordNet, about 118,000, in the order of its files.

    Words keep their case and have spaces for underscores; glosses are without their examples.

    Raises:
        FileNotFoundError: `folder` lacks one of WordNet's data files.
    """
    return [
        _parse(line)
        for part in PARTS_OF_SPEECH
        for line in _read(Path(folder) / f"data.{part}")
        if not line.startswith("  ")  # the licence at the head of each file
    ]


def load_senses(folder: str | Path = WORDNET) -> dict[tuple[str, str], tuple[str, ...]]:
    """Keys of the meanings of each word, commonest first, by the word and "n" or "v".

    Words are in lower case, with spaces.

    Raises:
        FileNotFoundError: `folder` lacks one of WordNet's index files.
    """
    senses = {}
    for part in PARTS_OF_SPEECH[:2]:
        for line in _read(Path(folder) / f"index.{part}"):
            if not line.startswith("  "):
                word, letter, count, *rest = line.split()
                keys = tuple(letter + place for place in rest[-int(count) :])
                senses[word.replace("_", " "), letter] = keys
    return senses


def load_definitions(texts: Iterable[str], folder: str | Path = WORDNET) -> dict[str, str]:
    """What each text means that WordNet has as a word: "salmon, food fish: any of various large…".

    "to row" is looked up among the verbs first, all else among the nouns; texts of more than three
    words are taken for definitions themselves. The commonest meaning counts, with the first word
    of what it is a kind of.

    Raises:
        FileNotFoundError: `folder` lacks one of WordNet's files.
    """
    senses = load_senses(folder)
    synsets = {synset.key: synset for synset in load_synsets(folder)}
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
    """How often each word, in lower case, occurs in WordNet's sense-tagged texts; most do not.

    Raises:
        FileNotFoundError: `folder` lacks cntlist.rev.
    """
    counts: Counter[str] = Counter()
    for line in _read(Path(folder) / "cntlist.rev"):
        sense, _, count = line.split()
        counts[sense.split("%", 1)[0].replace("_", " ")] += int(count)
    return counts


def _read(path: Path) -> list[str]:
    if not path.is_file():
        raise FileNotFoundError(
            f"no WordNet database in {path.parent} ({path.name} is missing): install Debian's "
            "wordnet-base, or name the folder that holds data.noun"
        )
    return path.read_text(encoding="utf-8", errors="replace").splitlines()


def _parse(line: str) -> Synset:
    fields, gloss = line.split(" | ", 1)
    place, _, letter, count, *fields = fields.split()
    words, (count, *fields) = fields[: 2 * int(count, 16) : 2], fields[2 * int(count, 16) :]
    fields = fields[: 4 * int(count)]  # pointers; the frames of a verb come after them
    pointers = zip(fields[::4], fields[1::4], fields[2::4], strict=True)  # symbol, place, part
    above = (part + there for symbol, there, part in pointers if symbol in ("@", "@i"))
    # An adjective may carry the place it stands in: "galore(ip)".
    words = (word.split("(", 1)[0].replace("_", " ") for word in words)
    gloss = gloss.split('; "', 1)[0].strip().strip(";:").strip()
    return Synset(tuple(words), gloss, letter + place, tuple(above))


# ---- the texts -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Corpus:
    """The English to learn from."""

    # Lists of different texts: "captions", "parts" of them, "words", "phrases" and "glosses".
    texts: dict[str, list[str]]
    # Words as the tokenizer splits them, with what each is worth to its vocabulary.
    counts: Counter[str]


def load_corpus(
    captions: Sequence[str], wordnet: str | Path = WORDNET, common: Iterable[str] = ()
) -> Corpus:
    """Captions and their parts, and the words, phrases and short definitions of WordNet.

    Args:
        captions: captions of the training split only.
        wordnet: folder of WordNet's database files.
        common: words known to be common from elsewhere (see `common_words`). WordNet's own tagged
            texts are of the 1960s and know no robot; those of these words that it has are taken in.

    Raises:
        FileNotFoundError: WordNet is not in that folder.
    """
    synsets, tagged = load_synsets(wordnet), load_counts(wordnet)
    in_glosses = count_words(synset.gloss for synset in synsets)
    in_captions = count_words(captions)
    names = dict.fromkeys(word.lower() for synset in synsets for word in synset.words)
    # WordNet has 147,000 names, most of them Latin. A name that its tagged texts, its definitions
    # or a caption use is one that a person might type.
    # As spelled: "rob" is a common word, "Jones" a common name.
    common = set(common) & {word for synset in synsets for word in synset.words}
    words = [
        name
        for name in names
        if " " not in name
        and (name in common or tagged[name] or in_glosses[name] + in_captions[name] > 1)
    ]
    usual = set(words)
    texts = {
        "captions": _distinct(captions),
        "parts": _distinct(
            part.strip()
            for caption in captions
            for sense in senses(caption)
            for part in (sense, *sense.split(","))
        ),
        "words": words,
        "phrases": [name for name in names if " " in name and tagged[name]],
        "glosses": _distinct(
            synset.gloss
            for synset in synsets
            if len(synset.gloss.split()) < 10
            and any(word.lower() in usual for word in synset.words)
        ),
    }
    # Words of captions and words that are names count for more than other words of definitions.
    counts = Counter(in_glosses)
    for word, count in in_captions.items():
        counts[word] += 5 * count
    for name in words:
        for word in count_words([name]):
            counts[word] += 10 + min(tagged[name], 50) + 40 * (name in common)
    return Corpus(texts, counts)


def common_words(least: float = 2.75) -> list[str]:
    """English words of today, commonest first, as wordfreq counts them (Speer 2022).

    Args:
        least: on the Zipf scale, the base-10 logarithm of occurrences in a billion words: "the" has
            7.7, "salmon" 4.1, "heron" 3.2, "kohlrabi" 2.0.

    Raises:
        ValueError: wordfreq is not installed.
    """
    try:
        import wordfreq  # needed to train, not to generate
    except ModuleNotFoundError as error:
        raise ValueError("word frequencies are missing: pip install wordfreq") from error
    words = wordfreq.iter_wordlist("en")
    return list(takewhile(lambda word: wordfreq.zipf_frequency(word, "en") >= least, words))


def _distinct(texts: Iterable[str]) -> list[str]:
    return [text for text in dict.fromkeys(texts) if text]
