"""Django Channels: a JSON consumer, groups on the in-memory channel layer."""

from __future__ import annotations

import secrets
from typing import Any

import django
from django.conf import settings

settings.configure(
    DEBUG=False,
    SECRET_KEY=secrets.token_hex(32),
    ALLOWED_HOSTS=["127.0.0.1"],
    INSTALLED_APPS=["channels"],
    CHANNEL_LAYERS={"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}},
)
django.setup()

# Settings come first: these read them when they are imported.
from channels.generic.websocket import AsyncJsonWebsocketConsumer  # noqa: E402
from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402
from django.core.asgi import get_asgi_application  # noqa: E402
from django.urls import path  # noqa: E402

from .serving import compact, serve_asgi  # noqa: E402


class Bench(AsyncJsonWebsocketConsumer):
    """One WebSocket."""

    async def receive_json(self, content: Any, **kwargs: Any) -> None:
        """A message: answer a request, join the room, or send an event to it."""
        match content:
            case {"type": "bench.echo", "id": int(number), "data": {"text": str(text)}}:
                await self.answer(number, {"length": len(text)})
            case {"type": "bench.join", "id": int(number)}:
                await self.channel_layer.group_add("crowd", self.channel_name)
                await self.answer(number, None)
            case {"type": "bench.publish", "id": int(number)}:
                await self.channel_layer.group_send("crowd", {"type": "crowd.event", "text": "x" * 64})
                await self.answer(number, None)
            case _:
                await self.send_json({"type": "error", "data": "not understood"})

    async def answer(self, number: int, data: Any) -> None:
        """Send the answer to a request."""
        await self.send_json({"type": "response", "id": number, "data": data})

    async def crowd_event(self, message: dict[str, Any]) -> None:
        """What reached the room."""
        await self.send_json({"type": "bench.event", "data": {"text": message["text"]}})

    @classmethod
    async def encode_json(cls, content: Any) -> str:
        """The base class writes spaces."""
        return compact(content)

    async def websocket_disconnect(self, message: dict[str, Any]) -> None:
        """Leave the room: the layer would remember the channel for a day."""
        await self.channel_layer.group_discard("crowd", self.channel_name)
        await super().websocket_disconnect(message)


if __name__ == "__main__":
    serve_asgi(
        ProtocolTypeRouter(
            {"http": get_asgi_application(), "websocket": URLRouter([path("", Bench.as_asgi())])},
        )
    )
