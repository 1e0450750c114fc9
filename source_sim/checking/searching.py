"""How does a source answer searches? Every type it should hold, strangers, bad forms, and what comes back.

It knows the searches of interface.md sections 4 and 5. It may not judge a body: reading.py does.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, NamedTuple

from source_sim.checking import reading
from source_sim.checking.calling import Caller, Heard, Pen, Reads, Said, Subject
from source_sim.checking.findings import Book, Verdict
from source_sim.requesters import SEARCHES, Ask, Search

_FHIR_JSON: Final = frozenset({"application/fhir+json", "application/json"})
_OF_THE_BODY: Final = (
    "search-media", "search-bundle", "search-type", "search-total", "search-unique", "search-patient",
    "search-decimals", "search-scope",
)  # fmt: skip
_ON_TIME: Final = 0.5
"""Which part of the deadline a good source leaves to the network and the exchange."""
_FAR_TOO_LARGE: Final = 1_000_000
_NO_TYPE: Final = "Slot"
_NO_METHOD: Final = 501
"""What a server says that knows no GET at all."""
_WITHHELD: Final = frozenset({"withheld", "no-consent"})


class Question(NamedTuple):
    """One search with the rule and view that its voucher names."""

    search: Search
    rule: str
    view: str = ""

    def said(self, asking: Asking, bsn: str = "") -> Said:
        """What a good voucher for this question says, issued now, about `bsn` (empty: the known patient)."""
        subject = asking.subject
        return Said(bsn or subject.patient, subject.application, asking.wall(), self.rule, self.view)

    def __str__(self) -> str:
        return f"{self.search.resource_type}{f' ({self.view} view)' if self.view else ''}"


_ROWS: Final = {
    Ask.GP_SUMMARY: (("REG-1", "covering"), ("EMA-1", "acute")),
    Ask.MEDICATION: (("REG-2", ""),),
    Ask.ALLERGIES: (("REG-2", ""),),
    Ask.TREATMENT_LIMITS: (("EMA-1", ""),),
}
"""Under which row, and in which view, each category is asked for (domain.md section 4)."""


def questions(subject: Subject) -> list[Question]:
    """Every search about what the source should hold. Raises ValueError for a category that cannot be asked for."""
    asked = [Ask(category) for category in subject.categories]
    return [Question(search, *row) for one in asked for row in _ROWS[one] for search in SEARCHES[one]]


@dataclass(frozen=True, slots=True)
class Asking:
    """A check under way: at whom, how, and the book it is noted in."""

    subject: Subject
    caller: Caller
    pen: Pen = field(repr=False)
    wall: Callable[[], datetime] = field(repr=False)
    book: Book = field(repr=False)
    reads: Reads = field(repr=False)

    async def ask(self, question: Question, bsn: str = "", more: tuple[tuple[str, str], ...] = ()) -> Heard:
        """Ask with a good voucher about `bsn` (empty: the known patient)."""
        token = self.pen.search(question.said(self, bsn))
        return await self.caller.search(question.search, bsn or self.subject.patient, token, more=more)

    async def with_papers(self, context: ssl.SSLContext) -> Heard:
        """A good question (or a ping, when nothing is held) on a connection with other papers."""
        asked = questions(self.subject)
        search, row = (asked[0].search, asked[0]) if asked else (_PING, Question(_PING, "REG-1"))
        token = self.pen.search(row.said(self))
        return await self.caller.as_somebody(context, search, self.subject.patient, token)

    def refusal(self, heard: Heard) -> None:
        """A refusal is an OperationOutcome in FHIR JSON; what came without HTTP is no refusal."""
        if heard.status >= 400:
            good = heard.is_outcome and heard.media in _FHIR_JSON
            missing = "" if heard.is_outcome else ", no OperationOutcome"
            told = f"{heard.status} with {heard.media or 'no media type'}{missing}"
            self.book.note("refusal-form", Verdict.PASS if good else Verdict.WARN, told)


_PING: Final = Search("Bundle", "composition.patient.identifier")


async def search_all(asking: Asking) -> None:
    """Every probe of a search, and the answers judged."""
    for question in questions(asking.subject):
        await _known(asking, question)
        await _strangers(asking, question)
        await _bad_forms(asking, question)
    if any(questions(asking.subject)):
        await _once_per_source(asking, questions(asking.subject)[0])
    if asking.subject.withheld:
        await _withheld(asking)


async def _known(asking: Asking, question: Question) -> None:
    heard, book = await asking.ask(question), asking.book
    book.judged("search-known", heard.status == 200, f"{question}: {heard}")
    if heard.status != 200:
        return
    _in_time(asking, question, heard)
    _chain(book, question, heard)
    media = heard.headers.get("content-type", "none")
    book.judged("search-media", heard.media in _FHIR_JSON, f"{question}: {media}")
    broken = _judge_body(asking, question, heard.body, asking.subject.patient)
    said = asking.reads(heard.body, asking.subject.patient, question.search.resource_type)
    if not (said and broken):  # what a rule of its own names is not told twice
        book.judged("search-read", not said, f"{question}: {said or 'read'}")


def _in_time(asking: Asking, question: Question, heard: Heard) -> None:
    told, limit = f"{question}: {heard.seconds:.2f} s", asking.subject.deadline
    late = Verdict.FAIL if heard.seconds > limit else Verdict.WARN
    asking.book.note("search-speed", Verdict.PASS if heard.seconds <= _ON_TIME * limit else late, told)


def _chain(book: Book, question: Question, heard: Heard) -> None:
    came = "none came back" if not heard.chain else "another came back"
    told = "as sent" if heard.chain == heard.sent_chain else came
    book.judged("search-chain", heard.chain == heard.sent_chain, f"{question}: {told}")


def _judge_body(asking: Asking, question: Question, body: bytes, bsn: str) -> bool:
    """Note every breach in the body; whether there is one."""
    book, type_ = asking.book, question.search.resource_type
    try:
        page = reading.read(body, type_)
    except reading.Unreadable as unreadable:
        book.failed("search-bundle", f"{question}: {unreadable}")
        return True
    found = list(reading.wrongs(page, bsn))
    for wrong in found:
        book.failed(wrong.rule, f"{question}: {wrong.saw}")
    for rule in (*_OF_THE_BODY[1:], "search-urls"):
        if rule not in {wrong.rule for wrong in found} and _applies(rule, page):
            book.passed(rule, f"{question}: {len(page.matches)} found")
    paged = f"{question}: {'a next link' if page.pages else 'one page'}"
    book.note("search-whole", Verdict.WARN if page.pages else Verdict.PASS, paged)
    _decimal(asking, page)
    return bool(found)


def _applies(rule: str, page: reading.Page) -> bool:
    if rule == "search-decimals":
        return any("." in number for number in page.numbers())
    return rule != "search-scope" or page.asked in ("Bundle", "Consent")


def _decimal(asking: Asking, page: reading.Page) -> None:
    """A decimal that the check was told of must be there as it was recorded, wherever its value is."""
    told = asking.subject.decimal
    same = [number for number in page.numbers() if told and _value(number) == _value(told)]
    if same:
        asking.book.judged("search-decimals", told in same, f"{told} came as {', '.join(sorted(set(same)))}")


def _value(number: str) -> float:
    try:
        return float(number)
    except ValueError:
        return float("nan")


# --- what should not be answered -------------------------------------------------------------------------------------


async def _strangers(asking: Asking, question: Question) -> None:
    heard = await asking.ask(question, asking.subject.unknown)
    empty = heard.status == 200 and _found(heard, question) == 0
    asking.book.judged("search-unknown", empty, f"{question}: {_with_matches(heard, question)}")
    token = asking.pen.search(question.said(asking))
    nobody = await asking.caller.search(question.search, "", token)
    told = f"{question}, no patient in the form: {_with_matches(nobody, question)}"
    asking.book.judged("search-somebody", _refused(nobody), told)
    asking.refusal(nobody)


def _found(heard: Heard, question: Question) -> int | None:
    """How many matches an answer has; None when it is no searchset."""
    try:
        return len(reading.read(heard.body, question.search.resource_type).matches)
    except reading.Unreadable:
        return None


def _with_matches(heard: Heard, question: Question) -> str:
    found = _found(heard, question) if heard.status == 200 else None
    return str(heard) if found is None else f"{heard} with {found} found"


def _refused(heard: Heard) -> bool:
    return 400 <= heard.status < 500


async def _bad_forms(asking: Asking, question: Question) -> None:
    heard = await asking.ask(question, more=(("x-check-unknown", "1"),))
    ignored = Verdict.WARN if heard.status == 200 else Verdict.FAIL
    verdict = Verdict.PASS if _refused(heard) else ignored
    asking.book.note("search-parameter", verdict, f"{question}, a parameter nobody knows: {heard}")
    asking.refusal(heard)


async def _once_per_source(asking: Asking, question: Question) -> None:
    """What does not depend on the type: GET, a type that is not offered, a form far too large."""
    caller, token = asking.caller, asking.pen.search(question.said(asking))
    bearing = {"Authorization": f"Bearer {token}"}
    for path in (f"/{question.search.resource_type}", f"/{question.search.resource_type}/_search"):
        heard = await caller.get(path, bearing)
        asking.book.judged("search-get", _refused(heard) or heard.status == _NO_METHOD, f"GET {path}: {heard}")
        asking.refusal(heard)
    other = await caller.search(Search(_NO_TYPE, "patient.identifier"), asking.subject.patient, token)
    mild = Verdict.WARN if other.status == 200 else Verdict.FAIL
    asking.book.note("search-other-type", Verdict.PASS if _refused(other) else mild, f"{_NO_TYPE}: {other}")
    asking.refusal(other)
    large = await asking.ask(question, more=(("x-check-large", "x" * _FAR_TOO_LARGE),))
    cut = not large.status and not large.problem.startswith("TLS") and "Timeout" not in large.problem
    asking.book.judged("search-large-form", _refused(large) or cut, f"a form of 1 MB: {large}")
    alive = await asking.ask(question)
    asking.book.judged("search-large-form", alive.status != 0, f"a question after it: {alive}")


async def _withheld(asking: Asking) -> None:
    for question in questions(asking.subject):
        heard = await asking.ask(question, asking.subject.withheld)
        good = heard.status == 403 and heard.code in _WITHHELD
        asking.book.judged("search-withheld", good, f"{question}: {heard}")
        asking.refusal(heard)
