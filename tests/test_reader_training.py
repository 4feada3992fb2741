"""The reader's training: its data, its loss, and a small set learnt by heart."""

from types import SimpleNamespace

import pytest
import torch
from conftest import quiet_trainer

from autoencoder.data.fonts import GlyphError, default_font, write_glyphs
from autoencoder.data.glyphs import GlyphDataset, GlyphRecord
from autoencoder.readers.reader import RadicalReader, ReaderConfig
from autoencoder.readers.reader_training import ReaderData, ReaderModule

TINY = ReaderConfig(widths=(16, 24), blocks=(1, 1), features=16, dropout=0.0)


@pytest.fixture
def data(tmp_path):
    pytest.importorskip("pylopdf_fonts_zh_cn")
    characters = {85: "河海湖江洋油", 167: "鈴銅銘鉛針鉄", 140: "草花茶菜茎苗"}
    records = [
        GlyphRecord(character, radical, 9, "test" if i == 5 else "train", "a word")
        for radical, row in characters.items()
        for i, character in enumerate(row)
    ]
    write_glyphs(tmp_path, records, default_font())
    data = ReaderData(tmp_path, batch_size=5)
    data.setup("fit")
    return data


def test_batches_are_glyphs_with_their_own_radical(data):
    glyphs, classes = next(iter(data.val_dataloader()))
    assert (classes + 1).tolist() == [85, 167, 140]
    assert glyphs.equal(data.test.images(range(3)))
    batches = list(data.train_dataloader())
    assert [len(batch[1]) for batch in batches] == [5, 5, 5]
    seen = {
        glyph.numpy().tobytes(): int(c)
        for batch in batches
        for glyph, c in zip(*batch, strict=True)
    }
    truth = {
        data.train[i].numpy().tobytes(): r.radical - 1 for i, r in enumerate(data.train.records)
    }
    assert seen == truth
    assert sorted((data.commonest[:3] + 1).tolist()) == [85, 140, 167]


def test_more_folders_teach_all_but_what_is_held_out(data, tmp_path):
    pytest.importorskip("pylopdf_fonts_zh_cn")
    more = tmp_path / "more"
    characters = "河油江釘"  # the second is held out in the first folder
    radicals = (85, 85, 85, 167)
    records = [
        GlyphRecord(character, radical, 9, "train", "")
        for character, radical in zip(characters, radicals, strict=True)
    ]
    write_glyphs(more, records, default_font())
    both = ReaderData(tmp_path, (more,), batch_size=9)
    both.setup("fit")
    assert len(both.test.records) == 3
    taught = [glyph for batch in both.train_dataloader() for glyph in zip(*batch, strict=True)]
    assert len(taught) == 18  # 15 and 3
    held_out = data.test.images([0])[0]
    assert not any(glyph.equal(held_out) for glyph, _ in taught)
    assert [
        int(radical) + 1 for glyph, radical in taught if glyph.equal(GlyphDataset(more)[3])
    ] == [167]


def test_a_reader_is_gone_on_with_and_not_begun_anew(tmp_path, seeded):
    old = RadicalReader(TINY)
    folder = old.save_pretrained(tmp_path / "old")
    new = ReaderModule(start=folder).reader
    assert new.config == TINY
    assert new.training
    for a, b in zip(new.parameters(), old.parameters(), strict=True):
        torch.testing.assert_close(a, b, atol=1e-3, rtol=1e-3)  # through float16


@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_labels_are_smoothed_and_glyphs_varied(squares, monkeypatch, smoothing):
    """The loss by its definition: the rest to the label, and a part to all radicals alike."""
    module = ReaderModule(TINY, smoothing=smoothing, seed=5)
    seen = []

    def reader(glyphs):
        seen.append(glyphs)
        return torch.linspace(-2, 2, 214).expand(len(glyphs), -1)

    monkeypatch.setattr(module, "reader", torch.nn.Identity())
    monkeypatch.setattr(module.reader, "forward", reader)
    monkeypatch.setattr(module, "log", lambda *_, **__: None)
    labels = torch.arange(64)
    for step in (0, 0, 1):
        module._trainer = SimpleNamespace(global_step=step, global_rank=0)
        loss = module.training_step((squares, labels), 0)
    log_p = torch.linspace(-2, 2, 214).log_softmax(0)
    truth = -(1 - smoothing) * log_p[labels].mean() - smoothing * log_p.mean()
    assert loss.item() == pytest.approx(truth.item(), rel=1e-5)
    assert seen[0].equal(seen[1]) and not seen[0].equal(seen[2]) and not seen[0].equal(squares)


def test_accuracy_on_the_commonest_is_of_them_alone(squares, monkeypatch):
    """Two common radicals, one of them read right, and two rare ones, both right."""
    module = ReaderModule(TINY)
    logged = {}
    monkeypatch.setattr(module, "reader", torch.nn.Identity())
    monkeypatch.setattr(
        module.reader, "forward", lambda _: torch.eye(214)[torch.tensor([7, 0, 3, 4])]
    )
    monkeypatch.setattr(module, "log", lambda name, value, **_: logged.update({name: float(value)}))
    commonest = SimpleNamespace(commonest=torch.tensor([7, 9]))
    module._trainer = SimpleNamespace(datamodule=commonest)
    module.validation_step((squares[:4], torch.tensor([7, 9, 3, 4])), 0)
    assert logged == {"val/accuracy": 0.75, "val/accuracy_commonest": 0.5}


@pytest.mark.filterwarnings("ignore")
def test_glyphs_of_another_size_are_refused(data, tmp_path):
    write_glyphs(tmp_path / "small", data.train.records, default_font(), size=64)
    for folders in ((tmp_path / "small", ()), (tmp_path, (tmp_path / "small",))):
        with pytest.raises(GlyphError, match=r"64 pixels a side, and the model takes 128: draw"):
            quiet_trainer(tmp_path, max_steps=1).fit(
                ReaderModule(TINY), datamodule=ReaderData(*folders)
            )


@pytest.mark.filterwarnings("ignore")
def test_a_few_glyphs_are_learnt_and_new_ones_read(data, tmp_path, seeded, capsys):
    module = ReaderModule(
        TINY, learning_rate=1e-2, adam_learning_rate=5e-3, warmup_steps=5, out=tmp_path / "out"
    )
    trainer = quiet_trainer(tmp_path, max_steps=60, check_val_every_n_epoch=20)
    trainer.fit(module, datamodule=data)
    reader = RadicalReader.from_pretrained(tmp_path / "out")
    assert reader.read(data.train.images(range(15)))[0].tolist() == [
        record.radical for record in data.train.records
    ]
    assert reader.read(data.test.images(range(3)))[0].tolist() == [85, 167, 140]
    assert trainer.callback_metrics["val/accuracy"] == 1
    assert "wrote" in capsys.readouterr().out
