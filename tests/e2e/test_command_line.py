"""Does every command explain itself, and say in one line what it cannot do? The program's own entry point, and some
real processes to show that the entry point is what is installed.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from program import Run
from running_country import Country

from source_sim.country import GP

pytestmark = pytest.mark.xdist_group("country")


COMMANDS = (
    (), ("demo",), ("serve",), ("sources",), ("join",), ("ask",), ("doctor",), ("pki",), ("pki", "init"),
    ("pki", "issue"), ("pki", "revoke"), ("pki", "show"), ("regime",), ("regime", "show"), ("regime", "set"),
    ("consent",), ("consent", "grant"), ("consent", "refuse"), ("consent", "withdraw"), ("consent", "show"),
    ("journal",), ("journal", "tail"), ("journal", "show"),
)  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS, ids=lambda words: "-".join(words) or "program")
def test_every_command_explains_itself(run: Run, command: tuple[str, ...]) -> None:
    told = run(*command, "--help")
    assert (told.code, told.err) == (0, "")
    assert "Usage:" in told.out
    assert len(told.out.splitlines()) > 5


# --- what cannot be done ---------------------------------------------------------------------------------------------

R = "RUNNING"
"""Stands for `--running` and the running country's file."""
B = "--bsn=PATIENT"
WRONG: dict[str, tuple[str, ...]] = {
    "ask-without-simulation": ("ask", "gp-summary", B),
    "ask-unknown-question": ("ask", "horoscope", B, R),
    "ask-bsn-too-short": ("ask", "gp-summary", "--bsn", "12", R),
    "ask-bsn-fails-the-eleven-test": ("ask", "gp-summary", "--bsn", "999940003", R),
    "ask-as-nobody": ("ask", "gp-summary", B, "--as", "mayor", R),
    "ask-verbal-consent-of-a-neighbour": ("ask", "gp-summary", B, "--verbal-consent", "neighbour", R),
    "running-is-not-there": ("doctor", "--running", "nowhere.json"),
    "running-is-not-json": ("doctor", "--running", "broken.json"),
    "doctor-without-simulation": ("doctor",),
    "regime-unknown": ("regime", "set", "WINTER", "on", "--reason", "x", R),
    "regime-regular": ("regime", "set", "REGULAR", "off", "--reason", "x", R),
    "regime-neither-on-nor-off": ("regime", "set", "CRISIS_OPT_IN", "maybe", "--reason", "x", R),
    "regime-until-nonsense": ("regime", "set", "CRISIS_OPT_IN", "on", "--reason", "x", "--until", "soon", R),
    "regime-until-without-zone": ("regime", "set", "CRISIS_OPT_IN", "on", "--reason", "x", "--until", "2030-01-01", R),
    "consent-bsn-wrong": ("consent", "grant", "--bsn", "999940003", R),
    "consent-custodian-wrong": ("consent", "refuse", B, "--custodian", "5", R),
    "consent-category-wrong": ("consent", "grant", B, "--category", "horoscope", R),
    "consent-group-wrong": ("consent", "grant", B, "--group", "insurers", R),
    "consent-by-a-neighbour": ("consent", "grant", B, "--by", "neighbour", R),
    "consent-birth-date-wrong": ("consent", "grant", B, "--birth-date", "yesterday", R),
    "consent-not-entitled": ("consent", "grant", B, "--by", "parent", R),
    "journal-show-nothing-named": ("journal", "show", R),
    "journal-show-both-named": ("journal", "show", "some-id", B, R),
    "journal-unknown-event": ("journal", "tail", "--event", "party", R),
    "pki-revoke-nothing-named": ("pki", "revoke", R),
    "pki-revoke-unknown-serial": ("pki", "revoke", "--serial", "ABCDEF", R),
    "pki-revoke-serial-nonsense": ("pki", "revoke", "--serial", "XYZ", R),
    "pki-revoke-no-such-file": ("pki", "revoke", "nothing.pem", R),
    "pki-show-no-such-file": ("pki", "show", "nothing.pem"),
    "pki-show-not-a-certificate": ("pki", "show", "broken.json"),
    "pki-issue-without-authority": ("pki", "issue", "--ura", "90000001", "--app-id", "1", "--name", "x", "--out", "o"),
    "join-type-unknown": (
        "join", "--ura", "90000999", "--type", "Q9", "--name", "x", "--app-id", "9", "--out", "o", R,
    ),
    "join-ura-wrong": ("join", "--ura", "9", "--type", "N6", "--name", "x", "--app-id", "9", "--out", "o", R),
    "join-app-id-wrong": ("join", "--ura", "90000999", "--type", "N6", "--name", "x", "--app-id", "a", "--out", "o", R),
    "join-name-empty": ("join", "--ura", "90000999", "--type", "N6", "--name", " ", "--app-id", "9", "--out", "o", R),
    "join-endpoint-plain": (
        "join", "--ura", "90000999", "--type", "Z3", "--name", "x", "--app-id", "9", "--out", "o",
        "--endpoint", "http://127.0.0.1/fhir", R,
    ),
    "join-department-unknown": (
        "join", "--ura", "90000999", "--type", "V4", "--name", "x", "--app-id", "9", "--out", "o",
        "--department", "CANTEEN", R,
    ),
    "join-application-of-another": (
        "join", "--ura", "90000999", "--type", "N6", "--name", "x", "--app-id", GP.application, "--out", "o", R,
    ),
    "join-organisation-of-another-type": (
        "join", "--ura", GP.ura, "--type", "N6", "--name", "x", "--app-id", "9", "--out", "o", R,
    ),
    "serve-no-workers": ("serve", "--workers", "0"),
    "serve-without-certificates": ("serve",),
    "sources-nothing-named": ("sources",),
    "sources-config-not-there": ("sources", "--config", "nothing.json"),
    "sources-config-nonsense": ("sources", "--config", "broken.json"),
    "sources-records-not-there": ("sources", "--records", "nowhere"),
    "demo-records-not-there": ("demo", "--once", "--records", "nowhere"),
}  # fmt: skip

MISTYPED: dict[str, tuple[str, ...]] = {
    "unknown-command": ("horoscope",),
    "unknown-subcommand": ("pki", "horoscope"),
    "unknown-option": ("doctor", "--horoscope"),
    "ask-without-question": ("ask", B, R),
    "ask-without-bsn": ("ask", "gp-summary", R),
    "ask-deadline-nonsense": ("ask", "gp-summary", B, "--deadline", "soon", R),
    "regime-without-reason": ("regime", "set", "CRISIS_OPT_IN", "on", R),
    "join-nothing-named": ("join",),
    "journal-lines-nonsense": ("journal", "tail", "--lines", "many", R),
    "serve-workers-nonsense": ("serve", "--workers", "many"),
}
"""What the parser itself turns down."""


def in_words(country: Country, words: tuple[str, ...], bsn: str, folder: Path) -> list[str]:
    (folder / "broken.json").write_text("{", "utf-8")
    filled = [["--running", country.running] if word == R else [word.replace("PATIENT", bsn)] for word in words]
    return [word for group in filled for word in group]


@pytest.mark.parametrize("name", [*WRONG, *MISTYPED])
def test_what_cannot_be_done_ends_in_one_line_and_exit_code_2(
    country: Country, run: Run, tmp_path: Path, name: str
) -> None:
    bsn = country.everyone[-1]
    done = run(*in_words(country, {**WRONG, **MISTYPED}[name], bsn, tmp_path))
    assert done.code == 2
    assert len(done.err.strip().splitlines()) == 1, done.err
    assert done.err.startswith("switchpoint: ")
    assert "Traceback" not in done.err + done.out
    assert bsn not in done.err + done.out
    assert "999940003" not in done.err + done.out


@pytest.mark.parametrize("name", ["ask-bsn-too-short", "running-is-not-there", "pki-revoke-no-such-file"])
def test_the_installed_program_says_the_same(country: Country, tmp_path: Path, name: str) -> None:
    program = Path(sys.executable).with_name("switchpoint")
    words = in_words(country, WRONG[name], country.everyone[-1], tmp_path)
    done = subprocess.run([str(program), *words], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.strip().splitlines()) == 1
