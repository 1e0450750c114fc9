"""Whose system holds a certificate? Every way in which the UZI name can be wrong, and who vouches for a certificate."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from hypothesis import given
from hypothesis import strategies as st
from identity_made import NOW, OTHER_URA, URA, Held, built, der_of, identity, issued, other_name

from gateway.identity.certificate import Authority, NotUzi, organisation_of, read_certificate, thumbprint
from gateway.rules.identifiers import UziNumber
from source_sim.pki import Flaw, Pki, create, uzi_of


def test_a_certificate_names_organisation_and_system(pki: Pki, system: Held) -> None:
    read = system.certificate
    assert read.ura.digits == URA
    assert read.uzi == UziNumber(uzi_of(URA, "301"))
    assert read.serial == pki.register()[0]["serial"]
    assert int(read.serial, 16) == read.serial_number
    assert read.not_before < NOW < read.not_after
    assert len(read.thumbprint) == 43
    assert read.thumbprint == thumbprint(system.der)
    assert organisation_of(system.der) == URA


MALFORMED = [
    Flaw.TOO_FEW_PARTS,
    Flaw.WRONG_TYPE_ID,
    Flaw.LETTERS_IN_URA,
    Flaw.PERSONAL,
    Flaw.TWO_IDENTITIES,
    Flaw.NO_IDENTITY,
    Flaw.WRONG_CA_OID,
]


@pytest.mark.parametrize("flaw", MALFORMED)
def test_a_malformed_identity_names_nobody(pki: Pki, flaw: Flaw) -> None:
    der = der_of(pki, flaw)
    assert organisation_of(der) is None
    with pytest.raises(NotUzi):
        read_certificate(der)


NAMES: dict[str, tuple[x509.OtherName, ...]] = {
    "eight parts": (other_name(identity() + "-x"),),
    "a letter in the UZI number": (other_name(identity().replace("-1-", "-1-X", 1)),),
    "a URA of seven digits": (other_name(identity().replace(URA, URA[:7])),),
    "digits that are not ASCII": (other_name(identity().replace(URA, "９" + URA[1:])),),
    "an octet string": (other_name(identity(), tag=4),),
    "a length in two bytes": (x509.OtherName(other_name("x").type_id, b"\x16\x81" + bytes([200]) + b"x" * 200),),
    "no value": (x509.OtherName(other_name("x").type_id, b"\x05\x00"),),
    "a trailing newline in the URA": (other_name(identity().replace(URA, URA + "\n")),),
    "the same identity twice": (other_name(identity()), other_name(identity())),
    "only a host name": (x509.DNSName("source.test"),),
}


@pytest.mark.parametrize("case", NAMES)
def test_a_name_that_is_not_the_seven_parts_names_nobody(pki: Pki, case: str) -> None:
    with pytest.raises(NotUzi):
        read_certificate(built(pki, None, *NAMES[case]))


@pytest.mark.parametrize("tag", [0x0C, 0x13, 0x16])
def test_every_string_type_in_use_is_read(pki: Pki, tag: int) -> None:
    der = built(pki, None, x509.DNSName("source.test"), other_name(identity(), tag=tag))
    assert read_certificate(der).ura.digits == URA


def test_a_certificate_without_other_names_at_all(pki: Pki) -> None:
    assert organisation_of(built(pki, san=False)) is None


@given(st.binary(max_size=200))
def test_no_bytes_are_more_than_not_uzi(junk: bytes) -> None:
    with pytest.raises(NotUzi):
        read_certificate(junk)


def test_a_serial_number_below_nothing_is_not_uzi() -> None:
    serial = x509.load_der_x509_certificate(_SAMPLE).serial_number
    length = (serial.bit_length() + 8) // 8
    sane = serial.to_bytes(length, "big")
    with pytest.raises(NotUzi):
        read_certificate(_SAMPLE.replace(sane, b"\x80" + sane[1:], 1))


@given(st.integers(0, 2_000), st.integers(0, 255))
def test_a_changed_byte_never_raises_anything_else(changed: int, to: int) -> None:
    der = bytearray(_SAMPLE)
    der[changed % len(der)] = to
    with suppress(NotUzi):
        read_certificate(bytes(der))


def test_a_version_nobody_knows_is_not_uzi() -> None:
    tag = bytes.fromhex("a003020102")
    with pytest.raises(NotUzi):
        read_certificate(bytes(_SAMPLE).replace(tag, tag[:-1] + b"\x07", 1))


def _sample() -> bytes:
    import tempfile
    from pathlib import Path

    with tempfile.TemporaryDirectory() as folder:
        return built(create(Path(folder) / "ca", now=NOW))


_SAMPLE = _sample()


# --- who vouches -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def authority(pki: Pki) -> Authority:
    return Authority((pki.directory / "ca.pem").read_bytes())


KEYS = {
    "P-256": ec.generate_private_key(ec.SECP256R1()),
    "RSA": rsa.generate_private_key(65537, 2048),
    "Ed25519": ed25519.Ed25519PrivateKey.generate(),
}


@pytest.mark.parametrize("kind", KEYS)
def test_the_authority_vouches_for_what_it_signed(pki: Pki, authority: Authority, kind: str) -> None:
    assert authority.vouches_for(built(pki, KEYS[kind]), NOW)


def test_the_authority_vouches_for_no_other(pki: Pki, authority: Authority) -> None:
    assert not authority.vouches_for(der_of(pki, Flaw.FOREIGN_CA), NOW)
    assert not authority.vouches_for(b"nothing", NOW)


def test_a_certificate_authority_is_no_system(pki: Pki, authority: Authority) -> None:
    assert not authority.vouches_for(built(pki, is_ca=True), NOW)
    assert not authority.vouches_for(pki.issuing.public_bytes(serialization.Encoding.DER), NOW)
    assert authority.vouches_for(built(pki, is_ca=None), NOW), "without the extension it is none"


def test_the_authority_vouches_within_the_certificates_days(pki: Pki, authority: Authority) -> None:
    der = built(pki)
    within = [authority.vouches_for(der, NOW + timedelta(days=days)) for days in (-2, -0.9, 0.9, 2)]
    assert within == [False, True, True, False]
    assert not authority.vouches_for(der_of(pki, Flaw.EXPIRED), NOW)
    assert not authority.vouches_for(der_of(pki, Flaw.NOT_YET_VALID), NOW)


def test_two_systems_differ_in_everything_that_names_them(pki: Pki) -> None:
    one, other = issued(pki), issued(pki, OTHER_URA, "302")
    assert one.certificate.ura != other.certificate.ura
    assert one.certificate.thumbprint != other.certificate.thumbprint
    again = issued(pki)
    assert (again.certificate.uzi, again.certificate.ura) == (one.certificate.uzi, one.certificate.ura)
    assert again.certificate.thumbprint != one.certificate.thumbprint
