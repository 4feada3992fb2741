"""Stage one under Lightning: glyphs in, an autoencoder with its latent statistics out."""

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
from autoencoder.data.glyphs import GlyphDataset, load_more
from autoencoder.loss import LossConfig, autoencoder_loss, perceptual_loss
from autoencoder.model import Autoencoder, AutoencoderConfig
from autoencoder.optim import Muon, muon_dtype, pointwise, scheduled, triangle
from autoencoder.similarity import peak_signal_to_noise

MOST_WORKERS = 256


class GlyphData(LightningDataModule):
    """The glyphs that `scripts/prepare_data.py` drew, in batches `(B, 1, 128, 128)`.

    Args:
        folder: where they are.
        more: further folders of glyphs to learn from, such as characters without a definition; what
            is held out in `folder` is left out of them all.
        batch_size: glyphs a step and process.
        density: how much oftener dense glyphs come up in training: as their number of strokes to
            this power. 0 draws all alike, each once an epoch.
        shift: pixels, at most, by which a glyph is moved at random in training, up, down and
            sideways, so that strokes are met wherever they can fall on the latent grid.
        pressed: part of the training glyphs to press into one image with another, and part of
            those to press so once more, so that parts are met smaller and denser than in the
            characters that the data has.
        num_workers: loading processes; reading a memory map needs none.
        seed: of which glyphs come up when, and how they are varied.
    """

    def __init__(
        self,
        folder: Path = Path(".data"),
        more: tuple[Path, ...] = (),
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
        self.train = GlyphDataset(self.hparams.folder, "train")
        self.test = GlyphDataset(self.hparams.folder, "test")
        self.sources = [self.train, *load_more(self.hparams.more, self.test.records)]
        if self.trainer:
            for source in self.sources:
                source.check_size(self.trainer.lightning_module.autoencoder.config.image_size)

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
    """Glyphs `(1, H, W)`, some pressed together with another, all shifted, as a draw's seed says.

    `weights` `(rows,)` says how often each is the other one; the rest is as in `GlyphData`.
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
    """Two glyphs `(1, H, W)` pressed into one of that size, as a scribe builds a character of two.

    They stand side by side or one over the other, by chance, and the first takes two to three
    fifths of the room.
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
        loss: the weights of the loss's terms.
        learning_rate: of Muon, for the pointwise convolutions, at its peak; it rises over
            `warmup_steps` and falls in a line, to zero after the last step.
        adam_learning_rate: of AdamW, for the rest, in the same way.
        warmup_steps: steps until the peak.
        start: folder of an autoencoder to start from, whose settings then replace `config`.
        decoder_only: leave the encoder of `start` as it is, so that latents, and a denoiser trained
            on them, stay valid.
        compile: let torch.compile make the networks faster, for a minute at the start; needs a
            C++ compiler.
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
        compile: bool = False,
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
        # Under a trainer's bf16-mixed, networks compute in bfloat16 and losses do not.
        mean, logvar = (raw.float() for raw in self.autoencoder.encode_raw(glyphs))
        generator = step_generator(self.trainer, self.hparams.seed, batch_idx)
        noise = draw_for(self.trainer, len(mean), partial(randn, mean.shape[1:], generator))
        z = mean + self.loss.noise * (0.5 * logvar).exp() * noise.to(mean)
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
        optimizer = Muon(
            pointwise(self.autoencoder),
            self.autoencoder.parameters(),
            lr=self.hparams.learning_rate,
            adam_lr=self.hparams.adam_learning_rate,
            dtype=muon_dtype(self.trainer.precision),
        )
        total = self.trainer.estimated_stepping_batches
        return scheduled(optimizer, triangle(self.hparams.warmup_steps, total))

    def on_fit_end(self) -> None:
        if not is_exporter(self.trainer):
            return
        if not self.hparams.decoder_only:
            self.autoencoder.to(self.trainer.strategy.root_device)  # Lightning has put it aside
            mean, std = latent_statistics(self.autoencoder, self.trainer.datamodule.train)
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
        raw = autoencoder.encode_raw(glyphs)[0].cpu().double()  # which MPS has not
        count += raw[:, 0].numel()
        total += raw.sum(dim=(0, 2, 3))
        squares += raw.square().sum(dim=(0, 2, 3))
    mean = total / count
    return mean, (squares / count - mean**2).clamp_min(1e-12).sqrt()  # a dead channel's is 0
