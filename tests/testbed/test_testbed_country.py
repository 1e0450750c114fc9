"""Does a country of the testbed do what its words say? Each word of the surface, by what comes of it."""

from __future__ import annotations

import time
from datetime import UTC, date, datetime, timedelta

import pytest

from source_sim.testbed import NotTaken, Switchpoint, no, open_country, yes
from source_sim.testbed.transcript import DUTCH_TIME


@pytest.fixture
def country():
    with open_country() as opened:
        yield opened


def usual(country: Switchpoint):
    gp, pharmacy = country.gp_practice(), country.pharmacy()
    return gp, pharmacy, country.patient("anna", gp=gp, pharmacy=pharmacy), country.gp_post()


# --- asking ----------------------------------------------------------------------------------------------------------


def test_a_covering_doctor_gets_summary_and_medication(country: Switchpoint) -> None:
    gp, pharmacy, anna, post = usual(country)
    post.ask("gp-summary", anna).expect(completeness="complete", sources=["gp-practice"], row="REG-1", total=1)
    medication = post.ask("medication", anna)
    medication.expect(completeness="complete", sources=["pharmacy"], row="REG-2", outcomes=[], flags=[])
    assert len(medication.others) == 2
    assert medication.total > 3
    assert [line.rule for line in gp.log] == ["REG-1"]
    assert {line.rule for line in pharmacy.log} == {"REG-2"}


def test_the_journal_reads_as_a_transcript(country: Switchpoint) -> None:
    _, _, anna, post = usual(country)
    mark = country.journal.mark
    answer = post.ask("gp-summary", anna)
    told = ["query-decided REG-1", "disclosed REG-1 covering consent", "query-answered complete"]
    country.journal.since(mark).expect(told)
    country.journal.of(answer).expect(told)
    answer.transcript.expect(["query-decided", "..."])
    country.journal.expect(["consent-stated yes", "...", *told])
    assert country.journal.events()[-1] == "query-answered"
    assert country.journal[-1].organisation == "Test Huisartsenpost Stad"
    assert str(country.journal[-1]).startswith("2026-11-21 23:40:00  query-answered")


def test_a_transcript_that_differs_shows_where(country: Switchpoint) -> None:
    _, _, anna, post = usual(country)
    answer = post.ask("gp-summary", anna)
    with pytest.raises(AssertionError) as failed:
        answer.transcript.expect(["query-decided REG-1", "disclosed REG-2", "query-answered"])
    assert str(failed.value).splitlines() == [
        "the journal tells something else:",
        "    query-decided REG-1",
        "  - disclosed REG-2",
        "  + 2026-11-21 23:40:00  disclosed            gp-summary · REG-1 · covering · consent · "
        "Test Huisartsenpost Stad · Test Huisarts De Linde",
        "    query-answered",
    ]


@pytest.mark.parametrize(
    ("patterns", "fits"),
    [
        (["..."], True),
        (["query-decided", "...", "query-answered"], True),
        (["query-decided", "disclosed"], False),
        (["..."] * 3, True),
        (["query-*", "disclosed", "query-*"], True),
        (["disclosed", "...", "query-answered"], False),
        (["query-decided", "disclosed", "query-answered", "..."], True),
        ([], False),
    ],
)
def test_dots_stand_for_any_lines(country: Switchpoint, patterns: list[str], *, fits: bool) -> None:
    _, _, anna, post = usual(country)
    transcript = post.ask("gp-summary", anna).transcript
    if fits:
        transcript.expect(patterns)
    else:
        with pytest.raises(AssertionError):
            transcript.expect(patterns)


def test_emergency_department_and_ambulance_wait_for_their_regime(country: Switchpoint) -> None:
    _, _, anna, _ = usual(country)
    askers = country.emergency_department(), country.ambulance()
    for asker, row in zip(askers, ("EMA-1", "EMA-2"), strict=True):
        asker.ask("gp-summary", anna).expect(status=403, code="not-authorised", outcome="refused")
        country.regime.on("EMERGENCY_AVAILABLE")
        asker.ask("gp-summary", anna).expect(row=row, total=1)
        country.regime.off("EMERGENCY_AVAILABLE")
        assert country.regime.active == ("REGULAR",)


def test_specialist_and_covering_pharmacy_see_the_pharmacys_half(country: Switchpoint) -> None:
    _, _, anna, _ = usual(country)
    country.specialist().ask("medication", anna).expect(row="REG-3")
    country.covering_pharmacy().ask("allergies", anna).expect(row="REG-4")


def test_any_other_organisation_asks_and_is_told_no(country: Switchpoint) -> None:
    _, _, anna, _ = usual(country)
    country.organisation("GEM").ask("gp-summary", anna).expect(status=403, code="unknown-party")


def test_localising_and_explaining(country: Switchpoint) -> None:
    _, _, anna, post = usual(country)
    assert post.localise(anna).total == 3
    told = post.explain("gp-summary", anna, cover=False)
    assert (told.outcome, told.reason) == ("refused", "no-cover")
    assert "REG-1" in told.change
    assert {row.id: row.missing for row in told.rows}["REG-1"] == ("cover",)
    assert post.explain("gp-summary", anna).outcome == "permitted"


SITUATIONS = [
    ({"cover": False}, "no-cover"),
    ({"contact": None}, "no-treatment-relation"),
    ({"contact_started": "+1h"}, "no-treatment-relation"),
    ({"contact_started": "-74h", "contact_ended": "-73h"}, "no-treatment-relation"),
    ({"contact_started": "-74h", "contact_ended": "-71h"}, ""),
    ({"role": "01.008"}, "barred-profession"),
    ({"role": "17.075"}, "no-mandate"),
    ({"role": "83.000", "mandate": "01.015"}, ""),
    ({"role": "83.000", "mandate": "01.015", "mandate_until": "-1m"}, "no-mandate"),
    ({"role": "99.000"}, "unknown-party"),
    ({"capacity": "incapable", "verbal": "patient"}, "contradiction"),
    ({"verbal": "patient", "verbal_at": "-80h"}, "bad-attestation"),
    ({"claims": {"cover": None}}, "no-cover"),
]


@pytest.mark.parametrize(("situation", "code"), SITUATIONS)
def test_a_situation_is_said_in_words(country: Switchpoint, situation: dict, code: str) -> None:
    _, _, anna, post = usual(country)
    post.ask("gp-summary", anna, **situation).expect(code=code, status=403 if code else 200)


def test_a_word_that_is_none_is_told_with_the_nearest(country: Switchpoint) -> None:
    _, _, anna, post = usual(country)
    with pytest.raises(TypeError, match="'contact_stared' is no word of a situation; did you mean contact_started"):
        post.ask("gp-summary", anna, contact_stared="-5m")


def test_a_token_about_somebody_else(country: Switchpoint) -> None:
    gp, _, anna, post = usual(country)
    other = country.patient(gp=gp)
    post.ask("gp-summary", anna, token_patient=other).expect(status=403, code="token-patient-mismatch")


def test_a_number_that_is_none_gets_no_token(country: Switchpoint) -> None:
    post = country.gp_post()
    answer = post.ask("gp-summary", country.patient(bsn="999900007"))
    answer.expect(status=0, code="invalid_request", outcome="refused")
    assert answer.misses == ("the BSN fails the eleven-test",)


def test_a_plain_client_speaks_with_the_systems_certificate(country: Switchpoint) -> None:
    _, _, anna, post = usual(country)
    with post.http() as http:
        assert http.get("/fhir/metadata").json()["resourceType"] == "CapabilityStatement"
        token = post.token(anna)
        form = {"composition.patient.identifier": f"http://fhir.nl/fhir/NamingSystem/bsn|{anna.bsn}"}
        form["composition.type"] = "http://loinc.org|60591-5"
        headers = {"Authorization": f"Bearer {token}"}
        assert http.post("/fhir/Bundle/_search", data=form, headers=headers).json()["total"] == 1


# --- patients and their word -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("consents", ["none", "objected"])
def test_who_chose_nothing_or_no_is_not_found(country: Switchpoint, consents: str) -> None:
    gp, post = country.gp_practice(), country.gp_post()
    bea = country.patient("bea", gp=gp, consents=consents)
    post.ask("gp-summary", bea).expect(status=200, total=0, completeness="complete", outcome="neutral")
    assert gp.entries(bea) == ["enrolment"]
    assert "entry-refused" not in country.journal.events()


def test_choices_are_as_narrow_as_they_are_made(country: Switchpoint) -> None:
    gp, post, hospital = country.gp_practice(), country.gp_post(), country.emergency_department()
    country.regime.on("EMERGENCY_AVAILABLE")
    cas = country.patient("cas", gp=gp, consents=[yes(), no(to="hospital", categories=["gp-summary"])])
    post.ask("gp-summary", cas).expect(total=1)
    hospital.ask("gp-summary", cas).expect(total=0, reason="objection")
    hospital.ask("treatment-limits", cas).expect(outcome="permitted")
    dan = country.patient("dan", gp=gp, consents=[yes(to=post)])
    post.ask("gp-summary", dan).expect(total=1)
    hospital.ask("gp-summary", dan).expect(total=0)


def test_yes_withdrawal_and_yes_again(country: Switchpoint) -> None:
    gp, _, anna, post = usual(country)
    anna.withdraw(gp)
    post.ask("gp-summary", anna).expect(total=0)
    assert gp.entries(anna) == ["enrolment"]
    anna.yes(gp)
    post.ask("gp-summary", anna).expect(total=1)
    anna.withdraw(gp)
    anna.yes(gp)
    post.ask("gp-summary", anna).expect(total=1)
    anna.no()
    post.ask("gp-summary", anna).expect(total=0)
    post.ask("medication", anna).expect(total=0)


def test_a_yes_need_not_be_followed_by_a_registration(country: Switchpoint) -> None:
    gp, post = country.gp_practice(), country.gp_post()
    bea = country.patient("bea", gp=gp, consents="none")
    bea.yes(gp, register=False)
    post.ask("gp-summary", bea).expect(total=0)
    assert gp.register(bea, "gp-summary").status == 201
    post.ask("gp-summary", bea).expect(total=1)
    assert gp.end(bea, "gp-summary").status < 300
    post.ask("gp-summary", bea).expect(total=0)
    with pytest.raises(LookupError):
        gp.end(bea, "gp-summary")


def test_a_child_cannot_say_yes_alone_and_with_a_parent_she_can(country: Switchpoint) -> None:
    gp = country.gp_practice()
    with pytest.raises(NotTaken, match="422 not-entitled"):
        country.patient("eef", gp=gp, born=14)
    fem = country.patient("fem", gp=gp, born=14, consents=[yes(by=("patient", "parent"))])
    assert fem.born.year == 2012
    country.gp_post().ask("gp-summary", fem).expect(total=1)
    assert country.patient("gijs", gp=gp, born=date(1980, 2, 29)).born == date(1980, 2, 29)


def test_a_latent_patient_is_asked_first_and_silent_when_the_crisis_is_over(country: Switchpoint) -> None:
    gp, post = country.gp_practice(), country.gp_post()
    with pytest.raises(NotTaken, match="not-authorised"):
        country.patient("henk", gp=gp, consents="none", latent=True)
    country.regime.on("CRISIS_OPT_IN", until="+1d")
    iris = country.patient("iris", gp=gp, consents="none", latent=True)
    post.ask("gp-summary", iris).expect(status=403, code="verbal-consent-required")
    post.ask("gp-summary", iris, verbal="patient").expect(total=1, row="CRI-1", flags=["verbal-consent"])
    assert [item.parts[0].basis for item in iris.notices] == ["verbal-consent"]
    country.wait(days=1)
    post.ask("gp-summary", iris, verbal="patient").expect(total=0, reason="silent-entry")


def test_her_page_lists_who_looked(country: Switchpoint) -> None:
    _, _, anna, post = usual(country)
    post.ask("gp-summary", anna)
    newest = anna.log[0]
    assert (newest.did, newest.parts[0].row) == ("query-saw", "REG-1")
    assert anna.log[0].did == "journal-read"


def test_a_bsn_prints_nowhere(country: Switchpoint) -> None:
    gp, pharmacy, anna, post = usual(country)
    answer = post.ask("gp-summary", anna, cover=False)
    sent = post.send_return(anna)
    everything = [gp, pharmacy, anna, post, answer, answer.why, sent, country.report(), *country.journal.all, anna.log]
    assert anna.bsn not in " ".join(f"{one!r} {one}" for one in everything)


# --- time ------------------------------------------------------------------------------------------------------------


def test_the_clock_is_set_moved_frozen_and_sped_up(country: Switchpoint) -> None:
    clock = country.clock
    assert clock.now.astimezone(DUTCH_TIME).isoformat(timespec="seconds") == "2026-11-21T23:40:00+01:00"
    clock.to("2023-03-31T23:59:59")
    assert clock.now == datetime(2023, 3, 31, 21, 59, 59, tzinfo=UTC)
    clock.forward(days=1, hours=2)
    assert clock.now == datetime(2023, 4, 1, 23, 59, 59, tzinfo=UTC)
    clock.to(datetime(2026, 1, 1, tzinfo=UTC))
    clock.freeze()
    country.gp_post().ask("gp-summary", country.patient())
    assert clock.now == datetime(2026, 1, 1, tzinfo=UTC)
    clock.speed(3600)
    country.wait(seconds=1)
    assert clock.now >= datetime(2026, 1, 1, 1, tzinfo=UTC)
    clock.run()


def test_a_country_begins_when_it_is_told_to() -> None:
    with open_country(start="2023-03-31T23:59:59") as country:
        assert country.clock.now == datetime(2023, 3, 31, 21, 59, 59, tzinfo=UTC)
        country.regime.on("CRISIS_OPT_IN", until="2023-04-01T00:00:00")
        assert "CRISIS_OPT_IN" in country.regime.active
        country.clock.forward(seconds=1)
        assert "CRISIS_OPT_IN" not in country.regime.active


def test_a_regime_that_is_none_is_told_with_the_nearest(country: Switchpoint) -> None:
    with pytest.raises(ValueError, match="did you mean CRISIS_OPT_IN"):
        country.regime.on("crisis_optin")


def test_eight_seconds_of_patience_pass_in_no_time(country: Switchpoint) -> None:
    gp, _, anna, post = usual(country)
    post.ask("gp-summary", anna)
    gp.faults.set("slow", seconds=30)
    started = time.monotonic()
    answer = post.ask("gp-summary", anna)
    took = time.monotonic() - started
    answer.expect(status=504, code="timed-out", outcome="failed")
    assert 7.8 < answer.elapsed < 8.1
    assert took < 1, "virtual time; 0.02 s on a quiet machine"
    assert post.ask("gp-summary", anna, wait=2).elapsed < 2.1


def test_the_same_seed_gives_the_same_story_and_another_another() -> None:
    def story(seed: int) -> tuple[str, list[bytes], list[str]]:
        with open_country(seed=seed) as country:
            gp, _, anna, post = usual(country)
            gp.faults.set("slow", seconds=1, spread="long-tail")
            answers = [post.ask("gp-summary", anna), post.ask("medication", anna)]
            gp.faults.set("down")
            post.send_return(anna)
            country.wait(hours=1)
            told = [f"{line.at.isoformat()} {line.chain} {line.fields}" for line in country.journal]
            bodies = [body for one in answers for body in (one.body, *(other.body for other in one.others))]
            return str(country.journal), bodies, told

    assert story(1) == story(1)
    assert story(1)[2] != story(2)[2]


def test_two_countries_at_once_know_nothing_of_each_other() -> None:
    with open_country() as one, open_country() as other:
        _, _, anna, post = usual(one)
        other_post = other.gp_post()
        stranger = other.patient(bsn=anna.bsn)
        one.regime.on("EMERGENCY_AVAILABLE")
        one.clock.to("2027-01-01T12:00")
        post.ask("gp-summary", anna).expect(total=1)
        other_post.ask("gp-summary", stranger).expect(total=0)
        assert other.regime.active == ("REGULAR",)
        assert other.clock.now.year == 2026
        assert one.journal.events().count("disclosed") == 1
        assert "disclosed" not in other.journal.events()


def test_a_withdrawal_while_the_question_is_under_way_drops_the_answer(country: Switchpoint) -> None:
    gp, _, anna, post = usual(country)
    gp.faults.set("slow", seconds=3)
    country.meanwhile(lambda: anna.withdraw(gp), seconds=1)
    answer = post.ask("gp-summary", anna)
    answer.expect(status=200, total=0, completeness="complete", outcome="neutral", reason="dropped-at-release")
    assert [line.resources for line in gp.log] == [1], "the source had answered"
    assert "she withdrew her yes" in answer.misses[0]
    answer.transcript.expect(["query-decided REG-1", "query-answered"])
    anna.yes(gp)
    post.ask("gp-summary", anna).expect(total=1)


# --- messages --------------------------------------------------------------------------------------------------------


def test_a_return_message_is_delivered_when_told_and_shows_in_the_next_summary(country: Switchpoint) -> None:
    gp, _, anna, post = usual(country)
    before = len(post.ask("gp-summary", anna).matches[0]["entry"])
    sent = post.send_return(anna)
    assert (sent.status, sent.state, country.outbox.states) == (202, "requested", {"waiting": 1})
    assert country.deliver() == 1
    sent.expect("completed")
    assert [(one["event"], one["sender"]) for one in gp.inbox] == [("return-message", post.ura)]
    assert len(post.ask("gp-summary", anna).matches[0]["entry"]) > before
    again = post.resend(sent)
    assert (again.status, again.task) == (202, sent.task)


def test_redelivery_becomes_due_while_time_passes(country: Switchpoint) -> None:
    gp, _, anna, post = usual(country)
    gp.faults.set("down")
    sent, begun = post.send_return(anna), country.clock.now
    country.wait(minutes=2)
    message = country.outbox.messages[0]
    assert message.attempts > 2
    assert (sent.state, message.state, message.recipient) == ("in-progress", "waiting", "gp-practice")
    gp.faults.clear()
    country.wait(minutes=5)
    sent.expect("completed")
    assert timedelta(minutes=7) <= country.clock.now - begun < timedelta(minutes=7, seconds=1)


def test_what_cannot_be_delivered_is_given_up_and_its_sender_is_told(country: Switchpoint) -> None:
    gp, _, anna, post = usual(country)
    gp.faults.set("down")
    sent = post.send_return(anna)
    country.wait(days=6)
    assert (sent.state, sent.reason) == ("failed", "expired")
    assert [one["event"] for one in post.inbox] == ["undeliverable"]
    with pytest.raises(AssertionError, match=r"the message is failed \(expired\), not completed"):
        sent.expect("completed")


def test_without_a_gp_of_record_it_is_parked_until_there_is_one(country: Switchpoint) -> None:
    gp, post = country.gp_practice(), country.gp_post()
    jan = country.patient("jan")
    sent = post.send_return(jan)
    country.deliver()
    assert (sent.state, sent.reason) == ("on-hold", "no-gp-of-record")
    gp.enrol(jan)
    country.deliver()
    sent.expect("completed")


def test_a_referral_reaches_the_hospital_and_a_report_the_practice(country: Switchpoint) -> None:
    gp, _, anna, _ = usual(country)
    hospital = country.emergency_department()
    referral = gp.refer(anna, hospital)
    country.deliver()
    referral.expect("completed")
    assert [one["event"] for one in hospital.inbox] == ["referral"]
    refused = hospital.send_return(anna, "L72")
    assert (refused.status, refused.code, refused.state) == (403, "not-authorised", "")
    country.regime.on("EMERGENCY_AVAILABLE")
    hospital.send_return(anna, "L72")
    country.deliver()
    assert [one["event"] for one in gp.inbox] == ["return-message"]


# --- faults ----------------------------------------------------------------------------------------------------------


def test_a_fault_for_one_leg_one_patient_one_call_or_by_chance(country: Switchpoint) -> None:
    gp, pharmacy, anna, post = usual(country)
    bea = country.patient("bea", gp=gp)
    pharmacy.faults.set("error", leg="MedicationRequest")
    post.ask("medication", anna).expect(completeness="partial")
    gp.faults.set("refusing", patient=bea)
    post.ask("gp-summary", bea).expect(status=502, code="refused")
    post.ask("gp-summary", anna).expect(total=1)
    assert gp.faults.active[0]["patient"] == "bea"
    gp.faults.clear()
    post.ask("gp-summary", bea).expect(total=1)
    gp.faults.set("down")
    post.ask("gp-summary", bea).expect(status=502, code="unreachable")
    gp.faults.clear()
    gp.faults.set("refusing", call=2)
    assert [post.ask("gp-summary", anna).status for _ in range(3)] == [200, 502, 200]
    gp.faults.set("refusing", probability=0.5)
    came = [post.ask("gp-summary", anna).status for _ in range(12)]
    assert 0 < came.count(502) < 12
