"""Make a font that reads English: each word typed in it becomes its character."""

from __future__ import annotations

import csv
import hashlib
import json
import re
import sys
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from importlib.util import find_spec
from io import StringIO
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Annotated

from _cli import (
    AnyGuidance,
    Calls,
    Device,
    Model,
    Overwrite,
    Seed,
    TeachersSteps,
    as_typed,
    check_device,
    load_pipeline,
    output_file,
    progress_bar,
    run,
    write_text,
)
from PIL import Image
from typer import Argument, Option

from conditioning.prompts import Prompt, asked, shortened
from diffusion.cards import Card
from diffusion.pictures import file_stem, write_png
from diffusion.request import BUNDLED, Request, check_model, read_prompts

if TYPE_CHECKING:
    from diffusion.fonts import Character, Font
    from diffusion.pipeline import GlyphPipeline

BATCH = 16
COMMON = 4000  # as many as Xu Bing carved
COLUMNS = (
    "word", "character", "code point", "glyph", "set", "prompt", "caption", "seed", "made of",
    "nearest", "likeness", "exists",
)  # fmt: skip


def main(
    file: Annotated[
        str | None,
        Argument(
            metavar="WORDS",
            help='A text file with one word or phrase a line; "-" reads stdin.',
            show_default=False,
        ),
    ] = None,
    words: Annotated[
        str | None,
        Option(
            help="In place of a file: common, the 4,000 commonest, or common:500.",
            show_default=False,
        ),
    ] = None,
    count: Annotated[
        int, Option("--count", "-n", help="Glyphs of each word, 1 to 21; further ones are ss01 on.")
    ] = 1,
    seed: Seed = Request.seed,
    calls: Calls = None,
    steps: TeachersSteps = None,
    guidance: AnyGuidance = None,
    family: Annotated[str, Option(help="The name of the font.")] = "Tianshu",
    latin: Annotated[
        Path | None,
        Option(
            help="A font for letters, digits and punctuation; its licence becomes the font's.",
            show_default="Noto Sans SC, under the SIL Open Font License",
        ),
    ] = None,
    out: Annotated[
        str | None,
        Option("--out", "-o", help="A .ttf, .otf, .woff2 or .ufo.", show_default="tianshu.ttf"),
    ] = None,
    overwrite: Overwrite = False,
    model: Model = BUNDLED,
    device: Device = "auto",
) -> None:
    """Make a font that reads English: each word typed in it becomes its character.

    A word a line, which may also say "robot; sound luo" as for generate.py:

        python scripts/make_font.py words.txt --out tianshu.ttf

    Install it, and type "gold, (sea monster)": each word of the list is a
    ligature, in small letters or with capitals; all others stay letters. Each
    character is also at a code point of its own, from U+E000 on.

    The whole book, with three drawings of each character, the further ones as
    stylistic sets:

        python scripts/make_font.py --words common --count 3 --out book.otf

    To work on it in an editor of fonts:

        python scripts/make_font.py words.txt --out tianshu.ufo

    Beside the font come characters.csv and specimen.html, a page to type in,
    with all characters and a book of them, which Chromium, where it is
    installed, makes specimen.png and specimen.pdf of. What is drawn stays in
    tianshu.parts/: a run that was cut goes on from there.
    """
    start = perf_counter()
    if bool(file) == bool(words):
        raise ValueError("no words: name a file with one a line, or else --words common")
    check_installed()
    from diffusion.fonts import ENDINGS, Font, Latin, characters_of, check_family
    from diffusion.outlines import trace

    check_family(family)
    if words:  # a list of ours, in which nothing is misspelt
        warnings.filterwarnings("ignore", "the model does not know")
    lines = common(words) if words else read_prompts(file if file == "-" else as_typed(file))
    prompts = distinct(lines.values())
    untyped = [one.word for one in characters_of(list(prompts), count) if not one.letters]
    request = Request(list(prompts.values()), count, steps, guidance, seed=seed, calls=calls)
    check_device(device)
    check_model(model)
    target = output_file(out, f"tianshu{ENDINGS[0]}", ENDINGS, overwrite)
    beside = [target.with_name(name) for name in ("specimen.html", "characters.csv")]
    if not overwrite and (there := next(filter(Path.exists, beside), None)):
        raise FileExistsError(f"{there} is there already: --overwrite replaces it")
    letters = Latin.read(latin)

    pipe = load_pipeline(model, device)
    parts = draw(pipe, request, target.with_suffix(".parts"))
    with progress_bar("tracing", request.total) as progress:
        outlines = []
        for part in parts:
            try:
                with Image.open(part) as image:
                    outlines.append(trace(image))
            except (OSError, SyntaxError):
                raise ValueError(f"{part} is damaged: delete it, and run this again") from None
            progress(1)
    font = Font.of(outlines, list(prompts), family, letters)
    font.save(target)
    write_table(font.characters, parts, beside[1])
    pictures = write_specimen(font, beside[0])
    seconds = perf_counter() - start
    number = f"{len(prompts):,} word{'s' * (len(prompts) > 1)}"
    sets = f", {count} glyphs each" if count > 1 else ""
    print(f"wrote {target}: {number}{sets}, in {seconds:.1f} s")
    print(f"beside it {', '.join(path.name for path in (*beside, *pictures))}")
    print(f"glyphs for the next run are in {parts[0].parent}/")
    if untyped:
        shown = shortened(", ".join(untyped), 80)
        print(f"no ligature without Latin letters, only a code point, for {shown}")


def check_installed() -> None:
    """Raises ValueError, in one line, without what fonts are made with."""
    missing = [name for name in ("fontTools", "brotli") if find_spec(name) is None]
    if missing:
        raise ValueError(f"no {missing[0]}: pip install fonttools brotli pylopdf-fonts-zh-cn")


def common(words: str) -> dict[int, str]:
    """The commonest content words for "common" or "common:500", by their place from 1.

    Raises ValueError, in one line, for anything else, and without wordfreq.
    """
    found = re.fullmatch(r"common(?::(\d{1,5}))?", words.strip().lower())
    if not found or not (number := int(found[1] or COMMON)):
        raise ValueError(f'no words "{shortened(words)}": write common, or common:500')
    from conditioning.words import content_words

    return dict(enumerate(content_words(number), 1))


def distinct(prompts: Iterable[str]) -> dict[str, str]:
    """Prompts by the words that are typed for them, "robot" for "robot; sound luo".

    Says which words come again; their first prompt counts.
    """
    found, again = {}, []
    for prompt in prompts:
        word = Prompt.parse(asked(prompt).text).words
        if word in found:
            again.append(word)
        found.setdefault(word, prompt)
    if again:
        shown = shortened(", ".join(dict.fromkeys(again)), 80)
        print(f"warning: there more than once, and kept once: {shown}", file=sys.stderr)
    return found


def draw(pipe: GlyphPipeline, request: Request, folder: Path) -> list[Path]:
    """A PNG for each glyph of a request, in a folder where some may be already."""
    about = asdict(request)
    for name in ("prompts", "num_images_per_prompt", "seed"):  # of each glyph
        del about[name]
    about |= {"Software": "Tianshu", "model": pipe.denoiser.fingerprint}
    if pipe.student is not None:
        about["student"] = pipe.student.fingerprint
    asked_of = list(zip(request.texts, request.seeds, strict=True))
    paths = []
    for prompt, seed in asked_of:
        key = json.dumps([prompt, seed, about], default=str)
        name = hashlib.sha256(key.encode("utf-8")).hexdigest()[:12]
        paths.append(folder / f"{file_stem(prompt, 40)}-{name}.png")
    there = {path for path in paths if path.exists()}
    batches = [range(request.total)[i : i + BATCH] for i in range(0, request.total, BATCH)]
    missing = [batch for batch in batches if not there.issuperset(paths[i] for i in batch)]
    if there:
        print(f"{len(there):,} of {len(paths):,} glyphs are in {folder}/ already")
    with progress_bar("drawing", sum(map(len, missing))) as progress:
        for batch in missing:
            drawn = pipe(
                request,
                prompts=[asked_of[i][0] for i in batch],
                num_images_per_prompt=1,
                seed=request.seed + batch.start,
                batch_size=BATCH,
                progress=progress,
            )
            matches = drawn.matches or [None] * len(batch)
            made = zip(batch, drawn.images, drawn.inventions, matches, strict=True)
            for i, image, invention, match in made:
                card = Card.of(*asked_of[i], invention, match)
                write_png(image, paths[i], about | {"card": json.dumps(asdict(card))})
    return paths


def write_table(characters: Sequence[Character], parts: Sequence[Path], path: Path) -> None:
    """A CSV with a line a glyph: where it is in the font, and what it is made of."""
    glyphs = (
        (one, name, number)
        for one in characters
        for number, name in enumerate((one.glyph, *one.alternates))
    )
    file = StringIO(newline="")
    table = csv.writer(file)
    table.writerow(COLUMNS)
    for (one, name, number), part in zip(glyphs, parts, strict=True):
        with Image.open(part) as image:
            card = Card.read(json.loads(image.text["card"]))
        where = chr(one.code), f"U+{one.code:04X}", name, f"ss{number:02}" if number else ""
        near = card.nearest.character if card.nearest else "", card.likeness, card.exists
        table.writerow((one.word, *where, card.prompt, card.caption, card.seed, str(card), *near))
    write_text(path, file.getvalue())


def write_specimen(font: Font, path: Path) -> list[Path]:
    """A page that shows a font, and pictures of its book where a browser makes them."""
    from diffusion.specimen import page, take_pictures

    write_text(path, page(font.woff2(), font.characters, font.family))
    pictures = [path.with_suffix(ending) for ending in (".png", ".pdf")]
    return pictures if take_pictures(path, *pictures) else []


if __name__ == "__main__":
    run(main)
