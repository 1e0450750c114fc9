"""How does the system of a GP post, hospital, ambulance service or pharmacy ask? A real client over mutual TLS.

It knows the exchange's published interface (interface.md sections 3 and 4) and nothing of its inside: it shares no code
with the gateway. Two clocks: a token's own times are wall time; times inside claims (contact, attestation, mandate) are
domain time and come in as `now`. A BSN travels in claims and form bodies only, never in a URL, and prints nowhere.
"""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, Self
from urllib.parse import urlencode
from uuid import uuid4

import httpx
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from joserfc import jwt
from joserfc.jwk import ECKey

NAMING = "http://fhir.nl/fhir/NamingSystem/"
OURS = "https://switchpoint.example/fhir/"
GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
FHIR_JSON = "application/fhir+json"
FORM = "application/x-www-form-urlencoded"

Claims = dict[str, Any]
"""Claims of interface.md section 3 as JSON values; in an assertion a None leaves the claim out."""
Pairs = Sequence[tuple[str, str]]


class Ask(StrEnum):
    """The questions a requester can put; all but the last are the data categories of domain.md section 2."""

    GP_SUMMARY = "gp-summary"
    MEDICATION = "medication"
    ALLERGIES = "allergies"
    TREATMENT_LIMITS = "treatment-limits"
    LOCALISE = "localise"


class Search(NamedTuple):
    """One `POST /fhir/{resource_type}/_search`: the parameter that names the patient, and the others."""

    resource_type: str
    patient: str
    others: tuple[tuple[str, str], ...] = ()


_SUMMARY = ("composition.type", "http://loinc.org|60591-5")
_MEDICATION = "MedicationDispense", "MedicationRequest", "MedicationStatement"
SEARCHES: Mapping[Ask, tuple[Search, ...]] = {
    Ask.GP_SUMMARY: (Search("Bundle", "composition.patient.identifier", (_SUMMARY,)),),
    Ask.MEDICATION: tuple(
        Search(name, "patient.identifier", (("_include", f"{name}:medication"),)) for name in _MEDICATION
    ),
    Ask.ALLERGIES: tuple(Search(name, "patient.identifier") for name in ("AllergyIntolerance", "Flag")),
    Ask.TREATMENT_LIMITS: (Search("Consent", "patient.identifier", (("scope", "treatment,adr"),)),),
    Ask.LOCALISE: (Search("List", "subject:identifier"),),
}


class TokenRefused(Exception):
    """`/token` gave no token: HTTP status, and the error code of RFC 6749 section 5.2 (empty if the body has none)."""

    def __init__(self, status: int, error: str) -> None:
        super().__init__(f"{status} {error}")
        self.status, self.error = status, error


class Outcome(NamedTuple):
    """What the answer says of one source: machine code, sentence, the source's URA (empty when not said)."""

    code: str
    sentence: str
    ura: str


@dataclass(frozen=True, slots=True)
class Reply:
    """What the exchange answered to one question, its body as it came.

    Medication and allergies take several searches: then this is the telling answer (the first that is an error, else
    the first) and `others` are the rest. Completeness, flags, matches, sources and outcomes are gathered from all.
    """

    status: int
    headers: httpx.Headers = field(repr=False)
    body: bytes = field(repr=False)
    others: tuple[Reply, ...] = ()

    @property
    def aorta_id(self) -> str:
        return str(self.headers.get("AORTA-ID", ""))

    @property
    def json(self) -> dict[str, Any]:
        """The body's JSON object; empty when it is not one."""
        try:
            said = json.loads(self.body)
        except ValueError:
            return {}
        return said if isinstance(said, dict) else {}

    @property
    def code(self) -> str:
        """The machine code of the first issue of an error; empty on success."""
        return _issue(self.json)[0]

    @property
    def sentence(self) -> str:
        return _issue(self.json)[1]

    @property
    def completeness(self) -> str | None:
        """complete, partial or none over all searches (an error answers nothing); None when no answer says so."""
        said, failed = set(self._tags("completeness")), any(one.status >= 300 for one in (self, *self.others))
        together = said | ({"none"} if said and failed else set())
        return "partial" if len(together) > 1 else next(iter(together), None)

    @property
    def flags(self) -> frozenset[str]:
        return frozenset(self._tags("flag"))

    @property
    def matches(self) -> list[dict[str, Any]]:
        return [entry["resource"] for entry in self._entries("match")]

    @property
    def sources(self) -> frozenset[str]:
        """The URAs whose data came."""
        return frozenset(_source(entry) for entry in self._entries("match"))

    @property
    def outcomes(self) -> list[Outcome]:
        return [Outcome(*_issue(entry["resource"]), _source(entry)) for entry in self._entries("outcome")]

    def _entries(self, mode: str) -> list[dict[str, Any]]:
        entries = (entry for one in (self, *self.others) for entry in one.json.get("entry", []))
        return [entry for entry in entries if entry.get("search", {}).get("mode") == mode]

    def _tags(self, code_system: str) -> list[str]:
        tags = (tag for one in (self, *self.others) for tag in one.json.get("meta", {}).get("tag", []))
        return [tag["code"] for tag in tags if tag.get("system") == f"{OURS}CodeSystem/{code_system}"]


def _issue(outcome: dict[str, Any]) -> tuple[str, str]:
    """Code and sentence of an OperationOutcome's first issue; empty for anything else."""
    issues: list[dict[str, Any]] = outcome.get("issue", [])
    details: dict[str, Any] = issues[0].get("details", {}) if issues else {}
    codings: list[dict[str, str]] = details.get("coding", [])
    return codings[0].get("code", "") if codings else "", str(details.get("text", ""))


def _source(entry: dict[str, Any]) -> str:
    """The URA in an entry's source extension, whatever value[x] carries it; empty without one."""
    extensions = (one for one in entry.get("extension", []) if one.get("url") == f"{OURS}StructureDefinition/source")
    for part in (part for one in extensions for part in one.get("extension", []) if part.get("url") == "ura"):
        value = next((value for name, value in part.items() if name.startswith("value")), "")
        return str(value.get("value", "") if isinstance(value, dict) else value)
    return ""


def bsn_token(bsn: str) -> str:
    """How a search names a patient: naming system, bar, number."""
    return f"{NAMING}bsn|{bsn}"


def aorta_id(initial: str | None = None) -> str:
    """An AORTA-ID header: a new message in the chain `initial` (a uuid), or of a new chain."""
    request = str(uuid4())
    return f"initialRequestID={initial or request}; requestID={request}"


def patience(seconds: int) -> dict[str, str]:
    """The header that says how long this requester will wait (RFC 7240, whole seconds)."""
    return {"Prefer": f"wait={seconds}"}


@dataclass(slots=True, eq=False)
class System:
    """A requester's system: its certificate and key (PEM files), the trust anchor, and where the exchange is.

    `exchange_url` is the address without `/fhir`. With `signing` (certificate, key) assertions are signed by that pair
    and carry it in `x5c`. `transport` replaces the network; `heard` is told method, path and answer of every FHIR call.
    Use as an asynchronous context manager, or call `aclose`. Raises httpx.TransportError when it reaches nobody.
    """

    cert: Path
    key: Path = field(repr=False)
    ca: Path
    exchange_url: str
    token_endpoint: str
    application: str
    ura: str
    _: KW_ONLY
    signing: tuple[Path, Path] | None = field(default=None, repr=False)
    wall: Callable[[], datetime] = field(default=partial(datetime.now, UTC), repr=False)
    transport: httpx.AsyncBaseTransport | None = field(default=None, repr=False)
    heard: Callable[[str, str, Reply], None] = field(default=lambda _method, _path, _reply: None, repr=False)
    _client: httpx.AsyncClient = field(init=False, repr=False)
    _signer: ECKey = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._signer = ECKey.import_key((self.signing[1] if self.signing else self.key).read_bytes())
        context = ssl.create_default_context(cafile=self.ca)
        context.load_cert_chain(self.cert, self.key)
        self._client = httpx.AsyncClient(verify=context, transport=self.transport, trust_env=False, timeout=30)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        await self._client.aclose()

    def assertion(self, claims: Claims) -> str:
        """The JWT of RFC 7523, good for a minute; `claims` may override the envelope, a None leaves a claim out."""
        now = int(self.wall().timestamp())
        envelope = {"iss": self.application, "aud": self.token_endpoint, "iat": now, "exp": now + 60}
        said = {**envelope, "jti": str(uuid4()), "organisation": self.ura, **claims}
        kept = {name: value for name, value in said.items() if value is not None}
        return jwt.encode({"alg": "ES256", "typ": "JWT"} | self._x5c(), kept, self._signer)

    def _x5c(self) -> dict[str, list[str]]:
        if self.signing is None:
            return {}
        chain = x509.load_pem_x509_certificates(self.signing[0].read_bytes())
        return {"x5c": [base64.b64encode(one.public_bytes(Encoding.DER)).decode() for one in chain]}

    async def token(self, claims: Claims) -> str:
        """An access token for these claims. Raises TokenRefused."""
        form = {"grant_type": GRANT, "assertion": self.assertion(claims)}
        got = await self._client.post(self.token_endpoint, data=form)
        answer = Reply(got.status_code, got.headers, got.content)
        if answer.status != 200 or "access_token" not in answer.json:
            raise TokenRefused(answer.status, str(answer.json.get("error", "")))
        return str(answer.json["access_token"])

    async def call(
        self,
        method: str,
        path: str,
        *,
        token: str | None = None,
        form: Pairs | None = None,
        resource: Mapping[str, Any] | bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """One FHIR interaction; `path` is what follows `/fhir`. Sends a form, a resource (bytes as is) or nothing."""
        sent = {"AORTA-ID": aorta_id(), "Accept": FHIR_JSON}
        sent |= {"Authorization": f"Bearer {token}"} if token else {}
        sent |= {"Content-Type": FORM if form is not None else FHIR_JSON} if form or resource else {}
        body = resource if isinstance(resource, bytes | None) else json.dumps(resource)
        body, url = urlencode(form) if form is not None else body, f"{self.exchange_url.rstrip('/')}/fhir{path}"
        got = await self._client.request(method, url, content=body, headers={**sent, **(headers or {})})
        self.heard(method, path, reply := Reply(got.status_code, got.headers, got.content))
        return reply

    async def ask(
        self,
        kind: Ask,
        bsn: str,
        claims: Claims,
        *,
        parameters: Pairs = (),
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """Put one question: one token, then all its searches at once, in one chain unless `headers` names another.

        The token's `patient` is `bsn` unless `claims` names another; `parameters` narrow every search. Raises
        TokenRefused.
        """
        token, chain = await self.token({"patient": bsn, **claims}), str(uuid4())
        calls = [
            self.call(
                "POST",
                f"/{search.resource_type}/_search",
                token=token,
                form=[(search.patient, bsn_token(bsn)), *search.others, *parameters],
                headers={"AORTA-ID": aorta_id(chain), **(headers or {})},
            )
            for search in SEARCHES[Ask(kind)]
        ]
        answers = await asyncio.gather(*calls, return_exceptions=True)
        for failed in (answer for answer in answers if isinstance(answer, BaseException)):
            raise failed
        replies = [answer for answer in answers if isinstance(answer, Reply)]
        telling = next((reply for reply in replies if reply.status >= 300), replies[0])
        return replace(telling, others=tuple(reply for reply in replies if reply is not telling))


@dataclass(frozen=True, slots=True)
class Persona:
    """A test person in the situation typical of an organisation type; called with domain time, gives default claims.

    `changes` replace claims, for instance `capacity="incapable"`, `cover=False` or `contact=contact("call", now)`.
    """

    organisation_type: str
    uzi: str
    name: str
    role: str
    contact_kind: str
    situation: Mapping[str, Any] = field(default_factory=dict)

    def __call__(self, now: datetime, **changes: Any) -> Claims:
        who = {"sub": self.uzi, "name": self.name, "role": self.role, "purpose": "TREAT"}
        # five minutes ago: the exchange's clock may be a little behind ours, and a future contact is none
        begun = contact(self.contact_kind, now - timedelta(minutes=5))
        return {**who, "contact": begun, **self.situation, **changes}


gp_post = Persona("N6", "900000101", "Test Waarnemend-Huisarts", "01.015", "visit", {"cover": True})
emergency_department = Persona(
    "V4", "900000102", "Test SEH-Arts", "01.071", "triage", {"purpose": "ETREAT", "department": "SEH"}
)
ambulance = Persona("AMB", "900000103", "Test Ambulanceverpleegkundige", "30.000", "ride", {"purpose": "ETREAT"})
specialist = Persona("V4", "900000104", "Test Internist", "01.016", "consultation")
covering_pharmacy = Persona("J8", "900000105", "Test Apotheker", "17.075", "dispensing", {"cover": True})


def contact(kind: str, start: datetime, *, end: datetime | None = None, id: str | None = None) -> Claims:
    """The `contact` claim, times in domain time."""
    ended = {"end": end.isoformat()} if end else {}
    return {"id": id or str(uuid4()), "kind": kind, "start": start.isoformat(), **ended}


def under_mandate(claims: Claims, role: str, *, until: datetime | None = None, uzi: str = "900000199") -> Claims:
    """The same claims, acting for a responsible colleague with this role; without `until` the mandate is open-ended."""
    responsible = {"uzi": uzi, "name": "Test Verantwoordelijke", "role": role}
    return {**claims, "responsible": responsible | ({"mandate_until": until.isoformat()} if until else {})}


def verbally(claims: Claims, at: datetime, *, given_by: str = "patient", recorded_by: str | None = None) -> Claims:
    """The same claims with a new attestation that the patient or a representative said yes at `at`, to the actor."""
    recorder = claims["name"] if recorded_by is None else recorded_by
    attested = {"id": str(uuid4()), "given_by": given_by, "at": at.isoformat(), "recorded_by": recorder}
    return {**claims, "verbal_consent": attested}
