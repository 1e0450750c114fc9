"""Who gets in at the desk, and who does not? Tables of attempts, all refused; and the few that are not."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import httpx
import pytest
import pytest_asyncio
from desk_made import BASE, PASSWORD, PERSONS, AtDesk, Visitor, open_desk
from exchange_made import BAD_BSN, NOBODY, US, Exchange
from fastapi.routing import APIRoute

from gateway.flows import accounts, operating, sitting
from gateway.rules.journal import Event
from gateway.rules.people import Role
from gateway.stores import consents
from gateway.web import desk as desk_module
from gateway.web.admission import Required, RequiredPatient, way_back
from gateway.web.admission import Visitor as DoorVisitor
from gateway.web.cookie import csrf_of
from gateway.web.edge import guarded

LOGIN_EVENTS = (Event.OPERATOR_LOGGED_IN, Event.OPERATOR_LOGIN_REFUSED, Event.OPERATOR_LOGGED_OUT)


@pytest_asyncio.fixture
async def desk(exchange: Exchange) -> AtDesk:
    return await open_desk(exchange)


@pytest_asyncio.fixture
async def visitor(desk: AtDesk) -> AsyncIterator[Visitor]:
    async with desk.visitor() as browser:
        yield browser


async def refused(desk: AtDesk) -> list[tuple[str, str]]:
    """Who was refused at the operators' door, and why."""
    return [(line.fields["by"], line.fields["why"]) for line in await desk.lines(Event.OPERATOR_LOGIN_REFUSED)]


# --- those who may ---------------------------------------------------------------------------------------------------


async def test_an_operator_comes_in_and_leaves(desk: AtDesk, visitor: Visitor) -> None:
    assert (await visitor.get("/")).headers["location"] == "/login?next=%2F"
    await visitor.log_in("test-operator")
    assert "test-operator" in visitor.page
    left = await visitor.post("/logout")
    assert (left.status_code, left.headers["location"]) == (303, "/login")
    assert (await visitor.get("/")).status_code == 303
    events = [line.event for line in await desk.lines(*LOGIN_EVENTS)]
    assert events == [Event.OPERATOR_LOGGED_IN, Event.OPERATOR_LOGGED_OUT]


async def test_a_patient_comes_in_and_leaves(desk: AtDesk, visitor: Visitor) -> None:
    came = await visitor.log_in_patient()
    assert (came.status_code, came.headers["location"]) == (303, "/mine")
    await visitor.get("/login")
    await visitor.post("/logout")
    key = desk.means.keys.patient(PERSONS[0].bsn)
    lines = await desk.lines(Event.PATIENT_LOGGED_IN, Event.PATIENT_LOGGED_OUT)
    assert [(line.event, line.patient) for line in lines] == [
        (Event.PATIENT_LOGGED_IN, key),
        (Event.PATIENT_LOGGED_OUT, key),
    ]


async def test_the_way_back_is_kept_through_the_door(visitor: Visitor) -> None:
    door = await visitor.get("/?lang=en&x=1")
    assert door.headers["location"] == "/login?next=%2F%3Flang%3Den%26x%3D1"
    await visitor.get(door.headers["location"])
    form = {"name": "test-viewer", "password": PASSWORD, "code": await visitor.desk.code("test-viewer")}
    came = await visitor.post("/login", next="/?lang=en&x=1", **form)
    assert came.headers["location"] == "/?lang=en&x=1"


WAYS = {
    "another host": "//evil.test/",
    "another host behind a backslash": "/\\evil.test/",
    "an address": "https://evil.test/",
    "a script": "javascript:alert(1)",
    "a line break": "/\r\nset-cookie: a=b",
    "a tab, which browsers drop": "/\t/evil.test",
    "beyond ASCII": "/é",
    "endless": "/" + "a" * 600,
    "nothing": "",
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS.keys())
def test_the_way_back_leads_to_no_other_place(way: str) -> None:
    assert way_back(way, "/home") == "/home"


# --- the operators' door: wrong words --------------------------------------------------------------------------------

WRONG: dict[str, tuple[dict[str, str], tuple[str, str]]] = {
    "wrong password": ({"password": "not-the-password"}, ("test-operator", "wrong-password")),
    "empty code": ({"code": " "}, ("test-operator", "wrong-code")),
    "wrong code": ({"code": "000000"}, ("test-operator", "wrong-code")),
    "code beyond ASCII": ({"code": "١٢٣٤٥٦"}, ("test-operator", "wrong-code")),
    "another's code": ({"code": "of test-viewer"}, ("test-operator", "wrong-code")),
    "wrong password and code": (
        {"password": "not-the-password", "code": "000000"},
        ("test-operator", "wrong-password"),
    ),
    "unknown account": ({"name": "nobody-here"}, ("", "unknown-account")),
    "a number for a name": ({"name": US}, ("", "unknown-account")),
    "SQL for a name": ({"name": "test-operator' --"}, ("", "unknown-account")),
}


@pytest.mark.parametrize("case", WRONG)
async def test_wrong_words_are_refused_in_the_same_words(desk: AtDesk, visitor: Visitor, case: str) -> None:
    given, told = WRONG[case]
    form = {"name": "test-operator", "password": PASSWORD, "code": await desk.code("test-operator"), **given}
    if form["code"] == "of test-viewer":
        form["code"] = await desk.code("test-viewer")
    await visitor.get("/login")
    answer = await visitor.post("/login", **form)
    assert answer.status_code == 401
    assert "do not belong together" in answer.text
    assert "sitting" not in answer.headers.get("set-cookie", "")
    assert await refused(desk) == [told]
    assert (await visitor.get("/")).status_code == 303


async def test_the_page_of_a_refusal_does_not_tell_which_part_was_wrong(desk: AtDesk, visitor: Visitor) -> None:
    pages = set()
    for name, password in (
        ("test-operator", "not-the-password"),
        ("nobody-here", PASSWORD),
        ("test-operator", PASSWORD),
    ):
        await visitor.get("/login")
        page = (await visitor.post("/login", name=name, password=password, code="000000")).text
        pages.add(re.sub(r"<time.*?</time>", "", page))
    assert len(pages) == 1


async def test_a_code_works_once(desk: AtDesk, visitor: Visitor) -> None:
    code = await desk.code("test-operator")
    assert (await visitor.try_login("test-operator", code=code)).status_code == 303
    async with desk.visitor() as thief:
        assert (await thief.try_login("test-operator", code=code)).status_code == 401
    assert await refused(desk) == [("test-operator", "used-code")]


async def test_an_older_code_than_the_last_one_used_is_refused(desk: AtDesk, visitor: Visitor) -> None:
    old = await desk.code("test-operator")
    fresh = await desk.code("test-operator")
    assert (await visitor.try_login("test-operator", code=fresh)).status_code == 303
    async with desk.visitor() as thief:
        assert (await thief.try_login("test-operator", code=old)).status_code == 401
    assert await refused(desk) == [("test-operator", "used-code")]


async def test_a_closed_account_is_refused_and_who_sat_there_is_gone(desk: AtDesk, visitor: Visitor) -> None:
    await visitor.log_in()
    await accounts.close_account(desk.means, "test-operator", by="test")
    assert (await visitor.get("/")).status_code == 303
    assert (await visitor.try_login("test-operator")).status_code == 401
    assert await refused(desk) == [("test-operator", "closed-account")]


CHANGES = {"password": accounts.renew_password, "code": accounts.renew_code}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
async def test_after_a_change_the_old_words_and_sittings_are_worth_nothing(
    desk: AtDesk, visitor: Visitor, change: Any
) -> None:
    await visitor.log_in()
    old = await desk.code("test-operator")
    await change(desk.means, "test-operator", by="test")
    assert (await visitor.get("/")).status_code == 303
    assert (await visitor.try_login("test-operator", code=old)).status_code == 401


# --- too often -------------------------------------------------------------------------------------------------------


async def test_after_five_failures_not_even_the_right_words_open(desk: AtDesk, visitor: Visitor) -> None:
    for _ in range(sitting.PER_ACCOUNT):
        assert (await visitor.try_login("test-operator", "not-the-password")).status_code == 401
    answer = await visitor.try_login("test-operator")
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "900")
    assert (await refused(desk))[-1] == ("test-operator", "too-many-attempts")
    assert (await visitor.try_login("test-viewer")).status_code == 303, "another account is not concerned"


async def test_from_elsewhere_the_account_stays_shut_too(desk: AtDesk, visitor: Visitor) -> None:
    for _ in range(sitting.PER_ACCOUNT):
        await visitor.try_login("test-operator", "not-the-password")
    async with desk.visitor(client="127.0.0.2") as other:
        assert (await other.try_login("test-operator")).status_code == 429


async def test_a_quarter_of_an_hour_later_it_opens_again(desk: AtDesk, visitor: Visitor) -> None:
    for _ in range(sitting.PER_ACCOUNT):
        await visitor.try_login("test-operator", "not-the-password", code="000000")
    desk.clock.ahead += sitting.WINDOW - timedelta(minutes=2)
    assert (await visitor.try_login("test-operator")).status_code == 429
    desk.clock.ahead += timedelta(minutes=2)
    assert (await visitor.try_login("test-operator")).status_code == 303


async def test_one_address_trying_many_accounts_is_stopped(desk: AtDesk, visitor: Visitor) -> None:
    statuses = [(await visitor.try_login(f"guess-{n}", code="000000")).status_code for n in range(21)]
    assert statuses == [401] * sitting.PER_ADDRESS + [429]
    assert (await visitor.try_login("test-viewer")).status_code == 429
    async with desk.visitor(client="127.0.0.2") as other:
        assert (await other.try_login("test-viewer")).status_code == 303


async def test_attempts_at_the_same_moment_do_not_outrun_the_count(desk: AtDesk, visitor: Visitor) -> None:
    await visitor.get("/login")
    form = {"csrf": visitor.proof, "name": "test-operator", "password": "not-the-password", "code": "000000"}
    answers = await asyncio.gather(*(visitor.http.post("/login", data=form) for _ in range(12)))
    assert sorted(answer.status_code for answer in answers) == [401] * 5 + [429] * 7


async def test_who_comes_in_does_not_count_as_failed(desk: AtDesk, visitor: Visitor) -> None:
    for _ in range(sitting.PER_ACCOUNT + 1):
        async with desk.visitor() as browser:
            await browser.log_in("test-viewer")


# --- forms that are not ours -----------------------------------------------------------------------------------------

FOREIGN: dict[str, tuple[str | None, dict[str, str]]] = {
    "no proof": ("", {}),
    "made-up proof": ("A" * 32, {}),
    "proof beyond ASCII": ("é", {}),
    "another visitor's proof": (csrf_of("B" * 43), {}),
    "from another site": (None, {"origin": "https://evil.test"}),
    "from nowhere": (None, {"origin": "null"}),
    "another port": (None, {"origin": "http://localhost:9090"}),
    "another scheme": (None, {"origin": "https://localhost:8080"}),
    "the browser says cross-site": (None, {"sec-fetch-site": "cross-site"}),
    "the browser says same-site": (None, {"sec-fetch-site": "same-site"}),
}


@pytest.mark.parametrize("case", FOREIGN)
async def test_a_foreign_form_does_nothing_at_the_door(desk: AtDesk, visitor: Visitor, case: str) -> None:
    proof, headers = FOREIGN[case]
    await visitor.get("/login")
    form = {"name": "test-operator", "password": PASSWORD, "code": await desk.code("test-operator")}
    answer = await visitor.post("/login", proof=proof, headers=headers, **form)
    assert answer.status_code == 403
    assert not await desk.lines(*LOGIN_EVENTS), "nothing was looked at"


@pytest.mark.parametrize("case", FOREIGN)
async def test_a_foreign_form_does_nothing_for_who_sits_here(desk: AtDesk, visitor: Visitor, case: str) -> None:
    proof, headers = FOREIGN[case]
    await visitor.log_in()
    assert (await visitor.post("/logout", proof=proof, headers=headers)).status_code == 403
    assert (await visitor.get("/")).status_code == 200, "still here"
    tried = [
        (one.fields["by"], one.fields["act"], one.fields["why"]) for one in await desk.lines(Event.OPERATOR_ACT_REFUSED)
    ]
    assert tried == [("test-operator", "POST /logout", "foreign-form")]


BODIES = {
    "JSON": {"content": b'{"csrf": "x"}', "headers": {"content-type": "application/json"}},
    "plain text": {"content": b"csrf=x", "headers": {"content-type": "text/plain"}},
    "no body": {},
}


@pytest.mark.parametrize("case", BODIES)
async def test_what_is_no_form_does_nothing(visitor: Visitor, case: str) -> None:
    await visitor.log_in()
    assert (await visitor.http.post("/logout", **BODIES[case])).status_code == 403
    assert (await visitor.get("/")).status_code == 200


async def test_a_script_of_ours_may_bring_the_proof_in_a_header(visitor: Visitor) -> None:
    await visitor.log_in()
    left = await visitor.http.post("/logout", headers={"x-csrf": visitor.proof, "origin": BASE})
    assert left.status_code == 303


@pytest.mark.parametrize("path", ["/logout"])
async def test_an_act_cannot_be_asked_for_with_a_link(visitor: Visitor, path: str) -> None:
    await visitor.log_in()
    assert (await visitor.get(path)).status_code == 405
    assert (await visitor.get("/")).status_code == 200


HOSTS = {
    "rebound name": "evil.test:8080",
    "our name as a part": "localhost.evil.test",
    "an outside address": "192.0.2.7",
}


@pytest.mark.parametrize("host", HOSTS.values(), ids=HOSTS.keys())
async def test_on_loopback_the_desk_answers_to_its_own_name_only(visitor: Visitor, host: str) -> None:
    await visitor.log_in()
    headers = {"host": host, "cookie": f"sitting={visitor.token}"}
    assert (await visitor.http.get("/", headers=headers)).status_code == 421
    assert (await visitor.http.get("/login", headers=headers)).status_code == 421


# --- sittings --------------------------------------------------------------------------------------------------------


async def test_a_planted_cookie_is_not_the_one_that_sits(desk: AtDesk, visitor: Visitor) -> None:
    planted = "P" * 43
    visitor.http.cookies.set("sitting", planted, domain="localhost.local")
    await visitor.log_in()
    assert visitor.token != planted
    async with desk.visitor() as thief:
        thief.http.cookies.set("sitting", planted, domain="localhost.local")
        assert (await thief.get("/")).status_code == 303


async def test_a_stolen_cookie_is_worth_nothing_after_leaving(desk: AtDesk, visitor: Visitor) -> None:
    await visitor.log_in()
    stolen = visitor.token
    async with desk.visitor() as thief:
        thief.http.cookies.set("sitting", stolen, domain="localhost.local")
        assert (await thief.get("/")).status_code == 200, "until then it is"
        await visitor.post("/logout")
        assert (await thief.get("/")).status_code == 303


async def test_logging_in_again_ends_the_sitting_before(desk: AtDesk, visitor: Visitor) -> None:
    await visitor.log_in()
    before = visitor.token
    await visitor.log_in_patient()
    async with desk.visitor() as thief:
        thief.http.cookies.set("sitting", before, domain="localhost.local")
        assert (await thief.get("/")).status_code == 303


LASTING = {
    "idle for half an hour": ([timedelta(minutes=30)], 303),
    "idle for a little less": ([timedelta(minutes=29)], 200),
    "busy for an hour": ([timedelta(minutes=20)] * 3, 200),
    "busy for eight hours": ([timedelta(minutes=20)] * 24, 303),
}


@pytest.mark.parametrize("case", LASTING)
async def test_how_long_a_sitting_lasts(desk: AtDesk, visitor: Visitor, case: str) -> None:
    pauses, status = LASTING[case]
    await visitor.log_in()
    for pause in pauses:
        desk.clock.ahead += pause
        answer = await visitor.get("/")
    assert answer.status_code == status


MADE_UP = {
    "random": "R" * 43,
    "empty": "",
    "too long": "R" * 4000,
    "strange": "../../etc",
    "quoted": '"; DROP TABLE sitting',
}


@pytest.mark.parametrize("token", MADE_UP.values(), ids=MADE_UP.keys())
async def test_a_made_up_cookie_sits_nowhere(visitor: Visitor, token: str) -> None:
    answer = await visitor.http.get("/", headers={"cookie": f"sitting={token}"})
    assert answer.status_code == 303


async def test_the_cookie_is_for_our_pages_only(visitor: Visitor) -> None:
    await visitor.get("/login")
    form = {"name": "test-viewer", "password": PASSWORD, "code": await visitor.desk.code("test-viewer")}
    cookie = (await visitor.post("/login", **form)).headers["set-cookie"]
    assert {part.strip().lower() for part in cookie.split(";")[1:]} == {"httponly", "path=/", "samesite=strict"}


async def test_with_tls_the_cookie_never_travels_without(exchange: Exchange) -> None:
    desk = await open_desk(exchange, desk_host="0.0.0.0")
    async with desk.visitor(base="https://desk.test:8443") as visitor:
        cookie = (await visitor.get("/login")).headers["set-cookie"]
        assert cookie.startswith("__Host-sitting=")
        assert "secure" in cookie.lower()


# --- whom a page is for ----------------------------------------------------------------------------------------------


async def test_a_patient_is_not_let_in_at_the_console(visitor: Visitor) -> None:
    await visitor.log_in_patient()
    answer = await visitor.get("/")
    assert answer.status_code == 403
    assert "For operators only" in answer.text


def routes_of(desk: AtDesk) -> list[APIRoute]:
    found = desk_module.parts(desk.desk)
    return [route for part in found for route in part.routes if isinstance(route, APIRoute)]


OPEN = {
    ("GET", "/health/live"), ("GET", "/health/ready"),  # tell nothing of anybody
    ("GET", "/static/{address}"),  # ours, and the same for all
    ("GET", "/metrics"), ("GET", "/sim/clock"), ("PUT", "/sim/clock"),  # for this machine only; tests/web/test_desk.py
    ("GET", "/sim/faults"), ("PUT", "/sim/faults"), ("DELETE", "/sim/faults"),  # the same; tests/web/test_sim_faults.py
}  # fmt: skip
"""Routes without a dependency that says whom they are for."""
AT_THE_DOOR = {("GET", "/login"), ("POST", "/login"), ("POST", "/logout"), ("GET", "/digid"), ("POST", "/digid")}


def guard_of(route: APIRoute) -> object:
    guards = [one.call for one in route.dependant.dependencies]
    return next((one for one in guards if isinstance(one, DoorVisitor | Required | RequiredPatient)), None)


async def test_every_route_says_whom_it_is_for(desk: AtDesk) -> None:
    routes = routes_of(desk)
    assert len(routes) > 10
    for route in routes:
        for method in route.methods:
            name = (method, route.path)
            guard = guard_of(route)
            assert (guard is None) == (name in OPEN), name
            assert isinstance(guard, DoorVisitor) == (name in AT_THE_DOOR), name


async def test_no_guarded_route_answers_a_stranger(desk: AtDesk, visitor: Visitor) -> None:
    guarded = [route for route in routes_of(desk) if isinstance(guard_of(route), Required | RequiredPatient)]
    assert guarded
    for route in guarded:
        path = re.sub(r"\{[^}]*\}", "x", route.path)
        for method in route.methods:
            answer = await visitor.http.request(method, path)
            assert answer.status_code in (303, 401, 403), (method, path)


async def test_who_has_the_wrong_role_or_kind_is_refused_everywhere(desk: AtDesk) -> None:
    async with desk.visitor() as viewer, desk.visitor() as patient:
        await viewer.log_in("test-viewer")
        await patient.log_in_patient()
        for route in routes_of(desk):
            guard = guard_of(route)
            path = re.sub(r"\{[^}]*\}", "x", route.path)
            for method in route.methods:
                if isinstance(guard, Required):
                    proof = {"x-csrf": csrf_of(patient.token)}
                    assert (await patient.http.request(method, path, headers=proof)).status_code == 403, path
                barred = isinstance(guard, RequiredPatient) or (
                    isinstance(guard, Required) and guard.role is not Role.VIEWER
                )
                if barred:
                    proof = {"x-csrf": csrf_of(viewer.token)}
                    assert (await viewer.http.request(method, path, headers=proof)).status_code == 403, path


# --- the patients' door ----------------------------------------------------------------------------------------------

STRANGERS: dict[str, tuple[dict[str, str], str]] = {
    "no such person": ({"key": "nobody"}, "This is no test person"),
    "a number outside the test range": ({"number": "123456782"}, "This is no test person"),
    "a number that fails the eleven-test": ({"number": BAD_BSN}, "This is no test person"),
    "words for a number": ({"number": "all of them"}, "This is no test person"),
    "nonsense for a birth date": ({"number": NOBODY, "born": "yesterday"}, "This is no test person"),
    "a parent of a grown-up": ({"party": "parent"}, "may not act"),
    "a guardian of a grown-up": ({"party": "guardian"}, "may not act"),
    "a representative of a minor": ({"key": "a-child", "party": "representative"}, "may not act"),
}


@pytest.mark.parametrize("case", STRANGERS)
async def test_who_is_not_let_in_as_a_patient(desk: AtDesk, visitor: Visitor, case: str) -> None:
    form, told = STRANGERS[case]
    answer = await visitor.log_in_patient(**form)
    assert answer.status_code == 422
    assert told in answer.text
    assert not await desk.lines(Event.PATIENT_LOGGED_IN)


async def test_a_party_that_does_not_exist_is_not_understood(visitor: Visitor) -> None:
    assert (await visitor.log_in_patient(party="neighbour")).status_code == 400


async def test_an_outsider_s_number_opens_its_page_spaced_or_not(desk: AtDesk, visitor: Visitor) -> None:
    spaced = f"{NOBODY[:4]} {NOBODY[4:6]} {NOBODY[6:]}"
    assert (await visitor.log_in_patient(number=spaced)).status_code == 303
    assert len(await desk.lines(Event.PATIENT_LOGGED_IN)) == 1


async def test_the_birth_date_the_exchange_was_told_goes_first(desk: AtDesk, visitor: Visitor) -> None:
    key = desk.means.keys.patient(PERSONS[1].bsn)
    assert (await visitor.log_in_patient("a-child", "parent")).status_code == 303
    await desk.means.ledger.commit(lambda tx: consents.set_birth_date(tx, key, date(2000, 1, 1)))
    async with desk.visitor() as other:
        assert (await other.log_in_patient("a-child", "parent")).status_code == 422


async def test_a_parent_s_say_ends_at_midnight_of_the_sixteenth_birthday(desk: AtDesk, visitor: Visitor) -> None:
    """In domain time, and in the Netherlands: 2028-06-01 00:00 is 22:00 UTC the day before."""
    before, after = datetime(2028, 5, 31, 21, 59, tzinfo=UTC), datetime(2028, 5, 31, 22, 0, tzinfo=UTC)
    await operating.set_clock(desk.means, before, by="test")
    assert (await visitor.log_in_patient("a-child", "parent")).status_code == 303
    sitter = await sitting.sits(desk.means, visitor.token)
    assert await sitting.still_has_say(desk.means, sitter)  # type: ignore[arg-type]
    await operating.set_clock(desk.means, after, by="test")
    assert not await sitting.still_has_say(desk.means, sitter)  # type: ignore[arg-type]


async def test_no_number_stands_in_a_page_or_an_address(visitor: Visitor) -> None:
    pages = [await visitor.get("/digid"), await visitor.log_in_patient(number=BAD_BSN), await visitor.log_in_patient()]
    for page in pages:
        for number in (US, BAD_BSN):
            assert number not in page.text + str(page.headers)


async def test_outside_a_simulation_nobody_is_a_patient_by_saying_so(exchange: Exchange) -> None:
    desk = await open_desk(exchange, simulation=False)
    async with desk.visitor() as visitor:
        assert (await visitor.get("/digid")).status_code == 404
        assert "/digid" not in (await visitor.get("/login")).text


async def test_what_a_script_asks_is_refused_without_a_page(visitor: Visitor) -> None:
    answer = await visitor.http.get("/", headers={"accept": "text/event-stream"})
    assert (answer.status_code, answer.json()) == (401, {"error": "login"})


async def test_too_large_a_form_is_not_read(visitor: Visitor) -> None:
    await visitor.get("/login")

    async def endless() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b"x" * 1024

    announced = await visitor.http.post("/login", data={"name": "x" * 100_000})
    unannounced = await visitor.http.post("/login", content=endless(), headers={"content-type": FORM})
    assert (announced.status_code, unannounced.status_code) == (413, 413)


async def test_too_slow_a_form_is_not_waited_for() -> None:
    sent: list[Any] = []

    async def never() -> Any:
        await asyncio.sleep(3600)

    async def send(message: Any) -> None:
        sent.append(message)

    async def unreached(*_: Any) -> None:
        raise AssertionError("nothing was read that could be handed on")

    scope = {"type": "http", "method": "POST", "headers": []}
    await guarded(unreached, secure=False, body_seconds=0.05)(scope, never, send)
    assert sent[0]["status"] == 408


FORM = "application/x-www-form-urlencoded"


async def test_a_ledger_that_is_gone_is_told_and_nobody_comes_in(desk: AtDesk, visitor: Visitor) -> None:
    await visitor.get("/login")
    desk.means.ledger.close()
    answer: httpx.Response = await visitor.post("/login", name="test-operator", password=PASSWORD, code="000000")
    assert answer.status_code == 503
    assert "ledger" in answer.text
