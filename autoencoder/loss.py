"""The loss of the autoencoder: reconstruction, perception and a small KL divergence."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor

log = logging.getLogger(__name__)

Perceptual = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class LossConfig:
    """Weights of the terms, which are sums over a glyph and means over the batch.

    Attributes:
        perceptual: "edges", which needs no network; "alex", "vgg" or "squeeze" for LPIPS with
            that backbone, which torchvision downloads once; "none".
        perceptual_weight: its weight.
        kl_weight: of the Kullback-Leibler divergence to a standard normal.
        noise: standard deviation of the noise in the latents, in units of the encoder's own. Below
            1, a decoder trained alone draws sharper.
        jitter: the most standard deviation of more of it, in units of the latents' own, at random
            for each glyph: a denoiser's latents are a little off, and a decoder that has not
            learnt to put them right draws edges that waver.
        wobble: the most standard deviation, in pixels, of a deformation of what the encoder sees,
            at random for each glyph, so that the decoder learns to draw edges straight, and on the
            pixels where the font's hints put them.
    """

    perceptual: str = "edges"
    perceptual_weight: float = 0.3
    kl_weight: float = 0.1
    noise: float = 1.0
    jitter: float = 0.0
    wobble: float = 0.0


def reconstruction_loss(logits: Tensor, glyphs: Tensor) -> Tensor:
    """Binary cross-entropy in nats a glyph, averaged over the batch; both `(B, 1, H, W)`."""
    return F.binary_cross_entropy_with_logits(logits, glyphs, reduction="sum") / len(glyphs)


def kl_loss(mean: Tensor, logvar: Tensor) -> Tensor:
    """KL(N(mean, exp(logvar)) || N(0, 1)) in nats a glyph (Kingma and Welling 2014, appendix B)."""
    return 0.5 * (mean.square() + logvar.exp() - 1 - logvar).sum() / len(mean)


def edge_loss(images: Tensor, glyphs: Tensor) -> Tensor:
    """Differences between neighbouring pixels compared at three scales, a sum a glyph.

    It penalises what pixel-wise terms hardly do: strokes that fade, or melt into one. Both
    arguments are `(B, 1, H, W)` in [0, 1].
    """
    total = images.new_zeros(())
    for _ in range(3):
        for dim in (-1, -2):
            total = total + (images.diff(dim=dim) - glyphs.diff(dim=dim)).abs().sum()
        images, glyphs = F.avg_pool2d(images, 2), F.avg_pool2d(glyphs, 2)
    return total / len(images)


def lpips_distance(name: str) -> Perceptual:
    """LPIPS with the backbone "alex", "vgg" or "squeeze", one number a glyph, `(B,)`.

    Zhang et al. 2018 (https://arxiv.org/abs/1801.03924). Raises ImportError without the package
    lpips, and OSError where torchvision cannot fetch the backbone.
    """
    import lpips

    network = lpips.LPIPS(net=name, verbose=False).eval().requires_grad_(False)

    def distance(images: Tensor, glyphs: Tensor) -> Tensor:
        network.to(images.device)
        rgb = (images.expand(-1, 3, -1, -1), glyphs.expand(-1, 3, -1, -1))
        return network(*rgb, normalize=True).flatten()

    return distance


def perceptual_loss(name: str) -> Perceptual:
    """The perceptual term called `name`, or "edges" with a warning where LPIPS is unavailable.

    LPIPS is scaled by the number of pixels, as the other terms are sums over them. Raises
    ValueError for an unknown name.
    """
    if name == "none":
        return lambda images, glyphs: images.new_zeros(())
    if name == "edges":
        return edge_loss
    if name not in ("alex", "vgg", "squeeze"):
        raise ValueError(f'no perceptual term "{name}": alex, vgg, squeeze, edges or none')
    try:
        distance = lpips_distance(name)
    except (ImportError, OSError) as error:  # URLError is an OSError
        log.warning("LPIPS (%s) is unavailable (%s): using edges instead", name, error)
        return edge_loss
    return lambda images, glyphs: distance(images, glyphs).mean() * images[0].numel()


def autoencoder_loss(
    logits: Tensor,
    glyphs: Tensor,
    mean: Tensor,
    logvar: Tensor,
    config: LossConfig,
    perceptual: Perceptual,
) -> tuple[Tensor, dict[str, Tensor]]:
    """The weighted sum, and its terms by name for the log, each a scalar."""
    reconstruction = reconstruction_loss(logits, glyphs)
    perception = perceptual(logits.sigmoid(), glyphs)
    kl = kl_loss(mean, logvar)
    total = reconstruction + config.perceptual_weight * perception + config.kl_weight * kl
    return total, {"reconstruction": reconstruction, "perceptual": perception, "kl": kl}
