"""Did a client ask for its tokens as the contract says? Judged assertion by assertion.

It knows interface.md section 3. It may not verify a signature: the exchange has.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from source_sim.checking.findings import Book
from source_sim.checking.reading import Wrong
from source_sim.checking.session import Assertion, Session, organisation
from source_sim.population import is_bsn
from source_sim.requesters import FORM, GRANT

_ALGORITHMS: Final = frozenset({"ES256", "PS256", "EdDSA"})
_LONGEST: Final = 300
_SKEW: Final = 60
_PURPOSES: Final = frozenset({"TREAT", "ETREAT"})
_OF_ASSERTION: Final = (
    "token-form", "token-algorithm", "token-audience", "token-lifetime", "token-once", "token-organisation",
    "token-person",
)  # fmt: skip


def judge_tokens(book: Book, session: Session) -> None:
    """Note every assertion under the rules of the token."""
    used: set[str] = set()
    for one in session.assertions:
        found = list(_wrongs(one, session, used))
        used.add(str(one.claims.get("jti", "")))
        for wrong in found:
            book.failed(*wrong)
        for rule in _OF_ASSERTION:
            if rule not in {wrong.rule for wrong in found} and _tells(rule, one):
                book.passed(rule, "every assertion")
        if not found and one.seen.status < 500:
            why = f"refused: {one.seen.code} ({one.seen.answer_json.get('error_description', '')})"
            book.judged("token-granted", one.seen.status == 200, "granted" if one.seen.status == 200 else why)


def _tells(rule: str, one: Assertion) -> bool:
    """Whether the assertion can show that the rule is kept; a system acting by itself names no person."""
    return rule == "token-form" or bool(one.claims and (rule != "token-person" or one.claims.get("patient")))


def _wrongs(one: Assertion, session: Session, used: set[str]) -> Iterator[Wrong]:
    yield from _form(one)
    if one.claims:
        yield from _algorithm(one.header)
        yield from _envelope(one, session, used)
        yield from _speaks_for(one, session)
        yield from _person(one.claims)


def _form(one: Assertion) -> Iterator[Wrong]:
    names = sorted(name for name, _ in one.seen.form)
    if one.seen.media != FORM:
        yield Wrong("token-form", f"Content-Type {one.seen.media or 'none'}")
    elif names != ["assertion", "grant_type"]:
        yield Wrong("token-form", f"the form has: {', '.join(names) or 'nothing'}")
    elif dict(one.seen.form)["grant_type"] != GRANT:
        yield Wrong("token-form", "another grant_type than jwt-bearer")
    elif not one.claims:
        yield Wrong("token-form", "an assertion that is no signed JWT")


def _algorithm(header: Mapping[str, Any]) -> Iterator[Wrong]:
    if header.get("alg") not in _ALGORITHMS:
        yield Wrong("token-algorithm", f"alg {header.get('alg')}")


def _envelope(one: Assertion, session: Session, used: set[str]) -> Iterator[Wrong]:
    claims = one.claims
    if claims.get("aud") not in (session.token_endpoint, [session.token_endpoint]):
        yield Wrong("token-audience", f"aud is {_address(claims.get('aud'))}")
    yield from _lifetime(claims, one.seen.wall)
    if not isinstance(claims.get("jti"), str) or not claims["jti"]:
        yield Wrong("token-once", "no jti")
    elif claims["jti"] in used:
        yield Wrong("token-once", "a jti that was used before")


def _address(audience: object) -> str:
    """An audience for a report: the address without anything that may be secret in it."""
    parts = urlsplit(audience) if isinstance(audience, str) else None
    return f"{parts.scheme}://{parts.netloc}{parts.path}" if parts and parts.netloc else "no address"


def _lifetime(claims: Mapping[str, Any], wall: float) -> Iterator[Wrong]:
    issued, expires = claims.get("iat"), claims.get("exp")
    if not isinstance(issued, int | float) or not isinstance(expires, int | float):
        yield Wrong("token-lifetime", "iat or exp is missing")
    elif expires - issued > _LONGEST:
        yield Wrong("token-lifetime", f"lives {expires - issued:.0f} seconds")
    elif issued > wall + _SKEW:
        yield Wrong("token-lifetime", f"issued {issued - wall:.0f} seconds in the future")
    elif expires <= wall:
        yield Wrong("token-lifetime", f"expired {wall - expires:.0f} seconds ago")


def _speaks_for(one: Assertion, session: Session) -> Iterator[Wrong]:
    claims = one.claims
    if claims.get("organisation") != organisation(one.seen):
        yield Wrong("token-organisation", "organisation is not the URA of the certificate")
    if not claims.get("iss") or (session.application and claims["iss"] != session.application):
        yield Wrong("token-organisation", "iss is not the application id")


def _person(claims: Mapping[str, Any]) -> Iterator[Wrong]:
    patient = claims.get("patient")
    if patient is None:
        return
    if not isinstance(patient, str) or not is_bsn(patient):
        yield Wrong("token-person", "patient is not one BSN as text")
    if claims.get("sub") == claims.get("iss") and "role" not in claims:
        return  # a system by itself, reading what is kept about its own data
    contact, responsible = claims.get("contact"), claims.get("responsible")
    missing = [name for name in ("sub", "name", "role") if not claims.get(name)]
    missing += ["purpose"] if claims.get("purpose") not in _PURPOSES else []
    missing += _absent("contact", contact, ("id", "kind", "start"))
    missing += _absent("responsible", responsible, ("uzi", "name", "role")) if responsible is not None else []
    if missing:
        yield Wrong("token-person", f"not said: {', '.join(missing)}")


def _absent(name: str, part: object, wanted: tuple[str, ...]) -> list[str]:
    given = part if isinstance(part, Mapping) else {}
    return [f"{name}.{each}" for each in wanted if not given.get(each)]
