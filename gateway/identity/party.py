"""Is this system a party on the network, now? Certificate and register joined; asked again at every release."""

from __future__ import annotations

from gateway.identity.certificate import Certificate
from gateway.identity.claims import Claims
from gateway.rules.exchange import Requester
from gateway.rules.identifiers import ApplicationId
from gateway.rules.network import Network, Organisation


def organisation_behind(network: Network, certificate: Certificate, application: ApplicationId) -> Organisation | None:
    """The registered organisation whose system this is, or None: unknown, another's system, or revoked here."""
    system = network.systems.get(application)
    if system is None or (system.ura, system.uzi) != (certificate.ura, certificate.uzi):
        return None
    if certificate.serial in network.revoked:
        return None
    return network.organisations.get(certificate.ura)


def requester_from(network: Network, certificate: Certificate, claims: Claims, *, in_good_standing: bool) -> Requester:
    """Who asks, by the register: a department counts only when the register knows it, too; an organisation that is not
    (or no longer) registered comes out revoked."""
    organisation = organisation_behind(network, certificate, claims.application)
    known = organisation is not None
    return Requester(
        ura=certificate.ura,
        name=organisation.name if organisation else "",
        organisation_type=organisation.organisation_type if organisation else "",
        application=claims.application,
        department=claims.department if organisation and claims.department in organisation.departments else None,
        actor=claims.actor,
        responsible=claims.responsible,
        revoked=not (known and in_good_standing),
    )
