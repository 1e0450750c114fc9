"""Until when are the exchange's own papers good? Its certificate, its authorities and the revocation list, as on disk.

Wall time. A file that cannot be read is told as such, not raised: whoever looks wants to know just that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.x509.oid import NameOID

from gateway.rules.alerts import Expiry, Paper

_UNREADABLE = (OSError, ValueError, TypeError, UnsupportedAlgorithm)


def expiries(certificate: Path, ca: Path, crl: Path) -> tuple[Expiry, ...]:
    """Every certificate in these files, each once, and the revocation list. Never raises for what is wrong with a
    file."""
    found = (
        *_told(Paper.CERTIFICATE, certificate, _certificates),
        *_told(Paper.AUTHORITY, ca, _certificates),
        *_told(Paper.REVOCATION_LIST, crl, _list),
    )
    return tuple(dict.fromkeys(found))


_Read = Callable[[Paper, bytes], Iterator[Expiry]]


def _told(paper: Paper, path: Path, read: _Read) -> tuple[Expiry, ...]:
    try:
        return tuple(read(paper, path.read_bytes()))
    except _UNREADABLE:
        return (Expiry(paper, path.name, None),)


def _certificates(paper: Paper, content: bytes) -> Iterator[Expiry]:
    """The first one is what the file is about; those behind it lead to the root."""
    for place, one in enumerate(x509.load_pem_x509_certificates(content)):
        what = Paper.AUTHORITY if place else paper
        yield Expiry(what, _name(one.subject), one.not_valid_after_utc, f"{one.serial_number:X}")


def _list(paper: Paper, content: bytes) -> Iterator[Expiry]:
    pem = content.lstrip().startswith(b"-----BEGIN")
    crl = x509.load_pem_x509_crl(content) if pem else x509.load_der_x509_crl(content)
    yield Expiry(paper, _name(crl.issuer), crl.next_update_utc)


def _name(name: x509.Name) -> str:
    """The common name, or all of it where there is none."""
    common = name.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(common[0].value) if common else name.rfc4514_string()
