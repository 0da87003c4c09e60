"""How citizens are told: by which couriers, and what each of them needs to know."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from domain.errors import InvalidValueError
from domain.persons import email
from ledger.settings import SettingMissingError, secrets_folder
from office.smtp import MailServer, MailTls

COURIERS = ("spool", "smtp", "webhook")
_OFF = "off"
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_KEY_BYTES = 32


def _known_couriers(text: str) -> str:
    names = [name.strip() for name in text.split(",")]
    if names != [_OFF] and (
        not set(names) <= set(COURIERS) or len(set(names)) != len(names)
    ):
        raise ValueError(f"one or more of {', '.join(COURIERS)}, each once, or {_OFF}")
    return ",".join(names)


def _sender(text: str | None) -> str | None:
    if text is None:
        return None
    try:
        return email(text)
    except InvalidValueError as error:
        raise ValueError("not an e-mail address") from error


def _safe_url(text: str | None) -> str | None:
    if text is None:
        return None
    parts = urlsplit(text)
    is_safe = parts.scheme == "https" or (
        parts.scheme == "http" and parts.hostname in _LOOPBACK
    )
    if not is_safe or parts.username is not None:
        raise ValueError("https is wanted, except to this machine; no password in it")
    return text


class TellingSettings(BaseSettings):
    """The settings of telling. What a courier needs is asked when it is made."""

    model_config = SettingsConfigDict(env_prefix="SIJIL_", extra="ignore", frozen=True)

    telling: Annotated[str, AfterValidator(_known_couriers)] = Field(
        "spool", description="By what citizens are told, the preferred first, or off."
    )
    telling_per_minute: int = Field(
        300, ge=1, le=60_000, description="The most messages sent in a minute."
    )
    spool: Path | None = Field(None, description="The folder of the spool.")
    spool_days: int = Field(
        30, ge=1, le=365, description="When an unfetched message is removed."
    )
    smtp_host: str | None = Field(None, description="The mail server.")
    smtp_port: int = Field(587, ge=1, le=65_535, description="Its port.")
    smtp_tls: MailTls | None = Field(None, description="How it is protected.")
    smtp_user: str | None = Field(None, description="Our login there.")
    smtp_password: SecretStr | None = Field(None, description="Its password.")
    smtp_from: Annotated[str | None, AfterValidator(_sender)] = Field(
        None, description="The address that messages come from."
    )
    sms_webhook_url: Annotated[str | None, AfterValidator(_safe_url)] = Field(
        None, description="Where the SMS gateway takes messages."
    )
    sms_webhook_key: SecretStr | None = Field(
        None, description="Signs what is sent there."
    )

    @classmethod
    def load(cls, home: Path, **given: Any) -> Self:
        """The settings of this environment and of the secret files under ``home``."""
        settings = cls(_secrets_dir=secrets_folder(home), **given)  # type: ignore[call-arg]
        if settings.spool is not None:
            return settings
        return settings.model_copy(update={"spool": home / "spool"})

    @property
    def couriers(self) -> tuple[str, ...]:
        """The names in order of preference; none when telling is off."""
        return () if self.telling == _OFF else tuple(self.telling.split(","))

    @property
    def spool_folder(self) -> Path:
        """Where the spool is."""
        return self.spool or Path(os.curdir) / "spool"

    def mail_server(self) -> MailServer:
        """The mail server. Raises SettingMissingError, or for mail in the clear."""
        host, sender = self.smtp_host, self.smtp_from
        if host is None:
            raise SettingMissingError("smtp_host")
        if sender is None:
            raise SettingMissingError("smtp_from")
        if self.smtp_user is not None and self.smtp_password is None:
            raise SettingMissingError("smtp_password")
        is_here = host in _LOOPBACK
        tls = self.smtp_tls or (MailTls.NONE if is_here else MailTls.STARTTLS)
        if tls is MailTls.NONE and not is_here:
            raise SettingMissingError("smtp_tls")
        password = self.smtp_password
        return MailServer(
            host=host,
            port=self.smtp_port,
            sender=sender,
            tls=tls,
            user=self.smtp_user,
            password=None if password is None else password.get_secret_value(),
        )

    def webhook(self) -> tuple[str, bytes]:
        """The gateway's address and our key. Raises SettingMissingError."""
        if self.sms_webhook_url is None:
            raise SettingMissingError("sms_webhook_url")
        if self.sms_webhook_key is None:
            raise SettingMissingError("sms_webhook_key")
        try:
            key = bytes.fromhex(self.sms_webhook_key.get_secret_value())
        except ValueError as error:
            raise SettingMissingError("sms_webhook_key") from error
        if len(key) != _KEY_BYTES:
            raise SettingMissingError("sms_webhook_key")
        return self.sms_webhook_url, key
