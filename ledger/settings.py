"""What ``ledger`` reads from the environment: where the databases are, and the secrets.

Every setting is ``SIJIL_…`` in the environment. A secret may also be a file
``sijil_…`` (lower case) in ``SIJIL_SECRETS_DIR``, by default ``<home>/secrets``.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Self

import psycopg2.extensions
from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from ledger.embedded import PORT, EmbeddedServer, secret
from ledger.names import Role
from ledger.persistence.committer import QUEUE_ACTS, RETRY_S, WAIT_S

GENERATED_SECRETS = (
    "owner_password",
    "app_password",
    "runner_password",
    "reader_password",
    "vault_password",
    "command_key",
    "vault_master_key",
    "vault_index_key",
    "tracking_code_key",
)
"""What the embedded path makes for itself at the first start."""


class SettingMissingError(RuntimeError):
    """A setting that this installation needs was not given."""

    def __init__(self, name: str) -> None:
        self.name = f"SIJIL_{name.upper()}"
        super().__init__(
            f"SIJIL_{name.upper()} is not set; give it in the environment, or as a "
            f"file sijil_{name} in SIJIL_SECRETS_DIR"
        )


def secrets_folder(home: Path) -> Path | None:
    """The folder of secret files: SIJIL_SECRETS_DIR, else the home's own if there."""
    named = os.environ.get("SIJIL_SECRETS_DIR")
    folder = Path(named) if named else home / "secrets"
    return folder if folder.is_dir() else None


class LedgerSettings(BaseSettings):
    """The ledger's settings. Keys are 64 hexadecimal digits; passwords any text."""

    model_config = SettingsConfigDict(env_prefix="SIJIL_", extra="ignore", frozen=True)

    home: Path = Field(Path(".sijil"), description="Where the embedded server lives.")
    database_url: SecretStr | None = Field(
        None, description="Any PostgreSQL from 15 on; without it the embedded one."
    )
    vault_database_url: SecretStr | None = Field(
        None, description="The vault's server, when it is another one."
    )
    database_name: str = Field("sijil", description="The ledger's database.")
    vault_database_name: str = Field("sijil_vault", description="The vault's database.")
    owner_password: SecretStr | None = Field(None, description="Of sijil_owner.")
    app_password: SecretStr | None = Field(None, description="Of sijil_app.")
    runner_password: SecretStr | None = Field(None, description="Of sijil_runner.")
    reader_password: SecretStr | None = Field(None, description="Of sijil_reader.")
    vault_password: SecretStr | None = Field(None, description="Of sijil_vault.")
    command_key: SecretStr | None = Field(
        None, description="Keys the digests of commands' input."
    )
    vault_master_key: SecretStr | None = Field(
        None, description="Wraps the keys of persons."
    )
    vault_index_key: SecretStr | None = Field(
        None, description="Keys the vault's blind index."
    )
    tracking_code_key: SecretStr | None = Field(
        None, description="Makes the secret codes of new requests."
    )
    tracking_code_key_name: str = Field(
        "k1", description="The name that `submitted` keeps of that key."
    )
    former_tracking_code_keys: dict[str, SecretStr] = Field(
        default_factory=dict, description="Keys of codes that were printed before."
    )
    pool_size: int = Field(5, ge=1, le=50, description="Connections kept open.")
    max_overflow: int = Field(15, ge=0, le=50, description="Connections under load.")
    append_queue_acts: int = Field(
        QUEUE_ACTS, ge=1, description="Acts that may wait for the ledger in a process."
    )
    append_retry_s: float = Field(
        RETRY_S, ge=0, description="How long acts are sent again to a server away."
    )
    append_wait_s: float = Field(
        WAIT_S, gt=0, description="How long an act waits for its outcome at most."
    )
    recent_things: int = Field(
        10_000,
        ge=0,
        le=1_000_000,
        description="Things of the ledger that a process keeps in memory; 0 for none.",
    )

    @classmethod
    def load(cls, **given: Any) -> Self:
        """The settings of this environment; ``given`` wins over it.

        On the embedded path missing secrets are made and kept in ``<home>/secrets``.
        """
        home = Path(given.get("home") or os.environ.get("SIJIL_HOME") or ".sijil")
        settings = cls(_secrets_dir=secrets_folder(home), **given)  # type: ignore[call-arg]
        if not settings.is_embedded:
            return settings
        made = {
            name: SecretStr(secret(settings.home, name))
            for name in GENERATED_SECRETS
            if getattr(settings, name) is None
        }
        return settings.model_copy(update=made)

    @property
    def is_embedded(self) -> bool:
        """Whether the database is our own embedded server."""
        return self.database_url is None

    def server(self) -> EmbeddedServer:
        """The embedded server of the home folder."""
        return EmbeddedServer(self.home)

    def needed(self, name: str) -> str:
        """A secret's text. Raises SettingMissingError when it was not given."""
        value = getattr(self, name)
        if value is None:
            raise SettingMissingError(name)
        return str(value.get_secret_value())

    def key(self, name: str) -> bytes:
        """A key's 32 bytes. Raises SettingMissingError when absent or malformed."""
        try:
            key = bytes.fromhex(self.needed(name))
        except ValueError as error:
            raise SettingMissingError(name) from error
        if len(key) != 32:  # noqa: PLR2004 -- 256 bits
            raise SettingMissingError(name)
        return key

    def tracking_code_keys(self) -> dict[str, bytes]:
        """Every key a secret code may have been made with, by its name."""
        former = {
            name: bytes.fromhex(value.get_secret_value())
            for name, value in self.former_tracking_code_keys.items()
        }
        return {**former, self.tracking_code_key_name: self.key("tracking_code_key")}

    def dsn(self, role: Role) -> dict[str, Any]:
        """How a role connects: the vault role to the vault, others to the ledger."""
        is_vault = role is Role.VAULT
        login = {
            "user": role.login,
            "password": self.needed(f"{role}_password"),
        }
        return {**self._server(is_vault=is_vault), **login}

    def admin_dsn(self, *, is_vault: bool = False) -> dict[str, Any]:
        """How ``sijil migrate`` connects to make roles and databases.

        Embedded: the superuser. Elsewhere: the user in the URL.
        """
        if self.is_embedded:
            return self.server().dsn()
        return self._server(is_vault=is_vault)

    def _server(self, *, is_vault: bool) -> dict[str, Any]:
        name = self.vault_database_name if is_vault else self.database_name
        if self.database_url is None:
            server = self.server()
            return {
                "host": str(server.socket_folder),
                "port": str(PORT),
                "dbname": name,
            }
        url = self.database_url
        if is_vault and self.vault_database_url is not None:
            url = self.vault_database_url
        parsed = psycopg2.extensions.parse_dsn(url.get_secret_value())
        return {**parsed, "dbname": name}
