"""generate.py: what it draws and writes, and what it refuses."""

import itertools
import json
import os
import shutil
from dataclasses import asdict
from itertools import product
from pathlib import Path
from xml.etree import ElementTree

import lightning.pytorch  # noqa: F401  here, for it logs to what is stderr when first imported
import numpy as np
import pytest
from conftest import files, make_pipeline, pixels, process, shake
from PIL import Image

from autoencoder.readers.recognizer import Match, Recognizer
from diffusion import GlyphPipeline
from diffusion.inventions import COMPOSED, SKETCHED
from diffusion.networks.dit import DiT
from diffusion.outlines import path_data, picture, read_svg, trace
from diffusion.pictures import GAP, LABEL, MARGIN
from diffusion.request import Request
from diffusion.training.student import student_of

CELL = 128 + MARGIN
TALL = CELL + LABEL + MARGIN


@pytest.fixture
def generate(script, tiny_model_folder):
    """Runs generate.py with the tiny model and few steps, unless the arguments say otherwise."""

    def call(*arguments):
        defaults = {"--model": tiny_model_folder, "--steps": 2, "--device": "cpu"}
        given = [x for pair in defaults.items() if pair[0] not in arguments for x in pair]
        return script("generate.py", *arguments, *given)

    return call


# ---- what is written -----------------------------------------------------------------------------


def test_one_prompt_is_a_square_named_after_it(generate):
    result = generate("Sea monster!")
    assert result.code == 0, result.err
    assert files() == ["sea-monster.png"]
    assert "wrote sea-monster.png: 16 glyphs from seed 0 on" in result.out
    # The tiny model does not know the word; and no bar where stderr is no terminal.
    assert result.err == "warning: ignored, as the model reads English: monster!\n"
    image = Image.open("sea-monster.png")
    assert (image.format, image.mode) == ("PNG", "L")
    assert image.size == (MARGIN + 4 * (128 + MARGIN),) * 2


def test_a_file_says_what_drew_it(generate, tiny_model_folder):
    options = "--count", 1, "--seed", 7, "--guidance", 4, "--sampler", "euler"
    assert generate("龍 dragon", *options, "--negative", "wåter").code == 0
    text = Image.open("龍-dragon-7.png").text
    assert text["prompt"] == "龍 dragon"
    assert text["negative_prompt"] == "wåter"
    assert (text["seed"], text["num_inference_steps"]) == ("7", "2")
    assert (float(text["guidance_scale"]), text["sampler"]) == (4, "euler")
    assert (text["guidance_interval"], text["eta"]) == ("0.0 1.0", "0.0")
    assert (text["radical"], text["caption"]) == ("auto", "龍 dragon")
    fingerprint = DiT.from_pretrained(tiny_model_folder).fingerprint
    assert len(text["model"]) == 12
    assert fingerprint.startswith(text["model"])


def test_it_is_said_whether_a_student_or_its_teacher_drew(seeded, script, tmp_path_factory):
    pipe = make_pipeline()
    pipe.student = shake(student_of(pipe.denoiser), seed=1)
    model = pipe.save_pretrained(tmp_path_factory.mktemp("model"))
    options = "--count", 1, "--model", model, "--device", "cpu"
    for own, said in (
        ((), ("4", "None")),
        (("--calls", 2), ("2", "None")),
        (("--steps", 2), ("None", "2")),
    ):
        result = script("generate.py", "gold", *options, *own, "--out", "x.png", "--overwrite")
        assert result.code == 0, result.err
        assert (" s, by the teacher, for steps\n" in result.out) == ("--steps" in own)
        text = Image.open("x.png").text
        assert (text["calls"], text["num_inference_steps"]) == said
        assert text["model"] == pipe.denoiser.fingerprint[:12]
        assert text["student"] == pipe.student.fingerprint[:12]
    refused(script("generate.py", "gold", *options, *own, "--calls", 2), "leave out", ["x.png"])
    options += "--count", 16, "--calls", 2, "--out", "new/"  # in the second batch too
    prompts = "gold", "the sea AND a river"
    refused(script("generate.py", *prompts, *options), "a sum of prompts", ["x.png"])


def test_a_radical_of_ones_own_is_drawn_and_said(generate):
    assert generate("gold", "fish", "--count", 1, "--radical", "水", "--out", "sheet.png").code == 0
    assert Image.open("sheet.png").text["caption"] == "water; gold\nwater; fish"
    assert generate("gold", "--count", 2, "--radical", "water", "--out", "one/").code == 0
    assert Image.open("one/001-gold-1.png").text["caption"] == "water; gold"
    assert (pixels("one/001-gold-0.png") == pixels("sheet.png")[8:136, 8:136]).all()
    options = "--count", 1, "--part", "none"
    assert generate("gold", *options, "--radical", "water", "--out", "two/").code == 0
    assert generate("water; gold", *options, "--radical", "none", "--out", "three/").code == 0
    assert (pixels("three/001-water-gold.png") == pixels("two/001-gold.png")).all()
    result = generate("gold", "--radical", "gossip")
    assert (result.code, result.out) == (2, "")
    assert result.err.startswith('error: there is no radical "gossip"')


def test_a_layout_is_drawn_and_said(generate):
    options = ("--count", 1, "--layout", "left-right")
    assert generate("gold", "fish; enclosed", *options, "--out", "sheet.png").code == 0
    text = Image.open("sheet.png").text
    assert text["caption"] == "gold; left-right\nfish; enclosed"
    assert text["layout"] == "left-right"
    assert generate("gold; left-right", "--count", 1, "--out", "one/").code == 0
    assert (pixels("one/001-gold-left-right.png") == pixels("sheet.png")[8:136, 8:136]).all()
    result = generate("gold", "--layout", "round")
    assert (result.code, result.out) == (2, "")
    assert result.err.startswith('error: no layout "round": there are left-right, top-bottom')


def test_what_the_prior_took_the_words_for_is_said(script):
    options = "--steps", 1, "--device", "cpu", "--part", "none"
    result = script("generate.py", "heron", "--count", 2, *options)
    assert result.code == 0, result.err
    said, *heard = result.out.splitlines()
    assert said.startswith("wrote heron.png: 2 glyphs")
    assert heard == ["   2 × bird; heron"]
    Path("words").write_text("heron\n")
    options = "--count", 1, *options
    said, *heard = script("generate.py", "--prompts-file", "words", *options).out.splitlines()
    assert said.startswith("wrote words-glyphs/: 1 glyph ")
    assert heard == ["   1 × bird; heron"]


def test_a_grid_and_single_files_hold_the_same_glyphs(generate):
    prompts = "gold", "sea dragon"
    assert generate(*prompts, "--count", 3, "--seed", 5, "--out", "new/grid.png").code == 0
    assert generate(*prompts, "--count", 3, "--seed", 5, "--out", "one").code == 0
    names = [
        f"00{1 + (seed > 7)}-{prompts[seed > 7].replace(' ', '-')}-{seed}.png"
        for seed in range(5, 11)
    ]
    others = "new/grid.png", "one/contact.png", "one/glyphs.html", "one/glyphs.json"
    assert sorted(files()) == sorted([*others, *(f"one/{name}" for name in names)])
    grid = pixels("new/grid.png")
    text = Image.open("new/grid.png").text
    assert (text["prompt"], text["num_images_per_prompt"]) == ("gold\nsea dragon", "3")
    for name, (block, column) in zip(names, product(range(2), range(3)), strict=True):
        x, y = MARGIN + column * (128 + MARGIN), MARGIN + block * (128 + GAP + MARGIN)
        glyph = pixels(f"one/{name}")
        assert (grid[y : y + 128, x : x + 128] == glyph).all(), name
        assert Image.open(f"one/{name}").text["prompt"] == prompts[block]
        assert Image.open(f"one/{name}").text["seed"] == name[:-4].rpartition("-")[2]
    assert (grid[:MARGIN] == 255).all()
    assert (grid[:, -MARGIN:] == 255).all()


def test_a_glyph_depends_on_its_seed_and_not_on_its_company(generate):
    generate("gold", "--count", 20, "--out", "many/")  # more than a batch
    generate("gold", "--seed", 17, "--count", 1, "--out", "alone/")
    generate("the sea dragon of gold", "gold", "--seed", 16, "--count", 1, "--out", "beside/")
    for other in ("alone/001-gold.png", "beside/002-gold.png"):
        assert Path("many/001-gold-17.png").read_bytes() == Path(other).read_bytes(), other
    assert abs(pixels("many/001-gold-17.png") - pixels("many/001-gold-18.png")).mean() > 1


def test_words_guidance_and_what_to_avoid_all_matter(generate):
    def draw(*arguments):
        assert generate(*arguments, "-n", 1, "-o", "x.png", "--overwrite").code == 0
        return pixels("x.png")

    gold = draw("gold")
    assert (draw("gold", "--negative", "") == gold).all()
    for other in (
        draw("dragon"),
        draw("gold", "--guidance", 1),
        draw("gold", "--negative", "water"),
        draw("gold", "--steps", 3),
        draw("gold", "--guidance-interval", 0, 0.5),
        draw("gold", "--sampler", "DDIM", "--device", "CPU", "--eta", 0.5),
        draw("gold AND dragon"),
    ):
        assert (other != gold).any()


def test_an_animation_shows_every_step_of_every_glyph(generate):
    result = generate("gold", "fish", "--count", 9, "--steps", 3, "--animate", "a/gold.webp")
    assert result.code == 0, result.err
    assert files() == ["a/gold.webp", "gold-fish.png"]
    picture = Image.open("gold-fish.png")
    with Image.open("a/gold.webp") as animation:
        assert animation.n_frames == 3
        assert animation.size == picture.size
        animation.seek(2)  # where the last prediction is the result itself
        last = np.asarray(animation.convert("L"), int)
    assert abs(last - np.asarray(picture, int)).max() <= 1
    assert f"wrote a/gold.webp: 3 frames of {picture.width}×{picture.height}" in result.out


def test_a_part_is_drawn_and_said(generate):
    lithium = "--radical", "gold", "--part", "里", "--count", 8, "--steps", 1
    result = generate(*lithium, "--out", "a/")  # without words the radical's name stands for them
    assert result.code == 0, result.err
    old, new = "金 gold + 里 lǐ, left-right: is 鋰", "钅 gold + 里 lǐ, left-right: is 锂"
    known = json.loads(Path("a/glyphs.json").read_text("utf-8"))
    said = [Image.open(f"a/{one['file']}").text["invention"] for one in known]
    assert {line.partition(" U+")[0] for line in said} == {old, new}
    assert f"{said.count(f'{old} U+92F0, lithium'):>4} × {old} U+92F0, lithium\n" in result.out
    assert [one["form"] for one in known] == [line[0] for line in said]
    assert {(one["caption"], one["part"], one["radical"]) for one in known} == {
        ("gold; gold", "里", 167)
    }
    assert "鋰</b> U+92F0, lithium" in Path("a/glyphs.html").read_text("utf-8")
    assert generate(*lithium).code == 0
    assert Image.open("gold-里.png").text["invention"].split("\n") == said
    assert generate(*lithium, "--time", 1, "--out", "noise.png").code == 0
    assert (pixels("noise.png") != pixels("gold-里.png")).any()


def test_a_line_of_a_list_has_a_part_or_a_sound_of_its_own(generate):
    Path("words").write_text("gold; sound luo\nfish; part 里\nbird AND fish\ngold\n", "utf-8")
    options = "--radical", "gold", "--sound", "li", "--count", 1, "--steps", 1, "--out", "a/"
    refused(generate("--prompts-file", "words", *options), "AND: a character has", ["words"])
    Path("words").write_text("gold; sound luo\nfish; part 里\ngold\n", "utf-8")
    result = generate("--prompts-file", "words", *options)
    assert result.code == 0, result.err
    luo, fish, gold = json.loads(Path("a/glyphs.json").read_text("utf-8"))
    assert luo["file"] == "001-gold-sound-luo.png" and luo["part"] in "罗羅累洛磊"
    assert (fish["file"], fish["part"]) == ("002-fish-part-里.png", "里")
    assert (luo["sound"], fish["sound"], gold["sound"]) == ("luo", "", "li")


def test_a_drawing_is_begun_with(generate):
    picture = Image.new("L", (300, 200), 255)
    picture.paste(0, (80, 20, 110, 180))
    picture.save("mine.png")
    sketch = "gold", "--count", 2, "--sketch", "mine.png"
    for out, time in (("none", 0), ("some", 0.5), ("all", 1)):
        assert generate(*sketch, "--time", time, "--out", f"{out}/").code == 0
    assert generate("gold", "--count", 2, "--out", "plain/").code == 0
    first, second = ({folder: pixels(f"{folder}/001-gold-{i}.png") for folder in
                      ("none", "some", "all", "plain")} for i in range(2))  # fmt: skip
    assert (first["none"] == second["none"]).all()  # without noise a seed has nothing to decide
    assert (first["some"] != second["some"]).any()
    assert (first["some"] != first["none"]).any()
    assert (first["all"] == first["plain"]).all()  # of pure noise nothing is drawn
    assert Image.open("some/001-gold-0.png").text["sketch"] == "mine.png"


def test_in_an_animation_a_part_waits_for_its_time(generate):
    prompts = "gold", "gold; part 里"
    options = "--radical", "gold", "--count", 1, "--steps", 5, "--animate", "a.webp"
    options += "--part", "none"  # for the prompt that has none of its own
    assert generate(*prompts, *options, "--out", "a.png").code == 0
    with Image.open("a.webp") as animation:
        frames = []
        for frame in range(animation.n_frames):
            animation.seek(frame)
            frames.append(np.asarray(animation.convert("L"), int))
    below = [frame[MARGIN + 128 :] for frame in frames]
    moves = [(a != b).any() for a, b in itertools.pairwise(below)]
    assert moves == [False] * 3 + [True]  # at 0.8, 0.6 and 0.4 of the time it is as it begins
    assert abs(frames[-1] - pixels("a.png")).max() <= 1


@pytest.fixture
def existing(monkeypatch):
    """Makes the recogniser take some of the glyphs that it is shown for 字, by their number."""

    def existing(*numbers):
        shown = itertools.count()

        def match(self, embeddings):
            found = [next(shown) in numbers for _ in embeddings]
            return [Match("字", 0.95 if exists else 0.4, exists) for exists in found]

        monkeypatch.setattr(Recognizer, "match", match)

    return existing


def test_what_exists_is_drawn_again_and_that_is_said(generate, existing):
    existing(1, 3, 4)  # of 4 glyphs two, and one of those two again
    result = generate("gold", "--count", 4, "--redraws", 1, "--out", "a.png")
    assert "   2 drawn again, since they exist\n   1 of them exists: 字\n" in result.out
    text = Image.open("a.png").text
    assert text["nearest"] == "字 0.40\n字 0.95\n字 0.40\n字 0.40"
    assert text["redraws"] == "1"
    existing(0)
    result = generate("gold", "--count", 1, "--out", "b/")
    assert "   1 drawn again, since it exists\n" in result.out and "of them" not in result.out
    assert Image.open("b/001-gold.png").text["nearest"] == "字 0.40"
    existing(0, 1)
    result = generate("gold", "--count", 2, "--redraws", 0, "--out", "c.png")
    assert "   2 of them exist: 字 字\n" in result.out and "again" not in result.out
    existing()
    assert "exist" not in generate("gold", "--count", 2, "--out", "d.png").out


def test_an_animation_shows_the_glyphs_that_were_drawn_last(generate, existing):
    existing(1, 17)
    result = generate("gold", "--count", 18, "--animate", "gold.webp", "--steps", 3)
    assert "   2 drawn again" in result.out
    picture = np.asarray(Image.open("gold.png"), int)
    with Image.open("gold.webp") as animation:
        assert animation.n_frames == 3
        animation.seek(2)
        last = np.asarray(animation.convert("L"), int)
    assert abs(last - picture).max() <= 1


def test_a_sheet_of_outlines_holds_the_same_glyphs(script):
    options = "--count", 2, "--steps", 2, "--device", "cpu"
    assert script("generate.py", "gold", *options, "--out", "two.svg").code == 0
    assert script("generate.py", "gold", *options, "--out", "two.png").code == 0
    page = ElementTree.parse("two.svg").getroot()
    tag = "{http://www.w3.org/2000/svg}"
    about = json.loads(page.find(f"{tag}metadata").text)
    assert (about["prompt"], about["num_inference_steps"]) == ("gold", 2)
    glyphs = Image.open("two.png")
    traced = [trace(glyphs.crop((x, 8, x + 128, 136))) for x in (8, 144)]
    assert [path.get("d") for path in page.iter(f"{tag}path")] == list(map(path_data, traced))


def test_a_folder_of_outlines_says_what_one_of_pixels_says(generate):
    options = "gold", "sea dragon", "--count", 2
    assert generate(*options, "--out", "png/").code == 0
    assert generate(*options, "--out", "both/", "--format", "svg, PNG").code == 0
    assert generate(*options, "--out", "svg/", "--format", "svg").code == 0
    stems = "001-gold-0", "001-gold-1", "002-sea-dragon-2", "002-sea-dragon-3"
    index = ["contact.png", "glyphs.html", "glyphs.json"]
    for folder, endings in (("both", ("png", "svg")), ("svg", ("svg",))):
        names = [f"{stem}.{ending}" for stem in stems for ending in endings]
        assert sorted(path.name for path in Path(folder).iterdir()) == sorted(names + index)
    for stem in stems:
        image = Image.open(f"png/{stem}.png")
        text = Path(f"svg/{stem}.svg").read_text("utf-8")
        known, outline = read_svg(text)
        assert {name: str(value) for name, value in known.items()} == image.text
        assert path_data(outline) == path_data(trace(image))
        assert text == Path(f"both/{stem}.svg").read_text("utf-8")
    cards = [json.loads(Path(f"{one}/glyphs.json").read_text("utf-8")) for one in ("png", "svg")]
    assert [one.pop("file") for one in cards[1]] == [f"{stem}.svg" for stem in stems]
    assert [one.pop("file") for one in cards[0]] == [f"{stem}.png" for stem in stems]
    assert cards[0] == cards[1]
    assert pixels("both/contact.png").tolist() == pixels("png/contact.png").tolist()
    last = pixels("svg/contact.png")[MARGIN + TALL :, MARGIN + CELL :][:128, :128]
    assert (last == np.asarray(picture(outline))).all()


def test_other_formats_leave_nothing_of_earlier_ones(generate):
    options = "gold", "--count", 1, "--steps", 1, "--out", "one/", "--overwrite"
    assert generate(*options, "--format", "png,svg").code == 0
    Path("one/001-mine.svg").write_text('<svg xmlns="http://www.w3.org/2000/svg"/>')
    Path("one/002-bytes.svg").write_bytes(b"\xff")
    Path("one/003-empty.png").touch()
    index = ["contact.png", "glyphs.html", "glyphs.json"]
    for formats in ("svg", "png"):
        result = generate(*options, "--format", formats)
        assert result.code == 0, result.err
        names = ["001-mine.svg", "002-bytes.svg", "003-empty.png", f"001-gold.{formats}", *index]
        assert files() == sorted(f"one/{name}" for name in names)
    result = generate(*options[:-1], "--format", "svg")
    assert "one is there already: --overwrite replaces it" in result.err


def test_another_seed_has_a_file_of_its_own(generate):
    for seed in (0, 7):
        assert generate("gold", "--count", 1, "--steps", 1, "--seed", seed).code == 0
    assert files() == ["gold-7.png", "gold.png"]


def test_what_is_there_stays_unless_it_is_to_be_replaced(generate):
    options = "-n", 1, "--steps", 1
    assert generate("gold", *options).code == 0
    first = Path("gold.png").read_bytes()
    for name, prompt in (("gold_2.png", "GOLD"), ("gold_3.png", "gold!!!")):
        result = generate(prompt, *options, "--guidance", 2)
        assert (
            f"gold.png is there already, so this is {name}; --overwrite replaces it" in result.out
        )
        assert f"wrote {name}: 1 glyph" in result.out
    before = files()
    assert before == ["gold.png", "gold_2.png", "gold_3.png"]
    for out in (("-o", "gold.png"), ("--animate", "gold.webp")):
        Path("gold.webp").touch()
        refused(
            generate("gold", *options, *out), "is there already: --overwrite replaces it", files()
        )
    assert Path("gold.png").read_bytes() == first
    assert generate("gold", *options, "--guidance", 2, "--overwrite").code == 0
    assert Path("gold.png").read_bytes() != first
    assert files() == [*before[:1], "gold.webp", *before[1:]]


def test_a_shorter_list_leaves_nothing_of_a_longer_one(generate):
    options = "-n", 1, "--steps", 1, "-o", "new list/"
    Path("words").write_text("gold\nfish\nbird\n")
    assert generate("--prompts-file", "words", *options).code == 0
    Path("new list/002-mine.png").write_bytes(Path("new list/002-fish.png").read_bytes())
    Image.new("L", (2, 2)).save("new list/003-mine.png")
    Path("words").write_text("gold\n")
    result = generate("--prompts-file", "words", *options)
    assert (result.code, result.err.count("\n")) == (2, 1)
    assert "new list is there already: --overwrite replaces it" in result.err
    assert Path("new list/002-fish.png").exists()
    assert generate("--prompts-file", "words", *options, "--overwrite").code == 0
    names = "001-gold.png", "003-mine.png", "contact.png"  # what is not ours stays
    known = "glyphs.html", "glyphs.json"
    assert files() == [*(f"new list/{name}" for name in (*names, *known)), "words"]
    for folder in ("words-glyphs", "words-glyphs_2"):
        assert f"wrote {folder}/" in generate("--prompts-file", "words", *options[:4]).out


def test_training_data_are_not_overwritten(generate):
    Path("data").mkdir()
    Path("data/glyphs.npy").touch()
    before = files()
    result = generate("gold", "-n", 1, "-o", "data/", "--overwrite")
    refused(result, "data holds training data: name another folder with --out", before)


def test_paths_are_taken_as_people_type_them(generate, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    options = "gold", "-n", 1, "--steps", 1
    for out, name in (
        ("~/a b.png", "home/a b.png"),
        ("'quoted é.png'", "quoted é.png"),
        ('"in quotes/"', "in quotes/001-gold.png"),
        (" spaces.PNG ", "spaces.PNG"),
        ("missing/../up.png", "up.png"),
        ("~who is this/龍.png", "~who is this/龍.png"),
    ):
        result = generate(*options, "--out", out)
        assert result.code == 0, result.err
        assert name in files()
    assert not Path("missing").exists()


def test_a_random_seed_is_drawn_and_said(generate):
    for option in (("--seed", "random"), ("-s", "Random"), ("--seed=random",)):
        result = generate(
            "gold random", "-n", 1, "--steps", 1, *option, "--out", "x.png", "--overwrite"
        )
        assert result.code == 0, result.err
        text = Image.open("x.png").text
        assert text["prompt"] == "gold random"
        assert f"random seed: {text['seed']}\n" in result.out
        assert 0 < int(text["seed"]) < 2**32


def test_the_defaults_are_those_of_a_request(script, tiny_model_folder):
    options = "--count", 1, "--model", tiny_model_folder, "--device", "cpu"
    assert script("generate.py", "gold", *options).code == 0
    text = Image.open("gold.png").text
    for name, value in asdict(Request("gold", negative_prompt="")).items():
        if name != "prompts":
            shown = " ".join(map(str, value)) if isinstance(value, tuple) else str(value)
            assert text[name] == shown, name


def test_the_help_says_how_far_sketches_go_into_noise(generate, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    times = f"parts {COMPOSED}, a sketch {SKETCHED}"
    assert times in generate("--help").out


def test_a_list_of_prompts_becomes_a_folder(generate):
    lines = ["\ufeffgold", "# a comment", "  a sea dragon ", "\t", "魚"] + ["CON"] * 5 + [""]
    Path("my words.txt").write_bytes("\r\n".join(lines).encode())
    assert generate("--prompts-file", "my words.txt", "--count", 1).code == 0
    names = [f"my words/{name}.png" for name in ("001-gold", "003-a-sea-dragon", "005-魚")]
    names += [f"my words/{line:03}-con-glyphs.png" for line in range(6, 11)]
    names_of_all = "contact.png", "glyphs.html", "glyphs.json"
    assert files() == ["my words.txt", *names, *(f"my words/{name}" for name in names_of_all)]
    known = json.loads(Path("my words/glyphs.json").read_text("utf-8"))
    assert [f"my words/{one['file']}" for one in known] == names
    assert [one["seed"] for one in known] == list(range(8))
    assert (known[1]["prompt"], known[1]["caption"]) == ("a sea dragon", "a sea dragon")
    nearest = f"{known[1]['nearest']['character']} {known[1]['likeness']:.2f}"
    assert nearest == Image.open(names[1]).text["nearest"]
    assert pixels("my words/contact.png").shape == (MARGIN + 3 * TALL, MARGIN + 3 * CELL)
    text = [Image.open(name).text["prompt"] for name in names[:3]]
    assert text == ["gold", "a sea dragon", "魚"]


def test_prompts_come_through_a_pipe(tiny_model_folder, tmp_path):
    """The one real process here: the bytes of stdin, exit code, output and no stray line."""
    options = "--steps", 1, "--count", 2, "--model", tiny_model_folder, "--device", "cpu"
    result = process(
        "generate.py", "--prompts-file", "-", *options, input="gold\n\nfish\n", cwd=tmp_path
    )
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith("wrote glyphs/: 4 glyphs from seed 0 on, in ")
    assert {path.name for path in (tmp_path / "glyphs").iterdir()} == {
        "001-gold-0.png", "001-gold-1.png", "003-fish-2.png", "003-fish-3.png", "contact.png",
        "glyphs.html", "glyphs.json",
    }  # fmt: skip


def test_a_long_caption_warns_in_one_line(generate):
    result = generate("gold " * 100, "--count", 2)
    assert result.code == 0
    assert result.err.startswith("warning: caption longer than")
    assert result.err.count("\n") == 1
    assert len(files()[0]) <= 64


def test_what_the_model_cannot_read_is_said(generate):
    assert generate("gold", "--count", 2).err == ""
    for arguments, said in (
        (("gold 金魚", "fish"), "ignored, as the model reads English: 金魚"),
        (("gold", "--negative", "水"), '水 is read as "water"'),
        (("fish", "Gold AND 鱼"), '鱼 is read as "fish"'),
        (("gold", "no fish"), '"no fish" asks for fish too'),
    ):
        options = "--count", 17, "--steps", 1, "--out", "x.png", "--overwrite"  # in several batches
        result = generate(*arguments, *options)
        assert result.code == 0
        assert said in result.err
        assert result.err.count(said) == 1


# ---- what is refused -----------------------------------------------------------------------------


def damaged(folder, what, model):
    """A copy of a model with something wrong."""
    shutil.copytree(model, folder)
    weights, config = folder / "model.safetensors", folder / "config.json"
    if what == "truncated":
        weights.write_bytes(weights.read_bytes()[:-1000])
    elif what == "no weights":
        weights.unlink()
    elif what == "other architecture":
        settings = json.loads(config.read_text())
        config.write_text(json.dumps(settings | {"depth": settings["depth"] + 1}))
    elif what == "config is no JSON":
        config.write_text('{"width": ')
    elif what == "words of another training":
        (folder / "text_encoder" / "model.safetensors").write_bytes(b"nothing")
    return folder


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "no prompt"),
        (("gold\udcff",), "no text"),
        (("gold", "--negative", "\udcff"), "no text"),
        (("gold", "--count", 5000), "--out glyphs/"),
        (("gold", "--count", "many"), "'--count'"),
        (("gold", "--steps", -1), "take 1 to 1000"),
        (("gold", "--calls", 3), "3 calls: take 1, 2, 4 or 8"),
        (("gold", "--guidance-interval", 0.9, 0.1), "LOW <= HIGH"),
        (("gold", "--guidance-interval", 0.9), "--guidance-interval"),
        (("gold", "--animate", "gold.png"), "end the name in .webp, .gif, .mp4"),
        (("gold", "--animate", "x.gif", "--count", 65), "65 glyphs in an animation: take 64"),
        (("gold", "--negative", "fish", "--guidance", 1), "leads nowhere: take more than 1"),
        (("gold", "--eta", 0.5), "eta belongs to the sampler ddim"),
        (("gold", "--redraws", -1), "-1 redraws: take 0 to 1,000"),
        (("gold", "--attention", "flash"), 'no attention "flash"'),
        (("gold", "--guidance", "-inf"), "take -100 to 100"),
        (("gold", "--seed", 2**63 - 1, "--count", 2), "the last glyph's seed"),
        (("gold", "--device", "tpu"), 'no device "tpu"'),
        (("gold", "--device", "cuda:99"), "no cuda:99 here"),
        (("gold", "--bogus"), "No such option"),
        (("gold", "--count", "two"), ". See --help."),
        (("gold", "--out", "gold.jpg"), "end the name in .png"),
        (("gold", "--out", "new/", "--format", "svg,pdf"), 'no format "svg,pdf": name png, svg'),
        (("gold", "--out", "new/", "--format", ""), 'no format "": name png, svg'),
        (("gold", "--format", "svg"), "--format is for a folder, --out glyphs/"),
        (("gold", "--animate", "gold.mp4"), "an .mp4 needs ffmpeg"),
        (("gold", "--out", "file/x.png"), "file is not a folder"),
        (("gold", "--out", "file/"), "file is not a folder"),
        (("gold", "--out", f"{'x' * 300}.png"), "name too long"),
        (("gold", "--model", "nowhere"), "no model in nowhere"),
        (("gold", "--model", "."), "no config.json in ."),
        (("--prompts-file", "nowhere.txt"), "nowhere.txt: No such file"),
        (("--prompts-file", "."), "Is a directory"),
        (("--prompts-file", "blank.txt"), "no prompts in blank.txt"),
        (("--prompts-file", "latin.txt"), "line 2 of latin.txt is not UTF-8"),
        (("--prompts-file", "latin.txt", "gold"), "give one of them"),
        (("--part", "里"), "no prompt"),
        (("gold", "--part", "xyzzy"), 'no part means "xyzzy"'),
        (("gold", "--part", "龘"), "no outline of 龘"),
        (("gold", "--part", "里 利"), "more than one part"),
        (("gold; part 里; sound luo",), "more than one part"),
        (("gold", "--part", ""), 'no part means ""'),
        (("gold", "--part", "里", "--sound", "luo"), "a part and a sound"),
        (("gold", "--part", "里", "--radical", "none"), "leave out radical none"),
        (("gold", "--part", "金", "--radical", "疒", "--layout", "left-right"), "never stand"),
        (("gold", "--sound", "lu0"), 'no part is read "lu0": near ones are lu, luo'),
        (("gold", "--time", "-1"), "time of -1.0: take 0 to 1"),
        (
            ("gold", "--part", "none", "--time", 0.5),
            "--time is for a part, a sound, a layout or a sketch",
        ),
        (
            ("gold", "--radical", "none", "--time", 0.5),
            "--time is for a part, a sound, a layout or a sketch",
        ),
        (("gold", "--and", "both"), 'no AND of the kind "both"'),
        (("gold", "--sketch", "nowhere.png"), "nowhere.png: No such file"),
        (("gold", "--sketch", "blank.txt"), "blank.txt cannot be read"),
        (("gold", "--sketch", "white.png"), "the drawing is blank"),
        (("gold", "--sketch", "white.png", "--part", "里"), "leave out part and sound"),
        (("gold; part 里", "--animate", "x.gif", "--time", 0), "nothing moves"),
    ],
    ids=str,
)
def test_bad_input_is_one_line_and_leaves_nothing(generate, monkeypatch, arguments, said):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.setattr(GlyphPipeline, "__call__", None)  # nothing is drawn before
    Path("file").write_text("")
    Path("blank.txt").write_text("\n  \n")
    Path("latin.txt").write_bytes(b"gold\ncaf\xe9\n")
    Image.new("L", (9, 9), 255).save("white.png")
    before = files()
    refused(generate(*arguments), said, before)


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("no weights", "no model.safetensors in"),
        ("truncated", "damaged"),
        ("other architecture", "another architecture"),
        ("config is no JSON", "config.json"),
        ("words of another training", "text_encoder"),
    ],
)
def test_a_damaged_model_is_one_line_and_leaves_nothing(
    generate, tmp_path_factory, tiny_model_folder, what, said
):
    folder = damaged(tmp_path_factory.mktemp("damaged") / "model", what, tiny_model_folder)
    refused(generate("gold", "--model", folder, "--out", "new/"), said)


def test_a_part_without_a_radical_to_stand_beside_is_refused(generate):
    for prompts in (("gold; part 里",), ("gold", "gold; part 里")):  # in the second batch too
        options = "--count", 16, "--steps", 1, "--out", "new/"
        refused(generate(*prompts, *options), "no prior: name a radical")


def refused(result, said, before=()):
    """One line that says what is wrong, exit code 2, and no file or folder that was not there."""
    assert result.code == 2, result.out
    assert result.err.startswith("error: ")
    assert result.err.count("\n") == 1
    assert said.lower() in result.err.lower()
    assert result.out == ""
    assert files() == list(before)
    assert not Path("new").exists()


@pytest.mark.skipif(os.getuid() == 0, reason="nothing is forbidden to root")
def test_a_folder_without_permission_is_refused(generate):
    Path("locked").mkdir(mode=0o500)
    refused(generate("gold", "--out", "locked/x.png"), "no permission")


def test_a_stop_while_drawing_leaves_no_half_picture(generate, monkeypatch):
    def full(self, path, **__):
        Path(path).write_bytes(b"half")
        raise OSError(28, "No space left on device", "gold.png")

    Path("gold.png").write_bytes(b"the last one")
    monkeypatch.setattr(Image.Image, "save", full)
    result = generate("gold", "--count", 1, "--overwrite")
    assert (result.code, result.err) == (2, "error: gold.png: No space left on device\n")
    assert files() == ["gold.png"]
    assert Path("gold.png").read_bytes() == b"the last one"
