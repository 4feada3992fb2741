"""Captions to T5 embeddings, frozen, with a mask that says which tokens are real."""

import hashlib
import json
import re
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Self

import torch
from einops import einsum, rearrange
from safetensors import safe_open
from safetensors.torch import save
from tokenizers import Encoding, Tokenizer
from torch import Tensor, nn

from conditioning.prompts import normalise, shortened, slips
from conditioning.sources.tables import load_words, write_files
from conditioning.t5 import TIED, T5Encoder, check_config, load_t5

BUNDLED = Path(__file__).parent / "weights"
DEFAULT_MAX_TOKENS = 48
CONFIG, TOKENIZER, WEIGHTS = "config.json", "tokenizer.json", "model.safetensors"
DIGEST = "sha256"  # of all three, among the metadata of the weights
TABLE, CODES, SCALE = "shared.weight", "shared.codes", "shared.scale"  # whole, or in eight bits
SMALLEST = 2.0**-14  # below it float16 loses digits
NEEDED = (
    "a folder needs config.json, model.safetensors and tokenizer.json; "
    "a hub name needs a network or a filled cache"
)


class TextEncoder(nn.Module):
    """A frozen T5 encoder with its tokenizer.

    Attributes:
        dim: width D of the embedding.
        max_tokens: the longest sequence N that a call returns, the end token `</s>` included.
    """

    def __init__(
        self, model: T5Encoder, tokenizer: Tokenizer, max_tokens: int = DEFAULT_MAX_TOKENS
    ):
        """Wraps a T5 encoder; its weights are cast to float32 and frozen.

        Args:
            model: the encoder half of a T5.
            tokenizer: any tokenizer whose post-processor ends each text with the end token.
            max_tokens: at least 1, the end token included.

        Raises:
            ValueError: `max_tokens` is below 1, or the tokenizer does not fit the model.
        """
        super().__init__()
        if max_tokens < 1:
            raise ValueError(f"max_tokens must be at least 1, not {max_tokens}")
        if tokenizer.get_vocab_size() > model.config.vocab_size:
            raise ValueError(
                f"the tokenizer has {tokenizer.get_vocab_size()} tokens, "
                f"the model only {model.config.vocab_size}: they do not belong together"
            )
        # A tokenizer file may ask for truncation and padding; here both are done in plain sight.
        tokenizer.no_truncation()
        tokenizer.no_padding()
        self.model = model.float().requires_grad_(False)
        self.tokenizer = tokenizer
        self.max_tokens = max_tokens
        self.end = model.config.eos_token_id
        self.dim = model.config.d_model

    @classmethod
    def from_pretrained(cls, name: str | Path | None = None, max_tokens: int | None = None) -> Self:
        """Loads a text encoder: the bundled one, one in a folder, or one on the Hugging Face hub.

        Args:
            name: None for the T5 that ships (never touches the network), a folder with config.json,
                model.safetensors and a tokenizer, or the name of any T5 on the hub, such as
                "google-t5/t5-small" or "google/flan-t5-base".
            max_tokens: longest sequence; None takes what the folder was saved with, else 48.

        Raises:
            OSError: the model cannot be found or fetched, has no safetensors weights (pickled ones
                are refused), is no T5, or is damaged. One line.
            ValueError: its tokenizer is that of another model.
        """
        folder = BUNDLED if name is None else Path(name)
        local = name is None or folder.is_absolute() or str(name).startswith(".")
        if local and not folder.is_dir():
            raise FileNotFoundError(f"no text encoder in {folder}: the folder does not exist")
        complete = all((folder / file).is_file() for file in (CONFIG, TOKENIZER, WEIGHTS))
        try:
            read = load_encoder if complete else fetch_encoder
            settings, tokenizer, weights = read(folder if complete else name or folder)
            model = load_t5(settings, weights)
        except Exception as error:  # the libraries have no class of their own for what is wrong
            reason = str(error).strip().split("\n", 1)[0].strip()
            hint = "" if complete else f" ({NEEDED})"
            message = f"cannot load the text encoder {str(folder)!r}: {reason}{hint}"
            raise OSError(message) from error
        if max_tokens is None:
            max_tokens = settings.get("max_tokens", DEFAULT_MAX_TOKENS)
        return cls(model, tokenizer, max_tokens)

    @torch.no_grad()
    def round_table(self) -> Self:
        """Rounds the token embeddings to eight bits; `save_pretrained` then stores eight bits.

        An embedding loses less than a hundredth of its length.
        """
        self.model.shared.weight.copy_(rounded(self.model.shared.weight))
        return self

    def save_pretrained(self, folder: str | Path) -> None:
        """Writes config.json, tokenizer.json and model.safetensors (float16) into `folder`.

        Raises:
            ValueError: a weight is not finite in float16; nothing is written.
        """
        settings = asdict(self.model.config) | {
            "architectures": ["T5EncoderModel"],
            "dtype": "float16",
            "is_encoder_decoder": False,
            "max_tokens": self.max_tokens,
            "model_type": "t5",
            "pad_token_id": 0,
            "use_cache": False,
        }
        config = json.dumps(settings, indent=2, sort_keys=True) + "\n"
        weights = {k: v for k, v in self.model.state_dict().items() if k != TIED}
        save_encoder(folder, config, self.tokenizer.to_str(), weights)

    @property
    def fingerprint(self) -> str:
        """sha256, in hex, of all that decides an embedding; a key for caches of embeddings."""
        config = self.model.config
        settings = [  # all that decides an embedding besides the sizes of weights
            config.d_kv,
            config.feed_forward_proj,
            config.layer_norm_epsilon,
            config.num_heads,
            config.relative_attention_max_distance,
            config.relative_attention_num_buckets,
        ]
        digest = hashlib.sha256(f"{self.max_tokens} {settings}".encode())
        digest.update(self.tokenizer.to_str().encode())
        for name, weight in sorted(self.model.state_dict().items()):
            digest.update(f"{name} {tuple(weight.shape)}".encode())
            # As it lies on disk, so that saving and loading change nothing.
            digest.update(weight.detach().cpu().half().contiguous().numpy())
        return digest.hexdigest()

    @torch.no_grad()
    def forward(self, captions: Sequence[str], batch_size: int = 256) -> tuple[Tensor, Tensor]:
        """Embeds captions.

        Args:
            captions: B texts; "" is allowed and is the null caption of guidance.
            batch_size: texts in one pass of the network; it does not change the result.

        Returns:
            embedding `(B, N, D)` float32, zero where the mask is False, and mask `(B, N)` bool,
            True at a real token (the end token is one). N is the longest caption's length.

        Warns:
            UserWarning: a caption is longer than `max_tokens`; names the words lost.
        """
        device = self.model.shared.weight.device
        tokens = [torch.tensor(ids) for ids in self.tokenize(captions)]
        if not tokens:
            empty = torch.zeros(0, 0, self.dim, device=device)
            return empty, empty.any(dim=2)
        lengths = torch.tensor([len(ids) for ids in tokens])
        mask = torch.arange(int(lengths.max())) < rearrange(lengths, "b -> b 1")  # (B, N)
        embedding = torch.zeros(*mask.shape, self.dim, device=device)  # (B, N, D)
        for rows in lengths.argsort().split(batch_size):  # texts of like length pad little
            n = int(lengths[rows].max())
            padded = nn.utils.rnn.pad_sequence([tokens[row] for row in rows], batch_first=True)
            real = mask[rows, :n].to(device)
            hidden = self.model(padded.to(device), real)  # (b, n, D)
            embedding[rows.to(device), :n] = hidden * rearrange(real, "b n -> b n 1")
        return embedding, mask.to(device)

    @staticmethod
    def pool(embedding: Tensor, mask: Tensor) -> Tensor:
        """Mean over the real tokens: `(B, N, D)`, `(B, N)` -> `(B, D)`."""
        weight = mask.to(embedding.dtype)
        total = einsum(embedding, weight, "b n d, b n -> b d")
        return total / weight.sum(dim=1, keepdim=True)

    def tokenize(self, captions: Sequence[str]) -> list[list[int]]:
        """Token ids of each caption, the end token last, none longer than `max_tokens`.

        Raises:
            TypeError: `captions` is one string, or holds something that is not a string.
        """
        if isinstance(captions, str):
            raise TypeError("captions must be a list of strings, not one string")
        for caption in captions:
            if not isinstance(caption, str):
                raise TypeError(f"a caption must be a string, not {type(caption).__name__}")
        texts = [normalise(caption) for caption in captions]
        encodings = self.tokenizer.encode_batch(texts)
        return [self._fit(text, code) for text, code in zip(texts, encodings, strict=True)]

    def unknown(self, text: str) -> list[str]:
        """The parts of a text that have no token, such as characters of another script."""
        text = normalise(text)
        code = self.tokenizer.encode(text)
        nothing = self.tokenizer.token_to_id("<unk>")
        places = zip(code.ids, code.offsets, strict=True)
        return [text[first:last] for token, (first, last) in places if token == nothing]

    def warn_of_unknown(self, captions: Iterable[str]) -> None:
        """Warns, in one line for all, of captions with parts that have no token."""
        captions = list(dict.fromkeys(captions))
        nothing = self.tokenizer.token_to_id("<unk>")
        codes = self.tokenizer.encode_batch([normalise(caption) for caption in captions])
        pairs = zip(captions, codes, strict=True)
        if unknown := [caption for caption, code in pairs if nothing in code.ids]:
            warnings.warn(
                f"{len(unknown):,} of {len(captions):,} captions have parts that the text encoder "
                f'cannot read, such as "{shortened(unknown[0])}": it ignores them',
                stacklevel=2,
            )

    def misspelt(self, text: str) -> dict[str, str]:
        """Words that no dictionary has, such as "mountian", by the commonest word a slip away.

        Only those that the tokenizer, too, has no token for, and spells out in pieces.
        """
        found = {}
        for word in dict.fromkeys(re.findall(r"\b[a-z]{4,}\b", normalise(text))):
            if self._rank(word) is None and load_words().isdisjoint((word, word.rstrip("s"))):
                known = filter(self._rank, slips(word) & load_words())
                if other := min(known, key=self._rank, default=None):
                    found[word] = other
        return found

    def _rank(self, word: str) -> int | None:
        """The number of the token that is a whole word; commoner words have lower ones."""
        return self.tokenizer.token_to_id(f"▁{word}")

    def _fit(self, text: str, encoding: Encoding) -> list[int]:
        ids = encoding.ids if encoding.ids[-1:] == [self.end] else [*encoding.ids, self.end]
        if len(ids) <= self.max_tokens:
            return ids
        cut = encoding.offsets[self.max_tokens - 1][0]
        cut = 1 + text.rfind(" ", 0, cut + 1)  # a word cut in half counts as lost
        lost = shortened(text[cut:])
        warnings.warn(
            f"caption longer than {self.max_tokens} tokens, these words are lost: {lost!r}",
            stacklevel=2,
        )
        return [*ids[: self.max_tokens - 1], self.end]


# ---- folders: config.json, tokenizer.json and model.safetensors ----------------------------------


def save_encoder(
    folder: str | Path, config: str, tokenizer: str, weights: Mapping[str, Tensor]
) -> None:
    """Writes the three files; a table rounded to eight bits is stored in eight bits.

    Raises:
        ValueError: a weight is not finite in float16; nothing is written.
    """
    stored = {name: weight.detach().cpu().half().contiguous() for name, weight in weights.items()}
    for name, weight in stored.items():
        if not weight.isfinite().all():
            raise ValueError(f"{name} is not finite in float16, so it is not saved")
    table = weights[TABLE].detach().cpu()
    if rounded(table).equal(table):  # nothing is lost
        del stored[TABLE]
        stored[CODES], stored[SCALE] = to_eight_bits(table)
    metadata = {"format": "pt", DIGEST: _digest(config, tokenizer, stored)}
    files = {CONFIG: config.encode(), TOKENIZER: tokenizer.encode()}
    write_files(folder, files | {WEIGHTS: save(stored, metadata)})


def load_encoder(folder: Path) -> tuple[dict[str, Any], Tokenizer, dict[str, Tensor]]:
    """Settings, tokenizer and weights of a folder, as written here or by transformers.

    Raises:
        OSError: the files are not those that were written together.
        Exception: as the libraries raise it, where a file is damaged.
    """
    config, tokenizer = ((folder / name).read_text("utf-8") for name in (CONFIG, TOKENIZER))
    with safe_open(folder / WEIGHTS, "pt") as file:
        written = (file.metadata() or {}).get(DIGEST)  # models from elsewhere have none
        weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    if written and written != _digest(config, tokenizer, weights):
        raise OSError("its files are not as they were exported; copy or export all of them again")
    if CODES in weights:
        weights[TABLE] = from_eight_bits(weights.pop(CODES), weights.pop(SCALE))
    return json.loads(config), Tokenizer.from_str(tokenizer), weights


def _digest(config: str, tokenizer: str, weights: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256(f"{len(config)} {config}{tokenizer}".encode())
    for name, weight in sorted(weights.items()):
        digest.update(f"{name} {weight.dtype} {tuple(weight.shape)}".encode())
        digest.update(weight.numpy())
    return digest.hexdigest()


def fetch_encoder(name: str | Path) -> tuple[dict[str, Any], Tokenizer, dict[str, Tensor]]:
    """Settings, tokenizer and weights of a T5 on the hub, or of a folder in another layout."""
    # Imported here: transformers takes seconds to import, and no other encoder needs it.
    from transformers import AutoTokenizer, T5Config, T5EncoderModel

    settings, _ = T5Config.get_config_dict(name)
    if not settings:
        raise OSError("no config.json")
    check_config(settings)
    model, report = T5EncoderModel.from_pretrained(
        name, use_safetensors=True, output_loading_info=True, dtype=torch.float32
    )
    # transformers would go on with random numbers in place of those missing.
    weights = {k: v for k, v in model.state_dict().items() if k not in report["missing_keys"]}
    tokenizer = AutoTokenizer.from_pretrained(name)
    if not tokenizer.is_fast:
        raise OSError("no usable tokenizer")
    return settings, tokenizer.backend_tokenizer, weights


# ---- eight bits ----------------------------------------------------------------------------------


def to_eight_bits(table: Tensor) -> tuple[Tensor, Tensor]:
    """Codes `(N, D)` int8 and scales `(N, 1)` float16 of a table `(N, D)`.

    The largest number of each row has the code 127 or -127, unless all of it is below 0.008. What
    `from_eight_bits` makes of them has the same codes and scales again.
    """
    scale = (table.float().abs().amax(dim=1, keepdim=True) / 127).half().clamp_min(SMALLEST)
    codes = (table.float() / scale.float()).round().clamp(-127, 127)
    return codes.to(torch.int8), scale


def from_eight_bits(codes: Tensor, scale: Tensor) -> Tensor:
    """The table, `(N, D)` float32."""
    return codes * scale.float()


def rounded(table: Tensor) -> Tensor:
    """The table, `(N, D)` float32, as it comes back from eight bits."""
    return from_eight_bits(*to_eight_bits(table))
