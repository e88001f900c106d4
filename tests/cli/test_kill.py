"""A run that is cut off goes on from its checkpoint and ends with the same numbers, to the bit."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

from repro import checkpoints, paths, records
from repro.cli import app
from repro.records import Record

PAPER = """
[paper]
title = "Mine"
authors = "me"
venue = "here"
url = ""
[views.toy]
label = "Toy"
dataset = "toy/ratings"
protocol = { name = "random_split" }
[tables.1]
caption = "Numbers"
groups = ["toy"]
metrics = { "NDCG@10" = "ndcg@10" }
select = "valid:ndcg@10"
[[tables.1.rows]]
label = "Mult-VAE"
model = "mult_vae"
params = { hidden_dims = [32], latent_dim = 8, batch_size = 80, anneal_steps = 100, n_epochs = 20 }
at.toy = { published = ["0.5"] }
"""

PROGRAM = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)  # it may be ignored where this was started
import repro.training
repro.training.CHECKPOINT_SECONDS = 0
from repro.cli import main
main()
"""


def cut_off(by: signal.Signals) -> tuple[int, str]:
    """Start the run, send a signal after some checkpoints; return exit code and messages."""
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, "run", "mine"],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stderr=subprocess.PIPE,
        text=True,
    )
    seen: set[str] = set()
    with process:
        while len(seen) < 5:
            seen |= {file.name for file in paths.runs().glob("*/checkpoint-*.pt")}
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(0.002)
                break
        process.send_signal(by)
        assert process.stderr is not None
        messages = process.stderr.read()
    return process.returncode, messages


def run_to_the_end(runs: Path) -> Record:
    result = CliRunner().invoke(app, ["run", "mine", "--runs", str(runs)])
    assert result.exit_code == 0, result.output
    (record,) = records.load_all(runs)
    return record


def untimed(record: Record) -> list[dict[str, Any]]:
    return [{k: v for k, v in entry.items() if k != "seconds"} for entry in record.curve]


@pytest.mark.parametrize(
    ("by", "code"),
    [(signal.SIGKILL, -signal.SIGKILL), (signal.SIGINT, 130), (signal.SIGTERM, 143)],
    ids=["kill", "int", "term"],
)
def test_a_run_that_is_cut_off_ends_with_the_same_numbers(
    own_folders: Path, monkeypatch: pytest.MonkeyPatch, by: signal.Signals, code: int
) -> None:
    monkeypatch.setenv("REPRO_PATH", str(own_folders / "user"))
    (own_folders / "user" / "tables").mkdir(parents=True)
    (own_folders / "user" / "tables" / "mine.toml").write_text(PAPER)

    returned, messages = cut_off(by)
    assert returned == code, messages
    assert list(records.load_all(paths.runs())) == []
    (folder,) = {file.parent for file in paths.runs().glob("*/checkpoint-*.pt")}
    newest, older = checkpoints.present(folder)
    saved = torch.load(BytesIO(checkpoints.read(newest)), weights_only=True)
    if by != signal.SIGKILL:
        assert "what was finished is kept" in messages
        assert sorted(folder.iterdir()) == [older, newest]  # the claim was given back

    resumed = run_to_the_end(paths.runs())
    assert checkpoints.present(folder) == []
    began = json.loads(saved["outcome"])["curve"]
    assert resumed.curve[: len(began)] == began  # even the times: these epochs were not repeated
    assert len(resumed.curve) == 20 > len(began)

    whole = run_to_the_end(own_folders / "whole")
    assert resumed.id == whole.id
    assert resumed.results == whole.results
    assert resumed.epoch == whole.epoch
    assert untimed(resumed) == untimed(whole)
    for ours, theirs in zip(resumed.hits(), whole.hits(), strict=True):
        assert ours.tolist() == theirs.tolist()
