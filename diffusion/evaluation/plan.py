"""How much an evaluation draws and measures."""

from __future__ import annotations

from dataclasses import dataclass

from conditioning.prompts import LAYOUTS
from diffusion.evaluation.words import load_words
from diffusion.request import GUIDANCE, STEPS

COMMONEST = 36  # radicals that are asked for by name


@dataclass(frozen=True)
class Plan:
    """How much is drawn and measured, and with which settings.

    Attributes:
        captions: held-out captions to draw a glyph of each, and real glyphs to compare with.
        per_radical: glyphs of each of the 36 commonest radicals.
        per_word: glyphs of each of the sixty everyday words.
        per_layout: glyphs of each of the radicals with each of the layouts.
        sweep: glyphs of each radical for each guidance scale and number of steps in the plots.
        refined: held-out glyphs whose latents are also refined by gradient descent.
        read: held-out glyphs shown to the OCR engine.
        probed: training captions that the ceiling of adherence learns from.
        guidance_scale, steps: of all but the plots.
        guidance_scales, step_counts: along the axes of the plots.
        seed: of the first glyph of each drawing.
    """

    captions: int = 1_000_000  # all there are
    per_radical: int = 16
    per_word: int = 8
    per_layout: int = 4
    sweep: int = 4
    refined: int = 1_000_000
    read: int = 1_000_000
    probed: int = 1_000_000
    guidance_scale: float = GUIDANCE
    steps: int = STEPS
    guidance_scales: tuple[float, ...] = (0.0, 1.0, 2.0, 3.0, 4.0, 6.0, 8.0)
    step_counts: tuple[int, ...] = (1, 2, 3, 5, 8, 12, 24, 120)
    seed: int = 0

    def glyph_steps(self, held_out: int) -> int:
        """Glyphs times steps of all that is drawn, for so many held-out glyphs."""
        named = COMMONEST * self.per_radical + len(load_words()) * self.per_word
        drawn = min(self.captions, held_out) + named + len(LAYOUTS) * COMMONEST * self.per_layout
        steps = self.steps * len(self.guidance_scales) + sum(self.step_counts)
        return drawn * self.steps + COMMONEST * self.sweep * steps


QUICK = Plan(
    captions=320,
    per_word=4,
    per_layout=2,
    sweep=2,
    refined=100,
    read=200,
    probed=8000,
    guidance_scales=(1.0, 2.0, 3.0, 5.0, 8.0),
    step_counts=(1, 2, 4, 8, 12, 24),
)
