"""Draw characters that nobody has written from English."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

from _cli import (
    LARGEST_GRID,
    Device,
    Guidance,
    Model,
    Seed,
    Steps,
    check_device,
    check_writable,
    load_pipeline,
    process,
    progress_bar,
    run,
)
from typer import Argument, Option

from conditioning.prompts import LAYOUTS, shortened
from diffusion.pictures import ANIMATED, check_ending, file_stem, sheet, write_frames, write_png
from diffusion.request import AUTO, BUNDLED, SAMPLER_NAMES, Request, check_model, read_prompts

if TYPE_CHECKING:
    from PIL import Image
    from torch import Tensor

    from autoencoder.readers.recognizer import Match
    from diffusion.pipeline import GlyphPipeline

    States = dict[float, dict[int, Tensor]]  # x_0 by time, then by glyph; the last attempt stays

LARGEST_ANIMATION = 64  # glyphs


def main(
    prompts: Annotated[
        list[str] | None, Argument(help="What to draw, each in quotes.", show_default=False)
    ] = None,
    prompts_file: Annotated[
        str | None, Option(help='A text file with one prompt a line; "-" reads stdin.')
    ] = None,
    count: Annotated[int, Option(help="Glyphs of each prompt.")] = 16,
    seed: Seed = Request.seed,
    steps: Steps = Request.num_inference_steps,
    guidance: Guidance = Request.guidance_scale,
    negative: Annotated[
        str | None, Option(help="What to lead away from.", show_default=False)
    ] = None,
    guidance_interval: Annotated[
        tuple[float, float],
        Option(metavar="LOW HIGH", help="Guide only between these times: 0 is data, 1 is noise."),
    ] = Request.guidance_interval,
    sampler: Annotated[str, Option(help=f"{', '.join(SAMPLER_NAMES)}.")] = Request.sampler,
    radical: Annotated[
        str, Option(help="auto is the prior's choice, none is open; else a name, form or number.")
    ] = Request.radical,
    layout: Annotated[
        str, Option(help=f"Where its two parts stand: {', '.join(LAYOUTS)}; none is open.")
    ] = Request.layout,
    redraws: Annotated[
        int, Option(help="How often, at most, a glyph is drawn again where the character exists.")
    ] = Request.redraws,
    eta: Annotated[
        float, Option(help="Fresh noise in ddim: 0 is none, 1 as much as ddpm adds.")
    ] = Request.eta,
    out: Annotated[
        str | None,
        Option(
            help="grid.png for one picture, or glyphs/ for a file a glyph.",
            show_default="a grid named after the prompt and the seed, or a folder after the file",
        ),
    ] = None,
    animate: Annotated[
        Path | None,
        Option(help="Also write the way out of noise: .webp, .gif or .mp4.", show_default=False),
    ] = None,
    model: Model = BUNDLED,
    device: Device = "auto",
    attention: Annotated[str, Option(help="sdpa, PyTorch's, or xformers on CUDA.")] = "sdpa",
) -> None:
    """Draw characters that nobody has written from English.

    Sixteen for gold, in one picture, gold.png:

        python scripts/generate.py "gold"

    Two prompts in one picture, bent away from water:

        python scripts/generate.py "gold" "sea monster" --count 8 --negative "water" --out two.png

    Each asked for alone, and both added up:

        python scripts/generate.py "water AND bird"

    With a radical of your own choice, 女:

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
    request = Request(
        list(lines.values()),
        count,
        steps,
        guidance,
        sampler,
        seed,
        negative or "",
        guidance_interval,
        eta,
        radical,
        layout,
        redraws,
    )
    if negative and guidance <= 1:
        raise ValueError(f"--negative at guidance {guidance:g} leads nowhere: take more than 1")
    total = request.total
    target, single_files = destination(out, request.prompts, prompts_file, seed)
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
        from diffusion.networks.layers import set_backend  # imports torch, as above

        set_backend(attention)
    size = 16 if pipe.device.type == "cpu" else 256
    batches = [range(total)[i : i + size] for i in range(rank * size, total, processes * size)]
    own = sum(map(len, batches))
    states: States | None = {} if animate else None
    with progress_bar("drawing", own * steps) as progress:
        glyphs = draw(pipe, request, batches, progress, states)
        about = settings(request, pipe)
        if single_files:
            drawn = write_files(glyphs, target, lines, count, about)
        else:
            drawn = write_sheet(glyphs, target, request, about)
    if animate:
        write_animation(states, pipe, animate, blocks=len(request.prompts))
    seconds = time.perf_counter() - start
    name = f"{target}/" if single_files else target
    number = f"{own:,} of {total:,}" if processes > 1 else f"{total:,}"
    noun = "glyph" if total == 1 else "glyphs"
    print(f"wrote {name}: {number} {noun} from seed {seed} on, in {seconds:.1f} s")
    report(drawn, with_radicals=radical == AUTO and pipe.prior is not None)


class Drawn(NamedTuple):
    """A glyph, its place among all that are drawn, and what is known of it."""

    place: int
    image: Image.Image
    seed: int
    caption: str
    redrawn: int
    match: Match | None

    @property
    def nearest(self) -> str:
        """The nearest character and how near it is, "鉻 0.61"; nothing without a recogniser."""
        return f"{self.match.character} {self.match.likeness:.2f}" if self.match else ""


def draw(
    pipe: GlyphPipeline,
    request: Request,
    batches: Iterable[range],
    progress: Callable[[int], object],
    states: States | None,
) -> Iterator[Drawn]:
    """Yields the glyphs of a request batch by batch, and keeps what each step predicts."""
    texts = request.texts
    for batch in batches:

        def keep(rows: Sequence[int], t: float, x_t: Tensor, x_0: Tensor, places: range = batch):
            if states is not None:
                states.setdefault(t, {}).update(zip((places[r] for r in rows), x_0, strict=True))

        drawn = pipe(
            request,
            prompts=texts[batch.start : batch.stop],
            num_images_per_prompt=1,
            seed=request.seed + batch.start,
            batch_size=len(batch),
            progress=progress,
            on_step=keep,
        )
        matches = drawn.matches or [None] * len(batch)
        known = drawn.images, drawn.seeds, drawn.captions, drawn.redrawn, matches
        yield from map(Drawn, batch, *known)


def settings(request: Request, pipe: GlyphPipeline) -> dict[str, object]:
    """What is the same for all glyphs, for the text chunks of a picture."""
    about = asdict(request)
    for name in ("prompts", "num_images_per_prompt", "seed"):  # written of each picture
        del about[name]
    about["guidance_interval"] = " ".join(map(str, request.guidance_interval))
    return about | {"Software": "Tianshu", "model": pipe.denoiser.fingerprint[:12]}


def write_files(
    glyphs: Iterable[Drawn], folder: Path, lines: dict[int, str], count: int, about: dict
) -> list[Drawn]:
    """One PNG a glyph, `<line>-<seed>.png`, written as it is drawn; returns them without pixels."""
    digits, numbers, written = len(str(max(lines))), list(lines), []
    for glyph in glyphs:
        line = numbers[glyph.place // count]
        path = folder / f"{line:0{digits}}-{glyph.seed}.png"
        own = {"prompt": lines[line], "caption": glyph.caption, "seed": glyph.seed}
        write_png(glyph.image, path, own | {"nearest": glyph.nearest} | about)
        written.append(glyph._replace(image=None))
    return written


def write_sheet(glyphs: Iterable[Drawn], path: Path, request: Request, about: dict) -> list[Drawn]:
    """All glyphs in one PNG, prompt after prompt; returns them."""
    drawn = list(glyphs)
    own = {
        "prompt": "\n".join(request.prompts),
        "caption": "\n".join(glyph.caption for glyph in drawn),
        "nearest": "\n".join(glyph.nearest for glyph in drawn),
        "num_images_per_prompt": request.num_images_per_prompt,
        "seed": request.seed,
    }
    picture = sheet([glyph.image for glyph in drawn], blocks=len(request.prompts))
    write_png(picture, path, own | about)
    return drawn


def write_animation(states: States, pipe: GlyphPipeline, path: Path, blocks: int) -> None:
    """What was predicted at each step, one sheet a frame."""
    import torch

    from diffusion.pipeline import to_pil

    frames = []
    with progress_bar("animating", len(states)) as advance:
        for latents in states.values():
            glyphs = pipe.decode(torch.stack([latents[place] for place in sorted(latents)]))
            frames.append(sheet(to_pil(glyphs), blocks))
            advance(1)
    write_frames(frames, path, rate=8)
    print(f"wrote {path}: {len(frames)} frames of {frames[0].width}×{frames[0].height}")


def report(drawn: list[Drawn], with_radicals: bool) -> None:
    """Prints the captions with their radicals, and which of the glyphs exist."""
    if with_radicals:
        for words, times in Counter(glyph.caption for glyph in drawn).most_common(12):
            print(f"{times:>4} × {shortened(words, 80)}")
    if again := sum(glyph.redrawn > 0 for glyph in drawn):
        print(f"{again:>4} drawn again, since {'it exists' if again == 1 else 'they exist'}")
    exist = [glyph.match.character for glyph in drawn if glyph.match and glyph.match.exists]
    if exist:
        print(f"{len(exist):>4} of them {'exists' if len(exist) == 1 else 'exist'}: ", end="")
        print(shortened(" ".join(exist), 80))


def destination(
    out: str | None, texts: Sequence[str], file: str | None, seed: int
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
