"""Prompts to glyphs: the three parts in the order in which they are used."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from einops import rearrange
from PIL import Image
from torch import Tensor

from autoencoder import Autoencoder
from autoencoder.readers.recognizer import Match, Recognizer
from conditioning import TextEncoder
from conditioning.captions import shortened
from conditioning.prompts import Prompt
from diffusion.folders import load_parts, save_parts
from diffusion.guidance import classifier_free
from diffusion.hearing import embed, hear
from diffusion.networks.base import Denoiser
from diffusion.prior import RadicalPrior
from diffusion.process import PROCESSES, Process, x_0_predictor
from diffusion.request import (
    AUTO,
    BUNDLED,
    GUIDANCE,
    NONE,
    REDRAWS,
    SAMPLER,
    STEPS,
    check_request,
    conjuncts,
)
from diffusion.rows import decode_rows, row_by_row
from diffusion.samplers import SAMPLERS, Denoise, Randn, ddim, time_steps

NULL_CAPTION = ""
OnStep = Callable[[Sequence[int], float, Tensor, Tensor], object]
# Enough to fill a device, and few enough that a single glyph does not wait for the rest.
ROWS, ROWS_OF_GPU = 8, 64


@dataclass(frozen=True)
class GlyphOutput:
    """Glyphs in the order of the prompts, and of each what is known.

    Attributes:
        images: PIL images of mode "L", black ink on white, or with `output_type="pt"` one tensor
            `(count, 1, 128, 128)` in [0, 1], 1 = ink.
        seeds: what each came from.
        heard: the prompts as they reached the denoiser, "speech; gossip".
        redrawn: how often each was drawn again.
        matches: the character nearest to each; empty where the pipeline has no recogniser.
    """

    images: list[Image.Image] | Tensor
    seeds: list[int]
    heard: list[str]
    redrawn: list[int]
    matches: list[Match]


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
    ) -> None:
        self.autoencoder = autoencoder
        self.text_encoder = text_encoder
        self.denoiser = denoiser
        self.prior = prior
        self.recognizer = recognizer

    @torch.inference_mode()
    def __call__(
        self,
        prompt: str | list[str],
        negative_prompt: str | None = None,
        num_images_per_prompt: int = 1,
        num_inference_steps: int = STEPS,
        guidance_scale: float = GUIDANCE,
        sampler: str = SAMPLER,
        seed: int = 0,
        output_type: str = "pil",
        guidance_interval: tuple[float, float] = (0.0, 1.0),
        eta: float = 0.0,
        radical: str = AUTO,
        layout: str = NONE,
        redraws: int = REDRAWS,
        batch_size: int = 16,
        progress: Callable[[int], object] = lambda glyphs: None,
        on_step: OnStep = lambda rows, t, x_t, x_0: None,
    ) -> GlyphOutput:
        """Draws `num_images_per_prompt` glyphs of each prompt.

        Args:
            prompt: English, one or several; "sickness AND fire" asks for both at once, and "fish;
                top-bottom" for a layout.
            negative_prompt: what guidance leads away from; None is the empty caption.
            num_images_per_prompt: at least 1.
            num_inference_steps: of the sampler, 1 to 1000, each a call of the network; `heun` makes
                two, and one in its last step.
            guidance_scale: 1 follows the words plainly, more follows them harder, 0 not at all.
            sampler: a name in `diffusion.samplers.SAMPLERS`.
            seed: image i of the call comes from the generator of `seed + i`, and is the same to the
                last bit whatever else is in the call, on one machine and number of threads.
            output_type: "pil" or "pt".
            guidance_interval: times, 0 data and 1 noise, between which guidance is at work; outside
                the words are followed plainly.
            eta: how much fresh noise the sampler `ddim` adds, 0 none to 1 as much as `ddpm`.
            radical: what stands before the words: "auto" is what the prior takes them for, which
                can differ from seed to seed, "none" is nothing; else a radical by its English name,
                one of its forms or its number: "speech", "言", "149".
            layout: where its parts stand: "left-right", "top-bottom" or "enclosed"; "none" says
                nothing of it. A prompt that says it itself is left as it is.
            redraws: how often, at most, a glyph is drawn again from fresh noise of the same seed,
                where the recogniser says that the character exists; 0 takes what comes first.
            batch_size: glyphs at a time; memory depends on it, the result does not.
            progress: called with the number of glyphs' steps done since the last call; the sum is
                glyphs times steps, what is drawn again left out.
            on_step: called with each state of the sampler, batch after batch: which glyphs of the
                call, the time they have come to, their latents there, and the latents that were
                predicted on the way. Glyphs drawn again come again.

        Raises ValueError for an argument out of its range, in one line.
        """
        prompts = [prompt] if isinstance(prompt, str) else list(prompt)
        check_request(
            prompts,
            num_images_per_prompt,
            num_inference_steps,
            guidance_scale,
            sampler,
            seed,
            negative_prompt,
            guidance_interval,
            eta,
            radical,
            layout,
            redraws,
        )
        if output_type not in ("pil", "pt"):
            raise ValueError(f'no output type "{output_type}": it is "pil" or "pt"')
        if batch_size < 1:
            raise ValueError(f"batches of {batch_size} glyphs: take at least 1")
        texts = [text for text in prompts for _ in range(num_images_per_prompt)]
        seeds = [seed + i for i in range(len(texts))]
        heard = self.hear(texts, seeds, radical, layout)
        sample = partial(ddim, eta=eta) if sampler == "ddim" else SAMPLERS[sampler]
        times = time_steps(num_inference_steps)
        latest = list(seeds)
        glyphs: dict[int, Tensor] = {}
        matches: dict[int, Match] = {}
        redrawn = [0] * len(texts)

        def draw(rows: Sequence[int], advance: Callable[[int], object]) -> None:
            words = [heard[row] for row in rows]
            denoise = self.denoise(words, negative_prompt, guidance_scale, guidance_interval)
            randn = self.randn([latest[row] for row in rows])
            for t, latents, x_0 in sample(denoise, randn(), self.process, times, randn):
                on_step(rows, t, latents, x_0)
                advance(len(rows))
            drawn = self.decode(latents)
            glyphs.update(zip(rows, drawn, strict=True))
            if self.recognizer is not None:
                matches.update(zip(rows, self.match(drawn), strict=True))

        for start in range(0, len(texts), batch_size):
            draw(range(len(texts))[start : start + batch_size], progress)
        for _ in range(redraws):
            existing = [row for row, match in matches.items() if match.exists]
            for row in existing:
                latest[row] = successor(latest[row])
                redrawn[row] += 1
            for start in range(0, len(existing), batch_size):
                draw(existing[start : start + batch_size], lambda glyphs: None)
        images = torch.stack([glyphs[row] for row in range(len(texts))])
        return GlyphOutput(
            images if output_type == "pt" else to_pil(images),
            seeds,
            heard,
            redrawn,
            [matches[row] for row in sorted(matches)],
        )

    @torch.inference_mode()
    def hear(
        self,
        texts: list[str],
        seeds: list[int],
        radical: str = AUTO,
        layout: str = NONE,
    ) -> list[str]:
        """Texts as the denoiser hears them, or each part around `AND`: "speech; gossip".

        The name of a radical stands before them, and a layout behind them. As in a call, one seed a
        text. Without a prior, the radical "auto" leaves texts as they are.
        """
        return hear(texts, seeds, self.text_encoder, self.prior, radical, layout)

    def warn_of_unheard(self, texts: Iterable[str]) -> None:
        """Warns, in a line for each text, of words that the text encoder has no token for."""
        for unknown in filter(None, map(self.text_encoder.unknown, texts)):
            warnings.warn(
                f"not heard, as the model reads English: {shortened(' '.join(unknown))}",
                stacklevel=3,
            )

    def denoise(
        self,
        texts: list[str],
        negative_prompt: str | None = None,
        guidance_scale: float = GUIDANCE,
        guidance_interval: tuple[float, float] = (0.0, 1.0),
        weights: list[list[float]] | None = None,
    ) -> Denoise:
        """Words to embeddings, and those to the guided `denoise(x_t, t) -> x_0` of samplers.

        One text for each of the latents that it will be called with, and for each text, if not 1
        each, the `weights` of its parts around `AND`; the rest as in a call. Warns of what is
        not heard.
        """
        away = NULL_CAPTION if negative_prompt is None else negative_prompt
        parts = [(part, i) for i, text in enumerate(texts) for part in conjuncts(text)]
        positive = [Prompt.parse(part).texts for part, _ in parts]
        self.warn_of_unheard(dict.fromkeys([*(text for each in positive for text in each), away]))
        embedding, mask = embed(self.text_encoder, [*positive, [away]])
        last = [-1] * len(texts)
        network = row_by_row(self.denoiser, self.rows)
        return classifier_free(
            x_0_predictor(network, self.process, self.denoiser.config.prediction),
            (embedding[:-1], mask[:-1]),
            (embedding[last], mask[last]),
            guidance_scale,
            [i for _, i in parts],
            weights and [weight for each in weights for weight in each],
            guidance_interval,
        )

    def decode(self, latents: Tensor) -> Tensor:
        """Latents `(B, 8, 8, 8)` to glyphs `(B, 1, 128, 128)` in [0, 1], 1 = ink, on the CPU."""
        return decode_rows(self.autoencoder.decode, latents, self.rows).cpu()

    def match(self, glyphs: Tensor) -> list[Match]:
        """The character nearest to each of `(B, 1, 128, 128)` glyphs, by the recogniser."""
        embeddings = decode_rows(self.recognizer, glyphs.to(self.device), self.rows)
        return self.recognizer.match(embeddings.cpu())

    def randn(self, seeds: list[int]) -> Randn:
        """Noise `(B, 8, 8, 8)` at every call, each row from the generator of its seed."""
        config = self.denoiser.config
        shape = (config.latent_channels, config.latent_size, config.latent_size)
        generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        return lambda: torch.stack([torch.randn(shape, generator=g) for g in generators]).to(
            self.device
        )

    @property
    def rows(self) -> int:
        """How many rows the networks are called with at a time, always."""
        return ROWS if self.device.type == "cpu" else ROWS_OF_GPU

    @property
    def process(self) -> Process:
        """How noise was added where the denoiser was trained."""
        return PROCESSES[self.denoiser.config.process]

    @property
    def device(self) -> torch.device:
        """Where the denoiser is."""
        return next(self.denoiser.parameters()).device

    def to(self, device: torch.device | str) -> GlyphPipeline:
        """Moves all parts, and returns the pipeline."""
        parts = self.autoencoder, self.text_encoder, self.denoiser, self.prior, self.recognizer
        for part in parts:
            if part is not None:
                part.to(device)
        return self

    def save_pretrained(self, folder: str | Path) -> Path:
        """Writes the denoiser to a folder, and into it the other parts that do not ship."""
        parts = self.autoencoder, self.text_encoder, self.denoiser, self.prior, self.recognizer
        return save_parts(folder, *parts)

    @classmethod
    def from_pretrained(cls, path: str | Path | None = None) -> GlyphPipeline:
        """The pipeline of a folder that a training exported; None is the one that ships.

        It has a prior where the folder has one, or where its text encoder is the one that ships,
        and a recogniser where the folder has one, or where that which ships takes such glyphs.
        Raises WeightsError, a ValueError, where the folder holds no model, a damaged one, or one
        that was trained with other encoders than it finds.
        """
        return cls(*load_parts(BUNDLED if path is None else path))


def successor(seed: int) -> int:
    """The seed of another attempt: the first number that the generator of this one gives."""
    generator = torch.Generator().manual_seed(seed)
    return int(torch.randint(2**63 - 1, (), generator=generator))


def to_pil(glyphs: Tensor) -> list[Image.Image]:
    """Glyphs `(B, 1, H, W)` in [0, 1], 1 = ink, to images of black ink on white."""
    pixels = rearrange((1 - glyphs).clamp(0, 1) * 255, "b 1 h w -> b h w").round().byte()
    return [Image.fromarray(image.numpy()) for image in pixels]
