"""Draw characters that nobody has written from English."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Sequence
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
)
from _drawing import Drawn, draw, write_animation, write_files, write_sheet
from _options import Device, Guidance, Model, Seed, Steps

from conditioning.captions import shortened
from conditioning.prompts import LAYOUTS
from diffusion.pictures import ANIMATED, check_ending, file_stem
from diffusion.request import (
    AUTO,
    BUNDLED,
    GUIDANCE,
    NONE,
    REDRAWS,
    SAMPLER,
    SAMPLER_NAMES,
    STEPS,
    check_model,
    check_request,
    read_prompts,
)

if TYPE_CHECKING:
    from torch import Tensor

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
    layout: Annotated[
        str, typer.Option(help=f"Where its two parts stand: {', '.join(LAYOUTS)}; none is open.")
    ] = NONE,
    redraws: Annotated[
        int,
        typer.Option(
            help="How often a glyph is drawn again, at most, where it is a character that exists; "
            "0 takes what comes first."
        ),
    ] = REDRAWS,
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

    With its parts one above the other:

        python scripts/generate.py "fish" --layout top-bottom

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
        texts,
        count,
        steps,
        guidance,
        sampler,
        seed,
        negative,
        guidance_interval,
        eta,
        radical,
        layout,
        redraws,
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
        from diffusion.networks.attention import set_backend  # imports torch, as above

        set_backend(attention)
    settings = {
        "num_inference_steps": steps,
        "guidance_scale": guidance,
        "guidance_interval": guidance_interval,
        "sampler": sampler,
        "eta": eta,
        "radical": radical,
        "layout": layout,
        "redraws": redraws,
        "negative_prompt": negative or "",
    }
    states: dict[float, dict[int, Tensor]] = {}  # by time, then by glyph; the last attempt stays

    def keep(places: Sequence[int], t: float, x_0: Tensor) -> None:
        if animate:
            states.setdefault(t, {}).update(zip(places, x_0, strict=True))

    size = 16 if pipe.device.type == "cpu" else 256
    starts = range(rank * size, total, processes * size)
    own = sum(min(size, total - start) for start in starts)
    with progress_bar("drawing", own * steps) as progress:
        each = [text for text in texts for _ in range(count)]
        glyphs = draw(pipe, each, seed, starts, size, keep, progress=progress, **settings)
        about = settings | {
            "guidance_interval": " ".join(map(str, guidance_interval)),
            "Software": "Tianshu",
            "model": pipe.denoiser.fingerprint[:12],
        }
        if single_files:
            drawn = write_files(glyphs, target, lines, count, about)
        else:
            drawn = write_sheet(glyphs, target, texts, about)
    if animate:
        write_animation(states, pipe, animate, blocks=len(texts))
    seconds = time.perf_counter() - start
    name = f"{target}/" if single_files else target
    number = f"{own:,} of {total:,}" if processes > 1 else f"{total:,}"
    noun = "glyph" if total == 1 else "glyphs"
    print(f"wrote {name}: {number} {noun} from seed {seed} on, in {seconds:.1f} s")
    report(drawn, with_radicals=radical == AUTO and pipe.prior is not None)


def report(drawn: list[Drawn], with_radicals: bool) -> None:
    """Prints what was heard, and which of the glyphs exist."""
    if with_radicals:
        for words, times in Counter(glyph.heard for glyph in drawn).most_common(12):
            print(f"{times:>4} × {shortened(words, 80)}")
    if again := sum(glyph.redrawn > 0 for glyph in drawn):
        print(f"{again:>4} drawn again, since {'it exists' if again == 1 else 'they exist'}")
    exist = [glyph.match.character for glyph in drawn if glyph.match and glyph.match.exists]
    if exist:
        print(f"{len(exist):>4} of them {'exists' if len(exist) == 1 else 'exist'}: ", end="")
        print(shortened(" ".join(exist), 80))


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


if __name__ == "__main__":
    run(main)
