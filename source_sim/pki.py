"""Who vouches for a system? A throw-away certificate authority shaped like the UZI register's, in one directory.

It knows X.509 and the form of a UZI server certificate (domain.md section 1): the organisation's identity stands in a
subjectAltName *otherName*. It may not know what the exchange does with a certificate, nor read any clock: every `now`
is an aware datetime in wall time. Certificates and lists start five minutes before `now`, for clocks that differ.

The directory (mode 0700) holds `root.pem`, `ca.pem` (issuing, then root: the trust anchor), `issuing.key` (0600),
`crl.pem` (the issuing authority's; the only truth about revocation), `register.jsonl` (what was issued) and `lock`.
"""

from __future__ import annotations

import fcntl
import hashlib
import ipaddress
import json
import re
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

CA_OID = "2.16.528.1.1007.99.2110"  # the first of an identity's seven parts
IDENTITY_TYPE = ObjectIdentifier("2.5.5.5")  # the otherName type-id that carries them

_SKEW, _DAY = timedelta(minutes=5), timedelta(days=1)
_CA_LIFE, _CRL_LIFE = 3650 * _DAY, 30 * _DAY
_SECRET, _OPEN, _UNLOCKED = 0o600, 0o644, serialization.NoEncryption()
_LEAF_USES = x509.KeyUsage(True, False, False, False, False, False, False, False, False)  # digitalSignature
_CA_USES = x509.KeyUsage(False, False, False, False, False, True, True, False, False)  # keyCertSign, cRLSign

Description = dict[str, str | bool | list[str] | None]
"""A certificate for people: serial, subject, issuer, identity, uzi, ura, agb (these four None where the otherName is
absent or malformed), names (a list), not_before and not_after (RFC 3339), revoked (None: not issued here)."""
_Extension = tuple[x509.ExtensionType, bool]  # and whether it is critical
_Days = tuple[datetime, datetime]
_Public = ec.EllipticCurvePublicKey
_Signer = tuple[x509.Name, ec.EllipticCurvePrivateKey]


class InvalidRequest(ValueError):
    """What was asked cannot stand in a certificate: a number of the wrong form, no host, no day."""


class UnknownCertificate(LookupError):
    """This authority never issued a certificate with that serial number."""


class Flaw(StrEnum):
    """What can be wrong with a certificate, for tests: each is otherwise in perfect order."""

    EXPIRED = "expired"
    NOT_YET_VALID = "not-yet-valid"
    REVOKED = "revoked"
    FOREIGN_CA = "foreign-ca"  # another authority that bears the same names
    TOO_FEW_PARTS = "too-few-parts"
    WRONG_TYPE_ID = "wrong-type-id"  # the seven parts under another otherName type-id
    WRONG_CA_OID = "wrong-ca-oid"  # the first part lies outside the register's arc
    LETTERS_IN_URA = "letters-in-ura"
    PERSONAL = "personal"  # pass type Z, a professional's card, where a system has S
    TWO_IDENTITIES = "two-identities"  # a second otherName names another organisation
    NO_IDENTITY = "no-identity"
    NO_CLIENT_AUTH = "no-client-auth"  # extended key usage serverAuth only


@dataclass(frozen=True, slots=True)
class Issued:
    """PEM: the leaf, its PKCS#8 key, leaf plus issuing authority (as `<stem>.pem`); the serial number in upper case."""

    cert_pem: bytes
    key_pem: bytes = field(repr=False)
    chain_pem: bytes
    serial_hex: str
    uzi: str


@dataclass(frozen=True, slots=True)
class Pki:
    """An authority and its directory. Several processes may use it at once: every change is made under a file lock."""

    directory: Path
    root: x509.Certificate
    issuing: x509.Certificate
    issuing_key: ec.EllipticCurvePrivateKey = field(repr=False)

    def issue(
        self,
        ura: str,
        application: str,
        name: str,
        *,
        now: datetime,
        dns: Sequence[str] = (),
        agb: str = "00000000",
        days: int = 365,
        out: Path | None = None,
        stem: str = "client",
        p12_password: str = "",
        flaw: Flaw | None = None,
    ) -> Issued:
        """A certificate for server and client use, with a fresh P-256 key, for `application` of organisation `ura`.

        `dns` holds host names, IP addresses and endpoint URLs (their host counts). Ask again with another `stem` for a
        separate signing certificate: the UZI number stays the same. With `out`, writes `<stem>.pem`, `<stem>.key`,
        `<stem>.p12` (not encrypted when `p12_password` is empty) and `ca.pem` there, the secret ones mode 0600.
        Raises InvalidRequest.
        """
        uzi, agb = uzi_of(ura, application), _matching("[0-9]{8}", agb, "an AGB code")
        authority = _authority(now) if flaw is Flaw.FOREIGN_CA else self
        key, signer = ec.generate_private_key(ec.SECP256R1()), (authority.issuing.subject, authority.issuing_key)
        names = (*_identities(f"{CA_OID}-1-{uzi}-S-{ura}-00.000-{agb}", flaw), *_hosts(dns))
        subject, times, said = _name(name, uzi), _days(now, days, flaw), _leaf_extensions(names, flaw)
        certificate = _sign(signer, subject, key.public_key(), times, *said)
        pem, serial = _pem(certificate), f"{certificate.serial_number:X}"
        issued = Issued(pem, _key_pem(key), pem + _pem(authority.issuing), serial, uzi)
        if authority is self:
            self._enter({"serial": serial, "ura": ura, "application": application, "uzi": uzi, "name": name})
        if flaw is Flaw.REVOKED:
            self.revoke(serial, now)
        if out is not None:
            self._write_out(out / stem, issued, _p12(name, key, certificate, authority, p12_password))
        return issued

    def revoke(self, certificate: str | Path, now: datetime, *, lifetime: timedelta = _CRL_LIFE) -> str:
        """Put a certificate (serial in hexadecimal, or a PEM file) on the list; once there it keeps its first date.

        Returns the serial number. Raises UnknownCertificate, InvalidRequest, ValueError or OSError (no certificate).
        """
        serial = _serial(certificate)
        with _locked(self.directory):
            known = self.revoked(serial)
            if known is None:
                raise UnknownCertificate(f"{serial:X}")
            if not known:
                line = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(now.astimezone(UTC))
                self._write_crl([*self._crl(), line.build()], now, lifetime)
        return f"{serial:X}"

    def refresh_crl(self, now: datetime, *, lifetime: timedelta = _CRL_LIFE) -> None:
        """Sign the same list anew, valid from `now` for `lifetime`; with an old `now` this makes an expired list."""
        with _locked(self.directory):
            self._write_crl([*self._crl()], now, lifetime)

    def register(self) -> tuple[dict[str, str], ...]:
        """What was issued, oldest first: serial, ura, application, uzi and name of every certificate."""
        return tuple(json.loads(line) for line in (self.directory / "register.jsonl").read_bytes().splitlines())

    def revoked(self, serial: int) -> bool | None:
        """Whether the certificate with this serial number is on the list; None if it was not issued here."""
        if not any(int(entry["serial"], 16) == serial for entry in self.register()):
            return None
        return self._crl().get_revoked_certificate_by_serial_number(serial) is not None

    def _enter(self, entry: dict[str, str]) -> None:
        path = self.directory / "register.jsonl"
        with _locked(self.directory):
            _replace(path, path.read_bytes() + json.dumps(entry).encode() + b"\n", _SECRET)

    def _crl(self) -> x509.CertificateRevocationList:
        return x509.load_pem_x509_crl((self.directory / "crl.pem").read_bytes())

    def _write_crl(self, entries: Sequence[x509.RevokedCertificate], now: datetime, lifetime: timedelta) -> None:
        path, times = self.directory / "crl.pem", (now.astimezone(UTC) - _SKEW, now.astimezone(UTC) + lifetime)
        last = self._crl().extensions.get_extension_for_class(x509.CRLNumber).value.crl_number if path.exists() else 0
        builder = x509.CertificateRevocationListBuilder(self.issuing.subject, *times, [], list(entries))
        by = x509.AuthorityKeyIdentifier.from_issuer_public_key(self.issuing_key.public_key())
        builder = builder.add_extension(by, critical=False).add_extension(x509.CRLNumber(last + 1), critical=False)
        _replace(path, builder.sign(self.issuing_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM), _OPEN)

    def _write_out(self, path: Path, issued: Issued, archive: bytes) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        _replace(path.with_name(f"{path.name}.key"), issued.key_pem, _SECRET)
        _replace(path.with_name(f"{path.name}.p12"), archive, _SECRET)
        _replace(path.with_name(f"{path.name}.pem"), issued.chain_pem, _OPEN)
        _replace(path.with_name("ca.pem"), _pem(self.issuing) + _pem(self.root), _OPEN)


def create(directory: Path, *, now: datetime, crl_lifetime: timedelta = _CRL_LIFE) -> Pki:
    """A new authority in `directory` (made if absent). Raises FileExistsError if one lives there, InvalidRequest."""
    pki = replace(_authority(now), directory=directory)
    directory.mkdir(parents=True, exist_ok=True)
    directory.chmod(0o700)
    with _locked(directory):
        if (directory / "ca.pem").exists():
            raise FileExistsError(f"{directory} already holds an authority")
        _replace(directory / "issuing.key", _key_pem(pki.issuing_key), _SECRET)
        _replace(directory / "root.pem", _pem(pki.root), _OPEN)
        _replace(directory / "register.jsonl", b"", _SECRET)
        pki._write_crl([], now, crl_lifetime)
        # last, because its presence says that the authority is whole
        _replace(directory / "ca.pem", _pem(pki.issuing) + _pem(pki.root), _OPEN)
    return pki


def load(directory: Path) -> Pki:
    """The authority that `create` made here. Raises FileNotFoundError, or ValueError for files that are not its own."""
    issuing, root = x509.load_pem_x509_certificates((directory / "ca.pem").read_bytes())
    key = serialization.load_pem_private_key((directory / "issuing.key").read_bytes(), None)
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != issuing.public_key():
        raise ValueError(f"issuing.key in {directory} does not belong to its ca.pem")
    return Pki(directory, root, issuing, key)


def uzi_of(ura: str, application: str) -> str:
    """The UZI number (nine digits) of a system: always the same for one organisation and application."""
    parts = _matching("[0-9]{8}", ura, "a URA"), _matching("[0-9]{1,16}", application, "an application id")
    digest = hashlib.sha256("/".join(parts).encode()).digest()
    return f"{int.from_bytes(digest[:8], 'big') % 10**9:09}"


def describe(pem: bytes, pki: Pki | None = None) -> Description:
    """The first certificate in `pem`, in words, and whether `pki` revoked it. Raises ValueError if there is none."""
    certificate = x509.load_pem_x509_certificate(pem)
    said = [extension.value for extension in certificate.extensions]
    names = [name for value in said if isinstance(value, x509.SubjectAlternativeName) for name in value]
    held = [name.value for name in names if isinstance(name, x509.OtherName) and name.type_id == IDENTITY_TYPE]
    identity = held[0][2:].decode("utf-8", "replace") if held else None
    parts = re.fullmatch(r"[0-9.]+-[0-9]+-([0-9]{9})-[A-Z]-([0-9]{8})-[0-9.]+-([0-9]{8})", identity or "")
    return {
        "serial": f"{certificate.serial_number:X}",
        "subject": certificate.subject.rfc4514_string(),
        "issuer": certificate.issuer.rfc4514_string(),
        "identity": identity,
        **dict(zip(("uzi", "ura", "agb"), parts.groups() if parts else (None, None, None), strict=True)),
        "names": [str(name.value) for name in names if isinstance(name, x509.DNSName | x509.IPAddress)],
        "not_before": certificate.not_valid_before_utc.isoformat(),
        "not_after": certificate.not_valid_after_utc.isoformat(),
        "revoked": pki.revoked(certificate.serial_number) if pki else None,
    }


def _identities(text: str, flaw: Flaw | None) -> list[x509.OtherName]:
    ura = text.split("-")[4]
    flawed: dict[Flaw | None, tuple[str, ...]] = {
        Flaw.TOO_FEW_PARTS: (text.rpartition("-")[0],),
        Flaw.WRONG_CA_OID: (text.replace(CA_OID, "2.16.528.1.1003.99.9999"),),
        Flaw.LETTERS_IN_URA: (text.replace(f"-{ura}-", f"-{ura[:7]}X-"),),
        Flaw.PERSONAL: (text.replace("-S-", "-Z-"),),
        Flaw.TWO_IDENTITIES: (text, text.replace(f"-{ura}-", f"-{int(ura) ^ 1:08}-")),
        Flaw.NO_IDENTITY: (),
    }
    kind = ObjectIdentifier("2.5.5.6") if flaw is Flaw.WRONG_TYPE_ID else IDENTITY_TYPE
    # DER by hand: tag 22 (IA5String), a length below 128, the text
    return [x509.OtherName(kind, bytes([22, len(said)]) + said.encode("ascii")) for said in flawed.get(flaw, (text,))]


def _days(now: datetime, days: int, flaw: Flaw | None) -> _Days:
    if days < 1:
        raise InvalidRequest("a certificate lasts at least a day")
    shift = -days - 1 if flaw is Flaw.EXPIRED else int(flaw is Flaw.NOT_YET_VALID)
    start = now.astimezone(UTC) + shift * _DAY
    return start - _SKEW, start + days * _DAY


def _leaf_extensions(names: Sequence[x509.GeneralName], flaw: Flaw | None) -> list[_Extension]:
    client = () if flaw is Flaw.NO_CLIENT_AUTH else (ExtendedKeyUsageOID.CLIENT_AUTH,)
    usages = x509.ExtendedKeyUsage((ExtendedKeyUsageOID.SERVER_AUTH, *client))
    always: list[_Extension] = [(x509.BasicConstraints(False, None), True), (_LEAF_USES, True), (usages, False)]
    return [*always, (x509.SubjectAlternativeName(names), False)] if names else always


def _sign(by: _Signer, subject: x509.Name, key: _Public, days: _Days, *said: _Extension) -> x509.Certificate:
    """A certificate with a random serial number and the key identifiers that RFC 5280 section 4.2.1 asks of all."""
    issuer, issuer_key = by
    builder = x509.CertificateBuilder(issuer, subject, key, x509.random_serial_number(), *days)
    own = x509.SubjectKeyIdentifier.from_public_key(key)
    signer = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key())
    for extension, critical in ((own, False), (signer, False), *said):
        builder = builder.add_extension(extension, critical)
    return builder.sign(issuer_key, hashes.SHA256())


def _authority(now: datetime) -> Pki:
    """A root and an issuing authority in memory only; the root's key ends here."""
    root_key, issuing_key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    root, issuing = (_name(f"Switchpoint throw-away {rank} CA", "1") for rank in ("root", "issuing"))
    days, uses = _days(now, _CA_LIFE // _DAY, None), (_CA_USES, True)
    upper, lower = ((x509.BasicConstraints(True, depth), True) for depth in (1, 0))
    anchor = _sign((root, root_key), root, root_key.public_key(), days, upper, uses)
    middle = _sign((root, root_key), issuing, issuing_key.public_key(), days, lower, uses)
    return Pki(Path(), anchor, middle, issuing_key)


def _name(name: str, number: str) -> x509.Name:
    """Names are cut at 64 characters, as X.520 demands. Raises InvalidRequest for an empty one."""
    cut = _matching(r"[^\x00-\x1f]+", name.strip(), "an organisation's name")[:64]
    said = (NameOID.COUNTRY_NAME, "NL"), (NameOID.ORGANIZATION_NAME, cut), (NameOID.COMMON_NAME, cut)
    return x509.Name([x509.NameAttribute(*pair) for pair in (*said, (NameOID.SERIAL_NUMBER, number))])


def _hosts(dns: Sequence[str]) -> tuple[x509.GeneralName, ...]:
    hosts = [urlsplit(text).hostname or "" if "://" in text else text for text in dns]
    return tuple(_host(_matching(r"[!-~]+", host, "a host name")) for host in dict.fromkeys(hosts))


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _serial(certificate: str | Path) -> int:
    if isinstance(certificate, Path):
        return x509.load_pem_x509_certificate(certificate.read_bytes()).serial_number
    return int(_matching("[0-9A-Fa-f]{1,60}", certificate.replace(":", ""), "a serial number"), 16)


def _p12(name: str, key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate, by: Pki, password: str) -> bytes:
    lock = serialization.BestAvailableEncryption(password.encode()) if password else _UNLOCKED
    return pkcs12.serialize_key_and_certificates(name.encode(), key, certificate, [by.issuing, by.root], lock)


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, _UNLOCKED)


def _matching(form: str, text: str, what: str) -> str:
    if not re.fullmatch(form, text):
        raise InvalidRequest(f"{what} has the form {form}")
    return text


@contextmanager
def _locked(directory: Path) -> Iterator[None]:
    with (directory / "lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _replace(path: Path, content: bytes, mode: int) -> None:
    """Write beside and rename: a reader sees the old file or the new one, and a secret never has a wider mode."""
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
        file.write(content)
    Path(file.name).chmod(mode)
    Path(file.name).replace(path)
