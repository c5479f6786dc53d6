"""kill -9 at every command that weftd sends to Redis: of the workers, of the whole node, and of Redis itself.

walk.py has the scenario. It is played once to learn its commands, and then once for each moment before one of them
reaches Redis, and once for each after Redis has executed it and before weftd hears of that. What only looks whether there
is something to do is walked once in each step of the scenario.
"""

import re
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from queue import SimpleQueue

import pytest

from walk import Fault, Walk
from weft import SANITIZED, Redis

pytestmark = [pytest.mark.long, pytest.mark.xdist_group("walks")]  # each of them is many at once already

LANES = 8          # walks beside each other: they mostly wait
SAMPLE = 4         # under a sanitizer: every so manieth boundary
POLLS = ("claim", "promote", "refresh", "enlist", "roll", "ZRANGE", "ZRANGEBYSCORE", "XINFO CONSUMERS")  # sent again and again
TRIES = 6          # for what does not come up each time: batches are cut by chance, and polls sent by the clock

# What must be among the boundaries, or the scenario does not show what it should.
CORNERSTONES = [
    "worker: claim j-done", "worker: claim j-retry", "worker: claim j-delayed", "worker: settle j-done as done",
    "worker: settle j-retry as delayed", "worker: settle j-retry as done", "worker: settle j-dead as dead",
    "worker: settle j-bad as dead", "worker: settle j-hold as returned", "worker: settle j-held as returned", "worker: settle j-delayed as delayed",
    "worker: hold j-hold", "worker: hold j-twin", "worker: settle j-twin as duplicate",
    "supervisor: promote j-retry", "supervisor: promote j-delayed", "supervisor: settle j-crash as delayed",
    "supervisor: reclaim, crashing, no. 2", "worker: release",
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


def moves_a_job(mark):
    """Not that a job has been running for long: the clock makes that."""
    return re.search(r" j-[a-z]+(?! as running)\b", mark) is not None


def is_chance(mark):
    """Each job is delayed once: a second promotion of it is one that was sent before the first had been executed."""
    return re.search(r"promote j-[a-z]+, no. (?!1$)", mark) is not None


def choose(boundaries):
    """One mark for each boundary that is worth a walk: a first one that has not been seen at that moment. Of what moves no
    job, the first of its kind in each step, or the first two where both connections of a worker send it."""
    chosen = {}
    for moment, marks in boundaries:
        kind, number = re.match(r"\w+: ([\w ]+).* (\d+)$", marks[0]).groups()
        if is_chance(marks[0]):
            continue
        if moves_a_job(marks[0]) or int(number) <= (1 if kind in POLLS else 2):
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


def play_whole(play):
    """Plays the scenario without a fault until all of it has shown, and gives its boundaries that are worth a walk."""
    for _ in range(TRIES):
        walk, problems = play()
        assert problems == []
        marks = " ".join(mark for _, marks in walk.boundaries for mark in marks)
        missing = [corner for corner in CORNERSTONES if corner not in marks]
        if not missing:
            break
    assert missing == []
    return choose(walk.boundaries)


def learn(play):
    """The boundaries of the scenario when nothing dies. What moves a job and shows only in one of two plays is
    chance, and a walk would wait for it in vain."""
    first, second = play_whole(play), play_whole(play)
    return [boundary for boundary in second if boundary in first or not moves_a_job(boundary[1])]


@pytest.mark.parametrize("victim", ["worker", "node", "redis"])
def test_every_job_ends_once_whatever_dies_at_any_command(play, victim):
    boundaries = learn(play)[::SAMPLE if SANITIZED else 1]
    with ThreadPoolExecutor(LANES) as pool:
        results = [*pool.map(lambda boundary: walk_over(play, victim, *boundary), boundaries)]
    failures = [text for _, text in results if text]
    assert not failures, "\n" + "\n".join(failures)
    missed = [boundary for boundary, (met, _) in zip(boundaries, results) if not met]
    print(f"{len(boundaries)} boundaries, of which did not come up again: {missed}")
    assert [mark for _, mark in missed if moves_a_job(mark)] == []
    assert len(missed) <= len(boundaries) / 5
