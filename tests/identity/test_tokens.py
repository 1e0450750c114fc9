"""Whose is this bearer token, and until when? Bound to its certificate, ours alone, remembered but not trusted."""

from __future__ import annotations

import base64
import json
import stat
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from identity_made import NOW, OTHER_URA, PATIENT, Held, envelope, issued, signed
from joserfc import jwk, jwt

from gateway.identity.claims import read_claims
from gateway.identity.party import organisation_behind, requester_from
from gateway.identity.tokens import BadToken, Grant, SigningKey
from gateway.rules.exchange import SEH, Category, Professional, Purpose, Query, Requester, Responsible, Situation
from gateway.rules.identifiers import ApplicationId, Bsn, Ura
from gateway.rules.message import Sender
from gateway.rules.network import Network, Organisation, System
from gateway.rules.table import ROWS, Row
from source_sim.pki import Pki

ISSUER = "https://exchange.test"


@pytest.fixture(scope="module")
def key() -> SigningKey:
    return SigningKey(jwk.ECKey.generate_key("P-256").as_pem(private=True))


def _token(key: SigningKey, to: Held, seconds: int = 60, issuer: str = ISSUER, **changes: Any) -> str:
    return key.access_token(envelope(**changes), to.certificate, issuer=issuer, wall=NOW, seconds=seconds)


def _read(key: SigningKey, text: str, by: Held, *, later: float = 0) -> Grant:
    return key.read_access_token(text, by.certificate, issuer=ISSUER, wall=NOW + timedelta(seconds=later))


def test_a_token_carries_the_assertions_claims(key: SigningKey, system: Held) -> None:
    grant = _read(key, _token(key, system), system)
    assert grant.claims == read_claims(envelope())
    assert grant.thumbprint == system.certificate.thumbprint


def test_a_token_is_read_by_who_holds_its_certificate(key: SigningKey, pki: Pki, system: Held) -> None:
    text = _token(key, system)
    for other in (issued(pki, OTHER_URA, "302"), issued(pki)):
        with pytest.raises(BadToken):
            _read(key, text, other)
        _read(key, text, system)  # now it is remembered, and the other is still another
        with pytest.raises(BadToken):
            _read(key, text, other)


def test_a_token_expires_also_when_it_is_remembered(key: SigningKey, system: Held) -> None:
    text = _token(key, system)
    assert _read(key, text, system, later=59).expires == int(NOW.timestamp()) + 60
    with pytest.raises(BadToken):
        _read(key, text, system, later=60)


def _tampered(text: str) -> str:
    head, body, signature = text.split(".")
    claims = json.loads(base64.urlsafe_b64decode(body + "=="))
    claims["role"] = "01.071"
    forged = base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()
    return f"{head}.{forged}.{signature}"


def test_a_token_that_is_not_ours(key: SigningKey, system: Held) -> None:
    other = SigningKey(jwk.ECKey.generate_key("P-256").as_pem(private=True))
    mine = _token(key, system)
    secret = jwk.OctKey.import_key(b"\n" + json.dumps(key.jwks()).encode())
    for text in (
        _token(other, system),
        _token(key, system, issuer="https://another.test"),
        _tampered(mine),
        mine[:-4],
        mine.rpartition(".")[0] + ".",
        system.sign(envelope()),
        signed(secret, {"aud": ISSUER, "exp": 2**40}, "HS256"),
        "",
        "é",
        "a.b.c",
    ):
        with pytest.raises(BadToken):
            _read(key, text, system)


def test_a_voucher_for_a_source_is_no_access_token(key: SigningKey, system: Held) -> None:
    voucher = _voucher(key)
    with pytest.raises(BadToken):
        _read(key, voucher, system)


@given(text=st.text(max_size=80))
def test_no_text_is_more_than_a_bad_token(text: str) -> None:
    with pytest.raises(BadToken):
        _KEY.read_access_token(text, _NOBODY, issuer=ISSUER, wall=NOW)  # type: ignore[arg-type]


_KEY = SigningKey(jwk.ECKey.generate_key("P-256").as_pem(private=True))
_NOBODY = None


def test_what_is_remembered_has_an_end(key: SigningKey, system: Held) -> None:
    class Forgetful(SigningKey):
        _REMEMBERED = 2

    small = Forgetful(jwk.ECKey.generate_key("P-256").as_pem(private=True))
    texts = [_token(small, system, seconds=60 + n) for n in range(4)]
    for text in (*texts, *texts):
        _read(small, text, system)
    assert len(small._seen) == 2


# --- the key itself --------------------------------------------------------------------------------------------------


def test_the_key_is_kept_for_its_owner_and_is_the_same_tomorrow(tmp_path: Path, system: Held) -> None:
    path = tmp_path / "state" / "signing.pem"
    first = SigningKey.load_or_create(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    again = SigningKey.load_or_create(path)
    _read(again, _token(first, system), system)
    assert first.jwks() == again.jwks()


def test_only_the_public_half_is_published(key: SigningKey) -> None:
    (published,) = key.jwks()["keys"]
    assert set(published) == {"kty", "crv", "x", "y", "kid", "use", "alg"}


# --- vouchers --------------------------------------------------------------------------------------------------------

ASKING = Requester(
    Ura("90000301"), "Test", "N6", ApplicationId("301"),
    actor=Professional("000000001", "Test Actor", "83.000"),
    responsible=Responsible("000000002", "Test Responsible", "01.015"),
)  # fmt: skip


def _voucher(key: SigningKey, requester: Requester = ASKING, view: str | None = "acute") -> str:
    query = Query(Category.GP_SUMMARY, "Bundle", Bsn(PATIENT), "composition.patient.identifier")
    return key.voucher(
        requester, Situation(), query, audience=ApplicationId("101"), rule="EMA-1", view=view,
        issuer=ISSUER, request_id="r-1", wall=NOW,
    )  # fmt: skip


def _claims(key: SigningKey, text: str) -> dict[str, Any]:
    public = jwk.ECKey.import_key(key.jwks()["keys"][0])
    return dict(jwt.decode(text, public, algorithms=["ES256"]).claims)


def test_a_voucher_tells_a_source_who_asks_and_under_which_row(key: SigningKey) -> None:
    now = int(NOW.timestamp())
    assert _claims(key, _voucher(key)) == {
        "iss": ISSUER, "aud": "101", "iat": now, "exp": now + 60, "jti": "r-1", "patient": PATIENT,
        "requester": "90000301", "purpose": "TREAT", "rule": "EMA-1", "view": "acute",
        "actor": {"uzi": "000000001", "name": "Test Actor", "role": "83.000"},
        "responsible": {"uzi": "000000002", "name": "Test Responsible", "role": "01.015"},
    }  # fmt: skip
    bare = _claims(key, _voucher(key, replace(ASKING, actor=None, responsible=None), None))
    assert not {"actor", "responsible", "view"} & set(bare)


SENT_BY = Sender(
    Ura("90000301"), ApplicationId("301"), None, ASKING.actor, ASKING.responsible, "0A",
    Situation(purpose=Purpose.ETREAT),
)  # fmt: skip
RET_2 = next(row for row in ROWS if row.id == "RET-2")


def _delivery(key: SigningKey, sender: Sender | None, patient: Bsn | None, row: Row | None) -> dict[str, Any]:
    text = key.delivery_voucher(
        sender, patient, audience=ApplicationId("101"), row=row, issuer=ISSUER, request_id="r-2", wall=NOW
    )
    return _claims(key, text)


def test_a_delivery_voucher_tells_a_recipient_who_sends_and_under_which_row(key: SigningKey) -> None:
    now = int(NOW.timestamp())
    envelope_of_it = {"iss": ISSUER, "aud": "101", "iat": now, "exp": now + 60, "jti": "r-2"}
    assert _delivery(key, SENT_BY, Bsn(PATIENT), RET_2) == {
        **envelope_of_it, "patient": PATIENT, "requester": "90000301", "purpose": "ETREAT", "rule": "RET-2",
        "actor": {"uzi": "000000001", "name": "Test Actor", "role": "83.000"},
        "responsible": {"uzi": "000000002", "name": "Test Responsible", "role": "01.015"},
    }  # fmt: skip
    bare = _delivery(key, replace(SENT_BY, responsible=None), None, RET_2)
    assert not {"patient", "responsible"} & set(bare)
    assert _delivery(key, None, Bsn(PATIENT), None) == {**envelope_of_it, "patient": PATIENT, "rule": "notice"}


# --- certificate and register joined ---------------------------------------------------------------------------------


def _network(system: Held, **changes: Any) -> Network:
    certificate = system.certificate
    organisation = Organisation(certificate.ura, "V4", "Test Hospital", frozenset({SEH}))
    registered = System(ApplicationId("301"), certificate.ura, certificate.uzi)
    known = Network(
        1, {organisation.ura: organisation}, {registered.application: registered}, frozenset(), (), timedelta()
    )
    return replace(known, **changes)


def _party(system: Held, network: Network, *, good: bool = True, **changes: Any) -> Requester:
    return requester_from(network, system.certificate, read_claims(envelope(**changes)), in_good_standing=good)


def test_the_register_says_what_an_organisation_is(system: Held) -> None:
    party = _party(system, _network(system))
    assert (party.name, party.organisation_type, party.revoked) == ("Test Hospital", "V4", False)
    assert party.actor == Professional("000000001", "Test Actor", "01.015")


DEPARTMENTS = {"claimed and known": (SEH, SEH), "not claimed": (None, None), "claimed, unknown": ("ICU", None)}


@pytest.mark.parametrize("case", DEPARTMENTS)
def test_a_department_is_narrowed_never_widened(system: Held, case: str) -> None:
    claimed, counts = DEPARTMENTS[case]
    assert _party(system, _network(system), department=claimed).department == counts


def test_a_department_the_register_does_not_know_does_not_count(system: Held) -> None:
    plain = Organisation(system.certificate.ura, "V4", "Test Hospital")
    network = _network(system, organisations={plain.ura: plain})
    assert _party(system, network, department=SEH).department is None


def test_who_is_not_registered_comes_out_revoked(system: Held, pki: Pki) -> None:
    network, certificate = _network(system), system.certificate
    other = issued(pki, OTHER_URA, "302").certificate
    foreign = System(ApplicationId("301"), other.ura, other.uzi)
    gone: dict[str, Network] = {
        "no system": replace(network, systems={}),
        "no organisation": replace(network, organisations={}),
        "another's system": replace(network, systems={foreign.application: foreign}),
        "another UZI number": replace(
            network, systems={ApplicationId("301"): System(ApplicationId("301"), certificate.ura, other.uzi)}
        ),
        "revoked by the exchange": replace(network, revoked=frozenset({certificate.serial})),
    }
    for case, now in gone.items():
        party = _party(system, now)
        assert party.revoked, case
        assert (party.organisation_type, party.department) == ("", None), case
        assert organisation_behind(now, certificate, ApplicationId("301")) is None, case
    assert _party(system, network, good=False).revoked
    assert organisation_behind(network, certificate, ApplicationId("399")) is None
    assert organisation_behind(network, certificate, ApplicationId("301")) is not None
