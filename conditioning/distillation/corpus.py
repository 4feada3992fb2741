"""The English that the bundled T5 learns from: captions, and the words and glosses of WordNet."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

from conditioning.distillation.vocabulary import count_words
from conditioning.prompts import senses
from conditioning.sources.wordnet import WORDNET, load_counts, load_synsets


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
    """
    synsets, tagged = load_synsets(wordnet).values(), load_counts(wordnet)
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
