"""The chat service: everything that it answers, and the function that answers it.

Run gateway and service with ``linkd dev examples/chat/service.py`` and open http://127.0.0.1:3000/.
The rest by noun: models.py (tables), seed.py (first rows), rooms.py, messages.py, presence.py, page.py,
development.py (sign-in without a password), health.py.
"""

from __future__ import annotations

import os

from pylinkd import Service

from . import development, health, messages, page, presence, rooms
from .models import ChatDatabase
from .seed import seed

service = Service(
    "chat",
    path="/ws/chat",
    database=os.environ.get("CHAT_DATABASE", "sqlite:///chat.db"),
    tables=ChatDatabase,
)

service.before_start(seed)

service.ws.on_connect(presence.connected)
service.rooms("*", presence=presence.PRESENCE)
service.on_presence(presence.changed)

chat = service.ws.group("chat", auth=True)
chat.on("join", rooms.join)
chat.on("leave", rooms.leave)
chat.on("rooms", rooms.list_rooms)
chat.on("send", messages.send)
chat.on("history", messages.history)
chat.on("read", messages.read)
chat.on("typing", presence.typing)

service.action("page", route="/")(page.index)

http = service.action.group("chat", route="/chat")
http("page", route="/page/{file}")(page.asset)
http("rooms.list", route="/rooms", auth=True)(rooms.list_rooms)
http("rooms.get", route="/rooms/{id}", auth=True)(rooms.get_room)
http("rooms.create", route="/rooms", method="POST", auth=True)(rooms.create_room)
http("health", route="/health")(health.health)
http("ready", route="/ready")(health.ready)
http("live", route="/live")(health.live)

# In production the page asks for a token instead.
if os.environ.get("LINKD_ENV") != "production":
    service.after_start(development.show_links)
    http("users", route="/users")(development.list_users)
    http("session", route="/session", method="POST")(development.open_session)
