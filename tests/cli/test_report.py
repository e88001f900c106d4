"""``repro report``: from records or frozen numbers to a folder of pages."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import repro
from builders import Write
from builders.commands import known, repro_
from builders.pages import Parsed
from builders.papers import BOTH, figure, line, paper, row, table, view
from repro.papers import library
from repro.results.comparison import compare_all
from repro.results.costs import missing

NET = {"hidden_dims": [8], "latent_dim": 4, "n_epochs": 4}
MINE = paper(
    view("toy", "toy/ratings", "random_split"),
    table("1", BOTH, select="valid:ndcg@10", seeds=[0, 1]),
    row("Mult-VAE", "mult_vae", ["0.5", "0.5"], params=NET),
    row("POP", "popularity", ["0.5", "0.5"]),
    row("Future", "of_the_future", ["0.5", "0.5"]),
    figure("1", "curve", every=1),
    line("1", "narrow", "mult_vae", params=NET),
)


def test_a_report_shows_ones_own_runs(write: Write, tmp_path: Path) -> None:
    write("tables/mine.toml", MINE)
    repro_("run", "mine")
    repro_("run", "mine", "--figure", "1")
    said = repro_("report", "mine", "--to", str(tmp_path / "site")).stdout
    assert "open " in said
    text = (tmp_path / "site" / "mine.html").read_text()
    page = Parsed(text)
    for record in known():
        if record.experiment.select == "valid:ndcg@10":
            assert record.id in page.said
    assert "ndcg@10 on the validation cases by epoch; seed 0, 1" in text
    assert "repro run mine --table 1 --row &#34;Mult-VAE&#34; --view toy" in text
    assert "from 5 records" in page.said
    assert (tmp_path / "site" / "mine-figure-1.html").is_file()
    assert "Mult-VAE" in (tmp_path / "site" / "data" / "mine-table-1.csv").read_text()


def test_a_report_names_what_is_damaged(write: Write, tmp_path: Path) -> None:
    write("tables/mine.toml", MINE)
    repro_("run", "mine", "--row", "POP")
    (one, *_) = known()
    (one.path / "record.json").write_text("{")
    result = repro_("report", "mine", "--to", str(tmp_path / "site"))
    assert "damaged: " in result.stderr


def test_a_notebook_writes_the_same_report(tmp_path: Path) -> None:
    repro_("report", "toy", "--to", str(tmp_path / "one"))
    made = repro.write_report("toy", to=tmp_path / "two")
    one, two = (
        {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*.*")}
        for folder in (tmp_path / "one", tmp_path / "two")
    )
    assert one == two
    assert made.bytes == sum(map(len, two.values()))


def test_an_unknown_paper_and_another_folder_are_refused(tmp_path: Path) -> None:
    assert "no paper" in repro_("report", "dav", "--to", str(tmp_path / "x"), code=1).stderr
    (tmp_path / "a.txt").write_text("a")
    said = repro_("report", "toy", "--to", str(tmp_path), code=1).stderr
    assert "holds files that are no report" in said
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


def test_a_report_is_written_without_torch(tmp_path: Path) -> None:
    program = (
        "import sys; from repro.cli import app; "
        f"app(['report', '--to', {str(tmp_path / 'site')!r}], standalone_mode=False); "
        "sys.exit('torch' in sys.modules or 'matplotlib' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], capture_output=True).returncode == 0


def test_what_is_missing_is_told_with_its_time_and_command(write: Write) -> None:
    write("tables/mine.toml", MINE)
    mine = library.load("mine")

    def gaps() -> dict[str, tuple[tuple[int, ...], float | None, str]]:
        found = missing(mine, compare_all([mine], known()), known())
        return {one.row: (one.seeds, one.seconds, one.command) for one in found}

    before = gaps()
    assert before["Mult-VAE"][:2] == ((0, 1), None)
    repro_("run", "mine", "--row", "Mult-VAE", "--seeds", "0")
    (record,) = known()
    seeds, seconds, command = gaps()["Mult-VAE"]
    assert seeds == (1,)
    assert seconds == record.seconds
    assert command == 'repro run mine --table 1 --row "Mult-VAE" --view toy --seeds 1'
    assert gaps()["Future"] == ((), None, "")
    repro_("run", "mine", "--row", "Mult-VAE", "--seeds", "1")
    assert "Mult-VAE" not in gaps()
