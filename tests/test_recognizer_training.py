"""The recogniser's training: its look-alikes, its loss, and a few characters told apart."""

import math
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from conftest import quiet_trainer

from autoencoder.batches import Draw
from autoencoder.data.fonts import GlyphError, default_font, write_glyphs
from autoencoder.data.glyphs import GlyphDataset, GlyphRecord
from autoencoder.readers.reader import RadicalReader
from autoencoder.readers.recognizer import Recognizer, RecognizerConfig
from autoencoder.readers.recognizer_training import (
    LookAlikes,
    Pairs,
    RecognizerData,
    RecognizerModule,
    contrast,
    know,
    look_alikes,
)

TINY = RecognizerConfig(widths=(16, 24), blocks=(1, 1), features=16)
TRAIN, TEST = "鉻銘鈷鈶鋁鉛未末朱本土士工王木天夫犬太大", "鉭禾牛干尤"


def write(folder, train, test=""):
    pytest.importorskip("pylopdf_fonts_zh_cn")
    records = [GlyphRecord(c, 1, 9, "train", "a word") for c in train]
    records += [GlyphRecord(c, 1, 9, "test", "a word") for c in test]
    write_glyphs(folder, records, default_font())
    return folder


@pytest.fixture
def folder(tmp_path):
    return write(tmp_path / "data", TRAIN, TEST)


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


def test_a_group_is_a_character_and_its_look_alikes_with_a_glyph_of_any_source(folder, tmp_path):
    more = write(tmp_path / "more", "土鉻龍")
    sources = [GlyphDataset(folder, "train"), GlyphDataset(more)]
    characters = LookAlikes(sources, group=4)
    assert characters.characters == [*TRAIN, "龍"]
    row = TRAIN.index("土")
    assert characters.alike.shape == (21, 20)
    groups = [characters[Draw(row, seed)] for seed in range(30)]
    for first, second, rows in groups:
        assert first.shape == second.shape == (4, 1, 128, 128)
        assert rows[0] == row and len(set(rows.tolist())) == 4
        assert first.equal(torch.stack([sources[0][i] if i < 20 else sources[1][2] for i in rows]))
    assert len({tuple(group.characters.tolist()) for group in groups}) > 5
    again = characters[Draw(row, 3)]
    assert all(a.equal(b) for a, b in zip(again, groups[3], strict=True))


def test_the_second_glyph_is_of_another_source_as_often_as_not(folder, tmp_path):
    more = write(tmp_path / "more", TRAIN)
    characters = LookAlikes([GlyphDataset(folder, "train"), GlyphDataset(more)], group=2)
    characters.glyph = lambda source, row: torch.full((1, 1, 1), float(source))
    groups = [characters[Draw(0, seed)] for seed in range(60)]
    assert all((group.first == 0).all() for group in groups)
    assert 0.3 < torch.stack([group.second for group in groups]).mean() < 0.7


def test_what_is_held_out_is_in_no_batch(folder, tmp_path):
    more = write(tmp_path / "more", "鉭龍")
    data = RecognizerData(folder, (more,), groups=7, group=3)
    data.setup("fit")
    assert data.learnt.characters == [*TRAIN, "龍"]
    batches = list(data.train_dataloader())
    assert [len(batch.characters) for batch in batches] == [21] * 3
    assert {int(rows) for batch in batches for rows in batch.characters[::3]} == set(range(21))
    with pytest.raises(ValueError, match="take 2 to 48"):
        RecognizerData(folder, group=1)


def test_the_loss_is_the_cross_entropy_of_each_pair_in_both_directions(seeded):
    first, second = F.normalize(torch.randn(2, 5, 8), dim=2)
    scale = torch.tensor(7.0)
    truth = []
    for a, b in ((first, second), (second, first)):
        for i in range(5):
            terms = [math.exp(7 * float(a[i] @ b[j])) for j in range(5)]
            truth.append(-math.log(terms[i] / sum(terms)))
    loss = contrast(first, second, torch.arange(5), scale)
    assert float(loss) == pytest.approx(sum(truth) / 10, rel=1e-5)


def test_the_other_pair_of_a_character_does_not_count(seeded):
    first, second = F.normalize(torch.randn(2, 4, 8), dim=2)
    scale = torch.tensor(3.0)
    one = contrast(first[:3], second[:3], torch.arange(3), scale)
    # The last pair is of character 0: what it says of 1 and 2 changes, what 0 says does not.
    logits = 3 * first @ second.T
    rows = [[0, 1, 2], [0, 1, 2, 3], [0, 1, 2, 3], [1, 2, 3]]
    truth = sum(
        torch.logsumexp(side[i, row], 0) - side[i, i]
        for side in (logits, logits.T)
        for i, row in enumerate(rows)
    )
    loss = contrast(first, second, torch.tensor([0, 1, 2, 0]), scale)
    assert float(loss) == pytest.approx(float(truth / 8), rel=1e-5)
    assert float(one) != pytest.approx(float(loss), rel=1e-3)


def test_a_step_varies_all_but_a_part_of_the_first_glyphs(squares, monkeypatch):
    module = RecognizerModule(TINY, plain=0.5, reader=False, seed=5)
    seen = []

    def recognizer(glyphs):
        seen.append(glyphs)
        return F.normalize(F.adaptive_avg_pool2d(glyphs, 8).flatten(1), dim=1)

    monkeypatch.setattr(module, "recognizer", torch.nn.Identity())
    monkeypatch.setattr(module.recognizer, "forward", recognizer)
    monkeypatch.setattr(module, "log", lambda *_, **__: None)
    batch = Pairs(squares, squares, torch.arange(64))
    for step in (0, 0, 1):
        module._trainer = SimpleNamespace(global_step=step, global_rank=0)
        loss = module.training_step(batch, 0)
    assert seen[0].equal(seen[1]) and not seen[0].equal(seen[2])
    same = [glyph.equal(squares[0]) for glyph in seen[2]]
    assert 20 < sum(same[:64]) < 44 and not any(same[64:])
    truth = contrast(*recognizer(seen[2]).split(64), torch.arange(64), torch.tensor(10.0))
    assert float(loss) == pytest.approx(float(truth), rel=1e-5)


def test_it_starts_from_the_reader_s_trunk_or_not(tmp_path):
    reader = RadicalReader.from_pretrained()
    module = RecognizerModule()
    for a, b in zip(module.recognizer.layers.parameters(), reader.layers.parameters(), strict=True):
        assert a.equal(b)
    other = RecognizerModule(TINY, reader=False).recognizer
    assert other.config == TINY
    folder = other.save_pretrained(tmp_path)
    again = RecognizerModule(start=folder).recognizer
    assert again.config == TINY and again.training


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
def test_glyphs_of_another_size_are_refused(folder, tmp_path):
    records = GlyphDataset(folder).records
    write_glyphs(tmp_path / "small", records, default_font(), size=64)
    for folders in ((tmp_path / "small", ()), (folder, (tmp_path / "small",))):
        with pytest.raises(GlyphError, match=r"64 pixels a side, and the model takes 128"):
            quiet_trainer(tmp_path, max_steps=1).fit(
                RecognizerModule(TINY, reader=False), datamodule=RecognizerData(*folders)
            )


@pytest.mark.filterwarnings("ignore")
def test_a_few_characters_are_told_apart_however_they_are_drawn(folder, tmp_path, seeded, capsys):
    module = RecognizerModule(
        TINY,
        learning_rate=1e-2,
        adam_learning_rate=5e-3,
        warmup_steps=5,
        reader=False,
        out=tmp_path / "out",
    )
    data = RecognizerData(folder, groups=2, group=10)
    trainer = quiet_trainer(tmp_path, max_steps=80, check_val_every_n_epoch=4)
    trainer.fit(module, datamodule=data)
    recognizer = Recognizer.from_pretrained(tmp_path / "out")
    assert recognizer.known.characters == TRAIN + TEST
    glyphs = GlyphDataset(folder, "train").images(range(20))
    moved = glyphs.roll((3, -2), (2, 3))
    matches = recognizer.match(recognizer.embed(moved))
    right = sum(match.character == c for match, c in zip(matches, TRAIN, strict=True))
    assert right >= 17
    assert trainer.callback_metrics["val/found"] >= 0.6
    said = capsys.readouterr().out
    assert "wrote" in said
    assert f"one character from a cosine of {recognizer.config.threshold} on" in said
