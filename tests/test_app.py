"""Are the ids the composition root makes random UUIDs, also across a refill?"""

from __future__ import annotations

from uuid import UUID

from gateway.app import RandomIds


def test_ids_are_random_uuids_in_their_only_spelling() -> None:
    make = RandomIds()
    made = [make() for _ in range(1000)]
    assert len(set(made)) == len(made)
    for text in made:
        parsed = UUID(text)
        assert (parsed.version, str(parsed)) == (4, text)
    assert {text[19] for text in made} == set("89ab")
