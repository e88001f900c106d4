"""Every view of every shipped manifest, built from small files in the form that it says."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from builders import archives
from repro.data import archive, cache, manifest, views
from repro.data.manifest import Manifest
from repro.data.schema import Counts, Expect, Read, View
from repro.errors import ReproError
from repro.interactions import Dataset, Interactions

N_USERS, N_ITEMS, N_EACH, N_NEGATIVES = 40, 40, 30, 5
FIRST_DAY = int(datetime(2018, 1, 1, tzinfo=UTC).timestamp())
DAY = 86_400

FETCHED = [name for name in manifest.names() if not manifest.load(name).generate]
VIEWS = [(name, view) for name in manifest.names() for view in manifest.load(name).views]
CHOICES = [
    (name, len(read.any_of))
    for name in FETCHED
    for read in manifest.load(name).read.values()
    if len(read.any_of) > 1
]


def packed_in(found: Manifest, member: str) -> str:
    """Return the file name of the zip or tar that holds a member, "" if none does."""
    entry = found.members[member]
    return entry.container or ("" if entry.url else found.archive.file_name)


PACKED = [
    name
    for name in FETCHED
    if any(packed_in(manifest.load(name), member) for member in manifest.load(name).members)
]


@dataclass(frozen=True)
class Row:
    """One line of a file; identifiers are numbers from 1."""

    user: int
    item: int
    rating: float
    time: int


def generated() -> list[Row]:
    """Return rows by user, then by time, days apart; some users repeat their last pair.

    Every user has `N_EACH` items, two of them disliked, and the first two touched before 2018; what
    is left of users and items is enough for every filter that counts.
    """
    chance = np.random.default_rng(11)
    rows = []
    for user in range(1, N_USERS + 1):
        items = 1 + (user + chance.permutation(N_ITEMS)[:N_EACH]) % N_ITEMS
        for place, item in enumerate(items.tolist()):
            rating = 4.0 + place % 2 if place not in (4, 7) else 2.0
            rows.append(Row(user, item, rating, FIRST_DAY + (place - 2) * DAY + user * 60))
        if user % 6 == 0:
            rows.append(replace(rows[-1], time=rows[-1].time + DAY))
    return rows


class Files:
    """The files of an archive's manifest, and the rows that each part is written from."""

    def __init__(self, found: Manifest) -> None:
        self._found = found
        self.rows: dict[str, list[Row]] = {}
        self.contents: dict[str, bytes] = {}
        for view in found.views.values():
            for entry, rows in self._parts(view).items():
                if entry in self.rows:
                    assert self.rows[entry] == rows, f"{entry} would be two files"
                self.rows[entry] = rows
        for entry, rows in self.rows.items():
            read = found.read[entry]
            for choice in read.choices():
                self.contents |= dict(zip(choice, written(read, choice, rows), strict=True))

    def _parts(self, view: View) -> dict[str, list[Row]]:
        """Return the rows of each `read` entry of a view: shared out among the parts of the whole.

        A user's last row goes to the last part, the others to the first; with more parts than two
        those between get one each. A part beside the whole repeats rows of the first part.
        """
        rows = generated()
        names = view.whole or [part for part in view.read if part != "negatives"]
        counts = Counter(row.user for row in rows)
        seen: Counter[int] = Counter()
        parts: dict[str, list[Row]] = {part: [] for part in view.read}
        for row in rows:
            seen[row.user] += 1
            behind = counts[row.user] - seen[row.user]
            parts[names[max(0, len(names) - 1 - behind)]].append(row)
        for part in parts:
            if part == "negatives":
                parts[part] = negatives(rows)
            elif part not in names:
                parts[part] = parts[names[0]][::7]
        return {view.read[part]: some for part, some in parts.items()}

    def written_to(self, folder: Path, members: list[str] | None = None) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        for name in members or self.contents:
            (folder / name).write_bytes(self.contents[name])
        return folder


def negatives(rows: list[Row]) -> list[Row]:
    """Return a row for each item that a user is asked about and has not touched."""
    touched: dict[int, set[int]] = {}
    for row in rows:
        touched.setdefault(row.user, set()).add(row.item)
    return [
        Row(user, item, 0, 0)
        for user, items in touched.items()
        for item in sorted(set(range(1, N_ITEMS + 1)) - items)[:N_NEGATIVES]
    ]


def identifier(number: int, text: bool, kind: str) -> str:
    """Return a number as a file has it; as text, the order of numbers is not that of texts."""
    return f"{kind}-{number}é" if text else str(number)


def values(read: Read, row: Row) -> dict[str, str]:
    text = read.identifiers == "text"
    day = datetime.fromtimestamp(row.time, UTC)
    return {
        "user": identifier(row.user, text, "u"),
        "item": identifier(row.item, text, "i"),
        "rating": f"{row.rating:g}",
        "time": str(row.time),
        "date": day.strftime("%Y-%m-%d" if read.format == "netflix" else "%Y-%m-%d %H:%M:%S"),
        "-": "2005-09-06",
    }


def written(read: Read, choice: list[str], rows: list[Row]) -> Iterator[bytes]:
    """Yield the bytes of each file of one choice."""
    if read.format == "netflix":
        yield from netflix(read, choice, rows)
        return
    (name,) = choice
    if read.format == "negatives":
        lists: dict[int, list[str]] = {}
        for row in rows:
            lists.setdefault(row.user, []).append(str(row.item))
        held_out = {row.user: row.item for row in generated()}
        lines = ["\t".join([f"({user},{held_out[user]})", *some]) for user, some in lists.items()]
    elif read.format == "json":
        lines = [json.dumps(review(read, row), ensure_ascii=row.user % 2 == 0) for row in rows]
    else:
        head = [read.separator.join(f"the {column}" for column in read.columns)]
        lines = head if read.header else []
        for row in rows:
            of = values(read, row)
            lines.append(read.separator.join(of[column] for column in read.columns))
    content = ("\n".join(lines) + "\n").encode()
    yield gzip.compress(content) if name.endswith(".gz") else content


def review(read: Read, row: Row) -> dict[str, object]:
    """Return the object of a line of JSON, with other keys beside those that are read."""
    of = values(read, row)
    entry: dict[str, object] = {"text": 'It is, "well",\n good. é' * 9, "votes": {"up": [1]}}
    for name, key in read.fields.items():
        number = name in ("rating", "time") or (
            name in ("user", "item") and read.identifiers == "number"
        )
        entry[key] = json.loads(of[name]) if number else of[name]
    return entry | {"image": None}


def netflix(read: Read, choice: list[str], rows: list[Row]) -> Iterator[bytes]:
    """Yield a tar of a file per movie, or the blocks of all movies in several files."""
    blocks = []
    for movie in range(1, N_ITEMS + 1):
        of = [values(read, row) for row in rows if row.item == movie]
        lines = [",".join(some[column] for column in read.columns) for some in of]
        blocks.append("".join(f"{line}\n" for line in [f"{movie}:", *lines]).encode())
    if choice[0].endswith(".tar"):
        files = {f"set/mv_{n + 1:07}.txt": block for n, block in enumerate(blocks)}
        yield archived("all.tar", dict(reversed(files.items())))
        return
    bounds = [len(blocks) * n // len(choice) for n in range(len(choice) + 1)]
    for begin, end in pairwise(bounds):
        yield b"".join(blocks[begin:end])


def archived(name: str, files: dict[str, bytes]) -> bytes:
    """Return a zip or tar with the files at their paths; "outer//inner" packs an archive in it."""
    inner: dict[str, dict[str, bytes]] = {}
    flat = {"README": b"not read"}
    for path, content in files.items():
        outer, nested, rest = path.partition("//")
        if nested:
            inner.setdefault(outer, {})[rest] = content
        else:
            flat[path] = content
    flat |= {outer: archived(outer, some) for outer, some in inner.items()}
    compressed = "tar.gz" if name.endswith("gz") else "tar"
    return archives.packed(compressed if ".tar" in name or name.endswith(".tgz") else "zip", flat)


def neutral(found: Manifest) -> Manifest:
    """Return a manifest whose views are as they are, but expect no counts."""

    def bare(steps: list[dict[str, object]]) -> list[dict[str, object]]:
        return [{key: value for key, value in step.items() if key != "expect"} for step in steps]

    changed = {
        name: view.model_copy(
            update={
                "steps": bare(view.steps),
                "variants": {key: bare(steps) for key, steps in view.variants.items()},
                "expect": Expect(),
            }
        )
        for name, view in found.views.items()
    }
    return found.model_copy(update={"views": changed})


class Shelf:
    """Fetches and builds what the test's own files give; each call into a cache of its own."""

    def __init__(self, tmp_path: Path, patch: pytest.MonkeyPatch) -> None:
        self._folder = tmp_path
        self._patch = patch
        self._n = 0

    def fetched(self, found: Manifest, source: Path | None = None) -> Manifest:
        self._n += 1
        self._patch.setenv("REPRO_HOME", str(self._folder / f"home-{self._n}"))
        self.shown(found)
        archive.fetch(found, source, unverified=True)
        return found

    def shown(self, found: Manifest) -> None:
        """Make a manifest the one that views are built by."""
        self._patch.setattr(manifest, "load", lambda _: found)

    def files(self, found: Manifest) -> Path:
        return Files(found).written_to(self._folder / "files" / found.id)


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shelf:
    return Shelf(tmp_path, monkeypatch)


def source_of(shelf: Shelf, found: Manifest) -> Path | None:
    return None if found.generate else shelf.files(found).parent


def all_steps(view: View, variant: str = "") -> dict[str, object]:
    """Return the arguments of a view's steps by name."""
    steps = [*view.steps, *view.variants.get(variant, [])]
    return {key: value for step in steps for key, value in step.items() if key != "expect"}


def fewest(rows: Interactions) -> tuple[int, int]:
    """Return how many rows the user, and the item, with the fewest have."""
    items = np.bincount(rows.item)
    return int(rows.counts.min()), int(items[items > 0].min())


def judge(found: Manifest, name: str, built: Dataset) -> None:
    """Assert what must hold of any view, and what its steps promise."""
    view, whole = found.view(name), built.interactions
    known = views.prepared(built.id)
    assert known is not None
    steps = all_steps(view, known.variant)

    assert len(whole) > 0
    assert set(whole.user.tolist()) == set(range(whole.n_users)), "a user without rows has a number"
    assert len(built.user_ids) == len(set(built.user_ids.tolist())) == whole.n_users
    assert len(built.item_ids) == len(set(built.item_ids.tolist())) == whole.n_items
    assert whole.item.min() >= 0
    if "last_items_per_user" not in steps and steps.get("number_items") != "from one":
        assert set(whole.item.tolist()) == set(range(whole.n_items))
    assert set(whole.item.tolist()) <= set(range(whole.n_items))

    assert whole.ordered == (steps.get("order") not in (None, "file"))
    assert (whole.row is not None) == (steps.get("order") == "file")
    if whole.row is not None:
        assert sorted(whole.row.tolist()) == list(range(len(whole)))

    users, items = fewest(whole)
    core = steps.get("core")
    if isinstance(core, int):
        assert users >= core
        assert items >= core
    least = steps.get("min_items_per_user")
    if isinstance(least, int) and not set(steps) & {"min_users_per_item", "distinct"}:
        assert users >= min(least, int(str(steps.get("last_items_per_user", least))))
    if steps.get("number_items") == "from one":
        assert built.item_ids.tolist() == [str(n + 1) for n in range(whole.n_items)]
    if "distinct" in steps:
        assert len(whole.pairs()) == len(whole)
    most = steps.get("last_items_per_user")
    if isinstance(most, int):
        assert int(whole.counts.max()) <= most

    assert known.funnel[-1].interactions == len(whole)
    recipe = view.recipes()[known.variant]
    assert [stage.step.partition(" ")[0] for stage in known.funnel[1:-1]] == [
        s.name for s in recipe
    ]


def named_pairs(rows: Interactions, built: Dataset) -> list[tuple[str, str]]:
    users, items = built.user_ids[rows.user].tolist(), built.item_ids[rows.item].tolist()
    return list(zip(users, items, strict=True))


def expected_pairs(read: Read, rows: list[Row]) -> list[tuple[str, str]]:
    text = read.identifiers == "text"
    return [(identifier(r.user, text, "u"), identifier(r.item, text, "i")) for r in rows]


def loaded(shelf: Shelf, found: Manifest, view: str) -> Dataset:
    """Build a view; of one with variants, the first, by the counts that it gives."""
    dataset = f"{found.id}/{view}"
    recipes = found.view(view).variants
    if not recipes:
        return views.load(dataset)
    alone = found.view(view).model_copy(
        update={"steps": [*found.view(view).steps, *next(iter(recipes.values()))], "variants": {}}
    )
    shelf.shown(found.model_copy(update={"views": {view: alone}}))
    whole = views.load(dataset).interactions
    counts = Counts(users=whole.n_users, items=whole.n_items, interactions=len(whole))
    expecting = found.view(view).model_copy(update={"expect": Expect(**counts.model_dump())})
    shelf.shown(found.model_copy(update={"views": {view: expecting}}))
    built = views.load(dataset)
    known = views.prepared(dataset)
    assert known is not None
    assert known.variant == next(iter(recipes))
    assert len(built.interactions) == len(whole)
    return built


@pytest.mark.parametrize(("name", "view"), VIEWS)
def test_a_view_is_built_from_files_in_the_form_that_it_says(
    shelf: Shelf, name: str, view: str
) -> None:
    found = neutral(manifest.load(name))
    source = source_of(shelf, found)
    shelf.fetched(found, source)
    built = loaded(shelf, found, view)
    judge(found, view, built)

    shelf.fetched(found, source)
    again = loaded(shelf, found, view)
    assert again.digest == built.digest
    assert views.damage(f"{name}/{view}") == ""


def survivors(read: Read, rows: list[Row], steps: dict[str, object]) -> list[Row]:
    """Return the rows that steps keep, which filters that count do not touch."""
    columns = {*read.columns, *read.fields}
    if "rating" in columns:
        rows = [row for row in rows if row.rating >= float(str(steps.get("min_rating", 0)))]
        rows = [row for row in rows if row.rating > float(str(steps.get("rating_above", 0)))]
    if "since" in steps:
        day = datetime.fromisoformat(f"{steps['since']} 00:00:00+00:00").timestamp()
        rows = [row for row in rows if row.time >= day]
    if "distinct" in steps:
        rows = list({(row.user, row.item): row for row in rows}.values())
    return rows


@pytest.mark.parametrize(("name", "view"), [pair for pair in VIEWS if pair[0] in FETCHED])
def test_parts_hold_the_rows_of_their_files_that_the_steps_keep(
    shelf: Shelf, name: str, view: str
) -> None:
    found = neutral(manifest.load(name))
    files = Files(found)
    shelf.fetched(found, shelf.files(found))
    built, made = loaded(shelf, found, view), found.view(view)
    parts = dict(built.parts) or {next(iter(made.read)): built.interactions}
    assert parts.keys() == made.read.keys()
    known = views.prepared(f"{name}/{view}")
    assert known is not None
    whole = made.whole or [part for part in made.read if part != "negatives"]
    for part, rows in parts.items():
        read, of_file = found.read[made.read[part]], files.rows[made.read[part]]
        if part in whole:
            of_file = survivors(read, of_file, all_steps(made, known.variant))
        assert of_file
        assert Counter(named_pairs(rows, built)) == Counter(expected_pairs(read, of_file)), part
    assert sum(len(parts[part]) for part in whole) == len(built.interactions)
    if built.interactions.row is not None:  # the order of the file is kept, between users too
        pairs = named_pairs(built.interactions, built)
        if read.format == "netflix":
            of_file.sort(key=lambda row: row.item)
        in_file = [pairs[place] for place in np.argsort(built.interactions.row)]
        assert in_file == expected_pairs(read, of_file)
        if all_steps(made, known.variant).get("number_items") == "first appearance":
            appeared = dict.fromkeys(item for _, item in in_file)
            assert built.item_ids.tolist() == list(appeared)


def tells_time(name: str, view: str) -> bool:
    """Return whether a view sorts by a time that its file has."""
    found = manifest.load(name)
    read = found.read[next(iter(found.view(view).read.values()))]
    by = all_steps(found.view(view), next(iter(found.view(view).variants), "")).get("order")
    return str(by).startswith("time") and bool({"time", "date"} & {*read.columns, *read.fields})


@pytest.mark.parametrize(
    ("name", "view"), [pair for pair in VIEWS if pair[0] in FETCHED and tells_time(*pair)]
)
def test_the_items_of_a_user_stand_oldest_first_where_the_view_says_so(
    shelf: Shelf, name: str, view: str
) -> None:
    found = neutral(manifest.load(name))
    read = found.read[next(iter(found.view(view).read.values()))]
    shelf.fetched(found, shelf.files(found))
    built = loaded(shelf, found, view)
    assert built.interactions.ordered
    text = read.identifiers == "text"
    time = {
        (identifier(row.user, text, "u"), identifier(row.item, text, "i")): row.time
        for row in generated()
    }
    repeats = {identifier(user, text, "u") for user in range(6, N_USERS + 1, 6)}
    assert len(built.user_ids) == N_USERS
    for user, name_of_user in enumerate(built.user_ids.tolist()):
        names = [(name_of_user, str(built.item_ids[item])) for item in built.interactions[user]]
        times = [time[pair] for pair in names]
        assert times == sorted(times)
        assert len(times) >= N_EACH - 4
        assert len(set(times)) == len(times) or name_of_user in repeats


@pytest.mark.parametrize("name", PACKED)
def test_members_in_their_archive_give_what_members_by_themselves_give(
    shelf: Shelf, tmp_path: Path, name: str
) -> None:
    found = neutral(manifest.load(name))
    contents = Files(found).contents
    packed: dict[str, dict[str, bytes]] = {}
    for member, content in contents.items():
        entry = found.members[member]
        packed.setdefault(packed_in(found, member), {})[entry.path or member] = content
    folder = tmp_path / "packed"
    folder.mkdir()
    for title, files in packed.items():
        if title:
            (folder / title).write_bytes(archived(title, files))
        else:
            for member, content in files.items():
                (folder / member).write_bytes(content)
    digests = []
    for source in (folder, shelf.files(found)):
        shelf.fetched(found, source)
        assert cache.missing(found) == []
        digests.append({view: loaded(shelf, found, view).digest for view in found.views})
        shelf.shown(found)
    assert digests[0] == digests[1]


@pytest.mark.parametrize(("name", "n_choices"), CHOICES)
def test_either_layout_of_the_files_gives_the_same_views(
    shelf: Shelf, tmp_path: Path, name: str, n_choices: int
) -> None:
    found = neutral(manifest.load(name))
    files = Files(found)
    digests = []
    for choice in range(n_choices):
        some = [
            member
            for read in found.read.values()
            for member in read.choices()[min(choice, len(read.choices()) - 1)]
        ]
        source = files.written_to(tmp_path / f"choice-{choice}", some)
        shelf.fetched(found, source)
        digests.append({view: loaded(shelf, found, view).digest for view in found.views})
        shelf.shown(found)
        assert set(cache.members(found)) == set(some)
    assert all(one == digests[0] for one in digests)


@pytest.mark.parametrize("name", FETCHED)
def test_a_view_of_other_data_than_the_papers_is_refused(shelf: Shelf, name: str) -> None:
    found = manifest.load(name)
    shelf.fetched(found, shelf.files(found))
    for view, content in found.views.items():
        if content.expect.model_dump(exclude_none=True, exclude_defaults=True):
            with pytest.raises(ReproError, match=f"{name}/{view}"):
                views.load(f"{name}/{view}")
