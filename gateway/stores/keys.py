"""How is a patient named at rest? By keyed hash, and an index entry by an id that only the exchange can open.

Everything is derived from one secret; without it neither a key nor an id says anything, nor can one be guessed. Knows
nothing of where they are kept.
"""

from __future__ import annotations

import base64
import hmac
import os
import secrets
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from gateway.rules.exchange import Category, PatientKey
from gateway.rules.identifiers import ApplicationId, Bsn, InvalidIdentifier, Ura
from gateway.stores.schema import system_number, system_of

SECRET_BYTES = 32
PATIENT_BYTES = 12
CODE_SECRET_BYTES = 20
_SYSTEM_BYTES = 7
_ID_BYTES = 16 + PATIENT_BYTES + _SYSTEM_BYTES + 1
_ID_CHARACTERS = 50
PAGE_BYTES = 29
_PAGE_SEALED_BYTES = 16 + PAGE_BYTES
_PAGE_CHARACTERS = 62
_ALPHABET = b"-."

CATEGORY_NUMBER: dict[Category, int] = {
    Category.GP_SUMMARY: 1,
    Category.MEDICATION: 2,
    Category.ALLERGIES: 3,
    Category.TREATMENT_LIMITS: 4,
    Category.ENROLMENT: 5,
}
"""How a category is kept in ids and index entries: a contract, never renumbered. A return message has no entry."""

CATEGORY_OF: dict[int, Category] = {number: category for category, number in CATEGORY_NUMBER.items()}


class SecretUnusable(Exception):
    """The secret is too short, or readable by others than its owner."""


_CATEGORY_BYTE = {category: bytes([number]) for category, number in CATEGORY_NUMBER.items()}


class Keys:
    """What follows from the secret (at least 32 bytes, else SecretUnusable). Prints nothing of it."""

    __slots__ = ("_codes", "_entries", "_pages", "_patients", "_sealed")

    def __init__(self, secret: bytes) -> None:
        if len(secret) < SECRET_BYTES:
            raise SecretUnusable(f"a secret has at least {SECRET_BYTES} bytes")
        self._patients = hmac.new(_derived(secret, b"patient key"), digestmod="sha256")
        self._codes = _derived(secret, b"operator code")
        self._entries = AESSIV(_derived(secret, b"entry id", 64))
        self._pages = AESSIV(_derived(secret, b"page of a listing", 64))
        self._sealed = lru_cache(maxsize=10_000)(self._seal)

    def patient(self, bsn: Bsn) -> PatientKey:
        """HMAC-SHA-256 over the nine digits, its first twelve bytes."""
        keyed = self._patients.copy()
        keyed.update(bsn.digits.encode())
        return PatientKey(keyed.digest()[:PATIENT_BYTES])

    def code_secret(self, salt: bytes) -> bytes:
        """The twenty bytes an operator's one-time codes are made from (RFC 4226 section 4): the ledger keeps the salt
        only, so whoever reads the ledger alone can make no code."""
        return hmac.digest(self._codes, salt, "sha256")[:CODE_SECRET_BYTES]

    def entry_id(self, patient: PatientKey, system: ApplicationId, category: Category) -> str:
        """The opaque id of an index entry: 50 characters, a valid FHIR id that begins and ends with a letter.

        AES-SIV (RFC 5297) over the three: equal entries have equal ids, nothing else about an id tells anything.
        Raises KeyError for a category that has no entries.
        """
        return self._sealed(patient + system_number(system).to_bytes(_SYSTEM_BYTES, "big") + _CATEGORY_BYTE[category])

    def _seal(self, plain: bytes) -> str:
        return _to_text(self._entries.encrypt(plain, None))

    def page_id(self, reader: Ura, patient: PatientKey, where: bytes) -> str:
        """The opaque id of a further page of what `reader` may read about a patient; `where` (PAGE_BYTES) tells which.

        Whose it is goes into the seal and not into the id: in other hands, or with another patient, it opens nothing.
        62 characters, a valid FHIR id that begins and ends with a letter.
        """
        return _to_text(self._pages.encrypt(where, [reader.digits.encode(), patient]))

    def open_page_id(self, text: str, reader: Ura, patient: PatientKey) -> bytes | None:
        """What `page_id` was given; None for a text that is not an id of ours for just this reader and patient."""
        sealed = _from_text(text, _PAGE_CHARACTERS, _PAGE_SEALED_BYTES)
        if sealed is None:
            return None
        try:
            return self._pages.decrypt(sealed, [reader.digits.encode(), patient])
        except InvalidTag:
            return None

    def open_entry_id(self, text: str) -> tuple[PatientKey, ApplicationId, Category] | None:
        """What an id of ours names; None for any other text, however close."""
        sealed = _from_text(text, _ID_CHARACTERS, _ID_BYTES)
        if sealed is None:
            return None
        try:
            plain = self._entries.decrypt(sealed, None)
        except InvalidTag:
            return None
        return _named(plain)


def load_or_create(path: Path) -> Keys:
    """The keys from the secret in this file, made on first use for its owner alone (mode 0600).

    Several processes may start at once: the first file put there, complete, is everybody's. Raises SecretUnusable and
    OSError.
    """
    with suppress(FileExistsError):
        if not path.exists():
            _put_new(path, secrets.token_bytes(SECRET_BYTES))
    if path.stat().st_mode & 0o077:
        raise SecretUnusable("the secret's file must be readable by its owner only (mode 0600)")
    return Keys(path.read_bytes())


def _put_new(path: Path, secret: bytes) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(secret)
            file.flush()
            os.fsync(file.fileno())
        # a link fails when the name is taken: never half a secret, never two
        os.link(draft, path)
    finally:
        draft.unlink()


def _derived(secret: bytes, use: bytes, length: int = SECRET_BYTES) -> bytes:
    return HKDF(SHA256(), length, salt=None, info=b"switchpoint " + use).derive(secret)


def _to_text(sealed: bytes) -> str:
    return "e" + base64.b64encode(sealed, _ALPHABET).decode() + "e"


def _from_text(text: str, characters: int, length: int) -> bytes | None:
    if len(text) != characters or not text.isascii():
        return None
    try:
        sealed = base64.b64decode(text[1:-1], _ALPHABET, validate=True)
    except ValueError:
        return None
    # one text per id: the decoder also takes + and /
    return sealed if len(sealed) == length and _to_text(sealed) == text else None


def _named(plain: bytes) -> tuple[PatientKey, ApplicationId, Category] | None:
    system = int.from_bytes(plain[PATIENT_BYTES:-1], "big")
    try:
        return PatientKey(plain[:PATIENT_BYTES]), system_of(system), CATEGORY_OF[plain[-1]]
    except (InvalidIdentifier, KeyError):
        return None
