"""Random variations of glyphs, as by pens and printers, that readers are trained to ignore.

Glyphs are `(B, 1, H, W)` in [0, 1], 1 = ink, before and after; None is the global generator.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor


def uniform(low: float, high: float, *shape: int, generator: torch.Generator | None) -> Tensor:
    """Uniform random numbers, on the CPU."""
    return low + (high - low) * torch.rand(shape, generator=generator)


def bend(
    glyphs: Tensor,
    scale: float = 0.12,
    shear: float = 0.1,
    shift: float = 0.06,
    generator: torch.Generator | None = None,
) -> Tensor:
    """An affine map of each glyph.

    `scale` and `shear` bound the entries of its matrix around the identity, and `shift` how far a
    glyph moves, as a part of its size.
    """
    count = len(glyphs)
    matrix = torch.eye(2).expand(count, 2, 2).clone()
    bounds = torch.tensor([[scale, shear], [shear, scale]])
    matrix += bounds * uniform(-1, 1, count, 2, 2, generator=generator)
    move = uniform(-2 * shift, 2 * shift, count, 2, 1, generator=generator)
    maps = torch.cat([matrix, move], dim=2).to(glyphs)
    grid = F.affine_grid(maps, list(glyphs.shape), align_corners=False)
    return F.grid_sample(glyphs, grid, align_corners=False)


def ink(glyphs: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Strokes thickened or thinned by up to a pixel a side."""
    amount = uniform(-1, 1, len(glyphs), 1, 1, 1, generator=generator).to(glyphs)
    thick, thin = F.max_pool2d(glyphs, 3, 1, 1), -F.max_pool2d(-glyphs, 3, 1, 1)
    return glyphs + amount.clamp_min(0) * (thick - glyphs) - amount.clamp_max(0) * (thin - glyphs)


def smear(
    glyphs: Tensor,
    blur: float = 2.0,
    noise: float = 0.15,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Blur and noise, still in [0, 1].

    `blur` is the largest width, in pixels, and `noise` the largest standard deviation.
    """
    count = len(glyphs)
    sigma = uniform(0.1, blur, count, 1, generator=generator)
    radius = math.ceil(2 * blur)
    taps = torch.exp(-0.5 * (torch.arange(-radius, radius + 1) / sigma).square())
    taps = (taps / taps.sum(dim=1, keepdim=True)).to(glyphs)  # (B, K)
    x = glyphs.transpose(0, 1)  # (1, B, H, W): a group of the convolution for each glyph
    x = F.conv2d(x, taps[:, None, None, :], padding=(0, radius), groups=count)
    x = F.conv2d(x, taps[:, None, :, None], padding=(radius, 0), groups=count)
    speckle = uniform(0, noise, count, 1, 1, 1, generator=generator)
    speckle = speckle * torch.randn(glyphs.shape, generator=generator)
    return (x.transpose(0, 1) + speckle.to(glyphs)).clamp(0, 1)


def vary(glyphs: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """`bend` and `ink`, and `smear` for half of the glyphs."""
    glyphs = ink(bend(glyphs, generator=generator), generator)
    smeared = (torch.rand(len(glyphs), 1, 1, 1, generator=generator) < 0.5).to(glyphs.device)
    return torch.where(smeared, smear(glyphs, generator=generator), glyphs)


def wobble(
    glyphs: Tensor, way: float = 4.0, grid: int = 6, generator: torch.Generator | None = None
) -> Tensor:
    """An elastic deformation, as by hand (Simard et al. 2003, section 2).

    A `grid` of random moves, smooth in between; `way` bounds their standard deviation, in pixels,
    which differs from glyph to glyph.
    """
    return move(glyphs, moves(way, grid, generator, len(glyphs)))


def moves(way: float, grid: int, generator: torch.Generator | None, count: int) -> Tensor:
    """The random moves of `wobble`, across and down, in pixels, `(count, 2, grid, grid)`."""
    deviation = uniform(0, way, count, 1, 1, 1, generator=generator)
    return deviation * torch.randn(count, 2, grid, grid, generator=generator)


def move(glyphs: Tensor, moves: Tensor) -> Tensor:
    """Each place shows what was `moves` pixels away, `(B, 2, grid, grid)`, bicubic in between."""
    height, width = glyphs.shape[2:]
    moves = moves * torch.tensor([2 / width, 2 / height])[:, None, None]  # the image is 2 wide
    moves = F.interpolate(moves.to(glyphs), (height, width), mode="bicubic", align_corners=True)
    still = torch.eye(2, 3).expand(len(glyphs), 2, 3).to(glyphs)
    places = F.affine_grid(still, list(glyphs.shape), align_corners=False)
    places = places + rearrange(moves, "b xy h w -> b h w xy")
    return F.grid_sample(glyphs, places, align_corners=False)
