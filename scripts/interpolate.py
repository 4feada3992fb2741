"""Walk between characters: through latents, between prompts, between seeds, and back to noise."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from _cli import (
    LARGEST_GRID,
    SEED,
    Device,
    Font,
    Guidance,
    Index,
    Model,
    Overwrite,
    Steps,
    load_pipeline,
    progress_bar,
    run,
)
from _pictures import OUT, NoiseSeed, picture_path, save_animation, save_picture

from diffusion.pictures import ANIMATED, labelled
from diffusion.request import BUNDLED, GUIDANCE, STEPS, Request

if TYPE_CHECKING:
    from torch import Tensor

    from diffusion import GlyphPipeline

ABOUT = """Walk between characters, and see whether there are any on the way.

The name that --out ends in decides what is written: .png is a strip, or a
square between four; .gif, .webp and .mp4 are an endless walk.
"""
LONGEST_STRIP = 400  # glyphs: 54,408 pixels, and many programs open no more than 65,535


class Mix(StrEnum):
    """How to get from one end to the other."""

    linear = "linear"
    spherical = "spherical"


class Through(StrEnum):
    """What a walk between glyphs goes through."""

    latents = "latents"
    diffusion = "diffusion"


Frames = Annotated[int, typer.Option(min=2, max=1000, help="Pictures on the way, ends included.")]
Out = Annotated[
    str | None,
    typer.Option(
        *OUT, help="A .png, .gif, .webp or .mp4.", show_default="a .png named after what is asked"
    ),
]
Loop = Annotated[
    bool | None,
    typer.Option(
        "--loop/--no-loop",
        help="Come back to the start, for endless play.",
        show_default="in animations",
    ),
]
Rate = Annotated[float, typer.Option(min=0.1, max=100, help="Frames a second of an animation.")]


def glyphs(
    characters: Annotated[list[str], typer.Argument(help="Two characters, or four.")],
    through: Annotated[
        Through,
        typer.Option(
            case_sensitive=False, help="diffusion makes each picture on the way a character."
        ),
    ] = Through.latents,
    time: Annotated[
        float, typer.Option(help="How much noise diffusion adds and takes away: 0 none, 1 all.")
    ] = 0.5,
    prompt: Annotated[
        str, typer.Option(help="What diffusion is conditioned on; nothing by default.")
    ] = "",
    mix: Annotated[
        Mix, typer.Option(case_sensitive=False, help="A straight line, or an arc.")
    ] = Mix.linear,
    frames: Frames = 9,
    loop: Loop = None,
    rate: Rate = 20,
    font: Font = None,
    index: Index = 0,
    seed: NoiseSeed = 0,
    steps: Steps = STEPS,
    guidance: Guidance = GUIDANCE,
    out: Out = None,
    overwrite: Overwrite = False,
    model: Model = BUNDLED,
    device: Device = "auto",
) -> None:
    """Between two real characters, or over the square between four.

        python scripts/interpolate.py glyphs 明 草

        python scripts/interpolate.py glyphs 明 草 河 火 --frames 7 --out square.png

    The middle is no character. With diffusion it becomes one, below what it was:

        python scripts/interpolate.py glyphs 明 草 --through diffusion --time 0.6

        python scripts/interpolate.py glyphs 明 草 河 火 --frames 96 --out walk.webp

    Under each glyph: the radical that a reader sees, and how sure it is.
    """
    if len(characters) not in (2, 4):
        several = "characters" if len(characters) > 1 else "word; a space goes between characters"
        raise ValueError(f"{len(characters)} {several}: give two, or four for a square")
    if prompt and through is not Through.diffusion:
        raise ValueError("--prompt belongs to --through diffusion")
    if not 0 <= time <= 1:
        raise ValueError(f"a time of {time:g}: take 0, which is data, to 1, which is noise")
    check(steps, guidance, seed, prompt or "-")
    target, closed = destination(out, "-".join(characters), overwrite, frames, loop, model, device)
    if len(characters) == 4 and not animated(target):
        if closed:
            raise ValueError("a square of glyphs is no walk: leave out --loop, or name a .webp")
        if frames**2 > LARGEST_GRID:
            raise ValueError(
                f"a square of {frames} by {frames} glyphs: take at most {LARGEST_GRID}"
            )

    import torch

    from diffusion.exploration.paths import MIXES, through_noise, walk
    from diffusion.samplers import result

    pixels = torch.cat([draw(character, font, index) for character in characters])
    pipe = load_pipeline(model, device)
    with torch.inference_mode():
        corners = pipe.autoencoder.refine(pixels.to(pipe.device))
        latents = walk(corners, frames, MIXES[mix], closed)
        rows = [latents]
        if through is Through.diffusion and time:
            # The same noise and the same words for all, so that neighbours stay neighbours.
            noise = pipe.randn([seed])().expand_as(latents)
            captions = pipe.captions([prompt], [seed]) if prompt else [""]
            scale = guidance if prompt else 0.0
            denoise = pipe.denoise(captions * len(latents), guidance_scale=scale)
            with progress_bar("drawing", steps) as advance:
                states = through_noise(denoise, latents, noise, pipe.process, time, steps)
                rows.append(result(states, advance))
        elif through is Through.diffusion:
            rows.append(latents)  # no noise, no change
    write(pipe, rows, frames, target, rate)


def prompts(
    first: Annotated[str, typer.Argument(help="Where to start.")],
    last: Annotated[str, typer.Argument(help="Where to go.")],
    frames: Frames = 9,
    loop: Loop = None,
    rate: Rate = 20,
    seed: NoiseSeed = 0,
    steps: Steps = STEPS,
    guidance: Guidance = GUIDANCE,
    out: Out = None,
    overwrite: Overwrite = False,
    model: Model = BUNDLED,
    device: Device = "auto",
) -> None:
    """Between two prompts, with the noise held.

    At each picture the two predictions are mixed, in shares that go from all of
    the one to all of the other:

        python scripts/interpolate.py prompts "fire" "water"
    """
    check(steps, guidance, seed, first, last)
    target, closed = destination(out, f"{first}-{last}", overwrite, frames, loop, model, device)
    if "AND" in f"{first} {last}".split():
        raise ValueError("a conjunction on one side: give two plain prompts")

    import torch

    from diffusion.exploration.paths import walk

    pipe = load_pipeline(model, device)
    captions = pipe.captions([f"{first} AND {last}"], [seed]) * frames
    shares = walk(torch.eye(2, dtype=torch.float64), frames, closed=closed)
    noise = pipe.randn([seed])().expand(frames, -1, -1, -1)
    latents = drawn(pipe, captions, noise, steps, guidance, shares.tolist())
    write(pipe, [latents], frames, target, rate)


def seeds(
    prompt: Annotated[str, typer.Argument(help="What to draw.")],
    last: Annotated[int, typer.Option(help="Seed of the last glyph, or random.")] = 1,
    frames: Frames = 9,
    loop: Loop = None,
    rate: Rate = 20,
    seed: Annotated[int, typer.Option(*SEED, help="Seed of the first glyph, or random.")] = 0,
    steps: Steps = STEPS,
    guidance: Guidance = GUIDANCE,
    out: Out = None,
    overwrite: Overwrite = False,
    model: Model = BUNDLED,
    device: Device = "auto",
) -> None:
    """Between the glyphs of two seeds, with the prompt held, and its radical, that of the first.

    Along an arc, since what lies on the straight line between two noises is none:

        python scripts/interpolate.py seeds "gold" --seed 0 --last 5 --frames 48 --out gold.webp
    """
    for each in (seed, last):
        check(steps, guidance, each, prompt)
    target, closed = destination(
        out, f"{prompt}-{seed}-{last}", overwrite, frames, loop, model, device
    )

    from diffusion.exploration.paths import spherical, walk

    pipe = load_pipeline(model, device)
    noise = walk(pipe.randn([seed, last])(), frames, spherical, closed)
    latents = drawn(pipe, pipe.captions([prompt], [seed]) * frames, noise, steps, guidance)
    write(pipe, [latents], frames, target, rate)


def edit(
    character: Annotated[str, typer.Argument(help="A real character.")],
    towards: Annotated[str, typer.Option(help="What to bend it towards.")],
    frames: Frames = 9,
    rate: Rate = 20,
    font: Font = None,
    index: Index = 0,
    steps: Annotated[int, typer.Option(min=1, max=1000, help="Of each way, there and back.")] = 25,
    guidance: Guidance = GUIDANCE,
    out: Out = None,
    overwrite: Overwrite = False,
    model: Model = BUNDLED,
    device: Device = "auto",
) -> None:
    """Bend a real character towards a prompt, less at the left and more at the right.

    Each picture takes the character on its way to the noise that leads to it,
    farther from picture to picture, and comes back conditioned on the words:

        python scripts/interpolate.py edit 明 --towards "water"
    """
    check(steps, guidance, 0, towards)
    target, _ = destination(out, f"{character}-{towards}", overwrite, frames, False, model, device)

    import torch

    from diffusion.exploration.paths import NEAREST, invert, restore
    from diffusion.samplers import result

    pixels = draw(character, font, index)
    pipe = load_pipeline(model, device)
    with torch.inference_mode(), progress_bar("drawing", 2 * steps * (frames - 1)) as advance:
        latents = pipe.autoencoder.refine(pixels.to(pipe.device))
        plain = pipe.denoise([""], guidance_scale=1.0)
        bent = pipe.denoise(pipe.captions([towards], [0]), guidance_scale=guidance)
        found = [latents]
        for i in range(1, frames):
            until = NEAREST + (1 - NEAREST) * i / (frames - 1)
            noise = result(invert(plain, latents, pipe.process, steps, until), advance)
            found.append(result(restore(bent, noise, pipe.process, steps, until), advance))
    write(pipe, [torch.cat(found)], frames, target, rate)


# ---- what they share -----------------------------------------------------------------------------


def check(steps: int, guidance: float, seed: int, *prompts: str) -> None:
    """Raises ValueError for what cannot be drawn."""
    Request(prompts, num_inference_steps=steps, guidance_scale=guidance, seed=seed)


def destination(
    out: str | None,
    name: str,
    overwrite: bool,
    frames: int,
    loop: bool | None,
    model: Path,
    device: str,
) -> tuple[Path, bool]:
    """Where to write, and whether the walk comes back.

    Raises ValueError or OSError where nothing can be written, and for a strip that is too long.
    """
    target = picture_path(out, name, overwrite, model, device, (".png", *ANIMATED))
    if not animated(target) and frames > LONGEST_STRIP:
        raise ValueError(f"{frames} glyphs in a strip: take {LONGEST_STRIP}, or name a .webp")
    return target, animated(target) if loop is None else loop


def animated(target: Path) -> bool:
    """Whether a file of this name is an animation."""
    return target.suffix.lower() in ANIMATED


def draw(character: str, font: Path | None, index: int) -> Tensor:
    """A real character's glyph, `(1, 1, 128, 128)`. Raises ValueError where the font has none."""
    import torch

    from autoencoder.data.fonts import default_font, draw_glyph, load_font

    face = load_font(font or default_font(), index)
    known = len(character) == 1 and ord(character) in face.characters
    if not known or not (pixels := draw_glyph(character, face)).any():
        raise ValueError(
            f'{face.name} has no glyph for "{character}": name one character that it has'
        )
    return torch.tensor(pixels)[None, None].float() / 255


def drawn(
    pipe: GlyphPipeline,
    captions: list[str],
    noise: Tensor,
    steps: int,
    guidance: float,
    weights: list[list[float]] | None = None,
) -> Tensor:
    """The latents of each caption from its own noise, with a bar."""
    import torch

    from diffusion.samplers import dpmpp_2m, result, time_steps

    with torch.inference_mode(), progress_bar("drawing", steps) as advance:
        denoise = pipe.denoise(captions, guidance_scale=guidance, weights=weights)
        return result(dpmpp_2m(denoise, noise, pipe.process, time_steps(steps)), advance)


def write(pipe: GlyphPipeline, rows: list[Tensor], across: int, target: Path, rate: float) -> None:
    """Decodes rows of latents, reads their radicals, and writes the picture or the animation.

    Rows stand one under the other: in a strip whole, or line by line of `across` in a square; in an
    animation each picture shows one glyph of each.
    """
    import torch

    from diffusion.exploration.plots import radicals_seen
    from diffusion.pipeline import to_pil

    images, labels = [], []
    with torch.inference_mode(), progress_bar("decoding", sum(map(len, rows))) as advance:
        for latents in rows:
            images.append([])
            labels.append([])
            for part in latents.split(16):
                glyphs = pipe.decode(part)
                images[-1] += to_pil(glyphs)
                labels[-1] += radicals_seen(glyphs)
                advance(len(part))

    step = 1 if animated(target) else across
    parts = [slice(start, start + step) for start in range(0, len(images[0]), step)]
    if animated(target):
        frames = [labelled([row[p] for row in images], [line[p] for line in labels]) for p in parts]
        save_animation(frames, target, rate)
    else:
        lines = [row[p] for p in parts for row in images]
        save_picture(labelled(lines, [line[p] for p in parts for line in labels]), target, pipe)


if __name__ == "__main__":
    run(glyphs, prompts, seeds, edit, about=ABOUT)
