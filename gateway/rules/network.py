"""Who takes part, and what must all workers agree on? The words of the register and of the reference index's entries.

Frozen values only. Source: domain.md sections 1, 3 and 4.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from gateway.rules.exchange import Category, Regime
from gateway.rules.identifiers import ApplicationId, Bsn, Ura, UziNumber


@dataclass(frozen=True, slots=True)
class Registration:
    """An index entry as a custodian hands it in. `custodian` and `system` are what the body names."""

    patient: Bsn
    custodian: Ura
    system: ApplicationId
    category: Category
    latent: bool
    date: str


@dataclass(frozen=True, slots=True)
class Organisation:
    """A participant: what the register says, which a token can narrow and never widen."""

    ura: Ura
    organisation_type: str
    name: str
    departments: frozenset[str] = frozenset()
    agb: str = ""


@dataclass(frozen=True, slots=True)
class System:
    """A registered system of an organisation; `endpoint` (FHIR base) None: it can ask but not be asked."""

    application: ApplicationId
    ura: Ura
    uzi: UziNumber
    endpoint: str | None = None


@dataclass(frozen=True, slots=True)
class RegimeSwitch:
    """Somebody switched a regime at `at`, with a reason; `until` ends an `on` by itself."""

    regime: Regime
    on: bool
    at: datetime
    by: str
    reason: str
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Network:
    """Everything all workers must agree on, as of `version`: participants, revocations, regimes and the clock.

    `revoked` holds certificate serial numbers (upper-case hex, no leading zeros) the exchange itself has revoked,
    beside the certificate authority's list. `clock_offset` is domain time minus wall time, at `clock_anchor` (wall
    time) where `clock_speed`, the domain seconds in a second of wall time, is not 1; 0: domain time stands still.
    """

    version: int
    organisations: dict[Ura, Organisation]
    systems: dict[ApplicationId, System]
    revoked: frozenset[str]
    switches: tuple[RegimeSwitch, ...]
    clock_offset: timedelta
    clock_anchor: datetime = datetime(1970, 1, 1, tzinfo=UTC)
    clock_speed: float = 1.0

    def domain(self, wall: datetime) -> datetime:
        """Domain time at this moment of wall time (domain.md section 4, "Two clocks")."""
        if self.clock_speed == 1.0:
            return wall + self.clock_offset
        return self.clock_anchor + self.clock_offset + (wall - self.clock_anchor) * self.clock_speed

    @property
    def clock_moved(self) -> bool:
        """Whether a simulation's clock was ever set or runs at a speed of its own."""
        return bool(self.clock_offset) or self.clock_speed != 1.0
