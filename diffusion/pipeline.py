"""Words to glyphs: radical, embeddings, noise, latents, glyphs, and a recogniser over them."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, cached_property, partial
from itertools import groupby
from math import ceil, log2
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from einops import rearrange
from PIL import Image
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from autoencoder.model import Autoencoder
from autoencoder.pretrained import WeightsError, read_model
from autoencoder.readers.recognizer import Match, Recognizer
from autoencoder.sketches import read_drawing
from conditioning.encoder import TextEncoder
from conditioning.prompts import Prompt, shortened
from conditioning.radicals import RADICALS, Radical
from diffusion.condition import Condition
from diffusion.guidance import classifier_free
from diffusion.inventions import COMPOSED, Invention, Inventor, sketcher
from diffusion.networks.base import Denoiser, in_batches, leap, row_by_row
from diffusion.networks.dit import DiT
from diffusion.networks.unet import UNet
from diffusion.outlines import Outline, trace
from diffusion.philox import Philox, Stream
from diffusion.prior import RadicalPrior
from diffusion.process import PROCESSES, Process, x_0_predictor
from diffusion.request import (
    AUTO,
    BUNDLED,
    CALLS,
    GUIDANCE,
    NONE,
    SAMPLER,
    Request,
    conjuncts,
    whole,
)
from diffusion.samplers import (
    SAMPLERS,
    Denoise,
    Leap,
    Randn,
    State,
    at,
    flow_map,
    time_steps,
)

NULL_CAPTION = ""
REPAIRS = 2  # steps of what begins from parts
OnStep = Callable[[Sequence[int], float, Tensor, Tensor], object]
# Rows that a network is called with on a CPU, and on other devices: so few that a lone glyph waits
# for little, and so many that each of them costs little more than it would among many others.
LATENTS, GLYPHS, ON_GPU = 2, 1, 64


@dataclass(frozen=True)
class GlyphOutput:
    """Glyphs in the order of the prompts, and what is known of each.

    Attributes:
        images: PIL images of mode "L", black ink on white, or with `output_type="pt"` one tensor
            `(count, 1, 128, 128)` in [0, 1], 1 = ink.
        seeds: the seed of each.
        inventions: what each is made of: radical, part and how they stand, as far as that is known.
        redrawn: how often each was drawn again.
        matches: the character nearest to each; empty where the pipeline has no recogniser.
    """

    images: list[Image.Image] | Tensor
    seeds: list[int]
    inventions: list[Invention]
    redrawn: list[int]
    matches: list[Match]

    @property
    def captions(self) -> list[str]:
        """What the denoiser was conditioned on: "speech; gossip"."""
        return [invention.caption for invention in self.inventions]

    @cached_property
    def outlines(self) -> list[Outline]:
        """The outline of each image, as `diffusion.outlines.trace` gives it."""
        if isinstance(self.images, Tensor):
            return [trace(image) for image in self.images[:, 0].cpu().numpy()]
        return list(map(trace, self.images))


class GlyphPipeline:
    """Draws characters that nobody has written from English.

    Example:
        >>> pipe = GlyphPipeline.from_pretrained()
        >>> pipe("gold", num_images_per_prompt=16).images[0].save("gold.png")
    """

    def __init__(
        self,
        autoencoder: Autoencoder,
        text_encoder: TextEncoder,
        denoiser: Denoiser,
        prior: RadicalPrior | None = None,
        recognizer: Recognizer | None = None,
        student: Denoiser | None = None,
    ) -> None:
        self.autoencoder = autoencoder
        self.text_encoder = text_encoder
        self.denoiser = denoiser
        self.prior = prior
        self.recognizer = recognizer
        self.student = student

    @torch.inference_mode()
    def __call__(
        self,
        prompt: str | Sequence[str] | Request = (),
        *,
        output_type: str = "pil",
        batch_size: int = 16,
        progress: Callable[[float], object] = lambda glyphs: None,
        on_step: OnStep = lambda rows, t, x_t, x_0: None,
        **settings: Any,
    ) -> GlyphOutput:
        """Draws what a `Request` asks for.

        Args:
            prompt: English, one or several; or a request, some of whose `settings` are changed.
            output_type: "pil" or "pt".
            batch_size: glyphs at a time; memory depends on it, the result does not.
            progress: called with how many glyphs, or how much of one, were done since the last
                call; the sum is their number, as what is drawn again does not count.
            on_step: called with each state on the way, batch after batch: which glyphs of the
                call, the time they have come to, their latents there, and the `x_0` predicted on
                the way. Glyphs drawn again come again.
            settings: the other attributes of `diffusion.request.Request`, such as `seed` and
                `calls`.

        Raises:
            ValueError: a setting is unknown, or out of its range, or for a student that the
                pipeline has not; one line.
        """
        request = Request.of(prompt, **settings)
        output_type, batch_size = str(output_type).lower(), whole("batch_size", batch_size)
        if output_type not in ("pil", "pt"):
            raise ValueError(f'no output type "{output_type}": it is "pil" or "pt"')
        if batch_size < 1:
            raise ValueError(f"batches of {batch_size} glyphs: take at least 1")
        if request.calls and self.student is None:
            raise ValueError(
                f"{request.calls} calls: this model has no student, train one with "
                "scripts/train_student.py, or leave calls out"
            )
        seeds = request.seeds
        drawing = self.drawing(request.sketch)
        latest = list(seeds)  # of each glyph's last attempt
        texts, inventor = request.texts, self.inventor(request)
        inventions = list(map(inventor, texts, seeds))
        redrawn = [0] * len(seeds)
        glyphs: dict[int, Tensor] = {}
        matches: dict[int, Match] = {}

        def draw(rows: Sequence[int], progress: Callable[[float], object]) -> None:
            def way(row: int) -> tuple[float, int]:
                return inventions[row].time, self.calls(request, inventions[row].caption)

            for batch in alike(rows, way, batch_size):
                (time, _), own = way(batch[0]), [latest[row] for row in batch]
                captions = [inventions[row].caption for row in batch]
                randn = self.randn(own)
                latents = start = randn()
                if time < 1:
                    clean = self.sketches([inventions[row] for row in batch], own, drawing)
                    latents = start = self.process.add_noise(clean, start, at(time, start))
                left = 1.0  # of the way
                for t, latents, x_0 in self.states(request, captions, start, time, randn):
                    on_step(batch, t, latents, x_0)
                    progress(len(batch) * (left - t / time))
                    left = t / time
                progress(len(batch) * left)
                drawn = self.decode(latents)
                glyphs.update(zip(batch, drawn, strict=True))
                if self.recognizer is not None:
                    matches.update(zip(batch, self.match(drawn), strict=True))

        draw(range(len(seeds)), progress)
        for _ in range(request.redraws):
            existing = [
                row for row, match in matches.items() if match.exists and not inventions[row].fixed
            ]
            for row in existing:
                latest[row] = successor(latest[row])
                inventions[row] = inventor(texts[row], seeds[row], latest[row])
                redrawn[row] += 1
            draw(existing, lambda glyphs: None)
        images = torch.stack([glyphs[row] for row in range(len(seeds))])
        return GlyphOutput(
            images if output_type == "pt" else to_pil(images),
            seeds,
            inventions,
            redrawn,
            [matches[row] for row in sorted(matches)],
        )

    def calls(self, request: Request, caption: str) -> int:
        """Of the student for a caption, from noise to a glyph; 0 is the teacher.

        Raises ValueError for a sum of prompts that a student is asked for.
        """
        if self.student is None or request.for_teacher:
            return 0
        if len(conjuncts(caption)) == 1:
            return request.calls or CALLS[0]
        if request.calls:
            raise ValueError(
                f'"{shortened(caption)}" is a sum of prompts, which only the teacher '
                "draws: leave out calls"
            )
        return 0

    def states(
        self,
        request: Request,
        captions: Sequence[str],
        latents: Tensor,
        time: float,
        randn: Randn,
    ) -> Iterator[State]:
        """The way of latents `(B, 8, 8, 8)` from a time to 0, by the student or its teacher.

        All captions go one way (`calls`). Calls and steps are as long as from noise, as nearly as
        they divide the way. What begins from parts needs no guidance, and no more than two steps.
        """
        if time == 0:
            return iter(())
        shaped, scale = time <= COMPOSED and not request.negative_prompt, request.scale
        if shaped and request.guidance_scale is None:
            scale = 1.0
        if calls := self.calls(request, captions[0]):
            calls = 2 ** max(0, round(log2(calls * time)))  # a student learns of no other numbers
            times = time_steps(calls, time)
            return flow_map(self.leap(captions, scale), latents, times)
        steps = ceil(request.steps * time)
        if shaped and request.num_inference_steps is None:
            steps = min(steps, REPAIRS)
        times = time_steps(steps, time)
        sampler = SAMPLERS[request.sampler or SAMPLER]
        if request.eta:
            sampler = partial(sampler, eta=request.eta)
        guidance = scale, request.guidance_interval
        denoise = self.denoise(captions, request.negative_prompt, *guidance)
        return sampler(denoise, latents, self.process, times, randn)

    def drawing(self, sketch: Any) -> Tensor | None:
        """The drawing of a request as a glyph `(1, 128, 128)`, or None."""
        if sketch is None:
            return None
        size = self.autoencoder.config.image_size
        return torch.from_numpy(read_drawing(sketch, size))[None].to(self.device)

    def invent(self, request: Request) -> list[Invention]:
        """What each glyph of a request is made of at its first attempt."""
        return list(map(self.inventor(request), request.texts, request.seeds))

    def inventor(self, request: Request) -> Inventor:
        """What decides what the glyphs of a request are made of."""
        return Inventor(request, self.chooser())

    def chooser(self) -> Callable[[str, int, int], Radical] | None:
        """What chooses a radical for words, a seed and a turn: the prior, if there is one."""
        if self.prior is None:
            return None

        @cache
        def pooled(words: str) -> Tensor:  # one at a time, so that its company changes nothing
            return self.text_encoder.pool(*self.text_encoder([words]))[0]

        return lambda words, *draw: RADICALS[self.prior.choose(pooled(words), *draw) - 1]

    def sketches(
        self, inventions: Sequence[Invention], seeds: Sequence[int], drawing: Tensor | None
    ) -> Tensor:
        """The latents of what glyphs begin from, `(B, 8, 8, 8)`: their parts, or one drawing."""
        glyphs = [
            self.sketch(invention, seed) if drawing is None else drawing
            for invention, seed in zip(inventions, seeds, strict=True)
        ]
        return in_batches(self.autoencoder.encode, torch.stack(glyphs), self.glyph_rows)

    def sketch(self, invention: Invention, seed: int) -> Tensor:
        """Radical and part put together, `(1, 128, 128)`, in proportions that the seed decides."""
        way, size = invention.arrangement, self.autoencoder.config.image_size
        generator = Philox(seed, Stream.PROPORTIONS)
        glyph = sketcher().sketch(way.kind, way.first, way.second, generator, size)
        return torch.from_numpy(glyph)[None].to(self.device)

    @torch.inference_mode()
    def captions(
        self, texts: Sequence[str], seeds: Sequence[int], radical: str = AUTO, layout: str = NONE
    ) -> list[str]:
        """Texts, one a seed, as the denoiser is conditioned on them: "speech; gossip".

        In each part around `AND`, the name of a radical comes first and a layout last, as in a
        `Request`. Without a prior, the radical "auto" leaves texts as they are.
        """
        inventor = self.inventor(Request(texts, radical=radical, layout=layout))
        return list(map(inventor.caption, texts, seeds))

    def embed(self, prompts: Sequence[Sequence[str]]) -> Condition:
        """Embedding `(B, N, D)` and mask `(B, N)` of prompts, each made of one or several texts.

        The tokens of one text follow those of another. Every text is embedded once and alone, so
        that its company changes nothing.
        """
        texts = dict.fromkeys(text for prompt in prompts for text in prompt)
        embedding, mask = self.text_encoder(list(texts), batch_size=1)
        tokens = {text: embedding[i, mask[i]] for i, text in enumerate(texts)}
        rows = [torch.cat([tokens[text] for text in prompt]) for prompt in prompts]
        lengths = torch.tensor([len(row) for row in rows], device=mask.device)
        padded = pad_sequence(rows, batch_first=True)
        filled = torch.arange(padded.shape[1], device=mask.device) < lengths[:, None]
        return Condition(padded, filled)

    def denoise(
        self,
        captions: Sequence[str],
        negative_prompt: str | None = None,
        guidance_scale: float = GUIDANCE,
        guidance_interval: tuple[float, float] = Request.guidance_interval,
        weights: list[list[float]] | None = None,
    ) -> Denoise:
        """Captions to embeddings, and those to the guided `denoise(x_t, t) -> x_0` of samplers.

        One caption for each of the latents that it will be called with. `weights` are those of a
        caption's parts around `AND`, 1 each by default. The rest is as in a `Request`.
        """
        negative = NULL_CAPTION if negative_prompt is None else negative_prompt
        parts = [(part, i) for i, caption in enumerate(captions) for part in conjuncts(caption)]
        prompts = [Prompt.parse(part).texts for part in (*(part for part, _ in parts), negative)]
        self.warn_of_unknown(text for texts in prompts for text in texts)
        words, owner = self.embed(prompts), [i for _, i in parts]
        network = row_by_row(self.denoiser, self.rows)
        return classifier_free(
            x_0_predictor(network, self.process, self.denoiser.config.prediction),
            words.rows(slice(-1)),
            words.rows([-1] * len(captions)),
            guidance_scale,
            owner,
            weights and [weight for each in weights for weight in each],
            guidance_interval,
        )

    def leap(self, captions: Sequence[str], guidance_scale: float = GUIDANCE) -> Leap:
        """The student's `leap(x_t, t, length)`, a mean velocity, for one caption a latent."""
        prompts = [Prompt.parse(caption).texts for caption in captions]
        self.warn_of_unknown(text for texts in prompts for text in texts)
        words, network = self.embed(prompts), row_by_row(self.student, self.rows)
        return lambda x_t, t, length: leap(
            network, x_t, t, length, words, torch.full_like(length, guidance_scale)
        )

    def warn_of_unknown(self, texts: Iterable[str]) -> None:
        """Warns of words that the text encoder has no token for, and of misspelt ones."""
        for text in dict.fromkeys(texts):
            if unknown := self.text_encoder.unknown(text):
                words = shortened(" ".join(unknown))
                warnings.warn(f"ignored, as the model reads English: {words}", stacklevel=3)
            for word, other in self.text_encoder.misspelt(text).items():
                warnings.warn(
                    f'the model does not know "{word}": did you mean "{other}"?', stacklevel=3
                )

    def randn(self, seeds: Sequence[int]) -> Randn:
        """Noise `(B, 8, 8, 8)` at every call, each row from its seed."""
        config = self.denoiser.config
        shape = (config.latent_channels, config.latent_size, config.latent_size)
        generators = [Philox(seed, Stream.NOISE) for seed in seeds]

        def randn() -> Tensor:
            noise = np.stack([generator.standard_normal(shape) for generator in generators])
            return torch.from_numpy(noise.astype(np.float32)).to(self.device)

        return randn

    def decode(self, latents: Tensor) -> Tensor:
        """Latents `(B, 8, 8, 8)` to glyphs `(B, 1, 128, 128)` in [0, 1], 1 = ink, on the CPU."""
        return in_batches(self.autoencoder.decode, latents, self.glyph_rows).cpu()

    def match(self, glyphs: Tensor) -> list[Match]:
        """The character nearest to each of `(B, 1, 128, 128)` glyphs, by the recogniser."""
        embeddings = in_batches(self.recognizer, glyphs.to(self.device), self.glyph_rows)
        return self.recognizer.match(embeddings.cpu())

    @property
    def rows(self) -> int:
        """How many rows the denoisers are called with at a time, always."""
        return LATENTS if self.device.type == "cpu" else ON_GPU

    @property
    def glyph_rows(self) -> int:
        """The same of the autoencoder and the recogniser."""
        return GLYPHS if self.device.type == "cpu" else ON_GPU

    @property
    def process(self) -> Process:
        """How noise was added where the denoiser was trained."""
        return PROCESSES[self.denoiser.config.process]

    @property
    def device(self) -> torch.device:
        """Where the denoiser is."""
        return next(self.denoiser.parameters()).device

    @property
    def parts(self) -> dict[str, Part]:
        """What goes with the denoiser, by the name of its folder."""
        names = "autoencoder", "text_encoder", "prior", "recognizer", "student"
        return {name: part for name in names if (part := getattr(self, name)) is not None}

    def to(
        self, device: torch.device | str | int | None = None, dtype: None = None
    ) -> GlyphPipeline:
        """Moves all networks, and returns the pipeline. Raises ValueError for anything else."""
        if dtype is not None or isinstance(device, torch.dtype):
            raise ValueError(
                "the networks stay float32: name a device alone, and draw in "
                "torch.autocast(device, torch.bfloat16) for half precision"
            )
        try:
            device = torch.device(device.lower() if isinstance(device, str) else device)
        except (TypeError, RuntimeError):
            raise ValueError(f"no device {device!r}: name cpu, cuda, cuda:1 or mps") from None
        number = {"cuda": torch.cuda.device_count(), "mps": torch.mps.device_count()}
        if (device.index or 0) >= number.get(device.type, 1):
            raise ValueError(f"there is no {device} here: try --device cpu, in Python cpu")
        for part in (self.denoiser, *self.parts.values()):
            part.to(device)
        return self

    def save_pretrained(self, folder: str | Path) -> Path:
        """Writes the denoiser to a folder, and into it the other parts that do not ship."""
        for name, part in self.parts.items():
            own = Path(folder) / name  # where it exists, it is from another run
            if own.is_dir() or not _ships(part):
                part.save_pretrained(own)
        return self.denoiser.save_pretrained(folder)

    @classmethod
    def from_pretrained(cls, path: str | Path | None = None) -> GlyphPipeline:
        """The pipeline of a folder that a training exported; None is the one that ships.

        Parts that are not in the folder are those that ship; the prior and the recogniser only
        where they fit the rest.

        Raises:
            WeightsError: the folder holds no model, a damaged one, or one that was trained with
                other encoders than it finds.
        """
        folder = Path(BUNDLED if path is None else path)
        denoiser = read_model(folder, DiT, UNet)
        autoencoder, text_encoder = (
            _load_encoder(kind, folder / name, getattr(denoiser.config, name))
            for name, kind in (("autoencoder", Autoencoder), ("text_encoder", TextEncoder))
        )
        prior = _load_optional(
            RadicalPrior,
            folder / "prior",
            lambda prior: prior.config.text_encoder == text_encoder.fingerprint,
            f"was trained with another text encoder: train it again, "
            f"python scripts/train_prior.py --model {folder}",
        )
        recognizer = _load_optional(
            Recognizer,
            folder / "recognizer",
            lambda recognizer: recognizer.config.image_size == autoencoder.config.image_size,
            f"takes glyphs of another size than are drawn: train it again, "
            f"python scripts/train_recognizer.py --model.out {folder / 'recognizer'}",
        )
        student = None
        if (own := folder / "student").is_dir():
            student = read_model(own, DiT, UNet)
            if not student.config.flow_map or student.config.teacher != denoiser.fingerprint:
                warnings.warn(
                    f"the student in {own} is of another denoiser, and not used: train it again, "
                    f"python scripts/train_student.py --model.teacher {folder} --model.out {own}",
                    stacklevel=2,
                )
                student = None
        return cls(autoencoder, text_encoder, denoiser, prior, recognizer, student)


def alike(rows: Iterable[int], way: Callable[[int], Any], size: int) -> Iterator[list[int]]:
    """Rows in batches of at most `size`, each of those that go one way."""
    for _, group in groupby(sorted(rows, key=way, reverse=True), way):
        group = list(group)
        yield from (group[start : start + size] for start in range(0, len(group), size))


def successor(seed: int) -> int:
    """The seed of another attempt, below 2^63."""
    high, low = Philox(seed, Stream.ATTEMPT).integers(2).tolist()
    return (high << 32 | low) >> 1


def to_pil(glyphs: Tensor) -> list[Image.Image]:
    """Glyphs `(B, 1, H, W)` in [0, 1], 1 = ink, to images of black ink on white."""
    pixels = rearrange((1 - glyphs).clamp(0, 1) * 255, "b 1 h w -> b h w").round().byte()
    return [Image.fromarray(image.numpy()) for image in pixels]


# ---- folders -------------------------------------------------------------------------------------

Part = Autoencoder | TextEncoder | RadicalPrior | Recognizer | Denoiser
P = TypeVar("P", bound=Part)


def _load_encoder(kind: type[P], own: Path, fingerprint: str) -> P:
    """The encoder in a folder of its own, or the one that ships, if it has the fingerprint."""
    encoder = kind.from_pretrained(own if own.is_dir() else None)
    if fingerprint not in ("", encoder.fingerprint):
        raise WeightsError(
            f"the denoiser in {own.parent} was trained with another {own.name} than this one: "
            f"put that into {own}, or train again"
        )
    return encoder


def _load_optional(kind: type[P], own: Path, fits: Callable[[P], bool], mistake: str) -> P | None:
    """The part in a folder of its own, or the one that ships; None where that does not fit."""
    if not own.is_dir() and not kind.bundled.is_dir():
        return None
    part = kind.from_pretrained(own if own.is_dir() else None)
    if fits(part):
        return part
    if own.is_dir():
        raise WeightsError(f"the {own.name} in {own} {mistake}")
    return None


def _ships(part: Part) -> bool:
    """Whether it is the one that ships, in every weight and not only in what fingerprints see."""
    if isinstance(part, Denoiser):  # a student goes with its teacher
        return False
    try:
        shipped = type(part).from_pretrained()
    except (OSError, ValueError):
        return False  # nothing ships with this copy
    pairs = zip(part.parameters(), shipped.parameters(), strict=False)
    return part.fingerprint == shipped.fingerprint and all(
        a.cpu().half().equal(b.half()) for a, b in pairs
    )
