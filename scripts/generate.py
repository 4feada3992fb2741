"""Draw characters that nobody has written from English."""

from __future__ import annotations

import itertools
import os
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from _cli import (
    LARGEST_GRID,
    check_device,
    check_writable,
    load_pipeline,
    process,
    progress_bar,
    run,
    save_animation,
)
from _options import Device, Guidance, Model, Seed, Steps

from conditioning.captions import shortened
from diffusion.pictures import ANIMATED, check_ending, file_stem, sheet, write_png
from diffusion.request import (
    AUTO,
    BUNDLED,
    GUIDANCE,
    SAMPLER,
    SAMPLER_NAMES,
    STEPS,
    check_model,
    check_request,
    read_prompts,
)

if TYPE_CHECKING:
    from PIL import Image
    from torch import Tensor

    from diffusion import GlyphPipeline

LARGEST_ANIMATION = 64  # glyphs


def main(
    prompts: Annotated[
        list[str] | None, typer.Argument(help="What to draw, each in quotes.", show_default=False)
    ] = None,
    prompts_file: Annotated[
        str | None,
        typer.Option(help='A text file with one prompt a line; "-" reads stdin.'),
    ] = None,
    count: Annotated[int, typer.Option(help="Glyphs of each prompt.")] = 16,
    seed: Seed = 0,
    steps: Steps = STEPS,
    guidance: Guidance = GUIDANCE,
    negative: Annotated[
        str | None, typer.Option(help="What to lead away from.", show_default=False)
    ] = None,
    guidance_interval: Annotated[
        tuple[float, float],
        typer.Option(
            metavar="LOW HIGH",
            help="Guide only between these times: 0 is the finished glyph, 1 is noise.",
        ),
    ] = (0.0, 1.0),
    sampler: Annotated[str, typer.Option(help=f"{', '.join(SAMPLER_NAMES)}.")] = SAMPLER,
    radical: Annotated[
        str,
        typer.Option(
            help="What to draw it with: auto is what the words are taken for, none leaves that to "
            "the denoiser; else a radical by its English name, a form or a number."
        ),
    ] = AUTO,
    eta: Annotated[
        float, typer.Option(help="Fresh noise in ddim: 0 is none, 1 as much as ddpm adds.")
    ] = 0.0,
    out: Annotated[
        str | None,
        typer.Option(
            help="grid.png for one picture, or glyphs/ for a file a glyph.",
            show_default="a grid named after the prompt and the seed, or a folder after the file",
        ),
    ] = None,
    animate: Annotated[
        Path | None,
        typer.Option(
            help="Also write how the glyphs come out of noise: a .webp, .gif or .mp4.",
            show_default=False,
        ),
    ] = None,
    model: Model = BUNDLED,
    device: Device = "auto",
    attention: Annotated[
        str, typer.Option(help="sdpa, which is PyTorch's, or xformers on CUDA.")
    ] = "sdpa",
) -> None:
    """Draw characters that nobody has written from English.

    Sixteen for gold, in one picture, gold.png:

        python scripts/generate.py "gold"

    Two prompts in one picture, bent away from water:

        python scripts/generate.py "gold" "sea monster" --count 8 --negative "water" --out two.png

    Each asked for by itself, and both added up:

        python scripts/generate.py "water AND bird"

    With a radical of your own choice, 女, whatever the words are taken for:

        python scripts/generate.py "gossip" --radical woman

    And how they come out of noise:

        python scripts/generate.py "gold" --animate gold.webp

    A file a glyph, for each line of a list:

        python scripts/generate.py --prompts-file words.txt --count 4 --out glyphs/

    The same from four processes, which share the glyphs:

        torchrun --nproc-per-node 4 scripts/generate.py --prompts-file words.txt --out glyphs/

    The same seed draws the same glyph. Each file says in its text chunks what drew it.
    """
    start = time.perf_counter()
    if prompts and prompts_file:
        raise ValueError("prompts on the command line and --prompts-file: give one of them")
    lines = read_prompts(prompts_file) if prompts_file else dict(enumerate(prompts or [], 1))
    texts = list(lines.values())
    check_request(
        texts, count, steps, guidance, sampler, seed, negative, guidance_interval, eta, radical
    )
    if negative and guidance <= 1:
        raise ValueError(f"--negative at guidance {guidance:g} leads nowhere: take more than 1")
    total = count * len(texts)
    target, single_files = destination(out, texts, prompts_file, seed)
    if total > LARGEST_GRID and not single_files:
        raise ValueError(f"{total:,} glyphs in one picture: name a folder, --out glyphs/")
    rank, processes = process()
    if processes > 1 and (animate or not single_files):
        raise ValueError("one picture from several processes: name a folder, --out glyphs/")
    if animate:
        check_animation(animate, total)
    check_device(device)
    check_model(model)

    pipe = load_pipeline(model, device)
    if attention != "sdpa":
        from diffusion.attention import set_backend  # imports torch, as above

        set_backend(attention)
    settings = {
        "num_inference_steps": steps,
        "guidance_scale": guidance,
        "guidance_interval": guidance_interval,
        "sampler": sampler,
        "eta": eta,
        "radical": radical,
        "negative_prompt": negative or "",
    }
    states: list[Tensor] = []

    def keep(t: float, x_t: Tensor, x_0: Tensor) -> None:
        if animate:
            states.append(x_0)

    size = 16 if pipe.device.type == "cpu" else 256
    starts = range(rank * size, total, processes * size)
    own = sum(min(size, total - start) for start in starts)
    with progress_bar("drawing", own * steps) as progress:
        each = [text for text in texts for _ in range(count)]
        glyphs = draw(pipe, each, seed, starts, size, progress=progress, on_step=keep, **settings)
        about = settings | {
            "guidance_interval": " ".join(map(str, guidance_interval)),
            "Software": "Tianshu",
            "model": pipe.denoiser.fingerprint[:12],
        }
        if single_files:
            heard = write_files(glyphs, target, lines, count, seed, about)
        else:
            heard = write_sheet(glyphs, target, texts, seed, about)
    if animate:
        write_animation(states, steps, pipe, animate, blocks=len(texts))
    seconds = time.perf_counter() - start
    name = f"{target}/" if single_files else target
    number = f"{own:,} of {total:,}" if processes > 1 else f"{total:,}"
    noun = "glyph" if total == 1 else "glyphs"
    print(f"wrote {name}: {number} {noun} from seed {seed} on, in {seconds:.1f} s")
    if radical == AUTO and pipe.prior:
        for words, times in heard.most_common(12):
            print(f"{times:>4} × {shortened(words, 80)}")


def destination(
    out: str | None, texts: list[str], file: str | None, seed: int
) -> tuple[Path, bool]:
    """Where to write, and whether that is a folder of single files instead of a picture.

    Raises ValueError for a name that is neither, and OSError where nothing can be written.
    """
    if not out and file:
        target, folder = Path("glyphs" if file == "-" else Path(file).stem), True
        if target.is_file():  # the list itself, where its name has no ending
            target = Path(f"{target}-glyphs")
    elif not out:
        another = f"-{seed}" if seed else ""  # so that it stands beside what others drew
        target, folder = Path(f"{file_stem('-'.join(texts))}{another}.png"), False
    else:
        target = Path(out)
        folder = target.is_dir() or out.endswith(("/", os.sep)) or not target.suffix
        if not folder and target.suffix.lower() != ".png":
            raise ValueError(
                f"cannot write {out}: end the name in .png, or in a slash for a folder"
            )
    check_writable(target, folder)
    return target, folder


def check_animation(path: Path, glyphs: int) -> None:
    """Raises ValueError for an animation that cannot be written, or is too large."""
    check_ending(path, ANIMATED)
    if glyphs > LARGEST_ANIMATION:
        raise ValueError(f"{glyphs:,} glyphs in an animation: take {LARGEST_ANIMATION}")
    check_writable(path)


# ---- drawing -------------------------------------------------------------------------------------


def draw(
    pipe: GlyphPipeline, texts: list[str], seed: int, starts: range, size: int, **settings
) -> Iterator[tuple[int, Image.Image, str]]:
    """Yields glyphs with their place among the texts, and what was heard, batch by batch.

    Batches of `size` texts begin at each of `starts`; the glyph of the first text has the seed.
    """
    for start in starts:
        batch = texts[start : start + size]
        drawn = pipe(batch, seed=seed + start, batch_size=size, **settings)
        yield from zip(itertools.count(start), drawn.images, drawn.heard)


def write_files(
    glyphs: Iterator[tuple[int, Image.Image, str]],
    folder: Path,
    lines: dict[int, str],
    count: int,
    seed: int,
    about: dict,
) -> Counter[str]:
    """One PNG a glyph, `<line>-<seed>.png`, written as it is drawn; returns what was heard."""
    digits, numbers, all_heard = len(str(max(lines))), list(lines), Counter[str]()
    for place, image, heard in glyphs:
        all_heard[heard] += 1
        line = numbers[place // count]
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{line:0{digits}}-{seed + place}.png"
        own = {"prompt": lines[line], "heard": heard, "seed": seed + place}
        write_png(image, path, own | about)
    return all_heard


def write_sheet(
    glyphs: Iterator[tuple[int, Image.Image, str]],
    path: Path,
    texts: list[str],
    seed: int,
    about: dict,
) -> Counter[str]:
    """All glyphs in one PNG, prompt after prompt; returns what was heard."""
    _, images, heard = zip(*glyphs, strict=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    prompts = {
        "prompt": "\n".join(texts),
        "heard": "\n".join(heard),
        "num_images_per_prompt": len(images) // len(texts),
        "seed": seed,
    }
    write_png(sheet(images, blocks=len(texts)), path, prompts | about)
    return Counter(heard)


def write_animation(
    states: list[Tensor], steps: int, pipe: GlyphPipeline, path: Path, blocks: int
) -> None:
    """What was predicted at each step, one sheet a frame; `states` are batch after batch."""
    import torch

    from diffusion.pipeline import to_pil

    frames = []
    with progress_bar("animating", steps) as advance:
        for step in range(steps):
            latents = torch.cat(states[step::steps])
            frames.append(sheet(to_pil(pipe.decode(latents)), blocks))
            advance(1)
    save_animation(frames, path, rate=8)


if __name__ == "__main__":
    run(main)
