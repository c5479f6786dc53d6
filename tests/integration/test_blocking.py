"""Handlers that block: on threads, with all of a job's doings, told when to end, and given up where they do not."""

import os
import re
import signal
import time

import pytest

from test_http import Web, free_port
from weft import ROOT, Weftd, wait_for

THREADED = ["sleeps", "reads", "polls", "hangs", "pauses", "everything", "fails"]
GIVEN_UP = "giving up a call that does not return"
HARM = ["worker crashed", "ending a worker", "worker killed by a signal", "worker ended", "killing a worker that does not end",
        "giving up on what does not end; its jobs will be run again"]


def source():
    return (ROOT / "tests" / "integration" / "plugins" / "blocks.c").read_text()


@pytest.fixture
def blocks(compile_plugin):
    """Settings for a weftd that runs the handlers of plugins/blocks.c; most of them block."""
    jobs = {name: {"chain": ["around", name] if name == "everything" else [name], "blocking": True} for name in THREADED}
    jobs |= {name: {"chain": [name]} for name in ("naps", "hangs_in_pool", "leaves_hanging", "joins_hanging", "chatters")}
    return {"plugins": [str(compile_plugin("blocks", source(), "-g"))], "jobs": jobs,
            "defaults": {"attempts": 2, "timeout": "1h", "backoff": {"base": "10ms", "max": "20ms", "jitter": 0}}}


def threads_of(pid):
    return len(os.listdir(f"/proc/{pid}/task"))


# ---- What works on the thread ----

def test_a_blocking_chain_does_all_that_a_job_does_under_its_own_id(redis, start_weftd, blocks):
    weftd = start_weftd(**blocks)
    job = redis.enqueue("everything", id="all", tenant="acme", payload="body")
    report = redis.wait_for_state(job, "done")
    assert (report["result"], report["progress"]) == ("words of all", "half")
    child = wait_for(lambda: [line for line in weftd.job_lines(job) if line["msg"].startswith("enqueued ")],
                     "the child's ID")[0]["msg"].split()[1]
    assert redis.wait_for_state(child, "done")
    lines = {line["msg"]: line for line in weftd.job_lines(job)}
    assert list(lines) == ["job started", "refused 1 1 1 1 1 1", f"enqueued {child}", "around",
                           "deferred words of all on a thread", "job done"]
    assert lines["refused 1 1 1 1 1 1"]["handler"] == "everything"
    assert lines["refused 1 1 1 1 1 1"]["ctx"]["tenant"] == "inner"
    assert lines["around"]["handler"] == "around"
    started, = [line for line in weftd.job_lines(child) if line["msg"] == "job started"]
    assert (started["root_id"], started["ctx"]["tenant"]) == ("all", "inner")


def test_a_blocking_chain_that_fails_says_why(redis, start_weftd, blocks):
    start_weftd(**blocks)
    report = redis.wait_for_state(redis.enqueue("fails"), "dead")
    assert (report["error"], report["attempt"]) == ("no good", "1")


def test_a_hundred_blocking_calls_of_a_second_take_little_more_than_one(redis, start_weftd, blocks):
    weftd = start_weftd(**blocks, workers=2)
    started = time.monotonic()
    jobs = redis.enqueue_together([{"type": "sleeps", "payload": "1000"}] * 100)
    for job in jobs:
        assert redis.wait_for_state(job, "done")["attempt"] == "1"
    elapsed = time.monotonic() - started
    print(f"100 x 1 s: {elapsed:.2f} s")
    assert elapsed < 25  # as the four threads of before took; what is promised is measured in tests/bench
    assert weftd.find("job failed") == []


def test_calls_beyond_the_threads_wait_their_turn_outside_of_their_time(redis, start_weftd, blocks):
    """Four jobs on two threads: the later ones wait for longer than their time-out, which begins when they do."""
    start_weftd(**blocks | {"offload": {"threads": 2}})
    jobs = redis.enqueue_together([{"type": "sleeps", "payload": "1500", "timeout": "2500ms"}] * 4)
    reports = [redis.wait_for_state(job, "done", "dead") for job in jobs]
    assert [(report["state"], report["attempt"]) for report in reports] == [("done", "1")] * 4


@pytest.mark.parametrize("keeper", ["hangs", "hangs_in_pool"])
def test_jobs_that_wait_for_a_thread_keep_nobody_else_from_running(redis, start_weftd, blocks, tmp_path, keeper):
    """However the thread is kept: by a job that blocks, of whose type no more can run, or by somebody's weft_offload()."""
    weftd = start_weftd(**blocks | {"offload": {"threads": 1}})
    release = tmp_path / "release"
    first = redis.enqueue(keeper, payload=str(release))
    weftd.wait_for_line("hanging", first)
    waiting = redis.enqueue_together([{"type": keeper if keeper == "hangs" else "sleeps", "payload": str(release)}] * 3)
    # Where it waits for long, it may be in its queue instead, to come again.
    wait_for(lambda: weftd.cli("ps").stdout.count(waiting[2]) == 1 or redis.report(waiting[2]).get("state") == "delayed",
             "the last of those that wait is there")
    others = redis.enqueue_together([{"type": "naps", "payload": "1"}] * 20)
    for job in others:
        redis.wait_for_state(job, "done")
    assert weftd.cli("cancel", waiting[0]).returncode == 0
    assert redis.wait_for_state(waiting[0], "cancelled")
    assert redis.report(first)["state"] == "running"
    release.touch()
    for job in (first, *waiting[1:]):
        assert redis.wait_for_state(job, "done")["attempt"] == "1"


def test_a_job_that_waits_for_a_thread_is_shown_and_has_not_begun(redis, start_weftd, blocks, tmp_path):
    weftd = start_weftd(**blocks | {"offload": {"threads": 1}})
    release = tmp_path / "release"
    first = redis.enqueue("hangs", payload=str(release))
    weftd.wait_for_line("hanging", first)
    second = redis.enqueue("hangs", payload=str(release))
    wait_for(lambda: "awaits its turn" in weftd.cli("ps", second).stdout, "the second is shown")
    assert weftd.messages(second) == []
    release.touch()
    assert redis.wait_for_state(second, "done")


def test_types_that_block_share_the_threads_and_keep_no_other_type_from_running(redis, start_weftd, blocks, tmp_path):
    blocks["jobs"]["hangs_too"] = {"chain": ["hangs"], "blocking": True}
    weftd = start_weftd(**blocks | {"offload": {"threads": 2}, "concurrency": 20})
    end = str(tmp_path / "end")
    jobs = redis.enqueue_together([{"type": "hangs_too", "payload": end}] * 2)
    wait_for(lambda: len(weftd.find("hanging")) == 2, "all threads are taken")
    jobs += redis.enqueue_together([{"type": kind, "payload": end} for kind in ("hangs", "hangs_too")] * 3)
    for _ in range(3):
        assert redis.wait_for_state(redis.enqueue("naps", payload="1"), "done")["attempt"] == "1"
    assert len(weftd.find("hanging")) == 2
    (tmp_path / "end").touch()
    for job in jobs:
        report = redis.wait_for_state(job, "done", "dead")
        assert (report["state"], report["attempt"]) == ("done", "1")


# ---- Told to end ----

def test_a_blocked_read_is_ended_by_a_cancellation(redis, start_weftd, blocks):
    weftd = start_weftd(**blocks)
    job = redis.enqueue("reads")
    weftd.wait_for_line("reading", job)
    assert weftd.cli("cancel", job).returncode == 0
    assert redis.wait_for_state(job, "cancelled")
    assert weftd.messages(job) == ["job started", "reading", "shutting down", "read 0, cancelled 1, off -2", "job cancelled"]


def test_a_blocked_read_is_ended_by_its_time_out(redis, start_weftd, blocks):
    weftd = start_weftd(**blocks)
    job = redis.enqueue("reads", timeout="300ms", attempts="1")
    report = redis.wait_for_state(job, "dead")
    assert report["error"] == "timed out after 300 ms"
    assert "read 0, cancelled 1, off -2" in weftd.messages(job)
    assert weftd.find(GIVEN_UP) == []


def test_a_shutdown_reaches_blocking_code_which_is_returned_uncharged(redis, start_weftd, blocks):
    weftd = start_weftd(**blocks, shutdown_timeout="200ms")
    jobs = [redis.enqueue("reads"), redis.enqueue("polls")]
    weftd.wait_for_line("reading", jobs[0])
    weftd.wait_for_line("polling until a deadline", jobs[1])
    assert weftd.stop() == 0
    for job in jobs:
        assert weftd.messages(job)[-1] == "job returned to its queue"
    assert redis.waiting() == 2


# ---- Given up ----

@pytest.mark.parametrize("way", ["hangs", "hangs_in_pool"])
def test_neighbours_of_a_call_that_does_not_return_are_done_and_uncharged(redis, start_weftd, blocks, way):
    port = free_port()
    weftd = start_weftd(**blocks, http={"listen": f"127.0.0.1:{port}"})
    weftd.hangs = True
    first, = set(weftd.worker_pids())
    neighbours = redis.enqueue_together([{"type": kind, "payload": "6000"} for kind in ["naps", "sleeps"] * 25])
    stuck = redis.enqueue(way, timeout="500ms", attempts="1")
    report = redis.wait_for_state(stuck, "dead")
    assert report["error"] == "timed out after 500 ms, in a call that did not return"
    line, = weftd.find(GIVEN_UP, stuck)
    number = 1 + source().splitlines().index(next(line for line in source().splitlines() if "line of hang " in line))
    assert re.search(rf"usleep.* < hang \(blocks\.c:{number}\)", line["data"]["backtrace"]), line["data"]
    assert line["handler"] == way
    web = Web(port)
    assert "weft_offload_abandoned 1\n" in web.text()
    weftd.wait_for_line("a worker has a call that does not return and is replaced")
    for job in neighbours:
        report = redis.wait_for_state(job, "done", "dead")
        assert (report["state"], report["attempt"]) == ("done", "1")
    wait_for(lambda: first not in weftd.worker_pids(), "the worker ends although its thread hangs")
    wait_for(lambda: "weft_offload_abandoned 0\n" in web.text(), "the supervisor has seen it")
    assert "weft_offload_abandoned_total 1\n" in web.text()
    assert redis.wait_for_state(redis.enqueue("sleeps", payload="1"), "done")
    for message in HARM:
        assert weftd.find(message) == []


def test_a_call_that_returns_after_it_was_given_up_is_let_go_of(redis, start_weftd, blocks, tmp_path):
    weftd = start_weftd(**blocks)
    neighbour = redis.enqueue("sleeps", payload="7000")
    stuck = [redis.enqueue(way, timeout="300ms", attempts="1", payload=str(tmp_path / "end")) for way in ("hangs", "hangs_in_pool")]
    for job in stuck:
        assert redis.wait_for_state(job, "dead")["error"].endswith("in a call that did not return")
    (tmp_path / "end").touch()
    for job in stuck:
        weftd.wait_for_line("a call that was given up has returned", job)
        assert weftd.messages(job).count("job dead") == 1
    assert "came back with -62" in weftd.messages(stuck[1])
    redis.wait_for_state(neighbour, "done")


def test_a_cancelled_job_whose_call_does_not_return_is_cancelled_all_the_same(redis, start_weftd, blocks):
    weftd = start_weftd(**blocks)
    weftd.hangs = True
    job = redis.enqueue("hangs")
    weftd.wait_for_line("hanging", job)
    weftd.cli("cancel", job)
    assert redis.wait_for_state(job, "cancelled")["error"] == "cancelled"
    assert len(weftd.find(GIVEN_UP, job)) == 1


@pytest.mark.parametrize("way", ["hangs", "hangs_in_pool", "pauses"])
def test_a_shutdown_does_not_wait_for_what_hangs_and_returns_it_uncharged(redis, start_weftd, blocks, way):
    weftd = start_weftd(**blocks, shutdown_timeout="200ms")
    weftd.hangs = True
    job = redis.enqueue(way)
    weftd.wait_for_line("job started", job)
    assert weftd.stop() == 0
    assert weftd.messages(job)[-2:] == [GIVEN_UP, "job returned to its queue"]
    assert weftd.find("killing a worker that does not end") == []
    again = start_weftd(**blocks, shutdown_timeout="100ms")
    again.hangs = True
    again.wait_for_line("job started", job)
    assert again.job_lines(job)[0]["attempt"] == 1


def test_a_shutdown_leaves_alone_what_a_thread_of_a_subtask_still_uses(redis, start_weftd, blocks):
    weftd = start_weftd(**blocks, shutdown_timeout="0s")
    weftd.hangs = True
    job = redis.enqueue("chatters")
    wait_for(lambda: len(weftd.find("chattering", job)) == 8, "all threads are at it")
    assert weftd.stop() == 0
    assert len(weftd.find(GIVEN_UP, job)) == 8
    assert weftd.printed() == []
    assert redis.waiting() == 1


def test_a_shutdown_does_not_wait_for_a_subtask_that_hangs_after_its_jobs_end(redis, start_weftd, blocks):
    weftd = start_weftd(**blocks, shutdown_timeout="200ms")
    weftd.hangs = True
    job = redis.enqueue("leaves_hanging")
    assert redis.wait_for_state(job, "done")
    weftd.wait_for_line("hanging", job)
    assert weftd.stop() == 0
    line, = weftd.find(GIVEN_UP, job)
    assert (line["task"], "hang (blocks.c:" in line["data"]["backtrace"]) == ("straggler", True)
    for message in HARM:
        assert weftd.find(message) == []


def test_a_subtask_that_hangs_goes_back_with_its_job_at_a_shutdown(redis, start_weftd, blocks):
    weftd = start_weftd(**blocks, shutdown_timeout="200ms")
    weftd.hangs = True
    job = redis.enqueue("joins_hanging")
    weftd.wait_for_line("hanging", job)
    assert weftd.stop() == 0
    assert "job returned to its queue" in weftd.messages(job) and len(weftd.find(GIVEN_UP, job)) == 1
    for message in HARM:
        assert weftd.find(message) == []


def test_a_subtask_that_hangs_is_given_up_with_its_cancelled_job_and_its_worker_replaced(redis, start_weftd, blocks, tmp_path):
    weftd = start_weftd(**blocks)
    weftd.hangs = True
    first, = weftd.worker_pids()
    neighbour = redis.enqueue("naps", payload="7000")
    jobs = [redis.enqueue("joins_hanging", payload=str(tmp_path / name)) for name in ("end", "never")]
    for job in jobs:
        weftd.wait_for_line("hanging", job)
        weftd.cli("cancel", job)
        assert redis.wait_for_state(job, "cancelled")
    for job in jobs:
        assert weftd.wait_for_line(GIVEN_UP, job)["task"] == "straggler"
    (tmp_path / "end").touch()
    weftd.wait_for_line("a call that was given up has returned", jobs[0])
    assert redis.wait_for_state(neighbour, "done")["attempt"] == "1"
    wait_for(lambda: first not in weftd.worker_pids(), "the worker ends although a thread of it hangs")
    for message in HARM:
        assert weftd.find(message) == []


def test_retries_of_what_hangs_run_on_other_workers(redis, start_weftd, blocks):
    weftd = start_weftd(**blocks)
    weftd.hangs = True
    job = redis.enqueue("hangs", timeout="300ms", attempts="2")
    report = redis.wait_for_state(job, "dead")
    assert report["attempt"] == "2"
    assert len(weftd.find(GIVEN_UP, job)) == 2


# ---- Threads ----

def test_an_idle_worker_has_no_threads(redis, start_weftd, blocks):
    weftd = start_weftd(**blocks)
    worker, = weftd.worker_pids()
    before = threads_of(worker)
    jobs = redis.enqueue_together([{"type": "sleeps", "payload": "500"}] * 20)
    wait_for(lambda: threads_of(worker) >= before + 20, "each call has a thread")
    for job in jobs:
        redis.wait_for_state(job, "done")
    wait_for(lambda: threads_of(worker) == before, "they have ended")
