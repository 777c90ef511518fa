"""``linkd services``, ``linkd sessions`` and ``linkd bans``: a running gateway's admin API, from the command line."""

from __future__ import annotations

from typing import Annotated, Any

import httpx
import typer

from ..gateway.settings import Settings
from ..protocol.errors import SetupError
from ..protocol.rate import parse_duration
from .listing import moment, show
from .settings import load_settings

services = typer.Typer(no_args_is_help=True, help="Which services are there, and whether they are ready.")
sessions = typer.Typer(no_args_is_help=True, help="Who is connected, and whom to believe no longer.")
bans = typer.Typer(no_args_is_help=True, help="Addresses that may not connect.")

AdminUrl = Annotated[
    str | None, typer.Option("--admin", help="Address of the admin API; LINKD_ADMIN_HOST and LINKD_ADMIN_PORT say it.")
]


class AdminApiError(SetupError):
    """The admin API cannot be asked, or refused; the text says why."""


def _ask(admin: str | None, method: str, path: str, **options: Any) -> Any:
    settings = load_settings(Settings)
    if not settings.admin_key:
        raise AdminApiError("LINKD_ADMIN_KEY must be set, here and for the gateway, to use the admin API")
    url = admin or f"http://{settings.admin_host}:{settings.chosen_admin_port}"
    headers = {"Authorization": f"Bearer {settings.admin_key}"}
    try:
        answer = httpx.request(method, f"{url}{path}", headers=headers, trust_env=False, timeout=10.0, **options)
    except (httpx.HTTPError, httpx.InvalidURL) as cause:
        reason = type(cause).__name__
        raise AdminApiError(f"no gateway answers at {url} ({reason}): set --admin to its address") from None
    try:
        body = answer.json()
        if answer.status_code != 200:
            raise AdminApiError(body["error"]["message"])
    except (ValueError, KeyError, TypeError) as cause:
        raise AdminApiError(f"{url} answered {answer.status_code}: is that a gateway's admin address?") from cause
    return body


@services.callback()
def about_services() -> None:
    """Which services are there, and whether they are ready."""


@services.command("list")
def list_services(admin: AdminUrl = None) -> None:
    """Show each instance of each service, and which of its health checks fail."""
    found = _ask(admin, "GET", "/services")["services"]
    rows = [
        (service["name"], one["id"], one["version"], str(one["sessions"]), _state(one))
        for service in found
        for one in service["instances"]
    ]
    show(("service", "instance", "version", "sessions", "state"), rows)
    away = [service["name"] for service in found if not service["ready"]]
    print(f"{len(found)} services" + (f", not ready: {', '.join(away)}" if away else ""))


def _state(instance: dict[str, Any]) -> str:
    failing = f"failing: {', '.join(instance['failing'])}" if instance["failing"] else ""
    return ", ".join(filter(None, ("draining" if instance["draining"] else "", failing))) or "healthy"


@sessions.command("list")
def list_sessions(
    user: Annotated[str | None, typer.Option(help="Only this user's.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Most that are shown.")] = 100,
    admin: AdminUrl = None,
) -> None:
    """Show sessions, the oldest first."""
    parameters = {"limit": limit} if user is None else {"limit": limit, "user": user}
    found = _ask(admin, "GET", "/sessions", params=parameters)
    rows = [
        (
            one["id"], one["user"] or "-", one["address"], moment(one["connectedAt"] / 1000),
            ", ".join(one["rooms"]) or "-", one["userAgent"],
        )
        for one in found["sessions"]
    ]  # fmt: skip
    show(("session", "user", "address", "since", "rooms", "device"), rows)
    print(f"{len(rows)} of {found['total']} sessions")


@sessions.command("revoke")
def revoke(
    session: Annotated[str | None, typer.Option(help="Close this session, and believe its token no longer.")] = None,
    user: Annotated[str | None, typer.Option(help="Believe no token that this user has now.")] = None,
    jti: Annotated[str | None, typer.Option(help="Believe the token with this id no longer.")] = None,
    admin: AdminUrl = None,
) -> None:
    """Believe tokens no longer, and close the sessions that they opened."""
    wanted = {"session": session, "user": user, "jti": jti}
    body = {name: value for name, value in wanted.items() if value is not None}
    print(f"closed {_ask(admin, 'POST', '/revocations', json=body)['closed']} sessions")


@bans.command("list")
def list_bans(admin: AdminUrl = None) -> None:
    """Show the bans in force."""
    found = _ask(admin, "GET", "/bans")["bans"]
    rows = [(one["network"], "-" if one["until"] is None else moment(one["until"]), one["reason"]) for one in found]
    show(("network", "until", "reason"), rows)
    print(f"{len(rows)} bans")


@bans.command("add")
def ban(
    network: Annotated[str, typer.Argument(help="An address, or a network such as 203.0.113.0/24.")],
    duration: Annotated[str, typer.Option("--for", help="Such as 90s, 10m or 2h; empty: until it is lifted.")] = "",
    reason: Annotated[str, typer.Option(help="For people.")] = "",
    admin: AdminUrl = None,
) -> None:
    """Let nobody in from an address or a network, and close who is."""
    body: dict[str, Any] = {"network": network, "reason": reason}
    if duration:
        try:
            body["durationMs"] = round(parse_duration(duration) * 1000)
        except ValueError as cause:
            raise AdminApiError(str(cause)) from cause
    print(f"closed {_ask(admin, 'POST', '/bans', json=body)['closed']} sessions")


@bans.command("remove")
def lift(network: Annotated[str, typer.Argument(help="As it stands in the list.")], admin: AdminUrl = None) -> None:
    """Lift a ban."""
    _ask(admin, "DELETE", f"/bans/{network}")
    print(f"lifted the ban on {network}")
