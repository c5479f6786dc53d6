"""kill -9 at every command that weftd sends to Redis: of the workers, of the whole node, and of Redis itself.

walk.py has the scenario. It is played once to learn its commands, and then once for each moment before one of them
reaches Redis, and once for each after Redis has executed it and before weftd hears of that. What only looks whether there
is something to do is walked twice in each step of the scenario.
"""

import re
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from queue import SimpleQueue

import pytest

from walk import Fault, Walk
from weft import SANITIZED, Redis

LANES = 8          # walks beside each other: they mostly wait
SAMPLE = 8         # under a sanitizer: every so manieth boundary
POLLS_WALKED = 2
TRIES = 3          # to meet a boundary again that did not come up, because batches were cut otherwise

# What must be among the boundaries, or the scenario does not show what it should.
CORNERSTONES = [
    "worker: claim j-done", "worker: claim j-retry", "worker: claim j-delayed", "worker: settle j-done as done",
    "worker: settle j-retry as delayed", "worker: settle j-retry as done", "worker: settle j-dead as dead",
    "worker: settle j-bad as dead", "worker: settle j-hold as returned", "worker: settle j-delayed as delayed",
    "supervisor: promote j-retry", "supervisor: promote j-delayed", "supervisor: settle j-crash as delayed",
    "supervisor: reclaim", "worker: release",
]


@pytest.fixture
def lanes(tmp_path):
    servers = [Redis(tmp_path / f"redis-{i}", "--appendfsync", "always") for i in range(LANES)]
    free = SimpleQueue()
    for server in servers:
        server.folder.mkdir()
        free.put(server.start())
    yield free
    for server in servers:
        server.stop()


@pytest.fixture
def play(lanes, tmp_path, walker):
    """Plays the scenario with a fault, or none, and gives the walk."""
    numbers = count()

    def play(fault=None):
        redis = lanes.get()
        try:
            walk = Walk(tmp_path / f"w{next(numbers)}", redis, walker, fault)
            return walk, walk.play()
        finally:
            if not redis.running():
                redis.start()
            lanes.put(redis)

    return play


def choose(boundaries):
    """One mark for each boundary that is worth a walk: the first that has not been seen at that moment."""
    chosen = {}
    for moment, marks in boundaries:
        number = int(marks[0].rpartition(" ")[2])
        if number <= POLLS_WALKED or moves_a_job(marks[0]):
            chosen.setdefault((moment, marks[0]))
    return list(chosen)


def walk_over(play, victim, moment, mark):
    """Gives whether the boundary came up, and what was wrong after the fault, as one text, or nothing."""
    for _ in range(TRIES):
        walk, problems = play(Fault(victim, moment, mark))
        if walk.fault.met or problems:
            break
    text = f"{walk.fault}, in {walk.weftd.folder}:\n    " + "\n    ".join(problems) if problems else ""
    return walk.fault.met, text


def moves_a_job(mark):
    return re.search(r" j-[a-z]+", mark) is not None


@pytest.mark.parametrize("victim", ["worker", "node", "redis"])
def test_every_job_ends_once_whatever_dies_at_any_command(play, victim):
    walk, problems = play()
    assert problems == []
    marks = " ".join(mark for _, marks in walk.boundaries for mark in marks)
    assert [corner for corner in CORNERSTONES if corner not in marks] == []
    boundaries = choose(walk.boundaries)
    if SANITIZED:
        boundaries = boundaries[::SAMPLE]
    with ThreadPoolExecutor(LANES) as pool:
        results = [*pool.map(lambda boundary: walk_over(play, victim, *boundary), boundaries)]
    failures = [text for _, text in results if text]
    assert not failures, "\n" + "\n".join(failures)
    missed = [boundary for boundary, (met, _) in zip(boundaries, results) if not met]
    print(f"{len(boundaries)} boundaries, of which did not come up again: {missed}")
    assert [mark for _, mark in missed if moves_a_job(mark)] == []
    assert len(missed) <= len(boundaries) / 10
