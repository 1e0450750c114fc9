"""How does an organisation's system hand in a message, and learn what became of it?

It knows `$process-message` and Task of interface.md section 4 as a sender uses them. It may not know what the exchange
does with a message. A message's bytes are sent as they are: sent again, they are the same message.
"""

from __future__ import annotations

from source_sim.messages import patient_of
from source_sim.requesters import Claims, Persona, Reply, System

own_gp = Persona("Z3", "900000106", "Test Huisarts", "01.015", "consultation")
"""Who refers: the patient's own GP, at a consultation."""


async def send(system: System, message: bytes, claims: Claims) -> Reply:
    """Hand in a message Bundle (202 and a Task when it is accepted) with a token for these claims.

    The token's `patient` is the message's unless `claims` names another. Raises TokenRefused, ValueError for a message
    that names no patient, httpx.TransportError.
    """
    token = await system.token({"patient": patient_of(message), **claims})
    return await system.call("POST", "/$process-message", token=token, resource=message)


def task_of(reply: Reply) -> str:
    """The id of the Task that an accepted message got; empty for any other answer."""
    return str(reply.headers.get("Location", "")).rpartition("/Task/")[2] if reply.status == 202 else ""


async def read_task(system: System, id: str) -> Reply:
    """What became of a message, with a token by which the system acts by itself. Raises TokenRefused."""
    return await system.call("GET", f"/Task/{id}", token=await system.token({"sub": system.application}))
