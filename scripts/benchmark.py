"""Measure how fast everything is on this machine, beside the pipelines and networks of others."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Annotated

import typer
from _cli import check_device, check_writable, load_pipeline, progress_bar, run, write_text
from _options import Device, Model

from diffusion.request import BUNDLED, check_model


def main(
    out: Annotated[Path, typer.Option(help="Folder for benchmark.json and benchmark.md.")] = Path(
        "benchmark"
    ),
    model: Model = BUNDLED,
    quick: Annotated[
        bool,
        typer.Option("--quick", help="Fewer measurements, in less than half the time."),
    ] = False,
    device: Device = "cpu",
) -> None:
    """Measure how fast everything is on this machine, beside others.

    The start of generate.py and its memory, drawing, encoding, decoding, and a
    step of each training. With diffusers installed (the extra "benchmark"), also
    the pipeline of the glyffuser article, a denoiser of the same kind and two
    autoencoders, all in the same run.

    About five minutes on two idle cores, or two minutes:

        python scripts/benchmark.py

        python scripts/benchmark.py --quick --out today

    The tables are in benchmark.md, and every number in benchmark.json, with its
    unit in its name.
    """
    check_device(device)
    check_writable(out, folder=True)
    check_model(model)
    pipe = load_pipeline(model, device)

    # Imported late: torch takes seconds, which an error above need not wait for.
    from diffusion import benchmark as bench

    start = time.perf_counter()
    plan = bench.QUICK if quick else bench.FULL
    rate = bench.matmul_rate(plan.matrix, pipe.device)
    skipped = bench.why_no_diffusers()
    if skipped:
        print(f"without others: {skipped}", flush=True)
    minutes = plan.expected_s(rate, others=not skipped) / 60
    print(f"takes about {minutes:.0f} min, at {rate / 1e9:.0f} GFLOP/s", flush=True)

    script = [sys.executable, str(Path(__file__).with_name("generate.py"))]
    draw = ["gold", "--count", "16", "--model", str(model.resolve()), "--device", str(pipe.device)]
    commands = [*script, *draw], [*script, "--help"]
    with progress_bar("measuring", 1) as progress:
        results = bench.benchmark(pipe, plan, *commands, skipped, progress)
    out.mkdir(parents=True, exist_ok=True)
    write_text(out / "benchmark.json", json.dumps(results, indent=2) + "\n")
    write_text(out / "benchmark.md", bench.markdown(results))
    print(f"wrote {out}/benchmark.json, .md in {time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    run(main)
