"""What every test starts from: one thread, no network, a cache and runs of its own."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from builders import Write
from builders.server import Serving
from repro.data import download
from repro.runs import execute, provenance

pytest.register_assert_rewrite("builders.commands")
torch.set_num_threads(1)  # tiny tensors run ten times faster


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip tests on real data where there is none, and tests on a GPU where there is none."""
    for item in items:
        if item.get_closest_marker("data") and not os.environ.get("REPRO_MIRROR"):
            item.add_marker(pytest.mark.skip(reason="REPRO_MIRROR names no folder of real data"))
        if item.get_closest_marker("gpu") and not torch.cuda.is_available():
            item.add_marker(pytest.mark.skip(reason="no CUDA device"))


@pytest.fixture(autouse=True)
def own_folders(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give every test an empty cache and an empty folder of runs, and the user's folders none."""
    folder = tmp_path_factory.mktemp("repro")
    monkeypatch.setenv("REPRO_HOME", str(folder / "home"))
    monkeypatch.setenv("REPRO_RUNS", str(folder / "runs"))
    monkeypatch.delenv("REPRO_PATH", raising=False)
    return folder


@pytest.fixture
def write(own_folders: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Return what writes a file into a folder of one's own, where `REPRO_PATH` finds it."""
    user = own_folders / "user"
    user.mkdir()
    monkeypatch.setenv("REPRO_PATH", str(user))

    def put(name: str, text: str) -> Path:
        (user / name).parent.mkdir(parents=True, exist_ok=True)
        (user / name).write_text(text)
        return user / name

    return put


@pytest.fixture(autouse=True)
def clean_checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have records say the same whether or not the code under test is committed yet."""
    version = provenance.code_version() | {"dirty": False}
    monkeypatch.setattr(execute, "code_version", lambda: version)


@pytest.fixture(autouse=True)
def no_mirror(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide the real data from tests that do not ask for it."""
    if not request.node.get_closest_marker("data"):
        monkeypatch.delenv("REPRO_MIRROR", raising=False)


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuse connections to anything but this machine."""
    connect = socket.socket.connect

    def local_only(self: socket.socket, address: Any) -> None:
        host = address[0] if isinstance(address, tuple) else "localhost"
        assert host in ("127.0.0.1", "::1", "localhost"), f"a test wants the network: {address}"
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", local_only)


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have downloads wait for nothing, and know of no proxy and no certificates."""
    monkeypatch.setattr(download, "DELAY_SECONDS", 0.0)
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def server() -> Iterator[Serving]:
    """Return a server on this machine that has nothing yet."""
    with Serving().running() as made:
        yield made


@pytest.fixture
def closed_port() -> Iterator[int]:
    """Return a port at which nobody listens."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


@pytest.fixture(scope="session")
def mirror() -> Path:
    """Return the folder of real data."""
    return Path(os.environ["REPRO_MIRROR"])
