"""Measure a model: reconstruction, samples as a set, adherence to words and parts, copies."""

from __future__ import annotations

import json
import time
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from _cli import (
    AnyGuidance,
    Calls,
    Data,
    Device,
    Model,
    Overwrite,
    TeachersSteps,
    check_device,
    load_pipeline,
    output_folder,
    progress_bar,
    run,
    write_text,
)

from diffusion.request import BUNDLED, Request, check_model


def main(
    model: Model = BUNDLED,
    quick: Annotated[
        bool, typer.Option("--quick", help="Fewer glyphs of everything: some minutes.")
    ] = False,
    out: Annotated[
        str | None,
        typer.Option(
            "--out",
            "-o",
            help="Folder for figures, tables and pictures.",
            show_default="evaluation",
        ),
    ] = None,
    overwrite: Overwrite = False,
    data: Data = Path(".data"),
    more: Annotated[
        list[Path] | None,
        typer.Option(help="Further glyphs it learnt from, to look for copies among too."),
    ] = None,
    calls: Calls = None,
    steps: TeachersSteps = None,
    guidance: AnyGuidance = None,
    device: Device = "auto",
) -> None:
    """Measure a model, with a floor and a ceiling beside every figure.

    Run prepare_data.py once before it. Writes evaluation.json,
    evaluation.md, and pictures:

        python scripts/evaluate.py --quick

        python scripts/evaluate.py --model .runs/diffusion/export --out mine/

        python scripts/evaluate.py --more .data/undefined

        python scripts/evaluate.py --quick --steps 120

    The same model gives the same figures on the same machine. What needs
    the extra "evaluate" (an OCR engine, plots) is skipped without it, and
    the tables say so. At least 129 held-out glyphs are needed.
    """
    Request("-", num_inference_steps=steps, guidance_scale=guidance, calls=calls)
    check_device(device)
    check_model(model)
    target = output_folder(out, "evaluation", overwrite)
    # Imported late: torch takes seconds, and --help needs none of it.
    from autoencoder.data.glyphs import GlyphDataset, load_more
    from autoencoder.readers.reader import PartReader, RadicalReader
    from diffusion.evaluation.evaluator import COMMONEST, QUICK, Evaluator, Plan
    from diffusion.evaluation.parts import load_conjunctions
    from diffusion.evaluation.report import markdown, plot
    from diffusion.evaluation.words import load_words
    from diffusion.pictures import sheet, write_png
    from diffusion.pipeline import to_pil

    start = time.perf_counter()
    training, held_out = (GlyphDataset(data, split) for split in ("train", "test"))
    pipe, reader = load_pipeline(model, device), RadicalReader.from_pretrained()
    further = load_more(more or (), held_out.records)
    for glyphs in (training, *further):
        glyphs.check_size(pipe.autoencoder.config.image_size)
    least = reader.config.features + 1
    if len(held_out) < least or len(training) < 2 * least:
        raise ValueError(
            f"{data} has {len(held_out):,} glyphs held out and {len(training):,} to train on: "
            f"sets to compare take at least {least} and {2 * least}"
        )
    plan = replace(QUICK if quick else Plan(), steps=steps, calls=calls, guidance_scale=guidance)
    (ocr, lpips, layouts, components), skipped = extras()
    # The longest captions are cut, as in training, and some say what is not there.
    warnings.filterwarnings("ignore", 'caption longer|"(no|without) ')
    evaluator = Evaluator(pipe, reader, training, held_out, plan, progress_bar, further)
    print(f"about {evaluator.expected_seconds() / 60:.0f} minutes on {pipe.device}", flush=True)
    judge = PartReader.from_pretrained()
    figures = evaluator.run(ocr, lpips, layouts, judge, components)

    pictures = []
    blocks = {"radicals": COMMONEST, "words": len(load_words()), "layouts": COMMONEST}
    blocks |= {name: len(evaluator.pictures.get(name, ())) for name in ("pairs", "sounds")}
    blocks["conjunctions"] = len(load_conjunctions())
    for name, glyphs in evaluator.pictures.items():
        pictures.append(f"{name}.png")
        picture = sheet(to_pil(glyphs), blocks.get(name, 4))
        write_png(picture, target / pictures[-1], {"Software": "Tianshu"})
    try:
        plot(figures, target / "adherence.png")
        pictures.append("adherence.png")
    except ImportError as error:
        skipped["plots"] = str(error)
    seconds = time.perf_counter() - start
    whole = figures | {"skipped": skipped, "seconds": round(seconds)}
    write_text(target / "evaluation.json", json.dumps(whole, indent=2, ensure_ascii=False) + "\n")
    write_text(target / "evaluation.md", markdown(figures, skipped, pictures))
    print(f"wrote {target}/evaluation.json, .md and {len(pictures)} pictures in {seconds:.0f} s")


def extras() -> tuple[list, dict[str, str]]:
    """An OCR engine, LPIPS, layouts and components of characters; None where one is unavailable.

    The reasons go by the names of the columns that are skipped.
    """
    from autoencoder.loss import lpips_distance
    from autoencoder.similarity import character_reader
    from conditioning.sources.components import load_components
    from conditioning.sources.dictionaries import load_layouts

    def lpips() -> Callable:
        try:
            with warnings.catch_warnings(action="ignore"):  # of torchvision, at lpips
                return lpips_distance("alex")
        except (ImportError, OSError) as error:
            raise ImportError(f"its weights are unavailable ({error})") from None

    found, skipped = [], {}
    sources = {
        "characters read by OCR": character_reader,
        "LPIPS": lpips,
        "layouts": load_layouts,
        "how right the judge of parts is": load_components,
    }
    for name, load in sources.items():
        try:
            found.append(load())
        except (ImportError, ValueError) as error:
            found.append(None)
            skipped[name] = str(error)
    return found, skipped


if __name__ == "__main__":
    run(main)
