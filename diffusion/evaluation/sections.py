"""The figures of an evaluation, each a function that can judge what any program drew.

Glyphs are float tensors `(N, 1, 128, 128)` in [0, 1], 1 = ink, features `(N, D)`, and radicals
`(N,)`, 1 to 214.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict

import torch
from torch import Tensor

from autoencoder import Autoencoder
from autoencoder.data.glyphs import GlyphRecord
from autoencoder.loss import Perceptual
from autoencoder.similarity import peak_signal_to_noise, stroke_iou, structural_similarity
from conditioning import TextEncoder
from diffusion.evaluation.distances import frechet_distance, kernel_distance, overlap
from diffusion.pipeline import GlyphPipeline
from diffusion.process import PROCESSES, denoising_loss

STROKES = (1, 6, 10, 14, 18, 22, 26)  # where each class of density begins
NEAR_COPY = 0.8  # stroke IoU from which a glyph counts as a copy of another
TIMES = (0.1, 0.3, 0.5, 0.7, 0.9)  # of the denoising loss

Advance = Callable[[int], object]
Progress = Callable[[str, int], AbstractContextManager[Advance]]


def no_progress(what: str, total: int) -> AbstractContextManager[Advance]:
    """Shows nothing."""
    return nullcontext(lambda done: None)


def spread(size: int, count: int) -> Tensor:
    """`count` rows of `size`, or all where there are not so many, evenly spaced and in order."""
    return torch.linspace(0, size - 1, min(count, size)).long()


# ---- reconstruction ------------------------------------------------------------------------------


@torch.inference_mode()
def reconstruct(
    autoencoder: Autoencoder, glyphs: Tensor, advance: Advance, refined: bool = False
) -> Tensor:
    """Glyphs encoded, in one pass or `refined` by gradient descent, and decoded, on the CPU."""
    device = next(autoencoder.parameters()).device
    encode = autoencoder.refine if refined else autoencoder.encode
    decoded = []
    for batch in glyphs.split(64):
        decoded.append(autoencoder.decode(encode(batch.to(device))).cpu())
        advance(len(batch))
    return torch.cat(decoded)


def reconstruction(
    glyphs: Tensor, decoded: Tensor, strokes: Sequence[int], lpips: Perceptual | None = None
) -> dict[str, dict]:
    """PSNR in dB, SSIM, stroke IoU and LPIPS of decoded glyphs: of all, and by stroke count."""
    measures = {
        "psnr": peak_signal_to_noise(decoded, glyphs),
        "ssim": structural_similarity(decoded, glyphs),
        "iou": stroke_iou(decoded, glyphs),
    }
    if lpips is not None:
        pairs = zip(decoded.split(64), glyphs.split(64), strict=True)
        measures["lpips"] = torch.cat([lpips(*pair) for pair in pairs])
    counts = torch.tensor(strokes)

    def row(chosen: Tensor) -> dict:
        means = {name: float(values[chosen].mean()) for name, values in measures.items()}
        worst = float(measures["psnr"][chosen].min())
        return {"glyphs": int(chosen.sum()), **means, "worst_psnr": worst}

    rows = {"all": row(counts >= 0)}
    for least, beyond in zip(STROKES, (*STROKES[1:], None), strict=True):
        chosen = (counts >= least) & (counts < (beyond or 1000))
        if chosen.any():
            rows[f"{least} to {beyond - 1} strokes" if beyond else f"{least} and more"] = row(
                chosen
            )
    return rows


def legibility(characters: Sequence[str], before: Sequence[str], after: Sequence[str]) -> dict:
    """Of the characters that were read rightly before decoding, the share that still are."""
    readings = zip(characters, before, after, strict=True)
    known = [now == character for character, then, now in readings if then == character]
    share = sum(known) / len(known) if known else None
    return {"shown": len(characters), "read": len(known), "share": share}


# ---- sets of glyphs ------------------------------------------------------------------------------


def distribution(features: Tensor, reference: Tensor) -> dict[str, float]:
    """Distances and overlaps of a set of glyphs and a reference set, by their features."""
    return {
        "frechet": frechet_distance(features, reference),
        "kernel": kernel_distance(features, reference),
        **asdict(overlap(features, reference)),
    }


def novelty(iou: Tensor, exist: Tensor | None = None) -> dict[str, float | None]:
    """What stroke IoUs of glyphs with their nearest training glyph, `(N,)`, come to.

    `exist` says which of the glyphs a recogniser takes for a character, `(N,)`.
    """
    return {
        "exist": None if exist is None else float(exist.double().mean()),
        "mean": float(iou.mean()),
        "highest": float(iou.max()),
        "near_copies": float((iou >= NEAR_COPY).double().mean()),
    }


# ---- words ---------------------------------------------------------------------------------------


def adherence(read: Tensor, asked: Tensor) -> float:
    """The share of glyphs whose radical, as read, is the one asked for."""
    return float((read == asked).double().mean())


def radicals_of(records: Sequence[GlyphRecord]) -> Tensor:
    """The radical of each glyph, `(N,)`."""
    return torch.tensor([record.radical for record in records])


def commonest(radicals: Tensor, count: int) -> list[int]:
    """The radicals that occur most often, the commonest first."""
    return radicals.bincount(minlength=215).argsort(descending=True, stable=True)[:count].tolist()


@torch.inference_mode()
def pooled(encoder: TextEncoder, captions: Sequence[str], advance: Advance) -> Tensor:
    """One embedding a caption, `(N, D)`, on the CPU; captions of a length are embedded together."""
    order = sorted(range(len(captions)), key=lambda i: len(captions[i]))
    parts = []
    for start in range(0, len(order), 128):
        batch = order[start : start + 128]
        parts.append(encoder.pool(*encoder([captions[i] for i in batch])).cpu())
        advance(len(batch))
    return torch.cat(parts)[torch.tensor(order).argsort()]


# ---- overfitting ---------------------------------------------------------------------------------


@torch.inference_mode()
def losses_by_time(
    pipe: GlyphPipeline, glyphs: Tensor, captions: Sequence[str], advance: Advance
) -> list[float]:
    """The training loss at each of `TIMES`, over glyphs with their captions, under fixed noise."""
    generator = torch.Generator().manual_seed(0)
    config = pipe.denoiser.config
    model = pipe.denoiser, PROCESSES[config.process], config.prediction
    totals = torch.zeros(len(TIMES), dtype=torch.float64)
    for start in range(0, len(glyphs), 64):
        latents = pipe.autoencoder.encode(glyphs[start : start + 64].to(pipe.device))
        words = pipe.text_encoder(list(captions[start : start + 64]))
        noise = torch.randn(latents.shape, generator=generator).to(latents)
        for i, value in enumerate(TIMES):
            t = latents.new_full((len(latents),), value)
            totals[i] += denoising_loss(*model, latents, *words, t, noise).cpu().sum()
        advance(len(latents))
    return (totals / len(glyphs)).tolist()
