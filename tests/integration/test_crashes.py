"""A job that brings its worker down is charged and named; its neighbours run again, uncharged."""

import os
import signal

import pytest

from weft import ROOT, Weftd, key, wait_for

NAMES = ["segfault", "abandon", "divide", "overflow", "spin", "leave", "vanish", "eat", "talk_and_die", "leave_a_bomb",
         "ignore", "nap"]
NEIGHBOUR = "job interrupted by the end of its worker; it runs again, uncharged"


@pytest.fixture
def crasher(compile_plugin):
    """Settings for a weftd whose job types are the handlers of plugins/crasher.c."""
    source = (ROOT / "tests" / "integration" / "plugins" / "crasher.c").read_text()
    return {"plugins": [str(compile_plugin("crasher", source))], "jobs": {name: {"chain": [name]} for name in NAMES},
            "defaults": {"attempts": 2, "timeout": "1s", "backoff": {"base": "10ms", "max": "20ms", "jitter": 0}}}


def start_forgiving(start_weftd, **settings):
    weftd = start_weftd(**settings)
    weftd.forgive("worker killed by a signal", "worker ended")
    return weftd


WAYS = {
    "segfault": "killed by SIGSEGV at address 0x0 in handler segfault",
    "abandon": "killed by SIGABRT in handler abandon",
    "divide": "killed by SIGFPE (division by zero) in handler divide",
    "overflow": "stack overflow in handler overflow",
    "leave": "called exit(3) in handler leave",
    "spin": "stopped by the supervisor in handler spin: it went on after its time-out",
}


@pytest.mark.parametrize("way", WAYS)
def test_a_job_that_brings_its_worker_down_is_charged_and_named(redis, start_weftd, crasher, way):
    weftd = start_forgiving(start_weftd, **crasher)
    report = redis.wait_for_state(redis.enqueue(way, id="culprit", tenant="acme"), "dead")
    assert report["attempt"] == "2"
    assert WAYS[way] in report["error"]
    letter = redis.dead_letters()[0]
    assert (letter["weft.id"], letter["weft.attempts"], letter["weft.error"]) == ("culprit", "2", report["error"])
    crashes = weftd.find("worker crashed", "culprit")
    assert [line["attempt"] for line in crashes] == [1, 2]
    for line in crashes:
        assert WAYS[way] in line["data"]["error"]
        assert (line["handler"], line["type"], line["ctx"]) == (way, way, {"tenant": "acme"})
    messages = [line["msg"] for line in weftd.job_lines("culprit") if line["msg"] != "about to crash"]
    assert messages == ["job started", "worker crashed", "job failed", "retry scheduled",
                        "job started", "worker crashed", "job failed", "job dead"]


def test_the_backtrace_names_static_functions_of_the_plugin(redis, start_weftd, crasher):
    weftd = start_forgiving(start_weftd, **crasher)
    redis.wait_for_state(redis.enqueue("segfault", id="culprit"), "dead")
    assert "segfault (" in weftd.find("worker crashed", "culprit")[0]["data"]["backtrace"]


def test_neighbours_run_again_uncharged_and_their_logs_say_why(redis, start_weftd, crasher):
    weftd = start_forgiving(start_weftd, **crasher)
    naps = [redis.enqueue("nap", id=f"nap-{i}", payload="700") for i in range(20)]
    for job in naps:
        weftd.wait_for_line("napping", job)
    redis.enqueue("segfault", id="culprit", attempts="1")
    redis.wait_for_state("culprit", "dead")
    for job in naps:
        assert redis.wait_for_state(job, "done")["attempt"] == "1"
        assert weftd.messages(job).count(NEIGHBOUR) == 1
    assert weftd.find(NEIGHBOUR, "culprit") == []


def test_every_line_logged_before_a_crash_is_there(redis, start_weftd, crasher):
    weftd = start_forgiving(start_weftd, **crasher)
    redis.wait_for_state(redis.enqueue("talk_and_die", id="talker", attempts="1"), "dead")
    said = [message for message in weftd.messages("talker") if message.startswith("line ")]
    assert said == [f"line {i} of what it had to say" for i in range(1000)]


def test_exit_without_a_trace_is_charged_to_who_was_running(redis, start_weftd, crasher):
    weftd = start_forgiving(start_weftd, **crasher)
    report = redis.wait_for_state(redis.enqueue("vanish", id="culprit"), "dead")
    assert "exit" in report["error"]
    assert len(weftd.find("worker crashed", "culprit")) == 2


def test_a_subtask_that_crashes_after_its_job_leaves_the_job_done(redis, start_weftd, crasher):
    weftd = start_forgiving(start_weftd, **crasher)
    redis.enqueue("leave_a_bomb", id="bomber")
    crash = weftd.wait_for_line("worker crashed", "bomber")
    assert crash["task"] == "bomb"
    assert redis.wait_for_state("bomber", "done")
    assert len(weftd.find("job started", "bomber")) == 1


def test_a_job_that_goes_on_after_its_time_out_is_ended_with_its_worker(redis, start_weftd, crasher):
    weftd = start_forgiving(start_weftd, **crasher)
    report = redis.wait_for_state(redis.enqueue("ignore", id="culprit", attempts="1"), "dead")
    assert "it went on after its time-out" in report["error"]
    assert weftd.find("worker crashed", "culprit")


def test_a_loop_that_never_waits_does_not_outlive_the_lease(redis, start_weftd, crasher):
    weftd = start_forgiving(start_weftd, **crasher, lease="4s")
    report = redis.wait_for_state(redis.enqueue("spin", id="culprit", attempts="1", timeout="1h"), "dead")
    assert "it kept its worker from turning to any other job" in report["error"]
    assert weftd.find("worker crashed", "culprit")


@pytest.mark.skipif("asan" in os.environ.get("WEFT_BUILD", ""), reason="a sanitizer's memory is beyond any limit")
def test_a_job_that_eats_memory_past_max_rss_is_ended_with_its_worker(redis, start_weftd, crasher):
    weftd = start_forgiving(start_weftd, **crasher, max_rss="128MiB")
    job = redis.enqueue("eat", id="culprit", attempts="1", timeout="1h")
    report = redis.wait_for_state(job, "dead")
    assert 'it used up more memory than "max_rss" allows' in report["error"]
    assert weftd.find("worker crashed", "culprit")


def test_kill_9_from_outside_charges_nobody(redis, start_weftd, crasher):
    weftd = start_forgiving(start_weftd, **crasher)
    job = redis.enqueue("nap", payload="700")
    os.kill(weftd.wait_for_line("napping", job)["pid"], signal.SIGKILL)
    assert redis.wait_for_state(job, "done")["attempt"] == "1"
    assert weftd.find(NEIGHBOUR, job)
    assert weftd.find("worker crashed") == []


def test_a_frozen_worker_is_replaced_before_its_lease_is_over(redis, start_weftd, crasher):
    weftd = start_forgiving(start_weftd, **crasher, lease="4s")
    job = redis.enqueue("nap", payload="900", timeout="1m")
    os.kill(weftd.wait_for_line("napping", job)["pid"], signal.SIGSTOP)
    assert redis.wait_for_state(job, "done")["attempt"] == "1"
    line = weftd.wait_for_line("ending a worker")
    assert line["data"]["error"].endswith(", since somebody has stopped the process")


def test_a_worker_that_dies_at_once_is_started_again_more_and_more_slowly(redis, start_weftd, crasher):
    weftd = start_forgiving(start_weftd, **crasher)
    for i in range(4):
        redis.wait_for_state(redis.enqueue("segfault", id=f"culprit-{i}", attempts="1"), "dead")
    waits = [line["data"]["in_ms"] for line in weftd.find("a worker will be started again")]
    assert waits[:4] == [0, 100, 200, 400]


def test_nothing_is_left_of_dead_workers_in_redis(redis, start_weftd, crasher):
    weftd = start_forgiving(start_weftd, **crasher)
    for i in range(3):
        redis.wait_for_state(redis.enqueue("segfault", id=f"culprit-{i}", attempts="1"), "dead")
    assert weftd.stop() == 0
    wait_for(lambda: redis.client.xinfo_consumers(key("default"), "weft") == [], "no consumer is left")
    assert redis.client.xpending(key("default"), "weft")["pending"] == 0


def test_a_loop_that_never_waits_does_not_outlive_a_killed_supervisor_for_long(redis, crasher, tmp_path):
    weftd = Weftd(tmp_path, redis.url, **crasher, shutdown_timeout="1s").start()
    job = redis.enqueue("spin", timeout="1h")
    worker = weftd.wait_for_line("job started", job)["pid"]
    weftd.send(signal.SIGKILL)
    weftd.process.wait()
    wait_for(lambda: not os.path.exists(f"/proc/{worker}"), "the worker is gone")
