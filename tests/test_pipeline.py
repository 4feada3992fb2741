"""The pipeline: a glyph depends on its prompt and its seed, and on nothing else in the call."""

import shutil
import subprocess
import sys
import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import (
    DENOISER,
    UNET,
    make_autoencoder,
    make_denoiser,
    make_pipeline,
    make_prior,
    make_text_encoder,
    shake,
)

from autoencoder.pretrained import WeightsError
from conditioning.radicals import RADICALS
from diffusion import GlyphPipeline
from diffusion.pipeline import NULL_CAPTION, to_pil
from diffusion.process import PREDICTIONS, PROCESSES
from diffusion.request import Request
from diffusion.samplers import SAMPLERS
from diffusion.training.data import NOTHING, build_words
from diffusion.training.student import student_of

LONG = "a large fish of the sea and a bird of the mountain and the dragon of the fire"


@pytest.fixture
def draw(tiny_pipeline):
    """Glyphs `(count, 1, 128, 128)` of a call."""

    def draw(prompt, **options):
        options = {"num_inference_steps": 4, "output_type": "pt"} | options
        return tiny_pipeline(prompt, **options).images

    return draw


def same(a, b) -> bool:
    return float((a - b).abs().max()) < 1e-4


def test_image_i_of_a_seed_is_the_only_image_of_the_seed_plus_i(draw):
    together = draw("gold fish", num_images_per_prompt=20, seed=7)
    for i in (0, 1, 7, 8, 19):
        assert together[i].equal(draw("gold fish", seed=7 + i)[0])
    assert not same(together[0], together[1])


@pytest.mark.parametrize(
    ("config", "sampler"),
    [(DENOISER, "dpmpp_2m"), *((UNET, name) for name in SAMPLERS)],
    ids=["dit", *SAMPLERS],
)
def test_a_glyph_is_the_same_to_the_last_bit_whatever_else_is_in_the_call(config, sampler):
    pipe = make_pipeline(config=config)
    options = {
        "sampler": sampler,
        "guidance_scale": 2.5,
        "num_inference_steps": 3,
        "output_type": "pt",
    }
    prompts = ["gold", LONG, "fish", "water AND bird", LONG.upper(), "gold AND fish AND tree"]
    prompts += ["gold; enclosed", "fish; left-right AND gold; enclosed"]
    whole = pipe(prompts, num_images_per_prompt=2, seed=5, **options).images
    for size in (1, 7):
        rows = pipe(prompts, num_images_per_prompt=2, seed=5, batch_size=size, **options)
        assert rows.images.equal(whole)


def test_real_weights_draw_the_same_bits_in_any_company():
    pipe = GlyphPipeline.from_pretrained()
    options = {"num_inference_steps": 2, "output_type": "pt"}
    alone = pipe("gold", seed=3, **options).images[0]
    sings = "a small bird that sings by the river in spring"
    beside = pipe([sings, "water AND fire", "silk", "gold", sings], **options).images[3]
    assert beside.equal(alone)


@torch.no_grad()
def test_under_autocast_it_draws_nearly_the_same():
    pipe = GlyphPipeline.from_pretrained()
    options = {"num_inference_steps": 2, "output_type": "pt"}
    plain = pipe("gold", **options).images
    with torch.autocast("cpu", torch.bfloat16):
        rough = pipe("gold", **options).images.float()
    assert (plain - rough).abs().mean() < 0.05


def test_both_sides_of_a_sum_matter_and_their_order_does_not(draw):
    both = draw("gold AND fish", conjunction="sum")
    assert same(both, draw("fish AND gold", conjunction="sum"))
    assert not same(both, draw("gold"))
    assert not same(both, draw("fish"))
    assert not same(both, draw("gold and fish"))
    beside = draw(["gold AND fish", "gold"], seed=2, conjunction="sum")
    assert same(beside[1], draw("gold", seed=3)[0])


def test_what_is_kept_away_from_drops_out_of_a_conjunction(draw):
    """Scale 1, and one of two parts the negative: what it leads to is nothing."""
    options = {"guidance_scale": 1.0, "negative_prompt": "fish", "conjunction": "sum"}
    assert same(draw("gold AND fish", **options), draw("gold", **options))


def test_outside_the_interval_guidance_does_nothing(draw):
    plain = draw("gold", guidance_scale=1)
    assert draw("gold", guidance_scale=6, guidance_interval=(0.0, 0.1)).equal(plain)  # no step is
    assert not same(draw("gold", guidance_scale=6, guidance_interval=(0.4, 0.6)), plain)
    assert draw("gold", guidance_scale=6, guidance_interval=(0.0, 1.0)).equal(
        draw("gold", guidance_scale=6)
    )


def test_eta_is_fresh_noise_from_each_seed_s_own_generator(draw):
    plain = draw("gold", sampler="ddim", seed=1)
    noisy = draw("gold", sampler="ddim", eta=1.0, seed=1)
    assert not same(noisy, plain)
    assert same(noisy, draw("gold", sampler="ddpm", seed=1))
    assert same(draw("gold", sampler="euler", seed=1), plain)
    together = draw("gold", num_images_per_prompt=3, sampler="ddim", eta=1.0)
    assert same(together[1], noisy[0])


@pytest.mark.parametrize("process", PROCESSES)
@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_every_process_and_prediction_draws_and_is_loaded_again(process, prediction, tmp_path):
    config = replace(UNET, process=process, prediction=prediction)
    pipe = make_pipeline(config=config)
    options = {"num_inference_steps": 3, "output_type": "pt", "sampler": "dpmpp_sde"}
    glyphs = pipe("gold", **options).images
    assert glyphs.isfinite().all()
    loaded = GlyphPipeline.from_pretrained(pipe.save_pretrained(tmp_path))
    assert (loaded.denoiser.config.process, loaded.denoiser.config.prediction) == (
        process,
        prediction,
    )
    assert loaded("gold", **options).images.equal(glyphs)


def test_prompts_come_in_order_with_their_seeds(tiny_pipeline):
    out = tiny_pipeline(["gold", "fish"], num_images_per_prompt=2, num_inference_steps=2, seed=5)
    assert out.seeds == [5, 6, 7, 8]
    assert [image.size for image in out.images] == [(128, 128)] * 4
    fish = tiny_pipeline("fish", num_inference_steps=2, seed=7).images[0]
    difference = np.asarray(fish, int) - np.asarray(out.images[2], int)
    assert np.abs(difference).max() <= 1


def test_the_global_random_state_is_untouched(draw):
    torch.manual_seed(11)
    state = torch.get_rng_state()
    first = draw("gold")
    assert torch.get_rng_state().equal(state)
    torch.manual_seed(12)
    assert draw("gold").equal(first)


def test_guidance_and_the_negative_prompt(draw):
    empty = draw("gold", negative_prompt="")
    assert draw("gold", negative_prompt=None).equal(empty)
    assert not same(draw("gold", negative_prompt="fish"), empty)
    assert not same(draw("gold", guidance_scale=1), empty)
    plain = draw("gold", guidance_scale=1)
    assert draw("gold", guidance_scale=1, negative_prompt="fish").equal(plain)
    # What is at once asked for and kept away from cancels, whatever the scale.
    assert same(draw("gold", negative_prompt="gold", guidance_scale=5), plain)
    assert same(
        draw("gold", negative_prompt="fish", guidance_scale=0), draw("fish", guidance_scale=1)
    )


# ---- students ------------------------------------------------------------------------------------


def teach(pipe):
    """Gives a pipeline a student that is not its teacher, and heeds leaps: none is zero in it."""
    pipe.student = shake(student_of(pipe.denoiser), seed=1)
    return pipe


@pytest.fixture
def taught(seeded, tiny_pipeline):
    return teach(tiny_pipeline)


BESIDE = {"radical": "metal", "part": "里"}  # from time 0.3


@pytest.mark.parametrize(
    ("settings", "scale", "leaps"),
    [
        ({}, 4, [(1, 0.25), (0.75, 0.25), (0.5, 0.25), (0.25, 0.25)]),
        ({"calls": 2}, 4, [(1, 0.5), (0.5, 0.5)]),
        ({"calls": 1}, 4, [(1, 1)]),
        (BESIDE, 1, [(0.3, 0.3)]),
        (BESIDE | {"calls": 8}, 1, [(0.3, 0.15), (0.15, 0.15)]),
        (BESIDE | {"time": 0.72}, 4, [(0.72, 0.18), (0.54, 0.18), (0.36, 0.18), (0.18, 0.18)]),
    ],
    ids=str,
)
def test_a_student_makes_the_calls_asked_for_and_its_teacher_none(taught, settings, scale, leaps):
    made = []

    def watch(network, given, predicted):
        assert network is taught.student
        _, t, condition = given
        made.append((float(t[0]), *condition.leap[0].tolist()))

    for network in (taught.student, taught.denoiser):
        network.register_forward_hook(watch)
    taught("gold", **settings)
    assert made == [pytest.approx((*leap, scale)) for leap in leaps]


def test_a_student_that_has_learnt_nothing_walks_as_its_teacher_without_guidance(taught):
    by_teacher = {"sampler": "euler", "num_inference_steps": 4, "guidance_scale": 1}
    truth = taught("gold", output_type="pt", **by_teacher).images
    assert not same(taught("gold", output_type="pt").images, truth)
    taught.student = student_of(taught.denoiser)
    for scale in (1, 2, 6):
        assert same(taught("gold", output_type="pt", guidance_scale=scale).images, truth)


def test_a_student_is_guided_by_what_its_leaps_say(taught):
    plain, *others = (
        taught("gold", output_type="pt", guidance_scale=scale).images for scale in (1, 2, 6)
    )
    assert not same(plain, others[0]) and not same(*others)


def test_a_student_s_glyph_is_the_same_to_the_last_bit_whatever_else_is_in_the_call(seeded):
    pipe = teach(make_pipeline(config=UNET))
    options = {"radical": "metal", "part": "none", "output_type": "pt"}
    prompts = ["gold", LONG, "fish; part 里", "water AND bird", "gold; enclosed", "fish", LONG]
    whole = pipe(prompts, num_images_per_prompt=2, seed=5, **options).images
    for size in (1, 5):
        rows = pipe(prompts, num_images_per_prompt=2, seed=5, batch_size=size, **options)
        assert rows.images.equal(whole)
    assert pipe("fish; part 里", seed=9, **options).images[0].equal(whole[4])


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"num_inference_steps": 2}, "steps"),
        ({"sampler": "dpmpp_2m"}, "a sampler"),
        ({"sampler": "ddim", "eta": 0.5}, "a sampler"),
        ({"negative_prompt": "fish"}, "a negative prompt"),
        ({"guidance_interval": (0, 0.5)}, "a guidance interval"),
        ({"guidance_scale": 0.5}, "guidance of 0.5"),
        ({"guidance_scale": 9}, "guidance of 9"),
        ({"prompt": "sea AND fire", "conjunction": "sum"}, '"sea AND fire" is a sum of prompts'),
        ({"prompt": "the sea AND a river"}, '"the sea AND a river" is a sum of prompts'),
    ],
    ids=str,
)
def test_what_only_the_teacher_does_it_does_and_with_calls_it_is_refused(
    seeded, tiny_pipeline, settings, said
):
    settings = {"prompt": "gold", "output_type": "pt"} | settings
    by_teacher = tiny_pipeline(**settings).images
    teach(tiny_pipeline)
    assert tiny_pipeline(**settings).images.equal(by_teacher)
    assert not tiny_pipeline(output_type="pt", prompt="gold").images.equal(by_teacher)
    with pytest.raises(ValueError, match="leave out") as error:
        tiny_pipeline(calls=4, **settings)
    assert str(error.value).startswith(said)
    assert "\n" not in str(error.value)


def test_a_sum_in_the_same_call_leaves_other_prompts_to_the_student(taught):
    settings = {"conjunction": "sum", "output_type": "pt"}
    alone = taught("gold", **settings).images[0]
    assert taught(["gold", "sea AND fire"], **settings).images[0].equal(alone)


def test_what_begins_from_parts_takes_two_steps_without_guidance_unless_they_are_asked_for(
    tiny_pipeline,
):
    def drawn(**settings):
        return tiny_pipeline("gold", output_type="pt", **BESIDE, **settings).images

    alone = drawn()
    assert alone.equal(drawn(num_inference_steps=6, guidance_scale=1))
    for settings in ({"guidance_scale": 4}, {"num_inference_steps": 12}, {"time": 0.6}):
        assert not same(drawn(**settings), alone)
    noised = drawn(negative_prompt="water")
    assert noised.equal(drawn(negative_prompt="water", guidance_scale=4, num_inference_steps=12))


def test_calls_of_a_student_that_is_not_there_are_refused(tiny_pipeline):
    with pytest.raises(ValueError, match=r"4 calls: this model has no student") as error:
        tiny_pipeline("gold", calls=4)
    assert "\n" not in str(error.value)


def test_a_student_goes_with_its_teacher_and_that_of_another_is_not_used(taught, tmp_path):
    folder = taught.save_pretrained(tmp_path)
    loaded = GlyphPipeline.from_pretrained(folder)
    assert loaded.student.fingerprint == taught.student.fingerprint
    drawn, again = (pipe("gold", calls=2, output_type="pt").images for pipe in (taught, loaded))
    assert again.equal(drawn)
    for other in (student_of(make_denoiser(seed=1)), taught.denoiser):
        other.save_pretrained(folder / "student")
        with pytest.warns(UserWarning, match=r"another denoiser.*train_student\.py"):
            assert GlyphPipeline.from_pretrained(folder).student is None


# ---- radicals ------------------------------------------------------------------------------------


@pytest.fixture
def chooser(tiny_pipeline):
    """A pipeline with a prior, untrained, so that it chooses all sorts of radicals."""
    tiny_pipeline.prior = make_prior(tiny_pipeline.text_encoder)
    return tiny_pipeline


def test_a_radical_is_heard_before_each_part_and_is_what_the_prior_chose(chooser):
    heard = chooser.captions(["gold", "sea AND fire"], [4, 5])
    prior, encoder = chooser.prior, chooser.text_encoder
    names = {
        text: RADICALS[prior.choose(encoder.pool(*encoder([text]))[0], seed) - 1].names[0]
        for text, seed in (("gold", 4), ("sea", 5), ("fire", 5))
    }
    assert heard == [
        f"{names['gold']}; gold",
        f"{names['sea']}; sea AND {names['fire']}; fire",
    ]
    assert len(set(chooser.captions(["gold"] * 40, list(range(40))))) > 2


def test_what_was_heard_is_what_was_drawn(chooser):
    options = {"num_inference_steps": 3, "output_type": "pt", "conjunction": "sum", "part": "none"}
    drawn = chooser(["gold", "sea AND fire"], seed=4, **options)
    assert drawn.captions == chooser.captions(["gold", "sea AND fire"], [4, 5])
    plain = chooser(drawn.captions, seed=4, radical="none", **options)
    assert plain.captions == drawn.captions
    assert plain.images.equal(drawn.images)
    assert not same(chooser("gold", seed=4, radical="none", **options).images, drawn.images[:1])
    assert chooser("sea AND fire", seed=5, **options).images[0].equal(drawn.images[1])


@pytest.mark.parametrize("radical", ["water", "氵", "85"])
def test_a_radical_of_ones_own_is_heard_with_and_without_a_prior(chooser, radical):
    for prior in (chooser.prior, None):
        chooser.prior = prior
        heard = chooser.captions(["gold", "sea AND fire"], [0, 1], radical)
        assert heard == ["water; gold", "water; sea AND water; fire"]


def test_without_a_prior_words_are_heard_as_they_are(tiny_pipeline):
    drawn = tiny_pipeline("gold", num_inference_steps=2)
    assert drawn.captions == ["gold"]
    assert tiny_pipeline.captions(["gold"], [0], "none") == ["gold"]


def test_a_layout_is_heard_behind_each_part(chooser):
    plain = chooser.captions(["gold", "sea AND fire"], [4, 5])
    heard = chooser.captions(["gold", "sea AND fire"], [4, 5], layout="left-right")
    assert heard == [
        " AND ".join(f"{part}; left-right" for part in text.split(" AND ")) for text in plain
    ]
    # What a prompt says of itself counts, and the prior does not read it.
    own = chooser.captions(["gold; enclosed", "gold"], [4, 4], layout="left-right")
    assert own == [f"{plain[0]}; enclosed", f"{plain[0]}; left-right"]


def test_layouts_reach_the_denoiser_as_they_do_in_training(tmp_path, monkeypatch):
    pipe = GlyphPipeline.from_pretrained()
    texts = ["a heron, or a stork", "left-right", NULL_CAPTION]
    words = build_words(texts, pipe.text_encoder, tmp_path)
    trained = words.batch(torch.tensor([[0, 1], [0, NOTHING], [2, NOTHING]]), 24)
    seen = []

    def forward(x_t, t, condition):
        seen.extend(zip(*condition[:2], strict=True))
        return torch.zeros_like(x_t)

    monkeypatch.setattr(pipe.denoiser, "forward", forward)
    denoise = pipe.denoise([f"{texts[0]}; left-right", texts[0]], guidance_scale=2.0)
    denoise(torch.zeros(2, 8, 8, 8), torch.full((2,), 0.5))
    asked, drawn = (
        [tokens[real] for tokens, real in pairs] for pairs in (zip(*trained, strict=True), seen)
    )

    def alike(a, b) -> bool:  # the cache is in half precision
        return a.shape == b.shape and torch.allclose(a, b, atol=2e-3, rtol=2e-3)

    assert all(any(alike(a, b) for b in drawn) for a in asked)
    assert all(any(alike(a, b) for a in asked) for b in drawn)


def test_a_prior_goes_with_its_model_and_one_of_another_text_encoder_is_refused(chooser, tmp_path):
    folder = chooser.save_pretrained(tmp_path / "model")
    assert GlyphPipeline.from_pretrained(folder).prior.fingerprint == chooser.prior.fingerprint
    make_prior(make_text_encoder(seed=1)).save_pretrained(folder / "prior")
    with pytest.raises(WeightsError, match=r"train_prior\.py --model") as error:
        GlyphPipeline.from_pretrained(folder)
    assert "\n" not in str(error.value)
    shutil.rmtree(folder / "prior")
    assert GlyphPipeline.from_pretrained(folder).prior is None  # the one that ships reads another


def test_the_prior_that_ships_goes_with_the_text_encoder_that_ships(tmp_path):
    shipped = GlyphPipeline.from_pretrained()
    folder = shipped.save_pretrained(tmp_path / "model")
    own = ["student"] if shipped.student else []
    names = ["config.json", "model.safetensors", *own]
    assert sorted(path.name for path in folder.iterdir()) == names
    assert GlyphPipeline.from_pretrained(folder).prior.fingerprint == shipped.prior.fingerprint


def test_progress_adds_up_to_glyphs(draw):
    done = []
    draw(["gold", "fish", "tree"], num_inference_steps=5, batch_size=2, progress=done.append)
    assert done[:5] == pytest.approx([2 / 5] * 5)
    assert sum(done) == pytest.approx(3)


def test_more_steps_come_nearer_to_the_many(draw):
    truth = draw("gold", num_inference_steps=120, guidance_scale=1)
    errors = [
        (draw("gold", num_inference_steps=n, guidance_scale=1) - truth).abs().mean()
        for n in (2, 8, 32)
    ]
    assert errors[0] > errors[1] > errors[2]


def test_pictures_are_black_ink_on_white():
    glyphs = torch.tensor([[[[0.0, 1.0], [0.5, 1.2]]]])
    (image,) = to_pil(glyphs)
    assert image.mode == "L"
    assert np.asarray(image).tolist() == [[255, 0], [128, 0]]


def test_what_cannot_be_drawn_is_one_clear_line(tiny_pipeline):
    for options, message in (
        ({"seed": -1}, "seed -1"),
        ({"steps": 5}, 'no setting "steps": there are num_images_per_prompt'),
        ({"output_type": "numpy"}, 'no output type "numpy"'),
        ({"batch_size": 0}, "at least 1"),
        ({"batch_size": 8.0}, "take a whole number"),
    ):
        with pytest.raises(ValueError, match=message) as error:
            tiny_pipeline("gold", **options)
        assert "\n" not in str(error.value)


def test_a_pipeline_goes_to_a_device_and_to_no_other_type(tiny_pipeline):
    assert tiny_pipeline.to("CPU") is tiny_pipeline
    with pytest.raises(ValueError, match="there is no cuda:99 here"):
        tiny_pipeline.to("cuda:99")
    for given in ((torch.float16,), ("cpu", torch.float16), ("abacus",), (None,)):
        with pytest.raises(ValueError, match=r"stay float32|no device") as error:
            tiny_pipeline.to(*given)
        assert "\n" not in str(error.value)
    assert tiny_pipeline.text_encoder.model.shared.weight.dtype == torch.float32


def test_a_request_and_its_settings_draw_the_same(tiny_pipeline):
    request = Request("gold", num_images_per_prompt=2, num_inference_steps=2, seed=3)
    drawn = tiny_pipeline(request, output_type="pt")
    settings = {"num_images_per_prompt": 2, "num_inference_steps": 2, "seed": 3}
    assert tiny_pipeline("gold", output_type="pt", **settings).images.equal(drawn.images)
    alone = tiny_pipeline(request, output_type="pt", num_images_per_prompt=1, seed=4)
    assert alone.images[0].equal(drawn.images[1])


def test_the_largest_seed_works_and_a_prompt_too_long_warns(draw):
    assert draw("gold", seed=2**63 - 1).isfinite().all()
    with pytest.warns(UserWarning, match="these words are lost"):
        draw("gold " * 100)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        draw("gold " * 40)


# ---- files ---------------------------------------------------------------------------------------


def test_loading_gives_what_was_saved(tiny_model_folder, tiny_pipeline, draw):
    loaded = GlyphPipeline.from_pretrained(tiny_model_folder)
    for name in ("autoencoder", "text_encoder", "denoiser"):
        assert getattr(loaded, name).fingerprint == getattr(tiny_pipeline, name).fingerprint
    again = loaded(["gold", LONG], num_inference_steps=4, output_type="pt").images
    assert again.equal(draw(["gold", LONG]))


@pytest.mark.parametrize(
    ("name", "other"), [("autoencoder", make_autoencoder), ("text_encoder", make_text_encoder)]
)
def test_an_encoder_that_it_was_not_trained_with_is_refused(
    tiny_model_folder, tmp_path, name, other
):
    folder = shutil.copytree(tiny_model_folder, tmp_path / "model")
    other(seed=1).save_pretrained(folder / name)
    with pytest.raises(WeightsError, match=f"was trained with another {name}") as error:
        GlyphPipeline.from_pretrained(folder)
    assert "\n" not in str(error.value)


def test_a_pipeline_trained_on_float32_encoders_loads_again(tmp_path):
    """A T5 of the hub is float32, and float16 once exported: it must still be the same encoder."""
    pipeline = make_pipeline()
    with torch.no_grad():
        for part in (pipeline.autoencoder, pipeline.text_encoder):
            for weight in part.parameters():
                weight *= 1.0001  # no longer exact in float16
    pipeline.denoiser.config = replace(
        pipeline.denoiser.config,
        autoencoder=pipeline.autoencoder.fingerprint,
        text_encoder=pipeline.text_encoder.fingerprint,
    )
    loaded = GlyphPipeline.from_pretrained(pipeline.save_pretrained(tmp_path))
    glyphs = [p("gold", num_inference_steps=2, output_type="pt").images for p in (pipeline, loaded)]
    torch.testing.assert_close(*glyphs, atol=0.05, rtol=0)


def test_saving_over_another_pipeline_leaves_none_of_its_encoders(tmp_path):
    make_pipeline(seed=1).save_pretrained(tmp_path)
    new = make_pipeline(seed=0)
    new.save_pretrained(tmp_path)
    assert GlyphPipeline.from_pretrained(tmp_path).autoencoder.fingerprint == (
        new.autoencoder.fingerprint
    )


def test_a_decoder_of_ones_own_is_saved_and_one_that_ships_is_not(tmp_path, monkeypatch):
    """The fingerprint of an autoencoder does not see its decoder, which draws the glyphs."""
    shipped = make_autoencoder().save_pretrained(tmp_path / "shipped")
    monkeypatch.setattr("autoencoder.model.Autoencoder.bundled", shipped)
    pipeline = make_pipeline()
    pipeline.save_pretrained(tmp_path / "same")
    assert not (tmp_path / "same" / "autoencoder").exists()
    with torch.no_grad():
        pipeline.autoencoder.decoder.layers[0].bias += 1
    pipeline.save_pretrained(tmp_path / "own")
    own = GlyphPipeline.from_pretrained(tmp_path / "own").autoencoder.decoder.layers[0].bias
    assert own.equal(pipeline.autoencoder.decoder.layers[0].bias.half().float())


def test_a_missing_folder_is_one_clear_line(tmp_path):
    with pytest.raises(WeightsError, match=r"no config\.json in") as error:
        GlyphPipeline.from_pretrained(tmp_path / "none")
    assert "\n" not in str(error.value)


def test_drawing_imports_nothing_slow_that_it_does_not_use():
    code = (
        "import sys; from diffusion import GlyphPipeline; "
        "GlyphPipeline.from_pretrained()('gold', num_inference_steps=1); "
        "slow = 'lightning', 'lpips', 'torchvision', 'transformers', 'torch._dynamo'; "
        "sys.exit(' '.join(name for name in slow if name in sys.modules) or None)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (result.returncode, result.stderr) == (0, "")
