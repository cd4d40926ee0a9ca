"""What does Python see of a session? Values as Python, numpy and pandas; variables in and out; errors."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from trimtab.qcode.q.errors import QError, Unsupported
from trimtab.qcode.q.session import Session


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
