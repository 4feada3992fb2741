"""A step of each training, timed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from autoencoder import Autoencoder
from autoencoder.loss import LossConfig, autoencoder_loss, perceptual_loss
from autoencoder.optim import Muon, pointwise
from diffusion.benchmark import timing
from diffusion.networks.base import DenoiserConfig
from diffusion.pipeline import GlyphPipeline
from diffusion.process import PROCESSES, denoising_loss, logit_normal_times

WORDS = 24  # tokens of a training batch, as `CaptionMix.longest` pads them all


@dataclass(frozen=True)
class Training:
    """A training on one batch of `batch` samples."""

    network: nn.Module
    optimizer: torch.optim.Optimizer
    loss: Callable[[], Tensor]
    batch: int

    def step(self) -> None:
        """Forward, backward and the optimiser's step."""
        self.optimizer.zero_grad()
        self.loss().backward()
        self.optimizer.step()


def denoiser_inputs(
    config: DenoiserConfig, batch: int, words: int, device: torch.device
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Latents, times, embedding and mask, as a denoiser is called with them."""
    size = config.latent_size
    return (
        timing.random(0, batch, config.latent_channels, size, size, device=device),
        logit_normal_times(batch, torch.Generator().manual_seed(1)).to(device),
        timing.random(2, batch, words, config.text_width, device=device),
        torch.ones(batch, words, dtype=torch.bool, device=device),
    )


def stage_one(pipe: GlyphPipeline, batch: int) -> Training:
    """Our autoencoder, with the perceptual term that needs no network and with Muon."""
    config, device = pipe.autoencoder.config, pipe.device
    network = timing.untrained(lambda: Autoencoder(config), device).train()
    shape = batch, 1, config.image_size, config.image_size
    glyphs = timing.random(0, *shape, device=device).sigmoid()
    terms = LossConfig(perceptual="edges")
    edges = perceptual_loss(terms.perceptual)

    def loss() -> Tensor:
        mean, logvar = network.encode_raw(glyphs)
        z = mean + (0.5 * logvar).exp() * timing.random(1, *mean.shape, device=device)
        return autoencoder_loss(network.decode_raw(z), glyphs, mean, logvar, terms, edges)[0]

    return Training(network, Muon(pointwise(network), network.parameters()), loss, batch)


def stage_two(
    make: type[nn.Module],
    config: DenoiserConfig,
    batch: int,
    device: torch.device,
    muon: bool = False,
) -> Training:
    """Our denoiser or another of its shape, with AdamW or with Muon."""
    denoiser = timing.untrained(lambda: make(config), device).train()
    x_0, t, embedding, mask = denoiser_inputs(config, batch, WORDS, device)
    noise = timing.random(3, *x_0.shape, device=device)
    optimizer = torch.optim.AdamW(denoiser.parameters(), lr=1e-4)
    if muon:
        optimizer = Muon(denoiser.hidden_matrices(), denoiser.parameters())

    def loss() -> Tensor:
        process = PROCESSES[config.process]
        return denoising_loss(
            denoiser, process, config.prediction, x_0, embedding, mask, t, noise
        ).mean()

    return Training(denoiser, optimizer, loss, batch)


def rated(
    trainings: dict[str, Training], repeats: int, matrix: int, device: torch.device
) -> dict[str, dict]:
    """Samples a second of each, and its FLOP/s as a share of what matrix products reach.

    The products take turns with the steps, so that a share compares what the same machine did
    under the same load.
    """
    calls = {name: one.step for name, one in trainings.items()}
    calls["matmul"] = timing.matmul(matrix, device)
    flops = {name: timing.count_flops(call) for name, call in calls.items()}
    times = timing.side_by_side(calls, repeats, device)
    rates = {name: flops[name] / times[name] for name in calls}
    return {
        name: {
            "parameters": timing.parameters(one.network),
            "optimizer": type(one.optimizer).__name__,
            "batch": one.batch,
            "step_s": times[name],
            "samples_per_s": one.batch / times[name],
            "gflop_per_sample": flops[name] / one.batch / 1e9,
            "matmul_gflop_per_s": rates["matmul"] / 1e9,
            "matmul_share": rates[name] / rates["matmul"],
        }
        for name, one in trainings.items()
    }
