"""Which share of the images a process takes."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from jaxattr.evaluation.runs.shards import Shard, parse_shard

_COUNTED = """
from jaxattr.evaluation.runs.shards import distributed_shard
shard = distributed_shard(timeout=60)
print(shard.index, shard.count)
"""

# What the launchers tell each process of a job of two on one machine.
LAUNCHERS = {
    "slurm": (
        {
            # JAX takes the port of its coordinator from the number of the job.
            "SLURM_JOB_ID": str(10_000 + os.getpid() % 4096),
            "SLURM_STEP_NODELIST": "localhost",
            "SLURM_NTASKS": "2",
            "SLURM_STEP_NUM_TASKS": "2",
        },
        ("SLURM_PROCID", "SLURM_LOCALID"),
    ),
    "open mpi": (
        {
            "OMPI_MCA_orte_hnp_uri": f"{os.getpid()}.0;tcp://127.0.0.1:43765",
            "OMPI_COMM_WORLD_SIZE": "2",
        },
        ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_LOCAL_RANK"),
    ),
}


@pytest.mark.parametrize("text", ["3/3", "-1/3", "1", "0/0", "a/b", "1/2/3"])
def test_a_shard_that_is_none(text):
    with pytest.raises(
        ValueError, match=f"expected I/N|shards count from 0.*got '{text}'"
    ):
        parse_shard(text)


def test_shards_count_from_zero():
    assert parse_shard("2/3") == Shard(2, 3)


@pytest.mark.slow
@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_launchers_are_recognised_by_what_they_tell_each_process(launcher):
    environment, numbered = LAUNCHERS[launcher]
    both = [
        subprocess.Popen(
            [sys.executable, "-c", _COUNTED],
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ
            | {"JAX_PLATFORMS": "cpu"}
            | environment
            | dict.fromkeys(numbered, str(i)),
        )
        for i in range(2)
    ]
    counted = [process.communicate(timeout=120)[0].split() for process in both]
    assert counted == [["0", "2"], ["1", "2"]]
