"""What is timed and counted adds up, however fast the machine is."""

import os
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from autoencoder import Autoencoder
from diffusion.benchmark import timing
from diffusion.benchmark.timing import (
    PRODUCTS,
    count_flops,
    machine,
    matmul_rate,
    run_process,
    side_by_side,
    untrained,
)

CPU = torch.device("cpu")


def test_calls_take_turns_warmed_up_and_as_often_as_asked():
    called = []
    calls = {name: lambda name=name: called.append(name) for name in "ab"}
    times = side_by_side(calls, repeats=3, device=CPU, warmups=2)
    assert called == list("ab") * 5
    assert set(times) == {"a", "b"}


def test_a_time_is_the_median_of_what_came_after_the_warm_up(monkeypatch):
    times = iter([1000.0, 5.0, 1.0, 30.0])
    monkeypatch.setattr(timing, "timed", lambda call, device: next(times))
    assert side_by_side({"a": None}, repeats=3, device=CPU) == {"a": 5}


def test_the_rate_is_operations_by_time(monkeypatch):
    monkeypatch.setattr(timing, "timed", lambda call, device: call() or 0.5)
    assert matmul_rate(10, CPU) == PRODUCTS * 2 * 10**3 / 0.5


def test_operations_are_counted_forwards_and_backwards():
    x = torch.randn(5, 7)
    layer = nn.Linear(7, 3)
    assert count_flops(lambda: x @ torch.randn(7, 3)) == 2 * 5 * 7 * 3
    # Backwards only to the weight, for nothing before the layer learns.
    assert count_flops(lambda: layer(x).sum().backward()) == 2 * 2 * 5 * 7 * 3
    convolution = nn.Conv2d(2, 4, 3, padding=1)
    images = torch.randn(1, 2, 8, 8)
    assert count_flops(lambda: convolution(images)) == 2 * 8 * 8 * 4 * 2 * 9


@pytest.mark.parametrize("groups", [1, 2, 8])
@pytest.mark.parametrize("kind", [nn.Conv2d, nn.ConvTranspose2d])
def test_gradients_of_a_convolution_cost_what_it_does(kind, groups):
    convolution = kind(8, 8, 3, padding=1, groups=groups)
    images = torch.randn(2, 8, 6, 6, requires_grad=True)
    forward = count_flops(lambda: convolution(images))
    assert forward == 2 * (2 * 6 * 6 * 8 * 8 // groups * 9)
    assert count_flops(lambda: convolution(images).sum().backward()) == 3 * forward
    convolution.requires_grad_(False)
    assert count_flops(lambda: convolution(images).sum().backward()) == 2 * forward


def test_attention_is_counted_on_a_cpu_too():
    q = torch.randn(1, 2, 16, 8)  # (batch, heads, tokens, features)
    flops = count_flops(lambda: nn.functional.scaled_dot_product_attention(q, q, q))
    assert flops == 2 * (2 * 2 * 16 * 16 * 8)


@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux how large this process is")
def test_a_process_is_measured_and_not_the_one_that_started_it(tmp_path):
    here = int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) / 1024
    run = run_process([sys.executable, "-c", "x = b'1' * 100_000_000"], tmp_path)
    assert 100 < run["peak_mb"] < 150 < here  # torch is in this one
    assert 0 < run["seconds"] < 60


def test_a_process_that_fails_says_why(tmp_path):
    script = tmp_path / "broken.py"
    script.write_text("import sys; print('first', file=sys.stderr); sys.exit('error: no ink')")
    with pytest.raises(ValueError, match=r"^broken.py failed: no ink$"):
        run_process([sys.executable, str(script)], tmp_path)


def test_the_machine_is_described():
    about = machine(CPU)
    assert about["threads"] == torch.get_num_threads()
    assert about["logical_cores"] == os.cpu_count()
    assert about["torch"] == torch.__version__
    assert about["gpu"] is None
    assert all(about[key] for key in ("processor", "system", "python", "memory_gb"))


def test_networks_are_the_same_every_time_and_chance_is_left_alone():
    state = torch.get_rng_state()
    first, second = (untrained(Autoencoder, CPU) for _ in range(2))
    assert all(a.equal(b) for a, b in zip(first.parameters(), second.parameters(), strict=True))
    assert torch.get_rng_state().equal(state)
