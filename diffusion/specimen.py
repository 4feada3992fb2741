"""A page that shows a font: a box to type in, all characters with their words, and a book of them.

The book is set after Xu Bing's Book from the Sky: columns from right to left between thin lines,
a frame of two lines around them, and a fold in the middle, where the leaf of a block book bends.
"""

from __future__ import annotations

import base64
import os
import shutil
import subprocess
import tempfile
import warnings
from collections.abc import Sequence
from html import escape
from pathlib import Path

from autoencoder.files import atomic
from conditioning.prompts import shortened
from diffusion.cards import document
from diffusion.fonts import ASCENT, UNITS, Character

# Columns of half a leaf, and characters of a column. All have about the same proportions.
LEAVES = ((2, 4), (3, 6), (4, 8), (5, 10), (7, 14), (9, 18))
BROWSERS = (
    "chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "msedge",
)  # fmt: skip
SHOT = 1600, 1131  # pixels, of a leaf, in the proportions of A4
FRAME = 80, 90, 1440, 950  # of the text on it: left, top, width, height
FOLD = 56  # its width
INK = 0.9  # of a character's place, its em box
LONGEST = 120  # seconds for a picture


def page(font: bytes, characters: Sequence[Character], family: str) -> str:
    """A self-contained HTML page.

    Args:
        font: a WOFF2 file.
        characters: those to show.
        family: the name of the font.
    """
    typed = [escape(one.word) for one in characters if one.letters] or [""]
    some = [typed[i * len(typed) // 5] for i in range(5)]
    cells = "\n".join(
        f"<div><b>&#x{one.code:X};</b>{escape(one.word)}<small>U+{one.code:04X}</small></div>"
        for one in characters
    )
    across, down = next(
        (size for size in LEAVES if 2 * size[0] * size[1] >= len(characters)), LEAVES[-1]
    )
    size = 2 * across * down
    leaves = (characters[i : i + size] for i in range(0, len(characters), size))
    body = _BODY.format(
        family=escape(family),
        number=f"{len(characters):,}",
        sentence="Type {}, then {}; add ({}) or “{}”, {}.".format(*some),
        words=", ".join(dict.fromkeys(some)),
        cells=cells,
        book="\n".join(_leaf(leaf, i, across, down) for i, leaf in enumerate(leaves, 1)),
    )
    style = _STYLE.replace("FONT", base64.b64encode(font).decode())
    return document(family, style, body, "font-src data:")


def _leaf(characters: Sequence[Character], number: int, across: int, down: int) -> str:
    """A leaf of the book as SVG, with room for twice `across` columns of `down` characters."""
    left, top, width, height = FRAME
    column = (width - FOLD) / (2 * across)
    pitch = height / down
    size = INK * min(pitch, column)
    fold = left + across * column  # its left side
    rules = [x + i * column for x in (left, fold + FOLD) for i in range(across)]
    rules[0] = fold  # in place of the frame's own line
    lines = "".join(f"M{x:.1f} {top}v{height}" for x in rules)
    drop = pitch / 2 + (ASCENT / UNITS - 0.5) * size  # to the baseline
    heights = [f"{top + i * pitch + drop:.1f}" for i in range(down)]
    texts = []
    for i in range(0, len(characters), down):
        place = 2 * across - 1 - i // down  # from the left
        x = left + (place + 0.5) * column + FOLD * (place >= across)
        several = characters[i : i + down]
        xs, ys = " ".join([f"{x:.1f}"] * len(several)), " ".join(heights[: len(several)])
        letters = "".join(f"&#x{one.code:X};" for one in several)
        texts.append(f'<text x="{xs}" y="{ys}">{letters}</text>')
    low, half = top + height / 4, FOLD / 2
    tail = f"M{fold:.1f} {low}h{FOLD}v{FOLD}l{-half} {-half}l{-half} {half}z"  # of a fish
    trunks = f"M{fold + half:.1f} {top}V{low}m0 {height / 2}V{top + height}"
    return (
        f'<svg class="leaf" id="leaf{number}" viewBox="0 0 {SHOT[0]} {SHOT[1]}" '
        f'font-size="{size:.1f}" role="img" aria-label="Leaf {number} of the book">'
        f'<rect x="{left - 14}" y="{top - 14}" width="{width + 28}" height="{height + 28}" '
        f'stroke-width="8"/><rect x="{left}" y="{top}" width="{width}" height="{height}"/>'
        f'<path d="{lines}"/><path d="{trunks}" stroke-width="6"/>'
        f'<path class="tail" d="{tail}"/>'
        f'<text x="{fold + half:.1f}" y="{low + 2 * FOLD}" font-size="{half}">{number}</text>'
        f"{''.join(texts)}</svg>"
    )


def browser() -> str | None:
    """A browser that can make pictures of pages, where one is installed."""
    return next(filter(None, map(shutil.which, BROWSERS)), None)


def take_pictures(html: Path, png: Path, pdf: Path) -> bool:
    """The first leaf of a page's book as a PNG, and all of them as a PDF; both whole or not at all.

    Returns whether there is a browser that could make them. Warns of one that fails.
    """
    program = browser()
    if program is None:
        return False
    address = html.resolve().as_uri()
    wide, high = SHOT
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / "page.png", Path(folder) / "page.pdf"
        common = [program, "--headless", "--disable-gpu", f"--user-data-dir={folder}/profile"]
        if hasattr(os, "geteuid") and os.geteuid() == 0:
            common.append("--no-sandbox")  # which does not work for root
        shot = f"--screenshot={made[0]}", f"--window-size={wide},{high}", "--hide-scrollbars"
        printed = f"--print-to-pdf={made[1]}", "--no-pdf-header-footer"
        try:
            for options, target in ((shot, f"{address}#leaf1"), (printed, address)):
                command = [*common, *options, target]
                subprocess.run(command, check=True, capture_output=True, timeout=LONGEST)
            for source, path in zip(made, (png, pdf), strict=True):
                with atomic(path) as part:
                    shutil.copyfile(source, part)
        except (OSError, subprocess.SubprocessError) as error:
            reason = shortened(" ".join(str(error).split()))
            warnings.warn(f"no pictures of {html}, as {program} failed: {reason}", stacklevel=2)
            return False
    return True


_BODY = """<header><h1>{family}</h1>\
<p>Characters that nobody has written, {number} of them. Type their words: {words}.</p></header>
<textarea aria-label="Type English" spellcheck="false" autocomplete="off" autocapitalize="none" \
autofocus>{sentence}</textarea>
<main id="book">
{book}
</main>
<section id="table">
{cells}
</section>"""

_STYLE = """
@font-face { font-family: Set; src: url(data:font/woff2;base64,FONT) format("woff2"); }
h1 { color: var(--seal); font: 2rem/1.3 Set, serif; }
textarea { display: block; width: 100%; margin: 1.5rem 0; padding: 0.5em;
  border: 1px solid var(--line); background: none; color: inherit; outline-color: var(--seal);
  font: clamp(1.75rem, 4vw, 3.25rem)/1.4 Set, sans-serif;
  field-sizing: content; min-height: 2.4em; resize: vertical; }
#table { display: grid; grid-template-columns: repeat(auto-fill, minmax(6.5rem, 1fr));
  gap: 1px; margin-top: 2rem; }
#table div { display: flex; flex-direction: column; align-items: center; padding: 0.75rem 0.25rem;
  overflow-wrap: anywhere; text-align: center; outline: 1px solid var(--line);
  content-visibility: auto; contain-intrinsic-size: 6.5rem 7.5rem; }
#table b { font: 3.25rem/1.2 Set; }
small { color: var(--quiet); }
.leaf { display: block; width: 100%; max-width: 75rem; margin: 1rem auto; background: #fbf7ea;
  font-family: Set; text-anchor: middle; fill: none; stroke: #1d1b18; stroke-width: 1.5; }
.leaf text, .leaf .tail { fill: #1d1b18; stroke: none; }
@media print {
  @page { size: A4 landscape; margin: 0; }
  header, textarea, #table { display: none; }
  body { padding: 0; background: #fbf7ea; print-color-adjust: exact; }
  .leaf { max-width: none; margin: 0; break-after: page; }
  .leaf:last-child { break-after: auto; }
}
:root:has(.leaf:target) {
  header, textarea, #table, .leaf:not(:target) { display: none; }
  body { padding: 0; background: #fbf7ea; }
  .leaf { max-width: none; margin: 0; }
}
"""
