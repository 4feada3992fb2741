"""The measures of an evaluation, and what they mean. Each can judge what any program drew.

Reconstruction: how near decoded glyphs come to what was encoded (PSNR, SSIM, stroke IoU, LPIPS),
and whether an OCR engine and the `RadicalReader` still read what they read before.

Distribution: how alike two sets of glyphs are in the features of the `RadicalReader`. The Fréchet
and the kernel distance are small for sets alike. Precision and density fall where samples look like
no real glyph, recall and coverage where kinds of real glyphs are missing. Two draws from one source
do not reach zero, and the smaller the sets the less, so other real glyphs, at the same counts, are
the floor. Samples share the captions of the held-out glyphs, and so can come nearer to them than
that. A copycat submits training glyphs, and so measures best against those. No figure compares with
one in the features of another network.

Adherence: the share of samples whose radical, as the reader names it, is the one that was asked
for; for an everyday word, any of those in `words.tsv`. The floor always names one radical. The
ceiling is the reader's accuracy on real glyphs, and for captions that of a linear probe on the
words. A sample's layout is that of the real character nearest to it, by the recogniser.

Parts: the share of samples in which the `PartReader`, which has never learnt from anything drawn,
finds the part that was asked for, the radical, and both. The ceiling is what it finds in held-out
characters of a radical and a part.

Novelty: a sample exists where the recogniser takes it for a training glyph; for held-out glyphs,
that is its error. It is a near copy where its stroke IoU with a training glyph, at the best of all
shifts of up to 4 pixels, is 0.8 or more. Real characters are often that near to each other.

Overfitting: the training loss on training glyphs and on held-out ones.

Glyphs are float tensors `(N, 1, 128, 128)` in [0, 1], 1 = ink, features `(N, D)`, and radicals
`(N,)`, 1 to 214.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from autoencoder.data.glyphs import GlyphDataset, GlyphRecord
from autoencoder.loss import Perceptual
from autoencoder.model import Autoencoder
from autoencoder.readers.reader import PartReader
from autoencoder.similarity import peak_signal_to_noise, stroke_iou, structural_similarity
from conditioning.encoder import TextEncoder
from diffusion.condition import Condition
from diffusion.pipeline import GlyphPipeline
from diffusion.training.loss import denoising_loss

STROKES = (1, 6, 10, 14, 18, 22, 26)  # where each class of density begins
NEAR_COPY = 0.8  # stroke IoU from which a glyph counts as a copy of another
TIMES = (0.1, 0.3, 0.5, 0.7, 0.9)  # of the denoising loss

Advance = Callable[[int], object]


def spread(size: int, count: int) -> Tensor:
    """`count` rows of `size`, or all where there are fewer, evenly spaced and in order."""
    return torch.from_numpy(np.linspace(0, size - 1, min(count, size)).astype(int))


def ink(glyphs: GlyphDataset) -> Tensor:
    """All glyphs as booleans `(N, 1, H, W)`, True = ink."""
    return torch.cat([glyphs.images(rows) > 0.5 for rows in torch.arange(len(glyphs)).split(1024)])


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
    counts = torch.as_tensor(strokes)
    classes = {"all": counts >= 0}
    for least, beyond in pairwise(STROKES):
        classes[f"{least} to {beyond - 1} strokes"] = (least <= counts) & (counts < beyond)
    classes[f"{STROKES[-1]} and more"] = counts >= STROKES[-1]
    return {
        name: {
            "glyphs": int(chosen.sum()),
            **{measure: float(values[chosen].mean()) for measure, values in measures.items()},
            "worst_psnr": float(measures["psnr"][chosen].min()),
        }
        for name, chosen in classes.items()
        if chosen.any()
    }


def legibility(characters: Sequence[str], before: Sequence[str], after: Sequence[str]) -> dict:
    """Of the characters that were read correctly before decoding, the share that still are."""
    readings = zip(characters, before, after, strict=True)
    known = [now == character for character, then, now in readings if then == character]
    share = sum(known) / len(known) if known else None
    return {"shown": len(characters), "read": len(known), "share": share}


# ---- distribution --------------------------------------------------------------------------------


def distribution(features: Tensor, reference: Tensor) -> dict[str, float]:
    """Distances and overlaps of a set of glyphs and a reference set."""
    return {
        "frechet": frechet_distance(features, reference),
        "kernel": kernel_distance(features, reference),
        **overlap(features, reference),
    }


def frechet_distance(a: Tensor, b: Tensor) -> float:
    """Fréchet distance of the normal distributions fitted to two sets, at least 0.

    `|m_a - m_b|² + tr(C_a + C_b - 2 (C_a C_b)^½)` (Dowson and Landau 1982; Heusel et al. 2017,
    https://arxiv.org/abs/1706.08500, equation 6), in float64. Raises ValueError for a set with no
    more glyphs than features, whose covariance is not of full rank.
    """
    a, b = _enough(a, b, a.shape[1] + 1, f"a Fréchet distance over {a.shape[1]} features")
    mean = (a.mean(dim=0) - b.mean(dim=0)).square().sum()
    cov_a, cov_b = a.T.cov(), b.T.cov()
    values, vectors = torch.linalg.eigh(cov_a)
    root = (vectors * values.clamp_min(0).sqrt()) @ vectors.T
    # The eigenvalues of root C_b root are those of C_a C_b, and it is symmetric.
    cross = torch.linalg.eigvalsh(root @ cov_b @ root).clamp_min(0).sqrt().sum()
    return max(0.0, float(mean + cov_a.trace() + cov_b.trace() - 2 * cross))


def kernel_distance(a: Tensor, b: Tensor) -> float:
    """Squared maximum mean discrepancy under the kernel `(x·y / D + 1)³`, unbiased.

    Bińkowski et al. 2018 (https://arxiv.org/abs/1801.01401, equation 4), over whole sets and in
    float64. It is zero on average for two draws from one source, and so can be a little below zero.
    Raises ValueError for fewer than two glyphs.
    """
    a, b = _enough(a, b, 2, "a kernel distance")

    def kernel(x: Tensor, y: Tensor) -> Tensor:
        return (x @ y.T / x.shape[1] + 1) ** 3

    def within(x: Tensor) -> Tensor:
        k = kernel(x, x)
        return (k.sum() - k.trace()) / (len(x) * (len(x) - 1))

    return float(within(a) + within(b) - 2 * kernel(a, b).mean())


def overlap(generated: Tensor, real: Tensor, k: int = 5) -> dict[str, float]:
    """Precision and recall (Kynkäänniemi et al. 2019), density and coverage (Naeem et al. 2020).

    A glyph's neighbourhood is the ball to its k-th nearest neighbour in its own set
    (https://arxiv.org/abs/2002.09797, equations 1, 2, 5 and 7). Raises ValueError for sets of no
    more than k glyphs.

    Returns:
        precision: share of the generated glyphs in some real glyph's neighbourhood.
        recall: share of the real glyphs in some generated glyph's neighbourhood.
        density: how many real neighbourhoods a generated glyph is in, over the number expected; it
            can exceed 1, and unlike precision it forgives a stray real glyph.
        coverage: share of the real glyphs with a generated one in their neighbourhood.
    """
    generated, real = _enough(generated, real, k + 1, f"neighbourhoods of {k}")

    def distances(x: Tensor, y: Tensor) -> Tensor:
        # By differences, as the rounding of a product moves a glyph away from its own copy.
        return torch.cdist(x, y, compute_mode="donot_use_mm_for_euclid_dist")

    def radius(x: Tensor) -> Tensor:
        return distances(x, x).kthvalue(k + 1, dim=1).values  # the nearest is the glyph itself

    apart = distances(generated, real)  # (N, M)
    in_real = apart <= radius(real)
    in_generated = apart <= radius(generated)[:, None]
    return {
        "precision": share(in_real.any(dim=1)),
        "recall": share(in_generated.any(dim=0)),
        "density": float(in_real.double().sum(dim=1).mean() / k),
        "coverage": share(in_real.any(dim=0)),
    }


def _enough(a: Tensor, b: Tensor, least: int, what: str) -> tuple[Tensor, Tensor]:
    """Both sets in float64. Raises ValueError where one has fewer than `least` glyphs."""
    if (count := min(len(a), len(b))) < least:
        raise ValueError(f"{what} needs {least} glyphs on each side at least: there are {count}")
    return a.double(), b.double()


# ---- adherence -----------------------------------------------------------------------------------


def share(right: Tensor) -> float:
    """The share of booleans that are true."""
    return float(right.double().mean())


def radicals_of(records: Sequence[GlyphRecord]) -> Tensor:
    """The radical of each glyph, `(N,)`."""
    return torch.tensor([record.radical for record in records])


def commonest(radicals: Tensor, count: int) -> list[int]:
    """The radicals that occur most often, the commonest first."""
    return radicals.bincount(minlength=215).argsort(descending=True, stable=True)[:count].tolist()


def presence(
    judge: PartReader,
    glyphs: Tensor,
    radicals: Sequence[Sequence[str]],
    parts: Sequence[Sequence[str]],
) -> dict[str, float]:
    """In how many glyphs the judge finds the radical, the part, and both, each in any of its forms.

    What it does not know, it does not find.
    """

    def finds(row: list[bool], forms: Sequence[str]) -> bool:
        return any(row[place] for form in forms if (place := judge.place(form)) is not None)

    if not len(glyphs):
        return {"glyphs": 0}
    rows = zip(judge.read(glyphs).tolist(), radicals, parts, strict=True)
    seen = torch.tensor([(finds(row, radical), finds(row, part)) for row, radical, part in rows])
    radical, part = map(share, seen.T)
    return {"glyphs": len(glyphs), "radical": radical, "part": part, "both": share(seen.all(dim=1))}


def precision_and_recall(found: Tensor, truth: Tensor) -> dict[str, float]:
    """Of labels `(N, L)` bool: over all of them at once, and the means over labels ("macro").

    A label that was never found has no precision, one that no glyph has no recall.
    """
    right, found, truth = (found & truth).sum(dim=0), found.sum(dim=0), truth.sum(dim=0)
    return {
        "precision": float(right.sum() / found.sum()),
        "recall": float(right.sum() / truth.sum()),
        "macro precision": float((right / found)[found > 0].mean()),
        "macro recall": float((right / truth)[truth > 0].mean()),
    }


@torch.inference_mode()
def pooled(encoder: TextEncoder, captions: Sequence[str], advance: Advance) -> Tensor:
    """One embedding per caption, `(N, D)`, on the CPU; captions of similar length share a batch."""
    order = torch.tensor(sorted(range(len(captions)), key=lambda i: len(captions[i])))
    parts = []
    for batch in order.split(128):
        parts.append(encoder.pool(*encoder([captions[i] for i in batch])).cpu())
        advance(len(batch))
    return torch.cat(parts)[order.argsort()]


# ---- novelty and overfitting ---------------------------------------------------------------------


def novelty(iou: Tensor, exist: Tensor | None = None) -> dict[str, float | None]:
    """Summary of the stroke IoUs of glyphs with their nearest training glyph, `(N,)`.

    `exist` says which of the glyphs a recogniser takes for a character, `(N,)`.
    """
    return {
        "exist": None if exist is None else share(exist),
        "mean": float(iou.mean()),
        "highest": float(iou.max()),
        "near_copies": share(iou >= NEAR_COPY),
    }


@torch.inference_mode()
def losses_by_time(
    pipe: GlyphPipeline, glyphs: Tensor, captions: Sequence[str], advance: Advance
) -> list[float]:
    """The training loss at each of `TIMES`, over glyphs with their captions, under fixed noise."""
    generator = torch.Generator().manual_seed(0)
    model = pipe.denoiser, pipe.process, pipe.denoiser.config.prediction
    totals = torch.zeros(len(TIMES), dtype=torch.float64)
    for start in range(0, len(glyphs), 64):
        latents = pipe.autoencoder.encode(glyphs[start : start + 64].to(pipe.device))
        words = Condition(*pipe.text_encoder(list(captions[start : start + 64])))
        noise = torch.randn(latents.shape, generator=generator).to(latents)
        for i, value in enumerate(TIMES):
            t = latents.new_full((len(latents),), value)
            totals[i] += denoising_loss(*model, latents, words, t, noise).cpu().sum()
        advance(len(latents))
    return (totals / len(glyphs)).tolist()
