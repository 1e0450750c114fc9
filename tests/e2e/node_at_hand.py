"""Where is Node, for what only it can run? Two validators and one foreign client; nothing of the project needs it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

NODE = Path(__file__).parent.parent / "node"


def node() -> str:
    """The program, where everything is installed (`npm ci` in tests/node). Skips without; the strict run insists."""
    found = shutil.which("node")
    if found is None or not (NODE / "node_modules").is_dir():
        told = "no node, or nothing installed in tests/node (npm ci): what it would have looked at was NOT looked at"
        pytest.fail(told) if os.environ.get("SWITCHPOINT_TEST_STRICT") else pytest.skip(told)
    return found
