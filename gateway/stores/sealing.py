"""How does a message's content rest? Sealed under a key that is kept outside the database, and never in the clear.

AES-256-GCM (NIST SP 800-38D): the envelope's own numbers are bound in, so that a payload cannot be moved to another
message. Knows nothing of where sealed bytes are kept.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM


class Unreadable(Exception):
    """A payload cannot be unsealed: its key is gone, or the bytes were changed."""


@dataclass(frozen=True, slots=True)
class Sealed:
    """A sealed payload: the id of the key, and nonce, ciphertext and tag in one."""

    key_id: str
    sealed: bytes


class Seals:
    """The ring of sealing keys: the newest seals, every one that is still here unseals."""

    def __init__(self, keys: dict[str, bytes]) -> None:
        self._keys = {id: AESGCM(key) for id, key in keys.items()}
        self._newest = next(reversed(keys))

    def seal(self, content: bytes, bound: bytes) -> Sealed:
        """Seal, binding `bound` in: it is needed again to unseal."""
        nonce = os.urandom(12)
        return Sealed(self._newest, nonce + self._keys[self._newest].encrypt(nonce, content, bound))

    def unseal(self, sealed: Sealed, bound: bytes) -> bytes:
        """The content. Raises Unreadable."""
        key = self._keys.get(sealed.key_id)
        if key is None:
            raise Unreadable("the sealing key is gone")
        try:
            return key.decrypt(sealed.sealed[:12], sealed.sealed[12:], bound)
        except InvalidTag:
            raise Unreadable("the sealed bytes were changed") from None
