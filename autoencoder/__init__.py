"""Pixels: a glyph to a small latent grid and back."""

from autoencoder.model import Autoencoder, AutoencoderConfig

__all__ = ["Autoencoder", "AutoencoderConfig"]
