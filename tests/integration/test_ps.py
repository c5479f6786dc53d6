"""`weft ps`: what each job in flight awaits, and what lives on after its job."""

import json
import os
import re
import signal
from datetime import datetime, timedelta

import pytest

from weft import ROOT, key, wait_for

SOURCE = (ROOT / "tests" / "integration" / "plugins" / "waits.c").read_text()
NAMES = ["sleeps", "reads", "joins", "expects", "offloads", "threads", "calls", "ticks", "outlives", "captures", "crowds",
         "steers", "hogs", "begets", "release"]


@pytest.fixture
def waits(compile_plugin):
    """Settings for a weftd whose job types are the handlers of plugins/waits.c."""
    return {"plugins": [str(compile_plugin("waits", SOURCE, "-g"))], "jobs": {name: {"chain": [name]} for name in NAMES},
            "defaults": {"attempts": 1}, "shutdown_timeout": "100ms"}


@pytest.fixture
def weftd(start_weftd, waits):
    return start_weftd(**waits)


def place(function):
    number = next(number for number, line in enumerate(SOURCE.splitlines(), 1) if f"/* line of {function} */" in line)
    return f"{function} (waits.c:{number})"


def ps(weftd, *words):
    """The jobs that are shown, by their IDs."""
    done = weftd.cli("ps", "--json", *words)
    assert (done.returncode, done.stderr) == (0, "")
    return {job["id"]: job for job in map(json.loads, done.stdout.splitlines())}


def wait_for_operation(weftd, job, kind):
    """The job and its first operation of that kind, once there is one."""
    def look():
        shown = ps(weftd).get(job, {"operations": []})
        return [(shown, operation) for operation in shown["operations"] if operation["kind"] == kind]

    return wait_for(look, f"{job} awaits {kind}")[0]


def text(weftd, *words):
    done = weftd.cli("ps", *words)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def release(redis, job_type="release"):
    redis.wait_for_state(redis.enqueue(job_type), "done")


# ---- What is awaited ----

def test_a_job_asleep_is_shown_with_what_it_awaits_since_when_and_where(redis, weftd):
    job = redis.enqueue("sleeps", tenant="acme")
    worker = weftd.wait_for_line("job started", job)["pid"]
    shown, operation = wait_for_operation(weftd, job, "sleep")
    assert (shown["type"], shown["queue"], shown["state"], shown["attempt"]) == ("sleeps", "default", "running", 1)
    assert (shown["node"], shown["pid"], shown["operations_left_out"]) == ("testnode", worker, 0)
    # The clock of operations ticks every few milliseconds.
    began, since = (datetime.fromisoformat(when.replace("Z", "+00:00")) for when in (shown["started_at"], operation["since"]))
    assert shown["contexts"] >= 1 and began - since < timedelta(milliseconds=100)
    assert re.fullmatch(r"sleep, \d+ ms left", operation["what"])
    assert (operation["at"], operation["handler"]) == (place("sleeps"), "sleeps")
    assert "task" not in operation and "stack" not in operation and operation["for_ms"] >= 0


KINDS = {
    "reads": ("fd", r"fd \d+, read"),
    "joins": ("join", "join audit"),
    "expects": ("future", "future"),
    "calls": ("call", r"call, \d+ ms left"),
}


@pytest.mark.parametrize("job_type", KINDS)
def test_each_kind_of_wait_is_named(redis, weftd, job_type):
    kind, what = KINDS[job_type]
    _, operation = wait_for_operation(weftd, redis.enqueue(job_type), kind)
    assert re.fullmatch(what, operation["what"]), operation["what"]
    assert operation["at"].startswith(f"{job_type} (waits.c:")


@pytest.mark.parametrize("job_type", ["offloads", "threads"])
def test_threads_are_named_and_keep_their_job_alive(redis, weftd, job_type):
    job = redis.enqueue(job_type)
    shown, operation = wait_for_operation(weftd, job, "thread")
    assert shown["state"] == ("running" if job_type == "offloads" else "outlived")
    assert operation["at"].startswith(f"{job_type} (waits.c:")
    release(redis)
    wait_for(lambda: job not in ps(weftd), "the job is gone")


def test_a_call_that_waits_for_a_thread_is_shown_as_waiting_for_one(redis, start_weftd, waits):
    weftd = start_weftd(**waits, offload={"threads": 1})
    first, second = redis.enqueue("offloads"), redis.enqueue("offloads")
    shown = {job: wait_for_operation(weftd, job, "thread")[1] for job in (first, second)}
    # Which of the two came first does not matter.
    assert sorted(operation["what"] for operation in shown.values()) == ["thread", "thread: all of the pool are taken"]
    assert all(operation["at"].startswith("offloads (waits.c:") for operation in shown.values())
    assert "awaits thread: all of the pool are taken" in text(weftd)
    release(redis)
    for job in (first, second):
        redis.wait_for_state(job, "done")


def test_a_timer_of_plain_libevent_keeps_its_job_alive_until_it_is_deleted(redis, weftd):
    job = redis.enqueue("ticks")
    redis.wait_for_state(job, "done")
    shown, operation = wait_for_operation(weftd, job, "timer")
    assert (shown["state"], operation["at"]) == ("outlived", place("ticks"))
    assert re.fullmatch(r"timer, 3[56]\d{5} ms left", operation["what"])
    release(redis)
    wait_for(lambda: job not in ps(weftd), "the job is gone")


def test_a_child_process_is_named_by_its_pid(redis, weftd):
    job = redis.enqueue("begets")
    said = wait_for(lambda: [line["msg"] for line in weftd.job_lines(job) if line["msg"].startswith("child ")], "it runs")[0]
    _, operation = wait_for_operation(weftd, job, "child")
    assert operation["what"] == said
    assert operation["at"].startswith("begets (waits.c:")


def test_a_running_job_shows_its_subtasks_as_well(redis, weftd):
    shown, join = wait_for_operation(weftd, redis.enqueue("joins"), "join")
    sleep, = [operation for operation in shown["operations"] if operation["kind"] == "sleep"]
    task, = [operation for operation in shown["operations"] if operation["kind"] == "task"]
    assert (sleep["task"], sleep["handler"], sleep["at"]) == ("audit", "joins", place("audit"))
    assert sleep["trigger"] == task["id"] != join["trigger"]


# ---- What lives on ----

def test_a_subtask_that_outlived_its_job_is_shown_until_it_ends(redis, weftd):
    job = redis.enqueue("outlives")
    redis.wait_for_state(job, "done")
    shown, operation = wait_for_operation(weftd, job, "sleep")
    assert (shown["state"], shown["contexts"]) == ("outlived", 1)
    assert (operation["task"], operation["at"]) == ("audit", place("audit"))
    table = text(weftd)
    assert f"    has ended; 1 context of it is alive:\n    awaits sleep, " in table
    assert f" at {place('audit')} in task audit\n" in table


def test_a_context_that_was_captured_is_shown_though_nothing_is_awaited(redis, weftd):
    job = redis.enqueue("captures")
    redis.wait_for_state(job, "done")
    shown = wait_for(lambda: ps(weftd).get(job), "the job is shown")
    assert (shown["state"], shown["contexts"], shown["operations"]) == ("outlived", 1, [])
    assert "    has ended; 1 context of it is alive, captured by its own code\n" in text(weftd)
    release(redis)
    wait_for(lambda: ps(weftd) == {}, "the job is gone")


def test_of_a_crowd_the_oldest_are_shown_and_the_rest_is_counted(redis, weftd):
    job = redis.enqueue("crowds", payload="100")
    redis.wait_for_state(job, "done")
    shown = wait_for(lambda: ps(weftd).get(job), "the job is shown")
    assert (len(shown["operations"]), shown["operations_left_out"]) == (32, 200 - 32)
    assert "    and 168 more\n" in text(weftd)


# ---- Who is asked ----

def test_all_workers_of_all_nodes_are_asked(redis, start_weftd, waits):
    nodes = [start_weftd(**waits, workers=2, concurrency=1, node=node) for node in ("one", "two")]
    jobs = [redis.enqueue("sleeps") for _ in range(4)]
    wait_for(lambda: sum(len(node.find("job started")) for node in nodes) == 4, "all jobs run")
    shown = ps(nodes[0])
    assert set(shown) == set(jobs)
    assert len({(job["node"], job["pid"]) for job in shown.values()}) == 4
    assert {job["node"] for job in shown.values()} == {"one", "two"}


def test_a_queue_or_a_job_can_be_chosen(redis, start_weftd, waits):
    weftd = start_weftd(**waits, queues=[{"name": "default"}, {"name": "bulk"}])
    one, other = redis.enqueue("sleeps"), redis.enqueue("sleeps", queue="bulk", id="mine")
    wait_for(lambda: set(ps(weftd)) == {one, other}, "both jobs are shown")
    assert set(ps(weftd, "-q", "bulk")) == {"mine"}
    assert set(ps(weftd, one)) == {one}
    assert set(ps(weftd, "-q", "bulk", "mine")) == {"mine"}
    done = weftd.cli("ps", "-q", "default", "mine")
    assert (done.returncode, done.stdout) == (1, "")


def test_one_job_is_shown_with_what_led_to_each_wait(redis, weftd):
    job = redis.enqueue("outlives")
    wait_for_operation(weftd, job, "sleep")
    sleep, = [operation for operation in ps(weftd, job)[job]["operations"] if operation["kind"] == "sleep"]
    led_by = f"started by task audit at {place('outlives')}, started by job outlives"
    assert sleep["stack"] == f"sleep at {place('audit')}, {led_by}"
    assert f"        started by task audit at {place('outlives')}\n        started by job outlives\n" in text(weftd, job)


def test_a_job_that_is_not_there_is_not_found(redis, weftd):
    for job in (redis.enqueue("sleeps", delay="1h"), "nobody"):
        done = weftd.cli("ps", job)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr == f'weft: no job "{job}" is in flight, and nothing that it has started is alive\n'


def test_where_nothing_runs_ps_says_so(weftd):
    assert text(weftd) == "No jobs in flight.\n"
    assert ps(weftd) == {}


def test_where_no_weftd_has_ever_run_ps_says_so(redis, weftd):
    weftd.stop()
    redis.client.flushall()
    assert text(weftd) == "No jobs in flight.\n"
    redis.client.xadd(key("default"), {"type": "sleeps"})
    assert text(weftd) == "No jobs in flight.\n"
    redis.client.flushall()


# ---- Those who do not answer ----

def assert_silent(done, worker):
    assert done.returncode == 0
    silence = rf'weft: worker "testnode", process {worker} does not answer; Redis has last heard of it .* ago\n'
    assert re.fullmatch(silence, done.stderr), done.stderr


def test_the_job_of_a_worker_that_is_stuck_is_shown_as_redis_knows_it(redis, start_weftd, waits):
    weftd = start_weftd(**waits, queues=[{"name": "default"}, {"name": "bulk"}])
    job = redis.enqueue("hogs", payload="6000", id="stuck")
    wait_for(lambda: redis.client.xpending(key("default"), "weft")["pending"], "the worker has the job")
    worker, = weftd.worker_pids()
    done = weftd.cli("ps", "--json")
    assert_silent(done, worker)
    shown, = map(json.loads, done.stdout.splitlines())
    assert (shown["id"], shown["type"], shown["queue"], shown["attempt"]) == ("stuck", "hogs", "default", 1)
    assert (shown["state"], shown["node"], shown["pid"]) == ("unanswered", "testnode", worker)
    assert shown["for_ms"] >= 2000
    redis.wait_for_state(job, "done")
    assert ps(weftd) == {}


def test_a_stopped_worker_is_named_and_the_others_answer(redis, start_weftd, waits):
    weftd = start_weftd(**waits, workers=2, concurrency=1)
    jobs = [redis.enqueue("sleeps") for _ in range(2)]
    stopped, other = [weftd.wait_for_line("job started", job)["pid"] for job in jobs]
    os.kill(stopped, signal.SIGSTOP)
    try:
        done = weftd.cli("ps")
    finally:
        os.kill(stopped, signal.SIGCONT)
    assert_silent(done, stopped)
    assert re.search(rf"{jobs[0]} .* unanswered .* testnode/{stopped}\n", done.stdout)
    assert re.search(rf"{jobs[1]} .* running .* testnode/{other}\n    awaits sleep, ", done.stdout)


# ---- What stays ----

def test_nothing_is_left_in_redis(redis, weftd):
    redis.enqueue("sleeps")
    ps(weftd)
    assert redis.client.keys(key("*", "ps*")) == []


def test_what_is_asked_and_answered_is_forgotten_though_nobody_takes_the_answers(redis, weftd):
    redis.client.zadd(key("default", "ps"), {"abc": 1, "not an inquiry/": 2, "\x1b" * 500: 3})
    wait_for(lambda: redis.client.exists(key("default", "ps", "abc")), "the worker answers")
    assert len(redis.client.hkeys(key("default", "ps", "abc"))) == 1
    assert 0 < redis.client.pttl(key("default", "ps", "abc")) <= 10000
    assert redis.client.keys(key("default", "ps:*")) == [key("default", "ps", "abc")]


def test_names_that_would_steer_a_terminal_are_escaped(redis, weftd):
    job = redis.enqueue("steers")
    redis.wait_for_state(job, "done")
    wait_for_operation(weftd, job, "sleep")
    table = text(weftd)
    assert "in task \\x1b[31mred\\n" in table and not set(table) & {"\x1b", "\x07"}
    assert all(len(line) <= 100 for line in table.splitlines())


def test_ps_answers_help(weftd):
    done = weftd.cli("ps", "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("Usage: weft ps [OPTION...] [ID]\n")
