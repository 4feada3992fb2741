"""The tokenizer of the bundled T5: a unigram vocabulary over plain, lower-case English."""

import string
import tempfile
from collections import Counter
from collections.abc import Iterable
from functools import cache
from math import log
from pathlib import Path

from tokenizers import Regex, Tokenizer, decoders, normalizers, pre_tokenizers, processors
from tokenizers.models import Unigram

END = "</s>"  # ids 0, 1 and 2 are <pad>, </s> and <unk>, as in every T5
REQUIRED = string.ascii_lowercase + string.digits + string.punctuation
SHARE = 0.1  # of the vocabulary, that SentencePiece fills
CANDIDATES = 20_000  # words, and parts of words, to learn from: more only cost time


def train_tokenizer(counts: Counter[str], size: int, share: float = SHARE) -> Tokenizer:
    """Learns a unigram vocabulary (Kudo 2018, arXiv:1804.10959) of whole words and word pieces.

    SentencePiece alone seldom makes a piece of a word that is part of no other, however frequent it
    is ("mermaid" becomes four pieces). So it learns the parts, and the commonest words that it
    would take apart join the vocabulary whole.

    Args:
        counts: words, as `count_words` splits them, with how often each occurs.
        size: tokens in the vocabulary, the three special ones included.
        share: how much of the vocabulary SentencePiece fills.

    Raises:
        ValueError: the words cannot fill, or do not fit into, a vocabulary of that size.
    """
    parts = _train_pieces(counts, round(size * share))
    known = {piece for piece, _ in parts}
    # Ties are broken by the alphabet, so that the same counts always give the same vocabulary.
    ranking = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    whole = [("▁" + word, log(count / counts.total())) for word, count in ranking]
    words = [item for item in whole if item[0] not in known][: size - len(parts)]
    if len(parts) + len(words) < size:
        raise ValueError(f"{len(counts)} words are too few for a vocabulary of {size} tokens")
    return _build([*parts, *words])


def _train_pieces(counts: Counter[str], size: int) -> list[tuple[str, float]]:
    """SentencePiece's unigram pieces with their log probabilities, the special tokens first."""
    import sentencepiece  # needed to train, not to generate

    with tempfile.TemporaryDirectory() as folder:
        table = Path(folder) / "words.tsv"
        common = sorted(counts, key=lambda word: (-counts[word], word))[:CANDIDATES]
        lines = (f"{word}\t{counts[word]}\n" for word in common)
        table.write_text("".join(lines), encoding="utf-8")
        try:
            sentencepiece.SentencePieceTrainer.train(
                input=str(table),
                input_format="tsv",
                model_prefix=str(table.with_suffix("")),
                model_type="unigram",
                vocab_size=size,
                character_coverage=1.0,
                normalization_rule_name="identity",  # count_words has normalised already
                pad_id=0,
                eos_id=1,
                unk_id=2,
                bos_id=-1,
                num_threads=1,
                seed_sentencepiece_size=CANDIDATES,
                required_chars=REQUIRED,
                minloglevel=2,
            )
        except RuntimeError as error:
            raise ValueError(f"no vocabulary of {size} tokens from these words: {error}") from error
        pieces = sentencepiece.SentencePieceProcessor(model_file=str(table.with_suffix(".model")))
        return [(pieces.id_to_piece(i), pieces.get_score(i)) for i in range(len(pieces))]


def count_words(texts: Iterable[str]) -> Counter[str]:
    """The words of texts, normalised and split exactly as the tokenizer will see them."""
    normalizer, splitter = _normalizer(), _splitter()
    words: Counter[str] = Counter()
    for text in texts:
        for word, _ in splitter.pre_tokenize_str(normalizer.normalize_str(text)):
            words[word] += 1
    return words


@cache
def _normalizer() -> normalizers.Normalizer:
    return normalizers.Sequence(
        [
            normalizers.Nmt(),  # control characters out, every kind of space to a space
            normalizers.NFKD(),
            normalizers.StripAccents(),
            normalizers.Lowercase(),
        ]
    )


@cache
def _splitter() -> pre_tokenizers.PreTokenizer:
    # Punctuation and digits stand alone, so that "gold;" and "sea-monster" use the pieces of
    # "gold", "sea" and "monster", and no piece is spent on a word with its comma.
    return pre_tokenizers.Sequence(
        [
            pre_tokenizers.WhitespaceSplit(),
            pre_tokenizers.Punctuation(),
            pre_tokenizers.Split(Regex(r"\d"), "isolated"),
        ]
    )


def _build(vocabulary: list[tuple[str, float]]) -> Tokenizer:
    tokenizer = Tokenizer(Unigram(vocabulary, unk_id=2))
    tokenizer.normalizer = _normalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([_splitter(), pre_tokenizers.Metaspace()])
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"$A {END}", special_tokens=[(END, 1)]
    )
    return tokenizer
