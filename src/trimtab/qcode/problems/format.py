"""What is a problem, and how does it lie in a file? One JSON object a line, read strictly.

What is wrong with a file is a ValueError that names the file, the line and the field.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NoReturn, cast

from trimtab.checkpoints import replace_file
from trimtab.qcode.engine.protocol import AssertionTest, CallTest, Language, Program, Test, TextTest
from trimtab.qcode.problems import draws

SPLITS = ("train", "validation", "test")
LANGUAGES = ("q", "python")
COMPARISONS = ("loose", "exact", "unordered")
REQUIRED = ("id", "description", "entry_point", "language", "tests")
OPTIONAL = ("references", "generator", "tags", "split", "starter", "source", "evaluation_only")


@dataclass(frozen=True)
class Problem:
    """A task for a program, and what tells whether it is solved."""

    id: str
    description: str
    entry_point: str
    """The function that tests call."""
    language: Language
    tests: tuple[Test, ...]
    references: tuple[str, ...] = ()
    """Whole programs known to be right."""
    generator: tuple[draws.Draw, ...] = ()
    """A draw for each argument (see draws.py): fresh arguments."""
    tags: tuple[str, ...] = ()
    """Families, the main one first; difficulty; whatever a publisher gives."""
    split: str = "train"
    starter: str = ""
    """Text that a solution may begin with (HumanEval's prompt)."""
    source: str = ""
    """Where it was published."""
    evaluation_only: bool = False
    """A benchmark: not to be trained on."""

    @property
    def visible(self) -> tuple[Test, ...]:
        """The tests that may be shown."""
        return tuple(test for test in self.tests if not test.hidden)

    @property
    def hidden(self) -> tuple[Test, ...]:
        """The tests that grade."""
        return tuple(test for test in self.tests if test.hidden)

    def program(self, code: str) -> Program:
        """``code`` as a solution of this problem."""
        return Program(code, self.entry_point, self.language)

    def fresh_arguments(self, seed: int, count: int) -> list[tuple[str, ...]]:
        """``count`` lists of arguments as q expressions, the same for the same seed. ValueError without a generator."""
        if not self.generator:
            raise ValueError(f"problem {self.id}: it has no generator, so no fresh arguments can be drawn")
        return draws.texts_of(self.generator, seed, count)


@dataclass(frozen=True)
class Place:
    """Where in a file a value stands, for messages."""

    where: str
    field: str = ""

    def at(self, field: str | int) -> Place:
        """The place of a part."""
        name = f"[{field}]" if isinstance(field, int) else f".{field}" if self.field else field
        return replace(self, field=self.field + name)

    def fail(self, got: object, expected: str) -> NoReturn:
        """Raise ValueError: what was found here, and what should have been."""
        shown = repr(got)
        shown = shown if len(shown) <= 80 else shown[:77] + "..."
        raise ValueError(f"{self.where}: field {self.field!r}: got {shown}, expected {expected}")


def text(value: object, place: Place, *, empty: bool = True) -> str:
    """``value`` if it is a string."""
    if not isinstance(value, str) or (not empty and not value.strip()):
        place.fail(value, "a string" if empty else "a string that is not empty")
    return value


def one_of(value: object, known: Sequence[str], place: Place) -> str:
    """``value`` if it is one of ``known``."""
    if value not in known:
        place.fail(value, f"one of {', '.join(known)}")
    return cast("str", value)


def flag(value: object, place: Place) -> bool:
    """``value`` if it is true or false."""
    if not isinstance(value, bool):
        place.fail(value, "true or false")
    return value


def items(value: object, place: Place) -> list[tuple[Any, Place]]:
    """The items of a list with their places."""
    if not isinstance(value, list):
        place.fail(value, "a list")
    return [(item, place.at(position)) for position, item in enumerate(cast("list[Any]", value))]


def mapping(value: object, place: Place, known: Iterable[str], required: Iterable[str]) -> dict[str, Any]:
    """``value`` if it is an object with the required fields and no unknown one."""
    if not isinstance(value, dict):
        place.fail(value, "an object")
    found = cast("dict[str, Any]", value)
    for name in required:
        if name not in found:
            place.at(name).fail(None, "a value: the field is missing")
    for name in found:
        if name not in known:
            place.at(name).fail(found[name], f"no such field, but some of {', '.join(known)}")
    return found


def _call(record: Mapping[str, Any], place: Place, language: str, hidden: bool) -> CallTest:
    found = items(record["arguments"], place.at("arguments"))
    expected: Any = record["expected"]
    if language == "q":
        arguments: tuple[Any, ...] = tuple(text(item, at, empty=False) for item, at in found)
        expected = text(expected, place.at("expected"), empty=False)
    else:
        arguments = tuple(item for item, _ in found)
    comparison = one_of(record.get("comparison", "loose"), COMPARISONS, place.at("comparison"))
    return CallTest(arguments, expected, cast("Any", comparison), hidden)


def _text(record: Mapping[str, Any], place: Place, language: str, hidden: bool) -> TextTest:
    if language != "q":
        place.at("kind").fail("text", "call or assertion: console text is for q problems")
    if ("arguments" in record) == ("expression" in record):
        place.at("arguments").fail(record.get("arguments"), "either arguments or an expression")
    expected = text(record["expected"], place.at("expected"))
    if "expression" in record:
        return TextTest(expected, None, text(record["expression"], place.at("expression"), empty=False), hidden)
    found = items(record["arguments"], place.at("arguments"))
    return TextTest(expected, tuple(text(item, at, empty=False) for item, at in found), None, hidden)


def _assertion(record: Mapping[str, Any], place: Place, language: str, hidden: bool) -> AssertionTest:
    if language != "python":
        place.at("kind").fail("assertion", "call or text: assertions are for python problems")
    call = record.get("call")
    name = None if call is None else text(call, place.at("call"), empty=False)
    code = text(record["code"], place.at("code"), empty=name is not None)
    return AssertionTest(code, text(record.get("prelude", ""), place.at("prelude")), name, hidden)


_KINDS: dict[str, tuple[Callable[..., Test], tuple[str, ...], tuple[str, ...]]] = {
    "call": (_call, ("arguments", "expected"), ("comparison",)),
    "text": (_text, ("expected",), ("arguments", "expression")),
    "assertion": (_assertion, ("code",), ("prelude", "call")),
}


def _test(value: object, place: Place, language: str) -> Test:
    if not isinstance(value, dict):
        place.fail(value, "an object such as {'kind': 'call', 'arguments': ['1 2'], 'expected': '3'}")
    kind = one_of(cast("dict[str, Any]", value).get("kind"), tuple(_KINDS), place.at("kind"))
    build, required, optional = _KINDS[kind]
    record = mapping(cast("object", value), place, ("kind", *required, *optional, "hidden"), required)
    return build(record, place, language, flag(record.get("hidden", True), place.at("hidden")))


def _generator(value: object, place: Place) -> tuple[draws.Draw, ...]:
    found: list[draws.Draw] = []
    for item, at in items(value, place):
        draws.check(item, f"{at.where}: field {at.field!r}")
        found.append(item)
    return tuple(found)


def _texts(value: object, place: Place) -> tuple[str, ...]:
    return tuple(text(item, at, empty=False) for item, at in items(value, place))


def from_record(record: object, where: str) -> Problem:
    """The problem of a JSON object; ``where`` (file and line) is for messages. Raises ValueError."""
    place = Place(where)
    found = mapping(record, place, (*REQUIRED, *OPTIONAL), REQUIRED)
    language = one_of(found["language"], LANGUAGES, place.at("language"))
    tests = tuple(_test(item, at, language) for item, at in items(found["tests"], place.at("tests")))
    if not tests:
        place.at("tests").fail([], "at least one test")
    return Problem(
        id=text(found["id"], place.at("id"), empty=False),
        description=text(found["description"], place.at("description"), empty=False),
        entry_point=text(found["entry_point"], place.at("entry_point"), empty=False),
        language=cast("Language", language),
        tests=tests,
        references=_texts(found.get("references", []), place.at("references")),
        generator=_generator(found.get("generator", []), place.at("generator")),
        tags=_texts(found.get("tags", []), place.at("tags")),
        split=one_of(found.get("split", "train"), SPLITS, place.at("split")),
        starter=text(found.get("starter", ""), place.at("starter")),
        source=text(found.get("source", ""), place.at("source")),
        evaluation_only=flag(found.get("evaluation_only", False), place.at("evaluation_only")),
    )


def _test_record(test: Test) -> dict[str, Any]:
    if isinstance(test, CallTest):
        record: dict[str, Any] = {"kind": "call", "arguments": list(test.arguments), "expected": test.expected}
        return (
            record | ({} if test.comparison == "loose" else {"comparison": test.comparison}) | {"hidden": test.hidden}
        )
    if isinstance(test, TextTest):
        asked = {"expression": test.expression} if test.arguments is None else {"arguments": list(test.arguments)}
        return {"kind": "text", **asked, "expected": test.expected, "hidden": test.hidden}
    call = {} if test.call is None else {"call": test.call}
    return {"kind": "assertion", "code": test.code, "prelude": test.prelude, **call, "hidden": test.hidden}


def to_record(problem: Problem) -> dict[str, Any]:
    """The JSON object of a problem; what is empty is left out."""
    optional = {
        "references": list(problem.references),
        "generator": list(problem.generator),
        "tags": list(problem.tags),
        "starter": problem.starter,
        "source": problem.source,
        "evaluation_only": problem.evaluation_only,
    }
    return {
        "id": problem.id,
        "description": problem.description,
        "entry_point": problem.entry_point,
        "language": problem.language,
        "split": problem.split,
        "tests": [_test_record(test) for test in problem.tests],
        **{name: value for name, value in optional.items() if value},
    }


def parse_line(line: str, where: str) -> Any:
    """The JSON value of a line. Raises ValueError that names ``where``."""
    try:
        return json.loads(line)
    except json.JSONDecodeError as error:
        raise ValueError(
            f"{where}: not JSON ({error.msg} at column {error.colno}); expected one object a line"
        ) from None


def read(path: Path) -> list[Problem]:
    """All problems of a JSON Lines file, in order. Raises ValueError naming file, line and field."""
    if not path.is_file():
        raise ValueError(f"{path}: no such file; expected problems as JSON Lines")
    problems: list[Problem] = []
    lines: dict[str, int] = {}
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            where = f"{path}, line {number}"
            problem = from_record(parse_line(line, where), where)
            if problem.id in lines:
                Place(where, "id").fail(problem.id, f"a new id: line {lines[problem.id]} has it already")
            lines[problem.id] = number
            problems.append(problem)
    if not problems:
        raise ValueError(f"{path}: holds no problem; expected one JSON object a line")
    return problems


def dumps(problems: Iterable[Problem]) -> str:
    """The text of a file of problems."""
    return "".join(json.dumps(to_record(problem), ensure_ascii=False) + "\n" for problem in problems)


def write(path: Path, problems: Iterable[Problem]) -> None:
    """Write a file of problems, whole or not at all."""
    content = dumps(problems)
    replace_file(path, lambda scratch: scratch.write_text(content, encoding="utf-8"))
