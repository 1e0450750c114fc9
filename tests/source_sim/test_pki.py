"""Does the throw-away authority vouch for whom it should, in the form the network reads, and for nobody else?"""

from __future__ import annotations

import asyncio
import re
import ssl
import stat
import subprocess
import sys
import threading
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from socket import socketpair

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key, pkcs12
from hypothesis import given
from hypothesis import strategies as st

from source_sim.pki import CA_OID, Flaw, InvalidRequest, Pki, UnknownCertificate, create, describe, load, uzi_of

NOW = datetime.now(UTC)
DAY = timedelta(days=1)
HOSTS = ("localhost", "127.0.0.1")


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    """One authority for tests that only issue."""
    return create(tmp_path_factory.mktemp("authority") / "pki", now=NOW)


@pytest.fixture
def pki(tmp_path: Path) -> Pki:
    return create(tmp_path / "pki", now=NOW)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def context(side: ssl._SSLMethod, pki: Pki, folder: Path, stem: str) -> ssl.SSLContext:
    """A peer as strict as Python can be: RFC 5280 form, peer certificate required, the list looked at."""
    made = ssl.SSLContext(side)
    made.verify_mode = ssl.CERT_REQUIRED
    made.verify_flags |= ssl.VERIFY_X509_STRICT | ssl.VERIFY_CRL_CHECK_LEAF
    made.load_verify_locations(pki.directory / "ca.pem")
    made.load_verify_locations(pki.directory / "crl.pem")
    made.load_cert_chain(folder / f"{stem}.pem", folder / f"{stem}.key")
    return made


def shake(client: ssl.SSLContext, server: ssl.SSLContext, host: str) -> bytes:
    """A whole TLS handshake over a socket pair; returns the client certificate (DER) the server saw."""
    near, far = socketpair()

    def dial() -> None:
        with suppress(OSError), client.wrap_socket(near, server_hostname=host) as wrapped:
            wrapped.recv(1)

    caller = threading.Thread(target=dial)
    caller.start()
    try:
        with server.wrap_socket(far, server_side=True) as wrapped:
            return wrapped.getpeercert(binary_form=True) or b""
    finally:
        far.close()
        caller.join()
        near.close()


def meet(pki: Pki, folder: Path, *, host: str = "localhost", flaw: Flaw | None = None) -> bytes:
    pki.issue("90000301", "300001", "A server", now=NOW, dns=HOSTS, out=folder, stem="server")
    pki.issue("90000401", "400001", "A client", now=NOW, out=folder, stem="client", flaw=flaw)
    client = context(ssl.PROTOCOL_TLS_CLIENT, pki, folder, "client")
    return shake(client, context(ssl.PROTOCOL_TLS_SERVER, pki, folder, "server"), host)


@pytest.mark.parametrize("host", HOSTS)
def test_two_systems_meet_under_the_strictest_checks(shared: Pki, tmp_path: Path, host: str) -> None:
    seen = x509.load_der_x509_certificate(meet(shared, tmp_path, host=host))
    assert b"%X" % seen.serial_number == describe((tmp_path / "client.pem").read_bytes())["serial"].encode()


def test_a_host_not_named_is_not_believed(shared: Pki, tmp_path: Path) -> None:
    with pytest.raises((ssl.SSLError, ConnectionError)):
        meet(shared, tmp_path, host="elsewhere.example")


def test_openssl_agrees_with_the_chain(shared: Pki, tmp_path: Path) -> None:
    shared.issue("90000401", "400001", "A client", now=NOW, out=tmp_path)
    verify = ["openssl", "verify", "-x509_strict", "-CAfile", shared.directory / "ca.pem", "-purpose", "sslclient"]
    verify += ["-CRLfile", shared.directory / "crl.pem", "-crl_check"]
    done = subprocess.run([*verify, tmp_path / "client.pem"], capture_output=True, text=True)
    assert done.stdout.endswith(": OK\n"), done.stderr


def test_the_identity_has_seven_parts_in_an_other_name(shared: Pki) -> None:
    issued = shared.issue("90000382", "400001", "A practice", now=NOW, agb="01012345", dns=["localhost"])
    names = x509.load_pem_x509_certificate(issued.cert_pem).extensions.get_extension_for_class(
        x509.SubjectAlternativeName
    )
    (other,) = names.value.get_values_for_type(x509.OtherName)
    text = f"2.16.528.1.1007.99.2110-1-{issued.uzi}-S-90000382-00.000-01012345".encode()
    assert other.type_id.dotted_string == "2.5.5.5"
    assert other.value == b"\x16" + bytes([len(text)]) + text


NAMES = {
    "nothing": ((), []),
    "name and address": (("gp.example", "127.0.0.1"), ["gp.example", "127.0.0.1"]),
    "endpoint by name": (("https://gp.example:9443/fhir",), ["gp.example"]),
    "endpoint by address": (("https://127.0.0.1:9443/fhir",), ["127.0.0.1"]),
    "endpoint by IPv6 address": (("https://[::1]:9443/fhir",), ["::1"]),
    "said twice": (("localhost", "https://localhost/fhir", "localhost"), ["localhost"]),
}


@pytest.mark.parametrize(("dns", "names"), NAMES.values(), ids=NAMES.keys())
def test_hosts_stand_in_the_certificate_once(shared: Pki, dns: tuple[str, ...], names: list[str]) -> None:
    issued = shared.issue("90000401", "400001", "A client", now=NOW, dns=dns)
    assert describe(issued.cert_pem)["names"] == names


def test_describe_says_what_people_ask(shared: Pki) -> None:
    issued = shared.issue("90000401", "400001", "Huisartsenpost Zó", now=NOW, agb="01012345", days=10)
    said = describe(issued.chain_pem, shared)
    assert (said["ura"], said["uzi"], said["agb"]) == ("90000401", uzi_of("90000401", "400001"), "01012345")
    assert said["identity"] == f"{CA_OID}-1-{issued.uzi}-S-90000401-00.000-01012345"
    assert said["serial"] == issued.serial_hex
    assert re.fullmatch("[1-9A-F][0-9A-F]*", issued.serial_hex)
    assert "Huisartsenpost Zó" in str(said["subject"])
    assert said["not_after"] == (NOW + 10 * DAY).replace(microsecond=0).isoformat()
    assert said["not_before"] == (NOW - timedelta(minutes=5)).replace(microsecond=0).isoformat()
    assert said["revoked"] is False
    assert describe(issued.cert_pem)["revoked"] is None
    long = shared.issue("90000401", "400001", "H" * 80, now=NOW)
    assert "CN=" + "H" * 64 + "," in str(describe(long.cert_pem)["subject"])


def test_a_signing_certificate_carries_the_same_number(shared: Pki, tmp_path: Path) -> None:
    first = shared.issue("90000401", "400001", "A client", now=NOW, out=tmp_path)
    second = shared.issue("90000401", "400001", "A client", now=NOW, out=tmp_path, stem="signing")
    assert describe((tmp_path / "signing.pem").read_bytes())["uzi"] == first.uzi == second.uzi
    assert first.serial_hex != second.serial_hex
    assert first.key_pem != second.key_pem


@given(ura=st.from_regex("[0-9]{8}", fullmatch=True), application=st.from_regex("[0-9]{1,16}", fullmatch=True))
def test_a_uzi_number_has_nine_digits_and_never_changes(ura: str, application: str) -> None:
    assert re.fullmatch("[0-9]{9}", uzi_of(ura, application))
    assert uzi_of(ura, application) == uzi_of(ura, application)


def test_uzi_numbers_of_different_systems_differ() -> None:
    numbers = {uzi_of(f"{90000000 + n}", "400001") for n in range(1000)} | {
        uzi_of("90000401", f"{n}") for n in range(1000)
    }
    assert len(numbers) == 2000
    # pinned: a stored certificate's number may not drift with a new version
    assert uzi_of("90000401", "400001") == PINNED


PINNED = "552662635"


PUBLIC = ["ca.pem", "root.pem", "crl.pem"]


def test_files_and_modes(pki: Pki, tmp_path: Path) -> None:
    issued = pki.issue("90000401", "400001", "A client", now=NOW, out=tmp_path / "out")
    assert "PrivateKey" not in repr(pki)
    assert "PRIVATE" not in repr(issued)
    assert mode(pki.directory) == 0o700
    at_home = {path.name: mode(path) for path in pki.directory.iterdir() if path.name != "lock"}
    assert at_home == dict.fromkeys(["issuing.key", "register.jsonl"], 0o600) | dict.fromkeys(PUBLIC, 0o644)
    outside = {path.name: mode(path) for path in (tmp_path / "out").iterdir()}
    assert outside == {"client.pem": 0o644, "client.key": 0o600, "client.p12": 0o600, "ca.pem": 0o644}
    assert len(x509.load_pem_x509_certificates((tmp_path / "out" / "client.pem").read_bytes())) == 2
    assert (tmp_path / "out" / "ca.pem").read_bytes() == (pki.directory / "ca.pem").read_bytes()


@pytest.mark.parametrize("password", ["", "geheim"], ids=["open", "with a password"])
def test_the_p12_holds_key_and_chain(shared: Pki, tmp_path: Path, password: str) -> None:
    issued = shared.issue("90000401", "400001", "A client", now=NOW, out=tmp_path, p12_password=password)
    data = (tmp_path / "client.p12").read_bytes()
    key, leaf, others = pkcs12.load_key_and_certificates(data, password.encode() or None)
    assert key is not None
    assert leaf is not None
    assert leaf == x509.load_pem_x509_certificate(issued.cert_pem)
    assert key.public_key() == load_pem_private_key(issued.key_pem, None).public_key() == leaf.public_key()
    assert others == [shared.issuing, shared.root]
    if password:
        with pytest.raises(ValueError, match="password"):
            pkcs12.load_key_and_certificates(data, None)


def test_a_loaded_authority_is_the_same_one(pki: Pki, tmp_path: Path) -> None:
    assert describe(load(pki.directory).issue("90000401", "400001", "A", now=NOW).cert_pem, pki)["revoked"] is False
    meet(load(pki.directory), tmp_path)


def test_an_authority_is_never_overwritten_nor_half_believed(pki: Pki, tmp_path: Path) -> None:
    key = pki.directory / "issuing.key"
    before = key.read_bytes()
    with pytest.raises(FileExistsError):
        create(pki.directory, now=NOW)
    assert key.read_bytes() == before
    key.write_bytes((create(tmp_path / "other", now=NOW).directory / "issuing.key").read_bytes())
    with pytest.raises(ValueError, match="does not belong"):
        load(pki.directory)
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "nowhere")


def crl(pki: Pki) -> x509.CertificateRevocationList:
    return x509.load_pem_x509_crl((pki.directory / "crl.pem").read_bytes())


def number(listed: x509.CertificateRevocationList) -> int:
    return listed.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number


def test_a_revoked_client_is_turned_away(pki: Pki, tmp_path: Path) -> None:
    meet(pki, tmp_path)
    with pytest.raises((ssl.SSLError, ConnectionError), match="revoked"):
        meet(pki, tmp_path, flaw=Flaw.REVOKED)


WAYS = {
    "serial": lambda serial, path: serial,
    "lower case": lambda serial, path: serial.lower(),
    "colons and zeros": lambda serial, path: "00:" + ":".join(re.findall("..", serial.zfill(40))),
    "file": lambda serial, path: path,
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS.keys())
def test_revoking_lists_it_once_under_the_first_date(pki: Pki, tmp_path: Path, way) -> None:
    kept, lost = (pki.issue("90000401", f"40000{n}", "A client", now=NOW, out=tmp_path) for n in range(2))
    for later in (DAY, 2 * DAY):
        assert pki.revoke(way(lost.serial_hex, tmp_path / "client.pem"), NOW + later) == lost.serial_hex
    (entry,) = crl(pki)
    assert f"{entry.serial_number:X}" == lost.serial_hex
    assert entry.revocation_date_utc == (NOW + DAY).replace(microsecond=0)
    assert number(crl(pki)) == 2
    assert describe(lost.cert_pem, pki)["revoked"] is True
    assert describe(kept.cert_pem, pki)["revoked"] is False


def test_the_list_is_signed_and_dated(pki: Pki) -> None:
    key = pki.issuing.public_key()
    assert crl(pki).is_signature_valid(key)
    assert crl(pki).next_update_utc == (NOW + 30 * DAY).replace(microsecond=0)
    pki.revoke(pki.issue("90000401", "400001", "A client", now=NOW).serial_hex, NOW)
    pki.refresh_crl(NOW + DAY, lifetime=timedelta(seconds=90))
    assert crl(pki).is_signature_valid(key)
    assert crl(pki).next_update_utc == (NOW + DAY + timedelta(seconds=90)).replace(microsecond=0)
    assert (len(crl(pki)), number(crl(pki))) == (1, 3)


def test_an_expired_list_stops_everybody(pki: Pki, tmp_path: Path) -> None:
    pki.refresh_crl(NOW - 31 * DAY)
    with pytest.raises((ssl.SSLError, ConnectionError), match="expired"):
        meet(pki, tmp_path)


def test_a_stranger_cannot_be_revoked(pki: Pki, tmp_path: Path) -> None:
    foreign = pki.issue("90000401", "400001", "A client", now=NOW, out=tmp_path, flaw=Flaw.FOREIGN_CA)
    for unknown in (foreign.serial_hex, tmp_path / "client.pem", "ABCDEF"):
        with pytest.raises(UnknownCertificate):
            pki.revoke(unknown, NOW)
    with pytest.raises(InvalidRequest):
        pki.revoke("not a number", NOW)
    assert describe(foreign.cert_pem, pki)["revoked"] is None
    assert len(crl(pki)) == 0


CROWD = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from source_sim.pki import load
pki, now = load(Path(sys.argv[1])), datetime.now(UTC)
for n in range(8):
    issued = pki.issue("90000401", sys.argv[2] + str(n), "One of many", now=now, out=Path(sys.argv[3]))
    if n % 2:
        pki.revoke(issued.serial_hex, now)
"""


async def test_processes_at_once_lose_nothing(pki: Pki, tmp_path: Path) -> None:
    """Four processes issue eight each into one folder and revoke every second one."""
    crowd = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-c", CROWD, pki.directory, f"{n}", tmp_path / "out", cwd=Path(__file__).parents[2]
        )
        for n in range(4)
    ]
    assert [await one.wait() for one in crowd] == [0, 0, 0, 0]
    register = pki.register()
    assert len({entry["serial"] for entry in register}) == 32
    revoked = {entry["serial"] for entry in register if int(entry["application"]) % 2}
    assert {f"{entry.serial_number:X}" for entry in crl(pki)} == revoked
    assert number(crl(pki)) == 17
    assert not [path for path in pki.directory.iterdir() if path.name.startswith(".")]


TURNED_AWAY = {
    Flaw.EXPIRED: "expired",
    Flaw.NOT_YET_VALID: "not yet valid",
    Flaw.REVOKED: "revoked",
    Flaw.FOREIGN_CA: "signature|self|unable|issuer",
    Flaw.NO_CLIENT_AUTH: "unsuitable|unsupported|purpose",
}


@pytest.mark.parametrize(("flaw", "why"), TURNED_AWAY.items(), ids=str)
def test_tls_turns_away(pki: Pki, tmp_path: Path, flaw: Flaw, why: str) -> None:
    with pytest.raises((ssl.SSLError, ConnectionError), match=why):
        meet(pki, tmp_path, flaw=flaw)


IDENTITIES: dict[Flaw, list[str]] = {
    Flaw.TOO_FEW_PARTS: ["2.5.5.5 {oid}-1-{uzi}-S-90000401-00.000"],
    Flaw.WRONG_TYPE_ID: ["2.5.5.6 {oid}-1-{uzi}-S-90000401-00.000-00000000"],
    Flaw.WRONG_CA_OID: ["2.5.5.5 2.16.528.1.1003.99.9999-1-{uzi}-S-90000401-00.000-00000000"],
    Flaw.LETTERS_IN_URA: ["2.5.5.5 {oid}-1-{uzi}-S-9000040X-00.000-00000000"],
    Flaw.PERSONAL: ["2.5.5.5 {oid}-1-{uzi}-Z-90000401-00.000-00000000"],
    Flaw.TWO_IDENTITIES: [
        "2.5.5.5 {oid}-1-{uzi}-S-90000401-00.000-00000000",
        "2.5.5.5 {oid}-1-{uzi}-S-90000400-00.000-00000000",
    ],
    Flaw.NO_IDENTITY: [],
}


@pytest.mark.parametrize(("flaw", "expected"), IDENTITIES.items(), ids=str)
def test_tls_lets_pass_what_only_identity_can_refuse(pki: Pki, tmp_path: Path, flaw: Flaw, expected: list[str]) -> None:
    """Each flaw changes the otherName and nothing else: the handshake succeeds, so the exchange itself must refuse."""
    seen = x509.load_der_x509_certificate(meet(pki, tmp_path, flaw=flaw))
    names = [e.value for e in seen.extensions if isinstance(e.value, x509.SubjectAlternativeName)]
    held = [name for value in names for name in value if isinstance(name, x509.OtherName)]
    said = [f"{name.type_id.dotted_string} {name.value[2:].decode()}" for name in held]
    assert said == [text.format(oid=CA_OID, uzi=uzi_of("90000401", "400001")) for text in expected]


def test_every_flaw_is_tried_and_shows() -> None:
    assert TURNED_AWAY.keys() | IDENTITIES.keys() == set(Flaw)


REFUSED = {
    "short URA": {"ura": "9000040"},
    "letters in URA": {"ura": "9000040X"},
    "line break after URA": {"ura": "90000401\n"},
    "other script's digits": {"ura": "٩٠٠٠٠٤٠١"},
    "long application": {"application": "1" * 17},
    "no application": {"application": ""},
    "short AGB": {"agb": "123"},
    "no name": {"name": " "},
    "control character in name": {"name": "A\nB"},
    "no host": {"dns": ("",)},
    "endpoint without host": {"dns": ("https:///fhir",)},
    "space in host": {"dns": ("a b",)},
    "no day": {"days": 0},
}


@pytest.mark.parametrize("wrong", REFUSED.values(), ids=REFUSED.keys())
def test_what_cannot_stand_in_a_certificate_is_refused(shared: Pki, wrong: dict[str, object]) -> None:
    before = shared.register()
    asked = {"ura": "90000401", "application": "400001", "name": "A client", **wrong}
    with pytest.raises(InvalidRequest):
        shared.issue(**asked, now=NOW)
    assert shared.register() == before
