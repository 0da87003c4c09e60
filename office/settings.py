"""What ``office`` reads from the environment, beside the ledger's own settings."""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class OfficeSettings(BaseSettings):
    """The office's settings."""

    model_config = SettingsConfigDict(env_prefix="SIJIL_", extra="ignore", frozen=True)

    backdating_days: int = Field(
        default=7,
        ge=0,
        le=365,
        description="How far back a clerk may date.",
    )
    claim_lease_minutes: int = Field(
        default=30,
        ge=1,
        le=24 * 60,
        description="How long a claim holds before somebody else may have it.",
    )
    warn_before_working_hours: int = Field(
        default=7,
        ge=0,
        le=70,
        description="How long before a limit staff are warned; 0: not before.",
    )
    sweep_parties_after_days: int = Field(
        default=1,
        ge=1,
        le=30,
        description="When an unnamed party is removed.",
    )
    view_processes: int = Field(
        default=1,
        ge=1,
        le=8,
        description="How many runners `sijil run` starts, which share the views.",
    )
    simulate: int = Field(
        default=44_000,
        ge=0,
        le=10_000_000,
        description="Completed requests that a first start simulates; 0: none.",
    )
