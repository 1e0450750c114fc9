"""How much CPU does one query cost beside nginx proxying the same bytes? Rows one and three of the speed promises.

nginx is a bare reverse proxy with mutual TLS on both sides, in front of the same source, with the same 21 KB answer, on
the same core; the rounds alternate in one run. Needs Debian's nginx. Run: `python -m benchmarks.query [--profile]`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from urllib.parse import urlencode

import uvloop

from benchmarks import load, profiling
from benchmarks.load import Round
from gateway.cli.ask import system_from
from gateway.cli.ports import free_port
from gateway.cli.staging import Stage, issue_all, make_authority, register_all, write_running
from gateway.settings import Settings
from source_sim import country, population, requesters
from source_sim.custodians import Choice, Custodian

GENERATOR_CORE, GATEWAY_CORE = 0, 1
SIZE = 21_000
BSN_SYSTEM = "http://fhir.nl/fhir/NamingSystem/bsn"


@dataclass(frozen=True, slots=True)
class Target:
    """One side of the comparison: where to send which request, and whose CPU it costs."""

    name: str
    port: int
    request: bytes
    pids: list[int]


def body_for(bsn: str, source: str) -> bytes:
    """A searchset of about 21 KB in resources of about 2 KB, with narrative and several codings: the shape of real
    national instances. Every match proves its patient."""
    entries: list[dict[str, object]] = []
    while len(json.dumps(entries)) < SIZE:
        number = len(entries)
        resource = _allergy(bsn, number)
        url = f"https://{source}.example/fhir/AllergyIntolerance/a{number}"
        entries.append({"fullUrl": url, "resource": resource, "search": {"mode": "match"}})
    return json.dumps({"resourceType": "Bundle", "type": "searchset", "total": len(entries), "entry": entries}).encode()


def _allergy(bsn: str, number: int) -> dict[str, object]:
    def concept(system: str, code: str, display: str) -> dict[str, object]:
        return {"coding": [{"system": system, "code": code, "display": display}]}

    hl7, snomed = "http://terminology.hl7.org/CodeSystem/allergyintolerance-", "http://snomed.info/sct"
    rows = "".join(f"<tr><th>{name}</th><td>beschrijving van gewone lengte</td></tr>" for name in "abcdefghij")
    return {
        "resourceType": "AllergyIntolerance",
        "id": f"a{number}",
        "meta": {"profile": ["http://nictiz.nl/fhir/StructureDefinition/nl-core-AllergyIntolerance"]},
        "text": {
            "status": "generated",
            "div": f'<div xmlns="http://www.w3.org/1999/xhtml"><table>{rows}</table></div>',
        },
        "clinicalStatus": concept(hl7 + "clinical", "active", "Active"),
        "verificationStatus": concept(hl7 + "verification", "confirmed", "Confirmed"),
        "category": ["medication"],
        "criticality": "high",
        "code": concept(snomed, "91936005", "allergie voor penicilline"),
        "patient": {"identifier": {"system": BSN_SYSTEM, "value": bsn}},
        "onsetDateTime": "2012-05-14",
        "recordedDate": "2012-05-20",
        "note": [{"text": "een toelichting van gewone lengte, zoals apothekers die schrijven"}],
        "reaction": [
            {
                "substance": concept(snomed, "373270004", "penicilline"),
                "manifestation": [concept(snomed, "422587007", "misselijkheid")],
                "onset": "2012-05-14",
                "severity": "moderate",
            }
        ],
    }


# --- setting up ------------------------------------------------------------------------------------------------------


class Bench:
    """The gateway, nginx and bare sources on pinned cores, in a temporary folder."""

    def __init__(self, folder: Path, stack: ExitStack, workers: int) -> None:
        self.folder, self.stack, self.workers = folder, stack, workers
        self.bsn = population.persons(date(2026, 1, 1))[0].bsn
        certs = folder / "certs"
        self.settings = Settings(
            state_dir=folder / "state",
            certificate=certs / "gateway.pem",
            key=certs / "gateway.key",
            ca=certs / "ca.pem",
            crl=certs / "crl.pem",
            exchange_port=free_port(18443),
            desk_port=free_port(18080),
            simulation=True,
            token_seconds=3600,
        )
        self.made = Stage(folder / "state", certs, self.settings, {})
        self.made.state.mkdir(parents=True)
        issue_all(self.made, make_authority(self.made))
        self.pharmacies = (country.PHARMACY, country.SECOND_PHARMACY, country.COVERING_PHARMACY)
        self.ports = {one.key: self._source(one) for one in self.pharmacies}
        self.made.endpoints = {one.ura: f"https://127.0.0.1:{self.ports[one.key]}/fhir" for one in self.pharmacies}
        asyncio.run(register_all(self.made))
        write_running(self.made)
        self.gateway = self._gateway()

    def _spawn(self, command: list[str], core: int, **more: object) -> subprocess.Popen[str]:
        process = subprocess.Popen(["taskset", "-c", str(core), *command], text=True, **more)  # type: ignore[call-overload]
        self.stack.callback(process.wait)
        self.stack.callback(process.terminate)
        return process  # type: ignore[no-any-return]

    def _source(self, one: country.Participant) -> int:
        body = self.folder / f"{one.key}.json"
        body.write_bytes(body_for(self.bsn, one.key))
        own = self.made.folder(one)
        files = [str(body), str(own / "client.pem"), str(own / "client.key"), str(self.made.certs / "ca.pem")]
        command = [sys.executable, "-m", "benchmarks.bare_source", *files]
        process = self._spawn(command, GENERATOR_CORE, stdout=subprocess.PIPE)
        assert process.stdout is not None, "asked for a pipe"
        return int(process.stdout.readline())

    def _gateway(self) -> subprocess.Popen[str]:
        values = self.settings.model_dump(mode="json", exclude_defaults=True)
        environment = {**os.environ, **{f"SWITCHPOINT_{name.upper()}": str(value) for name, value in values.items()}}
        command = [sys.executable, "-m", "gateway", "serve", "--simulation", "--workers", str(self.workers)]
        log = self.stack.enter_context((self.folder / "gateway.log").open("w"))
        process = self._spawn(command, GATEWAY_CORE, env=environment, stderr=log)
        asyncio.run(self._await(environment))
        return process

    async def _await(self, environment: dict[str, str]) -> None:
        async with system_from(self.made.folder(country.GP_POST)) as system:
            for _ in range(200):
                try:
                    if (await system.call("GET", "/metadata")).status == 200:
                        return
                except Exception:
                    await asyncio.sleep(0.1)
        raise RuntimeError("the gateway did not start: " + (self.folder / "gateway.log").read_text())

    def nginx(self) -> tuple[int, subprocess.Popen[str]]:
        port, own, certs = free_port(19443), self.made.folder(country.GP_POST), self.made.certs
        config = self.folder / "nginx.conf"
        config.write_text(
            f"""
            daemon off; worker_processes 1; pid {self.folder}/nginx.pid; error_log {self.folder}/nginx.log;
            events {{ worker_connections 512; }}
            http {{
              access_log off; client_body_temp_path {self.folder}/b; proxy_temp_path {self.folder}/p;
              fastcgi_temp_path {self.folder}/f; uwsgi_temp_path {self.folder}/u; scgi_temp_path {self.folder}/s;
              keepalive_requests 10000000; proxy_buffers 16 16k;
              upstream source {{ server 127.0.0.1:{self.ports["pharmacy"]}; keepalive 64;
                                 keepalive_requests 10000000; }}
              server {{
                listen 127.0.0.1:{port} ssl;
                ssl_certificate {certs}/gateway.pem; ssl_certificate_key {certs}/gateway.key;
                ssl_client_certificate {certs}/ca.pem; ssl_verify_client on; ssl_verify_depth 3;
                ssl_session_tickets off;
                location / {{
                  proxy_pass https://source; proxy_http_version 1.1; proxy_set_header Connection "";
                  proxy_ssl_certificate {own}/client.pem; proxy_ssl_certificate_key {own}/client.key;
                  proxy_ssl_trusted_certificate {certs}/ca.pem; proxy_ssl_verify on; proxy_ssl_verify_depth 3;
                  proxy_ssl_name localhost; proxy_ssl_server_name on;
                }}
              }}
            }}"""
        )
        process = self._spawn(["nginx", "-c", str(config), "-p", str(self.folder)], GATEWAY_CORE)
        time.sleep(0.5)
        return port, process

    async def register(self, pharmacies: list[country.Participant]) -> str:
        """Consent and entries at these pharmacies; returns a token for the GP post."""
        for one in pharmacies:
            async with system_from(self.made.folder(one)) as system:
                custodian = Custodian(system)
                assert (await custodian.state_consent(self.bsn, Choice())).status == 201
                answer = await custodian.register_entry(self.bsn, "allergies", at=datetime.now(UTC))
                assert answer.status in (200, 201), answer.body
        async with system_from(self.made.folder(country.GP_POST)) as system:
            return await system.token({"patient": self.bsn, **requesters.gp_post(datetime.now(UTC))})

    def request(self, token: str) -> bytes:
        form = urlencode({"patient.identifier": f"{BSN_SYSTEM}|{self.bsn}"}).encode()
        head = (
            "POST /fhir/AllergyIntolerance/_search HTTP/1.1\r\nhost: localhost\r\naccept: application/fhir+json\r\n"
            f"authorization: Bearer {token}\r\ncontent-type: application/x-www-form-urlencoded\r\n"
            f"content-length: {len(form)}\r\n\r\n"
        )
        return head.encode() + form

    def tls(self) -> ssl.SSLContext:
        own = self.made.folder(country.GP_POST)
        context = ssl.create_default_context(cafile=own / "ca.pem")
        context.load_cert_chain(own / "client.pem", own / "client.key")
        return context


# --- measuring -------------------------------------------------------------------------------------------------------


async def alternate(
    bench: Bench, targets: list[Target], rounds: int, seconds: float, connections: int
) -> dict[str, list[Round]]:
    """Rounds in turn, A B A B, after a warm-up of each."""
    tls, found = bench.tls(), {target.name: list[Round]() for target in targets}
    for number in range(-1, rounds):
        for target in targets:
            round_ = await load.run(
                target.port, target.request, b"AllergyIntolerance", tls,
                connections=connections, seconds=1.0 if number < 0 else seconds, pids=target.pids,
            )  # fmt: skip
            if number >= 0:
                found[target.name].append(round_)
    return found


def summary(name: str, rounds: list[Round]) -> dict[str, float | str]:
    return {
        "target": name,
        "requests_per_s": round(statistics.median(r.rate for r in rounds), 1),
        "cpu_us_each": round(statistics.median(r.cpu_each for r in rounds) * 1e6, 1),
        "p50_ms": round(statistics.median(r.quantile(0.5) for r in rounds) * 1e3, 2),
        "p99_ms": round(statistics.median(r.quantile(0.99) for r in rounds) * 1e3, 2),
        "p99_over_p50": round(statistics.median(r.quantile(0.99) / r.quantile(0.5) for r in rounds), 2),
    }


def measure(rounds: int, seconds: float, connections: int, workers: int) -> dict[str, object]:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        bench = Bench(folder, stack, workers)
        port, nginx = bench.nginx()
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            request = bench.request(runner.run(bench.register([country.PHARMACY])))
            gateway = Target(
                "gateway, one source", bench.settings.exchange_port, request, load.family(bench.gateway.pid)
            )
            proxy = Target("nginx, one source", port, request, load.family(nginx.pid))
            one = runner.run(alternate(bench, [proxy, gateway], rounds, seconds, connections))
            runner.run(bench.register([country.SECOND_PHARMACY, country.COVERING_PHARMACY]))
            three = runner.run(alternate(bench, [proxy, _renamed(gateway)], rounds, seconds, connections))
    rows = [summary(name, found) for name, found in one.items()]
    again = [summary(name, found) for name, found in three.items()]
    nginx_cpu, gateway_cpu = (float(row["cpu_us_each"]) for row in rows)
    again_nginx, three_cpu = (float(row["cpu_us_each"]) for row in again)
    return {
        "rows": [*rows, again[1]],
        "ratios": {
            "one source / nginx": round(gateway_cpu / nginx_cpu, 2),
            "three sources / 3 nginx": round(three_cpu / (3 * again_nginx), 2),
            "p99 added over nginx, ms": round(float(rows[1]["p99_ms"]) - float(rows[0]["p99_ms"]), 2),
        },
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        "date": datetime.now(UTC).date().isoformat(),
    }


def profile() -> None:
    with ExitStack() as stack:
        bench = Bench(Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-"))), stack, 1)
        request = bench.request(asyncio.run(bench.register([country.PHARMACY])))
        os.sched_setaffinity(0, {GATEWAY_CORE})
        profiling.run(bench.settings, bench.made.folder(country.GP_POST) / "client.pem", request)


def _renamed(target: Target) -> Target:
    return Target("gateway, three sources", target.port, target.request, target.pids)


def show(found: dict[str, object]) -> None:
    rows = found["rows"]
    assert isinstance(rows, list), "made above"
    print(f"{'target':<24}{'req/s':>9}{'CPU µs':>9}{'p50 ms':>9}{'p99 ms':>9}{'p99/p50':>9}")
    for row in rows:
        print(f"{row['target']:<24}{row['requests_per_s']:>9}{row['cpu_us_each']:>9}{row['p50_ms']:>9}"
              f"{row['p99_ms']:>9}{row['p99_over_p50']:>9}")  # fmt: skip
    for name, value in dict(found["ratios"]).items():  # type: ignore[call-overload]
        print(f"{name:<32}{value:>8}")
    print(f"{found['machine']}, {found['date']}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--connections", type=int, default=4)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--profile", action="store_true", help="instead: where the time of one query goes")
    parser.add_argument("--json", type=Path, help="write the figures here, too")
    options = parser.parse_args()
    load.pin(GENERATOR_CORE)
    if options.profile:
        profile()
        return
    found = measure(options.rounds, options.seconds, options.connections, options.workers)
    show(found)
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(found, indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    main()
