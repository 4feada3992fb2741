"""Training of the prior, in seconds: every text of a glyph, with its radical."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from autoencoder.data.glyphs import GlyphRecord
from diffusion.prior import PriorConfig, RadicalPrior
from diffusion.training.captions import CaptionMix, MoreWords, captions_of


def expected_counts(
    records: Sequence[GlyphRecord], mix: CaptionMix, more: MoreWords
) -> tuple[list[str], Tensor]:
    """How often each text goes with each radical when every glyph is drawn once.

    Returns:
        texts, each once, and counts `(len(texts), 214)`: the average of a `CaptionMix` without its
        empty captions, its names before others, its layouts, and its longest length.
    """
    counts: Counter[tuple[str, int]] = Counter()
    for record in records:
        texts = captions_of(record, more)
        for name, share in mix.shares(texts).items():
            for text in texts[name]:
                counts[text, record.radical] += share / len(texts[name])
    texts = list(dict.fromkeys(text for text, _ in counts))
    places = {text: i for i, text in enumerate(texts)}
    table = torch.zeros(len(texts), PriorConfig.radicals)
    for (text, radical), count in counts.items():
        table[places[text], radical - 1] = count
    return texts, table


def fit_prior(
    pooled: Tensor,
    counts: Tensor,
    config: PriorConfig,
    epochs: int = 12,
    batch_size: int = 1024,
    learning_rate: float = 2e-3,
    weight_decay: float = 0.1,
    noise: float = 0.5,
    seed: int = 0,
    progress: Callable[[int], object] = lambda texts: None,
) -> RadicalPrior:
    """A prior that predicts the radicals of texts, by cross-entropy with `counts`.

    Texts are few, so it is regularised by dropout, noise on the embeddings and weight decay.

    Args:
        pooled: embeddings of the texts `(B, D)`.
        counts: how often each goes with each radical, `(B, 214)`.
        config: of the prior; its `text_width` is D.
        epochs: passes over the texts.
        batch_size: texts a step.
        learning_rate: of AdamW, at the start; it falls linearly to zero.
        weight_decay: of AdamW.
        noise: standard deviation of the noise on the standardised embeddings.
        seed: of the weights, the order and the noise; the global random state stays as it was.
        progress: called with the number of texts of each step.
    """
    mean, std = pooled.mean(dim=0), pooled.std(dim=0)
    std = torch.where(std > 1e-3, std, 1.0)  # what never varies would be all rounding error
    pooled = (pooled - mean) / std
    steps = epochs * -(-len(pooled) // batch_size)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        prior = RadicalPrior(config).train()
        optimizer = torch.optim.AdamW(prior.parameters(), learning_rate, weight_decay=weight_decay)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 - step / steps)
        for _ in range(epochs):
            for rows in torch.randperm(len(pooled)).split(batch_size):
                seen = pooled[rows] + noise * torch.randn(len(rows), pooled.shape[1])
                loss = -(counts[rows] * prior(seen).log_softmax(dim=1)).sum() / counts[rows].sum()
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                schedule.step()
                progress(len(rows))
    first = prior.layers[0]
    with torch.no_grad():  # so that it reads embeddings as they are
        first.weight /= std
        first.bias -= first.weight @ mean
    prior.log_frequency = log_frequency(counts)
    return prior.eval()


def log_frequency(counts: Tensor) -> Tensor:
    """`log p(radical)` `(214,)` of counts `(B, 214)`, each radical counted once more."""
    met = counts.sum(dim=0) + 1
    return (met / met.sum()).log()
