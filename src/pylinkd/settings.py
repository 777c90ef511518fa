"""The settings that gateway and services share.

A service starts without reading the gateway's, which bring what it does not need: half of the time that a start takes.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from .protocol.errors import SetupError
from .protocol.rendezvous import Address, check_secret, default_address, parse_uids

_SERVICE_LINK = re.compile(r"(tcp|udp|sctp)://\S+")


def is_service_link(name: str, value: object) -> bool:
    """Whether a variable is not a setting but an address that Kubernetes (or Docker) made for a service called linkd.

    Args:
        name: Of the variable, or of the setting.
        value: ``tcp://10.0.0.1:3000`` and its like. No port is written so, but ``LINKD_LINK`` may be.
    """
    return name.upper().endswith("PORT") and isinstance(value, str) and _SERVICE_LINK.fullmatch(value) is not None


class SettingsError(SetupError):
    """A setting is wrong; the text is one sentence that says what to change."""


class ProcessSettings(BaseSettings):
    """What every process of Linkd, gateway or service, has to know."""

    model_config = SettingsConfigDict(env_prefix="LINKD_", frozen=True, extra="forbid")

    link: Annotated[Address, NoDecode] = Field(default_factory=default_address)
    """Where services connect: the path of a Unix socket, or ``tcp://host:port``, which needs TLS and a secret."""

    link_secret: Annotated[str, Field(repr=False)] = ""
    """What a service has to know to be taken, 32 bytes or more; empty: nothing."""

    link_uids: str = ""
    """Users whose processes may be at the other end of the Unix socket, as numbers parted by commas; by default
    the process's own and root."""

    link_cafile: Path | None = None
    """Whom a service believes about the certificate of a TCP link (PEM); by default whom the system believes."""

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """Least severe level that is logged."""

    log_format: Literal["auto", "console", "json"] = "auto"
    """``auto``: readable on a terminal, JSON elsewhere."""

    check_events: bool = False
    """Whether a service compares what it emits with what it declares. Only services read it."""

    @property
    def allowed_uids(self) -> frozenset[int]:
        """``link_uids`` as numbers, or what holds by default."""
        return parse_uids(self.link_uids)

    @field_validator("link", mode="before")
    @classmethod
    def _link_is_an_address(cls, value: str | Path | Address) -> Address:
        return Address.parse(value) if value else default_address()

    @field_validator("link_cafile", mode="before")
    @classmethod
    def _empty_cafile_is_not_told(cls, value: object) -> object:
        return value or None

    @field_validator("link_uids")
    @classmethod
    def _uids_are_numbers(cls, value: str) -> str:
        parse_uids(value)
        return value

    @model_validator(mode="after")
    def _link_is_safe(self) -> Self:
        check_secret(self.link_secret, self.link)
        return self
