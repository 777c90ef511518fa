"""For a service's own tests: its handlers run with no socket. See ``run``."""

from .sdk.testing import Client, Emitted, Gateway, StreamedAnswer, decode, run

__all__ = ["Client", "Emitted", "Gateway", "StreamedAnswer", "decode", "run"]
