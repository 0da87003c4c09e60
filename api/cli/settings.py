"""What the command line reads from the environment: which server, as whom."""

from __future__ import annotations

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class ClientSettings(BaseSettings):
    """How the reading commands and ``walk`` find the running server."""

    model_config = SettingsConfigDict(env_prefix="SIJIL_", extra="ignore", frozen=True)

    url: str | None = Field(
        default=None,
        description="The running server; by default 127.0.0.1 at SIJIL_PORT.",
    )
    token: SecretStr | None = Field(
        default=None,
        description="A bearer token; without it a development token is minted.",
    )
