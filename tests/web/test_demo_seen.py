"""Can the story of the demo be followed in a browser? The real program; people log in as it tells them to.

What is read here is compared word for word with what happened that Saturday night. Only days and times are left out.
"""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from demo_visited import ARGUMENTS, CHROMIUM, Running, need_browser, read
from playwright.async_api import Browser, Page, async_playwright

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.xdist_group("demo-seen"),
    pytest.mark.timeout(240),
]

_MOMENT = re.compile(r"\b(?:ma|di|wo|do|vr|za|zo) \d+ [a-z]{3} \d{4}, \d\d:\d\d(?::\d\d)?,? ?")
_PATIENCE_S = 150


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def demo(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    """The country of `switchpoint demo`, its story told; ended afterwards."""
    place = tmp_path_factory.mktemp("demo")
    words = ["demo", "--state", str(place / "state"), "--certs", str(place / "certs"), "--port", "0"]
    command = [sys.executable, "-m", "gateway", *words, "--desk-port", "0"]
    with (place / "told").open("w") as told:
        process = subprocess.Popen(command, stdout=told, stderr=subprocess.STDOUT, cwd=place, env=dict(os.environ))
        try:
            await _up(process, place / "told")
            yield read(place / "state" / "running.json")
        finally:
            # not SIGINT: a shell that started all this in the background had it ignored
            process.terminate()
            process.wait(60)


async def _up(process: subprocess.Popen[bytes], told: Path) -> None:
    for _ in range(_PATIENCE_S * 5):
        if "Ctrl-C ends it." in told.read_text("utf-8"):
            return
        if process.poll() is not None:
            break
        await asyncio.sleep(0.2)
    pytest.fail(told.read_text("utf-8"))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    need_browser()
    async with async_playwright() as playwright:
        opened = await playwright.chromium.launch(executable_path=CHROMIUM, args=list(ARGUMENTS))
        yield opened
        await opened.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def operator(demo: Running, browser: Browser) -> Page:
    page = await demo.window(browser)
    await demo.log_in(page, "test-operator")
    return page


def plain(text: str) -> str:
    """As it is read aloud: one line, without days and times."""
    return _MOMENT.sub("", " ".join(text.split()))


async def happened(demo: Running, browser: Browser, key: str) -> list[str]:
    """What this person's page lists, newest first."""
    page = await demo.window(browser)
    await demo.log_in_patient(page, key)
    return [plain(one) for one in await page.locator("ol.log > li:not(.own)").all_inner_texts()]


# --- the patients ----------------------------------------------------------------------------------------------------

GP, SOUTH, NORTH = "Test Huisarts De Linde", "Test Apotheek Zuid", "Test Apotheek Noord"
SUMMARY, LIMITS, MEDICATION, ALLERGIES = (
    "samenvatting van de huisarts",
    "behandelgrenzen",
    "medicatieoverzicht",
    "allergieën en contra-indicaties",
)
POST = "Test Huisartsenpost Stad (huisartsenpost) Test Waarnemend-Huisarts, huisarts"
COVERING = f"{POST} behandeling; bezoek; als waarnemer"
EMERGENCY = "Test Ziekenhuis Oost (ziekenhuis, spoedeisende hulp) Test SEH-Arts, SEH-arts spoed; spoedbeoordeling"
RIDE = (
    "Test Ambulancedienst Midden (ambulancedienst) Test Ambulanceverpleegkundige, verpleegkundige spoed; ambulancerit"
)
WHO_GAVE = "Wie wat gaf Gegevens van Uitkomst Waarom"
BY_CONSENT = "✓ met uw toestemming"
REG_1 = (
    "Regel REG-1: Een waarnemend huisarts op een huisartsenpost mag de samenvatting zien van een patiënt die zich meldt"
    " en toestemming gaf."
)
REG_2 = (
    "Regel REG-2: Een waarnemend huisarts op een huisartsenpost mag medicatie en allergieën van de apotheek zien van"
    " een patiënt die zich meldt en toestemming gaf."
)
EMA_1, EMA_2 = (
    f"Regel {row}: {who} mag de spoedsamenvatting en de behandelgrenzen zien van een spoedpatiënt die dat toestond."
    for row, who in (("EMA-1", "Een arts op de spoedeisende hulp"), ("EMA-2", "Een ambulanceteam op rit"))
)
CRI_1 = (
    "Regel CRI-1: Tijdens de crisis mag een waarnemend huisarts de samenvatting zien van een patiënt zonder vastgelegde"
    " keuze, na het ter plekke te vragen."
)
CRI_2 = (
    "Regel CRI-2: Tijdens de crisis mag een arts op de spoedeisende hulp de samenvatting zien, na het ter plekke te"
    " vragen."
)
RET_1 = "Regel RET-1: Een huisartsenpost die een patiënt zag, mag verslag doen aan de eigen huisarts."
FOR_WATCH, FOR_EMERGENCY = "samenvatting voor de waarnemer", "samenvatting voor spoed"
REPORT = f"verslag van uw bezoek, bestemd voor {GP}"


def saw(what: str, who: str, *parts: str) -> str:
    return f"Gegevens opgevraagd en gezien: {what} ✓ gezien {who} {WHO_GAVE} {' '.join(parts)}"


def nothing(what: str, who: str, *parts: str) -> str:
    return f"Gegevens gevraagd, niets gezien: {what} · niets gezien {who} {' '.join(parts)}"


def registered(what: str, whose: str = f"{GP} (huisartsenpraktijk)", word: str = "aangemeld") -> str:
    return f"Gegevens {word}: {what} {whose}"


def chose(say: str, what: str = "alle gegevens", where: str = GP, kind: str = "huisartsenpraktijk") -> str:
    scope = f"{what}; van {where}; voor iedereen die u behandelt patiënt; schriftelijk"
    return f"Keuze vastgelegd {where} ({kind}) {say} {scope}"


FROM_SOUTH = f"{SOUTH} ✓ gezien {REG_2} {BY_CONSENT}"
LATE = f"{NORTH} · kwam niet aan De praktijk of apotheek antwoordde niet op tijd, of niet goed."
MEANWHILE = (
    f"{GP} ! alsnog niet gegeven Terwijl de vraag liep, veranderde uw toestemming of een regeling. Daarom is toch niets"
    " gegeven."
)
SATURDAY_NIGHT = [
    saw(SUMMARY, COVERING, f"{GP} ✓ gezien {REG_1} {BY_CONSENT} {FOR_WATCH}"),
    f"Bericht over u bezorgd {POST} {REPORT} {RET_1}",
    f"Bericht over u verstuurd {COVERING} {REPORT} {RET_1}",
    registered(LIMITS),
    registered(SUMMARY),
    chose("✓ ja"),
    registered(LIMITS, word="afgemeld"),
    registered(SUMMARY, word="afgemeld"),
    chose("✕ ingetrokken"),
    nothing(SUMMARY, COVERING, WHO_GAVE, MEANWHILE),
    saw(LIMITS, RIDE, f"{GP} ✓ gezien {EMA_2} {BY_CONSENT}"),
    saw(SUMMARY, RIDE, f"{GP} ✓ gezien {EMA_2} {BY_CONSENT} {FOR_EMERGENCY}"),
    saw(LIMITS, EMERGENCY, f"{GP} ✓ gezien {EMA_1} {BY_CONSENT}"),
    saw(SUMMARY, EMERGENCY, f"{GP} ✓ gezien {EMA_1} {BY_CONSENT} {FOR_EMERGENCY}"),
    f"Gegevens gevraagd en geweigerd: {SUMMARY} ✕ geweigerd {EMERGENCY}"
    " Geen geldende regel staat dit toe voor dit soort organisatie.",
    *[saw(MEDICATION, COVERING, FROM_SOUTH, LATE)] * 3,
    registered(MEDICATION, f"{NORTH} (apotheek)"),
    chose("✓ ja", where=NORTH, kind="apotheek"),
    *[saw(ALLERGIES, COVERING, FROM_SOUTH)] * 2,
]
OBJECTED = [
    f"Bericht over u geweigerd ✕ geweigerd {COVERING} {REPORT} U heeft hiertegen bezwaar gemaakt.",
    chose("✕ nee", "bericht aan de eigen huisarts"),
    nothing(SUMMARY, COVERING, "Er werd niets gegeven: niets wat voor deze vrager open stond was aangemeld."),
    registered(SUMMARY, word="afgemeld"),
    chose("✕ nee"),
    registered(SUMMARY),
    chose("✓ ja"),
]
LATENT = [
    nothing(
        SUMMARY,
        COVERING,
        f"{WHO_GAVE} {GP} ✕ niet gegeven Deze aanmelding telt alleen tijdens een bijzondere regeling.",
    ),
    saw(
        SUMMARY,
        f"{EMERGENCY}; niet aanspreekbaar",
        f"{GP} ✓ gezien {CRI_2} ! verondersteld: u kon niet antwoorden {FOR_WATCH}",
    ),
    saw(SUMMARY, COVERING, f"{GP} ✓ gezien {CRI_1} ! mondeling: ter plekke gevraagd {FOR_WATCH}"),
    f"Gegevens gevraagd en geweigerd: {SUMMARY} ✕ geweigerd {COVERING}"
    f" {WHO_GAVE} {GP} ✕ niet gegeven Het had u eerst gevraagd moeten worden.",
    registered(SUMMARY),
]
NOTICE = f"bericht dat uw gegevens zijn bekeken, bestemd voor {GP}"


async def test_her_page_tells_the_whole_night(demo: Running, browser: Browser) -> None:
    told = await happened(demo, browser, "saturday-night")
    assert told[: len(SATURDAY_NIGHT)] == SATURDAY_NIGHT


async def test_who_objected_reads_that_nobody_saw_anything(demo: Running, browser: Browser) -> None:
    told = await happened(demo, browser, "saturday-objected")
    assert told[: len(OBJECTED)] == OBJECTED
    assert not [one for one in told if "✓ gezien" in one]


async def test_who_never_chose_reads_of_asked_and_presumed(demo: Running, browser: Browser) -> None:
    told = await happened(demo, browser, "latent")
    letters = [one for one in told if one.startswith("Bericht")]
    assert [one for one in told if one not in letters][: len(LATENT)] == LATENT
    assert sorted(letters) == [f"Bericht over u bezorgd {NOTICE}"] * 2 + [f"Bericht over u verstuurd {NOTICE}"] * 2


# --- the console -----------------------------------------------------------------------------------------------------


async def call_of(operator: Page, query: str) -> str:
    """The time line behind the newest row the log has for this filter."""
    await operator.goto(f"/log?{query}")
    await operator.locator("#log-rows th a").first.click()
    await operator.get_by_role("heading", name="Eén aanvraag").wait_for()
    return plain(await operator.inner_text("main"))


async def test_the_front_page_counts_the_night(operator: Page) -> None:
    await operator.goto("/")
    told = plain(await operator.inner_text("main"))
    for words in (
        "✓ Het schakelpunt is gereed.",
        "0 mislukt, 3 gedeeltelijk in het laatste uur.",
        "6 van 22 vragen als spoed.",
        f"{NORTH} 90000202 · 400202 ! hapert 0 3 × antwoordde niet op tijd",
        f"{GP} 90000101 · 400101 ✓ goed 9 –",
        "huisartsenpost 8 4 1 3 0 16 0,27",
        "ziekenhuis 3 0 1 0 0 4 0,07",
        "ambulancedienst 2 0 0 0 0 2 0,03",
    ):
        assert words in told, told
    assert plain(await operator.inner_text(".banner")) == "Met spoed beschikbaar is van kracht zonder einddatum"


CALLS = {
    "one source was late": (
        "outcome=partial",
        (
            "Opvrager Test Huisartsenpost Stad 90000301 Zorgverlener Test Waarnemend-Huisarts, huisarts"
            f" Gevraagd {MEDICATION} Situatie behandeling, bezoek, aanspreekbaar",
            f"{SOUTH} 90000201 400201 toegestaan {REG_2.removeprefix('Regel ')} gegeven toestemming –",
            f"{NORTH} 90000202 400202 antwoordde niet op tijd",
            "no whole answer in time –",
        ),
    ),
    "the emergency department was refused": (
        "rule=not-authorised",
        (
            "Opvrager Test Ziekenhuis Oost 90000401 Zorgverlener Test SEH-Arts, SEH-arts",
            "opvraging geweigerd",
            "! not-authorised Geen geldende regel staat dit toe voor dit soort organisatie.",
        ),
    ),
    "asked on the spot": (
        "rule=CRI-1",
        (
            f"{GP} 90000101 400101 toegestaan {CRI_1.removeprefix('Regel ')} toestemming ter plekke gevraagd",
            f"Verstrekt {GP} 90000101: {SUMMARY}, {FOR_WATCH}; CRI-1, toestemming ter plekke gevraagd; 1 stuk",
            "bericht aangenomen",
        ),
    ),
    "presumed": (
        "rule=CRI-2",
        (
            "Situatie spoed, spoedbeoordeling, niet aanspreekbaar",
            f"Verstrekt {GP} 90000101: {SUMMARY}, {FOR_WATCH}; CRI-2, veronderstelde toestemming; 1 stuk",
        ),
    ),
    "withdrawn meanwhile": (
        "outcome=neutral",
        (f"{GP} 90000101 400101 antwoordde", "✕ tegengehouden bij vrijgave"),
    ),
    "an objection barred the report": (
        "rule=objection",
        ("bericht geweigerd", "! objection De patiënt maakt bezwaar."),
    ),
}


@pytest.mark.parametrize(("query", "words"), CALLS.values(), ids=CALLS)
async def test_the_time_line_of_a_call_tells_it(operator: Page, query: str, words: tuple[str, ...]) -> None:
    told = await call_of(operator, query)
    missing = [one for one in words if one not in told]
    assert not missing, told
    assert not re.search(r"\b9999\d{5}\b", told), "no patient's number on the console"


async def test_both_disclosures_wait_for_a_reviewer(operator: Page) -> None:
    await operator.goto("/review")
    rows = [plain(one) for one in await operator.locator("main tbody tr").all_inner_texts()]
    told = [re.sub(r"Verstrekking \d+ | P-[0-9a-f]{8}", "", one) for one in rows]
    assert told == [
        f"toestemming ter plekke gevraagd Test Huisartsenpost Stad, Test Waarnemend-Huisarts {SUMMARY} · wacht",
        f"veronderstelde toestemming Test Ziekenhuis Oost, Test SEH-Arts {SUMMARY} · wacht",
    ]
