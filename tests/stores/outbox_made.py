"""Test messages for the outbox's tests: envelopes with everything that must come back."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

from gateway.rules.exchange import (
    AortaId,
    Capacity,
    Contact,
    ContactKind,
    GivenBy,
    PatientKey,
    Professional,
    Purpose,
    Responsible,
    Situation,
    VerbalConsent,
)
from gateway.rules.identifiers import ApplicationId, Ura
from gateway.rules.message import Envelope, MessageEvent, Sender, State
from gateway.stores import outbox
from gateway.stores.outbox import Acceptance, Claimed, Held
from gateway.stores.sealing import Sealed
from gateway.stores.transaction import Transaction

NOON = datetime(2026, 5, 2, 12, tzinfo=UTC)
WALL = datetime(2026, 11, 21, 9, 30, tzinfo=UTC)
LEASE = timedelta(seconds=30)
POST, GP, NEW_GP = Ura("90000401"), Ura("90000101"), Ura("00000102")
PATIENT = PatientKey(b"k" * 12)
DIGEST = b"d" * 32

SENDER = Sender(
    ura=POST,
    application=ApplicationId("007"),
    department=None,
    actor=Professional("900000001", "Testarts Ł\u2028", "01.015"),
    responsible=None,
    certificate="AB12",
    situation=Situation(),
)
FULL_SENDER = replace(
    SENDER,
    department="SEH",
    responsible=Responsible("900000002", 'Test"arts', "01.015", NOON + timedelta(hours=8)),
    situation=Situation(
        purpose=Purpose.ETREAT,
        contact=Contact("c1", ContactKind.TRIAGE, datetime(2026, 5, 2, 13, 0, 0, 7, timezone(timedelta(hours=2)))),
        cover=True,
        capacity=Capacity.REPRESENTED,
        verbal_consent=VerbalConsent("v1", GivenBy.REPRESENTATIVE, NOON - timedelta(minutes=5), None),
    ),
)


def envelope(name: str, *, sender: Sender | None = SENDER, at: datetime = NOON, **other: object) -> Envelope:
    made = Envelope(
        id=f"task-{name}",
        event=MessageEvent.RETURN_MESSAGE,
        message_id=f"message-{name}",
        sender=sender,
        patient=PATIENT,
        recipient=None,
        recipient_system=None,
        accepted=at,
        aorta=AortaId("initial", "request"),
    )
    return replace(made, **other)  # type: ignore[arg-type]


def accept(
    tx: Transaction,
    name: str,
    lane: Ura | None = GP,
    reason: str | None = None,
    *,
    digest: bytes = DIGEST,
    at: datetime = NOON,
    **other: object,
) -> Acceptance:
    sealed = Sealed("key-1", b"sealed " + name.encode())
    return outbox.accept(tx, envelope(name, at=at, **other), digest, sealed, lane=lane, reason=reason)  # type: ignore[arg-type]


def claim(
    tx: Transaction,
    now: datetime = NOON,
    wall: datetime = WALL,
    *,
    claimant: str = "one",
    most: int = 64,
    per_lane: int = 4,
    sick: tuple[Ura, ...] = (),
    busy: dict[Ura, int] | None = None,
) -> list[Claimed]:
    return outbox.claim(
        tx, now=now, wall=wall, claimant=claimant, lease=LEASE, most=most, per_lane=per_lane, sick=sick,
        busy=busy or {},
    )  # fmt: skip


def names(claimed: list[Claimed]) -> list[str]:
    return [one.held.envelope.id.removeprefix("task-") for one in claimed]


def held(tx: Transaction, name: str) -> Held:
    found = outbox.find(tx, f"task-{name}")
    assert found is not None
    return found


def state(tx: Transaction, name: str) -> State:
    return held(tx, name).state


def payloads(tx: Transaction) -> set[str]:
    """The names of the messages whose payload is still there."""
    rows = tx.rows("SELECT o.id FROM payload AS p JOIN outbox AS o ON o.seq = p.message")
    return {str(row[0]).removeprefix("task-") for row in rows}
