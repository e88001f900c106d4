"""Every shipped manifest: terms, hashes, places, views."""

from __future__ import annotations

import re

import pytest

from repro.data import manifest
from repro.data.schema import Archive, Member
from repro.papers import library
from repro.report import descriptions

NAMES = manifest.names()

VIEWS = [(name, view) for name in NAMES for view in manifest.load(name).views]

DIGITS = {"sha256": 64, "md5": 32, "git_blob": 40}


def hashes(name: str) -> dict[str, Archive | Member]:
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
def test_the_bytes_of_every_member_can_be_vouched_for_or_it_is_said_that_they_cannot(
    name: str,
) -> None:
    found = manifest.load(name)
    doubts = descriptions.unconfirmed(found)
    for member in found.all_members():
        own = found.members.get(member)
        if found.generate or (own and own.stated()):
            continue
        if own and not own.url and not own.container and found.archive.stated():
            continue
        assert "--unverified" in found.archive.note, member
        assert f"{member}: no hash is known" in doubts


@pytest.mark.parametrize("name", NAMES)
def test_what_is_confirmed_has_a_hash_and_a_length(name: str) -> None:
    for where, stated in hashes(name).items():
        assert not stated.confirmed or (stated.stated() and stated.bytes), where


@pytest.mark.parametrize("name", NAMES)
def test_every_address_is_fixed(name: str) -> None:
    for about in hashes(name).values():
        for url in [about.url, *about.mirrors]:
            assert url is None or url.startswith("https://"), url
            if url and re.search(r"//([^/]+\.)?github(usercontent)?\.com/", url):
                assert re.search(r"/[0-9a-f]{40}/", url), f"{url} names no commit"


@pytest.mark.parametrize("name", NAMES)
def test_what_has_mirrors_has_an_address_and_no_address_twice(name: str) -> None:
    for where, about in hashes(name).items():
        urls = [url for url in [about.url, *about.mirrors] if url]
        assert about.url or not about.mirrors, where
        assert len(set(urls)) == len(urls), where


@pytest.mark.parametrize("name", NAMES)
def test_every_member_can_be_had(name: str) -> None:
    found = manifest.load(name)
    about = found.archive
    for member, stated in found.members.items():
        assert stated.url or about.url or about.manual or found.generate, member
        assert not stated.container or about.manual, f"{member}: who brings {stated.container}?"


@pytest.mark.parametrize(("name", "view"), VIEWS)
def test_every_view_has_a_source_and_readable_steps(name: str, view: str) -> None:
    found = manifest.load(name).view(view)
    assert found.source
    for variant, recipe in found.recipes().items():
        assert len(recipe) == len(found.steps) + len(found.variants.get(variant, []))


@pytest.mark.parametrize(("name", "view"), VIEWS)
def test_every_view_of_a_papers_data_knows_its_counts(name: str, view: str) -> None:
    found = manifest.load(name)
    expected, doubt = found.view(view).expect, found.view(view).unconfirmed
    known = expected.users and expected.items and expected.interactions
    assert found.generate or known or doubt, "no counts, and not a word on why"


@pytest.mark.parametrize("paper", library.papers())
def test_every_view_that_a_paper_names_exists(paper: str) -> None:
    for view in library.load(paper).views.values():
        archive, name = manifest.split_id(view.dataset)
        assert archive in NAMES, view.dataset
        assert name in manifest.load(archive).views, view.dataset
