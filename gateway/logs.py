"""How does the gateway write its logs? One JSON object a line: time, level, event and named values, nothing else.

Control characters cannot break a line, because JSON escapes them. Messages are events; values never hold content.
"""

from __future__ import annotations

import json
import logging
import sys
import traceback

_PLAIN = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}


class JsonLines(logging.Formatter):
    """A record as one line of JSON. Of an exception only its kind and the places it passed are told, never its text:
    a library's exception may quote what it was given."""

    def format(self, record: logging.LogRecord) -> str:
        told: dict[str, object] = {
            "at": self.formatTime(record, "%Y-%m-%dT%H:%M:%S%z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": _message(record),
        }
        values = {name: value for name, value in record.__dict__.items() if name not in _PLAIN}
        told = {**told, **values, **told}  # what a line always says, no value says otherwise
        if record.exc_info and record.exc_info[0] is not None:
            told["kind"] = record.exc_info[0].__name__
            told["where"] = [
                f"{frame.filename.rpartition('/')[2]}:{frame.lineno} {frame.name}"
                for frame in traceback.extract_tb(record.exc_info[2])
            ]
        return json.dumps(told, default=_text, skipkeys=True)


def _message(record: logging.LogRecord) -> str:
    """One that does not fit its values is written as it is: left to itself, logging would print it on many lines."""
    try:
        return record.getMessage()
    except Exception:
        return _text(record.msg)


def _text(value: object) -> str:
    try:
        return str(value)
    except Exception:
        return f"a {type(value).__name__} without a text"


def json_log() -> logging.Handler:
    """A handler that writes JSON lines to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    return handler
