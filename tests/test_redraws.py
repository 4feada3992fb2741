"""Glyphs that exist are drawn again: those and no others, from a seed alone, as often as told."""

import itertools

import pytest
import torch
from conftest import make_pipeline, shake

from autoencoder.pretrained import WeightsError
from autoencoder.readers.recognizer import KnownCharacters, Match, Recognizer, RecognizerConfig
from diffusion import GlyphPipeline
from diffusion.pipeline import successor

OPTIONS = {"num_inference_steps": 2, "output_type": "pt"}


class Judge(torch.nn.Module):
    """Takes some glyphs for 字, in whatever batch they come; it knows them by their pixels."""

    def __init__(self, existing) -> None:
        super().__init__()
        self.existing = {glyph.numpy().tobytes() for glyph in existing}

    def forward(self, glyphs):
        return glyphs.flatten(1)

    def match(self, embeddings):
        found = [row.numpy().tobytes() in self.existing for row in embeddings]
        return [Match("字", float(exists), exists) for exists in found]


@pytest.fixture
def pipe():
    return make_pipeline()


@pytest.fixture
def plain(pipe):
    return pipe("gold", num_images_per_prompt=12, seed=5, **OPTIONS)


def test_without_a_recogniser_nothing_is_drawn_again(plain):
    assert plain.matches == [] and plain.redrawn == [0] * 12


def test_what_exists_is_drawn_again_and_nothing_else(pipe, plain):
    pipe.recognizer = Judge(plain.images[[1, 10]])
    again = pipe("gold", num_images_per_prompt=12, seed=5, **OPTIONS)
    assert again.redrawn == [int(i in (1, 10)) for i in range(12)]
    assert not any(match.exists for match in again.matches)
    for i in range(12):
        assert again.images[i].equal(plain.images[i]) == (i not in (1, 10))
    assert again.seeds == plain.seeds and again.captions == plain.captions


def test_it_is_drawn_again_from_the_successor_of_its_seed(pipe, plain):
    pipe.recognizer = Judge(plain.images[[3]])
    again = pipe("gold", num_images_per_prompt=12, seed=5, **OPTIONS).images[3]
    assert again.equal(pipe("gold", seed=successor(5 + 3), **OPTIONS).images[0])


def test_a_glyph_drawn_again_is_the_same_to_the_last_bit_in_any_company(pipe, plain):
    pipe.recognizer = Judge(plain.images[[0, 2, 3, 4, 7, 8, 9, 11]])
    whole = pipe("gold", num_images_per_prompt=12, seed=5, **OPTIONS).images
    for size in (1, 5):
        rows = pipe("gold", num_images_per_prompt=12, seed=5, batch_size=size, **OPTIONS)
        assert rows.images.equal(whole)
    assert pipe("gold", seed=5 + 7, **OPTIONS).images[0].equal(whole[7])


class Everything(Judge):
    """Takes every glyph for a character, and counts how many it was shown."""

    def __init__(self) -> None:
        super().__init__([])
        self.shown = 0

    def match(self, embeddings):
        self.shown += len(embeddings)
        return [Match("字", 1.0, True)] * len(embeddings)


@pytest.mark.parametrize("redraws", [0, 2])
def test_no_glyph_is_drawn_again_oftener_than_told(pipe, redraws):
    pipe.recognizer = Everything()
    done = []
    drawn = pipe("gold", num_images_per_prompt=3, redraws=redraws, progress=done.append, **OPTIONS)
    assert drawn.redrawn == [redraws] * 3
    assert pipe.recognizer.shown == 3 * (1 + redraws)
    assert all(match.exists for match in drawn.matches)
    assert sum(done) == pytest.approx(3)  # of the first attempts


def test_steps_say_which_glyphs_they_are_of(pipe, plain):
    pipe.recognizer = Judge(plain.images[[3]])
    seen, last = [], {}

    def on_step(rows, t, x_t, x_0):
        seen.append(list(rows))
        last.update(zip(rows, x_0, strict=True))

    drawn = pipe("gold", num_images_per_prompt=12, seed=5, batch_size=8, on_step=on_step, **OPTIONS)
    first, second = list(range(8)), list(range(8, 12))
    assert seen == [first, first, second, second, [3], [3]]
    latents = torch.stack([last[i] for i in range(12)])
    assert pipe.decode(latents).equal(drawn.images)


def test_seeds_have_successors_of_their_own():
    seeds = {seed for start in range(100) for seed in chain(start, 3)}
    assert len(seeds) == 400 and all(0 <= seed < 2**63 for seed in seeds)
    assert successor(7) == successor(7)


def chain(seed, count):
    return itertools.accumulate(range(count), lambda last, _: successor(last), initial=seed)


def test_too_many_redraws_are_refused(pipe):
    for redraws in (-1, 1001):
        with pytest.raises(ValueError, match=f"{redraws} redraws: take 0 to 1,000"):
            pipe("gold", redraws=redraws)


def test_a_model_comes_with_the_recogniser_that_ships_or_one_of_its_own(tmp_path):
    shipped = GlyphPipeline.from_pretrained()
    assert len(shipped.recognizer.known.characters) > 27_000
    pipe = make_pipeline()
    folder = pipe.save_pretrained(tmp_path / "none")
    pipe.recognizer = GlyphPipeline.from_pretrained(folder).recognizer
    assert pipe.recognizer.fingerprint == shipped.recognizer.fingerprint
    pipe.save_pretrained(folder)
    assert not (folder / "recognizer").exists()
    pipe.recognizer.known = pipe.recognizer.known.without({"金"})
    pipe.save_pretrained(tmp_path / "fewer")
    fewer = GlyphPipeline.from_pretrained(tmp_path / "fewer").recognizer.known
    assert "金" not in fewer.characters and "金" in shipped.recognizer.known.characters
    pipe.recognizer = small(128)
    pipe.save_pretrained(folder)
    again = GlyphPipeline.from_pretrained(folder).recognizer
    assert again.fingerprint == pipe.recognizer.fingerprint
    assert again.known.characters == "字"


def test_a_recogniser_of_glyphs_of_another_size_is_refused(tmp_path):
    folder = make_pipeline().save_pretrained(tmp_path)
    small(64).save_pretrained(folder / "recognizer")
    with pytest.raises(WeightsError, match=r"another size .*train_recognizer\.py --model\.out"):
        GlyphPipeline.from_pretrained(folder)


def small(image_size):
    config = RecognizerConfig(image_size=image_size, widths=(8, 12), blocks=(1, 1), features=6)
    with torch.random.fork_rng(devices=[]):
        recognizer = shake(Recognizer(config)).eval()
    recognizer.known = KnownCharacters.of("字", torch.ones(1, 6))
    return recognizer
