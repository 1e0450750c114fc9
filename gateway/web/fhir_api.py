"""How does one FHIR request travel? Match, let in, read, act, answer: plain ASGI, for every query comes here.

Routes come from the registry (fhir/catalogue.py); an interaction without a handler, or the reverse, stops the
start. Every error becomes an OperationOutcome; one nobody foresaw is a 500 without a word of content.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from gateway.fhir import headers, writing
from gateway.fhir.catalogue import REGISTRY, Interaction, Match, NotOffered, Who, match
from gateway.fhir.refusal import BadRequest
from gateway.flows.grant import note_refusal
from gateway.identity.certificate import Certificate, NotUzi, read_certificate
from gateway.identity.claims import Claims
from gateway.rules.exchange import AortaId
from gateway.rules.identifiers import Ura
from gateway.rules.journal import Event, Json
from gateway.stores.index import IndexUnavailable
from gateway.stores.ledger import LedgerUnavailable
from gateway.web import audit, clinical, custody, directory, messages
from gateway.web.answer import Answering, Asked
from gateway.web.problems import Problem, told
from gateway.web.protocol import EXCHANGE, Whole
from gateway.web.site import CERTIFICATE, Caller, Headers, Site, claims_of, let_in

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Handler = Callable[[Site, Asked], Awaitable[Answering]]

HANDLERS: dict[str, Handler] = {
    **clinical.HANDLERS,
    **custody.HANDLERS,
    **audit.HANDLERS,
    **directory.HANDLERS,
    **messages.HANDLERS,
}

_log = logging.getLogger("switchpoint.exchange")


class Unrouted(RuntimeError):
    """The registry and the handlers do not name the same interactions."""


def check_routes() -> None:
    """Every offered interaction has a handler and every handler an interaction. Raises Unrouted."""
    offered = {interaction.name for interaction in REGISTRY}
    if offered != HANDLERS.keys():
        raise Unrouted(f"without a handler or row: {sorted(offered ^ HANDLERS.keys())}")


class FhirApi:
    """The FHIR side of the exchange listener as one ASGI application."""

    def __init__(self, site: Site) -> None:
        check_routes()
        self._site = site

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        chain: list[AortaId] = []
        try:
            answering = await self._answer(scope, receive, chain)
        except Exception as error:
            answering = await self._told(error, scope, chain)
        if not chain:
            chain.append(self._minted())
        await _send(scope, send, answering, self._stamped(chain[0]))

    async def _answer(self, scope: Scope, receive: Receive, chain: list[AortaId]) -> Answering:
        given = Headers(scope)
        chain.append(self._aorta(given))
        certificate, network = await let_in(self._site, scope)
        found = match(scope["method"], scope["path"], simulation=self._site.simulation)
        if isinstance(found, NotOffered):
            raise _not_offered(found)
        headers.acceptable(given.get(b"accept"))
        caller = Caller(certificate, self._claims(certificate, found.interaction, given), network)
        asked = Asked(
            interaction=found.interaction,
            id=found.id,
            caller=caller,
            aorta=chain[0],
            body=await _body(scope, receive),
            content_type=given.get(b"content-type"),
            query_string=scope.get("query_string", b""),
            if_match=given.get(b"if-match"),
            prefer=given.get(b"prefer"),
        )
        return await HANDLERS[found.interaction.name](self._site, asked)

    def _claims(self, certificate: Certificate, interaction: Interaction, given: Headers) -> Claims | None:
        if interaction.who is Who.CERTIFICATE:
            return None
        return claims_of(self._site, certificate, given.get(b"authorization"))

    def _aorta(self, given: Headers) -> AortaId:
        return headers.aorta(given.get(b"aorta-id"), given.get(b"aorta-version")) or self._minted()

    def _minted(self) -> AortaId:
        return AortaId(self._site.means.new_id(), self._site.means.new_id())

    def _stamped(self, aorta: AortaId) -> AortaId:
        """Our answer is a message of its own in the same chain."""
        return AortaId(aorta.initial, self._site.means.new_id(), aorta.version)

    async def _told(self, error: Exception, scope: Scope, chain: list[AortaId]) -> Answering:
        problem = problem_of(error)
        if problem is None:
            _log.error("internal-error", exc_info=error)
            return _outcome(Problem(500, "internal", "Something went wrong inside the exchange."))
        if problem.status in (400, 401, 403, 422) and not problem.journaled:
            await self._note(problem, scope, chain[0] if chain else self._minted())
        return _outcome(problem)

    async def _note(self, problem: Problem, scope: Scope, aorta: AortaId) -> None:
        """Failed attempts are journaled, too; a journal that cannot be written changes nothing about the refusal."""
        found = match(scope["method"], scope["path"], simulation=self._site.simulation)
        name = found.interaction.name if isinstance(found, Match) else "unknown"
        fields: dict[str, Json] = {"interaction": name, "status": problem.status, "reason": problem.code}
        ura = _organisation(scope)
        if ura is not None:
            fields["organisation"] = ura.digits
        try:
            await note_refusal(self._site.means, ura, aorta, Event.CALL_REFUSED, fields, problem.patient)
        except (LedgerUnavailable, IndexUnavailable):
            _log.warning("refusal-not-journaled")


def _organisation(scope: Scope) -> Ura | None:
    der = scope.get("extensions", {}).get(CERTIFICATE)
    try:
        return read_certificate(der).ura if der else None
    except NotUzi:
        return None


def problem_of(error: Exception) -> Problem | None:
    if isinstance(error, BadRequest):
        return Problem(error.status, error.code, error.sentence, path=error.path)
    return told(error)


def _not_offered(found: NotOffered) -> Problem:
    if found.status == 405:
        allow = {"Allow": ", ".join(found.allow)}
        return Problem(405, "method-not-allowed", "This method is not offered here.", allow)
    return Problem(404, "not-found", "The exchange offers nothing at this address.")


def _outcome(problem: Problem) -> Answering:
    body = writing.outcome(problem.code, problem.sentence, expression=problem.path)
    return Answering(problem.status, body, tuple(problem.headers.items()))


async def _body(scope: Scope, receive: Receive) -> bytes:
    whole = _whole(scope)
    if whole is not None:
        return whole.take_body()
    parts: list[bytes] = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return b"".join(parts)
        parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            return parts[0] if len(parts) == 1 else b"".join(parts)


def _whole(scope: Scope) -> Whole | None:
    """What our own listener offers beside ASGI's messages."""
    found = scope.get("extensions", {}).get(EXCHANGE)
    return found if isinstance(found, Whole) else None


async def _send(scope: Scope, send: Send, answering: Answering, aorta: AortaId) -> None:
    stamped = f"initialRequestID={aorta.initial}; requestID={aorta.request}"
    lines = [
        (b"content-type", b"application/fhir+json; charset=utf-8"),
        (b"content-length", str(len(answering.body)).encode("ascii")),
        (b"aorta-id", stamped.encode("ascii")),
        (b"cache-control", b"no-store"),
    ]
    if aorta.version:
        lines.append((b"aorta-version", aorta.version.encode("ascii")))
    lines += [(name.lower().encode("ascii"), value.encode("latin-1")) for name, value in answering.headers]
    whole = _whole(scope)
    if whole is not None and whole.answer(answering.status, lines, answering.body):
        return
    await send({"type": "http.response.start", "status": answering.status, "headers": lines})
    await send({"type": "http.response.body", "body": answering.body})
