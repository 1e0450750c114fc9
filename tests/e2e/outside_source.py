"""What would a system look like that nobody here wrote? A custodian's own little server and client.

Standard library, and `cryptography` to sign a token: it shares no code with the gateway nor with the simulated sources.
What it answers is written by hand, as it lies on the page.
"""

from __future__ import annotations

import base64
import http.client
import json
import ssl
import threading
import time
import uuid
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, utils

NAMES = "http://fhir.nl/fhir/NamingSystem/"
OURS = "https://switchpoint.example/fhir/"


@dataclass
class OutsideSource:
    """Answers `POST {base}/{Type}/_search` with `page` (status, media type, bytes), and writes down who asked what."""

    port: int
    page: tuple[int, str, bytes] = (200, "application/fhir+json", b"")
    asked: list[dict[str, Any]] = field(default_factory=list)
    _server: HTTPServer | None = None

    @property
    def endpoint(self) -> str:
        return f"https://127.0.0.1:{self.port}/r4/van-buiten"

    def start(self, folder: Path) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(folder / "client.pem", folder / "client.key")
        context.load_verify_locations(folder / "ca.pem")
        context.verify_mode = ssl.CERT_REQUIRED
        server = ThreadingHTTPServer(("127.0.0.1", self.port), _page_of(self))
        server.daemon_threads = True
        server.socket = context.wrap_socket(server.socket, server_side=True)
        self._server = server
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()


def _page_of(source: OutsideSource) -> type[BaseHTTPRequestHandler]:
    class Page(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
            claims = self.headers["Authorization"].split(".")[1]
            voucher = json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))
            seen = {"path": self.path, "form": form, "voucher": voucher, "chain": self.headers["AORTA-ID"]}
            source.asked.append(seen)
            status, media, body = source.page
            self.send_response(status)
            self.send_header("Content-Type", media)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """A test says nothing."""

    return Page


@dataclass
class OutsideClient:
    """What `switchpoint join` left in a folder, at work: one connection per call, JSON written by hand."""

    folder: Path

    @property
    def told(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.folder / "join.json").read_text("utf-8"))
        return found

    def call(self, method: str, url: str, body: bytes, headers: dict[str, str]) -> tuple[int, bytes]:
        where = urlsplit(url)
        tls = ssl.create_default_context(cafile=self.folder / "ca.pem")
        tls.load_cert_chain(self.folder / "client.pem", self.folder / "client.key")
        connection = http.client.HTTPSConnection(where.hostname or "", where.port, context=tls, timeout=10)
        try:
            connection.request(method, where.path, body, headers)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def token(self) -> str:
        told, now = self.told, int(time.time())
        claims = {
            "iss": told["application"], "sub": told["application"], "organisation": told["ura"],
            "aud": told["token_endpoint"], "iat": now, "exp": now + 60, "jti": str(uuid.uuid4()),
        }  # fmt: skip
        grant = "urn:ietf:params:oauth:grant-type:jwt-bearer"
        form = urlencode({"grant_type": grant, "assertion": self._signed(claims)}).encode()
        media = {"Content-Type": "application/x-www-form-urlencoded"}
        status, body = self.call("POST", told["token_endpoint"], form, media)
        assert status == 200, body
        return str(json.loads(body)["access_token"])

    def _signed(self, claims: dict[str, Any]) -> str:
        key = serialization.load_pem_private_key((self.folder / "client.key").read_bytes(), None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        text = ".".join(_encoded(json.dumps(part).encode()) for part in ({"alg": "ES256", "typ": "JWT"}, claims))
        r, s = utils.decode_dss_signature(key.sign(text.encode(), ec.ECDSA(hashes.SHA256())))
        return f"{text}.{_encoded(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"

    def create(self, kind: str, resource: str) -> tuple[int, bytes]:
        headers = {"Authorization": "Bearer " + self.token(), "Content-Type": "application/fhir+json"}
        return self.call("POST", f"{self.told['fhir']}/{kind}", resource.encode(), headers)


def _encoded(part: bytes) -> str:
    return base64.urlsafe_b64encode(part).rstrip(b"=").decode()


def consent(bsn: str, ura: str) -> str:
    return f"""{{ "resourceType": "Consent", "status": "active",
  "scope": {{"coding": [{{"code": "patient-privacy",
    "system": "http://terminology.hl7.org/CodeSystem/consentscope"}}]}},
  "category": [{{"coding": [{{"system": "http://loinc.org", "code": "59284-0"}}]}}],
  "policyRule": {{"coding": [{{"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "OPTIN"}}]}},
  "contained": [{{"resourceType": "Patient", "id": "p", "identifier": [{{"system": "{NAMES}bsn", "value": "{bsn}"}}]}}],
  "patient": {{"identifier": {{"system": "{NAMES}bsn", "value": "{bsn}"}}}},
  "performer": [{{"reference": "#p"}}],
  "organization": [{{"identifier": {{"system": "{NAMES}ura", "value": "{ura}"}}}}],
  "provision": {{"type": "permit"}} }}"""


def entry(bsn: str, ura: str, application: str, category: str, at: str) -> str:
    return f"""{{ "resourceType": "List", "status": "current", "mode": "working",
  "code": {{"coding": [{{"system": "{OURS}CodeSystem/data-category", "code": "{category}"}}]}},
  "subject": {{"identifier": {{"system": "{NAMES}bsn", "value": "{bsn}"}}}},
  "source": {{"reference": "#s"}}, "date": "{at}",
  "contained": [{{"resourceType": "Device", "id": "s",
    "identifier": [{{"system": "{NAMES}aorta-app-id", "value": "{application}"}}],
    "owner": {{"identifier": {{"system": "{NAMES}ura", "value": "{ura}"}}}}}}],
  "emptyReason": {{"coding": [{{"system": "http://terminology.hl7.org/CodeSystem/list-empty-reason",
    "code": "withheld"}}]}} }}"""
