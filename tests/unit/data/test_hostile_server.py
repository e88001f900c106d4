"""Servers that send without end, or hardly at all, or send elsewhere: each ends in a sentence."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme

from builders.server import BODY, Answer, Handler, Heard, Serving, give
from repro.data import addresses, answers, download, transfer, watched
from repro.errors import ReproError

pytestmark = pytest.mark.usefixtures("hurried")

ENDLESS = 40_000_000
"""Bytes after which an endless body ends after all, lest a test fill the disk."""


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
def part(tmp_path: Path) -> Path:
    return tmp_path / "rows.csv.part"


def failure(
    url: str,
    part: Path,
    n_bytes: int | None = None,
    pinned: bool = True,
    heard: Heard | None = None,
) -> str:
    def wrong(file: Path) -> str:
        return "" if file.read_bytes() == BODY else "sha256 expected that, got this"

    with pytest.raises(ReproError) as caught:
        download.download([url], part, n_bytes, pinned, wrong, heard or Heard())
    assert caught.value.message == "rows.csv could not be downloaded"
    return caught.value.hint


def raw(pieces: Callable[[], Iterable[bytes]], pause: float = 0.0) -> Answer:
    """Return what sends bytes as they are, without a head of its own."""

    def answer(handler: Handler) -> None:
        handler.close_connection = True
        for piece in pieces():
            handler.wfile.write(piece)
            time.sleep(pause)

    return answer


def without_end(head: bytes, chunked: bool = False) -> Answer:
    """Return what sends a head, and then a body that does not end."""
    piece = bytes(1 << 16)
    sent = b"10000\r\n%s\r\n" % piece if chunked else piece

    def pieces() -> Iterator[bytes]:
        yield head
        yield from itertools.repeat(sent, ENDLESS // len(sent))

    return raw(pieces)


OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"
RANGE = b"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 5-14/15\r\n"


@pytest.mark.parametrize(
    ("head", "chunked", "have", "n_bytes", "said"),
    [
        (OK + b"Content-Length: 15\r\n" + CHUNKED + b"\r\n", True, 0, None, "it states 15 bytes"),
        (RANGE + b"\r\n", False, 5, None, "it states 15 bytes"),
        (RANGE + b"Content-Length: 40000000\r\n\r\n", False, 5, None, "it states 15 bytes"),
        (OK + b"\r\n", False, 0, 15, "expected 15 bytes"),
        (OK + CHUNKED + b"\r\n", True, 0, 15, "expected 15 bytes"),
    ],
    ids=["chunks", "range", "longer range", "no length", "chunks of no length"],
)
def test_a_body_is_not_taken_beyond_its_length(
    server: Serving,
    part: Path,
    head: bytes,
    chunked: bool,
    have: int,
    n_bytes: int | None,
    said: str,
) -> None:
    part.write_bytes(BODY[:have])
    heard = Heard()
    told = failure(server.at("/rows.csv", without_end(head, chunked)), part, n_bytes, heard=heard)
    assert f"{said}, and it sends more" in told
    assert not part.exists()
    assert all(done <= 15 + transfer.PAGE for _, done, _ in heard.progress)
    assert len(server.asked) == 1


def test_where_nobody_states_a_length_there_is_a_most(
    server: Serving, part: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer, "MOST_BYTES", 200_000)
    told = failure(server.at("/rows.csv", without_end(OK + b"\r\n")), part)
    assert "it states no length, and sends more than 200,000 bytes" in told
    assert not part.exists()


def test_a_length_that_is_stated_too_small_does_no_harm_where_the_hash_fits(
    server: Serving, part: Path, heard: Heard
) -> None:
    head = OK + b"Content-Length: 9\r\n" + CHUNKED + b"\r\n"
    url = server.at("/rows.csv", raw(lambda: [head, b"f\r\n%s\r\n0\r\n\r\n" % BODY]))
    download.download([url], part, None, True, lambda file: "", heard)
    assert part.read_bytes() == BODY


@pytest.mark.parametrize("length", ["9" * 5000, "-1", "15 ", "0x0f", "+15", "1_5", "²"])
def test_a_length_that_is_no_number_is_none(server: Serving, part: Path, length: str) -> None:
    head = OK + f"Content-Length: {length}\r\n\r\n".encode()
    url = server.at("/rows.csv", raw(lambda: [head, BODY]))
    download.download([url], part, 15, True, lambda file: "", Heard())
    assert part.read_bytes() == BODY


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a head wait 0.2 s, the next bytes of a body too, and only one attempt made."""
    monkeypatch.setattr(answers, "HEAD_SECONDS", 0.2)
    monkeypatch.setattr(transfer, "STALL_SECONDS", 0.2)
    monkeypatch.setattr(watched, "RETRY_SECONDS", 0.05)
    monkeypatch.setattr(download, "ATTEMPTS", 1)


def letter_by_letter(*texts: bytes) -> Answer:
    """Return what sends texts, the last of them letter by letter and without end."""
    *first, last = texts

    def pieces() -> Iterator[bytes]:
        yield b"".join(first)
        yield from (bytes([letter]) for letter in itertools.islice(itertools.cycle(last), 400))

    return raw(pieces, pause=0.02)


@pytest.mark.parametrize(
    "answer",
    [
        letter_by_letter(b"H"),
        letter_by_letter(OK, b"X-Letter: a\r\n"),
        letter_by_letter(b"HTTP/1.1 100 Continue\r\n\r\n"),
        letter_by_letter(OK + b"X: ", b"y"),
    ],
    ids=["status", "headers", "continue", "one header"],
)
@pytest.mark.usefixtures("impatient")
def test_a_head_that_trickles_is_not_waited_for(
    server: Serving, part: Path, answer: Answer
) -> None:
    assert "no answer in time" in failure(server.at("/rows.csv", answer), part)
    assert not part.exists()


@pytest.mark.usefixtures("impatient")
def test_a_head_that_is_cut_off_by_the_clock_is_not_taken_for_a_whole_one(
    server: Serving, part: Path
) -> None:
    def pieces() -> Iterator[bytes]:
        yield OK
        yield b"X: "  # here the clock cuts it off: a head without a length, and an empty body
        time.sleep(0.5)

    url = server.at("/rows.csv", raw(pieces))
    assert "no answer in time" in failure(url, part, pinned=False)


@pytest.mark.parametrize(
    "answer",
    [
        letter_by_letter(OK + CHUNKED + b"\r\n5\r\n1,10\n\r\n", b"1;x=" + b"y" * 99),
        letter_by_letter(OK + CHUNKED + b"\r\n5\r\n1,10\n\r\n0\r\n", b"X-Trailer: a\r\n"),
    ],
    ids=["chunk's size", "trailers"],
)
@pytest.mark.usefixtures("impatient")
def test_what_trickles_between_the_pieces_of_a_body_is_not_waited_for(
    server: Serving, part: Path, answer: Answer
) -> None:
    told = failure(server.at("/rows.csv", answer), part)
    assert "no answer in time" in told or "stalled" in told


@pytest.mark.usefixtures("impatient")
def test_under_tls_a_head_that_trickles_is_not_waited_for(
    part: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with _secure(tmp_path, monkeypatch).running() as server:
        url = server.at("/rows.csv", letter_by_letter(OK, b"X-Letter: a\r\n"))
        assert "no answer in time" in failure(url, part)


@pytest.mark.usefixtures("impatient")
def test_a_proxy_whose_head_trickles_is_not_waited_for(
    server: Serving, part: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", server.url)
    trickle = letter_by_letter(OK, b"X-Letter: a\r\n")
    monkeypatch.setattr(Handler, "do_CONNECT", trickle, raising=False)
    assert "no answer in time" in failure("https://data.invalid/rows.csv", part)


def _secure(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Serving:
    import ssl

    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(folder / "ca.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return Serving(context)


def moved(where: str) -> Answer:
    head = f"HTTP/1.1 302 Found\r\nLocation: {where}\r\nContent-Length: 0\r\n"
    head += "Connection: close\r\n\r\n"
    return raw(lambda: [head.encode("latin-1")])


@pytest.mark.parametrize(
    "where",
    [
        "http://[::1/rows.csv",
        "http://[nowhere]/rows.csv",
        "http://127.0.0.1:99999999/rows.csv",
        "http://127.0.0.1:port/rows.csv",
        "http://" + "a" * 300 + ".invalid/rows.csv",
        "http://a..b/rows.csv",
        "http://%zz/",
        "http://\xff\xfe/",
        "\xff\xfe",
        "file:///etc/passwd",
        "ftp://127.0.0.1/rows.csv",
        "javascript:alert(1)",
        "data:text/plain,1",
        "http://name:secret@127.0.0.1/rows.csv",
        "http://127.0.0.1@data.invalid/rows.csv",
    ],
)
def test_a_redirection_to_a_bad_address_ends_in_a_sentence(
    server: Serving, part: Path, where: str
) -> None:
    told = failure(server.at("/rows.csv", moved(where)), part)
    assert "it redirects to " in told
    assert len(server.asked) == 1


def test_a_redirection_to_itself_or_on_and_on_ends(server: Serving, part: Path) -> None:
    assert "in circles" in failure(server.at("/rows.csv", moved("")), part)
    for i in range(50):
        server.at(f"/{i}", moved(f"/{i + 1}"))
    asked = len(server.asked)
    assert "more than 10 times" in failure(server.at("/rows.csv", moved("/0")), part)
    assert len(server.asked) - asked == 11


def test_a_redirection_to_another_host_is_told_once(
    server: Serving, part: Path, heard: Heard
) -> None:
    there = server.at("/there.csv", give(cut=9), give()).replace("127.0.0.1", "localhost")
    url = server.at("/rows.csv", give(b"", status=302, Location=there))
    download.download([url], part, 15, True, lambda file: "", heard)
    assert part.read_bytes() == BODY
    said = [text for text in heard.texts if "redirects" in text]
    assert said == ["rows.csv: http://127.0.0.1 redirects to http://localhost"]


def test_a_redirection_on_the_same_host_goes_without_saying(
    server: Serving, part: Path, heard: Heard
) -> None:
    url = server.at("/rows.csv", moved(server.at("/there.csv", give())))
    download.download([url], part, 15, True, lambda file: "", heard)
    assert heard.texts == []


@pytest.mark.parametrize("pinned", [True, False])
def test_a_redirection_that_gives_up_encryption_needs_a_hash(
    server: Serving,
    part: Path,
    tmp_path: Path,
    heard: Heard,
    monkeypatch: pytest.MonkeyPatch,
    pinned: bool,
) -> None:
    there = server.at("/there.csv", give())
    with _secure(tmp_path, monkeypatch).running() as secure:
        url = secure.at("/rows.csv", moved(there))
        if pinned:
            download.download([url], part, 15, True, lambda file: "", heard)
            assert heard.texts == ["rows.csv: https://127.0.0.1 redirects to http://127.0.0.1"]
        else:
            assert "no hash is known to verify" in failure(url, part, pinned=False)
            assert server.asked == []


def test_the_body_of_a_redirection_is_not_read(server: Serving, part: Path) -> None:
    there = server.at("/there.csv", give())
    sent = []

    def pieces() -> Iterator[bytes]:
        yield f"HTTP/1.1 302 Found\r\nLocation: {there}\r\n\r\n".encode()
        for _ in range(ENDLESS // 1_000_000):
            yield bytes(1_000_000)
            sent.append(1_000_000)

    url = server.at("/rows.csv", raw(pieces))
    download.download([url], part, 15, True, lambda file: "", Heard())
    assert part.read_bytes() == BODY
    assert sum(sent) < ENDLESS / 2  # a few buffers full


HEADS: dict[str, Any] = {
    "nothing": b"",
    "no HTTP": b"hello\r\n\r\n",
    "noise": bytes(range(256)) * 4,
    "no status": b"HTTP/1.1 \r\n\r\n",
    "a status of letters": b"HTTP/1.1 abc OK\r\n\r\n",
    "a status of many digits": b"HTTP/1.1 " + b"2" * 5000 + b" OK\r\n\r\n",
    "a long line": OK + b"X: " + b"y" * 70_000 + b"\r\n\r\n",
    "many headers": OK + b"X: y\r\n" * 200 + b"\r\n",
    "two lengths": OK + b"Content-Length: 15, 16\r\n\r\n" + BODY,
    "a bad chunk": OK + CHUNKED + b"\r\nzz\r\n" + BODY,
    "a negative chunk": OK + CHUNKED + b"\r\n-5\r\n",
    "a chunk of many digits": OK + CHUNKED + b"\r\n" + b"f" * 5000 + b"\r\n",
    "a cookie": OK + b"Set-Cookie: \x00=\xff; Max-Age=" + b"9" * 5000 + b"\r\n\r\n",
    "a long wait": b"HTTP/1.1 503 No\r\nRetry-After: " + b"9" * 5000 + b"\r\n\r\n",
}


@pytest.mark.parametrize("head", HEADS)
def test_an_answer_that_is_none_ends_in_a_sentence(
    server: Serving, part: Path, head: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "ATTEMPTS", 2)
    assert server.url in failure(server.at("/rows.csv", raw(lambda: [HEADS[head]])), part)


def test_an_address_has_no_fault_that_a_server_can_choose() -> None:
    for good in ("http://a/b", "https://a.b:8080/c?d=e#f", "http://[::1]:80/x", "http://127.0.0.1"):
        assert addresses.fault(good) == "", good
    for bad in ("", "x", "/x", "//a/b", "ftp://a/b", "http://a b/c", "http://a/\n", "http://u@a/b"):
        assert addresses.fault(bad), bad
