"""Training of the three readers: their batches, their losses, and a few glyphs learnt."""

import math
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from conftest import quiet_trainer

from autoencoder.batches import Draw
from autoencoder.data.fonts import GlyphError, default_font, write_glyphs
from autoencoder.data.glyphs import GlyphDataset, GlyphRecord
from autoencoder.readers.reader import (
    PartReader,
    PartReaderConfig,
    RadicalReader,
    ReaderConfig,
)
from autoencoder.readers.recognizer import Recognizer, RecognizerConfig
from autoencoder.readers.training import (
    LookAlikes,
    Pairs,
    PartReaderData,
    PartReaderModule,
    ReaderData,
    ReaderModule,
    RecognizerData,
    RecognizerModule,
    best_threshold,
    contrast,
    focused,
    know,
    look_alikes,
)
from conditioning.radicals import forms

READER = ReaderConfig(widths=(16, 24), blocks=(1, 1), features=16, dropout=0.0)
RECOGNIZER = RecognizerConfig(widths=(16, 24), blocks=(1, 1), features=16)
RADICALS = {85: "河海湖江洋油", 167: "鈴銅銘鉛針鉄", 140: "草花茶菜茎苗"}  # the last held out
TRAIN, TEST = "鉻銘鈷鈶鋁鉛未末土士", "鉭禾牛"
RATES = {"learning_rate": 1e-2, "adam_learning_rate": 5e-3, "warmup_steps": 5}


def write(folder, train, test="", radical=1, **options):
    pytest.importorskip("pylopdf_fonts_zh_cn")
    records = [
        GlyphRecord(c, radical, 9, split, "a word")
        for split, characters in (("train", train), ("test", test))
        for c in characters
    ]
    write_glyphs(folder, records, default_font(), **options)
    return folder


@pytest.fixture(scope="module")
def radicals(tmp_path_factory):
    pytest.importorskip("pylopdf_fonts_zh_cn")
    folder = tmp_path_factory.mktemp("radicals")
    records = [
        GlyphRecord(character, radical, 9, "test" if i == 5 else "train", "a word")
        for radical, row in RADICALS.items()
        for i, character in enumerate(row)
    ]
    write_glyphs(folder, records, default_font())
    return folder


@pytest.fixture(scope="module")
def characters(tmp_path_factory):
    return write(tmp_path_factory.mktemp("characters"), TRAIN, TEST)


def stepped(module, network, batch, monkeypatch):
    """The loss of steps 0, 0 and 1 with another network, and what that was given in each."""
    seen = []
    monkeypatch.setattr(module, "network", torch.nn.Identity())
    monkeypatch.setattr(module.network, "forward", lambda x: (seen.append(x), network(x))[1])
    monkeypatch.setattr(module, "log", lambda *_, **__: None)
    for step in (0, 0, 1):
        module._trainer = SimpleNamespace(global_step=step, global_rank=0)
        loss = module.training_step(batch, 0)
    assert seen[0].equal(seen[1]) and not seen[0].equal(seen[2])
    return loss, seen[2]


@pytest.mark.filterwarnings("ignore")
def test_glyphs_of_another_size_are_refused(characters, tmp_path):
    small = write(tmp_path / "small", TRAIN, TEST, size=64)
    for module, data in (
        (ReaderModule(READER), ReaderData(small)),
        (RecognizerModule(RECOGNIZER, reader=False), RecognizerData(characters, (small,))),
    ):
        with pytest.raises(GlyphError, match=r"64 pixels a side, and the model takes 128: draw"):
            quiet_trainer(tmp_path, max_steps=1).fit(module, datamodule=data)


# ---- the reader of radicals ----------------------------------------------------------------------


def test_batches_are_glyphs_with_their_own_radical_and_none_held_out(radicals, tmp_path):
    more = write(tmp_path, "釘油", radical=167)  # the second is held out in the first folder
    data = ReaderData(radicals, (more,), batch_size=8)
    data.setup("fit")
    glyphs, classes = next(iter(data.val_dataloader()))
    assert (classes + 1).tolist() == [85, 167, 140]
    assert glyphs.equal(GlyphDataset(radicals, "test").images(range(3)))
    batches = list(data.train_dataloader())
    assert [len(batch[1]) for batch in batches] == [8, 8]
    seen = {g.numpy().tobytes(): int(c) for batch in batches for g, c in zip(*batch, strict=True)}
    sources = GlyphDataset(radicals, "train"), GlyphDataset(more, without={"油"})
    truth = {
        source[i].numpy().tobytes(): record.radical - 1
        for source in sources
        for i, record in enumerate(source.records)
    }
    assert seen == truth


@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_labels_are_smoothed_and_glyphs_varied(squares, monkeypatch, smoothing):
    """The loss by its definition: a part of each label goes to all radicals alike."""
    logits, labels = torch.linspace(-2, 2, 214), torch.arange(64)
    loss, seen = stepped(
        ReaderModule(READER, smoothing=smoothing, seed=5),
        lambda glyphs: logits.expand(len(glyphs), -1),
        (squares, labels),
        monkeypatch,
    )
    log_p = logits.log_softmax(0)
    truth = -(1 - smoothing) * log_p[labels].mean() - smoothing * log_p.mean()
    assert loss.item() == pytest.approx(truth.item(), rel=1e-5)
    assert not seen.equal(squares)


@pytest.mark.filterwarnings("ignore")
def test_a_few_glyphs_are_learnt_and_new_ones_read(radicals, tmp_path, seeded):
    module = ReaderModule(READER, out=tmp_path / "out", **RATES)
    trainer = quiet_trainer(tmp_path, max_steps=60, check_val_every_n_epoch=20)
    trainer.fit(module, datamodule=ReaderData(radicals, batch_size=5))
    reader = RadicalReader.from_pretrained(tmp_path / "out")
    for split in ("train", "test"):
        glyphs = GlyphDataset(radicals, split)
        truth = [record.radical for record in glyphs.records]
        assert reader.read(glyphs.images(range(len(glyphs))))[0].tolist() == truth
    assert trainer.callback_metrics["val/accuracy"] == 1


# ---- the reader of parts -------------------------------------------------------------------------

PARTS = PartReaderConfig(widths=(16, 24), blocks=(1, 1), features=16, dropout=0.0)


class Parts(PartReaderData):
    @staticmethod
    def common_parts(learnt):
        assert not set("油鉄苗") & learnt  # which are held out
        return {"水氵": set(RADICALS[85]), "金": set(RADICALS[167]), "艹": set(RADICALS[140])}


def test_a_present_part_weighs_all_and_an_absent_one_the_power_of_what_it_is_given():
    given, labels = torch.tensor([[0.2, 0.7], [0.9, 0.5]]), torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    truth = -math.log(0.2) - 0.7**2 * math.log(0.3) - 0.9**2 * math.log(0.1) - math.log(0.5)
    assert float(focused(given.logit(), labels, 2.0)) == pytest.approx(truth / 2, rel=1e-5)


def test_the_threshold_parts_what_is_there_from_what_is_not():
    given = torch.tensor([[0.9, 0.62, 0.3], [0.58, 0.1, 0.7]])
    assert best_threshold(given.logit(), (given > 0.6).float()) == pytest.approx((0.62, 1.0))
    # At 0.31 all that is found is there, at 0.3 all that is there is found.
    there = torch.tensor([[1.0, 1.0, 1.0], [0.0, 0.0, 1.0]])
    assert best_threshold(given.logit(), there)[1] == pytest.approx(8 / 9)


@pytest.mark.filterwarnings("ignore")
def test_a_few_parts_are_learnt_and_new_glyphs_read(radicals, tmp_path, seeded, capsys):
    module = PartReaderModule(PARTS, reader=False, out=tmp_path / "out", **RATES)
    trainer = quiet_trainer(tmp_path, max_steps=60, check_val_every_n_epoch=20)
    trainer.fit(module, datamodule=Parts(radicals, batch_size=5))
    reader = PartReader.from_pretrained(tmp_path / "out")
    assert reader.config.parts == "水氵 金 艹"
    held_out = GlyphDataset(radicals, "test").images(range(3))
    assert reader.read(held_out).equal(torch.eye(3).bool())
    assert trainer.callback_metrics["val/f1"] == 1
    assert f"a part is there from {reader.config.threshold} on" in capsys.readouterr().out


class Composed(PartReaderData):
    """With both halves of ten characters as the parts to look for."""

    forms = staticmethod(forms)

    @staticmethod
    def load_parts():
        halves = ("氵", "河海湖江洋", "可每胡工羊"), ("亻", "何侮仿仲伴", "可每方中半")
        return {
            whole: ("a", first, second)
            for first, *both in halves
            for whole, second in zip(*both, strict=True)
        }

    @classmethod
    def common_parts(cls, learnt):
        whole = cls.load_parts()
        having = {part: {part} for _, *both in whole.values() for part in both}
        for one, (_, *both) in whole.items():
            for part in both:
                having[part].add(one)
        return having


@pytest.mark.filterwarnings("ignore")
def test_composites_are_learnt_from_under_the_parts_of_both_halves(tmp_path, seeded):
    pytest.importorskip("pylopdf_fonts_zh_cn")
    records = [
        GlyphRecord(character, 85 if first == "氵" else 9, 9, "train", "a word")
        for character, (_, first, _) in Composed.load_parts().items()
    ]
    write_glyphs(tmp_path, records, default_font())
    data = Composed(tmp_path, batch_size=7, composites=4)
    module = PartReaderModule(PARTS, reader=False, out=tmp_path / "out", **RATES)
    quiet_trainer(tmp_path, max_steps=2, limit_val_batches=0).fit(module, datamodule=data)
    assert PartReader.from_pretrained(tmp_path / "out").config.parts == " ".join(data.having)
    assert len(data.train) == 10 + 4
    made, halves = data.train.glyphs.datasets[-1], Composed.load_parts()
    for row, (a, b) in enumerate(made.pairs):
        glyph, label = data.train[10 + row]
        one, other = (made.records[cut.row].character for cut in (a, b))
        parts = [part for part, there in zip(data.having, label, strict=True) if there]
        assert sorted(parts) == sorted((halves[one][1], halves[other][2]))
        left, right = (torch.from_numpy(made.images[cut.row]) / 255 for cut in (a, b))
        own, rest = torch.from_numpy(a.pixels), torch.from_numpy(~b.pixels)
        torch.testing.assert_close(glyph[0], (left * own).maximum(right * rest))


# ---- the recogniser ------------------------------------------------------------------------------


def test_look_alikes_are_the_nearest_others_and_never_the_glyph_itself():
    angles = torch.tensor([0.0, 0.1, 0.25, 3.0, 3.05, 3.1])
    points = torch.stack([angles.cos(), angles.sin()], dim=1)
    points = torch.cat([points, -points])  # so that their mean is zero
    found = look_alikes(points, 3)
    assert found[0].tolist() == [11, 10]  # opposite to 3.1 and 3.05: at -0.04 and -0.09
    assert found[2].tolist() == [1, 0]
    same = look_alikes(torch.eye(3).repeat_interleave(4, dim=0), 4)
    for row, others in enumerate(same.tolist()):
        assert set(others) == set(range(row - row % 4, row - row % 4 + 4)) - {row}


def test_a_group_is_a_character_and_its_look_alikes_with_a_glyph_of_any_source(
    characters, tmp_path
):
    more = write(tmp_path, "土鉻龍")
    sources = [GlyphDataset(characters, "train"), GlyphDataset(more)]
    data = LookAlikes(sources, group=4)
    assert data.characters == [*TRAIN, "龍"]
    row = TRAIN.index("土")
    assert data.alike.shape == (11, 10)
    groups = [data[Draw(row, seed)] for seed in range(30)]
    for first, second, rows in groups:
        assert first.shape == second.shape == (4, 1, 128, 128)
        assert rows[0] == row and len(set(rows.tolist())) == 4
        assert first.equal(torch.stack([sources[0][i] if i < 10 else sources[1][2] for i in rows]))
    assert len({tuple(group.characters.tolist()) for group in groups}) > 5
    again = data[Draw(row, 3)]
    assert all(a.equal(b) for a, b in zip(again, groups[3], strict=True))
    other = [not group.second[0].equal(group.first[0]) for group in groups]
    assert not any(other)  # both sources are of one font
    data.glyphs = lambda places: torch.tensor([float(source) for source, _ in places])
    groups = [data[Draw(row, seed)] for seed in range(60)]
    assert all(group.first[0] == 0 for group in groups)
    assert 0.3 < torch.stack([group.second[0] for group in groups]).mean() < 0.7


def test_what_is_held_out_is_in_no_batch(characters, tmp_path):
    data = RecognizerData(characters, (write(tmp_path, "鉭龍"),), groups=5, group=3)
    data.setup("fit")
    assert data.train.characters == [*TRAIN, "龍"]
    batches = list(data.train_dataloader())
    assert [len(batch.characters) for batch in batches] == [15] * 2
    assert len({int(row) for batch in batches for row in batch.characters[::3]}) == 10
    with pytest.raises(ValueError, match="take 2 to 48"):
        RecognizerData(characters, group=1)


def test_the_loss_is_the_cross_entropy_of_each_pair_in_both_directions(seeded):
    first, second = F.normalize(torch.randn(2, 5, 8), dim=2)
    truth = []
    for a, b in ((first, second), (second, first)):
        for i in range(5):
            terms = [math.exp(7 * float(a[i] @ b[j])) for j in range(5)]
            truth.append(-math.log(terms[i] / sum(terms)))
    loss = contrast(first, second, torch.arange(5), torch.tensor(7.0))
    assert float(loss) == pytest.approx(sum(truth) / 10, rel=1e-5)


def test_the_other_pair_of_a_character_does_not_count(seeded):
    first, second = F.normalize(torch.randn(2, 4, 8), dim=2)
    logits = 3 * first @ second.T
    # The last pair is of character 0 as well.
    rows = [[0, 1, 2], [0, 1, 2, 3], [0, 1, 2, 3], [1, 2, 3]]
    truth = sum(
        torch.logsumexp(side[i, row], 0) - side[i, i]
        for side in (logits, logits.T)
        for i, row in enumerate(rows)
    )
    loss = contrast(first, second, torch.tensor([0, 1, 2, 0]), torch.tensor(3.0))
    assert float(loss) == pytest.approx(float(truth / 8), rel=1e-5)


def test_a_step_varies_all_but_a_part_of_the_first_glyphs(squares, monkeypatch):
    def embed(glyphs):
        return F.normalize(F.adaptive_avg_pool2d(glyphs, 8).flatten(1), dim=1)

    module = RecognizerModule(RECOGNIZER, plain=0.5, reader=False, seed=5)
    batch = Pairs(squares, squares, torch.arange(64))
    loss, seen = stepped(module, embed, batch, monkeypatch)
    same = [glyph.equal(squares[0]) for glyph in seen]
    assert 20 < sum(same[:64]) < 44 and not any(same[64:])
    truth = contrast(*embed(seen).split(64), torch.arange(64), torch.tensor(10.0))
    assert float(loss) == pytest.approx(float(truth), rel=1e-5)


def test_it_starts_from_the_reader_s_trunk():
    recognizer, reader = RecognizerModule().network, RadicalReader.from_pretrained()
    for a, b in zip(recognizer.layers.parameters(), reader.layers.parameters(), strict=True):
        assert a.equal(b)


def test_the_threshold_takes_three_unseen_characters_in_a_hundred_for_others(seeded):
    """Embeddings are looked up, so that the likeness of each unseen one is known beforehand."""

    class Glyphs:
        def __init__(self, rows, characters):
            self.rows = rows
            self.characters = characters
            self.records = [GlyphRecord(c, 1, 1, "test", "") for c in characters]

        def __len__(self):
            return len(self.rows)

        def firsts(self, rows):
            return self.rows[rows]

        def images(self, rows):
            return self.rows[list(rows)]

    cosines = torch.linspace(0.0, 0.99, 101)
    known = torch.tensor([[1.0, 0.0, 0.0]])
    unseen = torch.stack([cosines, torch.zeros(101), (1 - cosines.square()).sqrt()], dim=1)
    recognizer = Recognizer(RecognizerConfig(widths=(8, 12), blocks=(1, 1), features=3))
    recognizer.embed = lambda glyphs: glyphs
    characters = "".join(chr(0x4E00 + i) for i in range(101))
    finished = know(recognizer, Glyphs(known, "金"), Glyphs(unseen, characters))
    assert finished.config.threshold == pytest.approx(0.97 * 0.99, abs=2e-3)
    assert finished.known.characters == "金" + characters
    likeness = finished.known.without(set(characters)).nearest(unseen)[0]
    assert int((likeness >= finished.config.threshold).sum()) in (3, 4)


@pytest.mark.filterwarnings("ignore")
def test_a_few_characters_are_told_apart_however_they_are_drawn(
    characters, tmp_path, seeded, capsys
):
    module = RecognizerModule(RECOGNIZER, reader=False, out=tmp_path / "out", **RATES)
    trainer = quiet_trainer(tmp_path, max_steps=40, check_val_every_n_epoch=4)
    trainer.fit(module, datamodule=RecognizerData(characters, groups=1, group=10))
    recognizer = Recognizer.from_pretrained(tmp_path / "out")
    assert recognizer.known.characters == TRAIN + TEST
    moved = GlyphDataset(characters, "train").images(range(10)).roll((3, -2), (2, 3))
    matches = recognizer.match(recognizer.embed(moved))
    assert sum(match.character == c for match, c in zip(matches, TRAIN, strict=True)) >= 8
    assert trainer.callback_metrics["val/found"] >= 0.6
    said = f"one character from a cosine of {recognizer.config.threshold} on"
    assert said in capsys.readouterr().out
