"""Whether drawn glyphs can be told from real ones: the classifier two-sample test.

A small network, the critic, learns to tell two sets of glyphs apart, and is asked about glyphs that
it has not learnt from. If the sets have one source, it is right in half of the cases (Lopez-Paz and
Oquab 2017, https://arxiv.org/abs/1610.06545). Each glyph has a partner in the other set. Both are
judged by one critic, so that what partners share, such as the radical, tells nothing.

A share of right answers belongs to a number of pairs, as more of them make a better critic.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise, product

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from autoencoder.blocks import ChannelNorm
from autoencoder.optim import trapezoid
from diffusion.networks.base import in_batches
from diffusion.pipeline import GlyphPipeline
from diffusion.request import Request
from diffusion.samplers import at, result

FOLDS = 5
STEPS = 600  # of each critic
PAIRS = 16  # a step
WINDOW = 64  # pixels on a side of what a critic sees of a glyph at once
RATE, DECAY = 2e-3, 0.05  # of AdamW

Advance = Callable[[int], object]


class Critic(nn.Module):
    """Windows of glyphs `(B, 1, 64, 64)` to logits of being drawn, `(B,)`.

    Besides ink it sees how grey each pixel is: edges that are a little too soft or too sharp are
    what it would learn last, and what most gives drawn glyphs away.
    """

    def __init__(self, widths: Sequence[int] = (16, 32, 64, 128, 128)) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for channels, width in pairwise((2, *widths)):
            kernel = 3 if layers else 5
            conv = nn.Conv2d(channels, width, kernel, stride=2, padding=kernel // 2)
            nn.init.kaiming_normal_(conv.weight)
            nn.init.zeros_(conv.bias)
            layers += [conv, ChannelNorm(width), nn.SiLU()]
        self.layers = nn.Sequential(*layers)
        self.decide = nn.Linear(widths[-1], 1)
        nn.init.zeros_(self.decide.weight)
        nn.init.zeros_(self.decide.bias)
        self.to(memory_format=torch.channels_last)

    def forward(self, windows: Tensor) -> Tensor:
        x = torch.cat([2 * windows - 1, 4 * windows * (1 - windows)], dim=1)  # (B, 2, 64, 64)
        x = self.layers(x)  # (B, 128, 2, 2)
        return self.decide(x.mean(dim=(2, 3))).squeeze(1)  # (B,)


@dataclass(frozen=True)
class Verdict:
    """What critics say of glyphs that they have not learnt from.

    Attributes:
        probability: `(N, 2)`, of being drawn: of each drawn glyph, and of its real partner.
    """

    probability: Tensor

    @property
    def right(self) -> Tensor:
        """Which of them are told rightly, `(N, 2)` bool."""
        return (self.probability > 0.5) == torch.tensor([True, False])

    @property
    def accuracy(self) -> float:
        """The share of all that are told rightly: 0.5 where the sets cannot be told apart."""
        return float(self.right.double().mean())

    @property
    def error(self) -> float:
        """The standard error of the accuracy, from how it differs between pairs."""
        each = self.right.double().mean(dim=1)
        return float(each.std() / len(each) ** 0.5)

    @property
    def figures(self) -> dict[str, float]:
        """Pairs, accuracy and error."""
        return {"pairs": len(self.right), "accuracy": self.accuracy, "error": self.error}


def tell_apart(
    drawn: Tensor,
    real: Tensor,
    steps: int = STEPS,
    seed: int = 0,
    device: torch.device | str = "cpu",
    advance: Advance = lambda steps: None,
) -> Verdict:
    """The two-sample test of glyphs `(N, 1, H, W)` in [0, 1], by cross-validation.

    Args:
        drawn, real: as many of each; those of one row are partners.
        steps: of each critic; the same for all sets that are compared.
        seed: of all that is random.
        device: where the critics learn.
        advance: called after each step with 1, `FOLDS * steps` times.

    Raises ValueError for fewer pairs than two a fold.
    """
    if len(drawn) != len(real) or len(real) < 2 * FOLDS:
        raise ValueError(
            f"{len(drawn)} drawn and {len(real)} real glyphs: take as many of each, and at least "
            f"{2 * FOLDS}"
        )
    generator = torch.Generator().manual_seed(seed)
    pairs = torch.stack([drawn, real], dim=1).cpu()  # (N, 2, 1, H, W)
    fold = torch.randperm(len(pairs), generator=generator) % FOLDS
    probability = torch.empty(len(pairs), 2)
    for k in range(FOLDS):
        learnt = pairs[fold != k]
        critic = train(learnt, steps, generator, device, advance)
        # Halfway between the two sets it learnt from: of whole glyphs that is not always zero.
        threshold = judge(critic, learnt).mean()
        probability[fold == k] = (judge(critic, pairs[fold == k]) - threshold).sigmoid()
    return Verdict(probability)


def train(
    pairs: Tensor,
    steps: int,
    generator: torch.Generator,
    device: torch.device | str = "cpu",
    advance: Advance = lambda steps: None,
) -> Critic:
    """A critic that has learnt from pairs of a drawn and a real glyph, `(N, 2, 1, H, W)`.

    At each step it sees windows of some pairs, for both of a pair at one place.
    """
    with torch.random.fork_rng(devices=()):  # from which layers are initialised
        torch.manual_seed(int(torch.randint(2**31, (), generator=generator)))
        critic = Critic().to(device)
    optimizer = torch.optim.AdamW(critic.parameters(), RATE, weight_decay=DECAY)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, trapezoid(steps // 10, 1.0, steps))
    truth = torch.tensor([1.0, 0.0], device=device)
    most = pairs.shape[-1] - WINDOW
    order = torch.empty(0, dtype=torch.int64)
    for _ in range(steps):
        while len(order) < PAIRS:  # another epoch
            order = torch.cat([order, torch.randperm(len(pairs), generator=generator)])
        rows, order = order[:PAIRS], order[PAIRS:]
        places = torch.randint(most + 1, (PAIRS, 2), generator=generator).tolist()
        seen = [window(pairs[row], *place) for row, place in zip(rows, places, strict=True)]
        logits = ask(critic, torch.stack(seen))
        loss = F.binary_cross_entropy_with_logits(logits, truth.expand_as(logits))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        advance(1)
    return critic


def window(glyphs: Tensor, y: int, x: int) -> Tensor:
    """The window of glyphs `(..., H, W)` with its corner at a place, `(..., 64, 64)`."""
    return glyphs[..., y : y + WINDOW, x : x + WINDOW]


def ask(critic: Critic, windows: Tensor) -> Tensor:
    """The logits of windows of pairs `(B, 2, 1, 64, 64)`, `(B, 2)`."""
    windows = windows.to(critic.decide.weight.device)
    flat = windows.flatten(0, 1).contiguous(memory_format=torch.channels_last)
    return critic(flat).unflatten(0, (-1, 2))


@torch.no_grad()
def judge(critic: Critic, pairs: Tensor) -> Tensor:
    """The logits of being drawn of pairs `(N, 2, 1, H, W)`, `(N, 2)`.

    That of a glyph is the mean of those of its windows, which overlap by half.
    """
    corners = range(0, pairs.shape[-1] - WINDOW + 1, WINDOW // 2)
    logits = [
        torch.stack([ask(critic, window(part, y, x)) for y, x in product(corners, corners)])
        for part in pairs.split(PAIRS)
    ]
    return torch.cat([each.mean(dim=0) for each in logits]).cpu()


def partners(
    ones: Sequence[int], others: Sequence[int], generator: torch.Generator
) -> tuple[list[int], list[int]]:
    """Rows of two sets, paired at random so that both of a pair have one radical.

    Each row is in one pair at most, and there are as many pairs as can be.

    Args:
        ones, others: the radicals of both sets.
    """
    rows: tuple[dict, dict] = defaultdict(list), defaultdict(list)
    for of_radical, radicals in zip(rows, (ones, others), strict=True):
        for row in torch.randperm(len(radicals), generator=generator).tolist():
            of_radical[radicals[row]].append(row)
    found: tuple[list[int], list[int]] = [], []
    for number, of_ones in rows[0].items():
        count = min(len(of_ones), len(rows[1][number]))
        found[0].extend(of_ones[:count])
        found[1].extend(rows[1][number][:count])
    return found


@torch.inference_mode()
def denoised(
    pipe: GlyphPipeline,
    glyphs: Tensor,
    captions: Sequence[str],
    request: Request,
    time: float = 0.3,
    advance: Advance = lambda glyphs: None,
) -> Tensor:
    """Glyphs `(N, 1, 128, 128)`, noised to a time and denoised again under their captions.

    The request says how, and the seed of the first.
    """
    done = []
    for start in range(0, len(glyphs), 16):
        rows = range(start, min(start + 16, len(glyphs)))
        of_rows = glyphs[rows].to(pipe.device)
        latents = in_batches(pipe.autoencoder.encode, of_rows, pipe.glyph_rows)
        randn = pipe.randn([request.seed + row for row in rows])
        x = pipe.process.add_noise(latents, randn(), at(time, latents))
        own = [captions[row] for row in rows]
        done.append(pipe.decode(result(pipe.states(request, own, x, time, randn))))
        advance(len(rows))
    return torch.cat(done)
