"""Does a name stay a name on an operator's terminal? Hostile texts in `switchpoint journal tail` and `show`."""

from __future__ import annotations

import console_made as made
import pytest
from desk_made import open_desk
from exchange_made import Exchange
from hostile import PAYLOADS

from gateway.cli import journal as command
from gateway.stores import journal


async def test_no_text_gives_orders_to_a_terminal_or_to_what_prints_it(
    exchange: Exchange, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "240")
    desk = await open_desk(exchange)
    for name, text in PAYLOADS.items():
        call = made.answered([], who={"organisation_name": text, "actor_name": text})
        await desk.means.ledger.commit(lambda tx, call=call: made.write(tx, [call]))  # type: ignore[misc]
        (kept, _) = await desk.means.ledger.read(lambda tx, call=call: journal.by_chain(tx, call.chain))  # type: ignore[misc]
        command._print([kept], False)
        command._print_whole(kept)
        shown = capsys.readouterr().out
        orders = [one for one in shown if one != "\n" and (ord(one) < 32 or 127 <= ord(one) < 160)]
        assert orders == [], name
        command._print([kept], True)
        told = capsys.readouterr().out
        assert told.endswith("\n"), name
        assert told.isascii(), name
        assert told.count("\n") == 1, name
