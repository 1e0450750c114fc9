"""Does the revocation list tell the good from the revoked at once, and does anything wrong with it close every door?"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from gateway.stores.revocation import RevocationList, Standing

WALL = datetime(2026, 11, 21, 3, 0, tzinfo=UTC)
DAY = timedelta(days=1)
GOOD, REVOKED, STALE = Standing.GOOD, Standing.REVOKED, Standing.STALE


@dataclass(frozen=True)
class Authority:
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(Encoding.PEM)


def authority(name: str = "Issuing", *, crl_sign: bool = True) -> Authority:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    usage = x509.KeyUsage(False, False, False, False, False, True, crl_sign, False, False)
    builder = x509.CertificateBuilder(subject, subject, key.public_key(), 1, WALL - 99 * DAY, WALL + 999 * DAY)
    builder = builder.add_extension(usage, critical=True)
    return Authority(builder.sign(key, hashes.SHA256()), key)


US = authority()
NAMESAKE = authority()
OTHER = authority("Root")
NO_LISTS = authority(crl_sign=False)


def crl(
    *serials: int,
    by: Authority = US,
    issued: datetime = WALL - timedelta(hours=1),
    until: datetime | None = None,
    extra: x509.ExtensionType | None = None,
) -> x509.CertificateRevocationList:
    entries = [x509.RevokedCertificateBuilder(serial, issued).build() for serial in serials]
    builder = x509.CertificateRevocationListBuilder(by.certificate.subject, issued, until or WALL + DAY, [], entries)
    if extra is not None:
        builder = builder.add_extension(extra, critical=True)
    return builder.sign(by.key, hashes.SHA256())


def pem(*serials: int, by: Authority = US, issued: datetime = WALL - timedelta(hours=1)) -> bytes:
    return crl(*serials, by=by, issued=issued).public_bytes(Encoding.PEM)


@dataclass(frozen=True)
class Place:
    """Where list and authority lie; every write is a new file put in place, as an authority does it."""

    folder: Path

    @property
    def crl(self) -> Path:
        return self.folder / "crl.pem"

    @property
    def ca(self) -> Path:
        return self.folder / "ca.pem"

    def put(self, content: bytes) -> None:
        beside = self.folder / "beside"
        beside.write_bytes(content)
        beside.replace(self.crl)

    def read(self) -> RevocationList:
        return RevocationList(self.crl, self.ca)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    (tmp_path / "ca.pem").write_bytes(US.pem + OTHER.pem)
    return Place(tmp_path)


def test_good_and_revoked_are_told_apart(place: Place) -> None:
    place.put(pem(7, 2**150))
    listed = place.read()
    assert [listed.check(serial, WALL) for serial in (7, 2**150, 8)] == [REVOKED, REVOKED, GOOD]
    assert listed.trouble(WALL) == ""


def test_a_der_list_is_read_too(place: Place) -> None:
    place.put(crl(7).public_bytes(Encoding.DER))
    assert [place.read().check(serial, WALL) for serial in (7, 8)] == [REVOKED, GOOD]


def damaged() -> bytes:
    whole = bytearray(crl(7).public_bytes(Encoding.DER))
    whole[-1] ^= 1
    return bytes(whole)


def tampered() -> bytes:
    """The list with another serial number in it, under the old signature."""
    return crl(0x7777777777).public_bytes(Encoding.DER).replace(b"\x77" * 5, b"\x66" * 5)


PARTIAL = x509.IssuingDistributionPoint(None, None, True, False, None, False, False)
BAD: dict[str, Callable[[], bytes]] = {
    "empty": lambda: b"",
    "rubbish": lambda: b"rubbish",
    "truncated": lambda: pem(7)[:-60],
    "PEM of something else": lambda: US.pem,
    "signed by a namesake": lambda: pem(7, by=NAMESAKE),
    "signed by a stranger": lambda: pem(7, by=authority("Stranger")),
    "broken signature": damaged,
    "another serial under the old signature": tampered,
    "expired": lambda: crl(7, until=WALL - timedelta(seconds=1)).public_bytes(Encoding.PEM),
    "expires this moment": lambda: crl(7, until=WALL).public_bytes(Encoding.PEM),
    "issued in the future": lambda: crl(7, issued=WALL + timedelta(minutes=6)).public_bytes(Encoding.PEM),
    "for some certificates only": lambda: crl(7, extra=PARTIAL).public_bytes(Encoding.PEM),
    "a delta only": lambda: crl(7, extra=x509.DeltaCRLIndicator(1)).public_bytes(Encoding.PEM),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_list_closes_every_door_and_a_good_one_opens_them_again(place: Place, name: str) -> None:
    place.put(pem(7))
    listed = place.read()
    assert listed.check(8, WALL) is GOOD
    place.put(BAD[name]())
    assert [listed.check(serial, WALL) for serial in (7, 8, 8)] == [STALE] * 3
    assert listed.trouble(WALL) != ""
    place.put(pem(7))
    assert [listed.check(serial, WALL) for serial in (7, 8)] == [REVOKED, GOOD]


@pytest.mark.parametrize("name", BAD)
def test_a_bad_list_at_the_start_closes_every_door(place: Place, name: str) -> None:
    place.put(BAD[name]())
    assert place.read().check(8, WALL) is STALE


def test_a_missing_list_closes_every_door(place: Place) -> None:
    listed = place.read()
    assert listed.check(8, WALL) is STALE
    place.put(pem(7))
    assert listed.check(8, WALL) is GOOD
    place.crl.unlink()
    assert listed.check(8, WALL) is STALE
    place.crl.mkdir()
    assert listed.check(8, WALL) is STALE


def test_an_authority_that_may_not_sign_lists_does_not(place: Place) -> None:
    place.put(pem(7, by=NO_LISTS))
    place.ca.write_bytes(NO_LISTS.pem)
    assert place.read().check(8, WALL) is STALE


@pytest.mark.parametrize("content", [b"", b"rubbish", OTHER.pem])
def test_without_its_authority_a_list_is_nothing(place: Place, content: bytes) -> None:
    place.put(pem(7))
    place.ca.write_bytes(content)
    assert place.read().check(8, WALL) is STALE


def test_a_list_goes_stale_as_time_passes(place: Place) -> None:
    place.put(pem(7))
    listed = place.read()
    moments = (WALL - timedelta(hours=2), WALL, WALL + DAY - timedelta(seconds=1), WALL + DAY, WALL + 2 * DAY)
    assert [listed.check(8, moment) for moment in moments] == [STALE, GOOD, GOOD, STALE, STALE]
    assert [listed.trouble(moment) for moment in moments[2:4]] == ["", "expired"]


def test_an_older_list_does_not_forgive(place: Place) -> None:
    place.put(pem(7, issued=WALL - timedelta(hours=1)))
    listed = place.read()
    assert listed.check(7, WALL) is REVOKED
    place.put(pem(issued=WALL - timedelta(hours=2)))
    assert listed.check(7, WALL) is STALE


def test_a_revocation_counts_from_the_next_call_on(place: Place) -> None:
    place.put(pem(7))
    listed = place.read()
    assert listed.check(8, WALL) is GOOD
    place.put(pem(7, 8))
    assert listed.check(8, WALL) is REVOKED


def test_a_list_rewritten_in_place_within_one_tick_of_the_clock_is_noticed(place: Place) -> None:
    """Same inode, same length, same time: file times tick coarsely."""
    tick_ns = int(WALL.timestamp()) * 10**9
    first = crl(7).public_bytes(Encoding.DER)
    second = next(der for _ in range(200) if len(der := crl(8).public_bytes(Encoding.DER)) == len(first))
    listed = place.read()
    for content, milliseconds, standing in ((first, 5, GOOD), (second, 6, REVOKED)):
        place.crl.write_bytes(content)
        os.utime(place.crl, ns=(tick_ns, tick_ns))
        assert listed.check(8, WALL + timedelta(milliseconds=milliseconds)) is standing


def test_an_unchanged_file_is_read_once(place: Place) -> None:
    place.put(pem(7))
    os.utime(place.crl, ns=(1, 1))
    listed = place.read()
    assert listed.check(8, WALL) is GOOD
    place.ca.unlink()  # another reading would fail for want of the authority
    assert listed.check(8, WALL) is GOOD
    os.utime(place.crl, ns=(2, 2))
    assert listed.check(8, WALL) is STALE


@given(st.sets(st.integers(1, 2**159), max_size=20), st.integers(1, 2**159))
def test_whoever_is_on_the_list_is_revoked_and_nobody_else(serials: set[int], other: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        place = Place(Path(folder))
        place.ca.write_bytes(US.pem)
        place.put(pem(*serials))
        listed = place.read()
        for serial in {*serials, other}:
            assert listed.check(serial, WALL) is (REVOKED if serial in serials else GOOD)
