"""FastAPI: a WebSocket endpoint with pydantic models, and the connection manager of its documentation as the room."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import FastAPI, WebSocket, WebSocketDisconnect
from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from .serving import serve_asgi


class Text(BaseModel):
    """What a request carries."""

    text: str


class Echo(BaseModel):
    """An acknowledged request."""

    type: Literal["bench.echo"]
    id: int
    data: Text


class Join(BaseModel):
    """Become a member of the one room."""

    type: Literal["bench.join"]
    id: int


class Publish(BaseModel):
    """Send an event to the room."""

    type: Literal["bench.publish"]
    id: int


class Length(BaseModel):
    """What is answered."""

    length: int


class Response(BaseModel):
    """The answer to a request."""

    type: Literal["response"] = "response"
    id: int
    data: Length | None = None


class Event(BaseModel):
    """What members of the room get."""

    type: Literal["bench.event"] = "bench.event"
    data: Text


class ConnectionManager:
    """The members of the room."""

    def __init__(self) -> None:
        self.active_connections: list[WebSocket] = []

    async def broadcast(self, message: str) -> None:
        """Send a text to all of them."""
        for connection in self.active_connections:
            await connection.send_text(message)


app = FastAPI()
manager = ConnectionManager()
requests: TypeAdapter[Echo | Join | Publish] = TypeAdapter(
    Annotated[Echo | Join | Publish, Field(discriminator="type")]
)


@app.websocket("/")
async def bench(websocket: WebSocket) -> None:
    """One WebSocket."""
    await websocket.accept()
    try:
        while True:
            await _answer(websocket, await websocket.receive_text())
    except WebSocketDisconnect:
        pass
    finally:
        if websocket in manager.active_connections:
            manager.active_connections.remove(websocket)


async def _answer(websocket: WebSocket, text: str) -> None:
    try:
        request = requests.validate_json(text)
    except ValidationError as error:
        await websocket.send_json({"type": "error", "data": error.errors(include_url=False)})
        return
    response = await _handle(websocket, request)
    await websocket.send_text(response.model_dump_json())


async def _handle(websocket: WebSocket, request: Echo | Join | Publish) -> Response:
    match request:
        case Echo():
            return Response(id=request.id, data=Length(length=len(request.data.text)))
        case Join():
            manager.active_connections.append(websocket)
        case Publish():
            await manager.broadcast(Event(data=Text(text="x" * 64)).model_dump_json())
    return Response(id=request.id)


if __name__ == "__main__":
    serve_asgi(app)
