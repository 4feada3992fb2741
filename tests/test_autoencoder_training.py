"""Stage one: which glyphs come up, what is measured, and what a training keeps and exports."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from conftest import AUTOENCODER, make_autoencoder, quiet_trainer
from lightning.pytorch import LightningDataModule
from scipy import stats
from torch.utils.data import DataLoader

from autoencoder import Autoencoder, training
from autoencoder.batches import Draw
from autoencoder.data.fonts import default_font, write_glyphs
from autoencoder.data.glyphs import GlyphDataset, GlyphRecord
from autoencoder.loss import LossConfig
from autoencoder.training import (
    AutoencoderModule,
    GlyphData,
    VariedGlyphs,
    latent_statistics,
    press,
    shift,
)


class Glyphs:
    """Images in the place of a `GlyphDataset`."""

    def __init__(self, images):
        self.everything = images

    def __len__(self):
        return len(self.everything)

    def images(self, indices):
        return self.everything[list(indices)]


@pytest.fixture
def glyphs():
    return torch.rand(5, 1, 128, 128, generator=torch.Generator().manual_seed(0))


def normalized(autoencoder, glyphs):
    """Their latents, normalised by their own statistics."""
    mean, std = latent_statistics(autoencoder, Glyphs(glyphs), batch_size=2)
    autoencoder.config = replace(
        AUTOENCODER, latent_mean=tuple(mean.tolist()), latent_std=tuple(std.tolist())
    )
    return autoencoder.encode(glyphs)


def test_measured_statistics_make_latents_zero_mean_and_unit_variance(tiny_autoencoder, glyphs):
    latents = normalized(tiny_autoencoder, glyphs * torch.linspace(0, 1, 5)[:, None, None, None])
    torch.testing.assert_close(latents.mean((0, 2, 3)), torch.zeros(4), atol=1e-3, rtol=0)
    std = latents.std((0, 2, 3), correction=0)
    torch.testing.assert_close(std, torch.ones(4), atol=1e-3, rtol=0)


def test_a_dead_channel_can_still_be_normalised(tiny_autoencoder, glyphs):
    head = tiny_autoencoder.encoder.layers[-1]
    with torch.no_grad():
        head.weight[1], head.bias[1] = 0.0, 0.3
    assert normalized(tiny_autoencoder, glyphs).abs().max() < 100


def test_a_shift_moves_a_glyph_by_whole_pixels_and_no_further_than_told(seeded, glyphs):
    glyph = torch.nn.functional.pad(glyphs[0, :, :16, :16], (8, 8, 8, 8))
    places = {(dy, dx): glyph.roll((dy, dx), (1, 2)) for dy in range(-2, 3) for dx in range(-2, 3)}
    moved = [shift(glyph, 2) for _ in range(200)]
    seen = {place for one in moved for place, there in places.items() if one.equal(there)}
    assert seen == set(places)
    assert all(any(one.equal(there) for there in places.values()) for one in moved)
    assert shift(glyph, 0).equal(glyph)


def test_two_glyphs_pressed_share_the_room_side_by_side_or_one_over_the_other(seeded):
    ink, paper = torch.ones(1, 40, 40), torch.zeros(1, 40, 40)
    pressed = [press(ink, paper).round(decimals=4) for _ in range(100)]
    side_by_side = 0
    for glyph in pressed:
        room = int(glyph.sum() / 40)
        assert 16 <= room <= 24
        halves = torch.cat([torch.ones(room), torch.zeros(40 - room)]).expand(1, 40, 40)
        side_by_side += glyph.equal(halves)
        assert glyph.equal(halves) or glyph.equal(halves.mT)
    assert 30 < side_by_side < 70


def test_a_glyph_is_squeezed_whole_into_its_part(seeded):
    """Upright bars keep their width over another glyph, and lose half of it beside one."""
    upright = (torch.arange(40) % 8 < 4).float().expand(1, 40, 40)
    ink = torch.ones(1, 40, 40)
    tops = [press(upright, ink).round(decimals=4)[0, 0] for _ in range(20)]
    for top in tops:
        edges = (top.diff().abs() > 0.1).sum()
        bars = int((top[:16].round().diff() > 0).sum())
        assert top.equal(upright[0, 0]) or (bars >= 3 and edges >= 10)
    assert any(top.equal(upright[0, 0]) for top in tops)


def test_as_many_glyphs_are_pressed_as_told():
    glyphs = torch.linspace(0.1, 1, 1000)[:, None, None, None].expand(-1, 1, 16, 16)
    draws = [Draw(row, row) for row in range(1000)]
    varied = VariedGlyphs(glyphs, torch.ones(1000), 0, 0.3)
    batch = torch.stack([varied[draw] for draw in draws])
    assert batch.equal(torch.stack([varied[draw] for draw in draws]))  # chance is in the draw
    untouched = VariedGlyphs(glyphs, torch.ones(1000), 0, 0.0)
    assert all(untouched[draw].equal(glyph) for draw, glyph in zip(draws, glyphs, strict=True))
    flat = (batch.amax((1, 2, 3)) - batch.amin((1, 2, 3))) < 1e-6
    assert (~flat).float().mean() == pytest.approx(0.3, abs=0.05)
    assert batch[flat].equal(glyphs[flat])


class Few(list):
    """Glyphs of five and of ten strokes in turn."""

    records = [SimpleNamespace(strokes=strokes) for strokes in (5, 10)] * 500


def test_dense_glyphs_come_up_as_often_as_the_power_of_their_strokes_says():
    data = GlyphData(batch_size=50, density=2.0, pressed=0.0)
    images = [torch.full((1, 8, 8), value) for value in (0.25, 0.5)] * 500
    data.sources = [Few(images)]
    drawn = torch.cat(list(data.train_dataloader()))
    assert len(drawn) == 1000
    dense = (drawn.amax((1, 2, 3)) == 0.5).float().mean()
    assert dense == pytest.approx(100 / 125, abs=0.05)  # 10² against 5²
    data.hparams.density = 0
    every = torch.cat(list(data.train_dataloader()))
    assert (every.amax((1, 2, 3)) == 0.5).float().mean() == 0.5  # each of them once


def test_glyphs_are_shifted_and_pressed_as_far_as_the_data_is_told():
    """A dot in the middle: shifted it is still one, and pressed it comes with another."""
    dot = torch.zeros(1, 32, 32)
    dot[:, 12:20, 12:20] = 1
    data = GlyphData(batch_size=50, density=0, shift=3, pressed=0.0)
    data.sources = [Few([dot] * 1000)]
    drawn = torch.cat(list(data.train_dataloader()))
    assert len({glyph.numpy().tobytes() for glyph in drawn}) == 49
    assert drawn.sum((1, 2, 3)).unique().tolist() == [64]
    assert not drawn[..., :9, :].any() and not drawn[..., :, 23:].any()
    data.hparams.update(shift=0, pressed=1.0)
    assert not any(glyph.equal(dot) for batch in data.train_dataloader() for glyph in batch)


# ---- a step --------------------------------------------------------------------------------------


@pytest.fixture
def stepped(tiny_autoencoder, monkeypatch):
    """Takes training steps; returns what the decoder was given in each."""

    def stepped(steps, glyphs, **loss):
        module = AutoencoderModule(loss=LossConfig(perceptual="none", **loss))
        module.autoencoder = tiny_autoencoder
        monkeypatch.setattr(module, "log_dict", lambda *_, **__: None)
        monkeypatch.setattr(module, "log", lambda *_, **__: None)
        seen = []
        decode = tiny_autoencoder.decode_raw
        monkeypatch.setattr(
            tiny_autoencoder, "decode_raw", lambda z: (seen.append(z.detach()), decode(z))[1]
        )
        trainer = {"accumulate_grad_batches": 1, "global_rank": 0, "world_size": 1}
        for step in range(steps):
            module._trainer = SimpleNamespace(global_step=step, **trainer)
            assert module.training_step(glyphs, 0).isfinite()
        return seen

    return stepped


@torch.no_grad()
@pytest.mark.parametrize("scale", [1.0, 0.5])
def test_the_decoder_is_given_draws_from_the_posterior(stepped, tiny_autoencoder, glyphs, scale):
    """Less their mean and over their deviation they are standard normal, and new at each step."""
    mean, logvar = tiny_autoencoder.encode_raw(glyphs)
    drawn = torch.stack(stepped(8, glyphs, noise=scale))
    noise = (drawn - mean) / (scale * (0.5 * logvar).exp())
    assert noise.mean().abs() < 5 / noise.numel() ** 0.5
    assert noise.var().item() == pytest.approx(1, abs=5 * (2 / noise.numel()) ** 0.5)
    steps = torch.corrcoef(noise.flatten(1)) - torch.eye(8)
    assert steps.abs().max() < 5 / noise[0].numel() ** 0.5


@torch.no_grad()
def test_jitter_is_up_to_its_most_and_another_for_each_glyph(stepped, tiny_autoencoder, glyphs):
    mean, _ = tiny_autoencoder.encode_raw(glyphs)
    off = torch.stack(stepped(60, glyphs, noise=0.0, jitter=0.6)) - mean  # (60, B, C, H, W)
    each = off.flatten(2).square().mean(dim=2).sqrt() / 0.6  # as uniform as what it was drawn from
    assert stats.kstest(each.flatten().clamp(0, 1), "uniform").pvalue > 0.01
    among = torch.corrcoef(each.T) - torch.eye(len(glyphs))
    assert among.abs().max() < 5 / 60**0.5
    assert off.mean().abs() < 5 * off.std() / off.numel() ** 0.5


def test_what_wobbles_is_seen_by_the_encoder_alone(stepped, tiny_autoencoder, glyphs, monkeypatch):
    seen, wanted, encode = [], [], tiny_autoencoder.encode_raw
    monkeypatch.setattr(
        tiny_autoencoder, "encode_raw", lambda shown: (seen.append(shown), encode(shown))[1]
    )
    loss = training.autoencoder_loss
    monkeypatch.setattr(
        training, "autoencoder_loss", lambda *args: (wanted.append(args[1]), loss(*args))[1]
    )
    stepped(3, glyphs, wobble=1.0)
    assert all(target.equal(glyphs) for target in wanted)
    off = torch.stack(seen) - glyphs
    assert off.abs().amax(dim=(2, 3, 4)).min() > 0  # each glyph at each step
    assert not torch.equal(seen[0], seen[1])
    stepped(1, glyphs)
    assert seen[-1] is glyphs


def test_rates_rise_to_their_peaks_and_fall_to_nothing(tmp_path):
    rates = []
    module = AutoencoderModule(
        AUTOENCODER,
        LossConfig(perceptual="none"),
        learning_rate=0.004,
        adam_learning_rate=0.002,
        warmup_steps=2,
        compile=False,
        out=tmp_path / "out",
    )
    module.on_train_batch_start = lambda *_: rates.append(
        [group["lr"] for group in module.optimizers().param_groups]
    )
    quiet_trainer(tmp_path, max_steps=4).fit(module, datamodule=TinyData())
    factors = [0.5, 0.75, 0.5, 0.25]
    assert [muon for muon, _ in rates] == pytest.approx([0.004 * factor for factor in factors])
    assert [adam for _, adam in rates] == pytest.approx([0.002 * factor for factor in factors])


# ---- from a trained one --------------------------------------------------------------------------


class TinyData(LightningDataModule):
    """Eight glyphs of noise in batches of four."""

    def __init__(self):
        super().__init__()
        images = torch.rand(8, 1, 128, 128, generator=torch.Generator().manual_seed(0))
        self.sources = [Glyphs(images)]

    def train_dataloader(self):
        return DataLoader(self.sources[0].everything, batch_size=4)


@pytest.fixture
def train_on(tmp_path, seeded):
    """Trains `make_autoencoder()` for four steps more; returns it before and after."""

    def train_on(**options):
        start = make_autoencoder().save_pretrained(tmp_path / "start")
        module = AutoencoderModule(
            loss=LossConfig(perceptual="edges"),
            warmup_steps=1,
            compile=False,
            start=start,
            out=tmp_path / "out",
            **options,
        )
        trainer = quiet_trainer(tmp_path, max_steps=4, num_sanity_val_steps=2)
        trainer.fit(module, datamodule=TinyData())
        return Autoencoder.from_pretrained(start), Autoencoder.from_pretrained(tmp_path / "out")

    return train_on


@pytest.mark.filterwarnings("ignore")
def test_a_decoder_trained_alone_leaves_every_latent_as_it_was(train_on, glyphs):
    before, after = train_on(decoder_only=True)
    assert after.fingerprint == before.fingerprint
    latents = before.encode(glyphs)
    assert after.encode(glyphs).equal(latents)
    assert (after.decode(latents) - before.decode(latents)).abs().max() > 1e-3


@pytest.mark.filterwarnings("ignore")
def test_glyphs_of_further_folders_come_up_and_held_out_ones_do_not(training_folder, tmp_path):
    more = tmp_path / "more"
    own = GlyphDataset(training_folder / "data")
    unseen = next(one for one in own.records if one.split == "test").character
    strange = [GlyphRecord(c, 1, 9, "train", "") for c in ("龘", unseen)]
    write_glyphs(more, strange, default_font())
    data = GlyphData(training_folder / "data", more=(more,))
    data.setup("fit")
    assert [len(source) for source in data.sources] == [20, 1]
    assert data.sources[1].records[0].character == "龘"
    assert len(GlyphDataset(more, without={unseen})) == 1


def test_a_decoder_alone_needs_a_trained_autoencoder():
    with pytest.raises(ValueError, match="name an autoencoder to start from"):
        AutoencoderModule(loss=LossConfig(perceptual="none"), decoder_only=True)
