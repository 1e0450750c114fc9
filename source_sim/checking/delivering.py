"""How does a source take messages? Once, again, altered, with bad vouchers, garbage and a megabyte.

It knows the delivery of interface.md section 5, and how a practice's next summary shows what it took. It may not know
the inside of any inbox: what a summary does not show, is left to whoever runs the system.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Final
from uuid import uuid4

from source_sim import cases, messages, population, requesters, senders
from source_sim.checking import forging
from source_sim.checking.calling import Heard, Said
from source_sim.checking.searching import Asking, Question, questions
from source_sim.country import Participant
from source_sim.messages import Occasion

EVENTS: Final = ("return-message", "referral")
_TAKEN: Final = frozenset({200, 202})
_LARGE: Final = 400_000
_RULES: Final = {"return-message": "RET-1", "referral": "REF-1"}
_PROBES: Final = (
    "message-taken", "message-again", "message-once", "message-altered", "message-voucher", "message-garbage",
    "message-large",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Post:
    """Messages of one test organisation for the source under test, about the known patient."""

    asking: Asking = field(repr=False)
    id: str
    mark: str
    """Words that stand in this message and nowhere else."""

    def said(self) -> Said:
        subject = self.asking.subject
        return Said(subject.patient, subject.application, self.asking.wall(), _RULES[subject.message])

    async def bring(self, message: bytes) -> Heard:
        """With a good voucher."""
        return await self.asking.caller.bring(message, self.asking.pen.delivery(self.said()))

    def written(self, mark: str = "", id: str = "") -> bytes:
        subject, asking = self.asking.subject, self.asking
        patient = population.person(subject.patient, asking.wall().date())
        letters = subject.message == "referral"
        sender = Participant("check", asking.pen.sender, "400301", "Z3" if letters else "N6", "Test Controlepost")
        case = cases.CHEST_PAIN if letters else cases.CYSTITIS
        told = replace(case.complaint, lines=(f"Controle {mark or self.mark}.", *case.complaint.lines[1:]))
        author = senders.own_gp if letters else requesters.gp_post
        at = asking.wall() - timedelta(hours=1)
        occasion = Occasion(id or self.id, at, patient, sender, author, replace(case, complaint=told))
        to = Participant("", subject.ura, subject.application, "", "Test Ontvanger")
        return messages.referral(occasion, to) if letters else messages.return_message(occasion)


async def deliver_all(asking: Asking) -> None:
    """Every probe of a message; without an event to send, all are left untried."""
    if not asking.subject.message:
        for rule in _PROBES:
            asking.book.skipped(rule, "the source offers no $process-message")
        return
    post = _Post(asking, str(uuid4()), uuid4().hex[:12])
    await _vouchers(post)
    first = post.written()
    taken = await post.bring(first)
    asking.book.judged("message-taken", taken.status in _TAKEN, f"delivered: {taken}")
    if taken.status in _TAKEN:
        await _again(post, first)
    await _garbage(post)
    await _large(post)


async def _vouchers(post: _Post) -> None:
    """Before the message was ever taken, so that no refusal is that of a repeat."""
    asking, message, said = post.asking, post.written(), post.said()
    sign, subject = asking.pen.delivery, asking.subject
    bad = {
        "no voucher": "",
        "signed by a stranger": forging.forged(sign(said)),
        "meant for another application": sign(replace(said, audience=str(int(subject.application) + 1))),
        "expired": sign(replace(said, wall=said.wall - timedelta(minutes=10))),
        "about another patient": sign(replace(said, patient=subject.unknown)),
    }
    for name, token in bad.items():
        heard = await asking.caller.bring(message, token)
        asking.book.judged("message-voucher", heard.status in (401, 403), f"{name}: {heard}")
        asking.refusal(heard)


async def _again(post: _Post, message: bytes) -> None:
    book, altered = post.asking.book, uuid4().hex[:12]
    again = await post.bring(message)
    book.judged("message-again", again.status in _TAKEN, f"the same bytes again: {again}")
    changed = await post.bring(post.written(altered))
    shown, told = await _shown(post, altered), f"other bytes under its id: {changed}"
    if shown is None or not (shown.first or shown.second):
        look = f"look in the inbox: message {post.id} must be there once, without the word {altered}"
        book.skipped("message-once", f"no summary shows it; {look}")
    else:
        book.judged("message-once", shown.first <= 1, f"its words stand {shown.first} time(s) in the next summary")
    if changed.status not in _TAKEN:
        book.judged("message-altered", 400 <= changed.status < 500, told)
    elif shown is None or not (shown.first or shown.second):
        book.skipped("message-altered", f"{told}, and no summary shows what became of it")
    else:
        book.judged("message-altered", not shown.second, f"{told}; shown in the next summary: {bool(shown.second)}")


@dataclass(frozen=True, slots=True)
class _Shown:
    """How often the words of the message, and of the altered one, stand in the next summary."""

    first: int
    second: int


async def _shown(post: _Post, altered: str) -> _Shown | None:
    """None when there is no summary to look in."""
    asked: list[Question] = [one for one in questions(post.asking.subject) if one.view == "covering"]
    heard = await post.asking.ask(asked[0]) if asked else None
    if heard is None or heard.status != 200:
        return None
    return _Shown(*(_times(heard, f"Controle {mark}.") for mark in (post.mark, altered)))


def _times(heard: Heard, words: str) -> int:
    """How often the words stand in the summary: in resources of one type, since a line may be told and quoted."""
    documents = [entry.get("resource", {}) for entry in heard.json.get("entry", [])]
    inside = [inner.get("resource", {}) for one in documents for inner in one.get("entry", [])]
    return max(Counter(one.get("resourceType") for one in inside if words in str(one)).values(), default=0)


async def _garbage(post: _Post) -> None:
    bodies = {
        "no JSON": b"<message/>",
        "half a message": post.written(id=str(uuid4()))[:300],
        "a Bundle that is no message": b'{"resourceType":"Bundle","type":"collection","entry":[]}',
    }
    for name, body in bodies.items():
        heard = await post.bring(body)
        post.asking.book.judged("message-garbage", 400 <= heard.status < 500, f"{name}: {heard}")
        post.asking.refusal(heard)


async def _large(post: _Post) -> None:
    message = post.written(mark="x" * _LARGE, id=str(uuid4()))
    heard = await post.bring(message)
    fits = heard.status in _TAKEN or heard.status == 413
    post.asking.book.judged("message-large", fits, f"{len(message) / 1_000_000:.1f} MB: {heard}")
