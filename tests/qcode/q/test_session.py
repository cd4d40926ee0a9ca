"""What does Python see of a session? Values as Python, numpy and pandas; variables in and out; errors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from trimtab.qcode.q.errors import Exit, QError, Unsupported
from trimtab.qcode.q.scripts import unfinished
from trimtab.qcode.q.session import Session
from trimtab.qcode.q.verbs import answer, run_file


def test_values_have_python_faces() -> None:
    q = Session()
    assert q("1+1").py() == 2
    assert q("`a").py() == "a"
    assert q("1 2 3").np().tolist() == [1, 2, 3]
    assert q("`a`b!1 2").py() == {"a": 1, "b": 2}
    frame = q("([]a:`x`y;b:1 2)").pd()
    assert isinstance(frame, pd.DataFrame)
    assert list(frame["b"]) == [1, 2]


def test_python_values_become_arguments_and_variables() -> None:
    q = Session()
    assert q("{x+y}", 1, 2).py() == 3
    q["v"] = np.array([1.5, 2.5])
    assert q("sum v").py() == 4.0
    assert q["v"].np().tolist() == [1.5, 2.5]


def test_sessions_share_nothing() -> None:
    one, two = Session(), Session()
    one.value("a:1\n\\P 3")
    with pytest.raises(QError, match="a"):
        two.value("a")
    assert one("a").py() == 1


def test_a_function_of_a_session_keeps_its_variables_while_another_runs() -> None:
    one, two = Session(), Session()
    one.value("k:10;f:{x+k}")
    two.value("k:20;f:{x+k}")
    assert (one("f 1").py(), two("f 1").py(), one("f 1").py()) == (11, 21, 11)


def test_output_and_value_are_shown_in_order() -> None:
    assert Session().show("show 1;2") == "1\n2\n"
    assert Session().show('-1"text";') == "text\n"
    assert Session().show("a:1") == ""


def test_what_is_missing_is_named() -> None:
    with pytest.raises(Unsupported, match="hopen"):
        Session().value("hopen 5000")


def test_q_values_and_what_has_no_counterpart_as_arguments() -> None:
    q = Session()
    assert str(q("{x}", q.value("1i"))).strip() == "1i"
    with pytest.raises(TypeError, match="object has no counterpart in q"):
        q("{x}", object())


def test_files_are_refused_or_live_in_memory() -> None:
    with pytest.raises(Unsupported, match="files"):
        Session().value("`:a set 1")
    q = Session(files=True)
    q.value("t:([]a:1 2;b:`x`y);`:d/t/ set t;`:f.csv 0: csv 0: t;`:s?`p`q")
    assert q.show('t~("JS";enlist",")0:`:f.csv') == "1b\n"
    assert q.show("key `:d/t") == "`.d`a`b\n"
    assert q.show("(get `:d/t/)~t") == "1b\n"
    assert q.show("@[`:d/t/a;0;:;9];get `:d/t/a") == "9 2\n"
    assert q.show("s") == "`p`q\n"
    assert q.show("hdel `:f.csv;key `:f.csv") == ""
    with pytest.raises(QError, match="No such file"):
        q.value("read0 `:f.csv")


def test_a_console_knows_what_is_unfinished() -> None:
    assert [unfinished(t) for t in ("f:{[a", "(1;2", '"ab', "1+1", "f:{x} / (", "1)")] == [True, True, True] + [
        False
    ] * 3
    q = Session()
    assert answer(q, '-1"out";1+`a') == "out\n'type\n"
    assert answer(q, "hopen 1") == "unsupported: connections (hopen)\n"
    with pytest.raises(Exit) as end:
        answer(q, "exit 3")
    assert end.value.status == 3


def test_a_script_ends_by_exit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    script = tmp_path / "a.q"
    script.write_text("f:{\n  x+1\n  }\nshow f 1\nexit 4\nshow 2\n")
    assert run_file(script) == 4
    script.write_text("show 3\n\\\\\nshow 4\n")
    assert run_file(script) == 0
    script.write_text("1+`a\n")
    assert run_file(script) == 1
    assert capsys.readouterr().out == "2\n3\n'type\n"
