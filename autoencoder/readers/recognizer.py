"""The recogniser of characters: the known one nearest to a glyph, and whether it is that one."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from einops import rearrange
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import Tensor, nn

from autoencoder.blocks import TrunkConfig, trunk
from autoencoder.files import atomic
from autoencoder.pretrained import Pretrained, WeightsError, fingerprint

KNOWN = "characters.safetensors"
DIGEST = "sha256"  # among the metadata of that file


@dataclass(frozen=True)
class RecognizerConfig(TrunkConfig):
    """Settings of a `Recognizer`, saved as `config.json` beside its weights.

    Attributes:
        features: width of an embedding.
        threshold: the least cosine of two embeddings of one character.
    """

    features: int = 64
    threshold: float = 0.9

    def __post_init__(self) -> None:
        """Raises ValueError, in one line, for settings that make no recogniser."""
        super().__post_init__()
        if self.features < 1:
            raise ValueError("the sizes of a recogniser must be at least 1")
        if not -1 <= self.threshold <= 1:
            raise ValueError(f"threshold of {self.threshold}: take a cosine, -1 to 1")


class Match(NamedTuple):
    """The known character nearest to a glyph."""

    character: str
    likeness: float  # cosine of the embeddings, at most 1
    exists: bool  # whether the glyph is that character


class Recognizer(Pretrained):
    """Glyphs `(B, 1, 128, 128)` in [0, 1], 1 = ink, to embeddings `(B, 64)` of length 1.

    Embeddings of one character lie together in any hand, those of two characters apart. `known`
    are the characters that a glyph is compared with.
    """

    config_class = RecognizerConfig
    bundled = Path(__file__).parents[1] / "weights" / "recognizer"

    def __init__(self, config: RecognizerConfig | None = None) -> None:
        super().__init__(config)
        config = self.config
        self.layers = trunk(config)
        self.gather = nn.Linear(config.cells, config.features)
        self.known = KnownCharacters("", torch.zeros(0, config.features, dtype=torch.int8))

    def forward(self, glyphs: Tensor) -> Tensor:
        x = self.layers(glyphs)  # (B, 192, 4, 4)
        return F.normalize(self.gather(rearrange(x, "b c h w -> b (c h w)")).float(), dim=1)

    @torch.no_grad()
    def embed(self, glyphs: Tensor, batch_size: int = 128) -> Tensor:
        """The embeddings of many glyphs, `(B, 64)`, on the CPU."""
        batches = glyphs.split(batch_size)
        return torch.cat([self(batch.to(self.gather.weight)).cpu() for batch in batches])

    def match(self, embeddings: Tensor) -> list[Match]:
        """The nearest known character of each embedding `(B, 64)`."""
        likeness, rows = self.known.nearest(embeddings)
        return [
            Match(self.known.characters[row], value, value >= self.config.threshold)
            for value, row in zip(likeness.tolist(), rows.tolist(), strict=True)
        ]

    @property
    def fingerprint(self) -> str:
        """A hash of settings, weights and known characters, in hex."""
        return self.known.digest(fingerprint(self.config, self))

    def save_pretrained(self, folder: str | Path) -> Path:
        """Writes network and known characters, and returns the folder."""
        folder = super().save_pretrained(folder)
        self.known.save(folder / KNOWN, fingerprint(self.config, self))
        return folder

    @classmethod
    def from_pretrained(cls, folder: str | Path | None = None) -> Recognizer:
        """The recogniser of a folder, in evaluation mode; None is the one that ships.

        Raises WeightsError for a folder without weights, damaged ones, or another model's.
        """
        folder = Path(cls.bundled if folder is None else folder)
        recognizer = super().from_pretrained(folder)
        network = fingerprint(recognizer.config, recognizer)
        recognizer.known = KnownCharacters.load(folder / KNOWN, network)
        return recognizer


@dataclass(frozen=True)
class KnownCharacters:
    """Characters, and the embedding of each as a row of `codes`, `(N, D)` int8, of any length."""

    characters: str
    codes: Tensor

    @classmethod
    def of(cls, characters: Sequence[str], embeddings: Tensor) -> KnownCharacters:
        """Of embeddings `(N, D)`, in eight bits, which change a cosine by less than 0.001."""
        largest = embeddings.abs().amax(dim=1, keepdim=True).clamp_min(1e-12)
        return cls("".join(characters), (127 * embeddings / largest).round().to(torch.int8))

    def without(self, characters: Set[str]) -> KnownCharacters:
        """All but some characters."""
        rows = [i for i, known in enumerate(self.characters) if known not in characters]
        return KnownCharacters("".join(self.characters[i] for i in rows), self.codes[rows])

    def nearest(self, embeddings: Tensor) -> tuple[Tensor, Tensor]:
        """The nearest to each embedding `(B, D)`: cosine and row, `(B,)`; ValueError if none is."""
        if not self.characters:
            raise ValueError("a recogniser that knows no characters finds none")
        known = F.normalize(self.codes.float(), dim=1)
        # One at a time, so that the rest of a batch changes nothing, not even in the last bit.
        cosine = torch.stack([known @ embedding for embedding in F.normalize(embeddings, dim=1)])
        values, rows = cosine.max(dim=1)
        return values, rows

    def save(self, path: Path, network: str) -> None:
        """Writes one file; `network` is the fingerprint of the one that the codes come from."""
        points = torch.tensor([ord(character) for character in self.characters], dtype=torch.int32)
        metadata = {DIGEST: self.digest(network)}
        with atomic(path) as part:
            part.write_bytes(save({"characters": points, "codes": self.codes}, metadata))

    @classmethod
    def load(cls, path: Path, network: str) -> KnownCharacters:
        """What `save` wrote. Raises WeightsError for a damaged file, or one of another network."""
        try:
            tensors = load_file(path)
            with safe_open(path, "pt") as file:
                written = (file.metadata() or {}).get(DIGEST)
            known = cls("".join(map(chr, tensors["characters"].tolist())), tensors["codes"])
            if written != known.digest(network):
                raise ValueError("it is not as it was exported, or of another recogniser")
            return known
        except (SafetensorError, OSError, KeyError, ValueError, OverflowError) as error:
            raise WeightsError(f"{path} cannot be used ({error}): export it again") from None

    def digest(self, network: str) -> str:
        """A SHA-256 of all of it and of a network's fingerprint, in hex."""
        shape = f"{network} {self.characters} {tuple(self.codes.shape)}"
        return hashlib.sha256(shape.encode() + self.codes.numpy().tobytes()).hexdigest()
