"""Accounts: a name and a password, by which users of the chat sign in."""

from __future__ import annotations

import unicodedata
import uuid

from pylinkd import ConflictError, ValidationError
from pylinkd.db import UniqueConflictError
from pylinkd.text import clean

from .development import DEMO_PASSWORD
from .models import Account, ChatDatabase
from .passwords import passwords
from .settings import DEVELOPMENT


def name_key(name: str) -> str:
    """One for all spellings of a name that look the same: ``ALICE``, ``alice`` and ``ａｌｉｃｅ``."""
    folded = unicodedata.normalize("NFKC", name).casefold()
    return " ".join(unicodedata.normalize("NFKC", folded).split())


async def create(db: ChatDatabase, name: str, password: str) -> Account:
    """Make an account, and its user.

    Raises:
        ValidationError: If the name is not one line, or the password is one that everybody knows.
        ConflictError: If the name is taken (type ``NAME_TAKEN``).
        ServiceUnavailableError: If too many passwords are being hashed.
    """
    name = clean(name.strip(), newlines=False, normalize=True)
    if password == DEMO_PASSWORD or name_key(password) == name_key(name):
        raise ValidationError(
            "That password is too easy to guess.",
            details={"field": "password", "reason": "It is the name, or known to everybody."},
        )
    hashed = await passwords.hash(password)
    user = str(uuid.uuid4())
    try:
        async with db.transaction():
            await db.users.insert(id=user, name=name)
            await db.accounts.insert(user_id=user, name_key=name_key(name), password_hash=hashed)
    except UniqueConflictError:
        raise ConflictError("There is an account of this name.", type="NAME_TAKEN") from None
    return await db.accounts.where_equals("user_id", user).one()


async def authenticate(db: ChatDatabase, name: str, password: str) -> Account | None:
    """The account of this name, if this is its password; ``None``, after as long a time, if not.

    Raises:
        ServiceUnavailableError: If too many passwords are being hashed.
    """
    account = await db.accounts.where_equals("name_key", name_key(name)).first()
    stored = None if account is None else account.password_hash
    if not DEVELOPMENT and password == DEMO_PASSWORD:
        stored = None  # the database may have been a demonstration's once
    if not await passwords.verify(stored, password) or account is None:
        return None
    if passwords.is_outdated(account.password_hash):
        unchanged = db.accounts.where_equals("user_id", account.user_id)
        unchanged = unchanged.where_equals("password_hash", account.password_hash)
        await unchanged.update(password_hash=await passwords.hash(password))
    return account
