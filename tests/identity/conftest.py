"""One throw-away authority for all tests of identity."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from identity_made import AUDIENCE, NOW, Held, issued

from gateway.identity.assertion import Assertion, read_assertion, trusted_signer
from gateway.identity.certificate import Authority, Certificate
from gateway.stores.revocation import RevocationList, Standing
from source_sim.pki import Pki, create


@pytest.fixture(scope="session")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return create(tmp_path_factory.mktemp("pki") / "ca", now=NOW)


@pytest.fixture(scope="session")
def system(pki: Pki) -> Held:
    """The certificate of the connection."""
    return issued(pki)


@pytest.fixture(scope="session")
def read(pki: Pki) -> Callable[..., Assertion]:
    """Reads as the token endpoint does: authority and revocation list stand behind a separate signing certificate."""
    authority = Authority((pki.directory / "ca.pem").read_bytes())
    revocation = RevocationList(pki.directory / "crl.pem", pki.directory / "ca.pem")

    def standing(certificate: Certificate) -> bool:
        return revocation.check(certificate.serial_number, NOW) is Standing.GOOD

    trusted = trusted_signer(lambda der: authority.vouches_for(der, NOW), standing)

    def reading(text: str, connection: Held) -> Assertion:
        return read_assertion(text, connection.certificate, audience=AUDIENCE, wall=NOW, trusted=trusted)

    return reading
