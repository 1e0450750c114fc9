"""Does somebody else's source keep to the contract? Plays the exchange at it: good and bad vouchers, and what it hears.

It knows the probes of the connection, the ping and the voucher; searching.py and delivering.py have theirs. It may not
know the exchange's key (a Pen signs) nor read a clock of its own for vouchers: `wall` is given.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Final

from source_sim.admission import ura_of
from source_sim.checking import delivering, forging
from source_sim.checking.calling import Caller, Heard, Papers, Pen, Reads, Said, Subject, Unreachable, outdated
from source_sim.checking.calling import as_nobody as nobody
from source_sim.checking.calling import as_stranger as stranger
from source_sim.checking.findings import Book, Report, Verdict
from source_sim.checking.searching import Asking, questions, search_all
from source_sim.checking.source_rules import RULES

_NOT_HELD: Final = "the source does not hold such a thing, or the check was not told of it"
_OLD: Final = timedelta(minutes=10)
_HTTP_LEFT: Final = frozenset({400, 401, 403})
"""How a server that asks for a certificate only after the handshake turns one away."""


async def check_source(
    subject: Subject, papers: Papers, pen: Pen, wall: Callable[[], datetime], reads: Reads
) -> Report:
    """Try everything. Raises Unreachable when nobody answers at the address, OSError for papers that do not serve."""
    book = Book(RULES)
    async with Caller(subject, papers) as caller:
        asking = Asking(subject, caller, pen, wall, book, reads)
        pinged = await caller.get("/metadata")
        if not pinged.status:
            raise Unreachable(f"{subject.endpoint} gives {pinged}")
        _ping(book, pinged, subject)
        await _connection(asking, papers, pinged)
        await _vouchers(asking)
        await search_all(asking)
        await delivering.deliver_all(asking)
    return Report(
        "source", f"application {subject.application} at {subject.endpoint}", wall(), book.findings(_NOT_HELD)
    )


# --- connection and ping ---------------------------------------------------------------------------------------------


def _ping(book: Book, pinged: Heard, subject: Subject) -> None:
    said = pinged.json
    good = pinged.status == 200 and said.get("resourceType") == "CapabilityStatement"
    current = str(said.get("fhirVersion", "")).startswith("4.0")
    told = f"{pinged}, {said.get('resourceType', 'no FHIR')}, fhirVersion {said.get('fhirVersion', 'not told')}"
    book.judged("ping", good and current, told)
    if good:
        missing = {question.search.resource_type for question in questions(subject)} - _types(said)
        book.note("ping-searches", *_advice(not missing, f"not named: {', '.join(sorted(missing))}", "all are named"))


def _advice(good: bool, otherwise: str, well: str) -> tuple[Verdict, str]:
    return (Verdict.PASS, well) if good else (Verdict.WARN, otherwise)


def _types(statement: Mapping[str, Any]) -> set[str]:
    rest = statement.get("rest")
    servers = [each for each in rest if isinstance(each, dict)] if isinstance(rest, list) else []
    listed = [one for each in servers for one in each.get("resource", []) if isinstance(one, dict)]
    return {str(one.get("type")) for one in listed}


async def _connection(asking: Asking, papers: Papers, pinged: Heard) -> None:
    book, subject = asking.book, asking.subject
    shown = ura_of(pinged.certificate)
    book.judged("tls-organisation", shown == subject.ura, f"the certificate is of {shown or 'no organisation'}")
    await _other_papers(asking, papers)
    old = outdated(papers)
    heard = await asking.with_papers(old) if old is not None else None
    if heard is None or "NO_PROTOCOLS" in heard.problem or "NO_CIPHERS" in heard.problem:
        book.skipped("tls-version", "this machine cannot speak TLS 1.1, so it cannot offer it")
        return
    book.judged("tls-version", not heard.status, f"TLS 1.1 gets {heard}")


async def _other_papers(asking: Asking, papers: Papers) -> None:
    heard = await asking.with_papers(nobody(papers))
    asking.book.judged("tls-client-certificate", _turned_away(heard), f"without a certificate: {heard}")
    if papers.stranger is None:
        asking.book.skipped("tls-other-party", "no other participant's certificate at hand")
        return
    other = await asking.with_papers(stranger(papers))
    said = f"another participant's certificate with a good voucher: {other}"
    asking.book.note("tls-other-party", *_advice(_turned_away(other), said, said))


def _turned_away(heard: Heard) -> bool:
    return not heard.status or heard.status in _HTTP_LEFT


# --- vouchers --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Bad:
    """A voucher that opens nothing: under which rule, what it is called, what it says, and the statuses that fit."""

    rule: str
    name: str
    token: str = field(repr=False)
    statuses: frozenset[int] = frozenset({401, 403})


async def _vouchers(asking: Asking) -> None:
    for question in questions(asking.subject):
        for bad in _bad_ones(asking, question.said(asking)):
            heard = await asking.caller.search(question.search, asking.subject.patient, bad.token)
            told = f"{question.search.resource_type}, {bad.name}: {heard}"
            asking.book.judged(bad.rule, heard.status in bad.statuses, told)
            asking.refusal(heard)


def _bad_ones(asking: Asking, said: Said) -> list[_Bad]:
    subject, sign = asking.subject, asking.pen.search
    good, only = sign(said), frozenset({401})
    elsewhere = str(int(subject.application) + 1)
    return [
        _Bad("voucher-absent", "no voucher", "", only),
        _Bad("voucher-absent", "a bearer that is no voucher", forging.GARBAGE, only),
        _Bad("voucher-expired", "expired nine minutes ago", sign(replace(said, wall=said.wall - _OLD))),
        _Bad("voucher-audience", "meant for another application", sign(replace(said, audience=elsewhere))),
        _Bad("voucher-signature", "signed by a stranger under the exchange's kid", forging.forged(good)),
        _Bad("voucher-signature", "without signature (alg none)", forging.unsigned(good)),
        _Bad("voucher-signature", "patient changed after signing",
             forging.altered(sign(replace(said, patient=subject.unknown)), patient=subject.patient)),
        _Bad("voucher-patient", "about another patient", sign(replace(said, patient=subject.unknown))),
    ]  # fmt: skip
