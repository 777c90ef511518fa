"""States, gaps and errors in words: what happened, and what to do."""

from __future__ import annotations

from ...client import ConnectionLost, Gap, Sent, State, StateChange, Timeout
from ...protocol.close import ABNORMAL, CloseCode
from ...protocol.errors import LinkdError
from .rendering import printable
from .target import Target

_STATUS = "refused with "  # how the client says that a handshake was refused
_NO_ANSWER = {
    "[Errno 111]": "nobody listens there",
    "[Errno 113]": "there is no way to this host",
    "[Errno 101]": "there is no network",
    "[Errno -2]": "there is no host of this name",
    "[Errno -3]": "names of hosts cannot be looked up now",
    "[Errno -5]": "there is no host of this name",
    "timed out": "no answer came in time",
    "CERTIFICATE_VERIFY_FAILED": "its certificate is not trusted; SSL_CERT_FILE names a file with the authority's",
    "WRONG_VERSION_NUMBER": "it speaks no TLS; try ws:// instead of wss://",
    "did not receive a valid HTTP response": "what listens there speaks no HTTP, or TLS alone (wss://)",
}
_GAPS = {
    "unknown": "the gateway does not know it any more; perhaps it was started anew",
    "expired": "the connection was away for too long",
    "overflow": "more was sent meanwhile than the gateway keeps",
    "evicted": "the gateway had to make room",
    "user": "it was another user's",
    "path": "it was of another path",
    "format": "it had another encoding",
    "range": "both sides had counted differently",
    "closed": "it was ended",
    "not_kept": "the gateway keeps no sessions of this path",
    "fault": "one side had broken the protocol",
}
_SENT: dict[Sent, str] = {
    True: "the message had come",
    False: "the message had not come",
    "unknown": "nobody knows whether the message had come",
}
_ROOM_GAPS = {
    "missed": "events were missed",
    "evicted": "the gateway had to make room, and its history begins anew",
    "changed": "its history is kept otherwise now, and begins anew",
}


def describe_waiting(change: StateChange, target: Target, *, was_open: bool) -> str:
    """Why there is no connection now, where there will be another attempt."""
    again = "" if change.retry_in is None else f"; next attempt in {change.retry_in:.1f} s"
    status = change.reason.removeprefix(_STATUS)
    if status == "503" or (change.code == CloseCode.TRY_AGAIN_LATER and not was_open):
        return f"no instance of the service behind {target.path} is running{again}"
    if status == "429":
        return f"the gateway gets too many connections from here (429){again}"
    if status != change.reason:
        return f"{target.shown} refused the connection ({status}){again}"
    if was_open:
        return f"the connection is lost ({_closing(change)}){again}"
    return f"{target.shown} does not answer: {_no_answer(change)}{again}"


def describe_end(change: StateChange, target: Target) -> str:
    """Why there is no connection, and will be none."""
    status = change.reason.removeprefix(_STATUS) if change.reason.startswith(_STATUS) else ""
    code = change.code
    if code == CloseCode.UNAUTHORIZED:
        why = printable(change.reason) if not status else "401"
        if target.token is None:
            return f"who are you? Give a token with --token-file or LINKD_TOKEN; `linkd token` makes one ({why})"
        return f"the token is refused, or has ended: get another one, from `linkd token` for example ({why})"
    if status == "404":
        return f"no service has the path {target.path} (404): check it, and whether the service is running"
    if status == "403":
        return "the gateway does not let this address or origin connect (403): ask its operator"
    if status:
        return f"{target.shown} refused the connection ({status}): is that a gateway's address?"
    if code == CloseCode.REPLACED:
        return "a newer connection of this user has replaced this one (4409)"
    if change.reason == "gave up":
        return f"{target.shown} does not answer, and the gateway had asked not to try for longer"
    return f"the connection was closed for good ({_closing(change)})"


def describe_open(*, again: bool, resumed: bool, target: Target) -> str:
    """There is a connection."""
    if not again:
        return f"connected to {target.shown}"
    return "connected again, and nothing was lost" if resumed else "connected again, in a new session"


def describe_gap(gap: Gap) -> str:
    """What was lost."""
    if gap.room is not None:
        return f"room {printable(gap.room)}: {_ROOM_GAPS.get(gap.reason, printable(gap.reason))}"
    if gap.reason == "dropped":
        return f"the gateway dropped {gap.events} events, since this client read too slowly"
    return f"the session is lost, and what was sent to it: {_GAPS.get(gap.reason, printable(gap.reason))}"


def describe_error(error: BaseException) -> str:
    """An error in one line: of the server's, of the client's own, or of this program's."""
    if isinstance(error, ConnectionLost):
        return f"no answer: {_GAPS.get(error.message, printable(error.message))}; {_SENT[error.sent]}"
    if isinstance(error, Timeout):
        return "no answer in time; " + ("the message was sent" if error.sent else "the message was not sent")
    if isinstance(error, LinkdError):
        wait = "" if error.retry_after is None else f" (try again in {error.retry_after:g} s)"
        return f"{error.code} {printable(error.type)}  {printable(error.message)}{wait}"
    return f"{type(error).__name__}: {printable(str(error))}"


def describe_no_connection(change: StateChange | None, target: Target, timeout: float) -> str:
    """There was none in the time that was given."""
    if change is None or change.state is not State.WAITING:
        return f"no connection within {timeout:g} s: {target.shown} does not answer"
    reason = describe_waiting(change, target, was_open=False).partition("; next attempt")[0]
    return f"no connection within {timeout:g} s: {reason}"


def _no_answer(change: StateChange) -> str:
    for sign, words in _NO_ANSWER.items():
        if sign in change.reason:
            return words
    return printable(change.reason) or "the connection broke"


def _closing(change: StateChange) -> str:
    code = "" if change.code is None or change.code == ABNORMAL else f"{change.code} "
    return (code + printable(change.reason)).strip() or "it broke"
