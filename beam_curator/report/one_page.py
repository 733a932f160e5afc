"""A page put into one file: its style, its scripts and its data stand in it, and its policy has their hashes."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping

_LESS = r"\u003c"
_STYLE = re.compile(r'<link rel="stylesheet" href="([^"]+)">')
_SCRIPTS = re.compile(r'(?:<script src="[^"]+"></script>\s*)+')
_ADDRESS = re.compile(r'src="([^"]+)"')


def one_page(index: str, files: Mapping[str, str], values: Mapping[str, str]) -> str:
    """Put the files that a page names into it, and its data.

    Args:
      index: the page.
      files: texts of its style and scripts, by their addresses.
      values: data as JSON, by name: blocks of data, which no browser runs.
    """
    style = "".join(files[address] for address in _STYLE.findall(index))
    scripts = "".join(files[address] for address in _ADDRESS.findall("".join(_SCRIPTS.findall(index))))
    # a text of JSON that has no "<" ends no block, whatever it holds
    data = [
        f'<script type="application/json" id="data-{name}">{value.replace("<", _LESS)}</script>\n'
        for name, value in values.items()
    ]
    for of, text in (("script", scripts), ("style", style)):
        index = index.replace(f"{of}-src 'self'", f"{of}-src '{_hash_of(text)}'")
    index = _STYLE.sub(lambda _: f"<style>{style}</style>", index)
    return _SCRIPTS.sub(lambda _: f"{''.join(data)}<script>{scripts}</script>\n", index)


def _hash_of(text: str) -> str:
    """Return the source of a Content-Security-Policy that allows this text alone."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
