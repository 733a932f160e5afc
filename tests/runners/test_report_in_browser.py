"""The page of `beam-curator report` in a real Chromium, opened from the disk: `make test-browser`."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.manifests import manifest_of, run, write_lines
from tests.report_pages import EVIL, data_of, make_page, write_evil

playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright: make test-browser")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
AXE = os.environ.get("BEAM_CURATOR_AXE", "")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium: apt-get install chromium"),
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as started:
        flags = ["--no-sandbox", "--autoplay-policy=no-user-gesture-required"]
        opened = started.chromium.launch(executable_path=CHROMIUM, args=flags)
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_page(tmp_path_factory.mktemp("browser"))


class Opened:
    """A page that was opened, and everything that went wrong in it or left the disk."""

    def __init__(self, browser: Any, page: Path, **settings: Any) -> None:
        self.context = browser.new_context(viewport={"width": 1280, "height": 900}, **settings)
        self.problems: list[str] = []
        self.page = self.context.new_page()
        self.page.on("console", lambda message: self.problems.append(message.text))
        self.page.on("pageerror", lambda error: self.problems.append(str(error)))
        self.page.on("dialog", lambda dialog: self.problems.append("a script of a name has run"))
        self.page.on("request", self._requested)
        self.page.goto((page if page.is_file() else page / "index.html").as_uri())
        self.page.wait_for_selector("#table table, #table .note")

    def _requested(self, request: Any) -> None:
        if not request.url.startswith("file:"):
            self.problems.append(request.url)

    def until(self, condition: str) -> None:
        """Wait for a condition; Playwright's own way of waiting needs `eval`, which the page forbids."""
        for _ in range(100):
            if self.page.evaluate(condition):
                return
            self.page.wait_for_timeout(100)
        raise AssertionError(f"{condition} did not come true: {self.problems}")

    def names(self) -> list[str]:
        names: list[str] = self.page.locator("button.open").all_inner_texts()
        return names


@pytest.fixture
def opened(browser: Any, made: Path) -> Iterator[Opened]:
    page = Opened(browser, made / "page")
    yield page
    assert page.problems == []
    page.context.close()


def test_a_recording_plays_from_where_one_clicks(opened: Opened) -> None:
    page = opened.page
    page.locator("button.open", has_text="talk 0.wav").click()
    opened.until("document.querySelector('audio')?.readyState >= 1")
    lanes = page.locator(".lanes")
    lanes.scroll_into_view_if_needed()
    box = lanes.bounding_box()
    duration = page.evaluate("document.querySelector('audio').duration")
    shown = max(duration, 300)
    lanes.click(position={"x": box["width"] * 1 / shown, "y": 20})  # one second of so many
    opened.until("document.querySelector('audio').currentTime > 0.2")
    assert duration == pytest.approx(2, abs=0.1)
    opened.until("parseFloat(document.querySelector('.head').style.left) > 0")


def test_times_of_lists_are_buttons_that_seek(opened: Opened) -> None:
    page = opened.page
    page.locator("button.open", has_text="talk 0.wav").click()
    opened.until("document.querySelector('audio')?.readyState >= 1")
    page.locator("summary", has_text=re.compile(r"^Turns")).click()
    page.locator(".opened tbody button").nth(1).click()
    opened.until("document.querySelector('audio').currentTime > 0.5")


def test_a_spectrogram_is_read_and_drawn_when_it_is_asked_for(browser: Any, made: Path, tmp_path: Path) -> None:
    assert run("report", made / "w", "--output", tmp_path / "page", "--spectrograms") == 0
    opened = Opened(browser, tmp_path / "page")
    opened.page.locator("button.open", has_text="talk 0.wav").click()
    button = opened.page.locator(".opened button", has_text="Spectrogram")
    button.wait_for()
    assert opened.page.locator("canvas").count() == 0
    button.click()
    opened.page.wait_for_selector("canvas")
    shades = "new Set(document.querySelector('canvas').getContext('2d').getImageData(0, 0, 60, 64).data).size"
    assert opened.page.evaluate(shades) > 20
    button.click()
    assert not opened.page.locator("canvas").is_visible()
    button.click()
    assert opened.page.locator("canvas").is_visible()
    assert opened.problems == []  # later the browser misses the other recording
    opened.page.locator("button.open", has_text="talk 4.wav").click()
    opened.until("document.querySelectorAll('.opened').length === 2")
    assert opened.page.locator(".opened button", has_text="Spectrogram").count() == 1  # the other is not there


def test_a_moved_threshold_says_what_it_would_keep_and_by_which_command(opened: Opened, made: Path) -> None:
    overview = data_of(made / "page", "overview")
    trial = overview["sets"][0]["trials"]["options"][0]
    card = opened.page.locator(".chart", has_text="--min-bandwidth")
    slider = card.locator("input")
    slider.focus()
    opened.page.keyboard.press("Home")
    for at in range(3):
        n, _ = trial["kept"][at]
        value = f"{trial['values'][at]:,g} Hz"
        assert card.locator("output").inner_text().startswith(f"{value}: {n:,} window"), at
        assert card.locator("code").inner_text().endswith(f"--min-bandwidth {trial['values'][at]:g}")
        opened.page.keyboard.press("ArrowRight")


def test_a_command_is_copied(browser: Any, made: Path) -> None:
    opened = Opened(browser, made / "page", permissions=["clipboard-read", "clipboard-write"])
    card = opened.page.locator("#failures .card").first
    command = card.locator("code").inner_text()
    assert command == f"beam-curator retry {made / 'w'} --code bad_json"
    card.locator("button").click()
    opened.until("document.getElementById('said').textContent === 'Copied.'")
    assert opened.page.evaluate("navigator.clipboard.readText()") == command
    assert opened.problems == []


def test_the_table_sorts_searches_and_shows_the_rows_of_a_loss(opened: Opened, made: Path) -> None:
    page, lines = opened.page, data_of(made / "page", "table-00000")
    page.locator("th button", has_text="windows kept").click()
    page.wait_for_selector("th[aria-sort=descending]")
    most = max(line.get("kept", 0) for line in lines)
    assert {line["name"]: line for line in lines}[opened.names()[0]]["kept"] == most
    page.locator("th button", has_text="recording").click()
    page.wait_for_selector("th[aria-sort=ascending]")
    assert opened.names() == sorted(line["name"] for line in lines)
    page.locator("#search").fill("TALK 1")
    opened.until("document.querySelectorAll('button.open').length === 3")
    assert opened.names() == ["talk 1.wav", "talk 10.wav", "talk 11.wav"]
    page.locator("button.bar", has_text="lost_sr").click()
    page.wait_for_selector("#filter button")
    lost = sorted(line["name"] for line in lines if "lost_sr" in line.get("lost", {}))
    opened.until(f"document.querySelectorAll('button.open').length === {len(lost)}")
    assert opened.names() == lost


def test_pages_of_the_table_are_read_when_they_are_needed(browser: Any, tmp_path: Path) -> None:
    rows = [b'{"audio_filepath": "t%04d.wav", "score": %d}' % (n, n * 7919 % 400) for n in range(400)]
    write_lines(tmp_path / "m.jsonl", rows)
    assert run("filter", tmp_path / "m.jsonl", "--where", "score >= 0", "--output", tmp_path / "f") == 0
    flags = ("--page-size", "40", "--no-waveforms")
    assert run("report", tmp_path / "f", "--output", tmp_path / "page", *flags) == 0
    opened = Opened(browser, tmp_path / "page")
    loaded = "[...document.scripts].filter(each => each.src.includes('table-')).length"
    assert opened.page.evaluate(loaded) == 2  # fifty lines of files of forty
    assert opened.names()[49] == "t0049.wav"
    opened.page.locator("#pager button", has_text="Next").click()
    opened.until("document.querySelector('button.open').textContent === 't0050.wav'")
    opened.page.locator("th button", has_text="score").click()
    opened.page.wait_for_selector("th[aria-sort=descending]")
    assert opened.page.evaluate(loaded) == 10
    best = max(range(400), key=lambda n: n * 7919 % 400)
    assert opened.names()[0] == f"t{best:04d}.wav"
    assert opened.problems == []


def test_names_and_texts_do_not_run(browser: Any, tmp_path: Path) -> None:
    opened = Opened(browser, write_evil(tmp_path))
    opened.page.evaluate("document.querySelectorAll('details').forEach(box => { box.open = true; })")
    opened.page.locator("button.open").first.click()
    opened.page.wait_for_selector(".opened")
    opened.page.wait_for_timeout(300)
    assert opened.page.evaluate("document.querySelectorAll('img, iframe, script:not([src])').length") == 0
    # a file that is not there is no error of the page, which says so
    assert [text for text in opened.problems if "ERR_FILE_NOT_FOUND" not in text] == []
    assert "<script>" in opened.page.locator("h1").inner_text()


def test_a_page_of_one_file_is_shown_and_runs_no_names(browser: Any, made: Path, tmp_path: Path) -> None:
    assert run("report", made / "w", "--output", tmp_path / "page.html", "--spectrograms") == 0
    opened = Opened(browser, tmp_path / "page.html")
    opened.page.locator("button.open", has_text="talk 0.wav").click()
    opened.until("document.querySelector('audio')?.readyState >= 1")
    opened.page.locator(".opened button", has_text="Spectrogram").click()
    opened.page.wait_for_selector("canvas")
    assert opened.page.evaluate("getComputedStyle(document.querySelector('canvas')).height") == "128px"
    assert opened.problems == []
    write_evil(tmp_path)
    sets = tmp_path / "odd 'name' 😀"
    assert run("report", sets, "--output", tmp_path / "evil.html", "--title", EVIL) == 0
    opened = Opened(browser, tmp_path / "evil.html")
    opened.page.locator("button.open").first.click()
    opened.page.wait_for_selector(".opened")
    opened.page.evaluate(
        """document.body.append(Object.assign(document.createElement('script'), {text: 'alert(3)'}))"""
    )
    assert "a script of a name has run" not in opened.problems
    assert any("Content Security Policy" in text for text in opened.problems)  # that of the script put in by hand


def test_a_page_without_recordings_says_so(browser: Any, tmp_path: Path) -> None:
    write_lines(tmp_path / "m.jsonl", [])
    assert run("windows", tmp_path / "m.jsonl", "--output", tmp_path / "w") == 0
    assert run("report", tmp_path / "w", "--output", tmp_path / "page") == 0
    opened = Opened(browser, tmp_path / "page")
    assert "hold no recordings" in opened.page.locator("#table").inner_text()
    assert (opened.problems, manifest_of(tmp_path / "page")["counts"]) == ([], {})


@pytest.mark.parametrize("width", [360, 768, 1280])
def test_nothing_is_wider_than_the_screen(browser: Any, made: Path, width: int) -> None:
    opened = Opened(browser, made / "page")
    opened.page.set_viewport_size({"width": width, "height": 800})
    opened.page.locator("button.open", has_text="talk 0.wav").click()
    opened.page.wait_for_selector(".opened")
    assert opened.page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.skipif(not AXE, reason="needs BEAM_CURATOR_AXE, the path of axe.min.js: make test-browser")
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_fault(browser: Any, made: Path, scheme: str) -> None:
    opened = Opened(browser, made / "page", color_scheme=scheme, bypass_csp=True)
    opened.page.locator("button.open", has_text="talk 0.wav").click()
    opened.page.wait_for_selector(".opened")
    opened.page.evaluate("document.querySelectorAll('details').forEach(box => { box.open = true; })")
    opened.page.evaluate(Path(AXE).read_text(encoding="utf-8"))
    found = opened.page.evaluate("axe.run()")
    assert [(fault["id"], fault["impact"]) for fault in found["violations"]] == []
    assert len(found["passes"]) > 20
