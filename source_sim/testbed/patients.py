"""What does a patient say and see in a country of the testbed? Yes and no at a custodian or on her page, and her log.

A BSN never prints. Knows the interface and the patient's page; judges nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any

from gateway.flows.consent import state_choice
from gateway.flows.patient_items import Item
from gateway.flows.patient_page import Wanted, who_looked
from gateway.rules import choice as rules
from gateway.rules.exchange import AortaId, Category
from gateway.rules.identifiers import Bsn
from gateway.rules.people import PatientSits
from source_sim.custodians import Choice
from source_sim.population import Person
from source_sim.testbed.custodians import Custodian, NotTaken
from source_sim.testbed.world import NotOurs, World

_PAGE = 200


def yes(
    custodian: Custodian | None = None,
    *,
    categories: Collection[str] = (),
    to: Collection[Any] | Any = (),
    emergency_only: bool = False,
    by: Sequence[str] = ("patient",),
) -> Choice:
    """A yes, for `patient(consents=[...])`: at this custodian, or at each of hers. `to` holds requester groups
    (`gp-care`, `pharmacy`, `hospital`, `ambulance`) and requesters; empty means all."""
    ura = custodian.ura if custodian is not None else None
    return Choice(True, ura, _listed(categories), _requesters(to), emergency_only, by=tuple(by))


def no(
    custodian: Custodian | None = None,
    *,
    categories: Collection[str] = (),
    to: Collection[Any] | Any = (),
    emergency_only: bool = False,
    by: Sequence[str] = ("patient",),
) -> Choice:
    """An objection, for `patient(consents=[...])`."""
    said = yes(custodian, categories=categories, to=to, emergency_only=emergency_only, by=by)
    return replace(said, permit=False)


def _listed(words: Collection[str]) -> tuple[str, ...]:
    return (words,) if isinstance(words, str) else tuple(words)


def _requesters(to: Any) -> tuple[str, ...]:
    several = to if isinstance(to, list | tuple | set | frozenset) else (to,)
    return tuple(str(getattr(one, "ura", one)) for one in several)


@dataclass(slots=True, eq=False)
class Patient:
    """A test person. `key` is what answers and expectations call her."""

    key: str
    person: Person = field(repr=False)
    custodians: tuple[Custodian, ...] = field(repr=False)
    world: World = field(repr=False)
    bsn: str = field(repr=False, default="")
    stays: bool = False
    """A sentinel of a running simulation, on whom others count: she says nothing new."""

    @property
    def name(self) -> str:
        return self.person.name

    @property
    def born(self) -> date:
        return self.person.birth_date

    def yes(self, custodian: Custodian | None = None, *, register: bool = True, **scope: Any) -> None:
        """Say yes: to this custodian, which then registers what that opens (unless `register` is False); without one,
        to all on her own page. Scope as for `yes`. Raises NotTaken."""
        self.say(yes(custodian, **scope), custodian)
        if custodian is not None and register:
            custodian.catch_up(self)

    def no(self, custodian: Custodian | None = None, **scope: Any) -> None:
        """Object: through this custodian, or to all on her own page."""
        self.say(no(custodian, **scope), custodian)

    def withdraw(self, custodian: Custodian | None = None, **scope: Any) -> None:
        """Take a yes back, which then counts as an objection: through this custodian, or all on her own page."""
        self.say(replace(yes(custodian, **scope), active=False), custodian)

    @property
    def log(self) -> list[Item]:
        """What her page lists, newest first. Looking is journaled, as it is on the page."""
        sitter = PatientSits(Bsn(self.bsn), born=self.born, name=self.name)
        page = self.world.run(who_looked(self.world.gateway.means, sitter, Wanted(), count=_PAGE))
        return list(page.items)

    @property
    def notices(self) -> tuple[Item, ...]:
        """The items of her log about disclosures on verbal or presumed consent, which her GP is told of, too."""
        return tuple(item for item in self.log if any(part.basis in _TOLD for part in item.parts))

    def say(self, choice: Choice, custodian: Custodian | None = None) -> None:
        """Make this choice: through the custodian, or on her own page. Raises NotTaken, NotOurs."""
        if self.stays:
            raise NotOurs(f"{self.key} stays as she is: sentinel(..., changing=True) gives somebody with the same past")
        if custodian is None:
            self.world.act(self._on_her_page(choice))
            return
        reply = custodian.state(self, replace(choice, birth_date=self.born))
        if reply.status != 201:
            raise NotTaken(f"{custodian.name} could not record what {self.key} said", reply)

    async def _on_her_page(self, choice: Choice) -> None:
        means, new_id = self.world.gateway.means, self.world.new_id
        await state_choice(means, self._stated(choice), aorta=AortaId(new_id(), new_id()), sender=None)

    def _stated(self, choice: Choice) -> rules.Choice:
        categories = frozenset(Category(one) for one in choice.categories) or None
        scope = rules.Scope(None, categories, frozenset(choice.requesters) or None, choice.emergency_only)
        said, taken_back = (rules.Say.YES, rules.Say.WITHDRAWN) if choice.permit else (rules.Say.NO, rules.Say.CLEARED)
        say = said if choice.active else taken_back
        by = frozenset(rules.Party(one) for one in choice.by)
        online = rules.Method.ONLINE
        return rules.Choice(Bsn(self.bsn), scope, say, None, by, method=online, birth_date=self.born)


_TOLD = frozenset({"verbal-consent", "presumed-consent"})
