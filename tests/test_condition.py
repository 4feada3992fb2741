"""What a denoiser is told: rows of it, padding, and two of them as one."""

from dataclasses import replace
from itertools import product

import pytest
import torch
from conftest import DENOISER, UNET, make_denoiser

from diffusion.condition import Condition
from diffusion.networks.base import row_by_row


@pytest.fixture
def leaping(inputs):
    """Words and leaps of three latents."""
    return inputs[2]._replace(leap=torch.tensor([[0.0, 1.0], [0.25, 2.0], [1.0, 8.0]]))


def same(a, b):
    return all((x is None and y is None) or x.equal(y) for x, y in zip(a, b, strict=True))


def test_rows_are_of_all_that_is_told(leaping):
    embedding, mask, leap = leaping
    assert same(leaping.rows([2, 0, 2]), [each[[2, 0, 2]] for each in leaping])
    assert same(leaping.rows(slice(1)), [embedding[:1], mask[:1], leap[:1]])
    assert same(
        Condition(embedding, mask).rows(torch.tensor([1])), [embedding[1:2], mask[1:2], None]
    )


def test_two_joined_are_each_of_them_again(leaping):
    short = leaping.rows([0, 1]).of_length(3)  # the rest is padding
    both = short.joined(leaping)
    assert both.mask.shape == (5, 5) and both.mask.sum() == leaping.mask.sum() + 4
    assert same(both.rows([2, 3, 4]), leaping)
    assert same(both.rows([0, 1]).of_length(3), short)
    assert same(leaping.joined(short).rows([3, 4]).of_length(3), short)
    plain = leaping._replace(leap=None)
    assert plain.joined(plain).leap is None


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
def test_in_batches_of_one_shape_neither_padding_nor_company_changes_a_bit(inputs, leaping):
    x_t, t, _ = inputs
    network = row_by_row(make_denoiser(config=replace(UNET, flow_map=True)), 4)
    whole = network(x_t, t, leaping)
    for tokens, i in product((5, 8, 20), range(3)):
        own = leaping.rows([i]).of_length(tokens)
        assert network(x_t[[i]], t[[i]], own).equal(whole[[i]])
