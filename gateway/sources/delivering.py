"""How is a message handed to its recipient, and what does the recipient's reply mean for it? Bytes out, a Reply back.

Knows the delivery of interface.md section 5. Knows no sockets, no schedule, and nothing of what the message says: a
reply is told by its status, and its body only shows whether a FHIR system spoke.
"""

from __future__ import annotations

import re

import msgspec

from gateway.rules.exchange import AortaId
from gateway.rules.message import Reply, Taking
from gateway.sources.asking import Target, header_word, same_chain
from gateway.sources.wire import Response

TAKEN = frozenset({200, 202})
REJECTED = frozenset({400, 409, 410, 413, 415, 422})
"""It read the message, and will say the same of it tomorrow."""
BETWEEN = frozenset({502, 504})
"""Said by something in between: it does not know whether the recipient took the message."""

_SECONDS = re.compile(rb"[0-9]{1,9}")


def write(to: Target, message: bytes, token: str, aorta: AortaId) -> bytes:
    """The whole request. Raises ValueError for a word that could break out of its header."""
    version = f"AORTA-Version: {header_word(aorta.version)}\r\n" if aorta.version else ""
    head = (
        f"POST {to.path}/$process-message HTTP/1.1\r\n"
        f"Host: {to.authority}\r\n"
        f"Authorization: Bearer {header_word(token)}\r\n"
        f"AORTA-ID: initialRequestID={header_word(aorta.initial)}; requestID={header_word(aorta.request)}\r\n"
        f"{version}"
        "Accept: application/fhir+json\r\n"
        "Accept-Encoding: identity\r\n"
        "Content-Type: application/fhir+json\r\n"
        f"Content-Length: {len(message)}\r\n\r\n"
    )
    return head.encode("ascii") + message


def judge(response: Response, aorta: AortaId) -> Reply:
    """How the recipient took the message, by its whole answer. Only a reply that is certainly about this message, and
    certainly a FHIR system's, ends it; whatever else comes with a success says that the message may have arrived."""
    status = response.status
    if not same_chain(response.headers.get(b"aorta-id", b"").decode("latin-1"), aorta):
        return Reply(Taking.REPLY_LOST, "answers another request")
    if status in TAKEN:
        sensible = _is_empty_or_object(response.body)
        return Reply(Taking.TAKEN) if sensible else Reply(Taking.REPLY_LOST, f"status {status} with an unusable body")
    if 200 <= status < 300:
        return Reply(Taking.REPLY_LOST, f"status {status} is none of a delivery")
    if status in REJECTED:
        return Reply(Taking.REJECTED, f"status {status}")
    if status in BETWEEN:
        return Reply(Taking.REPLY_LOST, f"status {status}", _retry_after(response.headers.get(b"retry-after", b"")))
    detail = "redirects, which is never followed" if 300 <= status < 400 else f"status {status}"
    return Reply(Taking.TURNED_AWAY, detail, _retry_after(response.headers.get(b"retry-after", b"")))


def _is_empty_or_object(body: bytes) -> bool:
    if not body.strip():
        return True
    try:
        msgspec.json.decode(body.decode(), type=dict[str, msgspec.Raw])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False
    return True


def _retry_after(said: bytes) -> float | None:
    """Seconds (RFC 9110 section 10.2.3). The form with a date is ignored: it would trust the recipient's clock."""
    return float(said) if _SECONDS.fullmatch(said.strip()) else None
