"""Settings: what is right, and what a person is told where something is wrong."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pylinkd.cli.settings import foreign_variables, load_settings
from pylinkd.gateway.settings import DEVELOPMENT_SECRET, Settings
from pylinkd.protocol.rendezvous import Address, default_address
from pylinkd.settings import ProcessSettings, SettingsError

SECRET = "0123456789abcdef0123456789abcdef"


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is set."""
    for name in os.environ:
        if name.startswith("LINKD_"):
            monkeypatch.delenv(name)


def test_defaults_are_fit_for_development() -> None:
    """Reachable from this machine only, and with a secret that everybody knows."""
    settings = load_settings(Settings)

    assert (settings.env, settings.host, settings.port) == ("development", "127.0.0.1", 3000)
    assert settings.jwt_secret == DEVELOPMENT_SECRET
    assert settings.link == default_address()


def test_environment_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Under the prefix, in any case of letters."""
    monkeypatch.setenv("LINKD_PORT", "0")
    monkeypatch.setenv("LINKD_LINK", "/somewhere/x.sock")
    monkeypatch.setenv("linkd_session_window", "7")

    settings = load_settings(Settings)

    assert (settings.port, settings.link, settings.session_window) == (0, Address(Path("/somewhere/x.sock")), 7)


def test_command_line_wins_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was not given there does not count."""
    monkeypatch.setenv("LINKD_PORT", "4000")
    monkeypatch.setenv("LINKD_HOST", "0.0.0.0")

    settings = load_settings(Settings, port=5000, host=None)

    assert (settings.port, settings.host) == (5000, "0.0.0.0")


def test_durations_are_milliseconds_outside_and_seconds_inside(monkeypatch: pytest.MonkeyPatch) -> None:
    """The properties are in seconds."""
    monkeypatch.setenv("LINKD_SERVICE_GRACE_MS", "1500")
    monkeypatch.setenv("LINKD_CLOSE_TIMEOUT_MS", "1")
    monkeypatch.setenv("LINKD_SHUTDOWN_TIMEOUT_MS", "0")

    settings = load_settings(Settings)

    assert (settings.routing.services.grace, settings.clients.close_timeout, settings.shutdown_timeout) == (
        1.5,
        0.001,
        0.0,
    )


def test_production_needs_a_secret_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """The published one stops the start; the sentence names both variables."""
    monkeypatch.setenv("LINKD_ENV", "production")

    with pytest.raises(SettingsError, match=r"LINKD_JWT_SECRET must be set.*LINKD_ENV=production") as caught:
        load_settings(Settings)
    assert DEVELOPMENT_SECRET not in str(caught.value)

    monkeypatch.setenv("LINKD_JWT_SECRET", SECRET)
    assert load_settings(Settings).env == "production"


@pytest.mark.parametrize(("secret", "fits"), [("", False), ("x" * 31, False), ("x" * 32, True), ("ü" * 16, True)])
def test_secret_has_32_bytes(monkeypatch: pytest.MonkeyPatch, secret: str, fits: bool) -> None:
    """Bytes, not characters; in development too."""
    monkeypatch.setenv("LINKD_JWT_SECRET", secret)

    if fits:
        assert load_settings(Settings).jwt_secret == secret
    else:
        with pytest.raises(SettingsError, match="LINKD_JWT_SECRET must have 32 bytes"):
            load_settings(Settings)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "http"), ("PORT", "70000"), ("PORT", "-1"), ("ENV", "prod"), ("MAX_MESSAGE_SIZE", "127"),
        ("MAX_MESSAGE_SIZE", str(8 * 2**20 + 1)), ("MAX_BODY_SIZE", "-1"), ("OUTBOX_LIMIT", "0"),
        ("SESSION_WINDOW", "0"), ("LINK_WINDOW", "0"), ("MAX_ROOMS_PER_SESSION", "0"), ("CLOSE_TIMEOUT_MS", "0"),
        ("SERVICE_GRACE_MS", "1.5"), ("LOG_LEVEL", "loud"), ("LOG_FORMAT", "xml"), ("SHUTDOWN_TIMEOUT_MS", ""),
        ("FORWARDED_HEADER", ""), ("FORWARDED_HEADER", "x-real-ip, forwarded"), ("MAX_TOKEN_SIZE", "255"),
    ],
)  # fmt: skip
def test_bad_value_is_one_sentence_that_names_the_variable(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    """As the environment spells it, so that a person finds it."""
    monkeypatch.setenv(f"LINKD_{name}", value)

    with pytest.raises(SettingsError) as caught:
        load_settings(Settings)

    assert str(caught.value).startswith(f"LINKD_{name}: ")
    assert "\n" not in str(caught.value)


def test_secret_is_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither in a message about it nor about another setting."""
    monkeypatch.setenv("LINKD_JWT_SECRET", "my-short-secret")
    with pytest.raises(SettingsError) as caught:
        load_settings(Settings)
    assert "my-short-secret" not in str(caught.value)
    assert caught.value.__cause__ is None

    monkeypatch.setenv("LINKD_JWT_SECRET", SECRET)
    monkeypatch.setenv("LINKD_PORT", "x")
    with pytest.raises(SettingsError) as caught:
        load_settings(Settings)
    assert SECRET not in str(caught.value)


def test_secret_is_not_in_what_settings_print(monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings find their way into logs and tracebacks."""
    monkeypatch.setenv("LINKD_JWT_SECRET", SECRET)

    settings = load_settings(Settings)

    assert SECRET not in repr(settings)
    assert SECRET not in str(settings)


def test_empty_link_is_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in rendezvous: gateway and service read the same variable and go to the same place."""
    monkeypatch.setenv("LINKD_LINK", "")

    assert load_settings(ProcessSettings).link == default_address()


def test_links_secret_is_the_same_for_gateway_and_service(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both read it, and neither shows it."""
    monkeypatch.setenv("LINKD_LINK_SECRET", SECRET)

    for kind in (ProcessSettings, Settings):
        settings = load_settings(kind)

        assert settings.link_secret == SECRET
        assert SECRET not in repr(settings)


def test_own_user_and_root_are_allowed_unless_others_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """A list is the whole list."""
    assert load_settings(Settings).allowed_uids == {os.getuid(), 0}

    monkeypatch.setenv("LINKD_LINK_UIDS", "7, 8")

    assert load_settings(Settings).allowed_uids == {7, 8}


@pytest.mark.parametrize(("name", "value"), [("LINK_UIDS", "una"), ("LINK", "tcp://host"), ("LINK", "http://host:1")])
def test_bad_link_is_one_sentence_that_names_the_variable(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    """Of gateway and service."""
    monkeypatch.setenv(f"LINKD_{name}", value)

    for kind in (ProcessSettings, Settings):
        with pytest.raises(SettingsError, match=f"^LINKD_{name}: '"):
            load_settings(kind)


def test_tcp_link_needs_certificate_key_and_secret(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Each is asked for until all are there; an empty variable is none."""
    file = tmp_path / "x.pem"
    file.touch()
    monkeypatch.setenv("LINKD_LINK", "tcp://host:4000")
    monkeypatch.setenv("LINKD_LINK_CERTFILE", "")

    for name, value in (("SECRET", SECRET), ("CERTFILE", str(file)), ("KEYFILE", str(file))):
        with pytest.raises(SettingsError, match=f"LINKD_LINK_{name}"):
            load_settings(Settings)
        monkeypatch.setenv(f"LINKD_LINK_{name}", value)

    assert load_settings(Settings).link == Address(host="host", port=4000)
    file.unlink()
    with pytest.raises(SettingsError, match=r"there is no file .* LINKD_LINK_CERTFILE"):
        load_settings(Settings)


def test_unknown_option_is_refused() -> None:
    """A slip in the program is no setting."""
    with pytest.raises(SettingsError, match="LINKD_PROT"):
        load_settings(Settings, prot=1)


def test_settings_do_not_change() -> None:
    """Read once, at start."""
    settings = load_settings(Settings)

    with pytest.raises(ValueError, match="frozen"):
        settings.port = 1


@pytest.mark.parametrize(
    ("port", "told", "chosen"), [("3000", None, 13000), ("60000", None, 50000), ("0", None, 0), ("3000", "7", 7)]
)
def test_admin_port_follows_the_port(monkeypatch: pytest.MonkeyPatch, port: str, told: str | None, chosen: int) -> None:
    """Unless it is told, so that gateways side by side do not meet."""
    monkeypatch.setenv("LINKD_PORT", port)
    if told is not None:
        monkeypatch.setenv("LINKD_ADMIN_PORT", told)

    assert load_settings(Settings).chosen_admin_port == chosen


def test_forwarded_header_is_named_in_any_case(monkeypatch: pytest.MonkeyPatch) -> None:
    """One of them; by default the one that most proxies set."""
    assert load_settings(Settings).forwarded_header == "x-forwarded-for"

    monkeypatch.setenv("LINKD_FORWARDED_HEADER", "CF-Connecting-IP")

    assert load_settings(Settings).forwarded_header == "cf-connecting-ip"


def test_token_has_to_fit_into_a_head(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where both limits are set; a small head alone is no mistake."""
    monkeypatch.setenv("LINKD_MAX_HEAD_SIZE", "2048")
    assert load_settings(Settings).max_token_size == 8192

    monkeypatch.setenv("LINKD_MAX_TOKEN_SIZE", "4096")
    with pytest.raises(SettingsError, match=r"LINKD_MAX_TOKEN_SIZE exceeds LINKD_MAX_HEAD_SIZE"):
        load_settings(Settings)


@pytest.mark.parametrize("name", ["a b", "a=b", "a;b", "a,b", "ü"])
def test_cookie_has_a_name_that_a_cookie_can_have(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """It would never be found."""
    monkeypatch.setenv("LINKD_TOKEN_COOKIE", name)

    with pytest.raises(SettingsError, match="LINKD_TOKEN_COOKIE must be the name of a cookie"):
        load_settings(Settings)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("PROT", "PORT"), ("POTR", "PORT"), ("PORTS", "PORT"), ("HSOT", "HOST"), ("EVN", "ENV"), ("LINKS", "LINK"),
        ("LOGLEVEL", "LOG_LEVEL"), ("JWTSECRET", "JWT_SECRET"), ("SECRET_JWT", "JWT_SECRET"),
        ("HEARTBEAT_INTERVAL", "HEARTBEAT_INTERVAL_MS"), ("ALLOWED_ORIGIN", "ALLOWED_ORIGINS"),
        ("MESSAGE_MAX_SIZE", "MAX_MESSAGE_SIZE"), ("MAX_MESAGE_SIZE", "MAX_MESSAGE_SIZE"),
        ("TRUSTED_PROXY", "TRUSTED_PROXIES"), ("ISSUER", "ISSUERS"), ("AUDITFILE", "AUDIT_FILE"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("kind", [ProcessSettings, Settings])
def test_slip_in_a_name_is_no_silence(
    monkeypatch: pytest.MonkeyPatch, kind: type[ProcessSettings], name: str, meant: str
) -> None:
    """The setting would not hold: the start stops, of services as well."""
    monkeypatch.setenv(f"LINKD_{name}", "x")

    with pytest.raises(SettingsError, match=f"^LINKD_{name} is no setting of Linkd; did you mean LINKD_{meant}\\?$"):
        load_settings(kind)


KUBERNETES = {
    "LINKD_SERVICE_HOST": "10.0.0.1",
    "LINKD_SERVICE_PORT": "3000",
    "LINKD_SERVICE_PORT_HTTP": "3000",
    "LINKD_PORT": "tcp://10.0.0.1:3000",
    "LINKD_PORT_3000_TCP": "tcp://10.0.0.1:3000",
    "LINKD_PORT_3000_TCP_PROTO": "tcp",
    "LINKD_PORT_3000_TCP_PORT": "3000",
    "LINKD_PORT_3000_TCP_ADDR": "10.0.0.1",
    "LINKD_ADMIN_SERVICE_HOST": "10.0.0.2",
    "LINKD_ADMIN_PORT": "tcp://10.0.0.2:13000",
    "LINKD_LINK_PORT": "udp://10.0.0.3:1",
}
"""What Kubernetes tells the containers beside Services called linkd, linkd-admin and linkd-link."""


@pytest.mark.parametrize("kind", [ProcessSettings, Settings])
def test_variables_of_others_are_ignored(monkeypatch: pytest.MonkeyPatch, kind: type[ProcessSettings]) -> None:
    """Those that Kubernetes makes, and any that is not nearly a setting's name; they are named in the log."""
    foreign = {**KUBERNETES, "LINKD_CMD": "x", "LINKD_IMAGE": "x", "LINKD_FLAVOUR": "x", "LINKD_DATABASE_URL": "x"}
    for name, value in foreign.items():
        monkeypatch.setenv(name, value)

    settings = load_settings(kind)

    assert foreign_variables(os.environ, kind) == sorted(foreign)
    if isinstance(settings, Settings):
        assert (settings.port, settings.admin_port) == (3000, None)


def test_port_of_the_command_line_wins_over_kubernetes(monkeypatch: pytest.MonkeyPatch) -> None:
    """As over any other variable; and a port that is a number is a setting, whoever made it."""
    monkeypatch.setenv("LINKD_PORT", "tcp://10.0.0.1:3000")
    assert load_settings(Settings, port=4000).port == 4000

    monkeypatch.setenv("LINKD_PORT", "5000")
    assert load_settings(Settings).port == 5000
    assert foreign_variables(os.environ, Settings) == []


def test_rate_of_a_gigabyte_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """And one that is out of range is refused for that."""
    monkeypatch.setenv("LINKD_BYTE_RATE", "1000000000/s")
    assert load_settings(Settings).byte_rate == "1000000000/s"

    monkeypatch.setenv("LINKD_BYTE_RATE", "10000000000/s")
    with pytest.raises(SettingsError, match=r"^LINKD_BYTE_RATE: .* counts from 1 to 4294967295"):
        load_settings(Settings)
