"""How does a voucher look that nobody should believe? Each is a good voucher with one thing wrong.

It knows compact JWS. It may not know the exchange's key: what it changes, it cannot sign again.
"""

from __future__ import annotations

import base64
import json
from typing import Any, Final

from joserfc import jws
from joserfc.jwk import ECKey

GARBAGE: Final = "not-a-voucher"


def forged(token: str) -> str:
    """The same header (its kid included) and claims, signed by a key that is not the exchange's."""
    header, claims = _part(token, 0), token.split(".")[1]
    payload = base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4))
    return jws.serialize_compact(header, payload, ECKey.generate_key("P-256"), algorithms=["ES256"])


def unsigned(token: str) -> str:
    """The same claims under alg none, with an empty signature."""
    return f"{_encoded({**_part(token, 0), 'alg': 'none'})}.{token.split('.')[1]}."


def altered(token: str, **claims: Any) -> str:
    """Other claims under the signature as it was."""
    header, _, signature = token.split(".")
    return f"{header}.{_encoded({**_part(token, 1), **claims})}.{signature}"


def _part(token: str, place: int) -> dict[str, Any]:
    text = token.split(".")[place]
    found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    return found


def _encoded(part: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()
