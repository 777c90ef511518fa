"""Users: whoever comes with a valid token is one."""

from __future__ import annotations

import sqlalchemy as sa

from pylinkd import ConflictError, Context, NotFoundError

from .accounts import name_key
from .models import Account, ChatDatabase, User


async def remember(ctx: Context[ChatDatabase]) -> None:
    """Give the caller a row, which rooms and messages refer to, with the name that the token has."""
    user, name = ctx.auth.user, ctx.auth.name
    # A token without a name says the id instead, which must not replace a name that is known.
    await ctx.db.users.upsert({"id": user, "name": name}, update=[] if name == user else ["name"])


async def find(db: ChatDatabase, who: str) -> User:
    """The user with this id, or of this name: of accounts in any spelling, of others as it is.

    Raises:
        NotFoundError: If there is none (type ``NO_SUCH_USER``).
        ConflictError: If several have this name (type ``AMBIGUOUS_NAME``).
    """
    by_id = await db.users.where_equals("id", who).first()
    if by_id is not None:
        return by_id
    named = sa.or_(Account.name_key == name_key(who), User.name == who)
    statement = sa.select(User).outerjoin(Account, Account.user_id == User.id).where(named).limit(2)
    found = (await db.execute(statement)).scalars().all()
    if not found:
        raise NotFoundError("There is no user of this name.", type="NO_SUCH_USER", details={"user": who})
    if len(found) > 1:
        raise ConflictError("Several users have this name: say the id.", type="AMBIGUOUS_NAME", details={"user": who})
    return found[0]
