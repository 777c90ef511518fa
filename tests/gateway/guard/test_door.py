"""One decision for each opening handshake."""

from __future__ import annotations

import pytest

from pylinkd.gateway.guard.credentials import Credentials
from pylinkd.gateway.guard.door import refusal_headers
from pylinkd.protocol.envelope import JSON, MSGPACK, Codec
from pylinkd.protocol.errors import (
    ForbiddenError,
    LinkdError,
    NotFoundError,
    ServiceUnavailableError,
    UnauthorizedError,
)

from ...processes import make_token
from ..guards import ADDRESS, approach, make_door


class Gateway:
    """What the door asks of the rest of the gateway."""

    def __init__(self) -> None:
        self.open = True
        self.known = {"/ws/chat", "/ws"}
        self.there = True
        self.door = make_door(
            knows=lambda path: path in self.known,
            takes_sessions=lambda path: self.there,
            open=lambda: self.open,
        )


@pytest.fixture
def gateway() -> Gateway:
    """One that is open."""
    return Gateway()


def test_anybody_may_come_in_without_a_token(gateway: Gateway) -> None:
    """Handlers ask for more, the door does not."""
    admission = gateway.door.admit(approach("/ws/chat"))

    assert (admission.identity, admission.codec, admission.subprotocol) == (None, JSON, None)


@pytest.mark.parametrize(
    ("offered", "codec", "chosen"),
    [
        ([], JSON, None),
        (["linkd.v1+msgpack"], MSGPACK, "linkd.v1+msgpack"),
        (["linkd.v1+msgpack", "linkd.v1+json"], JSON, "linkd.v1+json"),
        (["graphql-ws"], JSON, None),
        (["graphql-ws", "linkd.v1+msgpack"], MSGPACK, "linkd.v1+msgpack"),
        (["LINKD.V1+JSON"], JSON, None),
    ],
)
def test_subprotocol_is_the_gateways_choice(
    gateway: Gateway, offered: list[str], codec: Codec, chosen: str | None
) -> None:
    """Of those offered the first in the gateway's order; none that was not offered."""
    admission = gateway.door.admit(approach(subprotocols=offered))

    assert (admission.codec, admission.subprotocol) == (codec, chosen)


async def test_token_may_stand_in_the_query_or_in_a_header(gateway: Gateway) -> None:
    """Browsers can only do the first."""
    token = make_token("una")

    for tokens, authorization in (
        ([token], None),
        ([], f"Bearer {token}"),
        ([], f"bearer   {token} "),
        ([token], f"Bearer {token}"),
    ):
        identity = await gateway.door.identify(Credentials(query=tokens, authorization=authorization), ADDRESS)
        assert identity is not None
        assert identity.user == "una"


async def test_two_tokens_that_disagree_are_refused(gateway: Gateway) -> None:
    """Valid or not: nobody could say who is asking."""
    una, bob = make_token("una"), make_token("bob")

    for tokens, authorization in (([una], f"Bearer {bob}"), ([una, bob], None), ([una, ""], None), ([una], "Bearer x")):
        with pytest.raises(UnauthorizedError, match="two different tokens"):
            await gateway.door.identify(Credentials(query=tokens, authorization=authorization), ADDRESS)


@pytest.mark.parametrize("authorization", ["Bearer", "Bearer ", "Bearer x"])
async def test_bad_authorization_is_refused(gateway: Gateway, authorization: str) -> None:
    """Silence would be taken for a sign-in that worked."""
    with pytest.raises(UnauthorizedError):
        await gateway.door.identify(Credentials(authorization=authorization), ADDRESS)


@pytest.mark.parametrize("authorization", ["", "Basic dTpw", "Token x", "x"])
async def test_other_schemes_are_ignored(gateway: Gateway, authorization: str) -> None:
    """They are a proxy's, and no failure of the client."""
    assert await gateway.door.identify(Credentials(authorization=authorization), ADDRESS) is None


@pytest.mark.parametrize("token", ["", "nonsense", make_token(secret="another secret of thirty-two bytes")])
def test_bad_token_is_refused(gateway: Gateway, token: str) -> None:
    """Rather than let in as nobody."""
    with pytest.raises(UnauthorizedError):
        gateway.door.admit(approach(query=[token]))


def test_unknown_path_is_not_found(gateway: Gateway) -> None:
    """Before anything is said about the token."""
    with pytest.raises(NotFoundError):
        gateway.door.admit(approach("/ws/nowhere", query=["nonsense"]))


def test_path_without_a_service_is_unavailable(gateway: Gateway) -> None:
    """With advice when to come again; a bad token is told first."""
    gateway.there = False

    with pytest.raises(ServiceUnavailableError) as caught:
        gateway.door.admit(approach("/ws/chat"))

    assert caught.value.retry_after is not None
    with pytest.raises(UnauthorizedError):
        gateway.door.admit(approach("/ws/chat", query=["nonsense"]))


def test_gateway_that_stops_takes_nobody(gateway: Gateway) -> None:
    """Known path or not."""
    gateway.open = False

    for path in ("/ws/chat", "/ws/nowhere"):
        with pytest.raises(ServiceUnavailableError, match="stopping"):
            gateway.door.admit(approach(path))


@pytest.mark.parametrize(
    ("error", "more"),
    [
        (NotFoundError(), {}),
        (UnauthorizedError(), {"WWW-Authenticate": "Bearer"}),
        (ForbiddenError(retry_after=3.4), {"Retry-After": "3"}),
        (ServiceUnavailableError(retry_after=0.0), {"Retry-After": "1"}),
    ],
)
def test_refusals_headers_say_what_to_do(error: LinkdError, more: dict[str, str]) -> None:
    """401 names the scheme (RFC 9110 §11.6.1), retry advice is in whole seconds, nothing is cached."""
    assert refusal_headers(error) == {"Content-Type": "application/json", "Cache-Control": "no-store", **more}


def test_foreign_page_is_refused_before_anything_else(gateway: Gateway) -> None:
    """Whatever it brings along, and whatever it asks for: hijacking begins with a page of somebody else's."""
    with pytest.raises(ForbiddenError) as caught:
        gateway.door.admit(approach("/ws/nowhere", query=["nonsense"], origin="https://evil.example"))

    assert caught.value.type == "FORBIDDEN_ORIGIN"
