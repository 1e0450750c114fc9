"""How many return messages are accepted in a second, beside the bare inserts of the same rows?

Three ways, in turn in one run, on the same core, with the same number of senders that each wait for their own: over the
listener (mutual TLS, keep-alive), through the flow in this process, and bare group-commit inserts.
"""

from __future__ import annotations

import asyncio
import os
import ssl
import statistics
import tempfile
import time
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import bare_inserts, load, mail_load
from benchmarks.load import Round
from benchmarks.mail_stage import (
    GATEWAY_CORE,
    GENERATOR_CORE,
    MailStage,
    add_practice,
    call_of_the_post,
    enrol,
    hand_in,
    message_about,
    people,
    practice,
)
from gateway.app import Gateway
from gateway.cli.ask import system_from
from source_sim import requesters
from source_sim.country import GP_POST
from source_sim.population import Person

BARE, FLOW, LISTENER = "bare inserts", "the flow", "the listener"


async def flow_round(office: Gateway, person: Person, *, writers: int, seconds: float) -> Round:
    call, template, latencies = call_of_the_post(), message_about(person), list[float]()
    began, cpu = time.perf_counter(), load.cpu_seconds([os.getpid()])
    until = began + seconds

    async def one() -> None:
        while (sent := time.perf_counter()) < until:
            await hand_in(office, call, person, template)
            latencies.append(time.perf_counter() - sent)

    await asyncio.gather(*(one() for _ in range(writers)))
    return Round(latencies, time.perf_counter() - began, load.cpu_seconds([os.getpid()]) - cpu)


def _tls(folder: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=folder / "ca.pem")
    context.load_cert_chain(folder / "client.pem", folder / "client.key")
    return context


async def _token(stage: MailStage, person: Person) -> str:
    """A token for the GP post; the connection waits in the backlog until the gateway has started."""
    async with system_from(stage.made.folder(GP_POST)) as system:
        return await system.token({"patient": person.bsn, **requesters.gp_post(datetime.now(UTC))})


async def measure(rounds: int, seconds: float, writers: int) -> dict[str, list[Round]]:
    """Rounds of each in turn, after a warm-up of each that does not count."""
    found: dict[str, list[Round]] = {BARE: [], FLOW: [], LISTENER: []}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        stage = await asyncio.to_thread(MailStage, folder, stack)
        (person,), settings = people(1), stage.made.settings
        async with stage.office() as office:
            await add_practice(office, practice(1), 1)
            await enrol(office, person, practice(1))
            await hand_in(office, call_of_the_post(), person, message_about(person))
            exchange = stage.gateway(settings, "exchange")
            requests = message_about(person).requests(await _token(stage, person))
            tls, own = _tls(stage.made.folder(GP_POST)), [os.getpid()]
            bare = bare_inserts.Bare(folder / "bare.sqlite", settings.state_dir / "ledger.sqlite")
            try:
                for number in range(-1, rounds):
                    length = 1.0 if number < 0 else seconds
                    os.sched_setaffinity(0, {GATEWAY_CORE})
                    plain = await bare_inserts.run(bare, writers=writers, seconds=length, pids=own)
                    flow = await flow_round(office, person, writers=writers, seconds=length)
                    os.sched_setaffinity(0, {GENERATOR_CORE})
                    listener = await mail_load.run(
                        settings.exchange_port, requests, tls, connections=writers, seconds=length,
                        pids=load.family(exchange.pid),
                    )  # fmt: skip
                    if number >= 0:
                        for name, round_ in ((BARE, plain), (FLOW, flow), (LISTENER, listener)):
                            found[name].append(round_)
            finally:
                bare.close()
    return found


def ratios(found: dict[str, list[Round]]) -> dict[str, float]:
    """Each way's rate as a share of the bare inserts', round by round, the median of them."""

    def share(name: str) -> float:
        pairs = zip(found[name], found[BARE], strict=True)
        return round(statistics.median(mine.rate / bare.rate for mine, bare in pairs), 3)

    return {"the flow / bare inserts": share(FLOW), "the listener / bare inserts": share(LISTENER)}
