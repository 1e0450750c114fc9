"""May this request come in? The cookie, the form's proof that it is ours, the address it was sent to, and the role.

Every page says whom it is for with one of three dependencies: `require(role)`, `require_patient()`, or `VISITOR` for
the pages at the door. What is not a GET must carry the proof (`csrf`), which follows from the cookie and nothing else.
"""

from __future__ import annotations

import hmac
import re
from datetime import datetime
from http import HTTPStatus
from urllib.parse import quote

from fastapi import Request

from gateway.flows import sitting
from gateway.flows.means import Means
from gateway.rules import regimes
from gateway.rules.exchange import Regime
from gateway.rules.network import Network, RegimeSwitch
from gateway.rules.people import OperatorSits, PatientSits, Role, Sitter
from gateway.web.cookie import CSRF, csrf_of, token_of
from gateway.web.loopback import is_loopback, name_of_host
from gateway.web.pages import Desk, InForce, Visit, words_for

_SAFE = frozenset({"GET", "HEAD"})
_FORM = "application/x-www-form-urlencoded"
_OURS = re.compile(r"/(?!/)[!-\[\]-~]{0,499}")
"""A path on this host: one slash first, printable, no backslash, which browsers take for a slash."""


class Unadmitted(Exception):
    """Not let in. `problem` names its words; `where` is where to go instead, if that helps."""

    def __init__(self, status: HTTPStatus, problem: str, where: str | None = None) -> None:
        super().__init__(problem)
        self.status, self.problem, self.where = status, problem, where


# --- the three dependencies ------------------------------------------------------------------------------------------


class Visitor:
    """For the pages at the door: anybody, but what is posted must come from our own form."""

    async def __call__(self, request: Request) -> Visit:
        return await _visit(request)


class Required:
    """Who has this role."""

    def __init__(self, role: Role) -> None:
        self.role = role

    async def __call__(self, request: Request) -> OperatorSits:
        sitter = (await _visit(request)).sitter
        if not isinstance(sitter, OperatorSits):
            raise _no_operator(request, sitter)
        if not sitter.may(self.role):
            await _note(request, sitter, f"needs-{self.role}")
            raise Unadmitted(HTTPStatus.FORBIDDEN, "role")
        return sitter


class RequiredPatient:
    """The patient, or who may act for her at this very moment."""

    async def __call__(self, request: Request) -> PatientSits:
        sitter = (await _visit(request)).sitter
        if not isinstance(sitter, PatientSits):
            raise _no_patient(request, sitter)
        if not await sitting.still_has_say(desk_of(request).means, sitter):
            raise Unadmitted(HTTPStatus.FORBIDDEN, "no-say")
        return sitter


VISITOR = Visitor()


def require(role: Role) -> Required:
    """`who: Annotated[OperatorSits, Depends(require(Role.OPERATOR))]`: the page or act is for this role only."""
    return Required(role)


def require_patient() -> RequiredPatient:
    """`who: Annotated[PatientSits, Depends(require_patient())]`."""
    return RequiredPatient()


def desk_of(request: Request) -> Desk:
    found = request.app.state.desk
    assert isinstance(found, Desk), "the desk's application carries its desk"
    return found


# --- who is looking --------------------------------------------------------------------------------------------------


async def _visit(request: Request) -> Visit:
    """Look once per request. Raises Unadmitted, LedgerUnavailable."""
    desk = desk_of(request)
    _check_address(request, secure=desk.settings.secure)
    known = token_of(request)
    sitter = await sitting.sits(desk.means, known) if known else None
    token = known or sitting.new_token()
    network = await desk.means.live.network()
    visit = request.state.visit = Visit(
        words_for(request),
        sitter,
        token,
        csrf_of(token),
        fresh=not known,
        regimes=in_force(network, desk.means),
        at=desk.means.live.domain(network),
        shifted=network.clock_moved,
    )
    if request.method not in _SAFE:
        await _check_ours(request, visit)
    return visit


def in_force(network: Network, means: Means) -> tuple[InForce, ...]:
    """The regimes beside REGULAR that are in force now."""
    at = means.live.domain(network)
    active = sorted(regimes.active(network.switches, at) - {Regime.REGULAR})
    return tuple(InForce(regime, _until(network.switches, regime, at)) for regime in active)


def _until(switches: tuple[RegimeSwitch, ...], regime: Regime, at: datetime) -> datetime | None:
    begun = [switch for switch in switches if switch.regime is regime and switch.at <= at]
    return max(begun, key=lambda switch: switch.at).until if begun else None


# --- is it ours ------------------------------------------------------------------------------------------------------


def _check_address(request: Request, *, secure: bool) -> None:
    """A page that rebinds its own name to this machine calls it by that name; with TLS the certificate sees to it."""
    if not secure and not is_loopback(name_of_host(request)):
        raise Unadmitted(HTTPStatus.MISDIRECTED_REQUEST, "address")


async def _check_ours(request: Request, visit: Visit) -> None:
    if _foreign(request) or not hmac.compare_digest(await _given(request), visit.csrf.encode()):
        if isinstance(visit.sitter, OperatorSits):
            await _note(request, visit.sitter, "foreign-form")
        raise Unadmitted(HTTPStatus.FORBIDDEN, "foreign")


def _foreign(request: Request) -> bool:
    """Whether the browser says that another site sent this. A program that is no browser says nothing."""
    origin, site = request.headers.get("origin"), request.headers.get("sec-fetch-site", "same-origin")
    own = f"{request.url.scheme}://{request.headers.get('host', '')}"
    return (origin is not None and origin != own) or site not in ("same-origin", "none")


async def _given(request: Request) -> bytes:
    header = request.headers.get("x-csrf")
    if header is not None:
        return header.encode()
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _FORM:
        return b""
    given = (await request.form()).get(CSRF)
    return given.encode("utf-8", "replace") if isinstance(given, str) else b""


# --- not let in ------------------------------------------------------------------------------------------------------


def _no_operator(request: Request, sitter: Sitter | None) -> Unadmitted:
    if isinstance(sitter, PatientSits):
        return Unadmitted(HTTPStatus.FORBIDDEN, "operators-only")
    return Unadmitted(HTTPStatus.UNAUTHORIZED, "login", _door(request, "/login"))


def _no_patient(request: Request, sitter: Sitter | None) -> Unadmitted:
    if isinstance(sitter, OperatorSits):
        return Unadmitted(HTTPStatus.FORBIDDEN, "patients-only")
    return Unadmitted(HTTPStatus.UNAUTHORIZED, "login", _door(request, "/digid"))


def _door(request: Request, path: str) -> str:
    """The door, and the way back from it for who was only looking."""
    if request.method not in _SAFE:
        return path
    asked = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    return f"{path}?next={quote(asked, safe='')}"


def way_back(next: str, otherwise: str) -> str:
    """`next` if it leads to a page of ours and nowhere else."""
    return next if _OURS.fullmatch(next) else otherwise


def remote_of(request: Request) -> str:
    """The network address the request came from."""
    return request.client.host if request.client else ""


async def _note(request: Request, sitter: OperatorSits, why: str) -> None:
    route = getattr(request.scope.get("route"), "path", "")
    await sitting.note_refused_act(desk_of(request).means, sitter, f"{request.method} {route}", why, remote_of(request))
