"""Which certificates and keys may sign an assertion? Those of the same system and authority, and no other."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from identity_made import (
    OTHER_APPLICATION,
    OTHER_URA,
    URA,
    Held,
    built,
    der_of,
    envelope,
    held,
    issued,
    signed,
    x5c,
)
from joserfc import jwk

from gateway.identity.assertion import Assertion, Refused
from source_sim.pki import Flaw, Pki

RSA_KEY = rsa.generate_private_key(65537, 2048)
SMALL_RSA_KEY = rsa.generate_private_key(65537, 1024)


def _pem(key: Any) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


# --- a separate signing certificate ----------------------------------------------------------------------------------


def test_a_separate_signing_certificate_of_the_same_system(
    read: Callable[..., Assertion], pki: Pki, system: Held
) -> None:
    signer = issued(pki)
    assert read(signer.sign(envelope(), x5c=x5c(signer.der)), system).jti == "j-1"
    issuing = pki.issuing.public_bytes(serialization.Encoding.DER)
    assert read(signer.sign(envelope(), x5c=x5c(signer.der, issuing)), system).jti == "j-1"


def _by(pki: Pki, flaw: Flaw) -> tuple[Any, bytes]:
    signer = issued(pki, flaw=flaw)
    return signer, signer.der


def _authority_signs(pki: Pki) -> str:
    issuing = pki.issuing.public_bytes(serialization.Encoding.DER)
    return signed(jwk.ECKey.import_key(_pem(pki.issuing_key)), envelope(), x5c=x5c(issuing))


def _named_but_not_used(pki: Pki, system: Held) -> str:
    """The header shows the connection's certificate, the signature is somebody else's."""
    return issued(pki, OTHER_URA, OTHER_APPLICATION).sign(envelope(), x5c=x5c(system.der))


def _signs(pki: Pki, flaw: Flaw) -> str:
    signer, der = _by(pki, flaw)
    return str(signer.sign(envelope(), x5c=x5c(der)))


def _other(pki: Pki, ura: str, application: str) -> str:
    signer = issued(pki, ura, application)
    return signer.sign(envelope(), x5c=x5c(signer.der))


X5C: dict[str, tuple[Callable[[Pki, Held], str], str]] = {
    "of another organisation": (lambda pki, s: _other(pki, OTHER_URA, OTHER_APPLICATION), "invalid_client"),
    "of another system of the same": (lambda pki, s: _other(pki, URA, "399"), "invalid_client"),
    "of a foreign authority": (lambda pki, s: _signs(pki, Flaw.FOREIGN_CA), "invalid_grant"),
    "revoked": (lambda pki, s: _signs(pki, Flaw.REVOKED), "invalid_grant"),
    "expired": (lambda pki, s: _signs(pki, Flaw.EXPIRED), "invalid_grant"),
    "not yet valid": (lambda pki, s: _signs(pki, Flaw.NOT_YET_VALID), "invalid_grant"),
    "the authority itself": (lambda pki, s: _authority_signs(pki), "invalid_grant"),
    "shown, but not what signed": (lambda pki, s: _named_but_not_used(pki, s), "invalid_grant"),
    "names nobody": (lambda pki, s: s.sign(envelope(), x5c=x5c(der_of(pki, Flaw.NO_IDENTITY))), "invalid_grant"),
    "a certificate authority of theirs": (
        lambda pki, s: s.sign(envelope(), x5c=x5c(built(pki, s.key, is_ca=True))), "invalid_grant"),
    "an empty list": (lambda pki, s: s.sign(envelope(), x5c=[]), "invalid_grant"),
    "not a list": (lambda pki, s: _raw_header(s, x5c="x"), "invalid_grant"),
    "not base64": (lambda pki, s: s.sign(envelope(), x5c=["?"]), "invalid_grant"),
    "not a certificate": (lambda pki, s: s.sign(envelope(), x5c=x5c(b"nothing")), "invalid_grant"),
}  # fmt: skip


def _raw_header(system: Held, **header: Any) -> str:
    head = base64.urlsafe_b64encode(json.dumps({"alg": "ES256", **header}).encode()).rstrip(b"=").decode()
    return ".".join([head, *system.sign(envelope()).split(".")[1:]])


@pytest.mark.parametrize("case", X5C)
def test_a_signing_certificate_that_does_not_count(
    read: Callable[..., Assertion], pki: Pki, system: Held, case: str
) -> None:
    make, error = X5C[case]
    with pytest.raises(Refused) as caught:
        read(make(pki, system), system)
    assert caught.value.error == error


# --- kinds of key ----------------------------------------------------------------------------------------------------

KEYS: dict[str, tuple[Any, str, bool]] = {
    "P-256, ES256": (ec.generate_private_key(ec.SECP256R1()), "ES256", True),
    "RSA, PS256": (RSA_KEY, "PS256", True),
    "Ed25519, EdDSA": (ed25519.Ed25519PrivateKey.generate(), "EdDSA", True),
    "RSA, RS256": (RSA_KEY, "RS256", False),
    "a small RSA key": (SMALL_RSA_KEY, "PS256", False),
    "P-384": (ec.generate_private_key(ec.SECP384R1()), "ES384", False),
    "Ed448": (ed448.Ed448PrivateKey.generate(), "EdDSA", False),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("case", KEYS)
def test_which_keys_sign(read: Callable[..., Assertion], pki: Pki, case: str) -> None:
    key, alg, accepted = KEYS[case]
    connection = held(pki, key)
    text = connection.sign(envelope(), alg)
    if accepted:
        assert read(text, connection).claims.organisation.digits == URA
        return
    with pytest.raises(Refused) as caught:
        read(text, connection)
    assert caught.value.error == "invalid_grant"
