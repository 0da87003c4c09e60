"""Bearer tokens: a JWT in, a principal out; and the local key for development.

A token MUST be signed by a key of the identity provider (or the local one), name our
audience and issuer, and have an end. ``none`` and symmetric algorithms are never read.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jwt
import structlog
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
from domain.errors import InvalidValueError, SijilError
from domain.naming import checked_code
from ledger.embedded import make_private

ALGORITHMS = ("EdDSA", "ES256", "RS256", "PS256")
"""Asymmetric ones only: whoever verifies must not be able to mint."""
LEEWAY_S = 30
"""How far the provider's clock may be from ours."""
JWKS_LIFESPAN_S = 300
"""How long fetched keys are believed before they are fetched again."""
JWKS_TIMEOUT_S = 3.0
"""How long the provider may take: a login that waits longer has been given up."""
JWKS_REST_S = 5.0
"""How long a provider that did not answer is left alone: every login would wait."""
_CODE_LENGTH = 64
_SUBJECT_LENGTH = 255
"""OpenID Connect Core, section 2: a subject has at most 255 characters."""
_log = structlog.get_logger()
_PEOPLE = frozenset(ActorKind) - {ActorKind.SYSTEM, ActorKind.IMPORT}
_AT_A_CENTRE = frozenset({ActorKind.CLERK, ActorKind.SUPERVISOR})


class UnauthenticatedError(SijilError):
    """There is no token, or it cannot be believed."""

    code = "unauthenticated"


class TokenExpiredError(SijilError):
    """The token was good and its time is over."""

    code = "token-expired"


class LoginUnavailableError(SijilError):
    """The identity provider does not tell its keys; nobody can be believed or not."""

    code = "login-unavailable"


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """Whom a token speaks for, and until when."""

    principal: Principal
    until: datetime


class ProviderKeys(jwt.PyJWKClient):
    """The identity provider's keys, remembered for a while.

    A provider that is down is asked once in a while, not once a login.
    """

    def __init__(self, url: str) -> None:
        super().__init__(url, lifespan=JWKS_LIFESPAN_S, timeout=JWKS_TIMEOUT_S)
        self._rests_until = float("-inf")

    def fetch_data(self) -> Any:
        """The keys as the provider tells them now. Raises LoginUnavailableError."""
        if time.monotonic() < self._rests_until:
            raise LoginUnavailableError
        try:
            return super().fetch_data()
        # What answers may be a broken proxy: not JSON, not keys, not HTTP.
        except (jwt.PyJWTError, ValueError, OSError) as error:
            self._rests_until = time.monotonic() + JWKS_REST_S
            _log.warning("api.no_provider_keys", error=type(error).__name__)
            raise LoginUnavailableError from error


class TokenReader:
    """Believes tokens of one provider and makes principals of them.

    ``citizen`` gives a citizen's principal by the provider's subject; ``officer`` an
    agency's principal its place, as the agency was published.
    """

    def __init__(
        self,
        settings: ApiSettings,
        *,
        citizen: Callable[[str], Principal],
        officer: Callable[[Principal], Principal],
    ) -> None:
        self._settings = settings
        self._citizen = citizen
        self._officer = officer
        url = settings.jwks_url
        self._jwks = None if url is None else ProviderKeys(url)
        self._local = (
            local_key(settings.home).public_key() if settings.is_local else None
        )

    def principal(self, token: str) -> Principal:
        """Whom the token speaks for; raises what ``login`` raises."""
        return self.login(token).principal

    def login(self, token: str) -> Login:
        """Whom the token speaks for, and until when.

        Raises UnauthenticatedError, TokenExpiredError when only its time is over, and
        LoginUnavailableError when the provider's keys cannot be had.
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
        return Login(
            principal=self._principal_of(claims),
            until=datetime.fromtimestamp(int(claims["exp"]) + LEEWAY_S, UTC),
        )

    def _principal_of(self, claims: dict[str, Any]) -> Principal:
        role = _told(claims, "role")
        if role not in _PEOPLE:
            raise UnauthenticatedError
        kind = ActorKind(role)
        if kind is ActorKind.CITIZEN:
            return self._citizen(_told(claims, "sub", longest=_SUBJECT_LENGTH))
        is_agency = kind is ActorKind.AGENCY
        has_governorate = is_agency and claims.get("governorate") is not None
        told = Principal(
            role=kind,
            id=_code(claims, "sub"),
            centre=_code(claims, "centre") if kind in _AT_A_CENTRE else None,
            governorate=_code(claims, "governorate") if has_governorate else None,
            agency=_code(claims, "agency") if is_agency else None,
        )
        return self._officer(told) if is_agency else told


def _code(claims: dict[str, Any], name: str) -> str:
    """A claim that is to stand in events and logs: a code, never a person's own words.

    Providers like to tell an e-mail address, a national number or a full name as the
    subject. Raises UnauthenticatedError for those.
    """
    try:
        return checked_code(_told(claims, name))
    except InvalidValueError as error:
        raise UnauthenticatedError from error


def _told(claims: dict[str, Any], name: str, *, longest: int = _CODE_LENGTH) -> str:
    """A claim's text. Raises UnauthenticatedError without one fit for a log."""
    text = claims.get(name)
    if not isinstance(text, str) or not 0 < len(text) <= longest:
        raise UnauthenticatedError
    if not text.isprintable():
        raise UnauthenticatedError
    return text
