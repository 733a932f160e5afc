"""The page of live streams says what messages, events and failures are."""

from __future__ import annotations

import json
import re
from pathlib import Path

import jsonschema

from beam_curator.failures import FAILURE_DOCS
from beam_curator.live.events import EVENT_SCHEMA
from beam_curator.live.messages import CODECS, MESSAGE_SCHEMA

PAGE = (Path(__file__).parents[2] / "docs" / "live.md").read_text(encoding="utf-8")


def rows_after(head: str) -> list[list[str]]:
    """Return the cells of the table with this head."""
    (body,) = re.findall(rf"^{re.escape(head)}\n\|[-|]+\n((?:\|.*\n)+)", PAGE, re.MULTILINE)
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in body.splitlines()]


def test_attributes_of_messages() -> None:
    rows = {row[0].strip("`"): row[1] for row in rows_after("| attribute | |")}
    assert list(rows) == list(MESSAGE_SCHEMA["properties"])
    assert set(re.findall(r"`(\w+)`", rows["codec"])) == set(CODECS)


def test_events() -> None:
    rows = rows_after("| `type` | says | has besides |")
    shown = {row[0].strip("`"): re.findall(r"[a-z_]+", row[2].partition("(")[0]) for row in rows}
    (common,) = re.findall(r"All have `([^`]+)`", PAGE)
    assert {name: {*own, *common.split(", ")} for name, own in shown.items()} == {
        each["title"]: set(each["required"]) for each in EVENT_SCHEMA["oneOf"]
    }
    (event,) = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
    jsonschema.validate(json.loads(event), EVENT_SCHEMA)


def test_codes() -> None:
    codes = {code for row in rows_after("| code | when |") for code in re.findall(r"`(\w+)`", row[0])}
    assert len(codes) == 12
    assert codes <= set(FAILURE_DOCS)
