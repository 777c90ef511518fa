"""The ``linkd`` command: tokens, finding a service, and mistakes told in one sentence."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import jwt
import pytest

from pylinkd import Service
from pylinkd.cli.loading import LoadError, load_service
from pylinkd.gateway.guard.tokens import Tokens
from pylinkd.gateway.settings import DEVELOPMENT_SECRET
from pylinkd.version import __version__

SECRET = "0123456789abcdef0123456789abcdef"

SERVICE = """
from pylinkd import Service
service = Service({name!r})
other = Service("other")
"""


def linkd(
    *arguments: str, cwd: Path | None = None, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the command with a bare environment."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("LINKD_")}
    return subprocess.run(
        [sys.executable, "-m", "pylinkd", *arguments],
        capture_output=True, text=True, timeout=30, cwd=cwd, env={**inherited, **(env or {})},
    )  # fmt: skip


# tokens


def test_token_is_what_the_gateway_takes() -> None:
    """For the user, with name and roles, for as long as told."""
    done = linkd("token", "--user", "una", "--name", "Una", "--roles", "admin, member,", "--ttl", "60")

    identity = Tokens(DEVELOPMENT_SECRET).verify(done.stdout.strip())
    assert (identity.user, identity.name, set(identity.roles)) == ("una", "Una", {"admin", "member"})
    assert identity.expires_at is not None
    assert 50 < identity.expires_at - time.time() <= 60


def test_token_is_signed_with_the_gateways_secret() -> None:
    """And with no other."""
    token = linkd("token", "--user", "una", env={"LINKD_JWT_SECRET": SECRET}).stdout.strip()

    assert Tokens(SECRET).verify(token).name == "una"
    with pytest.raises(jwt.InvalidSignatureError):
        jwt.decode(token, DEVELOPMENT_SECRET, algorithms=["HS256"])


@pytest.mark.parametrize("argument", ["version", "--version"])
def test_version_is_printed(argument: str) -> None:
    """Nothing else."""
    assert linkd(argument).stdout == f"{__version__}\n"


def test_variables_of_others_are_warned_of(tmp_path: Path) -> None:
    """Once, where logs go, with what makes such variables; the answer is as ever."""
    foreign = {"LINKD_PORT": "tcp://10.0.0.1:3000", "LINKD_SERVICE_HOST": "10.0.0.1", "LINKD_CMD": "x"}

    done = linkd("token", "--user", "una", env=foreign)

    assert Tokens(DEVELOPMENT_SECRET).verify(done.stdout.strip()).user == "una"
    (line,) = [json.loads(line) for line in done.stderr.splitlines()]
    assert (line["event"], line["level"], line["names"]) == ("variables_ignored", "warning", sorted(foreign))
    assert "enableServiceLinks" in line["advice"]


def test_token_of_the_client_is_nobody_elses_business() -> None:
    """LINKD_TOKEN is for `linkd connect`; other commands do not warn of it."""
    done = linkd("token", "--user", "una", env={"LINKD_TOKEN": "secret"})

    assert done.stderr == ""
    assert Tokens(DEVELOPMENT_SECRET).verify(done.stdout.strip()).user == "una"


# mistakes


@pytest.mark.parametrize(
    ("arguments", "env", "says"),
    [
        (["token", "--user", "una"], {"LINKD_ENV": "production"}, "LINKD_JWT_SECRET must be set"),
        (["serve"], {"LINKD_PORT": "http"}, "LINKD_PORT: "),
        (["serve", "--port", "70000"], {}, "LINKD_PORT: "),
        (["serve", "--link", __file__], {}, "is no socket"),
        (["run", "nowhere.py"], {}, "there is no file nowhere.py"),
        (["run", "nowhere:service"], {}, "there is no module 'nowhere'"),
        (["run", "json:service"], {}, "json has no service called 'service'"),
        (["token", "--user", ""], {}, "--user must not be empty"),
        (["token", "--user", "u" * 9000], {}, "LINKD_MAX_TOKEN_SIZE"),
        (["run", "."], {}, ". is a folder: name the file of the service"),
        (["run", ""], {}, "there is no module in ''"),
        (["run", "pyproject.toml"], {}, "pyproject.toml is no file of Python"),
        (["run", "tests/services"], {}, "such as tests/services/"),
        (["run", "a b"], {}, "there is no module 'a b'"),
        (["run", "tests/services/echo.py"], {"LINKD_LINK": "/tmp/" + "x" * 103}, "at most 107"),
        (["serve", "--link", "/tmp/" + "x" * 103], {}, "at most 107"),
        (["serve"], {"LINKD_PROT": "1"}, "did you mean LINKD_PORT?"),
        (["connect", "ws://127.0.0.1:1/"], {"LINKD_TOKN": "1"}, "did you mean LINKD_TOKEN?"),
        (["serve"], {"LINKD_BYTE_RATE": "10000000000/s"}, "counts from 1 to"),
    ],
)
def test_mistake_is_one_sentence(arguments: list[str], env: dict[str, str], says: str) -> None:
    """On standard error, with status 1 and without a traceback."""
    done = linkd(*arguments, env=env)

    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("linkd: ")
    assert says in done.stderr
    assert done.stderr.count("\n") == 1


def test_fault_of_a_service_keeps_its_traceback(tmp_path: Path) -> None:
    """The author needs it."""
    (tmp_path / "broken.py").write_text("1 / 0\n")

    done = linkd("run", "broken.py", cwd=tmp_path)

    assert done.returncode == 1
    assert "broken.py" in done.stderr
    assert "ZeroDivisionError" in done.stderr


def test_gateway_that_cannot_go_on_ends_with_a_status(tmp_path: Path) -> None:
    """After what its log says, so that whoever started it can start it anew."""
    program = """
import sys
from pylinkd.cli.main import main
from pylinkd.gateway.clients import Clients
from pylinkd.gateway.supervision import Supervision

async def broken(self):
    raise RuntimeError("a fault of the heartbeat")

Clients.watch = broken
Supervision.__init__.__kwdefaults__["pause"] = 0.0
sys.argv = ["linkd", "serve", "--port", "0", "--link", sys.argv[1]]
main()
"""
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "link.sock")],
        capture_output=True, text=True, timeout=30, env={**os.environ, "LINKD_LOG_FORMAT": "json"},
    )  # fmt: skip

    assert done.returncode == 1
    assert done.stderr.count("a fault of the heartbeat") >= 10
    assert '"tasks_failed"' in done.stderr
    assert done.stderr.splitlines()[-1].startswith("linkd: the gateway could not go on")


@pytest.mark.parametrize("module", ["sqlalchemy", "h11", "cryptography", "pylinkd.gateway"])
def test_service_does_not_wait_for_what_it_does_not_use(tmp_path: Path, module: str) -> None:
    """Nothing of a database, a web server or the gateway is imported for a service without them."""
    (tmp_path / "plain.py").write_text(
        f"import sys\n{SERVICE.format(name='x')}\nraise SystemExit('{module}' in sys.modules)\n"
    )

    assert linkd("run", "plain.py", cwd=tmp_path).returncode == 0


def test_bad_handler_is_told_with_its_place(tmp_path: Path) -> None:
    """One sentence with file and line."""
    (tmp_path / "bad.py").write_text(SERVICE.format(name="x") + "@service.ws.on('a')\ndef handler(ctx): ...\n")

    done = linkd("run", "bad.py", cwd=tmp_path)

    assert done.stderr.startswith("linkd: handler (")
    assert "bad.py:5" in done.stderr
    assert done.stderr.count("\n") == 1


# loading


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty one, in which the command is given; imports leave nothing behind."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "modules", dict(sys.modules))
    return tmp_path


@pytest.mark.parametrize("target", ["here_a.py", "here_a.py:service", "here_a", "here_a:service", "./here_a.py"])
def test_service_is_found(folder: Path, target: str) -> None:
    """As a file or as a module, called ``service`` unless told."""
    (folder / "here_a.py").write_text(SERVICE.format(name="found"))

    assert load_service(target).name == "found"


def test_service_of_another_name_is_found(folder: Path) -> None:
    """After the colon."""
    (folder / "here_b.py").write_text(SERVICE.format(name="x"))

    assert load_service("here_b.py:other").name == "other"


def test_file_in_a_package_may_import_its_neighbours(folder: Path) -> None:
    """It is imported as a part of it."""
    package = folder / "here_pkg"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "names.py").write_text("NAME = 'packed'")
    (package / "main.py").write_text("from pylinkd import Service\nfrom .names import NAME\nservice = Service(NAME)")

    assert load_service("here_pkg/main.py").name == "packed"
    assert load_service("here_pkg.main").name == "packed"


@pytest.mark.parametrize("stem", ["platform", "token", "calendar"])
def test_file_may_be_called_as_a_module_of_python(folder: Path, stem: str) -> None:
    """A path names a file: not whatever was imported under that name before."""
    __import__(stem)
    (folder / f"{stem}.py").write_text(SERVICE.format(name="mine"))

    assert load_service(f"{stem}.py").name == "mine"


def test_services_that_are_there_are_named(folder: Path) -> None:
    """For whoever mistyped."""
    (folder / "here_c.py").write_text(SERVICE.format(name="x"))

    with pytest.raises(LoadError, match=r"no service called 'typo'; it has service, other"):
        load_service("here_c.py:typo")


def test_something_else_is_no_service(folder: Path) -> None:
    """Whatever it is called."""
    (folder / "here_d.py").write_text("service = 5")

    with pytest.raises(LoadError, match=r"no service called 'service'$"):
        load_service("here_d.py")


def test_error_of_the_module_comes_through(folder: Path) -> None:
    """A missing import inside of it is not taken for a missing module."""
    (folder / "here_e.py").write_text("import not_installed_at_all")

    for target in ("here_e.py", "here_e"):
        with pytest.raises(ModuleNotFoundError, match="not_installed_at_all"):
            load_service(target)


@pytest.mark.parametrize("target", ["", ":service", "a..b", "no/such/file.py", "no.such.module"])
def test_target_that_is_none_is_told(folder: Path, target: str) -> None:
    """With what to give."""
    with pytest.raises(LoadError, match="there is no"):
        load_service(target)


def test_loaded_service_is_the_modules_own(folder: Path) -> None:
    """Not a copy."""
    (folder / "here_f.py").write_text(SERVICE.format(name="x"))

    loaded = load_service("here_f.py")

    assert isinstance(loaded, Service)
    assert loaded is sys.modules["here_f"].service


def test_certificate_that_is_none_stops_the_start(tmp_path: Path) -> None:
    """With one sentence, and at once."""
    certfile = tmp_path / "cert.pem"
    certfile.write_text("not a certificate")

    done = linkd("serve", "--port", "0", "--link", str(tmp_path / "l.sock"), "--certfile", str(certfile))

    assert done.returncode == 1
    assert done.stderr.startswith("linkd: the certificate cannot be used (")
    assert "LINKD_CERTFILE" in done.stderr
