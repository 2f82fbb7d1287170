"""Cores are counted in one place."""

import os

import pytest

from ddnn.config.cores import check_threads, cores, cores_each
from ddnn.errors import DDNNError


@pytest.mark.parametrize(
    ("machine", "allowed", "processes", "each"),
    [(8, 8, 1, 8), (8, 8, 3, 2), (8, 8, 16, 1), (8, 2, 4, 2), (8, 1, 4, 1)],
    ids=["all", "parted", "more processes than cores", "parted by who starts them", "fewer than a part"],
)
def test_processes_part_the_cores(
    monkeypatch: pytest.MonkeyPatch, machine: int, allowed: int, processes: int, each: int
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: machine)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(allowed)), raising=False)
    assert (cores(), cores_each(processes)) == (allowed, each)


def test_more_threads_than_cores_are_refused() -> None:
    check_threads(cores())
    with pytest.raises(DDNNError, match=f"at most the {cores()} cores of this machine, not {cores() + 1}"):
        check_threads(cores() + 1)
