"""Handlers in plain libevent, hiredis, pthreads and processes: every callback stands under the job that it belongs to."""

import re
from collections import Counter, defaultdict

import pytest

from weft import ROOT, wait_for

JOBS = 300
TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"

# How often each callback speaks for one job.
SPOKEN = Counter({
    "timer": 1, "repeated timer": 3, "rearmed timer": 3, "once": 1, "active": 1, "read": 1, "reply": 2, "transaction": 1,
    "message": 1, "unsubscription": 1, "thread": 1, "thread's end": 1, "child": 1, "child's end": 1, "copy": 1,
    "copy's end": 1,
})
CAME_BACK = "a process that was forked here has come back instead of calling exec or _exit(), and is ended"


@pytest.fixture
def plain(compile_plugin):
    """Settings for a weftd that runs plugins/plain_libevent.c, which is linked as any program would be."""
    return settings(compile_plugin, "plain_libevent", ["everything"])


@pytest.fixture
def forker(compile_plugin):
    """Settings for a weftd whose job types are the handlers of plugins/forker.c."""
    return settings(compile_plugin, "forker", ["comes_back", "comes_back_from_callback", "cleans_up", "crashes_on_thread"])


def settings(compile_plugin, plugin, names, name=None):
    source = (ROOT / "tests" / "integration" / "plugins" / f"{plugin}.c").read_text()
    path = compile_plugin(name or plugin, source, "-g", "-pthread", "-levent_core", "-lhiredis")
    return {"plugins": [str(path)], "jobs": {name: {"chain": [name]} for name in names}, "defaults": {"attempts": 1}}


@pytest.mark.parametrize("name", ["plain_libevent", "libevents"])
def test_every_callback_of_hundreds_of_jobs_speaks_under_its_own_job(redis, start_weftd, compile_plugin, name):
    plain = settings(compile_plugin, "plain_libevent", ["everything"], name)
    jobs = [f"job-{i}" for i in range(JOBS)]
    redis.enqueue_together([{"type": "everything", "id": job, "payload": str(redis.socket), "tenant": f"tenant-of-{job}",
                             "traceparent": f"00-{TRACE}-{SPAN}-01"} for job in jobs])
    weftd = start_weftd(concurrency=100, workers=2, **plain)
    wait_for(lambda: len(weftd.find("job done")) == JOBS, "all jobs are done")
    assert weftd.stop() == 0

    spoken = defaultdict(Counter)
    for line in weftd.lines():
        said = re.fullmatch(r"([a-z' ]+) of (\S+)(.*)", line["msg"])
        if said and said[2] != "handlers":
            assert said[2] == line.get("job_id"), line
            spoken[said[2]][said[1]] += 1
            assert line["ctx"]["tenant"] == f"tenant-of-{said[2]}"
        if said and said[1] == "child":
            assert re.fullmatch(rf" everything 1 00-{TRACE}-{line['span_id']}-01 tenant-of-{said[2]}", said[3]), line
    assert {job: counts for job, counts in spoken.items() if counts != SPOKEN} == {}
    assert set(spoken) == set(jobs)
    assert [line for line in weftd.lines() if line["msg"].startswith("weft follows")] == []


def test_a_copy_of_the_worker_logs_under_its_own_pid_and_once(redis, start_weftd, plain):
    weftd = start_weftd(**plain)
    redis.wait_for_state(redis.enqueue("everything", id="one", payload=str(redis.socket)), "done")
    copies = weftd.find("copy of one", "one")
    assert len(copies) == 1
    assert copies[0]["pid"] != weftd.find("timer of one", "one")[0]["pid"]


@pytest.mark.parametrize("name", ["comes_back", "comes_back_from_callback"])
def test_a_copy_that_comes_back_from_its_handler_is_ended_and_settles_nothing(redis, start_weftd, forker, name):
    weftd = start_weftd(**forker)
    redis.wait_for_state(redis.enqueue(name, id="forker"), "done")
    assert weftd.stop() == 0
    lines = sorted(weftd.job_lines("forker"), key=lambda line: line["ts"])  # two processes write them
    messages = [line["msg"] for line in lines if line["msg"] != "cleaned up"]
    assert [message.split(":")[0] for message in messages] == ["job started", CAME_BACK, "it ended with 70", "job done"]
    assert len(weftd.find("cleaned up")) == (name == "comes_back")
    assert weftd.find("weftd stopped")[0]["data"]["jobs_done"] == 1


def test_a_copy_that_cleans_up_takes_nothing_from_the_worker(redis, start_weftd, forker):
    weftd = start_weftd(**forker)
    redis.wait_for_state(redis.enqueue("cleans_up", id="cleaner"), "done")
    assert "written to" in weftd.messages("cleaner")


def test_a_crash_on_a_thread_of_its_own_is_the_jobs(redis, start_weftd, forker):
    weftd = start_weftd(**forker)
    weftd.forgive("worker killed by a signal", "worker ended")
    report = redis.wait_for_state(redis.enqueue("crashes_on_thread", id="culprit"), "dead")
    assert "killed by SIGSEGV at address 0x0 in handler crashes_on_thread" in report["error"]
    assert weftd.find("about to crash", "culprit") != []
