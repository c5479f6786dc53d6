"""Redis comes late, goes away, wants a password, or is weftd's own."""

import json

from machine import wait_for
from service import configuration, configure

PROBLEM = "Redis does not answer as it should; trying again"


def test_redis_is_stopped_and_started_while_jobs_run(machine):
    jobs = [machine.enqueue("nap", payload=3000) for _ in range(6)]
    for job in jobs:
        wait_for(lambda job=job: "napping" in machine.messages(job), f"job {job} naps")
    since, before = machine.cursor(), (machine.main_pid(), machine.worker_pids())
    machine.run("systemctl", "stop", "redis-server")
    machine.wait_for_words(PROBLEM, since)
    for job in jobs:
        wait_for(lambda job=job: "awake" in machine.messages(job), f"job {job} goes on without Redis")
    machine.run("systemctl", "start", "redis-server")
    assert {machine.wait_for_state(job, "done")["attempt"] for job in jobs} == {"1"}
    assert [machine.messages(job).count("napping") for job in jobs] == [1] * len(jobs)
    assert len(machine.wait_for_words("Redis answers again", since)) == 1
    assert len(machine.said(PROBLEM, since)) == 1
    assert (machine.main_pid(), machine.worker_pids()) == before


def test_weftd_waits_for_a_redis_that_starts_later(machine):
    machine.run("systemctl", "stop", "weftd", "redis-server")
    since = machine.cursor()
    machine.run("systemctl", "start", "--no-block", "weftd")
    machine.wait_for_words(PROBLEM, since)
    pid = machine.main_pid()
    wait_for(lambda: "Redis is unavailable" in machine.property("StatusText"), "the status says what it waits for")
    assert machine.property("ActiveState") == "activating"
    machine.run("systemctl", "start", "redis-server")
    machine.wait_for_state(machine.enqueue("hello", name="Ada"), "done")
    wait_for(lambda: machine.property("ActiveState") == "active", "weftd is ready")
    assert machine.main_pid() == pid, "it has waited, and not been started again"
    assert len(machine.said(PROBLEM, since)) == 1


def test_the_password_is_read_from_a_credential_that_only_root_can_read(machine):
    machine.write("/etc/credstore/weft.redis-password", "open sesame\n", mode=0o600)
    machine.redis("CONFIG", "SET", "requirepass", "open sesame")
    try:
        configure(machine, redis={"password_file": "redis-password"})
        job = machine.run("redis-cli", "-a", "open sesame", "--no-auth-warning", "XADD", "weft:{default}", "*", "type", "hello",
                          "name", "Ada").stdout.strip()
        wait_for(lambda: "job done" in machine.messages(job), "the job runs")
    finally:
        machine.run("redis-cli", "-a", "open sesame", "--no-auth-warning", "CONFIG", "SET", "requirepass", "")
        machine.sh("rm -r /etc/credstore")


def test_a_redis_of_weftds_own_runs_in_the_sandbox(machine):
    settings = json.loads(configuration(redis={"url": "embedded"}))
    machine.write("/etc/weft/own.yaml", json.dumps(settings))
    machine.run("systemctl", "start", "weftd@own")
    socket = "/var/lib/weft/own/weft/redis/redis.sock"
    wait_for(lambda: machine.exists(socket), "Redis listens")
    job = machine.redis("-s", socket, "XADD", "weft:{default}", "*", "type", "hello", "name", "Ada")
    wait_for(lambda: "job done" in machine.messages(job, unit="weftd@own"), "the job runs")
    machine.run("systemctl", "stop", "weftd@own")
    assert machine.property("Result", "weftd@own") == "success"
    assert machine.run("pgrep", "-u", "weft", "redis-server", check=False).stdout == ""
