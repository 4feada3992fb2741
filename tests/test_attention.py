"""Attention against an explicit softmax in float64."""

import pytest
import torch

from diffusion.attention import attention


def explicit(q, k, v, mask=None):
    scores = torch.einsum("blhc,bnhc->bhln", q, k) / q.shape[-1] ** 0.5
    if mask is not None:
        scores = scores.masked_fill(~mask[:, None, None, :], -torch.inf)
    return torch.einsum("bhln,bnhc->blhc", scores.softmax(-1), v)


@pytest.fixture
def inputs():
    generator = torch.Generator().manual_seed(0)
    q = torch.randn(3, 7, 2, 8, generator=generator)
    k, v = torch.randn(2, 3, 5, 2, 8, generator=generator)
    return q, k, v


MASK = torch.tensor([[1, 0, 0, 0, 0], [1, 1, 1, 0, 0], [0, 1, 0, 1, 1]]).bool()


@pytest.mark.parametrize("mask", [None, MASK, torch.ones_like(MASK)])
def test_it_is_softmax_attention(inputs, mask):
    truth = explicit(*(x.double() for x in inputs), mask)
    torch.testing.assert_close(attention(*inputs, mask).double(), truth, atol=1e-6, rtol=1e-5)


def test_one_real_key_is_copied(inputs):
    q, k, v = inputs
    out = attention(q, k, v, MASK)[0]  # every query of the first sample sees key 0 alone
    torch.testing.assert_close(out, v[0, :1].expand_as(out))


def test_masked_keys_and_values_never_matter(inputs):
    q, k, v = inputs
    before = attention(q, k, v, MASK)
    k[~MASK], v[~MASK] = 1e4, -1e4
    assert attention(q, k, v, MASK).equal(before)


def test_gradients_are_those_of_the_softmax(inputs):
    ours = [x.double().requires_grad_() for x in inputs]
    theirs = [x.double().requires_grad_() for x in inputs]
    attention(*ours, MASK).square().sum().backward()
    explicit(*theirs, MASK).square().sum().backward()
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a.grad, b.grad)
