"""Who gets a token, and whose token opens what? A table of forgeries, each sent over a real connection."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import httpx
import pytest
import pytest_asyncio
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from joserfc import jwt
from joserfc.jwk import ECKey, OctKey
from running_country import Visit, tls_of

from gateway.identity.certificate import thumbprint
from gateway.rules.journal import Event
from source_sim.country import GP, GP_POST, HOSPITAL, Participant
from source_sim.pki import Flaw
from source_sim.requesters import FORM, GRANT, Claims, System

pytestmark = pytest.mark.xdist_group("country")


def wall() -> int:
    return int(datetime.now(UTC).timestamp())


def encoded(part: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()


@dataclass
class Forger:
    """The GP post's system, the claims it would honestly make, and its own connection to `/token`."""

    visit: Visit
    system: System
    claims: Claims
    web: httpx.AsyncClient

    def said(self, **changes: Any) -> Claims:
        """All claims of an honest assertion, then these changes; None leaves a claim out."""
        now, system = wall(), self.system
        envelope = {"iss": system.application, "aud": system.token_endpoint, "iat": now, "exp": now + 60}
        whole = {**envelope, "jti": str(uuid4()), "organisation": system.ura, **self.claims, **changes}
        return {name: value for name, value in whole.items() if value is not None}

    def signed(self, *, by: Participant = GP_POST, header: dict[str, Any] | None = None, **changes: Any) -> str:
        key = ECKey.import_key((self.visit.country.made.folder(by) / "client.key").read_bytes())
        return jwt.encode({"alg": "ES256", **(header or {})}, self.said(**changes), key)

    def chain_of(self, who: Participant, name: str = "client.pem") -> list[str]:
        pem = (self.visit.country.made.folder(who) / name).read_bytes()
        return [
            base64.b64encode(one.public_bytes(Encoding.DER)).decode() for one in x509.load_pem_x509_certificates(pem)
        ]

    async def post(self, form: dict[str, str] | str) -> httpx.Response:
        if isinstance(form, str):
            return await self.web.post(self.system.token_endpoint, content=form, headers={"content-type": FORM})
        return await self.web.post(self.system.token_endpoint, data=form)

    async def hand_in(self, assertion: str) -> httpx.Response:
        return await self.post({"grant_type": GRANT, "assertion": assertion})


@pytest_asyncio.fixture
async def forger(visit: Visit) -> Any:
    claims = {**await visit.claims("gp-post"), "patient": visit.country.patient()}
    tls = tls_of(visit.country.made.folder(GP_POST))
    async with httpx.AsyncClient(verify=tls, trust_env=False) as web:
        yield Forger(visit, visit.system(GP_POST), claims, web)


def unsigned(forger: Forger) -> str:
    return f"{encoded({'alg': 'none'})}.{encoded(forger.said())}."


def signed_with_the_public_key(forger: Forger) -> str:
    """HS256 with what everybody may know as the secret: accepted where a verifier lets the header choose."""
    certificate = x509.load_pem_x509_certificate(
        (forger.visit.country.made.folder(GP_POST) / "client.pem").read_bytes()
    )
    public = certificate.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    head, body = encoded({"alg": "HS256"}), encoded(forger.said())
    mac = hmac.digest(public, f"{head}.{body}".encode(), hashlib.sha256)
    return f"{head}.{body}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"


def altered(forger: Forger) -> str:
    head, _, signature = forger.signed().split(".")
    return f"{head}.{encoded(forger.said(role='01.004'))}.{signature}"


def from_a_foreign_authority(forger: Forger) -> str:
    """A key whose certificate claims our organisation, but another authority signed it."""
    made = forger.visit.country.made
    issued = forger.visit.country.authority.issue(
        GP_POST.ura, GP_POST.application, "Test", now=datetime.now(UTC), flaw=Flaw.FOREIGN_CA
    )
    chain = [base64.b64encode(x509.load_pem_x509_certificate(issued.cert_pem).public_bytes(Encoding.DER)).decode()]
    assert made.certs.exists()
    return jwt.encode({"alg": "ES256", "x5c": chain}, forger.said(), ECKey.import_key(issued.key_pem))


Make = Callable[[Forger], str]
GRANT_, REQUEST, CLIENT = (400, "invalid_grant"), (400, "invalid_request"), (401, "invalid_client")
FORGED: dict[str, tuple[Make, tuple[int, str]]] = {
    "unsigned": (unsigned, GRANT_),
    "hs256-with-the-public-key": (signed_with_the_public_key, GRANT_),
    "altered-after-signing": (altered, GRANT_),
    "signed-by-another-system": (lambda f: f.signed(by=HOSPITAL), GRANT_),
    "another-organisation": (lambda f: f.signed(organisation=HOSPITAL.ura), CLIENT),
    "another-application": (lambda f: f.signed(iss=HOSPITAL.application), CLIENT),
    "application-nobody-has": (lambda f: f.signed(iss="499999"), CLIENT),
    "for-another-audience": (lambda f: f.signed(aud="https://elsewhere.example/token"), GRANT_),
    "for-the-fhir-base": (lambda f: f.signed(aud=f.system.exchange_url + "/fhir"), GRANT_),
    "expired": (lambda f: f.signed(iat=wall() - 120, exp=wall() - 60), GRANT_),
    "lives-too-long": (lambda f: f.signed(exp=wall() + 302), GRANT_),
    "lives-too-long-from-a-past-issue": (lambda f: f.signed(iat=wall() - 280, exp=wall() + 60), GRANT_),
    "issued-in-the-future": (lambda f: f.signed(iat=wall() + 90, exp=wall() + 120), GRANT_),
    "exp-is-a-word": (lambda f: f.signed(exp="tomorrow"), REQUEST),
    "exp-is-true": (lambda f: f.signed(exp=True), REQUEST),
    "jti-is-a-number": (lambda f: f.signed(jti=5), REQUEST),
    "no-role": (lambda f: f.signed(role=None), REQUEST),
    "no-purpose": (lambda f: f.signed(purpose=None), REQUEST),
    "purpose-unknown": (lambda f: f.signed(purpose="CURIOSITY"), REQUEST),
    "patient-fails-the-eleven-test": (lambda f: f.signed(patient="999940003"), REQUEST),
    "contact-is-a-word": (lambda f: f.signed(contact="visit"), REQUEST),
    "contact-without-zone": (
        lambda f: f.signed(contact={"id": "1", "kind": "visit", "start": "2026-11-21T10:00:00"}),
        REQUEST,
    ),
    "signing-certificate-of-another": (
        lambda f: f.signed(by=HOSPITAL, header={"x5c": f.chain_of(HOSPITAL)}),
        CLIENT,
    ),
    "signing-certificate-of-a-foreign-authority": (from_a_foreign_authority, GRANT_),
    "signing-certificate-is-nonsense": (lambda f: f.signed(header={"x5c": ["AAAA"]}), GRANT_),
    "no-jwt-at-all": (lambda f: "a.b.c", GRANT_),
    "far-too-large": (lambda f: "a" * 20_000, REQUEST),
    **{
        f"no-{name}": ((lambda claim: lambda f: f.signed(**{claim: None}))(name), REQUEST)
        for name in ("iss", "aud", "iat", "exp", "jti", "organisation", "sub")
    },
}


@pytest.mark.parametrize("name", FORGED)
async def test_a_forged_assertion_gets_no_token(forger: Forger, name: str) -> None:
    make, expected = FORGED[name]
    before = len(forger.visit.country.lines(Event.TOKEN_REFUSED))
    answer = await forger.hand_in(make(forger))
    assert (answer.status_code, answer.json()["error"]) == expected
    assert "access_token" not in answer.text
    assert answer.headers["cache-control"] == "no-store"
    assert len(forger.visit.country.lines(Event.TOKEN_REFUSED)) == before + 1


async def test_an_honest_assertion_gets_a_token_once(forger: Forger) -> None:
    assertion = forger.signed()
    first, again = await forger.hand_in(assertion), await forger.hand_in(assertion)
    assert (first.status_code, first.json()["token_type"], first.json()["expires_in"]) == (200, "Bearer", 60)
    assert (again.status_code, again.json()["error"]) == (400, "invalid_grant")


@pytest.mark.parametrize("ahead", [0, 15, -200], ids=["now", "a-little-ahead", "a-little-old"])
async def test_a_small_skew_is_borne(forger: Forger, ahead: int) -> None:
    answer = await forger.hand_in(forger.signed(iat=wall() + ahead, exp=wall() + max(ahead, 0) + 60))
    assert answer.status_code == 200


async def test_a_separate_signing_certificate_of_the_same_system_serves(forger: Forger) -> None:
    made, authority = forger.visit.country.made, forger.visit.country.authority
    folder = made.folder(GP_POST)
    authority.issue(GP_POST.ura, GP_POST.application, GP_POST.name, now=datetime.now(UTC), out=folder, stem="signing")
    key = ECKey.import_key((folder / "signing.key").read_bytes())
    header = {"alg": "ES256", "x5c": forger.chain_of(GP_POST, "signing.pem")}
    assert (await forger.hand_in(jwt.encode(header, forger.said(), key))).status_code == 200


FORMS: dict[str, tuple[Callable[[str], dict[str, str] | str], str]] = {
    "no-grant-type": (lambda a: {"assertion": a}, "invalid_request"),
    "no-assertion": (lambda a: {"grant_type": GRANT}, "invalid_request"),
    "another-grant": (lambda a: {"grant_type": "client_credentials", "assertion": a}, "unsupported_grant_type"),
    "repeated": (lambda a: f"grant_type={GRANT}&assertion={a}&assertion={a}", "invalid_request"),
    "nonsense": (lambda a: "grant_type", "invalid_request"),
}


@pytest.mark.parametrize("name", FORMS)
async def test_a_form_that_is_none_gets_no_token(forger: Forger, name: str) -> None:
    make, error = FORMS[name]
    answer = await forger.post(make(forger.signed()))
    assert (answer.status_code, answer.json()["error"]) == (400, error)


async def test_another_media_type_gets_no_token(forger: Forger) -> None:
    answer = await forger.web.post(
        forger.system.token_endpoint, json={"grant_type": GRANT, "assertion": forger.signed()}
    )
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")


# --- access tokens ---------------------------------------------------------------------------------------------------


def _exchange_s_own_hand(forger: Forger, **changes: Any) -> str:
    """An access token signed with the exchange's real key: only its content is forged."""
    key = ECKey.import_key((forger.visit.country.made.state / "signing.pem").read_bytes())
    base, now = forger.system.exchange_url, wall()
    der = base64.b64decode(forger.chain_of(GP_POST)[0])
    said = {
        **forger.said(jti=None),
        "iss": base, "aud": base, "iat": now, "exp": now + 60,
        "client_id": GP_POST.application, "cnf": {"x5t#S256": thumbprint(der)},
        **changes,
    }  # fmt: skip
    return jwt.encode({"alg": "ES256", "kid": key.thumbprint()}, {k: v for k, v in said.items() if v is not None}, key)


BEARERS: dict[str, tuple[Callable[[Forger], str], str]] = {
    "the-assertion-itself": (lambda f: f.signed(), "bad-token"),
    "self-made": (lambda f: f.signed(aud=f.system.exchange_url), "bad-token"),
    "unsigned": (unsigned, "bad-token"),
    "symmetric": (
        lambda f: jwt.encode({"alg": "HS256"}, f.said(), OctKey.import_key("not-the-exchange-s-own-key-at-all-00")),
        "bad-token",
    ),
    "expired": (lambda f: _exchange_s_own_hand(f, exp=wall() - 1), "bad-token"),
    "for-another-listener": (lambda f: _exchange_s_own_hand(f, aud="https://elsewhere.example"), "bad-token"),
    "bound-to-nobody": (lambda f: _exchange_s_own_hand(f, cnf=None), "bad-token"),
    "bound-to-another": (lambda f: _exchange_s_own_hand(f, cnf={"x5t#S256": "A" * 43}), "bad-token"),
    "nonsense": (lambda f: "a.b.c", "bad-token"),
}


async def test_the_forger_s_own_hand_is_good_enough_to_be_believed(forger: Forger) -> None:
    reply = await forger.visit.search(forger.claims["patient"], _exchange_s_own_hand(forger))
    assert reply.status == 200


@pytest.mark.parametrize("name", BEARERS)
async def test_a_forged_bearer_opens_nothing(forger: Forger, name: str) -> None:
    make, code = BEARERS[name]
    reply = await forger.visit.search(forger.claims["patient"], make(forger))
    assert (reply.status, reply.code) == (401, code)
    assert reply.headers["www-authenticate"].startswith("Bearer")


async def test_a_stolen_token_does_not_work_on_another_system_s_connection(forger: Forger) -> None:
    visit, bsn = forger.visit, forger.claims["patient"]
    await visit.enter(GP, bsn, "gp-summary")
    token = await visit.token(bsn)
    thief = await visit.search(bsn, token, system=visit.system(HOSPITAL))
    assert (thief.status, thief.code) == (401, "bad-token")
    assert len((await visit.search(bsn, token)).matches) == 1


async def test_a_token_for_one_patient_opens_no_other(forger: Forger) -> None:
    visit, other = forger.visit, forger.visit.country.patient()
    await visit.enter(GP, other, "gp-summary")
    reply = await visit.search(other, await visit.token(visit.country.patient()))
    assert (reply.status, reply.code) == (403, "token-patient-mismatch")
    by_itself = await visit.search(other, await visit.system(GP_POST).token({"sub": GP_POST.application}))
    assert (by_itself.status, by_itself.code) == (403, "token-patient-mismatch")


async def test_without_a_token_nothing_is_told(forger: Forger) -> None:
    reply = await forger.visit.search(forger.claims["patient"], "")
    assert (reply.status, reply.code) == (401, "no-token")
