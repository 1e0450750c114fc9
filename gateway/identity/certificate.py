"""Whose system holds this certificate? Reads the UZI identity out of a certificate that TLS has already verified.

The identity sits in a subjectAltName otherName (type-id 2.5.5.5) of seven parts joined by '-' (domain.md section 1).
"""

from __future__ import annotations

import base64
import hashlib
import re
import warnings
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.utils import CryptographyDeprecationWarning
from cryptography.x509.oid import ObjectIdentifier

from gateway.rules.identifiers import InvalidIdentifier, Ura, UziNumber

UZI_OTHER_NAME = ObjectIdentifier("2.5.5.5")
_STRING_TAGS = {0x0C, 0x13, 0x16}
"""DER tags in which the national authority and test authorities write the string: UTF8, Printable, IA5."""


_ISSUED_UNDER = re.compile(r"2\.16\.528\.1\.1007(\.[0-9]+)+")
"""The arc of the UZI register, under which its authorities, test ones included, number themselves."""
_FORM = re.compile(r"[0-9]+-[0-9]{2}\.[0-9]{3}-[0-9]{8}")
"""Version, role and AGB code."""


class NotUzi(ValueError):
    """The certificate does not identify a system on the network; says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """A system's certificate. `serial` is upper-case hex without leading zeros; `thumbprint` is base64url SHA-256
    without padding, as RFC 8705 x5t#S256."""

    ura: Ura
    uzi: UziNumber
    serial: str
    thumbprint: str
    not_before: datetime
    not_after: datetime
    public_key_pem: bytes

    @property
    def serial_number(self) -> int:
        return int(self.serial, 16)


_UNREADABLE = (
    ValueError,
    UnsupportedAlgorithm,
    x509.InvalidVersion,
    x509.ExtensionNotFound,
    x509.DuplicateExtension,
    CryptographyDeprecationWarning,
)
"""All that reading odd bytes as a certificate may raise; the last four are no ValueErrors."""


@lru_cache(maxsize=4096)
def read_certificate(der: bytes) -> Certificate:
    """Read a DER certificate. Raises NotUzi."""
    try:
        with warnings.catch_warnings():
            # a serial number that is not positive: RFC 5280 forbids it, the library still only warns
            warnings.simplefilter("error", CryptographyDeprecationWarning)
            parsed = x509.load_der_x509_certificate(der)
        extension = parsed.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        public_key = parsed.public_key()
    except _UNREADABLE as wrong:
        raise NotUzi("the certificate cannot be read or has no subjectAltName") from wrong
    ura, uzi = _uzi_identity(extension.value)
    return Certificate(
        ura=ura,
        uzi=uzi,
        serial=f"{parsed.serial_number:X}",
        thumbprint=thumbprint(der),
        not_before=parsed.not_valid_before_utc,
        not_after=parsed.not_valid_after_utc,
        public_key_pem=public_key.public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        ),
    )


def thumbprint(der: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(der).digest()).rstrip(b"=").decode("ascii")


def organisation_of(der: bytes) -> str | None:
    """The URA in a certificate, or None where it names no organisation on the network."""
    try:
        return read_certificate(der).ura.digits
    except NotUzi:
        return None


def _uzi_identity(names: x509.SubjectAlternativeName) -> tuple[Ura, UziNumber]:
    others = [n for n in names if isinstance(n, x509.OtherName) and n.type_id == UZI_OTHER_NAME]
    if len(others) != 1:
        raise NotUzi("the certificate has no UZI otherName, or more than one")
    parts = _der_text(others[0].value).split("-")
    if len(parts) != 7:
        raise NotUzi("the UZI otherName does not have seven parts")
    authority, version, uzi, pass_type, ura, role, agb = parts
    if not _ISSUED_UNDER.fullmatch(authority) or not _FORM.fullmatch(f"{version}-{role}-{agb}"):
        raise NotUzi("the UZI otherName is not of an authority of the register")
    if pass_type != "S":
        raise NotUzi("the certificate is not a server certificate (pass type S)")
    try:
        return Ura(ura), UziNumber(uzi)
    except InvalidIdentifier as wrong:
        raise NotUzi(f"the UZI otherName is malformed: {wrong}") from wrong


def _der_text(value: bytes) -> str:
    if len(value) < 2 or value[0] not in _STRING_TAGS or value[1] != len(value) - 2:
        raise NotUzi("the UZI otherName is not a string")
    try:
        return value[2:].decode("ascii")
    except UnicodeDecodeError as wrong:
        raise NotUzi("the UZI otherName is not plain text") from wrong


class Authority:
    """The certificate authorities whose certificates count, for certificates that did not come through TLS (x5c)."""

    def __init__(self, pem: bytes) -> None:
        self._issuers = tuple(x509.load_pem_x509_certificates(pem))

    def vouches_for(self, der: bytes, wall: datetime) -> bool:
        """Whether an issuer signed this certificate and it is valid at `wall`."""
        try:
            leaf = x509.load_der_x509_certificate(der)
        except ValueError:
            return False
        within = leaf.not_valid_before_utc <= wall <= leaf.not_valid_after_utc
        return within and any(_issued(leaf, issuer) for issuer in self._issuers)


def _issued(leaf: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        leaf.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature):
        return False
    try:
        is_ca = leaf.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        is_ca = False
    return not is_ca
