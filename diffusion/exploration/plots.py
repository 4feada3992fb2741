"""Still pictures by matplotlib: the map, and noise with its score field."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from conditioning.radicals import radical
from diffusion.exploration.fields import mean_arrows, score, under
from diffusion.exploration.page import COLOURED, colours, extent, radical_name
from diffusion.exploration.projection import density, principal_axes
from diffusion.pictures import write_png
from diffusion.pipeline import GlyphPipeline
from diffusion.process import PROCESSES

CELLS = 11  # arrows on a side of a panel, at most


def canvas(width: float, height: float):
    """An empty figure of matplotlib, in inches."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def write_figure(figure, path: Path, dpi: int) -> None:
    """Writes a PNG of 256 colours, enough for dots on grey, and half as large as with all."""
    whole = BytesIO()
    figure.savefig(whole, dpi=dpi, format="png")
    image = Image.open(whole).convert("RGB").quantize(256, dither=Image.Dither.NONE)
    write_png(image, path, {"Software": "Tianshu"})


def shade(axis, points: np.ndarray, bounds: tuple[float, float, float, float]) -> None:
    """Paints the density of points into an axis of matplotlib."""
    values = density(points, bounds)
    axis.imshow(values, origin="lower", extent=bounds, cmap="Greys", vmax=2 * values.max())
    axis.set_aspect("auto")


def draw_map(
    path: Path, places: dict[str, np.ndarray], radicals: Sequence[int], titles: dict[str, str]
) -> None:
    """Writes the still map: each projection with its density below the points."""
    figure = canvas(7 * len(places), 7)
    axes = figure.subplots(1, len(places), squeeze=False)
    paint = colours([radical_name(number) for number in radicals])
    for axis, (name, points) in zip(axes[0], places.items(), strict=True):
        (left, bottom), (right, top) = extent(points)
        bounds = (left, right, bottom, top)
        shade(axis, points, bounds)
        axis.scatter(*points.T, s=max(1.5, 3e4 / len(points)), c=paint, alpha=0.6, linewidths=0)
        for number, _ in Counter(radicals).most_common(COLOURED):
            middle = np.median(points[np.asarray(radicals) == number], axis=0)
            axis.text(*middle, radical(number).names[0], fontsize=9, ha="center", va="center")
        axis.set(title=titles[name], xticks=[], yticks=[], xlim=bounds[:2], ylim=bounds[2:])
    write_figure(figure, path, dpi=110)


@torch.inference_mode()
def draw_noising(
    path: Path,
    pipe: GlyphPipeline,
    x_0: Tensor,
    noise: Tensor,
    times: Sequence[float],
    advance: Callable[[int], object] = lambda done: None,
) -> None:
    """Writes latents and what noise makes of them, for each process a row, for each time a panel.

    They lie along the two axes in which the latents vary most, over their density, and arrows show
    the mean score of a model that hears no words.

    Args:
        path: of the picture; its folder exists.
        pipe: whose denoiser gives the score, under every process.
        x_0, noise: `(N, 8, 8, 8)` each.
        times: above 0.
        advance: called with the number of latents done, `N` for each panel in all.
    """
    figure = canvas(3 * len(times), 3 * len(PROCESSES))
    axes = figure.subplots(len(PROCESSES), len(times), squeeze=False)
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
            shade(axis, points.numpy(), (-reach, reach, -reach, reach))
            axis.scatter(*points.T, s=1.5, color="tab:blue", alpha=0.4, linewidths=0)
            where, vectors = mean_arrows(points, arrows, CELLS, reach)
            axis.quiver(*where.T, *vectors.T, color="tab:red", width=0.006)
            axis.set(title=f"{name}, time {time:g}", xticks=[], yticks=[])
    write_figure(figure, path, dpi=100)
