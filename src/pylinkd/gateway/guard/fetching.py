"""Getting an issuer's documents: by HTTPS, without redirects, in bounded time and size, never where a token says."""

from __future__ import annotations

import ssl
from collections.abc import Iterable
from pathlib import Path

import httpx
import msgspec

from .issuers import check_authorities, check_url
from .keys import KeySet, read_jwks

_TIMEOUT = 5.0  # seconds for connecting, and for each read
_MAX_SIZE = 256 * 1024  # bytes of a document


class _Configuration(msgspec.Struct):
    """An issuer's description of itself (OpenID Connect Discovery 1.0 §3)."""

    issuer: str
    jwks_uri: str


class Fetching:
    """An HTTP client for issuers' documents. After ``close`` it can be used again.

    Args:
        ca_file: PEM file of whom to believe about servers' certificates; ``None``: whom the system believes.
    """

    def __init__(self, ca_file: Path | None = None) -> None:
        self._verify: ssl.SSLContext | bool = True if ca_file is None else check_authorities(ca_file)
        self._client: httpx.AsyncClient | None = None

    @property
    def _http(self) -> httpx.AsyncClient:
        if self._client is None:
            # Not by proxies out of the environment: who vouches for users is no matter of chance.
            self._client = httpx.AsyncClient(
                verify=self._verify, timeout=_TIMEOUT, follow_redirects=False, trust_env=False
            )
        return self._client

    async def discover(self, issuer: str, algorithms: Iterable[str]) -> KeySet:
        """The keys of an issuer that describes itself.

        Raises:
            OSError: If something cannot be fetched.
            ValueError: If it is not what it should be.
        """
        raw = await self._get(f"{issuer.rstrip('/')}/.well-known/openid-configuration")
        try:
            described = msgspec.json.decode(raw, type=_Configuration)
        except (msgspec.DecodeError, RecursionError) as cause:
            raise ValueError("the issuer's configuration is not one") from cause
        if described.issuer != issuer:
            raise ValueError("the configuration is another issuer's")  # OpenID Connect Discovery 1.0 §4.3
        return await self.keys(described.jwks_uri, algorithms)

    async def keys(self, url: str, algorithms: Iterable[str]) -> KeySet:
        """The keys at this address.

        Raises:
            OSError: If they cannot be fetched.
            ValueError: If they are none.
        """
        return read_jwks(await self._get(url), algorithms)

    async def _get(self, url: str) -> bytes:
        check_url(url)
        body = bytearray()
        try:
            async with self._http.stream("GET", url, headers={"Accept": "application/json"}) as answer:
                if answer.status_code != 200:
                    raise OSError(f"{url} answered {answer.status_code}")
                async for chunk in answer.aiter_bytes():
                    body += chunk
                    if len(body) > _MAX_SIZE:
                        raise OSError(f"{url} answered with more than {_MAX_SIZE} bytes")
        except httpx.HTTPError as error:
            raise OSError(f"{url} cannot be fetched ({type(error).__name__})") from error
        return bytes(body)

    async def close(self) -> None:
        """Let go of the connections."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()
