"""Where gateway and services meet."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pylinkd.protocol.rendezvous import Address, Rendezvous, RendezvousError, check_secret, default_address, parse_uids

SECRET = "the-links-secret-with-32-bytes-or-more"


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is told."""
    for name in ("LINKD_LINK", "LINKD_LINK_SECRET", "LINKD_LINK_CAFILE", "LINKD_LINK_UIDS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)


def test_told_path_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """``LINKD_LINK`` is the path itself."""
    monkeypatch.setenv("LINKD_LINK", "/somewhere/x.sock")
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/run/user/1")

    assert default_address() == Address(Path("/somewhere/x.sock"))


def test_runtime_folder_is_next(monkeypatch: pytest.MonkeyPatch) -> None:
    """The user's own runtime folder, where there is one."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/run/user/1")

    assert default_address() == Address(Path("/run/user/1/linkd/link.sock"))


def test_elsewhere_users_do_not_share_a_folder() -> None:
    """The folder bears the user's number."""
    assert default_address() == Address(Path(f"/tmp/linkd-{os.getuid()}/link.sock"))


def test_empty_is_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty variable is none."""
    monkeypatch.setenv("LINKD_LINK", "")

    assert default_address() == Address(Path(f"/tmp/linkd-{os.getuid()}/link.sock"))


@pytest.mark.parametrize(
    ("told", "address"),
    [
        ("/run/linkd/link.sock", Address(Path("/run/linkd/link.sock"))),
        ("link.sock", Address(Path("link.sock"))),
        ("tcp://gateway.internal:4000", Address(host="gateway.internal", port=4000)),
        ("tcp://10.0.0.1:0", Address(host="10.0.0.1", port=0)),
        ("tcp://[::1]:4000", Address(host="::1", port=4000)),
    ],
)
def test_address_is_a_path_or_host_and_port(told: str, address: Address) -> None:
    """And is written as it is read, so that it can be handed on in the environment."""
    assert Address.parse(told) == address
    assert str(address) == told


@pytest.mark.parametrize(
    "told",
    [
        "tcp://", "tcp://host", "tcp://:4000", "tcp://host:", "tcp://host:port", "tcp://host:70000", "tcp://[::1:4000",
        "tcp://host:4000/", "tcp://host:4000/x", "tcp://host:4000?x", "tcp://host:4000#x", "tcp://user@host:4000",
        "http://host:4000", "unix:///run/link.sock", "://host:4000",
    ],
)  # fmt: skip
def test_what_is_neither_is_told(told: str) -> None:
    """In one sentence with what to write."""
    with pytest.raises(RendezvousError, match=r"write tcp://host:port, or the path of a socket$"):
        Address.parse(told)


def test_path_object_is_a_path_whatever_is_in_it() -> None:
    """Who has a Path means a file."""
    assert Address.parse(Path("tcp:/x")).path == Path("tcp:/x")


def test_address_stays_what_it_is() -> None:
    """Parsed twice is parsed once."""
    address = Address(host="host", port=1)

    assert Address.parse(address) is address


@pytest.mark.parametrize(("told", "uids"), [("7", {7}), (" 0, 1000,", {0, 1000})])
def test_uids_are_numbers_parted_by_commas(told: str, uids: set[int]) -> None:
    """Those alone: the process's own has to be listed with them."""
    assert parse_uids(told) == uids


def test_own_user_and_root_are_told_by_nobody() -> None:
    """They hold where nothing is told."""
    assert parse_uids(" ") == {os.getuid(), 0}


@pytest.mark.parametrize("told", ["una", "-1", "1;2", "1 2", "0x7", "²"])
def test_what_is_no_uid_is_told(told: str) -> None:
    """A name, for example: this is no place to ask the system for its number."""
    with pytest.raises(RendezvousError, match="is no user id: write numbers"):
        parse_uids(told)


@pytest.mark.parametrize(("secret", "fits"), [("x" * 31, False), ("x" * 32, True), ("ü" * 16, True), ("", True)])
def test_secret_has_32_bytes_or_is_none(secret: str, fits: bool) -> None:
    """On a Unix socket there may be none; the sentence does not show it."""
    if fits:
        check_secret(secret, Address(Path("/x")))
    else:
        with pytest.raises(RendezvousError, match="LINKD_LINK_SECRET must have 32 bytes") as caught:
            check_secret(secret, Address(Path("/x")))
        assert secret not in str(caught.value)


def test_network_needs_a_secret() -> None:
    """Else everybody on it could be a service."""
    with pytest.raises(RendezvousError, match="LINKD_LINK_SECRET"):
        check_secret("", Address(host="host", port=1))


def test_rendezvous_is_what_the_environment_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """And does not show the secret where it is printed."""
    cafile = tmp_path / "ca.pem"
    cafile.touch()
    monkeypatch.setenv("LINKD_LINK", "tcp://host:4000")
    monkeypatch.setenv("LINKD_LINK_SECRET", SECRET)
    monkeypatch.setenv("LINKD_LINK_CAFILE", str(cafile))
    monkeypatch.setenv("LINKD_LINK_UIDS", "7")

    told = Rendezvous.of()

    assert told == Rendezvous(Address(host="host", port=4000), SECRET, cafile, frozenset({7}))
    assert SECRET not in repr(told)


def test_rendezvous_without_anything_told() -> None:
    """The own socket, of the own user or root, without a secret."""
    assert Rendezvous.of() == Rendezvous(default_address(), "", None, frozenset({os.getuid(), 0}))


@pytest.mark.parametrize(
    ("link", "name", "value", "says"),
    [
        ("tcp://host:0", "LINKD_LINK_SECRET", SECRET, "names no port"),
        ("tcp://host:4000", "LINKD_LINK_SECRET", "", "set LINKD_LINK_SECRET"),
        ("/x", "LINKD_LINK_SECRET", "short", "32 bytes"),
        ("/x", "LINKD_LINK_UIDS", "una", "is no user id"),
        ("/x", "LINKD_LINK_CAFILE", "/nowhere/ca.pem", "there is no file /nowhere/ca.pem: set LINKD_LINK_CAFILE"),
        ("ftp://x", "LINKD_LINK_SECRET", "", "is no address"),
    ],
)
def test_rendezvous_that_cannot_be_is_told(
    monkeypatch: pytest.MonkeyPatch, link: str, name: str, value: str, says: str
) -> None:
    """Before anything of the service starts."""
    monkeypatch.setenv(name, value)

    with pytest.raises(RendezvousError, match=says):
        Rendezvous.of(link)


def test_path_that_no_socket_can_have_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """At once, by both ends, wherever it comes from: trying again would not help. Bytes count, not characters."""
    longest = "/" + "x" * 106
    assert Address.parse(longest).path == Path(longest)
    assert Address.parse("/" + "ü" * 53).path is not None

    for path in (longest + "x", "/" + "ü" * 54):
        for told in (path, Path(path)):
            with pytest.raises(RendezvousError, match="at most 107"):
                Address.parse(told)
            with pytest.raises(RendezvousError, match="set LINKD_LINK to a shorter one"):
                Rendezvous.of(told)
    monkeypatch.setenv("XDG_RUNTIME_DIR", longest)
    with pytest.raises(RendezvousError, match="at most 107"):
        default_address()
