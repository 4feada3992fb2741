"""One attention call for every network: PyTorch's, or xFormers' on CUDA where it is asked for."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

BACKENDS = ("sdpa", "xformers")
_backend = "sdpa"


def set_backend(name: str) -> None:
    """Chooses what computes attention from here on, in this process.

    Args:
        name: "sdpa", PyTorch's own, on any device; or "xformers", its `memory_efficient_attention`,
            on CUDA alone.

    Raises ValueError for another name, and where xFormers or a CUDA device is missing.
    """
    global _backend
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
    """Scaled dot-product attention, `(B, L, H, C)` for queries and `(B, N, H, C)` for the rest.

    `mask` `(B, N)` is True where a key is real; a row of it must hold at least one True. Returns
    `(B, L, H, C)`. Raises ValueError where xFormers has no kernel for what it is given.
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
    """The formula itself (Vaswani et al. 2017, https://arxiv.org/abs/1706.03762, equation 1).

    On a CPU the backward pass of PyTorch's kernel takes many times as long as its forward pass;
    scores of a few dozen keys can as well be kept.
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
