"""`weft cancel` reaches a job wherever it is."""

import json
import os
import signal
import subprocess

import pytest

from proxy import Proxy
from weft import PATIENCE, ROOT, WEFT, key, run, wait_for


@pytest.fixture
def stop(compile_plugin):
    """Settings for a weftd that runs the handlers of plugins/stop.c and of plugins/probe.c; failed jobs wait for an hour."""
    plugins = {name: (ROOT / "tests" / "integration" / "plugins" / f"{name}.c").read_text() for name in ("stop", "probe")}
    names = ["sleeper", "family", "stubborn", "speak", "error", "fail", "nap"]
    return {"plugins": [str(compile_plugin(name, source)) for name, source in plugins.items()],
            "jobs": {name: {"chain": [name]} for name in names},
            "defaults": {"attempts": 3, "backoff": {"base": "1h", "max": "1h", "jitter": 0}}}


@pytest.fixture
def weftd(start_weftd, stop):
    return start_weftd(**stop)


def cancel(weftd, job, *words):
    return weftd.cli("cancel", job, *words)


def assert_cancelled(redis, job, done, words=""):
    assert (done.returncode, done.stdout, done.stderr) == (0, f"cancelled {job} in queue default{words}\n", "")
    report = redis.report(job)
    assert (report["state"], report["error"]) == ("cancelled", "cancelled")
    assert redis.client.exists(key("default", "cancel")) == 0


def assert_refused(done, sentence, status=1):
    assert (done.returncode, done.stdout, done.stderr) == (status, "", f"weft: {sentence}\n")


def fill(redis, count):
    """So many jobs that nobody takes while no weftd runs."""
    pipeline = redis.client.pipeline(transaction=False)
    for i in range(count):
        pipeline.xadd(key("default"), {"type": "speak", "payload": str(i)})
    return pipeline.execute()


# ---- Jobs that wait ----

def test_a_delayed_job_is_taken_out(redis, weftd):
    job = redis.enqueue("speak", payload="never", delay="1h")
    redis.wait_for_state(job, "delayed")
    assert_cancelled(redis, job, cancel(weftd, job))
    assert redis.client.exists(key("default", "delayed"), key("default", "bodies")) == 0
    assert redis.client.lrange(key("default", "done"), 0, -1) == [job]


def test_a_job_that_waits_for_its_retry_is_taken_out(redis, weftd):
    job = redis.enqueue("error")
    before = redis.wait_for_state(job, "retrying")
    assert_cancelled(redis, job, cancel(weftd, job))
    assert redis.client.exists(key("default", "delayed"), key("default", "bodies")) == 0
    after = redis.report(job)
    assert (after["attempt"], after["started_at"]) == (before["attempt"], before["started_at"])
    assert weftd.messages(job) == ["job started", "job failed", "retry scheduled"]


def test_a_queued_job_in_a_backlog_is_taken_off_while_no_weftd_runs(redis, weftd):
    weftd.stop()
    jobs = fill(redis, 5000)
    assert_cancelled(redis, jobs[2500], cancel(weftd, jobs[2500]))
    report = redis.report(jobs[2500])
    assert (report["type"], report["attempt"]) == ("speak", "1")
    assert report["enqueued_at"] <= report["finished_at"]
    assert redis.waiting() == 4999
    weftd.start()
    redis.wait_for_state(jobs[-1], "done")
    wait_for(lambda: redis.waiting() == 0, "all others are done")
    assert weftd.job_lines(jobs[2500]) == []
    assert len(weftd.find("job done")) == 4999


def test_a_job_with_an_id_of_its_own_is_found_in_a_backlog(redis, weftd):
    weftd.stop()
    fill(redis, 5000)
    redis.enqueue("speak", id="mine", payload="never")
    fill(redis, 10)
    assert_cancelled(redis, "mine", cancel(weftd, "mine"))
    assert redis.waiting() == 5010


# ---- Jobs that run ----

def test_a_running_job_is_woken_and_cleans_up(redis, weftd):
    job = redis.enqueue("sleeper", tenant="acme")
    weftd.wait_for_line("asleep", job)
    assert_cancelled(redis, job, cancel(weftd, job), " while it was running")
    assert weftd.messages(job) == ["job started", "asleep", "woken by -125", "cleaned up", "job cancelled"]
    cancelled, = weftd.find("job cancelled", job)
    assert (cancelled["level"], cancelled["data"]) == ("warn", {"error": "cancelled"})
    assert cancelled["ctx"] == {"tenant": "acme"}
    assert redis.waiting() == 0


def test_a_running_job_with_an_id_of_its_own_is_found(redis, weftd):
    job = redis.enqueue("sleeper", id="mine")
    weftd.wait_for_line("asleep", job)
    assert_cancelled(redis, job, cancel(weftd, job), " while it was running")


def test_subtasks_of_a_cancelled_job_are_stopped_and_others_go_on(redis, weftd):
    other = redis.enqueue("nap", payload="3000")
    job = redis.enqueue("family")
    wait_for(lambda: len(weftd.find("subtask started", job)) == 2, "the subtasks run")
    assert_cancelled(redis, job, cancel(weftd, job), " while it was running")
    wait_for(lambda: len(weftd.find("subtask failed", job)) == 2, "the subtasks have ended")
    assert {line["data"]["error"] for line in weftd.find("subtask failed", job)} == {"Operation canceled"}
    redis.wait_for_state(other, "done")


def test_a_job_that_succeeds_all_the_same_is_done(redis, weftd):
    job = redis.enqueue("stubborn")
    weftd.wait_for_line("asleep", job)
    assert_refused(cancel(weftd, job), f'job "{job}" in queue default is done and could not be stopped before')
    assert redis.report(job)["state"] == "done"
    assert redis.client.exists(key("default", "cancel")) == 0


@pytest.mark.parametrize("job_type", ["sleeper", "stubborn"])
def test_a_job_that_ends_while_its_entry_is_looked_for_has_been_stopped_by_this(redis, weftd, tmp_path, job_type):
    """It is noted for its worker; the entry is found; by the next look the worker has met the note and ended the job."""
    job = redis.enqueue(job_type, id="mine")
    weftd.wait_for_line("asleep", job)
    worker, = weftd.worker_pids()
    found = []

    def before(command):
        if command.name == "XRANGE":
            found.append(command)
        elif found and command.name.startswith("EVAL"):
            os.kill(worker, signal.SIGCONT)
            redis.wait_for_state(job, "cancelled", "done")

    proxy = Proxy(tmp_path / "p.sock", redis.socket, before=before).start()
    config = tmp_path / "by-proxy.yaml"
    config.write_text(f"redis: {{url: {proxy.url}}}\n")
    os.kill(worker, signal.SIGSTOP)
    done = run(WEFT, "-c", config, "cancel", job)
    proxy.stop()
    assert found
    if job_type == "sleeper":
        assert_cancelled(redis, job, done, " while it was running")
    else:
        assert_refused(done, f'job "{job}" in queue default is done and could not be stopped before')
    assert redis.client.exists(key("default", "cancel")) == 0


def test_a_job_in_flight_of_a_dead_node_is_cancelled_when_it_comes_back(redis, weftd):
    """Nobody but us holds it: it is noted, and never run."""
    weftd.stop()
    job = redis.enqueue("speak", payload="never")
    redis.client.xreadgroup("weft", "somebody", {key("default"): ">"})
    done = cancel(weftd, job)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"asked the worker that has {job} in queue default to stop it; it has not ended yet\n"
    assert redis.client.zrange(key("default", "cancel"), 0, -1) == [job]
    redis.client.xack(key("default"), "weft", job)
    redis.client.xdel(key("default"), job)
    redis.client.xadd(key("default"), {"type": "speak", "payload": "never", "weft.id": job,
                                       "weft.enqueued_at": job.split("-")[0]})
    weftd.start()
    assert redis.wait_for_state(job, "cancelled")["error"] == "cancelled"
    cancelled, = [weftd.wait_for_line("job cancelled", job)]
    assert (cancelled["type"], cancelled["queue"], cancelled["attempt"]) == ("speak", "default", 1)
    assert weftd.messages(job) == ["job cancelled"]
    assert redis.client.exists(key("default", "cancel")) == 0


def test_a_job_is_cancelled_while_weftd_drains(redis, weftd):
    job = redis.enqueue("sleeper")
    weftd.wait_for_line("asleep", job)
    weftd.send(signal.SIGTERM)
    weftd.wait_for_line("weftd stopping")
    assert_cancelled(redis, job, cancel(weftd, job), " while it was running")
    assert weftd.process.wait(PATIENCE) == 0


# ---- Jobs that are not there ----

def test_an_unknown_job_is_not_found(redis, weftd):
    assert_refused(cancel(weftd, "nobody"),
                   'no job "nobody" in the queues of this configuration; reports are kept for as long as keep: says')
    assert redis.client.exists(key("default", "cancel"), key("default", "job", "nobody")) == 0


def test_what_has_ended_is_refused_with_how_it_ended(redis, weftd):
    done, dead = redis.enqueue("speak", payload="hello"), redis.enqueue("fail", payload="no")
    delayed = redis.enqueue("speak", payload="never", delay="1h")
    redis.wait_for_state(done, "done")
    redis.wait_for_state(dead, "dead")
    redis.wait_for_state(delayed, "delayed")
    assert_refused(cancel(weftd, done), f'job "{done}" in queue default is done already')
    assert_refused(cancel(weftd, dead), f'job "{dead}" in queue default is dead already')
    assert_cancelled(redis, delayed, cancel(weftd, delayed))
    assert_refused(cancel(weftd, delayed), f'job "{delayed}" in queue default is cancelled already')
    assert redis.client.exists(key("default", "cancel")) == 0


def test_an_id_that_has_ended_once_and_waits_again_is_cancelled(redis, weftd):
    redis.wait_for_state(redis.enqueue("speak", id="mine", payload="hello"), "done")
    weftd.stop()
    redis.enqueue("speak", id="mine", payload="never")
    assert_cancelled(redis, "mine", cancel(weftd, "mine"))
    assert redis.waiting() == 0


def test_an_id_can_be_used_again_after_it_was_cancelled(redis, weftd):
    redis.enqueue("sleeper", id="mine")
    weftd.wait_for_line("asleep", "mine")
    assert_cancelled(redis, "mine", cancel(weftd, "mine"), " while it was running")
    redis.enqueue("speak", id="mine", payload="again")
    redis.wait_for_state("mine", "done")


# ---- The command ----

def test_of_several_queues_one_has_to_be_chosen(redis, start_weftd, stop):
    weftd = start_weftd(**stop, queues=[{"name": "default"}, {"name": "bulk"}])
    for queue in ("default", "bulk"):
        redis.enqueue("speak", queue, id="mine", payload="never", delay="1h")
        redis.wait_for_state("mine", "delayed", queue=queue)
    assert_refused(cancel(weftd, "mine"), 'there is a job "mine" in queue default and another in queue bulk; choose one '
                   "with -q", 64)
    assert cancel(weftd, "mine", "-q", "bulk").stdout == "cancelled mine in queue bulk\n"
    assert redis.report("mine")["state"] == "delayed"
    assert cancel(weftd, "mine").stdout == "cancelled mine in queue default\n"


def test_json_says_what_has_become_of_it(redis, weftd):
    job = redis.enqueue("speak", payload="never", delay="1h")
    redis.wait_for_state(job, "delayed")
    done = cancel(weftd, job, "--json")
    assert (done.returncode, json.loads(done.stdout)) == (0, {"id": job, "queue": "default", "state": "cancelled"})


def test_what_is_no_job_id_is_wrong_usage(weftd):
    for words in ([], ["a b"], ["a", "b"]):
        done = weftd.cli("cancel", *words)
        assert (done.returncode, done.stdout) == (64, "")
        assert done.stderr.startswith("weft cancel: ") and done.stderr.endswith("; see weft cancel --help\n")


def test_a_hundred_jobs_cancelled_at_once_leave_nothing(redis, weftd):
    jobs = redis.enqueue_together([{"type": "sleeper"}] * 40 + [{"type": "speak", "delay": "1h"}] * 60)
    wait_for(lambda: len(weftd.find("asleep")) == 40, "all sleep")
    wait_for(lambda: redis.client.zcard(key("default", "delayed")) == 60, "the others are delayed")
    running = [subprocess.Popen([WEFT, "-c", weftd.config, "cancel", job], stdout=subprocess.PIPE, text=True) for job in jobs]
    assert [process.wait(PATIENCE) for process in running] == [0] * 100
    assert {redis.report(job)["state"] for job in jobs} == {"cancelled"}
    assert redis.waiting() == 0
    assert redis.client.exists(*(key("default", name) for name in ("cancel", "delayed", "bodies"))) == 0


def test_without_redis_it_says_so(tmp_path):
    (tmp_path / "weftd.yaml").write_text(f"redis: {{url: unix://{tmp_path}/nobody.sock}}\n")
    done = run(WEFT, "-c", tmp_path / "weftd.yaml", "cancel", "x")
    assert (done.returncode, done.stdout) == (69, "")
