"""Measure how fast everything is on this machine, next to reference networks.

All is in float32, uncompiled, on as many threads as PyTorch takes. The reference networks come from
diffusers and are untrained, since only time is compared.
"""

from __future__ import annotations

import json
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Annotated

import torch
import typer
from _cli import (
    Device,
    Model,
    Overwrite,
    check_device,
    load_pipeline,
    output_folder,
    progress_bar,
    run,
    write_text,
)
from torch import Tensor, nn
from torch.utils.benchmark import Measurement, Timer

from autoencoder.loss import LossConfig, autoencoder_loss, perceptual_loss
from autoencoder.optim import Muon, pointwise
from diffusion.condition import Condition
from diffusion.networks.unet import GROUPS, UNet, UNetConfig
from diffusion.pipeline import GlyphPipeline
from diffusion.process import PROCESSES
from diffusion.request import BUNDLED, SAMPLER, STEPS, check_model
from diffusion.samplers import SAMPLERS, result, time_steps
from diffusion.training.loss import denoising_loss

Calls = dict[str, Callable[[], object]]
Row = tuple[str, float, float | None, str]  # what, ours, the reference's, unit: "s", "/s" or "MB"

SECONDS = 0.3  # at least, that a call is timed for in each turn
GLYPHS = 16
EXTRA = "pip install -e '.[benchmark]'"
# The glyffuser's conditional network, as https://yue-here.com/posts/glyffuser/ lists it, on pixels,
# and its steps, each of two predictions.
ARTICLE_STEPS = 50
ARTICLE = {
    "sample_size": 128,
    "in_channels": 1,
    "out_channels": 1,
    "layers_per_block": 2,
    "block_out_channels": (128, 256, 512, 512),
    "addition_embed_type": "text",
    "cross_attention_dim": 512,
    "encoder_hid_dim": 512,
    "encoder_hid_dim_type": "text_proj",
    "down_block_types": ("DownBlock2D", "DownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
    "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D", "UpBlock2D"),
}
# Stable Diffusion 1's (Rombach et al. 2022, https://arxiv.org/abs/2112.10752).
AUTOENCODER_KL = {
    "layers_per_block": 2,
    "block_out_channels": (128, 256, 512, 512),
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
}


def main(
    out: Annotated[
        str | None,
        typer.Option(
            "--out",
            "-o",
            help="Folder for benchmark.json and benchmark.md.",
            show_default="benchmark",
        ),
    ] = None,
    overwrite: Overwrite = False,
    model: Model = BUNDLED,
    quick: Annotated[
        bool, typer.Option("--quick", help="Time each call in one turn, not in three.")
    ] = False,
    device: Device = "cpu",
) -> None:
    """Measure how fast everything is on this machine, next to reference networks.

    The whole process of generate.py and its memory, the parts of one call, and a step of each
    training. With diffusers installed (the extra "benchmark"), also the network of the glyffuser
    article, a U-Net of our size and two autoencoders, all in the same run.

    About five minutes on two idle cores, or two minutes:

        python scripts/benchmark.py

        python scripts/benchmark.py --quick --out today

    The table is in benchmark.md, and every number in benchmark.json.
    """
    check_device(device)
    check_model(model)
    target = output_folder(out, "benchmark", overwrite)
    pipe = load_pipeline(model, device)
    skipped = why_no_diffusers()
    if skipped:
        print(f"without references: {skipped}", flush=True)
    start = time.perf_counter()
    rows = whole_process(model, pipe.device)
    parts = drawing, one_call, codecs, training
    with progress_bar("measuring", len(parts)) as progress, torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        for part in parts:
            rows += part(pipe, 1 if quick else 3, not skipped)
            progress(1)
    text = f"{markdown(rows)}\n\n{machine(pipe.device)}"
    names = "what", "ours", "reference", "unit"
    found = [dict(zip(names, row, strict=True)) for row in rows]
    write_text(target / "benchmark.json", json.dumps(found, indent=2) + "\n")
    write_text(target / "benchmark.md", text + "\n")
    print(f"{text}\nwrote {target}/benchmark.json, .md in {time.perf_counter() - start:.0f} s")


# ---- what is measured ----------------------------------------------------------------------------


def compare(calls: Calls, turns: int) -> dict[str, float]:
    """The median time of each call in seconds, by its name.

    They take turns, so that a temporary slowdown of the machine affects all of them.
    """
    threads = torch.get_num_threads()
    timers = {
        name: Timer("call()", globals={"call": call}, num_threads=threads)
        for name, call in calls.items()
    }
    runs = {name: [] for name in calls}
    for _ in range(turns):
        for name, timer in timers.items():
            runs[name].append(timer.blocked_autorange(min_run_time=SECONDS))
    return {name: Measurement.merge(each)[0].median for name, each in runs.items()}


def whole_process(model: Path, device: torch.device) -> list[Row]:
    """Sixteen glyphs by generate.py: the time of the whole process, and its peak memory.

    The system counts this process into that peak, but it takes less than a drawing does.
    """
    script = Path(__file__).with_name("generate.py")
    options = "--count", GLYPHS, "--model", model.resolve(), "--device", device
    command = [str(part) for part in (sys.executable, script, "gold", *options)]
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - start
    if done.returncode:
        raise ValueError(f"generate.py failed: {done.stderr.strip()}")
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    megabytes = peak / (1e6 if sys.platform == "darwin" else 1e6 / 1024)
    what = "sixteen glyphs by `generate.py`"
    return [(f"{what}: all", seconds, None, "s"), (f"{what}: peak", megabytes, None, "MB")]


@torch.inference_mode()
def drawing(pipe: GlyphPipeline, turns: int, others: bool) -> list[Row]:
    """From words to pixels; for the article, its network alone, one glyph a step."""
    many = 64
    calls = {n: lambda n=n: pipe(["gold"] * n, batch_size=n) for n in (1, many)}
    if others:
        network = DiffusersUNet(**ARTICLE).eval().to(pipe.device)
        given = inputs(2, (1, 128, 128), 512, 8, pipe.device)
        calls["article"] = lambda: network(*given)
    found = compare(calls, turns)
    alone = ARTICLE_STEPS * found["article"] if others else None
    best = max(1 / found[1], many / found[many])
    return [
        ("a glyph alone, from words to pixels: the article's pipeline", found[1], alone, "s"),
        ("glyphs drawn: the article's pipeline", best, alone and 1 / alone, "/s"),
    ]


@torch.inference_mode()
def one_call(pipe: GlyphPipeline, turns: int, others: bool) -> list[Row]:
    """The parts of a call for sixteen glyphs, and the denoiser next to a U-Net of diffusers."""
    texts, seeds = ["gold"] * GLYPHS, list(range(GLYPHS))
    randn, times = pipe.randn(seeds), time_steps(STEPS)
    x, config = randn(), pipe.denoiser.config

    def sample(denoise: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
        return result(SAMPLERS[SAMPLER](denoise, x, pipe.process, times, randn))

    denoise = pipe.denoise(pipe.captions(texts, seeds))
    latents = sample(denoise)
    glyphs = pipe.decode(latents)
    given = inputs(2 * GLYPHS, x.shape[1:], config.text_width, 8, pipe.device)
    calls = {
        "captions and their embeddings": lambda: pipe.denoise(pipe.captions(texts, seeds)),
        "all guided steps": lambda: sample(denoise),
        "the sampler's own arithmetic in them": lambda: sample(lambda x_t, t: x_t),
        "decoding": lambda: pipe.decode(latents),
        "ours": lambda: pipe.denoiser(*given),
    }
    if pipe.recognizer is not None:
        calls["looking for what exists"] = lambda: pipe.match(glyphs)
    if others and isinstance(pipe.denoiser, UNet):
        network = like_ours(config).eval().to(pipe.device)
        calls["reference"] = lambda: network(*given)
    found = compare(calls, turns)
    ours, reference = found.pop("ours"), found.pop("reference", None)
    rows = [(f"sixteen glyphs: {name}", seconds, None, "s") for name, seconds in found.items()]
    what = "denoising sixteen glyphs, guided: a U-Net of diffusers of the same widths"
    return [*rows, (what, ours, reference, "s")]


@torch.inference_mode()
def codecs(pipe: GlyphPipeline, turns: int, others: bool) -> list[Row]:
    """Encoding and decoding a glyph, in batches of four, next to Stable Diffusion's and TAESD."""
    ours, size = pipe.autoencoder, pipe.autoencoder.config.image_size
    glyphs = torch.rand(4, 1, size, size).to(pipe.device)
    calls = {"ours": lambda: ours.decode(ours.encode(glyphs))}
    if others:
        from diffusers import AutoencoderKL, AutoencoderTiny

        colours = 2 * glyphs.repeat(1, 3, 1, 1) - 1  # (B, 3, H, W)
        kl = AutoencoderKL(**AUTOENCODER_KL).eval().to(pipe.device)
        tiny = AutoencoderTiny().eval().to(pipe.device)
        calls["AutoencoderKL"] = lambda: kl.decode(kl.encode(colours).latent_dist.mode())
        calls["AutoencoderTiny"] = lambda: tiny.decode(tiny.encode(colours).latents)
    found = {name: seconds / len(glyphs) for name, seconds in compare(calls, turns).items()}
    what, ours = "encoding and decoding a glyph", found.pop("ours")
    rows = [(f"{what}: `{name}`", ours, reference, "s") for name, reference in found.items()]
    return rows or [(what, ours, None, "s")]


def training(pipe: GlyphPipeline, turns: int, others: bool) -> list[Row]:
    """Training samples a second; the reference networks with AdamW."""
    config = pipe.denoiser.config
    shape = config.latent_channels, config.latent_size, config.latent_size
    latents = inputs(128, shape, config.text_width, 24, pipe.device)
    pixels = inputs(2, (1, 128, 128), 512, 24, pipe.device)
    muon, adamw = deepcopy(pipe.denoiser), deepcopy(pipe.denoiser)
    calls = {
        "autoencoder": autoencoder_step(pipe, 32),
        "muon": step(muon, latents, Muon(muon.hidden_matrices(), muon.parameters())),
        "adamw": step(adamw, latents),
    }
    if others:
        calls["article"] = step(DiffusersUNet(**ARTICLE).to(pipe.device), pixels)
        if isinstance(pipe.denoiser, UNet):
            calls["diffusers"] = step(like_ours(config).to(pipe.device), latents)
    samples = {"autoencoder": 32, "article": len(pixels[0])}
    rates = {
        name: samples.get(name, len(latents[0])) / seconds
        for name, seconds in compare(calls, turns).items()
    }
    what = "training samples of the denoiser, with AdamW"
    return [
        ("training samples of the autoencoder", rates["autoencoder"], None, "/s"),
        ("training samples of the denoiser, with Muon", rates["muon"], None, "/s"),
        (f"{what}: the article's U-Net", rates["adamw"], rates.get("article"), "/s"),
        (f"{what}: a U-Net of diffusers", rates["adamw"], rates.get("diffusers"), "/s"),
    ]


# ---- networks and their inputs -------------------------------------------------------------------


def inputs(
    batch: int, shape: tuple[int, ...], width: int, tokens: int, device: torch.device
) -> tuple[Tensor, Tensor, Condition]:
    """Latents or pixels, times and words, as a denoiser is called with them."""
    words = torch.randn(batch, tokens, width), torch.ones(batch, tokens).bool()
    x_t, t = torch.randn(batch, *shape).to(device), torch.rand(batch).to(device)
    return x_t, t, Condition(*(each.to(device) for each in words))


def step(
    network: nn.Module,
    given: tuple[Tensor, Tensor, Condition],
    optimizer: torch.optim.Optimizer | None = None,
) -> Callable[[], object]:
    """A step of a denoiser's training; by default with AdamW."""
    x_0, t, condition = given
    noise, process = torch.randn_like(x_0), PROCESSES["flow"]
    network.train()
    optimizer = optimizer or torch.optim.AdamW(network.parameters())

    def call() -> None:
        optimizer.zero_grad()
        loss = denoising_loss(network, process, "velocity", x_0, condition, t, noise)
        loss.mean().backward()
        optimizer.step()

    return call


def autoencoder_step(pipe: GlyphPipeline, batch: int) -> Callable[[], object]:
    """A step of the autoencoder's training, with the perceptual term that needs no network."""
    network, size = deepcopy(pipe.autoencoder).train(), pipe.autoencoder.config.image_size
    glyphs = torch.rand(batch, 1, size, size).to(pipe.device)
    optimizer = Muon(pointwise(network), network.parameters())
    terms, edges = LossConfig(perceptual="edges"), perceptual_loss("edges")

    def call() -> None:
        optimizer.zero_grad()
        mean, logvar = network.encode_raw(glyphs)
        z = mean + (0.5 * logvar).exp() * torch.randn_like(mean)
        autoencoder_loss(network.decode_raw(z), glyphs, mean, logvar, terms, edges)[0].backward()
        optimizer.step()

    return call


class DiffusersUNet(nn.Module):
    """A conditional U-Net of diffusers with the interface of our denoisers."""

    def __init__(self, **settings: object) -> None:
        from diffusers import UNet2DConditionModel

        super().__init__()
        self.network = UNet2DConditionModel(**settings)

    def forward(self, x_t: Tensor, t: Tensor, condition: Condition) -> Tensor:
        words, mask, _ = condition
        return self.network(x_t, 1000 * t, words, encoder_attention_mask=mask).sample


def like_ours(config: UNetConfig) -> DiffusersUNet:
    """The counterpart of our U-Net: Stable Diffusion's at the same widths, a quarter larger.

    Its way up has one block more at each resolution than its way down, so it gets one less.
    """
    levels = len(config.widths)
    return DiffusersUNet(
        sample_size=config.latent_size,
        in_channels=config.latent_channels,
        out_channels=config.latent_channels,
        block_out_channels=config.widths,
        layers_per_block=max(1, config.blocks - 1),
        down_block_types=("CrossAttnDownBlock2D",) * levels,
        up_block_types=("CrossAttnUpBlock2D",) * levels,
        cross_attention_dim=config.text_width,
        # diffusers takes the number of heads here, whatever the name says.
        attention_head_dim=tuple(width // config.head_width for width in config.widths),
        norm_num_groups=GROUPS,
    )


def why_no_diffusers() -> str | None:
    """None where diffusers can be used; else why not and what to do, in one line."""
    try:
        from diffusers import AutoencoderKL, UNet2DConditionModel  # noqa: F401
    except ModuleNotFoundError as error:
        return f"{error.name} is not installed: {EXTRA}"
    except (ImportError, RuntimeError) as error:
        return f"diffusers does not load ({str(error).strip().splitlines()[0]}): {EXTRA}"
    return None


# ---- the table -----------------------------------------------------------------------------------


def markdown(rows: list[Row]) -> str:
    """The table; where there is a reference, with how the times compare."""
    lines = ["| what | ours | reference | the reference is |", "| --- | ---: | ---: | ---: |"]
    for what, ours, reference, unit in rows:
        cells = [what, number(ours, unit), "", ""]
        if reference is not None:
            slower = ours / reference if unit == "/s" else reference / ours
            times = f"{number(max(slower, 1 / slower))} × {'slower' if slower > 1 else 'faster'}"
            cells[2:] = [number(reference, unit), times]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def number(value: float, unit: str = "") -> str:
    """Three significant digits, and seconds in the unit that suits them."""
    if unit == "s" and not 1 <= value < 120:
        value, unit = (1000 * value, "ms") if value < 1 else (value / 60, "min")
    text = f"{value:,.0f}" if value >= 100 else f"{value:#.3g}"
    return f"{text} a second" if unit == "/s" else f"{text} {unit}".strip()


def machine(device: torch.device) -> str:
    """What the figures depend on, in one line."""
    about, cpuinfo = platform.machine(), Path("/proc/cpuinfo")
    if device.type == "cuda":
        about = torch.cuda.get_device_name(device)
    elif cpuinfo.is_file() and "model name" in (text := cpuinfo.read_text()):
        about = text.partition("model name")[2].partition(":")[2].partition("\n")[0].strip()
    threads, python = torch.get_num_threads(), platform.python_version()
    return f"{about}, {threads} threads, Python {python}, PyTorch {torch.__version__}, float32."


if __name__ == "__main__":
    run(main)
