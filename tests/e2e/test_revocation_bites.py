"""Who is still let in? Revocation on kept-alive connections, lists that cannot be believed, certificates with flaws."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from raw_wire import Wire, ping
from running_country import Visit, tls_of
from typer.testing import CliRunner

from gateway.cli.pki import commands
from gateway.flows.means import Means
from gateway.flows.operating import revoke
from gateway.rules.journal import Event
from source_sim.country import GP, GP_POST
from source_sim.pki import Flaw
from source_sim.requesters import TokenRefused

pytestmark = pytest.mark.xdist_group("rough-country")

Act = Callable[[Visit, Path], Awaitable[None]]


async def by_the_authority(visit: Visit, folder: Path) -> None:
    """`switchpoint pki revoke`, as an operator would type it; in this process, for a query is under way meanwhile."""
    words = ["revoke", str(folder / "client.pem"), "--running", visit.country.running]
    done = await asyncio.to_thread(CliRunner().invoke, commands, words)
    assert (done.exit_code, done.stderr) == (0, ""), done.exception
    assert done.stdout.startswith("revoked ")


async def by_the_ledger(visit: Visit, folder: Path) -> None:
    """The exchange's own revocation, without any list."""
    serial = visit.country.authority.register()[-1]["serial"]

    async def act(means: Means) -> None:
        await revoke(means, serial, by="a test", reason="a test")

    await visit.operate(act)


@pytest.mark.parametrize("revoking", [by_the_authority, by_the_ledger])
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["tls-1.2", "tls-1.3"])
async def test_a_revocation_bites_on_the_next_request_of_a_kept_alive_connection(
    visit: Visit, tmp_path: Path, revoking: Act, version: ssl.TLSVersion
) -> None:
    folder = await visit.newcomer(tmp_path, "90000801", "400801", "N6")
    tls = tls_of(folder)
    tls.minimum_version = tls.maximum_version = version
    wire = await Wire.open(tls, visit.country.made.settings.exchange_port)
    bystander = await Wire.open(tls_of(visit.country.made.folder(GP_POST)), visit.country.made.settings.exchange_port)
    try:
        for one in (wire, bystander, wire):
            await one.send(ping())
            assert (await one.answer())[0] == 200
        await revoking(visit, folder)
        await wire.send(ping())
        status, body = await wire.answer()
        assert status == 403
        assert b'"unknown-party"' in body
        await bystander.send(ping())
        assert (await bystander.answer())[0] == 200
    finally:
        await wire.close()
        await bystander.close()
    with pytest.raises(TokenRefused) as refused:
        await visit.another(folder).token({"sub": "400801"})
    assert (refused.value.status, refused.value.error) == (401, "invalid_client")


@pytest.mark.parametrize("revoking", [by_the_authority, by_the_ledger])
async def test_a_revocation_during_a_query_keeps_its_answer_back(visit: Visit, tmp_path: Path, revoking: Act) -> None:
    bsn, chain = visit.country.patient(), str(uuid4())
    await visit.enter(GP, bsn, "gp-summary")
    system = visit.another(await visit.newcomer(tmp_path, "90000802", "400802", "N6"))
    token = await visit.token(bsn, system=system)
    assert len((await visit.search(bsn, token, system=system)).matches) == 1
    await visit.fault(GP, "slow", 7.0)
    asking = asyncio.create_task(visit.search(bsn, token, chain=chain, system=system))
    await asyncio.sleep(0.5)
    await revoking(visit, tmp_path)
    assert not asking.done(), "the query ended before the revocation"
    reply = await asking
    assert (reply.status, reply.code, reply.matches) == (403, "unknown-party", [])
    told = visit.country.told(chain)
    assert Event.QUERY_DECIDED in told
    assert Event.DISCLOSED not in told


# --- a list that cannot be believed ----------------------------------------------------------------------------------


@asynccontextmanager
async def list_back_afterwards(visit: Visit) -> AsyncIterator[Path]:
    path = visit.country.made.certs / "crl.pem"
    kept = path.read_bytes()
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)
        path.write_bytes(kept)
        visit.country.authority.refresh_crl(datetime.now(UTC))


def expired(visit: Visit, path: Path) -> None:
    # a life that begins now and ends at once: newer than any list seen before, and over
    visit.country.authority.refresh_crl(datetime.now(UTC), lifetime=timedelta(seconds=-1))


def old(visit: Visit, path: Path) -> None:
    visit.country.authority.refresh_crl(datetime.now(UTC) - timedelta(days=60))


def gone(visit: Visit, path: Path) -> None:
    path.unlink()


def nonsense(visit: Visit, path: Path) -> None:
    path.write_bytes(b"-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n")


@pytest.mark.parametrize("spoil", [expired, old, gone, nonsense])
async def test_a_list_that_cannot_be_believed_lets_nobody_in(
    visit: Visit, spoil: Callable[[Visit, Path], None]
) -> None:
    bsn, chain = visit.country.patient(), str(uuid4())
    await visit.enter(GP, bsn, "gp-summary")
    token = await visit.token(bsn)
    assert len((await visit.search(bsn, token)).matches) == 1
    async with list_back_afterwards(visit) as path:
        spoil(visit, path)
        reply = await visit.search(bsn, token, chain=chain)
        assert (reply.status, reply.code, reply.matches) == (503, "revocation-unknown", [])
        with pytest.raises(TokenRefused) as refused:
            await visit.token(bsn)
        assert refused.value.status == 503
        ready = await visit.desk.get("/health/ready")
        assert (ready.status_code, list(ready.json()["wrong"])) == (503, ["revocation"])
    assert await visit.seen(GP, chain) == []
    assert len((await visit.search(bsn, token)).matches) == 1


# --- certificates with flaws -----------------------------------------------------------------------------------------

AT_THE_HANDSHAKE = (Flaw.EXPIRED, Flaw.NOT_YET_VALID, Flaw.FOREIGN_CA, Flaw.NO_CLIENT_AUTH)
BY_THE_GATEWAY = (
    Flaw.REVOKED,
    Flaw.TOO_FEW_PARTS,
    Flaw.WRONG_TYPE_ID,
    Flaw.WRONG_CA_OID,
    Flaw.LETTERS_IN_URA,
    Flaw.PERSONAL,
    Flaw.TWO_IDENTITIES,
    Flaw.NO_IDENTITY,
)


def test_every_flaw_is_tried() -> None:
    assert {*AT_THE_HANDSHAKE, *BY_THE_GATEWAY} == set(Flaw)


@pytest.mark.parametrize("flaw", AT_THE_HANDSHAKE)
async def test_a_certificate_that_does_not_hold_gets_no_answer_at_all(visit: Visit, tmp_path: Path, flaw: Flaw) -> None:
    folder = await visit.newcomer(tmp_path, "90000803", "400803", "N6", flaw=flaw)
    try:
        wire = await Wire.open(tls_of(folder), visit.country.made.settings.exchange_port)
    except (ssl.SSLError, ConnectionError):
        return
    try:
        # TLS 1.3: the client has finished before the server judges; the verdict comes with the first read
        await wire.send(ping())
        assert await wire.rest() == b""
    except (ssl.SSLError, ConnectionError):
        pass
    finally:
        await wire.close()


@pytest.mark.parametrize("flaw", BY_THE_GATEWAY)
async def test_a_certificate_that_names_no_party_is_refused(visit: Visit, tmp_path: Path, flaw: Flaw) -> None:
    system = visit.another(await visit.newcomer(tmp_path, "90000803", "400803", "N6", flaw=flaw))
    reply = await system.call("GET", "/metadata")
    assert (reply.status, reply.code) == (403, "unknown-party")
    assert reply.sentence
    with pytest.raises(TokenRefused) as refused:
        await system.token({"sub": "400803"})
    assert (refused.value.status, refused.value.error) == (401, "invalid_client")


async def test_the_same_certificate_without_a_flaw_is_let_in(visit: Visit, tmp_path: Path) -> None:
    system = visit.another(await visit.newcomer(tmp_path, "90000803", "400803", "N6"))
    assert (await system.call("GET", "/metadata")).status == 200


async def test_a_good_certificate_of_an_organisation_nobody_registered_is_refused(visit: Visit, tmp_path: Path) -> None:
    system = visit.another(await visit.newcomer(tmp_path, "90000899", "400899", "N6", registered=False))
    reply = await system.call("GET", "/metadata")
    assert (reply.status, reply.code) == (403, "unknown-party")


async def test_without_a_certificate_there_is_no_connection(visit: Visit) -> None:
    tls = ssl.create_default_context(cafile=visit.country.made.certs / "ca.pem")
    try:
        wire = await Wire.open(tls, visit.country.made.settings.exchange_port)
    except (ssl.SSLError, ConnectionError):
        return
    try:
        await wire.send(ping())
        assert await wire.rest() == b""
    except (ssl.SSLError, ConnectionError):
        pass
    finally:
        await wire.close()
