"""Finding the service that a command names: ``module:service``, or a path to a file."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path
from typing import Any

from ..protocol.errors import SetupError
from ..sdk.service import Service


class LoadError(SetupError):
    """The service cannot be found; the text says what to change."""


def load_service(target: str) -> Service[Any]:
    """Import the service.

    Args:
        target: ``package.module:name``, ``path/to/file.py:name``, or either without ``:name``, which is then
            ``service``.

    Raises:
        LoadError: If there is no such module, or no service of this name in it. What the module itself raises
            while it is imported comes through.
    """
    place, _, name = target.partition(":")
    name = name or "service"
    _check_place(target, place)
    module = _from_file(Path(place)) if place.endswith(".py") else _from_name(place)
    service = getattr(module, name, None)
    if not isinstance(service, Service):
        found = [key for key, value in vars(module).items() if isinstance(value, Service)]
        hint = f"; it has {', '.join(found)}" if found else ""
        raise LoadError(f"{place} has no service called {name!r}{hint}")
    return service


def _check_place(target: str, place: str) -> None:
    """Refuse what names neither a module nor a file of Python."""
    how = "give module:service, or path/to/file.py:service"
    if not place:
        raise LoadError(f"there is no module in {target!r}; {how}")
    if place.endswith(".py"):
        return
    path = Path(place)
    if path.is_dir() and not all(part.isidentifier() for part in place.split(".")):
        files = sorted(file.name for file in path.glob("*.py") if file.name != "__init__.py")
        example = f", such as {path / files[0]}" if files else ""
        raise LoadError(f"{place} is a folder: name the file of the service{example}")
    if path.is_file():
        raise LoadError(f"{place} is no file of Python (.py); {how}")
    if not all(part.isidentifier() for part in place.split(".")):
        raise LoadError(f"there is no module {place!r}; {how}")


def _from_file(path: Path) -> Any:
    if not path.is_file():
        raise LoadError(f"there is no file {path}")
    # A file inside a package is imported as a part of it, so that its relative imports work.
    root = path.resolve().parent
    parts = [path.stem]
    while (root / "__init__.py").is_file():
        parts.insert(0, root.name)
        root = root.parent
    # Last: a file called token.py or calendar.py must not stand in for Python's own.
    sys.path.append(str(root))
    name = ".".join(parts)
    if len(parts) > 1:
        return importlib.import_module(name)
    spec = importlib.util.spec_from_file_location(f"{name}_service" if name in sys.modules else name, path)
    if spec is None or spec.loader is None:
        raise LoadError(f"{path} cannot be imported")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[spec.name]
        raise
    return module


def _from_name(name: str) -> Any:
    if "" not in sys.path and str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        found = importlib.util.find_spec(name)
    except (ModuleNotFoundError, ValueError):
        found = None
    if found is None:
        raise LoadError(f"there is no module {name!r}; give module:service, or path/to/file.py:service")
    return importlib.import_module(name)
