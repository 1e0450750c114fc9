"""Is this assertion really from the system on this connection? Each forgery once, with the OAuth error it gets."""

from __future__ import annotations

import base64
import hmac
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from hypothesis import given
from hypothesis import strategies as st
from identity_made import (
    AUDIENCE,
    NOW,
    OTHER_APPLICATION,
    OTHER_URA,
    PATIENT,
    URA,
    Held,
    envelope,
    issued,
    signed,
)
from joserfc import jwk

from gateway.identity.assertion import LARGEST, Assertion, Refused, read_assertion
from gateway.identity.certificate import Certificate
from source_sim.pki import Pki

T = int(NOW.timestamp())
RSA_KEY = rsa.generate_private_key(65537, 2048)
SMALL_RSA_KEY = rsa.generate_private_key(65537, 1024)


def test_an_assertion_in_order(read: Callable[..., Assertion], system: Held) -> None:
    assertion = read(system.sign(envelope()), system)
    assert (assertion.jti, assertion.expires) == ("j-1", T + 60)
    assert assertion.claims.organisation.digits == URA
    assert assertion.raw["patient"] == PATIENT


ENVELOPES: dict[str, tuple[dict[str, Any], str | None]] = {
    "expired": ({"exp": T}, "invalid_grant"),
    "expires next second": ({"exp": T + 1}, None),
    "issued in the future": ({"iat": T + 31, "exp": T + 60}, "invalid_grant"),
    "issued by a clock a little ahead": ({"iat": T + 30, "exp": T + 60}, None),
    "lives five minutes": ({"exp": T + 300}, None),
    "lives longer": ({"exp": T + 301}, "invalid_grant"),
    "issued long ago, still alive": ({"iat": T - 400, "exp": T + 10}, "invalid_grant"),
    "for another audience": ({"aud": "https://exchange.test/fhir"}, "invalid_grant"),
    "for several, us among them": ({"aud": ["https://elsewhere.test", AUDIENCE]}, None),
    "for several, not us": ({"aud": ["https://elsewhere.test"]}, "invalid_grant"),
    "for nobody": ({"aud": []}, "invalid_grant"),
    "audience is an object": ({"aud": {AUDIENCE: 1}}, "invalid_grant"),
    "times as text": ({"exp": str(T + 60)}, "invalid_request"),
    "times as booleans": ({"iat": True}, "invalid_request"),
    "times beyond measure": ({"exp": 1e300}, "invalid_request"),
    "a jti too long": ({"jti": "j" * 201}, "invalid_request"),
    "a jti that is a number": ({"jti": 7}, "invalid_request"),
    "an empty jti": ({"jti": ""}, "invalid_request"),
    "a malformed claim": ({"purpose": "HMARKT"}, "invalid_request"),
    "another organisation": ({"organisation": OTHER_URA}, "invalid_client"),
    **{f"no {name}": ({name: None}, "invalid_request")
       for name in ("iss", "aud", "iat", "exp", "jti", "organisation", "sub")},
}  # fmt: skip


@pytest.mark.parametrize("case", ENVELOPES)
def test_the_envelope(read: Callable[..., Assertion], system: Held, case: str) -> None:
    changes, error = ENVELOPES[case]
    text = system.sign(envelope(**changes))
    if error is None:
        read(text, system)
        return
    with pytest.raises(Refused) as caught:
        read(text, system)
    assert caught.value.error == error
    assert caught.value.status == (401 if error == "invalid_client" else 400)
    assert PATIENT not in caught.value.why


# --- forged ----------------------------------------------------------------------------------------------------------


def _b64(part: bytes) -> str:
    return base64.urlsafe_b64encode(part).rstrip(b"=").decode()


def _by_hand(header: dict[str, Any], claims: dict[str, Any], sign: Callable[[bytes], bytes]) -> str:
    text = ".".join(_b64(json.dumps(part).encode()) for part in (header, claims))
    return f"{text}.{_b64(sign(text.encode()))}"


def _es256(system: Held, text: bytes) -> bytes:
    r, s = decode_dss_signature(system.key.sign(text, ec.ECDSA(hashes.SHA256())))
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def _unsigned(claims: dict[str, Any], alg: str = "none") -> str:
    return _by_hand({"alg": alg}, claims, lambda text: b"")


def _hs256_with_the_public_key(system: Held) -> str:
    public = system.certificate.public_key_pem
    return _by_hand({"alg": "HS256"}, envelope(), lambda text: hmac.digest(public, text, "sha256"))


def _critical(system: Held) -> str:
    return _by_hand({"alg": "ES256", "crit": ["exp2"], "exp2": 1}, envelope(), lambda text: _es256(system, text))


def test_what_is_signed_by_hand_is_else_in_order(read: Callable[..., Assertion], system: Held) -> None:
    read(_by_hand({"alg": "ES256"}, envelope(), lambda text: _es256(system, text)), system)


def _payload_swapped(system: Held) -> str:
    head, _, signature = system.sign(envelope()).split(".")
    other = system.sign(envelope(role="01.071")).split(".")[1]
    return f"{head}.{other}.{signature}"


def _body_is_no_object(system: Held) -> str:
    from joserfc import jws

    return jws.serialize_compact({"alg": "ES256"}, b"[1]", jwk.ECKey.import_key(_pem(system.key)))


def _pem(key: Any) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


@pytest.mark.parametrize("jti", ["\ud800", "j\x00"])
def test_a_jti_nobody_can_write_down(read: Callable[..., Assertion], system: Held, jti: str) -> None:
    with pytest.raises(Refused):
        read(_by_hand({"alg": "ES256"}, envelope(jti=jti), lambda text: _es256(system, text)), system)


FORGED: dict[str, Callable[[Pki, Held], str]] = {
    "alg none": lambda pki, system: _unsigned(envelope()),
    "alg None in capitals": lambda pki, system: _unsigned(envelope(), "NONE"),
    "HS256 with the public key as secret": lambda pki, system: _hs256_with_the_public_key(system),
    "RS256": lambda pki, system: signed(jwk.RSAKey.import_key(_pem(RSA_KEY)), envelope(), "RS256"),
    "the key of another system": lambda pki, system: issued(pki, OTHER_URA, OTHER_APPLICATION).sign(envelope()),
    "a fresh key": lambda pki, system: signed(jwk.ECKey.generate_key("P-256"), envelope()),
    "a payload under another's signature": lambda pki, system: _payload_swapped(system),
    "no signature": lambda pki, system: system.sign(envelope()).rpartition(".")[0] + ".",
    "a body that is no object": lambda pki, system: _body_is_no_object(system),
    "a critical header nobody knows": lambda pki, system: _critical(system),
    "two parts": lambda pki, system: "a.b",
    "nothing": lambda pki, system: "",
    "text that is not ASCII": lambda pki, system: "é.é.é",
    "its own key in the header": lambda pki, system: _self_signed(),
}


def _self_signed() -> str:
    key = jwk.ECKey.generate_key("P-256")
    return signed(key, envelope(), jwk=key.as_dict(private=False))


@pytest.mark.parametrize("case", FORGED)
def test_a_forged_assertion_is_not_granted(read: Callable[..., Assertion], pki: Pki, system: Held, case: str) -> None:
    with pytest.raises(Refused) as caught:
        read(FORGED[case](pki, system), system)
    assert caught.value.error == "invalid_grant"


def test_a_huge_assertion_is_not_even_parsed(read: Callable[..., Assertion], system: Held) -> None:
    with pytest.raises(Refused) as caught:
        read("a" * (LARGEST + 1), system)
    assert caught.value.error == "invalid_request"


@given(st.text(max_size=60))
def test_no_text_is_more_than_refused(text: str) -> None:
    with pytest.raises(Refused):
        read_assertion(text, _ANYBODY, audience=AUDIENCE, wall=NOW, trusted=lambda der: None)


_KEY = ec.generate_private_key(ec.SECP256R1())
_PUBLIC = _KEY.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
_ANYBODY = Certificate(None, None, "1", "t", NOW, NOW + timedelta(days=1), _PUBLIC)  # type: ignore[arg-type]
