from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class BusFrame(_message.Message):
    __slots__ = ("version", "gateway", "incarnation", "name", "sequence", "previous", "sent_ms", "question", "payload", "chunk", "tail", "answer", "member", "echo")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    GATEWAY_FIELD_NUMBER: _ClassVar[int]
    INCARNATION_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    PREVIOUS_FIELD_NUMBER: _ClassVar[int]
    SENT_MS_FIELD_NUMBER: _ClassVar[int]
    QUESTION_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    TAIL_FIELD_NUMBER: _ClassVar[int]
    ANSWER_FIELD_NUMBER: _ClassVar[int]
    MEMBER_FIELD_NUMBER: _ClassVar[int]
    ECHO_FIELD_NUMBER: _ClassVar[int]
    version: int
    gateway: str
    incarnation: str
    name: str
    sequence: int
    previous: int
    sent_ms: int
    question: int
    payload: bytes
    chunk: BusChunk
    tail: BusTail
    answer: BusAnswer
    member: BusMember
    echo: BusEcho
    def __init__(self, version: _Optional[int] = ..., gateway: _Optional[str] = ..., incarnation: _Optional[str] = ..., name: _Optional[str] = ..., sequence: _Optional[int] = ..., previous: _Optional[int] = ..., sent_ms: _Optional[int] = ..., question: _Optional[int] = ..., payload: _Optional[bytes] = ..., chunk: _Optional[_Union[BusChunk, _Mapping]] = ..., tail: _Optional[_Union[BusTail, _Mapping]] = ..., answer: _Optional[_Union[BusAnswer, _Mapping]] = ..., member: _Optional[_Union[BusMember, _Mapping]] = ..., echo: _Optional[_Union[BusEcho, _Mapping]] = ...) -> None: ...

class BusChunk(_message.Message):
    __slots__ = ("index", "total", "data")
    INDEX_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    index: int
    total: int
    data: bytes
    def __init__(self, index: _Optional[int] = ..., total: _Optional[int] = ..., data: _Optional[bytes] = ...) -> None: ...

class BusTail(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class BusAnswer(_message.Message):
    __slots__ = ("payload", "refused")
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    REFUSED_FIELD_NUMBER: _ClassVar[int]
    payload: bytes
    refused: bool
    def __init__(self, payload: _Optional[bytes] = ..., refused: _Optional[bool] = ...) -> None: ...

class BusMember(_message.Message):
    __slots__ = ("server", "leaving")
    SERVER_FIELD_NUMBER: _ClassVar[int]
    LEAVING_FIELD_NUMBER: _ClassVar[int]
    server: str
    leaving: bool
    def __init__(self, server: _Optional[str] = ..., leaving: _Optional[bool] = ...) -> None: ...

class BusEcho(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...
