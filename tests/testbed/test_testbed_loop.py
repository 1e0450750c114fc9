"""Does virtual time behave as time, and a connection in memory as a connection?"""

from __future__ import annotations

import asyncio
import select
import socket
import struct
import time

import pytest

from source_sim.testbed.loop import LeapingLoop
from source_sim.testbed.memory import join
from source_sim.testbed.running import InProcess


@pytest.fixture
def running():
    made = InProcess()
    yield made
    made.close()


def test_an_hour_passes_in_no_time_and_timers_keep_their_order(running: InProcess) -> None:
    order: list[str] = []

    async def sleeper(name: str, seconds: float) -> None:
        await asyncio.sleep(seconds)
        order.append(name)

    async def all_of_them() -> None:
        await asyncio.gather(sleeper("hour", 3600), sleeper("minute", 60), sleeper("second", 1))

    started = time.monotonic()
    running.run(all_of_them())
    assert time.monotonic() - started < 1
    assert order == ["second", "minute", "hour"]
    assert 3600 <= running.time() < 3600.001


def test_between_two_calls_time_stands_still(running: InProcess) -> None:
    running.run(asyncio.sleep(1))
    before = running.time()
    time.sleep(0.02)
    assert running.time() == before


def test_a_timer_that_looks_back_from_its_moment_sees_it_come() -> None:
    async def looks_back(start: float) -> bool:
        await asyncio.sleep(start)
        loop, come = asyncio.get_running_loop(), asyncio.Event()
        begun = loop.time()
        loop.call_at(begun + 60.0, come.set)
        await come.wait()
        return loop.time() - 60.0 >= begun

    for number in range(40):
        loop = LeapingLoop()
        assert loop.run_until_complete(looks_back(number / 7)), f"started at {number / 7}"
        loop.close()


def test_a_thread_is_waited_for_in_real_time(running: InProcess) -> None:
    async def work() -> str:
        async with asyncio.timeout(5):
            return await asyncio.to_thread(lambda: time.sleep(0.05) or "done")

    assert running.run(work()) == "done"
    assert 0.05 <= running.time() < 5


def test_who_is_outside_makes_time_real_and_leaving_makes_it_leap_again() -> None:
    loop = LeapingLoop()

    async def work() -> float:
        started = time.monotonic()
        with loop.outside():
            await asyncio.sleep(0.05)
        await asyncio.sleep(1000)
        return time.monotonic() - started

    took = loop.run_until_complete(work())
    loop.close()
    assert 0.05 <= took < 1


async def test_an_asynchronous_test_may_use_a_country_too(running: InProcess) -> None:
    async def work() -> str:
        await asyncio.sleep(10)
        return "done"

    assert running.run(work()) == "done"
    with pytest.raises(ZeroDivisionError):
        running.run(failing())


async def failing() -> None:
    raise ZeroDivisionError


# --- a connection ----------------------------------------------------------------------------------------------------


class Noted(asyncio.Protocol):
    """Writes down what happens to it."""

    def __init__(self) -> None:
        self.came: list[object] = []
        self.stalled = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.came.append(data)

    def eof_received(self) -> None:
        self.came.append("end")

    def connection_lost(self, exc: Exception | None) -> None:
        self.came.append(type(exc).__name__ if exc else "lost")

    def pause_writing(self) -> None:
        self.stalled += 1

    def resume_writing(self) -> None:
        self.stalled -= 1


async def paired() -> tuple[Noted, Noted]:
    near, far = Noted(), Noted()
    join(asyncio.get_running_loop(), (near, b"near's"), (far, b"far's"))
    return near, far


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_bytes_arrive_later_in_order_and_then_the_end() -> None:
    near, far = await paired()
    near.transport.write(b"one")
    near.transport.write(b"two")
    assert far.came == []
    near.transport.close()
    await settle()
    assert (far.came, near.came) == ([b"one", b"two", "end", "lost"], ["lost"])


async def test_each_end_shows_the_others_certificate() -> None:
    near, far = await paired()
    shown = [end.transport.get_extra_info("ssl_object").getpeercert(binary_form=True) for end in (near, far)]
    assert shown == [b"far's", b"near's"]


async def test_a_linger_time_of_zero_makes_a_cut_a_reset() -> None:
    near, far = await paired()
    far.transport.write(b"never read")
    far.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    far.transport.abort()
    await settle()
    assert (near.came, far.came) == (["ConnectionResetError"], ["lost"])


async def test_a_plain_cut_is_an_end() -> None:
    near, far = await paired()
    far.transport.abort()
    await settle()
    assert near.came == ["end", "lost"]


async def test_its_plug_is_readable_exactly_when_something_lies_unread() -> None:
    near, far = await paired()
    plug = near.transport.get_extra_info("socket")

    def readable() -> bool:
        looking = select.poll()
        looking.register(plug, select.POLLIN)
        return bool(looking.poll(0))

    assert not readable()
    far.transport.write(b"!")
    assert readable()
    await settle()
    assert not readable()
    far.transport.close()
    assert readable()
    await settle()


async def test_who_does_not_read_stalls_the_writer_until_he_does() -> None:
    near, far = await paired()
    far.transport.pause_reading()
    near.transport.write(bytes(300_000))
    await settle()
    assert (near.stalled, far.came) == (1, [])
    far.transport.resume_reading()
    await settle()
    assert (near.stalled, sum(map(len, far.came))) == (0, 300_000)
    near.transport.close()
    await settle()
