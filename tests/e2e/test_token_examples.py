"""Do the README's token requests work as they stand there, in every language that this machine has?"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from program import Run
from running_country import Country

README = Path(__file__).parent.parent.parent / "README.md"
BLOCKS = re.compile(r"```(\w+)\n(.*?)```", re.DOTALL)

pytestmark = pytest.mark.xdist_group("country")


def example(language: str) -> str:
    """The first block in this language that asks for a token."""
    text = README.read_text("utf-8")
    return next(code for name, code in BLOCKS.findall(text) if name == language and "jwt-bearer" in code)


@pytest.mark.parametrize(
    ("language", "program", "file"),
    [
        ("python", sys.executable, "example.py"),
        ("sh", "bash", "example.sh"),
        ("javascript", "node", "example.mjs"),
        ("java", "java", "Token.java"),
    ],
    ids=["python", "curl", "javascript", "java"],
)
def test_an_example_gets_its_token(
    country: Country, run: Run, tmp_path: Path, language: str, program: str, file: str
) -> None:
    if shutil.which(program) is None:
        pytest.skip(f"no {program} here")
    ura, application = {"python": ("90000921", "400921"), "sh": ("90000922", "400922"),
                        "javascript": ("90000923", "400923"), "java": ("90000924", "400924")}[language]  # fmt: skip
    joined = run("join", "--ura", ura, "--type", "N6", "--name", "Test Post", "--app-id", application,
                 "--out", "my-post", "--running", country.running)  # fmt: skip
    assert joined.code == 0, joined
    (tmp_path / file).write_text(example(language), "utf-8")
    done = subprocess.run([program, file], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    got = done.stdout
    assert got.startswith("200 ") if language == "python" else re.search(r"eyJ[\w-]+\.[\w-]+\.[\w-]+", got), got
