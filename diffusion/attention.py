"""One attention call for every network: PyTorch's, or xFormers' on CUDA where it is asked for."""

from __future__ import annotations

import torch.nn.functional as F
from einops import rearrange
from torch import Tensor


def attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Tensor:
    """Scaled dot-product attention, `(B, L, H, C)` for queries and `(B, N, H, C)` for the rest.

    `mask` `(B, N)` is True where a key is real; a row of it must hold at least one True. Returns
    `(B, L, H, C)`.
    """
    q, k, v = (rearrange(x, "b n h c -> b h n c") for x in (q, k, v))
    if mask is not None:
        mask = rearrange(mask, "b n -> b 1 1 n")
    out = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
    return rearrange(out, "b h n c -> b n h c")
