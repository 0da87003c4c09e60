"""What ``consumers`` reads from the environment: where Kafka is, what is kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from consumers.sockets import Client
from ledger.settings import SettingMissingError, secrets_folder

RECONNECT_MS = 50
RECONNECT_MAX_MS = 300
"""The client's own 30 s make it sleep through a broker's restart."""
SENDERS = "senders.toml"
"""Its name in the home folder, where no other file is named."""
REQUEST_TIMEOUT_MS = 10_000
"""How long one answer may take before it is asked again."""


class AnalyticsSettings(BaseSettings):
    """Where the files of the analytics are, and what asking them may take."""

    model_config = SettingsConfigDict(env_prefix="SIJIL_", extra="ignore", frozen=True)

    analytics: Path | None = Field(
        default=None, description="The folder of the Parquet files; `<home>/analytics`."
    )
    analytics_memory_mb: int = Field(
        default=1024,
        ge=64,
        description="Memory that a question may take; more goes to disk.",
    )

    def place(self, home: Path) -> Path:
        """The folder, whether it is there or not."""
        return self.analytics or home / "analytics"


class BrokerSettings(BaseSettings):
    """The Kafka node of one's own (``make run KAFKA=1``)."""

    model_config = SettingsConfigDict(env_prefix="SIJIL_", extra="ignore", frozen=True)

    broker_port: int = Field(
        default=9092, ge=1, le=65535, description="Its port, on 127.0.0.1."
    )
    broker_jars: Path = Field(
        default=Path("build/kafka"), description="Where Kafka's jars are kept."
    )

    @property
    def bootstrap(self) -> str:
        """Where clients begin."""
        return f"127.0.0.1:{self.broker_port}"

    def client(self) -> dict[str, Any]:
        """What its clients are made with, whatever is set for another Kafka."""
        own = {"kafka": self.bootstrap, "kafka_protocol": "PLAINTEXT"}
        return KafkaSettings.model_validate(own).client()

    def serves(self, home: Path) -> Path:
        """The file that is there while it serves and has its topics."""
        return home / "kafka" / "serves"


class KafkaSettings(BaseSettings):
    """Where Kafka is. Without ``SIJIL_KAFKA`` there is none, and all else works."""

    model_config = SettingsConfigDict(env_prefix="SIJIL_", extra="ignore", frozen=True)

    kafka: str | None = Field(
        None, description="Where clients begin: `host:port`, several with commas."
    )
    kafka_replication: int = Field(
        1, ge=1, le=9, description="Copies of each partition; 3 in production."
    )
    kafka_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        "PLAINTEXT", description="How to speak to the brokers; SASL_SSL in production."
    )
    kafka_ca_file: Path | None = Field(
        None, description="Who vouches for the brokers; the system's own by default."
    )
    kafka_user: str | None = Field(None, description="The SASL user (SCRAM-SHA-512).")
    kafka_password: SecretStr | None = Field(None, description="The SASL password.")

    senders_file: Path | None = Field(
        None,
        description="Who may send messages, and their keys; `<home>/senders.toml`.",
    )

    @classmethod
    def load(cls, home: Path) -> Self:
        """The settings of this environment; secrets also from the secrets folder."""
        return cls(_secrets_dir=secrets_folder(home))  # type: ignore[call-arg]

    def senders_of(self, home: Path) -> Path:
        """Where the senders of messages stand."""
        return self.senders_file or home / SENDERS

    def client(self) -> dict[str, Any]:
        """What every client of kafka-python is made with.

        Raises SettingMissingError when no broker is named, or an empty one.
        """
        if not self.kafka:
            raise SettingMissingError("kafka")
        options: dict[str, Any] = {
            "bootstrap_servers": self.kafka.split(","),
            "security_protocol": self.kafka_protocol,
            "reconnect_backoff_ms": RECONNECT_MS,
            "reconnect_backoff_max_ms": RECONNECT_MAX_MS,
            "request_timeout_ms": REQUEST_TIMEOUT_MS,
            "kafka_client": Client,
        }
        if self.kafka_ca_file is not None:
            options["ssl_cafile"] = str(self.kafka_ca_file)
        if self.kafka_protocol.startswith("SASL"):
            if self.kafka_user is None:
                raise SettingMissingError("kafka_user")
            if self.kafka_password is None:
                raise SettingMissingError("kafka_password")
            options |= {
                "sasl_mechanism": "SCRAM-SHA-512",
                "sasl_plain_username": self.kafka_user,
                "sasl_plain_password": self.kafka_password.get_secret_value(),
            }
        return options
