"""How does a page come about? Jinja2 templates, words in two languages, the files beside them, one way to render.

Knows no rule and no store: what a page shows is handed in. Whatever a template prints is escaped, and made legible.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from pathlib import Path
from types import CodeType, MappingProxyType
from typing import Any
from urllib.parse import urlencode

from fastapi import Request
from fastapi.responses import HTMLResponse, Response
from jinja2 import BytecodeCache, Environment, FileSystemLoader, StrictUndefined
from jinja2.bccache import Bucket
from markupsafe import Markup

from gateway.flows import retelling
from gateway.flows.means import Means
from gateway.inspecting.kept import Exchanged
from gateway.rules.exchange import Regime
from gateway.rules.people import OperatorSits, PatientSits, Role, Sitter, TestPerson, pseudonym
from gateway.web.cookie import seat
from gateway.web.language import LANGUAGES, Words, language, words_of
from gateway.web.legible import printed
from gateway.web.played import Stories

_HERE = Path(__file__).parent
_TYPES = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}
_LANGUAGE_COOKIE, _A_YEAR = "language", 365 * 24 * 3600
_FOREVER = "public, max-age=31536000, immutable"

Check = Callable[[], Awaitable[str | None]]
"""Says what is wrong, or None."""


@dataclass(frozen=True, slots=True)
class Place:
    """One entry of the navigation: its path, the id of its word, and the role without which it is not shown."""

    path: str
    word: str
    role: Role = Role.VIEWER


OPERATOR_PLACES = (
    Place("/", "nav.now"),
    Place("/log", "nav.log"),
    Place("/regimes", "nav.regimes"),
    Place("/review", "nav.review"),
    Place("/messages", "nav.messages"),
    Place("/participants", "nav.participants"),
    Place("/alerts", "nav.alerts"),
    Place("/scenarios", "scenarios.title"),
)
PATIENT_PLACES = (
    Place("/mine", "nav.mine"),
    Place("/mine/choices", "nav.choices"),
    Place("/mine/known", "nav.known"),
    Place("/mine/notices", "nav.notices"),
)
"""What is not offered yet (no page has the path) is not shown."""


@dataclass(frozen=True, slots=True)
class InForce:
    """A regime beside REGULAR that is in force, until when if that is set."""

    regime: Regime
    until: datetime | None


@dataclass(frozen=True, slots=True)
class Visit:
    """Who is looking at this moment, in which language. `token` is the cookie's; `fresh`: it is to be set. `at` is
    domain time, None where the network was not looked at; `shifted`: a simulation's clock was moved."""

    words: Words
    sitter: Sitter | None = None
    token: str = field(default="", repr=False)
    csrf: str = field(default="", repr=False)
    fresh: bool = False
    regimes: tuple[InForce, ...] = ()
    at: datetime | None = None
    shifted: bool = False


@dataclass(frozen=True, slots=True)
class DeskSettings:
    """What the desk's pages need of the settings. `secure`: it is served with TLS."""

    simulation: bool
    secure: bool
    exchange_base: str
    state_dir: Path
    certificate: Path
    ca: Path
    crl: Path
    version: str = ""


@dataclass(frozen=True, slots=True)
class PageLengths:
    """How much one page shows at most: rows of the log, sources on the front page, lines in print, switches of regimes,
    and steps of one call. For the rest there is an older page, or a number that tells how many there are."""

    log: int = 50
    sources: int = 20
    printed: int = 250
    switches: int = 30
    steps: int = retelling.MOST


Inspected = Callable[[str], Awaitable[list[Exchanged]]]
"""What passed in one chain (by its initialRequestID), oldest first; a simulation's inspector knows it."""


@dataclass(frozen=True, slots=True)
class Desk:
    """Everything a page module's `router(desk)` may use. `started` is wall time; `persons` and
    `stories` are a simulation's."""

    means: Means
    pages: Pages
    settings: DeskSettings
    checks: Mapping[str, Check]
    started: datetime
    persons: tuple[TestPerson, ...] = ()
    inspected: Inspected | None = None
    stories: Stories | None = None
    lengths: PageLengths = PageLengths()


class Compiled(BytecodeCache):
    """Templates compiled once in a process, however many desks it opens; tests open hundreds."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, str], CodeType] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        bucket.code = self._kept.get((bucket.key, bucket.checksum))

    def dump_bytecode(self, bucket: Bucket) -> None:
        if bucket.code is not None:
            self._kept[bucket.key, bucket.checksum] = bucket.code


@cache
def _compiled() -> Compiled:
    return Compiled()


class Pages:
    """The templates and the files beside them, read once at start; `offered` are the paths that exist."""

    def __init__(self, *, simulation: bool, offered: Collection[str] = ()) -> None:
        self._files = _files(_HERE / "static")
        self.offered = frozenset(offered)
        self._templates = Environment(
            loader=FileSystemLoader(_HERE / "templates"),
            autoescape=True,
            finalize=printed,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
            bytecode_cache=_compiled(),
        )
        self._templates.filters |= _FILTERS
        self._templates.globals |= {"static": self.static, "simulation": simulation, "languages": LANGUAGES}

    def render(self, request: Request, template: str, /, *, status: int = 200, **values: object) -> HTMLResponse:
        """One page. Beside `values` it knows `t` (words), `visit`, `places`, `here` (the path), `lang_url`, and `frame`
        (what a page of both kinds of people extends). Raises jinja2.UndefinedError for a value that is missing."""
        visit = visit_of(request)
        context = {
            "t": visit.words,
            "visit": visit,
            "here": request.url.path,
            "places": self._places(visit),
            "lang_url": _lang_url(request),
            "frame": _frame(request, visit),
            **values,
        }
        answer = HTMLResponse(self._templates.get_template(template).render(context), status)
        answer.headers["content-language"] = visit.words.lang
        _remember_language(request, answer)
        return seat(request, answer, visit.token) if visit.fresh else answer

    def static(self, name: str) -> str:
        """The address of a file in `static/`, with its content's hash in it. Raises KeyError."""
        return f"/static/{self._files[name].address}"

    def file(self, address: str) -> Response | None:
        """The file with this address; it may be kept forever. None: there is no such file, or no such version."""
        found = next((one for one in self._files.values() if one.address == address), None)
        if found is None:
            return None
        return Response(found.content, media_type=found.type, headers={"cache-control": _FOREVER})

    def _places(self, visit: Visit) -> list[Place]:
        if visit.sitter is None:
            return []
        if isinstance(visit.sitter, PatientSits):
            return [place for place in PATIENT_PLACES if place.path in self.offered]
        sitter = visit.sitter
        return [place for place in OPERATOR_PLACES if place.path in self.offered and sitter.may(place.role)]


def _frame(request: Request, visit: Visit) -> str:
    """Whose frame a page is in that both kinds of people may see."""
    patients = isinstance(visit.sitter, PatientSits) or request.url.path.startswith(("/mine", "/digid"))
    return "base_patient.html" if patients and not isinstance(visit.sitter, OperatorSits) else "base.html"


def visit_of(request: Request) -> Visit:
    """This request's visit; a page before anybody was looked at is for nobody in particular."""
    found = getattr(request.state, "visit", None)
    return found if isinstance(found, Visit) else Visit(words_for(request))


def words_for(request: Request) -> Words:
    """By `?lang=`, the cookie, Accept-Language; Dutch otherwise."""
    wishes = request.query_params.get("lang"), request.cookies.get(_LANGUAGE_COOKIE)
    return words_of(language(*wishes, accepted=request.headers.get("accept-language", "")))


def _remember_language(request: Request, answer: Response) -> None:
    wished = request.query_params.get("lang")
    if wished in LANGUAGES:
        secure = request.url.scheme == "https"
        answer.set_cookie(
            _LANGUAGE_COOKIE, str(wished), max_age=_A_YEAR, samesite="strict", httponly=True, secure=secure
        )


def _lang_url(request: Request) -> Callable[[str], str]:
    """The address of this page in another language; whatever else was asked stays."""
    kept = [(name, value) for name, value in request.query_params.multi_items() if name != "lang"]
    return lambda lang: "?" + urlencode([*kept, ("lang", lang)])


# --- files beside the pages ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _File:
    address: str
    content: bytes
    type: str


def _files(folder: Path) -> Mapping[str, _File]:
    return MappingProxyType({path.name: _file(path) for path in sorted(folder.iterdir()) if path.suffix in _TYPES})


def _file(path: Path) -> _File:
    content = path.read_bytes()
    mark = hashlib.sha256(content).hexdigest()[:16]
    return _File(f"{path.stem}.{mark}{path.suffix}", content, _TYPES[path.suffix])


# --- what templates can say ------------------------------------------------------------------------------------------


def _time(at: datetime, told: str) -> Markup:
    return Markup('<time datetime="{}">{}</time>').format(at.isoformat(timespec="seconds"), told)


_FILTERS: dict[str, Callable[..., Any]] = {
    "moment": lambda at, t: _time(at, t.moment(at)),
    "exactly": lambda at, t: _time(at, t.exactly(at)),
    "clock": lambda at, t: _time(at, t.clock(at)),
    "day": lambda at, t: _time(at, t.day(at)) if isinstance(at, datetime) else t.day(at),
    "pseudonym": pseudonym,
}
"""`{{ at|moment(t) }}`, exactly, clock, day: in Dutch time. `{{ key|pseudonym }}`: what operators see of a patient."""
