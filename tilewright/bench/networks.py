"""How long the command line takes to time each built-in network."""

import json
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence

from arch.errors import RunError
from tilewright.bench.report import NetworkTime, Ratio
from tilewright.progress import working

RESNET_50_TARGET = 5.0
"""Seconds that ResNet-50 may take on gemmini16."""
TARGET = 30.0
"""Seconds that any network may take on any machine measured."""


def time_networks(names: Sequence[str], configs: Sequence[str]) -> Iterator[NetworkTime]:
    """Time each of ``names`` on each of ``configs``, a process each, one after the other.

    Raises ``RunError`` if one fails.
    """
    for config in configs:
        for name in names:
            with working(f"timing {name} on {config}"):
                yield _time(name, config)


def _time(name: str, config: str) -> NetworkTime:
    arguments = [name, "--on", "command", "--timing-only", "--json", "--config", config]
    # To a file: a pipe might fill up, and wait4 does not read it.
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "tilewright.cli", "run", *arguments],
            stdout=output,
            stderr=subprocess.DEVNULL,
        )
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise RunError(
                f"timing {name} on {config} must end with status 0, got {process.returncode}; "
                f"run tilewright run {' '.join(arguments)}"
            )
        output.seek(0)
        found = json.load(output)
    return NetworkTime(
        network=name,
        config=config,
        commands=found["commands"],
        cycles=found["cycles"],
        seconds=_cpu_seconds(used),
    )


def _cpu_seconds(used: resource.struct_rusage) -> float:
    return used.ru_utime + used.ru_stime


def network_ratios(times: Sequence[NetworkTime]) -> Iterator[Ratio]:
    """How the times compare with their targets."""
    for each in times:
        if (each.network, each.config) == ("resnet-50", "gemmini16"):
            yield Ratio(
                what=f"{RESNET_50_TARGET:.0f} s to the time of resnet-50 on gemmini16",
                value=RESNET_50_TARGET / each.seconds,
                target=1.0,
            )
    if times:
        slowest = max(times, key=lambda each: each.seconds)
        yield Ratio(
            what=f"{TARGET:.0f} s to the time of the slowest, "
            f"{slowest.network} on {slowest.config}",
            value=TARGET / slowest.seconds,
            target=1.0,
        )
