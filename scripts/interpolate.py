"""Walk between characters: through latents, between prompts, between seeds, and back to noise."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from _cli import (
    LARGEST_GRID,
    check_before,
    load_pipeline,
    progress_bar,
    run,
    save_animation,
    save_picture,
)
from _options import Device, Guidance, Model, NoiseSeed, Steps

from diffusion.pictures import ANIMATED, check_ending, file_stem, labelled
from diffusion.request import BUNDLED, GUIDANCE, STEPS, check_request

if TYPE_CHECKING:
    from torch import Tensor

    from diffusion import GlyphPipeline

ABOUT = """Walk between characters, and see whether there are any on the way.

The name that --out ends in decides what is written: .png is a strip, or a
square between four; .gif, .webp and .mp4 are an endless walk.
"""


SAMPLER = "dpmpp_2m"  # of all walks
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
    Path | None,
    typer.Option(
        help="A .png, .gif, .webp or .mp4.", show_default="a .png named after what is asked"
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
        Through, typer.Option(help="diffusion makes each picture on the way a character.")
    ] = Through.latents,
    time: Annotated[
        float, typer.Option(help="How much noise diffusion adds and takes away: 0 none, 1 all.")
    ] = 0.5,
    prompt: Annotated[str, typer.Option(help="What diffusion hears; by itself, nothing.")] = "",
    mix: Annotated[Mix, typer.Option(help="A straight line, or an arc.")] = Mix.linear,
    frames: Frames = 9,
    loop: Loop = None,
    rate: Rate = 20,
    font: Annotated[
        Path | None, typer.Option(help="A Chinese font.", show_default="Noto Sans SC")
    ] = None,
    seed: NoiseSeed = 0,
    steps: Steps = STEPS,
    guidance: Guidance = GUIDANCE,
    out: Out = None,
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
    check_time(time)
    check_request([prompt or "-"], 1, steps, guidance, SAMPLER, seed)
    target, animated, closed = destination(out, "-".join(characters), frames, loop)
    check_before(target, model, device)
    if len(characters) == 4 and not animated and closed:
        raise ValueError("a square of glyphs is no walk: leave out --loop, or name a .webp")
    if len(characters) == 4 and not animated and frames**2 > LARGEST_GRID:
        raise ValueError(f"a square of {frames} by {frames} glyphs: take at most {LARGEST_GRID}")

    import torch

    from diffusion.exploration.paths import MIXES, path, square, through_noise
    from diffusion.exploration.paths import loop as walk
    from diffusion.samplers import result

    pixels = torch.cat([draw(character, font) for character in characters])
    pipe = load_pipeline(model, device)
    with torch.inference_mode():
        corners = pipe.autoencoder.refine(pixels.to(pipe.device))
        shape = walk if closed else path if len(corners) == 2 else square
        latents = shape(corners, frames, MIXES[mix])
        rows = [latents]
        if through == Through.diffusion:
            # The same noise and the same words for all, so that neighbours stay neighbours.
            noise = pipe.randn([seed])().expand_as(latents)
            heard = pipe.captions([prompt], [seed])[0] if prompt else ""

            def found(part: slice) -> Tensor:
                scale = guidance if prompt else 0.0
                denoise = pipe.denoise([heard] * len(latents[part]), guidance_scale=scale)
                return result(
                    through_noise(denoise, latents[part], noise[part], pipe.process, time, steps)
                )

            rows.append(in_batches(found, len(latents)) if time else latents)
        across = frames if shape is square else len(latents)
        write(pipe, rows, across, target, animated, rate)


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
    model: Model = BUNDLED,
    device: Device = "auto",
) -> None:
    """Between two prompts, with the noise held.

    At each picture the two predictions are mixed, in shares that go from all of
    the one to all of the other:

        python scripts/interpolate.py prompts "fire" "water"
    """
    check_request([first, last], 1, steps, guidance, SAMPLER, seed)
    target, animated, closed = destination(out, f"{first}-{last}", frames, loop)
    check_before(target, model, device)
    if "AND" in f"{first} {last}".split():
        raise ValueError("a conjunction on one side: give two plain prompts")

    import torch

    from diffusion.samplers import dpmpp_2m, result, time_steps

    pipe = load_pipeline(model, device)
    shares = turn(frames, closed)
    heard = pipe.captions([f"{first} AND {last}"], [seed])

    def drawn(part: slice) -> Tensor:
        weights = [[1 - share, share] for share in shares[part]]
        denoise = pipe.denoise(heard * len(weights), guidance_scale=guidance, weights=weights)
        noise = pipe.randn([seed] * len(weights))()
        return result(dpmpp_2m(denoise, noise, pipe.process, time_steps(steps)))

    with torch.inference_mode():
        write(pipe, [in_batches(drawn, frames)], frames, target, animated, rate)


def seeds(
    prompt: Annotated[str, typer.Argument(help="What to draw.")],
    last: Annotated[int, typer.Option(help="Seed of the last glyph.")] = 1,
    frames: Frames = 9,
    loop: Loop = None,
    rate: Rate = 20,
    seed: Annotated[int, typer.Option(help="Seed of the first glyph.")] = 0,
    steps: Steps = STEPS,
    guidance: Guidance = GUIDANCE,
    out: Out = None,
    model: Model = BUNDLED,
    device: Device = "auto",
) -> None:
    """Between the glyphs of two seeds, with the prompt held, and its radical, that of the first.

    Along an arc, since what lies on the straight line between two noises is none:

        python scripts/interpolate.py seeds "gold" --seed 0 --last 5 --frames 48 --out gold.webp
    """
    for each in (seed, last):
        check_request([prompt], 1, steps, guidance, SAMPLER, each)
    target, animated, closed = destination(out, f"{prompt}-{seed}-{last}", frames, loop)
    check_before(target, model, device)

    import torch

    from diffusion.exploration.paths import spherical
    from diffusion.samplers import dpmpp_2m, result, time_steps

    pipe = load_pipeline(model, device)
    heard = pipe.captions([prompt], [seed])
    ends = pipe.randn([seed, last])()
    noise = torch.stack([spherical(*ends, share) for share in turn(frames, closed)])

    def drawn(part: slice) -> Tensor:
        denoise = pipe.denoise(heard * len(noise[part]), guidance_scale=guidance)
        return result(dpmpp_2m(denoise, noise[part], pipe.process, time_steps(steps)))

    with torch.inference_mode():
        write(pipe, [in_batches(drawn, frames)], frames, target, animated, rate)


def edit(
    character: Annotated[str, typer.Argument(help="A real character.")],
    towards: Annotated[str, typer.Option(help="What to bend it towards.")],
    frames: Frames = 9,
    rate: Rate = 20,
    font: Annotated[
        Path | None, typer.Option(help="A Chinese font.", show_default="Noto Sans SC")
    ] = None,
    steps: Annotated[int, typer.Option(min=1, max=1000, help="Of each way, there and back.")] = 25,
    guidance: Guidance = GUIDANCE,
    out: Out = None,
    model: Model = BUNDLED,
    device: Device = "auto",
) -> None:
    """Bend a real character towards a prompt, less at the left and more at the right.

    Each picture takes the character on its way to the noise that leads to it,
    farther from picture to picture, and comes back hearing the words:

        python scripts/interpolate.py edit 明 --towards "water"
    """
    check_request([towards], 1, steps, guidance, SAMPLER, seed=0)
    target, animated, _ = destination(out, f"{character}-{towards}", frames, loop=False)
    check_before(target, model, device)

    import torch

    from diffusion.exploration.paths import NEAREST, invert, restore
    from diffusion.samplers import result

    pixels = draw(character, font)
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
    with torch.inference_mode():  # and with a bar of its own
        write(pipe, [torch.cat(found)], frames, target, animated, rate)


# ---- what they share -----------------------------------------------------------------------------


def destination(
    out: Path | None, name: str, frames: int, loop: bool | None
) -> tuple[Path, bool, bool]:
    """Where to write, whether that is an animation, and whether the walk comes back.

    Raises ValueError for another ending, and for a strip that is too long.
    """
    target = out or Path(file_stem(name) + ".png")
    check_ending(target, (".png", *ANIMATED))
    animated = target.suffix.lower() in ANIMATED
    if not animated and frames > LONGEST_STRIP:
        raise ValueError(f"{frames} glyphs in a strip: take {LONGEST_STRIP}, or name a .webp")
    return target, animated, animated if loop is None else loop


def check_time(time: float) -> None:
    """Raises ValueError for what is no time."""
    if not 0 <= time <= 1:
        raise ValueError(f"a time of {time:g}: take 0, which is data, to 1, which is noise")


def draw(character: str, font: Path | None) -> Tensor:
    """A real character's glyph, `(1, 1, 128, 128)`. Raises ValueError where the font has none."""
    import torch

    from autoencoder.data.fonts import default_font, draw_glyph, load_font

    face = load_font(font or default_font())
    if len(character) != 1 or ord(character) not in face.characters:
        raise ValueError(
            f'{face.name} has no glyph for "{character}": name one character that it has'
        )
    return torch.tensor(draw_glyph(character, face))[None, None].float() / 255


def turn(frames: int, closed: bool) -> list[float]:
    """How far each picture has gone: from 0 to 1, or from 0 to 1 and nearly back to 0."""
    if closed:
        return [1 - abs(1 - 2 * i / frames) for i in range(frames)]
    return [i / (frames - 1) for i in range(frames)]


def in_batches(make: Callable[[slice], Tensor], count: int, size: int = 16) -> Tensor:
    """What `make` gives for each slice of `count` rows, with a bar for those who wait."""
    import torch

    parts = []
    with progress_bar("drawing", count) as advance:
        for start in range(0, count, size):
            parts.append(make(slice(start, start + size)))
            advance(len(parts[-1]))
    return torch.cat(parts)


def write(
    pipe: GlyphPipeline,
    rows: list[Tensor],
    across: int,
    target: Path,
    animated: bool,
    rate: float,
) -> None:
    """Decodes rows of latents, reads their radicals, and writes the picture or the animation.

    Rows stand one under the other: in a strip whole, or line by line of `across` in a square; in an
    animation each picture shows one glyph of each.
    """
    from diffusion.exploration.labels import radicals_seen
    from diffusion.pipeline import to_pil

    images, labels = [], []
    with progress_bar("decoding", sum(map(len, rows))) as advance:
        for latents in rows:
            images.append([])
            labels.append([])
            for part in latents.split(16):
                glyphs = pipe.decode(part)
                images[-1] += to_pil(glyphs)
                labels[-1] += radicals_seen(glyphs)
                advance(len(part))
    if animated:
        frames = [
            labelled([[row[i]] for row in images], [[line[i]] for line in labels])
            for i in range(len(images[0]))
        ]
        save_animation(frames, target, rate)
        return
    starts = range(0, len(images[0]), across)
    picture = labelled(
        [row[i : i + across] for i in starts for row in images],
        [line[i : i + across] for i in starts for line in labels],
    )
    save_picture(picture, target, pipe)


if __name__ == "__main__":
    run(glyphs, prompts, seeds, edit, about=ABOUT)
