"""An evaluation as a page of tables, and as plots. `measures` says what the figures mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from diffusion.request import CALLS, Request

NAMES = {
    "samples": "samples",
    "floor": "real glyphs (floor)",
    "copycat": "copies of the training set (copycat)",
}
THREE = ("samples", "floor", "ceiling")


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
    places = 1 if abs(value) >= 10 else 2 if abs(value) >= 1 else 3
    return f"{value:.{places}f}"


def markdown(figures: Mapping, skipped: Mapping[str, str], pictures: Sequence[str] = ()) -> str:
    """The page of an evaluation.

    Args:
        figures: what `Evaluator.run` returned.
        skipped: columns that could not be measured, and why.
        pictures: files beside the page to show, named after what is in them.
    """
    plan, models = figures["plan"], figures["models"]
    shown = [name for name in ("denoiser", "student", "autoencoder") if name in models]
    named = ", ".join(f"{name} {models[name][:12]}" for name in shown)
    asked = Request("-", num_inference_steps=plan["steps"], guidance_scale=plan["guidance_scale"])
    student = "student" in models and not asked.for_teacher
    how = f"{plan['calls'] or CALLS[0]} calls" if student else f"{asked.steps} steps"
    parts = [
        "# Evaluation",
        f"{plan['captions']} held-out captions and {plan['per_radical']} samples of each of 36 "
        f"radicals, {how}, guidance {asked.scale:g}, seeds from "
        f"{plan['seed']} on; {named}, reader {models['reader'][:12]}. What the figures mean: "
        "`diffusion/evaluation/measures.py`.",
        *_reconstruction(figures["reconstruction"]),
        *_distribution(figures["distribution"]),
        *_realism(figures["realism"]),
        *_adherence(figures["adherence"]),
        *_parts(figures["parts"]),
        *_layouts(figures["layouts"]),
        *_sketches(figures["sketches"]),
        *_novelty(figures["novelty"]),
        *_overfitting(figures["overfitting"]),
    ]
    if skipped:
        parts += ["## Skipped", *(f"- {what}: {why}" for what, why in skipped.items())]
    parts += [f"![{Path(name).stem}]({name})" for name in pictures]
    return "\n\n".join(parts) + "\n"


def _reconstruction(figures: Mapping) -> list[str]:
    columns = ("glyphs", "psnr", "worst_psnr", "ssim", "iou", "lpips")
    head = ["held-out glyphs", "number", "PSNR (dB)", "worst (dB)", "SSIM", "stroke IoU", "LPIPS"]
    rows = [
        [name, *(row.get(column, "skipped") for column in columns)]
        for name, row in figures["glyphs"].items()
    ]
    radicals = figures["radicals"]
    sentences = [
        f"The reader of radicals is right about {cell(radicals['before'])} of the glyphs "
        f"({cell(radicals['before, 40 commonest'])} over the 40 commonest radicals), and about "
        f"{cell(radicals['after'])} after decoding."
    ]
    if characters := figures.get("characters"):
        sentences.append(
            f"PP-OCRv4 read {characters['read']} of {characters['shown']} held-out characters "
            f"correctly, and {cell(characters['share'])} of those again after decoding."
        )
    return ["## Reconstruction", table(head, rows), " ".join(sentences)]


def _distribution(figures: Mapping) -> list[str]:
    head = ["set", "against", "Fréchet", "kernel × 1000"]
    overlaps = ["precision", "recall", "density", "coverage"]
    rows = [
        [NAMES[name], against, row["frechet"], 1000 * row["kernel"], *(row[o] for o in overlaps)]
        for against, sets in figures.items()
        for name, row in sets.items()
    ]
    return ["## Samples of held-out captions, as a set", table(head + overlaps, rows)]


def _realism(figures: Mapping) -> list[str]:
    kinds = {
        "samples of held-out captions": "samples",
        "real glyphs of the training set (floor)": "floor",
        "held-out glyphs, noised to 0.3 and denoised": "denoised",
    }
    rows = [[kind, *figures[key].values()] for kind, key in kinds.items()]
    return [
        "## Told from held-out glyphs",
        table(["by critics that learnt to", "pairs", "right", "standard error"], rows),
        "0.5 cannot be told apart (`diffusion/evaluation/realism.py`). In the picture are the 16 "
        "samples most surely taken for drawn and the 16 that pass best, and the same of real ones.",
    ]


def _adherence(figures: Mapping) -> list[str]:
    kinds = {
        "names of the 36 commonest radicals": "radicals",
        "sixty everyday words that no training caption has": "words",
        "held-out captions": "captions",
    }
    rows = [[kind, *map(figures[key].get, THREE)] for kind, key in kinds.items()]
    sweeps = [
        table([head, *figures[key]], [["names of radicals", *figures[key].values()]])
        for head, key in (("guidance scale", "guidance"), ("steps", "steps"))
    ]
    return [
        "## The radical asked for",
        table(["prompts", *THREE], rows),
        f"The weakest of the 36: {_weakest(figures)}; of the words: {_weakest(figures['words'])}.",
        *sweeps,
    ]


def _weakest(figures: Mapping, count: int = 6) -> str:
    """The weakest prompts, with their scores."""
    each = sorted(figures["each"].items(), key=lambda item: (item[1], item[0]))
    return ", ".join(f"{name} {cell(share)}" for name, share in each[:count])


def _parts(figures: Mapping) -> list[str]:
    if not figures:
        return []
    kinds = {
        "radical and part that make no character": "pairs",
        "radical and sound": "sounds",
        "pairs of radicals around AND": "conjunctions",
        "held-out characters (ceiling)": "ceiling",
    }
    columns = ("glyphs", "radical", "part", "both")
    rows = [[kind, *map(figures[key].get, columns)] for kind, key in kinds.items()]
    page = ["## The part asked for", table(["found by the judge of parts", *columns], rows)]
    if judge := figures.get("judge"):
        each = ", ".join(f"{name} {cell(value)}" for name, value in judge.items())
        page.append(f"The judge of parts, over held-out glyphs: {each}.")
    return page


def _layouts(figures: Mapping) -> list[str]:
    if not figures:
        return []
    rows = [
        ["names of radicals", *figures["each"].values()],
        ["names of radicals that usually stand so", *figures["able"].values()],
        ["these, with a part", *figures["with a part"].values()],
    ]
    kind = "names of the 36 radicals, each with three layouts"
    return [
        "## The layout asked for",
        table(["prompts", *THREE], [[kind, *map(figures.get, THREE)]]),
        table(["prompts", *figures["each"]], rows),
        f"With the radical asked for: {cell(figures['radicals'])}.",
    ]


def _sketches(figures: Mapping) -> list[str]:
    if not figures:
        return []
    head = [
        "sketches",
        "glyphs",
        *(f"{what}: {one}" for what in ("nearest", "iou") for one in THREE),
    ]
    kinds = {"composed": "composed of their own parts", "handwritten": "written with a brush"}
    rows = [
        [
            kinds[kind],
            of["glyphs"],
            *(of[one][what] for what in ("nearest", "iou") for one in THREE),
        ]
        for kind, of in figures.items()
    ]
    return [
        "## From sketches",
        table(head, rows),
        "How often the true character is the nearest of all, and the stroke IoU with it. The floor "
        "is the sketches themselves. In the pictures each is followed by its sample and the truth.",
    ]


def _novelty(figures: Mapping) -> list[str]:
    names = NAMES | {"floor": "held-out glyphs (floor)"}
    rows = [
        [names[name], row["exist"], row["mean"], row["highest"], row["near_copies"]]
        for name, row in figures["glyphs"].items()
    ]
    return [
        "## Copies",
        table(["glyphs", "exist", "mean stroke IoU", "highest", "near copies"], rows),
        f"Drawn again, because they existed: {cell(figures['redrawn'])} of the samples.",
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
    for axis, key, label in zip(
        axes, ("guidance", "steps"), ("guidance scale", "steps"), strict=True
    ):
        values = [float(value) for value in adherence[key]]
        axis.plot(values, list(adherence[key].values()), marker="o", color="black")
        for line in ("floor", "ceiling"):
            axis.axhline(adherence["radicals"][line], linestyle=":", color="black")
        axis.set(xlabel=label, ylim=(0, 1))
    axes[1].set_xscale("log")
    axes[0].set_ylabel("share with the radical asked for")
    figure.savefig(path, dpi=144)
