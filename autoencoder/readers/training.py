"""Training of the three readers under Lightning, on real glyphs varied at random."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from lightning.pytorch import LightningDataModule, LightningModule
from rich.progress import Progress, track
from torch import Tensor, nn
from torch.utils.data import ConcatDataset, DataLoader, Dataset, Subset

from autoencoder.batches import Draw, SeededBatches, generator_of, is_exporter
from autoencoder.blocks import TrunkConfig
from autoencoder.data.composites import Parts, make_composites
from autoencoder.data.glyphs import GlyphDataset, load_splits
from autoencoder.data.variations import vary, wobble
from autoencoder.optim import muon_for, pointwise
from autoencoder.pretrained import Pretrained
from autoencoder.readers.reader import (
    PartReader,
    PartReaderConfig,
    RadicalReader,
    ReaderConfig,
)
from autoencoder.readers.recognizer import KnownCharacters, Recognizer, RecognizerConfig

LOOK_ALIKES = 48  # of each character, among which those of its batch are drawn
SHARPEST = 50.0  # the largest factor of the cosines
WRONG = 0.03  # of characters never seen, the part that may be taken for another one


class TrainingModule(LightningModule):
    """What the trainings share; `hparams` are the arguments of the subclass."""

    config: TrunkConfig
    network: Pretrained

    def on_fit_start(self) -> None:
        if self.hparams.compile:
            self.network.compile()

    def generator(self, batch_idx: int) -> torch.Generator:
        """The random generator of this process at a step."""
        step, rank = self.trainer.global_step, self.trainer.global_rank
        return generator_of(self.hparams.seed, step, batch_idx, rank)

    def configure_optimizers(self) -> dict:
        return muon_for(self, pointwise(self.network))

    def on_fit_end(self) -> None:
        if is_exporter(self.trainer):
            print(f"wrote {self.network.save_pretrained(self.hparams.out)}")


def load_for(data: LightningDataModule) -> tuple[list[GlyphDataset], GlyphDataset]:
    """The glyphs of a module's folders, to train on and held out, of the size the network takes."""
    size = data.trainer and data.trainer.lightning_module.config.image_size
    return load_splits(data.hparams.folder, data.hparams.more, size)


def start_from_reader(network: Pretrained) -> None:
    """Gives a network the trunk of the reader of radicals that ships."""
    network.layers.load_state_dict(RadicalReader.from_pretrained().layers.state_dict())


# ---- the reader of radicals ----------------------------------------------------------------------


class ReaderData(LightningDataModule):
    """Glyphs `(B, 1, 128, 128)`, and their radicals less one, `(B,)`.

    Args:
        folder: the glyphs that `scripts/prepare_data.py` drew, whose held-out ones are the test.
        more: further folders of glyphs to train on, of another font or of characters without a
            definition; characters held out in `folder` are left out.
        batch_size: glyphs a step and process.
        seed: of their order.
    """

    def __init__(
        self,
        folder: Path = Path(".data"),
        more: tuple[Path, ...] | Path = (),
        batch_size: int = 128,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()

    def setup(self, stage: str) -> None:
        sources, test = load_for(self)
        self.train, self.test = (
            Labelled(some, [one.radical - 1 for glyphs in some for one in glyphs.records])
            for some in (sources, [test])
        )

    def train_dataloader(self) -> DataLoader:
        own = self.hparams
        batches = SeededBatches(len(self.train), own.batch_size, own.seed, self.trainer)
        return DataLoader(self.train, batch_sampler=batches)

    def val_dataloader(self) -> DataLoader:
        return DataLoader(self.test, 128)


class Labelled(Dataset):
    """Glyphs of several datasets, each with its label, by a draw or a row."""

    def __init__(self, sources: Sequence[Dataset], labels: Sequence[int | Tensor]) -> None:
        self.glyphs, self.labels = ConcatDataset(sources), labels

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, draw: Draw | int) -> tuple[Tensor, int | Tensor]:
        row = draw.row if isinstance(draw, Draw) else draw
        return self.glyphs[row], self.labels[row]


class ReaderModule(TrainingModule):
    """Trains a `RadicalReader` and writes it to `out` at the end.

    Args:
        config: the network.
        learning_rate: of Muon, for the pointwise convolutions, at its peak; it rises over
            `warmup_steps` and falls to zero at the end.
        adam_learning_rate: of AdamW, for the rest.
        weight_decay: of the matrices.
        smoothing: part of the labels spread over all radicals.
        warmup_steps: steps until the peak.
        compile: use torch.compile, which takes a minute at the start and needs a C++ compiler.
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
        compile: bool = False,
        seed: int = 0,
        out: Path = Path(".runs/reader/export"),
    ) -> None:
        super().__init__()
        self.save_hyperparameters(ignore=["config"])
        self.config, self.network = config, RadicalReader(config)

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        glyphs, labels = batch
        logits = self.network(vary(glyphs, self.generator(batch_idx))).float()
        loss = F.cross_entropy(logits, labels, label_smoothing=self.hparams.smoothing)
        self.log("train/loss", loss, prog_bar=True)
        return loss

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        glyphs, labels = batch
        right = (self.network(glyphs).argmax(dim=1) == labels).float().mean()
        self.log("val/accuracy", right, prog_bar=True, batch_size=len(labels), sync_dist=True)


# ---- the reader of parts -------------------------------------------------------------------------


class PartReaderData(ReaderData):
    """Glyphs `(B, 1, 128, 128)`, and which parts each has, `(B, parts)` in {0, 1}.

    A subclass gives `common_parts`, which takes the characters to learn from and returns the parts
    to look for, each a string of the forms that count as it, with all characters that have it; and
    for composites `load_parts` and `forms`, what `cut_glyphs` takes as `parts` and `forms`.

    Args:
        folder, more, batch_size, seed: as for `ReaderData`.
        composites: glyphs to learn from that were put together from two real ones, in whose company
            no part tells of another.
    """

    common_parts: Callable[[Set[str]], Mapping[str, Set[str]]]
    load_parts: Callable[[], Parts]
    forms: Callable[[int], Sequence[str]]

    def __init__(
        self,
        folder: Path = Path(".data"),
        more: tuple[Path, ...] | Path = (),
        batch_size: int = 128,
        seed: int = 0,
        composites: int = 0,
    ) -> None:
        super().__init__(folder, more, batch_size, seed)
        self.save_hyperparameters()

    def setup(self, stage: str) -> None:
        sources, test = load_for(self)
        learnt = {record.character for source in sources for record in source.records}
        self.having = self.common_parts(learnt)

        def parts_of(*shapes: str) -> Tensor:
            return torch.tensor([float(not own.isdisjoint(shapes)) for own in self.having.values()])

        self.test = Labelled([test], [parts_of(one.character) for one in test.records])
        labels = [parts_of(one.character) for source in sources for one in source.records]
        if count := self.hparams.composites:
            with Progress(transient=True) as bar:
                task = bar.add_task("composing", total=count)
                made = make_composites(
                    sources,
                    self.load_parts(),
                    self.forms,
                    None,
                    count,
                    self.hparams.seed,
                    lambda found: bar.advance(task, found),
                )
            labels += [parts_of(a.radical, b.other) for a, b in made.pairs]
            sources = [*sources, made]
        self.train = Labelled(sources, labels)


class PartReaderModule(TrainingModule):
    """Trains a `PartReader` and writes it to `out` at the end.

    Args:
        config: the network; its parts come from the data, and the threshold is the best for the
            glyphs learnt from.
        learning_rate: of Muon, for the pointwise convolutions, at its peak; it rises over
            `warmup_steps` and falls to zero at the end.
        adam_learning_rate: of AdamW, for the rest.
        weight_decay: of the matrices.
        focus: how much less an absence weighs that is plain to see.
        warmup_steps: steps until the peak.
        reader: start from the trunk of the reader of radicals that ships, and leave its finest
            grid as it is, which takes a third less time.
        compile: use torch.compile, which takes a minute at the start and needs a C++ compiler.
        seed: of how glyphs are varied.
        out: folder for `config.json` and `model.safetensors`.
    """

    def __init__(
        self,
        config: PartReaderConfig = PartReaderConfig(),
        learning_rate: float = 3e-3,
        adam_learning_rate: float = 2e-3,
        weight_decay: float = 0.02,
        focus: float = 2.0,
        warmup_steps: int = 100,
        reader: bool = True,
        compile: bool = False,
        seed: int = 0,
        out: Path = Path(".runs/part_reader/export"),
    ) -> None:
        super().__init__()
        self.save_hyperparameters(ignore=["config"])
        self.config, self.network = config, None

    def configure_model(self) -> None:
        """Makes the network, once the data say which parts there are."""
        if self.network is not None:
            return
        data = self.trainer.datamodule
        self.network = PartReader(replace(self.config, parts=" ".join(data.having)))
        if self.hparams.reader:
            start_from_reader(self.network)
            self.network.layers[: 1 + self.config.blocks[0]].requires_grad_(False)
        # Each part starts as likely as it is, under a loss that makes all likelier by its focus.
        common = torch.stack(data.train.labels).mean(dim=0).clamp(1e-4, 0.9)
        start = common ** (1 / (1 + self.hparams.focus))
        self.network.decide.bias.data.copy_(start.logit())

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        glyphs, labels = batch
        logits = self.network(vary(glyphs, self.generator(batch_idx))).float()
        loss = focused(logits, labels, self.hparams.focus)
        self.log("train/loss", loss, prog_bar=True)
        return loss

    def on_validation_epoch_start(self) -> None:
        self.read: list[tuple[Tensor, Tensor]] = []

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        glyphs, labels = batch
        self.read.append((self.network(glyphs), labels))

    def on_validation_epoch_end(self) -> None:
        best = best_threshold(*map(torch.cat, zip(*self.read, strict=True)))[1]
        self.log("val/f1", best, prog_bar=True, sync_dist=True)

    @torch.no_grad()
    def on_fit_end(self) -> None:
        if is_exporter(self.trainer):
            self.network.eval()
            learnt, generator = self.trainer.datamodule.train, generator_of(self.hparams.seed)
            some = torch.randperm(len(learnt), generator=generator)[:4096].tolist()
            read = [
                (self.network(vary(glyphs.to(self.device), generator)).cpu(), labels)
                for glyphs, labels in DataLoader(Subset(learnt, some), 128)
            ]
            threshold, f1 = best_threshold(*map(torch.cat, zip(*read, strict=True)))
            self.network.config = replace(self.network.config, threshold=threshold)
            print(f"a part is there from {threshold} on: F1 {f1:.3f} of the glyphs learnt from")
        super().on_fit_end()


def focused(logits: Tensor, labels: Tensor, focus: float) -> Tensor:
    """The mean over glyphs of the cross-entropy of all parts, `(B, parts)`.

    Each glyph lacks nearly all parts: absences count by the power `focus` of the probability that
    they are given (Ridnik et al. 2021, equation 4, https://arxiv.org/abs/2009.14119).
    """
    weight = torch.where(labels > 0, 1.0, logits.detach().sigmoid() ** focus)
    return F.binary_cross_entropy_with_logits(logits, labels, weight, reduction="sum") / len(logits)


def best_threshold(logits: Tensor, labels: Tensor) -> tuple[float, float]:
    """The probability, in steps of 0.01, from which on parts that are there are best told, and F1.

    F1 is over all glyphs and parts `(B, parts)` at once.
    """
    probability, true = logits.sigmoid(), labels > 0
    scores = []
    for step in range(5, 96):
        found = probability >= step / 100
        both = (found & true).sum() / (found.sum() + true.sum()).clamp_min(1)
        scores.append((2 * float(both), step / 100))
    f1, threshold = max(scores)
    return threshold, f1


# ---- the recogniser ------------------------------------------------------------------------------


class Pairs(NamedTuple):
    """Two glyphs of each of some characters, `(B, 1, H, W)` both, and the characters, `(B,)`."""

    first: Tensor
    second: Tensor
    characters: Tensor


class RecognizerData(LightningDataModule):
    """Batches of characters and their look-alikes, with two glyphs of each.

    Args:
        folder: the glyphs that `scripts/prepare_data.py` drew, whose held-out ones are the test.
        more: further folders, of other fonts or of characters without a definition; characters
            held out in `folder` are left out.
        groups: of look-alikes, a step and process.
        group: characters in each of them.
        seed: of what is drawn.
    """

    def __init__(
        self,
        folder: Path = Path(".data"),
        more: tuple[Path, ...] | Path = (),
        groups: int = 8,
        group: int = 16,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if not 2 <= group <= LOOK_ALIKES:
            raise ValueError(f"--data.group {group}: take 2 to {LOOK_ALIKES}")
        self.save_hyperparameters()

    def setup(self, stage: str) -> None:
        sources, self.test = load_for(self)
        self.train = LookAlikes(sources, self.hparams.group)

    def train_dataloader(self) -> DataLoader:
        own = self.hparams
        batches = SeededBatches(len(self.train), own.groups, own.seed, self.trainer)
        return DataLoader(self.train, batch_sampler=batches, collate_fn=join)

    def val_dataloader(self) -> DataLoader:
        return DataLoader(self.test, 128)


class LookAlikes(Dataset):
    """Groups of `group` characters from several sources: one, by a draw's row, and look-alikes.

    A character has a glyph in one source or more; the first one decides what it looks like.
    """

    def __init__(self, sources: Sequence[GlyphDataset], group: int) -> None:
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
        return self.glyphs([self.places[row][0] for row in rows.tolist()])

    def glyphs(self, places: Sequence[tuple[int, int]]) -> Tensor:
        """The glyphs at rows of sources, `(B, 1, H, W)`."""
        return torch.stack([self.sources[source][row] for source, row in places])

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, draw: Draw) -> Pairs:
        generator = generator_of(draw.seed)
        others = self.alike[draw.row]
        others = others[torch.randperm(len(others), generator=generator)[: self.group - 1]]
        rows = torch.cat([torch.tensor([draw.row]), others])
        seconds = []
        for places in (self.places[row] for row in rows.tolist()):
            seconds.append(places[torch.randint(len(places), (), generator=generator)])
        return Pairs(self.firsts(rows), self.glyphs(seconds), rows)


def look_alikes(glyphs: Tensor, count: int) -> Tensor:
    """The rows most like each row of `(N, D)` small glyphs, best first, `(N, count - 1)`."""
    unit = F.normalize(glyphs - glyphs.mean(dim=0), dim=1)
    parts = track(unit.split(512), "look-alikes", transient=True)
    found = torch.cat([(part @ unit.T).topk(count, dim=1).indices for part in parts])
    itself = found == torch.arange(len(found))[:, None]
    itself[~itself.any(dim=1), -1] = True  # several are the same to the last pixel
    return found[~itself].view(len(found), count - 1)


def join(groups: list[Pairs]) -> Pairs:
    """Groups as one batch."""
    return Pairs(*map(torch.cat, zip(*groups, strict=True)))


def contrast(first: Tensor, second: Tensor, characters: Tensor, scale: Tensor) -> Tensor:
    """The mean loss of telling each pair from all other pairs, by cosine, in both directions.

    InfoNCE (van den Oord et al. 2018, equation 4, https://arxiv.org/abs/1807.03748) as in CLIP
    (Radford et al. 2021, figure 3). Where a character comes up twice, its other pair is left out.

    Args:
        first, second: embeddings `(B, D)` of length 1, of a character each.
        characters: which one each is of, `(B,)`.
        scale: factor of the cosines, one over the temperature.
    """
    logits = scale * first @ second.T
    own = torch.arange(len(first), device=logits.device)
    again = (characters[:, None] == characters) & (own[:, None] != own)
    logits = logits.masked_fill(again, -torch.inf)
    return (F.cross_entropy(logits, own) + F.cross_entropy(logits.T, own)) / 2


class RecognizerModule(TrainingModule):
    """Trains a `Recognizer` and writes it, with all characters of the data, to `out` at the end.

    Args:
        config: the network; the threshold is measured at the end, so that three in a hundred of
            the held-out characters are taken for another.
        learning_rate: of Muon, for the pointwise convolutions, at its peak; it rises over
            `warmup_steps` and falls to zero at the end.
        adam_learning_rate: of AdamW, for the rest.
        weight_decay: of the matrices.
        plain: part of the first glyphs left as they are, as known characters will be.
        warmup_steps: steps until the peak.
        reader: start from the trunk of the reader of radicals that ships.
        compile: use torch.compile, which takes a minute at the start and needs a C++ compiler.
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
        compile: bool = False,
        seed: int = 0,
        out: Path = Path(".runs/recognizer/export"),
    ) -> None:
        super().__init__()
        self.save_hyperparameters(ignore=["config"])
        self.config, self.network = config, Recognizer(config)
        if reader:
            start_from_reader(self.network)
        self.log_scale = nn.Parameter(torch.tensor(math.log(10.0)))

    def training_step(self, batch: Pairs, batch_idx: int) -> Tensor:
        generator = self.generator(batch_idx)
        both = torch.cat([batch.first, batch.second])
        varied = vary(wobble(both, generator=generator), generator)
        count = len(batch.first)
        plain = torch.rand(count, 1, 1, 1, generator=generator) < self.hparams.plain
        first = torch.where(plain.to(both.device), batch.first, varied[:count])
        embeddings = self.network(torch.cat([first, varied[count:]]))
        scale = self.log_scale.exp().clamp_max(SHARPEST)
        loss = contrast(*embeddings.split(count), batch.characters, scale)
        self.log("train/loss", loss, prog_bar=True)
        return loss

    def on_validation_epoch_start(self) -> None:
        self.embeddings: list[tuple[Tensor, Tensor]] = []

    def validation_step(self, glyphs: Tensor, batch_idx: int) -> None:
        generator = generator_of(0, batch_idx)
        varied = vary(wobble(glyphs, generator=generator), generator)
        self.embeddings.append((self.network(glyphs), self.network(varied)))

    def on_validation_epoch_end(self) -> None:
        plain, varied = map(torch.cat, zip(*self.embeddings, strict=True))
        found = (varied @ plain.T).argmax(dim=1).cpu() == torch.arange(len(plain))
        self.log("val/found", found.float().mean(), prog_bar=True, sync_dist=True)

    def on_fit_end(self) -> None:
        if is_exporter(self.trainer):
            data = self.trainer.datamodule
            self.network = know(self.network, data.train, data.test)
            print(f"one character from a cosine of {self.network.config.threshold} on")
        super().on_fit_end()


def know(recognizer: Recognizer, learnt: LookAlikes, held_out: GlyphDataset) -> Recognizer:
    """The recogniser with its threshold, and all characters, learnt and held out, as known."""
    rows = track(torch.arange(len(learnt)).split(512), "characters", transient=True)
    embeddings = torch.cat([recognizer.embed(learnt.firsts(part)) for part in rows])
    unseen = recognizer.embed(held_out.images(range(len(held_out))))
    nearest = KnownCharacters.of(learnt.characters, embeddings).nearest(unseen)[0]
    threshold = round(float(nearest.quantile(1 - WRONG)), 4)
    finished = Recognizer(replace(recognizer.config, threshold=threshold))
    finished.load_state_dict(recognizer.state_dict())
    characters = [*learnt.characters, *(record.character for record in held_out.records)]
    finished.known = KnownCharacters.of(characters, torch.cat([embeddings, unseen]))
    return finished.eval()
