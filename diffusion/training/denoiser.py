"""Stage two under Lightning: latents and words in, a denoiser out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from einops import rearrange
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import WeightAveraging
from torch import Tensor

from autoencoder.batches import draw_for, is_exporter, randn, step_generator
from autoencoder.model import Autoencoder
from autoencoder.optim import muon_for
from autoencoder.pretrained import read_model
from conditioning.encoder import TextEncoder
from diffusion.condition import Condition
from diffusion.networks.base import Denoiser
from diffusion.networks.dit import DiT, DiTConfig
from diffusion.networks.unet import UNet, UNetConfig
from diffusion.pipeline import GlyphPipeline
from diffusion.process import PROCESSES, Network, known
from diffusion.training.loss import TIMES, WEIGHTINGS, denoising_loss

DENOISERS: dict[str, type[Denoiser]] = {"dit": DiT, "unet": UNet}
PROMPTS = ("gold", "fish", "disease", "bamboo")  # of the pictures in the log


def average(decay: float) -> Callable[[list[Tensor], list[Tensor], Tensor], None]:
    """Exponential moving average of weights, short at first: min(decay, (1 + n) / (10 + n))."""

    def update(averages: list[Tensor], weights: list[Tensor], count: Tensor) -> None:
        n = float(count)
        torch._foreach_lerp_(averages, weights, 1 - min(decay, (1 + n) / (10 + n)))

    return update


class EMA(WeightAveraging):
    """Lightning's weight averaging with an exponential average and a warm-up.

    Args:
        decay: share of the average that a step keeps, after the warm-up.
    """

    def __init__(self, decay: float = 0.995) -> None:
        super().__init__(multi_avg_fn=average(decay), use_buffers=False)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        # Lightning makes the copy before the model has moved to its device, and would leave it.
        self._average_model.to(pl_module.device)

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        # Lightning does so where a training ends, but not where one resumes from its last step.
        self._copy_average_to_current(pl_module)


class DiffusionModule(LightningModule):
    """Trains a denoiser and writes it to `out`, with its encoders unless they are the shipped ones.

    The matrices inside its blocks are trained with Muon, the rest with AdamW.

    Args:
        denoiser: "unet", or "dit" for the transformer.
        dit, unet: settings of each, the process and the prediction among them; only those of the
            chosen one count.
        times: "logit_normal" or "uniform", the distribution of the times of a batch.
        weighting: "uniform" or "min_snr", the weight of the error at each time.
        learning_rate: of Muon.
        adam_learning_rate: of AdamW.
        warmup_steps: steps until both rates have risen to their peak.
        cooldown: share of the steps, at the end, over which both fall to zero.
        start: folder of a denoiser to start from, whose kind and settings then count.
        compile: train with torch.compile, which takes a minute or two at the start.
        seed: of the times and the noise.
        out: folder for the finished pipeline.
    """

    def __init__(
        self,
        denoiser: str = "unet",
        dit: DiTConfig = DiTConfig(),
        unet: UNetConfig = UNetConfig(),
        times: str = "logit_normal",
        weighting: str = "uniform",
        learning_rate: float = 5e-3,
        adam_learning_rate: float = 1e-3,
        warmup_steps: int = 50,
        cooldown: float = 0.6,
        start: Path | None = None,
        compile: bool = True,
        seed: int = 0,
        out: Path = Path(".runs/diffusion/export"),
    ) -> None:
        super().__init__()
        self.save_hyperparameters(ignore=["dit", "unet"])
        for kind, name, names in (
            ("denoiser", denoiser, DENOISERS),
            ("distribution of times", times, TIMES),
            ("weighting", weighting, WEIGHTINGS),
        ):
            known(kind, name, names)
        self.times = TIMES[times]
        if start:
            self.denoiser = read_model(start, *DENOISERS.values()).train()
        else:
            self.denoiser = DENOISERS[denoiser]({"dit": dit, "unet": unet}[denoiser])
        if self.denoiser.config.flow_map:
            raise ValueError("a flow map learns from its teacher alone: train_student.py trains it")

    def on_fit_start(self) -> None:
        data = self.trainer.datamodule
        self.denoiser.config = replace(
            self.denoiser.config,
            autoencoder=data.autoencoder.fingerprint,
            text_encoder=data.text_encoder.fingerprint,
        )
        # Training alone: validation and the pictures have other shapes, each compiled again.
        self.predict = self.denoiser.forward  # a function, so that no weights are saved twice
        if self.hparams.compile:
            self.predict = torch.compile(self.predict, dynamic=False)

    def check_encoders(self, autoencoder: Autoencoder, text_encoder: TextEncoder) -> None:
        """Raises ValueError where the denoiser does not fit these encoders."""
        for name, made in (
            ("text_width", text_encoder.dim),
            ("latent_channels", autoencoder.config.latent_channels),
            ("latent_size", autoencoder.config.latent_size),
        ):
            mine = getattr(self.denoiser.config, name)
            if mine != made:
                advice = f"set --model.{self.hparams.denoiser}.{name} {made}"
                if self.hparams.start:
                    advice = "name the encoders that it was trained with, or start from nothing"
                raise ValueError(
                    f"the denoiser has a {name} of {mine} and its encoder makes {made}: {advice}"
                )

    def training_step(self, batch: tuple[Tensor, Condition], batch_idx: int) -> Tensor:
        x_0, trainer = batch[0], self.trainer
        generator = step_generator(trainer, self.hparams.seed, batch_idx)
        t = draw_for(trainer, len(x_0), partial(self.times, generator=generator))
        noise = draw_for(trainer, len(x_0), partial(randn, x_0.shape[1:], generator))
        loss = self.loss(self.predict, batch, t, noise, self.hparams.weighting)
        self.log("train/loss", loss, prog_bar=True, sync_dist=True)
        return loss

    def validation_step(self, batch: tuple[Tensor, Condition], batch_idx: int) -> None:
        x_0 = batch[0]
        generator = torch.Generator().manual_seed(batch_idx)  # the same noise every time
        t = self.times(len(x_0), generator)
        noise = torch.randn(x_0.shape, generator=generator)
        loss = self.loss(self.denoiser, batch, t, noise, "uniform")
        self.log("val/loss", loss, prog_bar=True, sync_dist=True, batch_size=len(x_0))

    def loss(
        self,
        network: Network,
        batch: tuple[Tensor, Condition],
        t: Tensor,
        noise: Tensor,
        weighting: str,
    ) -> Tensor:
        """The mean loss of a network over latents and conditions, at these times and noise."""
        x_0, condition = batch
        t, noise, config = t.to(x_0), noise.to(x_0), self.denoiser.config
        process = PROCESSES[config.process]
        return denoising_loss(
            network, process, config.prediction, x_0, condition, t, noise, weighting
        ).mean()

    def on_validation_epoch_start(self) -> None:
        # At the start and not at the end, where the callback has put the plain weights back.
        log = getattr(self.logger, "experiment", None)
        if not self.trainer.is_global_zero or not hasattr(log, "add_image"):
            return
        glyphs = self.pipeline()(list(PROMPTS), num_images_per_prompt=8, output_type="pt").images
        grid = rearrange(1 - glyphs, "(p n) c h w -> c (p h) (n w)", p=len(PROMPTS))
        log.add_image(" | ".join(PROMPTS), grid, self.global_step)

    def pipeline(self) -> GlyphPipeline:
        """The denoiser as it is now, with the encoders it is trained on."""
        data = self.trainer.datamodule
        pipeline = GlyphPipeline(data.autoencoder, data.text_encoder, self.denoiser)
        return pipeline.to(self.device)

    def configure_optimizers(self) -> dict:
        return muon_for(self, self.denoiser.hidden_matrices())

    def on_fit_end(self) -> None:
        if is_exporter(self.trainer):
            print(f"wrote {self.pipeline().save_pretrained(self.hparams.out)}")
