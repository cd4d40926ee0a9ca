"""How do several processes collect and race as one? Each takes its share of the conversations; the records are joined.

Trees are drawn by seeds of the question, not of the process, and records stand in the order of the questions: but for
times, several processes leave what one leaves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from trimtab.parallel import Workers
from trimtab.plain import Plain
from trimtab.speculation.actions import TreeShape
from trimtab.speculation.collect import Collector
from trimtab.speculation.collected import Decode, read_collected
from trimtab.speculation.engine.generation import Generation, Round, Seconds
from trimtab.speculation.race import Entry, Turn, Written
from trimtab.speculation.tasks import PromptTask


def question_of(turn: Turn) -> tuple[str, int]:
    """A turn's question, and its number in the conversation."""
    question, _, number = turn.task.partition("/turn")
    return question, int(number or 1)


# -- collected decodes -------------------------------------------------------------------------------------------------


def part_path(out: Path, session: str, rank: int) -> Path:
    """Where process ``rank`` logs until the session's parts are joined; a log like any other, where that was not to be."""
    return out.with_name(f"{out.stem}.{session}.part{rank}.jsonl")


def join_parts(collector: Collector, out: Path, tasks: Sequence[PromptTask], team: Workers) -> None:
    """Append the parts of all processes to the log ``out`` in the order that one process would have written, and remove
    them. Raises ValueError where a part has broken lines (all parts are then kept)."""
    paths = [part_path(out, collector.header.session, rank) for rank in range(team.count)]
    made = read_collected([path for path in paths if path.exists()])
    if made.refused or made.incomplete:
        raise ValueError(
            f"the parts beside {out} cannot be joined: {'; '.join(made.notes())}. They are logs of their own"
        )
    place = {task.task.partition("/turn")[0]: index for index, task in enumerate(tasks)}

    def order(decode: Decode) -> tuple[int, int, int]:
        return decode.answer.decode, place[decode.answer.question], decode.answer.turn

    for decode in sorted(made.decodes, key=order):
        collector.write(decode.rounds, decode.answer)
    for path in paths:
        path.unlink(missing_ok=True)


# -- races -------------------------------------------------------------------------------------------------------------


def gather_turns(mine: Sequence[Turn], tasks: Sequence[PromptTask], team: Workers, folder: Path | None) -> list[Turn]:
    """All turns in the order of ``tasks``, given those of this process's share of them."""
    if team.count == 1:
        return list(mine)
    rows = [[asdict(turn) for turn in mine if question_of(turn)[0] == _name(task)] for task in team.share(tasks)]
    return [Turn(**turn) for turns in team.gather(rows, folder, "turns") for turn in turns]


def gather_race(
    entries: Sequence[Entry], mine: Sequence[Turn], tasks: Sequence[PromptTask], team: Workers, folder: Path | None
) -> None:
    """Let every entry hold the decodes of all turns in the order of ``tasks``, given those of this process's turns."""
    if team.count == 1:
        return
    names = [question_of(turn)[0] for turn in mine]
    rows: list[Plain] = []
    for task in team.share(tasks):
        places = [index for index, name in enumerate(names) if name == _name(task)]
        rows.append([[[_plain(w) for w in entry.decodes_TR[place]] for place in places] for entry in entries])
    gathered = team.gather(rows, folder, "decodes")
    for number, entry in enumerate(entries):
        entry.decodes_TR = [[_written(w) for w in turn] for task in gathered for turn in task[number]]


def _name(task: PromptTask) -> str:
    return task.task.partition("/turn")[0]


def _plain(written: Written) -> dict[str, Plain]:
    """A decode as JSON; trees that were traced are left out."""
    row: dict[str, Plain] = {"tokens": list(written.tokens), "seconds": written.seconds, "generation": None}
    if written.generation is not None:
        made = written.generation
        rounds = [[asdict(r.shape) if r.shape else None, r.drafted, r.accepted, asdict(r.seconds)] for r in made.rounds]
        numbers = {name: getattr(made, name) for name in ("text", "prefill_seconds", "seconds", "reused_tokens")}
        row["generation"] = {
            **numbers,
            "tokens": list(made.tokens),
            "rounds": rounds,
            "drafted_mask": list(made.drafted_mask),
        }
    return row


def _written(row: dict[str, Any]) -> Written:
    """The reverse of ``_plain``."""
    made = row["generation"]
    if made is None:
        return Written(row["tokens"], row["seconds"])
    rounds = [
        Round(TreeShape(**shape) if shape else None, drafted, accepted, Seconds(**seconds))
        for shape, drafted, accepted, seconds in made["rounds"]
    ]
    return Written(row["tokens"], row["seconds"], Generation(**(made | {"rounds": rounds})))
