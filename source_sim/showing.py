"""Which certificate does a source show while it is to fail by its certificate? One made on the spot by its authority.

It knows the throw-away authority and where its keys lie: beside the `ca.pem` that the system trusts. It may not know
sockets, nor why the certificate is to be wrong.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from source_sim import pki
from source_sim.faults import FaultName, UnknownFault
from source_sim.pki import Flaw

_FLAWS: Final[Mapping[FaultName, Flaw | None]] = {
    FaultName.EXPIRED_CERTIFICATE: Flaw.EXPIRED,
    FaultName.REVOKED_CERTIFICATE: Flaw.REVOKED,
    FaultName.WRONG_CERTIFICATE: None,
    FaultName.FOREIGN_CERTIFICATE: Flaw.FOREIGN_CA,
}


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose certificate it would be, and for which hosts or addresses."""

    ura: str
    application: str
    name: str
    hosts: Sequence[str]


def flawed(fault: FaultName, owner: Owner, *, authority: Path, out: Path, now: datetime) -> tuple[Path, Path]:
    """Make the certificate this fault shows, in `out`; paths of chain and key. `authority`: the folder of the CA.

    Raises UnknownFault where the authority's keys are not there: only who issues certificates can issue bad ones.
    """
    try:
        issuing = pki.load(authority)
    except (OSError, ValueError) as problem:
        raise UnknownFault(f"{fault} needs the authority's own folder, which is not here") from problem
    ura = another(owner.ura) if fault is FaultName.WRONG_CERTIFICATE else owner.ura
    issuing.issue(
        ura, owner.application, owner.name, now=now, dns=owner.hosts, out=out, stem=fault.value, flaw=_FLAWS[fault]
    )
    return out / f"{fault}.pem", out / f"{fault}.key"


def another(ura: str) -> str:
    """A URA that is not this one."""
    return f"{int(ura) ^ 1:08}"
