"""The transformer: how it starts, what words may do and padding may not, and its files."""

from dataclasses import replace

import pytest
import torch
from conftest import DENOISER
from torch.nn.functional import mse_loss

from autoencoder.storage import WeightsError
from diffusion.dit import DiT, DiTConfig, rotary_angles, rotate

ZERO = (
    "cross_attention.out.weight",
    "modulation.weight",
    "patch_out.weight",
    "blocks.0.modulation",
)


@pytest.fixture
def inputs():
    generator = torch.Generator().manual_seed(1)
    x_t = torch.randn(3, 4, 8, 8, generator=generator)
    t = torch.tensor([0.1, 0.5, 0.9])
    embedding = torch.randn(3, 5, 16, generator=generator)
    mask = torch.tensor([[1, 0, 0, 0, 0], [1, 1, 1, 0, 0], [1, 1, 1, 1, 1]]).bool()
    return x_t, t, embedding, mask


def test_it_starts_at_zero_and_its_blocks_as_the_identity(inputs):
    model = DiT(DENOISER)
    x_t, t, embedding, mask = inputs
    assert not model(x_t, t, embedding, mask).any()
    x = torch.randn(3, 64, 32)
    modulation = model.modulation(torch.randn(3, 32)).reshape(3, 6, 32)
    words = model.words_in(embedding)
    for block in model.blocks:
        assert block(x, modulation, words, mask, model.angles).equal(x)


def test_what_starts_at_zero_is_what_was_meant_to():
    """A later initialisation that overwrites an earlier one is found here."""
    weights = {n: p for n, p in DiT(DENOISER).named_parameters() if not n.endswith("bias")}
    zero = {name for name, weight in weights.items() if not weight.any()}
    assert zero == {
        "modulation.weight",
        "patch_out.weight",
        *(f"blocks.{i}.{part}" for i in range(2) for part in ("modulation", ZERO[0])),
    }
    for name, weight in weights.items():
        if weight.ndim == 2 and name not in {*zero, "position"}:
            assert weight.std().item() == pytest.approx(weight.shape[1] ** -0.5, rel=0.15), name


def test_every_weight_is_reached_by_the_gradient(tiny_denoiser, inputs):
    tiny_denoiser(*inputs).square().sum().backward()
    unreached = [
        n for n, p in tiny_denoiser.named_parameters() if p.grad is None or not p.grad.any()
    ]
    assert unreached == []


def test_masked_words_never_matter(tiny_denoiser, inputs):
    x_t, t, embedding, mask = inputs
    with torch.no_grad():
        before = tiny_denoiser(x_t, t, embedding, mask)
        noisy = torch.where(mask[:, :, None], embedding, torch.full_like(embedding, 50.0))
        after = tiny_denoiser(x_t, t, noisy, mask)
        short = tiny_denoiser(x_t[:1], t[:1], embedding[:1, :1], mask[:1, :1])
    torch.testing.assert_close(after, before, atol=1e-5, rtol=0)
    torch.testing.assert_close(short, before[:1], atol=1e-5, rtol=0)


@pytest.mark.parametrize("path", ["meaning_in", "words_in"])
def test_words_enter_by_each_of_two_paths(tiny_denoiser, inputs, path):
    x_t, t, embedding, mask = inputs
    with torch.no_grad():
        getattr(tiny_denoiser, path).weight.zero_()  # only the other path is left
        before = tiny_denoiser(x_t, t, embedding, mask)
        after = tiny_denoiser(x_t, t, embedding.flip(0), mask)
    assert (before - after)[mask.all(1)].abs().max() > 1e-3


def test_the_meaning_is_the_mean_of_real_words(tiny_denoiser, inputs):
    x_t, t, embedding, mask = inputs
    with torch.no_grad():
        tiny_denoiser.words_in.weight.zero_()
        mean = torch.stack([e[m].mean(0) for e, m in zip(embedding, mask, strict=True)])
        pooled = tiny_denoiser(x_t, t, mean[:, None], torch.ones(3, 1, dtype=torch.bool))
        torch.testing.assert_close(
            tiny_denoiser(x_t, t, embedding, mask), pooled, atol=1e-5, rtol=0
        )


def test_time_and_place_matter_and_samples_do_not_mix(tiny_denoiser, inputs):
    x_t, t, embedding, mask = inputs
    with torch.no_grad():
        before = tiny_denoiser(x_t, t, embedding, mask)
        assert (tiny_denoiser(x_t, t + 0.01, embedding, mask) - before).abs().max() > 1e-3
        shifted = tiny_denoiser(x_t.roll(1, -1), t, embedding, mask).roll(-1, -1)
        assert (shifted - before).abs().max() > 1e-3
        alone = tiny_denoiser(x_t[1:2], t[1:2], embedding[1:2], mask[1:2])
    torch.testing.assert_close(alone, before[1:2], atol=1e-5, rtol=0)


def test_words_matter_after_a_few_steps(inputs):
    """Two targets that differ in their words alone: learnt only by a network that hears them."""
    x_t, t, embedding, mask = (x[2:].repeat(2, *[1] * (x.ndim - 1)) for x in inputs)
    embedding = torch.stack([embedding[0], -embedding[0]])
    target = torch.stack([torch.ones_like(x_t[0]), -torch.ones_like(x_t[0])])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = DiT(DENOISER)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(30):
        loss = mse_loss(model(x_t, t, embedding, mask), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < 0.1  # deaf to the words, it could not fall below 1


def test_attention_scores_depend_on_relative_positions_alone():
    size, width = 6, 16
    angles = rotary_angles(size, width)
    q, k = torch.randn(2, width, generator=torch.Generator().manual_seed(0))
    everywhere = torch.stack([q, k])[:, None, None].expand(2, size**2, 1, width)
    queries, keys = rotate(everywhere, angles)[:, :, 0]
    scores = (queries @ keys.T).reshape(size, size, size, size)  # row, column; row, column
    for down, right in ((0, 0), (1, 0), (0, 1), (2, 3), (-1, 2)):
        pairs = [
            scores[i, j, i + down, j + right]
            for i in range(size)
            for j in range(size)
            if 0 <= i + down < size and 0 <= j + right < size
        ]
        torch.testing.assert_close(torch.stack(pairs), pairs[0].expand(len(pairs)))
    assert (scores[0, 0, 0, 1] - scores[0, 0, 1, 0]).abs() > 1e-2  # right is not down
    torch.testing.assert_close(queries.norm(dim=1), q.norm().expand(size**2))


@pytest.mark.parametrize("patch", [2, 4])
def test_patches_come_back_where_they_were(patch):
    """With blocks that do nothing and inverse projections, the network is the identity."""
    config = replace(DENOISER, patch_size=patch, width=4 * patch**2, head_width=4 * patch**2)
    model = DiT(config)
    with torch.no_grad():
        model.patch_in.weight.copy_(torch.eye(config.width))
        model.patch_out.weight.copy_(torch.eye(config.width))
        model.position.zero_()
        model.norm_out = torch.nn.Identity()
        x_t = torch.randn(2, 4, 8, 8)
        words = torch.randn(2, 1, 16), torch.ones(2, 1, dtype=torch.bool)
        assert model(x_t, torch.zeros(2), *words).equal(x_t)


def test_the_default_is_small():
    assert 5e6 < sum(p.numel() for p in DiT().parameters()) < 10e6


def test_saving_and_loading_keeps_every_prediction(tiny_denoiser, inputs, tmp_path):
    folder = tiny_denoiser.save_pretrained(tmp_path / "dit")
    loaded = DiT.from_pretrained(folder)
    with torch.no_grad():
        assert loaded(*inputs).equal(tiny_denoiser(*inputs))
    assert loaded.config == tiny_denoiser.config == DENOISER
    assert loaded.fingerprint == tiny_denoiser.fingerprint
    assert not loaded.training


def test_weights_of_another_size_are_refused_in_one_line(tiny_denoiser, tmp_path):
    tiny_denoiser.config = DiTConfig()
    with pytest.raises(WeightsError, match="another architecture") as error:
        DiT.from_pretrained(tiny_denoiser.save_pretrained(tmp_path))
    assert "\n" not in str(error.value)
