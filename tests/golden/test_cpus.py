"""The numbers of test_losses.py are those of other CPUs, as far as one CPU can play another.

torch, its MKL and numpy's OpenBLAS choose their code by the CPU's instructions as they are loaded.
So every setting is a process of its own. `python tests/golden/test_cpus.py` goes through all of
them, in a minute or two. It prints how far apart they are and how far from the pins.
"""

from __future__ import annotations

import json
import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
import torch

CPUS = {
    "DEFAULT": {"MKL_CBWR": "COMPATIBLE", "OPENBLAS_CORETYPE": "Prescott"},
    "AVX2": {"MKL_CBWR": "AVX2", "OPENBLAS_CORETYPE": "Haswell"},
    "AVX512": {"MKL_CBWR": "AVX512", "OPENBLAS_CORETYPE": "SkylakeX"},
}
"""What keeps the other libraries to the instructions that torch has this name for.

MKL_ENABLE_INSTRUCTIONS changes nothing on AMD's CPUs; MKL_CBWR does. oneDNN has no float64 here.
"""

GOLDEN = runpy.run_path(str(Path(__file__).with_name("test_losses.py")))
apart, tolerance = GOLDEN["apart"], GOLDEN["TOLERANCE"]
pinned = json.loads(GOLDEN["LOSSES"].read_text())

Numbers = dict[str, dict[str, float]]


def playable() -> list[str]:
    """Return the names of what this CPU has instructions for."""
    own, names = torch.backends.cpu.get_cpu_capability(), [*CPUS]
    return names[: names.index(own) + 1] if own in names else names[:1]


def played(cpu: str, threads: int) -> dict[str, Numbers]:
    """Return every case's numbers under a setting."""
    setting = {"ATEN_CPU_CAPABILITY": cpu.lower(), "OPENBLAS_NUM_THREADS": str(threads)}
    patient = {"OMP_WAIT_POLICY": "passive"}  # or threads that wait take the cores of others
    command = [sys.executable, __file__, cpu, str(threads)]
    env = os.environ | CPUS[cpu] | setting | patient
    done = subprocess.run(command, env=env, stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout)


@pytest.mark.slow
@pytest.mark.parametrize("cpu", ["DEFAULT", "AVX2"])
def test_the_numbers_are_those_of_a_cpu_with_fewer_instructions(cpu: str) -> None:
    if cpu not in playable():
        pytest.skip(f"this CPU is no {cpu}")
    far = {
        f"{case}: {name}": by
        for case, found in played(cpu, threads=2).items()
        for name, by in apart(found, pinned[case]).items()
        if not by < tolerance
    }
    assert far == {}


def play(cpu: str, threads: int) -> None:
    """Write every case's numbers; the environment is that of the setting already."""
    assert torch.backends.cpu.get_cpu_capability() == cpu
    torch.set_num_threads(threads)
    json.dump({case: GOLDEN["numbers"](case) for case in GOLDEN["CASES"]}, sys.stdout)


def measure() -> None:
    """Write the largest distances over all settings, a case a line."""
    settings = [(cpu, threads) for cpu in playable() for threads in (1, 2)]
    found = [played(*setting) for setting in settings]
    sys.stdout.write(f"{settings}\napart   from the pin\n")
    for case in GOLDEN["CASES"]:
        of = [
            max(max(apart(one[case], to).values()) for one in found)
            for to in (found[0][case], pinned[case])
        ]
        sys.stdout.write(f"{of[0]:.0e}   {of[1]:.0e}   {case}\n")


if __name__ == "__main__":
    if sys.argv[1:]:
        play(sys.argv[1], int(sys.argv[2]))
    else:
        measure()
