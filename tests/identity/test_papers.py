"""Is it told in time that the exchange's own papers run out, or cannot be read? Real files of a real authority."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gateway.identity.papers import expiries
from gateway.rules.alerts import Expiry, Paper
from source_sim.pki import create

NOW = datetime(2026, 11, 22, 3, 0, tzinfo=UTC)
NAMES = ("gateway.pem", "ca.pem", "crl.pem")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pki = create(tmp_path_factory.mktemp("papers") / "ca", now=NOW)
    pki.issue("90000900", "900", "Gateway", now=NOW, out=pki.directory, stem="gateway")
    return pki.directory


def told(folder: Path, names: tuple[str, str, str] = NAMES) -> tuple[Expiry, ...]:
    certificate, ca, crl = (folder / name for name in names)
    return expiries(certificate, ca, crl)


def test_every_paper_is_told_once_with_its_end(folder: Path) -> None:
    found = told(folder)
    assert [one.paper for one in found] == [Paper.CERTIFICATE, Paper.AUTHORITY, Paper.AUTHORITY, Paper.REVOCATION_LIST]
    assert found[0].name == "Gateway"
    assert len({one.serial for one in found[:3]}) == 3
    assert all(one.until is not None and NOW < one.until < NOW + timedelta(days=20 * 366) for one in found)


@pytest.mark.parametrize("place", [0, 1, 2], ids=NAMES)
@pytest.mark.parametrize("content", [None, b"", b"no paper", b"-----BEGIN CERTIFICATE-----\nAA==\n-----END"])
def test_what_cannot_be_read_is_told_by_its_name(
    folder: Path, tmp_path: Path, place: int, content: bytes | None
) -> None:
    for name in NAMES:
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    if content is None:
        (tmp_path / NAMES[place]).unlink()
    else:
        (tmp_path / NAMES[place]).write_bytes(content)
    unreadable = [(one.paper, one.name) for one in told(tmp_path) if one.until is None]
    assert unreadable == [(list(Paper)[place], NAMES[place])]


def test_a_list_in_der_is_read_too(folder: Path, tmp_path: Path) -> None:
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding

    crl = x509.load_pem_x509_crl((folder / "crl.pem").read_bytes())
    (tmp_path / "crl.der").write_bytes(crl.public_bytes(Encoding.DER))
    assert expiries(folder / NAMES[0], folder / NAMES[1], tmp_path / "crl.der") == told(folder)
