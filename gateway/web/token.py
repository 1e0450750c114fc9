"""How does a system get a token? `POST /token` (RFC 7523), its metadata and keys, and the OpenAPI document of it all:
the FastAPI part of the exchange.

Checks envelope and organisation only; the rules are asked per call (interface.md section 3).
"""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl

from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import JSONResponse

from gateway.fhir.openapi import openapi
from gateway.flows.grant import grant_once, note_refusal
from gateway.identity.assertion import Assertion, Refused, read_assertion, trusted_signer
from gateway.identity.certificate import Certificate
from gateway.identity.party import organisation_behind, requester_from
from gateway.rules.exchange import AortaId, Requester
from gateway.rules.journal import Event, Json
from gateway.stores.index import IndexUnavailable
from gateway.stores.ledger import LedgerUnavailable
from gateway.web.problems import Problem
from gateway.web.site import Site, certificate_of

GRANT_TYPE = "urn:ietf:params:oauth:grant-type:jwt-bearer"


def token_app(site: Site) -> FastAPI:
    """The token endpoint, its metadata (RFC 8414) and keys (RFC 7517)."""
    app = FastAPI(title="switchpoint token service", docs_url=None, redoc_url=None, openapi_url=None)

    @app.post("/token")
    async def token(request: Request) -> JSONResponse:
        try:
            return await _grant(site, request)
        except Refused as refused:
            return _error(refused.error, refused.why, refused.status)
        except Problem as problem:
            error = "temporarily_unavailable" if problem.status == 503 else "invalid_client"
            return _error(error, problem.sentence, 503 if problem.status == 503 else 401)
        except (LedgerUnavailable, IndexUnavailable):
            return _error("temporarily_unavailable", "The exchange cannot write its journal now.", 503)

    @app.get("/.well-known/oauth-authorization-server")
    async def metadata(request: Request) -> dict[str, Any]:
        await _let_in(site, request)
        return {
            "issuer": site.base,
            "token_endpoint": site.token_endpoint,
            "jwks_uri": site.base + "/.well-known/jwks.json",
            "grant_types_supported": [GRANT_TYPE],
            "token_endpoint_auth_methods_supported": ["tls_client_auth"],
            "token_endpoint_auth_signing_alg_values_supported": ["ES256", "PS256", "EdDSA"],
            "tls_client_certificate_bound_access_tokens": True,
            "response_types_supported": [],
        }

    @app.get("/.well-known/jwks.json")
    async def jwks(request: Request) -> dict[str, Any]:
        await _let_in(site, request)
        return site.signing.jwks()

    @app.get("/openapi.json")
    async def described(request: Request) -> dict[str, Any]:
        await _let_in(site, request)
        return openapi(url=site.fhir_base, version=site.version, simulation=site.simulation)

    return app


async def _let_in(site: Site, request: Request) -> None:
    """Also what anybody may know is told only to certificates in good standing."""
    try:
        await certificate_of(site, request.scope)
    except Problem as problem:
        raise HTTPException(problem.status, problem.sentence) from problem


def _error(error: str, why: str, status: int) -> JSONResponse:
    headers = {"Cache-Control": "no-store"}
    if status == 503:
        headers["Retry-After"] = "1"
    if status == 401:
        headers["WWW-Authenticate"] = 'Bearer error="invalid_client"'
    return JSONResponse({"error": error, "error_description": why}, status, headers)


async def _grant(site: Site, request: Request) -> JSONResponse:
    certificate = await certificate_of(site, request.scope)
    aorta = AortaId(site.means.new_id(), site.means.new_id())
    try:
        assertion = await _assertion(site, request, certificate)
        requester = await _requester(site, certificate, assertion)
    except Refused as refused:
        fields: dict[str, Json] = {"error": refused.error, "why": refused.why, "certificate": certificate.serial}
        await note_refusal(site.means, certificate.ura, aorta, Event.TOKEN_REFUSED, fields)
        raise
    first = await grant_once(
        site.means,
        requester,
        assertion.claims.patient,
        aorta,
        jti=assertion.jti,
        expires=assertion.expires,
        certificate=certificate.serial,
    )
    if not first:
        raise Refused("invalid_grant", "the assertion was used before (jti)")
    access = site.signing.access_token(
        assertion.raw, certificate, issuer=site.base, wall=site.means.live.wall(), seconds=site.token_seconds
    )
    body = {"access_token": access, "token_type": "Bearer", "expires_in": site.token_seconds}
    return JSONResponse(body, headers={"Cache-Control": "no-store", "Pragma": "no-cache"})


async def _assertion(site: Site, request: Request, certificate: Certificate) -> Assertion:
    form = await _form(request)
    if "grant_type" not in form or "assertion" not in form:
        raise Refused("invalid_request", "grant_type and assertion are needed, once each")
    if form["grant_type"] != GRANT_TYPE:
        raise Refused("unsupported_grant_type", f"only {GRANT_TYPE}")
    wall, network = site.means.live.wall(), await site.means.live.network()

    def in_good_standing(signer: Certificate) -> bool:
        return signer.serial not in network.revoked and site.in_good_standing(signer)

    trusted = trusted_signer(lambda der: site.authority.vouches_for(der, wall), in_good_standing)
    return read_assertion(form["assertion"], certificate, audience=site.token_endpoint, wall=wall, trusted=trusted)


async def _form(request: Request) -> dict[str, str]:
    media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media != "application/x-www-form-urlencoded":
        raise Refused("invalid_request", "the body must be application/x-www-form-urlencoded")
    try:
        pairs = parse_qsl((await request.body()).decode("ascii"), strict_parsing=True, max_num_fields=20)
    except (UnicodeDecodeError, ValueError) as wrong:
        raise Refused("invalid_request", "the form cannot be read") from wrong
    if len({name for name, _ in pairs}) != len(pairs):
        raise Refused("invalid_request", "a parameter is repeated")
    return dict(pairs)


async def _requester(site: Site, certificate: Certificate, assertion: Assertion) -> Requester:
    network = await site.means.live.network()
    if organisation_behind(network, certificate, assertion.claims.application) is None:
        raise Refused("invalid_client", "the application is not a registered system of this certificate", 401)
    return requester_from(network, certificate, assertion.claims, in_good_standing=True)
