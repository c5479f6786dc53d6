"""The service under systemd: what dies is started again, what is stopped stops in order, and no job is lost."""

import json

from machine import wait_for
from service import configuration, configure


def start_naps(machine, count=8, milliseconds=2500):
    """Enqueues jobs that sleep, and waits until all of them do."""
    jobs = [machine.enqueue("nap", payload=milliseconds) for _ in range(count)]
    for job in jobs:
        wait_for(lambda job=job: "napping" in machine.messages(job), f"job {job} naps")
    return jobs


def assert_all_done(machine, jobs):
    reports = [machine.wait_for_state(job, "done") for job in jobs]
    assert {report["attempt"] for report in reports} == {"1"}, "nobody was charged"


def assert_takes_jobs(machine):
    machine.wait_for_state(machine.enqueue("hello", name="Ada"), "done")


# ---- A job, and what is known of it ----

def test_a_job_is_enqueued_with_weft_and_read_back(machine):
    job = machine.run("weft", "enqueue", "hello", "name=Grace").stdout.strip()
    machine.wait_for_state(job, "done")
    wait_for(lambda: "job done" in machine.messages(job), "the journal has the whole job")
    assert machine.messages(job) == ["job started", "Hello, Grace!", "job done"]
    assert json.loads(machine.run("weft", "status", job, "--json").stdout)["state"] == "done"


def test_the_status_has_live_figures(machine):
    start_naps(machine, count=3, milliseconds=4000)
    wait_for(lambda: machine.property("StatusText").startswith("2 workers, 3 jobs in flight, "), "the status counts the jobs")
    assert machine.property("StatusText").endswith("Redis answers")


# ---- Reloading ----

def test_a_reload_fails_where_the_configuration_is_refused(machine):
    good = configuration()
    machine.write("/etc/weft/weftd.yaml", configuration(workers=0))
    failed = machine.run("systemctl", "reload", "weftd", check=False)
    assert failed.returncode != 0
    wait_for(lambda: "The last reload was refused: /etc/weft/weftd.yaml:" in machine.property("StatusText"), "the status says so")
    assert machine.property("ActiveState") == "active"
    assert_takes_jobs(machine)
    machine.write("/etc/weft/weftd.yaml", good)
    machine.run("systemctl", "reload", "weftd")
    wait_for(lambda: "refused" not in machine.property("StatusText"), "the status is good again")
    assert_takes_jobs(machine)


# ---- What dies ----

def test_a_killed_supervisor_is_started_again_and_its_jobs_run(machine):
    jobs = start_naps(machine)
    before, restarts = machine.main_pid(), int(machine.property("NRestarts"))
    machine.run("kill", "-KILL", before)
    wait_for(lambda: machine.main_pid() not in (0, before), "systemd starts weftd again")
    assert int(machine.property("NRestarts")) == restarts + 1
    assert_all_done(machine, jobs)


def test_a_killed_worker_is_started_again_and_its_jobs_run(machine):
    jobs = start_naps(machine)
    supervisor, workers = machine.main_pid(), machine.worker_pids()
    machine.run("kill", "-KILL", workers[0])
    assert_all_done(machine, jobs)
    wait_for(lambda: len(machine.worker_pids()) == 2 and workers[0] not in machine.worker_pids(), "there is another one")
    assert machine.main_pid() == supervisor


def test_a_stopped_worker_is_noticed_and_its_jobs_run_elsewhere(machine):
    jobs = start_naps(machine)
    supervisor, workers = machine.main_pid(), machine.worker_pids()
    machine.run("kill", "-STOP", workers[0])
    assert_all_done(machine, jobs)
    wait_for(lambda: workers[0] not in machine.worker_pids(), "the stopped worker is replaced")
    assert machine.main_pid() == supervisor, "that took no restart of the service"


def test_a_stopped_supervisor_is_ended_by_the_watchdog_and_its_jobs_run(machine):
    machine.follow_drop_in("[Service]\nWatchdogSec=2s\nTimeoutAbortSec=1s\n")
    machine.run("systemctl", "restart", "weftd")
    jobs, before, since = start_naps(machine), machine.main_pid(), machine.cursor()
    machine.run("kill", "-STOP", before)
    wait_for(lambda: machine.main_pid() not in (0, before), "systemd starts weftd again")
    machine.wait_for_words("Watchdog timeout", since)
    assert_all_done(machine, jobs)
    machine.follow_drop_in(None)


def test_a_broken_configuration_is_said_once_and_not_tried_again(machine):
    since = machine.cursor()
    machine.write("/etc/weft/weftd.yaml", "workers: many\n")
    assert machine.run("systemctl", "restart", "weftd", check=False).returncode != 0
    wait_for(lambda: machine.property("ActiveState") == "failed", "systemd gives up")
    assert machine.property("ExecMainStatus") == "78"
    assert len(machine.said("/etc/weft/weftd.yaml:1:10: ", since)) == 1


# ---- Stopping ----

def test_a_stop_lets_jobs_in_flight_finish(machine):
    jobs = start_naps(machine)
    machine.run("systemctl", "stop", "weftd")
    assert {machine.report(job)["state"] for job in jobs} == {"done"}
    assert machine.property("Result") == "success"


def test_a_stop_gives_back_what_takes_too_long(machine):
    configure(machine, shutdown_timeout="1s")
    jobs = start_naps(machine, milliseconds=6000)
    machine.run("systemctl", "stop", "weftd")
    assert machine.property("Result") == "success"
    assert [machine.messages(job)[-1] for job in jobs] == ["job returned to its queue"] * len(jobs)
    machine.run("systemctl", "start", "weftd")
    assert_all_done(machine, jobs)


def test_delayed_jobs_and_interrupted_ones_run_after_a_reboot(machine):
    delayed = [machine.enqueue("hello", name="Ada", delay="5s") for _ in range(5)]
    interrupted = start_naps(machine, count=4, milliseconds=11000)
    boot = machine.sh("cat /proc/sys/kernel/random/boot_id").stdout
    machine.reboot()
    assert machine.sh("cat /proc/sys/kernel/random/boot_id").stdout != boot
    wait_for(lambda: machine.property("ActiveState") == "active", "weftd is started by the boot")
    assert_all_done(machine, delayed + interrupted)


# ---- Reloading ----

def test_a_reload_takes_up_a_changed_configuration_while_jobs_run(machine):
    jobs, since, before = start_naps(machine), machine.cursor(), machine.main_pid()
    changed = json.loads(configuration(workers=1))
    changed["jobs"]["greeting"] = {"chain": ["hello"]}
    machine.write("/etc/weft/weftd.yaml", json.dumps(changed))
    machine.run("systemctl", "reload", "weftd")
    machine.wait_for_words("weftd reloaded", since)
    machine.wait_for_state(machine.enqueue("greeting", name="Ada"), "done")
    assert_all_done(machine, jobs)
    wait_for(lambda: len(machine.worker_pids()) == 1, "one worker is left")
    assert machine.main_pid() == before


def test_a_reload_refuses_a_broken_configuration_and_the_old_one_goes_on(machine):
    since, before = machine.cursor(), (machine.main_pid(), machine.worker_pids())
    machine.write("/etc/weft/weftd.yaml", "workers: many\n")
    machine.run("systemctl", "reload", "weftd", check=False)
    machine.wait_for_words("the new configuration is refused and the old one stays", since)
    assert machine.property("ActiveState") == "active"
    assert (machine.main_pid(), machine.worker_pids()) == before
    assert_takes_jobs(machine)


# ---- The web server ----

def page(machine, path):
    """The text of a page of weftd's, or why there is none."""
    script = f"import urllib.request; print(urllib.request.urlopen('http://127.0.0.1:7788{path}', timeout=60).read().decode(), end='')"
    done = machine.run("python3", "-c", script, check=False)
    return done.stdout or done.stderr


def test_a_socket_of_systemds_starts_the_service_and_outlives_it(machine):
    machine.run("systemctl", "stop", "weftd")
    machine.run("systemctl", "start", "weftd.socket")
    assert page(machine, "/healthz") == "ok\n"
    wait_for(lambda: page(machine, "/readyz") == "ready\n", "weftd is ready")
    before = machine.main_pid()
    machine.run("kill", "-KILL", before)
    assert page(machine, "/healthz") == "ok\n", "who asks meanwhile waits"
    assert machine.main_pid() != before
    machine.run("systemctl", "reload", "weftd")
    wait_for(lambda: page(machine, "/readyz") == "ready\n", "weftd is ready")
    machine.sh("systemctl stop weftd.socket weftd.service; systemctl start weftd")


def test_a_socket_of_systemds_and_the_same_address_in_the_configuration_are_one(machine):
    machine.run("systemctl", "stop", "weftd")
    machine.run("systemctl", "start", "weftd.socket")
    configure(machine, http={"listen": "127.0.0.1:7788"})
    wait_for(lambda: page(machine, "/readyz") == "ready\n", "weftd is ready")
    machine.sh("systemctl stop weftd.socket weftd.service; systemctl start weftd")
    assert "weft_redis_up 1" in page(machine, "/metrics"), "and now it is weftd's own"


# ---- Instances ----

def test_instances_have_their_own_configuration_state_and_log(machine):
    queue = {"queues": [{"name": "web"}]}
    machine.write("/etc/weft/web.yaml", configuration(workers=1, **queue))
    machine.run("systemctl", "start", "weftd@web")
    job = machine.enqueue("touch", "web", payload="mark")
    machine.wait_for_state(job, "done", queue="web")
    assert machine.exists("/var/lib/weft/web/mark"), "it runs in a folder of its own"
    wait_for(lambda: machine.messages(job, unit="weftd@web"), "its log is its own")
    assert machine.messages(job) == []
    machine.run("systemctl", "stop", "weftd@web")
    assert machine.property("Result", "weftd@web") == "success"
    assert machine.property("ActiveState") == "active", "the other one is not concerned"
    assert_takes_jobs(machine)
