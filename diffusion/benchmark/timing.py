"""Clocks and counters: what a call takes of time, memory and arithmetic, and on which machine."""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode, conv_flop_count

PRODUCTS = 8  # of matrices in one timed call, which takes most of a second at 200 GFLOP/s


def timed(call: Callable[[], object], device: torch.device) -> float:
    """Seconds that a call takes, with what it left running on the device."""
    synchronize(device)
    start = time.perf_counter()
    call()
    synchronize(device)
    return time.perf_counter() - start


def synchronize(device: torch.device) -> None:
    """Waits until the device has done all that was asked of it."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def side_by_side(
    calls: dict[str, Callable[[], object]], repeats: int, device: torch.device, warmups: int = 1
) -> dict[str, float]:
    """The median time of each call, in seconds, by its name.

    They take turns, so that whatever slows the machine for a while slows all of them.
    """
    times = {name: [] for name in calls}
    for turn in range(warmups + repeats):
        for name, call in calls.items():
            seconds = timed(call, device)
            if turn >= warmups:
                times[name].append(seconds)
    return {name: statistics.median(each) for name, each in times.items()}


def convolution_backward_flops(
    grad_shape, x_shape, w_shape, bias, stride, padding, dilation, transposed, *rest, **options
) -> int:
    """Each gradient of a convolution costs what the convolution does.

    PyTorch's own formula takes a depthwise one for dense in the gradient of its weight.
    """
    *_, (for_x, for_w, _) = rest
    return (for_x + for_w) * conv_flop_count(x_shape, w_shape, grad_shape, transposed)


def count_flops(call: Callable[[], object]) -> int:
    """Floating-point operations of the matrix products and convolutions of a call."""
    formulas = {torch.ops.aten.convolution_backward: convolution_backward_flops}
    counter = FlopCounterMode(display=False, custom_mapping=formulas)
    # A CPU's fused attention is not in the counter's table; as plain products it is.
    with counter, sdpa_kernel(SDPBackend.MATH):
        call()
    return counter.get_total_flops()


def random(seed: int, *shape: int, device: torch.device | str = "cpu") -> Tensor:
    """Standard normal numbers of a seed."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(device)


def matmul(size: int, device: torch.device) -> Callable[[], None]:
    """A call that multiplies two square float32 matrices `PRODUCTS` times."""
    a, b = random(0, size, size, device=device), random(1, size, size, device=device)

    def products() -> None:
        for _ in range(PRODUCTS):
            a @ b

    return products


def matmul_rate(size: int, device: torch.device) -> float:
    """FLOP/s of matrix products, in a second or two."""
    return PRODUCTS * 2 * size**3 / side_by_side({"": matmul(size, device)}, 1, device)[""]


def untrained(make: Callable[[], nn.Module], device: torch.device) -> nn.Module:
    """A network with the weights it is born with; the global random state stays as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        return make().to(device).eval()


def parameters(*networks: nn.Module) -> int:
    """How many numbers they have learnt, or could."""
    return sum(p.numel() for network in networks for p in network.parameters())


def run_process(command: list[str], folder: str | Path) -> dict[str, float]:
    """Runs a command in a folder; returns its `seconds` and its peak memory, `peak_mb`.

    A small process in between starts it and waits, since the peak that a system reports for a
    process includes that of the one it was forked from. Raises ValueError, with the last line it
    printed, for a command that fails.
    """
    watch = """
import json, resource, subprocess, sys, time
start = time.perf_counter()
run = subprocess.run(sys.argv[1:], capture_output=True, text=True)
seconds = time.perf_counter() - start
unit = 1e6 if sys.platform == "darwin" else 1e6 / 1024
peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / unit
print(json.dumps([run.returncode, run.stderr, seconds, peak]))
"""
    watcher = [sys.executable, "-c", watch, *command]
    run = subprocess.run(watcher, capture_output=True, text=True, cwd=folder, check=True)
    code, said, seconds, peak = json.loads(run.stdout)
    if code:
        last = (said.strip().splitlines() or ["no message"])[-1]
        raise ValueError(f"{Path(command[1]).name} failed: {last.removeprefix('error: ')}")
    return {"seconds": seconds, "peak_mb": peak}


def machine(device: torch.device) -> dict[str, object]:
    """What the numbers depend on; `gpu` is None where none is used."""
    pages = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "processor": processor(),
        "logical_cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "memory_gb": pages / 1e9,
        "load_1_min": os.getloadavg()[0],
        "gpu": torch.cuda.get_device_name(device) if device.type == "cuda" else None,
        "device": str(device),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "torch": torch.__version__,
    }


def processor() -> str:
    """The processor's name."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return next(iter(names), "") or platform.processor() or platform.machine()
