"""Do ``qcode doctor`` and ``qcode crosscheck`` tell what is there, and where engines differ?"""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from qcode.engine import standing
from trimtab.cli import run
from trimtab.qcode.q.session import Session
from trimtab.qcode.q.values import Q, Vec


def _spoilt(value: Q) -> Q:
    """Another value, where it is numbers."""
    return Vec(value.t, value.a + 1) if isinstance(value, Vec) and value.t in (6, 7) else value


@pytest.fixture
def address() -> Iterator[str]:
    """A stand-in for a q process: it speaks the protocol, and evaluates by the embedded interpreter."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=standing.serve, args=(server, Session()), daemon=True)
        thread.start()
        yield f"127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)
        thread.join(5)


def test_the_doctor_tries_everything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], address: str
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))  # neither q, bwrap nor docker
    assert run(["qcode", "doctor", "--q-ipc", address, "--json", str(tmp_path / "found.json")]) == 0
    found = json.loads((tmp_path / "found.json").read_text())
    available = {one["name"]: one["available"] for one in found["engines"]}
    assert available == {"q-embedded": True, "q-ipc": True, "q-binary": False, "pykx": False, "python": True}
    levels = {one["name"]: one["available"] for one in found["isolation"]}
    assert (levels["bubblewrap"], levels["docker"], levels["rlimits"]) == (False, False, True)
    said = capsys.readouterr().out
    assert "q-binary: no program q on PATH" in said
    assert "needs the program bwrap on PATH" in said
    assert "programs can be graded here" in said


def test_a_named_process_that_is_not_there_is_not_healthy(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    assert run(["qcode", "doctor", "--q-ipc", f"127.0.0.1:{port}"]) == 1
    assert "programs cannot be graded here" in capsys.readouterr().out


def test_engines_that_are_one_agree(tmp_path: Path, capsys: pytest.CaptureFixture[str], address: str) -> None:
    asked = ["qcode", "crosscheck", "shipped", "--limit", "2", "--mutants", "1", "--q-ipc", address]
    assert run([*asked, "--json", str(tmp_path / "compared.json")]) == 0
    total = json.loads((tmp_path / "compared.json").read_text())["rows"][-1]
    assert total["problems"] == 2
    assert total["agree"] > 0
    assert total["differ_in_passing"] == 0
    assert "q-embedded (seccomp)" in capsys.readouterr().out


def test_a_process_that_is_wrong_is_found_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], address: str
) -> None:
    genuine = standing.evaluated
    monkeypatch.setattr(standing, "evaluated", lambda session, asked: _spoilt(genuine(session, asked)))
    asked = ["qcode", "crosscheck", "shipped", "--limit", "2", "--mutants", "1", "--q-ipc", address]
    assert run([*asked, "--json", str(tmp_path / "compared.json")]) == 1
    differences = json.loads((tmp_path / "compared.json").read_text())["differences"]
    assert {one["kind"] for one in differences} >= {"passing"}
    assert "q-ipc: wrong" in capsys.readouterr().out


def test_two_of_the_same_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["qcode", "crosscheck", "shipped", "--engines", "q-embedded", "q-embedded"]) == 2
    assert "expected two that differ" in capsys.readouterr().err
