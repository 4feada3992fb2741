"""What generate.py draws, glyph by glyph, and the files that it becomes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from _cli import progress_bar, save_animation

from diffusion.pictures import sheet, write_png

if TYPE_CHECKING:
    from PIL import Image
    from torch import Tensor

    from autoencoder.readers.recognizer import Match
    from diffusion import GlyphPipeline

Keep = Callable[[list[int], float, "Tensor"], object]


class Drawn(NamedTuple):
    """A glyph, its place among all that are drawn, and what is known of it."""

    place: int
    image: Image.Image
    seed: int
    heard: str
    redrawn: int
    match: Match | None

    @property
    def nearest(self) -> str:
        """The nearest character and how near it is, "鉻 0.61"; nothing without a recogniser."""
        return f"{self.match.character} {self.match.likeness:.2f}" if self.match else ""


def draw(
    pipe: GlyphPipeline,
    texts: list[str],
    seed: int,
    starts: Iterable[int],
    size: int,
    keep: Keep,
    **settings,
) -> Iterator[Drawn]:
    """Yields glyphs, batch by batch.

    Batches of `size` texts begin at each of `starts`; the glyph of the first text has the seed.
    `keep` is called with the places, the time and the prediction at each step.
    """
    for start in starts:

        def on_step(rows: Sequence[int], t: float, x_t: Tensor, x_0: Tensor, first: int = start):
            keep([first + row for row in rows], t, x_0)

        batch = texts[start : start + size]
        drawn = pipe(batch, seed=seed + start, batch_size=size, on_step=on_step, **settings)
        for i, image in enumerate(drawn.images):
            match = drawn.matches[i] if drawn.matches else None
            yield Drawn(start + i, image, drawn.seeds[i], drawn.heard[i], drawn.redrawn[i], match)


def write_files(
    glyphs: Iterable[Drawn], folder: Path, lines: dict[int, str], count: int, about: dict
) -> list[Drawn]:
    """One PNG a glyph, `<line>-<seed>.png`, written as it is drawn; returns them without pixels."""
    digits, numbers, written = len(str(max(lines))), list(lines), []
    for glyph in glyphs:
        line = numbers[glyph.place // count]
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{line:0{digits}}-{glyph.seed}.png"
        own = {"prompt": lines[line], "heard": glyph.heard, "seed": glyph.seed}
        write_png(glyph.image, path, own | {"nearest": glyph.nearest} | about)
        written.append(glyph._replace(image=None))
    return written


def write_sheet(glyphs: Iterable[Drawn], path: Path, texts: list[str], about: dict) -> list[Drawn]:
    """All glyphs in one PNG, prompt after prompt; returns them."""
    drawn = list(glyphs)
    path.parent.mkdir(parents=True, exist_ok=True)
    own = {
        "prompt": "\n".join(texts),
        "heard": "\n".join(glyph.heard for glyph in drawn),
        "nearest": "\n".join(glyph.nearest for glyph in drawn),
        "num_images_per_prompt": len(drawn) // len(texts),
        "seed": drawn[0].seed,
    }
    write_png(sheet([glyph.image for glyph in drawn], blocks=len(texts)), path, own | about)
    return drawn


def write_animation(
    states: dict[float, dict[int, Tensor]], pipe: GlyphPipeline, path: Path, blocks: int
) -> None:
    """What was predicted at each step, one sheet a frame; `states` by time, then by place."""
    import torch

    from diffusion.pipeline import to_pil

    frames = []
    with progress_bar("animating", len(states)) as advance:
        for latents in states.values():
            glyphs = pipe.decode(torch.stack([latents[place] for place in sorted(latents)]))
            frames.append(sheet(to_pil(glyphs), blocks))
            advance(1)
    save_animation(frames, path, rate=8)
