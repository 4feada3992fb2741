"""Sketches of the glyphs that a denoiser is trained on, as crude as those it will be shown.

Each glyph has some, which differ: its two parts as outlines put together, in proportions that
another character has them in; one of both alone; or the glyph as an unsteady hand would copy it.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from autoencoder.batches import choose, generator_of
from autoencoder.data.glyphs import GlyphRecord
from autoencoder.data.variations import bend, ink, wobble
from conditioning.parts import Composition, compositions
from diffusion.evaluation.parts import hidden_parts
from diffusion.inventions import sketcher

VARIANTS = 3  # sketches of a glyph
SHARES = {"parts": 0.6, "part": 0.1, "hand": 0.3}  # of each kind among them
LOOSE = 4.0  # how much further proportions and weight go astray than in drawing


def sketches_of(glyph: Tensor, character: str, place: int) -> Tensor:
    """The sketches of one glyph `(1, size, size)`, `(VARIANTS, 1, size, size)`.

    Args:
        glyph: in [0, 1], 1 = ink.
        character: what it is; "" for one without a code point, which only a hand can copy.
        place: a number of its own, which decides what is random.
    """
    kinds, found = list(SHARES), []
    whole = compositions().get(character)
    possible = whole is not None and sketcher().can(whole.kind, whole.first, whole.second)
    for variant in range(VARIANTS):
        generator = generator_of(place, variant)
        kind = kinds[int(choose(torch.tensor(list(SHARES.values())), 1, generator))]
        if kind == "hand" or not possible:
            found.append(copied(glyph[None], generator)[0])
        else:
            found.append(composed(whole, glyph.shape[-1], generator, alone=kind == "part"))
    return torch.stack(found)


def copied(glyphs: Tensor, generator: torch.Generator) -> Tensor:
    """Glyphs `(B, 1, H, W)` as a hand copies them: shaken, askew, with another pen."""
    shaken = wobble(glyphs, generator=generator)
    askew = bend(shaken, scale=0.08, shear=0.08, shift=0.03, generator=generator)
    return ink(ink(ink(askew, generator), generator), generator)


def composed(whole: Composition, size: int, generator: torch.Generator, alone: bool) -> Tensor:
    """The parts of a character put together, `(1, size, size)`, or one of them, in its place.

    None is cut from the character itself, where there are others: so each has to be put right.
    """
    seed, which = torch.randint(2**62, (2,), generator=generator).tolist()
    draw, (own, *_, kind, first, second) = np.random.default_rng(seed), whole
    inks = sketcher().inks(kind, first, second, draw, size, loose=LOOSE, without=own)
    parts = torch.from_numpy(np.stack(inks))[:, None]
    parts = bend(parts, scale=0.06, shear=0.03, shift=0.02, generator=generator)
    return parts[which % 2] if alone else parts.amax(dim=0)


# ---- what is never shown -------------------------------------------------------------------------


def parts_of(character: str) -> Iterator[str]:
    """A character and all parts that it has, at any depth."""
    yield character
    if whole := compositions().get(character):
        for part in {whole.first, whole.second} - {character, ""}:
            yield from parts_of(part)


def may_be_shown(glyph: GlyphRecord) -> bool:
    """Whether a glyph has none of the parts that the evaluation keeps for itself."""
    both = *parts_of(glyph.character), *parts_of(glyph.other)
    return hidden_parts().isdisjoint(both)
