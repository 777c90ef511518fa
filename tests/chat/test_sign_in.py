"""Signing in by name and password, staying signed in by a cookie, and signing out."""

from __future__ import annotations

import asyncio
import statistics
import time
import uuid
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
from argon2 import PasswordHasher

from examples.chat import attempts
from examples.chat.development import ALICE as ALICE_ID
from examples.chat.development import DEMO_PASSWORD
from examples.chat.sign_in import NEW_OF_A_SITE, WRONG_OF_A_SITE
from pylinkd.gateway.settings import DEVELOPMENT_SECRET
from tests.integration.resuming_client import resuming_client
from tests.processes import start_program

from .clients import SERVICE, Chat, User, bearer, started

PASSWORD = "correct horse battery"
SECRET = "a-secret-of-32-bytes-or-more-for-this-test"


def error_of(answer: httpx.Response) -> tuple[int, str]:
    """Code and type."""
    error = answer.json()["error"]
    return error["code"], error["type"]


async def newcomer(chat: Chat) -> str:
    """The name of somebody new, who has an account."""
    name = f"New {uuid.uuid4().hex[:12]}"
    async with chat.browser() as browser:
        answer = await browser.register(name, PASSWORD)
        assert answer.status_code == 201, answer.text
    return name


# names and passwords


@pytest.mark.parametrize("name", ["alice", "Alice", "ALICE", " alice ", "ａｌｉｃｅ"])
async def test_user_signs_in_by_name_and_password(chat: Chat, name: str) -> None:
    """However the name is written. The token is one that the gateway takes, for a quarter of an hour."""
    async with chat.browser() as browser:
        answer = await browser.sign_in(name, DEMO_PASSWORD)

    body = answer.json()
    assert body["user"] == {"id": ALICE_ID, "username": "Alice"}
    assert body["expiresInMs"] == 900_000
    claims = jwt.decode(body["token"], DEVELOPMENT_SECRET, algorithms=["HS256"])
    assert (claims["sub"], claims["name"], claims["exp"] - claims["iat"]) == (ALICE_ID, "Alice", 900)
    assert (await chat.http("GET", "/chat/rooms", headers=bearer(body["token"]))).status_code == 200
    assert answer.headers["Cache-Control"] == "no-store"


async def test_unknown_name_is_answered_as_a_wrong_password_is(chat: Chat) -> None:
    """With the same bytes, and headers apart from the date."""
    name = await newcomer(chat)
    async with chat.browser() as browser:
        wrong = await browser.sign_in(name, "not the password")
        unknown = await browser.sign_in("Nobody At All", "not the password")

    assert error_of(wrong) == (401, "WRONG_PASSWORD")
    assert (unknown.status_code, unknown.content) == (wrong.status_code, wrong.content)
    assert {**unknown.headers, "date": ""} == {**wrong.headers, "date": ""}


async def test_unknown_name_takes_as_long_as_a_wrong_password(own_chat: Chat) -> None:
    """Hashing is nearly all of it, and is done for nobody, too."""
    name = await newcomer(own_chat)
    taken: dict[str, list[float]] = {name: [], "Nobody At All": []}
    async with own_chat.browser() as browser:
        for _ in range(7):
            for each, times in taken.items():
                began = time.perf_counter()
                assert (await browser.sign_in(each, "not the password")).status_code == 401
                times.append(time.perf_counter() - began)

    known, unknown = (statistics.median(times) for times in taken.values())
    assert 0.5 < known / unknown < 2


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"name": "", "password": "x"}, "name"),
        ({"name": " ", "password": "x"}, "name"),
        ({"name": "x" * 41, "password": "x"}, "name"),
        ({"name": "nul\0", "password": "x"}, "name"),
        ({"name": 7, "password": "x"}, "name"),
        ({"name": "alice"}, ""),
        ({"name": "alice", "password": "x" * 257}, "password"),
    ],
)
async def test_form_names_the_field_at_fault(chat: Chat, body: Any, field: str) -> None:
    """Before anything is looked up or hashed."""
    async with chat.browser() as browser:
        answer = await browser.ask("POST", "/chat/session", body)

    assert error_of(answer) == (422, "VALIDATION_ERROR")
    assert answer.json()["error"]["details"]["field"] == (field or "password")


async def test_guessing_the_password_of_a_name_is_stopped(own_chat: Chat) -> None:
    """Also where all guesses are made at once; then the right one is not looked at either, and others sign in."""
    name, other = await newcomer(own_chat), await newcomer(own_chat)
    async with own_chat.browser() as browser:
        guesses = await asyncio.gather(*(browser.sign_in(name.upper(), f"guess {number}") for number in range(15)))
        late = await browser.sign_in(name, PASSWORD)
        unaffected = await browser.sign_in(other, PASSWORD)

    assert sorted(answer.status_code for answer in guesses) == [401] * 10 + [429] * 5
    assert error_of(late) == (429, "RATE_LIMITED")
    assert 0 < int(late.headers["Retry-After"]) <= 600
    assert unaffected.status_code == 200


async def test_name_that_nobody_has_is_stopped_as_well(own_chat: Chat) -> None:
    """Else one could tell by it which names exist."""
    async with own_chat.browser() as browser:
        answers = [(await browser.sign_in("Nobody At All", "x")).status_code for _ in range(11)]

    assert answers == [401] * 10 + [429]


async def test_guessing_by_one_address_is_stopped(own_chat: Chat) -> None:
    """One password for many names. What it may have been right about is not looked at any more."""
    async with own_chat.database() as db, own_chat.browser() as browser:
        for _ in range(WRONG_OF_A_SITE.most - 2):
            await attempts.take(db, WRONG_OF_A_SITE, "127.0.0.1")
        tries = await asyncio.gather(*(browser.sign_in(f"name {each}", "123456") for each in range(3)))
        answer = await browser.sign_in("alice", DEMO_PASSWORD)

    assert sorted(each.status_code for each in tries) == [401, 401, 429]
    assert error_of(answer) == (429, "RATE_LIMITED")


@pytest.mark.parametrize(
    ("address", "site"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::", "2001:db8:1:2::/64"),
        ("", ""),
    ],
)
def test_addresses_of_one_customer_count_together(address: str, site: str) -> None:
    """Of IPv6 everybody has more of them than there are attempts."""
    assert attempts.site(address) == site


async def test_signing_in_often_is_no_guessing(own_chat: Chat) -> None:
    """What was right does not count, of a name or of an address."""
    async with own_chat.browser() as browser:
        for _ in range(12):
            assert (await browser.sign_in("alice", DEMO_PASSWORD)).status_code == 200


async def test_neither_passwords_nor_tokens_are_stored(own_chat: Chat) -> None:
    """What the database has is of no use to who reads it."""
    name = await newcomer(own_chat)
    async with own_chat.browser() as browser:
        token = (await browser.sign_in(name, PASSWORD)).json()["token"]
        cookie = browser.cookie
        assert cookie is not None
        await browser.sign_in("hunter2", "x")
        await browser.renew()
    async with own_chat.database() as db:
        stored = [*await db.accounts.get(), *await db.sign_ins.get(), *await db.attempts.get()]
        text = repr([vars(row) for row in stored])

    for secret in (PASSWORD, token, cookie.partition(".")[2], "hunter2"):
        assert secret not in text
    assert "$argon2id$" in text


async def test_password_is_hashed_anew_when_the_parameters_change(own_chat: Chat) -> None:
    """While it is there: at the next sign-in. A wrong one changes nothing."""
    name = await newcomer(own_chat)
    weak = PasswordHasher(time_cost=1, memory_cost=1024, parallelism=1).hash(PASSWORD)
    async with own_chat.database() as db, own_chat.browser() as browser:
        mine = db.accounts.where_equals("name_key", name.lower())
        await mine.update(password_hash=weak)

        await browser.sign_in(name, "not the password")
        assert (await mine.one()).password_hash == weak
        assert (await browser.sign_in(name, PASSWORD)).status_code == 200
        assert not PasswordHasher().check_needs_rehash((await mine.one()).password_hash)
        assert (await browser.sign_in(name, PASSWORD)).status_code == 200


async def test_password_is_the_same_on_every_keyboard(chat: Chat) -> None:
    """However its letters are composed."""
    name = f"Keys {uuid.uuid4().hex[:12]}"
    async with chat.browser() as browser:
        await browser.register(name, "cafe\u0301 noir")
        answer = await browser.sign_in(name, "caf\u00e9 noir")

    assert answer.status_code == 200


# new accounts


async def test_somebody_new_makes_an_account_and_is_signed_in(chat: Chat) -> None:
    """By the same form; they see the rooms that everybody may join."""
    name = f"Zoë {uuid.uuid4().hex[:8]}"
    async with chat.browser() as browser:
        answer = await browser.register(f"  {name}", PASSWORD)
        renewed = await browser.renew()

    body = answer.json()
    assert answer.status_code == 201
    assert body["user"]["username"] == name
    assert renewed.json()["user"] == body["user"]
    rooms = (await chat.http("GET", "/chat/rooms", headers=bearer(body["token"]))).json()["rooms"]
    assert not any(room["isMember"] or room["isPrivate"] for room in rooms)


@pytest.mark.parametrize("spelling", [str.upper, str.lower, lambda name: name.replace(" ", "\u00a0\u2003")])
async def test_name_is_taken_in_every_spelling(chat: Chat, spelling: Any) -> None:
    """Two who look the same would be taken for each other."""
    name = await newcomer(chat)
    async with chat.browser() as browser:
        answer = await browser.register(spelling(name), PASSWORD)

    assert error_of(answer) == (409, "NAME_TAKEN")


@pytest.mark.parametrize(
    ("name", "password", "field"),
    [
        ("Somebody", "1234567", "password"),
        ("Somebody", "x" * 257, "password"),
        ("Somebody", DEMO_PASSWORD, "password"),
        ("Somebody Else", "somebody else", "password"),
        ("", PASSWORD, "name"),
    ],
)
async def test_account_needs_a_name_and_a_password_of_its_own(chat: Chat, name: str, password: str, field: str) -> None:
    """Not short, not the name, and not the one that the documentation names."""
    async with chat.browser() as browser:
        answer = await browser.register(name, password)

    assert error_of(answer) == (422, "VALIDATION_ERROR")
    assert answer.json()["error"]["details"]["field"] == field


async def test_accounts_of_one_address_have_a_rate(own_chat: Chat) -> None:
    """Counted before anything is hashed."""
    async with own_chat.database() as db, own_chat.browser() as browser:
        for _ in range(NEW_OF_A_SITE.most - 2):
            await attempts.take(db, NEW_OF_A_SITE, "127.0.0.1")
        answers = [await browser.register("taken", PASSWORD) for _ in range(3)]

    assert [answer.status_code for answer in answers] == [201, 409, 429]


async def test_registration_can_be_closed(tmp_path: Path) -> None:
    """Then the form says so, and those who have an account sign in as ever."""
    async with started(tmp_path, f"sqlite:///{tmp_path}/chat.db", CHAT_REGISTRATION="closed") as chat:
        form = (await chat.http("GET", "/chat/sign-in")).json()
        async with chat.browser() as browser:
            refused = await browser.register("Somebody", PASSWORD)
            known = await browser.sign_in("alice", DEMO_PASSWORD)

    assert form["registration"] is False
    assert error_of(refused) == (403, "REGISTRATION_CLOSED")
    assert known.status_code == 200


# staying signed in


async def test_cookie_goes_to_the_session_alone_and_to_no_script(chat: Chat) -> None:
    """Over TLS alone, unless the page itself came without."""
    async with chat.browser() as browser:
        here = (await browser.sign_in("alice", DEMO_PASSWORD)).headers["Set-Cookie"]
        browser.origin = "http://127.0.0.1:3000"
        plain = (await browser.sign_in("alice", DEMO_PASSWORD)).headers["Set-Cookie"]
        browser.origin = "https://chat.example"
        encrypted = (await browser.sign_in("alice", DEMO_PASSWORD)).headers["Set-Cookie"]

    value, *attributes = encrypted.split("; ")
    assert value.startswith("chat_refresh=")
    assert attributes == ["Path=/chat/session", "Max-Age=2592000", "HttpOnly", "SameSite=Strict", "Secure"]
    assert plain.split("; ")[1:] == attributes[:-1]
    assert here.endswith("Secure") == chat.platform.http.startswith("https:")


async def test_cookie_is_worth_another_token_and_changes_each_time(chat: Chat) -> None:
    """As long as somebody comes back, they stay signed in."""
    async with chat.browser() as browser:
        await browser.sign_in("alice", DEMO_PASSWORD)
        cookies = [browser.cookie]
        answers = []
        for _ in range(3):
            answers.append(await browser.renew(user=ALICE_ID))
            cookies.append(browser.cookie)
        token = answers[-1].json()["token"]

    assert {answer.json()["user"]["id"] for answer in answers} == {ALICE_ID}
    assert len(set(cookies)) == 4
    assert (await chat.http("GET", "/chat/rooms", headers=bearer(token))).status_code == 200


async def test_answer_that_was_lost_costs_nobody_their_session(chat: Chat) -> None:
    """The cookie that was shown last is good until the next one is."""
    async with chat.browser() as browser:
        await browser.sign_in("alice", DEMO_PASSWORD)
        cookie = browser.cookie
        for _ in range(3):
            assert (await browser.renew()).status_code == 200
            browser.put_back(cookie)

        assert (await browser.renew()).status_code == 200
        assert (await browser.renew()).status_code == 200


async def test_cookie_that_was_used_before_ends_the_session(chat: Chat) -> None:
    """Somebody has a copy. Nobody knows who of the two is who, so that both have to sign in anew."""
    name = await newcomer(chat)
    async with chat.browser() as victim:
        answer = await victim.sign_in(name, PASSWORD)
        user = User(name, answer.json()["user"]["id"])
        stolen = victim.cookie
        await victim.renew()
        token = (await victim.renew()).json()["token"]
        kept = victim.cookie
        async with chat.window(user, token=token) as window:
            victim.put_back(stolen)
            thief = await victim.renew()

            assert error_of(thief) == (401, "UNAUTHORIZED")
            assert await window.closed() == (4401, "signed out")
        victim.put_back(kept)
        assert error_of(await victim.renew()) == (401, "UNAUTHORIZED")
    assert chat.service.logged("refresh_token_reused")


async def test_thief_who_is_quicker_is_found_out(chat: Chat) -> None:
    """Whoever of the two comes second with what the other has used meanwhile."""
    name = await newcomer(chat)
    async with chat.browser() as browser:
        await browser.sign_in(name, PASSWORD)
        shared = browser.cookie
        await browser.renew()  # the thief
        thiefs = browser.cookie
        browser.put_back(shared)
        await browser.renew()  # the victim, who has what the thief had
        victims = browser.cookie
        browser.put_back(thiefs)

        assert error_of(await browser.renew()) == (401, "UNAUTHORIZED")
        browser.put_back(victims)
        assert error_of(await browser.renew()) == (401, "UNAUTHORIZED")


async def test_two_windows_that_renew_at_once_stay_signed_in(own_chat: Chat) -> None:
    """Each waits for the other in the database."""
    async with own_chat.browser() as browser:
        await browser.sign_in("alice", DEMO_PASSWORD)
        cookie = browser.cookie
        answers = await asyncio.gather(*(browser.renew() for _ in range(4)))
    async with own_chat.database() as db:
        (kept,) = await db.sign_ins.get()

    assert {answer.status_code for answer in answers} == {200}
    assert cookie is not None
    assert kept.family == cookie.partition(".")[0]


@pytest.mark.parametrize("cookie", ["", "x", "a.b", "x" * 4000, "a.b.c", "ü"])
async def test_cookie_that_was_never_given_is_worth_nothing(chat: Chat, cookie: str) -> None:
    """Whatever it is."""
    sent = {"Cookie": f"chat_refresh={cookie}".encode()} if cookie else {}
    async with chat.platform.http_client() as http:
        headers = [("Origin", chat.platform.http), *sent.items()]
        answer = await http.post("/chat/session/renew", json={}, headers=headers)  # type: ignore[arg-type]

    assert error_of(answer) == (401, "UNAUTHORIZED")


async def test_session_that_nobody_renewed_ends(own_chat: Chat) -> None:
    """After thirty days."""
    async with own_chat.browser() as browser:
        await browser.sign_in("alice", DEMO_PASSWORD)
        async with own_chat.database() as db:
            (kept,) = await db.sign_ins.get()
            await db.sign_ins.update(expires_at=kept.renewed_at, all_rows=True)

        assert error_of(await browser.renew()) == (401, "UNAUTHORIZED")


async def test_other_user_of_the_browser_is_not_taken_for_the_first(chat: Chat) -> None:
    """Who signed in in another window since has the cookie now; the first window is told, and nothing changes."""
    async with chat.browser() as browser:
        await browser.sign_in("alice", DEMO_PASSWORD)
        await browser.sign_in("bob", DEMO_PASSWORD)
        refused = await browser.renew(user=ALICE_ID)
        bobs = await browser.renew()

    assert error_of(refused) == (409, "OTHER_USER")
    assert bobs.json()["user"]["username"] == "Bob"


@pytest.mark.parametrize("headers", [
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
    {"Origin": "http://127.0.0.1:1"},
])  # fmt: skip
async def test_page_of_another_origin_cannot_use_the_cookie(chat: Chat, headers: dict[str, str]) -> None:
    """Not even one of the same site, such as another port, with whose requests browsers send it."""
    async with chat.browser() as browser:
        await browser.sign_in("alice", DEMO_PASSWORD)
        refused = await browser.ask("POST", "/chat/session/renew", {}, **headers)
        signed_out = await browser.ask("DELETE", "/chat/session", **headers)

        assert error_of(refused) == (401, "UNAUTHORIZED")
        assert (signed_out.status_code, signed_out.headers.get("Set-Cookie")) == (204, None)
        assert (await browser.renew()).status_code == 200


@pytest.mark.parametrize("path", ["/chat/session", "/chat/session/renew", "/chat/accounts"])
@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", None])
async def test_form_of_another_page_is_refused(chat: Chat, path: str, content_type: str | None) -> None:
    """What a page of anybody may send without being asked first is no JSON: nobody is signed in as somebody else."""
    body = f'{{"name":"alice","password":"{DEMO_PASSWORD}"}}'.encode()
    headers = {"Origin": "https://evil.example"} | ({"Content-Type": content_type} if content_type else {})
    answer = await chat.http("POST", path, content=body, headers=headers)

    assert error_of(answer) == (415, "UNSUPPORTED_MEDIA_TYPE")
    assert "Set-Cookie" not in answer.headers


async def test_sign_ins_of_a_user_have_a_bound(own_chat: Chat) -> None:
    """The one that was not used for longest ends, and its windows with it."""
    async with own_chat.browser() as first, own_chat.browser() as second:
        token = (await first.sign_in("alice", DEMO_PASSWORD)).json()["token"]
        async with own_chat.window(User("Alice", ALICE_ID), token=token) as window:
            async with own_chat.database() as db:
                (oldest,) = await db.sign_ins.get()
                later = {"renewed_at": oldest.renewed_at + timedelta(seconds=1), "expires_at": oldest.expires_at}
                await db.sign_ins.insert_many(
                    {"user_id": ALICE_ID, "family": str(number), "offered_hash": "", **later} for number in range(19)
                )
            assert (await second.sign_in("alice", DEMO_PASSWORD)).status_code == 200

            assert await window.closed() == (4401, "signed out")
        assert error_of(await first.renew()) == (401, "UNAUTHORIZED")
        assert (await second.renew()).status_code == 200


# signing out


async def test_signing_out_ends_cookie_windows_and_token(chat: Chat) -> None:
    """Of this sign-in: another browser's goes on. The token is good for some minutes more, and of no use."""
    async with chat.browser() as browser, chat.browser() as other:
        token = (await browser.sign_in("alice", DEMO_PASSWORD)).json()["token"]
        others = (await other.sign_in("alice", DEMO_PASSWORD)).json()["token"]
        alice = User("Alice", ALICE_ID)
        async with (
            chat.window(alice, token=token) as first,
            chat.window(alice, token=token) as second,
            chat.window(alice, token=others) as stays,
        ):
            answer = await browser.sign_out(token)

            assert (answer.status_code, answer.content) == (204, b"")
            assert browser.cookie is None
            for window in (first, second):
                assert await window.closed() == (4401, "signed out")
            assert (await stays.ask("room.list"))["rooms"]
        assert error_of(await browser.renew()) == (401, "UNAUTHORIZED")
        assert (await other.renew()).status_code == 200
    assert (await chat.http("GET", "/chat/rooms", headers=bearer(token))).status_code == 401
    assert (await chat.http("GET", "/chat/rooms", headers=bearer(others))).status_code == 200
    late = resuming_client(chat.platform.url("/ws/chat"), token)
    async with late as client:
        assert (await client.closed())[0] == 4401


async def test_signing_out_ends_windows_that_are_away(chat: Chat) -> None:
    """A session that waits for its client to come back waits in vain."""
    async with chat.browser() as browser:
        token = (await browser.sign_in("alice", DEMO_PASSWORD)).json()["token"]
        async with resuming_client(chat.platform.url("/ws/chat"), token) as client:
            await client.request("room.list")
            await client.cut()
            await browser.sign_out(token)
            await client.connect()

            assert client.core.notices[-1] != "resumed"
            assert (await client.closed())[0] == 4401


async def test_signing_out_by_the_cookie_alone(chat: Chat) -> None:
    """Where the access token has ended."""
    async with chat.browser() as browser:
        token = (await browser.sign_in("alice", DEMO_PASSWORD)).json()["token"]
        async with chat.window(User("Alice", ALICE_ID), token=token) as window:
            assert (await browser.sign_out()).status_code == 204
            assert await window.closed() == (4401, "signed out")
        assert (await browser.sign_out()).status_code == 204


async def test_signing_out_leaves_the_browsers_other_user_signed_in(chat: Chat) -> None:
    """Two windows of one browser, two users: the one who leaves takes nobody with them."""
    async with chat.browser() as browser:
        alices = (await browser.sign_in("alice", DEMO_PASSWORD)).json()["token"]
        await browser.sign_in("bob", DEMO_PASSWORD)
        answer = await browser.sign_out(alices)

        assert "Set-Cookie" not in answer.headers
        assert (await browser.renew()).json()["user"]["username"] == "Bob"
    assert (await chat.http("GET", "/chat/rooms", headers=bearer(alices))).status_code == 401


# development and production


async def test_form_offers_the_demonstration_users(chat: Chat) -> None:
    """By name, with the password that they all have."""
    form = (await chat.http("GET", "/chat/sign-in")).json()

    assert form["registration"] is True
    assert [user["username"] for user in form["demo"]["users"]] == ["Alice", "Bob", "Charlie", "Dana"]
    assert form["demo"]["password"] == DEMO_PASSWORD


async def test_production_knows_no_demonstration(tmp_path: Path) -> None:
    """Nobody is made up, and the published password opens no account, also where a demonstration has left some."""
    url = f"sqlite:///{tmp_path}/chat.db"
    async with started(tmp_path / "demo", url) as chat, chat.browser() as browser:
        assert (await browser.sign_in("alice", DEMO_PASSWORD)).status_code == 200
    env = {"LINKD_ENV": "production", "LINKD_JWT_SECRET": SECRET}
    async with started(tmp_path / "production", url, **env) as chat, chat.browser() as browser:
        assert (await chat.http("GET", "/chat/sign-in")).json() == {"registration": True, "demo": None}
        assert error_of(await browser.sign_in("alice", DEMO_PASSWORD)) == (401, "WRONG_PASSWORD")
        registered = (await browser.register("Una", PASSWORD)).json()
        assert (await chat.http("GET", "/chat/rooms", headers=bearer(registered["token"]))).status_code == 200
        assert (await chat.http("GET", "/chat/rooms", User("Una"))).status_code == 401
        assert (await chat.http("GET", "/")).status_code == 200


async def test_production_begins_empty(tmp_path: Path) -> None:
    """Without a room, and without anybody."""
    env = {"LINKD_ENV": "production", "LINKD_JWT_SECRET": SECRET}
    async with started(tmp_path, f"sqlite:///{tmp_path}/chat.db", **env) as chat, chat.database() as db:
        assert [await db.users.count(), await db.rooms.count(), await db.chat_messages.count()] == [0, 0, 0]


@pytest.mark.parametrize(
    ("env", "said"),
    [
        ({"CHAT_REGISTRATION": "off"}, "CHAT_REGISTRATION is open or closed, not 'off'"),
        ({"LINKD_ENV": "production"}, "LINKD_JWT_SECRET has to be the gateway's"),
    ],
)
async def test_mistake_in_the_environment_stops_the_start(tmp_path: Path, env: dict[str, str], said: str) -> None:
    """With one sentence."""
    program = await start_program(tmp_path, "service", "run", str(SERVICE), env=env)

    assert await program.process.wait() == 1
    assert said in program.text()
    assert "Traceback" not in program.text()
