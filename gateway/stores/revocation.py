"""Has this certificate been revoked? The authority's revocation list, as it lies on disk this very moment.

Knows files, signatures and serial numbers. Knows nothing of connections, organisations or what a refusal looks like,
and reads no clock: wall time is an argument. Anything wrong with the list makes every certificate STALE: fail closed.
Source: RFC 5280 section 5 and 6.3.3.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa

_SKEW = timedelta(minutes=5)
_RACY_NS = 20_000_000
_Signer = ec.EllipticCurvePublicKey | rsa.RSAPublicKey | ed25519.Ed25519PublicKey | ed448.Ed448PublicKey


class Standing(StrEnum):
    """What the list says of a certificate; STALE means there is no list that can be believed now."""

    GOOD = "good"
    REVOKED = "revoked"
    STALE = "stale"


class _Unusable(Exception):
    """The list cannot be believed; the text says why and names no certificate."""


@dataclass(frozen=True, slots=True)
class _Listing:
    """What one reading of the file gave: who is revoked, and from when until when that may be believed (wall time)."""

    revoked: frozenset[int]
    begin: datetime
    issued: datetime
    end: datetime


_NEVER = datetime.max.replace(tzinfo=UTC)
_NOTHING = _Listing(frozenset(), _NEVER, _NEVER, _NEVER)


class RevocationList:
    """The revocation list of one issuing authority.

    `crl_path` is PEM or DER; `ca_path` is PEM and may hold the whole chain: the list must be signed by one of them.
    The file is looked at on every call and read again when it changed: a revocation counts from the next request on.
    """

    def __init__(self, crl_path: Path, ca_path: Path) -> None:
        self._crl = os.fspath(crl_path)
        self._ca = os.fspath(ca_path)
        self._seen: tuple[int, int, int] | None = None
        self._listing = _NOTHING
        self._newest = datetime.min.replace(tzinfo=UTC)
        self._trouble = "not read yet"

    def check(self, serial: int, wall: datetime) -> Standing:
        """How the certificate with this serial number stands at `wall` (aware). Never raises for a bad file."""
        try:
            stat = os.stat(self._crl)
        except OSError:
            self._drop("the file is not there")
            return Standing.STALE
        if (stat.st_mtime_ns, stat.st_size, stat.st_ino) != self._seen:
            self._reload(wall)
        listing = self._listing
        if not listing.begin <= wall < listing.end:
            return Standing.STALE
        return Standing.REVOKED if serial in listing.revoked else Standing.GOOD

    def trouble(self, wall: datetime) -> str:
        """Why the list cannot be believed at `wall`, for readiness and the operator; empty when it can."""
        if self._trouble:
            return self._trouble
        if wall < self._listing.begin:
            return "issued in the future"
        return "expired" if wall >= self._listing.end else ""

    def _drop(self, why: str) -> None:
        self._seen, self._listing, self._trouble = None, _NOTHING, why

    def _reload(self, wall: datetime) -> None:
        try:
            with open(self._crl, "rb") as file:
                # The identity of what is read, not of what was there a moment ago; taken first, so that a write while
                # reading shows as a change on the next call.
                stat = os.fstat(file.fileno())
                listing = _read(file.read(), Path(self._ca).read_bytes())
            if listing.issued < self._newest:
                raise _Unusable("older than a list seen before")
        except OSError:
            self._drop("the file cannot be read")
        except _Unusable as unusable:
            self._drop(str(unusable))
            self._seen = _identity(stat, wall)
        else:
            self._listing, self._trouble = listing, ""
            if listing.begin <= wall:
                self._newest = listing.issued
            self._seen = _identity(stat, wall)


def _identity(stat: os.stat_result, wall: datetime) -> tuple[int, int, int] | None:
    """What tells this content from the next; None when a file this fresh could change again unseen.

    File times tick in steps of some milliseconds: two writes of equal length within one step look the same.
    """
    age_ns = int(wall.timestamp() * 1e9) - stat.st_mtime_ns
    return None if 0 <= age_ns < _RACY_NS else (stat.st_mtime_ns, stat.st_size, stat.st_ino)


def _read(crl_bytes: bytes, ca_bytes: bytes) -> _Listing:
    try:
        crl = _parse(crl_bytes)
        authorities = x509.load_pem_x509_certificates(ca_bytes)
        _require_signature(crl, authorities)
        _require_whole(crl)
        issued, end = crl.last_update_utc, crl.next_update_utc
        revoked = frozenset(entry.serial_number for entry in crl)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise _Unusable("cannot be parsed") from error
    if end is None:
        raise _Unusable("says no next update")
    return _Listing(revoked, issued - _SKEW, issued, end)


def _parse(crl_bytes: bytes) -> x509.CertificateRevocationList:
    if crl_bytes.lstrip().startswith(b"-----BEGIN"):
        return x509.load_pem_x509_crl(crl_bytes)
    return x509.load_der_x509_crl(crl_bytes)


def _require_signature(crl: x509.CertificateRevocationList, authorities: list[x509.Certificate]) -> None:
    signers = [ca for ca in authorities if ca.subject == crl.issuer and _may_sign(ca)]
    if not any(_signed_by(crl, ca) for ca in signers):
        raise _Unusable("not signed by the authority")


def _signed_by(crl: x509.CertificateRevocationList, ca: x509.Certificate) -> bool:
    key = ca.public_key()
    return isinstance(key, _Signer) and crl.is_signature_valid(key)


def _may_sign(ca: x509.Certificate) -> bool:
    try:
        return ca.extensions.get_extension_for_class(x509.KeyUsage).value.crl_sign
    except x509.ExtensionNotFound:
        return True


def _require_whole(crl: x509.CertificateRevocationList) -> None:
    """A delta list, or one for some certificates only, marks itself by a critical extension: neither is the whole."""
    if any(extension.critical for extension in crl.extensions):
        raise _Unusable("not a complete list")
