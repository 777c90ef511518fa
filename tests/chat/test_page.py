"""The page in a real browser: two people who talk, and a network that fails."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, expect

from .browsers import PHONE, Window, chromium, window
from .clients import Chat, User, started

# One browser serves all tests, and lives in one event loop with them.
pytestmark = pytest.mark.asyncio(loop_scope="session")

ALICE = User("Alice", "11111111-1111-1111-1111-111111111111")
BOB = User("Bob", "22222222-2222-2222-2222-222222222222")
RANDOM = "bbbbbbbb-bbbb-bbbb-bbbb-bbbbbbbbbbbb"


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    """A browser for all tests."""
    async with chromium() as browser:
        yield browser


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def site(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Chat]:
    """A chat that these tests share; what they write lies in it for the next."""
    folder = tmp_path_factory.mktemp("site")
    async with started(folder, f"sqlite:///{folder}/chat.db") as chat:
        yield chat


@pytest_asyncio.fixture(loop_scope="session")
async def own_site(tmp_path: Path) -> AsyncIterator[Chat]:
    """A chat of this test's own, whose processes it may stop and start."""
    async with started(tmp_path, f"sqlite:///{tmp_path}/chat.db") as chat:
        yield chat


def _address(site: Chat, user: User) -> str:
    return f"{site.platform.http}/?user={user.name.lower()}"


async def test_two_windows_talk_to_each_other(site: Chat, browser: Browser) -> None:
    """Each sees what the other writes, with the name of who wrote it, and nothing is complained about."""
    async with (
        window(browser, _address(site, ALICE)) as alice,
        window(browser, _address(site, BOB)) as bob,
    ):
        await expect(bob.part("room-name")).to_have_text("General")
        await alice.say("Hello Bob")
        await expect(bob.message("Hello Bob")).to_contain_text("Alice")
        await bob.say("Hello Alice")
        await expect(alice.message("Hello Alice")).to_contain_text("Bob")

        assert alice.complaints == bob.complaints == []


async def test_demonstration_user_is_chosen_from_the_list(site: Chat, browser: Browser) -> None:
    """Without a name in the address the page asks who one is, and offers those that there are to try."""
    async with window(browser, site.platform.http) as charlie:
        await charlie.part("signin-user-charlie").click()

        await expect(charlie.part("me")).to_contain_text("Charlie")
        await expect(charlie.part("room-name")).to_have_text("General")
        await expect(charlie.part(f"room-{RANDOM}")).to_be_visible()
        await expect(charlie.page.get_by_text("Private Room")).to_have_count(0)


async def test_user_signs_in_by_the_form_and_stays_until_they_sign_out(site: Chat, browser: Browser) -> None:
    """As somebody new; loading the page anew does not ask again, and a second window does not either."""
    async with window(browser, site.platform.http) as una:
        await una.part("signin-name").fill("Una")
        await una.part("signin-password").fill("wrong")
        await una.part("signin-submit").click()
        await expect(una.part("signin-problem")).to_have_text("Name or password is wrong.")
        await una.part("signin-password").fill("correct horse battery")
        await una.part("signin-register").click()
        await expect(una.part("me")).to_contain_text("Una")

        await una.page.reload()
        await expect(una.part("me")).to_contain_text("Una")
        second = Window(await una.page.context.new_page())
        await second.page.goto(site.platform.http)
        await expect(second.part("me")).to_contain_text("Una")

        await una.part("sign-out").click()
        await expect(una.part("signin-name")).to_be_visible()
        await expect(second.part("signin-name")).to_be_visible()
        await una.page.reload()
        await expect(una.part("signin-name")).to_be_visible()


async def test_two_users_share_a_browser(site: Chat, browser: Browser) -> None:
    """The two links that are printed, in two windows with the cookies of one."""
    async with window(browser, _address(site, ALICE)) as alice:
        await expect(alice.part("me")).to_contain_text("Alice")
        bob = Window(await alice.page.context.new_page())
        await bob.page.goto(_address(site, BOB))
        await expect(bob.part("me")).to_contain_text("Bob")

        await alice.page.reload()
        await expect(alice.part("me")).to_contain_text("Alice")
        await expect(bob.part("room-name")).to_have_text("General")
        await bob.say("We are two")
        await expect(alice.message("We are two")).to_contain_text("Bob")


async def test_invited_user_sees_the_room_at_once(site: Chat, browser: Browser) -> None:
    """It is in their list, and what is said in it is counted."""
    room = await site.new_room(BOB, private=True, name="Birthday")
    async with window(browser, _address(site, ALICE)) as alice, site.window(BOB) as bob:
        await expect(alice.part("room-name")).to_have_text("General")
        await bob.ask("room.join", room=room)
        await bob.ask("room.invite", room=room, user="alice")
        await expect(alice.part("notice")).to_have_text("Bob let you into Birthday.")
        await bob.until_there(room, ALICE, BOB)

        await bob.ask("chat.send", room=room, message="Psst")
        await expect(alice.part(f"room-{room}")).to_contain_text("1 unread")
        await alice.enter(room, "Birthday")
        await expect(alice.message("Psst")).to_be_visible()


async def test_typing_is_shown_until_the_message_is_there(site: Chat, browser: Browser) -> None:
    """The other one sees who is typing, and no more of it once it is sent."""
    async with (
        window(browser, _address(site, ALICE)) as alice,
        window(browser, _address(site, BOB)) as bob,
    ):
        await bob.enter(RANDOM, "Random")
        await alice.enter(RANDOM, "Random")
        await expect(bob.part("online-count")).to_have_text("2")

        await alice.part("composer").press_sequentially("wait")
        await expect(bob.part("typing")).to_have_text("Alice is typing…")
        await alice.part("send").click()
        await expect(bob.message("wait")).to_be_visible()
        await expect(bob.part("typing")).to_be_hidden()


async def test_online_list_follows_who_comes_and_goes(site: Chat, browser: Browser) -> None:
    """Somebody is online while they have a window open; members who have none are listed as offline."""
    async with window(browser, _address(site, ALICE)) as alice:
        await expect(alice.part("online-count")).to_have_text("1")
        async with window(browser, _address(site, BOB)):
            await expect(alice.part("online-count")).to_have_text("2")
            await expect(alice.part("online-list")).to_contain_text("Bob")
        await expect(alice.part("online-count")).to_have_text("1")
        await expect(alice.page.locator("[data-testid=online-list] .offline")).to_contain_text(
            ["Bob", "Charlie", "Dana"]
        )


async def test_older_messages_are_loaded_when_scrolling_up(site: Chat, browser: Browser) -> None:
    """The page begins with the latest and fetches the rest when it is asked for."""
    room = await site.new_room(ALICE, name="Archive")
    async with site.window(ALICE) as writer:
        for number in range(120):
            await writer.tell("chat.send", room=room, message=f"message {number}.")
        await writer.ask("chat.history", room=room)

    async with window(browser, _address(site, ALICE)) as alice:
        await alice.enter(room, "Archive")
        await expect(alice.message("message 119.")).to_be_in_viewport()
        await expect(alice.message("message 70.")).to_have_count(1)
        await expect(alice.message("message 69.")).to_have_count(0)
        for oldest in (20, 0):
            await alice.part("message-list").evaluate("list => { list.scrollTop = 0 }")
            await expect(alice.message(f"message {oldest}.").first).to_be_attached()

        texts = await alice.part("message").locator(".bubble").all_text_contents()
        assert texts == [f"message {number}." for number in range(120)]


async def test_banner_shows_while_the_gateway_is_down_and_the_page_comes_back(own_site: Chat, browser: Browser) -> None:
    """After the gateway was killed and started again the page connects by itself, and shows what it missed."""
    async with (
        window(browser, _address(own_site, ALICE)) as alice,
        window(browser, _address(own_site, BOB)) as bob,
    ):
        await bob.say("before")
        await expect(alice.message("before")).to_be_visible()

        await own_site.platform.gateway.kill()
        await expect(alice.part("banner")).to_be_visible()
        await expect(alice.part("banner")).to_contain_text("Disconnected")
        await own_site.platform.start_gateway()
        await own_site.platform.wait_ready()

        await expect(alice.part("banner")).to_be_hidden(timeout=30_000)
        await expect(bob.part("banner")).to_be_hidden(timeout=30_000)
        await bob.say("after")
        await expect(alice.message("after")).to_be_visible()
        await expect(alice.message("before")).to_have_count(1)


async def test_window_that_was_replaced_stays_away_until_asked(tmp_path: Path, browser: Browser) -> None:
    """Two windows that both came back would replace each other for ever; its user may have it come back."""
    env = {"LINKD_MAX_CONNECTIONS_PER_USER": "1", "LINKD_CONNECTIONS_EXCESS": "evict_oldest"}
    async with (
        started(tmp_path, f"sqlite:///{tmp_path}/chat.db", **env) as chat,
        window(browser, _address(chat, ALICE)) as first,
    ):
        await first.say("from the first window")
        async with window(browser, _address(chat, ALICE)) as second:
            await expect(second.message("from the first window")).to_be_visible()
            await expect(first.part("banner")).to_contain_text("Disconnected: replaced by a newer connection.")
            await second.say("from the second window")
            await expect(second.part("banner")).to_be_hidden()

        await first.part("retry-now").click()

        await expect(first.part("banner")).to_be_hidden()
        await expect(first.message("from the second window")).to_be_visible()


async def test_text_is_never_taken_for_markup(site: Chat, browser: Browser) -> None:
    """What a user writes is shown as it was written, and runs nowhere."""
    evil = "<img src=x onerror=\"document.title='broken in'\"><b>bold</b>"
    async with (
        window(browser, _address(site, ALICE)) as alice,
        window(browser, _address(site, BOB)) as bob,
    ):
        await alice.say(evil)

        await expect(bob.message(evil)).to_be_visible()
        assert await bob.page.locator("[data-testid=message-list] img, [data-testid=message-list] b").count() == 0
        assert "broken in" not in await bob.page.title()


async def test_private_room_is_made_on_the_page(site: Chat, browser: Browser) -> None:
    """Its maker is in it at once, and others do not see it."""
    async with (
        window(browser, _address(site, ALICE)) as alice,
        window(browser, _address(site, BOB)) as bob,
    ):
        await alice.part("new-room").click()
        await alice.part("new-room-name").fill("Surprise")
        await alice.part("new-room-private").check()
        await alice.part("new-room-create").click()
        await expect(alice.part("room-name")).to_have_text("Surprise")
        await alice.say("Bob must not know")

        await bob.page.reload()
        await expect(bob.part("room-name")).to_have_text("General")
        await expect(bob.page.get_by_text("Surprise")).to_have_count(0)


async def _fits(phone: Window) -> bool:
    fits: bool = await phone.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    return fits


async def test_page_works_on_a_phone(site: Chat, browser: Browser) -> None:
    """At 390 by 844 nothing is cut off sideways, rooms are behind a button, and one can write."""
    async with window(browser, _address(site, ALICE), PHONE, touch=True) as alice:
        await expect(alice.part("room-name")).to_have_text("General")
        assert await _fits(alice)

        await alice.part("menu").tap()
        await expect(alice.part(f"room-{RANDOM}")).to_be_in_viewport()
        await alice.part(f"room-{RANDOM}").tap()
        await expect(alice.part("room-name")).to_have_text("Random")
        await alice.say("from a phone, with-a-word-that-is-far-too-long-for-its-width-" * 3)

        assert await _fits(alice)
        await expect(alice.part("composer")).to_be_in_viewport()
