"""Does the README's table of NEN 7513 say what is so? Every field and element it names exists, and no field of who,
whom and why is left out of it."""

from __future__ import annotations

import json
import re
from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from fhir_made import US

from gateway.fhir import auditing
from gateway.rules.exchange import AortaId, PatientKey
from gateway.rules.identifiers import Ura
from gateway.rules.journal import FIELDS, WHO, Audience, Event, Line
from gateway.stores.journal import Kept

README = (Path(__file__).parents[2] / "README.md").read_text("utf-8")
AT = datetime(2026, 1, 3, 2, 30, tzinfo=UTC)
CHAIN = AortaId("0b0e2f2a-4b44-4c3b-9c55-1f6f0a7b2d11", "7d3a5f5e-58c3-4a53-a9c4-b0f4e6f3a001")
ASKED = 18
"""How many things the norm asks of a log at the least: fewer rows, and something was lost from the table."""


def table() -> dict[str, tuple[list[str], list[str]]]:
    """What is asked, to the journal's fields and the AuditEvent's elements."""
    rows = re.search(r"\| NEN 7513 asks \|.*?\n\n", README, re.S)
    assert rows, "the table is gone"
    cells = [row.strip("|").split("|") for row in rows[0].strip().splitlines()[2:]]
    return {
        asked.strip(): (re.findall(r"`([^`]+)`", journal), re.findall(r"`([^`]+)`", event))
        for asked, journal, event in cells
    }


ROWS = table()
KNOWN = {name for event in Event for name in FIELDS[event]}
OF_THE_LINE = {field.name for kind in (Line, Kept) for field in fields(kind)} - {"fields", "line"}


def elements(value: Any, path: str = "") -> set[str]:
    """Every path of an AuditEvent, lists passed through."""
    if isinstance(value, list):
        return {found for one in value for found in elements(one, path)}
    here = {path} if path else set()
    if isinstance(value, dict):
        here |= {found for name, one in value.items() for found in elements(one, f"{path}.{name}".lstrip("."))}
    return here


def shown() -> set[str]:
    """What AuditEvents of all events have between them, with everything filled in."""
    found: set[str] = set()
    for event in Event:
        filled = {name: f"value of {name}" for name in FIELDS[event]}
        line = Line(event, AT, AT, CHAIN, PatientKey(b"k" * 12), Ura("90000101"), Ura("90000401"), filled)  # type: ignore[arg-type]
        found |= elements(json.loads(auditing.audit_event(1, line, patient=US, audience=Audience.OPERATOR)))
    return found


SHOWN = shown()


def test_the_table_is_whole() -> None:
    assert len(ROWS) >= ASKED
    assert all(journal and event for journal, event in ROWS.values())


@pytest.mark.parametrize("asked", ROWS)
def test_every_field_named_is_in_the_catalogue(asked: str) -> None:
    assert set(ROWS[asked][0]) <= KNOWN | OF_THE_LINE


@pytest.mark.parametrize("asked", ROWS)
def test_every_element_named_is_in_an_audit_event(asked: str) -> None:
    assert set(ROWS[asked][1]) <= SHOWN


def test_nothing_of_who_whom_and_why_is_left_out() -> None:
    named = {field for journal, _ in ROWS.values() for field in journal}
    situation = {"purpose", "contact", "contact_kind", "cover", "capacity", "attestation", "local_hour"}
    assert situation <= KNOWN
    assert named >= OF_THE_LINE | set(WHO) | situation
    assert named >= {"row", "basis", "view", "category", "interaction", "system", "reason", "by", "reader"}
