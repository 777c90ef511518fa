"""The chat service: everything that it answers, and the function that answers it.

Make its tables with ``linkd db upgrade examples/chat/service.py``, run gateway and service with
``linkd dev examples/chat/service.py`` and open http://127.0.0.1:3000/.
The rest by noun:

    models.py          the tables                  settings.py        what is read from the environment
    seed.py            the first rows              development.py     demonstration users and their password
    sign_in.py         the form, the cookie        accounts.py        names and passwords
    refresh_tokens.py  staying signed in           passwords.py       hashing them
    tokens.py          access tokens               attempts.py        how often one may try
    windows.py         sessions of a sign-in       users.py           whoever comes with a token
    rooms.py           joining, inviting           membership.py      who may see a room
    messages.py        sending, reading            wire.py            names on the wire
    page.py            the web page                health.py          for whatever watches the service
    cleanup.py         rows whose time is over
    migrations/        the revisions of the tables, which linkd db applies
"""

from __future__ import annotations

from pylinkd import History, Presence, Service

from . import cleanup, development, health, messages, page, rooms, sign_in, windows
from .models import ChatDatabase
from .seed import seed
from .settings import DATABASE, DEVELOPMENT
from .wire import PersonInRoom

service = Service("chat", path="/ws/chat", auth=True, database=DATABASE, tables=ChatDatabase, migrations="migrations")

service.before_start(seed)
service.health_check("database")(health.database)

# What somebody missed who was away for an hour comes by itself; who missed more reads the latest messages anew.
service.rooms("chat:*", history=History(messages=300, seconds=3600.0), presence=Presence())

service.ws.on_connect(windows.connected)

room = service.ws.group("room", auth=True)
room.on("list", rooms.list_rooms)
room.on("join", rooms.join)
room.on("leave", rooms.leave)
room.on("invite", rooms.invite, rate="20/m")

chat = service.ws.group("chat", auth=True)
chat.on("send", messages.send)
chat.on("history", messages.history)
chat.on("read", messages.read)
chat.on("typing", messages.typing)

service.ws.event("chat.message", messages.MessageView)
service.ws.event("user.typing", messages.UserTyping)
service.ws.event("user.joined", PersonInRoom)
service.ws.event("user.left", PersonInRoom)
service.ws.event("room.added", rooms.RoomAdded)
service.ws.event("room.removed", rooms.RoomRemoved)

service.every(cleanup.INTERVAL, name="cleanup")(cleanup.forget)

service.action("page", route="/")(page.index)

http = service.action.group("chat", route="/chat")
http("page", route="/page/{file}")(page.asset)
http("health", route="/health")(health.health)
http("ready", route="/ready")(health.ready)
http("live", route="/live")(health.live)

http("sign_in.form", route="/sign-in")(sign_in.form)
http("accounts.create", route="/accounts", method="POST")(sign_in.register)
http("session.create", route="/session", method="POST")(sign_in.sign_in)
http("session.renew", route="/session/renew", method="POST", cookies=[sign_in.COOKIE])(sign_in.renew)
http("session.end", route="/session", method="DELETE", cookies=[sign_in.COOKIE])(sign_in.sign_out)

http_rooms = http.group("rooms", route="/rooms", auth=True)
http_rooms.use(windows.signed_in)
http_rooms("list", route="")(rooms.list_rooms)
http_rooms("get", route="/{id}")(rooms.get_room)
http_rooms("create", route="", method="POST")(rooms.create_room)

if DEVELOPMENT:
    service.after_start(development.show_links)
