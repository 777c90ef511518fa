"""The ``linkd`` command. Each subcommand reads its options, and leaves the work to a module of its own.

Those modules are imported when their command runs: a gateway has no use for a database layer, nor a service for a
web server, and neither should take their memory or wait for their import.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import Annotated, TypeVar

import structlog
import typer

from ..line_writer import flush_log, say_last
from ..protocol.errors import SetupError
from ..settings import ProcessSettings
from ..version import __version__
from .logs import configure_logs
from .settings import IGNORED, foreign_variables, load_settings

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)

Host = Annotated[str | None, typer.Option(help="Address to listen on (LINKD_HOST).")]
Port = Annotated[int | None, typer.Option(help="Port to listen on; 0 takes a free one (LINKD_PORT).")]
Link = Annotated[str | None, typer.Option(help="Path of the link's socket, or tcp://host:port (LINKD_LINK).")]
Target = Annotated[str, typer.Argument(help="module:service, or path/to/file.py:service")]

log = structlog.get_logger("linkd")

S = TypeVar("S", bound=ProcessSettings)


def _settings(kind: type[S], **options: object) -> S:
    settings, ignored = load_settings(kind, **options), foreign_variables(os.environ, kind)
    configure_logs(settings.log_level, settings.log_format)
    if ignored:
        log.warning("variables_ignored", names=ignored, advice=IGNORED)
    return settings


@app.command()
def serve(
    host: Host = None,
    port: Port = None,
    link: Link = None,
    certfile: Annotated[Path | None, typer.Option(help="TLS certificate chain, PEM (LINKD_CERTFILE).")] = None,
    keyfile: Annotated[Path | None, typer.Option(help="Its private key, PEM (LINKD_KEYFILE).")] = None,
) -> None:
    """Run the gateway."""
    # Until there is a gateway to hear it: a hook that renews certificates must not end one that starts.
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    from ..gateway.settings import Settings
    from .serve import serve as serve_gateway

    serve_gateway(_settings(Settings, host=host, port=port, link=link, certfile=certfile, keyfile=keyfile))


@app.command()
def run(target: Target, link: Link = None) -> None:
    """Run a service, and connect it to the gateway."""
    from .loading import load_service

    settings = _settings(ProcessSettings, link=link)
    try:
        load_service(target).run(settings.link, check_events=settings.check_events)
    except Exception as error:
        # Only now: to a service without a database the layer is half a second of its start, and 25 MiB.
        from ..db import DatabaseError

        if isinstance(error, DatabaseError):  # it stands alone and knows nothing of SetupError
            raise SetupError(str(error)) from error
        raise


@app.command()
def dev(
    targets: Annotated[list[str], typer.Argument(help="module:service, or path/to/file.py:service; one or several")],
    host: Host = None,
    port: Port = None,
    link: Link = None,
    watch: Annotated[Path | None, typer.Option(help="Folder whose changes restart the services.")] = None,
) -> None:
    """Run gateway and services; a service restarts when a file changes, and clients stay connected."""
    from ..gateway.settings import Settings
    from .dev import develop

    settings = _settings(Settings, host=host, port=port, link=link)
    # All processes read their settings from the environment.
    os.environ.update(LINKD_HOST=settings.host, LINKD_PORT=str(settings.port), LINKD_LINK=str(settings.link))
    if "describe" not in settings.model_fields_set:
        os.environ["LINKD_DESCRIBE"] = "true"
    if "check_events" not in settings.model_fields_set:
        os.environ["LINKD_CHECK_EVENTS"] = "true"
    raise typer.Exit(asyncio.run(develop(targets, watch)))


@app.command()
def token(
    user: Annotated[str, typer.Option(help="The user's id.")],
    name: Annotated[str | None, typer.Option(help="What to call the user.")] = None,
    roles: Annotated[str, typer.Option(help="Role names, parted by commas.")] = "",
    ttl: Annotated[float, typer.Option(min=1, help="Seconds for which the token is valid.")] = 3600,
) -> None:
    """Print a token that the gateway accepts."""
    from ..gateway.settings import Settings
    from .tokens import issue_token

    names = [role.strip() for role in roles.split(",") if role.strip()]
    print(issue_token(_settings(Settings), user=user, name=name, roles=names, ttl=ttl))


@app.command()
def connect(
    url: Annotated[str, typer.Argument(help="Gateway and path, such as ws://127.0.0.1:3000/ws/hello.")],
    token: Annotated[
        str | None,
        typer.Option(
            help="A token. Other users of the machine see it in the list of processes: better one of the next."
        ),
    ] = None,
    token_file: Annotated[
        Path | None,
        typer.Option(
            help="A file with a token, read again when another one is needed. Else: the variable LINKD_TOKEN."
        ),
    ] = None,
    header: Annotated[
        list[str] | None, typer.Option(help="'Name: value', for the opening handshake; may be repeated.")
    ] = None,
    json: Annotated[
        bool, typer.Option("--json", help="No prompt: lines in, JSON lines out. So it is where input is no terminal.")
    ] = False,
    timeout: Annotated[
        float | None,
        typer.Option(min=0.1, help="Seconds for the first connection and for each answer. Without a prompt: 30."),
    ] = None,
    no_history: Annotated[
        bool, typer.Option("--no-history", help="Keep nothing of what is typed: it may hold secrets.")
    ] = False,
) -> None:
    """Talk to a service: call it, and see its answers and events."""
    from .connect.command import connect as talk
    from .connect.target import read_target

    foreign_variables(os.environ, ProcessSettings)
    target = read_target(url, token=token, token_file=token_file, headers=header or [])
    raise typer.Exit(talk(target, json=json, timeout=timeout, keep_history=not no_history))


@app.command()
def describe(
    target: Target,
    openapi: Annotated[bool, typer.Option("--openapi", help="OpenAPI 3.1 of the actions.")] = False,
    asyncapi: Annotated[bool, typer.Option("--asyncapi", help="AsyncAPI 3.0 of messages and events.")] = False,
) -> None:
    """Print a document about a service, as JSON, without running it."""
    from .describe import print_document

    print_document(target, openapi=openapi, asyncapi=asyncapi)


@app.command()
def types(
    target: Annotated[str | None, typer.Argument(help="module:service, or path/to/file.py:service")] = None,
    typescript: Annotated[bool, typer.Option("--typescript", help="The Api of createClient<Api>().")] = False,
    python: Annotated[bool, typer.Option("--python", help="A module with structs and an Api for Python.")] = False,
    out: Annotated[Path | None, typer.Option(help="File to write; else standard output.")] = None,
    diff: Annotated[
        tuple[Path, Path] | None,
        typer.Option(help="Two OpenAPI or AsyncAPI documents: print what breaks clients of the old one. 1: something."),
    ] = None,
) -> None:
    """Write the types of a service's messages and events for its clients, or compare two documents about it."""
    from .types import print_differences, write_types

    if diff is not None:
        raise typer.Exit(print_differences(*diff))
    write_types(target, typescript=typescript, python=python, out=out)


def _add_operator_commands() -> None:
    from .dead_letters import dead_letters
    from .operator import bans, services, sessions

    app.add_typer(dead_letters, name="dead-letters")
    app.add_typer(services, name="services")
    app.add_typer(sessions, name="sessions")
    app.add_typer(bans, name="bans")


def _add_database_commands() -> None:
    from .db import db

    app.add_typer(db, name="db")


def _print_version(wanted: bool) -> None:
    if wanted:
        print(__version__)
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """A realtime platform: a gateway for WebSocket and HTTP, and the services behind it."""


@app.command()
def version() -> None:
    """Print the version."""
    print(__version__)


def main() -> None:
    """Run the command; a mistake that a person can mend is one line on standard error and status 1."""
    if {"services", "sessions", "bans", "dead-letters", "--help"} & set(sys.argv[1:2]) or len(sys.argv) == 1:
        _add_operator_commands()
    if {"db", "--help"} & set(sys.argv[1:2]) or len(sys.argv) == 1:
        _add_database_commands()
    try:
        app()
    except SetupError as mistake:
        if not say_last(f"linkd: {mistake}"):  # after what led to it, and not waiting for a log that nobody reads
            print(f"linkd: {mistake}", file=sys.stderr)
        sys.exit(1)
    finally:
        flush_log()  # before Python prints a traceback
