"""Rows of glyphs with a line of text below each. Needs no torch."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont

from diffusion.pictures import MARGIN, PAPER

LABEL = 14  # pixels, the height of a line of text


def labelled(rows: Sequence[Sequence[Image.Image]], labels: Sequence[Sequence[str]]) -> Image.Image:
    """Rows of glyphs on one white sheet, each glyph above a small line of its own.

    Args:
        rows: of glyphs of one size, mode "L".
        labels: as many, the text below each; a row of empty ones takes no room.
    """
    font = ImageFont.load_default(LABEL)
    width, height = (side + MARGIN for side in rows[0][0].size)
    heights = [height + (LABEL + MARGIN if any(line) else 0) for line in labels]
    across = max(map(len, rows))
    paper = Image.new("L", (MARGIN + across * width, MARGIN + sum(heights)), PAPER)
    pen = ImageDraw.Draw(paper)
    y = MARGIN
    for row, line, tall in zip(rows, labels, heights, strict=True):
        for i, (image, text) in enumerate(zip(row, line, strict=True)):
            x = MARGIN + i * width
            paper.paste(image, (x, y))
            place = x + image.width / 2, y + image.height + MARGIN / 2
            pen.text(place, fitting(text, font, image.width), fill=0, font=font, anchor="ma")
        y += tall
    return paper


def fitting(text: str, font: ImageFont.FreeTypeFont, width: int) -> str:
    """As much of the text as is no wider than `width` pixels."""
    while text and font.getlength(text) > width:
        text = text[:-1]
    return text
