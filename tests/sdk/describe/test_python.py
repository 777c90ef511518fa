"""The generated module for Python, judged by mypy, and by a client that uses it."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

import msgspec

from examples.chat.service import service as chat
from pylinkd import Service, WsContext
from pylinkd.sdk.describe.python import python

from .test_documents import described

USE = """
from api import *
from pylinkd.client import connect


async def main() -> None:
    async with connect("ws://127.0.0.1/ws") as client:
        api = Api(client)
"""


def faults(folder: Path, service: Service[Any], *lines: str) -> list[str]:
    """What mypy says of a program against the service's module, in its strict mode."""
    (folder / "api.py").write_text(python(service))
    (folder / "use.py").write_text(USE + "".join(f"        {line}\n" for line in lines))
    command = [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", "--config-file=", "api.py", "use.py"]
    ended = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=240)
    return ended.stdout.splitlines()


def loaded(folder: Path, service: Service[Any]) -> ModuleType:
    """The module, imported."""
    file = folder / "generated.py"
    file.write_text(python(service))
    spec = importlib.util.spec_from_file_location("generated", file)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules["generated"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_chat_is_called_by_its_types(tmp_path: Path) -> None:
    """Data, results and events of the example have their types; what does not fit is one fault a line."""
    good = [
        'sent = await api.chat_send(Send(room="r", message="m"))',
        "reached: int = sent.reached",
        "api.on_chat_message(lambda message: print(message.content.strip()))",
    ]
    bad = ['await api.chat_send(Send(room=1, message="m"))', "await api.chat_nothing()", "sent.nowhere"]

    found = faults(tmp_path, chat, *good, *bad)

    assert [line.partition(": error:")[0] for line in found] == ["use.py:12", "use.py:13", "use.py:14"], found


class Cat(msgspec.Struct, tag="cat"):
    name: str


class Dog(msgspec.Struct, tag="dog"):
    name: str
    friends: list[Cat | Dog] = []


class Odd(msgspec.Struct, rename={"a": "a-b", "numbers": "list"}):
    a: tuple[int, str]
    numbers: list[int]
    size: int | float | Literal["large"]
    quoted: Literal['"', "\\'", "é"] = '"'
    next: Odd | None = None
    pet: Cat | Dog | None = None
    many: dict[str, list[int | str]] = {}


def odd() -> Service[Any]:
    """A service with names and types that are difficult to write in Python."""
    service = described()
    service.ws.event("shop.odd", Odd)
    service.ws.event("shop.str", msgspec.defstruct("str", [("x", int)]))

    @service.ws.on("shop.odd-get")
    async def get(ctx: WsContext) -> Odd | list[Odd] | bool:
        return True

    return service


def test_every_form_of_type_is_right(tmp_path: Path) -> None:
    """Tuples, tags, recursion, names of Python's, pydantic models, services with nothing."""
    use = "api.on_shop_odd(lambda odd: print(odd.a_b[0].bit_length(), odd.list_))"

    assert faults(tmp_path, odd(), use) == []
    assert faults(tmp_path, Service("empty")) == []


def test_every_type_is_decoded(tmp_path: Path) -> None:
    """By msgspec, which has to tell the members of unions apart; what was sent comes back."""
    module = loaded(tmp_path, odd())
    value = Odd(a=(1, "x"), numbers=[2], size="large", pet=Dog("rex", [Cat("tom")]), next=Odd((3, "y"), [], 1.5))

    read = msgspec.json.decode(msgspec.json.encode(value), type=module.Odd)

    assert (read.a_b, read.list_, read.size, read.next.size) == ((1, "x"), [2], "large", 1.5)
    assert (type(read.pet), read.pet.friends) == (module.Dog, [module.Cat(name="tom")])
    assert msgspec.convert(msgspec.to_builtins(read), Odd) == value
