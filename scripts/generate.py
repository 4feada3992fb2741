"""Draw characters that nobody has written from English."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from _cli import progress_bar, run

from diffusion.request import (
    BUNDLED,
    GUIDANCE,
    SAMPLER,
    SAMPLER_NAMES,
    STEPS,
    check_model,
    check_request,
)

if TYPE_CHECKING:
    from PIL import Image

    from diffusion import GlyphPipeline

LARGEST_GRID = 4096  # glyphs: 64 x 64, about as large as picture viewers open without complaint


def main(
    prompts: Annotated[
        list[str] | None, typer.Argument(help="What to draw, each in quotes.", show_default=False)
    ] = None,
    prompts_file: Annotated[
        str | None,
        typer.Option(help='A text file with one prompt a line; "-" reads stdin.'),
    ] = None,
    count: Annotated[int, typer.Option(help="Glyphs of each prompt.")] = 16,
    seed: Annotated[int, typer.Option(help="Seed of the first glyph; each next one adds 1.")] = 0,
    steps: Annotated[
        int, typer.Option(help="Calls of the network, 1 to 1000: more are finer and slower.")
    ] = STEPS,
    guidance: Annotated[
        float,
        typer.Option(help="How hard to follow the words: 1 plainly, more harder, 0 not at all."),
    ] = GUIDANCE,
    negative: Annotated[
        str | None, typer.Option(help="What to lead away from.", show_default=False)
    ] = None,
    sampler: Annotated[str, typer.Option(help=f"{' or '.join(SAMPLER_NAMES)}.")] = SAMPLER,
    out: Annotated[
        str | None,
        typer.Option(
            help="grid.png for one picture, or glyphs/ for a file a glyph.",
            show_default="a grid named after the prompt, a folder named after the file",
        ),
    ] = None,
    model: Annotated[
        Path,
        typer.Option(
            help="A folder that train_diffusion.py wrote.", show_default="the one that ships"
        ),
    ] = BUNDLED,
    device: Annotated[
        str, typer.Option(help="cpu, cuda, cuda:1 or mps; auto is CUDA where there is one.")
    ] = "auto",
) -> None:
    """Draw characters that nobody has written from English.

    Sixteen for gold, in one picture, gold.png:

        python scripts/generate.py "gold"

    Two prompts in one picture, bent away from water:

        python scripts/generate.py "gold" "sea monster" --count 8 --negative "water" --out two.png

    A file a glyph, for each line of a list:

        python scripts/generate.py --prompts-file words.txt --count 4 --out glyphs/

    The same seed draws the same glyph. Each file says in its text chunks what drew it.
    """
    start = time.perf_counter()
    lines = read_prompts(prompts or [], prompts_file)
    texts = list(lines.values())
    check_request(texts, count, steps, guidance, sampler, seed)
    if negative is not None and not negative.isprintable():
        raise ValueError("the negative prompt is not plain text")
    target, single_files = destination(out, texts, prompts_file)
    if not single_files and count * len(texts) > LARGEST_GRID:
        raise ValueError(
            f"a grid of {count * len(texts):,} glyphs: take at most {LARGEST_GRID:,}, "
            "or a folder, --out glyphs/"
        )
    if not re.fullmatch(r"auto|cpu|mps|cuda(:\d+)?", device):
        raise ValueError(f'no device "{device}": there are auto, cpu, cuda, cuda:1 and so on, mps')
    check_model(model)

    pipe = load(model, device)
    settings = {
        "negative_prompt": negative,
        "num_inference_steps": steps,
        "guidance_scale": guidance,
        "sampler": sampler,
    }
    about = {
        "Software": "Tianshu",
        "negative_prompt": negative or "",
        "steps": steps,
        "guidance": guidance,
        "sampler": sampler,
        "model": pipe.denoiser.fingerprint[:12],
    }
    wanted = [text for text in texts for _ in range(count)]
    with progress_bar("drawing", len(wanted) * steps) as advance:
        with closing(draw(pipe, wanted, seed, progress=advance, **settings)) as glyphs:
            if single_files:
                write_files(glyphs, target, lines, count, seed, about)
            else:
                write_sheet(glyphs, target, texts, count, seed, about)
    seconds = time.perf_counter() - start
    last = seed + len(wanted) - 1
    seeds = f"seed {seed}" if last == seed else f"seeds {seed} to {last}"
    glyphs = f"{len(wanted):,} glyph{'s' * (len(wanted) > 1)}"
    print(f"wrote {target}{'/' * single_files}: {glyphs}, {seeds}, in {seconds:.1f} s")


# ---- before drawing ------------------------------------------------------------------------------


def read_prompts(arguments: list[str], file: str | None) -> dict[int, str]:
    """Prompts by their number, from 1: of the argument, or of the line where they are in a file.

    Blank lines are skipped and still count. Raises ValueError for both kinds at once, for a file
    without prompts and for text that is not UTF-8, and OSError for a file that cannot be read.
    """
    if file is None:
        texts = [prompt.strip() for prompt in arguments]
    elif arguments:
        raise ValueError("prompts on the command line and --prompts-file: give one of them")
    else:
        name = "stdin" if file == "-" else file
        data = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
        try:
            text = data.decode("utf-8-sig")  # with or without the mark that Windows puts first
        except UnicodeDecodeError as error:
            line = data[: error.start].count(b"\n") + 1
            raise ValueError(f"{name} is not UTF-8 in line {line}: save it as UTF-8") from None
        texts = [line.strip() for line in re.split(r"\r\n|\r|\n", text)]
        if not any(texts):
            raise ValueError(f"no prompts in {name}: write one a line")
    numbered = {i: text for i, text in enumerate(texts, 1) if text or file is None}
    for i, text in numbered.items():
        if any("\ud800" <= letter <= "\udfff" or letter == "\0" for letter in text):
            raise ValueError(f"prompt {i} is not text: it holds bytes that are no characters")
    return numbered


def destination(out: str | None, texts: list[str], file: str | None) -> tuple[Path, bool]:
    """Where to write, and whether that is a folder of single files instead of a picture.

    Raises ValueError for a name that is neither, and OSError where nothing can be written.
    """
    import os

    from diffusion.pictures import file_stem

    if out is None:
        if file is not None:
            target, folder = Path("glyphs" if file == "-" else Path(file).stem), True
        else:
            target, folder = Path(file_stem("-".join(texts)) + ".png"), False
    else:
        target = Path(out)
        folder = target.is_dir() or out.endswith(("/", os.sep)) or not target.suffix
        if not folder and target.suffix.lower() != ".png":
            raise ValueError(
                f"cannot write {out}: name a .png, or a folder with a slash at the end"
            )
    place = target if folder else target.parent
    while not place.exists():
        place = place.parent
    if not place.is_dir():
        raise NotADirectoryError(f"cannot write to {target}: {place} is not a folder")
    if not os.access(place, os.W_OK | os.X_OK):
        raise PermissionError(f"cannot write to {target}: no permission to write in {place}")
    return target, folder


# ---- drawing -------------------------------------------------------------------------------------


def load(model: Path, device: str) -> GlyphPipeline:
    """The pipeline of a folder, on a device. Raises ValueError for a device that is not there."""
    import torch  # takes seconds, which an error above need not wait for

    from diffusion import GlyphPipeline

    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    kind, _, number = device.partition(":")
    there = {
        "cpu": 1,
        "cuda": torch.cuda.device_count() if torch.cuda.is_available() else 0,
        "mps": int(torch.backends.mps.is_available()),
    }
    if int(number or 0) >= there[kind]:
        raise ValueError(f"there is no {device} here: try --device cpu")
    return GlyphPipeline.from_pretrained(model).to(device)


def draw(
    pipe: GlyphPipeline, texts: list[str], seed: int, **settings
) -> Iterator[tuple[int, Image.Image]]:
    """Yields each text's glyph with its seed, keeping no more than one batch in memory."""
    size = 16 if pipe.device.type == "cpu" else 256
    for first in range(0, len(texts), size):
        batch = texts[first : first + size]
        drawn = pipe(batch, seed=seed + first, batch_size=size, **settings)
        yield from zip(drawn.seeds, drawn.images, strict=True)


def write_files(
    glyphs: Iterator[tuple[int, Image.Image]],
    folder: Path,
    lines: dict[int, str],
    count: int,
    about: dict,
) -> None:
    """One PNG a glyph, `<line>-<seed>.png`, written as it is drawn."""
    from diffusion.pictures import write_png

    digits = len(str(max(lines)))
    for line, text in lines.items():
        for seed, image in islice(glyphs, count):
            folder.mkdir(parents=True, exist_ok=True)
            write_png(
                image, folder / f"{line:0{digits}}-{seed}.png", {"prompt": text, "seed": seed} | about
            )


def write_sheet(
    glyphs: Iterator[tuple[int, Image.Image]], path: Path, texts: list[str], about: dict
) -> None:
    """All glyphs in one PNG, prompt after prompt."""
    from diffusion.pictures import sheet, write_png

    seeds, images = zip(*glyphs, strict=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    about = {
        "prompt": "\n".join(texts),
        "seed": seeds[0],
        "count": len(images) // len(texts),
    } | about
    write_png(sheet(images, blocks=len(texts)), path, about)


if __name__ == "__main__":
    run(main)
