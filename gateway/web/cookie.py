"""Which cookie says who is here, and what do our forms carry to show that they are ours?

The cookie holds a random token and nothing else. Knows no store: whether somebody sits with a token is not its matter.
"""

from __future__ import annotations

import base64
import hmac
import re
from typing import TypeVar

from fastapi import Request
from fastapi.responses import Response

CSRF = "csrf"
"""The name of a form's hidden field; scripts may send the header `x-csrf` instead."""
_TOKEN = re.compile(r"[A-Za-z0-9_-]{43}")

AnyResponse = TypeVar("AnyResponse", bound=Response)


def token_of(request: Request) -> str:
    """The cookie's token, or nothing."""
    token = request.cookies.get(_name(request), "")
    return token if _TOKEN.fullmatch(token) else ""


def seat(request: Request, answer: AnyResponse, token: str) -> AnyResponse:
    """Give the browser this token: for our own pages only, not for scripts, gone when the browser ends."""
    secure = request.url.scheme == "https"
    answer.set_cookie(_name(request), token, path="/", samesite="strict", httponly=True, secure=secure)
    return answer


def csrf_of(token: str) -> str:
    """What our forms carry: follows from the cookie, and tells nothing about it."""
    return base64.urlsafe_b64encode(hmac.digest(token.encode(), b"switchpoint form", "sha256")[:24]).decode()


def _name(request: Request) -> str:
    """With TLS a name that a browser only takes from this host over TLS (RFC 6265bis section 4.1.3)."""
    return "__Host-sitting" if request.url.scheme == "https" else "sitting"
