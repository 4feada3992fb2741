"""The two-sample test on sets whose answer is known."""

import pytest
import torch
import torch.nn.functional as F
from conftest import make_pipeline

from diffusion.evaluation import realism
from diffusion.evaluation.measures import reconstruct
from diffusion.evaluation.realism import Verdict, denoised, partners, tell_apart
from diffusion.request import Request


def bars(count, seed):
    """Glyphs of eight bars at random places, `(count, 1, 128, 128)`."""
    generator = torch.Generator().manual_seed(seed)
    glyphs = torch.zeros(count, 1, 128, 128)
    for glyph in glyphs:
        for y, x in torch.randint(8, 84, (4, 2), generator=generator).tolist():
            glyph[:, y : y + 7, x : x + 40] = 1
            glyph[:, x : x + 40, y : y + 7] = 1
    return glyphs


def soft(glyphs):
    """The same with blurred edges."""
    return F.avg_pool2d(glyphs, 3, stride=1, padding=1)


def verdict(steps, seed=0):
    """Of 60 pairs, where half of the drawn ones have soft edges."""
    drawn, real = bars(60, 1), bars(60, 2)
    return tell_apart(torch.cat([soft(drawn[:30]), drawn[30:]]), real, steps, seed)


def test_a_fault_in_half_of_the_glyphs_is_found_in_those_and_the_others_pass():
    """At best, faulty ones are surely drawn, and the others are with a probability of 1/3."""
    drawn, real = verdict(40).probability.T
    assert drawn[:30].min() > 0.6
    assert max(drawn[30:].mean(), real.mean()) < 0.45
    assert drawn[30:].mean() == pytest.approx(float(real.mean()), abs=0.05)


def test_the_same_seed_gives_the_same_verdict_and_leaves_the_global_generator_alone():
    state = torch.get_rng_state()
    first, same = (verdict(2).probability for _ in range(2))
    assert first.equal(same)
    assert not first.equal(verdict(2, seed=1).probability)
    assert torch.get_rng_state().equal(state)


def test_every_pair_is_judged_once_by_a_critic_that_has_not_seen_it(monkeypatch):
    asked = []

    def judge(learnt, pairs):
        if pairs is not learnt:
            asked.append(pairs)
            seen = {int(pair[0]) for pair in learnt}
            assert not seen & {int(pair[0]) for pair in pairs}
        return pairs.flatten(1) if pairs is not learnt else torch.zeros(1)

    monkeypatch.setattr(realism, "train", lambda pairs, *_: pairs)
    monkeypatch.setattr(realism, "judge", judge)
    numbers = torch.arange(23.0).view(-1, 1, 1, 1)
    found = tell_apart(numbers, -numbers)
    assert sorted(map(len, asked)) == [4, 4, 5, 5, 5]
    truth = torch.stack([numbers, -numbers], 1).flatten(1).sigmoid()
    torch.testing.assert_close(found.probability, truth)


def test_accuracy_counts_glyphs_and_its_error_pairs():
    found = Verdict(torch.tensor([[0.9, 0.2], [0.8, 0.7], [0.1, 0.3], [0.4, 0.6]]))
    assert found.accuracy == pytest.approx((1 + 0.5 + 0.5 + 0) / 4)
    assert found.error == pytest.approx((0.5 / 3) ** 0.5 / 4**0.5)


def test_partners_have_one_radical_and_are_as_many_as_can_be():
    ones, others = [1, 1, 1, 2, 3, 3, 9], [1, 3, 3, 3, 2, 1, 8]
    for seed in range(3):
        rows = partners(ones, others, torch.Generator().manual_seed(seed))
        assert [ones[i] for i in rows[0]] == [others[i] for i in rows[1]]
        assert [len(set(each)) for each in rows] == [5, 5]


def test_too_few_pairs_are_refused():
    glyphs = torch.zeros(9, 1, 128, 128)
    with pytest.raises(ValueError, match=r"9 drawn and 9 real glyphs: take .* at least 10"):
        tell_apart(glyphs, glyphs)


def test_glyphs_from_hardly_any_noise_are_those_of_the_decoder():
    pipe, glyphs, how = make_pipeline(), bars(18, 0), Request("-", guidance_scale=1.0)
    found = denoised(pipe, glyphs, ["gold"] * 18, how, time=1e-4)
    truth = reconstruct(pipe.autoencoder, glyphs, lambda done: None)
    torch.testing.assert_close(found, truth, atol=1e-2, rtol=0)
    noisy = denoised(pipe, glyphs, ["gold"] * 18, how, time=0.5)
    assert (noisy - truth).abs().max() > (found - truth).abs().max()
