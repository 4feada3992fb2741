"""Latents and the embeddings of their captions: encoded once, cached, and batched."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Callable
from itertools import accumulate
from pathlib import Path

import numpy as np
import torch
from lightning.pytorch import LightningDataModule
from rich.progress import track
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import DataLoader, Dataset

from autoencoder.batches import Draw, SeededBatches
from autoencoder.data.glyphs import GlyphDataset, GlyphRecord, load_more
from autoencoder.files import atomic
from autoencoder.model import Autoencoder
from conditioning.encoder import TextEncoder
from conditioning.radicals import radical
from diffusion.condition import Condition
from diffusion.pipeline import NULL_CAPTION
from diffusion.training.captions import (
    NO_MORE_WORDS,
    CaptionMix,
    MoreWords,
    all_captions,
    captions_of,
)

NOTHING = -1  # instead of a text


# ---- caches --------------------------------------------------------------------------------------


class WordCache:
    """Embeddings of many texts, `(N, D)` each, concatenated in one half-precision tensor.

    Args:
        tokens: the embeddings of all tokens, `(sum of N, D)`.
        offsets: where each text begins, and where the last ends, `(texts + 1,)`.
        texts: in the order of their tokens.
    """

    def __init__(self, tokens: Tensor, offsets: Tensor, texts: list[str]) -> None:
        self.tokens, self.offsets = tokens, offsets
        self.index = {text: i for i, text in enumerate(texts)}
        self.lengths: list[int] = offsets.diff().tolist()

    def length(self, text: str) -> int:
        """The number of tokens of a text, the end token included."""
        return self.lengths[self.index[text]]

    def batch(self, rows: Tensor, longest: int) -> tuple[Tensor, Tensor]:
        """Embedding `(B, longest, D)` float32 and mask `(B, longest)` of the texts at `rows`.

        `rows` is `(B, P)`: the tokens of P texts are concatenated; -1 is no text.
        """
        starts = self.offsets[rows]  # (B, P)
        lengths = torch.where(rows == NOTHING, 0, self.offsets[rows + 1] - starts)
        ends = lengths.cumsum(dim=1)
        places = torch.arange(longest, device=rows.device).expand(len(rows), -1)  # (B, N)
        mask = places < ends[:, -1:]
        part = (places[:, :, None] >= ends[:, None, :]).sum(dim=2).clamp_max(rows.shape[1] - 1)
        tokens = places + (starts - ends + lengths).gather(1, part)
        embedding = self.tokens[tokens.clamp_max(len(self.tokens) - 1)].float()
        return embedding * mask[..., None], mask

    def to(self, device: torch.device) -> WordCache:
        """Moves the embeddings, and returns the cache."""
        self.tokens, self.offsets = self.tokens.to(device), self.offsets.to(device)
        return self


def cached(
    folder: Path, kind: str, made_of: object, make: Callable[[], dict[str, np.ndarray]]
) -> dict[str, np.ndarray]:
    """What `make` returns, from a file named by the hash of `made_of`.

    A file that is missing or damaged is rebuilt.
    """
    key = hashlib.sha256(json.dumps(made_of, sort_keys=True).encode()).hexdigest()[:16]
    path = folder / f"{kind}-{key}.npz"
    if path.exists():
        try:
            with np.load(path) as file:  # a zip: every array has its checksum
                return dict(file)
        except Exception as error:  # a damaged file can make NumPy fail in any way
            print(f"{path} is damaged ({error}): rebuilding it")
    arrays = make()
    with atomic(path) as part:
        np.savez(part, **arrays)
    return arrays


def build_latents(glyphs: GlyphDataset, autoencoder: Autoencoder, folder: Path) -> Tensor:
    """Latents of all glyphs, `(count, 8, 8, 8)` float32, from the cache or made now."""
    device = next(autoencoder.parameters()).device

    @torch.no_grad()
    def make() -> dict[str, np.ndarray]:
        batches = [
            autoencoder.encode(glyphs.images(rows).to(device)).half().cpu()
            for rows in track(torch.arange(len(glyphs)).split(64), "latents")
        ]
        return {"latents": torch.cat(batches).numpy()}

    characters = "".join(record.character for record in glyphs.records)
    made_of = glyphs.about, characters, autoencoder.fingerprint
    return torch.from_numpy(cached(folder, "latents", made_of, make)["latents"]).float()


def build_words(texts: list[str], encoder: TextEncoder, folder: Path) -> WordCache:
    """Embeddings of all texts, from the cache or made now."""

    def make() -> dict[str, np.ndarray]:
        tokens: dict[str, np.ndarray] = {}
        by_length = sorted(texts, key=len)
        for start in track(range(0, len(texts), 128), "words"):
            batch = by_length[start : start + 128]
            with warnings.catch_warnings():  # the mix leaves out texts that are too long
                warnings.filterwarnings("ignore", "caption longer")
                embedding, mask = encoder(batch)
            for text, vectors, real in zip(batch, embedding, mask, strict=True):
                tokens[text] = vectors[real].half().cpu().numpy()
        lengths = [len(tokens[text]) for text in texts]
        return {
            "tokens": np.concatenate([tokens[text] for text in texts]),
            "offsets": np.cumsum([0, *lengths]),
        }

    arrays = cached(folder, "words", (texts, encoder.fingerprint), make)
    return WordCache(torch.from_numpy(arrays["tokens"]), torch.from_numpy(arrays["offsets"]), texts)


# ---- batches -------------------------------------------------------------------------------------


class LatentDataset(Dataset):
    """Rows of latents with their texts: a caption drawn from the mix, and perhaps a layout.

    Indexed by a `Draw`; without a mix, indexed by a number and given the whole caption.

    Args:
        rows: where the latents of each record lie among all.
        records: of the glyphs.
        words: embeddings of all texts that the mix can choose.
        mix: how often each text of a glyph is used.
        more: English from sources other than the definitions.
    """

    def __init__(
        self,
        rows: list[int],
        records: list[GlyphRecord],
        words: WordCache,
        mix: CaptionMix | None,
        more: MoreWords = NO_MORE_WORDS,
    ) -> None:
        self.rows, self.records, self.words, self.mix = rows, records, words, mix
        self.more = more

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, draw: Draw | int) -> tuple[int, list[str]]:
        if self.mix is None:
            return self.rows[draw], [self.records[draw].caption]
        return self.rows[draw.row], self.texts(draw)

    def texts(self, draw: Draw) -> list[str]:
        """The caption chosen by the mix and the seed of the draw, and perhaps a layout."""
        record, mix, length = self.records[draw.row], self.mix, self.words.length
        generator = torch.Generator().manual_seed(draw.seed)
        kind, pick, named, placed = torch.rand(4, generator=generator).tolist()
        if kind < mix.null:
            return [NULL_CAPTION]
        texts = captions_of(record, self.more)
        short = {k: [one for one in texts[k] if length(one) <= mix.longest] for k in texts}
        shares = mix.shares(texts)
        ends = zip(shares, accumulate(shares.values()), strict=True)
        name = next((name for name, end in ends if kind - mix.null < end), "caption")
        found = short[name] or short["caption"] or short["sense"] or texts["radical"]
        text = found[int(pick * len(found))]
        if named < mix.named:
            whole = radical(record.radical).before(text)
            text = whole if length(whole) <= mix.longest else text
        layout = self.more.layouts.get(record.character)
        if layout and placed < mix.layout and length(text) + length(layout) <= mix.longest:
            return [text, layout]
        return [text]


class LatentData(LightningDataModule):
    """Latents with their words, cached in `<folder>/cache`.

    A batch is latents `(B, 8, 8, 8)` and a `Condition`. All caches are kept on the training device,
    so that no step waits for a copy.

    Args:
        folder: the glyphs that `scripts/prepare_data.py` drew.
        more: further folders of glyphs to train on, such as composites, or characters without a
            definition, whose caption is their radical; those held out in `folder` are left out.
        autoencoder: folder of a trained autoencoder; None is the one that ships.
        text_encoder: folder, or a T5's name on the Hugging Face hub; None is the one that ships.
        batch_size: samples a step and process.
        mix: how often each text of a glyph is used.
        seed: of the order of the glyphs and the choice of their captions.
    """

    def __init__(
        self,
        folder: Path = Path(".data"),
        more: tuple[Path, ...] | Path = (),
        autoencoder: Path | None = None,
        text_encoder: str | None = None,
        batch_size: int = 128,
        mix: CaptionMix = CaptionMix(),
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.save_hyperparameters(ignore=["mix"])
        self.mix = mix
        self.splits: dict[str, LatentDataset] = {}

    def prepare_data(self) -> None:
        """Fills the caches in one process per machine; the others read them in `setup`."""
        self.setup("fit")

    def setup(self, stage: str) -> None:
        if self.splits:
            return
        own = self.hparams
        self.autoencoder = Autoencoder.from_pretrained(own.autoencoder)
        self.text_encoder = TextEncoder.from_pretrained(own.text_encoder)
        if self.trainer:  # before the minutes that the caches take
            self.trainer.lightning_module.check_encoders(self.autoencoder, self.text_encoder)
            for encoder in (self.autoencoder, self.text_encoder):
                encoder.to(self.trainer.strategy.root_device)
        glyphs = GlyphDataset(own.folder)
        held_out = [record for record in glyphs.records if record.split == "test"]
        sources = [glyphs, *load_more(own.more, held_out)]
        for source in sources:
            source.check_size(self.autoencoder.config.image_size)
        cache = Path(own.folder) / "cache"
        self.latents = torch.cat([build_latents(one, self.autoencoder, cache) for one in sources])
        records = [record for source in sources for record in source.records]
        if not self.trainer or self.trainer.is_global_zero:
            self.text_encoder.warn_of_unknown(record.caption for record in records)
        more = MoreWords.load(self.mix)
        texts = all_captions(records, more, named=self.mix.named > 0)
        self.words = build_words(texts, self.text_encoder, cache)
        for split, mix, count in (("train", self.mix, len(records)), ("test", None, len(glyphs))):
            rows = [row for row in range(count) if records[row].split == split]
            known = [records[row] for row in rows]
            self.splits[split] = LatentDataset(rows, known, self.words, mix, more)

    def collate(self, samples: list[tuple[int, list[str]]]) -> tuple[Tensor, Tensor, int]:
        """Rows of latents `(B,)` and of texts `(B, P)`, and the number of tokens to pad to."""
        rows, parts = zip(*samples, strict=True)
        texts = [torch.tensor([self.words.index[text] for text in each]) for each in parts]
        longest = max(sum(map(self.words.length, each)) for each in parts)
        padded = -(-longest // self.mix.longest) * self.mix.longest  # few lengths, few compilations
        return torch.tensor(rows), pad_sequence(texts, True, padding_value=NOTHING), padded

    def on_after_batch_transfer(
        self, batch: tuple[Tensor, Tensor, int], dataloader_idx: int = 0
    ) -> tuple[Tensor, Condition]:
        """Latents and conditions for the rows of `collate`, on the training device."""
        rows, texts, padded = batch
        if self.latents.device != rows.device:  # in the first step
            self.latents, self.words = self.latents.to(rows.device), self.words.to(rows.device)
        return self.latents[rows], Condition(*self.words.batch(texts, padded))

    def train_dataloader(self) -> DataLoader:
        own, samples = self.hparams, self.splits["train"]
        batches = SeededBatches(len(samples), own.batch_size, own.seed, self.trainer)
        return DataLoader(samples, batch_sampler=batches, collate_fn=self.collate)

    def val_dataloader(self) -> DataLoader:
        return DataLoader(self.splits["test"], 64, collate_fn=self.collate)
