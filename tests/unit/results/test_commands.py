"""The command beside a number makes that number: typed, it plans the same experiment."""

from __future__ import annotations

import shlex
from typing import Any

import pytest

from repro.papers import library
from repro.results.commands import command_of, commands_of
from repro.results.comparison import compare
from repro.results.frozen import RowName
from repro.runs.asked import Asked, asked_for
from repro.runs.plan import plan


def asked(command: str) -> Asked:
    """Return what a command asks for, as the command line reads it."""
    program, run, paper, *words = shlex.split(command)
    assert (program, run) == ("repro", "run")
    given: dict[str, Any] = {"rows": [], "views": [], "settings": []}
    names = {"--row": "rows", "--view": "views", "--set": "settings"}
    for option, value in zip(words[::2], words[1::2], strict=True):
        if option in names:
            given[names[option]].append(value)
        else:
            given[option.removeprefix("--")] = value
    return asked_for(paper, **given)


@pytest.mark.parametrize("paper", library.papers())
def test_every_row_of_every_table_is_run_by_its_command(paper: str) -> None:
    loaded = library.load(paper)
    for number in loaded.tables:
        for entry in loaded.entries[number]:
            made = entry.experiment()
            if not made or entry.obstacle():
                continue
            name = RowName(entry.row, "added" if "row" in entry.added else "paper")
            command = command_of(loaded, number, name, entry.group_label)
            planned = {job.experiment.seedless for job in plan(asked(command)).jobs}
            assert planned == {made.seedless}, command


def test_runs_of_ones_own_have_their_settings_in_the_command() -> None:
    toy = library.load("toy")
    group = toy.entries["1"][0].group_label
    command = command_of(toy, "1", RowName("ease [l2=9.0]", "other"), group)
    (job,) = plan(asked(command)).jobs
    assert job.experiment.model.name == "ease"
    assert job.experiment.model.params["l2"] == 9.0
    layers = RowName("mult_vae [hidden_dims=(8, 4), latent_dim=3]", "other", "", "select = last")
    (job,) = plan(asked(command_of(toy, "1", layers, group))).jobs
    assert list(job.experiment.model.params["hidden_dims"]) == [8, 4]
    assert job.experiment.select == "last"
    shorter = RowName("Mult-VAE", "paper", "n_epochs = 2 of 50")
    (job,) = plan(asked(command_of(toy, "1", shorter, group))).jobs
    assert job.experiment.model.params["n_epochs"] == 2


def test_a_row_that_nothing_can_run_has_no_command() -> None:
    toy = library.load("toy")
    group = toy.entries["1"][0].group_label
    assert command_of(toy, "1", RowName("EASE of theirs, Table 1", "other"), group) == ""
    assert command_of(toy, "1", RowName("EASE"), "elsewhere") == ""
    dave = library.load("dave")  # its Table 2 counts the data
    entry = dave.entries["2"][0]
    assert command_of(dave, "2", RowName(entry.row), "") == f"repro fetch {entry.dataset}"


def test_a_table_has_each_command_once() -> None:
    found = commands_of(compare(library.load("toy"), "1", []))
    assert len(found) == len(set(found)) > 0
