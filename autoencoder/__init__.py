"""Pixels: a glyph to a small latent grid and back.

`Autoencoder` is imported on first use, so that writing a file does not cost an import of torch.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from autoencoder.model import Autoencoder, AutoencoderConfig

__all__ = ["Autoencoder", "AutoencoderConfig"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        from autoencoder import model

        return getattr(model, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
