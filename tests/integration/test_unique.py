"""Of the jobs with one unique key, one at most is queued or running; what comes meanwhile ends as its duplicate."""

import json
import os
import signal

import pytest

from weft import ROOT, key, wait_for

LOCK = key("default", "unique", "k")


@pytest.fixture
def stop(compile_plugin):
    """Settings for a weftd whose jobs sleep or fail; failed ones wait for an hour."""
    plugins = {name: (ROOT / "tests" / "integration" / "plugins" / f"{name}.c").read_text()
               for name in ("stop", "probe", "twins")}
    names = ["sleeper", "speak", "error", "fail", "twins"]
    return {"plugins": [str(compile_plugin(name, source)) for name, source in plugins.items()],
            "jobs": {name: {"chain": [name]} for name in names}, "workers": 1,
            "defaults": {"attempts": 2, "backoff": {"base": "1h", "max": "1h", "jitter": 0}}}


@pytest.fixture
def weftd(start_weftd, stop):
    return start_weftd(**stop)


def run_sleeper(redis, weftd, **fields):
    job = redis.enqueue("sleeper", unique="k", **fields)
    weftd.wait_for_line("asleep", job)
    return job


def assert_duplicate(redis, weftd, job, first):
    report = redis.wait_for_state(job, "duplicate", "done", "dead")
    assert (report["state"], report["duplicate_of"]) == ("duplicate", first)
    line = weftd.wait_for_line("job duplicate", job)
    assert (line["level"], line["data"]) == ("info", {"duplicate_of": first})
    assert weftd.messages(job) == ["job duplicate"]


def assert_free(redis, weftd):
    """A job with the key is run, and leaves it to the next."""
    for _ in range(2):
        job = redis.enqueue("speak", unique="k")
        assert redis.wait_for_state(job, "done", "duplicate")["state"] == "done"
    assert redis.client.keys(key("default", "unique", "*").replace("{", "[{]").replace("}", "[}]")) == []


def assert_held_until_cancelled(redis, weftd, first):
    assert_duplicate(redis, weftd, redis.enqueue("speak", unique="k"), first)
    weftd.cli("cancel", first)
    redis.wait_for_state(first, "cancelled")
    assert_free(redis, weftd)


def owner(redis):
    return (redis.client.get(LOCK) or "none none").split(" ")


# ---- Where a second one ends ----

def test_the_second_of_two_that_others_enqueue_is_a_duplicate_of_the_first(redis, weftd):
    first = run_sleeper(redis, weftd)
    assert_duplicate(redis, weftd, redis.enqueue("speak", unique="k"), first)
    assert redis.wait_for_state(redis.enqueue("speak", unique="other"), "done")
    assert redis.wait_for_state(redis.enqueue("speak"), "done")
    weftd.cli("cancel", first)
    redis.wait_for_state(first, "cancelled")
    assert_free(redis, weftd)


def test_weft_enqueue_says_whose_duplicate_it_has_enqueued(redis, start_weftd, stop):
    weftd = start_weftd(**stop)
    first = weftd.cli("enqueue", "sleeper", "unique=k", "unique_for=1h").stdout.strip()
    weftd.wait_for_line("asleep", first)
    assert 0 < redis.client.pttl(LOCK) <= 3600 * 1000
    done = weftd.cli("enqueue", "speak", "id=second", "unique=k")
    assert (done.returncode, done.stdout) == (0, "second\n")
    assert done.stderr == f"weft: job {first} has the unique key k, so this one will end as its duplicate\n"
    assert_duplicate(redis, weftd, "second", first)
    done = weftd.cli("enqueue", "speak", "unique=k", "--json")
    assert json.loads(done.stdout)["duplicate_of"] == first
    assert f"duplicate_of: {first}" in " ".join(weftd.cli("status", "second").stdout.split())
    weftd.cli("cancel", first)
    assert_free(redis, weftd)


def test_a_queued_job_has_the_key_before_anybody_fetches_it(redis, start_weftd, stop):
    weftd = start_weftd(**stop)
    weftd.stop()
    first = weftd.cli("enqueue", "speak", "unique=k").stdout.strip()
    seconds = [redis.enqueue("speak", unique="k"), weftd.cli("enqueue", "speak", "unique=k").stdout.strip()]
    weftd.start()
    assert redis.wait_for_state(first, "done", "duplicate")["state"] == "done"
    assert_duplicate(redis, weftd, seconds[1], first)
    redis.wait_for_state(seconds[0], "done", "duplicate")
    assert_free(redis, weftd)


def test_children_of_a_job_are_unique(redis, weftd):
    first, second = redis.wait_for_state(redis.enqueue("twins"), "done")["result"].split()
    assert_duplicate(redis, weftd, second, first)
    redis.client.script_flush()
    first_again, third = redis.wait_for_state(redis.enqueue("twins"), "done")["result"].split()
    assert_duplicate(redis, weftd, first_again, first)
    assert_duplicate(redis, weftd, third, first)


def test_two_jobs_of_one_id_keep_the_report_of_the_first(redis, weftd):
    run_sleeper(redis, weftd, id="same")
    redis.enqueue("speak", unique="k", id="same")
    assert weftd.wait_for_line("job duplicate", "same")["data"] == {"duplicate_of": "same"}
    wait_for(lambda: redis.waiting() == 1, "only the first is there")
    assert redis.report("same").get("state") != "duplicate"
    weftd.cli("cancel", "same")
    assert redis.wait_for_state("same", "cancelled")
    assert_free(redis, weftd)


# ---- When the key is free again ----

def test_a_retry_and_a_delay_keep_the_key_and_cancelling_frees_it(redis, weftd):
    waiting = redis.enqueue("error", unique="k")
    redis.wait_for_state(waiting, "retrying")
    assert owner(redis) == ["delayed", waiting]
    assert_duplicate(redis, weftd, redis.enqueue("speak", unique="k"), waiting)
    weftd.cli("cancel", waiting)
    assert_free(redis, weftd)
    delayed = weftd.cli("enqueue", "speak", "unique=k", "--delay", "1h").stdout.strip()
    redis.wait_for_state(delayed, "delayed")
    assert_duplicate(redis, weftd, redis.enqueue("speak", unique="k"), delayed)
    redis.client.zadd(key("default", "delayed"), {delayed: 1})
    redis.wait_for_state(delayed, "done")
    assert_free(redis, weftd)


def test_a_dead_job_frees_the_key_and_takes_it_again_when_it_is_retried(redis, weftd):
    dead = redis.enqueue("fail", unique="k")
    redis.wait_for_state(dead, "dead")
    assert_free(redis, weftd)
    first = run_sleeper(redis, weftd)
    weftd.cli("dead", "retry", dead)
    assert redis.wait_for_state(dead, "duplicate")["duplicate_of"] == first
    weftd.cli("cancel", first)
    assert_free(redis, weftd)


def test_unique_for_ends_before_the_job_and_the_job_then_frees_nobody_elses(redis, weftd):
    early = run_sleeper(redis, weftd, unique_for="1h")
    redis.client.pexpire(LOCK, 1)
    wait_for(lambda: owner(redis) == ["none", "none"], "the key is free")
    late = run_sleeper(redis, weftd)
    weftd.cli("cancel", early)
    redis.wait_for_state(early, "cancelled")
    assert_duplicate(redis, weftd, redis.enqueue("speak", unique="k"), late)
    weftd.cli("cancel", late)
    assert_free(redis, weftd)


def test_a_job_that_has_had_its_key_is_not_asked_for_it_again(redis, start_weftd, stop):
    weftd = start_weftd(**stop, shutdown_timeout="100ms")
    early = run_sleeper(redis, weftd, unique_for="1h")
    redis.client.delete(LOCK)
    late = run_sleeper(redis, weftd)
    weftd.stop()
    weftd.start()
    for job in early, late:
        wait_for(lambda: len([line for line in weftd.job_lines(job) if line["msg"] == "asleep"]) == 2, "it runs again")
        weftd.cli("cancel", job)
        redis.wait_for_state(job, "cancelled")
    assert_free(redis, weftd)


def test_a_message_that_somebody_deletes_does_not_keep_its_key(redis, start_weftd, stop):
    weftd = start_weftd(**stop)
    weftd.stop()
    gone = weftd.cli("enqueue", "speak", "unique=k").stdout.strip()
    redis.client.xdel(key("default"), gone)
    weftd.start()
    assert_free(redis, weftd)


# ---- Crashes ----

def test_a_killed_worker_gives_its_job_back_with_the_key(redis, weftd):
    first = run_sleeper(redis, weftd)
    worker, = weftd.worker_pids()
    os.kill(worker, signal.SIGKILL)
    weftd.forgive("worker killed by a signal", "worker ended")
    wait_for(lambda: len([line for line in weftd.job_lines(first) if line["msg"] == "asleep"]) == 2, "it runs again")
    assert_held_until_cancelled(redis, weftd, first)


def test_a_reload_keeps_the_key_with_the_job_that_is_returned(redis, start_weftd, stop):
    weftd = start_weftd(**stop, shutdown_timeout="100ms")
    first = run_sleeper(redis, weftd)
    weftd.stop()
    place = owner(redis)
    assert place[1] == first and redis.client.xrange(key("default"), place[0], place[0])
    weftd.start()
    assert_held_until_cancelled(redis, weftd, first)


def test_a_restart_of_redis_keeps_the_key(redis, weftd):
    first = run_sleeper(redis, weftd)
    redis.stop()  # killed, it may lose the last two seconds
    redis.start()
    assert_held_until_cancelled(redis, weftd, first)


def test_a_lock_that_is_none_holds_its_jobs_up_until_it_is_removed(redis, weftd):
    redis.client.rpush(LOCK, "x")
    job = redis.enqueue("speak", unique="k")
    assert redis.wait_for_state(redis.enqueue("speak", unique="other"), "done")
    wait_for(lambda: f"the key {LOCK} holds a list" in json.dumps(weftd.lines()), "the log says why")
    assert redis.report(job) == {}
    redis.client.delete(LOCK)
    redis.wait_for_state(job, "done")
