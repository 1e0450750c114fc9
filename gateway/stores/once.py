"""What may be used only once, or only in one place? Token ids, and the attestations of verbal consent.

Each question and its answer are one statement in the serial history, so two workers cannot both be the first. Knows no
token and no clock: the caller brings the time.
"""

from __future__ import annotations

from datetime import datetime

from gateway.rules.exchange import PatientKey
from gateway.rules.identifiers import Ura
from gateway.stores.schema import instant
from gateway.stores.transaction import Transaction


def bind(tx: Transaction, attestation_id: str, patient: PatientKey, ura: Ura, contact_id: str, at: datetime) -> bool:
    """Bind an attestation to patient, organisation and contact at its first use (interface.md section 3).

    True at the first use, and again for exactly the same three; False when it is bound elsewhere.
    """
    tx.run(
        "INSERT INTO attestation VALUES (?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING",
        attestation_id,
        patient,
        ura.digits,
        contact_id,
        instant(at),
    )
    return not bound_elsewhere(tx, attestation_id, patient, ura, contact_id)


def bound_elsewhere(tx: Transaction, attestation_id: str, patient: PatientKey, ura: Ura, contact_id: str) -> bool:
    """Whether this attestation was used before for another patient, organisation or contact. Changes nothing."""
    row = tx.row("SELECT patient, ura, contact FROM attestation WHERE id = ?", attestation_id)
    return row is not None and tuple(row) != (patient, ura.digits, contact_id)


def use_once(tx: Transaction, issuer: str, jti: str, expires_wall: datetime) -> bool:
    """True the first time an issuer's token id is seen, False ever after (until purged, when the token has expired)."""
    return (
        tx.run(
            "INSERT INTO used_token VALUES (?, ?, ?) ON CONFLICT (issuer, jti) DO NOTHING",
            issuer,
            jti,
            instant(expires_wall),
        )
        == 1
    )


def purge(tx: Transaction, wall: datetime) -> int:
    """Forget the token ids whose tokens had expired before this wall time; returns how many."""
    return tx.run("DELETE FROM used_token WHERE expires < ?", instant(wall))
