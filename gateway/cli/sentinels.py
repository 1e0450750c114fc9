"""`switchpoint sentinels`: whom can one ask for without setting anything up? The table, for people and scripts.

The same data plants them, is tested against the running country, and makes the README's table. No running simulation is
needed: they are the same in every one.
"""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from source_sim.sentinel import (
    AMBULANCE_LIMITS,
    AMBULANCE_SUMMARY,
    HOSPITAL_LIMITS,
    HOSPITAL_SUMMARY,
    POST_MEDICATION,
    POST_SUMMARY,
    Answered,
    Question,
    Sentinel,
)
from source_sim.sentinels import SENTINELS

COLUMNS = (
    "sentinel",
    "BSN",
    "stands for",
    "GP post: summary",
    "GP post: medication",
    "in emergencies",
    "return message",
)
ENDS = {"completed": "delivered", "on-hold": "parked", "in-progress": "waits"}
"""What becomes of a return message, by the status its Task comes to."""


def sentinels(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Patients that behave as told in every simulation: who they are, and what asking for them gives."""
    if as_json:
        print(json.dumps([told(one) for one in SENTINELS.values()]))
        return
    table = Table(*COLUMNS, title="Sentinels")
    for one in SENTINELS.values():
        table.add_row(*(escape(cell.replace("`", "")) for cell in cells(one)))
    Console().print(table)


def told(one: Sentinel) -> dict[str, Any]:
    """One sentinel as JSON; an answer is told by requester, category and regime."""
    return {
        "key": one.key,
        "bsn": one.number,
        "stands_for": one.stands_for,
        "answers": [_answer(question, answer) for question, answer in one.answers.items()],
        "return_message": one.returned,
    }


def _answer(question: Question, answer: Answered) -> dict[str, Any]:
    return {
        "requester": question.requester,
        "category": question.category,
        "regime": question.regime or "REGULAR",
        "status": answer.status,
        "completeness": answer.completeness,
        "code": answer.code,
        "sources": [one.ura for one in answer.sources],
        "missing": [{"ura": one.ura, "code": code} for one, code in answer.missing],
        "flags": list(answer.flags),
    }


def cells(one: Sentinel) -> tuple[str, ...]:
    """One line of the table, its codes in backticks."""
    answers = one.answers
    return (
        one.key,
        one.number,
        one.stands_for,
        str(answers[POST_SUMMARY]),
        str(answers[POST_MEDICATION]),
        _in_emergencies(one),
        ENDS[one.returned],
    )


def _in_emergencies(one: Sentinel) -> str:
    """Acute summary and treatment limits under EMERGENCY_AVAILABLE, told once where all four answers are alike."""
    by_requester = {
        "hospital": (one.answers[HOSPITAL_SUMMARY], one.answers[HOSPITAL_LIMITS]),
        "ambulance": (one.answers[AMBULANCE_SUMMARY], one.answers[AMBULANCE_LIMITS]),
    }
    said = {who: _both(*answers) for who, answers in by_requester.items()}
    if len(set(said.values())) == 1:
        return next(iter(said.values()))
    return "; ".join(f"{who}: {text}" for who, text in said.items())


def _both(summary: Answered, limits: Answered) -> str:
    return str(summary) if summary == limits else f"{summary}; limits: {limits}"


def markdown() -> str:
    """The table as it stands in the README, between its markers."""
    lines = [COLUMNS, ("---",) * len(COLUMNS), *(cells(one) for one in SENTINELS.values())]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
