"""Latents: noise to a latent grid, given words.

`GlyphPipeline` is imported on first use, so that checking a request does not cost an import of
torch.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from diffusion.pipeline import GlyphPipeline

__all__ = ["GlyphPipeline"]


def __getattr__(name: str) -> Any:
    if name == "GlyphPipeline":
        from diffusion.pipeline import GlyphPipeline

        return GlyphPipeline
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
