from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from beam_curator.recordings.channel_files import channel_files, joined_name

PATHS = st.lists(st.text(st.characters(), min_size=1), min_size=2, max_size=5)


@given(PATHS)
def test_the_name_gives_the_files_back(paths: list[str]) -> None:
    assert channel_files(joined_name(paths)) == tuple(paths)


@pytest.mark.parametrize(
    "path", ["a.wav", '["a"]', '["a", ""]', '["a", 1, "b"]', '["a" "b"]', '["', "", '["a", ' + "[" * 100_000 + '"]']
)
def test_any_other_text_is_one_file(path: str) -> None:
    assert channel_files(path) == (path,)


def test_names_of_other_scripts_stay_readable() -> None:
    assert joined_name(["Kapit\u00e4n.wav", "b\udcff.wav"]) == '["Kapit\u00e4n.wav", "b\udcff.wav"]'
