"""Guidance: what a scale, an interval and a conjunction mean."""

import pytest
import torch

from diffusion.condition import Condition
from diffusion.guidance import classifier_free, conditional
from diffusion.process import PROCESSES, x_0_predictor


@pytest.fixture
def predict(tiny_denoiser):
    return x_0_predictor(tiny_denoiser, PROCESSES["flow"], "velocity")


@pytest.fixture
def inputs():
    """Noisy latents, their times, three captions and three shorter ones to keep away from."""
    generator = torch.Generator().manual_seed(0)
    x_t = torch.randn(3, 4, 8, 8, generator=generator)
    t = torch.tensor([0.5, 0.5, 0.5])
    embedding, other = torch.randn(2, 3, 6, 16, generator=generator)
    words = Condition(embedding, torch.ones(3, 6, dtype=torch.bool))
    negative = Condition(other, torch.arange(6).expand(3, 6) < 2)
    return x_t, t, words, negative


@torch.no_grad()
def test_scale_one_is_the_conditional_and_scale_zero_the_other(predict, inputs):
    x_t, t, words, negative = inputs
    positive = conditional(predict, words)(x_t, t)
    away = conditional(predict, negative)(x_t, t)
    assert classifier_free(predict, words, negative, 1)(x_t, t).equal(positive)
    assert classifier_free(predict, words, negative, 0)(x_t, t).equal(away)
    assert (positive - away).abs().max() > 0.01


@torch.no_grad()
@pytest.mark.parametrize("scale", [-1.0, 0.5, 1.0001, 7.5])
def test_the_result_is_linear_in_the_scale(predict, inputs, scale):
    x_t, t, words, negative = inputs
    positive = conditional(predict, words)(x_t, t)
    away = conditional(predict, negative)(x_t, t)
    guided = classifier_free(predict, words, negative, scale)(x_t, t)
    torch.testing.assert_close(guided, away + scale * (positive - away), atol=1e-4, rtol=1e-4)


def test_one_call_of_the_network_a_step(predict, inputs):
    x_t, t, words, negative = inputs
    sizes = []

    def counted(x_t, *rest):
        sizes.append(len(x_t))
        return predict(x_t, *rest)

    for scale in (0.0, 1.0, 2.0):
        classifier_free(counted, words, negative, scale)(x_t, t)
    classifier_free(counted, words, negative, 2.0, owner=[0, 1, 2], interval=(0, 0.4))(x_t, t)
    classifier_free(counted, words, negative.rows([0, 1]), 2.0, [0, 1, 1])(x_t[:2], t[:2])
    assert sizes == [3, 3, 6, 3, 5]


@torch.no_grad()
def test_outside_the_interval_the_words_are_followed_plainly(predict, inputs):
    x_t, t, words, negative = inputs
    plain = conditional(predict, words)(x_t, t)
    guided = classifier_free(predict, words, negative, 3)(x_t, t)
    for interval, truth in (
        ((0.0, 1.0), guided),
        ((0.5, 0.5), guided),
        ((0.0, 0.5), guided),
        ((0.51, 1.0), plain),
        ((0.0, 0.49), plain),
    ):
        found = classifier_free(predict, words, negative, 3, interval=interval)(x_t, t)
        assert found.equal(truth)
    for end in (0.1, 0.6, 0.7, 0.9):  # ends that float32 rounds down, or up
        now = torch.full_like(t, end)
        found = classifier_free(predict, words, negative, 3, interval=(end, end))(x_t, now)
        assert not found.equal(conditional(predict, words)(x_t, now))
    for scale in (0.0, 3.0):  # to follow nothing is guidance too, and ends with the interval
        found = classifier_free(predict, words, negative, scale, interval=(0.6, 1))(x_t, t)
        assert found.equal(plain)


@torch.no_grad()
@pytest.mark.parametrize("scale", [-1.0, 0.0, 1.0, 3.0])
def test_a_conjunction_is_the_sum_of_what_each_part_leads_to(predict, inputs, scale):
    """Sample 0 of two parts, sample 1 of one, in any order."""
    x_t, t, words, negative = inputs
    x_t, t, negative = x_t[:2], t[:2], negative.rows([0, 1])
    away = conditional(predict, negative)(x_t, t)
    lead = [
        conditional(predict, words.rows([part]))(x_t[[i]], t[:1])[0] - away[i]
        for part, i in enumerate([0, 1, 0])
    ]
    truth = torch.stack([away[0] + scale * (lead[0] + lead[2]), away[1] + scale * lead[1]])
    found = classifier_free(predict, words, negative, scale, [0, 1, 0])(x_t, t)
    torch.testing.assert_close(found, truth, atol=1e-5, rtol=1e-4)
    turned = classifier_free(predict, words.rows([2, 1, 0]), negative, scale, [0, 1, 0])(x_t, t)
    torch.testing.assert_close(turned, found, atol=1e-5, rtol=1e-4)


@torch.no_grad()
@pytest.mark.parametrize("scale", [1.0, 3.0])
def test_weights_go_from_one_caption_over_to_another(predict, inputs, scale):
    x_t, t, words, negative = inputs
    parts = words.rows([0, 1, 0, 1, 0, 1])
    weights = [1.0, 0.0, 0.75, 0.25, 0.0, 1.0]
    found = classifier_free(predict, parts, negative, scale, [0, 0, 1, 1, 2, 2], weights)(x_t, t)
    first = classifier_free(predict, words.rows([0, 0, 0]), negative, scale)(x_t, t)
    second = classifier_free(predict, words.rows([1, 1, 1]), negative, scale)(x_t, t)
    truth = torch.stack([first[0], 0.75 * first[1] + 0.25 * second[1], second[2]])
    torch.testing.assert_close(found, truth, atol=1e-5, rtol=1e-4)


@torch.no_grad()
@pytest.mark.parametrize("scale", [0.0, 1.0, 3.0])
def test_a_conjunction_of_one_is_that_prompt(predict, inputs, scale):
    x_t, t, words, negative = inputs
    alone = classifier_free(predict, words, negative, scale)(x_t, t)
    assert classifier_free(predict, words, negative, scale, [0, 1, 2])(x_t, t).equal(alone)


@torch.no_grad()
@pytest.mark.parametrize("scale", [0.0, 1.0])
def test_beside_a_conjunction_scales_one_and_zero_are_still_exact(inputs, scale):
    """The weights are 0 and 1 and not nearly so; `x_t` itself stands for the model."""
    x_t, t, words, negative = inputs

    def predict(x_t, t, words):
        return x_t + words.embedding.sum((1, 2))[:, None, None, None]

    truth = conditional(predict, words if scale else negative)(x_t, t)[:2]
    parts = words.rows([0, 1, 2, 2])
    found = classifier_free(predict, parts, negative, scale, [0, 1, 2, 2])(x_t, t)
    assert found[:2].equal(truth)


def test_two_opposite_parts_cancel(inputs):
    x_t, t, words, negative = inputs
    word = words.embedding[:1]
    opposed = Condition(torch.cat([word, -word]), words.mask[:2])
    nothing = Condition(0 * word, negative.mask[:1])

    def predict(x_t, t, words):
        return words.embedding.sum((1, 2))[:, None, None, None].expand_as(x_t)

    found = classifier_free(predict, opposed, nothing, 3.0, [0, 0])(x_t[:1], t[:1])
    assert found.abs().max() < 1e-5


@torch.no_grad()
def test_a_conjunction_is_the_same_to_the_last_bit_in_a_crowd():
    """More than 64 rows, which two threads share, and often enough for them to get in step."""
    generator = torch.Generator().manual_seed(0)
    count, parts = 43, 3
    x_t = torch.randn(count, 8, 8, 8, generator=generator)
    t = torch.full((count,), 0.5)
    embedding = torch.randn(count * parts, 1, 8, generator=generator)
    words = Condition(embedding, torch.ones(count * parts, 1, dtype=torch.bool))
    negative = Condition(torch.zeros(count, 1, 8), torch.ones(count, 1, dtype=torch.bool))
    owner = [sample for sample in range(count) for _ in range(parts)]

    def predict(x_t, t, words):
        return x_t * words.embedding[:, 0, :, None, None]

    def alone(i):
        rows = slice(parts * i, parts * (i + 1))
        mine = words.rows(rows), negative.rows([i])
        return classifier_free(predict, *mine, 4.0, [0] * parts)(x_t[[i]], t[[i]])

    expected = torch.cat([alone(i) for i in range(count)])
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        together = classifier_free(predict, words, negative, 4.0, owner)
        assert all(together(x_t, t).equal(expected) for _ in range(50))
    finally:
        torch.set_num_threads(threads)
