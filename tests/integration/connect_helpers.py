"""How ``linkd connect`` is started for tests."""

from __future__ import annotations

import os
from pathlib import Path

from tests.processes import Platform


def environment(running: Platform, folder: Path) -> dict[str, str]:
    """The variables of a person who trusts the gateway's certificate, and whose state is kept in a folder."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(("LINKD_", "XDG_"))}
    trusted = {} if running.certificate is None else {"SSL_CERT_FILE": str(running.certificate.certfile)}
    return {**inherited, "XDG_STATE_HOME": str(folder / "state"), **trusted}
