"""The order in which middleware nests, and what happens to errors on the way."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from pylinkd import ConflictError, Middleware, Next, RegistrationError, Service, ValidationError, WsContext
from pylinkd.testing import run


class Trace:
    """Middleware that notes when it is entered and left."""

    def __init__(self) -> None:
        self.steps: list[str] = []

    def named(self, name: str) -> Middleware:
        """One that is called so."""

        async def traced(ctx: Any, call_next: Next) -> Any:
            self.steps.append(f"+{name}")
            try:
                return await call_next(ctx)
            finally:
                self.steps.append(f"-{name}")

        return traced

    @property
    def order(self) -> str:
        """From the outermost to the innermost; checks that they were left the other way round."""
        entered = [step[1:] for step in self.steps if step[0] == "+"]
        assert [step[1:] for step in self.steps if step[0] == "-"] == entered[::-1]
        self.steps.clear()
        return "".join(entered)


@pytest.fixture
def trace() -> Trace:
    """Nothing noted."""
    return Trace()


@pytest.fixture
def service() -> Service[Any]:
    """With one handler, deep in groups."""
    service = Service("chat")

    async def handler(ctx: WsContext) -> str:
        return "done"

    service.ws.on("a.b.c", handler)
    service.ws.on("x", handler)
    return service


async def order(service: Service[Any], trace: Trace, type: str = "a.b.c") -> str:
    """The middleware that a message passes."""
    async with run(service) as gateway:
        assert await (await gateway.connect()).send(type) == "done"
    return trace.order


async def test_global_then_group_then_pattern(service: Service[Any], trace: Trace) -> None:
    """Whatever the order of registration; each of a kind in its own."""
    service.ws.use("a.**", trace.named("P"))
    service.ws.use("a.b.*", trace.named("p"))
    group = service.ws.group("a")
    group.use(trace.named("G"))
    group.group("b").use(trace.named("g"))
    service.ws.use(trace.named("A"))
    service.ws.use(trace.named("a"))

    assert await order(service, trace) == "AaGgPp"
    assert await order(service, trace, "x") == "Aa"


async def test_group_lies_inside_its_parents(service: Service[Any], trace: Trace) -> None:
    """Also where the parent's middleware was registered later: the wider one is further out."""
    service.ws.group("a").group("b").use(trace.named("g"))
    service.ws.group("a").use(trace.named("G"))

    assert await order(service, trace) == "Gg"


async def test_order_moves_one(service: Service[Any], trace: Trace) -> None:
    """Lower lies further out, across all kinds; equal ones keep their order."""
    service.ws.use(trace.named("0"))
    service.ws.use(trace.named("9"), order=9)
    service.ws.use("a.b.c", trace.named("p"), order=-5)
    service.ws.group("a").use(trace.named("g"), order=-5)
    service.ws.use(trace.named("8"), order=8)

    assert await order(service, trace) == "gp089"


@pytest.mark.parametrize(
    "register",
    [
        lambda ws, m: ws.use(m),
        lambda ws, m: ws.use()(m),
        lambda ws, m: ws.use(order=1)(m),
        lambda ws, m: ws.use("a.**", m),
        lambda ws, m: ws.use("a.**")(m),
        lambda ws, m: ws.use("a.**", order=1)(m),
        lambda ws, m: ws.group("a").use(m),
        lambda ws, m: ws.group("a").use()(m),
        lambda ws, m: ws.group("a").use(order=1)(m),
    ],
)
async def test_every_way_to_register_works(
    service: Service[Any], trace: Trace, register: Callable[[Any, Middleware], Middleware]
) -> None:
    """Called or as a decorator; the function comes back."""
    middleware = trace.named("m")

    assert register(service.ws, middleware) is middleware
    assert await order(service, trace) == "m"


async def test_middleware_reaches_handlers_that_come_later(trace: Trace) -> None:
    """Order of registration between middleware and handlers does not count."""
    service = Service("chat")
    service.ws.use(trace.named("m"))

    @service.ws.on("a.b.c")
    async def handler(ctx: WsContext) -> str:
        return "done"

    assert await order(service, trace) == "m"


async def test_order_of_registration_survives_removals(service: Service[Any], trace: Trace) -> None:
    """What came earlier stays further out, whatever has been taken out meanwhile."""
    first, second = trace.named("1"), trace.named("2")
    for middleware in (first, second, trace.named("3")):
        service.ws.use(middleware)
    service.ws.off(first)
    service.ws.off(second)

    service.ws.use(trace.named("4"))

    assert await order(service, trace) == "34"


@pytest.mark.parametrize("pattern", ["", "a.", "**.a", "a*"])
def test_odd_patterns_are_refused_with_the_place(service: Service[Any], trace: Trace, pattern: str) -> None:
    """Rather than never matching."""
    with pytest.raises(RegistrationError, match=r"traced \(.*test_middleware\.py:\d+\).*is no pattern"):
        service.ws.use(pattern, trace.named("m"))


def test_functions_that_are_no_middleware_are_refused(service: Service[Any]) -> None:
    """With what middleware is."""

    def plain(ctx: Any, call_next: Next) -> Any: ...

    async def handler(ctx: Any) -> Any: ...

    wrong: list[Any] = [plain, handler]
    for function in wrong:
        with pytest.raises(RegistrationError, match=r"'async def name\(ctx, call_next\)'"):
            service.ws.use(function)


async def test_middleware_may_answer_itself(service: Service[Any]) -> None:
    """The handler is not run."""

    async def cached(ctx: Any, call_next: Next) -> Any:
        return "cached"

    service.ws.use(cached)
    async with run(service) as gateway:
        assert await (await gateway.connect()).send("x") == "cached"


async def test_middleware_may_change_the_answer(service: Service[Any]) -> None:
    """What it returns is what the client gets."""

    async def loud(ctx: Any, call_next: Next) -> Any:
        return (await call_next(ctx)).upper()

    service.ws.use(loud)
    async with run(service) as gateway:
        assert await (await gateway.connect()).send("x") == "DONE"


async def test_middleware_sees_the_handlers_errors(service: Service[Any]) -> None:
    """Validation's among them; it may put others in their place."""
    seen: list[type[Exception]] = []

    async def watching(ctx: Any, call_next: Next) -> Any:
        try:
            return await call_next(ctx)
        except Exception as error:
            seen.append(type(error))
            raise ConflictError("Translated.") from error

    @service.ws.on("strict")
    async def strict(ctx: WsContext, data: int) -> None: ...

    @service.ws.on("broken")
    async def broken(ctx: WsContext) -> None:
        raise KeyError("x")

    service.ws.use(watching)
    async with run(service) as gateway:
        client = await gateway.connect()
        for type_, data in (("strict", "no number"), ("broken", None)):
            with pytest.raises(ConflictError, match="Translated"):
                await client.send(type_, data)
    assert seen == [ValidationError, KeyError]


async def test_error_in_middleware_is_the_answer(service: Service[Any]) -> None:
    """As one in the handler; those outside of it are left."""
    trace = Trace()

    async def refusing(ctx: Any, call_next: Next) -> Any:
        raise ConflictError("No.")

    service.ws.use(trace.named("m"))
    service.ws.use(refusing)
    async with run(service) as gateway:
        with pytest.raises(ConflictError, match="No"):
            await (await gateway.connect()).send("x")
    assert trace.order == "m"


async def test_actions_have_middleware_of_their_own(trace: Trace) -> None:
    """Global, of groups and by pattern; the messages' is not theirs."""
    service = Service("chat")

    @service.action("a.get", route="/a")
    async def get(ctx: Any) -> str:
        return "done"

    service.ws.use(trace.named("W"))
    service.action.use("a.*", trace.named("p"))
    service.action.group("a").use(trace.named("g"))
    service.action.use(trace.named("A"))
    async with run(service) as gateway:
        assert await gateway.call("a.get") == "done"

    assert trace.order == "Agp"
