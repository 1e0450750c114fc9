"""What came of one run of the `switchpoint` program?"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from gateway.cli.program import main


@dataclass
class Done:
    """Exit code and both outputs."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Run = Callable[..., Done]


def runner(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """Runs the program's entry point in this process; its arguments are the words typed."""

    def go(*words: str) -> Done:
        monkeypatch.setattr(sys, "argv", ["switchpoint", *words])
        capfd.readouterr()
        code = _left_with()
        said = capfd.readouterr()
        return Done(code, said.out, said.err)

    return go


def _left_with() -> int:
    try:
        main()
    except SystemExit as left:
        return left.code if isinstance(left.code, int) else int(left.code is not None)
    return 0
