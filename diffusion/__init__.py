"""Latents: noise to a latent grid, given words.

`GlyphPipeline` is imported on first use, so that checking a request does not cost an import of
torch.
"""

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from diffusion.pipeline import GlyphPipeline

# Threads of PyTorch that wait for one another spin. Beside a busy core they spin in the way of what
# they wait for, and a call takes many times as long; so only for a moment, and then they sleep.
# GNU's OpenMP reads this when torch is imported.
os.environ.setdefault("GOMP_SPINCOUNT", "1000")

__all__ = ["GlyphPipeline"]


def __getattr__(name: str) -> Any:
    if name == "GlyphPipeline":
        from diffusion.pipeline import GlyphPipeline

        return GlyphPipeline
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
