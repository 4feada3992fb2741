"""The kinds of things by radical: what a small WordNet gives, and that the table is what builds."""

import pytest

from autoencoder.data.glyphs import held_out
from conditioning.captions import load_entries
from conditioning.sources.kinds import build_kinds
from conditioning.sources.tables import load_kinds
from conditioning.sources.wordnet import WORDNET

# A beast, two kinds of it and one of each of theirs; two words of two meanings; a circle of two.
NOUNS = """\
  1 This software and database is being provided to you, the LICENSEE
00000001 05 n 01 beast 0 000 | an animal
00000002 05 n 02 horse 0 Equus_caballus 0 002 @ 00000001 n 0000 ~ 00000004 n 0000 | rides
00000003 05 n 01 dog 0 001 @ 00000001 n 0000 | barks
00000004 05 n 02 pony 0 bay 0 001 @ 00000002 n 0000 | a small horse
00000005 05 n 01 hound 0 001 @ 00000003 n 0000 | hunts
00000006 15 n 01 bay 0 000 | where the sea bends in
00000007 15 n 01 hen 0 001 @ 00000008 n 0000 | from an egg
00000008 15 n 01 egg 0 001 @ 00000007 n 0000 | from a hen
00000009 18 n 01 Dog 0 000 | somebody of that name
"""
INDEX = """\
  1 This software and database is being provided to you, the LICENSEE
beast n 1 1 ~ 1 0 00000001
horse n 1 2 @ ~ 1 1 00000002
equus_caballus n 1 1 @ 1 0 00000002
dog n 2 1 @ 2 1 00000009 00000003
pony n 1 1 @ 1 0 00000004
bay n 2 1 @ 2 2 00000006 00000004
hound n 1 1 @ 1 0 00000005
hen n 1 1 @ 1 0 00000007
egg n 1 1 @ 1 0 00000008
"""


def test_a_word_goes_to_the_nearest_of_what_is_above_it(tmp_path):
    for part in ("noun", "verb", "adj", "adv"):
        (tmp_path / f"data.{part}").write_text(NOUNS if part == "noun" else "")
        (tmp_path / f"index.{part}").write_text(INDEX if part == "noun" else "")
    roots = tmp_path / "roots.tsv"
    roots.write_text("94\tdog.n.01\tbeast.n.01\n187\thorse.n.01\n")
    (tmp_path / "cntlist.rev").write_text("")
    usual = ["beast, horse", "dog, pony, bay", "hen"]
    build_kinds(2 * usual, tmp_path, tmp_path / "kinds.tsv.xz", roots)
    assert load_kinds(tmp_path / "kinds.tsv.xz") == {
        94: (("beast",), ("dog",)),  # no hound: it is not usual
        187: (("horse",), ("pony",)),  # a bay is first of all in the sea
    }


@pytest.mark.skipif(not WORDNET.is_dir(), reason="WordNet is not installed")
def test_the_table_that_ships_is_the_one_that_builds(tmp_path):
    captions = [entry.caption for entry in load_entries() if not held_out(entry.caption)]
    path = tmp_path / "kinds.tsv.xz"
    assert build_kinds(captions, path=path) == sum(map(len, load_kinds().values()))
    assert load_kinds(path) == load_kinds()


def test_a_scribe_would_agree():
    kinds = {n: {w for words in several for w in words} for n, several in load_kinds().items()}
    for word, number in {
        "heron": 196,
        "salmon": 195,
        "asthma": 104,
        "wolf": 94,
        "to wolf": 30,
    }.items():
        assert [n for n, words in kinds.items() if word in words] == [number], word
    assert all(word == word.lower().strip() for words in kinds.values() for word in words)
