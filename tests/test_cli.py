"""Is help immediate, and does a mistake become one clear line?"""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType

import pytest
import tyro

from trimtab import cli

PRESENT = [module for module, _ in cli.ROOMS.values() if find_spec(module)]


@dataclass(frozen=True)
class Greet:
    """Greet somebody.

    At length."""

    name: tyro.conf.Positional[str] = "world"
    times: int = 1
    """How often."""

    def run(self) -> int | None:
        if self.times < 0:
            raise ValueError(f"times is {self.times}:\nexpected 0 or more.")
        print(" ".join([f"hello {self.name}"] * self.times))
        return 3 if self.times == 3 else None


@dataclass(frozen=True)
class Fail:
    """Fail."""

    how: str = "defect"

    def run(self) -> int | None:
        raise {"defect": RuntimeError, "file": FileNotFoundError, "stop": KeyboardInterrupt}[self.how]("no such thing")


@pytest.fixture(autouse=True)
def room(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("a_room_for_tests")
    module.VERBS = {"greet": Greet, "fail": Fail}  # type: ignore[attr-defined]
    module.RECIPES = {"fail": {"files": Fail(how="file")}}  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setitem(cli.ROOMS, "testing", (module.__name__, "for tests"))
    monkeypatch.delenv("TRIMTAB_TRACEBACK", raising=False)


def test_flags_and_positional_arguments_reach_the_verb(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["testing", "greet", "you", "--times", "2"]) == 0
    assert capsys.readouterr().out == "hello you hello you\n"
    assert cli.run(["testing", "greet", "--times", "3"]) == 3


def test_help_at_each_level(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in ([], ["--help"]):
        assert cli.run(arguments) == 0
        shown = capsys.readouterr().out
        assert all(room in shown for room in cli.ROOMS)
    assert cli.run(["testing"]) == 0
    shown = capsys.readouterr().out
    assert "greet  Greet somebody." in shown
    assert "At length" not in shown
    with pytest.raises(SystemExit) as ended:
        cli.run(["testing", "greet", "--help"])
    assert ended.value.code == 0
    assert "How often." in capsys.readouterr().out
    with pytest.raises(SystemExit):
        cli.run(["testing", "fail", "--help"])
    assert "Recipes: files (`trimtab testing fail files`)." in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["tsting"], "error: no room or command 'tsting'. Did you mean 'testing'?"),
        (["testing", "gret"], "error: no verb of testing 'gret'. Did you mean 'greet'? Expected one of: greet, fail."),
        (["testing", "fail", "file"], "error: no recipe 'file'. Did you mean 'files'? Expected one of: files."),
        (["testing", "greet", "--times", "-1"], "error: times is -1: expected 0 or more."),
        (["testing", "fail", "--how", "file"], "error: no such thing"),
        (["testing", "fail", "files"], "error: no such thing"),
    ],
)
def test_mistakes_become_one_line(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(arguments) == 2
    output, errors = capsys.readouterr()
    assert output == ""
    assert errors.startswith(message)
    assert errors.count("\n") == 1


def test_an_unknown_flag_is_refused_with_a_suggestion(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.run(["testing", "greet", "--tmes", "2"])
    assert ended.value.code == 2
    assert "--times" in capsys.readouterr().err


def test_the_traceback_is_shown_when_asked_for(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRIMTAB_TRACEBACK", "1")
    assert cli.run(["testing", "greet", "--times", "-1"]) == 2
    assert "Traceback" in capsys.readouterr().err


def test_a_defect_is_no_user_error() -> None:
    with pytest.raises(RuntimeError, match="no such thing"):
        cli.run(["testing", "fail"])


def test_an_interruption_is_no_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["testing", "fail", "--how", "stop"]) == 130
    assert capsys.readouterr().err == "interrupted\n"


def test_help_answers_in_half_a_second_without_torch() -> None:
    code = "import sys; from trimtab import cli; cli.run(['--help']); sys.exit('torch' in sys.modules)"
    seconds: list[float] = []
    for _ in range(5):  # the fastest: other work on the machine slows some
        started = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
        seconds.append(time.perf_counter() - started)
    assert min(seconds) < 0.5


@pytest.mark.parametrize("module", PRESENT)
def test_recipes_import_no_torch(module: str) -> None:
    code = f"import sys, {module} as room; assert room.VERBS; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("module", PRESENT)
def test_every_verb_has_help(module: str, capsys: pytest.CaptureFixture[str]) -> None:
    room = next(name for name, (path, _) in cli.ROOMS.items() if path == module)
    for verb, definition in import_module(module).VERBS.items():
        assert (definition.__doc__ or "").strip(), f"the verb {verb} has no docstring"
        with pytest.raises(SystemExit) as ended:
            cli.run([room, verb, "--help"])
        assert ended.value.code == 0
    assert capsys.readouterr().out
