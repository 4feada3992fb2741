"""Training of the autoencoder under Lightning."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
import torch.nn.functional as F
from lightning.pytorch import LightningDataModule, LightningModule
from torch import Tensor
from torch.utils.data import ConcatDataset, DataLoader, Dataset

from autoencoder.batches import (
    Draw,
    SeededBatches,
    choose,
    draw_for,
    is_exporter,
    randn,
    step_generator,
)
from autoencoder.data.glyphs import GlyphDataset, load_splits
from autoencoder.data.variations import move, moves
from autoencoder.loss import LossConfig, autoencoder_loss, perceptual_loss
from autoencoder.model import Autoencoder, AutoencoderConfig
from autoencoder.optim import muon_for, pointwise
from autoencoder.similarity import peak_signal_to_noise

MOST_WORKERS = 256


class GlyphData(LightningDataModule):
    """The glyphs that `scripts/prepare_data.py` drew, in batches `(B, 1, 128, 128)`.

    Args:
        folder: where they are.
        more: further folders of glyphs to train on, such as characters without a definition;
            characters held out in `folder` are left out.
        batch_size: glyphs a step and process.
        density: glyphs are drawn with a chance in proportion to their strokes to this power. 0
            draws all alike, each once an epoch.
        shift: the most pixels that a training glyph is moved by, at random, along each axis.
        pressed: part of the training glyphs to press into one image with another, and part of
            those to press once more, for parts that are smaller and denser than in the data.
        num_workers: loading processes; reading a memory map needs none.
        seed: of the order of the glyphs and how they are varied.
    """

    def __init__(
        self,
        folder: Path = Path(".data"),
        more: tuple[Path, ...] | Path = (),
        batch_size: int = 32,
        density: float = 1.5,
        shift: int = 4,
        pressed: float = 0.2,
        num_workers: int = 0,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if not 0 <= num_workers <= MOST_WORKERS:
            raise ValueError(f"{num_workers} loading processes: take 0 to {MOST_WORKERS}")
        self.save_hyperparameters()

    def setup(self, stage: str) -> None:
        size = self.trainer and self.trainer.lightning_module.autoencoder.config.image_size
        self.sources, self.test = load_splits(self.hparams.folder, self.hparams.more, size)

    def _loader(self, dataset: Dataset, **options) -> DataLoader:
        workers = self.hparams.num_workers
        return DataLoader(dataset, num_workers=workers, persistent_workers=workers > 0, **options)

    def train_dataloader(self) -> DataLoader:
        own = self.hparams
        strokes = torch.tensor([one.strokes for source in self.sources for one in source.records])
        weights = strokes.double() ** own.density
        rows = weights if own.density else len(weights)
        batches = SeededBatches(rows, own.batch_size, own.seed, self.trainer)
        varied = VariedGlyphs(ConcatDataset(self.sources), weights, own.shift, own.pressed)
        return self._loader(varied, batch_sampler=batches)

    def val_dataloader(self) -> DataLoader:
        return self._loader(self.test, batch_size=64)


class VariedGlyphs(Dataset):
    """Glyphs `(1, H, W)`, some pressed together with another, all shifted, by a draw's seed.

    `weights` `(rows,)` are the chances of each to be the other one; the rest is as in `GlyphData`.
    """

    def __init__(self, glyphs: Dataset, weights: Tensor, shift: int, pressed: float) -> None:
        self.glyphs, self.weights, self.shift, self.pressed = glyphs, weights, shift, pressed

    def __getitem__(self, draw: Draw) -> Tensor:
        generator = torch.Generator().manual_seed(draw.seed)
        glyph = self.glyphs[draw.row]
        for _ in range(2):
            if torch.rand((), generator=generator) >= self.pressed:
                break
            other = int(choose(self.weights, 1, generator))
            glyph = press(glyph, self.glyphs[other], generator)
        return shift(glyph, self.shift, generator)


def shift(glyph: Tensor, most: int, generator: torch.Generator | None = None) -> Tensor:
    """A glyph `(1, H, W)` moved by up to `most` pixels along each axis; what leaves it is lost."""
    dy, dx = torch.randint(-most, most + 1, (2,), generator=generator).tolist()
    return F.pad(glyph, (dx, -dx, dy, -dy))


def press(first: Tensor, second: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Two glyphs `(1, H, W)` in one of that size, side by side or one above the other, at random.

    The first takes two to three fifths of the room.
    """
    height, width = first.shape[-2:]
    turn, part = torch.rand(2, generator=generator).tolist()
    if sideways := turn < 0.5:
        first, second, height, width = first.mT, second.mT, width, height
    cut = int((0.4 + 0.2 * part) * height)
    parts = [
        F.interpolate(part[None], (room, width), mode="bilinear", antialias=True)[0]
        for part, room in ((first, cut), (second, height - cut))
    ]
    whole = torch.cat(parts, dim=-2)
    return whole.mT if sideways else whole


class AutoencoderModule(LightningModule):
    """Trains an `Autoencoder` and writes it to `out` at the end.

    Args:
        config: the network.
        loss: the weights of its terms.
        learning_rate: of Muon, for the pointwise convolutions, at its peak; it rises over
            `warmup_steps` and falls to zero at the end.
        adam_learning_rate: of AdamW, for the rest.
        warmup_steps: steps until the peak.
        start: folder of an autoencoder to start from, whose settings then replace `config`.
        decoder_only: leave the encoder of `start` as it is, so that latents, and a denoiser trained
            on them, stay valid.
        compile: use torch.compile, which takes a minute at the start and needs a C++ compiler.
        seed: of the noise in the latents.
        out: folder for `config.json` and `model.safetensors`.
    """

    def __init__(
        self,
        config: AutoencoderConfig = AutoencoderConfig(),
        loss: LossConfig = LossConfig(),
        learning_rate: float = 5e-3,
        adam_learning_rate: float = 1e-3,
        warmup_steps: int = 100,
        start: Path | None = None,
        decoder_only: bool = False,
        compile: bool = True,
        seed: int = 0,
        out: Path = Path(".runs/autoencoder/export"),
    ) -> None:
        super().__init__()
        self.save_hyperparameters(ignore=["config", "loss"])
        self.loss = loss
        if decoder_only and start is None:
            raise ValueError(
                "only a trained autoencoder can keep its encoder as it is: "
                "name an autoencoder to start from"
            )
        self.autoencoder = Autoencoder.from_pretrained(start) if start else Autoencoder(config)
        self.autoencoder.train()
        if decoder_only:
            self.autoencoder.encoder.requires_grad_(False)
        self.perceptual = perceptual_loss(loss.perceptual)

    def on_fit_start(self) -> None:
        if self.hparams.compile:
            self.autoencoder.encoder.compile()
            self.autoencoder.decoder.compile()

    def training_step(self, glyphs: Tensor, batch_idx: int) -> Tensor:
        # Under bf16-mixed, networks compute in bfloat16 and losses do not.
        generator, count = step_generator(self.trainer, self.hparams.seed, batch_idx), len(glyphs)
        shaken = glyphs
        if self.loss.wobble:
            ways = draw_for(self.trainer, count, partial(moves, self.loss.wobble, 6, generator))
            shaken = move(glyphs, ways)
        mean, logvar = (raw.float() for raw in self.autoencoder.encode_raw(shaken))
        noise = draw_for(self.trainer, count, partial(randn, mean.shape[1:], generator))
        share = draw_for(
            self.trainer, count, lambda count: torch.rand(count, 1, 1, 1, generator=generator)
        )
        jitter = self.loss.jitter * share.to(mean)
        scale = torch.hypot(self.loss.noise * (0.5 * logvar).exp(), jitter)
        z = mean + scale * noise.to(mean)
        logits = self.autoencoder.decode_raw(z).float()
        total, terms = autoencoder_loss(logits, glyphs, mean, logvar, self.loss, self.perceptual)
        self.log_dict({f"train/{name}": term for name, term in terms.items()}, sync_dist=True)
        self.log("loss", total, prog_bar=True, logger=False)
        return total

    def validation_step(self, glyphs: Tensor, batch_idx: int) -> None:
        decoded = self.autoencoder.decode_raw(self.autoencoder.encode_raw(glyphs)[0])
        decoded = decoded.float().sigmoid()
        psnr = peak_signal_to_noise(decoded, glyphs)
        self.log("val/psnr", psnr.mean(), prog_bar=True, batch_size=len(glyphs), sync_dist=True)
        self.log("val/psnr_worst", psnr.min(), reduce_fx="min", sync_dist=True)
        if batch_idx == 0 and self.logger and hasattr(self.logger.experiment, "add_images"):
            pairs = 1 - torch.cat([glyphs[:16], decoded[:16]], dim=-1)
            self.logger.experiment.add_images("glyph | decoded", pairs, self.global_step)

    def configure_optimizers(self) -> dict:
        return muon_for(self, pointwise(self.autoencoder))

    def on_fit_end(self) -> None:
        if not is_exporter(self.trainer):
            return
        if not self.hparams.decoder_only:
            self.autoencoder.to(self.trainer.strategy.root_device)  # Lightning has moved it off
            mean, std = latent_statistics(self.autoencoder, self.trainer.datamodule.sources[0])
            self.autoencoder.config = replace(
                self.autoencoder.config,
                latent_mean=tuple(mean.tolist()),
                latent_std=tuple(std.tolist()),
            )
        print(f"wrote {self.autoencoder.save_pretrained(self.hparams.out)}")


@torch.no_grad()
def latent_statistics(
    autoencoder: Autoencoder, dataset: GlyphDataset, batch_size: int = 128
) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of raw latents per channel over a dataset, `(8,)` each."""
    count, total, squares = 0, 0, 0
    for start in range(0, len(dataset), batch_size):
        indices = range(start, min(start + batch_size, len(dataset)))
        glyphs = dataset.images(indices).to(next(autoencoder.parameters()).device)
        raw = autoencoder.encode_raw(glyphs)[0].cpu().double()  # MPS has no float64
        count += raw[:, 0].numel()
        total += raw.sum(dim=(0, 2, 3))
        squares += raw.square().sum(dim=(0, 2, 3))
    mean = total / count
    return mean, (squares / count - mean**2).clamp_min(1e-12).sqrt()  # a dead channel's is 0
