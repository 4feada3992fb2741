"""What a denoiser hears of a prompt: a radical before the words, a layout behind, embedded."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from conditioning import TextEncoder
from conditioning.prompts import Prompt
from conditioning.radicals import RADICALS, find_radical
from diffusion.guidance import Words
from diffusion.prior import RadicalPrior
from diffusion.request import AUTO, NONE, conjuncts


def hear(
    texts: Sequence[str],
    seeds: Sequence[int],
    text_encoder: TextEncoder,
    prior: RadicalPrior | None,
    radical: str,
    layout: str,
) -> list[str]:
    """Texts, one a seed, as a denoiser hears them; `GlyphPipeline.hear` says what they become."""
    pooled: dict[str, Tensor] = {}

    def named(words: str, seed: int) -> str:
        if radical == NONE or (radical == AUTO and prior is None):
            return words
        if radical != AUTO:
            return find_radical(radical).before(words)
        if words not in pooled:  # each by itself, so that its company changes nothing
            pooled[words] = text_encoder.pool(*text_encoder([words]))[0]
        return RADICALS[prior.choose(pooled[words], seed) - 1].before(words)

    def heard(part: str, seed: int) -> str:
        own = Prompt.parse(part)
        return str(Prompt(named(own.words, seed), own.layout or ("" if layout == NONE else layout)))

    return [
        " AND ".join(heard(part, seed) for part in conjuncts(text))
        for text, seed in zip(texts, seeds, strict=True)
    ]


def embed(text_encoder: TextEncoder, prompts: Sequence[Sequence[str]]) -> Words:
    """Embedding `(B, N, D)` and mask `(B, N)` of prompts, each made of one or several texts.

    The tokens of one text follow those of another. Every text is embedded once, and by itself, so
    that its company changes nothing.
    """
    rows = {text: i for i, text in enumerate(dict.fromkeys(t for texts in prompts for t in texts))}
    embedding, mask = text_encoder(list(rows), batch_size=1)
    tokens = [
        torch.cat([embedding[rows[text], mask[rows[text]]] for text in texts]) for texts in prompts
    ]
    lengths = torch.tensor([len(each) for each in tokens], device=mask.device)
    padded = pad_sequence(tokens, batch_first=True)
    return padded, torch.arange(padded.shape[1], device=mask.device) < lengths[:, None]
