"""Who signs for a check of a source? The exchange's own key, through the code that signs for it at work."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

from gateway.cli.place import Misuse
from gateway.fhir.answers import read_answer
from gateway.identity.tokens import SigningKey
from gateway.rules.exchange import (
    Category,
    Contact,
    ContactKind,
    Failure,
    Professional,
    Purpose,
    Query,
    Requester,
    Situation,
)
from gateway.rules.identifiers import ApplicationId, Bsn, Ura
from gateway.rules.message import Sender
from gateway.rules.table import ROWS
from source_sim.checking.calling import Reads, Said

_ACTOR = Professional("900000101", "Test Controle", "01.015")


@dataclass(frozen=True, slots=True)
class ExchangePen:
    """Signs with `key` as `issuer`; `sender` is the URA on whose behalf is asked and sent, `type_` its type."""

    key: SigningKey = field(repr=False)
    issuer: str
    sender: str
    type_: str

    def search(self, said: Said) -> str:
        requester = Requester(Ura(self.sender), "Test", self.type_, ApplicationId("1"), actor=_ACTOR)
        # the voucher takes the patient from the question, and nothing else
        query = Query(Category.GP_SUMMARY, "Bundle", Bsn(said.patient), "")
        return self.key.voucher(
            requester,
            _situation(said),
            query,
            audience=ApplicationId(said.audience),
            rule=said.rule,
            view=said.view or None,
            issuer=self.issuer,
            request_id=str(uuid4()),
            wall=said.wall,
        )

    def delivery(self, said: Said) -> str:
        situation = _situation(said)
        sender = Sender(Ura(self.sender), ApplicationId("1"), None, _ACTOR, None, "", situation)
        return self.key.delivery_voucher(
            sender,
            Bsn(said.patient),
            audience=ApplicationId(said.audience),
            row=next(row for row in ROWS if row.id == said.rule),
            issuer=self.issuer,
            request_id=str(uuid4()),
            wall=said.wall,
        )


def _situation(said: Said) -> Situation:
    emergency = said.rule.startswith("EMA")
    met = Contact(str(uuid4()), ContactKind.VISIT, said.wall - timedelta(minutes=5))
    return Situation(Purpose.ETREAT if emergency else Purpose.TREAT, met, cover=not emergency)


def pen(path: Path, issuer: str, sender: str, type_: str) -> ExchangePen:
    """The pen whose key is in this PEM file. Raises Misuse."""
    try:
        return ExchangePen(SigningKey(path.read_bytes()), issuer, sender, type_)
    except (OSError, ValueError) as wrong:
        raise Misuse(f"{path} holds no P-256 signing key") from wrong


def reader(endpoint: str) -> Reads:
    """What the exchange itself makes of a body that came from this endpoint."""

    def reads(body: bytes, bsn: str, resource_type: str) -> str:
        found = read_answer(body, patient=Bsn(bsn), resource_type=resource_type, endpoint=endpoint)
        return f"{found.failing}: {found.detail}" if isinstance(found, Failure) else ""

    return reads
