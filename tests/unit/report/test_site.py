"""The report as pages: complete, linked, small, the same every time, and safe."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urldefrag

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builders import Write
from builders.foreign import NASTY, texts
from builders.pages import Parsed
from builders.papers import claim, figure, line, paper, row, table, view
from builders.records import compared_cell
from repro import files
from repro.errors import ReproError
from repro.papers import library
from repro.report.site import build, charts, svg
from repro.report.site.details import ClaimLine, Detail, Line, RunLine, SettingLine
from repro.report.site.looks import Ids, digits, slug, step
from repro.results.comparison import compare_all
from repro.text import one_line

MOST_BYTES = 5_000_000
MOST_SCRIPT = 30_000


@pytest.fixture(scope="module")
def site() -> dict[str, bytes]:
    """Return the report of all papers, as a fresh clone has it: without records."""
    return build.contents([], [])


@pytest.fixture(scope="module")
def pages(site: dict[str, bytes]) -> dict[str, Parsed]:
    return {name: Parsed(site[name].decode()) for name in site if name.endswith(".html")}


def test_every_paper_has_its_page_and_generated_data_none(site: dict[str, bytes]) -> None:
    real = [name for name in library.papers() if name != "toy"]
    assert {f"{name}.html" for name in real} <= site.keys()
    assert {"index.html", "audit.html", "ledger.html", "missing.html"} <= site.keys()
    assert "toy.html" not in site
    assert "toy.html" in build.contents(["toy"], [])


def test_all_papers_together_are_small(site: dict[str, bytes]) -> None:
    assert sum(map(len, site.values())) < MOST_BYTES
    assert len(site["site.js"]) < MOST_SCRIPT


def test_every_link_leads_somewhere_and_nothing_is_requested_from_elsewhere(
    site: dict[str, bytes], pages: dict[str, Parsed]
) -> None:
    for name, page in pages.items():
        assert len(page.ids) == len(set(page.ids)), name
        for tag, attrs in page.elements:
            target = attrs.get("href", "") or attrs.get("src", "")
            if target.startswith(("http:", "https:")):
                assert tag == "a", f"{name} loads {target}"
                continue
            file, place = urldefrag(target)
            if target and not target.startswith("data:"):
                assert (file or name) in site, f"{name}: {target}"
                if place and (file or name) in pages:
                    assert unquote(place) in pages[file or name].ids, f"{name}: {target}"
    assert b"url(" not in site["site.css"]
    assert b"@import" not in site["site.css"]


@pytest.mark.parametrize("name", ["dave", "mvae"])
def test_a_page_has_every_number_with_its_verdict_command_and_origin(
    pages: dict[str, Parsed], name: str
) -> None:
    page = pages[f"{name}.html"]
    compared = compare_all([library.load(name)], [])
    cells = [cell for one in compared for cell in one.cells]
    places = [v for v in page.values("href") if v.startswith("#table-") and "/" in v]
    links = [place for place in places if not place.endswith("/row")]
    assert len(set(links)) == len(cells)
    said = page.said
    for cell in cells:
        assert cell.published in said
        for run in cell.reference_runs:
            assert run in said
    assert f"repro run {name} --table" in said
    assert f"tables/reference/{name}.csv" in said
    for one in compared:
        for judged in one.claims:
            assert judged.says in said


def test_the_learning_curve_of_evidence_is_drawn(site: dict[str, bytes]) -> None:
    text = site["dave.html"].decode()
    assert "ndcg@10 on the validation cases by epoch; seed 0, 1, 2, 3, 4" in text


def test_the_same_results_give_the_same_bytes(site: dict[str, bytes]) -> None:
    assert build.contents([], []) == site


def test_ids_are_stable_and_never_shared() -> None:
    ids = Ids()
    assert ids.of("table-4", "ml100k", "AVB", "NDCG@10") == "table-4/ml100k/AVB/NDCG@10"
    assert ids.of("a b") != ids.of("a-b")
    assert ids.of("a b") == "a-b"


@given(st.text())
def test_a_part_of_an_address_needs_no_escape(text: str) -> None:
    assert slug(text)
    assert all(one.isascii() and (one.isalnum() or one in "@.+-") for one in slug(text))


def test_colours_follow_z_and_its_sign() -> None:
    assert [step(z) for z in (0.4, 1.5, -3.0, 9.0, None)] == ["z0", "up1", "down2", "up3", ""]


@pytest.mark.parametrize(("printed", "n"), [("0.420", 4), ("12", 1), ("", 4), ("46K", 1)])
def test_ours_has_one_digit_more_than_print(printed: str, n: int) -> None:
    assert digits(printed) == n


def test_a_folder_that_is_no_report_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(ReproError, match="holds files that are no report"):
        build.report(tmp_path, ["toy"], [])
    with pytest.raises(ReproError, match="is a file"):
        build.report(tmp_path / "thesis.tex", ["toy"], [])
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_report_is_replaced_as_a_whole_or_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build.report(tmp_path / "site", ["toy"], [])
    (tmp_path / "site" / "old.html").write_text("of an earlier version")
    before = {path.name for path in (tmp_path / "site").iterdir()}

    def full(_: Path) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(files, "sync", full)
        with pytest.raises(OSError, match="No space"):
            build.report(tmp_path / "site", ["toy"], [])
    assert {path.name for path in (tmp_path / "site").iterdir()} == before
    build.report(tmp_path / "site", ["toy"], [])
    assert not (tmp_path / "site" / "old.html").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["site"]


def test_what_a_killed_process_left_is_deleted_and_what_a_living_one_writes_is_not(
    tmp_path: Path,
) -> None:
    gone, alive = (tmp_path / f".site.{pid}.0123abcd" for pid in (2**22 + 1, 1))
    gone.mkdir()
    alive.mkdir()
    with files.whole_folder(tmp_path / "site") as folder:
        (folder / "a").write_text("a")
    assert not gone.exists()
    assert alive.exists()


def hostile() -> str:
    """Return a paper that has every text that tries to be more, wherever it prints one."""
    labels = [one.replace("\0", "").replace("\x7f", "") for one in NASTY]
    word = "".join(labels) + "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>"
    return paper(
        view(label=word, note=word),
        table(caption=word, note=word, metrics={word: "ndcg@10", "b": "hit_rate@5"}),
        *(
            row(f"{n} {one}", "popularity", ["0.5", "0.4"], note=word)
            for n, one in enumerate(labels)
        ),
        figure("1", "curve"),
        line("1", word, "popularity"),
        claim(
            says=word,
            tables=["1"],
            rows=[f"0 {labels[0]}"],
            against=[f"1 {labels[1]}"],
            section=word,
            note=word,
        ),
    ).replace('url = ""', 'url = "javascript:alert(1)"')


def test_texts_of_a_table_file_are_text_on_every_page(write: Write) -> None:
    write("tables/mine.toml", hostile())
    made = build.contents(["mine"], [])
    for name, content in made.items():
        if not name.endswith(".html"):
            continue
        page = Parsed(content.decode())
        assert [a for tag, a in page.elements if tag == "script"] == [
            {"src": "site.js", "defer": ""}
        ]
        assert not any(tag in ("b", "img") and attrs for tag, attrs in page.elements)
        assert not any(key.startswith("on") for _, attrs in page.elements for key in attrs)
        assert not any("javascript" in a.get("href", "") for _, a in page.elements)
        assert all(one == "\n" or one.isprintable() for one in "".join(page.text))
    said = Parsed(made["mine.html"].decode()).said
    assert "<script>alert(1)</script>" in said
    for n, one in enumerate(NASTY):
        clean = one.replace("\0", "").replace("\x7f", "")
        assert " ".join(one_line(f"{n} {clean}").split()) in said


def detail(text: str) -> str:
    """Return what a cell opens, with a text wherever one can come from outside."""
    one = Detail(
        id="id",
        back="back",
        row=text,
        group=text,
        table=text,
        origin="paper",
        quoted_from=text,
        lines=[Line("cell", *[text] * 11)],
        commands=[text],
        obstacle=text,
        runs=[RunLine(text, 0, *[text] * 5)],
        file=text,
        dataset=text,
        curve=None,
        no_curve=text,
        settings=[SettingLine(text, text, text, text, open=True)],
        marks=[text],
        notes=[text],
        claims=[ClaimLine(text, text, text, text)],
    )
    macro = build.environment().from_string(
        '{% from "parts.html" import detail %}{{ detail(one) }}'
    )
    return macro.render(one=one)


@settings(deadline=None)  # the first loads templates or scipy
@given(texts)
def test_what_a_cell_opens_keeps_its_shape(text: str) -> None:
    shown = Parsed(detail(text))
    assert shown.shape == Parsed(detail("x")).shape
    assert " ".join(one_line(text).split()) in shown.said


@settings(deadline=None)  # the first loads templates or scipy
@given(texts)
def test_a_chart_keeps_its_shape(text: str) -> None:
    def drawn(said: str) -> str:
        cell = compared_cell(
            said, published="0.5", reference=0.4, reference_verdict="lower", z=-3.0
        )
        other = compared_cell("EASE", published="0.3", reference=0.3, reference_verdict="exact")
        chart = charts.scatter([cell, other])
        histogram = charts.spread_of_z({said: [0.1, 9.0, -3.0]})
        assert chart is not None
        assert histogram is not None
        return chart + histogram

    shown = Parsed(drawn(text))
    assert shown.shape == Parsed(drawn("x")).shape
    assert f"{one_line(text)}: 1 of 3" in shown.values("aria-label")[1]


@given(st.floats(-1e6, 1e6), st.floats(1e-6, 1e6))
def test_ticks_are_a_few_round_numbers_inside(low: float, width: float) -> None:
    found = svg.ticks(low, low + width)
    assert 1 <= len(found) <= 12
    assert all(low - width * 1e-6 <= one <= low + width * (1 + 1e-6) for one in found)
