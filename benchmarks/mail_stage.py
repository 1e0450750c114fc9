"""What do the measurements of messages stand on? A country with a GP post that sends and practices that receive."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from benchmarks.mail_load import Messages
from gateway.app import Gateway, open_gateway
from gateway.cli.ports import free_port
from gateway.cli.staging import Stage, _environment, issue_all, make_authority, participant, register_all, write_running
from gateway.flows.means import Call
from gateway.flows.operating import join
from gateway.flows.return_message import Accepted, accept
from gateway.rules.exchange import AortaId, Contact, ContactKind, Professional, Requester, Situation
from gateway.rules.identifiers import ApplicationId, Bsn, Ura
from gateway.rules.message import Message, MessageEvent
from gateway.rules.network import Network
from gateway.settings import Settings
from gateway.stores import enrolments
from source_sim import cases, messages, population, requesters
from source_sim.country import GP_POST, Participant
from source_sim.population import Person

GENERATOR_CORE, GATEWAY_CORE = 0, 1
_START = 12.0
WORKER = """
import socket, sys
from gateway.cli.working import serve_desk, serve_exchange
from gateway.settings import Settings
serve = {"exchange": serve_exchange, "desk": serve_desk}[sys.argv[1]]
serve(Settings().model_copy(update={"simulation": True}), socket.socket(fileno=int(sys.argv[2])))
"""
"""One process of the gateway by itself, pinned to a core: its role, and the socket it inherits."""


def practice(number: int) -> Participant:
    """One practice of many, beside the country's own."""
    return Participant(
        f"practice-{number}", f"9100{number:04}", f"41{number:04}", "Z3", f"Test Praktijk {number}", serves=True
    )


def people(count: int) -> list[Person]:
    return list(population.crowd(count, date(2026, 1, 1)))


def message_about(person: Person) -> Messages:
    """A return message as the country's doctors write them, one of the shorter (9.5 KB)."""
    id, at = "00000000-0000-4000-8000-000000000000", datetime.now(UTC) - timedelta(minutes=3)
    occasion = messages.Occasion(id, at, person, GP_POST, requesters.gp_post, replace(cases.CHEST_PAIN, measured=()))
    return Messages(id, messages.return_message(occasion))


@dataclass
class MailStage:
    """A country staged in `folder`, its processes pinned; `stack` ends them."""

    folder: Path
    stack: ExitStack
    made: Stage = field(init=False)

    def __post_init__(self) -> None:
        certs, state = self.folder / "certs", self.folder / "state"
        settings = Settings(
            state_dir=state, certificate=certs / "gateway.pem", key=certs / "gateway.key", ca=certs / "ca.pem",
            crl=certs / "crl.pem", exchange_port=free_port(), desk_port=free_port(), simulation=True,
            token_seconds=3600,
        )  # fmt: skip
        self.made = Stage(state, certs, settings, {})
        state.mkdir(parents=True)
        issue_all(self.made, make_authority(self.made))
        asyncio.run(register_all(self.made))
        write_running(self.made)

    def spawn(self, command: Sequence[str], core: int, **more: object) -> subprocess.Popen[str]:
        process = subprocess.Popen(["taskset", "-c", str(core), *command], text=True, **more)  # type: ignore[call-overload]
        self.stack.callback(process.wait)
        self.stack.callback(process.kill)
        return process  # type: ignore[no-any-return]

    def gateway(self, settings: Settings, role: str) -> subprocess.Popen[str]:
        """One process of the gateway in this role, on its own socket, as `switchpoint serve` would start it."""
        from gateway.cli.serve import _listen

        port = settings.exchange_port if role == "exchange" else settings.desk_port
        sock = _listen("127.0.0.1", port)
        self.stack.callback(sock.close)
        log = self.stack.enter_context((self.folder / "gateway.log").open("a"))
        sock.set_inheritable(True)
        command = [sys.executable, "-c", WORKER, role, str(sock.fileno())]
        environment = {**os.environ, **_environment(settings)}
        return self.spawn(command, GATEWAY_CORE, env=environment, stderr=log, pass_fds=[sock.fileno()])

    @asynccontextmanager
    async def office(self) -> AsyncIterator[Gateway]:
        """A gateway of this process on the same ledger."""
        opened = await open_gateway(self.made.settings)
        try:
            yield opened
        finally:
            await opened.close()


async def add_practice(office: Gateway, one: Participant, port: int) -> None:
    endpoint = f"https://127.0.0.1:{port}/fhir"
    await join(office.means, *participant(one, endpoint), by="a benchmark")


async def enrol(office: Gateway, person: Person, one: Participant) -> None:
    key = office.means.keys.patient(Bsn(person.bsn))
    told = Ura(one.ura), ApplicationId(one.application), date(2020, 1, 1), datetime.now(UTC)
    await office.means.ledger.commit(lambda tx: enrolments.enrol(tx, key, *told))


# --- handing in without a network ------------------------------------------------------------------------------------


def call_of_the_post() -> Call:
    """The GP post's call, as the listener would make it of certificate and token."""
    who = requesters.gp_post
    begun = datetime.now(UTC) - timedelta(minutes=5)
    contact = Contact("een-contact", ContactKind.VISIT, begun)

    def party(network: Network) -> Requester:
        organisation = network.organisations[Ura(GP_POST.ura)]
        actor = Professional(who.uzi, who.name, who.role)
        return Requester(
            organisation.ura, organisation.name, organisation.organisation_type, ApplicationId(GP_POST.application),
            actor=actor,
        )  # fmt: skip

    ids = "00000000-0000-4000-8000-000000000001", "00000000-0000-4000-8000-000000000002"
    return Call(AortaId(*ids), Situation(contact=contact, cover=True), party, "process-message")


async def hand_in(office: Gateway, call: Call, person: Person, template: Messages) -> None:
    """One new message through the flow. Raises RuntimeError when it is not accepted."""
    id, body = template.fresh()
    message = Message(id, MessageEvent.RETURN_MESSAGE, Ura(GP_POST.ura), Bsn(person.bsn))
    answer = await accept(office.means, call, message, body, certificate="0A")
    if not isinstance(answer, Accepted):
        raise RuntimeError(f"not accepted: {answer}")
