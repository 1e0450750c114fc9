"""How does a system get a token, and who gets none? RFC 7523, 6749 and 8414, and the door before every page."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from exchange_made import FORM, GRANT, US, Exchange, Member
from joserfc import jwk, jwt

from gateway.flows import operating
from gateway.rules.journal import Event
from source_sim.pki import Flaw, Pki


async def _refused(exchange: Exchange) -> list[str]:
    lines = [line for line in await exchange.journal() if line.event is Event.TOKEN_REFUSED]
    return [str(line.fields["error"]) for line in lines]


async def test_a_token_and_what_comes_with_it(exchange: Exchange, members: SimpleNamespace) -> None:
    form = {"grant_type": GRANT, "assertion": exchange.assertion(members.practice, patient=US)}
    reply = await exchange.post_token(members.practice, form)
    assert reply.status == 200
    assert set(reply.json) == {"access_token", "token_type", "expires_in"}
    assert (reply.json["token_type"], reply.json["expires_in"]) == ("Bearer", 60)
    assert reply.headers["cache-control"] == "no-store"
    keys = await exchange.send("GET", "/.well-known/jwks.json", by=members.practice)
    claims = jwt.decode(reply.json["access_token"], jwk.ECKey.import_key(keys.json["keys"][0])).claims
    assert claims["cnf"] == {"x5t#S256": jwk_thumbprint(members.practice)}
    assert claims["patient"] == US
    (line,) = await exchange.journal()
    assert line.event is Event.TOKEN_ISSUED
    assert line.patient == exchange.gateway.means.keys.patient(exchange_bsn())


def jwk_thumbprint(member: Member) -> str:
    from gateway.identity.certificate import thumbprint

    return thumbprint(member.der)


def exchange_bsn() -> Any:
    from gateway.rules.identifiers import Bsn

    return Bsn(US)


def _form(exchange: Exchange, members: Any, **claims: Any) -> dict[str, str]:
    return {"grant_type": GRANT, "assertion": exchange.assertion(members.practice, **claims)}


FORMS: dict[str, tuple[Any, str, str, int]] = {
    "nothing": (b"", FORM, "invalid_request", 400),
    "no assertion": ({"grant_type": GRANT}, FORM, "invalid_request", 400),
    "no grant type": ({"assertion": "x"}, FORM, "invalid_request", 400),
    "another grant type": (
        {"grant_type": "client_credentials", "assertion": "x"}, FORM, "unsupported_grant_type", 400),
    "a repeated parameter": (b"grant_type=a&grant_type=a&assertion=b", FORM, "invalid_request", 400),
    "not a form": (b"{}", "application/json", "invalid_request", 400),
    "bytes that are no text": (b"\xff=\xff", FORM, "invalid_request", 400),
    "an assertion of nothing": ({"grant_type": GRANT, "assertion": "x"}, FORM, "invalid_grant", 400),
}  # fmt: skip


@pytest.mark.parametrize("case", FORMS)
async def test_a_malformed_request(exchange: Exchange, members: SimpleNamespace, case: str) -> None:
    form, content_type, error, status = FORMS[case]
    reply = await exchange.post_token(members.practice, form, content_type)
    assert (reply.status, reply.json["error"]) == (status, error)
    assert reply.json["error_description"]
    assert reply.headers["cache-control"] == "no-store"
    assert await _refused(exchange) == [error]


CLAIMS: dict[str, tuple[dict[str, Any], str, int]] = {
    "another organisation": ({"organisation": "90000102"}, "invalid_client", 401),
    "another's application": ({"iss": "102", "sub": "102"}, "invalid_client", 401),
    "an application nobody has": ({"iss": "999", "sub": "999"}, "invalid_client", 401),
    "no jti": ({"jti": None}, "invalid_request", 400),
    "another audience": ({"aud": "https://elsewhere.test/token"}, "invalid_grant", 400),
    "a purpose unheard of": ({"purpose": "HMARKT"}, "invalid_request", 400),
}


@pytest.mark.parametrize("case", CLAIMS)
async def test_an_assertion_that_gets_no_token(exchange: Exchange, members: SimpleNamespace, case: str) -> None:
    claims, error, status = CLAIMS[case]
    reply = await exchange.post_token(members.practice, _form(exchange, members, **claims))
    assert (reply.status, reply.json["error"]) == (status, error)
    assert ("www-authenticate" in reply.headers) == (status == 401)
    assert await _refused(exchange) == [error]


async def test_an_assertion_is_spent_once(exchange: Exchange, members: SimpleNamespace) -> None:
    form = _form(exchange, members)
    replies = [await exchange.post_token(members.practice, form) for _ in range(2)]
    assert [reply.status for reply in replies] == [200, 400]
    assert replies[1].json["error"] == "invalid_grant"


async def test_a_jti_nobody_can_write_down_is_refused(exchange: Exchange, members: SimpleNamespace) -> None:
    def b64(part: bytes) -> str:
        return base64.urlsafe_b64encode(part).rstrip(b"=").decode()

    now = int(datetime.now(UTC).timestamp())
    envelope = {"iss": "101", "sub": "101", "aud": exchange.gateway.site.token_endpoint, "organisation": "90000101"}
    said = {**envelope, "iat": now, "exp": now + 60, "jti": "\ud800"}
    text = ".".join(b64(json.dumps(part).encode()) for part in ({"alg": "ES256"}, said))
    r, s = decode_dss_signature(members.practice.key.private_key.sign(text.encode(), ec.ECDSA(hashes.SHA256())))
    signature = b64(r.to_bytes(32, "big") + s.to_bytes(32, "big"))
    reply = await exchange.post_token(members.practice, {"grant_type": GRANT, "assertion": f"{text}.{signature}"})
    assert (reply.status, reply.json["error"]) == (400, "invalid_request")


async def test_another_connection_gets_no_token_for_it(exchange: Exchange, members: SimpleNamespace) -> None:
    reply = await exchange.post_token(members.practice_2, _form(exchange, members))
    assert (reply.status, reply.json["error"]) == (400, "invalid_grant")


async def test_the_metadata_says_where_and_how(exchange: Exchange, members: SimpleNamespace) -> None:
    reply = await exchange.send("GET", "/.well-known/oauth-authorization-server", by=members.post)
    assert reply.status == 200
    assert reply.json["token_endpoint"] == "https://exchange.test/token"
    assert reply.json["grant_types_supported"] == [GRANT]
    assert reply.json["tls_client_certificate_bound_access_tokens"] is True


@pytest.mark.parametrize("path", ["/token", "/.well-known/jwks.json", "/.well-known/oauth-authorization-server"])
async def test_a_method_not_offered(exchange: Exchange, members: SimpleNamespace, path: str) -> None:
    assert (await exchange.send("PUT", path, by=members.post)).status == 405


# --- who is let in at all --------------------------------------------------------------------------------------------

PAGES = (
    ("GET", "/fhir/metadata"),
    ("GET", "/fhir/Organization"),
    ("GET", "/.well-known/jwks.json"),
    ("GET", "/.well-known/oauth-authorization-server"),
    ("POST", "/token"),
    ("POST", "/fhir/Bundle/_search"),
    ("DELETE", "/fhir/List/x"),
    ("GET", "/fhir/nothing"),
    ("GET", "/docs"),
    ("GET", "/metrics"),
    ("GET", "/"),
)


async def _closed(exchange: Exchange, **caller: Any) -> set[int]:
    return {(await exchange.send(method, path, **caller)).status for method, path in PAGES}


async def test_no_page_opens_without_a_certificate_of_a_member(
    exchange: Exchange, members: SimpleNamespace, authority: Pki
) -> None:
    assert await _closed(exchange) == {401}
    assert await _closed(exchange, der=b"nothing") <= {401, 403}
    for stranger in (
        Member(authority, "90000777", "N6"),
        Member(authority, members.post.ura, "N6", flaw=Flaw.REVOKED),
    ):
        assert await _closed(exchange, by=stranger) <= {401, 403}
    assert [line.event for line in await exchange.journal() if line.event is Event.TOKEN_ISSUED] == []


async def test_a_revocation_by_the_exchange_bites_on_the_next_request(
    exchange: Exchange, members: SimpleNamespace
) -> None:
    token = await exchange.doctor(members.post)
    assert (await exchange.call("GET", "/metadata", by=members.post, token=token)).status == 200
    await operating.revoke(exchange.gateway.means, members.post.serial, by="operator", reason="test")
    assert await _closed(exchange, by=members.post) <= {401, 403}
    assert await _closed(exchange, by=members.practice) > {200}


async def test_a_signing_certificate_the_exchange_revoked_signs_nothing(
    exchange: Exchange, members: SimpleNamespace, authority: Pki
) -> None:
    signer = Member(authority, members.practice.ura, "Z3")
    await operating.revoke(exchange.gateway.means, signer.serial, by="operator", reason="test")
    now = int(datetime.now(UTC).timestamp())
    claims = {
        "iss": "101", "sub": "101", "aud": exchange.gateway.site.token_endpoint, "iat": now, "exp": now + 60,
        "jti": "j", "organisation": members.practice.ura,
    }  # fmt: skip
    header = {"alg": "ES256", "x5c": [base64.b64encode(signer.der).decode()]}
    form = {"grant_type": GRANT, "assertion": jwt.encode(header, claims, signer.key)}
    assert (await exchange.post_token(members.practice, form)).status == 400


async def test_a_revocation_list_that_is_gone_lets_nobody_in(
    exchange: Exchange, members: SimpleNamespace, authority: Pki
) -> None:
    from dataclasses import replace

    from exchange_made import Exchange as Made

    from gateway.stores.revocation import RevocationList

    nowhere = RevocationList(authority.directory / "no-such.pem", authority.directory / "ca.pem")
    closed = Made(replace(exchange.gateway, site=replace(exchange.gateway.site, revocation=nowhere)))
    assert await _closed(closed, by=members.post) == {503}
    reply = await closed.call("GET", "/metadata", by=members.post)
    assert (reply.code, reply.headers.get("aorta-id") is not None) == ("revocation-unknown", True)
