"""How is a sender of messages answered? Take one in, and say how it fares: `$process-message` and the Task.

202 leaves only after the flow has made the message durable. Any token of the sending organisation may follow a Task;
what is another's is not there (404).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from gateway.fhir import codes, headers, reading, tasks
from gateway.fhir.message import read_message
from gateway.flows import return_message
from gateway.flows.deciding import Refused
from gateway.flows.return_message import Accepted, Clash, UnknownRecipient
from gateway.rules.access import Bar
from gateway.rules.message import Message
from gateway.web.answer import Answering, Asked, call, same_patient
from gateway.web.problems import Problem, barred
from gateway.web.site import Site


async def process_message(site: Site, asked: Asked) -> Answering:
    """Take a message in: 202 and its Task; the same Task again for a repeat of the same bytes."""
    headers.json_body(asked.content_type)
    reading.plain(asked.query_string)
    message = read_message(asked.body)
    _check_own(asked, message)
    same_patient(asked, message.patient)
    certificate = asked.caller.certificate.serial
    came = await return_message.accept(site.means, call(site, asked), message, asked.body, certificate=certificate)
    if not isinstance(came, Accepted):
        raise _refusal(came)
    answering = Answering(202, _task(came), (("Location", f"{site.fhir_base}/Task/{came.id}"),))
    site.means.mail.reached("answer")
    return answering


async def read_task(site: Site, asked: Asked) -> Answering:
    """How a message of this organisation fares."""
    reading.plain(asked.query_string)
    held = await return_message.read_task(site.means, call(site, asked), asked.id or "")
    if held is None:
        raise Problem(404, "not-found", "There is no such message of this organisation.")
    return Answering(200, _task(Accepted(held, created=False)))


def _check_own(asked: Asked, message: Message) -> None:
    """A party speaks for itself. Raises Problem."""
    if message.sender != asked.caller.certificate.ura:
        sentence = "The message names another organisation as its sender."
        raise Problem(403, Bar.UNKNOWN_PARTY, sentence, patient=message.patient)


def _refusal(came: Refused | Clash | UnknownRecipient) -> Problem:
    """Why it was not taken in; the flow has written it down."""
    if isinstance(came, Refused):
        return barred(came.bar, came.sentence, journaled=True)
    if isinstance(came, Clash):
        status, problem = 409, codes.Problem.MESSAGE_ID_TAKEN
    else:
        status, problem = 422, codes.Problem.UNKNOWN_RECIPIENT
    return Problem(status, problem, codes.PROBLEM_SENTENCES[problem], journaled=True)


def _task(standing: Accepted) -> bytes:
    held = standing.held
    return tasks.task(held.envelope, state=held.state, reason=held.reason, attempts=held.attempts, changed=held.changed)


HANDLERS: dict[str, Callable[[Site, Asked], Awaitable[Answering]]] = {
    "process-message": process_message,
    "read-Task": read_task,
}
