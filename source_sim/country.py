"""Which organisations take part in the simulated country? Marked test organisations, each with one system."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Participant:
    """An organisation and its one system. `key` is what scenarios call it; `serves`: it has an endpoint of its own."""

    key: str
    ura: str
    application: str
    organisation_type: str
    name: str
    departments: tuple[str, ...] = ()
    serves: bool = False


GATEWAY = Participant("gateway", "90000001", "400001", "", "Test Switchpoint")
"""The gateway's own certificate; it is not a participant, it is who participants talk to."""

GP = Participant("gp-practice", "90000101", "400101", "Z3", "Test Huisarts De Linde", serves=True)
SECOND_GP = Participant("second-gp-practice", "90000102", "400102", "Z3", "Test Huisarts De Beuk", serves=True)
PHARMACY = Participant("pharmacy", "90000201", "400201", "J8", "Test Apotheek Zuid", serves=True)
SECOND_PHARMACY = Participant("second-pharmacy", "90000202", "400202", "J8", "Test Apotheek Noord", serves=True)
GP_POST = Participant("gp-post", "90000301", "400301", "N6", "Test Huisartsenpost Stad")
HOSPITAL = Participant("emergency-department", "90000401", "400401", "V4", "Test Ziekenhuis Oost", ("SEH",))
AMBULANCE = Participant("ambulance", "90000501", "400501", "AMB", "Test Ambulancedienst Midden")
COVERING_PHARMACY = Participant("covering-pharmacy", "90000203", "400203", "J8", "Test Dienstapotheek Stad")

PARTICIPANTS = (GP, SECOND_GP, PHARMACY, SECOND_PHARMACY, GP_POST, HOSPITAL, AMBULANCE, COVERING_PHARMACY)
SOURCES = tuple(one for one in PARTICIPANTS if one.serves)

RECEIVERS = (GP_POST, HOSPITAL, AMBULANCE)
"""Who holds no records for the exchange, and can have an endpoint for messages: referrals, and what came back."""

KINDS = {"Z3": "gp-practice", "J8": "pharmacy", "N6": "gp-post", "V4": "hospital", "AMB": "ambulance"}
"""What kind of system an organisation of this type runs: `kind` in the configuration of serving.py."""

REQUESTERS = {
    "gp-post": GP_POST,
    "emergency-department": HOSPITAL,
    "specialist": HOSPITAL,
    "ambulance": AMBULANCE,
    "covering-pharmacy": COVERING_PHARMACY,
}
"""Which organisation each persona of a requester works for."""
