"""Is every change behind the triggers' back found, and its first wrong entry named? By the gateway's verifier on both
databases, and by the second party's on the same file."""

from __future__ import annotations

import io
import shutil
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest
from sealed_ledger import (
    SIZES,
    UNSEALED,
    Clock,
    behind_its_back,
    exported,
    fill,
    kept_elsewhere,
    seal_now,
    sealer_of,
    standalone,
)

from gateway.flows.exported_journal import read_export
from gateway.flows.sealing_journal import Sealer, SealRefused
from gateway.flows.verifying_journal import BadExport, Elsewhere, Fault, verify
from gateway.stores import checkpoints
from gateway.stores.checkpoint_keys import sign
from gateway.stores.ledger import open_ledger
from gateway.stores.notes import key_chain, open_checkpoint

LAST = SIZES[-1]


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state folder with a filled SQLite ledger, to be copied."""
    folder, clock = tmp_path_factory.mktemp("template"), Clock()
    with closing(open_ledger(f"sqlite://{folder / 'ledger.db'}")) as ledger:
        fill(sealer_of(ledger, folder, clock), clock)
    return folder


@pytest.fixture
def sealer(ledger_url: str, tmp_path: Path, template: Path) -> Iterator[Sealer]:
    clock = Clock()
    if ledger_url.startswith("sqlite:"):
        shutil.copytree(template, tmp_path, dirs_exist_ok=True)
    with closing(open_ledger(ledger_url)) as ledger:
        made = sealer_of(ledger, tmp_path, clock)
        if not ledger_url.startswith("sqlite:"):
            fill(made, clock)
        yield made


@pytest.fixture
def url(ledger_url: str, sealer: Sealer) -> str:
    return ledger_url


def test_an_honest_journal_verifies(sealer: Sealer) -> None:
    report = verify(sealer.ledger, [kept_elsewhere(sealer.ledger)])
    assert (report.faults, report.first_wrong, report.wrong) == (0, None, ())
    assert (report.entries, report.sealed, report.unsealed) == (LAST + UNSEALED, LAST, UNSEALED)
    assert (report.checkpoints, report.archived, len(report.keys)) == (len(SIZES), 0, 1)


class Tampering(NamedTuple):
    """What somebody does, what is found first, at which entry; `through`: where it cannot be told closer."""

    statements: tuple[str, ...]
    fault: Fault
    entry: int | None
    through: int | None = None


def _set(column: str, value: str, seq: int = 7) -> tuple[str, ...]:
    return (f"UPDATE journal SET {column} = {value} WHERE seq = {seq}",)


_OTHERS = "wall, at, event, initial, request, patient, custodian, requester, rule, reason, line"
_COPY_OF_8_AS_7 = f"INSERT INTO journal SELECT 7, {_OTHERS} FROM journal WHERE seq = 1008"
_MAKE_ROOM = "UPDATE journal SET seq = seq + 1000 WHERE seq >= 7"

TAMPERING = {
    **{
        f"{column} changed": Tampering(_set(column, "'another'"), Fault.CHANGED, 7)
        for column in ("event", "initial", "request", "custodian", "requester", "rule", "reason", "line")
    },
    "wall changed": Tampering(_set("wall", "wall + 1"), Fault.CHANGED, 7),
    "at changed": Tampering(_set("at", "at - 1"), Fault.CHANGED, 7),
    "patient changed": Tampering(_set("patient", "x'ff'"), Fault.CHANGED, 7),
    "patient removed": Tampering(_set("patient", "NULL"), Fault.CHANGED, 7),
    "an absent reason made empty": Tampering(_set("reason", "''"), Fault.CHANGED, 7),
    "two changed, the later first": Tampering(_set("rule", "'R'", 290) + _set("rule", "'R'", 15), Fault.CHANGED, 15),
    "the first changed": Tampering(_set("rule", "'R'", 1), Fault.CHANGED, 1),
    "the last sealed changed": Tampering(_set("rule", "'R'", LAST), Fault.CHANGED, LAST),
    "one inserted, the others renumbered": Tampering(
        (_MAKE_ROOM, _COPY_OF_8_AS_7, "UPDATE journal SET seq = seq - 999 WHERE seq > 1000"), Fault.CHANGED, 7
    ),
    "one inserted before the first": Tampering(
        (f"INSERT INTO journal SELECT 0, {_OTHERS} FROM journal WHERE seq = 1",), Fault.SLIPPED_IN, 0
    ),
    "one deleted": Tampering(("DELETE FROM journal WHERE seq = 7",), Fault.MISSING, 7),
    "the first deleted": Tampering(("DELETE FROM journal WHERE seq = 1",), Fault.MISSING, 1),
    "one deleted, the gap closed": Tampering(
        (_MAKE_ROOM, "DELETE FROM journal WHERE seq = 1007", "UPDATE journal SET seq = seq - 1001 WHERE seq > 1000"),
        Fault.CHANGED,
        7,
    ),
    "two swapped": Tampering(
        (
            "UPDATE journal SET seq = 9007 WHERE seq = 7",
            "UPDATE journal SET seq = 7 WHERE seq = 12",
            "UPDATE journal SET seq = 12 WHERE seq = 9007",
        ),
        Fault.CHANGED,
        7,
    ),
    "cut off after entry 15": Tampering(("DELETE FROM journal WHERE seq > 15",), Fault.MISSING, 16),
    "all entries gone": Tampering(("DELETE FROM journal",), Fault.MISSING, 1),
    "an unsealed one gone": Tampering((f"DELETE FROM journal WHERE seq = {LAST + 1}",), Fault.MISSING, LAST + 1),
    "changed together with its leaf hash": Tampering(
        (
            *_set("rule", "'R'", 15),
            "UPDATE checkpoint SET leaves = (SELECT leaves FROM checkpoint WHERE size = 10) WHERE size = 20",
        ),
        Fault.CHANGED,
        11,
        20,
    ),
    "leaf hashes changed, the entries not": Tampering(
        ("UPDATE checkpoint SET leaves = (SELECT leaves FROM checkpoint WHERE size = 10) WHERE size = 20",),
        Fault.LEAVES,
        None,
    ),
    "leaf hashes not whole": Tampering(("UPDATE checkpoint SET leaves = x'ff' WHERE size = 20",), Fault.LEAVES, None),
    "leaf hashes not whole, and an entry changed": Tampering(
        ("UPDATE checkpoint SET leaves = x'ff' WHERE size = 20", *_set("rule", "'R'", 15)), Fault.CHANGED, 11, 20
    ),
    "leaf hashes not whole, and an entry gone": Tampering(
        ("UPDATE checkpoint SET leaves = x'ff' WHERE size = 20", "DELETE FROM journal WHERE seq = 15"),
        Fault.CHANGED,
        11,
        20,
    ),
    "a checkpoint gone": Tampering(("DELETE FROM checkpoint WHERE size = 20",), Fault.CHECKPOINT, 11, 20),
    "the first checkpoint gone": Tampering(("DELETE FROM checkpoint WHERE size = 10",), Fault.CHECKPOINT, 1, 10),
    "a checkpoint's signature changed": Tampering(
        ("UPDATE checkpoint SET note = replace(note, 'wall 1', 'wall 2') WHERE size = 20",), Fault.CHECKPOINT, 11, 20
    ),
    "a checkpoint under another size": Tampering(
        ("UPDATE checkpoint SET size = 19 WHERE size = 20",), Fault.CHECKPOINT, 11, 19
    ),
    "a frontier changed": Tampering(
        ("UPDATE checkpoint SET peaks = (SELECT peaks FROM checkpoint WHERE size = 10) WHERE size = 20",),
        Fault.CHECKPOINT,
        None,
    ),
    "a subtree's root changed": Tampering(("UPDATE journal_node SET hash = x'ff'",), Fault.SUBTREE, None),
    "a subtree's root gone": Tampering(("DELETE FROM journal_node",), Fault.SUBTREE, None),
    "all that was sealed gone": Tampering(
        ("DELETE FROM checkpoint", "DELETE FROM checkpoint_key"), Fault.NEVER_SEALED, 1, LAST + UNSEALED
    ),
    "a forged archive mark": Tampering(
        ("INSERT INTO journal_archive SELECT 20, note FROM checkpoint WHERE size = 20",
         "DELETE FROM journal WHERE seq <= 20"),
        Fault.MISSING, 1,
    ),
    "the key gone": Tampering(("DELETE FROM checkpoint_key",), Fault.CHECKPOINT, 1, 10),
}  # fmt: skip


KEPT_FOR_THE_GATEWAY = {
    "a frontier changed",
    "a subtree's root changed",
    "a subtree's root gone",
    "a checkpoint under another size",
}


ALSO_ON_POSTGRESQL = (
    "patient changed",
    "line changed",
    "one inserted, the others renumbered",
    "one deleted",
    "two swapped",
    "cut off after entry 15",
    "changed together with its leaf hash",
    "a checkpoint gone",
    "a subtree's root changed",
    "all that was sealed gone",
    "a forged archive mark",
)
CASES = [("sqlite", name) for name in TAMPERING]
CASES += [pytest.param("postgresql", name, marks=pytest.mark.wide) for name in ALSO_ON_POSTGRESQL]


@pytest.mark.parametrize(("ledger_url", "name"), CASES, indirect=["ledger_url"])
def test_tampering_is_found_by_both_verifiers_and_the_first_wrong_entry_named(
    name: str, sealer: Sealer, url: str, tmp_path: Path
) -> None:
    case, other = TAMPERING[name], standalone()
    assert other.verify(_given(other, url, sealer, tmp_path / "before"), None, None).wrong == []
    behind_its_back(url, *case.statements)
    report = verify(sealer.ledger)
    first = report.first_wrong
    assert first is not None, "nothing was found"
    assert (first.fault, first.entry, first.through) == (case.fault, case.entry, case.through)
    assert report.faults >= len(report.wrong) > 0
    theirs = other.verify(_given(other, url, sealer, tmp_path / "after"), None, None)
    if name in KEPT_FOR_THE_GATEWAY:
        assert theirs.wrong == [], "it does not use what the gateway keeps for itself"
    else:
        assert theirs.wrong
        assert theirs.first() == case.entry


def _given(other: object, url: str, sealer: Sealer, path: Path) -> object:
    """From the file itself on SQLite, from a whole export on PostgreSQL."""
    given = other.Given()  # type: ignore[attr-defined]
    if url.startswith("postgresql:"):
        path.write_text(exported(sealer.ledger, entries=True), "utf-8")
        other.from_file(path, given, whole=True)  # type: ignore[attr-defined]
    else:
        other.from_ledger(Path(url.removeprefix("sqlite://")), given)  # type: ignore[attr-defined]
    return given


@pytest.mark.parametrize("ledger_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("statement", "fault", "entry"),
    [
        pytest.param("UPDATE journal SET patient = CAST(patient AS TEXT) WHERE seq = 7", Fault.CHANGED, 7, id="text"),
        pytest.param("UPDATE journal SET wall = 1.5 WHERE seq = 7", Fault.CHANGED, 7, id="a real"),
        pytest.param("UPDATE journal SET line = CAST(x'ff22' AS TEXT) WHERE seq = 7", Fault.MISSING, 7, id="no utf-8"),
        pytest.param("UPDATE journal SET rule = CAST(x'ff' AS TEXT) WHERE seq = 9", Fault.MISSING, 9, id="no utf-8 2"),
        pytest.param(
            "UPDATE journal SET line = replace(line, ':1793', ':99991793') WHERE seq = 7", Fault.CHANGED, 7, id="far"
        ),
        pytest.param("UPDATE journal SET line = x'00' WHERE seq = 7", Fault.CHANGED, 7, id="a blob"),
    ],
)  # fmt: skip
def test_what_only_sqlite_lets_in_is_found(
    sealer: Sealer, url: str, tmp_path: Path, statement: str, fault: Fault, entry: int
) -> None:
    behind_its_back(url, statement)
    report = verify(sealer.ledger)
    assert report.first_wrong is not None
    assert (report.first_wrong.fault, report.first_wrong.entry, report.faults) == (fault, entry, 1)
    other = standalone()
    assert other.verify(_given(other, url, sealer, tmp_path), None, None).first() == entry


# --- what only a second party can see --------------------------------------------------------------------------------

SET_BACK = ("DELETE FROM journal WHERE seq > 20", "DELETE FROM checkpoint WHERE size > 20", "DELETE FROM journal_node")


def test_a_ledger_set_back_is_seen_against_an_export_only(sealer: Sealer, url: str, tmp_path: Path) -> None:
    text = exported(sealer.ledger)
    behind_its_back(url, *SET_BACK)
    assert verify(sealer.ledger).faults == 0
    first = verify(sealer.ledger, [read_export(io.StringIO(text))]).first_wrong
    assert first is not None
    assert (first.fault, first.entry, first.through) == (Fault.SET_BACK, 21, 280)
    other = standalone()
    given, against = _given(other, url, sealer, tmp_path / "whole"), other.Given()
    (tmp_path / "export").write_text(text, "utf-8")
    other.from_file(tmp_path / "export", against, whole=True)
    assert other.verify(given, None, None).wrong == []
    (entry, told), *_ = other.verify(given, against, None).wrong
    assert (entry, told.endswith("set back")) == (21, True)


def test_a_ledger_set_back_is_not_sealed_again(sealer: Sealer, url: str) -> None:
    behind_its_back(url, *SET_BACK)
    witnessed = sealer.witness.note()
    assert witnessed is not None
    first = verify(sealer.ledger, [Elsewhere(checkpoints=(witnessed,))]).first_wrong
    assert first is not None
    assert (first.fault, first.entry) == (Fault.SET_BACK, 21)
    behind_its_back(url, f"INSERT INTO journal SELECT 21, {_OTHERS} FROM journal WHERE seq = 20")
    with pytest.raises(SealRefused, match="set back"):
        seal_now(sealer)
    sealer.witness.path.rename(sealer.witness.path.with_name("moved-away"))
    assert seal_now(sealer) == 1


def _written_anew(sealer: Sealer, url: str, folder: Path) -> None:
    """Somebody changes entry 15 and seals everything behind it anew, with the keys that lie in `folder`."""
    behind_its_back(url, *_set("rule", "'R'", 15), "DELETE FROM checkpoint WHERE size > 10", "DELETE FROM journal_node")
    clock = Clock()
    anew = sealer_of(sealer.ledger, folder, clock)
    sealer.witness.path.unlink()
    while seal_now(anew):
        clock.tick()


def test_history_written_anew_with_the_signing_key_is_seen_against_an_export(
    sealer: Sealer, url: str, tmp_path: Path
) -> None:
    kept = kept_elsewhere(sealer.ledger)
    _written_anew(sealer, url, tmp_path)
    assert [one.fault for one in verify(sealer.ledger).wrong] == [Fault.UNFAITHFUL]
    faults = {(one.fault, one.entry, one.through) for one in verify(sealer.ledger, [kept]).wrong}
    assert (Fault.OTHER_STORY, 11, 20) in faults


def test_a_checkpoint_signed_anew_is_seen_against_an_export(sealer: Sealer, url: str, tmp_path: Path) -> None:
    text = exported(sealer.ledger)
    (tmp_path / "export").write_text(text, "utf-8")
    now = sealer.ledger.read_now(checkpoints.standing)
    (key,) = key_chain(now.keys)
    kept = sealer.ledger.read_now(lambda tx: checkpoints.at_size(tx, 20))
    private = sealer.ring.key(key.id)
    assert kept is not None
    assert private is not None
    told = replace(open_checkpoint(kept.note, (key,)), wall=1)
    note = sign(told.text(), told.origin, private)
    behind_its_back(url, f"UPDATE checkpoint SET note = '{note}' WHERE size = 20")
    assert verify(sealer.ledger).faults == 0
    (wrong,) = verify(sealer.ledger, [read_export(io.StringIO(text))]).wrong
    assert (wrong.fault, wrong.entry, wrong.through) == (Fault.OTHER_STORY, 11, 20)
    other = standalone()
    given, against = _given(other, url, sealer, tmp_path / "whole"), other.Given()
    other.from_file(tmp_path / "export", against, whole=True)
    assert other.verify(given, None, None).wrong == []
    assert other.verify(given, against, None).first() == 11


def test_history_written_anew_with_another_key_is_seen_by_the_first_key(
    sealer: Sealer, url: str, tmp_path: Path
) -> None:
    kept, honest = kept_elsewhere(sealer.ledger), verify(sealer.ledger).keys[0]
    behind_its_back(url, "DELETE FROM checkpoint", "DELETE FROM checkpoint_key")
    (tmp_path / "theirs").mkdir()
    _written_anew(sealer, url, tmp_path / "theirs")
    assert Fault.KEY not in {one.fault for one in verify(sealer.ledger).wrong}
    assert Fault.KEY in {one.fault for one in verify(sealer.ledger, [kept]).wrong}
    assert Fault.KEY in {one.fault for one in verify(sealer.ledger, [Elsewhere(first_key=honest)]).wrong}
    other = standalone()
    given = _given(other, url, sealer, tmp_path / "whole")
    assert other.verify(given, None, honest).wrong != other.verify(given, None, None).wrong


@pytest.mark.parametrize("ledger_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("old", "new"),
    [("wall 17", "wall 18"), ('"format"', '"formal"'), ('"key"', '"kex"'), ("{", "["), ("/key\\n", "/kez\\n")],
)
def test_an_export_that_is_not_whole_is_not_compared_with(sealer: Sealer, old: str, new: str) -> None:
    text = exported(sealer.ledger)
    assert old in text
    with pytest.raises(BadExport):
        verify(sealer.ledger, [read_export(io.StringIO(text.replace(old, new)))])


def test_an_entry_that_was_wrong_when_it_was_sealed_is_told(sealer: Sealer, url: str) -> None:
    behind_its_back(url, *_set("custodian", "'00000999'", LAST + 1))
    for _ in range(2):  # before it is sealed, and after
        first = verify(sealer.ledger).first_wrong
        assert first is not None
        assert (first.fault, first.entry) == (Fault.UNFAITHFUL, LAST + 1)
        seal_now(sealer)
