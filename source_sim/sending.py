"""How does a reply leave, well or badly? The way back of one request, and the faults that spoil the sending itself.

It knows ASGI and the connection under it. It may not know what a reply says, nor which fault is switched on.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any, Final

from source_sim.faults import FOREVER, Fault, FaultName, Reply

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

_DRIP: Final = 0.05


@dataclass(frozen=True, slots=True)
class Wire:
    """One request's way back. `transport` is the connection, None in process."""

    receive: Receive
    send: Send
    transport: asyncio.Transport | None = None

    async def start(self, reply: Reply) -> None:
        length = str(len(reply.body)).encode()
        headers = [(b"content-type", reply.media), (b"content-length", length), *reply.headers]
        await self.send({"type": "http.response.start", "status": reply.status, "headers": headers})

    async def part(self, body: bytes, *, more: bool) -> None:
        await self.send({"type": "http.response.body", "body": body, "more_body": more})

    async def left_within(self, seconds: float) -> bool:
        """Wait; True as soon as the other side is gone. The request's body must have been read."""
        try:
            async with asyncio.timeout(seconds):
                while (await self.receive())["type"] != "http.disconnect":
                    pass
        except TimeoutError:
            return False
        return True

    def reset(self) -> None:
        """Raises ConnectionResetError in process, where there is no connection to reset."""
        if self.transport is None:
            raise ConnectionResetError("the source hung up")
        connection = self.transport.get_extra_info("socket")
        # a linger time of zero turns the close into a reset
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()


async def plainly(reply: Reply, wire: Wire) -> None:
    """Send a reply as it should be sent."""
    await wire.start(reply)
    await wire.part(reply.body, more=False)


async def _slow(reply: Reply, wire: Wire, seconds: float) -> None:
    if not await wire.left_within(seconds):
        await plainly(reply, wire)


async def _reset(reply: Reply, wire: Wire, seconds: float) -> None:
    await wire.start(reply)
    await wire.part(reply.body[: len(reply.body) // 2], more=True)
    # let the first half leave before the connection goes
    await asyncio.sleep(0.05)
    wire.reset()
    await asyncio.sleep(0)


async def _swallow(reply: Reply, wire: Wire, seconds: float) -> None:
    if not await wire.left_within(seconds or FOREVER):
        await _lose(reply, wire, seconds)


async def _lose(reply: Reply, wire: Wire, seconds: float) -> None:
    wire.reset()
    await asyncio.sleep(0)


async def _drip(reply: Reply, wire: Wire, seconds: float) -> None:
    await wire.start(reply)
    for place in range(len(reply.body)):
        await wire.part(reply.body[place : place + 1], more=True)
        if await wire.left_within(seconds or _DRIP):
            return
    await wire.part(b"", more=False)


async def _stall(reply: Reply, wire: Wire, seconds: float) -> None:
    await wire.start(reply)
    if not await wire.left_within(seconds or FOREVER):
        await wire.part(reply.body, more=False)


SENT: Final[Mapping[FaultName, Callable[[Reply, Wire, float], Awaitable[None]]]] = {
    FaultName.SLOW: _slow,
    FaultName.BLACKHOLE: _swallow,
    FaultName.RESET: _reset,
    FaultName.LOST_REPLY: _lose,
    FaultName.DRIP: _drip,
    FaultName.STALL: _stall,
}
"""The pieces that send the true reply badly."""


async def deliver(reply: Reply, fault: Fault | None, wire: Wire) -> None:
    """Send the reply the way this fault sends."""
    piece = SENT.get(fault.name) if fault else None
    if fault and piece:
        await piece(reply, wire, fault.seconds)
    else:
        await plainly(reply, wire)
