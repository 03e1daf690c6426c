"""An OpenID Connect provider in a process of its own: discovery, PKCE, signed id tokens, user information.

``python -m tests.config.provider PORT CLIENT_ID CLIENT_SECRET``. ``POST /as`` says who is signed in there, and what it
does wrong. Everybody who is sent to ``/authorize`` comes back at once.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

KEY, STRANGERS = (rsa.generate_private_key(public_exponent=65537, key_size=2048) for _ in range(2))
GRANTED: dict[str, dict[str, str]] = {}  # code -> what was asked
TOKENS: dict[str, dict[str, Any]] = {}  # access token -> claims
NOW: dict[str, Any] = {"claims": {"sub": "0"}, "wrong": ""}


class Provider(BaseHTTPRequestHandler):
    client = ("", "")
    issuer = ""

    def log_message(self, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        path, asked = urlsplit(self.path).path, dict(parse_qsl(urlsplit(self.path).query))
        if path == "/.well-known/openid-configuration":
            self.answer(self.described())
        elif path == "/jwks":
            key = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(KEY.public_key()))
            self.answer({"keys": [{**key, "kid": "one", "alg": "RS256", "use": "sig"}]})
        elif path == "/authorize":
            self.authorize(asked)
        elif path == "/userinfo":
            claims = TOKENS.get(self.headers.get("authorization", "").removeprefix("Bearer "))
            self.answer(claims or {"error": "invalid_token"}, 200 if claims else 401)
        else:
            self.answer({"error": "not_found"}, 404)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0))).decode()
        if self.path == "/as":
            NOW.update(json.loads(body))
            self.answer({})
        elif self.path == "/token":
            self.token({name: values[0] for name, values in parse_qs(body).items()})
        else:
            self.answer({"error": "not_found"}, 404)

    def described(self) -> dict[str, Any]:
        found = {name: f"{self.issuer}/{name}" for name in ("authorize", "token", "userinfo", "jwks")}
        return {
            "issuer": "https://elsewhere.example" if NOW["wrong"] == "name" else self.issuer,
            "authorization_endpoint": found["authorize"],
            "token_endpoint": found["token"],
            "userinfo_endpoint": found["userinfo"],
            "jwks_uri": found["jwks"],
            "token_endpoint_auth_methods_supported": ["client_secret_basic"],
        }

    def authorize(self, asked: dict[str, str]) -> None:
        good = asked.get("client_id") == self.client[0] and asked.get("code_challenge_method") == "S256"
        if not good or "openid" not in asked.get("scope", ""):
            self.answer({"error": "invalid_request"}, 400)
            return
        code = secrets.token_urlsafe(8)
        GRANTED[code] = asked
        back = {"state": asked["state"], **({"error": "access_denied"} if NOW["wrong"] == "denied" else {"code": code})}
        self.send_response(302)
        self.send_header("location", f"{asked['redirect_uri']}?{urlencode(back)}")
        self.end_headers()

    def token(self, form: dict[str, str]) -> None:
        proof = base64.b64encode(":".join(self.client).encode()).decode()
        asked = GRANTED.pop(form.get("code", ""), None)
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        if self.headers.get("authorization") != f"Basic {proof}" or not asked or asked["code_challenge"] != challenge:
            self.answer({"error": "invalid_grant"}, 400)
            return
        access = secrets.token_urlsafe(16)
        TOKENS[access] = {"sub": "another"} if NOW["wrong"] == "person" else NOW["claims"]
        self.answer({"access_token": access, "token_type": "Bearer", "id_token": self.id_token(asked)})

    def id_token(self, asked: dict[str, str]) -> str:
        wrong = NOW["wrong"]
        claims = {
            "iss": "https://elsewhere.example" if wrong == "issuer" else self.issuer,
            "aud": "another-client" if wrong == "audience" else self.client[0],
            "nonce": "of another sign-in" if wrong == "nonce" else asked.get("nonce"),
            "iat": int(time.time()) - 60,
            "exp": int(time.time()) + (-30 if wrong == "expired" else 300),
            **NOW["claims"],
        }
        if wrong == "no nonce":
            del claims["nonce"]
        return jwt.encode(claims, STRANGERS if wrong == "signature" else KEY, "RS256", {"kid": "one"})

    def answer(self, body: dict[str, Any], status: int = 200) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


if __name__ == "__main__":
    with ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Provider) as server:
        Provider.client = (sys.argv[2], sys.argv[3])
        Provider.issuer = f"http://127.0.0.1:{server.server_port}"
        print(Provider.issuer, flush=True)
        server.serve_forever()
