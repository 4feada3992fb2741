"""Draw characters that nobody has written from English."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict
from math import ceil
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Annotated, NamedTuple

from _cli import (
    LARGEST_GRID,
    AnyGuidance,
    Calls,
    Device,
    Model,
    Overwrite,
    Seed,
    TeachersSteps,
    as_typed,
    check_device,
    is_folder,
    load_pipeline,
    output_file,
    output_folder,
    process,
    progress_bar,
    run,
    write_text,
)
from PIL import Image
from typer import Argument, Option

from conditioning.prompts import LAYOUTS, shortened
from diffusion.pictures import (
    ANIMATED,
    columns,
    file_stem,
    labelled,
    sheet,
    write_frames,
    write_png,
)
from diffusion.request import (
    AUTO,
    BUNDLED,
    NONE,
    SAMPLER,
    SAMPLER_NAMES,
    STEPS,
    Request,
    check_model,
    read_prompts,
)

if TYPE_CHECKING:
    from torch import Tensor

    from autoencoder.readers.recognizer import Match
    from diffusion.cards import Card
    from diffusion.inventions import Invention
    from diffusion.pipeline import GlyphPipeline

    States = dict[int, dict[float, Tensor]]  # x_0 by glyph, then by time; the last attempt stays

LARGEST_ANIMATION = 64  # glyphs
LARGEST_CONTACT = 400
FORMATS = (".png", ".svg")  # of the files in a folder


def main(
    prompts: Annotated[
        list[str] | None, Argument(help="What to draw, each in quotes.", show_default=False)
    ] = None,
    prompts_file: Annotated[
        str | None, Option(help='A text file with one prompt a line; "-" reads stdin.')
    ] = None,
    count: Annotated[int, Option("--count", "-n", help="Glyphs of each prompt.")] = 16,
    seed: Seed = Request.seed,
    calls: Calls = None,
    steps: TeachersSteps = None,
    guidance: AnyGuidance = None,
    negative: Annotated[
        str | None, Option(help="What to lead away from.", show_default=False)
    ] = None,
    guidance_interval: Annotated[
        tuple[float, float],
        Option(metavar="LOW HIGH", help="Guide only between these times: 0 is data, 1 is noise."),
    ] = Request.guidance_interval,
    sampler: Annotated[
        str | None,
        Option(
            help=f"{', '.join(SAMPLER_NAMES)}.",
            show_default=SAMPLER,
        ),
    ] = None,
    radical: Annotated[
        str, Option(help="auto is the prior's choice, none is open; else a name, form or number.")
    ] = Request.radical,
    part: Annotated[
        str, Option(help="What stands beside it: 里, or its meaning; auto is any, none is open.")
    ] = Request.part,
    sound: Annotated[
        str | None,
        Option(help="Or how that is read, in Pinyin: luo, luó or luo2.", show_default=False),
    ] = None,
    layout: Annotated[
        str, Option(help=f"Where its two parts stand: {', '.join(LAYOUTS)}; none is open.")
    ] = Request.layout,
    conjunction: Annotated[
        str,
        Option("--and", help="What AND does: compose radical and part, or sum both predictions."),
    ] = Request.conjunction,
    sketch: Annotated[
        Path | None,
        Option(help="A picture of a whole character to begin with.", show_default=False),
    ] = None,
    time: Annotated[
        float | None,
        Option(
            help="How far parts or a sketch go into noise: 0 not at all, 1 all the way.",
            show_default="parts 0.3, a sketch 0.5",
        ),
    ] = None,
    redraws: Annotated[
        int, Option(help="How often, at most, a glyph is drawn again where the character exists.")
    ] = Request.redraws,
    eta: Annotated[
        float, Option(help="Fresh noise in ddim: 0 is none, 1 as much as ddpm adds.")
    ] = Request.eta,
    out: Annotated[
        str | None,
        Option(
            "--out",
            "-o",
            help="grid.png or grid.svg for one picture, or glyphs/ for a file a glyph.",
            show_default="a grid named after the prompt and the seed, or a folder after the file",
        ),
    ] = None,
    formats: Annotated[
        str | None,
        Option(
            "--format", help="Of the files in a folder: png, svg or png,svg.", show_default="png"
        ),
    ] = None,
    animate: Annotated[
        str | None,
        Option(help="Also write the way out of noise: .webp, .gif or .mp4.", show_default=False),
    ] = None,
    overwrite: Overwrite = False,
    model: Model = BUNDLED,
    device: Device = "auto",
    attention: Annotated[str, Option(help="sdpa, PyTorch's, or xformers on CUDA.")] = "sdpa",
) -> None:
    """Draw characters that nobody has written from English.

    Sixteen for gold, in one picture, gold.png:

        python scripts/generate.py "gold"

    Two prompts in one picture, bent away from water:

        python scripts/generate.py "gold" "sea monster" --count 8 --negative "water" --out two.png

    Lithium with 里 beside its radical, and a robot with a part that is read luo:

        python scripts/generate.py "lithium" --part 里

        python scripts/generate.py "robot" --sound luo

    Radical and part by what they mean, and of two meanings one for each:

        python scripts/generate.py --radical metal --part ghost --layout left-right

        python scripts/generate.py "sickness AND fire"

    Your own drawing, repaired:

        python scripts/generate.py "cloud" --sketch mine.png --time 0.6

    And how they come out of noise:

        python scripts/generate.py "gold" --animate gold.webp

    A file a glyph, for each line of a list, which may say "robot; sound luo", with a contact
    sheet, a page of cards and an index:

        python scripts/generate.py --prompts-file words.txt --count 4 --out glyphs/

    As outlines too, for a designer's program:

        python scripts/generate.py "gold" --out glyphs/ --format png,svg

    The list from four processes, which share the glyphs:

        torchrun --nproc-per-node 4 scripts/generate.py --prompts-file words.txt --out glyphs/

    The same seed draws the same glyph. Each file says in its text chunks, or in an SVG in its
    metadata, what drew it.
    """
    start = perf_counter()
    if prompts and prompts_file:
        raise ValueError("prompts on the command line and --prompts-file: give one of them")
    if prompts_file and prompts_file != "-":
        prompts_file = as_typed(prompts_file)
    lines = read_prompts(prompts_file) if prompts_file else {}
    if animate and calls is None and steps is None:
        steps = STEPS  # more frames than a student's calls make
    request = Request(
        list(lines.values()) or prompts or (),
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
        part,
        sound,
        sketch,
        time,
        conjunction,
        calls,
    )
    lines = lines or dict(enumerate(request.prompts, 1))
    if negative and request.scale <= 1:
        raise ValueError(
            f"--negative at guidance {request.scale:g} leads nowhere: take more than 1"
        )
    part = request.own_part
    with_part = request.part != NONE != request.radical
    begun = with_part or sound or sketch or request.layout != NONE
    if time is not None and not begun and not re.search(r";|\bAND\b", " ".join(request.prompts)):
        raise ValueError("--time is for a part, a sound, a layout or a sketch: name one")
    total = request.total
    single_files = bool(prompts_file) if not out else in_files(out)
    if total > LARGEST_GRID and not single_files:
        raise ValueError(f"{total:,} glyphs in one picture: name a folder, --out glyphs/")
    endings = endings_of(FORMATS[0] if formats is None else formats)
    if formats is not None and not single_files:
        raise ValueError("--format is for a folder, --out glyphs/; for a picture, --out gold.svg")
    rank, processes = process()
    if processes > 1 and (animate or not single_files):
        raise ValueError("one picture from several processes: name a folder, --out glyphs/")
    if animate and total > LARGEST_ANIMATION:
        raise ValueError(f"{total:,} glyphs in an animation: take {LARGEST_ANIMATION}")
    if animate and time == 0:
        raise ValueError("--time 0 adds no noise, so nothing moves: take more to animate")
    if sketch:
        from autoencoder.sketches import read_drawing  # NumPy alone

        read_drawing(sketch)
    check_device(device)
    check_model(model)
    stem = file_stem("-".join(filter(None, (*request.prompts, part, sound))))
    if animate:
        film = output_file(animate, f"{stem}{ANIMATED[0]}", ANIMATED, overwrite)
    if single_files:
        # Of several processes the first looks, while the others may be writing already.
        name = "glyphs" if prompts_file in (None, "-") else prompts_file.stem
        if Path(name).is_file():  # the list itself, where its name has no ending
            name = f"{name}-glyphs"
        named = out or (name if processes > 1 else None)
        target = output_folder(named, name, overwrite or rank > 0)
    else:
        another = f"-{seed}" if seed else ""  # so that it stands beside what others drew
        target = output_file(out, f"{stem}{another}.png", (".png", ".svg"), overwrite)

    pipe = load_pipeline(model, device)
    if attention != "sdpa":
        from diffusion.networks.layers import set_backend  # imports torch, as above

        set_backend(attention)
    size = 16 if pipe.device.type == "cpu" else 256
    batches = [range(total)[i : i + size] for i in range(rank * size, total, processes * size)]
    if total > size:  # what cannot be drawn is said before anything is written
        for invention in pipe.invent(request):
            pipe.calls(request, invention.caption)
    own = sum(map(len, batches))
    states: States | None = {} if animate else None
    with progress_bar("drawing", own) as progress:
        glyphs = draw(pipe, request, batches, progress, states)
        about = settings(request, pipe)
        if single_files:
            names = file_names(lines, count, seed)
            drawn = write_files(glyphs, target, names, endings, about)
            write_index(target, names, endings, count)
        else:
            drawn = write_sheet(glyphs, target, request, about)
    if animate:
        write_animation(states, pipe, film, blocks=len(request.prompts))
    seconds = perf_counter() - start
    name = f"{target}/" if single_files else target
    number = f"{own:,} of {total:,}" if processes > 1 else f"{total:,}"
    noun = "glyph" if total == 1 else "glyphs"
    by = ""
    if pipe.student and not all(pipe.calls(request, one.invention.caption) for one in drawn):
        by = f", by the teacher, for {request.for_teacher or 'a sum of prompts'}"
    print(f"wrote {name}: {number} {noun} from seed {seed} on, in {seconds:.1f} s{by}")
    report(drawn, with_radicals=request.radical == AUTO and pipe.prior is not None)


class Drawn(NamedTuple):
    """A glyph, its place among all that are drawn, and what is known of it."""

    place: int
    image: Image.Image
    prompt: str
    seed: int
    invention: Invention
    redrawn: int
    match: Match | None

    @property
    def card(self) -> Card:
        """All that can be said of it."""
        from diffusion.cards import Card  # it reads tables

        return Card.of(self.prompt, self.seed, self.invention, self.match)

    @property
    def nearest(self) -> str:
        """The nearest character and how near it is, "鉻 0.61"; nothing without a recogniser."""
        return f"{self.match.character} {self.match.likeness:.2f}" if self.match else ""


def draw(
    pipe: GlyphPipeline,
    request: Request,
    batches: Iterable[range],
    progress: Callable[[float], object],
    states: States | None,
) -> Iterator[Drawn]:
    """Yields the glyphs of a request batch by batch, and keeps what each step predicts."""
    texts = request.texts
    for batch in batches:

        def keep(rows: Sequence[int], t: float, x_t: Tensor, x_0: Tensor, places: range = batch):
            if states is not None:
                for row, latents in zip(rows, x_0, strict=True):
                    states.setdefault(places[row], {})[t] = latents

        prompts = texts[batch.start : batch.stop]
        drawn = pipe(
            request,
            prompts=prompts,
            num_images_per_prompt=1,
            seed=request.seed + batch.start,
            batch_size=len(batch),
            progress=progress,
            on_step=keep,
        )
        matches = drawn.matches or [None] * len(batch)
        known = drawn.images, prompts, drawn.seeds, drawn.inventions, drawn.redrawn, matches
        yield from map(Drawn, batch, *known)


def settings(request: Request, pipe: GlyphPipeline) -> dict[str, object]:
    """What is the same for all glyphs, for the text chunks of a picture."""
    about = asdict(request)
    for name in ("prompts", "num_images_per_prompt", "seed"):  # written of each picture
        del about[name]
    about["guidance_interval"] = " ".join(map(str, request.guidance_interval))
    about["calls"] = pipe.calls(request, "") or None
    about |= {"Software": "Tianshu", "model": pipe.denoiser.fingerprint[:12]}
    if pipe.student is not None:
        about["student"] = pipe.student.fingerprint[:12]
    return about


def file_names(lines: dict[int, str], count: int, seed: int) -> list[str]:
    """The name of each glyph's files: "001-gold", and with its seed where a line has several."""
    digits, names = max(3, len(str(max(lines)))), []
    for line, prompt in lines.items():
        for _ in range(count):
            own = f"-{seed + len(names)}" if count > 1 else ""
            names.append(f"{line:0{digits}}-{file_stem(prompt, 40)}{own}")
    return names


def endings_of(formats: str) -> list[str]:
    """The endings of "png,svg"; ValueError, in one line, for any other format."""
    named = {f".{one.strip().lower().lstrip('.')}" for one in formats.split(",")}
    if not named <= set(FORMATS):
        raise ValueError(f'no format "{shortened(formats)}": name png, svg or png,svg')
    return [ending for ending in FORMATS if ending in named]


def write_files(
    glyphs: Iterable[Drawn], folder: Path, names: list[str], endings: list[str], about: dict
) -> list[Drawn]:
    """A file of each ending for each glyph, written as it is drawn; returns them without pixels."""
    written = []
    for glyph in glyphs:
        card = glyph.card
        own = {"prompt": card.prompt, "caption": card.caption, "seed": card.seed}
        own |= {"invention": card, "nearest": glyph.nearest}
        own |= {"card": json.dumps(asdict(card), ensure_ascii=False)}
        for ending in endings:
            path = folder / f"{names[glyph.place]}{ending}"
            if ending == ".svg":
                from diffusion.outlines import glyph_to_svg, trace

                write_text(path, glyph_to_svg(trace(glyph.image), own | about))
            else:
                write_png(glyph.image, path, own | about)
        written.append(glyph._replace(image=None))
    return written


def read_file(path: Path, shown: bool) -> tuple[dict, Image.Image | None]:
    """What a glyph's file says of it, and its picture if that is to be `shown`."""
    if path.suffix == ".svg":
        from diffusion.outlines import picture, read_svg

        known, outline = read_svg(path.read_text("utf-8"))
        return known, picture(outline) if shown else None
    with Image.open(path) as image:
        return image.info, image.copy() if shown else None


def write_index(folder: Path, names: list[str], endings: list[str], count: int) -> None:
    """A contact sheet, glyphs.html and glyphs.json of a folder, by the last process to write there.

    What is known of each glyph is read from its file. What an earlier list left goes.
    """
    from diffusion.cards import Card, page

    written = {folder / f"{name}{ending}" for name in names for ending in endings}
    if not all(map(Path.exists, written)):
        return
    files, known, images = [f"{name}{endings[0]}" for name in names], [], []
    for i, name in enumerate(files):
        about, image = read_file(folder / name, shown=i < LARGEST_CONTACT)
        if "card" not in about:  # of an earlier version; another process will write it
            return
        known.append(json.loads(about["card"]))
        if image:
            images.append(image)
    for path in {one for end in FORMATS for one in folder.glob(f"[0-9]*-*{end}")} - written:
        with suppress(OSError, ValueError):  # a file of somebody else
            if read_file(path, shown=False)[0].get("Software") == "Tianshu":
                path.unlink()
    wide = count * ceil(len(images) ** 0.5 / count) if count <= 16 else columns(len(images))
    rows = [slice(start, start + wide) for start in range(0, len(images), wide)]
    labels = [one["prompt"] for one in known[: len(images)]]
    contact = labelled([images[row] for row in rows], [labels[row] for row in rows])
    write_png(contact, folder / "contact.png", {"Software": "Tianshu"})
    shown = "" if len(images) == len(known) else f", the first {len(images)} of {len(known):,}"
    asked = shortened(", ".join(dict.fromkeys(one["prompt"] for one in known)), 80)
    cards = [Card.read(one) for one in known[: len(images)]]
    write_text(folder / "glyphs.html", page(cards, images, f"Characters for {asked}{shown}"))
    listed = [{"file": name} | one for name, one in zip(files, known, strict=True)]
    write_text(folder / "glyphs.json", json.dumps(listed, indent=1, ensure_ascii=False) + "\n")


def write_sheet(glyphs: Iterable[Drawn], path: Path, request: Request, about: dict) -> list[Drawn]:
    """All glyphs in one PNG or SVG, prompt after prompt; returns them."""
    drawn = list(glyphs)
    own = {
        "prompt": "\n".join(request.prompts),
        "caption": "\n".join(glyph.invention.caption for glyph in drawn),
        "invention": "\n".join(str(glyph.card) for glyph in drawn),
        "nearest": "\n".join(glyph.nearest for glyph in drawn),
        "num_images_per_prompt": request.num_images_per_prompt,
        "seed": request.seed,
    }
    images, blocks = [glyph.image for glyph in drawn], len(request.prompts)
    if path.suffix.lower() == ".svg":
        from diffusion.outlines import to_svg, trace

        write_text(path, to_svg(list(map(trace, images)), blocks, own | about))
    else:
        write_png(sheet(images, blocks), path, own | about)
    return drawn


def write_animation(states: States, pipe: GlyphPipeline, path: Path, blocks: int) -> None:
    """What was predicted at each step, one sheet a frame.

    A glyph that begins later than others shows its first state until then.
    """
    import torch

    from diffusion.pipeline import to_pil

    frames = []
    times = sorted({t for known in states.values() for t in known}, reverse=True)
    with progress_bar("animating", len(times)) as advance:
        for now in times:
            latents = []
            for place in sorted(states):
                reached = [t for t in states[place] if t >= now]
                latents.append(states[place][min(reached, default=max(states[place]))])
            frames.append(sheet(to_pil(pipe.decode(torch.stack(latents))), blocks))
            advance(1)
    write_frames(frames, path, rate=8)
    print(f"wrote {path}: {len(frames)} frames of {frames[0].width}×{frames[0].height}")


def report(drawn: list[Drawn], with_radicals: bool) -> None:
    """Prints what was put together, or the captions with their radicals, and what exists."""
    made = [
        str(glyph.card) if glyph.invention.part else with_radicals and glyph.invention.caption
        for glyph in drawn
    ]
    for words, times in Counter(filter(None, made)).most_common(12):
        print(f"{times:>4} × {shortened(words, 80)}")
    if again := sum(glyph.redrawn > 0 for glyph in drawn):
        print(f"{again:>4} drawn again, since {'it exists' if again == 1 else 'they exist'}")
    exist = [glyph.match.character for glyph in drawn if glyph.match and glyph.match.exists]
    if exist:
        print(f"{len(exist):>4} of them {'exists' if len(exist) == 1 else 'exist'}: ", end="")
        print(shortened(" ".join(exist), 80))


def in_files(out: str) -> bool:
    """Whether a path is that of a folder, for a file a glyph, instead of a picture."""
    return is_folder(out) or not as_typed(out).suffix


if __name__ == "__main__":
    run(main)
