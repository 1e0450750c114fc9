"""Does who waits for the disk wait just long enough, whether the kernel tells or a thread looks?"""

from __future__ import annotations

import asyncio
import errno
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gateway.stores.flush import Flusher, Kernel
from gateway.stores.ledger import LedgerUnavailable

Done = Callable[[int], None]


class File:
    """A file whose disk is watched."""

    def __init__(self, path: Path) -> None:
        self.open: int | None = os.open(path, os.O_RDWR | os.O_CREAT)
        self.flushed = 0
        self.errors: list[int | None] = []

    def flush(self) -> None:
        self.flushed += 1

    def descriptor(self) -> int | None:
        return self.open

    def failed(self, error: OSError) -> LedgerUnavailable:
        self.errors.append(error.errno)
        return LedgerUnavailable(f"{error.strerror}")


class Slow:
    """A kernel that is done when the test says so."""

    def __init__(self, loop: asyncio.AbstractEventLoop, done: Done) -> None:
        self.loop, self.end = loop, done
        self.begun: list[int] = []

    def begin(self, descriptor: int) -> None:
        self.begun.append(descriptor)

    def close(self) -> None:
        pass


class Told:
    """Keeps the kernel it opens, for the test to steer."""

    def __init__(self) -> None:
        self.kernel: Slow | None = None

    def __call__(self, loop: asyncio.AbstractEventLoop, done: Done) -> Slow:
        self.kernel = Slow(loop, done)
        return self.kernel


@pytest.fixture
def file(tmp_path: Path) -> Iterator[File]:
    made = File(tmp_path / "log")
    yield made
    if made.open is not None:
        os.close(made.open)


async def turns(count: int = 3) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


def told(file: File) -> tuple[Flusher, Told]:
    opening = Told()
    return Flusher(file, opening), opening  # type: ignore[arg-type]


@pytest.mark.skipif(sys.platform != "linux", reason="Linux AIO")
async def test_the_real_kernel_tells_and_no_thread_waits(tmp_path: Path, file: File) -> None:
    assert file.open is not None
    flusher, before = Flusher(file), threading.active_count()
    for number in range(20):
        os.pwrite(file.open, b"x" * 9000, number * 9000)
        await asyncio.gather(*(flusher.flushed(2.0) for _ in range(number)))
    assert (file.flushed, file.errors, threading.active_count()) == (0, [], before)
    flusher.close(1.0)


@pytest.mark.skipif(sys.platform != "linux", reason="Linux AIO")
async def test_what_the_kernel_refuses_is_told_with_its_number(file: File) -> None:
    reading, writing = os.pipe()
    file.open, kept = reading, file.open
    flusher = Flusher(file)
    with pytest.raises(LedgerUnavailable):
        await flusher.flushed(2.0)
    assert file.errors == [errno.EINVAL], "a pipe cannot be synchronised"
    file.open = kept
    await flusher.flushed(2.0)
    os.close(reading)
    os.close(writing)
    flusher.close(1.0)


async def test_nobody_is_told_before_the_disk_is_done_nor_by_a_wait_that_began_before(file: File) -> None:
    flusher, opening = told(file)
    first = [asyncio.ensure_future(flusher.flushed(5.0)) for _ in range(3)]
    await turns()
    assert opening.kernel is not None
    late = asyncio.ensure_future(flusher.flushed(5.0))
    await turns()
    assert len(opening.kernel.begun) == 1, "who asks in one turn shares the wait"
    opening.kernel.end(0)
    await turns()
    assert [one.done() for one in first] == [True] * 3
    assert not late.done(), "what it wrote may have come after that wait began"
    assert len(opening.kernel.begun) == 2
    opening.kernel.end(0)
    await late


async def test_a_write_that_failed_is_told_to_all_who_waited_and_the_next_is_tried(file: File) -> None:
    flusher, opening = told(file)
    waiting = [asyncio.ensure_future(flusher.flushed(5.0)) for _ in range(3)]
    await turns()
    assert opening.kernel is not None
    opening.kernel.end(-errno.EIO)
    answers = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(one) for one in answers] == [LedgerUnavailable] * 3
    assert file.errors == [errno.EIO], "once, so that what is in doubt is let go of once"
    after = asyncio.ensure_future(flusher.flushed(5.0))
    await turns()
    opening.kernel.end(0)
    await after


async def test_a_disk_that_hangs_costs_patience_each(file: File) -> None:
    flusher, opening = told(file)
    began = time.monotonic()
    answers = await asyncio.gather(flusher.flushed(0.1), flusher.flushed(0.2), return_exceptions=True)
    assert [str(one) for one in answers] == ["no answer within patience"] * 2
    assert 0.15 < time.monotonic() - began < 1.0
    assert opening.kernel is not None
    opening.kernel.end(0)
    after = asyncio.ensure_future(flusher.flushed(5.0))
    await turns()
    opening.kernel.end(0)
    await after


@pytest.mark.parametrize("refused", [OSError("no such kernel"), None])
async def test_without_such_a_kernel_or_such_a_file_a_thread_waits(file: File, refused: OSError | None) -> None:
    def none_here(loop: asyncio.AbstractEventLoop, done: Done) -> Kernel:
        assert refused is not None, "a disk that is not one file is not the kernel's"
        raise refused

    if refused is None:
        file.open, kept = None, file.open
    flusher = Flusher(file, none_here)
    await asyncio.gather(*(flusher.flushed(2.0) for _ in range(10)))
    assert 1 <= file.flushed <= 3
    flusher.close(1.0)
    if refused is None:
        file.open = kept


async def test_who_waits_when_it_closes_is_served_by_the_thread(file: File) -> None:
    flusher, opening = told(file)
    waiting = [asyncio.ensure_future(flusher.flushed(5.0)) for _ in range(3)]
    await turns()
    assert opening.kernel is not None
    flusher.close(2.0)
    await asyncio.gather(*waiting)
    assert file.flushed >= 1


def test_another_loop_gets_a_kernel_of_its_own_once_the_first_is_closed(file: File) -> None:
    flusher = Flusher(file)
    for _ in range(2):
        asyncio.run(flusher.flushed(2.0))
    assert file.flushed == 0 or sys.platform != "linux"
    flusher.close(1.0)


async def test_a_second_loop_at_the_same_time_waits_by_thread(file: File) -> None:
    flusher, opening = told(file)
    here = asyncio.ensure_future(flusher.flushed(5.0))
    await turns()
    await asyncio.to_thread(asyncio.run, flusher.flushed(2.0))
    assert file.flushed == 1
    assert opening.kernel is not None
    opening.kernel.end(0)
    await here
    flusher.close(1.0)
