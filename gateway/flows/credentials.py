"""Is this the password, and is this the code of the moment? Argon2id (RFC 9106) and one-time codes (RFC 6238).

Knows no account and no clock. Both questions take the same time whether the answer is yes, no, or "nobody".
"""

from __future__ import annotations

import base64
import hmac
import secrets
from datetime import datetime

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from pyotp import TOTP

STEP_SECONDS = 30
_DIGITS = 6
_EITHER_SIDE = 1
"""How many steps a phone's clock may be off, before and after."""
_LONGEST = 1024
_ISSUER = "switchpoint"

_HASHER = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)

NOBODY = "$argon2id$v=19$m=19456,t=2,p=1$3OE63kc2RUZ9A1hjkjRkFw$ZJUmsY75RzNlHhn77CZJBLbBSjSGbZUQ+EsnRBwuIZU"
"""The hash of a password nobody knows: looked at when there is no account, so that this takes as long."""


def new_password() -> str:
    """A random password of 100 bits: twenty letters and digits, in groups of five."""
    text = base64.b32encode(secrets.token_bytes(15)).decode().lower()[:20]
    return "-".join(text[at : at + 5] for at in range(0, 20, 5))


def hash_password(password: str) -> str:
    """The encoded hash to keep; takes some twenty milliseconds and 19 MiB on purpose. Raises ValueError for a password
    of fewer than 12 or more than 1,024 characters."""
    if not 12 <= len(password) <= _LONGEST:
        raise ValueError("a password has 12 to 1024 characters")
    return _HASHER.hash(password)


def is_password(encoded: str, password: str) -> bool:
    """Whether this is the password; as slow as `hash_password`."""
    try:
        return _HASHER.verify(encoded, password[:_LONGEST])
    except (VerificationError, InvalidHashError):
        return False


def step_of(secret: bytes, code: str, at: datetime) -> int | None:
    """Which time step's code this is, at wall time `at` or one step beside it; None for no such code. A step is to be
    used once: the caller remembers the last one."""
    now, made = int(at.timestamp()) // STEP_SECONDS, _codes(secret)
    given = "".join(code.split()).encode()
    steps = range(now - _EITHER_SIDE, now + _EITHER_SIDE + 1)
    matching = [step for step in steps if hmac.compare_digest(made.generate_otp(step).encode(), given)]
    return matching[-1] if matching else None


def code_at(secret: bytes, at: datetime) -> str:
    """The code that an authenticator with this secret shows at wall time `at`."""
    return _codes(secret).generate_otp(int(at.timestamp()) // STEP_SECONDS)


def secret_text(secret: bytes) -> str:
    """The secret as an authenticator takes it (base32)."""
    return base64.b32encode(secret).decode()


def secret_uri(secret: bytes, name: str) -> str:
    """The secret as an `otpauth` address, which authenticators read from a QR code."""
    return _codes(secret).provisioning_uri(name=name, issuer_name=_ISSUER)


def _codes(secret: bytes) -> TOTP:
    return TOTP(secret_text(secret), digits=_DIGITS, interval=STEP_SECONDS)
