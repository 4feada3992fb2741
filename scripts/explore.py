"""Look inside: maps, noise, scores, steps, guidance, and what lies nearest."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from _cli import (
    check_before,
    check_device,
    check_writable,
    load_pipeline,
    picture_path,
    progress_bar,
    run,
    save_animation,
    save_picture,
    write_text,
)
from _options import Asked, Device, Guidance, Model, NoiseSeed, PictureOut, Seed, Steps
from _real_glyphs import composites, map, neighbours, noising

from conditioning.radicals import RADICALS
from diffusion.pictures import ANIMATED, check_ending, file_stem, labelled, sheet
from diffusion.request import BUNDLED, GUIDANCE, STEPS, check_model, check_request

if TYPE_CHECKING:
    from PIL import Image
    from torch import Tensor

    from diffusion.prior import RadicalPrior

ABOUT = "Look inside: a picture for each question, from the model that ships or from your own."
STEP_COUNTS = (1, 2, 3, 5, 10, 20, 50, 120)
SCALES = (0.0, 1.0, 2.0, 4.0, 6.0, 8.0)


def steps(
    prompt: Asked,
    count: Annotated[int, typer.Option(min=1, max=16, help="Noises, one a row.")] = 4,
    seed: Seed = 0,
    guidance: Guidance = GUIDANCE,
    out: PictureOut = None,
    model: Model = BUNDLED,
    device: Device = "auto",
) -> None:
    """The same noise, taken to a glyph in 1 to 120 steps.

    What is wrong in a few steps is mostly put right in ten:

        python scripts/explore.py steps "gold"
    """
    target = picture_path(out, f"{prompt}-steps")
    check_request([prompt], count, 1, guidance, "dpmpp_2m", seed)
    check_before(target, model, device)
    pipe = load_pipeline(model, device)
    with progress_bar("drawing", count * sum(STEP_COUNTS)) as advance:
        drawn = [
            pipe(
                prompt,
                num_images_per_prompt=count,
                num_inference_steps=number,
                guidance_scale=guidance,
                seed=seed,
                redraws=0,
                progress=advance,
            ).images
            for number in STEP_COUNTS
        ]
    words = [counted(number) for number in STEP_COUNTS]
    rows = list(zip(*drawn, strict=True))
    save_picture(labelled(rows, [words] * count), target, pipe)


def guidance(
    prompt: Asked,
    seed: NoiseSeed = 0,
    out: PictureOut = None,
    model: Model = BUNDLED,
    device: Device = "auto",
) -> None:
    """The same noise under more and more guidance, in few and in many steps.

    Scale 0 hears nothing, 1 hears plainly:

        python scripts/explore.py guidance "bird"
    """
    target = picture_path(out, f"{prompt}-guidance")
    check_request([prompt], 1, 1, GUIDANCE, "dpmpp_2m", seed)
    check_before(target, model, device)
    pipe = load_pipeline(model, device)
    numbers = (1, 3, 6, 12, 30)
    rows, words = [], []
    with progress_bar("drawing", sum(numbers) * len(SCALES)) as advance:
        for number in numbers:
            rows.append(
                [
                    pipe(
                        prompt,
                        num_inference_steps=number,
                        guidance_scale=scale,
                        seed=seed,
                        redraws=0,
                        progress=advance,
                    ).images[0]
                    for scale in SCALES
                ]
            )
            words.append([f"scale {scale:g}, {counted(number)}" for scale in SCALES])
    save_picture(labelled(rows, words), target, pipe)


def radicals(
    seed: Seed = 0,
    guidance: Guidance = GUIDANCE,
    out: PictureOut = None,
    model: Model = BUNDLED,
    device: Device = "auto",
) -> None:
    """The 36 commonest radicals by their English names, after one step and after all.

    The radical comes first and the rest later:

        python scripts/explore.py radicals
    """
    target = picture_path(out, "radicals")
    check_request(["water"], 1, 1, guidance, "dpmpp_2m", seed)
    check_before(target, model, device)

    from conditioning.captions import load_entries
    from conditioning.radicals import radical
    from diffusion.evaluation.evaluator import COMMONEST
    from diffusion.evaluation.measures import commonest, radicals_of

    numbers = commonest(radicals_of(load_entries()), COMMONEST)
    names = [radical(number).names[0] for number in numbers]
    pipe = load_pipeline(model, device)
    with progress_bar("drawing", COMMONEST * (1 + STEPS)) as advance:
        one, whole = (
            pipe(
                names,
                num_inference_steps=number,
                guidance_scale=guidance,
                seed=seed,
                redraws=0,
                progress=advance,
            ).images
            for number in (1, STEPS)
        )
    rows, words = [], []
    for first in range(0, COMMONEST, 12):
        part = slice(first, first + 12)
        rows += [one[part], whole[part]]
        words += [[""] * 12, names[part]]
    save_picture(labelled(rows, words), target, pipe)


def denoise(
    prompt: Asked,
    count: Annotated[int, typer.Option(min=1, max=64, help="Glyphs.")] = 16,
    seed: Seed = 0,
    steps: Steps = 24,
    guidance: Guidance = GUIDANCE,
    rate: Annotated[float, typer.Option(min=0.1, max=100, help="Frames a second.")] = 8,
    out: Annotated[
        Path | None,
        typer.Option(help="A .webp, .gif or .mp4.", show_default="named after the prompt"),
    ] = None,
    model: Model = BUNDLED,
    device: Device = "auto",
) -> None:
    """Glyphs on their way from noise, as an animation.

    At the left what the noise has become, at the right where it is headed:

        python scripts/explore.py denoise "gold"
    """
    target = out or Path(f"{file_stem(prompt)}-denoise.webp")
    check_ending(target, ANIMATED)
    check_request([prompt], count, steps, guidance, "dpmpp_2m", seed)
    check_before(target, model, device)

    import torch

    from diffusion.pipeline import to_pil
    from diffusion.samplers import dpmpp_2m, time_steps

    pipe = load_pipeline(model, device)
    frames = []
    with torch.inference_mode(), progress_bar("drawing", steps) as advance:
        seeds = [seed + i for i in range(count)]
        denoise = pipe.denoise(pipe.captions([prompt] * count, seeds), guidance_scale=guidance)
        noise = pipe.randn(seeds)()
        for _, x_t, x_0 in dpmpp_2m(denoise, noise, pipe.process, time_steps(steps)):
            sides = [sheet(to_pil(pipe.decode(z))) for z in (x_t, x_0)]
            frames.append(beside(*sides))
            advance(1)
    save_animation(frames, target, rate, lossless=False)


def words(
    prompt: Asked,
    count: Annotated[int, typer.Option(min=1, max=1000, help="Captions to name.")] = 10,
    out: Annotated[
        Path | None, typer.Option(help="A text file.", show_default="they are printed")
    ] = None,
    model: Model = BUNDLED,
    device: Device = "auto",
) -> None:
    """The radicals that a prompt is taken for, and the captions nearest to it.

    So that a surprising glyph can be understood:

        python scripts/explore.py words "jealousy"
    """
    check_request([prompt], 1, 1, GUIDANCE, "dpmpp_2m", 0)
    if out:
        check_writable(out)
    check_device(device)
    check_model(model)

    import torch

    from conditioning.captions import load_entries
    from diffusion.evaluation.measures import pooled

    warnings.filterwarnings("ignore", "caption longer")  # the longest are cut, as in training
    characters: dict[str, str] = {}
    for entry in load_entries():
        characters[entry.caption] = characters.get(entry.caption, "") + entry.character
    captions = list(characters)
    pipe = load_pipeline(model, device)
    pipe.warn_of_unknown([prompt])
    with progress_bar("reading", len(captions) + 1) as advance:
        texts = [prompt, *captions]
        asked, known = pooled(pipe.text_encoder, texts, advance).split([1, len(captions)])
    likeness = torch.cosine_similarity(asked, known)
    nearest = likeness.topk(min(count, len(captions)))
    lines = likely_radicals(pipe.prior, asked) if pipe.prior else []
    lines += [
        f"{value:.2f}  {characters[captions[i]]}  {captions[i]}"
        for value, i in zip(*(x.tolist() for x in nearest), strict=True)
    ]
    if out is None:
        print("\n".join(lines))
    else:
        out.parent.mkdir(parents=True, exist_ok=True)
        write_text(out, "\n".join(lines) + "\n")
        print(f"wrote {out}: {len(nearest.values)} captions")


def likely_radicals(prior: RadicalPrior, pooled: Tensor, least: float = 0.02) -> list[str]:
    """A line for each radical of at least this probability, the likeliest first."""
    chances = prior.probabilities(pooled)[0]
    order = chances.argsort(descending=True)[: int((chances >= least).sum())].tolist()
    return [
        f"{chances[i]:.2f}  {''.join(RADICALS[i].forms)}  as a radical: {RADICALS[i].names[0]}"
        for i in order
    ]


def counted(steps: int) -> str:
    """Such as "12 steps"."""
    return f"{steps} step{'s' * (steps > 1)}"


def beside(left: Image.Image, right: Image.Image) -> Image.Image:
    """Two pictures of one height as one."""
    from PIL import Image

    whole = Image.new("L", (left.width + right.width, left.height), 255)
    whole.paste(left, (0, 0))
    whole.paste(right, (left.width, 0))
    return whole


if __name__ == "__main__":
    run(
        map, noising, steps, guidance, radicals, denoise, neighbours, composites, words, about=ABOUT
    )
