"""What else might somebody try at the desk's door? Attempts that take no wrong password, and the doors beside it.

tests/web/test_login.py has the words, the forms, the sittings and the roles; here is what goes round them.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import httpx
import pytest
import pytest_asyncio
from desk_made import BASE, PASSWORD, AtDesk, Visitor, open_desk
from exchange_made import Exchange

from gateway.flows import sitting
from gateway.rules.journal import Event
from gateway.rules.people import Role
from gateway.stores import people
from gateway.web.cookie import csrf_of

ACTS = (Event.REGIME_PROPOSED, Event.REGIME_SWITCHED, Event.CERTIFICATE_REVOKED, Event.DELIVERY_SWITCHED,
        Event.OPERATOR_LOGGED_OUT, Event.CONSENT_STATED, Event.CLOCK_SET)  # fmt: skip


@pytest_asyncio.fixture
async def desk(exchange: Exchange) -> AtDesk:
    return await open_desk(exchange)


@pytest_asyncio.fixture
async def operator(desk: AtDesk) -> AsyncIterator[Visitor]:
    async with desk.visitor() as visitor:
        yield await visitor.log_in("test-operator")


# --- an act in disguise ----------------------------------------------------------------------------------------------

DISGUISES: dict[str, tuple[str, str, dict[str, Any]]] = {
    "a link that says it is a form": ("GET", "/logout?_method=POST", {}),
    "a header that says it is a form": ("GET", "/logout", {"headers": {"x-http-method-override": "POST"}}),
    "another header": ("GET", "/logout", {"headers": {"x-method-override": "POST", "x-http-method": "POST"}}),
    "a form by a link": ("GET", "/regimes/propose?regime=CRISIS_OPT_IN&reason=x&csrf={proof}", {}),
    "a look that is no GET": ("HEAD", "/logout", {}),
    "a question before": ("OPTIONS", "/logout", {"headers": {"access-control-request-method": "POST",
                                                             "origin": "https://evil.test"}}),
    "an echo": ("TRACE", "/", {}),
    "a whole other method": ("PUT", "/logout", {"headers": {"x-csrf": "{proof}"}}),
    "the proof in the address": ("POST", "/logout?csrf={proof}", {}),
    "the proof in a cookie": ("POST", "/logout", {"headers": {"cookie": "sitting={token}; csrf={proof}"}}),
    "the cookie as the proof": ("POST", "/logout", {"data": {"csrf": "{token}"}}),
    "the proof twice, the wrong one first": ("POST", "/logout", {
        "content": b"csrf=wrong&csrf=wrong", "headers": {"content-type": "application/x-www-form-urlencoded"}}),
    "the proof in parts": ("POST", "/logout", {"files": {"csrf": ("x", b"{proof}")}}),
    "the proof with something after it": ("POST", "/logout", {"data": {"csrf": "{proof}x"}}),
    "an origin that begins like ours": ("POST", "/logout", {"data": {"csrf": "{proof}"},
                                                            "headers": {"origin": BASE + ".evil.test"}}),
    "an origin that ends like ours": ("POST", "/logout", {"data": {"csrf": "{proof}"},
                                                          "headers": {"origin": "http://evil.test#localhost:8080"}}),
    "the address of another page": ("POST", "//evil.test/logout", {"data": {"csrf": "{proof}"}}),
    "a path with a dot": ("POST", "/./logout", {"data": {"csrf": "wrong"}}),
    "a path with a slash more": ("POST", "/logout/", {"data": {"csrf": "{proof}"}}),
}  # fmt: skip


def filled(value: Any, visitor: Visitor) -> Any:
    """With this visitor's proof and token in their places."""
    if isinstance(value, dict):
        return {name: filled(one, visitor) for name, one in value.items()}
    if isinstance(value, tuple):
        return tuple(filled(one, visitor) for one in value)
    if isinstance(value, bytes):
        return value.replace(b"{proof}", visitor.proof.encode())
    return value.replace("{proof}", visitor.proof).replace("{token}", visitor.token)


@pytest.mark.parametrize("case", DISGUISES)
async def test_no_act_comes_in_disguise(desk: AtDesk, operator: Visitor, case: str) -> None:
    method, path, more = DISGUISES[case]
    before = len(await desk.lines(*ACTS))
    answer = await operator.http.request(method, BASE + filled(path, operator), **filled(more, operator))
    assert answer.status_code in (400, 403, 404, 405), answer.status_code
    assert "access-control-allow-origin" not in answer.headers
    assert len(await desk.lines(*ACTS)) == before
    assert (await operator.get("/")).status_code == 200, "still here"


# --- a sitting that is not one's own ---------------------------------------------------------------------------------

SEATS: dict[str, dict[str, Any]] = {
    "in the address": {"params": {"sitting": "{token}"}},
    "as a bearer": {"headers": {"authorization": "Bearer {token}"}},
    "under the name it has with TLS": {"headers": {"cookie": "__Host-sitting={token}"}},
    "under a name in capitals": {"headers": {"cookie": "SITTING={token}"}},
    "with something after it": {"headers": {"cookie": "sitting={token}x"}},
    "without its last letter": {"headers": {"cookie": "sitting={short}"}},
    "in quotes with a space": {"headers": {"cookie": 'sitting=" {token}"'}},
    "as what the store keeps of it": {"headers": {"cookie": "sitting={kept}"}},
}


@pytest.mark.parametrize("case", SEATS)
async def test_a_token_counts_in_its_cookie_and_nowhere_else(desk: AtDesk, operator: Visitor, case: str) -> None:
    (kept,) = [row[0] for row in await desk.means.ledger.read(lambda tx: list(tx.rows("SELECT * FROM sitting")))]
    assert operator.token not in repr(kept), "the ledger does not hold what the browser holds"
    hexed = kept.hex()[:43] if isinstance(kept, bytes) else str(kept)[:43]
    given = {
        part: {name: text.format(token=operator.token, short=operator.token[:-1], kept=hexed)
               for name, text in values.items()}
        for part, values in SEATS[case].items()
    }  # fmt: skip
    async with desk.visitor() as thief:
        answer = await thief.http.get("/", **given)
    assert (answer.status_code, answer.headers["location"].split("?")[0]) == (303, "/login")


async def test_a_form_fetched_before_logging_in_is_worth_nothing_after(desk: AtDesk) -> None:
    """What somebody planted, cookie and proof, ends with the login that it was planted for."""
    async with desk.visitor() as victim:
        await victim.get("/login")
        planted = victim.token
        await victim.log_in()
        assert victim.token != planted
        refused = await victim.http.post("/logout", data={"csrf": csrf_of(planted)}, headers={"origin": BASE})
        assert refused.status_code == 403


async def test_who_loses_a_role_loses_it_at_the_next_click(desk: AtDesk, operator: Visitor) -> None:
    form = {"regime": "CRISIS_OPT_IN", "reason": "x"}
    await operator.get("/regimes")
    account = await desk.means.ledger.read(lambda tx: people.find(tx, "test-operator"))
    assert account is not None
    lowered = replace(account, roles=frozenset({Role.VIEWER}))
    await desk.means.ledger.commit(lambda tx: people.put(tx, lowered, desk.clock()))
    assert (await operator.post("/regimes/propose", **form)).status_code in (401, 403)
    assert not await desk.lines(Event.REGIME_PROPOSED)


# --- where one comes from, and who one is ----------------------------------------------------------------------------


async def test_nobody_says_himself_where_he_comes_from(desk: AtDesk) -> None:
    """Twenty failures of one address are twenty, whatever a header says."""
    async with desk.visitor() as visitor:
        await visitor.get("/login")
        statuses = []
        for number in range(sitting.PER_ADDRESS + 1):
            headers = dict.fromkeys(("x-forwarded-for", "x-real-ip", "forwarded", "client-ip"), f"192.0.2.{number}")
            form = {"name": f"guess-{number}", "password": "x", "code": "000000"}
            statuses.append((await visitor.post("/login", headers=headers, **form)).status_code)
    assert statuses[-1] == 429
    assert {line.fields["remote"] for line in await desk.lines(Event.OPERATOR_LOGIN_REFUSED)} == {"127.0.0.1"}


NAMES = ("TEST-OPERATOR", " test-operator ", "Test-Operator", "test-operator\t", "\u00a0test-operator")


async def test_a_name_written_otherwise_is_counted_with_the_same_account(desk: AtDesk) -> None:
    async with desk.visitor() as visitor:
        for name in NAMES:
            await visitor.try_login(name, "not-the-password", code="000000")
        assert (await visitor.try_login("test-operator")).status_code == 429


async def test_a_name_nobody_has_takes_as_long_as_one_that_somebody_has(desk: AtDesk) -> None:
    """The quickest of some, so that whatever else the machine does counts for neither; without the work on the
    password an unknown name would take a small part of it."""
    took: dict[str, list[float]] = {"test-viewer": [], "nobody-here": []}
    async with desk.visitor() as visitor:
        await visitor.get("/login")
        for _ in range(sitting.PER_ACCOUNT - 1):
            for name, times in took.items():
                begun = time.process_time()
                answer = await visitor.post("/login", name=name, password=PASSWORD + "x", code="000000")
                times.append(time.process_time() - begun)
                assert answer.status_code == 401
    known, unknown = (min(times) for times in took.values())
    assert 0.5 < unknown / known < 2, (known, unknown)


# --- the doors beside it ---------------------------------------------------------------------------------------------

BESIDE = ("/docs", "/redoc", "/openapi.json", "/docs/oauth2-redirect", "/sim", "/debug", "/admin", "/.git/config",
          "/.env", "/static/", "/server-status", "/metrics/", "/health", "/graphql")  # fmt: skip


@pytest.mark.parametrize("simulation", [True, False], ids=["in a simulation", "in earnest"])
async def test_there_is_nothing_beside_the_doors(exchange: Exchange, simulation: bool) -> None:
    desk = await open_desk(exchange, simulation=simulation)
    async with desk.visitor() as visitor:
        await visitor.log_in("test-reviewer")
        for path in BESIDE:
            assert (await visitor.http.get(path)).status_code == 404, path
            assert (await visitor.http.post(path, headers={"x-csrf": visitor.proof})).status_code == 404, path


OUTSIDE: dict[str, tuple[str, dict[str, str]]] = {
    "from outside": ("192.0.2.1", {}),
    "from outside, saying it is not": ("192.0.2.1", {"x-forwarded-for": "127.0.0.1", "x-real-ip": "127.0.0.1"}),
    "from outside, by our name": ("192.0.2.1", {"host": "localhost"}),
    "by another name": ("127.0.0.1", {"host": "evil.test"}),
    "by another name that is said to be ours": ("127.0.0.1", {"host": "evil.test", "x-forwarded-host": "localhost"}),
    "by a name that begins like ours": ("127.0.0.1", {"host": "localhost.evil.test"}),
    "by a name with a user": ("127.0.0.1", {"host": "localhost@evil.test"}),
    "by no name": ("127.0.0.1", {"host": ""}),
}


@pytest.mark.parametrize("case", OUTSIDE)
async def test_numbers_and_the_clock_are_for_this_machine_only(desk: AtDesk, case: str) -> None:
    client, headers = OUTSIDE[case]
    async with desk.visitor(client=client) as stranger:
        for method, path in (("GET", "/metrics"), ("GET", "/sim/clock"), ("PUT", "/sim/clock")):
            body = {"json": {"now": "2020-04-20T03:00:00Z"}} if method == "PUT" else {}
            answer = await stranger.http.request(method, path, headers=headers, **body)
            assert answer.status_code == 403, (method, path)
            assert "switchpoint_" not in answer.text
    assert not await desk.lines(Event.CLOCK_SET)


async def test_in_earnest_there_is_no_clock_and_no_simulated_login_for_anybody(exchange: Exchange) -> None:
    desk = await open_desk(exchange, simulation=False)
    async with desk.visitor() as visitor:
        await visitor.log_in("test-reviewer")
        proof = {"x-csrf": visitor.proof}
        for method in ("GET", "PUT", "POST", "DELETE"):
            for path in ("/sim/clock", "/sim", "/sim/faults", "/digid"):
                answer = await visitor.http.request(method, path, headers=proof, json={"now": "2020-04-20T03:00:00Z"})
                assert answer.status_code == 404, (method, path)


async def test_the_exchange_shows_no_documentation_to_who_has_no_certificate(exchange: Exchange) -> None:
    app = replace(exchange.gateway).exchange()
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="https://exchange.test") as http:
        for path in ("/docs", "/redoc", "/metrics", "/sim/clock", "/login", "/log", "/static/desk.css"):
            assert (await http.get(path)).status_code in (401, 403, 404), path
