"""Distillation of a sentence encoder into the bundled T5.

The mean of the T5's last hidden states is trained to match the teacher's embedding of the same
text (Reimers & Gurevych 2020, arXiv:2004.09813).
"""

import hashlib
from collections.abc import Callable, Sequence
from copy import deepcopy
from math import cos, pi
from pathlib import Path

import lightning
import torch
from rich.progress import Progress
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn.functional import cosine_similarity, normalize
from torch.utils.data import DataLoader

from conditioning import prompts
from conditioning.distillation.corpus import Corpus, common_words, load_corpus
from conditioning.distillation.student import (
    LengthBatches,
    create_student,
    distillation_loss,
    fit_table,
    pad,
    start_table,
)
from conditioning.distillation.teacher import Teacher
from conditioning.distillation.vocabulary import CANDIDATES, SHARE, train_tokenizer
from conditioning.encoder import DEFAULT_MAX_TOKENS, TextEncoder
from conditioning.sources.tables import write_files
from conditioning.sources.wordnet import WORDNET, load_definitions
from conditioning.t5 import T5Encoder

REPEATS = {"captions": 3, "parts": 1, "words": 1, "phrases": 1, "glosses": 1}


def lessons(
    teacher: Teacher,
    texts: Sequence[str],
    wordnet: Path = WORDNET,
    progress: Callable[[int, int], None] | None = None,
) -> Tensor:
    """The targets of the student for B texts: unit vectors `(B, 384)`.

    The teacher's embedding of a text; for a word in WordNet, the normalised sum of that and the
    embedding of its definition, which says that a flamingo is a bird. A sentence encoder knows a
    single word only by the words that often surround it.

    Args:
        progress: called with the number of texts done and the total.
    """
    defined = load_definitions(dict.fromkeys(texts), wordnet)
    vectors = teacher.embed([*texts, *defined.values()], progress)
    plain, of_definitions = vectors[: len(texts)], vectors[len(texts) :]
    row = {text: i for i, text in enumerate(defined)}
    words = [i for i, text in enumerate(texts) if text in row]
    plain[words] += of_definitions[[row[texts[i]] for i in words]]
    return normalize(plain, dim=1)


class DistillationData(lightning.LightningDataModule):
    """Texts, their tokens and the teacher's embeddings of them.

    A subclass defines `captions`, which says which texts are held out.
    """

    def __init__(
        self,
        wordnet: Path = WORDNET,
        cache: Path = Path(".runs/text_encoder"),
        vocabulary: int = 26_000,
        batch_size: int = 256,
        seed: int = 0,
    ):
        """Stores the settings; nothing is read yet.

        Args:
            wordnet: folder of WordNet's database files (Debian's wordnet-base).
            cache: folder for the tokenizer and the teacher's embeddings, kept between runs.
            vocabulary: number of tokens.
            batch_size: texts in a batch.
            seed: of the order of the texts.
        """
        super().__init__()
        self.wordnet, self.cache = Path(wordnet), Path(cache)
        self.vocabulary, self.batch_size, self.seed = vocabulary, batch_size, seed
        self.tokenizer: Tokenizer | None = None

    def captions(self) -> tuple[Sequence[str], Sequence[str]]:
        """Captions to learn from, and captions held out; the latter teach nothing."""
        raise NotImplementedError

    def setup(self, stage: str | None = None) -> None:
        """Reads the texts, trains the tokenizer and runs the teacher, or loads what they cached.

        Raises:
            FileNotFoundError: WordNet is missing.
            ValueError: the teacher or wordfreq is missing, or there are several processes or
                batches a step, whose order `LengthBatches` does not know.
        """
        if self.tokenizer is not None:
            return
        if self.trainer and self.trainer.world_size * self.trainer.accumulate_grad_batches > 1:
            raise ValueError(
                "the text encoder is trained by one process, a batch a step: leave out "
                "--trainer.devices, --trainer.num_nodes and --trainer.accumulate_grad_batches"
            )
        teacher = Teacher(self.cache)
        captions, held_out = self.captions()
        held_out = list(dict.fromkeys(held_out))
        corpus = load_corpus(captions, self.wordnet, [*teacher.words(), *common_words()])
        self.tokenizer, self.frequencies = self._tokenizer(corpus)
        self.texts = [
            text for kind, several in corpus.texts.items() for text in several * REPEATS[kind]
        ]
        pieces = [self.tokenizer.id_to_token(i).strip("▁") for i in range(self.vocabulary)]
        with Progress(transient=True) as progress:
            task = progress.add_task("teacher")
            targets = lessons(
                teacher,
                [*self.texts, *held_out, *pieces],
                self.wordnet,
                lambda done, total: progress.update(task, completed=done, total=total),
            )
        sizes = [len(self.texts), len(held_out), len(pieces)]
        self.targets, self.held_out_targets, self.pieces = targets.split(sizes)
        self.tokens = self._tokens(self.texts)
        self.held_out_tokens = self._tokens(held_out)

    def _tokenizer(self, corpus: Corpus) -> tuple[Tokenizer, Tensor]:
        counts = corpus.counts
        made_of = f"{self.vocabulary} {SHARE} {CANDIDATES} {sorted(counts.items())}"
        path = self.cache / f"tokenizer-{hashlib.sha256(made_of.encode()).hexdigest()[:16]}.json"
        if path.is_file():
            tokenizer = Tokenizer.from_file(str(path))
        else:
            tokenizer = train_tokenizer(counts, self.vocabulary)
            write_files(self.cache, {path.name: tokenizer.to_str().encode()})
        occurrences = torch.zeros(self.vocabulary)
        words = list(counts)
        for encoding, word in zip(tokenizer.encode_batch(words), words, strict=True):
            pieces = torch.tensor(encoding.ids[:-1])
            occurrences.index_add_(0, pieces, torch.full((len(pieces),), float(counts[word])))
        return tokenizer, occurrences / occurrences.sum()

    def _tokens(self, texts: Sequence[str]) -> list[Tensor]:
        codes = self.tokenizer.encode_batch(list(map(prompts.normalise, texts)))
        return [torch.tensor([*code.ids[:-1][: DEFAULT_MAX_TOKENS - 1], 1]) for code in codes]

    def starting_table(self) -> Tensor:
        """Token embeddings `(V, 384)` that already work well as a bag of words."""
        vectors = self.pieces.clone()
        vectors[:3] = 0  # the special tokens are no text
        table = start_table(vectors, self.frequencies)
        return fit_table(table, self.tokens, self.targets, seed=self.seed)

    def train_dataloader(self) -> DataLoader:
        """Batches of ids `(B, N)`, mask `(B, N)` and targets `(B, 384)`; a new order each epoch."""
        batches = LengthBatches([len(ids) for ids in self.tokens], self.batch_size, self.seed)
        if self.trainer:  # which asks for new batches each epoch, and wherever it goes on
            batches.epoch, batches.done = divmod(self.trainer.global_step, len(batches))
        return _loader(self.tokens, self.targets, batches)

    def val_dataloader(self) -> DataLoader:
        """The held-out captions, in the same form."""
        batches = LengthBatches([len(ids) for ids in self.held_out_tokens], self.batch_size)
        return _loader(self.held_out_tokens, self.held_out_targets, batches)


class DistillationModule(lightning.LightningModule):
    """A small T5 encoder that learns its teacher's embeddings."""

    def __init__(
        self,
        layers: int = 2,
        heads: int = 6,
        hidden: int = 768,
        learning_rate: float = 1.5e-3,
        warmup: float = 0.05,
        weight_decay: float = 0.01,
        relation: float = 10.0,
        seed: int = 0,
        out: Path = Path(".runs/text_encoder/export"),
    ):
        """Stores the settings; `configure_model` creates the T5.

        Args:
            layers: blocks of attention and feed-forward.
            heads: heads of attention; they share the teacher's 384 dimensions.
            hidden: width of the feed-forward layers.
            learning_rate: at its peak.
            warmup: share of the steps in which the rate rises from 0; a cosine decay follows.
            weight_decay: of AdamW, for the layers and not for the table of tokens.
            relation: weight of the loss on the similarities between texts.
            seed: of the random weights.
            out: folder for config.json, tokenizer.json and model.safetensors.
        """
        super().__init__()
        self.save_hyperparameters()
        self.student: T5Encoder | None = None

    def configure_model(self) -> None:
        """Creates the T5, whose token embeddings start from the data."""
        if self.student is not None:
            return
        data = self.trainer.datamodule
        # A checkpoint brings its own table; the minute that fitting takes would be lost.
        resumed = self.trainer.ckpt_path is not None
        own = self.hparams
        with torch.device("cpu"):  # where the data and its generators are; Lightning moves it on
            table = torch.zeros_like(data.pieces) if resumed else data.starting_table()
            self.student = create_student(table, own.layers, own.heads, own.hidden, own.seed)

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Token ids and mask `(B, N)` to one embedding a text `(B, D)`."""
        return TextEncoder.pool(self.student(ids, mask), mask)

    def training_step(self, batch: tuple[Tensor, Tensor, Tensor], index: int) -> Tensor:
        """The loss of one batch."""
        ids, mask, target = batch
        loss = distillation_loss(self(ids, mask), target, self.hparams.relation)
        self.log("train/loss", loss, prog_bar=True, batch_size=len(ids))
        return loss

    def validation_step(self, batch: tuple[Tensor, Tensor, Tensor], index: int) -> None:
        """Logs the cosine similarity of student and teacher on the held-out captions."""
        ids, mask, target = batch
        cosine = cosine_similarity(self(ids, mask), target).mean()
        self.log("val/cosine", cosine, prog_bar=True, batch_size=len(ids))

    def configure_optimizers(self) -> dict:
        """AdamW, with linear warm-up and cosine decay over all steps."""
        own, total = self.hparams, self.trainer.estimated_stepping_batches
        rise = max(1, int(own.warmup * total))

        def rate(step: int) -> float:
            fall = (step - rise) / max(1, total - rise)
            return min(1.0, (step + 1) / rise) * (1 + cos(pi * min(1.0, max(0.0, fall)))) / 2

        table, *layers = self.student.parameters()
        groups = [
            {"params": layers, "weight_decay": own.weight_decay},
            {"params": [table], "weight_decay": 0.0},
        ]
        optimizer = torch.optim.AdamW(groups, lr=own.learning_rate, betas=(0.9, 0.98))
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, rate)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def on_fit_end(self) -> None:
        """Writes the trained encoder to `out`."""
        if self.trainer.interrupted or self.trainer.fast_dev_run:
            return
        encoder = TextEncoder(deepcopy(self.student).cpu(), self.trainer.datamodule.tokenizer)
        encoder.round_table().save_pretrained(self.hparams.out)
        print(f"wrote {self.hparams.out}")


def _loader(tokens: list[Tensor], targets: Tensor, batches: LengthBatches) -> DataLoader:
    def collate(rows: list[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor, Tensor]:
        tokens, targets = zip(*rows, strict=True)
        return *pad(tokens), torch.stack(targets)

    texts = list(zip(tokens, targets, strict=True))
    return DataLoader(texts, batch_sampler=batches, collate_fn=collate)
