"""How does the GP hear of it? The second half of the story: return messages, notices, and what stands in their way.

The practice's system is down when the post reports back; what was accepted arrives once, and shows in the next summary.
"""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from gateway.cli.ask import PERSONAS
from gateway.cli.send_return import follow, reason_of
from source_sim import cases, country, messages, population, senders
from source_sim.custodians import Choice
from source_sim.messages import Occasion
from source_sim.requesters import Ask, Reply

if TYPE_CHECKING:
    from gateway.cli.story import Story

_PATIENCE = 25.0
"""Seconds: the first retries are within thirty of each other, and the practice is down for a moment only."""
ENROLLED = ("undecided", "latent", "objected")


async def enrol(story: Story) -> None:
    """The practice registers which patients are its own: no consent is needed, for nothing can be read by it."""
    since = (await story.now() - timedelta(days=900)).date()
    for bsn in (story.cast.main, *(story.cast.others[key] for key in ENROLLED)):
        reply = await story.custodian(country.GP).enrol(bsn, since)
        story.expect(reply.status in (200, 201), f"the practice could not enrol: {reply.status} {reply.sentence}")


async def report_back(story: Story) -> None:
    """Accepted while the practice is down, delivered when it is back, taken once, and in the next summary."""
    bsn, post = story.cast.main, story.systems[country.GP_POST.key]
    await story.fault(country.GP, "down")
    message = await _composed(story, bsn)
    first = await _send(story, message)
    story.expect(first.status == 202, f"the message was not accepted: {first.status} {first.sentence}")
    task = senders.task_of(first)
    await asyncio.sleep(1.0)
    early = (await senders.read_task(post, task)).json.get("status")
    story.expect(early == "in-progress", f"with the practice down the Task is {early}")
    story.say(f"202, accepted and kept sealed. The practice does not answer yet: {early}.")
    again = await _send(story, message)
    story.expect(senders.task_of(again) == task, "sent again, it became another message")
    await story.mend(country.GP)
    told = await follow(post, task, _PATIENCE)
    story.expect(told.get("status") == "completed", f"it ended {told.get('status')} {reason_of(told)}")
    kept = [one for one in await _inbox(story) if one["id"] == _id_of(message)]
    story.expect(len(kept) == 1 and kept[0]["repeats"] == 0, f"the practice has it {len(kept)} times")
    story.say("The practice is back: delivered, and taken once though the post sent it twice.")
    summary = await story.ask("gp-post", Ask.GP_SUMMARY, bsn)
    complaint = cases.CYSTITIS.complaint
    seen = complaint.name.encode() in summary.body
    story.expect(summary.status == 200 and seen, "the next summary does not show the visit")
    story.say(f"The next summary shows the visit: {complaint.icpc} {complaint.name.lower()}.")


async def without_choice(story: Story) -> None:
    """A return message needs no consent; an objection that names return messages bars it."""
    undecided, post = story.cast.others["undecided"], story.systems[country.GP_POST.key]
    sent = await _send(story, await _composed(story, undecided))
    told = await follow(post, senders.task_of(sent), _PATIENCE)
    story.expect(told.get("status") == "completed", f"for a patient who never chose: {sent.status}, {told}")
    story.say("For a patient who never chose: delivered. Her own GP's record stays whole.")
    bsn = story.cast.others["objected"]
    choice = Choice(permit=False, custodian=country.GP.ura, categories=("return-message",))
    taken = await story.custodian(country.GP).state_consent(bsn, choice)
    story.expect(taken.status == 201, f"the objection was not taken: {taken.status} {taken.sentence}")
    barred = await _send(story, await _composed(story, bsn))
    story.expect((barred.status, barred.code) == (403, "objection"), f"{barred.status} {barred.code}")
    story.say(f"For one who objects to just that: 403 {barred.code}. {barred.sentence}")


async def notices(story: Story) -> None:
    """The GP of record was told of what was fetched on verbal and on presumed consent."""
    wanted = 2
    for _ in range(50):
        told = [one for one in await _inbox(story) if one["event"] == "disclosure-notice"]
        if len(told) >= wanted:
            break
        await asyncio.sleep(0.2)
    story.expect(len(told) == wanted, f"the GP got {len(told)} notices")
    story.say("Her GP has a notice for each: fetched on verbal consent at night, on presumed consent after.")


async def _composed(story: Story, bsn: str) -> bytes:
    now = await story.now()
    person = population.person(bsn, now.date())
    return messages.return_message(
        Occasion(str(uuid4()), now, person, country.GP_POST, PERSONAS["gp-post"], cases.CYSTITIS)
    )


async def _send(story: Story, message: bytes) -> Reply:
    return await senders.send(story.systems[country.GP_POST.key], message, PERSONAS["gp-post"](await story.now()))


def _id_of(message: bytes) -> str:
    return str(json.loads(message)["entry"][0]["resource"]["id"])


async def _inbox(story: Story) -> list[dict[str, Any]]:
    reply = await story.control.get(f"/systems/{country.GP.ura}/inbox")
    found: list[dict[str, Any]] = reply.raise_for_status().json()["inbox"]
    return found
