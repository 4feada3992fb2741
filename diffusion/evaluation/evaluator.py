"""The evaluation of a pipeline: every section, with a floor and a ceiling beside its figures."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import cached_property
from operator import eq

import torch
from torch import Tensor

from autoencoder.data.glyphs import GlyphDataset
from autoencoder.loss import Perceptual
from autoencoder.readers.reader import RadicalReader
from autoencoder.readers.recognizer import KnownCharacters
from autoencoder.similarity import nearest_by_strokes, peak_signal_to_noise
from conditioning.distillation.probe import ProbeScore, probe
from conditioning.prompts import LAYOUTS, Prompt
from conditioning.radicals import radical
from diffusion.evaluation.plan import COMMONEST, Plan
from diffusion.evaluation.sections import (
    TIMES,
    Progress,
    adherence,
    commonest,
    distribution,
    legibility,
    losses_by_time,
    no_progress,
    novelty,
    pooled,
    radicals_of,
    reconstruct,
    reconstruction,
    spread,
)
from diffusion.evaluation.words import load_words
from diffusion.pipeline import GlyphOutput, GlyphPipeline


class Evaluator:
    """Measures a pipeline, section by section; each gives plain numbers for `evaluation.json`.

    Real glyphs stand beside its samples in three sets of one size: held-out glyphs, whose captions
    the samples are drawn for, and two sets from training. The same arguments give the same figures
    on the same machine. `pictures` holds the glyphs that a section found worth looking at.

    Args:
        pipe: what to measure.
        reader: who names the radicals, and whose features distances are measured in.
        training, held_out: the two splits.
        plan: how much of everything.
        progress: a bar, given a name and a total, as a context manager that yields what moves it.
        more: further glyphs that the model learnt from, among which copies are looked for too.
    """

    def __init__(
        self,
        pipe: GlyphPipeline,
        reader: RadicalReader,
        training: GlyphDataset,
        held_out: GlyphDataset,
        plan: Plan,
        progress: Progress = no_progress,
        more: Sequence[GlyphDataset] = (),
    ) -> None:
        self.pipe, self.reader, self.plan, self.progress = pipe, reader, plan, progress
        self.more = more
        self.training, self.held_out = training, held_out
        self.pictures: dict[str, Tensor] = {}
        count = min(plan.captions, len(held_out), len(training) // 2)
        generator = torch.Generator().manual_seed(plan.seed)
        rows = torch.randperm(len(held_out), generator=generator)[:count].sort().values
        self.order = torch.randperm(len(training), generator=generator)
        self.real = held_out.images(rows)
        self.known, self.others = (training.images(part) for part in self._two_sets(count))
        self.records = [held_out.records[i] for i in rows]
        self.captions = [record.caption for record in self.records]
        self.frequent = commonest(radicals_of(training.records), 40)

    def _two_sets(self, count: int) -> tuple[Tensor, ...]:
        return self.order[: 2 * count].split(count)

    def run(
        self,
        ocr: Callable[[Tensor], list[str]] | None = None,
        lpips: Perceptual | None = None,
        layouts: Mapping[str, str] | None = None,
    ) -> dict:
        """Every section by its name; `layouts` are those of characters.

        Raises ValueError where the plan or the data have too few glyphs for a metric.
        """
        return {
            "plan": asdict(self.plan) | {"captions": len(self.captions)},
            "models": {
                "denoiser": self.pipe.denoiser.fingerprint,
                "autoencoder": self.pipe.autoencoder.fingerprint,
                "text_encoder": self.pipe.text_encoder.fingerprint,
                "prior": self.pipe.prior.fingerprint if self.pipe.prior else None,
                "reader": self.reader.fingerprint,
                "recognizer": self.pipe.recognizer.fingerprint if self.pipe.recognizer else None,
            },
            "reconstruction": self.reconstruction(ocr, lpips),
            "distribution": self.distribution(),
            "adherence": self.adherence(),
            "layouts": self.layouts(layouts),
            "novelty": self.novelty(),
            "overfitting": self.overfitting(),
        }

    def expected_seconds(self) -> float:
        """How long `run` will take, from a timing of two steps; reading adds half as much again."""
        texts, seconds = ["gold"] * 16, 0.0
        for _ in range(2):  # the first warms up
            start = time.perf_counter()
            self.pipe(texts, num_inference_steps=2, guidance_scale=self.plan.guidance_scale)
            seconds = time.perf_counter() - start
        return 1.5 * seconds / (2 * len(texts)) * self.plan.glyph_steps(len(self.held_out))

    def draw(self, texts: list[str], what: str, scale: float, steps: int) -> GlyphOutput:
        """One glyph a text."""
        with self.progress(what, len(texts) * steps) as advance:
            return self.pipe(
                texts,
                num_inference_steps=steps,
                guidance_scale=scale,
                seed=self.plan.seed,
                output_type="pt",
                progress=advance,
            )

    @cached_property
    def samples(self) -> GlyphOutput:
        """A glyph for each held-out caption."""
        plan = self.plan
        return self.draw(self.captions, "held-out captions", plan.guidance_scale, plan.steps)

    def reconstruction(
        self, ocr: Callable[[Tensor], list[str]] | None, lpips: Perceptual | None
    ) -> dict:
        """Held-out glyphs decoded: how near they come, and whether both readers still read them."""
        records = self.held_out.records
        glyphs = self.held_out.images(range(len(records)))
        with self.progress("decoding", len(glyphs)) as advance:
            decoded = reconstruct(self.pipe.autoencoder, glyphs, advance)
        strokes = [record.strokes for record in records]
        figures: dict = {"glyphs": reconstruction(glyphs, decoded, strokes, lpips)}
        rows = spread(len(records), self.plan.refined)
        with self.progress("refining", len(rows)) as advance:
            refined = reconstruct(self.pipe.autoencoder, glyphs[rows], advance, refined=True)
        chosen = [strokes[i] for i in rows]
        figures["glyphs"]["refined"] = reconstruction(glyphs[rows], refined, chosen, lpips)["all"]
        if ocr is not None:
            rows = spread(len(records), self.plan.read)
            readings = []
            with self.progress("reading characters", 2 * len(rows)) as advance:
                for shown in (glyphs[rows], decoded[rows]):
                    readings.append([])
                    for glyph in shown.split(1):
                        readings[-1] += ocr(glyph)
                        advance(1)
            figures["characters"] = legibility([records[i].character for i in rows], *readings)
        truth = radicals_of(records)
        frequent = torch.isin(truth, torch.tensor(self.frequent))
        read, read_again = self.reader.read(glyphs)[0], self.reader.read(decoded)[0]
        figures["radicals"] = {
            "before": adherence(read, truth),
            "before, 40 commonest": adherence(read[frequent], truth[frequent]),
            "after": adherence(read_again, truth),
        }
        worst = peak_signal_to_noise(decoded, glyphs).argsort()[:16]
        self.pictures["worst"] = torch.stack([glyphs[worst], decoded[worst]], 1).flatten(0, 1)
        return figures

    def distribution(self) -> dict:
        """Samples among real glyphs. The floor is what other real glyphs come to."""
        samples, real, known, others = (
            self.reader.read(glyphs)[2]
            for glyphs in (self.samples.images, self.real, self.known, self.others)
        )
        return {
            "held-out glyphs": {
                "samples": distribution(samples, real),
                "floor": distribution(others, real),
                "copycat": distribution(known, real),
            },
            "training glyphs": {
                "samples": distribution(samples, known),
                "floor": distribution(others, known),
                "copycat": distribution(known, known),
            },
        }

    def adherence(self) -> dict:
        """Whether samples carry the radical that the words ask for."""
        plan, numbers = self.plan, self.frequent[:COMMONEST]
        names = [radical(number).names[0] for number in numbers]

        def ask(count: int, scale: float, steps: int) -> tuple[Tensor, Tensor]:
            texts = [name for name in names for _ in range(count)]
            glyphs = self.draw(texts, f"guidance {scale:g}, {steps} steps", scale, steps).images
            return glyphs, self.reader.read(glyphs)[0]

        glyphs, read = ask(plan.per_radical, plan.guidance_scale, plan.steps)
        self.pictures["radicals"] = glyphs
        asked = torch.tensor(numbers).repeat_interleave(plan.per_radical)
        fewer = torch.tensor(numbers).repeat_interleave(plan.sweep)
        truth = radicals_of(self.records)
        guess = torch.full_like(truth, self.frequent[0])
        seen = torch.isin(truth, torch.tensor(numbers))
        return {
            "radicals": {
                "samples": adherence(read, asked),
                "floor": 1 / len(numbers),
                "ceiling": adherence(self.reader.read(self.real[seen])[0], truth[seen]),
            },
            "words": self.everyday_words(),
            "captions": {
                "samples": adherence(self.reader.read(self.samples.images)[0], truth),
                "floor": adherence(guess, truth),
                "ceiling": self.probe().top1,
            },
            "each": {
                name: adherence(read[asked == number], asked[asked == number])
                for name, number in zip(names, numbers, strict=True)
            },
            "guidance": {
                f"{scale:g}": adherence(ask(plan.sweep, scale, plan.steps)[1], fewer)
                for scale in plan.guidance_scales
            },
            "steps": {
                str(steps): adherence(ask(plan.sweep, plan.guidance_scale, steps)[1], fewer)
                for steps in plan.step_counts
            },
        }

    def everyday_words(self) -> dict:
        """The same for words that no training caption has, each of which allows a few radicals."""
        plan, allowed = self.plan, load_words()
        texts = [word for word in allowed for _ in range(plan.per_word)]
        glyphs = self.draw(texts, "everyday words", plan.guidance_scale, plan.steps).images
        self.pictures["words"] = glyphs
        read = self.reader.read(glyphs)[0].tolist()
        right = [number in allowed[word] for word, number in zip(texts, read, strict=True)]
        always = max(self.frequent, key=lambda number: sum(number in a for a in allowed.values()))
        count = plan.per_word
        return {
            "samples": sum(right) / len(right),
            "floor": sum(always in numbers for numbers in allowed.values()) / len(allowed),
            "each": {
                word: sum(right[i * count : (i + 1) * count]) / count
                for i, word in enumerate(allowed)
            },
        }

    def layouts(self, of_character: Mapping[str, str] | None) -> dict:
        """Whether names of radicals are drawn with the layout asked for, and still the radical.

        The judge is the layout of the character that is nearest to the recogniser. What ignores the
        layout comes to a third. Empty without a recogniser, or where no layouts are known.
        """
        plan = self.plan
        if self.pipe.recognizer is None or not of_character:
            return {}
        numbers = [n for n in self.frequent[:COMMONEST] for _ in range(plan.per_layout)]
        asked = [Prompt(radical(n).names[0], layout) for n in numbers for layout in LAYOUTS]
        texts = [str(prompt) for prompt in asked]
        glyphs = self.draw(texts, "with layouts", plan.guidance_scale, plan.steps).images
        self.pictures["layouts"] = glyphs
        found = [of_character.get(near) for near in self.nearest(glyphs)]
        real = [i for i, one in enumerate(self.records) if one.character in of_character]
        truth = [of_character[self.records[i].character] for i in real]
        seen = [of_character.get(near) for near in self.nearest(self.real[real])]
        right = [one == prompt.layout for one, prompt in zip(found, asked, strict=True)]
        carried = torch.tensor(numbers).repeat_interleave(len(LAYOUTS))
        return {
            "samples": sum(right) / len(right),
            "floor": 1 / len(LAYOUTS),
            "ceiling": sum(map(eq, seen, truth)) / len(truth),
            "each": {
                layout: sum(right[i :: len(LAYOUTS)]) / len(numbers)
                for i, layout in enumerate(LAYOUTS)
            },
            "radicals": adherence(self.reader.read(glyphs)[0], carried),
        }

    def nearest(self, glyphs: Tensor) -> list[str]:
        """The character nearest to each glyph, but for those held out."""
        known = self.not_held_out
        return [known.characters[i] for i in known.nearest(self.pipe.recognizer.embed(glyphs))[1]]

    @cached_property
    def not_held_out(self) -> KnownCharacters:
        """What the pipeline's recogniser knows, but for the characters held out."""
        held_out = {record.character for record in self.held_out.records}
        return self.pipe.recognizer.known.without(held_out)

    def probe(self) -> ProbeScore:
        """How often the radical can be told from a held-out caption alone, by a linear map."""
        learnt = [self.training.records[i] for i in self.order[: self.plan.probed]]
        sets = []
        with self.progress("captions", len(learnt) + len(self.records)) as advance:
            for records in (learnt, self.records):
                captions = [record.caption for record in records]
                sets += [pooled(self.pipe.text_encoder, captions, advance), radicals_of(records)]
        return probe(*sets)

    def novelty(self) -> dict:
        """How near samples come to training glyphs, beside held-out glyphs and copies."""
        library = torch.cat(
            [
                learnt.images(rows) > 0.5
                for learnt in (self.training, *self.more)
                for rows in torch.arange(len(learnt)).split(1024)
            ]
        )
        found = {}
        for name, glyphs in (
            ("samples", self.samples.images),
            ("floor", self.real),
            ("copycat", self.known),
        ):
            with self.progress(f"nearest glyphs: {name}", len(glyphs)) as advance:
                iou, nearest = nearest_by_strokes(glyphs, library, advance=advance)
            found[name] = novelty(iou[:, 0], self.recognized(glyphs))
            if name == "samples":
                rows = iou[:, 0].argsort(descending=True)[:16]
                pairs = torch.stack([glyphs[rows], library[nearest[rows, 0]].float()], 1)
                self.pictures["closest"] = pairs.flatten(0, 1)
        redrawn = self.samples.redrawn
        return {"glyphs": found, "redrawn": sum(map(bool, redrawn)) / len(redrawn)}

    def recognized(self, glyphs: Tensor) -> Tensor | None:
        """Which glyphs the pipeline's recogniser takes for a character that is not held out."""
        if (recognizer := self.pipe.recognizer) is None:
            return None
        likeness, _ = self.not_held_out.nearest(recognizer.embed(glyphs))
        return likeness >= recognizer.config.threshold

    def overfitting(self) -> dict:
        """The denoising loss at `TIMES`, of training glyphs and of held-out ones."""
        learnt, _ = self._two_sets(len(self.records))
        figures: dict = {"times": list(TIMES)}
        for name, glyphs, captions in (
            ("training", self.known, [self.training.records[i].caption for i in learnt]),
            ("held-out", self.real, self.captions),
        ):
            with self.progress(f"denoising: {name}", len(glyphs)) as advance:
                figures[name] = losses_by_time(self.pipe, glyphs, captions, advance)
        return figures
