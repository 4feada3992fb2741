"""Still pictures by matplotlib: the map, and noise with its score field."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from autoencoder.readers.reader import RadicalReader
from conditioning.radicals import radical
from diffusion.exploration.fields import mean_arrows, score, under
from diffusion.exploration.map import COLOURED, colours, extent, radical_name
from diffusion.pictures import write_png
from diffusion.pipeline import GlyphPipeline
from diffusion.process import PROCESSES

CELLS = 11  # arrows on a side of a panel, at most


@cache
def _reader() -> RadicalReader:
    return RadicalReader.from_pretrained()


def radicals_seen(glyphs: Tensor) -> list[str]:
    """A label for each glyph of `(B, 1, 128, 128)`, the radical that is read: "water 91%"."""
    numbers, sure, _ = _reader().read(glyphs.cpu())
    pairs = zip(numbers.tolist(), sure.tolist(), strict=True)
    return [f"{radical(number).names[0]} {share:.0%}" for number, share in pairs]


def principal_axes(points: Tensor, count: int = 2) -> tuple[Tensor, Tensor]:
    """The mean `(D,)` of points `(N, D)` and the directions in which they vary most `(D, count)`.

    Each direction is turned so that its largest entry is positive, since a sign is a matter of
    chance.
    """
    mean = points.mean(0)
    _, axes = torch.linalg.eigh((points - mean).T.double().cov().float())
    axes = axes[:, -count:].flip(1)
    return mean, axes * axes.gather(0, axes.abs().argmax(0, keepdim=True)).sign()


def density(points: np.ndarray, bounds: tuple[float, float, float, float], cells: int = 200):
    """A kernel density estimate of points `(N, 2)` on a grid `(cells, cells)`, rows upwards.

    `bounds` are left, right, bottom and top. The kernel is a Gaussian half as wide as Scott's rule
    says, which is meant for a single heap.
    """
    from scipy.ndimage import gaussian_filter

    left, right, bottom, top = bounds
    counts, _, _ = np.histogram2d(
        points[:, 1], points[:, 0], bins=cells, range=[[bottom, top], [left, right]]
    )
    width = 0.5 * points.std(0).mean() * len(points) ** (-1 / 6)
    size = ((right - left) + (top - bottom)) / 2 / cells
    area = (right - left) * (top - bottom) / cells**2
    return gaussian_filter(counts, width / size) / (len(points) * area)


def draw_map(path: Path, places: Mapping[str, np.ndarray], radicals: Sequence[int]) -> None:
    """Writes the still map: each projection with its density below the points."""
    figure, axes = _canvas(1, len(places), 7)
    paint = colours([radical_name(number) for number in radicals])
    for axis, (name, points) in zip(axes[0], places.items(), strict=True):
        bounds = extent(points)
        _shade(axis, points, bounds)
        axis.scatter(*points.T, s=max(1.5, 3e4 / len(points)), c=paint, alpha=0.6, linewidths=0)
        for number, _ in Counter(radicals).most_common(COLOURED):
            middle = np.median(points[np.asarray(radicals) == number], axis=0)
            axis.text(*middle, radical(number).names[0], fontsize=9, ha="center", va="center")
        title = f"by their {name}"
        axis.set(title=title, xticks=[], yticks=[], xlim=bounds[:2], ylim=bounds[2:])
    _write(figure, path, dpi=110)


@torch.inference_mode()
def draw_noising(
    path: Path,
    pipe: GlyphPipeline,
    x_0: Tensor,
    noise: Tensor,
    times: Sequence[float],
    advance: Callable[[int], object] = lambda done: None,
) -> None:
    """Writes latents and what noise makes of them: a row for each process, a panel for each time.

    They lie along the two axes in which the latents vary most, over their density, and arrows show
    the mean unconditional score.

    Args:
        path: of the picture.
        pipe: its denoiser gives the score, under every process.
        x_0, noise: `(N, 8, 8, 8)` each.
        times: above 0.
        advance: called with the number of latents done, `N` for each panel in all.
    """
    figure, axes = _canvas(len(PROCESSES), len(times), 3)
    mean, basis = principal_axes(x_0.flatten(1).cpu())
    for row, (name, process) in zip(axes, PROCESSES.items(), strict=True):
        for axis, time in zip(row, times, strict=True):
            t = x_0.new_full((len(x_0),), time)
            x_t = process.add_noise(x_0, noise, t)
            scores = []
            for x in x_t.split(64):
                plain = pipe.denoise([""] * len(x), guidance_scale=1.0)
                scores.append(score(under(plain, pipe.process, process), x, t[: len(x)], process))
                advance(len(x))
            points = (x_t.flatten(1).cpu() - process.alpha(t[:1]).cpu() * mean) @ basis
            arrows = torch.cat(scores).flatten(1).cpu() @ basis
            reach = float(points.abs().max()) * 1.05
            _shade(axis, points.numpy(), (-reach, reach, -reach, reach))
            axis.scatter(*points.T, s=1.5, color="tab:blue", alpha=0.4, linewidths=0)
            where, vectors = mean_arrows(points, arrows, CELLS, reach)
            if len(where):  # of few points there may be none
                axis.quiver(*where.T, *vectors.T, color="tab:red", width=0.006)
            axis.set(title=f"{name}, time {time:g}", xticks=[], yticks=[])
    _write(figure, path, dpi=100)


def _canvas(rows: int, columns: int, side: float):
    """A figure of matplotlib and its axes `(rows, columns)`, each `side` inches wide and high."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(side * columns, side * rows), layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False)


def _shade(axis, points: np.ndarray, bounds: tuple[float, float, float, float]) -> None:
    """Paints the density of points into an axis."""
    values = density(points, bounds)
    axis.imshow(values, origin="lower", extent=bounds, cmap="Greys", vmax=2 * values.max())
    axis.set_aspect("auto")


def _write(figure, path: Path, dpi: int) -> None:
    """Writes a PNG of 256 colours, enough for dots on grey, and half as large as with all."""
    whole = BytesIO()
    figure.savefig(whole, dpi=dpi, format="png")
    image = Image.open(whole).convert("RGB").quantize(256, dither=Image.Dither.NONE)
    write_png(image, path, {"Software": "Tianshu"})
