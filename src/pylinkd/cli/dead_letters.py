"""``linkd dead-letters``: what a service could not handle, in its own database. The service need not run."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import time
from typing import TYPE_CHECKING, Annotated

import typer

from ..protocol.errors import SetupError
from .listing import moment, printable, show
from .loading import load_service

if TYPE_CHECKING:
    from ..sdk.store import DeadLetters
    from ..sdk.store.dead_letters import DeadLetter

dead_letters = typer.Typer(no_args_is_help=True, help="What a service could not handle, however often it tried.")

ServiceOption = Annotated[str, typer.Option("--service", help="module:service, or path/to/file.py:service.")]
Ids = Annotated[list[str] | None, typer.Argument(help="Ids as they stand in the list.")]
All = Annotated[bool, typer.Option("--all", help="All of them, 10,000 at most.")]

_MOST = 10_000


class DeadLettersError(SetupError):
    """What was asked cannot be done; the text says why."""


@asynccontextmanager
async def _opened(target: str) -> AsyncIterator[DeadLetters]:
    from ..db import DatabaseError
    from ..sdk.store import DeadLetters, migrate

    service = load_service(target)
    database = service._database
    if database is None:
        raise DeadLettersError(f"the service {service.name!r} has no database, and keeps no dead letters")
    try:
        async with database:
            await migrate(database)
            yield DeadLetters(database, service.name)
    except DatabaseError as cause:
        raise DeadLettersError(str(cause)) from cause


@dead_letters.command("list")
def list_letters(
    service: ServiceOption,
    name: Annotated[str | None, typer.Option(help="Only this handler's.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=_MOST, help="Most that are shown.")] = 100,
) -> None:
    """Show dead letters, the latest first."""

    async def read() -> tuple[list[DeadLetter], int]:
        async with _opened(service) as letters:
            return list(await letters.list(limit, name)), await letters.count()

    found, total = asyncio.run(read())
    rows = [
        (one.id, one.kind, one.name, moment(one.failed_at), str(len(one.errors)), one.errors[-1].error[:80])
        for one in found
    ]
    show(("id", "kind", "name", "failed", "attempts", "error"), rows)
    print(f"{len(rows)} of {total} dead letters")


@dead_letters.command("show")
def show_letter(id: Annotated[str, typer.Argument(help="As it stands in the list.")], service: ServiceOption) -> None:
    """Show one dead letter, with its payload and how each attempt failed."""

    async def read() -> DeadLetter | None:
        async with _opened(service) as letters:
            return await letters.find(id)

    letter = asyncio.run(read())
    if letter is None:
        raise DeadLettersError(f"there is no dead letter {id!r}")
    print(f"{letter.kind} {letter.name}, failed {moment(letter.failed_at)}")
    print(f"payload: {printable(letter.data.decode(errors='replace'))}")
    print(f"headers: {printable(letter.headers.decode(errors='replace'))}")
    for failure in letter.errors:
        print(f"\n{moment(failure.at)} {failure.failure}: {printable(failure.error)}")
        if failure.trace:
            print(printable(failure.trace))


@dead_letters.command("replay")
def replay(service: ServiceOption, ids: Ids = None, all: All = False) -> None:
    """Have dead letters handled again, by an instance that runs or the next one. Twice is as once."""
    print(f"replayed {asyncio.run(_each(service, ids, all, replays=True))} dead letters")


@dead_letters.command("discard")
def discard(service: ServiceOption, ids: Ids = None, all: All = False) -> None:
    """Remove dead letters for good."""
    print(f"discarded {asyncio.run(_each(service, ids, all, replays=False))} dead letters")


async def _each(target: str, ids: list[str] | None, all: bool, *, replays: bool) -> int:
    if bool(ids) == all:
        raise DeadLettersError("give the ids of dead letters, or --all")
    async with _opened(target) as letters:
        chosen = ids or [letter.id for letter in await letters.list(_MOST)]
        count = 0
        for id in chosen:
            count += await letters.replay(id, time()) if replays else await letters.discard(id)
        return count
