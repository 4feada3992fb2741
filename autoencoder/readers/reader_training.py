"""Training of the reader of radicals under Lightning, on real glyphs, varied at random."""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from lightning.pytorch import LightningDataModule, LightningModule
from torch import Tensor
from torch.utils.data import ConcatDataset, DataLoader, Dataset

from autoencoder.batches import Draw, SeededBatches, generator_of, is_exporter
from autoencoder.data.glyphs import GlyphDataset, GlyphRecord, load_more
from autoencoder.data.variations import vary
from autoencoder.optim import up_and_down
from autoencoder.readers.reader import RadicalReader, ReaderConfig

COMMONEST = 40  # radicals that have a score of their own


class ReaderData(LightningDataModule):
    """Glyphs `(B, 1, 128, 128)`, and their radicals less one.

    Args:
        folder: the glyphs that `scripts/prepare_data.py` drew, whose held-out ones are the test.
        more: further folders of glyphs to learn from, of another font or of characters without a
            definition; what is held out in `folder` is left out of them all.
        batch_size: glyphs a step and process.
        seed: of their order.
    """

    def __init__(
        self,
        folder: Path = Path(".data"),
        more: tuple[Path, ...] = (),
        batch_size: int = 128,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()

    def setup(self, stage: str) -> None:
        self.train, self.test = (
            GlyphDataset(self.hparams.folder, split) for split in ("train", "test")
        )
        counts = classes(self.train.records).bincount(minlength=ReaderConfig.radicals)
        self.commonest = counts.argsort(descending=True, stable=True)[:COMMONEST]
        more = load_more(self.hparams.more, self.test.records)
        if self.trainer:
            for glyphs in (self.train, *more):
                glyphs.check_size(self.trainer.lightning_module.reader.config.image_size)
        self.sources = [Source(glyphs) for glyphs in (self.train, *more)]

    def train_dataloader(self) -> DataLoader:
        glyphs = Drawn(self.sources)
        own = self.hparams
        batches = SeededBatches(len(glyphs), own.batch_size, own.seed, self.trainer)
        return DataLoader(glyphs, batch_sampler=batches)

    def val_dataloader(self) -> DataLoader:
        return DataLoader(Source(self.test), 128)


class Source(Dataset):
    """A dataset's glyphs with their radicals."""

    def __init__(self, glyphs: GlyphDataset) -> None:
        self.glyphs, self.labels = glyphs, classes(glyphs.records)

    def __len__(self) -> int:
        return len(self.glyphs)

    def __getitem__(self, i: int) -> tuple[Tensor, Tensor]:
        return self.glyphs[i], self.labels[i]


class Drawn(ConcatDataset):
    """Several datasets as one, by the row of a draw; variations are left to the module."""

    def __getitem__(self, draw: Draw) -> tuple[Tensor, Tensor]:
        return super().__getitem__(draw.row)


def classes(records: list[GlyphRecord]) -> Tensor:
    """The radicals of glyphs, from 0, `(count,)`."""
    return torch.tensor([record.radical - 1 for record in records])


class ReaderModule(LightningModule):
    """Trains a `RadicalReader` and writes it to `out` at the end.

    Args:
        config: the network.
        learning_rate: of Muon, for the pointwise convolutions, at its peak; it rises over
            `warmup_steps` and falls in a line, to zero after the last step.
        adam_learning_rate: of AdamW, for the rest, in the same way.
        weight_decay: of the matrices.
        smoothing: part of the labels spread over all radicals.
        warmup_steps: steps until the peak.
        start: folder of a reader to start from, whose settings then replace `config`.
        compile: let torch.compile make the network faster, for a minute at the start; needs a C++
            compiler.
        seed: of how glyphs are varied.
        out: folder for `config.json` and `model.safetensors`.
    """

    def __init__(
        self,
        config: ReaderConfig = ReaderConfig(),
        learning_rate: float = 5e-3,
        adam_learning_rate: float = 1e-3,
        weight_decay: float = 0.05,
        smoothing: float = 0.1,
        warmup_steps: int = 100,
        start: Path | None = None,
        compile: bool = False,
        seed: int = 0,
        out: Path = Path(".runs/reader/export"),
    ) -> None:
        super().__init__()
        self.save_hyperparameters(ignore=["config"])
        self.reader = (
            RadicalReader.from_pretrained(start).train() if start else RadicalReader(config)
        )

    def on_fit_start(self) -> None:
        if self.hparams.compile:
            self.reader.compile()

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        glyphs, labels = batch
        step, rank = self.trainer.global_step, self.trainer.global_rank
        generator = generator_of(self.hparams.seed, step, batch_idx, rank)
        logits = self.reader(vary(glyphs, generator)).float()
        loss = F.cross_entropy(logits, labels, label_smoothing=self.hparams.smoothing)
        self.log("train/loss", loss, prog_bar=True)
        return loss

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        glyphs, labels = batch
        right = (self.reader(glyphs).argmax(dim=1) == labels).float()
        common = right[torch.isin(labels, self.trainer.datamodule.commonest.to(labels))]
        for name, values in (("accuracy", right), ("accuracy_commonest", common)):
            if len(values):
                self.log(
                    f"val/{name}",
                    values.mean(),
                    prog_bar=True,
                    batch_size=len(values),
                    sync_dist=True,
                )

    def configure_optimizers(self) -> dict:
        return up_and_down(self, self.reader)

    def on_fit_end(self) -> None:
        if is_exporter(self.trainer):
            print(f"wrote {self.reader.save_pretrained(self.hparams.out)}")
