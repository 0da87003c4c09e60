"""Bearer tokens: a JWT in, a principal out; and the local key for development.

A token MUST be signed by a key of the identity provider (or the local one), name our
audience and issuer, and have an end. ``none`` and symmetric algorithms are never read.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from api.settings import ApiSettings
from domain.access import Principal
from domain.acts import ActorKind
from domain.errors import SijilError
from ledger.embedded import make_private

ALGORITHMS = ("EdDSA", "ES256", "RS256", "PS256")
"""Asymmetric ones only: whoever verifies must not be able to mint."""
LEEWAY_S = 30
"""How far the provider's clock may be from ours."""
JWKS_LIFESPAN_S = 300
"""How long fetched keys are believed before they are fetched again."""
_CODE_LENGTH = 64
_PEOPLE = frozenset(ActorKind) - {ActorKind.SYSTEM, ActorKind.IMPORT}
_AT_A_CENTRE = frozenset({ActorKind.CLERK, ActorKind.SUPERVISOR})


class UnauthenticatedError(SijilError):
    """There is no token, or it cannot be believed."""

    code = "unauthenticated"


class TokenExpiredError(SijilError):
    """The token was good and its time is over."""

    code = "token-expired"


def local_key(home: Path) -> Ed25519PrivateKey:
    """The local development key of a home folder, made at the first call, 0600."""
    folder = home / "keys"
    make_private(home)
    folder.mkdir(mode=0o700, exist_ok=True)
    path = folder / "development-token-key.pem"
    if not path.exists():
        part = folder / f".{os.getpid()}.{secrets.token_hex(4)}"
        handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(
                Ed25519PrivateKey.generate().private_bytes(
                    Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
                )
            )
        with contextlib.suppress(FileExistsError):
            os.link(part, path)
        part.unlink()
    key = load_pem_private_key(path.read_bytes(), password=None)
    if not isinstance(key, Ed25519PrivateKey):
        raise TypeError("the local key is not an Ed25519 key")
    return key


def mint(
    settings: ApiSettings,
    *,
    role: ActorKind,
    subject: str,
    now: datetime,
    lifespan: timedelta = timedelta(hours=12),
    centre: str | None = None,
    governorate: str | None = None,
    agency: str | None = None,
) -> str:
    """A token signed by the local key, for development and tests.

    Raises PermissionError where an identity provider is set: its tokens count there.
    """
    if not settings.is_local:
        raise PermissionError("an identity provider is set; ask it for a token")
    claims: dict[str, Any] = {
        "iss": settings.token_issuer,
        "aud": settings.token_audience,
        "sub": subject,
        "role": str(role),
        "iat": now,
        "exp": now + lifespan,
    }
    places = {"centre": centre, "governorate": governorate, "agency": agency}
    claims |= {name: value for name, value in places.items() if value is not None}
    return jwt.encode(claims, local_key(settings.home), algorithm="EdDSA")


class TokenReader:
    """Believes tokens of one provider and makes principals of them.

    ``citizen`` gives a citizen's principal by the provider's subject.
    """

    def __init__(
        self, settings: ApiSettings, *, citizen: Callable[[str], Principal]
    ) -> None:
        self._settings = settings
        self._citizen = citizen
        self._jwks = (
            None
            if settings.jwks_url is None
            else jwt.PyJWKClient(settings.jwks_url, lifespan=JWKS_LIFESPAN_S)
        )
        self._local = (
            local_key(settings.home).public_key() if settings.is_local else None
        )

    def principal(self, token: str) -> Principal:
        """Whom the token speaks for.

        Raises UnauthenticatedError, or TokenExpiredError when only its time is over.
        """
        try:
            key: Any = (
                self._local
                if self._jwks is None
                else self._jwks.get_signing_key_from_jwt(token).key
            )
            claims = jwt.decode(
                token,
                key,
                algorithms=["EdDSA"] if self._jwks is None else list(ALGORITHMS),
                audience=self._settings.token_audience,
                issuer=self._settings.token_issuer,
                leeway=LEEWAY_S,
                options={"require": ["exp", "iss", "aud", "sub"]},
            )
        except jwt.ExpiredSignatureError as error:
            raise TokenExpiredError from error
        except (jwt.PyJWTError, ValueError, TypeError) as error:
            raise UnauthenticatedError from error
        return self._principal_of(claims)

    def _principal_of(self, claims: dict[str, Any]) -> Principal:
        texts = {
            name: claims.get(name)
            for name in ("sub", "role", "centre", "governorate", "agency")
        }
        for value in texts.values():
            if value is not None and (
                not isinstance(value, str)
                or not 0 < len(value) <= _CODE_LENGTH
                or not value.isprintable()
            ):
                raise UnauthenticatedError
        subject, role = texts["sub"], texts["role"]
        if subject is None or role not in _PEOPLE:
            raise UnauthenticatedError
        kind = ActorKind(role)
        if kind in _AT_A_CENTRE and texts["centre"] is None:
            raise UnauthenticatedError
        if kind is ActorKind.AGENCY and texts["agency"] is None:
            raise UnauthenticatedError
        if kind is ActorKind.CITIZEN:
            return self._citizen(subject)
        return Principal(
            role=kind,
            id=subject,
            centre=texts["centre"] if kind in _AT_A_CENTRE else None,
            governorate=texts["governorate"] if kind is ActorKind.AGENCY else None,
            agency=texts["agency"] if kind is ActorKind.AGENCY else None,
        )
