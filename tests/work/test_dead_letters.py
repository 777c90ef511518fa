"""Dead letters of messages and actions, and the command that looks after all of them."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pylinkd import ConflictError, HttpContext, InternalError, LinkdError, Service, WsContext
from pylinkd.sdk.host import persistence_of
from pylinkd.sdk.store.schema import MIGRATIONS, migrate
from pylinkd.sdk.store.tables import SCHEMA
from pylinkd.testing import run

from .shops import shop, until

SERVICE = '''
import os
from pylinkd import JobContext, Service
from pylinkd.db import Database

class ShopDatabase(Database):
    """No tables of its own."""

service = Service("shop", database=os.environ["SHOP"], tables=ShopDatabase)

@service.job("shop.remind")
async def remind(ctx: JobContext, item: str) -> None:
    if not os.path.exists(os.environ["OPEN"]):
        raise ValueError("the post is closed")
    with open(os.environ["OPEN"], "a") as file:
        file.write(item)
'''


async def test_message_that_failed_is_kept_where_asked(url: str) -> None:
    """Its sender is answered all the same; a refusal is nobody's trouble."""
    service, broken, seen = shop(url), [True], []

    @service.ws.on("shop.order", dead_letters=True)
    async def order(ctx: WsContext, item: str) -> None:
        if item == "gold":
            raise ConflictError
        if broken[0]:
            raise ValueError("the till is broken")
        seen.append((item, ctx.socket.id, ctx.auth.user))

    async with run(service) as gateway:
        letters = persistence_of(service._host).dead_letters
        client = await gateway.connect(user="alice")
        with pytest.raises(ConflictError):
            await client.send("shop.order", "gold")
        with pytest.raises(InternalError):
            await client.send("shop.order", "tea")
        (letter,) = await letters.list(10)
        assert (letter.kind, letter.name, letter.data) == ("message", "shop.order", b'"tea"')
        assert "ValueError: the till is broken" in letter.errors[0].trace

        broken[0] = False
        assert await letters.replay(letter.id, 0.0)
        await until(lambda: seen)
        assert seen == [("tea", client.id, "alice")]


async def test_message_whose_replay_fails_is_kept_once(url: str) -> None:
    """Under an id of its own."""
    service = shop(url)

    @service.ws.on("shop.order", dead_letters=True)
    async def order(ctx: WsContext, item: str) -> None:
        raise ValueError

    async with run(service) as gateway:
        letters = persistence_of(service._host).dead_letters
        client = await gateway.connect()
        with pytest.raises(InternalError):
            await client.send("shop.order", "tea")
        (first,) = await letters.list(10)
        assert await letters.replay(first.id, 0.0)
        while not (found := await letters.list(10)):
            pass
        assert len(found) == 1
        assert found[0].id != first.id


async def test_action_that_took_too_long_is_kept(url: str) -> None:
    """With what its context was made of."""
    service = shop(url)

    @service.action("shop.buy", route="/buy/{item}", method="POST", dead_letters=True, timeout=0.1)
    async def buy(ctx: HttpContext) -> None:
        await asyncio.Event().wait()

    async with run(service) as gateway:
        letters = persistence_of(service._host).dead_letters
        with pytest.raises(LinkdError) as failure:
            await gateway.request("POST", "/buy/tea", body={"n": 1}, user="alice")
        assert failure.value.code == 408
        while not (found := await letters.list(10)):
            await asyncio.sleep(0.01)

    assert (found[0].kind, found[0].name, found[0].data) == ("action", "shop.buy", b'{"n":1}')
    assert b'"item":"tea"' in found[0].headers


async def test_letters_have_a_bound(url: str) -> None:
    """The oldest go, and whoever keeps one learns how many."""
    service = shop(url)

    @service.job("shop.remind")
    async def remind(ctx: object) -> None: ...

    async with run(service):
        letters = persistence_of(service._host).dead_letters
        from pylinkd.sdk.store.dead_letters import DeadLetter

        gone = [
            await letters.add(
                DeadLetter(id=f"l{n}", kind="job", name="x", data=b"", headers=b"{}", errors=[], failed_at=float(n)), 3
            )
            for n in range(5)
        ]
        assert gone == [0, 0, 0, 1, 1]
        assert [letter.id for letter in await letters.list(10)] == ["l4", "l3", "l2"]


async def test_tables_of_a_later_version_stop_the_start(url: str) -> None:
    """They are not understood here."""
    service = shop(url)
    async with service.db as db:
        await migrate(db)
        await migrate(db)
        await db.execute(SCHEMA.update().values(version=len(MIGRATIONS) + 1))
    with pytest.raises(Exception, match="install the version"):
        async with run(service):
            pass


async def test_two_instances_migrate_once(tmp_path: Path, url: str) -> None:
    """They may start together."""
    services: list[Service[Any]] = [shop(url) for _ in range(3)]

    async def start(service: Service[Any]) -> None:
        async with service.db as db:
            await migrate(db)

    await asyncio.gather(*(start(service) for service in services))


@pytest.mark.timeout(180)
def test_command_lists_shows_replays_and_discards(tmp_path: Path) -> None:
    """End to end: a service fails, an operator looks, and has it handled by the next instance."""
    (tmp_path / "post.py").write_text(SERVICE)
    opened = tmp_path / "open"
    env = {**os.environ, "SHOP": f"sqlite:///{tmp_path}/shop.db", "OPEN": str(opened)}
    program = (
        "import asyncio, sys; sys.path.insert(0, '.')\n"
        "from post import service\n"
        "from pylinkd.testing import run\n"
        "from pylinkd.sdk.host import persistence_of\n"
        "async def main(items):\n"
        "    async with run(service):\n"
        "        for item in items: await service.after(0.0, 'shop.remind', item)\n"
        "        while await persistence_of(service._host).work.next_due([('job', 'shop.remind')]) is not None:\n"
        "            await asyncio.sleep(0.02)\n"
        "asyncio.run(asyncio.wait_for(main(sys.argv[1:]), 60))\n"
    )

    def python(*arguments: str) -> None:
        subprocess.run([sys.executable, "-c", program, *arguments], cwd=tmp_path, env=env, check=True)

    def linkd(*arguments: str, status: int = 0) -> str:
        command = [sys.executable, "-m", "pylinkd", "dead-letters", *arguments, "--service", "post.py"]
        done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == status, done.stderr
        return done.stdout + done.stderr

    python("tea", "milk")
    listed = linkd("list")
    assert "2 of 2 dead letters" in listed
    id = next(line.split()[0] for line in listed.splitlines() if "shop.remind" in line)
    shown = linkd("show", id)
    assert "ValueError: the post is closed" in shown
    assert "Traceback" in shown

    opened.touch()
    assert "replayed 1 dead letters" in linkd("replay", id)
    assert "replayed 0 dead letters" in linkd("replay", id)
    python()
    assert opened.read_text() in ("tea", "milk")
    assert "1 of 1 dead letters" in linkd("list")
    assert "discarded 1 dead letters" in linkd("discard", "--all")
    assert "0 of 0 dead letters" in linkd("list")
    assert "there is no dead letter" in linkd("show", id, status=1)
    assert "or --all" in linkd("replay", status=1)
