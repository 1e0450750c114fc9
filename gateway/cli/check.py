"""`switchpoint check source|client`: does somebody else's system keep to the contract? A report, and how to mend.

Exit code 0: nothing that was tried fails; 1: something does; 2: it cannot be checked.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
import uvloop
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from gateway.cli import opened
from gateway.cli.check_front import Front, Watching, watch
from gateway.cli.check_pen import ExchangePen, pen, reader
from gateway.cli.place import Misuse, Place, find
from gateway.flows.means import Means
from gateway.rules.exchange import HELD_BY, ORGANISATION_TYPES, Category, Kind
from gateway.rules.identifiers import ApplicationId, Bsn, InvalidIdentifier, Ura
from gateway.settings import Settings
from gateway.stores import register
from gateway.stores.index import IndexUnavailable
from gateway.stores.ledger import LedgerUnavailable
from source_sim import country, population
from source_sim.checking import report as written
from source_sim.checking.calling import Papers, Subject, Unreachable
from source_sim.checking.delivering import EVENTS
from source_sim.checking.findings import Report, Verdict
from source_sim.checking.judging import judge_client
from source_sim.checking.probing import check_source
from source_sim.requesters import Ask

commands = typer.Typer(no_args_is_help=True)

_COLOURS = {Verdict.PASS: "green", Verdict.FAIL: "red", Verdict.WARN: "yellow", Verdict.NOT_TRIED: "dim"}
_UNTIL_STOPPED = 24 * 60.0

Html = Annotated[Path | None, typer.Option(help="Write the report as a page here.")]
Junit = Annotated[Path | None, typer.Option(help="Write the report as JUnit XML here.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the report as JSON.")]
Running = Annotated[Path | None, typer.Option(help="running.json of the simulation.")]


# --- source ----------------------------------------------------------------------------------------------------------


@commands.command("source")
def source(
    url: Annotated[str, typer.Argument(help="The FHIR base of the source, as registered.")],
    patient: Annotated[str, typer.Option(help="BSN of a patient it holds something about.")],
    unknown: Annotated[str, typer.Option(help="BSN of a patient it does not know.")] = "",
    withheld: Annotated[str, typer.Option("--withheld-patient", help="BSN of a patient it withholds.")] = "",
    decimal: Annotated[str, typer.Option(help="A decimal recorded for the patient, such as 0.10.")] = "",
    app_id: Annotated[str, typer.Option("--app-id", help="Its application id, if the register does not say.")] = "",
    ura: Annotated[str, typer.Option(help="Its organisation's URA, if the register does not say.")] = "",
    type_: Annotated[str, typer.Option("--type", help="Its organisation type, if the register does not say.")] = "",
    category: Annotated[list[str] | None, typer.Option(help="Category it holds; default: by its type.")] = None,
    message: Annotated[str, typer.Option(help="return-message, referral or none; default: by its type.")] = "",
    deadline: Annotated[float, typer.Option(help="Seconds it may take for an answer.")] = 4.0,
    certificate: Annotated[Path | None, typer.Option(help="Certificate to call with, not the exchange's.")] = None,
    key: Annotated[Path | None, typer.Option(help="Its key.")] = None,
    ca: Annotated[Path | None, typer.Option(help="The authority to trust.")] = None,
    signing_key: Annotated[Path | None, typer.Option(help="Key (PEM, P-256) that signs vouchers.")] = None,
    issuer: Annotated[str, typer.Option(help="The iss of vouchers.")] = "",
    running: Running = None,
    html: Html = None,
    junit: Junit = None,
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """Play the exchange at a source: good and bad vouchers, strangers, bad forms, messages twice."""
    own = (certificate, key, ca, signing_key)
    if any(own) and not all((*own, issuer, app_id, ura, type_)):
        raise Misuse("own papers are all of --certificate --key --ca --signing-key --issuer --app-id --ura --type")
    place = None if all(own) else find(running)
    known = _registered(place, url) if place and not (app_id and ura and type_) else ("", "", "")
    who = tuple(given or told for given, told in zip((app_id, ura, type_), known, strict=True))
    if not all(who):
        raise Misuse(f"{url} is not in the register: say --app-id, --ura and --type")
    subject = _subject(url, who, (patient, unknown, withheld), category, message, decimal, deadline)
    papers, signs = _means(place, own, issuer, subject.message)
    try:
        report = uvloop.run(check_source(subject, papers, signs, _wall, reader(subject.endpoint)))
    except Unreachable as wrong:
        raise Misuse(str(wrong)) from wrong
    except OSError as wrong:
        raise Misuse(f"the papers do not serve: {wrong}") from wrong
    _tell(report, html, junit, as_json)


def _wall() -> datetime:
    return datetime.now(UTC)


def _registered(place: Place, url: str) -> tuple[str, str, str]:
    """Application id, URA and organisation type of who has this endpoint in the register; empty for nobody."""

    async def look(means: Means) -> tuple[str, str, str]:
        network = await means.ledger.read(register.load)
        for system in network.systems.values():
            if system.endpoint == url.rstrip("/"):
                organisation = network.organisations[system.ura]
                return system.application.digits, system.ura.digits, organisation.organisation_type
        return "", "", ""

    return opened.with_means(place, look)


def _subject(
    url: str,
    who: tuple[str, ...],
    patients: tuple[str, str, str],
    category: list[str] | None,
    message: str,
    decimal: str,
    deadline: float,
) -> Subject:
    """Raises Misuse for whatever is no identifier, category or event."""
    application, ura, type_ = who
    known, unknown, withheld = patients
    unknown = unknown or _nobody()
    try:
        ApplicationId(application), Ura(ura), [Bsn(one) for one in (known, unknown, withheld) if one]
    except InvalidIdentifier as wrong:
        raise Misuse(str(wrong)) from wrong
    if type_ not in ORGANISATION_TYPES:
        raise Misuse(f"unknown organisation type {type_!r}; one of {', '.join(ORGANISATION_TYPES)}")
    kind = ORGANISATION_TYPES[type_]
    held = tuple(category) if category else _held(kind)
    if any(one not in _ASKED for one in held):
        raise Misuse(f"a category is one of {', '.join(_ASKED)}")
    event = message or _taken(kind)
    if event not in (*EVENTS, "none"):
        raise Misuse(f"--message is {', '.join(EVENTS)} or none")
    if len({known, unknown, withheld}) < 3:
        raise Misuse("known, unknown and withheld are three patients")
    event = "" if event == "none" else event
    return Subject(url.rstrip("/"), application, ura, known, unknown, held, withheld, decimal, event, deadline)


_ASKED = [each.value for each in Ask if each is not Ask.LOCALISE]


def _nobody() -> str:
    return next(one.bsn for one in population.persons(_wall().date()) if one.key == "unknown")


def _held(kind: Kind) -> tuple[str, ...]:
    held = (category for category, holder in HELD_BY.items() if holder is kind and category is not Category.ENROLMENT)
    return tuple(category.value for category in held)


def _taken(kind: Kind) -> str:
    if kind is Kind.GP_PRACTICE:
        return "return-message"
    return "referral" if kind in (Kind.HOSPITAL, Kind.GP_POST) else "none"


def _means(place: Place | None, own: tuple[Path | None, ...], issuer: str, message: str) -> tuple[Papers, ExchangePen]:
    """Papers and pen: one's own, or the running exchange's. Raises Misuse."""
    sender = country.GP if message == "referral" else country.GP_POST
    if place is None:
        certificate, key, ca, signing = (Path(str(one)) for one in own)
        return Papers(certificate, key, ca), pen(signing, issuer, sender.ura, sender.organisation_type)
    settings, other = opened.settings_of(place), Path(place.told["requesters"]["gp-post"])
    papers = Papers(settings.certificate, settings.key, settings.ca, (other / "client.pem", other / "client.key"))
    signing = settings.state_dir / "signing.pem"
    return papers, pen(signing, settings.exchange_base, sender.ura, sender.organisation_type)


# --- client ----------------------------------------------------------------------------------------------------------


@commands.command("client")
def client(
    url: Annotated[str, typer.Argument(help="Where the client is to find the exchange.")] = "https://localhost:0",
    app_id: Annotated[str, typer.Option("--app-id", help="Judge this application only.")] = "",
    minutes: Annotated[float, typer.Option(help="How long to watch; default: until Ctrl-C.")] = _UNTIL_STOPPED,
    script: Annotated[str, typer.Option(help="Command that runs the client; its end is the session's.")] = "",
    trouble: Annotated[bool, typer.Option(help="Answer the first search and message with 503, once.")] = True,
    running: Running = None,
    html: Html = None,
    junit: Junit = None,
    as_json: AsJson = False,
) -> None:
    """Watch a client at work through a front of the running exchange, and judge what it did."""
    if not 0 < minutes <= _UNTIL_STOPPED:
        raise Misuse(f"--minutes is more than 0, at most {_UNTIL_STOPPED:.0f}")
    settings, console = opened.settings_of(find(running)), Console(stderr=as_json)

    def tell(front: Front) -> None:
        console.print(
            f"Point the client at [bold]{front.base}[/] (token endpoint {front.token_endpoint}); Ctrl-C ends."
        )

    watching = Watching(60 * minutes, script, trouble)
    seen = _watched(settings, url, watching, tell)
    if not seen.seen:
        raise Misuse("nobody came: nothing can be judged")
    _tell(judge_client(seen.seen, seen.token_endpoint, _wall(), app_id), html, junit, as_json)


def _watched(settings: Settings, url: str, watching: Watching, tell: Callable[[Front], None]) -> Front:
    try:
        return uvloop.run(watch(settings, url, watching, tell))
    except (LedgerUnavailable, IndexUnavailable, OSError) as wrong:
        raise Misuse(f"the simulation's stores cannot be used now: {wrong}") from wrong


# --- the report ------------------------------------------------------------------------------------------------------


def _tell(report: Report, html: Path | None, junit: Path | None, as_json: bool) -> None:
    """Print and write the report; exit code 1 when something fails. Raises Misuse."""
    try:
        for path, write in ((html, written.as_html), (junit, written.as_junit)):
            if path is not None:
                path.write_text(write(report), "utf-8")
    except OSError as wrong:
        raise Misuse(f"cannot write {wrong.filename}: {wrong.strerror}") from wrong
    if as_json:
        print(written.as_json(report), end="")
    else:
        _print(report, Console())
    if not report.conforms:
        sys.exit(1)


def _print(report: Report, console: Console) -> None:
    console.print(f"[bold]Conformance of a {report.title}[/]: {escape(report.subject)}")
    table = Table("rule", "verdict", "seen", expand=False)
    for one in written.worst_first(report):
        table.add_row(one.rule.id, f"[{_COLOURS[one.verdict]}]{one.verdict}[/]", escape(one.saw))
    console.print(table)
    for one in report.findings:
        if one.verdict in (Verdict.FAIL, Verdict.WARN):
            console.print(f"[bold]{one.rule.id}[/]  {escape(one.rule.contract)} [dim]({escape(one.rule.reference)})[/]")
            console.print(f"  To mend: {escape(one.rule.mend)}")
    counts = ", ".join(f"{report.count(verdict)} {verdict}" for verdict in Verdict)
    console.print(f"[bold]{'conforms' if report.conforms else 'does not conform'}[/] ({counts})")
