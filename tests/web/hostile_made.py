"""Where can somebody's text get to? Planted in every field of the journal's catalogue, the register, the choices, the
review, the messages and the acts of operators; and a page's structure, to hold against that of a harmless one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache
from html.parser import HTMLParser
from typing import Any

from desk_made import AtDesk
from exchange_made import US

from gateway.flows import outbox_acts, return_message, reviewing
from gateway.flows.consent import state_choice
from gateway.flows.means import Call
from gateway.flows.operating import switch_regime
from gateway.rules.choice import Choice, Method, Party, Say, Scope
from gateway.rules.exchange import AortaId, Contact, ContactKind, Professional, Regime, Requester, Situation
from gateway.rules.identifiers import ApplicationId, Bsn, Ura, UziNumber
from gateway.rules.journal import FIELDS, Event, Line
from gateway.rules.message import Message, MessageEvent
from gateway.rules.network import Organisation, RegimeSwitch, System
from gateway.rules.reviewing import Verdict
from gateway.stores import journal, register

FULL_OF_TEXT = (
    Event.QUERY_DECIDED,
    Event.QUERY_ANSWERED,
    Event.DISCLOSED,
    Event.QUERY_REFUSED,
    Event.CONSENT_STATED,
    Event.MESSAGE_FAILED,
    Event.OPERATOR_LOOKED,
)
"""What is written of every text; of some texts every event there is."""


@dataclass
class Planted:
    """What was planted, and where it can be looked at: by its place in `texts`."""

    texts: tuple[str, ...]
    chains: list[str] = field(default_factory=list)
    uras: list[str] = field(default_factory=list)
    cases: list[int] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)


def _fields(event: Event, text: str, ura: str) -> dict[str, Any]:
    """Every field the catalogue has for this event, full of this text wherever text can stand."""
    shaped: dict[str, Any] = {
        "organisation": ura,
        "organisation_type": "Z3",
        "completeness": "complete",
        "decisions": [
            {"custodian": ura, "system": text, "outcome": "permitted", "row": text, "basis": "consent", "view": text},
            {"custodian": ura, "system": text, "outcome": text, "reason": text},
        ],
        "legs": [
            {"custodian": ura, "system": text, "outcome": outcome, "ms": 3, "request": text, "detail": text}
            for outcome in ("answered", text)
        ],
        "basis": "presumed-consent",
        "alert": "enrolment-grab",
    }
    numbers = ("ms", "deadline_ms", "bytes", "attempt", "count", "spread_s", "local_hour", "resources", "shown")
    shaped |= dict.fromkeys(numbers, 7)
    shaped |= dict.fromkeys(("cover", "latent", "created", "on", "emergency_only"), True)
    lists = ("regimes", "flags", "dropped", "scope_categories", "scope_requesters", "roles")
    shaped |= {name: [text, text] for name in lists}
    if event is Event.CONSENT_STATED:
        shaped["by"] = [text]
    return {name: shaped.get(name, text) for name in FIELDS[event]}


def _line(event: Event, chain: str, text: str, ura: str, desk: AtDesk) -> Line:
    at = desk.clock()
    patient, about = desk.means.keys.patient(Bsn(US)), Ura(ura)
    return Line(event, at, at, AortaId(chain, chain), patient, about, about, _fields(event, text, ura))


async def plant(
    desk: AtDesk,
    texts: Iterable[str],
    *,
    events: Sequence[Event] = FULL_OF_TEXT,
    every_event: Sequence[int] = (0,),
    one_chain: bool = False,
) -> Planted:
    """Plant each of these texts in everything, and in lines of `events`; of the texts at the places `every_event` in
    lines of every event there is. `one_chain`: as if all were about one call."""
    made = Planted(tuple(texts))
    for place in range(len(made.texts)):
        made.chains.append(f"00000000-0000-4000-8000-{0 if one_chain else place:012}")
        made.uras.append(f"91{place:06}")

    def journaled(tx: Any) -> None:
        for place, text in enumerate(made.texts):
            ura, chain = made.uras[place], made.chains[place]
            register.put_organisation(tx, Organisation(Ura(ura), "Z3", text, frozenset({text}), text))
            number = ApplicationId(str(7_000_000 + place))
            register.put_system(tx, System(number, Ura(ura), UziNumber(f"8{place:08}"), text))
            for event in tuple(Event) if place in every_event else events:
                seq = journal.append(tx, _line(event, chain, text, ura, desk))
                if event is Event.DISCLOSED:
                    made.cases.append(seq)

    await desk.means.ledger.commit(journaled)
    await reviewing.collect(desk.means)
    for place, text in enumerate(made.texts):
        await _acts(desk, made, place, text)
    return made


async def _acts(desk: AtDesk, made: Planted, place: int, text: str) -> None:
    """What people and systems do with it: judge, stop, switch, state a choice, send a message."""
    means, now, ura = desk.means, desk.clock(), Ura(made.uras[place])
    note = text if text.strip() else "."
    await reviewing.judge(means, made.cases[place], Verdict.NOT_IN_ORDER, note, by=text)
    await outbox_acts.stop(means, ura, by=text, reason=text)
    await switch_regime(means, RegimeSwitch(Regime.CRISIS_OPT_IN, True, now, text, text, now + timedelta(days=1)))
    scope = Scope(ura, None, frozenset({text}), emergency_only=True)
    choice = Choice(Bsn(US), scope, Say.NO, None, frozenset({Party.PATIENT}), Method.VERBAL, text, text)
    await state_choice(means, choice, aorta=AortaId(means.new_id(), means.new_id()), sender=None)
    made.messages.append(await _message(desk, text, ura, now))


async def _message(desk: AtDesk, text: str, ura: Ura, now: datetime) -> str:
    """A return message that waits for a road: by whom says the text."""
    means = desk.means
    visit = Contact(text, ContactKind.VISIT, now - timedelta(hours=1))
    sender = Requester(ura, text, "N6", ApplicationId("301"), actor=Professional("000000001", text, "01.015"))
    call = Call(
        AortaId(means.new_id(), means.new_id()), Situation(contact=visit, cover=True), lambda _network: sender, text
    )
    message = Message(means.new_id(), MessageEvent.RETURN_MESSAGE, ura, Bsn(US))
    accepted = await return_message.accept(means, call, message, b"secret content", certificate="AB")
    assert isinstance(accepted, return_message.Accepted)
    return accepted.id


# --- what a page is made of ------------------------------------------------------------------------------------------

Tag = tuple[str, tuple[tuple[str, str], ...]]


class Structure(HTMLParser):
    """A page taken apart: its tags in their order, and what stands between them."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[Tag] = []
        self.between: list[str] = [""]
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, tuple((name, value or "") for name, value in attrs)))
        self.between.append("")

    def handle_endtag(self, tag: str) -> None:
        self.tags.append((f"/{tag}", ()))
        self.between.append("")

    def handle_data(self, data: str) -> None:
        self.between[-1] += data

    def handle_comment(self, data: str) -> None:
        self.tags.append(("!--", (("", data),)))

    def unknown_decl(self, data: str) -> None:
        self.tags.append(("![", (("", data),)))

    def handle_pi(self, data: str) -> None:
        self.tags.append(("?", (("", data),)))


@lru_cache(maxsize=4)
def _taken_apart(page: str) -> Structure:
    """A page many others are held against."""
    return Structure(page)


_SAFE_ADDRESS = re.compile(r"(?:/|\?|#)(?!/)[A-Za-z0-9/?#&=.%_+~-]*|/")
_ADDRESSES = frozenset({"href", "src", "action", "data-live"})
_TOLD = frozenset({"title", "value", "data-label", "aria-label", "alt", "placeholder", "content"})
"""Attributes that hold words: there a text may stand, because a browser only shows it."""


def differences(harmless: str, hostile: str, plain: str, meant: Sequence[str]) -> list[str]:
    """How a page with hostile texts is made otherwise than the same page with `plain` in their place: nothing, when
    every text is words between the same tags. `meant`: what may stand where `plain` stood."""
    before, after = _taken_apart(harmless), Structure(hostile)
    if [tag for tag, _ in before.tags] != [tag for tag, _ in after.tags]:
        at = next((n for n, (a, b) in enumerate(zip(before.tags, after.tags, strict=False)) if a[0] != b[0]), -1)
        return [f"other tags from number {at} on: {after.tags[at]}"]
    found = [wrong for a, b in zip(before.tags, after.tags, strict=True) if (wrong := _attributes(a, b, plain))]
    # a list in the order of its names may have them in other places
    expected = {form for was in set(before.between) for one in ("", *meant) if plain in was or not one
                for form in _forms(was.replace(plain, one) if one else was)}  # fmt: skip
    for was, told in zip(before.between, after.between, strict=True):
        if plain in was and not expected.intersection(_forms(told)):
            found.append(f"words that are neither: {told[:120]!r}")
    return found


def _attributes(before: Tag, after: Tag, plain: str) -> str | None:
    names, told = [name for name, _ in before[1]], dict(after[1])
    if names != [name for name, _ in after[1]]:
        return f"other attributes: {after}"
    for name, value in before[1]:
        if name in _ADDRESSES and not _SAFE_ADDRESS.fullmatch(told[name]):
            return f"an address that leads away: {after}"
        if name not in _ADDRESSES and plain in value and name not in _TOLD:
            return f"a text in an attribute that is more than words: {after}"
    return None


def _even(text: str) -> str:
    """Between tags a browser takes any white space for one space; whatever number stands there counts for nothing."""
    return " ".join(re.sub("[0-9]+", "#", text).split())


def _forms(text: str) -> tuple[str, str]:
    """The words, and as much of them as the label in a picture shows."""
    return _even(text), "cut off: " + re.sub("[0-9]", "#", text.strip()[:LABEL]).strip()


LABEL = 28


def times_told(page: str, plain: str) -> int:
    """How often the harmless text is told in a page: a page that tells it nowhere proves nothing."""
    return sum(words.count(plain) for words in Structure(page).between)
