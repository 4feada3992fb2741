"""An evaluation as a page of tables, and as plots."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

NAMES = {
    "samples": "samples",
    "floor": "real glyphs (floor)",
    "copycat": "the training set handed in (copycat)",
}


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A Markdown table; numbers are rounded to what they can say, and None is a dash."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(map(cell, line)) + " |" for line in lines)


def cell(value: object) -> str:
    """One value as it is printed in a table."""
    if value is None:
        return "–"
    if not isinstance(value, float):
        return str(value)
    return (
        f"{value:.1f}"
        if abs(value) >= 10
        else f"{value:.2f}"
        if abs(value) >= 1
        else f"{value:.3f}"
    )


def markdown(figures: Mapping, skipped: Mapping[str, str], pictures: Sequence[str] = ()) -> str:
    """The page of an evaluation.

    Args:
        figures: what `Evaluator.run` returned.
        skipped: columns that could not be measured, and why.
        pictures: files beside the page to show, named after what is in them.
    """
    plan = figures["plan"]
    parts = [
        "# Evaluation",
        f"{plan['captions']} held-out captions and {plan['per_radical']} samples of each of 36 "
        f"radicals, {plan['steps']} steps, guidance {plan['guidance_scale']:g}, seeds from "
        f"{plan['seed']} on. Denoiser {figures['models']['denoiser'][:12]}, autoencoder "
        f"{figures['models']['autoencoder'][:12]}, reader {figures['models']['reader'][:12]}.",
        *_reconstruction(figures["reconstruction"], skipped),
        *_distribution(figures["distribution"]),
        *_adherence(figures["adherence"]),
        *_layouts(figures["layouts"]),
        *_novelty(figures["novelty"]),
        *_overfitting(figures["overfitting"]),
    ]
    if skipped:
        parts += ["## Skipped", *(f"- {what}: {why}" for what, why in skipped.items())]
    parts += [f"![{Path(name).stem}]({name})" for name in pictures]
    return "\n\n".join(parts) + "\n"


def _reconstruction(figures: Mapping, skipped: Mapping[str, str]) -> list[str]:
    glyphs = figures["glyphs"]
    columns = ("glyphs", "psnr", "worst_psnr", "ssim", "iou", "lpips")
    rows = [
        [name, *(row.get(column, "skipped") for column in columns)] for name, row in glyphs.items()
    ]
    head = ["held-out glyphs", "number", "PSNR (dB)", "worst (dB)", "SSIM", "stroke IoU", "LPIPS"]
    radicals = figures["radicals"]
    characters = figures.get("characters")
    if characters:
        read = (
            f"PP-OCRv4 read {characters['read']} of {characters['shown']} held-out characters "
            f"rightly, and {cell(characters['share'])} of those again after encoding and decoding."
        )
    else:
        read = "Characters read by PP-OCRv4: skipped."
    return [
        "## Reconstruction",
        table(head, rows),
        read + f" The reader of radicals is right about {cell(radicals['before'])} of the glyphs "
        f"({cell(radicals['before, 40 commonest'])} over the 40 commonest radicals), and about "
        f"{cell(radicals['after'])} after decoding.",
    ]


def _distribution(figures: Mapping) -> list[str]:
    rows = [
        [NAMES[name], against, row["frechet"], 1000 * row["kernel"]]
        + [row[key] for key in ("precision", "recall", "density", "coverage")]
        for against, sets in figures.items()
        for name, row in sets.items()
    ]
    head = ["set", "against", "Fréchet", "kernel × 1000", "precision", "recall"]
    return [
        "## Samples of held-out captions, as a set",
        table([*head, "density", "coverage"], rows),
        "In the reader's features; nothing here compares with figures in another network's, or of "
        "other counts. The floor is other real glyphs. Samples share the captions of the held-out "
        "glyphs, and so their radicals, and can come nearer to them than the floor. Against "
        "held-out glyphs a copycat passes for real; against training glyphs it is nearer than "
        "anything honest.",
    ]


def _adherence(figures: Mapping) -> list[str]:
    rows = [
        ["names of the 36 commonest radicals", *_three(figures["radicals"])],
        [
            "sixty everyday words that no training caption has",
            *(figures["words"][key] for key in ("samples", "floor")),
            None,
        ],
        ["held-out captions", *_three(figures["captions"])],
    ]
    return [
        "## The radical asked for",
        table(["prompts", "samples", "floor", "ceiling"], rows),
        "The floor always names one radical. The ceiling of names is how often the reader is right "
        "about real glyphs of those radicals; that of captions is how often a linear map from the "
        f"words alone finds the radical. A word counts with any radical that a scribe could give "
        f"it (`diffusion/evaluation/words.tsv`). The weakest of the 36: {_weakest(figures)}; of "
        f"the words: {_weakest(figures['words'])}.",
        table(
            ["guidance scale", *figures["guidance"]],
            [["names of radicals", *figures["guidance"].values()]],
        ),
        table(["steps", *figures["steps"]], [["names of radicals", *figures["steps"].values()]]),
    ]


def _layouts(figures: Mapping) -> list[str]:
    if not figures:
        return []
    each = ", ".join(f"{name} {cell(share)}" for name, share in figures["each"].items())
    return [
        "## The layout asked for",
        table(
            ["prompts", "samples", "floor", "ceiling"],
            [["names of the 36 radicals, each with three layouts", *_three(figures)]],
        ),
        "The layout of a sample is that of the character nearest to it, by the recogniser; the "
        f"ceiling is how often that is right about held-out glyphs. Of the samples {each}; the "
        f"reader finds the radical asked for in {cell(figures['radicals'])} of all.",
    ]


def _weakest(figures: Mapping, count: int = 6) -> str:
    """Of whom the fewest samples are right, and how many."""
    each = sorted(figures["each"].items(), key=lambda item: (item[1], item[0]))
    return ", ".join(f"{name} {cell(share)}" for name, share in each[:count])


def _three(row: Mapping) -> list[float]:
    return [row[key] for key in ("samples", "floor", "ceiling")]


def _novelty(figures: Mapping) -> list[str]:
    names = NAMES | {"floor": "held-out glyphs (floor)"}
    rows = [
        [names[name], row["exist"], row["mean"], row["highest"], row["near_copies"]]
        for name, row in figures["glyphs"].items()
    ]
    redrawn = figures["redrawn"]
    return [
        "## Copies",
        table(["glyphs", "exist", "mean stroke IoU", "highest", "near copies"], rows),
        "Those exist that the recogniser takes for a training glyph: for held-out ones, which are "
        f"none, its error. What exists was drawn again: {cell(redrawn)} of the samples. Stroke IoU "
        "with the nearest training glyph is a judge of its own, at the best of all shifts of up to "
        "4 pixels; 0.8 and more is a near copy. Real characters are often that near to each other.",
    ]


def _overfitting(figures: Mapping) -> list[str]:
    rows = [[name, *figures[name]] for name in ("training", "held-out")]
    head = ["denoising loss of", *(f"t = {time:g}" for time in figures["times"])]
    return ["## Overfitting", table(head, rows)]


def plot(figures: Mapping, path: str | Path) -> None:
    """Draws adherence by guidance scale and by number of steps into a PNG or SVG.

    Raises ImportError, which says what to install, without matplotlib.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise ImportError("matplotlib is not installed: pip install -e '.[evaluate]'") from None
    adherence = figures["adherence"]
    figure = Figure(figsize=(9, 3.2), layout="constrained")
    axes = figure.subplots(1, 2, sharey=True)
    for axis, name, label in zip(
        axes, ("guidance", "steps"), ("guidance scale", "steps"), strict=True
    ):
        values = [float(key) for key in adherence[name]]
        axis.plot(values, list(adherence[name].values()), marker="o", color="black")
        axis.axhline(adherence["radicals"]["ceiling"], linestyle=":", color="black")
        axis.axhline(adherence["radicals"]["floor"], linestyle=":", color="black")
        axis.set(xlabel=label, ylim=(0, 1))
    axes[1].set_xscale("log")
    axes[0].set_ylabel("share with the radical asked for")
    figure.savefig(path, dpi=144)
