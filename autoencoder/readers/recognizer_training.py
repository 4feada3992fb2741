"""Training of the recogniser under Lightning: two drawings of a character among its look-alikes."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from lightning.pytorch import LightningDataModule, LightningModule
from rich.progress import track
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from autoencoder.batches import Draw, SeededBatches, generator_of, is_exporter
from autoencoder.data.glyphs import GlyphDataset, load_more
from autoencoder.data.variations import vary, wobble
from autoencoder.optim import up_and_down
from autoencoder.readers.reader import RadicalReader
from autoencoder.readers.recognizer import KnownCharacters, Recognizer, RecognizerConfig

LOOK_ALIKES = 48  # of each character, among which those of its batch are drawn
SHARPEST = 50.0  # the most that the cosines are multiplied with
WRONG = 0.03  # of characters never seen, the part that may be taken for another one


class Pairs(NamedTuple):
    """Two glyphs of each of some characters, `(B, 1, H, W)` both, and the characters, `(B,)`."""

    first: Tensor
    second: Tensor
    characters: Tensor


class RecognizerData(LightningDataModule):
    """Batches of characters and their look-alikes, with two glyphs of each.

    Args:
        folder: the glyphs that `scripts/prepare_data.py` drew, whose held-out ones are the test.
        more: further folders, of other fonts or of characters without a definition; what is held
            out in `folder` is left out of them all.
        groups: of look-alikes, a step and process.
        group: characters in each of them.
        seed: of what is drawn.
    """

    def __init__(
        self,
        folder: Path = Path(".data"),
        more: tuple[Path, ...] = (),
        groups: int = 8,
        group: int = 16,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if not 2 <= group <= LOOK_ALIKES:
            raise ValueError(f"--data.group {group}: take 2 to {LOOK_ALIKES}")
        self.save_hyperparameters()

    def setup(self, stage: str) -> None:
        own = self.hparams
        self.train, self.test = (GlyphDataset(own.folder, split) for split in ("train", "test"))
        sources = [self.train, *load_more(own.more, self.test.records)]
        if self.trainer:
            for glyphs in (self.test, *sources):
                glyphs.check_size(self.trainer.lightning_module.recognizer.config.image_size)
        self.learnt = LookAlikes(sources, own.group)

    def train_dataloader(self) -> DataLoader:
        own = self.hparams
        batches = SeededBatches(len(self.learnt), own.groups, own.seed, self.trainer)
        return DataLoader(self.learnt, batch_sampler=batches, collate_fn=join)

    def val_dataloader(self) -> DataLoader:
        return DataLoader(self.test, 128)


class LookAlikes(Dataset):
    """Characters of several sources, by the row of a draw: the one there, and some it looks like.

    A character has a glyph in one source or in several. Its first one decides whom it looks like.
    """

    def __init__(self, sources: list[GlyphDataset], group: int) -> None:
        self.sources, self.group = sources, group
        places = defaultdict(list)
        for source, glyphs in enumerate(sources):
            for row, record in enumerate(glyphs.records):
                places[record.character].append((source, row))
        self.characters, self.places = list(places), list(places.values())
        small = [
            F.adaptive_avg_pool2d(self.firsts(rows), 16).flatten(1)
            for rows in track(torch.arange(len(self)).split(1024), "glyphs", transient=True)
        ]
        self.alike = look_alikes(torch.cat(small), min(LOOK_ALIKES, len(self)))

    def firsts(self, rows: Tensor) -> Tensor:
        """The first glyph of each of some characters, `(B, 1, H, W)`."""
        return torch.stack([self.glyph(*self.places[row][0]) for row in rows.tolist()])

    def glyph(self, source: int, row: int) -> Tensor:
        return self.sources[source][row]

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, draw: Draw) -> Pairs:
        generator = generator_of(draw.seed)
        others = self.alike[draw.row]
        others = others[torch.randperm(len(others), generator=generator)[: self.group - 1]]
        rows = torch.cat([torch.tensor([draw.row]), others])
        seconds = []
        for places in (self.places[row] for row in rows.tolist()):
            choice = torch.randint(len(places), (), generator=generator)
            seconds.append(self.glyph(*places[choice]))
        return Pairs(self.firsts(rows), torch.stack(seconds), rows)


def look_alikes(glyphs: Tensor, count: int) -> Tensor:
    """The rows most like each row of `(N, D)` small glyphs, best first, `(N, count - 1)`."""
    unit = F.normalize(glyphs - glyphs.mean(dim=0), dim=1)
    found = []
    for part in track(unit.split(512), "look-alikes", transient=True):
        found.append((part @ unit.T).topk(count, dim=1).indices)
    found = torch.cat(found)
    itself = found == torch.arange(len(found))[:, None]
    itself[~itself.any(dim=1), -1] = True  # several are the same to the last pixel
    return found[~itself].view(len(found), count - 1)


def join(groups: list[Pairs]) -> Pairs:
    """Groups as one batch."""
    return Pairs(*map(torch.cat, zip(*groups, strict=True)))


def contrast(first: Tensor, second: Tensor, characters: Tensor, scale: Tensor) -> Tensor:
    """The mean loss of telling each pair from all other pairs, by cosine, in both directions.

    InfoNCE (van den Oord et al. 2018, equation 4, https://arxiv.org/abs/1807.03748) as CLIP has it
    (Radford et al. 2021, figure 3). Where a character comes up twice, its other pair is left out.

    Args:
        first, second: embeddings `(B, D)` of length 1, of a character each.
        characters: which one each is of, `(B,)`.
        scale: what cosines are multiplied with, one over the temperature.
    """
    logits = scale * first @ second.T
    own = torch.arange(len(first), device=logits.device)
    again = (characters[:, None] == characters) & (own[:, None] != own)
    logits = logits.masked_fill(again, -torch.inf)
    return (F.cross_entropy(logits, own) + F.cross_entropy(logits.T, own)) / 2


class RecognizerModule(LightningModule):
    """Trains a `Recognizer` and writes it, with all characters of the data, to `out` at the end.

    Args:
        config: the network, but for the threshold, which is measured at the end: of the held-out
            characters three in a hundred may be taken for one that is not.
        learning_rate: of Muon, for the pointwise convolutions, at its peak; it rises over
            `warmup_steps` and falls in a line, to zero after the last step.
        adam_learning_rate: of AdamW, for the rest, in the same way.
        weight_decay: of the matrices.
        plain: part of the first glyphs that are left as they are, as the known ones will be.
        warmup_steps: steps until the peak.
        reader: start from the trunk of the reader of radicals that ships, which has seen strokes.
        start: folder of a recogniser to start from, whose settings then replace `config`.
        compile: let torch.compile make the network faster, for a minute at the start; needs a C++
            compiler.
        seed: of how glyphs are varied.
        out: folder for the recogniser.
    """

    def __init__(
        self,
        config: RecognizerConfig = RecognizerConfig(),
        learning_rate: float = 3e-3,
        adam_learning_rate: float = 1e-3,
        weight_decay: float = 0.02,
        plain: float = 0.3,
        warmup_steps: int = 100,
        reader: bool = True,
        start: Path | None = None,
        compile: bool = False,
        seed: int = 0,
        out: Path = Path(".runs/recognizer/export"),
    ) -> None:
        super().__init__()
        self.save_hyperparameters(ignore=["config"])
        if start:
            self.recognizer = Recognizer.from_pretrained(start).train()
        else:
            self.recognizer = Recognizer(config)
            if reader:
                self.recognizer.layers.load_state_dict(
                    RadicalReader.from_pretrained().layers.state_dict()
                )
        self.log_scale = nn.Parameter(torch.tensor(math.log(10.0)))

    def on_fit_start(self) -> None:
        if self.hparams.compile:
            self.recognizer.compile()

    def training_step(self, batch: Pairs, batch_idx: int) -> Tensor:
        step, rank = self.trainer.global_step, self.trainer.global_rank
        generator = generator_of(self.hparams.seed, step, batch_idx, rank)
        both = torch.cat([batch.first, batch.second])
        varied = vary(wobble(both, generator=generator), generator)
        count = len(batch.first)
        plain = torch.rand(count, 1, 1, 1, generator=generator) < self.hparams.plain
        first = torch.where(plain.to(both.device), batch.first, varied[:count])
        embeddings = self.recognizer(torch.cat([first, varied[count:]]))
        scale = self.log_scale.exp().clamp_max(SHARPEST)
        loss = contrast(*embeddings.split(count), batch.characters, scale)
        self.log("train/loss", loss, prog_bar=True)
        return loss

    def on_validation_epoch_start(self) -> None:
        self.embeddings: list[tuple[Tensor, Tensor]] = []

    def validation_step(self, glyphs: Tensor, batch_idx: int) -> None:
        generator = generator_of(0, batch_idx)
        varied = vary(wobble(glyphs, generator=generator), generator)
        self.embeddings.append((self.recognizer(glyphs), self.recognizer(varied)))

    def on_validation_epoch_end(self) -> None:
        plain, varied = map(torch.cat, zip(*self.embeddings, strict=True))
        found = (varied @ plain.T).argmax(dim=1).cpu() == torch.arange(len(plain))
        self.log("val/found", found.float().mean(), prog_bar=True, sync_dist=True)

    def configure_optimizers(self) -> dict:
        return up_and_down(self, self.recognizer)

    def on_fit_end(self) -> None:
        if is_exporter(self.trainer):
            data = self.trainer.datamodule
            finished = know(self.recognizer, data.learnt, data.test)
            print(f"wrote {finished.save_pretrained(self.hparams.out)}")
            print(f"one character from a cosine of {finished.config.threshold} on")


def know(recognizer: Recognizer, learnt: LookAlikes, held_out: GlyphDataset) -> Recognizer:
    """The recogniser with its threshold, and all characters that it learnt from or not as known."""
    embeddings = [
        recognizer.embed(learnt.firsts(rows))
        for rows in track(torch.arange(len(learnt)).split(512), "characters", transient=True)
    ]
    embeddings = torch.cat(embeddings)
    unseen = recognizer.embed(held_out.images(range(len(held_out))))
    nearest = KnownCharacters.of(learnt.characters, embeddings).nearest(unseen)[0]
    threshold = round(float(nearest.quantile(1 - WRONG)), 4)
    finished = Recognizer(replace(recognizer.config, threshold=threshold))
    finished.load_state_dict(recognizer.state_dict())
    characters = [*learnt.characters, *(record.character for record in held_out.records)]
    finished.known = KnownCharacters.of(characters, torch.cat([embeddings, unseen]))
    return finished.eval()
