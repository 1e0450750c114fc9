"""Does `check source` pass our own sources, and find each planted fault under exactly the rule that names it?

Real sockets with mutual TLS, on uvloop as in production.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
import source_spoiled as spoiled
import uvloop
from source_checked import HELD, KNOWN, WITHHELD, Network, Spoil, answering, checked, searchset, source, wall

from source_sim.checking import reading, source_rules
from source_sim.checking.calling import Caller, Said, Unreachable
from source_sim.checking.findings import Report, Verdict
from source_sim.offered import Kind
from source_sim.requesters import SEARCHES, Ask


def of(about: str) -> frozenset[str]:
    return frozenset(rule for rule in source_rules.RULES if rule.startswith(f"{about}-"))


def complaints(report: Report) -> frozenset[str]:
    return report.of(Verdict.FAIL) | report.of(Verdict.WARN)


def look(network: Network, kind: Kind = Kind.GP_PRACTICE, changed: dict[str, Any] | None = None, **more: Any) -> Report:
    async def act() -> Report:
        async with source(network, kind, **more) as subject:
            return await checked(network, subject, **(changed or {}))

    return uvloop.run(act())


# --- our own ---------------------------------------------------------------------------------------------------------

UNTRIED = {
    Kind.GP_PRACTICE: frozenset(),
    Kind.PHARMACY: of("message") | {"search-scope"},
    Kind.HOSPITAL: of("search") | of("voucher") | {"message-once", "message-altered"},
}
"""What cannot be seen at each kind of system: who holds nothing is asked nothing."""


@pytest.mark.parametrize("kind", HELD)
def test_our_own_pass_entirely(network: Network, kind: Kind) -> None:
    report = look(network, kind)
    assert complaints(report) == frozenset()
    assert report.conforms
    assert report.of(Verdict.NOT_TRIED) - {"tls-version"} == UNTRIED[kind]


def test_no_patient_stands_in_a_report(network: Network) -> None:
    report = look(network, spoil=answering(lambda scope, status, headers, body: (500, headers, body)))
    told = " ".join(one.saw for one in report.findings)
    assert complaints(report)
    assert KNOWN not in told
    assert WITHHELD not in told


def a_decimal(network: Network) -> str:
    """A decimal that ends in a nought, as our practice wrote it."""

    async def act() -> str:
        async with source(network) as subject, Caller(subject, network.papers) as caller:
            token = network.pen.search(Said(KNOWN, subject.application, wall(), "REG-1", "covering"))
            heard = await caller.search(SEARCHES[Ask.GP_SUMMARY][0], KNOWN, token)
        numbers = reading.read(heard.body, "Bundle").numbers()
        return next(one for one in numbers if re.fullmatch(r"[0-9]+\.[0-9]*0", one))

    return uvloop.run(act())


def test_a_decimal_is_found_as_it_was_recorded(network: Network) -> None:
    told = a_decimal(network)
    assert complaints(look(network, changed={"decimal": told})) == frozenset()
    dropping = look(network, changed={"decimal": told}, spoil=searchset(spoiled.rounded))
    assert complaints(dropping) == {"search-decimals"}


def test_nobody_at_the_address(network: Network) -> None:
    with pytest.raises(Unreachable):
        look(network, changed={"endpoint": "https://127.0.0.1:1/fhir"})


# --- planted faults --------------------------------------------------------------------------------------------------

Options = Callable[[Network], dict[str, Any]]


@dataclass(frozen=True)
class Planted:
    """A fault of a source, how to plant it, and the rules that must complain, no others."""

    name: str
    found: frozenset[str]
    kind: Kind = Kind.PHARMACY
    spoil: Spoil | None = None
    options: Options = field(default=lambda network: {})
    changed: dict[str, Any] = field(default_factory=dict)

    def options_of(self, network: Network) -> dict[str, Any]:
        return self.options(network) | ({"spoil": self.spoil} if self.spoil else {})


def planted(name: str, *found: str, **more: Any) -> Planted:
    return Planted(name, frozenset(found), **more)


def believing(change: Any) -> Options:
    return lambda network: {"spoil": spoiled.believing(network, change)}


PRACTICE = Kind.GP_PRACTICE
FAULTS = (
    planted("another organisation's certificate", "tls-organisation", options=lambda on: {"tls": on.tls("post")}),
    planted("asks for no client certificate", "tls-client-certificate", "tls-other-party",
            options=lambda on: {"tls": on.tls(demanded=False), "gateway_ura": None}),
    planted("lets other participants in", "tls-other-party", options=lambda on: {"gateway_ura": None}),
    planted("another FHIR", "ping", spoil=answering(spoiled.old_fhir)),
    planted("asks for no voucher", "voucher-absent", options=lambda on: {"spoil": spoiled.no_voucher(on)}),
    planted("believes any signature", "voucher-signature", options=believing(spoiled.any_signature)),
    planted("believes vouchers for others", "voucher-audience", options=believing(spoiled.any_audience)),
    planted("believes old vouchers", "voucher-expired", options=believing(spoiled.any_time)),
    planted("does not compare the patient", "voucher-patient", options=believing(spoiled.any_patient)),
    planted("believes any signature on a message", "voucher-signature", "message-voucher", kind=PRACTICE,
            options=believing(spoiled.any_signature)),
    planted("refuses in HTML", "refusal-form", spoil=answering(spoiled.html_refusals)),
    planted("answers in HTML", "search-media", spoil=answering(spoiled.html)),
    planted("calls the unknown not found", "search-unknown", spoil=answering(spoiled.not_found)),
    planted("counts what it includes", "search-total", spoil=searchset(lambda one: one | {"total": 99})),
    planted("gives an entry twice", "search-unique", spoil=spoiled.entries(spoiled.twice)),
    planted("calls an include a match", "search-type", spoil=spoiled.entries(spoiled.all_match)),
    planted("does not say whose it is", "search-patient", spoil=spoiled.entries(spoiled.without_patient)),
    planted("brings somebody else", "search-patient", spoil=spoiled.entries(spoiled.stranger_in)),
    planted("computes in floating point", "search-decimals", spoil=searchset(spoiled.floating), kind=PRACTICE),
    planted("writes the BSN in link.self", "search-urls", spoil=searchset(spoiled.bsn_in_link)),
    planted("pages", "search-whole", spoil=searchset(spoiled.paging)),
    planted("gives privacy consents", "search-scope", spoil=spoiled.entries(spoiled.privacy), kind=PRACTICE),
    planted("answers GET", "search-get", spoil=spoiled.get_too),
    planted("ignores what it does not know", "search-parameter", spoil=spoiled.reading_form(spoiled.ignoring)),
    planted("gives somebody", "search-somebody", spoil=spoiled.reading_form(spoiled.everybody)),
    planted("falls over a large form", "search-large-form", spoil=spoiled.falling_over),
    planted("is slow", "search-speed", spoil=spoiled.slow(0.06), changed={"deadline": 0.05}),
    planted("withholds without saying so", "search-withheld", spoil=answering(spoiled.bare_403)),
    planted("says no AORTA-ID", "search-chain", spoil=answering(spoiled.mute)),
    planted("says another's AORTA-ID", "search-chain", spoil=answering(spoiled.other_chain)),
    planted("repeats a name in JSON", "search-bundle", spoil=searchset(spoiled.repeated_name)),
    planted("serves what it does not name", "ping-searches", spoil=answering(spoiled.silent_statement)),
    planted("takes a message twice", "message-once", "message-altered", kind=PRACTICE, spoil=spoiled.forgetful),
    planted("calls a repeat a conflict", "message-again", kind=PRACTICE, spoil=spoiled.conflict),
    planted("breaks for the known", "search-known", spoil=answering(spoiled.broken_for_the_known)),
    planted("breaks for other types", "search-other-type", spoil=answering(spoiled.broken_for_other_types)),
    planted("sends a type FHIR does not have", "search-read", spoil=spoiled.entries(spoiled.unheard_of)),
    planted("breaks for long messages", "message-large", kind=PRACTICE,
            spoil=answering(spoiled.broken_for_long_messages)),
    planted("takes nothing", "message-taken", "message-large", kind=PRACTICE, spoil=answering(spoiled.takes_nothing)),
    planted("takes garbage", "message-garbage", kind=PRACTICE, spoil=answering(spoiled.taken_as_200)),
)  # fmt: skip


@pytest.mark.parametrize("one", FAULTS, ids=[one.name for one in FAULTS])
def test_a_planted_fault_is_found_by_its_rule(network: Network, one: Planted) -> None:
    assert complaints(look(network, one.kind, one.changed, **one.options_of(network))) == one.found


def test_an_outdated_listener_is_found_where_it_can_be(network: Network) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        options = spoiled.outdated(network)
    # a machine that cannot speak TLS 1.1 itself says so, and never that all is well
    able = "tls-version" not in look(network, Kind.HOSPITAL).of(Verdict.NOT_TRIED)
    found = look(network, Kind.HOSPITAL, tls=options).of(Verdict.FAIL if able else Verdict.NOT_TRIED)
    assert "tls-version" in found


def test_every_rule_has_a_planted_fault() -> None:
    """A rule that nothing can break proves nothing."""
    found = frozenset().union(*(one.found for one in FAULTS))
    assert frozenset(source_rules.RULES) == found | {"tls-version"}  # which has a test of its own above
