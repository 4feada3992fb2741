"""What holds for every denoiser: how it starts, what words may do and padding not, its files."""

from dataclasses import replace

import pytest
import torch
from conftest import DENOISER, UNET, make_denoiser
from torch.nn.functional import mse_loss

from autoencoder.pretrained import WeightsError, read_config, read_model
from diffusion.networks.base import DenoiserConfig
from diffusion.networks.dit import DiT
from diffusion.networks.unet import UNet, UNetConfig
from diffusion.request import BUNDLED

CONFIGS = {"dit": DENOISER, "unet": UNET}


@pytest.fixture(params=CONFIGS)
def config(request):
    return CONFIGS[request.param]


@pytest.fixture
def denoiser(config):
    """No weight of it is zero: its prediction depends on all that it is given."""
    return make_denoiser(config=config)


def test_a_new_one_predicts_nothing_yet(config, inputs):
    assert not (UNet if config is UNET else DiT)(config)(*inputs).any()


def test_every_weight_is_reached_by_the_gradient(denoiser, inputs):
    denoiser(*inputs).square().sum().backward()
    parameters = denoiser.named_parameters()
    assert [n for n, p in parameters if p.grad is None or not p.grad.any()] == []


@torch.no_grad()
def test_masked_words_never_matter(denoiser, inputs):
    x_t, t, embedding, mask = inputs
    before = denoiser(x_t, t, embedding, mask)
    noisy = torch.where(mask[:, :, None], embedding, torch.full_like(embedding, 50.0))
    after = denoiser(x_t, t, noisy, mask)
    short = denoiser(x_t[:1], t[:1], embedding[:1, :1], mask[:1, :1])
    torch.testing.assert_close(after, before, atol=1e-5, rtol=0)
    torch.testing.assert_close(short, before[:1], atol=1e-5, rtol=0)


@torch.no_grad()
def test_each_word_matters_and_not_only_their_mean(denoiser, inputs):
    x_t, t, embedding, mask = inputs
    before = denoiser(x_t, t, embedding, mask)
    moved = embedding.clone()
    moved[:, 0] += 1
    moved[1:, 1] -= 1  # the mean of the others is as it was
    after = denoiser(x_t, t, moved, mask)
    assert all((after - before).abs().amax((1, 2, 3)) > 1e-3)
    mean = torch.stack([e[m].mean(0) for e, m in zip(embedding, mask, strict=True)])[:, None]
    pooled = denoiser(x_t, t, mean, torch.ones(3, 1, dtype=torch.bool))
    assert (pooled - before)[1:].abs().max() > 1e-3


@torch.no_grad()
def test_time_and_place_matter_and_samples_do_not_mix(denoiser, inputs):
    x_t, t, embedding, mask = inputs
    before = denoiser(x_t, t, embedding, mask)
    assert (denoiser(x_t, t + 0.01, embedding, mask) - before).abs().max() > 1e-3
    shifted = denoiser(x_t.roll(1, -1), t, embedding, mask).roll(-1, -1)
    assert (shifted - before).abs().max() > 1e-3
    alone = denoiser(x_t[1:2], t[1:2], embedding[1:2], mask[1:2])
    torch.testing.assert_close(alone, before[1:2], atol=1e-5, rtol=0)


def test_words_matter_after_a_few_steps(config, inputs):
    """Two targets that differ in their words alone: learnt only by a network that hears them."""
    x_t, t, embedding, mask = (x[2:].repeat(2, *[1] * (x.ndim - 1)) for x in inputs)
    embedding = torch.stack([embedding[0], -embedding[0]])
    # Not 1 and -1: at the start, where words do nothing yet, their gradients would cancel out.
    target = torch.stack([torch.full_like(x_t[0], 2), torch.zeros_like(x_t[0])])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = (UNet if config is UNET else DiT)(config)
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    for _ in range(60):
        loss = mse_loss(model(x_t, t, embedding, mask), target)
        if loss < 0.1:
            break
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < 0.1  # deaf to the words, it could not fall below 1


def test_hidden_matrices_are_those_between_the_edges(denoiser):
    names = {id(p): name for name, p in denoiser.named_parameters()}
    hidden = {names[id(p)] for p in denoiser.hidden_matrices()}
    assert all(p.ndim in (2, 4) for p in denoiser.hidden_matrices())
    assert all(hasattr(denoiser, edge) for edge in denoiser.edges)  # none is misspelt
    for name, parameter in denoiser.named_parameters():
        inside = parameter.ndim > 1 and name.endswith("weight")
        inside = inside and name.split(".")[0] not in denoiser.edges
        assert (name in hidden) == inside, name


@torch.no_grad()
def test_saving_and_loading_keeps_every_prediction(denoiser, config, inputs, tmp_path):
    folder = denoiser.save_pretrained(tmp_path / "denoiser")
    loaded = read_model(folder, DiT, UNet)
    assert type(loaded) is type(denoiser)
    assert loaded(*inputs).equal(denoiser(*inputs))
    assert loaded.config == denoiser.config == config
    assert loaded.fingerprint == denoiser.fingerprint
    assert not loaded.training


def test_weights_of_another_size_are_refused_in_one_line(denoiser, config, tmp_path):
    denoiser.config = type(config)()
    with pytest.raises(WeightsError, match="another architecture") as error:
        read_model(denoiser.save_pretrained(tmp_path), DiT, UNet)
    assert "\n" not in str(error.value)


def test_a_folder_of_another_kind_of_model_is_refused(tiny_autoencoder, tmp_path):
    with pytest.raises(WeightsError, match="those of DiTConfig or UNetConfig"):
        read_model(tiny_autoencoder.save_pretrained(tmp_path), DiT, UNet)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"process": "magic"}, "there are flow, linear, cosine"),
        ({"prediction": "magic"}, "there are noise, x_0, v, velocity"),
        ({"latent_size": 0}, "at least 1"),
    ],
)
def test_settings_that_make_none_say_why(config, settings, message):
    for known in (DenoiserConfig(), config):
        with pytest.raises(ValueError, match=message):
            replace(known, **settings)


def test_the_defaults_are_what_ships():
    shipped = read_config(BUNDLED, UNetConfig)
    assert replace(shipped, autoencoder="", text_encoder="") == UNetConfig()
