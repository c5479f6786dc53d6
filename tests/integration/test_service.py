"""What weftd tells a service manager, over the socket that one would give it."""

import os
import signal
import socket
import time

import pytest

from weft import PATIENCE, wait_for

PLUGIN = """
#include <stdlib.h>
#include <weft/weft.h>

static int look(struct weft_job *job)
{
    (void)job;
    weft_info("notify: %s, watchdog: %s", getenv("NOTIFY_SOCKET") ? "yes" : "no", getenv("WATCHDOG_USEC") ? "yes" : "no");
    return 0;
}

static int nap(struct weft_job *job)
{
    (void)job;
    return weft_sleep_ms(2500);
}

WEFT_PLUGIN("service", WEFT_HANDLER("look", look), WEFT_HANDLER("nap", nap));
"""


class Manager:
    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(path))
        self.socket.setblocking(False)
        self.heard = []

    def listen(self):
        while True:
            try:
                self.heard.append(self.socket.recv(4096).decode())
            except BlockingIOError:
                return self.heard

    def lines(self):
        return [line for message in self.listen() for line in message.splitlines()]

    def wait_for(self, beginning, times=1):
        wait_for(lambda: sum(line.startswith(beginning) for line in self.lines()) >= times, f"{beginning} is told")
        return [line for line in self.lines() if line.startswith(beginning)]


@pytest.fixture
def manager(tmp_path, monkeypatch):
    manager = Manager(tmp_path / "notify.sock")
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify.sock"))
    yield manager
    manager.socket.close()


@pytest.fixture
def settings(compile_plugin):
    return {"plugins": [str(compile_plugin("service", PLUGIN))],
            "jobs": {name: {"chain": [name]} for name in ("look", "nap")}, "workers": 2}


def test_weftd_is_ready_when_its_workers_are_and_says_how_it_does(redis, manager, start_weftd, settings):
    weftd = start_weftd(**settings)
    manager.wait_for("READY=1")
    job = redis.enqueue("nap")
    weftd.wait_for_line("job started", job)
    manager.wait_for("STATUS=2 workers, 1 jobs in flight, ")
    redis.wait_for_state(job, "done")
    assert all(line.endswith("Redis answers") for line in manager.lines() if line.startswith("STATUS=2 workers"))
    assert manager.lines().count("READY=1") == 1


def test_weftd_waits_for_a_redis_that_starts_later_and_says_so(tmp_path, manager, start_weftd, settings, redis):
    redis.stop()
    weftd = start_weftd(launch_only=True, **settings)
    manager.wait_for("STATUS=Waiting to start. Redis is unavailable: ")
    # Longer than it would wait without a service manager.
    manager.wait_for("EXTEND_TIMEOUT_USEC=", times=8)
    assert weftd.process.poll() is None
    assert "READY=1" not in manager.lines()
    assert len([line for line in weftd.lines() if "Redis" in line["msg"] and line["level"] != "debug"]) == 1
    redis.start()
    manager.wait_for("READY=1")


def test_a_redis_that_goes_away_is_in_the_status_until_it_is_back(redis, manager, start_weftd, settings):
    start_weftd(**settings)
    manager.wait_for("READY=1")
    redis.stop()
    status, *_ = manager.wait_for("STATUS=2 workers, 0 jobs in flight, 0 done a second. Redis is unavailable: ")
    assert status.isprintable()
    before = len(manager.lines())
    redis.start()
    wait_for(lambda: any(line.endswith("Redis answers") for line in manager.lines()[before:]), "the status is good again")


def test_a_reload_begins_and_ends(redis, manager, start_weftd, settings):
    weftd = start_weftd(**settings)
    manager.wait_for("READY=1")
    weftd.send(signal.SIGHUP)
    manager.wait_for("RELOADING=1")
    stamp, = manager.wait_for("MONOTONIC_USEC=")
    assert abs(int(stamp.split("=")[1]) / 1e6 - time.monotonic()) < PATIENCE
    manager.wait_for("READY=1", times=2)
    told = [line for line in manager.lines() if line in ("READY=1", "RELOADING=1")]
    assert told == ["READY=1", "RELOADING=1", "READY=1"]


def test_a_refused_reload_is_in_the_status_until_the_next_good_one(redis, manager, start_weftd, settings):
    weftd = start_weftd(**settings)
    manager.wait_for("READY=1")
    good = weftd.config.read_text()
    weftd.config.write_text("workers: many\n")
    weftd.send(signal.SIGHUP)
    manager.wait_for("STATUS=2 workers, 0 jobs in flight, 0 done a second. Redis answers. The last reload was refused: "
                     f"{weftd.config}:1:10: ")
    before = len(manager.lines())
    weftd.config.write_text(good)
    weftd.send(signal.SIGHUP)
    weftd.wait_for_line("weftd reloaded")
    wait_for(lambda: any(line.startswith("STATUS=2 workers") and line.endswith("Redis answers")
                         for line in manager.lines()[before:]), "the status is good again")


def test_stopping_is_told_and_more_time_is_asked_for_while_jobs_run(redis, manager, start_weftd, settings):
    weftd = start_weftd(**settings)
    job = redis.enqueue("nap")
    weftd.wait_for_line("job started", job)
    assert weftd.stop() == 0
    assert "STOPPING=1" in manager.lines()
    after = manager.lines()[manager.lines().index("STOPPING=1"):]
    assert "STATUS=Stopping, 1 jobs in flight to be finished or given back" in after
    assert sum(line.startswith("EXTEND_TIMEOUT_USEC=") for line in after) >= 2
    assert redis.report(job)["state"] == "done"


def test_the_watchdog_is_fed_while_all_workers_turn(redis, manager, start_weftd, settings, monkeypatch):
    monkeypatch.setenv("WATCHDOG_USEC", "1000000")
    start_weftd(**settings)
    manager.wait_for("WATCHDOG=1", times=5)


def test_what_jobs_run_has_nothing_to_tell(redis, manager, start_weftd, settings, monkeypatch):
    monkeypatch.setenv("WATCHDOG_USEC", "1000000")
    weftd = start_weftd(**settings)
    job = redis.enqueue("look")
    weftd.wait_for_line("notify: no, watchdog: no", job)


def test_without_a_service_manager_nothing_is_told(redis, start_weftd, settings):
    assert "NOTIFY_SOCKET" not in os.environ
    weftd = start_weftd(**settings)
    assert weftd.stop() == 0
