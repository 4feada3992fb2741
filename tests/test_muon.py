"""Muon against a decomposition, a hand-written step, and PyTorch's AdamW."""

from copy import deepcopy

import pytest
import torch
from torch import nn

from autoencoder.optim import Muon, muon_dtype, orthogonalize, trapezoid


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def matrix(rows, columns, lowest, seed=0):
    """A matrix whose singular values fall evenly from 1 to `lowest`."""
    u, _, vh = torch.linalg.svd(random(rows, columns, seed=seed), full_matrices=False)
    return u * torch.linspace(1, lowest, min(rows, columns)) @ vh


@pytest.mark.parametrize("shape", [(24, 24), (64, 16), (16, 64)])
@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_singular_values_come_near_one_and_directions_stay(shape, scale):
    matrices = torch.stack([matrix(*shape, 0.05, seed) for seed in range(3)])
    result = orthogonalize(scale * matrices)
    assert result.shape == matrices.shape
    values = torch.linalg.svdvals(result)
    assert 0.6 < values.min() < values.max() < 1.3
    u, _, vh = torch.linalg.svd(matrices, full_matrices=False)
    inside = u.mT @ result @ vh.mT  # diagonal where the singular vectors are the same
    off_diagonal = inside - torch.diag_embed(inside.diagonal(dim1=1, dim2=2))
    assert off_diagonal.abs().max() < 1e-3
    assert torch.linalg.matrix_norm(result - u @ vh, 2).max() < 0.4


def test_nothing_in_gives_nothing_out():
    assert not orthogonalize(torch.zeros(2, 8, 4)).any()


def test_matrices_in_a_stack_do_not_touch_each_other():
    matrices = torch.stack([matrix(12, 20, 0.1, seed) for seed in range(4)])
    alone = torch.cat([orthogonalize(one[None]) for one in matrices])
    torch.testing.assert_close(orthogonalize(matrices), alone, atol=1e-5, rtol=1e-5)


def test_bfloat16_orthogonalises_as_float32_does_within_its_precision():
    matrices = torch.stack([matrix(16, 48, 0.2, seed) for seed in range(3)])
    fast = orthogonalize(matrices, dtype=torch.bfloat16)
    assert fast.dtype == torch.float32
    torch.testing.assert_close(fast, orthogonalize(matrices), atol=0.05, rtol=0)
    assert [muon_dtype(p) for p in ("bf16-mixed", "bf16-true", "32-true")] == [
        torch.bfloat16, torch.bfloat16, torch.float32,
    ]  # fmt: skip


def test_a_convolution_is_trained_as_the_matrix_that_it_is():
    flat = nn.Parameter(random(6, 20))
    kernel = nn.Parameter(flat.detach().reshape(6, 5, 2, 2).clone())
    flat.grad = random(6, 20, seed=1)
    kernel.grad = flat.grad.reshape(6, 5, 2, 2).clone()
    for weight in (flat, kernel):
        Muon([weight], [], lr=0.1).step()
    torch.testing.assert_close(kernel.detach().flatten(1), flat.detach())


def newton_schulz(m):
    x = m / m.norm()
    for _ in range(5):
        x = 3.4445 * x - 4.7750 * (x @ x.T @ x) + 2.0315 * (x @ x.T @ x @ x.T @ x)
    return x


def test_steps_are_those_of_a_hand_written_muon():
    """Momentum 0.95 with a look ahead, the update as long as AdamW's, weight decay decoupled."""
    shapes = [(12, 20), (12, 20), (20, 12)]
    weights = [nn.Parameter(random(*s, seed=i)) for i, s in enumerate(shapes)]
    expected = [w.detach().clone() for w in weights]
    momentum = [torch.zeros(s) for s in shapes]
    optimizer = Muon(weights, [], lr=0.01, weight_decay=0.1)
    for step in range(3):
        for i, (weight, shape) in enumerate(zip(weights, shapes, strict=True)):
            weight.grad = g = random(*shape, seed=100 * step + i)
            momentum[i] = 0.95 * momentum[i] + 0.05 * g
            update = newton_schulz(0.05 * g + 0.95 * momentum[i])
            decayed = (1 - 0.01 * 0.1) * expected[i]
            expected[i] = decayed - 0.01 * 0.2 * 20**0.5 * update
        optimizer.step()
        for weight, truth in zip(weights, expected, strict=True):
            torch.testing.assert_close(weight.detach(), truth, atol=2e-5, rtol=0)


def test_an_update_is_as_long_as_adamws():
    weight = nn.Parameter(torch.zeros(64, 256))
    weight.grad = matrix(64, 256, 0.3)
    Muon([weight], [], lr=1.0).step()
    assert weight.detach().square().mean().sqrt() == pytest.approx(0.2, rel=0.2)


def test_the_rest_is_torchs_adamw():
    shapes = [(7,), (3, 5), (2, 3, 4)]
    ours = [nn.Parameter(random(*s, seed=i)) for i, s in enumerate(shapes)]
    theirs = [nn.Parameter(w.detach().clone()) for w in ours]
    optimizer = Muon([], ours, adam_lr=0.01, betas=(0.9, 0.99), weight_decay=0.5)
    vectors, matrices = {"params": theirs[:1], "weight_decay": 0}, {"params": theirs[1:]}
    reference = torch.optim.AdamW([vectors, matrices], 0.01, betas=(0.9, 0.99), weight_decay=0.5)
    for step in range(20):
        for i, (a, b) in enumerate(zip(ours, theirs, strict=True)):
            a.grad = 10.0 ** (i - 2) * random(*a.shape, seed=50 * step + i)
            b.grad = a.grad.clone()
        optimizer.step()
        reference.step()
        for a, b in zip(ours, theirs, strict=True):
            torch.testing.assert_close(a, b, atol=1e-6, rtol=0)


def test_rates_rise_stay_and_fall_and_need_neither_a_rise_nor_a_fall():
    assert [trapezoid(2, 1, 4)(step) for step in range(5)] == [0.5, 0.75, 0.5, 0.25, 0]
    assert [trapezoid(2, 0.5, 8)(step) for step in range(9)] == [
        0.5, 1, 1, 1, 1, 0.75, 0.5, 0.25, 0,
    ]  # fmt: skip
    assert [trapezoid(0, 1, 2)(step) for step in range(3)] == [1, 0.5, 0]
    assert [trapezoid(0, 0, 2)(step) for step in range(3)] == [1, 1, 1]
    assert trapezoid(0, 0.5, 0)(0) == 1  # a trainer of no steps asks once


def test_a_schedule_scales_both_rates_and_a_saved_state_goes_on_the_same():
    def start():
        weights = nn.Parameter(random(6, 9)), nn.Parameter(random(6, seed=1))
        return weights, Muon([weights[0]], [weights[1]], lr=0.03, adam_lr=0.02)

    def step(weights, optimizer, seed):
        for weight in weights:
            weight.grad = random(*weight.shape, seed=seed)
        optimizer.step()

    weights, optimizer = start()
    torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 0.5)
    assert [group["lr"] for group in optimizer.param_groups] == [0.015, 0.01]
    step(weights, optimizer, 2)
    again, resumed = start()
    for old, new in zip(weights, again, strict=True):
        new.data.copy_(old.data)
    resumed.load_state_dict(deepcopy(optimizer.state_dict()))
    step(weights, optimizer, 3)
    step(again, resumed, 3)
    assert all(a.equal(b) for a, b in zip(weights, again, strict=True))


def test_weights_without_a_gradient_stay():
    idle, moved = nn.Parameter(random(4, 4)), nn.Parameter(random(4, 4))
    moved.grad = random(4, 4, seed=3)
    before = idle.detach().clone()
    loss = Muon([idle, moved], []).step(lambda: 7.0)
    assert loss == 7.0
    assert idle.equal(before)
    assert not moved.equal(before)
