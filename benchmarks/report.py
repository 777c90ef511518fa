"""The figures of every scenario on one page, with what they were measured on."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Mapping
from pathlib import Path

_PAGE = """# Benchmarks

Measured on {date} by `{command}`: {machine}. The load generator shares the machine with what it measures.

Read the ratios and the CPU, which are of one run; rates change with the machine's hour by a factor of two. What each
scenario does and what its columns mean stands in [benchmarks/README.md](../benchmarks/README.md).
"""


def page(command: str, sections: Mapping[str, tuple[str, str]]) -> str:
    """The page.

    Args:
        command: What was called.
        sections: What each scenario measures and its table, by name.
    """
    text = _PAGE.format(date=time.strftime("%Y-%m-%d"), command=command, machine=_machine())
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
