"""Does a source show the certificate it is told to show, and the sound one again? Real sockets, a real authority."""

from __future__ import annotations

import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import msgspec
import pytest
from cryptography import x509
from sources_at_hand import BSN, GATEWAY_URA, JWKS, Pki, country, gateway

from source_sim import pki
from source_sim.admission import ura_of
from source_sim.serving import Config
from source_sim.showing import another

URA, APPLICATION = "90000101", "400101"
FAULT = f"/systems/{URA}/fault"


class Shown:
    """A practice whose certificate can be looked at."""

    def __init__(self, control: httpx.AsyncClient, base: str, certs: Path) -> None:
        self.control, self.certs = control, certs
        address = urlsplit(base)
        self.where = (address.hostname or "", address.port or 0)

    async def certificate(self, *, trusting: bool = False) -> x509.Certificate:
        """What is shown. Raises ssl.SSLError unless trusting everybody."""
        import asyncio

        context = ssl.create_default_context(cafile=str(self.certs / "ca.pem"))
        if trusting:
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.load_cert_chain(self.certs / "gw" / "client.pem", self.certs / "gw" / "client.key")
        _, writer = await asyncio.open_connection(*self.where, ssl=context)
        try:
            der = writer.get_extra_info("ssl_object").getpeercert(True)
            return x509.load_der_x509_certificate(der)
        finally:
            writer.transport.abort()

    async def switch(self, name: str) -> httpx.Response:
        return await self.control.put(FAULT, json={"name": name})


@asynccontextmanager
async def practice(tmp_path: Path) -> AsyncIterator[Shown]:
    certs, now = tmp_path / "certs", datetime.now(UTC)
    authority = pki.create(certs, now=now)
    for ura, application, folder in ((URA, APPLICATION, "own"), (GATEWAY_URA, "400001", "gw")):
        authority.issue(ura, application, "Test", now=now, dns=("127.0.0.1",), out=certs / folder)
    entry = {
        "kind": "gp-practice", "ura": URA, "application": APPLICATION, "name": "Test", "ca": str(certs / "ca.pem"),
        "cert": str(certs / "own" / "client.pem"), "key": str(certs / "own" / "client.key"), "patients": [{"bsn": BSN}],
    }  # fmt: skip
    whole = {"systems": [entry], "gateway_ura": GATEWAY_URA, "jwks": JWKS}
    async with country(msgspec.json.decode(json.dumps(whole), type=Config)) as (control, bases):
        yield Shown(control, bases[URA], certs)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        pytest.param("expired-certificate", "certificate has expired", id="expired"),
        pytest.param("foreign-certificate", "certificate verify failed", id="foreign"),
    ],
)
async def test_a_certificate_that_tls_itself_refuses(tmp_path: Path, name: str, why: str) -> None:
    async with practice(tmp_path) as shown:
        sound = await shown.certificate()
        assert (await shown.switch(name)).status_code == 200
        with pytest.raises(ssl.SSLError, match=why):
            await shown.certificate()
        assert ura_of(_der(await shown.certificate(trusting=True))) == URA, "it is otherwise in perfect order"
        await shown.control.delete(FAULT)
        assert await shown.certificate() == sound


async def test_a_good_certificate_of_another_organisation(tmp_path: Path) -> None:
    async with practice(tmp_path) as shown:
        await shown.switch("wrong-certificate")
        assert ura_of(_der(await shown.certificate())) == another(URA) != URA


async def test_a_revoked_certificate_is_on_the_list_and_the_sound_one_is_not(tmp_path: Path) -> None:
    async with practice(tmp_path) as shown:
        sound = await shown.certificate()
        await shown.switch("revoked-certificate")
        revoked = await shown.certificate()
        authority = pki.load(shown.certs)
        assert [authority.revoked(one.serial_number) for one in (revoked, sound)] == [True, False]
        assert ura_of(_der(revoked)) == URA


async def test_from_one_bad_certificate_to_another_and_down_and_back(tmp_path: Path) -> None:
    async with practice(tmp_path) as shown:
        sound = await shown.certificate()
        for name in ("wrong-certificate", "expired-certificate", "down", "revoked-certificate", "error"):
            await shown.switch(name)
        assert await shown.certificate() == sound


async def test_without_its_authority_a_source_keeps_its_certificate_and_says_so(tmp_path: Path) -> None:
    stranger = Pki(tmp_path)
    whole = {"systems": [stranger.entry(ura=URA)], "gateway_ura": GATEWAY_URA, "jwks": JWKS}
    config = msgspec.json.decode(json.dumps(whole), type=Config)
    async with country(config) as (control, bases), gateway(stranger) as web:
        refused = await control.put(FAULT, json={"name": "expired-certificate"})
        assert (refused.status_code, "authority" in refused.json()["error"]) == (400, True)
        assert (await web.get(f"{bases[URA]}/metadata")).status_code == 200
        assert (await control.get("/systems")).json()["systems"][0]["faults"] == []


def _der(certificate: x509.Certificate) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding

    return certificate.public_bytes(Encoding.DER)
