"""What an embedding knows: a linear probe from captions to radicals.

The radical is the part of a character that hints at its meaning. An encoder from which a linear map
can read the radical of an unseen caption carries what the denoiser needs to choose one.
"""

from dataclasses import dataclass
from warnings import catch_warnings

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor

DECAYS = (3e-4, 1e-3, 3e-3, 1e-2)


@dataclass(frozen=True)
class ProbeScore:
    """Share of held-out captions, 0 to 1, whose radical is among the first one or ten guesses."""

    top1: float
    top10: float


def probe(
    train: Tensor, train_labels: Tensor, test: Tensor, test_labels: Tensor, steps: int = 60
) -> ProbeScore:
    """Fits a logistic regression and scores it (Alain & Bengio 2016, arXiv:1610.01644).

    The regularisation is chosen on every fifth row of `train`, never on `test`.

    Args:
        train: features `(B, D)`.
        train_labels: classes `(B,)`.
        test: features `(M, D)`.
        test_labels: classes `(M,)`.
        steps: iterations of L-BFGS.
    """
    x, y = train.cpu().numpy(), train_labels.cpu().numpy()
    judge = np.arange(len(x)) % 5 == 0

    def fit(decay: float, rows: np.ndarray) -> Pipeline:
        regression = LogisticRegression(C=1 / (2 * decay * rows.sum()), max_iter=steps)
        with catch_warnings(action="ignore", category=ConvergenceWarning):  # `steps` are enough
            return make_pipeline(StandardScaler(), regression).fit(x[rows], y[rows])

    decay = max(DECAYS, key=lambda decay: fit(decay, ~judge).score(x[judge], y[judge]))
    model = fit(decay, judge | ~judge)
    order = model.decision_function(test.cpu().numpy()).argsort(axis=1)[:, ::-1]
    hits = model.classes_[order[:, :10]] == test_labels.cpu().numpy()[:, None]  # (M, 10)
    return ProbeScore(float(hits[:, 0].mean()), float(hits.any(axis=1).mean()))
