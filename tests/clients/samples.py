"""The samples of docs/clients.md, as files that can be checked and run."""

from __future__ import annotations

import json
import re
import subprocess
import textwrap
from dataclasses import dataclass
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs/clients.md"
_ADDRESS = "127.0.0.1:3000"
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_NAME = re.compile(r"(?://|#|<!--) ([\w.]+\.\w+)(?: -->)?\n")
_IMPORT = re.compile(r"^import .*\n", re.MULTILINE)

_PYTHON = '''
"""Samples."""
from __future__ import annotations

import asyncio
import sys
from dataclasses import dataclass
from typing import Any

from pylinkd import Position
from pylinkd.client import Client, Event, State, TokenReason, connect

shown = 0


def show(*values: object) -> None:
    global shown
    shown += 1


async def fetch_token(*, fresh: bool) -> str:
    return sys.argv[1]


'''

_PYTHON_RUN = """

async def run() -> None:
    global shown
    for sample, shows in SAMPLES:
        shown = 0
        async with asyncio.timeout(20), connect("ws://127.0.0.1:3000/ws/chat") as client:
            failures: list[Any] = []
            client.on_error(failures.append)
            await sample(client)
            while shows and not shown:
                await asyncio.sleep(0.01)
            assert not failures, (sample.__name__, failures)


asyncio.run(run())
"""

_TYPESCRIPT_RUN = """
async function run(): Promise<void> {
  for (const [sample, shows] of samples) {
    shown = 0;
    const client = createClient("ws://127.0.0.1:3000/ws/chat");
    const failures: unknown[] = [];
    client.onError((failure) => failures.push(failure));
    client.connect();
    const late = setTimeout(() => { console.error(`too late: ${sample}`); process.exit(1); }, 20_000);
    await sample(client);
    while (shows && !shown) await new Promise((resolve) => setTimeout(resolve, 10));
    clearTimeout(late);
    if (failures.length) { console.error(sample.toString(), failures); process.exit(1); }
    client.close();
  }
  process.exit(0);
}
(globalThis as any).WebSocket ??= NodeWebSocket;
void run();
"""


@dataclass(frozen=True)
class Sample:
    """A block of the page.

    Attributes:
        language: As the page says.
        name: Of the file that it is; empty: it stands among other code.
        text: Without the line that names it.
    """

    language: str
    name: str
    text: str


def samples(language: str) -> list[Sample]:
    """Those of a language, in order."""
    found = []
    for kind, text in _BLOCK.findall(PAGE.read_text()):
        name = _NAME.match(text)
        if kind == language:
            found.append(Sample(kind, "" if name is None else name[1], text if name is None else text[name.end() :]))
    assert found, language
    return found


def named(name: str) -> str:
    """The block that is the whole of a file."""
    (text,) = [
        sample.text
        for language in ("python", "typescript", "tsx", "html")
        for sample in samples(language)
        if sample.name == name
    ]
    return text


def at(text: str, address: str) -> str:
    """The text with another gateway's address."""
    return text.replace(_ADDRESS, address)


def python_module() -> str:
    """All samples that stand among other code, each in a function of its own, and what runs them."""
    fragments = [sample.text for sample in samples("python") if not sample.name]
    functions = "\n\n".join(
        f"async def sample_{number}(client: Client) -> None:\n{textwrap.indent(text, '    ')}"
        for number, text in enumerate(fragments)
    )
    listed = ", ".join(f"(sample_{number}, {_shows(text)})" for number, text in enumerate(fragments))
    return f"{_PYTHON}{functions}\n\nSAMPLES = [{listed}]\n{_PYTHON_RUN}"


def typescript_module() -> str:
    """The same in TypeScript, for Node."""
    fragments = [sample.text for sample in samples("typescript") if not sample.name]
    imports: dict[str, set[str]] = {"linkd-client": {"createClient", "type Client"}}
    functions = []
    for number, text in enumerate(fragments):
        for line in _IMPORT.findall(text):
            match = re.fullmatch(r'import \{ (.*) \} from "(.*)";\n', line)
            assert match is not None, line
            imports.setdefault(match[2], set()).update(match[1].split(", "))
        body = textwrap.indent(_IMPORT.sub("", text), "    ")
        functions.append(f"async function sample{number}(client: Client): Promise<void> {{\n  {{\n{body}  }}\n}}\n")
    lines = [f'import {{ {", ".join(sorted(names))} }} from "{module}";' for module, names in imports.items()]
    listed = ", ".join(f"[sample{number}, {json.dumps(_shows(text))}]" for number, text in enumerate(fragments))
    return "\n".join(
        [
            *lines,
            'import { WebSocket as NodeWebSocket } from "ws";',
            "let shown = 0;",
            "const show = (..._values: unknown[]) => void shown++;",
            *functions,
            f"const samples: [(client: Client) => Promise<void>, boolean][] = [{listed}];",
            _TYPESCRIPT_RUN,
        ]
    )


def _shows(text: str) -> bool:
    """Whether it shows something by itself, and not only where something is lost."""
    return "show(" in text and "Gap(" not in text and "on_gap(" not in text


def run(*command: str, folder: Path, timeout: float = 120) -> str:
    """Run a program that must end well; what it printed."""
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=timeout)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


class Workshop:
    """A folder in which TypeScript is checked and bundled, with the client as it is in the source.

    Args:
        folder: Where.
        client: The folder of the TypeScript client.
        modules: Further packages.
    """

    def __init__(self, folder: Path, client: Path, modules: Path | None = None) -> None:
        self.folder = folder
        self._tools = client / "node_modules" / ".bin"
        (folder / "node_modules" / "@types").mkdir(parents=True)
        self._link(client / "node_modules", "ws", "@types/ws", "@types/node")
        if modules is not None:
            self._link(modules, *("react", "react-dom", "scheduler", "csstype", "@types/react", "@types/react-dom"))
        options = {
            "paths": {"linkd-client": [f"{client}/src/index.ts"], "linkd-client/*": [f"{client}/src/*.ts"]},
            "module": "ESNext", "moduleResolution": "Bundler", "jsx": "react-jsx", "noUnusedLocals": False,
            "noUnusedParameters": False,
        }  # fmt: skip
        (folder / "package.json").write_text('{"type": "module", "private": true}')
        (folder / "tsconfig.json").write_text(
            json.dumps({"extends": f"{client}/tsconfig.json", "compilerOptions": options, "include": ["*.ts", "*.tsx"]})
        )

    def _link(self, modules: Path, *names: str) -> None:
        for name in names:
            if (modules / name).exists():
                (self.folder / "node_modules" / name).symlink_to(modules / name)

    def check(self) -> None:
        """Check the types of every file."""
        run(str(self._tools / "tsc"), "--noEmit", folder=self.folder)

    def bundle(self, name: str, platform: str) -> Path:
        """One file of it, for ``node`` or ``browser``."""
        bundled = self.folder / f"{name}.mjs"
        options = ["--bundle", "--format=esm", f"--platform={platform}", "--external:ws", f"--outfile={bundled}"]
        run(str(self._tools / "esbuild"), name, *options, "--log-level=warning", folder=self.folder)
        return bundled
