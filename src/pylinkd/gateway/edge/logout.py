"""Where an issuer says that somebody has signed out (OpenID Connect Back-Channel Logout 1.0, §2.5 to §2.8)."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import parse_qs

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from ...protocol.errors import BadRequestError, ConflictError, PayloadTooLargeError
from ...protocol.routes import MethodNotAllowedError
from ..guard.door import Door
from .client_script import PREFIX

PATH = f"{PREFIX}logout"

_FORM = "application/x-www-form-urlencoded"
_MAX_BODY = 32 * 1024


class LogoutEndpoint:
    """Takes logout tokens, and ends the sessions that they speak of.

    Args:
        door: Judges the tokens, and counts those that are not valid.
        close: Ends the sessions whose tokens were revoked; how many there were.
    """

    def __init__(self, door: Door, close: Callable[[], int]) -> None:
        self._door = door
        self._close = close

    async def answer(self, request: Request, address: str) -> Response:
        """The answer to a request of an issuer.

        Raises:
            LinkdError: If it is refused for what it is, and not for its token.
        """
        if request.method != "POST":
            raise MethodNotAllowedError({"POST"})
        token = await _token(request)
        try:
            await self._door.sign_out(token, address)
        except BadRequestError as error:
            body = {"error": "invalid_request", "error_description": error.message}
            return Response(msgspec.json.encode(body), 400, _HEADERS | {"Content-Type": "application/json"})
        except ConflictError as error:  # the issuer is to know that they may be signed in still
            body = {"error": "temporarily_unavailable", "error_description": error.message}
            return Response(msgspec.json.encode(body), 503, _HEADERS | {"Content-Type": "application/json"})
        self._close()
        return Response(b"", 200, _HEADERS)


_HEADERS = {"Cache-Control": "no-store"}


async def _token(request: Request) -> str:
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _FORM:
        raise BadRequestError(f"The body is {_FORM}.")
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > _MAX_BODY:
            raise PayloadTooLargeError(f"A logout token's request has at most {_MAX_BODY} bytes.")
    try:
        fields = parse_qs(body.decode("ascii"), max_num_fields=8)
    except ValueError as cause:
        raise BadRequestError("The body is no form.") from cause
    tokens = fields.get("logout_token", [])
    if len(tokens) != 1:
        raise BadRequestError("The form has one logout_token.")
    return tokens[0]
