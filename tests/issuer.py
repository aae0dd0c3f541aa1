"""An identity provider on this machine: OpenID Connect's code flow with PKCE over real HTTP, with real keys, and faults to order."""

import base64
import hashlib
import hmac
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import KeySet, RSAKey

CLIENT, SECRET = "gridfare", "a secret of two"


class Issuer:
    """Signs everybody in as Ada. `claims` change what it says, `key` what it signs with, `forge` makes tokens in another way."""

    def __init__(self, now: int) -> None:
        self.now = now
        self.claims: dict[str, Any] = {}
        self.published = self.key = RSAKey.generate_key(2048, {"kid": "one"})
        self.forge = lambda claims: jwt.encode({"alg": "RS256", "kid": "one"}, claims, self.key)
        self.asked: dict[str, dict[str, str]] = {}
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                parts = urlsplit(self.path)
                if parts.path == "/.well-known/openid-configuration":
                    self.say(outer.describes())
                elif parts.path == "/keys":
                    self.say(KeySet([outer.published]).as_dict(private=False))
                elif parts.path == "/authorize":
                    self.send_response(302)
                    self.send_header("location", outer.authorizes({name: value[0] for name, value in parse_qs(parts.query).items()}))
                    self.end_headers()

            def do_POST(self) -> None:
                sent = {name: value[0] for name, value in parse_qs(self.rfile.read(int(self.headers["content-length"])).decode()).items()}
                status, answer = outer.changes(sent, self.headers.get("authorization", ""))
                self.say(answer, status)

            def say(self, what: object, status: int = 200) -> None:
                self.send_response(status)
                self.send_header("content-type", "application/json")
                self.end_headers()
                self.wfile.write(json.dumps(what).encode())

            def log_message(self, *arguments: object) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def describes(self) -> dict[str, str]:
        return {
            "issuer": self.url,
            "authorization_endpoint": f"{self.url}/authorize",
            "token_endpoint": f"{self.url}/token",
            "jwks_uri": f"{self.url}/keys",
        }

    def authorizes(self, asked: dict[str, str]) -> str:
        assert (asked["response_type"], asked["client_id"], asked["code_challenge_method"]) == ("code", CLIENT, "S256")
        assert "openid" in asked["scope"].split()
        code = hashlib.sha256(asked["state"].encode()).hexdigest()
        self.asked[code] = asked
        return f"{asked['redirect_uri']}?{urlencode({'code': code, 'state': asked['state']})}"

    def changes(self, sent: dict[str, str], authorization: str) -> tuple[int, dict[str, Any]]:
        """A code for a token, once, for who made the challenge."""
        basic = "Basic " + base64.b64encode(f"{CLIENT}:{SECRET}".encode()).decode()
        asked = self.asked.pop(sent["code"], None)
        challenge = base64.urlsafe_b64encode(hashlib.sha256(sent["code_verifier"].encode()).digest()).rstrip(b"=").decode()
        if asked is None or authorization != basic or asked["redirect_uri"] != sent["redirect_uri"] or asked["code_challenge"] != challenge:
            return 400, {"error": "invalid_grant", "error_description": "that code is not yours"}
        claims = {
            "iss": self.url,
            "aud": CLIENT,
            "sub": "42",
            "iat": self.now,
            "exp": self.now + 300,
            "nonce": asked["nonce"],
            "email": "ada@example.org",
            "email_verified": True,
            "name": "Ada Lovelace",
        } | self.claims
        return 200, {"id_token": self.forge(claims)}


def by_hand(algorithm: str, claims: dict[str, Any], secret: bytes) -> str:
    """A token no library would make: sealed with a secret, or with nothing."""
    parts = [base64.urlsafe_b64encode(json.dumps(each).encode()).rstrip(b"=") for each in ({"alg": algorithm, "kid": "one"}, claims)]
    body = b".".join(parts)
    seal = base64.urlsafe_b64encode(hmac.digest(secret, body, "sha256")).rstrip(b"=") if algorithm != "none" else b""
    return (body + b"." + seal).decode()
