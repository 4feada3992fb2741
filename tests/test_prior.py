"""The prior: chances of radicals, how one is chosen by a seed, and how it is trained."""

import math
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import make_prior, make_text_encoder

from autoencoder.batches import Draw
from autoencoder.data.glyphs import record
from autoencoder.pretrained import WeightsError
from conditioning.radicals import RADICALS
from diffusion.philox import Philox, Stream
from diffusion.prior import PriorConfig, RadicalPrior
from diffusion.training.captions import CaptionMix, MoreWords, all_captions
from diffusion.training.data import LatentDataset, WordCache
from diffusion.training.prior import expected_counts, fit_prior, log_frequency

TINY = PriorConfig(text_width=16, hidden=24)


@pytest.fixture
def prior():
    return make_prior(make_text_encoder())


@pytest.fixture
def pooled():
    return torch.randn(4, 16, generator=torch.Generator().manual_seed(0))


def test_sharpness_is_a_power_of_the_probability(prior, pooled):
    plain = prior.probabilities(pooled)
    assert torch.allclose(plain, prior(pooled).softmax(dim=1))
    cubed = plain.double() ** 3
    expected = cubed / cubed.sum(dim=1, keepdim=True)
    torch.testing.assert_close(prior.probabilities(pooled, 3.0).double(), expected)


def test_balance_divides_by_how_common_radicals_are(prior, pooled):
    prior.log_frequency.copy_(torch.randn(214, generator=torch.Generator().manual_seed(1)))
    expected = prior(pooled).double().softmax(dim=1) ** 3 / prior.log_frequency.double().exp() ** 2
    expected /= expected.sum(dim=1, keepdim=True)
    torch.testing.assert_close(prior.probabilities(pooled, 3.0, 2.0).double(), expected)


def test_words_that_say_nothing_get_radicals_as_common_as_they_are():
    """Their frequency comes in `sharpness` times, and goes out again all but once."""
    counts = torch.rand(8, 214, generator=torch.Generator().manual_seed(0))
    prior = RadicalPrior(TINY)
    prior.log_frequency = log_frequency(counts)
    with torch.no_grad():
        prior.layers[-1].weight.zero_()
        prior.layers[-1].bias.copy_(prior.log_frequency)
    for sharpness in (1.0, 2.0, 6.0):
        found = prior.probabilities(torch.randn(2, 16), sharpness, balance=sharpness - 1)
        torch.testing.assert_close(found, prior.log_frequency.exp().expand(2, -1))


def test_radicals_are_chosen_as_often_as_they_are_likely(prior, pooled):
    count = 1000
    prior.log_frequency[:40] -= 1
    chosen = Counter(
        prior.choose(pooled[0], seed, sharpness=2.0, balance=0.5) for seed in range(count)
    )
    chances = prior.probabilities(pooled[:1], 2.0, 0.5)[0]
    for number, chance in enumerate(chances.tolist(), 1):
        deviation = math.sqrt(count * chance * (1 - chance))
        assert abs(chosen[number] - count * chance) <= 5 * deviation + 1, number


def test_a_choice_is_sharp_and_balanced_unless_told_otherwise(prior, pooled):
    prior.log_frequency[:40] -= 1
    chances = prior.probabilities(pooled[:1], 6.0, 3.0)[0].cumsum(dim=0)
    for seed in range(200):
        draw = Philox(seed, Stream.RADICAL).random()
        assert prior.choose(pooled[0], seed) == 1 + int((chances <= draw).sum())


def test_a_seed_chooses_the_same_again_and_leaves_the_global_state(prior, pooled):
    state = torch.get_rng_state()
    first = [prior.choose(pooled[1], seed, sharpness=1.0) for seed in range(20)]
    assert [prior.choose(pooled[1], seed, sharpness=1.0) for seed in range(20)] == first
    assert len(set(first)) > 1
    assert torch.get_rng_state().equal(state)
    assert prior.choose(pooled[1], 2**63 - 1) in range(1, 215)


def test_the_radical_of_a_seed_says_nothing_of_its_noise(pooled):
    """Radicals alike in chance, and the first two numbers of noise: their size is no guide."""
    prior, count = RadicalPrior(TINY), 1000
    with torch.no_grad():
        prior.layers[-1].weight.zero_()
        prior.layers[-1].bias.zero_()
    chosen = torch.tensor([prior.choose(pooled[0], seed) for seed in range(count)])
    noise = [Philox(seed, Stream.NOISE).standard_normal(64) for seed in range(count)]
    noise = torch.from_numpy(np.stack(noise)).float()
    together = torch.stack([chosen.float(), *noise.square().T])
    assert torch.corrcoef(together)[0, 1:].abs().max() < 5 / math.sqrt(count)


def test_the_limit_of_sharpness_is_the_first_guess(prior, pooled):
    first = int(prior(pooled)[2].argmax()) + 1
    assert {prior.choose(pooled[2], seed, sharpness=1e4) for seed in range(50)} == {first}


def test_a_folder_gives_the_same_prior_back(prior, pooled, tmp_path):
    prior.log_frequency[3] = -7.0
    again = RadicalPrior.from_pretrained(prior.save_pretrained(tmp_path))
    assert again.log_frequency[3] == -7.0
    assert again.config == prior.config
    assert again.fingerprint == prior.fingerprint
    assert again(pooled).equal(prior(pooled))
    with pytest.raises(WeightsError, match=r"no config\.json"):
        RadicalPrior.from_pretrained(tmp_path / "none")


@pytest.mark.parametrize(
    "changes", [{"hidden": 0}, {"text_width": 9999}, {"dropout": 1.0}, {"dropout": -0.1}]
)
def test_settings_that_make_no_prior_are_one_line(changes):
    with pytest.raises(ValueError) as error:
        replace(TINY, **changes)
    assert "\n" not in str(error.value)


# ---- training ------------------------------------------------------------------------------------

RECORDS = [
    record("釦", 167, 11, "button; to plate with gold"),
    record("鵝", 196, 18, "goose"),
    record("鷺", 196, 24, "heron; egret; stork"),
    record("𪈘", 196, 27, ""),
]
MORE = MoreWords({"鵝": ["goose (Anser)"]}, {196: ["penguin", "swan", "raptor"]})


def test_counts_are_what_draws_of_captions_come_to():
    """Against the data set that the denoiser is trained on, over many draws."""
    mix = CaptionMix(0.3, 0.15, 0.1, gloss=0.2, kind=0.1, named=0, layout=0)
    texts, counts = expected_counts(RECORDS, mix, MORE)
    words = all_captions(RECORDS, MORE)
    cache = WordCache(torch.zeros(len(words), 1), torch.arange(len(words) + 1), words)
    samples = LatentDataset([0, 1, 2, 3], RECORDS, cache, mix, MORE)
    draws = 1000
    seen = Counter(
        (samples.texts(Draw(row, seed))[0], RECORDS[row].radical)
        for row in range(len(RECORDS))
        for seed in range(draws)
    )
    assert set(texts) == {text for text, _ in seen} - {""}
    for text, row in zip(texts, counts, strict=True):
        for number in (167, 196):
            expected = float(row[number - 1])
            deviation = math.sqrt(draws * expected)
            assert abs(seen[text, number] - draws * expected) <= 5 * deviation + 1, text
    assert float(counts.sum()) == pytest.approx(len(RECORDS) * (1 - mix.null))


def test_where_words_say_nothing_the_prior_is_how_often_a_radical_is():
    """With all embeddings alike; the weights of the first step are left, and do not matter."""
    pooled = torch.ones(64, 16)
    counts = torch.zeros(64, 214)
    counts[:, 84], counts[:, 139] = 3.0, 1.0
    config = replace(TINY, dropout=0.0)
    prior = fit_prior(
        pooled, counts, config, epochs=100, learning_rate=0.1, weight_decay=0.0, noise=0.0
    )
    chances = prior.probabilities(pooled[:1])[0]
    assert float(chances[84]) == pytest.approx(0.75, abs=0.02)
    assert float(chances[139]) == pytest.approx(0.25, abs=0.02)


def test_it_learns_what_goes_with_what_and_reads_embeddings_as_they_are():
    """Two clusters far from zero and of another scale, which the fit must undo by itself."""
    generator = torch.Generator().manual_seed(0)
    sides = torch.randn(2, 16, generator=generator)
    labels = torch.arange(400) % 2
    pooled = 50 + 7 * (sides[labels] + 0.2 * torch.randn(400, 16, generator=generator))
    counts = torch.zeros(400, 214)
    counts[torch.arange(400), 9 * labels] = 1.0
    state = torch.get_rng_state()
    steps = []
    prior = fit_prior(pooled, counts, TINY, epochs=60, batch_size=100, progress=steps.append)
    assert torch.get_rng_state().equal(state)
    assert sum(steps) == 60 * 400
    fresh = 50 + 7 * (sides[labels] + 0.2 * torch.randn(400, 16, generator=generator))
    assert float((prior(fresh).argmax(dim=1) == 9 * labels).double().mean()) > 0.98
    again = [fit_prior(pooled, counts, TINY, epochs=1).fingerprint for _ in range(2)]
    assert again[0] == again[1]


def test_it_keeps_how_common_radicals_are_among_what_it_learnt_from():
    texts, counts = expected_counts(RECORDS, CaptionMix(), MORE)
    prior = fit_prior(torch.randn(len(texts), 16), counts, TINY, epochs=1)
    frequency = prior.log_frequency.exp()
    assert float(frequency.sum()) == pytest.approx(1)
    birds, metals, others = 3 * 0.9 + 1, 0.9 + 1, 212  # one in ten captions is empty
    assert float(frequency[195]) == pytest.approx(birds / (birds + metals + others), rel=1e-5)
    assert float(frequency[166]) == pytest.approx(metals / (birds + metals + others), rel=1e-5)


def test_noise_on_the_embeddings_makes_it_less_sure():
    """Two clusters of texts, a noise as wide as the gap between them, and the one by default."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(400) % 2
    pooled = torch.randn(400, 16, generator=generator)
    pooled[:, 0] = 2.0 * labels - 1 + 0.01 * torch.randn(400, generator=generator)
    counts = torch.zeros(400, 214)
    counts[torch.arange(400), labels] = 1.0
    config = replace(TINY, dropout=0.0)

    def sure(**options):
        options = {"epochs": 30, "batch_size": 100, "learning_rate": 2e-2, **options}
        prior = fit_prior(pooled, counts, config, **options)
        return float(prior.probabilities(pooled).amax(dim=1).mean())

    assert sure(noise=0.0) > 0.98 and sure(noise=2.0) < 0.8
    assert sure(epochs=1, noise=0.0) != sure(epochs=1, noise=0.5) == sure(epochs=1)


def test_the_one_that_ships_knows_the_names_of_common_radicals():
    from conditioning import TextEncoder

    prior, encoder = RadicalPrior.from_pretrained(), TextEncoder.from_pretrained()
    assert prior.config.text_encoder == encoder.fingerprint
    for number in (9, 38, 61, 64, 75, 85, 86, 104, 112, 140, 149, 167, 195, 196):
        pooled = encoder.pool(*encoder([RADICALS[number - 1].names[0]]))
        assert int(prior(pooled).argmax()) + 1 == number
        assert prior.probabilities(pooled, 6.0, 3.0)[0, number - 1] > 0.95
    commonest = set((prior.log_frequency.topk(6).indices + 1).tolist())
    assert commonest == {30, 64, 75, 85, 140, 167}  # mouth, hand, tree, water, grass, gold
    assert float(prior.log_frequency.exp().sum()) == pytest.approx(1, abs=1e-3)
