"""Time what people type most, and fail if it makes them wait; CI runs it beside the tests."""

from __future__ import annotations

import subprocess
import sys
import time

LIMITS = {"--help": 0.3, "compare": 1.0}
"""Seconds that a command may take, as the best of five."""


def seconds(*arguments: str) -> float:
    """Return the best of five times of a command."""
    times = []
    for _ in range(5):
        began = time.perf_counter()
        subprocess.run([sys.executable, "-m", "repro", *arguments], check=True, capture_output=True)
        times.append(time.perf_counter() - began)
    return min(times)


if __name__ == "__main__":
    slow = False
    for command, limit in LIMITS.items():
        took = seconds(command)
        slow |= took > limit
        sys.stdout.write(f"repro {command}: {took:.2f} s (limit {limit} s)\n")
    sys.exit(slow)
