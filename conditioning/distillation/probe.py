"""What an embedding knows: a linear probe from captions to radicals.

The radical is the part of a character that hints at its meaning, so an encoder from which a linear
map can read the radical of an unseen caption carries what the denoiser needs to choose one.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

DECAYS = (3e-4, 1e-3, 3e-3, 1e-2)


@dataclass(frozen=True)
class ProbeScore:
    """Share of held-out captions, 0 to 1, whose radical is among the first one or ten guesses."""

    top1: float
    top10: float
    decay: float  # the strength of regularisation that was chosen


def probe(
    train: Tensor, train_labels: Tensor, test: Tensor, test_labels: Tensor, steps: int = 60
) -> ProbeScore:
    """Fit a logistic regression and score it (Alain & Bengio 2016, arXiv:1610.01644).

    Features are standardised with the statistics of `train`. The regularisation is chosen on every
    fifth row of `train`, never on `test`. The same input gives the same score.

    Args:
        train: features `(B, D)`.
        train_labels: classes `(B,)`, 0 or larger.
        test: features `(M, D)`.
        test_labels: classes `(M,)`.
        steps: iterations of L-BFGS.
    """
    mean, std = train.mean(dim=0), train.std(dim=0).clamp_min(1e-6)
    train, test = (train - mean) / std, (test - mean) / std
    classes = 1 + int(torch.cat([train_labels, test_labels]).max())
    judge = torch.arange(len(train)) % 5 == 0

    def judged(decay: float) -> float:
        weight = _fit(train[~judge], train_labels[~judge], classes, decay, steps)
        return -float(cross_entropy(_logits(train[judge], weight), train_labels[judge]))

    decay = max(DECAYS, key=judged)
    weight = _fit(train, train_labels, classes, decay, steps)
    guesses = _logits(test, weight).topk(min(10, classes), dim=1).indices  # (M, 10)
    hits = guesses == test_labels[:, None]
    return ProbeScore(
        float(hits[:, 0].float().mean()), float(hits.any(dim=1).float().mean()), decay
    )


def _logits(features: Tensor, weight: Tensor) -> Tensor:
    return features @ weight[:-1] + weight[-1]  # the last row is the bias


@torch.enable_grad()
def _fit(features: Tensor, labels: Tensor, classes: int, decay: float, steps: int) -> Tensor:
    weight = torch.zeros(features.shape[1] + 1, classes, requires_grad=True)
    optimizer = torch.optim.LBFGS([weight], max_iter=steps, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = cross_entropy(_logits(features, weight), labels)
        loss = loss + decay * weight[:-1].square().sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    return weight.detach()
