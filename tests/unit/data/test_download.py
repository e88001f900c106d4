"""Downloading: cut off anywhere, gone on from, refused, lied to; from a server on this machine."""

from __future__ import annotations

import contextlib
import errno
import gzip
import hashlib
import shutil
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import trustme

from builders import Write, disk
from builders.manifests import HEAD, stating
from builders.server import BODY, OTHER, Answer, Asked, Handler, Heard, Serving, give
from repro.data import answers, archive, cache, download, manifest, transfer
from repro.errors import ReproError

PAGE = b"<!DOCTYPE html>\n<html><body>Please log in</body></html>"
DATE = "Wed, 21 Oct 2015 07:28:00 GMT"

pytestmark = pytest.mark.usefixtures("hurried")


def moved(where: str) -> Answer:
    return give(b"", status=302, Location=where)


def hang(handler: Handler) -> None:
    time.sleep(0.3)


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
def part(tmp_path: Path) -> Path:
    return tmp_path / "rows.csv.part"


def bring(
    *urls: str,
    part: Path,
    body: bytes = BODY,
    pinned: bool = True,
    n_bytes: int | None = None,
    heard: Heard | None = None,
) -> str:
    """Download what should be `body`; return the address that served it."""

    def wrong(file: Path) -> str:
        right = not pinned or file.read_bytes() == body
        right = right and n_bytes in (None, file.stat().st_size)
        return "" if right else "sha256 expected that, got this"

    return download.download(list(urls), part, n_bytes, pinned, wrong, heard or Heard())


def failure(*urls: str, part: Path, **options: Any) -> str:
    with pytest.raises(ReproError) as caught:
        bring(*urls, part=part, **options)
    return str(caught.value)


def test_a_file_arrives_and_its_progress_is_told(server: Serving, part: Path, heard: Heard) -> None:
    url = server.at("/rows.csv", give())
    assert bring(url, part=part, heard=heard) == url
    assert part.read_bytes() == BODY
    assert heard.progress[-1] == ("rows.csv", len(BODY), len(BODY))
    assert heard.texts == []
    assert server.ranges() == [None]
    assert server.asked[0].headers["Accept-Encoding"] == "identity"
    assert server.asked[0].headers["User-Agent"].startswith("repro/")


@pytest.mark.parametrize("reset", [False, True], ids=["closed", "reset"])
@pytest.mark.parametrize("pinned", [True, False], ids=["hash", "no hash"])
@pytest.mark.parametrize("etag", ["", '"v1"'], ids=["no ETag", "ETag"])
@pytest.mark.parametrize("ranges", [True, False], ids=["ranges", "no ranges"])
def test_a_connection_cut_after_any_byte_ends_with_the_right_bytes(
    server: Serving, part: Path, ranges: bool, etag: str, pinned: bool, reset: bool
) -> None:
    for cut in range(len(BODY)):
        broken = give(ranges=ranges, etag=etag, cut=cut, reset=reset)
        url = server.at("/rows.csv", broken, give(ranges=ranges, etag=etag))
        bring(url, part=part, pinned=pinned)
        assert part.read_bytes() == BODY, cut
        part.unlink()


@pytest.mark.parametrize("chunked", [True, False])
def test_a_connection_cut_after_any_byte_of_a_body_of_unknown_length_ends_with_the_right_bytes(
    server: Serving, part: Path, chunked: bool
) -> None:
    for cut in range(len(BODY)):
        broken = give(chunked=chunked, length=None, cut=cut)
        url = server.at("/rows.csv", broken, give(chunked=chunked, length=None))
        bring(url, part=part, n_bytes=len(BODY))
        assert part.read_bytes() == BODY, cut
        part.unlink()


def test_a_server_that_breaks_off_after_every_byte_is_asked_until_all_is_here(
    server: Serving, part: Path
) -> None:
    url = server.at("/rows.csv", give(cut=1))
    bring(url, part=part)
    assert part.read_bytes() == BODY
    assert server.ranges() == [None, *(f"bytes={at}-" for at in range(1, len(BODY)))]


@pytest.mark.parametrize(
    ("stays", "condition"),
    [({"etag": '"v1"'}, '"v1"'), ({"modified": DATE}, DATE), ({}, None)],
)
def test_a_later_attempt_asks_for_the_rest_on_condition_that_nothing_has_changed(
    server: Serving, part: Path, stays: dict[str, Any], condition: str | None
) -> None:
    url = server.at("/rows.csv", give(cut=9, **stays), give(b"", status=404))
    assert "404" in failure(url, part=part)
    assert part.read_bytes() == BODY[:9]
    server.at("/rows.csv", give(**stays))
    bring(url, part=part)
    assert part.read_bytes() == BODY
    assert server.asked[-1].range == "bytes=9-"
    assert server.asked[-1].headers.get("If-Range") == condition


def test_a_weak_etag_is_no_condition(server: Serving, part: Path) -> None:
    answers = [give(cut=9, etag='W/"v1"', modified=DATE), give(modified=DATE)]
    bring(server.at("/rows.csv", *answers), part=part)
    assert server.asked[-1].headers["If-Range"] == DATE


def test_a_server_that_ignores_ranges_sends_all_anew(server: Serving, part: Path) -> None:
    part.write_bytes(b"x" * 9)
    bring(server.at("/rows.csv", give(ranges=False)), part=part)
    assert part.read_bytes() == BODY
    assert server.ranges() == ["bytes=9-"]


@pytest.mark.parametrize("said", ["bytes 0-14/15", "bytes 10-14/15", "lines 9-14/15", "*/15"])
def test_another_range_than_was_asked_for_is_not_joined(
    server: Serving, part: Path, said: str, heard: Heard
) -> None:
    part.write_bytes(BODY[:9])
    url = server.at("/rows.csv", give(content_range=said), give())
    bring(url, part=part, heard=heard)
    assert part.read_bytes() == BODY
    assert "another range" in heard.texts[0]


def test_a_range_that_ends_early_is_gone_on_from(server: Serving, part: Path) -> None:
    part.write_bytes(BODY[:5])
    early = give(BODY[:9], content_range="bytes 5-8/15")
    bring(server.at("/rows.csv", early, give()), part=part)
    assert part.read_bytes() == BODY
    assert server.ranges() == ["bytes=5-", "bytes=9-"]


@pytest.mark.parametrize("n_bytes", [None, len(BODY)])
def test_a_part_that_is_complete_is_taken_as_it_is(
    server: Serving, part: Path, n_bytes: int | None
) -> None:
    part.write_bytes(BODY)
    url = server.at("/rows.csv", give())
    assert bring(url, part=part, n_bytes=n_bytes) == url
    assert part.read_bytes() == BODY
    assert len(server.asked) <= 1


@pytest.mark.parametrize("left", [BODY + b"x", b"x" * 15, b"x" * 5])
def test_a_part_that_does_not_fit_is_replaced(server: Serving, part: Path, left: bytes) -> None:
    part.write_bytes(left)
    bring(server.at("/rows.csv", give()), part=part)
    assert part.read_bytes() == BODY


def test_a_note_beside_the_part_that_cannot_be_read_does_no_harm(
    server: Serving, part: Path
) -> None:
    part.write_bytes(BODY[:9])
    part.with_name(part.name + ".json").write_text('{"url": ')
    bring(server.at("/rows.csv", give()), part=part)
    assert part.read_bytes() == BODY


def test_a_server_that_has_no_range_and_says_no_more_is_asked_for_all(
    server: Serving, part: Path
) -> None:
    part.write_bytes(BODY[:9])
    bring(server.at("/rows.csv", give(b"", status=416), give()), part=part)
    assert part.read_bytes() == BODY


def test_a_body_shorter_than_announced_counts_if_its_hash_fits(server: Serving, part: Path) -> None:
    url = server.at("/rows.csv", give(length=99, ranges=False))
    assert bring(url, part=part) == url
    assert part.read_bytes() == BODY


def test_a_body_shorter_than_announced_is_no_file_without_a_hash(
    server: Serving, part: Path
) -> None:
    told = failure(server.at("/rows.csv", give(length=99)), part=part, pinned=False)
    assert "broke off after 15 of 99 bytes" in told
    assert f"{download.ATTEMPTS} attempts" in told


def test_a_body_longer_than_announced_is_not_taken(server: Serving, part: Path) -> None:
    url = server.at("/rows.csv", give(length=9, ranges=False))
    assert "sha256 expected" in failure(url, part=part)


@pytest.mark.parametrize("length", [9, 14, 16, 10**12])
def test_a_server_that_announces_another_size_is_left_before_the_body(
    server: Serving, part: Path, length: int, heard: Heard
) -> None:
    bad = server.at("/bad.csv", give(length=length))
    good = server.at("/rows.csv", give())
    assert bring(bad, good, part=part, n_bytes=len(BODY), heard=heard) == good
    assert f"it offers {length:,} bytes, expected 15" in heard.texts[0]
    assert server.paths() == ["/bad.csv", "/rows.csv"]
    assert {name for name, _, _ in heard.progress} == {"rows.csv"}


def test_each_address_is_tried_and_the_reason_of_each_failed_one_is_told(
    server: Serving, part: Path, heard: Heard
) -> None:
    urls = [
        server.at("/gone.csv", give(b"", status=404)),
        server.at("/wrong.csv", give(OTHER)),
        server.at("/login.csv", give(PAGE)),
        server.at("/forbidden.csv", give(b"", status=403)),
    ]
    told = failure(*urls, part=part, heard=heard)
    assert told.startswith("gone.csv could not be downloaded\n")
    reasons = ["404 Not Found", "sha256 expected", "a web page instead", "403 Forbidden"]
    lines = told.splitlines()[1:]
    for line, url, reason in zip(lines, urls, reasons, strict=False):
        assert url in line
        assert reason in line
    assert "--from FOLDER" in lines[-1]
    assert len(heard.texts) == 3
    assert all("trying the next address" in text for text in heard.texts)

    good = server.at("/rows.csv", give())
    assert bring(*urls, good, part=part) == good
    assert part.read_bytes() == BODY


def test_the_next_address_goes_on_from_what_the_one_before_brought(
    server: Serving, part: Path
) -> None:
    first = server.at("/first.csv", give(cut=9), give(b"", status=410))
    second = server.at("/second.csv", give())
    assert bring(first, second, part=part) == second
    assert part.read_bytes() == BODY
    assert server.asked[-1].range == "bytes=9-"


def test_wrong_bytes_from_one_address_do_not_spoil_the_next(server: Serving, part: Path) -> None:
    first = server.at("/first.csv", give(OTHER, cut=9), give(b"", status=410))
    second = server.at("/second.csv", give(ranges=True))
    bring(first, second, part=part)
    assert part.read_bytes() == BODY
    mixed = server.at("/mixed.csv", give(b"x" * 15, cut=9), give(b"", status=410))
    part.unlink()
    bring(mixed, second, part=part)
    assert part.read_bytes() == BODY


def test_without_a_hash_the_bytes_of_two_addresses_are_never_mixed(
    server: Serving, part: Path
) -> None:
    first = server.at("/first.csv", give(b"x" * 15, cut=9, etag='"v1"'), give(b"", status=410))
    second = server.at("/second.csv", give(etag='"v1"'))
    bring(first, second, part=part, pinned=False)
    assert part.read_bytes() == BODY
    assert server.asked[-1].range is None


@pytest.mark.parametrize(
    "page",
    [
        PAGE,
        b"\xef\xbb\xbf\r\n  <!doctype HTML>",
        b"<HTML>",
        b'<html lang="en">',
        b'<?xml version="1.0"?>\n<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Strict//EN">',
    ],
)
def test_a_web_page_in_place_of_the_file_is_told_as_such(
    server: Serving, part: Path, page: bytes
) -> None:
    told = failure(server.at("/rows.csv", give(page)), part=part, pinned=False)
    assert "it sent a web page instead of the file" in told
    assert len(server.asked) == 1


def test_a_web_page_does_not_cost_what_is_already_here(server: Serving, part: Path) -> None:
    part.write_bytes(BODY[:9])
    page = server.at("/page.csv", give(PAGE, ranges=False))
    good = server.at("/rows.csv", give())
    bring(page, good, part=part)
    assert server.asked[-1].range == "bytes=9-"


def test_a_redirection_is_followed_to_another_host(server: Serving, part: Path) -> None:
    there = server.at("/there.csv", give()).replace("127.0.0.1", "localhost")
    url = server.at("/rows.csv", moved(there))
    assert bring(url, part=part) == url
    assert part.read_bytes() == BODY
    assert server.asked[-1].headers["Host"].startswith("localhost")


def test_a_redirected_download_is_gone_on_from(server: Serving, part: Path) -> None:
    url = server.at("/rows.csv", moved(server.at("/there.csv", give(cut=9), give())))
    bring(url, part=part)
    assert part.read_bytes() == BODY
    assert server.asked[-1] == Asked("/there.csv", server.asked[-1].headers)
    assert server.asked[-1].range == "bytes=9-"


@pytest.mark.parametrize(
    ("where", "said"),
    [("/rows.csv", "it redirects in circles"), ("ftp://data.invalid/rows.csv", "ftp")],
)
def test_a_redirection_to_nowhere_is_told(
    server: Serving, part: Path, where: str, said: str
) -> None:
    assert said in failure(server.at("/rows.csv", moved(where)), part=part)


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (404, "404 Not Found: it is no longer there"),
        (410, "410 Gone: it is no longer there"),
        (403, "403 Forbidden: the server refuses"),
        (401, "401 Unauthorized: a login is needed"),
        (418, "418"),
    ],
)
def test_what_will_not_change_is_asked_once_and_told(
    server: Serving, part: Path, status: int, said: str
) -> None:
    assert said in failure(server.at("/rows.csv", give(b"", status=status)), part=part)
    assert len(server.asked) == 1


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504, 408])
def test_what_may_pass_is_asked_again(
    server: Serving, part: Path, status: int, heard: Heard
) -> None:
    url = server.at("/rows.csv", give(b"", status=status), give())
    bring(url, part=part, heard=heard)
    assert part.read_bytes() == BODY
    assert heard.texts[0].startswith(f"rows.csv: {status} ")


@pytest.mark.parametrize(
    ("status", "said"), [(503, "the server is out of service"), (429, "too many requests")]
)
def test_what_does_not_pass_is_given_up_after_some_attempts(
    server: Serving, part: Path, status: int, said: str
) -> None:
    told = failure(server.at("/rows.csv", give(b"", status=status)), part=part)
    assert said in told
    assert f"({download.ATTEMPTS} attempts)" in told
    assert len(server.asked) == download.ATTEMPTS


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Return what collects the waits, none of which takes place."""
    collected: list[float] = []
    monkeypatch.setattr(download, "time", SimpleNamespace(sleep=collected.append))
    monkeypatch.setattr(download, "DELAY_SECONDS", 1.0)
    return collected


def test_the_waits_between_attempts_grow(server: Serving, part: Path, waits: list[float]) -> None:
    failure(server.at("/rows.csv", give(b"", status=503)), part=part)
    assert waits == [1.0, 2.0, 4.0, 8.0]


def test_a_server_is_asked_again_when_it_says_but_not_after_ages(
    server: Serving, part: Path, waits: list[float], heard: Heard
) -> None:
    answers = [
        give(b"", status=503, Retry_After=after) for after in ("7", "99999", "soon", "0", "1")
    ]
    failure(server.at("/rows.csv", *answers), part=part, heard=heard)
    assert waits == [7.0, transfer.PATIENCE_SECONDS, 4.0, 0.0]
    assert "retrying in 7 s" in heard.texts[0]


def test_numbers_of_a_server_that_are_none_do_no_harm(server: Serving, part: Path) -> None:
    part.write_bytes(BODY[:9])
    odd = give(content_range="bytes 9-14/²")
    bring(server.at("/rows.csv", give(b"", status=503, Retry_After="²"), odd), part=part)
    assert part.read_bytes() == BODY


def test_a_server_without_ranges_that_breaks_off_here_and_there_is_given_up(
    server: Serving, part: Path
) -> None:
    answers = [give(ranges=False, cut=cut) for cut in [3, 5] * 10]
    told = failure(server.at("/rows.csv", *answers, give(b"", status=410)), part=part)
    assert "broke off" in told
    assert len(server.asked) < 20


@pytest.mark.parametrize("pinned", [True, False])
def test_bytes_that_never_arrive_without_ranges_are_given_up(
    server: Serving, part: Path, pinned: bool
) -> None:
    told = failure(server.at("/rows.csv", give(ranges=False, cut=9)), part=part, pinned=pinned)
    assert "broke off after 9 of 15 bytes" in told
    assert len(server.asked) <= download.ATTEMPTS + 1


def test_a_server_that_does_not_answer_in_time_is_asked_again(
    server: Serving, part: Path, heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answers, "READ_SECONDS", 0.1)
    bring(server.at("/rows.csv", hang, give()), part=part, heard=heard)
    assert part.read_bytes() == BODY
    assert "no answer in time" in heard.texts[0]


def test_a_body_that_stops_coming_is_asked_for_again_from_there(
    server: Serving, part: Path, heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answers, "READ_SECONDS", 0.1)
    bring(server.at("/rows.csv", give(drip=(9, 0.3)), give()), part=part, heard=heard)
    assert part.read_bytes() == BODY
    assert "no answer in time" in heard.texts[0]
    assert server.ranges() == [None, "bytes=9-"]


def test_a_server_that_never_answers_is_given_up(
    server: Serving, part: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answers, "READ_SECONDS", 0.05)
    monkeypatch.setattr(download, "ATTEMPTS", 2)
    assert "no answer in time (2 attempts)" in failure(server.at("/rows.csv", hang), part=part)


def test_nobody_listening_is_told_in_plain_words(part: Path, closed_port: int) -> None:
    told = failure(f"http://127.0.0.1:{closed_port}/rows.csv", part=part)
    assert "the connection failed" in told
    assert "refused" in told
    assert "object at 0x" not in told


def test_a_slow_drip_arrives_whole(server: Serving, part: Path, heard: Heard) -> None:
    body = BODY * 20
    bring(server.at("/rows.csv", give(body, drip=(3, 0.002))), part=part, body=body, heard=heard)
    assert part.read_bytes() == body
    assert len(server.asked) == 1
    assert len(heard.progress) > 10


def test_a_transfer_that_has_all_but_stopped_is_told_and_begun_anew(
    server: Serving, part: Path, heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer, "STALL_SECONDS", 0.1)
    bring(server.at("/rows.csv", give(drip=(1, 0.03)), give()), part=part, heard=heard)
    assert part.read_bytes() == BODY
    assert heard.texts[0].startswith("rows.csv: stalled at ")
    assert server.ranges()[1] not in (None, "bytes=0-")


def test_a_server_that_only_drips_is_left_for_the_next_address(
    server: Serving, part: Path, heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer, "STALL_SECONDS", 0.05)
    body = BODY * 100
    drips = [give(body, drip=(1, 0.02))] * 20
    slow = server.at("/slow.csv", *drips, give(body))
    fast = server.at("/rows.csv", give(body))
    assert bring(slow, fast, part=part, body=body, heard=heard) == fast
    assert part.read_bytes() == body


@pytest.mark.parametrize("length", [-1, None])
def test_a_body_of_unknown_length_arrives(
    server: Serving, part: Path, length: int | None, heard: Heard
) -> None:
    bring(server.at("/rows.csv", give(length=length)), part=part, pinned=False, heard=heard)
    assert part.read_bytes() == BODY
    assert heard.progress[-1][1:] == (15, 15 if length else None)


def test_a_chunked_body_arrives_and_is_gone_on_from_when_cut_off(
    server: Serving, part: Path
) -> None:
    url = server.at("/rows.csv", give(chunked=True, cut=14), give(chunked=True))
    bring(url, part=part)
    assert part.read_bytes() == BODY
    assert server.ranges() == [None, "bytes=14-"]


def test_a_packed_file_is_kept_as_sent_whatever_the_server_calls_it(
    server: Serving, part: Path
) -> None:
    body = gzip.compress(BODY)
    url = server.at("/rows.csv.gz", give(body, cut=9, Content_Encoding="gzip"))
    server.script["/rows.csv.gz"].append(give(body, Content_Encoding="gzip"))
    bring(url, part=part, body=body)
    assert part.read_bytes() == body


@pytest.mark.parametrize("pinned", [True, False])
@pytest.mark.parametrize("kind", ["etag", "modified"])
def test_a_file_that_changed_meanwhile_is_begun_anew(
    server: Serving, part: Path, kind: str, pinned: bool
) -> None:
    tags = {"etag": ('"v1"', '"v2"'), "modified": (DATE, DATE.replace("2015", "2016"))}[kind]
    answers = [give(b"x" * 15, cut=9, **{kind: tags[0]}), give(**{kind: tags[1]})]  # type: ignore[arg-type]
    bring(server.at("/rows.csv", *answers), part=part, pinned=pinned)
    assert part.read_bytes() == BODY
    assert len(server.asked) == 2


def test_the_rest_of_a_changed_file_is_not_joined_though_the_server_ignores_the_condition(
    server: Serving, part: Path
) -> None:
    answers = [
        give(b"x" * 15, cut=9, etag='"v1"'),
        give(etag='"v2"', believes_if_range=False),
    ]
    bring(server.at("/rows.csv", *answers), part=part, pinned=False)
    assert part.read_bytes() == BODY


def test_a_file_that_changed_unnoticed_is_told_by_its_hash_and_asked_for_once_more(
    server: Serving, part: Path, heard: Heard
) -> None:
    url = server.at("/rows.csv", give(b"x" * 15, cut=9), give())
    assert bring(url, part=part, heard=heard) == url
    assert part.read_bytes() == BODY
    assert server.ranges() == [None, "bytes=9-", None]
    assert any("does not fit; once more" in text for text in heard.texts)


def test_a_file_that_changed_between_two_calls_is_asked_for_once_more(
    server: Serving, part: Path, heard: Heard
) -> None:
    part.write_bytes(b"x" * 9)
    url = server.at("/rows.csv", give())
    assert bring(url, part=part, heard=heard) == url
    assert part.read_bytes() == BODY
    assert server.ranges() == ["bytes=9-", None]
    assert "does not fit; once more" in heard.texts[0]


def test_wrong_bytes_are_not_asked_for_over_and_over(server: Serving, part: Path) -> None:
    part.write_bytes(b"x" * 9)
    failure(server.at("/rows.csv", give(OTHER)), part=part)
    assert server.ranges() == ["bytes=9-", None]


def test_without_hash_and_validator_nothing_is_joined(server: Serving, part: Path) -> None:
    url = server.at("/rows.csv", give(b"x" * 15, cut=9), give())
    bring(url, part=part, pinned=False)
    assert part.read_bytes() == BODY
    assert server.ranges() == [None, None]


def free(n_bytes: int) -> Callable[[Path], Any]:
    return lambda _: SimpleNamespace(total=10**12, used=0, free=n_bytes)


def test_a_disk_without_room_is_told_before_the_body(
    server: Serving, part: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", free(14))
    url = server.at("/rows.csv", give())
    told = failure(url, url, part=part)
    assert "15 bytes are needed" in told
    assert "14 are free" in told
    assert "REPRO_HOME" in told
    assert not part.exists()
    assert len(server.asked) == 1


def test_a_part_needs_room_for_the_rest_only(
    server: Serving, part: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", free(6))
    part.write_bytes(BODY[:9])
    bring(server.at("/rows.csv", give()), part=part)
    assert part.read_bytes() == BODY


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    with disk.small(tmp_path / "disk", "64k") as folder:
        yield folder


LARGE = bytes(range(256)) * 800


def test_a_full_disk_keeps_the_part_and_a_later_fetch_goes_on_from_it(
    server: Serving, small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    part = small_disk / "rows.bin.part"
    url = server.at("/rows.bin", give(LARGE, etag='"v1"', drip=(3000, 0.0)))
    with monkeypatch.context() as patched:  # somebody else fills the disk meanwhile
        patched.setattr(shutil, "disk_usage", free(10**9))
        told = failure(url, part=part, body=LARGE)
    kept = part.read_bytes()
    assert "the disk is full" in told
    assert f"stopped at {len(kept):,} bytes, which are kept" in told
    assert "make room" in told
    assert len(kept) > 32_000
    assert kept == LARGE[: len(kept)]
    assert "are free" in failure(url, part=part, body=LARGE)
    assert part.read_bytes() == kept

    disk.enlarge(small_disk, "1m")
    bring(url, part=part, body=LARGE)
    assert part.read_bytes() == LARGE
    assert server.asked[-1].range == f"bytes={len(kept)}-"


def test_a_full_disk_is_told_though_the_length_was_not_known(
    server: Serving, small_disk: Path
) -> None:
    part = small_disk / "rows.bin.part"
    url = server.at("/rows.bin", give(LARGE, length=None, ranges=False))
    assert "the disk is full" in failure(url, part=part, body=LARGE)
    kept = part.read_bytes()
    with pytest.raises((ReproError, OSError), match=r"disk is full|No space left"):
        bring(url, part=part, body=LARGE)
    assert part.read_bytes() == kept


def test_a_disk_that_fails_otherwise_is_not_called_full(
    server: Serving, part: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Failing(Heard):
        def bytes(self, name: str, done: int, total: int | None) -> None:
            raise OSError(errno.EIO, "Input/output error")

    with pytest.raises(OSError, match="Input/output error"):
        bring(server.at("/rows.csv", give()), part=part, heard=Failing())
    assert part.exists()


Secure = Callable[..., Serving]


@pytest.fixture
def secure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Secure]:
    """Return what makes a server with a certificate for some name that ends in some days."""
    ours, others = trustme.CA(), trustme.CA()
    ours.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "ca.pem"))
    with contextlib.ExitStack() as open_servers:

        def make(name: str = "127.0.0.1", days: int = 30, known: bool = True) -> Serving:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            now = datetime.now(UTC)
            certificate = (ours if known else others).issue_cert(
                name, not_before=now - timedelta(days=99), not_after=now + timedelta(days=days)
            )
            certificate.configure_cert(context)
            return open_servers.enter_context(Serving(context).running())

        yield make


@pytest.mark.parametrize("pinned", [True, False])
def test_a_good_certificate_goes_without_saying(
    secure: Secure, part: Path, heard: Heard, pinned: bool
) -> None:
    bring(secure().at("/rows.csv", give()), part=part, pinned=pinned, heard=heard)
    assert part.read_bytes() == BODY
    assert heard.texts == []


def test_an_expired_certificate_is_tolerated_aloud_where_a_hash_vouches(
    secure: Secure, part: Path, heard: Heard
) -> None:
    url = secure(days=-1).at("/rows.csv", give(cut=9), give())
    bring(url, part=part, heard=heard)
    assert part.read_bytes() == BODY
    said = [text for text in heard.texts if "certificate" in text]
    assert said == [
        "the certificate of 127.0.0.1 has expired; the file's hash is known, "
        "so it is fetched anyway"
    ]


def test_an_expired_certificate_is_refused_where_no_hash_vouches(
    secure: Secure, part: Path
) -> None:
    server = secure(days=-1)
    told = failure(server.at("/rows.csv", give()), part=part, pinned=False)
    assert "certificate has expired, and no hash is known" in told
    assert server.asked == []


@pytest.mark.parametrize(
    "fault",
    [
        {"name": "data.invalid"},
        {"known": False},
        {"name": "data.invalid", "days": -1},
        {"known": False, "days": -1},
    ],
    ids=["another name", "unknown CA", "another name, expired", "unknown CA, expired"],
)
def test_a_certificate_with_another_fault_is_refused_even_where_a_hash_vouches(
    secure: Secure, part: Path, fault: dict[str, Any]
) -> None:
    server = secure(**fault)
    told = failure(server.at("/rows.csv", give()), part=part)
    assert "its certificate is not accepted" in told
    assert server.asked == []


def test_an_expired_certificate_of_one_address_excuses_no_other(secure: Secure, part: Path) -> None:
    expired = secure(days=-1).at("/rows.csv", give(OTHER))
    forged = secure(known=False)
    told = failure(expired, forged.at("/rows.csv", give()), part=part)
    assert "its certificate is not accepted" in told
    assert forged.asked == []


def test_a_proxy_is_asked_where_one_is_set(
    server: Serving, part: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", server.url)
    server.script["http://data.invalid/x"] = [give(cut=9), give()]
    assert bring("http://data.invalid/x", part=part) == "http://data.invalid/x"
    assert part.read_bytes() == BODY
    assert [asked.range for asked in server.asked] == [None, "bytes=9-"]


def box(write: Write, members: dict[str, str]) -> manifest.Manifest:
    """Return the dataset "box" of some members, each with some lines."""
    text = HEAD
    for i, (name, lines) in enumerate(members.items()):
        text += f'[members."{name}"]\n{lines}\n[read.r{i}]\nmember = "{name}"\n'
        text += f'[views.v{i}]\nsource = "a test"\nread = {{ rows = "r{i}" }}\n'
    write(
        "data_manifests/box.toml", text + '[views.all]\nsource = "a test"\nread = { rows = "r0" }\n'
    )
    return manifest.load("box")


def test_a_member_is_fetched_from_its_mirrors_in_order(
    server: Serving, write: Write, heard: Heard
) -> None:
    first, second, third = (
        server.at("/first.csv", give(b"", status=404)),
        server.at("/second.csv", give(OTHER)),
        server.at("/third.csv", give(cut=9), give()),
    )
    lines = f'url = "{first}"\nmirrors = ["{second}", "{third}"]\n' + stating(BODY)
    fetched = archive.fetch(box(write, {"rows.csv": lines}), tell=heard)
    assert fetched["rows.csv"].source == third
    assert fetched["rows.csv"].verified
    assert (cache.raw_folder("box") / "rows.csv").read_bytes() == BODY
    paths = server.paths()
    assert paths == ["/first.csv", "/second.csv", "/third.csv", "/third.csv"]
    assert not (cache.folder("box") / "parts").exists()


def test_what_was_fetched_in_part_is_gone_on_from_by_the_next_fetch(
    server: Serving, write: Write
) -> None:
    url = server.at("/rows.csv", give(cut=9), give(b"", status=404))
    made = box(write, {"rows.csv": f'url = "{url}"\n' + stating(BODY)})
    with pytest.raises(ReproError, match="404"):
        archive.fetch(made)
    assert cache.missing(made) == ["rows.csv"]
    server.at("/rows.csv", give())
    assert archive.fetch(made)["rows.csv"].verified
    assert server.asked[-1].range == "bytes=9-"


def test_what_was_begun_of_one_member_outlives_the_fetch_of_another(
    server: Serving, write: Write
) -> None:
    a = server.at("/a.csv", give())
    b = server.at("/b.csv", give(OTHER, cut=9), give(b"", status=404))
    members = {
        "a.csv": f'url = "{a}"\n' + stating(BODY),
        "b.csv": f'url = "{b}"\n' + stating(OTHER),
    }
    made = box(write, members)
    with pytest.raises(ReproError, match="404"):
        archive.fetch(made, view=made.view("v1"))
    archive.fetch(made, view=made.view("v0"))
    server.at("/b.csv", give(OTHER))
    archive.fetch(made)
    assert server.asked[-1].range == "bytes=9-"


def test_bytes_that_no_hash_vouches_for_are_never_joined_with_what_was_there(
    server: Serving, write: Write, heard: Heard
) -> None:
    url = server.at("/rows.csv", give(b"x" * 15, cut=9), give(b"", status=404))
    made = box(write, {"rows.csv": f'url = "{url}"\n'})
    with pytest.raises(ReproError, match="404"):
        archive.fetch(made, unverified=True)
    server.at("/rows.csv", give())
    assert not archive.fetch(made, unverified=True, tell=heard)["rows.csv"].verified
    assert (cache.raw_folder("box") / "rows.csv").read_bytes() == BODY
    assert hashlib.sha256(BODY).hexdigest() in heard.texts[-1]


def test_a_full_disk_while_a_member_is_put_in_its_place_is_told(
    server: Serving, small_disk: Path, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REPRO_HOME", str(small_disk))
    body = LARGE[:40_000]  # there is room for it once
    url = server.at("/rows.csv", give(body))
    made = box(write, {"rows.csv": f'url = "{url}"\n' + stating(body)})
    with monkeypatch.context() as patched:
        patched.setattr(shutil, "disk_usage", free(10**9))
        with pytest.raises((ReproError, OSError), match=r"disk is full|No space left"):
            archive.fetch(made)
    assert cache.missing(made) == ["rows.csv"]
    disk.enlarge(small_disk, "1m")
    assert archive.fetch(made)["rows.csv"].verified
    assert server.paths() == ["/rows.csv"]


def test_a_host_that_does_not_resolve_is_asked_once(
    part: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def unresolved(host: str, *_: object, **__: object) -> Any:
        asked.append(host)
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", unresolved)
    told = failure("http://data.invalid/rows.csv", "http://data.invalid/other.csv", part=part)
    assert asked == ["data.invalid"]
    assert told.count("its host does not resolve") == 2
    assert "--from FOLDER" in told


def test_files_of_a_host_that_does_not_resolve_are_not_all_asked_for(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def unresolved(host: str, *_: object, **__: object) -> Any:
        asked.append(host)
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unresolved)
    text = HEAD
    for name in ("a", "b", "c"):
        text += f'[members."{name}"]\nurl = "http://data.invalid/{name}"\nsha256 = "00"\n'
    text += '[read]\na = { member = "a" }\nb = { member = "b" }\nc = { member = "c" }\n'
    text += '[views.all]\nsource = "a test"\nread = { a = "a", b = "b", c = "c" }\n'
    write("data_manifests/box.toml", text)
    with pytest.raises(ReproError, match="does not resolve"):
        archive.fetch(manifest.load("box"))
    assert asked == ["data.invalid"]
