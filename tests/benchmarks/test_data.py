"""From a raw file of the published size to a prepared split: seconds, and gigabytes at the peak.

Run by itself, on an idle machine, with some 6 GB of disk::

    pytest -o addopts= tests/benchmarks/test_data.py

The files are generated, once, in ``REPRO_BENCHMARKS`` if that names a folder. What is measured is a
process of its own: it takes the raw files into the cache with their hashes, reads and filters them,
stores the view, loads it, and draws Liang et al.'s split.
"""

from __future__ import annotations

import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import csv

from repro.data import manifest

PREPARE = """
import sys, time
from pathlib import Path
from repro.data import archive, manifest, views
from repro.protocols.strong_generalization import StrongGeneralization

began = time.monotonic()
archive.fetch(manifest.load("generated"), Path(sys.argv[1]), unverified=True)
fetched = time.monotonic()
dataset = views.load("generated/liang2018")
built = time.monotonic()
split = StrongGeneralization(heldout_users=int(sys.argv[2])).split(dataset)
done = time.monotonic()
print(f"fetch {fetched - began:.1f} s, build {built - fetched:.1f} s, split {done - built:.1f} s,")
print(f"{len(dataset.interactions):,} interactions, {split.train.n_items:,} items in training")
"""

LOAD = """
import time
from repro.data import views
began = time.monotonic()
views.load("generated/liang2018")
print(f"load {time.monotonic() - began:.2f} s")
"""

RATINGS = np.array([1.0, 2.0, 3.0, 4.0, 5.0])
SHARES = np.array([0.05, 0.10, 0.28, 0.34, 0.23])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    kept = os.environ.get("REPRO_BENCHMARKS")
    return Path(kept) if kept else tmp_path_factory.mktemp("benchmarks")


def ml_20m(folder: Path) -> Path:
    """Write a file of ML-20M's size, sorted by user and item as the real one is."""
    file = folder / "ml-20m" / "ratings.csv"
    if file.exists():
        return file.parent
    file.parent.mkdir(parents=True, exist_ok=True)
    n_users, n_items, n = 138_493, 26_744, 20_000_263
    rng = np.random.default_rng(0)
    weight = rng.lognormal(0.0, 1.2, n_users)
    counts = 20 + rng.multinomial(n - 20 * n_users, weight / weight.sum())
    user = np.repeat(np.arange(1, n_users + 1), counts)
    item = (n_items * rng.random(n) ** 3).astype(np.int64) * 5 + 1  # few are popular
    table = pa.table(
        {
            "userId": user,
            "movieId": item[np.lexsort([item, user])],
            "rating": rng.choice(RATINGS, n, p=SHARES) - 0.5 * (rng.random(n) < 0.2),
            "timestamp": rng.integers(789_652_009, 1_427_784_002, n),
        }
    )
    csv.write_csv(table, file, csv.WriteOptions(quoting_style="none"))
    return file.parent


def netflix(folder: Path) -> Path:
    """Write four combined files of the Netflix Prize's size, in blocks of a movie each."""
    made = folder / "netflix"
    if (made / "combined_data_4.txt").exists():
        return made
    made.mkdir(parents=True, exist_ok=True)
    n_users, n_movies, n = 480_189, 17_770, 100_480_507
    rng = np.random.default_rng(0)
    ids = np.sort(rng.choice(2_649_429, n_users, replace=False)) + 1
    weight = rng.lognormal(0.0, 2.0, n_movies)
    counts = 3 + rng.multinomial(n - 3 * n_movies, weight / weight.sum())
    days = pa.array(np.arange("1999-12-31", "2006-01-01", dtype="datetime64[D]"))
    options = csv.WriteOptions(include_header=False, quoting_style="none")
    borders = np.array([0, 4_499, 9_210, 13_367, n_movies])  # as the real files have them
    for part, (begin, end) in enumerate(pairwise(borders.tolist()), start=1):
        with (made / f"combined_data_{part}.txt").open("wb") as out:
            for movie in range(begin, end):
                m = int(counts[movie])
                out.write(b"%d:\n" % (movie + 1))
                table = pa.table(
                    {
                        "user": ids[(n_users * rng.random(m) ** 1.5).astype(np.int64)],
                        "rating": rng.choice(5, m, p=SHARES) + 1,
                        "date": days.take(rng.integers(len(days), size=m)),
                    }
                )
                csv.write_csv(table, out, options)
    return made


def manifest_of(real: str, read: str, files: list[str], at: Path) -> None:
    """Write a manifest that does what the real one does, without its counts."""
    steps = manifest.load(real).view("liang2018").steps
    inline = ", ".join(
        "{ " + ", ".join(f"{k} = {v!r}" for k, v in step.items() if k != "expect") + " }"
        for step in steps
    )
    members = "".join(f'[members."{name}"]\n' for name in files)
    (at / "data_manifests").mkdir()
    (at / "data_manifests" / "generated.toml").write_text(
        '[archive]\ntitle = "Generated"\nlicense = "none"\nsource = "here"\nmanual = "generate"\n'
        f"{members}[read]\nrows = {{ {read} }}\n"
        f'[views.liang2018]\nsource = "{real}"\nsteps = [{inline}]\n'
    )


def measured(code: str, *arguments: str, at: Path) -> float:
    """Run code in a process of its own, print what it prints; return its peak in gigabytes."""
    environment = {**os.environ, "REPRO_PATH": str(at), "REPRO_HOME": str(at / "home")}
    process = subprocess.Popen([sys.executable, "-c", code, *arguments], env=environment)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return usage.ru_maxrss / 1e6


@pytest.mark.parametrize(
    ("real", "make", "heldout", "read", "files"),
    [
        (
            "ml-20m",
            ml_20m,
            10_000,
            'member = "ratings.csv", header = true, columns = ["user", "item", "rating", "time"]',
            ["ratings.csv"],
        ),
        (
            "netflix",
            netflix,
            40_000,
            'any_of = [["combined_data_1.txt", "combined_data_2.txt", "combined_data_3.txt", '
            '"combined_data_4.txt"]], format = "netflix", columns = ["user", "rating", "-"]',
            [f"combined_data_{part}.txt" for part in (1, 2, 3, 4)],
        ),
    ],
    ids=["ml-20m", "netflix"],
)
def test_raw_file_to_split(
    benchmark: Any,
    folder: Path,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    real: str,
    make: Any,
    heldout: int,
    read: str,
    files: list[str],
) -> None:
    raw = make(folder)
    manifest_of(real, read, files, tmp_path)
    benchmark.extra_info["peak_gb"] = benchmark.pedantic(
        measured, (PREPARE, str(raw), str(heldout)), {"at": tmp_path}, rounds=1
    )
    measured(LOAD, at=tmp_path)
    said = capfd.readouterr().out
    with capfd.disabled():
        print(f"\n{real}: {said}peak {benchmark.extra_info['peak_gb']:.1f} GB")  # noqa: T201
