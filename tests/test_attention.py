"""Attention against an explicit softmax in float64."""

import sys
from types import SimpleNamespace

import pytest
import torch

from diffusion.networks.layers import attention, set_backend


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


# ---- xFormers ------------------------------------------------------------------------------------


@pytest.fixture
def backend():
    """`set_backend`, and what it was before is put back."""
    yield set_backend
    set_backend("sdpa")


@pytest.fixture
def stand_in(monkeypatch):
    """A module in the place of xFormers that holds what it asks of its bias and computes the same.

    It says nothing about xFormers' own kernels: for those there is the test on CUDA below.
    """

    def memory_efficient_attention(q, k, v, attn_bias=None):
        assert q.dtype == k.dtype == v.dtype
        scores = torch.einsum("blhc,bnhc->bhln", q, k) / q.shape[-1] ** 0.5
        if attn_bias is not None:
            assert attn_bias.shape == scores.shape
            assert attn_bias.dtype == q.dtype
            assert all(stride % 8 == 0 for stride in attn_bias.stride()[:-1])
            scores = scores + attn_bias
        return torch.einsum("bhln,bnhc->blhc", scores.softmax(-1), v)

    ops = SimpleNamespace(memory_efficient_attention=memory_efficient_attention)
    monkeypatch.setitem(sys.modules, "xformers", SimpleNamespace(ops=ops))
    monkeypatch.setitem(sys.modules, "xformers.ops", ops)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)


@pytest.mark.parametrize("mask", [None, MASK])
def test_the_mask_means_the_same_to_xformers(inputs, mask, stand_in, backend):
    truth = attention(*inputs, mask)
    backend("xformers")
    found = attention(*inputs, mask)
    torch.testing.assert_close(found, truth, atol=1e-6, rtol=1e-5)
    q, k, v = inputs  # as autocast hands them over, the norms' output wider than the values
    assert attention(q, k, v.bfloat16(), mask).dtype == torch.bfloat16


def test_another_backend_or_one_that_is_not_there_is_refused(monkeypatch, backend):
    with pytest.raises(ValueError, match='no attention "flash": there are sdpa, xformers'):
        backend("flash")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ValueError, match="needs a CUDA device"):
        backend("xformers")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setitem(sys.modules, "xformers", None)
    with pytest.raises(ValueError, match="pip install xformers"):
        backend("xformers")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="xFormers needs CUDA: no device here")
@pytest.mark.parametrize("mask", [None, MASK])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_xformers_equals_sdpa_on_cuda(inputs, mask, dtype, backend):
    pytest.importorskip("xformers.ops", reason="xFormers is not installed")
    q, k, v = (x.to("cuda", dtype) for x in inputs)
    mask = None if mask is None else mask.cuda()
    truth = attention(q, k, v, mask)
    backend("xformers")
    tolerance = 1e-5 if dtype == torch.float32 else 2e-3
    torch.testing.assert_close(attention(q, k, v, mask), truth, atol=tolerance, rtol=tolerance)
