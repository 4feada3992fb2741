"""TextEncoder: padding, masks, limits, files, and what the shipped weights know."""

import json
import subprocess
import sys
import warnings

import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from conditioning import TextEncoder
from conditioning.encoder import from_eight_bits, rounded, to_eight_bits
from conditioning.t5 import T5Config, T5Encoder, load_t5

WORDS = ["<pad>", "</s>", "<unk>", "gold", "fish", "metal", "a", "of", "the", "dragon"]


def small_tokenizer() -> Tokenizer:
    tokenizer = Tokenizer(models.WordLevel({w: i for i, w in enumerate(WORDS)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A </s>", special_tokens=[("</s>", 1)]
    )
    return tokenizer


def small_model(seed: int = 0) -> T5Encoder:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return T5Encoder(
            T5Config(vocab_size=12, d_model=16, d_kv=4, d_ff=32, num_layers=2, num_heads=4)
        )


def hub_model(shaken: bool = True, **settings):
    """A small random T5 of transformers; shaken, so that no weight of it is special."""
    from transformers import T5Config, T5EncoderModel

    sizes = {"vocab_size": 12, "d_model": 16, "d_kv": 5, "d_ff": 32, "num_heads": 4}
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        model = T5EncoderModel(T5Config(**(sizes | {"num_layers": 2} | settings))).eval()
        for weight in model.parameters():
            weight += 0.1 * shaken * torch.randn_like(weight)
    return model


@pytest.fixture
def small() -> TextEncoder:
    return TextEncoder(small_model(), small_tokenizer(), max_tokens=8)


@pytest.fixture(scope="module")
def bundled() -> TextEncoder:
    return TextEncoder.from_pretrained()


LONG = "the large fierce-looking dragon of an ancient legend; a metal vessel used in sacrifices"


@pytest.mark.parametrize("caption", ["gold", "", "a kind of fish", "titanium; a white metal"])
def test_padding_changes_nothing(bundled, caption):
    alone, alone_mask = bundled([caption])
    beside, beside_mask = bundled([LONG, caption])
    n = alone.shape[1]
    assert beside.shape[1] > n
    assert beside_mask[1].sum() == alone_mask.sum() == n
    torch.testing.assert_close(beside[1, :n], alone[0], atol=1e-4, rtol=0)
    assert beside[1, n:].abs().max() == 0
    torch.testing.assert_close(
        bundled.pool(beside, beside_mask)[1], bundled.pool(alone, alone_mask)[0], atol=1e-4, rtol=0
    )


def test_other_captions_change_nothing(small):
    first, _ = small(["gold fish", "a dragon of metal"])
    second, _ = small(["gold fish", "the the the gold"])
    torch.testing.assert_close(first[0, :3], second[0, :3], atol=1e-5, rtol=0)


def test_the_mask_is_true_at_words_and_at_the_end(small):
    _, mask = small(["gold", "", "a gold fish"])
    assert mask.dtype == torch.bool
    assert mask.tolist() == [
        [True, True, False, False],
        [True, False, False, False],
        [True, True, True, True],
    ]


def test_pool_ignores_padding():
    embedding = torch.tensor([[[1.0, 2.0], [3.0, 6.0], [100.0, 100.0]]])
    mask = torch.tensor([[True, True, False]])
    assert TextEncoder.pool(embedding, mask).tolist() == [[2.0, 4.0]]


def test_the_empty_caption_is_the_end_token_alone(bundled):
    embedding, mask = bundled([""])
    assert bundled.tokenize([""]) == [[bundled.end]]
    assert mask.tolist() == [[True]]
    assert embedding.isfinite().all()
    assert bundled([])[0].shape == (0, 0, bundled.dim)


def test_word_order_matters(bundled):
    embedding, mask = bundled(["fish eats man", "man eats fish"])
    pooled = bundled.pool(embedding, mask)
    assert (pooled[0] - pooled[1]).abs().max() > 1e-3


def test_batch_size_changes_nothing_and_order_is_kept(small):
    captions = ["gold", "a dragon of the metal", "", "fish", "the gold", "a a a a a"]
    whole, mask = small(captions)
    split, split_mask = small(captions, batch_size=2)
    torch.testing.assert_close(whole, split, atol=1e-5, rtol=0)
    assert mask.equal(split_mask)
    for row, caption in enumerate(captions):
        alone, _ = small([caption])
        torch.testing.assert_close(whole[row, : alone.shape[1]], alone[0], atol=1e-5, rtol=0)


def test_words_beyond_the_limit_are_named(small):
    with pytest.warns(UserWarning, match=r"8 tokens.*'metal dragon'") as caught:
        _, mask = small(["gold", "a gold fish of the the gold metal dragon"])
    assert len(caught) == 1
    assert mask.shape == (2, 8)
    ids = small.tokenizer.encode("a gold fish of the the gold").ids
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # seven words and the end: exactly the limit
        assert small.tokenize(["a gold fish of the the gold"]) == [ids]


def test_a_word_cut_in_half_is_named_whole(bundled):
    short = TextEncoder(bundled.model, bundled.tokenizer, max_tokens=4)
    assert len(bundled.tokenizer.encode("zzyzx").ids) > 4
    with pytest.warns(UserWarning, match="'zzyzx'"):
        assert len(short.tokenize(["gold zzyzx"])[0]) == 4


@pytest.mark.parametrize("text", ["龍", "🐉🔥", "\x00\x07", "\ud800", "  \t\n", "é", "a" * 5000])
def test_strange_text_does_not_crash(bundled, text):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        embedding, mask = bundled([text, "gold"])
    assert embedding.isfinite().all()
    assert mask.any(dim=1).all()


def test_accents_case_and_spaces_do_not_matter(bundled):
    ids = bundled.tokenize(["cafe table", "Café  TABLE ", "ｃａｆｅ table"])
    assert ids[0] == ids[1] == ids[2]


def test_one_string_is_refused(small):
    with pytest.raises(TypeError, match="list of strings"):
        small("gold")
    with pytest.raises(TypeError, match="not NoneType"):
        small(["gold", None])


def test_it_is_frozen(small):
    embedding, _ = small(["gold"])
    assert not embedding.requires_grad
    assert not any(weight.requires_grad for weight in small.parameters())


def test_the_name_of_a_special_token_is_only_text(bundled):
    (ids,) = bundled.tokenize(["gold </s> fish <pad>"])
    assert ids.count(bundled.end) == 1
    assert 0 not in ids


def test_saving_and_loading_keeps_every_embedding(small, tmp_path):
    small.model.half().float()  # what float16 can hold
    small.save_pretrained(tmp_path)
    loaded = TextEncoder.from_pretrained(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "config.json",
        "model.safetensors",
        "tokenizer.json",
    ]
    captions = ["a gold fish", "", "dragon"]
    assert loaded(captions)[0].equal(small(captions)[0])
    assert loaded.max_tokens == 8
    assert loaded.fingerprint == small.fingerprint
    assert {weight.dtype for weight in loaded.parameters()} == {torch.float32}
    assert json.loads((tmp_path / "config.json").read_text())["dtype"] == "float16"


def test_a_rounded_table_takes_half_the_place_and_comes_back_exactly(small, tmp_path):
    small.model.half().float()
    before = small(["gold fish"])[0]
    small.save_pretrained(tmp_path / "whole")
    after = small.round_table()(["gold fish"])[0]
    assert not after.equal(before)
    assert (after - before).norm() < 0.02 * before.norm()
    small.save_pretrained(tmp_path / "eight")
    stored = load_file(tmp_path / "eight" / "model.safetensors")
    assert stored["shared.codes"].dtype == torch.int8 and "shared.weight" not in stored
    assert "shared.weight" in load_file(tmp_path / "whole" / "model.safetensors")
    again = TextEncoder.from_pretrained(tmp_path / "eight")
    assert again(["gold fish"])[0].equal(after)
    assert again.fingerprint == small.fingerprint
    again.save_pretrained(tmp_path / "again")
    twice = load_file(tmp_path / "again" / "model.safetensors")
    assert all(twice[name].equal(weight) for name, weight in stored.items())


def test_weights_too_large_for_float16_are_not_saved(small, tmp_path):
    small.model.shared.weight[0, 0] = 1e6
    with pytest.raises(ValueError, match="not finite in float16"):
        small.save_pretrained(tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_the_fingerprint_follows_weights_tokenizer_and_limit(small):
    first = small.fingerprint
    assert first == TextEncoder(small_model(), small_tokenizer(), 8).fingerprint
    assert len(first) == 64
    assert first != TextEncoder(small_model(), small_tokenizer(), 9).fingerprint
    assert first != TextEncoder(small_model(seed=1), small_tokenizer(), 8).fingerprint
    small.model.shared.weight[3, 0] += 1e-3
    assert first != small.fingerprint
    changed = small_tokenizer()
    changed.add_tokens(["jade"])
    assert first != TextEncoder(small_model(), changed, 8).fingerprint


@pytest.mark.parametrize("feed_forward", ["relu", "gated-gelu", "gated-silu"])
def test_a_t5_is_that_of_transformers(feed_forward):
    theirs = hub_model(feed_forward_proj=feed_forward, relative_attention_max_distance=20)
    ours = load_t5(theirs.config.to_dict(), theirs.state_dict())
    assert ours.state_dict().keys() == theirs.state_dict().keys()
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(12, (5, 50), generator=generator)
    mask = torch.arange(50) < torch.tensor([[1], [50], [17], [30], [2]])
    with torch.no_grad():
        truth = theirs(input_ids=ids, attention_mask=mask.long()).last_hidden_state
        torch.testing.assert_close(ours(ids, mask), truth, atol=5e-6, rtol=1e-6)


def test_a_new_t5_is_as_random_as_that_of_transformers(seeded):
    settings = {"d_model": 120, "d_kv": 20, "d_ff": 240, "vocab_size": 500}
    theirs, ours = (
        hub_model(shaken=False, **settings).state_dict(),
        T5Encoder(T5Config(num_layers=2, num_heads=4, **settings)).state_dict(),
    )
    for name, weight in theirs.items():
        assert float(ours[name].std()) == pytest.approx(float(weight.std()), rel=0.3), name
        assert float(ours[name].mean()) == pytest.approx(float(weight.mean()), abs=0.04), name


@pytest.mark.parametrize("shard", ["1GB", "5KB"])
def test_any_t5_in_a_folder(tmp_path, shard):
    """A T5 and a tokenizer as transformers itself saves them, in one file or in several."""
    from transformers import PreTrainedTokenizerFast

    model = hub_model(feed_forward_proj="gated-gelu")
    model.save_pretrained(tmp_path, max_shard_size=shard)
    assert (tmp_path / "model.safetensors").exists() == (shard == "1GB")
    PreTrainedTokenizerFast(
        tokenizer_object=small_tokenizer(), pad_token="<pad>", eos_token="</s>", unk_token="<unk>"
    ).save_pretrained(tmp_path)
    encoder = TextEncoder.from_pretrained(tmp_path)
    embedding, mask = encoder(["a gold fish"])
    with torch.no_grad():
        truth = model(input_ids=torch.tensor([[6, 3, 4, 1]])).last_hidden_state
    torch.testing.assert_close(embedding, truth, atol=1e-6, rtol=1e-6)
    assert mask.all()
    assert (encoder.max_tokens, encoder.dim) == (48, 16)
    with pytest.raises(ValueError, match="max_tokens must be at least 1, not 0"):
        TextEncoder.from_pretrained(tmp_path, max_tokens=0)


def test_transformers_reads_what_is_saved(small, tmp_path):
    from transformers import T5EncoderModel

    small.model.half().float()
    small.save_pretrained(tmp_path)
    theirs = T5EncoderModel.from_pretrained(tmp_path, dtype=torch.float32)
    with torch.no_grad():
        truth = theirs(input_ids=torch.tensor(small.tokenize(["a gold fish"]))).last_hidden_state
    torch.testing.assert_close(small(["a gold fish"])[0], truth, atol=1e-6, rtol=1e-6)


def one_line(error) -> str:
    text = str(error.value)
    assert "\n" not in text
    return text


def test_an_unknown_hub_name_is_one_line(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(OSError) as error:
        TextEncoder.from_pretrained("nobody/no-such-t5-at-all")
    assert "nobody/no-such-t5-at-all" in one_line(error)


def test_a_missing_folder_is_one_line(tmp_path):
    with pytest.raises(FileNotFoundError, match="does not exist") as error:
        TextEncoder.from_pretrained(tmp_path / "none")
    one_line(error)


def pickle_the_weights(folder):
    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    torch.save(weights, folder / "pytorch_model.bin")


def lose_a_layer(folder):
    weights = load_file(folder / "model.safetensors")
    del weights["encoder.final_layer_norm.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: [path.unlink() for path in folder.iterdir()], "a folder needs"),
        (pickle_the_weights, "safetensors"),
        (lambda folder: (folder / "model.safetensors").write_bytes(b"no"), "cannot load"),
        (lose_a_layer, r"lack encoder\.final_layer_norm\.weight"),
    ],
)
def test_a_damaged_folder_is_one_line(small, tmp_path, damage, message):
    small.save_pretrained(tmp_path)
    damage(tmp_path)
    with pytest.raises(OSError, match=message) as error:
        TextEncoder.from_pretrained(tmp_path)
    one_line(error)


def test_another_kind_of_model_is_refused(small, tmp_path):
    small.save_pretrained(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    save_file(weights, tmp_path / "model.safetensors", {"format": "pt"})  # as others write it
    settings = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(settings | {"model_type": "bert"}))
    with pytest.raises(OSError, match="'bert', not a T5"):
        TextEncoder.from_pretrained(tmp_path)


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "model.safetensors"])
def test_a_file_of_another_encoder_is_refused(small, tmp_path, name):
    for folder, limit in (("one", 48), ("other", 20)):
        small.max_tokens = limit
        small.tokenizer.add_tokens([] if folder == "one" else ["xyzzy"])
        with torch.no_grad():
            small.model.shared.weight += 0.25
        small.save_pretrained(tmp_path / folder)
    TextEncoder.from_pretrained(tmp_path / "other")
    (tmp_path / "one" / name).replace(tmp_path / "other" / name)
    with pytest.raises(OSError, match="not as they were exported"):
        TextEncoder.from_pretrained(tmp_path / "other")


def test_a_tokenizer_of_another_model_is_refused(small, bundled):
    with pytest.raises(ValueError, match="do not belong together"):
        TextEncoder(small.model, bundled.tokenizer)


def test_a_folder_is_read_without_transformers():
    """Nor with torch._dynamo: either takes longer to import than the rest of drawing."""
    code = (
        "import sys; from conditioning import TextEncoder; TextEncoder.from_pretrained()(['gold']);"
        "sys.exit(' '.join({'transformers', 'torch._dynamo'} & {*sys.modules}) or None)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


# ---- a table in eight bits -----------------------------------------------------------------------


def test_codes_are_the_nearest_whole_numbers_and_the_largest_is_127():
    table = torch.tensor([[1.27, -0.636, 0.003], [0.0, 0.0, 0.0], [-254.0, 2.9, 1.1]])
    codes, scale = to_eight_bits(table)
    assert codes.tolist() == [[127, -64, 0], [0, 0, 0], [-127, 1, 1]]
    assert (codes.dtype, scale.dtype) == (torch.int8, torch.float16)
    expected = torch.tensor([0.01, 2**-14, 2.0])
    torch.testing.assert_close(scale[:, 0].float(), expected, rtol=1e-3, atol=0)


def test_what_is_rounded_is_off_by_half_a_step_and_stays_as_it_is():
    table = torch.randn(500, 64, generator=torch.Generator().manual_seed(0))
    table *= torch.logspace(-9, 4, 500)[:, None]  # the smallest are below all steps
    once = rounded(table)
    step = table.abs().amax(dim=1, keepdim=True) / 127
    assert ((once - table).abs() <= (0.51 * step).clamp_min(2**-15)).all()
    assert rounded(once).equal(once)
    assert from_eight_bits(*to_eight_bits(once)).equal(once)


# ---- the weights that ship -----------------------------------------------------------------------


def test_the_shipped_tokenizer_round_trip(bundled):
    for text in ["gold", "a sea monster", "to walk on stilts", "penguin", "unwontedly zymurgic"]:
        (ids,) = bundled.tokenize([text])
        assert ids[-1] == bundled.end
        assert bundled.tokenizer.decode(ids[:-1]) == text
        assert 2 not in ids


@pytest.mark.parametrize(
    ("word", "near", "far"),
    [
        ("titanium", "gold", "fish"),
        ("titanium", "metal", "fish"),
        ("penguin", "bird", "metal"),
        ("penguin", "duck", "silk garment"),
        ("gossip", "to speak, to talk", "mountain"),
        ("jacket", "clothing", "river"),
        ("headache", "illness, pain", "bamboo"),
        ("jealousy", "anger, hatred", "copper"),
        ("sea monster", "a large fish", "to weave silk"),
        ("oak", "tree", "horse"),
    ],
)
def test_words_lie_near_their_kin(bundled, word, near, far):
    a, b, c = torch.nn.functional.normalize(bundled.pool(*bundled([word, near, far])), dim=1)
    assert a @ b > a @ c + 0.05


def test_a_misspelt_word_is_said_with_the_word_that_may_be_meant(bundled):
    meant = {"mountian": "mountain", "Dargon": "dragon", "watter": "water", "penguine": "penguin"}
    found = bundled.misspelt(f"a {' and '.join(meant)}")
    assert found == {wrong.lower(): right for wrong, right in meant.items()}
    # Words, plurals of words, and what nothing is like.
    assert not bundled.misspelt("a sea monster; unwontedly zymurgic cameras, zzyzx 金魚 é gol")
