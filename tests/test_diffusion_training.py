"""Stage two: an overfit, the average's closed form, and what a training exports."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from conftest import (
    DENOISER,
    FEW,
    QUIET,
    TINY,
    UNET,
    make_autoencoder,
    make_denoiser,
    make_text_encoder,
    quiet_trainer,
)
from lightning.pytorch import LightningDataModule
from torch.utils.data import DataLoader

from autoencoder.optim import Muon
from diffusion import GlyphPipeline
from diffusion.condition import Condition
from diffusion.networks.dit import DiT
from diffusion.networks.unet import UNet
from diffusion.process import PROCESSES
from diffusion.training.denoiser import EMA, DiffusionModule, average
from diffusion.training.loss import TIMES, WEIGHTINGS, denoising_loss, logit_normal_times

pytestmark = pytest.mark.filterwarnings("ignore")  # Lightning's advice on loaders and hardware


def words(count=4):
    """Two captions in turn, one of them padded."""
    embedding = torch.randn(2, 3, 16, generator=torch.Generator().manual_seed(1))
    mask = torch.tensor([[True, True, True], [True, True, False]])
    rows = torch.arange(count) % 2
    return Condition(embedding[rows], mask[rows])


@pytest.mark.parametrize(
    ("kind", "config", "process", "prediction"),
    [
        (DiT, replace(DENOISER, width=64, head_width=32, hidden=128), "flow", "velocity"),
        (UNet, replace(UNET, widths=(32, 48)), "linear", "noise"),
    ],
)
def test_four_latents_are_learnt_by_heart(kind, config, process, prediction):
    generator = torch.Generator().manual_seed(0)
    x_0 = torch.randn(4, 4, 8, 8, generator=generator)
    x_0[2:] = x_0[:2]  # so that the caption tells which of two it is
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = kind(config)
    optimizer = Muon(model.hidden_matrices(), model.parameters(), lr=5e-3, adam_lr=5e-3)
    batch = x_0.repeat(4, 1, 1, 1)

    def loss():
        t = logit_normal_times(16, generator)
        noise = torch.randn(batch.shape, generator=generator)
        return denoising_loss(
            model, PROCESSES[process], prediction, batch, words(16), t, noise
        ).mean()

    # What is predicted has the variance of data, of noise, or of both, which is 1 each.
    variance = 2 if prediction == "velocity" else 1
    start = loss().item()
    assert start == pytest.approx(variance, rel=0.15)
    for _ in range(100):
        optimizer.zero_grad()
        value = loss()
        if value < 0.25 * start:
            break
        value.backward()
        optimizer.step()
    assert value < 0.25 * start


def test_the_average_is_its_closed_form():
    """With a constant decay d, weights 1, 2, 3, … average to the sum of (1 - d) d^(n-k) k."""
    values = [torch.tensor([0.0]), torch.tensor([[5.0, 5.0]])]
    update = average(0.1)  # below (1 + n) / (10 + n) from the first step on
    for step in range(1, 6):
        update(values, [torch.tensor([float(step)]), torch.full((1, 2), float(step))], step)
    series = sum(0.9 * 0.1 ** (5 - k) * k for k in range(1, 6))
    assert values[0].item() == pytest.approx(series, rel=1e-6)
    assert values[1].tolist() == [pytest.approx([series + 5 * 0.1**5] * 2)]


def test_the_average_is_short_at_first():
    for count, kept in ((1, 2 / 11), (90, 0.91), (1_000_000, 0.995)):
        values = [torch.ones(1, dtype=torch.float64)]
        average(0.995)(values, [torch.zeros(1, dtype=torch.float64)], torch.tensor(count))
        assert values[0].item() == pytest.approx(kept)


PLAIN = {"compile": False}


class TinyData(LightningDataModule):
    """Eight latents in batches of four, and the encoders asked for."""

    def __init__(self):
        super().__init__()
        self.autoencoder, self.text_encoder = make_autoencoder(), make_text_encoder()
        latents = torch.randn(8, 4, 8, 8, generator=torch.Generator().manual_seed(0))
        self.samples = list(zip(latents, zip(*words(8)[:2], strict=True), strict=True))

    def on_after_batch_transfer(self, batch, dataloader_idx=0):
        return batch[0], Condition(*batch[1])

    def train_dataloader(self):
        return DataLoader(self.samples, batch_size=4)

    val_dataloader = train_dataloader


def fit(module, folder, steps, callbacks=(), **options):
    """Trains for some steps; returns the trainer."""
    trainer = quiet_trainer(folder, max_steps=steps, callbacks=list(callbacks), **options)
    trainer.fit(module, datamodule=TinyData())
    return trainer


@pytest.fixture
def module(tmp_path):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return DiffusionModule("dit", DENOISER, warmup_steps=1, out=tmp_path / "export", **PLAIN)


def test_what_is_exported_is_the_average_and_knows_its_encoders(module, tmp_path, capsys):
    """The average, calculated here from the weights after each step."""
    module.hparams.adam_learning_rate, module.hparams.cooldown = 0.02, 0.1
    seen = []

    class Watch(EMA):
        def on_train_batch_end(self, trainer, pl_module, *rest):
            seen.append(module.denoiser.patch_out.weight.detach().clone())
            super().on_train_batch_end(trainer, pl_module, *rest)

    state = {}
    module.on_train_end = lambda: state.update(weight=module.denoiser.patch_out.weight.clone())
    fit(module, tmp_path, 6, [Watch(0.995)], val_check_interval=1)
    assert len(seen) == 6
    truth = [seen[0]]
    for n, weight in enumerate(seen[1:], 1):
        truth = [*truth, torch.lerp(truth[-1], weight, 1 - (1 + n) / (10 + n))]
    assert (seen[-1] - truth[-1]).abs().max() > 1e-3
    pipe = GlyphPipeline.from_pretrained(tmp_path / "export")
    exported = pipe.denoiser.patch_out.weight
    torch.testing.assert_close(exported, truth[-1], atol=1e-5, rtol=1e-3)
    torch.testing.assert_close(state["weight"], truth[-1], atol=1e-6, rtol=1e-5)
    config = json.loads((tmp_path / "export" / "config.json").read_text())
    assert config["autoencoder"] == make_autoencoder().fingerprint
    assert config["text_encoder"] == make_text_encoder().fingerprint
    assert "wrote" in capsys.readouterr().out


def test_a_training_goes_on_from_a_denoiser_with_new_encoders(tmp_path):
    """The weights are the old one's, a step of rate zero later."""
    old = make_denoiser(3, replace(DENOISER, depth=3, autoencoder="another"))
    module = DiffusionModule(
        start=old.save_pretrained(tmp_path / "old"),
        learning_rate=0.0,
        adam_learning_rate=0.0,
        out=tmp_path / "export",
        **PLAIN,
    )
    assert module.denoiser.training
    fit(module, tmp_path, 1)
    new = GlyphPipeline.from_pretrained(tmp_path / "export").denoiser
    weights = new.state_dict()
    assert all(weights[name].equal(weight) for name, weight in old.state_dict().items())
    own = {"autoencoder": make_autoencoder().fingerprint}
    own["text_encoder"] = make_text_encoder().fingerprint
    assert new.config == replace(old.config, **own)


def test_pictures_in_the_log_are_drawn_by_the_average(module, tmp_path, monkeypatch):
    ema, drawn, pictures = EMA(), [], []
    averages = []
    original = EMA.on_validation_epoch_start

    def watch(self, trainer, pl_module):
        averages.append(self._average_model.module.denoiser.patch_out.weight.clone())
        original(self, trainer, pl_module)

    def draw(self, prompts, num_images_per_prompt, output_type):
        drawn.append(self.denoiser.patch_out.weight.clone())
        return SimpleNamespace(images=torch.zeros(len(prompts) * num_images_per_prompt, 1, 8, 8))

    monkeypatch.setattr(EMA, "on_validation_epoch_start", watch)
    monkeypatch.setattr(GlyphPipeline, "__call__", draw)
    logger = pytest.importorskip("lightning.pytorch.loggers").TensorBoardLogger(tmp_path)
    monkeypatch.setattr(
        logger.experiment, "add_image", lambda name, image, step: pictures.append(image.shape)
    )
    fit(module, tmp_path, 4, [ema], logger=logger, val_check_interval=2)
    assert pictures == [(3, 4 * 8, 8 * 8)] * 2 or pictures == [(1, 4 * 8, 8 * 8)] * 2
    assert all(a.equal(b) for a, b in zip(drawn, averages, strict=True))


def test_validation_has_the_same_noise_every_time(module, tmp_path):
    trainer = fit(module, tmp_path, 2)
    losses = [trainer.validate(module, datamodule=TinyData(), verbose=False) for _ in range(2)]
    assert losses[0] == losses[1]


def test_rates_rise_and_fall_and_every_weight_has_one(module, tmp_path):
    rates = []
    module.hparams.warmup_steps, module.hparams.cooldown = 2, 0.5
    module.on_train_batch_start = lambda *_: rates.append(
        [group["lr"] for group in module.optimizers().param_groups]
    )
    fit(module, tmp_path, 8)
    factors = torch.tensor([0.5, 1, 1, 1, 1, 0.75, 0.5, 0.25])[:, None]
    peaks = torch.tensor([module.hparams.learning_rate, module.hparams.adam_learning_rate])
    torch.testing.assert_close(torch.tensor(rates), factors * peaks)
    matrices, others = (group["params"] for group in module.optimizers().param_groups)
    assert len(matrices) + len(others) == len(list(module.denoiser.parameters()))
    # Of each block four and four projections of attention, and three of the feed-forward layer.
    assert len(matrices) == 2 * 11


@pytest.mark.parametrize("denoiser", ["dit", "unet"])
@pytest.mark.parametrize(
    ("process", "prediction"),
    [("flow", "velocity"), ("cosine", "v"), ("linear", "noise"), ("cosine", "x_0")],
)
def test_a_module_trains_what_its_settings_say(denoiser, process, prediction):
    generator = torch.Generator().manual_seed(0)
    batch = torch.randn(32, 4, 8, 8, generator=generator), words(32)
    noise = torch.randn(batch[0].shape, generator=generator)
    configs = {
        name: replace(config, process=process, prediction=prediction)
        for name, config in (("dit", DENOISER), ("unet", UNET))
    }
    network = make_denoiser(config=configs[denoiser])  # no weight of it is zero
    losses = set()
    for times in TIMES:
        module = DiffusionModule(denoiser, **configs, times=times)
        assert type(module.denoiser) is type(network)
        assert module.denoiser.config == configs[denoiser]
        t = module.times(32, generator.manual_seed(1))
        for weighting in WEIGHTINGS:
            losses.add(module.loss(network, batch, t, noise, weighting))
    sum(losses).backward()
    last = network.patch_out if denoiser == "dit" else network.conv_out
    assert last.weight.grad.isfinite().all() and last.weight.grad.any()
    assert len({round(loss.item(), 6) for loss in losses}) == len(TIMES) * len(WEIGHTINGS)


def test_a_step_is_taken_at_the_times_the_weights_and_the_noise_of_its_seed():
    """Each setting changes the loss of one step, and the same ones give the same loss."""
    batch = torch.randn(32, 4, 8, 8, generator=torch.Generator().manual_seed(0)), words(32)
    config = replace(DENOISER, process="cosine", prediction="v")
    denoiser = make_denoiser(config=config)
    losses, times = {}, {}

    def loss(step=0, batch_idx=0, **options):
        module = DiffusionModule("dit", config, **options)
        module.denoiser = denoiser
        module.log = lambda *_, **__: None
        rank = {"accumulate_grad_batches": 2, "global_rank": 0, "world_size": 1}
        module._trainer = SimpleNamespace(global_step=step, **rank)

        def network(x_t, t, words):
            times[len(losses)] = t
            return denoiser(x_t, t, words)

        module.predict = network
        with torch.no_grad():
            return module.training_step(batch, batch_idx).item()

    for options in (
        {},
        {"weighting": "min_snr"},
        {"times": "uniform"},
        {"seed": 1},
        {"step": 1},
        {"batch_idx": 1},
    ):
        losses[str(options)] = loss(**options)
    assert len({round(value, 6) for value in losses.values()}) == 6
    assert times[0].equal(times[1])  # the weighting is of the same times
    assert not times[0].equal(times[3]) and not times[0].equal(times[4])
    assert loss() == losses["{}"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"denoiser": "mlp"}, 'no denoiser "mlp": there are dit, unet'),
        ({"times": "cosine"}, "there are uniform, logit_normal"),
        ({"weighting": "snr"}, "there are uniform, min_snr"),
    ],
)
def test_an_unknown_setting_is_answered_with_the_known_ones(options, message):
    with pytest.raises(ValueError, match=message):
        DiffusionModule(**options)


@pytest.mark.parametrize(("name", "made"), [("text_width", 16), ("latent_channels", 4)])
def test_encoders_that_the_denoiser_cannot_read_are_refused(tmp_path, name, made):
    encoders = make_autoencoder(), make_text_encoder()
    for kind, config in (("dit", DENOISER), ("unet", UNET)):
        other = replace(config, **{name: 24})
        message = f"a {name} of 24 and its encoder makes {made}: set --model.{kind}.{name} {made}$"
        with pytest.raises(ValueError, match=message):
            DiffusionModule(kind, **{kind: other}).check_encoders(*encoders)
        # With one to start from, the options would change nothing.
        start = make_denoiser(config=other).save_pretrained(tmp_path / kind)
        with pytest.raises(ValueError, match="name the encoders that it was trained with"):
            DiffusionModule(kind, start=start).check_encoders(*encoders)


def test_a_denoiser_is_trained_further_whatever_the_options_say(tmp_path):
    folder = make_denoiser(config=UNET).save_pretrained(tmp_path)
    assert DiffusionModule("dit", start=folder).denoiser.config == UNET


def test_a_flow_map_is_not_trained_as_a_denoiser(tmp_path):
    config = replace(UNET, flow_map=True)
    start = make_denoiser(config=config).save_pretrained(tmp_path)
    for options in ({"start": start}, {"unet": config}):
        with pytest.raises(ValueError, match=r"train_student\.py trains it"):
            DiffusionModule(**options)


def test_without_a_compiler_a_training_warns_and_goes_on(script, training_folder, monkeypatch):
    for name in ("data", "tiny", "text"):
        Path(name).symlink_to(training_folder / name)
    monkeypatch.setenv("CXX", "no-such-compiler")
    options = [*QUIET, *FEW, *TINY["diffusion"], "--trainer.logger=false", "--trainer.max_steps=1"]
    result = script("train_diffusion.py", *options, "--model.compile=true", "--model.out=out")
    assert result.code == 0, result.err
    assert result.err.count("warning: no C++ compiler") == 1
    assert Path("out/model.safetensors").exists()
