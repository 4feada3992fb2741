"""The evaluation of a pipeline: every section, with a floor and a ceiling beside its figures."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence, Set
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from functools import cached_property
from itertools import groupby

import torch
from torch import Tensor

from autoencoder.data.glyphs import GlyphDataset
from autoencoder.loss import Perceptual
from autoencoder.readers.reader import PartReader, RadicalReader
from autoencoder.readers.recognizer import KnownCharacters
from autoencoder.similarity import nearest_by_strokes, peak_signal_to_noise
from conditioning.distillation.probe import probe
from conditioning.parts import existing, parts_of_sound, uses, usual_parts
from conditioning.prompts import LAYOUTS, Prompt
from conditioning.radicals import find_radical, forms, radical
from diffusion.evaluation.measures import (
    TIMES,
    Advance,
    commonest,
    distribution,
    ink,
    legibility,
    losses_by_time,
    novelty,
    pooled,
    precision_and_recall,
    presence,
    radicals_of,
    reconstruct,
    reconstruction,
    share,
    spread,
)
from diffusion.evaluation.parts import load_conjunctions, load_pairs, load_sounds
from diffusion.evaluation.realism import FOLDS, STEPS, Verdict, denoised, partners, tell_apart
from diffusion.evaluation.sketched import likeness, load_drawings, own_sketches
from diffusion.evaluation.words import load_words
from diffusion.inventions import SKETCHED, Invention, ways
from diffusion.pipeline import GlyphOutput, GlyphPipeline
from diffusion.request import LEAST_SCALE, MOST_SCALE, NONE, Request

COMMONEST = 36  # radicals that are asked for by name
ALL = 1_000_000

Progress = Callable[[str, int], AbstractContextManager[Advance]]
OCR = Callable[[Tensor], list[str]]


@dataclass(frozen=True)
class Plan:
    """How much is drawn and measured, and with which settings.

    Attributes:
        captions: held-out captions to draw a glyph of each, and real glyphs to compare with.
        per_radical: glyphs of each of the 36 commonest radicals.
        per_word: glyphs of each of the sixty everyday words.
        per_layout: glyphs of each of the radicals with each of the layouts.
        pairs: radicals with a part to draw a glyph of each.
        per_sound: radicals that each of the fifty sounds is drawn under.
        per_conjunction: glyphs of each of the thirty pairs around `AND`.
        sweep: glyphs of each radical for each guidance scale and number of steps in the plots.
        refined: held-out glyphs whose latents are also refined by gradient descent.
        read: held-out glyphs shown to the OCR engine.
        probed: training captions that the ceiling of adherence learns from.
        criticism: steps of each critic that tells samples from real glyphs.
        guidance_scale, steps: of all but the plots.
        guidance_scales, step_counts: along the axes of the plots.
        seed: of the first glyph of each drawing.
    """

    captions: int = ALL
    per_radical: int = 16
    per_word: int = 8
    per_layout: int = 4
    pairs: int = 300
    per_sound: int = 8
    per_conjunction: int = 16
    sweep: int = 4
    refined: int = ALL
    read: int = ALL
    probed: int = ALL
    criticism: int = STEPS
    guidance_scale: float | None = None
    calls: int | None = None
    steps: int | None = None
    guidance_scales: tuple[float, ...] = (0.0, 1.0, 2.0, 3.0, 4.0, 6.0, 8.0)
    step_counts: tuple[int, ...] = (1, 2, 3, 5, 8, 12, 24, 120)
    seed: int = 0

    def glyphs(self, held_out: int) -> int:
        """How many glyphs are drawn with the plan's own settings, for so many held-out ones."""
        named = COMMONEST * self.per_radical + len(load_words()) * self.per_word
        drawn = (
            min(self.captions, held_out) + named + 2 * len(LAYOUTS) * COMMONEST * self.per_layout
        )
        drawn += self.pairs + 50 * self.per_sound + 30 * self.per_conjunction
        return drawn + COMMONEST * self.sweep * len(self.guidance_scales)


QUICK = Plan(
    captions=320,
    per_word=4,
    per_layout=2,
    pairs=100,
    per_sound=2,
    per_conjunction=4,
    sweep=2,
    refined=100,
    read=200,
    probed=8000,
    guidance_scales=(1.0, 2.0, 3.0, 5.0, 8.0),
    step_counts=(1, 2, 4, 8, 12, 24),
)


class Evaluator:
    """Measures a pipeline, section by section; each gives plain numbers for `evaluation.json`.

    Real glyphs stand beside its samples in three sets of one size: held-out glyphs, whose captions
    the samples are drawn for, and two sets from training. The same arguments give the same figures
    on the same machine. `pictures` holds the glyphs worth looking at, by section.

    Args:
        pipe: what to measure.
        reader: names the radicals, and gives the features that distances are measured in.
        training, held_out: the two splits.
        plan: how much of everything.
        progress: a bar, given a name and a total, as a context manager that yields its advance.
        more: further glyphs that the model learnt from, among which copies are looked for too.
    """

    def __init__(
        self,
        pipe: GlyphPipeline,
        reader: RadicalReader,
        training: GlyphDataset,
        held_out: GlyphDataset,
        plan: Plan,
        progress: Progress = lambda what, total: nullcontext(lambda done: None),
        more: Sequence[GlyphDataset] = (),
    ) -> None:
        self.pipe, self.reader, self.plan, self.progress = pipe, reader, plan, progress
        self.training, self.held_out, self.more = training, held_out, more
        self.pictures: dict[str, Tensor] = {}
        count = min(plan.captions, len(held_out), len(training) // 2)
        generator = torch.Generator().manual_seed(plan.seed)
        rows = torch.randperm(len(held_out), generator=generator)[:count].sort().values
        self.order = torch.randperm(len(training), generator=generator)
        self.real = held_out.images(rows)
        self.known = training.images(self.order[:count])
        self.others = training.images(self.order[count : 2 * count])
        self.records = [held_out.records[i] for i in rows]
        self.captions = [record.caption for record in self.records]
        self.frequent = commonest(radicals_of(training.records), 40)

    def run(
        self,
        ocr: OCR | None = None,
        lpips: Perceptual | None = None,
        layouts: Mapping[str, str] | None = None,
        judge: PartReader | None = None,
        components: Mapping[str, Set[str]] | None = None,
    ) -> dict:
        """Every section by its name.

        `layouts` and `components`, at any depth, are those of characters; `judge` reads parts.

        Raises ValueError where the plan or the data have too few glyphs for a metric.
        """
        parts = {"denoiser": self.pipe.denoiser, **self.pipe.parts, "reader": self.reader}
        parts |= {"judge": judge} if judge else {}
        return {
            "plan": asdict(self.plan) | {"captions": len(self.captions)},
            "models": {name: part.fingerprint for name, part in parts.items()},
            "reconstruction": self.reconstruction(ocr, lpips),
            "distribution": self.distribution(),
            "realism": self.realism(),
            "adherence": self.adherence(),
            "parts": self.parts(judge, components) if judge else {},
            "layouts": self.layouts(layouts),
            "sketches": self.sketches(),
            "novelty": self.novelty(),
            "overfitting": self.overfitting(),
        }

    def expected_seconds(self) -> float:
        """How long `run` will take, from timings of sixteen glyphs; reading adds half as much."""
        texts, plan = ["gold"] * 16, self.plan

        def seconds(**settings: object) -> float:
            start = time.perf_counter()
            self.pipe(texts, **settings)
            return (time.perf_counter() - start) / len(texts)

        seconds(num_inference_steps=1)  # warms up
        step = seconds(num_inference_steps=2, part=NONE) / 2
        drawing = plan.glyphs(len(self.held_out)) * seconds(**self.settings)
        return 1.5 * (drawing + COMMONEST * plan.sweep * sum(plan.step_counts) * step)

    @property
    def settings(self) -> dict:
        """The plan's own, as a `Request` names them."""
        plan = self.plan
        asked = {"calls": plan.calls, "num_inference_steps": plan.steps}
        return asked | {"guidance_scale": plan.guidance_scale, "seed": plan.seed}

    def draw(
        self,
        texts: list[str],
        what: str,
        **settings: object,
    ) -> GlyphOutput:
        """One glyph a text, with the plan's settings and others."""
        settings = self.settings | settings
        with self.progress(what, len(texts)) as advance:
            return self.pipe(texts, output_type="pt", progress=advance, **settings)

    def read(self, glyphs: Tensor) -> Tensor:
        """The radical that the reader sees in each glyph, `(N,)`."""
        return self.reader.read(glyphs)[0]

    @cached_property
    def samples(self) -> GlyphOutput:
        """A glyph for each held-out caption."""
        return self.draw(self.captions, "held-out captions")

    # ---- sections --------------------------------------------------------------------------------

    def reconstruction(self, ocr: OCR | None, lpips: Perceptual | None) -> dict:
        """Held-out glyphs decoded: how near they come, and whether both readers still read them."""
        records = self.held_out.records
        glyphs = self.held_out.images(range(len(records)))
        strokes = torch.tensor([record.strokes for record in records])
        with self.progress("decoding", len(glyphs)) as advance:
            decoded = reconstruct(self.pipe.autoencoder, glyphs, advance)
        rows = spread(len(records), self.plan.refined)
        with self.progress("refining", len(rows)) as advance:
            refined = reconstruct(self.pipe.autoencoder, glyphs[rows], advance, refined=True)
        figures = reconstruction(glyphs, decoded, strokes, lpips)
        figures["refined"] = reconstruction(glyphs[rows], refined, strokes[rows], lpips)["all"]
        worst = peak_signal_to_noise(decoded, glyphs).argsort()[:16]
        self.pictures["worst"] = torch.stack([glyphs[worst], decoded[worst]], 1).flatten(0, 1)
        truth = radicals_of(records)
        frequent = torch.isin(truth, torch.tensor(self.frequent))
        right = self.read(glyphs) == truth
        radicals = {
            "before": share(right),
            "before, 40 commonest": share(right[frequent]),
            "after": share(self.read(decoded) == truth),
        }
        found = {"glyphs": figures, "radicals": radicals}
        if ocr is None:
            return found
        rows = spread(len(records), self.plan.read)
        readings: list[list[str]] = [[], []]
        with self.progress("reading characters", 2 * len(rows)) as advance:
            for reading, shown in zip(readings, (glyphs[rows], decoded[rows]), strict=True):
                for glyph in shown.split(1):
                    reading += ocr(glyph)
                    advance(1)
        return found | {"characters": legibility([records[i].character for i in rows], *readings)}

    def distribution(self) -> dict:
        """Samples among real glyphs. The floor is what other real glyphs come to."""
        samples, real, known, others = (
            self.reader.read(glyphs)[2]
            for glyphs in (self.samples.images, self.real, self.known, self.others)
        )
        sets = {"samples": samples, "floor": others, "copycat": known}
        return {
            against: {name: distribution(features, reference) for name, features in sets.items()}
            for against, reference in (("held-out glyphs", real), ("training glyphs", known))
        }

    def realism(self) -> dict:
        """Whether critics tell samples from held-out glyphs of the same radicals.

        The floor is other real glyphs instead of samples. Held-out glyphs that were only noised to
        time 0.3 and denoised are compared with themselves. All went through the decoder.
        """
        generator = torch.Generator().manual_seed(self.plan.seed)
        with self.progress("decoding", 2 * len(self.real)) as advance:
            real, others = (
                reconstruct(self.pipe.autoencoder, glyphs, advance)
                for glyphs in (self.real, self.others)
            )
        held_out = [record.radical for record in self.records]
        training = [self.training.records[i].radical for i in self.order[len(real) : 2 * len(real)]]
        captions = [radical(record.radical).before(record.caption) for record in self.records]
        how = Request("-", **self.settings)
        with self.progress("denoising real glyphs", len(real)) as advance:
            again = denoised(self.pipe, self.real, captions, how, 0.3, advance)
        rows, of_others = partners(held_out, training, generator)
        floor = self.tell_apart(others[of_others], real[rows], "real glyphs")
        rows, of_samples = partners(held_out, self.asked_radicals, generator)
        samples, matched = self.samples.images[of_samples], real[rows]
        verdict = self.tell_apart(samples, matched, "samples")
        order = verdict.probability.argsort(dim=0, descending=True).T  # the most telling first
        sides = zip((samples, matched), order, strict=True)
        ends = [glyphs[rows] for glyphs, each in sides for rows in (each[:16], each[-16:])]
        self.pictures["realism"] = torch.cat(ends)
        return {
            "samples": verdict.figures,
            "floor": floor.figures,
            "denoised": self.tell_apart(again, real, "denoised").figures,
        }

    def tell_apart(self, drawn: Tensor, real: Tensor, what: str) -> Verdict:
        """The two-sample test of partners, with the plan's seed."""
        steps = self.plan.criticism
        with self.progress(f"telling apart: {what}", FOLDS * steps) as advance:
            return tell_apart(drawn, real, steps, self.plan.seed, self.pipe.device, advance)

    @property
    def asked_radicals(self) -> list[int]:
        """The radical that each sample was drawn with: the prior's choice, or the real one."""
        if self.pipe.prior is None:
            return [record.radical for record in self.records]
        return [find_radical(text.split(";")[0]).number for text in self.samples.captions]

    def adherence(self) -> dict:
        """Whether samples carry the radical that the words ask for."""
        plan, numbers = self.plan, torch.tensor(self.frequent[:COMMONEST])
        names = [radical(number).names[0] for number in numbers.tolist()]

        def ask(count: int, what: str, **settings: object) -> tuple[Tensor, Tensor]:
            """`count` glyphs of each radical, and which of them carry it, `(36, count)`."""
            texts = [name for name in names for _ in range(count)]
            glyphs = self.draw(texts, what, **settings).images
            return glyphs, self.read(glyphs).view(-1, count) == numbers[:, None]

        self.pictures["radicals"], right = ask(plan.per_radical, "names of radicals")
        truth = radicals_of(self.records)
        asked = torch.isin(truth, numbers)
        return {
            "radicals": {
                "samples": share(right),
                "floor": 1 / len(numbers),
                "ceiling": share(self.read(self.real[asked]) == truth[asked]),
            },
            "words": self.everyday_words(),
            "captions": {
                "samples": share(self.read(self.samples.images) == truth),
                "floor": share(truth == self.frequent[0]),
                "ceiling": self.probe(),
            },
            "each": {name: share(row) for name, row in zip(names, right, strict=True)},
            "guidance": {
                f"{scale:g}": share(ask(plan.sweep, f"guidance {scale:g}", guidance_scale=scale)[1])
                for scale in plan.guidance_scales
                if not plan.calls or LEAST_SCALE <= scale <= MOST_SCALE
            },
            "steps": {
                str(steps): share(
                    ask(plan.sweep, f"{steps} steps", calls=None, num_inference_steps=steps)[1]
                )
                for steps in plan.step_counts
            },
        }

    def everyday_words(self) -> dict:
        """The same for words that no training caption has, each of which allows a few radicals."""
        allowed, count = load_words(), self.plan.per_word
        texts = [word for word in allowed for _ in range(count)]
        self.pictures["words"] = glyphs = self.draw(texts, "everyday words").images
        pairs = zip(texts, self.read(glyphs).tolist(), strict=True)
        right = torch.tensor([number in allowed[word] for word, number in pairs]).view(-1, count)
        always = max(self.frequent, key=lambda number: sum(number in a for a in allowed.values()))
        return {
            "samples": share(right),
            "floor": sum(always in numbers for numbers in allowed.values()) / len(allowed),
            "each": {word: share(row) for word, row in zip(allowed, right, strict=True)},
        }

    def probe(self) -> float:
        """How often the radical can be told from a held-out caption alone, by a linear map."""
        learnt = [self.training.records[i] for i in self.order[: self.plan.probed]]
        sets = []
        with self.progress("captions", len(learnt) + len(self.records)) as advance:
            for records in (learnt, self.records):
                captions = [record.caption for record in records]
                sets += [pooled(self.pipe.text_encoder, captions, advance), radicals_of(records)]
        return probe(*sets).top1

    def parts(self, judge: PartReader, components: Mapping[str, Set[str]] | None = None) -> dict:
        """Whether the judge of parts finds the radical and the part that are asked for.

        The ceiling is how often it finds those of held-out characters. A part that a sound draws
        counts where the judge knows it. Where `components` say what each character has, the judge
        is itself judged by the held-out glyphs.
        """
        plan, pairs, sounds = self.plan, load_pairs(), load_sounds()
        pairs = [pairs[i] for i in spread(len(pairs), plan.pairs).tolist()]
        drawn, _ = self.beside([(one.radical, f"part {one.part}") for one in pairs], "pairs")
        self.pictures["pairs"] = drawn
        radicals, parts = [forms(one.radical) for one in pairs], [one.part for one in pairs]
        figures = {"pairs": presence(judge, drawn, radicals, parts)}

        asked = sorted((n, sound) for sound in sounds for n in sounds[sound][: plan.per_sound])
        drawn, inventions = self.beside([(n, f"sound {s}") for n, s in asked], "sounds")
        self.pictures["sounds"] = drawn
        known = [i for i, one in enumerate(inventions) if judge.place(one.part) is not None]
        radicals = [forms(asked[i][0]) for i in known]
        parts = [inventions[i].part for i in known]
        parts = [p * (p in parts_of_sound(asked[i][1])) for i, p in zip(known, parts, strict=True)]
        figures["sounds"] = presence(judge, drawn[known], radicals, parts)

        both = [pair for pair in load_conjunctions() for _ in range(plan.per_conjunction)]
        texts = [" AND ".join(radical(n).names[0] for n in pair) for pair in both]
        self.pictures["conjunctions"] = drawn = self.draw(texts, "AND").images
        radicals, parts = zip(*[map(forms, pair) for pair in both], strict=True)
        figures["conjunctions"] = presence(judge, drawn, radicals, parts)

        of = {use.composition.character: use for use in uses() if "/" not in use.composition.kind}
        real = [(i, of[one.character]) for i, one in enumerate(self.records) if one.character in of]
        real = [(i, u) for i, u in real if None not in (judge.place(u.form), judge.place(u.part))]
        glyphs = self.real[[i for i, _ in real]]
        radicals, parts = [use.form for _, use in real], [use.part for _, use in real]
        figures["ceiling"] = presence(judge, glyphs, radicals, parts)
        if components is None:
            return figures
        found = judge.read(self.real)
        truth = torch.zeros_like(found)
        for row, record in zip(truth, self.records, strict=True):
            has = map(judge.place, components.get(record.character, {record.character}))
            row[[place for place in has if place is not None]] = True
        return figures | {"judge": precision_and_recall(found, truth)}

    def beside(self, asked: Sequence[tuple[int, str]], what: str) -> tuple[Tensor, list[Invention]]:
        """A glyph of each radical, by its number and in order, with "part 里" or "sound li"."""
        images, inventions = [], []
        for number, group in groupby(asked, lambda one: one[0]):
            texts = [f"{radical(number).names[0]}; {text}" for _, text in group]
            output = self.draw(texts, what, radical=str(number))
            images.append(output.images)
            inventions += output.inventions
        return torch.cat(images), inventions

    def sketches(self) -> dict:
        """Whether held-out characters come out of sketches of them, with their radical's name.

        Sketches are of two kinds: put together of the character's parts, as others have them, and
        written with a brush. The floor is the sketches themselves. Empty without a recogniser.
        """
        if self.pipe.recognizer is None:
            return {}
        of = {one.character: i for i, one in enumerate(self.records)}
        written, drawings = load_drawings()
        shown = [i for i, character in enumerate(written) if character in of]
        composed, own = own_sketches(self.records)
        kinds = {
            "composed": (composed, own),
            "handwritten": ([of[written[i]] for i in shown], drawings[shown]),
        }
        found = {}
        for kind, (rows, sketches) in kinds.items():
            if not rows:
                continue
            records, real = [self.records[row] for row in rows], self.real[rows]
            names = [radical(one.radical).names[0] for one in records]
            how = Request("-", **self.settings)
            with self.progress(f"{kind} sketches", len(rows)) as advance:
                drawn = denoised(self.pipe, sketches, names, how, SKETCHED, advance)
            characters = [one.character for one in records]
            found[kind] = {"glyphs": len(rows)} | {
                name: likeness(self.pipe, glyphs, real, characters)
                for name, glyphs in (("samples", drawn), ("floor", sketches), ("ceiling", real))
            }
            few = spread(len(rows), 40)
            self.pictures[kind] = torch.stack(
                [sketches[few], drawn[few], real[few]], dim=1
            ).flatten(0, 1)
        return found

    def layouts(self, of_character: Mapping[str, str] | None) -> dict:
        """Whether glyphs have the layout asked for, and still the radical.

        Asked for are names of radicals alone, and with some of the parts that usually stand so. A
        sample has the layout of the character that is nearest to it, by the recogniser. What
        ignores the layout comes to a third. Empty without a recogniser, or without layouts.
        """
        if self.pipe.recognizer is None or not of_character:
            return {}
        numbers = [n for n in self.frequent[:COMMONEST] for _ in range(self.plan.per_layout)]
        texts = [str(Prompt(radical(n).names[0], layout)) for n in numbers for layout in LAYOUTS]
        self.pictures["layouts"] = glyphs = self.draw(texts, "with layouts").images

        def have(glyphs: Tensor, layouts: Sequence[str]) -> Tensor:
            near = self.not_held_out.nearest(self.pipe.recognizer.embed(glyphs))[1].tolist()
            found = [of_character.get(self.not_held_out.characters[i]) for i in near]
            return torch.tensor([a == b for a, b in zip(found, layouts, strict=True)])

        right = have(glyphs, LAYOUTS * len(numbers)).view(-1, len(LAYOUTS))
        able = torch.tensor([[bool(usual_parts(n, layout)) for layout in LAYOUTS] for n in numbers])
        asked = [
            (number, part, layout)
            for number in sorted(self.frequent[:COMMONEST])
            for layout in LAYOUTS
            for part in new_parts(number, layout)[: self.plan.per_layout]
        ]
        drawn, _ = self.beside([(n, f"part {part}; {layout}") for n, part, layout in asked], "both")
        placed = torch.tensor([LAYOUTS.index(layout) for *_, layout in asked])
        beside = have(drawn, [layout for *_, layout in asked])
        shown = [i for i, one in enumerate(self.records) if one.character in of_character]
        truth = [of_character[self.records[i].character] for i in shown]
        read = self.read(glyphs).view(-1, len(LAYOUTS))
        columns = list(enumerate(LAYOUTS))
        return {
            "samples": share(right),
            "floor": 1 / len(LAYOUTS),
            "ceiling": share(have(self.real[shown], truth)),
            "each": dict(zip(LAYOUTS, map(share, right.T), strict=True)),
            "able": {layout: share(right[able[:, i], i]) for i, layout in columns},
            "with a part": {layout: share(beside[placed == i]) for i, layout in columns},
            "radicals": share(read == torch.tensor(numbers)[:, None]),
        }

    @cached_property
    def not_held_out(self) -> KnownCharacters:
        """What the pipeline's recogniser knows, but for the characters held out."""
        held_out = {record.character for record in self.held_out.records}
        return self.pipe.recognizer.known.without(held_out)

    def novelty(self) -> dict:
        """How near samples come to training glyphs, beside held-out glyphs and copies."""
        library = torch.cat([ink(learnt) for learnt in (self.training, *self.more)])
        found = {}
        sets = {"samples": self.samples.images, "floor": self.real, "copycat": self.known}
        for name, glyphs in sets.items():
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
        learnt = [self.training.records[i].caption for i in self.order[: len(self.records)]]
        figures: dict = {"times": list(TIMES)}
        for name, glyphs, captions in (
            ("training", self.known, learnt),
            ("held-out", self.real, self.captions),
        ):
            with self.progress(f"denoising: {name}", len(glyphs)) as advance:
                figures[name] = losses_by_time(self.pipe, glyphs, captions, advance)
        return figures


def new_parts(number: int, layout: str) -> list[str]:
    """Parts that usually stand so beside a radical, usual ones first, but make no character."""
    parts = usual_parts(number, layout)
    return [part for part in parts if ways(number, part, layout) and not existing(number, part)]
