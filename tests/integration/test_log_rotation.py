"""Log files that are rotated: each line is in one of them, once."""

import json
import os
import signal
import time
from collections import Counter

import pytest

from weft import wait_for


@pytest.fixture
def rotated(tmp_path):
    """An output beside the one that the tests read."""
    return tmp_path / "rotated.log"


@pytest.fixture
def weftd(start_weftd, tmp_path, rotated):
    outputs = [str(tmp_path / "weftd-0" / "weftd.log"), str(rotated)]
    return start_weftd(workers=2, log={"level": "info", "format": "json", "output": outputs})


def rotate(weftd, rotated, number):
    """As logrotate does it, and waits until the new file is there."""
    rotated.rename(f"{rotated}.{number}")
    weftd.send(signal.SIGUSR1)
    wait_for(rotated.exists, "the file is opened anew")


def messages_of(paths):
    """How often each job has said what."""
    lines = [json.loads(line) for path in paths for line in path.read_text().splitlines()]
    return Counter((line["job_id"], line["msg"]) for line in lines if "job_id" in line)


def test_rotation_under_load_loses_no_line_and_repeats_none(weftd, redis, rotated, tmp_path):
    jobs = []
    for number in range(1, 6):
        jobs += redis.enqueue_together([{"type": "hello", "name": "Ada"}] * 200)
        rotate(weftd, rotated, number)
    for job in jobs:
        redis.wait_for_state(job, "done")
    assert weftd.stop() == 0
    expected = Counter((job, message) for job in jobs for message in ("job started", "Hello, Ada!", "job done"))
    assert messages_of([rotated, *tmp_path.glob("rotated.log.*")]) == expected


def test_a_worker_that_is_started_after_a_rotation_writes_into_the_new_file(weftd, redis, rotated):
    rotate(weftd, rotated, 1)
    weftd.forgive("worker killed by a signal")
    before = weftd.worker_pids()
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    wait_for(lambda: len(set(weftd.worker_pids()) - set(before)) == 2 and redis.has_reader(), "both are started again")
    job = redis.enqueue("hello", name="Ada")
    redis.wait_for_state(job, "done")
    wait_for(lambda: messages_of([rotated])[job, "job done"] == 1, "the new file has its line")


def test_what_cannot_be_opened_anew_is_said_and_goes_on_as_it_was(weftd, redis, rotated, tmp_path):
    old = tmp_path / "rotated.log.1"
    rotated.rename(old)
    rotated.mkdir()
    weftd.send(signal.SIGUSR1)
    wait_for(lambda: "Is a directory; its lines go on into the old one" in old.read_text(), "the old file says why")
    job = redis.enqueue("hello", name="Ada")
    redis.wait_for_state(job, "done")
    wait_for(lambda: messages_of([old])[job, "job done"] == 1, "the old file has its line")
    assert weftd.running()


def test_a_reopening_without_a_rotation_ends_nobody(start_weftd, redis):
    weftd = start_weftd()
    weftd.send(signal.SIGUSR1)
    weftd.wait_for_line("log files opened anew")
    redis.wait_for_state(redis.enqueue("hello", name="Ada"), "done")


def test_rotations_while_workers_come_and_go_end_nobody_and_lose_no_line(weftd, redis, rotated, tmp_path):
    jobs = []
    for number in range(1, 9):
        jobs += redis.enqueue_together([{"type": "hello", "name": "Ada"}] * 50)
        weftd.send(signal.SIGHUP)
        for _ in range(20):
            weftd.send(signal.SIGUSR1)
            time.sleep(0.005)
        rotate(weftd, rotated, number)
    for job in jobs:
        redis.wait_for_state(job, "done")
    assert weftd.stop() == 0
    expected = Counter((job, message) for job in jobs for message in ("job started", "Hello, Ada!", "job done"))
    assert messages_of([rotated, *tmp_path.glob("rotated.log.*")]) == expected
