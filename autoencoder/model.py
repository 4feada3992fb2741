"""The autoencoder: a glyph to a small latent grid and back (Rombach et al. 2022, section 3.1)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from autoencoder.blocks import ChannelNorm, Down, ResidualBlock, Up
from autoencoder.pretrained import Pretrained, check_bounds, fingerprint


@dataclass(frozen=True)
class AutoencoderConfig:
    """Settings of an autoencoder, saved as `config.json` beside its weights.

    Attributes:
        image_size: height and width of a glyph, in pixels.
        latent_channels: channels of the latent grid.
        stem: pixels on a side of the patch folded into channels at the first layer.
        widths: channels at each resolution, finest first; each halves the one before.
        encoder_blocks, decoder_blocks: residual blocks at each of those resolutions.
        latent_mean, latent_std: per-channel statistics of the raw latents over the training set.
    """

    image_size: int = 128
    latent_channels: int = 8
    stem: int = 8
    widths: tuple[int, ...] = (160, 320)
    encoder_blocks: tuple[int, ...] = (3, 5)
    decoder_blocks: tuple[int, ...] = (7, 4)
    latent_mean: tuple[float, ...] = (0.0,) * 8
    latent_std: tuple[float, ...] = (1.0,) * 8

    def __post_init__(self) -> None:
        """Raises ValueError, in one line, for settings that make no autoencoder."""
        check_bounds(self)
        levels = len(self.widths)
        if not len(self.encoder_blocks) == len(self.decoder_blocks) == levels > 0:
            raise ValueError("widths, encoder_blocks and decoder_blocks must be of one length")
        if not len(self.latent_mean) == len(self.latent_std) == self.latent_channels:
            raise ValueError("latent_mean and latent_std need one number a latent channel")
        if min(self.latent_channels, self.stem, *self.widths) < 1:
            raise ValueError("latent_channels, stem and widths must be at least 1")
        if min(*self.encoder_blocks, *self.decoder_blocks) < 0:
            raise ValueError("encoder_blocks and decoder_blocks must be at least 0")
        if min(self.latent_std) <= 0:
            raise ValueError("latent_std must be above 0")
        if self.image_size < 1 or self.image_size % (self.stem * 2 ** (levels - 1)):
            raise ValueError(f"image_size {self.image_size} does not divide into latent cells")

    @property
    def latent_size(self) -> int:
        """Height and width of the latent grid, in cells."""
        return self.image_size // (self.stem * 2 ** (len(self.widths) - 1))


class Encoder(nn.Module):
    """Glyphs `(B, 1, 128, 128)` to the mean and log-variance of raw latents, `(B, 2·8, 8, 8)`."""

    def __init__(self, config: AutoencoderConfig) -> None:
        super().__init__()
        widths, blocks = config.widths, config.encoder_blocks
        layers: list[nn.Module] = [Down(1, widths[0], config.stem, kernel=3)]
        for level, width in enumerate(widths):
            layers += [ResidualBlock(width) for _ in range(blocks[level])]
            if level + 1 < len(widths):
                layers.append(Down(width, widths[level + 1]))
        head = nn.Conv2d(widths[-1], 2 * config.latent_channels, 3, padding=1)
        layers += [ChannelNorm(widths[-1]), head]
        self.layers = nn.Sequential(*layers)

    def forward(self, glyphs: Tensor) -> Tensor:
        return self.layers(glyphs)


class Decoder(nn.Module):
    """Raw latents `(B, 8, 8, 8)` to logits of ink, `(B, 1, 128, 128)`."""

    def __init__(self, config: AutoencoderConfig) -> None:
        super().__init__()
        widths, blocks = config.widths[::-1], config.decoder_blocks[::-1]
        layers: list[nn.Module] = [nn.Conv2d(config.latent_channels, widths[0], 3, padding=1)]
        for level, width in enumerate(widths):
            layers += [ResidualBlock(width) for _ in range(blocks[level])]
            if level + 1 < len(widths):
                layers.append(Up(width, widths[level + 1]))
        layers += [ChannelNorm(widths[-1]), Up(widths[-1], 1, config.stem, kernel=3)]
        self.layers = nn.Sequential(*layers)

    def forward(self, z: Tensor) -> Tensor:
        return self.layers(z)


class Autoencoder(Pretrained):
    """Encoder, decoder, and the one place where latents are normalised.

    Raw latents are those of the networks; latents have zero mean and unit variance per channel, by
    the statistics in the config. Outside this class there are only latents.
    """

    config_class = AutoencoderConfig
    bundled = Path(__file__).parent / "weights"

    def __init__(self, config: AutoencoderConfig | None = None) -> None:
        super().__init__(config)
        self.encoder = Encoder(self.config)
        self.decoder = Decoder(self.config)
        self.initialize_weights()
        # Convolutions on a CPU run faster with the channels last in memory.
        self.to(memory_format=torch.channels_last)

    def initialize_weights(self) -> None:
        """Convolutions keep the variance of their input; each residual branch starts at zero."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="linear")
                nn.init.zeros_(module.bias)
        for module in self.modules():
            if isinstance(module, ResidualBlock):
                nn.init.zeros_(module.contract.weight)

    def encode_raw(self, glyphs: Tensor) -> tuple[Tensor, Tensor]:
        """Glyphs `(B, 1, 128, 128)` in [0, 1] to mean and log-variance, raw `(B, 8, 8, 8)` each."""
        mean, logvar = self.encoder(2 * glyphs - 1).chunk(2, dim=1)
        return mean, logvar.clamp(-20, 5)

    def decode_raw(self, z: Tensor) -> Tensor:
        """Raw latents `(B, 8, 8, 8)` to logits of ink `(B, 1, 128, 128)`."""
        return self.decoder(z)

    def encode(self, glyphs: Tensor) -> Tensor:
        """Glyphs `(B, 1, 128, 128)` in [0, 1] to latents `(B, 8, 8, 8)`: the mean, normalised."""
        mean, _ = self.encode_raw(glyphs)
        shift, scale = self._statistics(mean)
        return (mean - shift) / scale

    def decode(self, latents: Tensor) -> Tensor:
        """Latents `(B, 8, 8, 8)` to glyphs `(B, 1, 128, 128)` in [0, 1], 1 = ink."""
        shift, scale = self._statistics(latents)
        return self.decode_raw(latents * scale + shift).sigmoid()

    def refine(self, glyphs: Tensor, steps: int = 30, rate: float = 0.1) -> Tensor:
        """Latents that decode nearer to the glyphs than those of `encode`, by descent from these.

        A few steps of Adam on binary cross-entropy improve on one pass of the encoder, most for the
        densest characters (semi-amortised inference, Kim et al. 2018,
        https://arxiv.org/abs/1802.02550). Each costs a decoding and its gradient; its size falls
        from `rate` to zero.

        Glyphs `(B, 1, 128, 128)` in [0, 1] to latents `(B, 8, 8, 8)`.
        """
        latents = self.encode(glyphs)
        with torch.inference_mode(False), torch.enable_grad():
            glyphs, latents = glyphs.clone(), latents.detach().clone().requires_grad_()
            optimizer = torch.optim.Adam([latents], betas=(0.5, 0.9))  # few steps: a short memory
            shift, scale = self._statistics(latents)
            for step in range(steps):
                logits = self.decode_raw(latents * scale + shift)
                loss = F.binary_cross_entropy_with_logits(logits, glyphs, reduction="sum")
                (latents.grad,) = torch.autograd.grad(loss, latents)  # none for the weights
                optimizer.param_groups[0]["lr"] = rate * (1 - step / steps)
                optimizer.step()
        return latents.detach()

    def _statistics(self, like: Tensor) -> tuple[Tensor, Tensor]:
        values = like.new_tensor([self.config.latent_mean, self.config.latent_std])
        shift, scale = rearrange(values, "s c -> s c 1 1")
        return shift, scale

    @property
    def fingerprint(self) -> str:
        """A hash, in hex, of what decides latents: the encoder, and all settings but the decoder's.

        A decoder that is deeper, or trained further, leaves cached latents valid.
        """
        no_decoder = (0,) * len(self.config.widths)
        return fingerprint(replace(self.config, decoder_blocks=no_decoder), self.encoder)
