from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Codec(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CODEC_UNSPECIFIED: _ClassVar[Codec]
    CODEC_JSON: _ClassVar[Codec]
    CODEC_MSGPACK: _ClassVar[Codec]
CODEC_UNSPECIFIED: Codec
CODEC_JSON: Codec
CODEC_MSGPACK: Codec

class Frame(_message.Message):
    __slots__ = ("request_id", "inbound", "response", "publish", "published", "failure", "done", "register", "registered", "session_opened", "session_closed", "room_command", "room_query", "room_list", "member_list", "session_command", "http_request", "http_response", "call", "call_result", "event", "event_done", "draining", "ping", "stream_opened", "stream_chunk", "stream_credit", "stream_aborted", "session_identified", "session_detached", "session_resumed", "answers", "room_joined", "history_query", "history_page", "presence_query", "presence_list", "presence_command", "presence_changed", "subscribers_query", "health", "session_moved", "subscribers_changed", "describe_query", "description")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    INBOUND_FIELD_NUMBER: _ClassVar[int]
    RESPONSE_FIELD_NUMBER: _ClassVar[int]
    PUBLISH_FIELD_NUMBER: _ClassVar[int]
    PUBLISHED_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    DONE_FIELD_NUMBER: _ClassVar[int]
    REGISTER_FIELD_NUMBER: _ClassVar[int]
    REGISTERED_FIELD_NUMBER: _ClassVar[int]
    SESSION_OPENED_FIELD_NUMBER: _ClassVar[int]
    SESSION_CLOSED_FIELD_NUMBER: _ClassVar[int]
    ROOM_COMMAND_FIELD_NUMBER: _ClassVar[int]
    ROOM_QUERY_FIELD_NUMBER: _ClassVar[int]
    ROOM_LIST_FIELD_NUMBER: _ClassVar[int]
    MEMBER_LIST_FIELD_NUMBER: _ClassVar[int]
    SESSION_COMMAND_FIELD_NUMBER: _ClassVar[int]
    HTTP_REQUEST_FIELD_NUMBER: _ClassVar[int]
    HTTP_RESPONSE_FIELD_NUMBER: _ClassVar[int]
    CALL_FIELD_NUMBER: _ClassVar[int]
    CALL_RESULT_FIELD_NUMBER: _ClassVar[int]
    EVENT_FIELD_NUMBER: _ClassVar[int]
    EVENT_DONE_FIELD_NUMBER: _ClassVar[int]
    DRAINING_FIELD_NUMBER: _ClassVar[int]
    PING_FIELD_NUMBER: _ClassVar[int]
    STREAM_OPENED_FIELD_NUMBER: _ClassVar[int]
    STREAM_CHUNK_FIELD_NUMBER: _ClassVar[int]
    STREAM_CREDIT_FIELD_NUMBER: _ClassVar[int]
    STREAM_ABORTED_FIELD_NUMBER: _ClassVar[int]
    SESSION_IDENTIFIED_FIELD_NUMBER: _ClassVar[int]
    SESSION_DETACHED_FIELD_NUMBER: _ClassVar[int]
    SESSION_RESUMED_FIELD_NUMBER: _ClassVar[int]
    ANSWERS_FIELD_NUMBER: _ClassVar[int]
    ROOM_JOINED_FIELD_NUMBER: _ClassVar[int]
    HISTORY_QUERY_FIELD_NUMBER: _ClassVar[int]
    HISTORY_PAGE_FIELD_NUMBER: _ClassVar[int]
    PRESENCE_QUERY_FIELD_NUMBER: _ClassVar[int]
    PRESENCE_LIST_FIELD_NUMBER: _ClassVar[int]
    PRESENCE_COMMAND_FIELD_NUMBER: _ClassVar[int]
    PRESENCE_CHANGED_FIELD_NUMBER: _ClassVar[int]
    SUBSCRIBERS_QUERY_FIELD_NUMBER: _ClassVar[int]
    HEALTH_FIELD_NUMBER: _ClassVar[int]
    SESSION_MOVED_FIELD_NUMBER: _ClassVar[int]
    SUBSCRIBERS_CHANGED_FIELD_NUMBER: _ClassVar[int]
    DESCRIBE_QUERY_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    request_id: int
    inbound: Inbound
    response: Response
    publish: Publish
    published: Published
    failure: Failure
    done: Done
    register: Register
    registered: Registered
    session_opened: SessionOpened
    session_closed: SessionClosed
    room_command: RoomCommand
    room_query: RoomQuery
    room_list: RoomList
    member_list: MemberList
    session_command: SessionCommand
    http_request: HttpRequest
    http_response: HttpResponse
    call: Call
    call_result: CallResult
    event: Event
    event_done: EventDone
    draining: Draining
    ping: Ping
    stream_opened: StreamOpened
    stream_chunk: StreamChunk
    stream_credit: StreamCredit
    stream_aborted: StreamAborted
    session_identified: SessionIdentified
    session_detached: SessionDetached
    session_resumed: SessionResumed
    answers: Answers
    room_joined: RoomJoined
    history_query: HistoryQuery
    history_page: HistoryPage
    presence_query: PresenceQuery
    presence_list: PresenceList
    presence_command: PresenceCommand
    presence_changed: PresenceChanged
    subscribers_query: SubscribersQuery
    health: Health
    session_moved: SessionMoved
    subscribers_changed: SubscribersChanged
    describe_query: DescribeQuery
    description: Description
    def __init__(self, request_id: _Optional[int] = ..., inbound: _Optional[_Union[Inbound, _Mapping]] = ..., response: _Optional[_Union[Response, _Mapping]] = ..., publish: _Optional[_Union[Publish, _Mapping]] = ..., published: _Optional[_Union[Published, _Mapping]] = ..., failure: _Optional[_Union[Failure, _Mapping]] = ..., done: _Optional[_Union[Done, _Mapping]] = ..., register: _Optional[_Union[Register, _Mapping]] = ..., registered: _Optional[_Union[Registered, _Mapping]] = ..., session_opened: _Optional[_Union[SessionOpened, _Mapping]] = ..., session_closed: _Optional[_Union[SessionClosed, _Mapping]] = ..., room_command: _Optional[_Union[RoomCommand, _Mapping]] = ..., room_query: _Optional[_Union[RoomQuery, _Mapping]] = ..., room_list: _Optional[_Union[RoomList, _Mapping]] = ..., member_list: _Optional[_Union[MemberList, _Mapping]] = ..., session_command: _Optional[_Union[SessionCommand, _Mapping]] = ..., http_request: _Optional[_Union[HttpRequest, _Mapping]] = ..., http_response: _Optional[_Union[HttpResponse, _Mapping]] = ..., call: _Optional[_Union[Call, _Mapping]] = ..., call_result: _Optional[_Union[CallResult, _Mapping]] = ..., event: _Optional[_Union[Event, _Mapping]] = ..., event_done: _Optional[_Union[EventDone, _Mapping]] = ..., draining: _Optional[_Union[Draining, _Mapping]] = ..., ping: _Optional[_Union[Ping, _Mapping]] = ..., stream_opened: _Optional[_Union[StreamOpened, _Mapping]] = ..., stream_chunk: _Optional[_Union[StreamChunk, _Mapping]] = ..., stream_credit: _Optional[_Union[StreamCredit, _Mapping]] = ..., stream_aborted: _Optional[_Union[StreamAborted, _Mapping]] = ..., session_identified: _Optional[_Union[SessionIdentified, _Mapping]] = ..., session_detached: _Optional[_Union[SessionDetached, _Mapping]] = ..., session_resumed: _Optional[_Union[SessionResumed, _Mapping]] = ..., answers: _Optional[_Union[Answers, _Mapping]] = ..., room_joined: _Optional[_Union[RoomJoined, _Mapping]] = ..., history_query: _Optional[_Union[HistoryQuery, _Mapping]] = ..., history_page: _Optional[_Union[HistoryPage, _Mapping]] = ..., presence_query: _Optional[_Union[PresenceQuery, _Mapping]] = ..., presence_list: _Optional[_Union[PresenceList, _Mapping]] = ..., presence_command: _Optional[_Union[PresenceCommand, _Mapping]] = ..., presence_changed: _Optional[_Union[PresenceChanged, _Mapping]] = ..., subscribers_query: _Optional[_Union[SubscribersQuery, _Mapping]] = ..., health: _Optional[_Union[Health, _Mapping]] = ..., session_moved: _Optional[_Union[SessionMoved, _Mapping]] = ..., subscribers_changed: _Optional[_Union[SubscribersChanged, _Mapping]] = ..., describe_query: _Optional[_Union[DescribeQuery, _Mapping]] = ..., description: _Optional[_Union[Description, _Mapping]] = ...) -> None: ...

class Identity(_message.Message):
    __slots__ = ("user", "name", "roles", "claims", "expires_at_ms")
    USER_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    ROLES_FIELD_NUMBER: _ClassVar[int]
    CLAIMS_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_MS_FIELD_NUMBER: _ClassVar[int]
    user: str
    name: str
    roles: _containers.RepeatedScalarFieldContainer[str]
    claims: bytes
    expires_at_ms: int
    def __init__(self, user: _Optional[str] = ..., name: _Optional[str] = ..., roles: _Optional[_Iterable[str]] = ..., claims: _Optional[bytes] = ..., expires_at_ms: _Optional[int] = ...) -> None: ...

class Session(_message.Message):
    __slots__ = ("id", "path", "codec", "identity", "remote_address", "user_agent", "connected_at_ms", "metadata", "detached")
    class MetadataEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    ID_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    CODEC_FIELD_NUMBER: _ClassVar[int]
    IDENTITY_FIELD_NUMBER: _ClassVar[int]
    REMOTE_ADDRESS_FIELD_NUMBER: _ClassVar[int]
    USER_AGENT_FIELD_NUMBER: _ClassVar[int]
    CONNECTED_AT_MS_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    DETACHED_FIELD_NUMBER: _ClassVar[int]
    id: str
    path: str
    codec: Codec
    identity: Identity
    remote_address: str
    user_agent: str
    connected_at_ms: int
    metadata: _containers.ScalarMap[str, str]
    detached: bool
    def __init__(self, id: _Optional[str] = ..., path: _Optional[str] = ..., codec: _Optional[_Union[Codec, str]] = ..., identity: _Optional[_Union[Identity, _Mapping]] = ..., remote_address: _Optional[str] = ..., user_agent: _Optional[str] = ..., connected_at_ms: _Optional[int] = ..., metadata: _Optional[_Mapping[str, str]] = ..., detached: _Optional[bool] = ...) -> None: ...

class Failure(_message.Message):
    __slots__ = ("code", "type", "message", "details", "retry_after_ms")
    CODE_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    DETAILS_FIELD_NUMBER: _ClassVar[int]
    RETRY_AFTER_MS_FIELD_NUMBER: _ClassVar[int]
    code: int
    type: str
    message: str
    details: bytes
    retry_after_ms: int
    def __init__(self, code: _Optional[int] = ..., type: _Optional[str] = ..., message: _Optional[str] = ..., details: _Optional[bytes] = ..., retry_after_ms: _Optional[int] = ...) -> None: ...

class Done(_message.Message):
    __slots__ = ("stored",)
    class StoredEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    STORED_FIELD_NUMBER: _ClassVar[int]
    stored: _containers.ScalarMap[str, int]
    def __init__(self, stored: _Optional[_Mapping[str, int]] = ...) -> None: ...

class Register(_message.Message):
    __slots__ = ("protocol_version", "service", "version", "instance", "namespace", "path", "handlers", "catch_all", "actions", "events", "secret", "auth", "draining", "rooms", "presence", "limits", "durable_events", "failing", "publisher")
    PROTOCOL_VERSION_FIELD_NUMBER: _ClassVar[int]
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    INSTANCE_FIELD_NUMBER: _ClassVar[int]
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    HANDLERS_FIELD_NUMBER: _ClassVar[int]
    CATCH_ALL_FIELD_NUMBER: _ClassVar[int]
    ACTIONS_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    SECRET_FIELD_NUMBER: _ClassVar[int]
    AUTH_FIELD_NUMBER: _ClassVar[int]
    DRAINING_FIELD_NUMBER: _ClassVar[int]
    ROOMS_FIELD_NUMBER: _ClassVar[int]
    PRESENCE_FIELD_NUMBER: _ClassVar[int]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    DURABLE_EVENTS_FIELD_NUMBER: _ClassVar[int]
    FAILING_FIELD_NUMBER: _ClassVar[int]
    PUBLISHER_FIELD_NUMBER: _ClassVar[int]
    protocol_version: int
    service: str
    version: str
    instance: str
    namespace: str
    path: str
    handlers: _containers.RepeatedCompositeFieldContainer[Handler]
    catch_all: bool
    actions: _containers.RepeatedCompositeFieldContainer[Action]
    events: _containers.RepeatedScalarFieldContainer[str]
    secret: bytes
    auth: bool
    draining: bool
    rooms: _containers.RepeatedCompositeFieldContainer[RoomRule]
    presence: bool
    limits: Limits
    durable_events: _containers.RepeatedScalarFieldContainer[str]
    failing: _containers.RepeatedScalarFieldContainer[str]
    publisher: bool
    def __init__(self, protocol_version: _Optional[int] = ..., service: _Optional[str] = ..., version: _Optional[str] = ..., instance: _Optional[str] = ..., namespace: _Optional[str] = ..., path: _Optional[str] = ..., handlers: _Optional[_Iterable[_Union[Handler, _Mapping]]] = ..., catch_all: _Optional[bool] = ..., actions: _Optional[_Iterable[_Union[Action, _Mapping]]] = ..., events: _Optional[_Iterable[str]] = ..., secret: _Optional[bytes] = ..., auth: _Optional[bool] = ..., draining: _Optional[bool] = ..., rooms: _Optional[_Iterable[_Union[RoomRule, _Mapping]]] = ..., presence: _Optional[bool] = ..., limits: _Optional[_Union[Limits, _Mapping]] = ..., durable_events: _Optional[_Iterable[str]] = ..., failing: _Optional[_Iterable[str]] = ..., publisher: _Optional[bool] = ...) -> None: ...

class Limits(_message.Message):
    __slots__ = ("max_message_size", "max_connections_per_user", "heartbeat_interval_ms", "idle_timeout_ms", "no_compression", "resume_window_ms", "rate_count", "rate_period_ms", "retry", "one_session")
    MAX_MESSAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    MAX_CONNECTIONS_PER_USER_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_INTERVAL_MS_FIELD_NUMBER: _ClassVar[int]
    IDLE_TIMEOUT_MS_FIELD_NUMBER: _ClassVar[int]
    NO_COMPRESSION_FIELD_NUMBER: _ClassVar[int]
    RESUME_WINDOW_MS_FIELD_NUMBER: _ClassVar[int]
    RATE_COUNT_FIELD_NUMBER: _ClassVar[int]
    RATE_PERIOD_MS_FIELD_NUMBER: _ClassVar[int]
    RETRY_FIELD_NUMBER: _ClassVar[int]
    ONE_SESSION_FIELD_NUMBER: _ClassVar[int]
    max_message_size: int
    max_connections_per_user: int
    heartbeat_interval_ms: int
    idle_timeout_ms: int
    no_compression: bool
    resume_window_ms: int
    rate_count: int
    rate_period_ms: int
    retry: Retry
    one_session: str
    def __init__(self, max_message_size: _Optional[int] = ..., max_connections_per_user: _Optional[int] = ..., heartbeat_interval_ms: _Optional[int] = ..., idle_timeout_ms: _Optional[int] = ..., no_compression: _Optional[bool] = ..., resume_window_ms: _Optional[int] = ..., rate_count: _Optional[int] = ..., rate_period_ms: _Optional[int] = ..., retry: _Optional[_Union[Retry, _Mapping]] = ..., one_session: _Optional[str] = ...) -> None: ...

class Retry(_message.Message):
    __slots__ = ("base_ms", "cap_ms", "jitter", "attempts")
    BASE_MS_FIELD_NUMBER: _ClassVar[int]
    CAP_MS_FIELD_NUMBER: _ClassVar[int]
    JITTER_FIELD_NUMBER: _ClassVar[int]
    ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    base_ms: int
    cap_ms: int
    jitter: float
    attempts: int
    def __init__(self, base_ms: _Optional[int] = ..., cap_ms: _Optional[int] = ..., jitter: _Optional[float] = ..., attempts: _Optional[int] = ...) -> None: ...

class RoomRule(_message.Message):
    __slots__ = ("pattern", "history", "presence")
    PATTERN_FIELD_NUMBER: _ClassVar[int]
    HISTORY_FIELD_NUMBER: _ClassVar[int]
    PRESENCE_FIELD_NUMBER: _ClassVar[int]
    pattern: str
    history: HistoryRule
    presence: PresenceRule
    def __init__(self, pattern: _Optional[str] = ..., history: _Optional[_Union[HistoryRule, _Mapping]] = ..., presence: _Optional[_Union[PresenceRule, _Mapping]] = ...) -> None: ...

class PresenceRule(_message.Message):
    __slots__ = ("grace_ms", "max_members", "client_data")
    GRACE_MS_FIELD_NUMBER: _ClassVar[int]
    MAX_MEMBERS_FIELD_NUMBER: _ClassVar[int]
    CLIENT_DATA_FIELD_NUMBER: _ClassVar[int]
    grace_ms: int
    max_members: int
    client_data: bool
    def __init__(self, grace_ms: _Optional[int] = ..., max_members: _Optional[int] = ..., client_data: _Optional[bool] = ...) -> None: ...

class HistoryRule(_message.Message):
    __slots__ = ("messages", "period_ms", "bytes", "readable")
    MESSAGES_FIELD_NUMBER: _ClassVar[int]
    PERIOD_MS_FIELD_NUMBER: _ClassVar[int]
    BYTES_FIELD_NUMBER: _ClassVar[int]
    READABLE_FIELD_NUMBER: _ClassVar[int]
    messages: int
    period_ms: int
    bytes: int
    readable: bool
    def __init__(self, messages: _Optional[int] = ..., period_ms: _Optional[int] = ..., bytes: _Optional[int] = ..., readable: _Optional[bool] = ...) -> None: ...

class Handler(_message.Message):
    __slots__ = ("type", "auth", "roles", "description", "stream", "rate_count", "rate_period_ms", "once", "unordered")
    TYPE_FIELD_NUMBER: _ClassVar[int]
    AUTH_FIELD_NUMBER: _ClassVar[int]
    ROLES_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    STREAM_FIELD_NUMBER: _ClassVar[int]
    RATE_COUNT_FIELD_NUMBER: _ClassVar[int]
    RATE_PERIOD_MS_FIELD_NUMBER: _ClassVar[int]
    ONCE_FIELD_NUMBER: _ClassVar[int]
    UNORDERED_FIELD_NUMBER: _ClassVar[int]
    type: str
    auth: bool
    roles: _containers.RepeatedScalarFieldContainer[str]
    description: str
    stream: bool
    rate_count: int
    rate_period_ms: int
    once: bool
    unordered: bool
    def __init__(self, type: _Optional[str] = ..., auth: _Optional[bool] = ..., roles: _Optional[_Iterable[str]] = ..., description: _Optional[str] = ..., stream: _Optional[bool] = ..., rate_count: _Optional[int] = ..., rate_period_ms: _Optional[int] = ..., once: _Optional[bool] = ..., unordered: _Optional[bool] = ...) -> None: ...

class Action(_message.Message):
    __slots__ = ("name", "method", "route", "auth", "roles", "description", "cookies", "max_body", "stream")
    NAME_FIELD_NUMBER: _ClassVar[int]
    METHOD_FIELD_NUMBER: _ClassVar[int]
    ROUTE_FIELD_NUMBER: _ClassVar[int]
    AUTH_FIELD_NUMBER: _ClassVar[int]
    ROLES_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    COOKIES_FIELD_NUMBER: _ClassVar[int]
    MAX_BODY_FIELD_NUMBER: _ClassVar[int]
    STREAM_FIELD_NUMBER: _ClassVar[int]
    name: str
    method: str
    route: str
    auth: bool
    roles: _containers.RepeatedScalarFieldContainer[str]
    description: str
    cookies: _containers.RepeatedScalarFieldContainer[str]
    max_body: int
    stream: bool
    def __init__(self, name: _Optional[str] = ..., method: _Optional[str] = ..., route: _Optional[str] = ..., auth: _Optional[bool] = ..., roles: _Optional[_Iterable[str]] = ..., description: _Optional[str] = ..., cookies: _Optional[_Iterable[str]] = ..., max_body: _Optional[int] = ..., stream: _Optional[bool] = ...) -> None: ...

class Registered(_message.Message):
    __slots__ = ("protocol_version", "gateway", "gateway_instance")
    PROTOCOL_VERSION_FIELD_NUMBER: _ClassVar[int]
    GATEWAY_FIELD_NUMBER: _ClassVar[int]
    GATEWAY_INSTANCE_FIELD_NUMBER: _ClassVar[int]
    protocol_version: int
    gateway: str
    gateway_instance: str
    def __init__(self, protocol_version: _Optional[int] = ..., gateway: _Optional[str] = ..., gateway_instance: _Optional[str] = ...) -> None: ...

class SessionOpened(_message.Message):
    __slots__ = ("session", "adopted")
    SESSION_FIELD_NUMBER: _ClassVar[int]
    ADOPTED_FIELD_NUMBER: _ClassVar[int]
    session: Session
    adopted: bool
    def __init__(self, session: _Optional[_Union[Session, _Mapping]] = ..., adopted: _Optional[bool] = ...) -> None: ...

class SessionClosed(_message.Message):
    __slots__ = ("session", "reason", "rooms")
    SESSION_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    ROOMS_FIELD_NUMBER: _ClassVar[int]
    session: Session
    reason: str
    rooms: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, session: _Optional[_Union[Session, _Mapping]] = ..., reason: _Optional[str] = ..., rooms: _Optional[_Iterable[str]] = ...) -> None: ...

class SessionIdentified(_message.Message):
    __slots__ = ("session", "identity")
    SESSION_FIELD_NUMBER: _ClassVar[int]
    IDENTITY_FIELD_NUMBER: _ClassVar[int]
    session: str
    identity: Identity
    def __init__(self, session: _Optional[str] = ..., identity: _Optional[_Union[Identity, _Mapping]] = ...) -> None: ...

class SessionDetached(_message.Message):
    __slots__ = ("session",)
    SESSION_FIELD_NUMBER: _ClassVar[int]
    session: str
    def __init__(self, session: _Optional[str] = ...) -> None: ...

class SessionResumed(_message.Message):
    __slots__ = ("session", "remote_address", "user_agent")
    SESSION_FIELD_NUMBER: _ClassVar[int]
    REMOTE_ADDRESS_FIELD_NUMBER: _ClassVar[int]
    USER_AGENT_FIELD_NUMBER: _ClassVar[int]
    session: str
    remote_address: str
    user_agent: str
    def __init__(self, session: _Optional[str] = ..., remote_address: _Optional[str] = ..., user_agent: _Optional[str] = ...) -> None: ...

class SessionMoved(_message.Message):
    __slots__ = ("session",)
    SESSION_FIELD_NUMBER: _ClassVar[int]
    session: str
    def __init__(self, session: _Optional[str] = ...) -> None: ...

class Health(_message.Message):
    __slots__ = ("failing",)
    FAILING_FIELD_NUMBER: _ClassVar[int]
    failing: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, failing: _Optional[_Iterable[str]] = ...) -> None: ...

class Inbound(_message.Message):
    __slots__ = ("session", "type", "data", "key")
    SESSION_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    session: str
    type: str
    data: bytes
    key: str
    def __init__(self, session: _Optional[str] = ..., type: _Optional[str] = ..., data: _Optional[bytes] = ..., key: _Optional[str] = ...) -> None: ...

class Response(_message.Message):
    __slots__ = ("data",)
    DATA_FIELD_NUMBER: _ClassVar[int]
    data: bytes
    def __init__(self, data: _Optional[bytes] = ...) -> None: ...

class StreamOpened(_message.Message):
    __slots__ = ("session", "type", "data")
    SESSION_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    session: str
    type: str
    data: bytes
    def __init__(self, session: _Optional[str] = ..., type: _Optional[str] = ..., data: _Optional[bytes] = ...) -> None: ...

class StreamChunk(_message.Message):
    __slots__ = ("data", "last")
    DATA_FIELD_NUMBER: _ClassVar[int]
    LAST_FIELD_NUMBER: _ClassVar[int]
    data: bytes
    last: bool
    def __init__(self, data: _Optional[bytes] = ..., last: _Optional[bool] = ...) -> None: ...

class StreamCredit(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class StreamAborted(_message.Message):
    __slots__ = ("reason",)
    REASON_FIELD_NUMBER: _ClassVar[int]
    reason: str
    def __init__(self, reason: _Optional[str] = ...) -> None: ...

class Publish(_message.Message):
    __slots__ = ("type", "data", "rooms", "users", "sessions", "everyone", "except_sessions", "except_users", "volatile", "origin", "answer_within_ms")
    TYPE_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    ROOMS_FIELD_NUMBER: _ClassVar[int]
    USERS_FIELD_NUMBER: _ClassVar[int]
    SESSIONS_FIELD_NUMBER: _ClassVar[int]
    EVERYONE_FIELD_NUMBER: _ClassVar[int]
    EXCEPT_SESSIONS_FIELD_NUMBER: _ClassVar[int]
    EXCEPT_USERS_FIELD_NUMBER: _ClassVar[int]
    VOLATILE_FIELD_NUMBER: _ClassVar[int]
    ORIGIN_FIELD_NUMBER: _ClassVar[int]
    ANSWER_WITHIN_MS_FIELD_NUMBER: _ClassVar[int]
    type: str
    data: bytes
    rooms: _containers.RepeatedScalarFieldContainer[str]
    users: _containers.RepeatedScalarFieldContainer[str]
    sessions: _containers.RepeatedScalarFieldContainer[str]
    everyone: bool
    except_sessions: _containers.RepeatedScalarFieldContainer[str]
    except_users: _containers.RepeatedScalarFieldContainer[str]
    volatile: bool
    origin: str
    answer_within_ms: int
    def __init__(self, type: _Optional[str] = ..., data: _Optional[bytes] = ..., rooms: _Optional[_Iterable[str]] = ..., users: _Optional[_Iterable[str]] = ..., sessions: _Optional[_Iterable[str]] = ..., everyone: _Optional[bool] = ..., except_sessions: _Optional[_Iterable[str]] = ..., except_users: _Optional[_Iterable[str]] = ..., volatile: _Optional[bool] = ..., origin: _Optional[str] = ..., answer_within_ms: _Optional[int] = ...) -> None: ...

class Published(_message.Message):
    __slots__ = ("reached", "queued", "dropped")
    REACHED_FIELD_NUMBER: _ClassVar[int]
    QUEUED_FIELD_NUMBER: _ClassVar[int]
    DROPPED_FIELD_NUMBER: _ClassVar[int]
    reached: int
    queued: int
    dropped: int
    def __init__(self, reached: _Optional[int] = ..., queued: _Optional[int] = ..., dropped: _Optional[int] = ...) -> None: ...

class Answers(_message.Message):
    __slots__ = ("answers", "missing")
    ANSWERS_FIELD_NUMBER: _ClassVar[int]
    MISSING_FIELD_NUMBER: _ClassVar[int]
    answers: _containers.RepeatedCompositeFieldContainer[Answer]
    missing: _containers.RepeatedCompositeFieldContainer[Missing]
    def __init__(self, answers: _Optional[_Iterable[_Union[Answer, _Mapping]]] = ..., missing: _Optional[_Iterable[_Union[Missing, _Mapping]]] = ...) -> None: ...

class Answer(_message.Message):
    __slots__ = ("member", "codec", "data", "failure")
    MEMBER_FIELD_NUMBER: _ClassVar[int]
    CODEC_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    member: Member
    codec: Codec
    data: bytes
    failure: Failure
    def __init__(self, member: _Optional[_Union[Member, _Mapping]] = ..., codec: _Optional[_Union[Codec, str]] = ..., data: _Optional[bytes] = ..., failure: _Optional[_Union[Failure, _Mapping]] = ...) -> None: ...

class Missing(_message.Message):
    __slots__ = ("member", "gone")
    MEMBER_FIELD_NUMBER: _ClassVar[int]
    GONE_FIELD_NUMBER: _ClassVar[int]
    member: Member
    gone: bool
    def __init__(self, member: _Optional[_Union[Member, _Mapping]] = ..., gone: _Optional[bool] = ...) -> None: ...

class RoomCommand(_message.Message):
    __slots__ = ("verb", "session", "rooms", "since", "replay_limit", "absent", "unwatching")
    class Verb(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        VERB_UNSPECIFIED: _ClassVar[RoomCommand.Verb]
        JOIN: _ClassVar[RoomCommand.Verb]
        LEAVE: _ClassVar[RoomCommand.Verb]
    VERB_UNSPECIFIED: RoomCommand.Verb
    JOIN: RoomCommand.Verb
    LEAVE: RoomCommand.Verb
    VERB_FIELD_NUMBER: _ClassVar[int]
    SESSION_FIELD_NUMBER: _ClassVar[int]
    ROOMS_FIELD_NUMBER: _ClassVar[int]
    SINCE_FIELD_NUMBER: _ClassVar[int]
    REPLAY_LIMIT_FIELD_NUMBER: _ClassVar[int]
    ABSENT_FIELD_NUMBER: _ClassVar[int]
    UNWATCHING_FIELD_NUMBER: _ClassVar[int]
    verb: RoomCommand.Verb
    session: str
    rooms: _containers.RepeatedScalarFieldContainer[str]
    since: RoomPosition
    replay_limit: int
    absent: bool
    unwatching: bool
    def __init__(self, verb: _Optional[_Union[RoomCommand.Verb, str]] = ..., session: _Optional[str] = ..., rooms: _Optional[_Iterable[str]] = ..., since: _Optional[_Union[RoomPosition, _Mapping]] = ..., replay_limit: _Optional[int] = ..., absent: _Optional[bool] = ..., unwatching: _Optional[bool] = ...) -> None: ...

class Present(_message.Message):
    __slots__ = ("key", "user", "name", "sessions", "away", "data")
    KEY_FIELD_NUMBER: _ClassVar[int]
    USER_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    SESSIONS_FIELD_NUMBER: _ClassVar[int]
    AWAY_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    key: str
    user: str
    name: str
    sessions: int
    away: bool
    data: bytes
    def __init__(self, key: _Optional[str] = ..., user: _Optional[str] = ..., name: _Optional[str] = ..., sessions: _Optional[int] = ..., away: _Optional[bool] = ..., data: _Optional[bytes] = ...) -> None: ...

class PresenceQuery(_message.Message):
    __slots__ = ("room",)
    ROOM_FIELD_NUMBER: _ClassVar[int]
    room: str
    def __init__(self, room: _Optional[str] = ...) -> None: ...

class PresenceList(_message.Message):
    __slots__ = ("members", "count")
    MEMBERS_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    members: _containers.RepeatedCompositeFieldContainer[Present]
    count: int
    def __init__(self, members: _Optional[_Iterable[_Union[Present, _Mapping]]] = ..., count: _Optional[int] = ...) -> None: ...

class PresenceCommand(_message.Message):
    __slots__ = ("session", "room", "data", "away", "says_away")
    SESSION_FIELD_NUMBER: _ClassVar[int]
    ROOM_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    AWAY_FIELD_NUMBER: _ClassVar[int]
    SAYS_AWAY_FIELD_NUMBER: _ClassVar[int]
    session: str
    room: str
    data: bytes
    away: bool
    says_away: bool
    def __init__(self, session: _Optional[str] = ..., room: _Optional[str] = ..., data: _Optional[bytes] = ..., away: _Optional[bool] = ..., says_away: _Optional[bool] = ...) -> None: ...

class PresenceChanged(_message.Message):
    __slots__ = ("room", "joined", "left")
    ROOM_FIELD_NUMBER: _ClassVar[int]
    JOINED_FIELD_NUMBER: _ClassVar[int]
    LEFT_FIELD_NUMBER: _ClassVar[int]
    room: str
    joined: _containers.RepeatedCompositeFieldContainer[Present]
    left: _containers.RepeatedCompositeFieldContainer[Present]
    def __init__(self, room: _Optional[str] = ..., joined: _Optional[_Iterable[_Union[Present, _Mapping]]] = ..., left: _Optional[_Iterable[_Union[Present, _Mapping]]] = ...) -> None: ...

class RoomPosition(_message.Message):
    __slots__ = ("epoch", "offset")
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    epoch: str
    offset: int
    def __init__(self, epoch: _Optional[str] = ..., offset: _Optional[int] = ...) -> None: ...

class RoomJoined(_message.Message):
    __slots__ = ("position", "recovered", "replayed")
    POSITION_FIELD_NUMBER: _ClassVar[int]
    RECOVERED_FIELD_NUMBER: _ClassVar[int]
    REPLAYED_FIELD_NUMBER: _ClassVar[int]
    position: RoomPosition
    recovered: bool
    replayed: int
    def __init__(self, position: _Optional[_Union[RoomPosition, _Mapping]] = ..., recovered: _Optional[bool] = ..., replayed: _Optional[int] = ...) -> None: ...

class HistoryQuery(_message.Message):
    __slots__ = ("room", "before", "limit")
    ROOM_FIELD_NUMBER: _ClassVar[int]
    BEFORE_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    room: str
    before: int
    limit: int
    def __init__(self, room: _Optional[str] = ..., before: _Optional[int] = ..., limit: _Optional[int] = ...) -> None: ...

class HistoryPage(_message.Message):
    __slots__ = ("position", "events", "more")
    POSITION_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    MORE_FIELD_NUMBER: _ClassVar[int]
    position: RoomPosition
    events: _containers.RepeatedCompositeFieldContainer[PastEvent]
    more: bool
    def __init__(self, position: _Optional[_Union[RoomPosition, _Mapping]] = ..., events: _Optional[_Iterable[_Union[PastEvent, _Mapping]]] = ..., more: _Optional[bool] = ...) -> None: ...

class PastEvent(_message.Message):
    __slots__ = ("offset", "type", "data", "at_ms")
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    AT_MS_FIELD_NUMBER: _ClassVar[int]
    offset: int
    type: str
    data: bytes
    at_ms: int
    def __init__(self, offset: _Optional[int] = ..., type: _Optional[str] = ..., data: _Optional[bytes] = ..., at_ms: _Optional[int] = ...) -> None: ...

class RoomQuery(_message.Message):
    __slots__ = ("session", "room")
    SESSION_FIELD_NUMBER: _ClassVar[int]
    ROOM_FIELD_NUMBER: _ClassVar[int]
    session: str
    room: str
    def __init__(self, session: _Optional[str] = ..., room: _Optional[str] = ...) -> None: ...

class RoomList(_message.Message):
    __slots__ = ("rooms",)
    ROOMS_FIELD_NUMBER: _ClassVar[int]
    rooms: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, rooms: _Optional[_Iterable[str]] = ...) -> None: ...

class MemberList(_message.Message):
    __slots__ = ("members",)
    MEMBERS_FIELD_NUMBER: _ClassVar[int]
    members: _containers.RepeatedCompositeFieldContainer[Member]
    def __init__(self, members: _Optional[_Iterable[_Union[Member, _Mapping]]] = ...) -> None: ...

class Member(_message.Message):
    __slots__ = ("session", "user", "name")
    SESSION_FIELD_NUMBER: _ClassVar[int]
    USER_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    session: str
    user: str
    name: str
    def __init__(self, session: _Optional[str] = ..., user: _Optional[str] = ..., name: _Optional[str] = ...) -> None: ...

class SessionCommand(_message.Message):
    __slots__ = ("session", "user", "close_code", "reason")
    SESSION_FIELD_NUMBER: _ClassVar[int]
    USER_FIELD_NUMBER: _ClassVar[int]
    CLOSE_CODE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    session: str
    user: str
    close_code: int
    reason: str
    def __init__(self, session: _Optional[str] = ..., user: _Optional[str] = ..., close_code: _Optional[int] = ..., reason: _Optional[str] = ...) -> None: ...

class Header(_message.Message):
    __slots__ = ("name", "value")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    name: str
    value: str
    def __init__(self, name: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...

class HttpRequest(_message.Message):
    __slots__ = ("action", "method", "path", "params", "query", "headers", "body", "identity", "remote_address", "cookies", "streamed")
    class ParamsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    class CookiesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    ACTION_FIELD_NUMBER: _ClassVar[int]
    METHOD_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    PARAMS_FIELD_NUMBER: _ClassVar[int]
    QUERY_FIELD_NUMBER: _ClassVar[int]
    HEADERS_FIELD_NUMBER: _ClassVar[int]
    BODY_FIELD_NUMBER: _ClassVar[int]
    IDENTITY_FIELD_NUMBER: _ClassVar[int]
    REMOTE_ADDRESS_FIELD_NUMBER: _ClassVar[int]
    COOKIES_FIELD_NUMBER: _ClassVar[int]
    STREAMED_FIELD_NUMBER: _ClassVar[int]
    action: str
    method: str
    path: str
    params: _containers.ScalarMap[str, str]
    query: str
    headers: _containers.RepeatedCompositeFieldContainer[Header]
    body: bytes
    identity: Identity
    remote_address: str
    cookies: _containers.ScalarMap[str, str]
    streamed: bool
    def __init__(self, action: _Optional[str] = ..., method: _Optional[str] = ..., path: _Optional[str] = ..., params: _Optional[_Mapping[str, str]] = ..., query: _Optional[str] = ..., headers: _Optional[_Iterable[_Union[Header, _Mapping]]] = ..., body: _Optional[bytes] = ..., identity: _Optional[_Union[Identity, _Mapping]] = ..., remote_address: _Optional[str] = ..., cookies: _Optional[_Mapping[str, str]] = ..., streamed: _Optional[bool] = ...) -> None: ...

class HttpResponse(_message.Message):
    __slots__ = ("status", "headers", "body", "streamed")
    STATUS_FIELD_NUMBER: _ClassVar[int]
    HEADERS_FIELD_NUMBER: _ClassVar[int]
    BODY_FIELD_NUMBER: _ClassVar[int]
    STREAMED_FIELD_NUMBER: _ClassVar[int]
    status: int
    headers: _containers.RepeatedCompositeFieldContainer[Header]
    body: bytes
    streamed: bool
    def __init__(self, status: _Optional[int] = ..., headers: _Optional[_Iterable[_Union[Header, _Mapping]]] = ..., body: _Optional[bytes] = ..., streamed: _Optional[bool] = ...) -> None: ...

class Call(_message.Message):
    __slots__ = ("service", "action", "params", "identity", "caller", "depth", "timeout_ms", "traceparent")
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    ACTION_FIELD_NUMBER: _ClassVar[int]
    PARAMS_FIELD_NUMBER: _ClassVar[int]
    IDENTITY_FIELD_NUMBER: _ClassVar[int]
    CALLER_FIELD_NUMBER: _ClassVar[int]
    DEPTH_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_MS_FIELD_NUMBER: _ClassVar[int]
    TRACEPARENT_FIELD_NUMBER: _ClassVar[int]
    service: str
    action: str
    params: bytes
    identity: Identity
    caller: str
    depth: int
    timeout_ms: int
    traceparent: str
    def __init__(self, service: _Optional[str] = ..., action: _Optional[str] = ..., params: _Optional[bytes] = ..., identity: _Optional[_Union[Identity, _Mapping]] = ..., caller: _Optional[str] = ..., depth: _Optional[int] = ..., timeout_ms: _Optional[int] = ..., traceparent: _Optional[str] = ...) -> None: ...

class CallResult(_message.Message):
    __slots__ = ("data",)
    DATA_FIELD_NUMBER: _ClassVar[int]
    data: bytes
    def __init__(self, data: _Optional[bytes] = ...) -> None: ...

class Event(_message.Message):
    __slots__ = ("type", "data", "source", "identity", "id", "taken_by", "traceparent")
    TYPE_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    IDENTITY_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    TAKEN_BY_FIELD_NUMBER: _ClassVar[int]
    TRACEPARENT_FIELD_NUMBER: _ClassVar[int]
    type: str
    data: bytes
    source: str
    identity: Identity
    id: str
    taken_by: _containers.RepeatedScalarFieldContainer[str]
    traceparent: str
    def __init__(self, type: _Optional[str] = ..., data: _Optional[bytes] = ..., source: _Optional[str] = ..., identity: _Optional[_Union[Identity, _Mapping]] = ..., id: _Optional[str] = ..., taken_by: _Optional[_Iterable[str]] = ..., traceparent: _Optional[str] = ...) -> None: ...

class EventDone(_message.Message):
    __slots__ = ("reached", "taken_by", "subscribers")
    REACHED_FIELD_NUMBER: _ClassVar[int]
    TAKEN_BY_FIELD_NUMBER: _ClassVar[int]
    SUBSCRIBERS_FIELD_NUMBER: _ClassVar[int]
    reached: int
    taken_by: _containers.RepeatedScalarFieldContainer[str]
    subscribers: _containers.RepeatedCompositeFieldContainer[Subscriber]
    def __init__(self, reached: _Optional[int] = ..., taken_by: _Optional[_Iterable[str]] = ..., subscribers: _Optional[_Iterable[_Union[Subscriber, _Mapping]]] = ...) -> None: ...

class Subscriber(_message.Message):
    __slots__ = ("service", "patterns")
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    PATTERNS_FIELD_NUMBER: _ClassVar[int]
    service: str
    patterns: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, service: _Optional[str] = ..., patterns: _Optional[_Iterable[str]] = ...) -> None: ...

class SubscribersQuery(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class SubscribersChanged(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Draining(_message.Message):
    __slots__ = ("finished",)
    FINISHED_FIELD_NUMBER: _ClassVar[int]
    finished: bool
    def __init__(self, finished: _Optional[bool] = ...) -> None: ...

class Ping(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class DescribeQuery(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Description(_message.Message):
    __slots__ = ("openapi", "asyncapi")
    OPENAPI_FIELD_NUMBER: _ClassVar[int]
    ASYNCAPI_FIELD_NUMBER: _ClassVar[int]
    openapi: bytes
    asyncapi: bytes
    def __init__(self, openapi: _Optional[bytes] = ..., asyncapi: _Optional[bytes] = ...) -> None: ...
