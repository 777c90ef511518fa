"""The figures of every scenario on one page, with what they were measured on."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Mapping
from pathlib import Path

_PAGE = """# Benchmarks

Measured on {date} by `{command}`: {machine}. The load generator shares the machine with what it measures.

## Targets

{targets}

How to read it: everything on this page was measured in one run, ours and what stands beside it in turn, and figures are
medians of the rounds. Read the ratios and the CPU first; rates change with the machine's hour by a factor of two, and
differences under 25 % between two lines mean nothing. Ours are two processes, gateway and service, where every peer but
Centrifugo is one: the CPU of both is counted. The page does not say how Linkd does on more cores, over a real network,
over TLS, with a service that works for its answers, or across several gateways; nor is a peer tuned beyond what its own
documentation recommends. What each scenario does and what its columns mean stands in
[benchmarks/README.md](../benchmarks/README.md), which also says of each target that is missed why.
"""


def page(command: str, targets: str, sections: Mapping[str, tuple[str, str]]) -> str:
    """The page.

    Args:
        command: What was called.
        targets: Which there are, and whether they are met.
        sections: What each scenario measures and its table, by name.
    """
    text = _PAGE.format(date=time.strftime("%Y-%m-%d"), command=command, machine=_machine(), targets=targets)
    for name, (title, table) in sections.items():
        lines = "\n".join(f"    {line}".rstrip() for line in table.splitlines())
        text += f"\n## {name}\n\n{title}\n\n{lines}\n"
    return text


def _machine() -> str:
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        platform.machine(),
    )
    gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    cores = f"{os.cpu_count()} cores of {model}, {gib:.0f} GiB"
    return f"{cores}, {platform.system()}, Python {platform.python_version()}"
