"""W3C Trace Context: by which what one request sets off in several services is known to belong together.

https://www.w3.org/TR/trace-context/ §3.2: ``traceparent`` is ``version-trace-parent-flags`` in lower-case hexadecimal.
"""

from __future__ import annotations

import re

_FORM = re.compile(
    r"(?!ff)[0-9a-f]{2}-(?P<trace>(?!0{32})[0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-(?P<flags>[0-9a-f]{2})(-.*)?"
)

_SAMPLED = "01"


def trace_of(traceparent: str) -> str:
    """The trace that a ``traceparent`` belongs to; empty: it is none."""
    found = _FORM.fullmatch(traceparent)
    return "" if found is None else found["trace"]


def child_of(traceparent: str, random: bytes) -> str:
    """A ``traceparent`` for what is asked next: of the same trace, or of a new one where there is none.

    Args:
        traceparent: Of whoever asks.
        random: 24 random bytes.
    """
    found = _FORM.fullmatch(traceparent)
    span = random[:8].hex()
    if found is None:
        return f"00-{random[8:24].hex()}-{span}-{_SAMPLED}"
    return f"00-{found['trace']}-{span}-{found['flags']}"
