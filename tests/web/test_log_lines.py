"""Does whatever somebody sends stay inside one line of the log? Every hostile text in every part of a record."""

from __future__ import annotations

import io
import json
import logging
from typing import Any

import pytest
from hostile import PAYLOADS

from gateway.logs import JsonLines, json_log

TEXTS = {**PAYLOADS, "half a pair of surrogates": "Test \ud83d Post", "bytes": repr(bytes(range(256)))}


class Odd:
    """Something whose text is not ours."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __str__(self) -> str:
        return self._text


class Broken:
    """Something that has no text."""

    def __str__(self) -> str:
        raise ValueError("no text")


def written(message: str, /, *args: Any, exc_info: Any = None, **values: Any) -> str:
    """What a logger with our formatter writes, the line's end included."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonLines())
    logger = logging.Logger("switchpoint.test")
    logger.addHandler(handler)
    logger.warning(message, *args, exc_info=exc_info, extra=values)
    return stream.getvalue()


def one_line(text: str) -> dict[str, Any]:
    """The one object a record is; fails on anything more, and on whatever a terminal would obey."""
    assert text.endswith("\n")
    assert text[:-1].isascii()
    assert text[:-1].isprintable()
    assert len(text.splitlines()) == 1
    read = json.loads(text)
    assert isinstance(read, dict)
    return read


@pytest.mark.parametrize("name", TEXTS)
def test_a_text_stays_inside_its_line_wherever_it_stands(name: str) -> None:
    text = TEXTS[name]
    assert one_line(written(text))["event"] == text
    assert one_line(written("came %s", text))["event"] == f"came {text}"
    told = one_line(written("came", who=text, all=[text, {text: text}], odd=Odd(text)))
    assert (told["who"], told["all"], told["odd"]) == (text, [text, {text: text}], text)
    assert told.keys() == {"at", "level", "logger", "event", "who", "all", "odd"}


@pytest.mark.parametrize("name", TEXTS)
def test_of_an_exception_only_its_kind_and_places_are_told(name: str) -> None:
    try:
        raise ValueError(TEXTS[name]) from KeyError(TEXTS[name])
    except ValueError as wrong:
        told = one_line(written("broken", exc_info=wrong))
    assert told["kind"] == "ValueError"
    assert set(told) == {"at", "level", "logger", "event", "kind", "where"}
    assert all(place.startswith("test_log_lines.py:") for place in told["where"])


def test_a_text_cannot_say_when_how_badly_or_by_whom() -> None:
    """A value named as a part of the line does not replace it."""
    told = one_line(written("came", at="1999", level="error", logger="evil", event="all-is-well"))
    assert (told["level"], told["logger"], told["event"]) == ("warning", "switchpoint.test", "came")
    assert told["at"] != "1999"


def test_a_value_without_a_text_costs_the_value_and_not_the_line() -> None:
    told = one_line(written("came", odd=Broken(), keyed={(1, 2): 3}))
    assert told["event"] == "came"


def test_a_message_that_does_not_fit_its_values_is_written_all_the_same() -> None:
    """`%s` in a text that was taken for a message."""
    assert one_line(written("100%s of %d", "x"))["level"] == "warning"


def test_the_handler_of_the_program_writes_so(capsys: pytest.CaptureFixture[str]) -> None:
    handler = json_log()
    handler.emit(logging.makeLogRecord({"msg": "came\n{}", "who": "x\ny", "name": "switchpoint\nevil"}))
    assert one_line(capsys.readouterr().err)["who"] == "x\ny"
