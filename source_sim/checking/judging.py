"""Did somebody else's client keep to the contract? A recorded session in, a report out."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from source_sim.checking.client_rules import RULES
from source_sim.checking.findings import Book, Report
from source_sim.checking.judging_calls import judge_calls
from source_sim.checking.judging_messages import judge_messages
from source_sim.checking.judging_tokens import judge_tokens
from source_sim.checking.observing import Seen
from source_sim.checking.session import Session

_UNSEEN: Final = "nothing in this session showed it"


def judge_client(seen: tuple[Seen, ...], token_endpoint: str, at: datetime, application: str = "") -> Report:
    """The report on what was recorded; with an `application`, on that one only."""
    session = Session(seen, token_endpoint)
    session = session.of(application) if application else session
    book = Book(RULES)
    judge_tokens(book, session)
    judge_calls(book, session)
    judge_messages(book, session)
    whose = f"application {application}" if application else "whoever connected"
    return Report("client", f"{whose}, {len(session.seen)} requests", at, book.findings(_UNSEEN))
