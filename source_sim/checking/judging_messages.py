"""Did a client send its messages as the contract says? Ids, repeats, senders, and what became of them.

It knows the message of interface.md section 4. Two messages that differ in nothing but ids and dates of writing are one
message, written twice. It may not know what a message tells.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Final

from source_sim.checking.findings import Book
from source_sim.checking.observing import Seen
from source_sim.checking.session import Session, organisation
from source_sim.medicine import NAMING

_WRITING: Final = frozenset({"id", "fullUrl", "reference", "timestamp", "date"})
_LATER: Final = frozenset({0, 429, 500, 502, 503, 504})
_ACCEPTED: Final = 202
_MISTAKES: Final = frozenset({400, 404, 409, 413, 422})


@dataclass(frozen=True, slots=True)
class _Sent:
    """A message as it was sent: its id, and digests of its bytes and of what it says."""

    seen: Seen
    id: str
    digest: bytes = field(repr=False)
    content: bytes = field(repr=False)

    def retells(self, other: _Sent) -> bool:
        """Whether this is the same message under another id."""
        return self.content == other.content and self.id != other.id


def judge_messages(book: Book, session: Session) -> None:
    """Note every message under the rules of messages."""
    sent = [_sent(one) for one in session.messages]
    for place, one in enumerate(sent):
        _identity(book, one, sent[:place])
        _kept(book, one, sent[place + 1 :])
        _sender(book, one.seen, session)
    _followed(book, session)


def _sent(seen: Seen) -> _Sent:
    told = json.dumps(_told(seen.resource), sort_keys=True).encode()
    return _Sent(seen, str(_header(seen).get("id", "")), sha256(seen.body).digest(), sha256(told).digest())


def _identity(book: Book, one: _Sent, before: list[_Sent]) -> None:
    altered = any(one.id == other.id and one.digest != other.digest for other in before)
    told = "other bytes under an id that was used before" if altered else "one message per id"
    book.judged("message-identity", not altered, told)
    if not altered:
        # what the exchange calls wrong, and no rule of messages names
        wrong = one.seen.status in _MISTAKES
        book.judged("well-made", not wrong, str(one.seen) if wrong else "every request")
    retold = not altered and any(one.retells(other) for other in before)
    if retold or any(one.digest == other.digest for other in before):
        book.judged("message-repeat", not retold, f"sent again under {'a new id' if retold else 'the same id'}")


def _kept(book: Book, one: _Sent, after: list[_Sent]) -> None:
    if one.seen.status in _LATER:
        again = any(other.id == one.id or other.content == one.content for other in after)
        told = f"after {one.seen.status or 'no answer'}: {'sent again' if again else 'given up'}"
        book.judged("message-kept", again, told)


def _sender(book: Book, one: Seen, session: Session) -> None:
    own = set(_values(_header(one).get("sender"), "ura")) == {organisation(one)}
    told = f"the sender is {'' if own else 'not '}the certificate's organisation"
    book.judged("message-sender", own, told)
    grant = session.grants.get(one.bearer)
    if grant is not None and set(_values(one.resource, "bsn")) != {grant.patient}:
        book.failed("message-sender", "a token about another patient than the message's")


def _followed(book: Book, session: Session) -> None:
    tasks = {place for one in session.messages if (place := _task(one))}
    read = {one.path.rpartition("/")[2] for one in session.calls if one.method == "GET" and "/Task/" in one.path}
    if tasks:
        looked = len(tasks & read)
        note = book.passed if looked == len(tasks) else book.warned
        note("message-followed", f"{looked} of {len(tasks)} Tasks were read in this session")


def _task(one: Seen) -> str:
    return one.answered.get("location", "").rpartition("/Task/")[2] if one.status == _ACCEPTED else ""


def _header(one: Seen) -> Mapping[str, Any]:
    entries = one.resource.get("entry")
    first = entries[0] if isinstance(entries, list) and entries else {}
    found = first.get("resource") if isinstance(first, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def _told(part: Any) -> Any:
    if isinstance(part, Mapping):
        return {name: _told(value) for name, value in part.items() if name not in _WRITING}
    return [_told(each) for each in part] if isinstance(part, list) else part


def _values(part: object, system: str) -> Iterator[str]:
    """The value of every identifier of that naming system, wherever it stands."""
    if isinstance(part, Mapping):
        if part.get("system") == NAMING + system:
            yield str(part.get("value"))
        for each in part.values():
            yield from _values(each, system)
    elif isinstance(part, list):
        for each in part:
            yield from _values(each, system)
