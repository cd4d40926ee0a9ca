"""Is a model judged through OpenAI's chat interface as it would be here, and is a server that refuses told plainly?"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest

from trimtab.qcode.attempts import EngineSettings
from trimtab.qcode.engine.protocol import CallTest
from trimtab.qcode.evaluation.endpoint import EndpointWriter
from trimtab.qcode.evaluation.writing import Manner
from trimtab.qcode.problems import format as layout
from trimtab.qcode.problems.format import Problem
from trimtab.qcode.prompts import PromptSettings
from trimtab.qcode.training_recipe import Evaluate

TESTS = (CallTest(("1 2",), "3"), CallTest(("4 5",), "9"), CallTest(("2 2",), "4"))
SUM = Problem("sum", "Add them.", "solve", "q", TESTS, references=("solve:{sum x}",), tags=("lists",), split="test")
LAST = Problem(
    "last",
    "The last.",
    "solve",
    "q",
    (CallTest(("1 2",), "2"), CallTest(("4 7",), "7")),
    references=("solve:{last x}",),
    tags=("lists",),
    split="test",
)


class Stub(BaseHTTPRequestHandler):
    """Answers every problem with the sum; the first request of a test may fail."""

    failures: ClassVar[list[int]] = []
    asked: ClassVar[list[dict[str, Any]]] = []

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        type(self).asked.append({**body, "key": self.headers.get("Authorization"), "path": self.path})
        status = type(self).failures.pop(0) if type(self).failures else 200
        choice = {"message": {"role": "assistant", "content": "```q\nsolve:{sum x}\n```"}, "finish_reason": "stop"}
        told = {"choices": [choice], "usage": {"completion_tokens": 9}} if status == 200 else {"error": "busy"}
        data = json.dumps(told).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def url() -> Iterator[str]:
    Stub.failures, Stub.asked = [], []
    server = ThreadingHTTPServer(("127.0.0.1", 0), Stub)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/v1"
    server.shutdown()
    server.server_close()


def test_samples_come_back_by_problem(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEY", "secret")
    Stub.failures = [503]
    writer = EndpointWriter(url, "m", PromptSettings("fenced"), "KEY", pause_seconds=0.01)
    rows = writer.write([SUM, LAST], Manner(temperature=0.5, samples=2))
    assert [[answer.problem.id for answer in row] for row in rows] == [["sum", "sum"], ["last", "last"]]
    assert rows[0][0].tokens == 9
    assert rows[0][0].ended
    assert {one["key"] for one in Stub.asked} == {"Bearer secret"}
    assert len({one["seed"] for one in Stub.asked}) == 2
    assert Stub.asked[0]["messages"][0]["role"] == "system"
    assert len(Stub.asked) == 5


def test_a_refusal_is_told(url: str) -> None:
    Stub.failures = [401]
    with pytest.raises(ValueError, match=r"refuses \(401\).*busy"):
        EndpointWriter(url, "m", PromptSettings()).write([SUM], Manner())


def test_a_server_that_is_not_there() -> None:
    writer = EndpointWriter("http://127.0.0.1:9/v1", "m", PromptSettings(), attempts=1)
    with pytest.raises(OSError, match="cannot be reached"):
        writer.write([SUM], Manner())
    with pytest.raises(ValueError, match="expected an address"):
        EndpointWriter("localhost", "m", PromptSettings())


def test_the_verb(url: str, tmp_path: Path) -> None:
    layout.write(tmp_path / "p.jsonl", [SUM, LAST])
    command = Evaluate(
        model="m",
        problems=str(tmp_path / "p.jsonl"),
        samples=2,
        fenced=True,
        endpoint=url,
        out=tmp_path / "out",
        engine=EngineSettings(workers=1),
    )
    assert command.run() == 0
    told = json.loads((tmp_path / "out" / "eval_results.json").read_text())
    assert told["all"]["greedy"]["estimate"] == 0.5
    assert told["all"]["pass@2"]["estimate"] == 0.5
    assert told["statuses"] == {"passed": 0.5, "wrong": 0.5}
    assert told["well_formed"] == 1.0
    assert len((tmp_path / "out" / "samples.jsonl").read_text().splitlines()) == 6
    assert (tmp_path / "out" / "index.html").is_file()
