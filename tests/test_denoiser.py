"""What holds for every denoiser: how it starts, what words may do and padding not, its files."""

import hashlib
import json
from dataclasses import replace

import pytest
import torch
from conftest import DENOISER, UNET, make_denoiser
from torch.nn.functional import mse_loss

from autoencoder.pretrained import WeightsError, read_config, read_model
from diffusion.condition import Condition
from diffusion.networks.base import DenoiserConfig
from diffusion.networks.dit import DiT
from diffusion.networks.unet import UNet, UNetConfig
from diffusion.request import BUNDLED
from diffusion.training.student import student_of

CONFIGS = {"dit": DENOISER, "unet": UNET}


@pytest.fixture(params=CONFIGS)
def config(request):
    return CONFIGS[request.param]


@pytest.fixture
def denoiser(config):
    """No weight of it is zero: its prediction depends on all that it is given."""
    return make_denoiser(config=config)


@pytest.fixture
def flow_map(config):
    """A flow map, no weight of which is zero either."""
    return make_denoiser(config=replace(config, flow_map=True, teacher="of another"))


@pytest.fixture
def leaping(inputs):
    """The same inputs with leaps."""
    x_t, t, words = inputs
    return x_t, t, words._replace(leap=torch.tensor([[0.1, 1.0], [0.25, 2.0], [0.9, 8.0]]))


def test_a_new_one_predicts_nothing_yet(config, inputs):
    assert not (UNet if config is UNET else DiT)(config)(*inputs).any()


def test_every_weight_is_reached_by_the_gradient(flow_map, leaping):
    flow_map(*leaping).square().sum().backward()
    parameters = flow_map.named_parameters()
    assert [n for n, p in parameters if p.grad is None or not p.grad.any()] == []


@torch.no_grad()
def test_masked_words_never_matter(denoiser, inputs):
    x_t, t, words = inputs
    embedding, mask, _ = words
    before = denoiser(x_t, t, words)
    noisy = torch.where(mask[:, :, None], embedding, torch.full_like(embedding, 50.0))
    after = denoiser(x_t, t, Condition(noisy, mask))
    short = denoiser(x_t[:1], t[:1], words.rows([0]).of_length(1))
    torch.testing.assert_close(after, before, atol=1e-5, rtol=0)
    torch.testing.assert_close(short, before[:1], atol=1e-5, rtol=0)


@torch.no_grad()
def test_each_word_matters_and_not_only_their_mean(denoiser, inputs):
    x_t, t, words = inputs
    before = denoiser(x_t, t, words)
    moved = words.embedding.clone()
    moved[:, 0] += 1
    moved[1:, 1] -= 1  # the mean of the others is as it was
    after = denoiser(x_t, t, words._replace(embedding=moved))
    assert all((after - before).abs().amax((1, 2, 3)) > 1e-3)
    mean = torch.stack([e[m].mean(0) for e, m, _ in map(words.rows, range(3))])[:, None]
    pooled = denoiser(x_t, t, Condition(mean, torch.ones(3, 1, dtype=torch.bool)))
    assert (pooled - before)[1:].abs().max() > 1e-3


@torch.no_grad()
def test_time_and_place_matter_and_samples_do_not_mix(denoiser, inputs):
    x_t, t, words = inputs
    before = denoiser(x_t, t, words)
    assert (denoiser(x_t, t + 0.01, words) - before).abs().max() > 1e-3
    shifted = denoiser(x_t.roll(1, -1), t, words).roll(-1, -1)
    assert (shifted - before).abs().max() > 1e-3
    alone = denoiser(x_t[1:2], t[1:2], words.rows([1]))
    torch.testing.assert_close(alone, before[1:2], atol=1e-5, rtol=0)


def test_words_matter_after_a_few_steps(config, inputs):
    """Two targets that differ in their words alone: learnt only by a network that hears them."""
    x_t, t = (x[2:].repeat(2, *[1] * (x.ndim - 1)) for x in inputs[:2])
    word, mask, _ = inputs[2].rows([2])
    words = Condition(torch.cat([word, -word]), torch.cat([mask, mask]))
    # Not 1 and -1: at the start, where words do nothing yet, their gradients would cancel out.
    target = torch.stack([torch.full_like(x_t[0], 2), torch.zeros_like(x_t[0])])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = (UNet if config is UNET else DiT)(config)
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    for _ in range(60):
        loss = mse_loss(model(x_t, t, words), target)
        if loss < 0.1:
            break
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < 0.1  # deaf to the words, it could not fall below 1


def test_hidden_matrices_are_those_between_the_edges(flow_map):
    names = {id(p): name for name, p in flow_map.named_parameters()}
    hidden = {names[id(p)] for p in flow_map.hidden_matrices()}
    assert all(p.ndim in (2, 4) for p in flow_map.hidden_matrices())
    assert all(hasattr(flow_map, edge) for edge in flow_map.edges)  # none is misspelt
    for name, parameter in flow_map.named_parameters():
        inside = parameter.ndim > 1 and name.endswith("weight")
        inside = inside and name.split(".")[0] not in flow_map.edges
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


@torch.no_grad()
def test_a_flow_map_begins_as_the_denoiser_whose_weights_it_takes(denoiser, leaping):
    """To the last bit, however far it leaps and whatever the scale."""
    x_t, t, words = leaping
    before = denoiser(x_t, t, words._replace(leap=None))
    assert student_of(denoiser)(*leaping).equal(before) and before.any()


@torch.no_grad()
def test_how_far_it_leaps_and_the_scale_change_a_flow_map_s_own_sample_alone(flow_map, leaping):
    x_t, t, words = leaping
    before = flow_map(*leaping)
    for column in (0, 1):
        leap = words.leap.clone()
        leap[1, column] *= 1.1
        after = flow_map(x_t, t, words._replace(leap=leap))
        changed = [not a.equal(b) for a, b in zip(after, before, strict=True)]
        assert changed == [False, True, False]
        assert (after - before).abs().max() > 1e-3


@torch.no_grad()
def test_a_flow_map_is_loaded_again(flow_map, denoiser, leaping, tmp_path):
    loaded = read_model(flow_map.save_pretrained(tmp_path), DiT, UNet)
    assert loaded.config == flow_map.config and loaded.config.flow_map
    assert loaded.fingerprint == flow_map.fingerprint != denoiser.fingerprint
    assert loaded(*leaping).equal(flow_map(*leaping))


def test_weights_from_before_flow_maps_are_those_of_none(denoiser, tmp_path):
    path = denoiser.save_pretrained(tmp_path) / "config.json"
    before = json.loads(path.read_text())
    assert not {"flow_map", "teacher"} & set(before)
    digest = hashlib.sha256(json.dumps(before, sort_keys=True).encode())
    for name, tensor in sorted(denoiser.state_dict().items()):
        digest.update(name.encode() + tensor.half().numpy().tobytes())
    assert read_model(tmp_path, DiT, UNet).fingerprint == digest.hexdigest()
    path.write_text(json.dumps(before | {"flow_map": False, "teacher": ""}))
    assert read_model(tmp_path, DiT, UNet).fingerprint == digest.hexdigest()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"colour": True}, "those of DiTConfig or UNetConfig"),
        ({"flow_map": 1}, "flow_map is 1, where bool is expected"),
        ({"flow_map": True}, "another architecture"),
        ({"process": None}, "those of DiTConfig or UNetConfig"),  # left out
    ],
)
def test_settings_that_the_weights_do_not_have_are_refused_in_one_line(
    denoiser, changes, message, tmp_path
):
    path = denoiser.save_pretrained(tmp_path) / "config.json"
    values = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({k: v for k, v in values.items() if v is not None}))
    with pytest.raises(WeightsError, match=message) as error:
        read_model(tmp_path, DiT, UNet)
    assert "\n" not in str(error.value)


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
        ({"flow_map": True, "process": "cosine"}, "a flow map predicts the velocity of the pro"),
        ({"flow_map": True, "prediction": "x_0"}, "a flow map predicts the velocity of the pro"),
    ],
)
def test_settings_that_make_none_say_why(config, settings, message):
    for known in (DenoiserConfig(), config):
        with pytest.raises(ValueError, match=message):
            replace(known, **settings)


def test_the_defaults_are_what_ships():
    shipped = read_config(BUNDLED, UNetConfig)
    assert replace(shipped, autoencoder="", text_encoder="") == UNetConfig()
