"""What is trained in the benchmark is what the trainings train."""

from types import SimpleNamespace

import pytest
import torch
from conftest import DENOISER

from autoencoder.loss import LossConfig
from autoencoder.optim import Muon
from autoencoder.training import AutoencoderModule
from diffusion.benchmark import timing
from diffusion.benchmark.others import PixArt, article_training
from diffusion.benchmark.training import rated, stage_one, stage_two
from diffusion.networks.dit import DiT
from diffusion.training.denoiser import DiffusionModule

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # diffusers' own

CPU = torch.device("cpu")


def test_both_stages_are_trained_as_by_their_own_scripts(tiny_pipeline):
    one = stage_one(tiny_pipeline, 2)
    two = stage_two(DiT, DENOISER, 2, CPU, muon=True)
    modules = (
        AutoencoderModule(tiny_pipeline.autoencoder.config, LossConfig(perceptual="edges")),
        DiffusionModule(dit=DENOISER, muon=True),
    )
    for training, module in zip((one, two), modules, strict=True):
        module.trainer = SimpleNamespace(precision="32-true", estimated_stepping_batches=10)
        theirs = module.configure_optimizers()["optimizer"].param_groups
        groups = training.optimizer.param_groups
        assert isinstance(training.optimizer, Muon)
        for mine, other in zip(groups, theirs, strict=True):
            assert [p.shape for p in mine["params"]] == [p.shape for p in other["params"]]
        learns = {id(p) for group in groups for p in group["params"]}
        assert learns == {id(p) for p in training.network.parameters()}


def test_a_step_moves_every_weight(tiny_pipeline, tiny_networks):
    for training in (
        stage_one(tiny_pipeline, 2),
        stage_two(DiT, DENOISER, 2, CPU),
        stage_two(PixArt, DENOISER, 2, CPU),
        article_training(1, CPU),
    ):
        before = [p.detach().clone() for p in training.network.parameters()]
        for _ in range(3):  # what starts at zero holds back what lies before it for a step
            training.step()
        moved = [not a.equal(b) for a, b in zip(before, training.network.parameters(), strict=True)]
        assert sum(moved) > 0.9 * len(moved), type(training.network)
        assert all(p.isfinite().all() for p in training.network.parameters())


def test_a_share_is_of_matrix_products_in_the_same_turns(tiny_pipeline, monkeypatch):
    training, calls = stage_one(tiny_pipeline, 2), []

    def side_by_side(given, repeats, device):
        calls.extend(given)
        return {"one": 0.5, "matmul": 0.25}

    monkeypatch.setattr(timing, "side_by_side", side_by_side)
    found = rated({"one": training}, 3, 16, CPU)["one"]
    assert calls == ["one", "matmul"]
    assert found["samples_per_s"] == 4
    assert found["matmul_gflop_per_s"] == pytest.approx(timing.PRODUCTS * 2 * 16**3 / 0.25 / 1e9)
    rate = found["gflop_per_sample"] * found["samples_per_s"]
    assert found["matmul_share"] == pytest.approx(rate / found["matmul_gflop_per_s"])
