"""How is it all put together? The composition root: the only file that knows every room, and that reads a clock.

Everything below takes the time, the stores and the door to the sources as arguments.
"""

from __future__ import annotations

import asyncio
import gc
import os
import shutil
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

from gateway.fhir.answers import read_answer
from gateway.fhir.catalogue import Match, match
from gateway.fhir.letters import Writer
from gateway.flows.means import Deadlines, Live, Mail, Means
from gateway.flows.sealing_journal import Sealing, open_sealer
from gateway.identity.certificate import Authority, organisation_of, read_certificate
from gateway.identity.tokens import SigningKey
from gateway.inspecting.listening import Inspecting, open_inspecting
from gateway.rules.access import Permit
from gateway.rules.exchange import AortaId, Query, Requester, Situation
from gateway.rules.identifiers import Bsn
from gateway.rules.message import Sender
from gateway.rules.people import TestPerson
from gateway.rules.sending import Leave
from gateway.settings import Settings
from gateway.sources import Limits, Reach, Sources, client_context
from gateway.stores import sealing
from gateway.stores.index import Index, IndexUnavailable
from gateway.stores.index_sql import SqlIndex
from gateway.stores.keys import Keys, load_or_create
from gateway.stores.ledger import Ledger, open_ledger
from gateway.stores.revocation import RevocationList, Standing
from gateway.tracing import Outward, TracedDoor, Tracing, open_tracing, traced
from gateway.web.desk import desk_app
from gateway.web.fhir_api import FhirApi
from gateway.web.loopback import is_loopback
from gateway.web.pages import Check, Desk, DeskSettings, Pages
from gateway.web.played import Stories
from gateway.web.protocol import EXCHANGE
from gateway.web.site import Site
from gateway.web.token import token_app

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Asgi = Callable[[Scope, Receive, Send], Awaitable[None]]

LEAST_DISK = 50 * 1024 * 1024
"""Bytes that must be free on the ledger's disk for the gateway to call itself ready."""


def wall_clock() -> datetime:
    """Wall time, aware, UTC: the one place where the gateway reads a clock."""
    return datetime.now(UTC)


class RandomIds:
    """Random UUIDs (version 4) as text. Several for every query, so the kernel is asked for many at a time."""

    _AT_ONCE = 256

    def __init__(self) -> None:
        self._entropy: Iterator[bytes] = iter(())

    def __call__(self) -> str:
        raw = next(self._entropy, None)
        if raw is None:
            fresh = os.urandom(16 * self._AT_ONCE)
            self._entropy = iter([fresh[at : at + 16] for at in range(0, len(fresh), 16)])
            raw = next(self._entropy)
        text = raw.hex()
        variant = "89ab"[raw[8] & 3]
        return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-{variant}{text[17:20]}-{text[20:]}"


_OVER_THE_NETWORK = Reach()


@dataclass(frozen=True, slots=True)
class Gateway:
    """One process's gateway, open: what the listeners serve, and how to close it."""

    means: Means
    site: Site
    settings: Settings
    closing: AsyncExitStack
    sealing: Sealing
    tracing: Tracing | None = None
    inspecting: Inspecting | None = None

    def exchange(self) -> Asgi:
        """The exchange listener's application: the FHIR paths as plain ASGI in front of the token service."""
        fhir, token = FhirApi(self.site), token_app(self.site)

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            path = scope.get("path", "")
            if scope["type"] == "http" and path not in _TOKEN_PATHS:
                await fhir(scope, receive, send)
            else:
                await token(scope, receive, send)

        heard = app if self.inspecting is None else self.inspecting.around(app, shortcut=EXCHANGE)
        return heard if self.tracing is None else traced(heard, self.tracing.tracer, _interaction)

    def desk(self, persons: tuple[TestPerson, ...] = (), stories: Stories | None = None) -> Asgi:
        """The desk listener's application; `persons` are whom a simulation's login lets anybody be, `stories` what its
        operators can play."""
        return desk_app(self.furnished(persons, stories))

    def furnished(self, persons: tuple[TestPerson, ...] = (), stories: Stories | None = None) -> Desk:
        """What the desk's pages work with."""
        settings = self.settings
        of_the_desk = DeskSettings(
            simulation=settings.simulation,
            secure=not is_loopback(settings.desk_host),
            exchange_base=settings.exchange_base,
            state_dir=settings.state_dir,
            certificate=settings.certificate,
            ca=settings.ca,
            crl=settings.crl,
            version=self.site.version,
        )
        pages = Pages(simulation=settings.simulation)
        inspected = self.inspecting.recorder.read if self.inspecting is not None else None
        return Desk(self.means, pages, of_the_desk, self._checks(), self.site.started, persons, inspected, stories)

    def _checks(self) -> dict[str, Check]:
        return {
            "ledger": self.means.ledger.ready,
            "index": self._index_trouble,
            "revocation": self._revocation_trouble,
            "seal": self.sealing.trouble,
            "disk": self._disk_trouble,
        }

    async def _index_trouble(self) -> str | None:
        try:
            await self.means.index.ready()
        except IndexUnavailable as wrong:
            return str(wrong)
        return None

    async def _revocation_trouble(self) -> str | None:
        wall = self.means.live.wall()
        if self.site.revocation.check(0, wall) is not Standing.STALE:
            return None
        return f"the revocation list cannot be believed: {self.site.revocation.trouble(wall)}"

    async def _disk_trouble(self) -> str | None:
        free = shutil.disk_usage(self.settings.state_dir).free
        return None if free >= LEAST_DISK else "the disk is nearly full"

    async def close(self) -> None:
        await self.closing.aclose()


_TOKEN_PATHS = frozenset(
    {"/token", "/.well-known/oauth-authorization-server", "/.well-known/jwks.json", "/openapi.json"}
)


async def open_gateway(
    settings: Settings,
    *,
    wall: Callable[[], datetime] = wall_clock,
    new_id: Callable[[], str] | None = None,
    ledger: Ledger | None = None,
    reach: Reach = _OVER_THE_NETWORK,
) -> Gateway:
    """Open stores, keys and the outbound door for this process. Who composes a country of its own brings its wall
    clock, the maker of ids (uuid texts), an open ledger (closed with the gateway), and how sources are reached.

    Raises OSError, LedgerUnavailable, IndexUnavailable, RingUnusable.
    """
    settings.state_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    closing = AsyncExitStack()
    keys = load_or_create(settings.state_dir / "patient.key")
    signing = SigningKey.load_or_create(settings.state_dir / "signing.pem")
    ledger = ledger or open_ledger(settings.ledger_address)
    closing.callback(ledger.close)
    index = _open_index(settings, ledger, keys)
    await _prepare(index)
    closing.push_async_callback(index.close)
    live, revocation = Live(ledger, wall), RevocationList(settings.crl, settings.ca)
    inspecting = open_inspecting(settings.state_dir, wall) if settings.simulation and settings.inspector else None
    sources = Sources(
        ssl_context=client_context(certificate=settings.certificate, key=settings.key, ca=settings.ca),
        limits=Limits(),
        expected_ura=_owner(revocation, live),
        read=read_answer,
        resolve=reach.resolve,
        dial=reach.dial,
        heard=inspecting.answers.hear if inspecting is not None else None,
    )
    closing.push_async_callback(sources.close)
    if inspecting is not None:
        closing.push_async_callback(inspecting.recorder.close)
    tracing = open_tracing(os.environ, version("switchpoint"))
    if tracing is not None:
        closing.push_async_callback(asyncio.to_thread, tracing.close)
    door: Outward = sources if inspecting is None else inspecting.behind(sources)
    door = door if tracing is None else TracedDoor(door, tracing.tracer)
    means = _means(settings, ledger, index, keys, signing, door, live, new_id or RandomIds())
    site = Site(
        means=means,
        signing=signing,
        authority=Authority(settings.ca.read_bytes()),
        revocation=revocation,
        base=settings.exchange_base,
        token_seconds=settings.token_seconds,
        simulation=settings.simulation,
        started=wall(),
        version=version("switchpoint"),
    )
    sealing_journal = Sealing(open_sealer(ledger, settings.state_dir, wall))
    return Gateway(means, site, settings, closing, sealing_journal, tracing, inspecting)


def _owner(revocation: RevocationList, live: Live) -> Callable[[bytes], str | None]:
    """Whose certificate (DER) a source shows; nobody's once it is revoked, or while no list can be believed."""

    def owner(der: bytes) -> str | None:
        ura = organisation_of(der)
        if ura is None:
            return None
        shown = read_certificate(der)
        good = revocation.check(shown.serial_number, live.wall()) is Standing.GOOD
        return ura if good and shown.serial not in live.revoked else None

    return owner


def _interaction(method: str, path: str) -> str:
    """What a request is called in a trace: few names, none with an id in it."""
    if path in _TOKEN_PATHS:
        return path
    found = match(method, path)
    return found.interaction.name if isinstance(found, Match) else "not-offered"


def _open_index(settings: Settings, ledger: Ledger, keys: Keys) -> Index:
    if not settings.index_url:
        return SqlIndex(ledger, keys)
    from gateway.stores.index_redis import RedisIndex  # its driver is long to load

    return RedisIndex(settings.index_url, ledger=ledger, keys=keys)


async def _prepare(index: Index) -> None:
    """A brand-new index is declared complete; an unreachable one is told by readiness and by every query, not here."""
    with suppress(IndexUnavailable):
        await index.initialise()


def _means(
    settings: Settings,
    ledger: Ledger,
    index: Index,
    keys: Keys,
    signing: SigningKey,
    sources: Outward,
    live: Live,
    new_id: Callable[[], str],
) -> Means:
    def vouch(permit: Permit, requester: Requester, situation: Situation, query: Query, aorta: AortaId) -> str:
        return signing.voucher(
            requester,
            situation,
            query,
            audience=permit.pointer.system,
            rule=permit.row.id,
            view=permit.view,
            issuer=settings.exchange_base,
            request_id=aorta.request,
            wall=live.wall(),
        )

    return Means(
        ledger=ledger,
        index=index,
        sources=sources,
        keys=keys,
        live=live,
        vouch=vouch,
        deadlines=Deadlines(settings.routine_seconds, settings.emergency_seconds),
        new_id=new_id,
        mail=_mail(settings, signing, sources, live.wall),
    )


def _mail(settings: Settings, signing: SigningKey, sources: Outward, wall: Callable[[], datetime]) -> Mail:
    def vouch(leave: Leave, sender: Sender | None, patient: Bsn | None, aorta: AortaId) -> str:
        return signing.delivery_voucher(
            sender,
            patient,
            audience=leave.address.application,
            row=leave.row,
            issuer=settings.exchange_base,
            request_id=aorta.request,
            wall=wall(),
        )

    return Mail(
        post=sources,
        seals=sealing.load_or_create(settings.state_dir / "outbox.keys"),
        letters=Writer(settings.exchange_base + "/fhir"),
        vouch=vouch,
        alert_at=settings.enrolment_alert,
    )


def settle_memory() -> None:
    """After start-up nothing loaded so far will ever be garbage: keep the collector from walking it on every query."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 100)  # one answer makes thousands of short-lived objects; count those, not hundreds
