"""How does a patient choose on her page? Forms to fill in, what it would change, saving; and what she is told by mail.

Every form is posted: what it would change is shown first, and saved only if nothing changed since it was shown.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Form, HTTPException, Request
from fastapi.responses import RedirectResponse, Response
from pydantic import BaseModel, Field, ValidationError

from gateway.flows import patient_choices, tell_me
from gateway.flows.patient_choices import Ended, Known, NoSuchWish, Preset, Preview, Wish
from gateway.flows.patient_items import Subject
from gateway.rules.choice import Say, Scope
from gateway.rules.effect import Onlooker
from gateway.rules.exchange import Category, Group
from gateway.rules.identifiers import InvalidIdentifier, Ura
from gateway.rules.people import PatientSits
from gateway.web.admission import require_patient
from gateway.web.pages import Desk
from gateway.web.patient import naming

Sits = Annotated[PatientSits, Depends(require_patient())]
CATEGORIES = (
    Category.GP_SUMMARY,
    Category.MEDICATION,
    Category.ALLERGIES,
    Category.TREATMENT_LIMITS,
    Category.RETURN_MESSAGE,
)
"""What a patient can name."""


class Filled(BaseModel):
    """What was filled in. `say` with the fields after it is a choice of her own; nothing ticked means all."""

    preset: Preset | None = None
    back: str = Field("", max_length=100)
    say: Say | None = None
    custodian: str = Field("", max_length=8)
    categories: list[Category] = Field([], max_length=10)
    groups: list[Group] = Field([], max_length=10)
    emergency: bool = False

    def wish(self) -> Wish:
        """What it comes down to. Raises NoSuchWish, InvalidIdentifier."""
        given = (self.preset is not None, bool(self.back), self.say is not None)
        if sum(given) != 1 or self.say not in (None, Say.YES, Say.NO):
            raise NoSuchWish
        if not set(self.categories) <= set(CATEGORIES):
            raise NoSuchWish
        return Wish(self.preset, self.back or None, self.say, self._scope())

    def _scope(self) -> Scope:
        return Scope(
            custodian=Ura(self.custodian) if self.custodian else None,
            categories=frozenset(self.categories) or None,
            requesters=frozenset(group.value for group in self.groups) or None,
            emergency_only=self.emergency,
        )


class Saving(Filled):
    """The same, after its effect was shown: `version` is of what it was shown for."""

    version: int


class Agreeing(BaseModel):
    """The second voice on a proposal."""

    id: str = Field(max_length=100)
    version: int


def router(desk: Desk) -> APIRouter:
    """`/mine/choices` with what is posted below it, and `/mine/notices`."""
    routes = APIRouter()
    _add_choices(routes, desk)
    _add_proposals(routes, desk)
    _add_notices(routes, desk)
    return routes


# --- choices ---------------------------------------------------------------------------------------------------------


def _add_choices(routes: APIRouter, desk: Desk) -> None:
    @routes.get("/mine/choices")
    async def show(request: Request, who: Sits, ended: Ended | None = None) -> Response:
        return _choices(desk, request, who, await patient_choices.known(desk.means, who), ended)

    @routes.post("/mine/choices/effect")
    async def foresee(request: Request, who: Sits, filled: Annotated[Filled, Form()]) -> Response:
        return await _effect(desk, request, who, filled)

    @routes.post("/mine/choices")
    async def save(request: Request, who: Sits, filled: Annotated[Saving, Form()]) -> Response:
        worded = Filled.model_validate(filled.model_dump(exclude={"version"})).model_dump_json()
        try:
            ended = await patient_choices.save(desk.means, who, filled.wish(), filled.version, worded=worded)
        except (NoSuchWish, InvalidIdentifier):
            return await _effect(desk, request, who, filled)
        if ended is Ended.CHANGED:
            return await _effect(desk, request, who, filled, changed=True)
        return RedirectResponse(f"/mine/choices?ended={ended}", HTTPStatus.SEE_OTHER)


def _choices(desk: Desk, request: Request, who: PatientSits, known: Known, ended: Ended | None) -> Response:
    return desk.pages.render(
        request,
        "patient_choices.html",
        known=known,
        standing=patient_choices.standing(known),
        proposals=[(one, _previewed(known, one.wish, who)) for one in known.waiting],
        onlookers=list(Onlooker),
        presets=list(Preset),
        categories=CATEGORIES,
        groups=list(Group),
        custodians=patient_choices.custodians(known),
        named=naming(known.network),
        needs=patient_choices.second_voice(who, known),
        ended=ended,
        party=who.party,
    )


async def _effect(desk: Desk, request: Request, who: PatientSits, filled: Filled, *, changed: bool = False) -> Response:
    known = await patient_choices.known(desk.means, who)
    try:
        preview = patient_choices.preview(known, filled.wish(), who)
    except (NoSuchWish, InvalidIdentifier) as wrong:
        raise HTTPException(HTTPStatus.BAD_REQUEST) from wrong
    return desk.pages.render(
        request,
        "patient_effect.html",
        status=HTTPStatus.CONFLICT if changed else HTTPStatus.OK,
        preview=preview,
        filled=filled,
        groups=list(Group),
        changed=changed,
        named=naming(known.network),
    )


# --- two who must agree ----------------------------------------------------------------------------------------------


def _add_proposals(routes: APIRouter, desk: Desk) -> None:
    @routes.post("/mine/choices/agree")
    async def agree(request: Request, who: Sits, given: Annotated[Agreeing, Form()]) -> Response:
        known = await patient_choices.known(desk.means, who)
        proposal = next((one for one in known.waiting if one.id == given.id), None)
        wish = _wish(proposal.wish) if proposal else None
        if proposal is None or wish is None:
            return _choices(desk, request, who, known, Ended.CHANGED)
        ended = await patient_choices.agree(desk.means, who, proposal, wish, given.version)
        return RedirectResponse(f"/mine/choices?ended={ended}", HTTPStatus.SEE_OTHER)

    @routes.post("/mine/choices/drop")
    async def drop(who: Sits, id: Annotated[str, Form(max_length=100)]) -> Response:
        await patient_choices.drop(desk.means, who, id)
        return RedirectResponse("/mine/choices", HTTPStatus.SEE_OTHER)


def _wish(worded: str) -> Wish | None:
    try:
        return Filled.model_validate_json(worded).wish()
    except (ValidationError, NoSuchWish, InvalidIdentifier):
        return None


def _previewed(known: Known, worded: str, who: PatientSits) -> Preview | None:
    """What a proposal would change now; None when it makes no sense any more."""
    wish = _wish(worded)
    try:
        return patient_choices.preview(known, wish, who) if wish else None
    except NoSuchWish:
        return None


# --- tell me ---------------------------------------------------------------------------------------------------------


def _add_notices(routes: APIRouter, desk: Desk) -> None:
    @routes.get("/mine/notices")
    async def show(request: Request, who: Sits, saved: bool = False) -> Response:
        wish, mails = await tell_me.told(desk.means, who)
        return desk.pages.render(
            request,
            "patient_notices.html",
            subjects=tell_me.TOLD_OF,
            wished=wish.subjects if wish else frozenset(),
            mails=mails,
            saved=saved,
        )

    @routes.post("/mine/notices")
    async def wish_for(who: Sits, subjects: Annotated[list[Subject] | None, Form(max_length=10)] = None) -> Response:
        asked = [subject for subject in subjects or [] if subject in tell_me.TOLD_OF]
        await tell_me.wish_for(desk.means, who, asked)
        return RedirectResponse("/mine/notices?saved=true", HTTPStatus.SEE_OTHER)
