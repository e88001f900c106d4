"""All figures have one style: a grid, one legend outside, sizes of a paper, remarks of one line."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builders.foreign import check_harmless, texts
from repro.report import drawing, style
from repro.report.drawing import Sheet, sheet_drawn, told
from repro.results.figures import About, Point


def point(panel: str, metric: str, line: str, x: float, value: float, seed: int = 0) -> Point:
    return Point("1", panel, metric, line, x, value, seed, "id", "digest", True, "", False, "")


def points(panels: int, metrics: int, lines: int, seeds: int = 3) -> list[Point]:
    return [
        point(f"panel {p}", f"metric {m}", f"line {n}", float(x), p + m + n + x * 0.1 + s * 0.01, s)
        for p in range(panels)
        for m in range(metrics)
        for n in range(lines)
        for x in range(1, 5)
        for s in range(seeds)
    ]


def sheet(kind: Any, metrics: int, lines: int) -> Sheet:
    return Sheet(
        "toy, Figure 1: a caption",
        kind,
        tuple(f"metric {m}" for m in range(metrics)),
        tuple(f"line {n}" for n in range(lines)),
    )


def boxes(figure: Any) -> tuple[list[Any], Any]:
    figure.draw_without_rendering()
    axes = [one.get_tightbbox() for one in figure.axes if one.get_visible()]
    return axes, figure.legends[0].get_window_extent() if figure.legends else None


@pytest.mark.parametrize("kind", ["curve", "sweep"])
@pytest.mark.parametrize(("panels", "metrics"), [(1, 1), (1, 4), (2, 2), (4, 1), (5, 2)])
def test_nothing_overlaps_and_one_legend_stands_outside(
    kind: str, panels: int, metrics: int
) -> None:
    figure = sheet_drawn(sheet(kind, metrics, 6), points(panels, metrics, 6))
    assert len(figure.legends) == 1
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [
        f"line {n}" for n in range(6)
    ]
    axes, legend = boxes(figure)
    assert len(axes) == panels * metrics
    for one, other in combinations(axes, 2):
        assert not one.shrunk(0.98, 0.98).overlaps(other.shrunk(0.98, 0.98))
    for one in axes:
        assert not one.overlaps(legend)
    width, height = figure.get_size_inches() * figure.dpi
    assert legend.x0 >= 0
    assert legend.x1 <= width
    assert 0 <= legend.y0 < legend.y1 <= height


def test_a_figure_has_the_width_of_a_column_or_a_page() -> None:
    assert sheet_drawn(sheet("curve", 1, 1), points(1, 1, 1)).get_figwidth() == style.COLUMN
    assert sheet_drawn(sheet("curve", 4, 1), points(1, 4, 1)).get_figwidth() == style.PAGE
    assert style.across(1, 4) == 2  # two rows of two, not a long column
    assert style.across(4, 1) == 2
    assert style.across(2, 3) == 2


def test_one_line_needs_no_legend_and_seeds_make_a_band() -> None:
    figure = sheet_drawn(sheet("curve", 1, 1), points(1, 1, 1))
    assert not figure.legends
    (axes,) = figure.axes
    assert len(axes.collections) == 1
    assert axes.get_xlabel() == "Epoch"
    assert axes.get_ylabel() == "metric 0"
    alone = sheet_drawn(sheet("curve", 1, 1), points(1, 1, 1, seeds=1))
    assert not alone.axes[0].collections


def test_a_place_with_one_seed_among_several_has_no_band() -> None:
    few = [one for one in points(1, 1, 1) if one.x == 2 or one.seed == 0]
    (axes,) = sheet_drawn(sheet("sweep", 1, 1), few).axes
    assert not [one for one in axes.collections if type(one).__name__ == "PolyCollection"]
    assert len(axes.containers) == 1  # an error bar at the place that has some


def test_lines_differ_in_more_than_colour() -> None:
    looks = [style.look(n) for n in range(7 * 7)]
    assert len({(one.colour, one.marker, str(one.dash)) for one in looks}) == len(looks)
    first = looks[:7]
    assert len({one.marker for one in first}) == len({str(one.dash) for one in first}) == 7
    assert len({_lightness(one.colour) for one in first}) == 7  # told apart in grey


def _lightness(colour: str) -> int:
    red, green, blue = (int(colour[n : n + 2], 16) for n in (1, 3, 5))
    return round(0.2126 * red + 0.7152 * green + 0.0722 * blue)


def test_a_figure_is_written_as_png_svg_and_pdf_and_is_the_same_each_time(tmp_path: Path) -> None:
    every = points(1, 2, 2)
    for name in ("one", "two"):
        figure = sheet_drawn(sheet("curve", 2, 2), every)
        drawing.write(tmp_path / name, figure, every)
    heads = {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}
    for form, head in heads.items():
        content = (tmp_path / f"one.{form}").read_bytes()
        assert content.startswith(head)
        assert content == (tmp_path / f"two.{form}").read_bytes()
    assert (tmp_path / "one.csv").read_text().count("\n") == len(every) + 1


def test_a_letter_that_no_font_has_is_no_warning(tmp_path: Path) -> None:
    every = [point("题", "题", "题", 1.0, 0.5)]
    drawing.write(
        tmp_path / "one", sheet_drawn(Sheet("题", "curve", ("题",), ("题",)), every), every
    )
    assert (tmp_path / "one.png").exists()


@given(st.lists(st.tuples(texts, texts, texts), max_size=60))
def test_what_is_not_drawn_is_one_line(runs: list[tuple[str, str, str]]) -> None:
    said = told("not drawn", [About(*run[:2], n, run[2]) for n, run in enumerate(runs)])
    assert len(said) == bool(runs)
    for line in said:
        check_harmless(line)
        assert "\n" not in line
        assert f"{len(runs)} run" in line


def test_many_runs_are_counted() -> None:
    runs = [About(f"row {n % 5}", f"set {n % 10}", n, "no record") for n in range(50)]
    (line,) = told("not drawn", runs)
    assert line.startswith("not drawn, 50 runs: ")
    assert line.endswith("; and 4 more")
    assert len(line) < 400


@pytest.mark.filterwarnings("ignore:Glyph")
@settings(deadline=None, max_examples=20)
@given(texts)
def test_labels_from_outside_are_drawn_as_they_are(text: str) -> None:
    every = [point(text, text, text, float(x), 0.5 + x) for x in (1, 2)]
    every += [point(text, text, "b", float(x), 0.4 + x) for x in (1, 2)]
    kinds: tuple[Literal["curve", "sweep", "bars"], ...] = ("curve", "sweep", "bars")
    for kind in kinds:
        figure = sheet_drawn(Sheet(text, kind, (text,), (text, "b"), text), every)
        figure.draw_without_rendering()  # a formula that is wrong would raise
