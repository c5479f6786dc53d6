"""Under load: everybody gets a turn, what has ended is settled, nobody pays for another, and memory comes down again."""

import os
import signal
import time
from pathlib import Path

import pytest

from weft import ROOT, SANITIZED, key, wait_for

pytestmark = pytest.mark.alone

NAMES = ["burn", "nap", "wait_long", "litter"]


@pytest.fixture
def loader(compile_plugin):
    """Settings for a weftd whose job types are the handlers of plugins/load.c."""
    source = (ROOT / "tests" / "integration" / "plugins" / "load.c").read_text()
    return {"plugins": [str(compile_plugin("load", source))], "jobs": {name: {"chain": [name]} for name in NAMES},
            "defaults": {"attempts": 3, "backoff": {"base": "10ms", "max": "20ms", "jitter": 0}}}


def enqueue_many(redis, job_type, count, payload, queue="default", **fields):
    return redis.enqueue_together([{"type": job_type, "id": f"{job_type}-{i}", "payload": str(payload), **fields}
                                   for i in range(count)], queue)


def is_drained(redis, queue="default"):
    return redis.waiting(queue) == 0


def started_jobs(weftd):
    return [line["job_id"] for line in weftd.find("job started")]


def resident(pid):
    """Bytes, without what it shares with nobody any more."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")


# ---- CPU ----


@pytest.mark.parametrize("concurrency", [10, 1000])
def test_a_burst_of_cpu_work_starts_each_job_once_and_costs_no_worker(redis, start_weftd, loader, concurrency):
    weftd = start_weftd(**loader, workers=2, concurrency=concurrency, lease="4s")
    jobs = enqueue_many(redis, "burn", 100, 100)
    wait_for(lambda: is_drained(redis), "all jobs have ended")
    assert sorted(started_jobs(weftd)) == sorted(jobs)
    assert weftd.find("ending a worker") == []


def test_a_job_that_waits_for_the_loop_is_not_charged_for_what_keeps_it(redis, start_weftd, loader):
    """The time-outs of the waiting jobs are over for seconds, but others keep them from hearing of it."""
    weftd = start_weftd(**loader, lease="30s")
    waiting = enqueue_many(redis, "wait_long", 5, "", timeout="1s", attempts="1")
    for job in waiting:
        weftd.wait_for_line("job started", job)
    enqueue_many(redis, "burn", 60, 100)
    for job in waiting:
        report = redis.wait_for_state(job, "dead")
        assert report["error"].startswith("timed out after")
    assert weftd.find("ending a worker") == []


def test_the_job_that_keeps_the_loop_is_charged_and_no_other(redis, start_weftd, loader):
    weftd = start_weftd(**loader, lease="4s")
    weftd.forgive("worker killed by a signal", "worker ended")
    others = enqueue_many(redis, "burn", 20, 100)
    redis.enqueue("burn", id="culprit", payload="3600000", attempts="1", timeout="1h")
    more = enqueue_many(redis, "nap", 20, 100)
    report = redis.wait_for_state("culprit", "dead")
    assert "it kept its worker from turning to any other job" in report["error"]
    for job in others + more:
        assert redis.wait_for_state(job, "done")["attempt"] == "1"
    assert len(weftd.find("ending a worker")) == 1
    assert {line["job_id"] for line in weftd.find("worker crashed")} == {"culprit"}


def test_after_kill_9_only_what_was_running_or_has_just_ended_runs_again(redis, start_weftd, loader):
    weftd = start_weftd(**loader, workers=1)
    weftd.forgive("worker killed by a signal")
    jobs = enqueue_many(redis, "burn", 250, 20)
    worker = weftd.wait_for_line("job started")["pid"]
    wait_for(lambda: len(weftd.find("job done")) >= 100, "100 jobs are done")
    os.kill(worker, signal.SIGKILL)
    killed = time.time()
    wait_for(lambda: is_drained(redis), "all jobs have ended")
    started = started_jobs(weftd)
    assert set(started) == set(jobs)
    ended = len({line["job_id"] for line in weftd.find("job done") if line["pid"] == worker})
    again = len(started) - len(set(started))
    assert ended >= 100
    assert again <= 5, f"{again} jobs ran twice, of {ended} that had ended at {killed}"


# ---- Memory ----


@pytest.mark.skipif(SANITIZED, reason="a sanitizer keeps what is freed")
def test_the_memory_of_many_sleepers_is_given_back_when_they_have_ended(redis, start_weftd, loader):
    weftd = start_weftd(**loader, workers=1, concurrency=20000)
    worker = wait_for(weftd.worker_pids, "there is a worker")[0]
    redis.enqueue("nap", id="first", payload="1")
    redis.wait_for_state("first", "done")
    before = resident(worker)
    for i in range(20):
        redis.enqueue_together([{"type": "nap", "payload": "6000"}] * 1000)
    peak = 0

    def has_come_down():
        nonlocal peak
        peak = max(peak, resident(worker))
        return is_drained(redis)

    wait_for(has_come_down, "all sleepers have ended")
    assert peak > before + 60 * 2**20, "the sleepers were never there together"
    wait_for(lambda: resident(worker) < before + 12 * 2**20, "their memory has been given back", timeout=10)
    assert redis.client.xpending(key("default"), "weft")["pending"] == 0


@pytest.mark.skipif(SANITIZED, reason="a sanitizer keeps what is freed")
def test_memory_that_nobody_counts_is_given_back_however_short_its_peak_was(redis, start_weftd, loader):
    weftd = start_weftd(**loader, workers=1)
    worker = wait_for(weftd.worker_pids, "there is a worker")[0]
    for number in range(2):
        redis.enqueue("litter", id=f"litter-{number}", payload="64")
        redis.wait_for_state(f"litter-{number}", "done")
        assert resident(worker) > 60 * 2**20, "the memory has never been there"
        wait_for(lambda: resident(worker) < 24 * 2**20, "it has been given back", timeout=20)
