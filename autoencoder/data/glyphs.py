"""Glyphs in a folder: their pixels, what is known of each, and the dataset that reads both.

A folder holds glyphs.npy, uint8 `(count, size, size)`, 255 = ink; glyphs.tsv, a `GlyphRecord` a
line; and glyphs.json, what the glyphs were made from.
"""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Iterable, Sequence, Set
from dataclasses import astuple, dataclass, fields
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import Dataset

from autoencoder.files import atomic

HELD_OUT = 0.05
SPLITS = ("train", "test")


class GlyphError(ValueError):
    """A font or a data folder that cannot be used: what is wrong, and what to do."""


@dataclass(frozen=True)
class GlyphRecord:
    """What is known of a glyph besides its pixels."""

    character: str
    radical: int  # Kangxi radical, 1 to 214
    strokes: int
    split: str  # "train" or "test"
    caption: str


def held_out(caption: str) -> bool:
    """Whether the characters of a caption belong to the test split.

    A hash of the caption decides and no random state, so that the split survives new data, and two
    characters of one meaning are never on both sides.
    """
    digest = hashlib.sha256(caption.casefold().encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64 < HELD_OUT


def record(character: str, radical: int, strokes: int, caption: str) -> GlyphRecord:
    """A `GlyphRecord` in the split that its caption decides."""
    return GlyphRecord(character, radical, strokes, SPLITS[held_out(caption)], caption)


def write_folder(
    folder: str | Path, images: np.ndarray, records: Sequence[GlyphRecord], about: dict
) -> None:
    """Writes a folder that `GlyphDataset` reads: always whole, as it was or new.

    Args:
        images: uint8 `(count, size, size)`, 255 = ink.
        records: one a glyph.
        about: `size`, `counts` with the number of `glyphs`, and where they come from. Latents are
            cached under it, so other pixels need another one.
    """
    index, table, pixels = (Path(folder) / f"glyphs.{end}" for end in ("json", "tsv", "npy"))
    with atomic(index) as new_index, atomic(table) as new_table, atomic(pixels) as new_pixels:
        np.save(new_pixels, images)
        with new_table.open("w", encoding="utf-8", newline="") as file:
            file.write("\t".join(field.name for field in fields(GlyphRecord)) + "\n")
            file.writelines("\t".join(map(str, astuple(record))) + "\n" for record in records)
        new_index.write_text(json.dumps(about, indent=2, ensure_ascii=False) + "\n", "utf-8")
        # Without glyphs.json there is no data, so a stop between two renames mixes no two runs.
        index.unlink(missing_ok=True)


class GlyphDataset(Dataset):
    """The glyphs of a folder that `scripts/prepare_data.py` wrote: all of them, or one split.

    `dataset[i]` is a float32 tensor (1, size, size) in [0, 1], 1 = ink; `records[i]` belongs to it.
    The characters of `without` are left out. Raises GlyphError where the folder has no data, or
    data of different runs.
    """

    def __init__(
        self,
        folder: str | Path = ".data",
        split: str | None = None,
        without: Set[str] = frozenset(),
    ) -> None:
        if split not in (*SPLITS, None):
            raise GlyphError(f'there is no split "{split}": it is "train", "test" or None for both')
        self.folder, self.split = Path(folder), split
        try:
            lines = self._read()
        except FileNotFoundError:
            raise GlyphError(
                f"no glyphs in {self.folder}: run python scripts/prepare_data.py first"
            ) from None
        except (ValueError, KeyError, TypeError, EOFError, csv.Error) as error:
            raise GlyphError(
                f"the files of {self.folder} are damaged, or of different runs ({error}): "
                "run python scripts/prepare_data.py again"
            ) from None
        rows = [
            row
            for row, line in enumerate(lines)
            if split in (None, line.split) and line.character not in without
        ]
        self._rows, self.records = np.array(rows, np.int64), [lines[row] for row in rows]

    def _read(self) -> list[GlyphRecord]:
        """All records of the folder. Raises what reading raises, and ValueError."""
        self.about = json.loads((self.folder / "glyphs.json").read_text("utf-8"))
        with (self.folder / "glyphs.tsv").open(encoding="utf-8", newline="") as file:
            lines = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
        for line in lines:
            line.pop("other", None)  # which some folders have from before
        numbers = ("radical", "strokes")
        records = [GlyphRecord(**line | {key: int(line[key]) for key in numbers}) for line in lines]
        size = self.about["size"]
        shape = self.about["counts"]["glyphs"], size, size
        if self._pixels.dtype != np.uint8 or self._pixels.shape != shape:
            raise ValueError("glyphs.npy is not of the glyphs that glyphs.json counts")
        if len(records) != shape[0]:
            raise ValueError("the lines of glyphs.tsv are not as many as glyphs.json counts")
        for one in records:
            if not 1 <= one.radical <= 214 or one.split not in SPLITS or len(one.character) != 1:
                raise ValueError(f"{one.character!r} in glyphs.tsv is no record of a character")
        return records

    def check_size(self, size: int) -> None:
        """Raises GlyphError where the glyphs are not of the size that a model takes."""
        if self.about["size"] != size:
            raise GlyphError(
                f"the glyphs in {self.folder} have {self.about['size']} pixels a side, and the "
                f"model takes {size}: draw them again with prepare_data.py --size {size}"
            )

    @cached_property
    def _pixels(self) -> np.ndarray:
        return np.load(self.folder / "glyphs.npy", mmap_mode="r")

    def __getstate__(self) -> dict:
        # A memory map pickles as the whole array: each worker process opens its own instead.
        return {key: value for key, value in self.__dict__.items() if key != "_pixels"}

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, i: int) -> torch.Tensor:
        return self.images([i])[0]

    def images(self, indices: Sequence[int] | np.ndarray | torch.Tensor) -> torch.Tensor:
        """The glyphs at `indices`, float32 (B, 1, size, size) in [0, 1]."""
        pixels = self._pixels[self._rows[np.asarray(indices)]]
        return torch.from_numpy(pixels).unsqueeze(1).float().div_(255)


def load_more(
    folders: Iterable[str | Path] | str | Path, held_out: Iterable[GlyphRecord]
) -> list[GlyphDataset]:
    """Further folders of glyphs, or one, to train on, without the characters that are held out."""
    folders = [folders] if isinstance(folders, str | Path) else folders
    unseen = {record.character for record in held_out}
    return [GlyphDataset(folder, without=unseen) for folder in folders]


def load_splits(
    folder: str | Path, more: Iterable[str | Path] | str | Path, size: int | None
) -> tuple[list[GlyphDataset], GlyphDataset]:
    """The glyphs to train on, those of `folder` first, and the held-out ones of `folder`.

    Raises GlyphError where they are not of the `size` that a model takes; None is any.
    """
    test = GlyphDataset(folder, "test")
    sources = [GlyphDataset(folder, "train"), *load_more(more, test.records)]
    for glyphs in sources if size else ():
        glyphs.check_size(size)
    return sources, test
