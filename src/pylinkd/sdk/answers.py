"""What clients have answered that were asked, and who has not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from ..protocol import link_pb2
from ..protocol.errors import LinkdError
from ..protocol.link_values import read_failure


class Member(msgspec.Struct, frozen=True):
    """A session in a room.

    Attributes:
        session: Its id.
        user: Its user's id; ``None``: not signed in.
        name: Its user's name; ``None``: not signed in.
    """

    session: str
    user: str | None
    name: str | None


class Answer(msgspec.Struct, frozen=True):
    """What one client has answered.

    Attributes:
        member: Whose client.
        data: What it answered, decoded; ``None`` where it answered with an error.
        error: The error that it answered with; ``None``: none.
    """

    member: Member
    data: Any = None
    error: LinkdError | None = None


class Answers(msgspec.Struct, frozen=True):
    """What became of an event that was to be answered.

    Attributes:
        answers: Those that came, in the order in which they came.
        late: Who has not answered in time, be it that the client was away or does not answer such events.
        gone: Whose session has ended before it answered.
    """

    answers: list[Answer]
    late: list[Member]
    gone: list[Member]

    def __iter__(self) -> Iterator[Answer]:
        return iter(self.answers)

    def __len__(self) -> int:
        return len(self.answers)

    @property
    def missing(self) -> list[Member]:
        """Who has not answered, for whatever reason."""
        return [*self.late, *self.gone]


def read_member(wire: link_pb2.Member) -> Member:
    """Out of a frame."""
    return Member(session=wire.session, user=wire.user or None, name=wire.name or None)


def read_answers(wire: link_pb2.Answers) -> Answers:
    """Out of a frame."""
    return Answers(
        answers=[_read_answer(answer) for answer in wire.answers],
        late=[read_member(missing.member) for missing in wire.missing if not missing.gone],
        gone=[read_member(missing.member) for missing in wire.missing if missing.gone],
    )


def _read_answer(wire: link_pb2.Answer) -> Answer:
    member = read_member(wire.member)
    if wire.HasField("failure"):
        return Answer(member, error=read_failure(wire.failure))
    decode = msgspec.msgpack.decode if wire.codec == link_pb2.CODEC_MSGPACK else msgspec.json.decode
    try:
        return Answer(member, data=decode(wire.data) if wire.data else None)
    except (ValueError, RecursionError):
        return Answer(member, error=LinkdError("The client answered with data that is not well formed."))
