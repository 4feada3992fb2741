"""What a denoiser is told: rows of it, padding, and two of them as one."""

from dataclasses import replace
from itertools import product

import pytest
import torch
from conftest import DENOISER, UNET, make_denoiser

from diffusion.condition import Condition, as_sketch
from diffusion.networks.base import row_by_row


@pytest.fixture
def sketched(inputs):
    """Words and sketches of three latents, the second of which has none."""
    latents = torch.randn(3, 4, 8, 8, generator=torch.Generator().manual_seed(5))
    return inputs[2]._replace(sketch=as_sketch(latents, torch.tensor([True, False, True])))


def same(a, b):
    return all((x is None and y is None) or x.equal(y) for x, y in zip(a, b, strict=True))


def test_a_sketch_is_latents_and_whether_they_are_there(sketched):
    latents = torch.randn(3, 4, 8, 8, generator=torch.Generator().manual_seed(5))
    assert sketched.sketch[[0, 2], :4].equal(latents[[0, 2]])
    assert sketched.sketch[:, 4].mean((1, 2)).tolist() == [1, 0, 1]
    assert not sketched.sketch[1].any()
    assert as_sketch(latents)[:, 4].all()


def test_rows_are_of_all_that_is_told(sketched):
    embedding, mask, sketch = sketched
    assert same(sketched.rows([2, 0, 2]), [each[[2, 0, 2]] for each in sketched])
    assert same(sketched.rows(slice(1)), [embedding[:1], mask[:1], sketch[:1]])
    assert same(
        Condition(embedding, mask).rows(torch.tensor([1])), [embedding[1:2], mask[1:2], None]
    )


def test_two_joined_are_each_of_them_again(sketched):
    short = sketched.rows([0, 1]).of_length(3)  # the rest is padding
    both = short.joined(sketched)
    assert both.mask.shape == (5, 5) and both.mask.sum() == sketched.mask.sum() + 4
    assert same(both.rows([2, 3, 4]), sketched)
    assert same(both.rows([0, 1]).of_length(3), short)
    assert same(sketched.joined(short).rows([3, 4]).of_length(3), short)


@torch.no_grad()
@pytest.mark.parametrize("config", [DENOISER, UNET], ids=["dit", "unet"])
def test_padding_never_changes_a_result(config, inputs):
    x_t, t, words = inputs
    model = make_denoiser(config=config)
    alone = [model(x_t[[i]], t[[i]], words.rows([i]).of_length(n)) for i, n in enumerate((1, 3, 5))]
    alone = torch.cat(alone)
    for tokens in (5, 8, 13):
        found = model(x_t, t, words.of_length(tokens))
        torch.testing.assert_close(found, alone, atol=1e-5, rtol=0)
    away = words.rows([0, 0, 0]).of_length(1)
    both = model(torch.cat([x_t, x_t]), torch.cat([t, t]), words.joined(away))
    torch.testing.assert_close(both[:3], alone, atol=1e-5, rtol=0)
    torch.testing.assert_close(both[3:], model(x_t, t, away), atol=1e-5, rtol=0)


@torch.no_grad()
def test_in_batches_of_one_shape_neither_padding_nor_company_changes_a_bit(inputs, sketched):
    x_t, t, _ = inputs
    network = row_by_row(make_denoiser(config=replace(UNET, sketch=True)), 4)
    whole = network(x_t, t, sketched)
    for tokens, i in product((5, 8, 20), range(3)):
        own = sketched.rows([i]).of_length(tokens)
        assert network(x_t[[i]], t[[i]], own).equal(whole[[i]])
