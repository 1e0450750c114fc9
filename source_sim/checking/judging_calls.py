"""Did a client call the exchange as the contract says? Bearers, URLs, searches, chains and manners, call by call.

It knows interface.md section 4 and domain.md section 5. It may not know what the exchange decides on anybody.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Final

from source_sim.checking.findings import Book
from source_sim.checking.observing import Seen
from source_sim.checking.reading import Wrong
from source_sim.checking.session import BSN_PREFIX, PATIENT_PARAMETER, Session, patients_of
from source_sim.population import is_bsn
from source_sim.requesters import FORM, SEARCHES

_UUID: Final = r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}"
_AORTA: Final = re.compile(rf"\s*initialRequestID={_UUID}\s*;\s*requestID=({_UUID})\s*;?\s*", re.IGNORECASE)
_ACCEPTED: Final = frozenset({"application/fhir+json", "application/json", "application/*", "*/*"})
_OPEN: Final = frozenset({"metadata", "Organization", "Endpoint"})
"""What a certificate alone opens, and what may be read by GET without an id."""
_MISTAKES: Final = frozenset({400, 404, 405, 406, 409, 412, 413, 415, 422})
_BUSY: Final = frozenset({429, 503})
_TYPE_ONLY: Final = re.compile(r"/fhir(?:/R4)?/([A-Z][A-Za-z]+)(?:/_search)?")
_EARLY: Final = 0.05
_MANY, _SOON, _TOGETHER = 3, 10.0, 5.0
_SECRET: Final = re.compile(r"(?:^|&)(?:assertion|access_token|client_assertion)=")


def judge_calls(book: Book, session: Session) -> None:
    """Note every call under the rules of bearer, call and chain, then the manners of the whole session."""
    requests: set[str] = set()
    for seen in session.seen:
        told = "a BSN or token in a URL" if _secret(seen, session) else "none in any URL"
        book.judged("url-silent", not _secret(seen, session), told)
    for call in session.calls:
        wrongs = [*_bearer(call, session), *_search(call), *_media(call), *_chain(call, requests)]
        for wrong in wrongs:
            book.failed(*wrong)
        explained = bool(wrongs) or _secret(call, session) or call.is_message
        if not (explained and call.status in _MISTAKES):
            mistaken = call.status in _MISTAKES
            book.judged("well-made", not mistaken, str(call) if mistaken else "every request")
        for rule in _applicable(call):
            if rule not in {wrong.rule for wrong in wrongs}:
                book.passed(rule, "every call")
    _judge_chains(book, session)
    _judge_manners(book, session)


def _applicable(call: Seen) -> Iterator[str]:
    yield from ("chain-there", "chain-message", "media")
    if call.bearer:
        yield from ("bearer-there", "bearer-current", "bearer-patient")
    if call.is_search:
        yield from ("search-post", "search-form", "search-patient")


def _secret(seen: Seen, session: Session) -> bool:
    token = seen.bearer
    named = session.names_patient(seen.path) or session.names_patient(seen.query)
    return named or bool(_SECRET.search(seen.query)) or bool(token and token in seen.query)


# --- bearer ----------------------------------------------------------------------------------------------------------


def _bearer(call: Seen, session: Session) -> Iterator[Wrong]:
    if call.path.rstrip("/").rpartition("/")[2] in _OPEN:
        return
    grant = session.grants.get(call.bearer)
    if not call.bearer:
        yield Wrong("bearer-there", f"{call.method} without a bearer token")
    elif grant is not None and call.wall >= grant.ends:
        yield Wrong("bearer-current", f"used {call.wall - grant.ends:.0f} seconds after it ended")
    elif call.status == 401:
        yield Wrong("bearer-there", "a token that is not of this exchange, or bound to another certificate")
    elif grant is not None and call.is_search and set(patients_of(call)) - {grant.patient}:
        yield Wrong("bearer-patient", "a token about one patient, a search about another")


# --- searches --------------------------------------------------------------------------------------------------------


def _search(call: Seen) -> Iterator[Wrong]:
    only = _TYPE_ONLY.fullmatch(call.path)
    if call.method == "GET" and only and only[1] not in _OPEN:
        yield Wrong("search-post", f"GET on {only[1]}")
    if not call.is_search:
        return
    if call.media != FORM:
        yield Wrong("search-form", f"a search with Content-Type {call.media or 'none'}")
        return
    named = [value for name, value in call.form if PATIENT_PARAMETER.fullmatch(name)]
    if named and (len(named) > 1 or not _is_patient(named[0])):
        yield Wrong("search-patient", f"{len(named)} patients named" if len(named) > 1 else "not naming system and BSN")
    elif not named and _clinical(call):
        yield Wrong("search-patient", "no patient named")


def _is_patient(value: str) -> bool:
    return value.startswith(BSN_PREFIX) and is_bsn(value.removeprefix(BSN_PREFIX))


def _kind(call: Seen) -> str:
    found = _TYPE_ONLY.fullmatch(call.path)
    return found[1] if found else ""


def _clinical(call: Seen) -> bool:
    kinds = {search.resource_type for several in SEARCHES.values() for search in several} - {"List"}
    return _kind(call) in kinds


def _media(call: Seen) -> Iterator[Wrong]:
    accepted = {part.partition(";")[0].strip().lower() for part in call.headers.get("accept", "*/*").split(",")}
    if not accepted & _ACCEPTED:
        yield Wrong("media", "Accept allows no FHIR JSON")
    carries = call.method in ("POST", "PUT") and not call.is_search and call.body
    if carries and call.media not in ("application/fhir+json", "application/json"):
        yield Wrong("media", f"a resource sent as {call.media or 'nothing'}")


# --- chains ----------------------------------------------------------------------------------------------------------


def _chain(call: Seen, requests: set[str]) -> Iterator[Wrong]:
    said = _AORTA.fullmatch(call.headers.get("aorta-id", ""))
    if said is None:
        yield Wrong("chain-there", "no AORTA-ID" if "aorta-id" not in call.headers else "an AORTA-ID of another form")
        return
    if said[1].lower() in requests:
        yield Wrong("chain-message", "a requestID that was used before")
    requests.add(said[1].lower())


def _judge_chains(book: Book, session: Session) -> None:
    by_chain: dict[str, list[Seen]] = defaultdict(list)
    for search in session.searches:
        if search.chain and patients_of(search):
            by_chain[search.chain].append(search)
    for calls in by_chain.values():
        spans = len({number for call in calls for number in patients_of(call)}) > 1
        book.judged("chain-kept", not spans, "one chain spans two patients" if spans else "one chain per question")
        tokens = {call.bearer for call in calls} & set(session.grants)
        wasted = len(tokens) > 1 and not spans and not _had_ended(tokens, calls, session)
        note = book.warned if wasted else book.passed
        note("bearer-economy", f"{len(tokens)} tokens for one question" if wasted else "one token per question")
    for family in _families():
        for first, second in _split(session, family):
            book.warned("chain-kept", f"{first} and {second} of one question in two chains")


def _had_ended(tokens: set[str], calls: Sequence[Seen], session: Session) -> bool:
    """Whether a token had to be replaced in the middle of the chain."""
    return any(session.grants[token].ends <= calls[-1].wall for token in tokens)


def _families() -> list[frozenset[str]]:
    """The types that are asked for together."""
    several = (frozenset(search.resource_type for search in each) for each in SEARCHES.values())
    return [family for family in several if len(family) > 1]


def _split(session: Session, family: frozenset[str]) -> Iterator[tuple[str, str]]:
    """Types of one family, asked for with one token within seconds, in different chains."""
    calls = [one for one in session.searches if _kind(one) in family and one.chain and one.bearer]
    for first, second in pairwise(calls):
        together = first.bearer == second.bearer and second.at - first.at < _TOGETHER
        if together and _kind(first) != _kind(second) and first.chain != second.chain:
            yield _kind(first), _kind(second)


# --- manners ---------------------------------------------------------------------------------------------------------


def _judge_manners(book: Book, session: Session) -> None:
    same: dict[tuple[str, str, bytes], list[Seen]] = defaultdict(list)
    for seen in session.seen:
        same[seen.method, seen.path, seen.body].append(seen)
    for several in same.values():
        _patience(book, several)
        asked = [one for one in several if one.is_search and one.status not in _BUSY]
        for first in range(len(asked)):
            soon = bisect_right(asked, asked[first].at + _SOON, key=lambda one: one.at) - first
            book.judged("repeats", soon <= _MANY, f"the same search up to {soon} times in {_SOON:.0f} s")


def _patience(book: Book, several: Sequence[Seen]) -> None:
    """The same request, over and over: not before Retry-After."""
    for place, seen in enumerate(several):
        seconds = seen.answered.get("retry-after", "")
        if seen.status in _BUSY and seconds.isdigit():
            again = several[place + 1] if place + 1 < len(several) else None
            wait = again.at - seen.done if again else float(seconds)
            told = f"came back after {wait:.1f} s" if again else "did not come back"
            book.judged("retry-after", wait >= int(seconds) - _EARLY, f"asked to wait {seconds} s, {told}")
