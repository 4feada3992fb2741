"""The bundled T5 before its training, and the batches it is trained on.

Most of what it knows it knows before the first step: its table of tokens is fitted to the teacher
as a bag of words, and its layers start as the identity.
"""

from collections.abc import Iterator, Sequence
from math import ceil

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn.functional import normalize
from torch.utils.data import Sampler

from conditioning.encoder import TextEncoder
from conditioning.t5 import T5Config, T5Encoder

EPSILON = 1.0  # of T5's layer norms; see `_settle`


def distillation_loss(student: Tensor, teacher: Tensor, relation: float = 10.0) -> Tensor:
    """How far the directions of the student's embeddings `(B, D)` are from the teacher's; a scalar.

    Args:
        relation: weight of the error of the similarities of all pairs (Park et al. 2019,
            arXiv:1904.05068).
    """
    s, t = normalize(student, dim=1), normalize(teacher, dim=1)
    alone = 1 - (s * t).sum(dim=1).mean()
    among = (s @ s.T - t @ t.T).square().mean()
    return alone + relation * among


def create_student(
    table: Tensor, layers: int = 2, heads: int = 6, hidden: int = 768, seed: int = 0
) -> T5Encoder:
    """A T5 encoder that starts as the bag of words of `table`, and its layers as the identity.

    Args:
        table: token embeddings `(V, D)`; D is a multiple of `heads`.
        layers: number of blocks.
        heads: heads of attention in each.
        hidden: width of the feed-forward layers.
        seed: of the random weights; the global random state stays as it was.
    """
    size, dim = table.shape
    config = T5Config(
        vocab_size=size,
        d_model=dim,
        d_kv=dim // heads,
        d_ff=hidden,
        num_layers=layers,
        num_heads=heads,
        layer_norm_epsilon=EPSILON,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        student = T5Encoder(config)
    with torch.no_grad():
        student.shared.weight.copy_(table)
        for name, weight in student.named_parameters():
            if name.endswith(("SelfAttention.o.weight", "DenseReluDense.wo.weight")):
                weight.zero_()
    return student


def start_table(vectors: Tensor, frequencies: Tensor) -> Tensor:
    """Token embeddings from the teacher's unit vectors `(V, D)`, the rare ones the longer.

    The weight a / (a + p), p the frequency `(V,)`, is that of Arora et al. 2017, "A simple but
    tough-to-beat baseline for sentence embeddings".
    """
    a = 1e-3
    return vectors * rearrange(a / (a + frequencies), "v -> v 1") * vectors.shape[1] ** 0.5


def fit_table(
    table: Tensor, tokens: list[Tensor], targets: Tensor, epochs: int = 6, seed: int = 0
) -> Tensor:
    """Token embeddings `(V, D)`, fitted until the bag of words of each text is near its target.

    It costs next to nothing, for no layer is run (as in Tulkens & van Dongen's Model2Vec).

    Args:
        table: token embeddings to start from.
        tokens: token ids of B texts.
        targets: the teacher's embeddings `(B, D)`.
        epochs: passes over the texts.
        seed: of their order.
    """
    embedding = nn.Embedding.from_pretrained(table.clone(), freeze=False, sparse=True)
    optimizer = torch.optim.SparseAdam(embedding.parameters(), lr=0.03)
    batches = LengthBatches([len(ids) for ids in tokens], 1024, seed)
    total = epochs * len(batches)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 - step / total)
    for epoch in range(epochs):
        batches.epoch = epoch
        for rows in batches:
            ids, mask = pad([tokens[row] for row in rows])
            pooled = TextEncoder.pool(_settle(embedding(ids)), mask)
            loss = distillation_loss(pooled, targets[rows], relation=0.0)  # costs most, adds least
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return embedding.weight.detach()


def _settle(hidden: Tensor) -> Tensor:
    """T5's last layer norm at its start.

    The usual epsilon of 1e-6 would make all tokens equally long, "the" as long as "dragon". With 1
    a token that is short stays short, and the mean over tokens is a weighted one.
    """
    return hidden * torch.rsqrt(hidden.square().mean(dim=-1, keepdim=True) + EPSILON)


# ---- batches -------------------------------------------------------------------------------------


class LengthBatches(Sampler[list[int]]):
    """Batches of texts of like length, so that little is padded; a new order each epoch.

    `epoch` and `done`, the batches of it that are behind, say where to go on.
    """

    def __init__(self, lengths: Sequence[int], batch_size: int, seed: int = 0):
        self.lengths = torch.as_tensor(lengths)
        self.batch_size = batch_size
        self.seed = seed
        self.epoch, self.done = 0, 0

    def __len__(self) -> int:
        return ceil(len(self.lengths) / self.batch_size)

    def __iter__(self) -> Iterator[list[int]]:
        generator = torch.Generator().manual_seed(1_000_003 * self.seed + self.epoch)
        order = torch.randperm(len(self.lengths), generator=generator)
        order = order[self.lengths[order].argsort(stable=True)]  # like lengths, else at random
        batches = order.split(self.batch_size)
        for i in torch.randperm(len(batches), generator=generator)[self.done :]:
            yield batches[i].tolist()


def pad(tokens: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Token ids of B texts as one tensor `(B, N)`, and the mask `(B, N)` of real tokens."""
    ids = nn.utils.rnn.pad_sequence(tokens, batch_first=True)
    lengths = torch.tensor([len(row) for row in tokens])
    return ids, torch.arange(ids.shape[1]) < rearrange(lengths, "b -> b 1")
