import pytest

from beam_curator.sets.layers import layers_in, number_of_layer, render_layers
from beam_curator.sets.output_set import Manifest, NotAnOutputSetError

NEWER, OLDER = "set-00002-0123abcd.beam_curator", "set-00001-89abcdef.beam_curator"


def test_layers_come_back_in_their_order() -> None:
    assert layers_in(render_layers([NEWER, OLDER, ""])) == (NEWER, OLDER, "")


@pytest.mark.parametrize("layer", ["..", "../set-00001-89abcdef.beam_curator", "clips", f"{OLDER}/x", f"{OLDER}\n"])
def test_a_layer_is_a_folder_of_the_set(layer: str) -> None:
    assert layers_in(render_layers([NEWER, layer])) == ()
    assert number_of_layer(layer) == 0


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b'{"format": 2}', b'{"format": 2, "layers": 3}', b"\xff"])
def test_other_texts_name_none(text: bytes) -> None:
    assert layers_in(text) == ()


def test_a_copy_on_a_disk_says_that_the_set_is_in_a_store() -> None:
    with pytest.raises(NotAnOutputSetError, match="names folders of an object store, in which the set was updated"):
        Manifest.from_json(render_layers([NEWER, ""]))
