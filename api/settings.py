"""What ``api`` reads from the environment: where it listens and whom it believes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Self

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


class ApiSettings(BaseSettings):
    """The doors' settings."""

    model_config = SettingsConfigDict(env_prefix="SIJIL_", extra="ignore", frozen=True)

    home: Path = Field(default=Path(".sijil"), description="Where local keys live.")
    host: str = Field(default="127.0.0.1", description="The address to listen on.")
    port: int = Field(default=8000, ge=1, le=65535, description="The port.")
    jwks_url: str | None = Field(
        default=None,
        description="Keys of the identity provider; without it the local key counts.",
    )
    token_issuer: str = Field(
        default="sijil-local", description="The `iss` a token must have."
    )
    token_audience: str = Field(
        default="sijil", description="The `aud` a token must have."
    )
    tracking_per_minute: int = Field(
        default=30, ge=1, description="Tracking look-ups of one address a minute."
    )
    tracking_per_number_per_hour: int = Field(
        default=20, ge=1, description="Tracking look-ups of one number an hour."
    )
    largest_lag: int = Field(
        default=10_000,
        ge=0,
        description="Entries a view may stand behind before /readyz says no.",
    )

    @classmethod
    def load(cls, **given: Any) -> Self:
        """The settings of this environment; ``given`` wins over it."""
        home = Path(given.get("home") or os.environ.get("SIJIL_HOME") or ".sijil")
        return cls(**{**given, "home": home})

    @property
    def own_url(self) -> str:
        """Where this server answers, seen from its own machine."""
        host = "127.0.0.1" if self.host in {"0.0.0.0", "::"} else self.host  # noqa: S104
        return (
            f"http://[{host}]:{self.port}"
            if ":" in host
            else (f"http://{host}:{self.port}")
        )

    @property
    def is_local(self) -> bool:
        """Whether tokens of the local development key are believed."""
        return self.jwks_url is None

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach the server."""
        return self.host in _LOOPBACK
