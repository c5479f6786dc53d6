"""Redis restarts, stalls, refuses or loses everything: weftd finishes what runs, settles it later, loses nothing that Redis
kept, runs nothing twice, says once what is wrong and once that it is over, and never exits."""

import os
import signal
import time

import pytest
from redis.exceptions import ResponseError

from proxy import Proxy
from weft import key, wait_for

PROBLEM = "Redis does not answer as it should; trying again"
CHANGED = "Redis still does not answer as it should"
OVER = "Redis answers again"


@pytest.fixture
def proxy(redis, tmp_path):
    proxy = Proxy(tmp_path / "p.sock", redis.socket).start()
    yield proxy
    proxy.stop()


@pytest.fixture
def weftd(proxy, start_weftd, walker):
    return start_weftd(proxy.url, **walker, workers=2, node="web1")


def disconnect_all(redis):
    redis.client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")


def lock(redis):
    redis.client.config_set("requirepass", "secret")
    disconnect_all(redis)


def load_slowly(redis):
    """A Redis that is restarted and takes a while over its data."""
    redis.client.mset({f"ballast:{i}": "x" * 1000 for i in range(300)})
    redis.client.bgrewriteaof()
    wait_for(lambda: redis.client.info("persistence")["aof_rewrite_in_progress"] == 0 and
             redis.client.info("persistence")["aof_rewrite_scheduled"] == 0, "the data are in one file")
    redis.stop()
    options = redis.options
    redis.options = ["--key-load-delay", "10000", "--loading-process-events-interval-bytes", "1024"]
    redis.launch()
    redis.options = options


# What breaks Redis, what mends it, and words of what weftd says meanwhile.
def kill(redis):
    redis.client.config_set("appendfsync", "always")  # has it write what it has answered, which may otherwise be lost
    redis.kill()


TROUBLES = {
    "stopped": (lambda redis: redis.stop(), lambda redis: redis.start(), ""),
    "killed": (kill, lambda redis: redis.start(), ""),
    "loading": (load_slowly, lambda redis: wait_for(redis.answers, "Redis has loaded"), "LOADING"),
    "read_only": (lambda redis: redis.client.replicaof("127.0.0.1", "1"),
                  lambda redis: redis.client.replicaof("NO", "ONE"), "READONLY"),
    "without_replicas": (lambda redis: redis.client.config_set("min-replicas-to-write", 1),
                         lambda redis: redis.client.config_set("min-replicas-to-write", 0), "NOREPLICAS"),
    "locked": (lock, lambda redis: redis.client.config_set("requirepass", ""), "NOAUTH"),
}


def begin_job(redis, weftd, job="running"):
    """A job that runs until finish_jobs()."""
    redis.enqueue("hold", id=job)
    wait_for(lambda: weftd.history("start")[job], f"{job} runs")
    return job


def finish_jobs(weftd):
    (weftd.folder / "go").touch()


def assert_all_is_well(redis, weftd, *jobs):
    """The jobs have ended, and another one does; each ran once, and nothing is left."""
    for job in (*jobs, redis.enqueue("plain", id="last")):
        redis.wait_for_state(job, "done")
    assert weftd.history("start") == {job: 1 for job in (*jobs, "last")}
    assert redis.waiting() == 0
    assert weftd.running()


def problems(weftd):
    """What weftd has said about Redis."""
    return [line["data"]["error"] for line in weftd.lines() if line["msg"] in (PROBLEM, CHANGED)]


def assert_said_once(weftd, words=""):
    """One line when the trouble begins, one for each time that it changes, and one for its end, all by the supervisor."""
    weftd.wait_for_line(OVER)
    said = [line for line in weftd.lines() if line["msg"] in (PROBLEM, CHANGED, OVER)]
    assert [line["msg"] for line in said] == [PROBLEM, *[CHANGED] * (len(said) - 2), OVER]
    assert len(problems(weftd)) == len(set(problems(weftd)))
    assert {line["pid"] for line in said} == {weftd.process.pid}
    assert words in " ".join(problems(weftd))


@pytest.mark.parametrize("trouble", TROUBLES)
def test_what_runs_ends_while_redis_is_in_trouble_and_is_settled_later(redis, weftd, trouble):
    damage, mend, words = TROUBLES[trouble]
    job = begin_job(redis, weftd)
    damage(redis)
    finish_jobs(weftd)
    weftd.wait_for_line("job done", job)
    wait_for(lambda: problems(weftd) and words in " ".join(problems(weftd)), f"weftd says {words or 'what is wrong'}")
    mend(redis)
    assert_all_is_well(redis, weftd, job)
    assert_said_once(weftd, words)


def test_a_full_redis_takes_no_new_jobs_and_those_that_it_has_end(redis, weftd):
    """Each of weft's scripts begins with what a full Redis still does, so that it does not stop half-way."""
    jobs = [begin_job(redis, weftd), redis.enqueue("plain", delay="300ms"), redis.enqueue("retry_once")]
    redis.wait_for_state(jobs[1], "delayed")
    redis.client.config_set("maxmemory", 1)
    with pytest.raises(ResponseError, match="used memory"):
        redis.enqueue("plain")
    disconnect_all(redis)
    finish_jobs(weftd)
    for job in jobs:
        redis.wait_for_state(job, "done")
    redis.client.config_set("maxmemory", 0)
    assert weftd.history("start") == {jobs[0]: 1, jobs[1]: 1, jobs[2]: 2}


FULL = "Redis has no memory left (maxmemory): it takes no new jobs; those that it has are run"


def test_a_full_redis_that_weftd_has_never_seen_drains(redis, start_weftd, walker):
    """Jobs that are done, tried again, delayed, dead, refused, and whose worker dies, while Redis refuses each XADD."""
    jobs = {name: redis.enqueue(name, id=name) for name in ("plain", "result", "retry_once", "fail", "nobody", "crash_once", "hold")}
    redis.enqueue("plain", id="later", delay="500ms")
    redis.client.config_set("maxmemory", 1)
    with pytest.raises(ResponseError, match="used memory"):
        redis.client.xgroup_create("weft:{default}", "weft", "0")
    weftd = start_weftd(**walker, workers=2)
    weftd.forgive("worker killed by a signal", "worker ended")
    weftd.wait_for_line(FULL)
    for job in ("plain", "result", "retry_once", "crash_once", "later"):
        assert redis.wait_for_state(job, "done")["state"] == "done"
    for job in ("fail", "nobody"):
        redis.wait_for_state(job, "dead")
    finish_jobs(weftd)
    redis.wait_for_state("hold", "done")
    assert {letter["weft.id"] for letter in redis.dead_letters()} == {"fail", "nobody"}
    wait_for(lambda: redis.waiting() == 0, "nothing is left in the queue")
    redis.client.config_set("maxmemory", 0)
    weftd.wait_for_line("Redis has memory again and takes new jobs")
    assert set(jobs) <= set(weftd.history("start")) | {"nobody"}


def test_what_a_killed_worker_held_comes_back_in_a_full_redis(redis, start_weftd, walker):
    weftd = start_weftd(**walker, workers=1)
    weftd.forgive("worker killed by a signal")
    job = begin_job(redis, weftd)
    redis.client.config_set("maxmemory", 1)
    weftd.wait_for_line(FULL)
    before, = weftd.worker_pids()
    os.kill(before, signal.SIGKILL)
    wait_for(lambda: weftd.history("start")[job] == 2, "it runs again")
    finish_jobs(weftd)
    redis.wait_for_state(job, "done")
    redis.client.config_set("maxmemory", 0)


def test_jobs_of_a_full_redis_are_seen_cancelled_and_revived(redis, start_weftd, walker):
    weftd = start_weftd(**walker, workers=1, lease="2s")
    for job in ("one", "two"):
        redis.enqueue("fail", id=job)
        redis.wait_for_state(job, "dead")
    redis.enqueue("plain", id="later", delay="1h")
    redis.enqueue("plain", id="never", delay="1h")
    redis.wait_for_state("never", "delayed")
    running = begin_job(redis, weftd)
    redis.client.config_set("maxmemory", 1)
    weftd.wait_for_line(FULL)

    refused = weftd.cli("enqueue", "plain")
    assert (refused.returncode, refused.stdout) == (69, "")
    assert refused.stderr == (f"weft: Redis at {redis.socket} takes no new jobs: its memory is full (maxmemory); those that "
                              "it has are run, which makes room\n")
    said = weftd.cli("cancel", "never")
    assert (said.returncode, said.stderr) == (0, "")
    assert redis.report("never")["state"] == "cancelled"
    said = weftd.cli("ps", "--json")
    assert (said.returncode, said.stderr) == (0, "")
    assert f'"id":"{running}"' in said.stdout.replace('": "', '":"')
    revived = weftd.cli("dead", "retry", "one")
    assert (revived.returncode, revived.stderr) == (0, "")
    wait_for(lambda: weftd.history("start")["one"] == 2, "it is run again")
    redis.wait_for_state("one", "dead")
    deleted = weftd.cli("dead", "delete", "two")
    assert (deleted.returncode, deleted.stderr) == (0, "")
    alive = redis.client.zrange("weft:workers", 0, -1, withscores=True)
    assert alive
    wait_for(lambda: all(redis.client.zscore("weft:workers", name) > seen for name, seen in alive), "leases are renewed")
    assert weftd.cli("cancel", running).returncode == 0
    redis.wait_for_state(running, "cancelled")
    assert weftd.history("start")[running] == 1
    assert {letter["weft.id"] for letter in redis.dead_letters()} == {"one"}
    assert redis.client.zrange(key("default", "delayed"), 0, -1) == ["later"]
    redis.client.config_set("maxmemory", 0)


def test_connections_that_redis_ends_are_made_anew(redis, weftd):
    job = begin_job(redis, weftd)
    disconnect_all(redis)
    assert_said_once(weftd, "has ended the connection")
    finish_jobs(weftd)
    assert_all_is_well(redis, weftd, job)


@pytest.mark.long
def test_connections_that_are_cut_again_and_again_cost_no_job(redis, weftd, proxy):
    jobs = [begin_job(redis, weftd)]
    for i in range(20):
        jobs += redis.enqueue_together([{"type": "plain", "id": f"job-{i}-{j}"} for j in range(10)])
        proxy.cut()
    finish_jobs(weftd)
    assert_all_is_well(redis, weftd, *jobs)


@pytest.mark.long
@pytest.mark.parametrize("name", ["", "delayed", "bodies", "dead", "done", "failed"])
def test_a_key_of_the_wrong_type_holds_up_only_its_own_queue(redis, proxy, start_weftd, walker, name):
    weftd = start_weftd(proxy.url, **walker, workers=2, queues=[{"name": "good"}, {"name": "bad"}])
    broken = ":".join(filter(None, ["weft:{bad}", name]))
    types = {"plain": 1, "fail": 1, "retry_once": 2}
    redis.client.delete(broken)
    if name:
        redis.client.set(broken, "not what weft has put there")
        jobs = [redis.enqueue(job_type, "bad", id=f"bad-{job_type}") for job_type in types]
    else:
        redis.client.lpush(broken, "not what weft has put there")
        jobs = [f"bad-{job_type}" for job_type in types]
    wait_for(lambda: problems(weftd), "weftd says what is wrong")
    for i in range(30):
        redis.wait_for_state(redis.enqueue("plain", "good", id=f"good-{i}"), "done", queue="good")
    redis.client.delete(broken)
    if not name:
        for job_type in types:
            redis.enqueue(job_type, "bad", id=f"bad-{job_type}")
    for job in jobs:
        redis.wait_for_state(job, "dead" if job == "bad-fail" else "done", queue="bad")
    weftd.wait_for_line(OVER)
    assert_said_once(weftd, "bad")
    assert [letter["weft.id"] for letter in redis.dead_letters("bad")] == ["bad-fail"]
    assert weftd.history("start") == {f"good-{i}": 1 for i in range(30)} | {f"bad-{name}": types[name] for name in types}
    wait_for(lambda: redis.waiting("bad") == 0, "nothing is left")


def test_an_outcome_that_redis_has_not_taken_at_the_end_leaves_its_job_to_the_next_start(redis, start_weftd, walker):
    weftd = start_weftd(**walker, shutdown_timeout="1s")
    redis.client.set("weft:{default}:job:j", "not a report")
    redis.enqueue("plain", id="j")
    weftd.wait_for_line("job done", "j")
    weftd.wait_for_line(PROBLEM)
    assert problems(weftd) == [
        f"Redis at {redis.socket} did not take the outcome of job j: the key weft:{{default}}:job:j holds a string, not "
        "a hash, and has to be removed; it is tried again each second"]
    assert weftd.stop() == 0
    [line] = weftd.find("giving up on outcomes that Redis has not taken; their jobs will be run again")
    assert line["data"] == {"jobs": 1}
    assert redis.waiting() == 1
    redis.client.delete("weft:{default}:job:j")
    start_weftd(**walker)
    assert redis.wait_for_state("j", "done")["attempt"] == "1"


def test_a_flushed_redis_is_healed(redis, weftd):
    redis.wait_for_state(redis.enqueue("plain", id="before"), "done")
    redis.client.flushall()
    redis.wait_for_state(redis.enqueue("plain", id="after"), "done")
    assert redis.client.xinfo_groups("weft:{default}")[0]["name"] == "weft"


def test_a_job_whose_entry_was_flushed_while_it_ran_ends_quietly(redis, weftd):
    job = begin_job(redis, weftd)
    redis.client.flushall()
    finish_jobs(weftd)
    weftd.wait_for_line("job done", job)
    redis.wait_for_state(redis.enqueue("plain"), "done")
    assert redis.report(job) == {}


def test_scripts_that_redis_forgot_are_loaded_anew(redis, weftd):
    redis.wait_for_state(redis.enqueue("plain", id="before"), "done")
    redis.client.script_flush()
    redis.wait_for_state(redis.enqueue("plain", id="after"), "done")
    redis.wait_for_state(redis.enqueue("plain", id="later", delay="10ms"), "done")
    assert problems(weftd) == []


def test_a_pause_is_waited_out_without_a_word(redis, weftd):
    job = begin_job(redis, weftd)
    redis.client.client_pause(3000)
    finish_jobs(weftd)
    weftd.wait_for_line("job done", job)
    assert_all_is_well(redis, weftd, job)
    assert weftd.find(PROBLEM) == []


def test_a_short_stall_is_waited_out_without_a_word(redis, weftd, proxy):
    job = begin_job(redis, weftd)
    proxy.hold()
    finish_jobs(weftd)
    weftd.wait_for_line("job done", job)
    time.sleep(3)
    assert redis.report(job).get("state") != "done"
    proxy.go_on()
    assert_all_is_well(redis, weftd, job)
    assert weftd.find(PROBLEM) == []


def test_a_long_stall_is_noticed(redis, weftd, proxy):
    job = begin_job(redis, weftd)
    proxy.hold()
    finish_jobs(weftd)
    weftd.wait_for_line("job done", job)
    weftd.wait_for_line(PROBLEM)
    proxy.go_on()
    assert_all_is_well(redis, weftd, job)
    assert_said_once(weftd, "does not answer")


def test_bytes_may_come_one_by_one(redis, weftd, proxy):
    proxy.drip(0)
    jobs = redis.enqueue_together([{"type": "plain", "id": f"job-{i}"} for i in range(20)])
    assert_all_is_well(redis, weftd, *jobs)


def cut_replies(proxy, name, job_of_reply):
    """Cuts the first reply to a command named `name` that concerns each job, at the byte that the job's ID ends in."""
    cut = set()

    def after(command, reply):
        job = job_of_reply(command, reply) if command.name == name else None
        if job is None or job in cut:
            return None
        cut.add(job)
        return min(int(job.rpartition("-")[2]), len(reply) - 1)

    proxy.after = after
    return cut


def job_in(data):
    found = [job for job in (f"job-{i}" for i in range(200)) if job.encode() + b"\r" in data + b"\r"]
    return found[0] if found else None


def test_a_reply_with_jobs_that_is_cut_at_any_byte_loses_none(redis, weftd, proxy):
    cut = cut_replies(proxy, "XREADGROUP", lambda command, reply: job_in(reply))
    jobs = [f"job-{i}" for i in range(0, 130, 9)]
    for job in jobs:
        redis.enqueue("plain", id=job)
        redis.wait_for_state(job, "done")
    assert cut == set(jobs)
    assert_all_is_well(redis, weftd, *jobs)


def test_a_reply_to_a_settlement_that_is_cut_at_any_byte_settles_once(redis, weftd, proxy):
    redis.wait_for_state(redis.enqueue("plain", id="first"), "done")  # from now on Redis knows the script
    cut = cut_replies(proxy, "EVALSHA", lambda command, reply: settled_job(command))
    jobs = [f"job-{i}" for i in range(4)]
    for job in jobs:
        redis.enqueue("plain", id=job)
        wait_for(lambda: job in cut, "the reply is cut")
        redis.wait_for_state(job, "done")
    assert_all_is_well(redis, weftd, "first", *jobs)
    ended = redis.client.lrange("weft:{default}:done", 0, -1)
    assert sorted(ended) == sorted(["first", *jobs, "last"])


def settled_job(command):
    """The job that a settlement is about, whose ID is one of the strings in its next to last argument."""
    return next((f"job-{i}" for i in range(4) if f"job-{i}".encode() in command.words[-2]), None)
