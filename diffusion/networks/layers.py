"""The pieces that both denoisers are built from."""

from __future__ import annotations

import math

import torch
from einops import rearrange
from torch import Tensor, nn

from diffusion.networks.attention import attention


class TimeEmbedding(nn.Module):
    """Times `(B,)` in [0, 1] to features `(B, width)`: sines and cosines, then two layers."""

    def __init__(self, width: int, frequencies: int = 128) -> None:
        super().__init__()
        # On the CPU also where weights are yet to be loaded and the device is "meta".
        octaves = torch.linspace(0, math.log(1000), frequencies, device="cpu")
        self.register_buffer("frequencies", octaves.exp(), persistent=False)
        self.layers = nn.Sequential(
            nn.Linear(2 * frequencies, width), nn.SiLU(), nn.Linear(width, width)
        )

    def forward(self, t: Tensor) -> Tensor:
        angles = t[:, None] * self.frequencies
        return self.layers(torch.cat([angles.cos(), angles.sin()], dim=1))


def mean_word(embedding: Tensor, mask: Tensor) -> Tensor:
    """The mean of the real words of each caption, `(B, N, D)` to `(B, D)`."""
    real = mask[:, :, None].to(embedding)
    return (embedding * real).sum(1) / real.sum(1)


def rotary_angles(size: int, head_width: int) -> Tensor:
    """Angles of rotary positions on a square grid, `(size², head_width / 2)`.

    Half of the pairs of features turn with the row and half with the column, each pair at its own
    speed (Su et al. 2021, https://arxiv.org/abs/2104.09864, along two axes).
    """
    pairs = head_width // 4
    speeds = (-math.log(100) * torch.arange(pairs, device="cpu") / max(1, pairs - 1)).exp()
    turns = torch.arange(size, device="cpu")[:, None] * speeds
    rows = turns[:, None].expand(size, size, -1)
    columns = turns[None].expand(size, size, -1)
    return rearrange(torch.cat([rows, columns], dim=-1), "h w c -> (h w) c")


def rotate(x: Tensor, angles: Tensor) -> Tensor:
    """Turns each pair of features of `(B, L, H, C)` by the angles `(L, C / 2)`."""
    a, b = x.chunk(2, dim=-1)
    cos, sin = angles.cos()[:, None], angles.sin()[:, None]
    return torch.cat([a * cos - b * sin, a * sin + b * cos], dim=-1)


class Attention(nn.Module):
    """Attention of tokens `(B, L, width)`, queries and keys normalised.

    Among themselves with `self_attention(x, angles)`, turned by their places on the grid, and to
    words `(B, N, width)` with `cross_attention(x, words=words, mask=mask)`; words that are only
    padding are never seen.
    """

    def __init__(self, width: int, head_width: int) -> None:
        super().__init__()
        self.head_width = head_width
        self.q, self.k, self.v = (nn.Linear(width, width, bias=False) for _ in range(3))
        self.norm_q, self.norm_k = nn.RMSNorm(head_width), nn.RMSNorm(head_width)
        self.out = nn.Linear(width, width)

    def forward(
        self,
        x: Tensor,
        angles: Tensor | None = None,
        words: Tensor | None = None,
        mask: Tensor | None = None,
    ) -> Tensor:
        source = x if words is None else words
        q, k, v = (
            rearrange(project(x), "b l (h c) -> b l h c", c=self.head_width)
            for project, x in ((self.q, x), (self.k, source), (self.v, source))
        )
        q, k = self.norm_q(q), self.norm_k(k)
        if angles is not None:
            q, k = rotate(q, angles), rotate(k, angles)
        return self.out(rearrange(attention(q, k, v, mask), "b l h c -> b l (h c)"))
