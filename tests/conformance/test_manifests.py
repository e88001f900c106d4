"""Every shipped manifest: terms, hashes, places, views."""

from __future__ import annotations

import re

import pytest

from repro import tables
from repro.data import manifest
from repro.data.manifest import Hashes

NAMES = manifest.names()

VIEWS = [(name, view) for name in NAMES for view in manifest.load(name).views]

DIGITS = {"sha256": 64, "md5": 32, "git_blob": 40}


def hashes(name: str) -> dict[str, Hashes]:
    found = manifest.load(name)
    return {"archive": found.archive, **found.members}


@pytest.mark.parametrize("name", NAMES)
def test_an_archive_says_what_it_is_whose_it_is_and_under_which_terms(name: str) -> None:
    about = manifest.load(name).archive
    assert about.title
    assert about.license
    assert about.source
    assert about.citation or manifest.load(name).generate


@pytest.mark.parametrize("name", NAMES)
def test_every_hash_has_the_form_of_its_kind(name: str) -> None:
    for where, stated in hashes(name).items():
        for kind, value in stated.stated().items():
            assert re.fullmatch(rf"[0-9a-f]{{{DIGITS[kind]}}}", value), (where, kind)
        assert stated.bytes is None or stated.bytes > 0


@pytest.mark.parametrize("name", NAMES)
def test_the_bytes_of_every_member_can_be_vouched_for(name: str) -> None:
    found = manifest.load(name)
    for member in found.needed():
        own = found.members.get(member)
        assert found.generate or (own and own.stated()) or found.archive.stated(), member


@pytest.mark.parametrize("name", NAMES)
def test_what_is_confirmed_has_a_hash_and_a_length(name: str) -> None:
    for where, stated in hashes(name).items():
        assert not stated.confirmed or (stated.stated() and stated.bytes), where


@pytest.mark.parametrize("name", NAMES)
def test_every_address_is_fixed(name: str) -> None:
    found = manifest.load(name)
    for url in [found.archive.url, *(member.url for member in found.members.values())]:
        assert url is None or url.startswith("https://"), url
        if url and "githubusercontent" in url:
            assert re.search(r"/[0-9a-f]{40}/", url), f"{url} names no commit"


@pytest.mark.parametrize(("name", "view"), VIEWS)
def test_every_view_has_a_source_and_readable_steps(name: str, view: str) -> None:
    found = manifest.load(name).view(view)
    assert found.source
    assert len(found.parsed_steps()) == len(found.steps)


@pytest.mark.parametrize(("name", "view"), VIEWS)
def test_every_view_of_a_papers_data_knows_its_counts(name: str, view: str) -> None:
    found = manifest.load(name)
    expected = found.view(view).expect
    assert found.generate or (expected.users and expected.items and expected.interactions)


@pytest.mark.parametrize("paper", tables.papers())
def test_every_view_that_a_paper_names_exists_where_its_archive_does(paper: str) -> None:
    for view in tables.load(paper).views.values():
        archive, name = manifest.split_id(view.dataset)
        if archive in NAMES:
            assert name in manifest.load(archive).views, view.dataset
