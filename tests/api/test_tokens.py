"""Tokens of an identity provider: its keys fetched over HTTP, believed for a while."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from jwt.algorithms import get_default_algorithms

from api import tokens
from api.settings import ApiSettings
from api.tokens import (
    LoginUnavailableError,
    TokenReader,
    UnauthenticatedError,
    local_key,
    mint,
)
from domain.access import Principal
from domain.acts import ActorKind

KEYS: dict[str, Any] = {
    "EdDSA": Ed25519PrivateKey.generate(),
    "ES256": ec.generate_private_key(ec.SECP256R1()),
    "RS256": rsa.generate_private_key(public_exponent=65537, key_size=2048),
}


class Provider:
    """An identity provider on this machine; ``said`` is what it answers with."""

    def __init__(self) -> None:
        self.asked = 0
        self.status = 200
        self.said = self.keys(KEYS)
        provider = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                provider.asked += 1
                self.send_response(provider.status)
                self.end_headers()
                self.wfile.write(provider.said)

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/certs"
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()

    def keys(self, keys: dict[str, Any], **more: Any) -> bytes:
        algorithms = get_default_algorithms()
        told = [
            {
                **json.loads(algorithms[name].to_jwk(key.public_key())),
                "kid": name,
                "use": "sig",
                **more,
            }
            for name, key in keys.items()
        ]
        return json.dumps({"keys": told}).encode()

    def close(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def provider() -> Iterator[Provider]:
    made = Provider()
    try:
        yield made
    finally:
        made.close()


def citizen(subject: str) -> Principal:
    return Principal(role=ActorKind.CITIZEN, id=subject)


def officer(told: Principal) -> Principal:
    return told


def settings(home: Path, provider: Provider | None = None) -> ApiSettings:
    return ApiSettings.load(home=home, jwks_url=provider and provider.url)


@pytest.fixture
def reader(tmp_path: Path, provider: Provider) -> TokenReader:
    return TokenReader(settings(tmp_path, provider), citizen=citizen, officer=officer)


def signed(
    algorithm: str, key: Any = None, *, kid: str | None = None, **changes: Any
) -> str:
    claims = {
        "iss": "sijil-local",
        "aud": "sijil",
        "sub": "clk-DI-1",
        "role": "clerk",
        "centre": "SY-DI-01",
        "exp": datetime.now(UTC) + timedelta(hours=1),
        **changes,
    }
    return jwt.encode(
        claims,
        KEYS[algorithm] if key is None else key,
        algorithm=algorithm,
        headers={"kid": kid or algorithm},
    )


@pytest.mark.parametrize("algorithm", sorted(KEYS))
def test_a_token_of_the_provider_is_believed(
    reader: TokenReader, provider: Provider, algorithm: str
) -> None:
    for _ in range(3):
        principal = reader.principal(signed(algorithm))
        assert (principal.role, principal.id) == (ActorKind.CLERK, "clk-DI-1")
    assert provider.asked == 1


def test_a_token_of_anybody_else_is_not(reader: TokenReader, tmp_path: Path) -> None:
    public = KEYS["EdDSA"].public_key().public_bytes_raw()
    local = mint(
        settings(tmp_path),
        role=ActorKind.CLERK,
        subject="clk-DI-1",
        centre="SY-DI-01",
        now=datetime.now(UTC),
    )
    for token in (
        local,
        signed("EdDSA", local_key(tmp_path)),
        signed("EdDSA", kid="RS256"),
        signed("EdDSA", kid="unheard-of"),
        signed("EdDSA", aud="another"),
        signed("EdDSA", iss="another"),
        signed("HS256", public + b"\0" * 32, kid="EdDSA"),
        signed("none", "", kid="EdDSA"),
        jwt.encode({"sub": "x"}, KEYS["EdDSA"], algorithm="EdDSA"),
        "x.y.z",
        "",
    ):
        with pytest.raises(UnauthenticatedError):
            reader.principal(token)


def test_a_shared_secret_among_the_providers_keys_signs_nothing(
    reader: TokenReader, provider: Provider
) -> None:
    secret = jwt.utils.base64url_encode(b"s" * 64).decode()
    provider.said = json.dumps(
        {"keys": [{"kty": "oct", "k": secret, "kid": "HS256", "alg": "HS256"}]}
    ).encode()
    with pytest.raises(UnauthenticatedError):
        reader.principal(signed("HS256", b"s" * 64))


def test_unknown_keys_do_not_make_us_ask_at_every_token(
    reader: TokenReader, provider: Provider
) -> None:
    for number in range(20):
        with pytest.raises(UnauthenticatedError):
            reader.principal(signed("EdDSA", kid=f"made-up-{number}"))
    assert provider.asked <= 2


@pytest.mark.parametrize(
    ("status", "said"),
    [(500, b""), (200, b"<html>"), (200, b"[]"), (302, b"")],
)
def test_a_provider_that_is_down_is_no_reason_to_log_out(
    reader: TokenReader, provider: Provider, status: int, said: bytes
) -> None:
    good, provider.status, provider.said = provider.said, status, said
    for _ in range(3):
        with pytest.raises(LoginUnavailableError):
            reader.principal(signed("EdDSA"))
    assert provider.asked == 1, "it is left alone for a while"
    provider.status, provider.said = 200, good


def test_a_provider_that_is_back_is_believed_again(
    reader: TokenReader, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tokens, "JWKS_REST_S", 0.0)
    provider.status = 500
    with pytest.raises(LoginUnavailableError):
        reader.principal(signed("EdDSA"))
    provider.status = 200
    assert reader.principal(signed("EdDSA")).id == "clk-DI-1"
    # Its keys are remembered while it is away.
    provider.status = 500
    assert reader.principal(signed("EdDSA")).id == "clk-DI-1"


def test_nothing_is_minted_where_a_provider_is_set(
    tmp_path: Path, provider: Provider
) -> None:
    with pytest.raises(PermissionError):
        mint(
            settings(tmp_path, provider),
            role=ActorKind.AUDITOR,
            subject="aud-1",
            now=datetime.now(UTC),
        )


def test_a_citizens_subject_may_be_as_long_as_providers_make_them(
    reader: TokenReader,
) -> None:
    token = signed("EdDSA", role="citizen", sub="s" * 255)
    assert reader.principal(token).id == "s" * 255
    for token in (
        signed("EdDSA", role="citizen", sub="s" * 256),
        signed("EdDSA", sub="s" * 65),
    ):
        with pytest.raises(UnauthenticatedError):
            reader.principal(token)


def test_the_local_key_is_ours_alone(tmp_path: Path) -> None:
    local_key(tmp_path)
    (path,) = (tmp_path / "keys").iterdir()
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
