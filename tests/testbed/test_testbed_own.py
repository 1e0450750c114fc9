"""Can a tester bring a source and a client of her own? An application, an address, a callable; faults in front."""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
import threading
import time
from uuid import uuid4

import fastapi
import httpx
import pytest
import uvicorn
from joserfc import jwt
from joserfc.jwk import ECKey

from source_sim.testbed import Patient, Switchpoint, open_country
from source_sim.testbed.own_client import Question

SUMMARY = "http://fhir.nl/fhir/NamingSystem/bsn"


def application(*, pause: float = 0.0, alive: list[str] | None = None) -> fastapi.FastAPI:
    """A source that shares no code with ours: a synchronous route, which its server runs in a thread."""

    async def life(_app: fastapi.FastAPI):
        (alive if alive is not None else []).append("begun")
        yield
        (alive if alive is not None else []).append("ended")

    app = fastapi.FastAPI(lifespan=contextlib.asynccontextmanager(life))

    @app.post("/fhir/Bundle/_search")
    def search(request: fastapi.Request, form: bytes = fastapi.Body(media_type="x-www-form-urlencoded")):
        time.sleep(pause)
        return answer(form.decode())

    return app


def answer(form: str) -> fastapi.Response:
    bsn = form.partition("%7C")[2][:9]
    patient = {"resourceType": "Patient", "id": "p", "identifier": [{"system": SUMMARY, "value": bsn}]}
    composition = {"resourceType": "Composition", "id": "c", "subject": {"reference": "Patient/p"}}
    composition |= {"status": "final", "date": "2026-11-21", "title": "x", "author": [{"display": "x"}]}
    composition["type"] = {"coding": [{"system": "http://loinc.org", "code": "60591-5"}]}
    entries = [
        {"fullUrl": f"https://own.test/fhir/{one['resourceType']}/{one['id']}", "resource": one}
        for one in (composition, patient)
    ]
    document = {"resourceType": "Bundle", "id": "d", "type": "document", "entry": entries}
    document |= {"identifier": {"system": "urn:x", "value": "1"}, "timestamp": "2026-11-21T23:40:00+01:00"}
    whole = {"resourceType": "Bundle", "type": "searchset", "total": 1}
    whole["entry"] = [{"fullUrl": "https://own.test/fhir/Bundle/d", "resource": document, "search": {"mode": "match"}}]
    return fastapi.Response(json.dumps(whole), media_type="application/fhir+json")


@pytest.fixture
def country():
    with open_country() as opened:
        yield opened


def of_its_own(country: Switchpoint, source: object) -> tuple:
    gp = country.gp_practice(source=source)
    return gp, country.patient("anna", gp=gp), country.gp_post()


@pytest.mark.parametrize("live", [False, True])
def test_an_application_of_ones_own_is_asked_for_its_patients(*, live: bool) -> None:
    alive: list[str] = []
    with open_country(live=live) as country:
        gp, anna, post = of_its_own(country, application(pause=0.05, alive=alive))
        answer = post.ask("gp-summary", anna)
        answer.expect(total=1, sources=["gp-practice"], row="REG-1")
        assert 0.05 <= answer.elapsed < 5
        assert gp.log == ()
        assert alive == ["begun"]
    assert alive == ["begun", "ended"]


def test_faults_stand_in_front_of_it(country: Switchpoint) -> None:
    gp, anna, post = of_its_own(country, application())
    for name, code in {"down": "unreachable", "garbage": "malformed", "wrong-patient": "wrong-patient"}.items():
        gp.faults.set(name)
        post.ask("gp-summary", anna).expect(code=code)
    gp.faults.set("slow", seconds=30)
    started = time.monotonic()
    post.ask("gp-summary", anna).expect(code="timed-out")
    assert time.monotonic() - started < 3, "the source was quick, the fault takes virtual time"
    gp.faults.clear()
    post.ask("gp-summary", anna).expect(total=1)


def test_an_application_that_breaks_is_a_source_that_refuses(country: Switchpoint) -> None:
    async def broken(scope, receive, send) -> None:
        if scope["type"] == "lifespan":
            raise NotImplementedError
        raise ValueError("broken")

    _, anna, post = of_its_own(country, broken)
    post.ask("gp-summary", anna).expect(status=502, code="refused")


class Served:
    """A source process of the tester's: here a thread with uvicorn and mutual TLS."""

    def __init__(self, app: fastapi.FastAPI, port: int, join: dict) -> None:
        config = uvicorn.Config(app, port=port, log_config=None, lifespan="off", access_log=False)
        config.ssl_certfile, config.ssl_keyfile = join["certificate"], join["key"]
        config.ssl_ca_certs, config.ssl_cert_reqs = join["ca"], ssl.CERT_REQUIRED
        config.timeout_graceful_shutdown = 1
        self.server = uvicorn.Server(config)
        self.thread = threading.Thread(target=lambda: asyncio.run(self.server.serve()), daemon=True)
        self.thread.start()
        while not self.server.started:
            time.sleep(0.01)

    def end(self) -> None:
        self.server.should_exit = True
        self.thread.join(10)


def test_a_source_at_an_address_is_asked_over_sockets_in_real_time(unused_tcp_port: int) -> None:
    with open_country() as country:
        gp, anna, post = of_its_own(country, f"https://localhost:{unused_tcp_port}/fhir")
        assert gp.faults is None
        post.ask("gp-summary", anna).expect(code="unreachable")
        served = Served(application(pause=0.1), unused_tcp_port, gp.join)
        answer = post.ask("gp-summary", anna)
    served.end()
    answer.expect(total=1)
    assert answer.elapsed >= 0.1


# --- clients ---------------------------------------------------------------------------------------------------------


def asking(country: Switchpoint, client: object) -> tuple[Patient, object]:
    gp = country.gp_practice()
    return country.patient("anna", gp=gp), country.gp_post(client=client)


def signed(question: Question) -> str:
    """An assertion by other means than ours."""
    now, join = question.wall, question.join
    envelope = {"iss": join["application"], "aud": join["token_endpoint"], "iat": now, "exp": now + 60}
    said = {**envelope, "jti": str(uuid4()), "organisation": join["ura"], "patient": question.bsn}
    with open(join["key"], "rb") as file:
        return jwt.encode({"alg": "ES256"}, {**said, **question.claims}, ECKey.import_key(file.read()))


def own_client(question: Question, http: httpx.Client) -> httpx.Response:
    grant = "urn:ietf:params:oauth:grant-type:jwt-bearer"
    got = http.post("/token", data={"grant_type": grant, "assertion": signed(question)})
    token = got.raise_for_status().json()["access_token"]
    (path, form), *_ = question.searches
    return http.post(path, data=dict(form), headers={"Authorization": f"Bearer {token}"})


@pytest.mark.parametrize("live", [False, True])
def test_a_client_of_ones_own_asks_and_its_answer_is_judged_like_any(*, live: bool) -> None:
    with open_country(live=live) as country:
        anna, post = asking(country, own_client)
        post.ask("gp-summary", anna).expect(completeness="complete", total=1, row="REG-1")
        refused = post.ask("gp-summary", anna, cover=False)
        refused.expect(status=403, code="no-cover")
        assert refused.misses[0].startswith("cover of the patient's own practice")


def test_a_client_that_asks_nothing_is_found_out(country: Switchpoint) -> None:
    anna, post = asking(country, lambda question, http: b'{"resourceType": "Bundle", "total": 0}')
    answer = post.ask("gp-summary", anna)
    answer.expect(total=0, row=None)
    assert answer.transcript.events() == []
    with pytest.raises(TypeError, match=r"an httpx\.Response, a Reply or bytes, not int"):
        asking(country, lambda question, http: 3)[1].ask("gp-summary", anna)


def test_a_client_at_an_address_is_sent_the_question(unused_tcp_port: int) -> None:
    app, seen = fastapi.FastAPI(), []

    @app.post("/ask")
    async def ask(request: fastapi.Request) -> fastapi.Response:
        seen.append(await request.json())
        return fastapi.Response(b'{"resourceType": "Bundle", "total": 0}', media_type="application/fhir+json")

    config = uvicorn.Config(app, port=unused_tcp_port, log_config=None, lifespan="off", access_log=False)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=lambda: asyncio.run(server.serve()), daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    with open_country(live=True) as country:
        anna, post = asking(country, f"http://127.0.0.1:{unused_tcp_port}/ask")
        assert post.ask("gp-summary", anna).status == 200
    server.should_exit = True
    thread.join(10)
    assert (seen[0]["kind"], seen[0]["claims"]["role"], seen[0]["join"]["type"]) == ("gp-summary", "01.015", "N6")
