"""Which messages lie in the folder `samples`? One of each kind, about a test person, to read and to send.

It knows the composer. It may not know a clock: the samples stay the same. `python -m source_sim.examples` writes them.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Final

import msgspec

from source_sim import cases, country, messages, population, requesters, senders
from source_sim.cases import Case
from source_sim.country import Participant
from source_sim.messages import Occasion
from source_sim.requesters import Persona

PLACE: Final = Path(__file__).parent / "samples"
_NIGHT: Final = datetime.fromisoformat("2026-11-21T21:40:00+01:00")
_PERSON: Final = population.person("999900006", _NIGHT.date())


def compose() -> Mapping[str, bytes]:
    """Every sample by file name, laid out for reading; always the same bytes."""
    visit = _occasion(1, country.GP_POST, requesters.gp_post, cases.CYSTITIS)
    emergency = _occasion(2, country.HOSPITAL, requesters.emergency_department, cases.BROKEN_WRIST)
    planned = _occasion(3, country.GP, senders.own_gp, cases.CHEST_PAIN)
    made = {
        "return-message.json": messages.return_message(visit),
        "emergency-report.json": messages.emergency_report(emergency),
        "referral.json": messages.referral(planned, country.HOSPITAL),
    }
    return {name: msgspec.json.format(body, indent=2) + b"\n" for name, body in made.items()}


def _occasion(number: int, organisation: Participant, author: Persona, case: Case) -> Occasion:
    return Occasion(f"3d9e1f3a-5a51-4d0c-8a57-0a6a3f6c2b0{number}", _NIGHT, _PERSON, organisation, author, case)


def write(place: Path = PLACE) -> None:
    """Write every sample into the folder `place`. Raises OSError."""
    for name, body in compose().items():
        (place / name).write_bytes(body)


if __name__ == "__main__":
    write()
