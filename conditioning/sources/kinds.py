"""Everyday words by the radical that a scribe could give them: a heron is a kind of bird, so 鳥.

Characters, and so definitions, are few. WordNet knows 131 usual words for kinds of birds: a
denoiser that meets them in training is conditioned on "flamingo" as it is on "heron", though no
definition has the former.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from conditioning.distillation.corpus import load_corpus
from conditioning.sources.tables import KINDS, write_table
from conditioning.sources.wordnet import WORDNET, load_senses, load_synsets

# By radical, the meanings of WordNet whose kinds are written with it: word, part of speech, sense.
# What lies below two of them belongs to the nearer: a horse is a beast, and written as a horse.
ROOTS = Path(__file__).with_name("kinds_roots.tsv")


def build_kinds(
    captions: Sequence[str], wordnet: Path = WORDNET, path: Path = KINDS, roots: Path = ROOTS
) -> int:
    """Writes the table that `load_kinds` reads, and returns its number of rows.

    Of WordNet's 147,000 names it has those that a person might type (see `load_corpus`), each under
    its commonest meaning, and no proper names.

    Args:
        captions: captions of the training split.
        wordnet: folder of WordNet's database files.
        path: the table to write.
        roots: for each radical, the meanings whose kinds are written with it.
    """
    texts = load_corpus(captions, wordnet).texts
    usual = {*texts["words"], *texts["phrases"]}
    senses, synsets = load_senses(wordnet), load_synsets(wordnet)
    numbers: dict[str, set[int]] = defaultdict(set)  # radicals by the key of a meaning
    for line in roots.read_text("utf-8").splitlines():
        number, *meanings = line.split("\t")
        for meaning in meanings:
            word, part, sense = meaning.rsplit(".", 2)
            numbers[senses[word.replace("_", " "), part][int(sense) - 1]].add(int(number))
    found = dict(numbers)

    def below(key: str) -> set[int]:
        """The radicals of a meaning, or of the nearest above it."""
        if key not in found:
            found[key] = set()  # for now: it ends a circle
            found[key] = found[key].union(*map(below, synsets[key].above))
        return found[key]

    def commonest(word: str, part: str) -> str | None:
        """The key of the first meaning of a word, names such as Heron of Alexandria's aside."""
        keys = senses.get((word, part), ())
        return next((key for key in keys if word in synsets[key].words), None)

    lines = []
    for key, synset in synsets.items():
        words = [word for word in synset.words if word in usual and key == commonest(word, key[0])]
        words = [f"to {word}" if key[0] == "v" else word for word in words]
        if words:
            lines += ["\t".join([str(number), *words]) for number in sorted(below(key))]
    write_table(path, lines)
    return len(lines)
