"""Time what people type most, and fail if it makes them wait; CI runs it beside the tests."""

from __future__ import annotations

import resource
import subprocess
import sys

LIMITS = {"--help": 0.3, "compare": 2.0}
"""Seconds that a command may take, as the best of five, on a machine of half the usual speed."""


def seconds(*arguments: str) -> float:
    """Return the best of five processor times of a command, which other work does not lengthen."""

    def spent() -> float:
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        return usage.ru_utime + usage.ru_stime

    times = []
    for _ in range(5):
        began = spent()
        subprocess.run([sys.executable, "-m", "repro", *arguments], check=True, capture_output=True)
        times.append(spent() - began)
    return min(times)


if __name__ == "__main__":
    slow = False
    for command, limit in LIMITS.items():
        took = seconds(command)
        slow |= took > limit
        sys.stdout.write(f"repro {command}: {took:.2f} s (limit {limit} s)\n")
    sys.exit(slow)
