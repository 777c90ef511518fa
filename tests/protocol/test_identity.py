"""The rule that decides whether a handler is open to a caller."""

from __future__ import annotations

import pytest

from pylinkd.protocol.errors import ForbiddenError, LinkdError, UnauthorizedError
from pylinkd.protocol.identity import OPEN, Identity, Requirement

NOBODY = None
MEMBER = Identity(user="m", name="m", roles=frozenset({"member"}))
ADMIN = Identity(user="a", name="a", roles=frozenset({"admin", "member"}))
ROLELESS = Identity(user="r", name="r")


@pytest.mark.parametrize(
    ("auth", "roles", "caller", "refusal"),
    [
        (False, [], NOBODY, None),
        (False, [], ROLELESS, None),
        (True, [], NOBODY, UnauthorizedError),
        (True, [], ROLELESS, None),
        (False, ["admin"], NOBODY, UnauthorizedError),
        (False, ["admin"], ROLELESS, ForbiddenError),
        (True, ["admin"], MEMBER, ForbiddenError),
        (True, ["admin"], ADMIN, None),
        (True, ["admin", "member"], MEMBER, None),
    ],
)
def test_requirement_refuses_who_does_not_fit(
    auth: bool, roles: list[str], caller: Identity | None, refusal: type[LinkdError] | None
) -> None:
    """401 for nobody, 403 for the wrong roles, one of the roles is enough."""
    found = Requirement.of(auth, roles).refusal(caller)

    assert (None if found is None else type(found)) is refusal


def test_roles_imply_auth() -> None:
    """Who has to have a role has to be somebody."""
    assert Requirement.of(False, ["x"]).auth


def test_open_requires_nothing() -> None:
    """OPEN is what a handler without options asks."""
    assert Requirement.of(False, ()) == OPEN
    assert OPEN.refusal(None) is None
