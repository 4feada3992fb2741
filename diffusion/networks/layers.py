"""The pieces that both denoisers are built from."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from diffusion.process import column

BACKENDS = ("sdpa", "xformers")
_backend = "sdpa"


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


class LeapEmbedding(nn.Module):
    """Leaps `(B, 2)`, as a `Condition` has them, to features `(B, width)`: zeros at first.

    Two embeddings as of a time: one of the length, and one of a third of the scale's binary
    logarithm, which is in [0, 1] too (Meng et al. 2022, https://arxiv.org/abs/2210.03142).
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.length, self.scale = TimeEmbedding(width), TimeEmbedding(width)

    def initialize_weights(self) -> None:
        """The last layers start at zero, so that a denoiser becomes a flow map as it is."""
        for embedding in (self.length, self.scale):
            nn.init.zeros_(embedding.layers[-1].weight)
            nn.init.zeros_(embedding.layers[-1].bias)

    def forward(self, leap: Tensor) -> Tensor:
        length, scale = leap.unbind(dim=1)
        return self.length(length) + self.scale(scale.log2() / 3)


def guided(out: Tensor, guide: Tensor, leap: Tensor) -> Tensor:
    """`out + (w - 1) guide`, of one shape, with the scales `w` of leaps `(B, 2)`.

    Guidance is linear in its scale, and far greater than what norms let one output grow to.
    """
    return out + (column(leap[:, 1], out) - 1) * guide


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


def set_backend(name: str) -> None:
    """What computes attention from here on: "sdpa", PyTorch's own, or "xformers", on CUDA alone.

    Raises ValueError for another name, and where xFormers or a CUDA device is missing.
    """
    global _backend
    name = name.lower()
    if name not in BACKENDS:
        raise ValueError(f'no attention "{name}": there are {", ".join(BACKENDS)}')
    if name == "xformers":
        if not torch.cuda.is_available():
            raise ValueError("xFormers needs a CUDA device, and there is none: use sdpa")
        try:
            from xformers.ops import memory_efficient_attention  # noqa: F401
        except ImportError:
            raise ValueError("xFormers is not installed: pip install xformers") from None
    _backend = name


def attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Tensor:
    """Attention of queries `(B, L, H, C)` to keys and values `(B, N, H, C)`, as `(B, L, H, C)`.

    `mask` `(B, N)` is True where a key is real, at least once a row. Raises ValueError where
    xFormers has no kernel for what it is given.
    """
    return (_xformers if _backend == "xformers" else _sdpa)(q, k, v, mask)


def _sdpa(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
    q, k, v = (rearrange(x, "b n h c -> b h n c") for x in (q, k, v))
    if mask is not None:
        mask = rearrange(mask, "b n -> b 1 1 n")
    if q.device.type == "cpu" and q.requires_grad:
        out = _plain(q, k, v, mask)
    else:
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
    return rearrange(out, "b h n c -> b n h c")


def _plain(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
    """Vaswani et al. 2017 (https://arxiv.org/abs/1706.03762), equation 1.

    On a CPU, PyTorch's kernel takes many times as long backwards as forwards.
    """
    scores = (q * q.shape[-1] ** -0.5) @ k.mT
    if mask is not None:
        scores = scores.masked_fill(~mask, -torch.inf)
    return scores.softmax(dim=-1).to(v) @ v


def _xformers(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
    from xformers.ops import memory_efficient_attention

    # Under autocast a norm leaves float32 beside bfloat16, which its kernels do not mix.
    q, k = q.to(v), k.to(v)
    try:
        return memory_efficient_attention(q, k, v, attn_bias=_bias(q, mask))
    except NotImplementedError:  # its long report of each kernel
        raise ValueError(f"xFormers has no kernel for {q.dtype} on {q.device}: use sdpa") from None


def _bias(q: Tensor, mask: Tensor | None) -> Tensor | None:
    """A mask `(B, N)` as what is added to scores, `(B, H, L, N)`: 0 for a real key, else -inf.

    xFormers wants every row of it to start at a multiple of 8 numbers.
    """
    if mask is None:
        return None
    batch, length, heads, _ = q.shape
    keys = mask.shape[1]
    bias = q.new_zeros(batch, heads, length, -(-keys // 8) * 8)[..., :keys]
    return bias.masked_fill_(rearrange(~mask, "b n -> b 1 1 n"), -torch.inf)


class Attention(nn.Module):
    """Attention of tokens `(B, L, width)`, queries and keys normalised.

    `self_attention(x, angles)` is among the tokens, turned by their places on the grid, and
    `cross_attention(x, words=words, mask=mask)` is to words `(B, N, width)` that are not padding.
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
