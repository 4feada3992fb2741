"""What is measured: our parts, and those of others beside them.

Each part returns plain values that JSON can hold, with their unit at the end of the name.
"""

from __future__ import annotations

import tempfile
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from statistics import median

import torch
from torch import Tensor

from diffusion.benchmark import others, timing
from diffusion.benchmark.training import denoiser_inputs, rated, stage_one, stage_two
from diffusion.networks.dit import DiT
from diffusion.pipeline import GlyphPipeline
from diffusion.process import PROCESSES
from diffusion.request import GUIDANCE, STEPS
from diffusion.samplers import SAMPLERS, time_steps

REFERENCE_RATE = 190e9  # float32 FLOP/s of the machine on which `Plan`'s times were estimated


@dataclass(frozen=True)
class Plan:
    """How thoroughly to measure.

    Attributes:
        starts: whole processes timed.
        repeats: timed calls of what is fast; each is called once before, untimed.
        slow_repeats: the same for the article's network.
        batches, article_batches: glyphs drawn at a time, by our pipeline and by the article's.
        codec_batch: glyphs encoded and decoded at a time.
        autoencoder_batch, denoiser_batch, article_batch: samples of a training step.
        matrix: rows of the square matrices multiplied.
        seconds, others_seconds: about what ours and theirs take at `REFERENCE_RATE`.
    """

    starts: int = 3
    repeats: int = 5
    slow_repeats: int = 3
    batches: tuple[int, ...] = (1, 4, 16, 64)
    article_batches: tuple[int, ...] = (1, 4)
    codec_batch: int = 4
    autoencoder_batch: int = 32
    denoiser_batch: int = 256
    article_batch: int = 2
    matrix: int = 2048
    seconds: int = 75
    others_seconds: int = 175

    def expected_s(self, rate: float, others: bool) -> float:
        """About how long it takes, by FLOP/s of the machine; at least a minute."""
        reference = self.seconds + (self.others_seconds if others else 0)
        return max(60.0, reference * REFERENCE_RATE / rate)


FULL = Plan()
QUICK = Plan(
    starts=1,
    repeats=3,
    slow_repeats=2,
    batches=(1, 16),
    article_batches=(1,),
    codec_batch=2,
    article_batch=1,
    seconds=35,
    others_seconds=60,
)


def benchmark(
    pipe: GlyphPipeline,
    plan: Plan,
    generate: list[str],
    help: list[str],
    skipped: str | None = None,
    progress: Callable[[float], object] = lambda part: None,
) -> dict[str, object]:
    """Measures everything; the result is what `benchmark.json` holds.

    Args:
        pipe: our pipeline, on its device.
        plan: how thoroughly.
        generate: the command that draws sixteen glyphs as a process of its own; `--out FILE` is
            added to it.
        help: a command that needs no model.
        skipped: why the networks of others are left out; None measures them as well.
        progress: called with the part of the whole done since the last call; the sum is 1.
    """
    results = {
        "denoiser": "transformer" if isinstance(pipe.denoiser, DiT) else "U-Net",
        "machine": timing.machine(pipe.device),
        "precision": "float32",
        "plan": asdict(plan),
        "skipped": skipped,
        "article": None,
    }
    # Where a result goes, about how its time compares with others', and what measures it.
    parts = [
        ("start", 1, lambda: processes(generate, help, plan.starts)),
        ("generation", 2, lambda: generation(pipe, plan)),
        ("denoisers", 1, lambda: denoisers(pipe, plan, skipped)),
        ("samplers", 1, lambda: samplers(pipe, plan)),
        ("autoencoders", 2, lambda: autoencoders(pipe, plan, skipped)),
        ("training", 4, lambda: trainings(pipe, plan, skipped)),
    ]
    if not skipped:
        parts += [
            ("article", 6, lambda: article_generation(plan, pipe.device)),
            ("training", 9, lambda: article_trained(plan, pipe.device)),
        ]
    total = sum(part for _, part, _ in parts)
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):  # float32 is float32
        for name, part, measure in parts:
            results[name] = (results.get(name) or {}) | measure()
            progress(part / total)
    return results


def processes(generate: list[str], help: list[str], starts: int) -> dict[str, object]:
    """Whole processes: sixteen glyphs from nothing, their peak memory, and the help."""
    with tempfile.TemporaryDirectory() as folder:
        draw = [*generate, "--out", str(Path(folder) / "glyphs.png")]
        drawn = [timing.run_process(draw, folder) for _ in range(starts)]
        helped = [timing.run_process(help, folder) for _ in range(starts)]
    return {
        "generate_s": median(run["seconds"] for run in drawn),
        "generate_runs_s": [run["seconds"] for run in drawn],
        "peak_mb": median(run["peak_mb"] for run in drawn),
        "help_s": median(run["seconds"] for run in helped),
    }


def generation(pipe: GlyphPipeline, plan: Plan) -> dict[str, object]:
    """Our whole chain, from words to pictures, with the steps and the guidance it has by itself."""
    calls = {n: partial(pipe, ["gold"] * n, batch_size=n) for n in plan.batches}
    return {
        "parameters": timing.parameters(pipe.autoencoder, pipe.text_encoder, pipe.denoiser),
        "steps": STEPS,
        "guidance": GUIDANCE,
        **drawing(calls, 1, plan.repeats, pipe.device),
    }


@torch.inference_mode()
def article_generation(plan: Plan, device: torch.device) -> dict[str, object]:
    """The article's pipeline, by the time of a few of its steps; its text encoder costs nothing."""
    held = torch.cuda.memory_allocated(device) if device.type == "cuda" else 0
    unet = timing.untrained(others.article_unet, device)
    calls = {n: others.article_step(unet, n, device) for n in plan.article_batches}
    return {
        "source": others.ARTICLE,
        "parameters": timing.parameters(unet),
        "steps": others.ARTICLE_STEPS,
        "timed_steps": plan.slow_repeats,
        **drawing(calls, others.ARTICLE_STEPS, plan.slow_repeats, device, held),
    }


def drawing(
    calls: dict[int, Callable], steps: int, repeats: int, device: torch.device, held: int = 0
) -> dict[str, object]:
    """Glyphs a second by the number drawn at a time, of which a call does one of `steps` parts.

    On CUDA with the peak of the device's memory, less the `held` bytes that are somebody else's.
    """
    rows = []
    for batch, call in calls.items():
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
        seconds = timing.side_by_side({"": call}, repeats, device)[""]
        row = {"batch": batch, "call_s": seconds, "glyphs_per_s": batch / seconds / steps}
        if device.type == "cuda":
            row["cuda_peak_mb"] = (torch.cuda.max_memory_allocated(device) - held) / 1e6
        rows.append(row)
    return summary(rows)


def summary(batches: list[dict[str, float]]) -> dict[str, object]:
    """What counts: one glyph alone, and glyphs a second at the best batch."""
    alone = min(batches, key=lambda row: row["batch"])
    best = max(batches, key=lambda row: row["glyphs_per_s"])
    return {
        "glyph_ms": 1000 / alone["glyphs_per_s"],
        "cuda_peak_mb": alone.get("cuda_peak_mb"),
        "best_batch": best["batch"],
        "glyphs_per_s": best["glyphs_per_s"],
        "batches": batches,
    }


@torch.inference_mode()
def denoisers(pipe: GlyphPipeline, plan: Plan, skipped: str | None) -> dict[str, dict]:
    """One call of the denoiser, words and latents given, for one glyph and for sixteen, guided."""
    device, config = pipe.device, pipe.denoiser.config
    networks = {"tianshu": pipe.denoiser}
    if not skipped:
        relative = others.RELATIVES[type(config)]
        networks["diffusers"] = timing.untrained(lambda: relative(config), device)
    results = {name: {"parameters": timing.parameters(one)} for name, one in networks.items()}
    for batch in (2, 32):
        inputs = denoiser_inputs(config, batch, 8, device)
        calls = {name: partial(network, *inputs) for name, network in networks.items()}
        times = timing.side_by_side(calls, 4 * plan.repeats, device, warmups=2)
        for name, seconds in times.items():
            results[name][f"batch_{batch}_ms"] = 1000 * seconds
    return results


@torch.inference_mode()
def samplers(pipe: GlyphPipeline, plan: Plan) -> dict[str, dict]:
    """A step of each sampler without its denoiser, beside a guided call of that, by glyphs."""
    config = pipe.denoiser.config
    process, times = PROCESSES[config.process], time_steps(STEPS)
    results = {name: {} for name in SAMPLERS}
    for glyphs in (1, 16):
        randn = pipe.randn(list(range(glyphs)))
        x = randn()

        def walk(sampler: Callable, x: Tensor = x, randn: Callable = randn) -> None:
            deque(sampler(lambda x_t, t: x, x, process, times, randn), maxlen=0)

        calls = {name: partial(walk, sampler) for name, sampler in SAMPLERS.items()}
        inputs = denoiser_inputs(config, 2 * glyphs, 8, pipe.device)
        calls["denoiser"] = partial(pipe.denoiser, *inputs)
        seconds = timing.side_by_side(calls, 4 * plan.repeats, pipe.device, warmups=2)
        for name, own in results.items():
            step = seconds[name] / STEPS
            own[f"glyphs_{glyphs}_us"] = 1e6 * step
            own[f"glyphs_{glyphs}_share"] = step / (step + seconds["denoiser"])
    return results


@torch.inference_mode()
def autoencoders(pipe: GlyphPipeline, plan: Plan, skipped: str | None) -> dict[str, dict]:
    """Encoding and decoding glyphs of our size."""
    ours, device, batch = pipe.autoencoder, pipe.device, plan.codec_batch
    size = ours.config.image_size
    glyphs = timing.random(0, batch, 1, size, size, device=device).sigmoid()
    latents = ours.encode(glyphs)
    codecs = {"tianshu": (ours, lambda: ours.encode(glyphs), lambda: ours.decode(latents))}
    if not skipped:
        codecs |= others.autoencoders(glyphs)
    results = {
        name: {"parameters": timing.parameters(codec[0]), "batch": batch}
        for name, codec in codecs.items()
    }
    for i, what in enumerate(("encode_ms", "decode_ms"), start=1):
        calls = {name: codec[i] for name, codec in codecs.items()}
        for name, seconds in timing.side_by_side(calls, plan.repeats, device).items():
            results[name][what] = 1000 * seconds / batch
    return results


def trainings(pipe: GlyphPipeline, plan: Plan, skipped: str | None) -> dict[str, dict]:
    """Both of our stages, and a network of diffusers beside the second."""
    config, kind = pipe.denoiser.config, type(pipe.denoiser)
    second = config, plan.denoiser_batch, pipe.device
    steps = {
        "autoencoder": stage_one(pipe, plan.autoencoder_batch),
        "denoiser": stage_two(kind, *second, muon=True),
        "denoiser_adamw": stage_two(kind, *second),
    }
    if not skipped:
        steps["diffusers"] = stage_two(others.RELATIVES[type(config)], *second)
    return rated(steps, plan.repeats, plan.matrix, pipe.device)


def article_trained(plan: Plan, device: torch.device) -> dict[str, dict]:
    """The training of the article's network."""
    steps = {"article": others.article_training(plan.article_batch, device)}
    return rated(steps, plan.slow_repeats, plan.matrix, device)
