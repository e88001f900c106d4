"""Liang et al.'s split, against the recipe written out in plain Python, and against EVCF's files.

EVCF (psywaves/EVCF, commit 4a7b66a) publishes what the recipe makes of ML-20M; the hashes below are
those of its files.
"""

from __future__ import annotations

import hashlib
import tarfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from repro.data import archive, manifest, views
from repro.interactions import Dataset, Interactions
from repro.protocols.strong_generalization import StrongGeneralization
from repro.split import Cases, Split

Row = tuple[int, int, float]
HELD_OUT = 12
SEED = 98765

MANIFEST = """
[archive]
title   = "Generated"
license = "none"
source  = "a test"
manual  = "generate it"
{members}
[read]
rows = {{ {read} }}
[views.liang2018]
source = "as ml-20m and netflix"
steps  = [
    {{ min_rating = 4.0 }},
    {{ min_items_per_user = 5 }},
    {{ number_items = "first appearance" }},
    {{ order = "file" }},
]
"""


def written_out(rows: list[Row]) -> dict[str, str]:
    """Do what the notebook's text says, row by row, and return the files that it writes."""
    rows = [row for row in rows if row[2] > 3.5]
    counts = Counter(user for user, _, _ in rows)
    rows = [row for row in rows if counts[row[0]] >= 5]
    users = sorted({user for user, _, _ in rows})
    order = [users[i] for i in np.random.RandomState(SEED).permutation(len(users))]
    uid = {user: number for number, user in enumerate(order)}
    training = set(order[: -2 * HELD_OUT])
    sid: dict[int, int] = {}
    for user, item, _ in rows:
        if user in training:
            sid.setdefault(item, len(sid))
    files = {"train": [(uid[u], sid[i]) for u, i, _ in rows if u in training]}
    held_out = {"validation": order[-2 * HELD_OUT : -HELD_OUT], "test": order[-HELD_OUT:]}
    for name, group in held_out.items():
        generator = np.random.RandomState(SEED)
        files[f"{name}_tr"], files[f"{name}_te"] = [], []
        for user in sorted(group):
            own = [(uid[u], sid[i]) for u, i, _ in rows if u == user and i in sid]
            drawn = set()
            if len(own) >= 5:
                drawn = set(generator.choice(len(own), size=int(0.2 * len(own)), replace=False))
            for place, pair in enumerate(own):
                files[f"{name}_te" if place in drawn else f"{name}_tr"].append(pair)
    return {name: text(pairs) for name, pairs in files.items()}


def text(pairs: list[tuple[int, int]]) -> str:
    return "uid,sid\n" + "".join(f"{user},{item}\n" for user, item in pairs)


def ours(split: Split, dataset: Dataset, held_out: int) -> dict[str, str]:
    """Return our split as the same files; training rows are grouped by user, not as in the file."""
    order = np.random.RandomState(SEED).permutation(dataset.interactions.n_users)
    uid = np.empty(len(order), dtype=int)
    uid[order] = np.arange(len(order))

    def of(rows: Interactions, users: np.ndarray) -> str:
        return text(list(zip(uid[users][rows.user].tolist(), rows.item.tolist(), strict=True)))

    def both(cases: Cases | None, users: np.ndarray) -> tuple[str, str]:
        assert cases is not None
        assert len(cases) == len(users)  # every user has something that must be found
        return of(cases.queries.history, users), of(cases.targets, users)

    end = len(order) - held_out
    valid, test = np.sort(order[end - held_out : end]), np.sort(order[end:])
    made = {"train": of(split.train, np.sort(order[: end - held_out]))}
    made["validation_tr"], made["validation_te"] = both(split.valid, valid)
    made["test_tr"], made["test_te"] = both(split.test, test)
    return made


def generated(seed: int) -> list[Row]:
    """Return ratings sorted by user and item; as text, the identifiers would sort otherwise."""
    rng = np.random.default_rng(seed)
    users = np.sort(rng.choice(3_000, 90, replace=False)) + 1
    items = np.sort(rng.choice(900, 60, replace=False)) + 1
    rows = []
    for user in users.tolist():
        n = int(rng.integers(7, 40))
        for item in np.sort(rng.choice(items, n, replace=False)).tolist():
            rows.append((user, item, float(rng.integers(2, 11)) / 2))
    return rows


def prepared(tmp_path: Path, files: dict[str, bytes], read: str) -> Dataset:
    raw = tmp_path / "raw"
    raw.mkdir()
    for name, content in files.items():
        (raw / name).write_bytes(content)
    own = tmp_path / "user" / "data_manifests"
    own.mkdir(parents=True)
    members = "".join(f'[members."{name}"]\n' for name in files)
    (own / "generated.toml").write_text(MANIFEST.format(members=members, read=read))
    archive.fetch(manifest.load("generated"), raw, unverified=True)
    return views.load("generated/liang2018")


def movie_files(rows: list[Row]) -> dict[int, bytes]:
    """Return a file per movie, as the Netflix Prize has them; users in no order."""
    blocks: dict[int, list[Row]] = {}
    for row in rows:
        blocks.setdefault(row[1], []).append(row)
    shuffled = np.random.default_rng(3)
    files = {}
    for movie in sorted(blocks):
        block = blocks[movie]
        lines = [
            f"{u},{int(r)},2005-09-0{1 + u % 9}"
            for u, _, r in [block[k] for k in shuffled.permutation(len(block))]
        ]
        files[movie] = (f"{movie}:\n" + "\n".join(lines) + "\n").encode()
    return files


def read_back(files: dict[int, bytes]) -> list[Row]:
    return [
        (int(user), movie, float(rating))
        for movie in sorted(files)
        for user, rating, _ in (line.split(",") for line in files[movie].decode().splitlines()[1:])
    ]


@pytest.fixture(autouse=True)
def own_manifests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REPRO_PATH", str(tmp_path / "user"))


def assert_same(dataset: Dataset, rows: list[Row]) -> None:
    expected = written_out(rows)
    split = StrongGeneralization(heldout_users=HELD_OUT, seed=SEED).split(dataset)
    made = ours(split, dataset, HELD_OUT)
    assert sorted(made.pop("train").splitlines()) == sorted(expected.pop("train").splitlines())
    assert made == expected


@pytest.mark.parametrize("seed", range(5))
def test_a_file_sorted_by_user_gives_the_recipes_files_to_the_byte(
    tmp_path: Path, seed: int
) -> None:
    rows = generated(seed)
    lines = "".join(f"{u},{i},{r},{1_000_000 + u * i}\n" for u, i, r in rows)
    dataset = prepared(
        tmp_path,
        {"ratings.csv": b"userId,movieId,rating,timestamp\n" + lines.encode()},
        'member = "ratings.csv", header = true, columns = ["user", "item", "rating", "time"]',
    )
    assert_same(dataset, rows)


def test_netflixs_combined_files_give_the_recipes_files_to_the_byte(tmp_path: Path) -> None:
    files = movie_files(generated(1))
    movies = sorted(files)
    combined = {
        f"combined_data_{k + 1}.txt": b"".join(files[m] for m in movies[k * 20 : k * 20 + 20])
        for k in range(3)
    }
    names = ", ".join(f'"{name}"' for name in combined)
    dataset = prepared(
        tmp_path,
        combined,
        f'any_of = [[{names}]], format = "netflix", columns = ["user", "rating", "-"]',
    )
    assert_same(dataset, read_back(files))


def test_netflixs_files_in_a_tar_give_the_recipes_files_to_the_byte(tmp_path: Path) -> None:
    files = movie_files(generated(1))
    folder = tmp_path / "training_set"
    folder.mkdir()
    with tarfile.open(tmp_path / "made.tar", "w") as made:
        for movie in sorted(files, reverse=True):  # a tar may hold them in any order
            one = folder / f"mv_{movie:07}.txt"
            one.write_bytes(files[movie])
            made.add(one, f"training_set/{one.name}")
    dataset = prepared(
        tmp_path,
        {"training_set.tar": (tmp_path / "made.tar").read_bytes()},
        'member = "training_set.tar", format = "netflix", columns = ["user", "rating", "-"]',
    )
    assert_same(dataset, read_back(files))


@pytest.mark.parametrize(
    ("n_users", "first", "last"),
    [
        (136_677, [104323, 11053, 111295, 50587, 126873], [2057, 37808, 126893, 69107, 134933]),
        (463_435, [73549, 4588, 373646, 74537, 3872], [423901, 389037, 238956, 331251, 134933]),
    ],
    ids=["ML-20M", "Netflix"],
)
def test_the_permutation_is_the_one_that_the_published_split_was_drawn_with(
    n_users: int, first: list[int], last: list[int]
) -> None:
    order = np.random.RandomState(SEED).permutation(n_users)
    assert order[:5].tolist() == first
    assert order[-5:].tolist() == last


def test_a_given_split_is_taken_as_its_files_have_it(tmp_path: Path) -> None:
    files = {f"{name}.csv": content.encode() for name, content in written_out(generated(2)).items()}
    members = "".join(f'[members."{name}"]\n' for name in files)
    read = {
        "train": "train",
        "valid_history": "validation_tr",
        "valid": "validation_te",
        "test_history": "test_tr",
        "test": "test_te",
    }
    entries = "\n".join(f'{n} = {{ member = "{n}.csv", header = true }}' for n in read.values())
    parts = ", ".join(f'{part} = "{name}"' for part, name in read.items())
    own = tmp_path / "user" / "data_manifests"
    own.mkdir(parents=True)
    (own / "twin.toml").write_text(
        '[archive]\ntitle = "Twin"\nlicense = "none"\nsource = "a test"\nmanual = "generate it"\n'
        f"{members}[read]\n{entries}\n"
        f'[views.given]\nsource = "as evcf-ml-20m"\nread = {{ {parts} }}\n'
        'steps = [{ number_items = "ascending" }]\n'
    )
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    archive.fetch(manifest.load("twin"), tmp_path, unverified=True)
    dataset = views.load("twin/given")
    split = StrongGeneralization(users="given").split(dataset)
    n = dataset.interactions.n_users

    def as_file(rows: Interactions, first: int) -> list[str]:
        pairs = zip((rows.user + first).tolist(), rows.item.tolist(), strict=True)
        return sorted(text(list(pairs)).splitlines())

    def lines(name: str) -> list[str]:
        return sorted(files[f"{name}.csv"].decode().splitlines())

    assert split.valid is not None
    assert as_file(split.train, 0) == lines("train")
    assert as_file(split.valid.queries.history, n - 2 * HELD_OUT) == lines("validation_tr")
    assert as_file(split.valid.targets, n - 2 * HELD_OUT) == lines("validation_te")
    assert as_file(split.test.queries.history, n - HELD_OUT) == lines("test_tr")
    assert as_file(split.test.targets, n - HELD_OUT) == lines("test_te")


PUBLISHED = {
    "validation_te": "bec3f6dfbe876ec2224e98458ffe2ff74c453ef1894644757c1e3ca747a26adf",
    "test_te": "df4a9ddc77c79bab4a581adec7ff1487de146d47b42c35c393696842252435c2",
}


@pytest.mark.data
@pytest.mark.slow
def test_ml_20m_gives_evcfs_files_to_the_byte(mirror: Path) -> None:
    if not (mirror / "ml-20m").is_dir():
        pytest.skip("the folder of real data does not hold ml-20m")
    archive.fetch(manifest.load("ml-20m"), mirror)
    dataset = views.load("ml-20m/liang2018")
    made = ours(StrongGeneralization().split(dataset), dataset, 10_000)
    found = {name: hashlib.sha256(made[name].encode()).hexdigest() for name in PUBLISHED}
    assert found == PUBLISHED


@pytest.mark.data
@pytest.mark.parametrize("name", PUBLISHED)
def test_evcfs_files_have_their_users_in_the_order_of_the_permutation(
    mirror: Path, name: str
) -> None:
    file = mirror.parent / "partial" / "ml-20m-evcf" / f"{name}.csv"
    if not file.exists():
        pytest.skip("the folder of real data has no part of EVCF's files beside it")
    assert hashlib.sha256(file.read_bytes()).hexdigest() == PUBLISHED[name]
    uid = np.loadtxt(file, delimiter=",", skiprows=1, usecols=0, dtype=int)
    order = np.random.RandomState(SEED).permutation(136_677)
    ids = order[uid]  # the user's place among all, by ascending identifier
    assert (np.diff(ids) >= 0).all()
    assert len(np.unique(uid)) == 10_000
    begin = 116_677 if name == "validation_te" else 126_677
    assert (uid.min(), uid.max()) == (begin, begin + 9_999)
