"""SIGHUP: a new configuration and new plugin code, while jobs keep flowing."""

import http.client
import os
import signal
import socket
import subprocess
import time

import pytest

from weft import PATIENCE, WEFTD, Redis, run, wait_for

GREETER = """
    #include <weft/weft.h>

    static int greet(struct weft_job *job) {{ (void)job; weft_info("{words}"); return 0; }}

    WEFT_PLUGIN("greeter", WEFT_HANDLER("greet", greet));
"""


def reload(weftd, outcome="weftd reloaded", **settings):
    """Changes the configuration, sends the signal, and waits for what comes of it."""
    before = len(weftd.find(outcome))
    weftd.settings |= settings
    weftd.configure(**weftd.settings)
    weftd.send(signal.SIGHUP)
    wait_for(lambda: len(weftd.find(outcome)) > before, outcome)
    return weftd.find(outcome)[-1]


def refusal(weftd, **settings):
    return reload(weftd, "the new configuration is refused and the old one stays", **settings)["data"]["error"]


def pids_that_start_jobs(redis, weftd, count=40):
    jobs = redis.enqueue_together([{"type": "nap", "payload": "20"}] * count)
    for job in jobs:
        redis.wait_for_state(job, "done")
    return {line["pid"] for line in weftd.find("napping") if line["job_id"] in jobs}


def test_a_reload_replaces_every_worker(redis, start_weftd, probe):
    weftd = start_weftd(**probe, workers=2, concurrency=10)
    before = pids_that_start_jobs(redis, weftd)
    reload(weftd)
    after = pids_that_start_jobs(redis, weftd)
    assert len(before) == len(after) == 2
    assert before & after == set()


def test_a_reload_brings_new_job_types(redis, start_weftd, probe):
    weftd = start_weftd(**probe)
    reload(weftd, jobs=probe["jobs"] | {"shout": {"chain": ["speak"]}})
    job = redis.enqueue("shout", payload="HELLO")
    redis.wait_for_state(job, "done")
    assert "HELLO" in weftd.messages(job)


def test_a_reload_brings_new_plugin_code(redis, start_weftd, compile_plugin):
    plugin = compile_plugin("greeter", GREETER.format(words="good morning"))
    weftd = start_weftd(plugins=[str(plugin)], jobs={"greet": {"chain": ["greet"]}})
    morning = redis.enqueue("greet")
    redis.wait_for_state(morning, "done")
    compile_plugin("greeter", GREETER.format(words="good evening"))
    reload(weftd)
    evening = redis.enqueue("greet")
    redis.wait_for_state(evening, "done")
    assert "good morning" in weftd.messages(morning)
    assert "good evening" in weftd.messages(evening)


def test_a_reload_is_over_when_no_old_worker_takes_jobs(redis, start_weftd, probe):
    weftd = start_weftd(**probe)
    reload(weftd, log=weftd.settings["log"] | {"level": "debug"})
    (old,) = weftd.worker_pids()
    os.kill(old, signal.SIGSTOP)
    weftd.send(signal.SIGHUP)
    weftd.wait_for_line(f"worker 1 (process {old}) is to end")
    time.sleep(0.5)
    assert len(weftd.find("weftd reloaded")) == 1, "it has not read yet that it is to end"
    os.kill(old, signal.SIGCONT)
    wait_for(lambda: len(weftd.find("weftd reloaded")) == 2, "weftd has reloaded")


def test_a_reload_changes_the_number_of_workers(redis, start_weftd, probe):
    weftd = start_weftd(**probe, workers=1, concurrency=10)
    for workers in (3, 2):
        reload(weftd, workers=workers)
        wait_for(lambda: len(weftd.worker_pids()) == workers, f"{workers} workers are left")


def test_a_reload_changes_queues_and_log(redis, start_weftd, probe, tmp_path):
    weftd = start_weftd(**probe)
    other = tmp_path / "other.log"
    reload(weftd, queues=[{"name": "default"}, {"name": "fresh"}])
    job = redis.enqueue("speak", "fresh", payload="from the new queue")
    redis.wait_for_state(job, "done", queue="fresh")
    weftd.settings["log"] = weftd.settings["log"] | {"output": [str(weftd.log), str(other)]}
    reload(weftd)
    job = redis.enqueue("speak", payload="to both")
    redis.wait_for_state(job, "done")
    assert "to both" in weftd.messages(job)
    assert "to both" in other.read_text()


def test_jobs_keep_flowing_and_long_ones_finish_during_reloads(redis, start_weftd, probe):
    weftd = start_weftd(**probe, workers=2, concurrency=50)
    long_jobs = redis.enqueue_together([{"type": "nap", "payload": "4000"}] * 20)
    for job in long_jobs:
        weftd.wait_for_line("napping", job)
    jobs = []
    for _ in range(3):
        jobs += redis.enqueue_together([{"type": "nap", "payload": "5"}] * 200)
        reload(weftd)
    for job in jobs + long_jobs:
        assert redis.wait_for_state(job, "done")["attempt"] == "1"
    assert len(weftd.find("napping")) == len(jobs) + len(long_jobs), "none ran twice"


def test_a_broken_configuration_is_refused_and_the_old_one_stays(redis, start_weftd, probe):
    weftd = start_weftd(**probe)
    before = pids_that_start_jobs(redis, weftd)
    weftd.config.write_text("workers: many\n")
    weftd.send(signal.SIGHUP)
    line = weftd.wait_for_line("the new configuration is refused and the old one stays")
    assert line["data"]["error"].startswith(f"{weftd.config}:1:10: ")
    assert pids_that_start_jobs(redis, weftd) == before


def test_a_missing_handler_is_refused(redis, start_weftd, probe):
    weftd = start_weftd(**probe)
    error = refusal(weftd, jobs=probe["jobs"] | {"shout": {"chain": ["scream"]}})
    assert 'no plugin has a handler "scream"' in error
    assert pids_that_start_jobs(redis, weftd)


def test_a_plugin_that_crashes_when_it_is_loaded_is_refused(redis, start_weftd, probe, compile_plugin):
    weftd = start_weftd(**probe)
    plugin = compile_plugin("bomb", """
        #include <stdlib.h>
        #include <weft/weft.h>

        __attribute__((constructor)) static void explode(void) { abort(); }
        static int work(struct weft_job *job) { (void)job; return 0; }

        WEFT_PLUGIN("bomb", WEFT_HANDLER("work", work));
    """)
    error = refusal(weftd, plugins=[*probe["plugins"], str(plugin)])
    assert "ended in signal ABRT" in error
    assert pids_that_start_jobs(redis, weftd)


def test_a_plugin_that_cannot_start_is_refused(redis, start_weftd, probe, compile_plugin):
    weftd = start_weftd(**probe)
    plugin = compile_plugin("sick", """
        #include <errno.h>
        #include <weft/weft.h>

        static int start(void) { return -EACCES; }
        static int work(struct weft_job *job) { (void)job; return 0; }

        WEFT_PLUGIN_WITH_HOOKS("sick", start, NULL, WEFT_HANDLER("work", work));
    """)
    assert refusal(weftd, plugins=[*probe["plugins"], str(plugin)]) == "its first worker ended before it was ready"
    assert weftd.find('the plugin "sick" could not start: Permission denied')
    assert pids_that_start_jobs(redis, weftd)
    weftd.forgive("worker ended")


def test_a_redis_that_is_not_there_is_refused(redis, start_weftd, probe, tmp_path):
    weftd = start_weftd(**probe)
    error = refusal(weftd, redis={"url": f"unix://{tmp_path}/nobody.sock"})
    assert error.startswith("its Redis does not answer: ") and "nobody.sock" in error
    assert pids_that_start_jobs(redis, weftd)


# ---- What is refused leaves nothing but the message ----

def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def page(port, path):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    connection.request("GET", path)
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer.status, text


@pytest.fixture
def observed(redis, start_weftd, probe):
    port = free_port()
    weftd = start_weftd(**probe, http={"listen": f"127.0.0.1:{port}"})
    weftd.port = port
    return weftd


def assert_ready(weftd, port):
    assert page(port, "/readyz") == (200, "ready\n")
    assert "\nweft_redis_up 1\n" in page(port, "/metrics")[1]
    assert weftd.find("Redis does not answer as it should; trying again") == []


def test_a_redis_that_is_refused_says_nothing_of_the_one_in_use(redis, observed, tmp_path):
    elsewhere, other = tmp_path / "elsewhere.log", free_port()
    log = observed.settings["log"]
    refusal(observed, redis={"url": f"unix://{tmp_path}/nobody.sock"}, http={"listen": f"127.0.0.1:{other}"},
            log=log | {"output": str(elsewhere)})
    assert_ready(observed, observed.port)
    assert not elsewhere.exists()
    with pytest.raises(ConnectionRefusedError):
        page(other, "/readyz")
    assert pids_that_start_jobs(redis, observed)
    reload(observed, redis={"url": redis.url}, http={"listen": f"127.0.0.1:{observed.port}"}, log=log)
    assert_ready(observed, observed.port)


@pytest.mark.parametrize("what", ["log", "port"])
def test_what_cannot_be_opened_is_refused_once_redis_has_answered(redis, observed, what):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        wrong = {"port": {"http": {"listen": f"127.0.0.1:{port}"}},
                 "log": {"log": observed.settings["log"] | {"output": "/nowhere/at/all.log"}}}[what]
        assert {"port": "Address already in use", "log": "No such file"}[what] in refusal(observed, **wrong)
    assert_ready(observed, observed.port)
    assert pids_that_start_jobs(redis, observed)


def test_a_worker_that_is_refused_is_not_started_again(redis, observed, probe, compile_plugin):
    plugin = compile_plugin("sick", """
        #include <errno.h>
        #include <weft/weft.h>

        static int start(void) { return -EACCES; }
        static int work(struct weft_job *job) { (void)job; return 0; }

        WEFT_PLUGIN_WITH_HOOKS("sick", start, NULL, WEFT_HANDLER("work", work));
    """)
    refusal(observed, plugins=[*probe["plugins"], str(plugin)])
    assert_ready(observed, observed.port)
    assert pids_that_start_jobs(redis, observed)
    assert observed.find("a worker will be started again") == []
    observed.forgive("worker ended")


@pytest.fixture
def other_redis(tmp_path):
    (tmp_path / "other").mkdir()
    server = Redis(tmp_path / "other").start()
    yield server
    server.stop()


def test_a_reload_away_from_a_dead_redis_is_ready_again(other_redis, redis, observed):
    redis.kill()
    wait_for(lambda: page(observed.port, "/readyz")[0] == 503, "the dead Redis is noticed")
    reload(observed, redis={"url": other_redis.url})
    wait_for(lambda: page(observed.port, "/readyz") == (200, "ready\n"), "the other Redis is what counts")
    assert "\nweft_redis_up 1\n" in page(observed.port, "/metrics")[1]


# ---- The outcome, for `systemctl reload` ----

@pytest.fixture
def unit(redis, start_weftd, probe, tmp_path, monkeypatch):
    """A weftd with a runtime folder, as a unit would give it, and what ExecReload= runs."""
    (tmp_path / "run").mkdir()
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(tmp_path / "run"))
    weftd = start_weftd(**probe, workers=2)
    weftd.ask_to_reload = lambda: run(WEFTD, "--reload", env=os.environ | {"MAINPID": str(weftd.process.pid)})
    return weftd


def test_whoever_asks_for_a_reload_learns_what_came_of_it(unit):
    for _ in range(2):
        begun = len(unit.find("weftd reloaded"))
        asked = unit.ask_to_reload()
        assert (asked.returncode, asked.stdout, asked.stderr) == (0, "", "")
        assert len(unit.find("weftd reloaded")) == begun + 1, "it is over by then"
        unit.config.write_text("workers: many\n")
        asked = unit.ask_to_reload()
        assert asked.returncode == 78
        assert asked.stderr.startswith(f"weftd: the new configuration is refused and the old one stays: {unit.config}:1:10: ")
        assert asked.stderr.count("\n") == 1
        unit.configure(**unit.settings)


def test_a_reload_that_a_stop_cuts_short_is_none(unit):
    unit.settings["redis"] = {"url": f"unix://{unit.folder}/nobody.sock"}
    unit.configure(**unit.settings)
    asked = subprocess.Popen([WEFTD, "--reload"], env=os.environ | {"MAINPID": str(unit.process.pid)},
                             stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    unit.wait_for_line("weftd reloading")
    assert unit.stop() == 0
    _, said = asked.communicate(timeout=PATIENCE)
    assert asked.returncode != 0
    assert "weftd stops" in said or "has ended" in said


def test_outside_a_unit_it_says_what_to_do_instead(tmp_path):
    plain = {name: value for name, value in os.environ.items() if name not in ("MAINPID", "RUNTIME_DIRECTORY")}
    asked = run(WEFTD, "--reload", env=plain)
    assert asked.returncode == 64
    assert "send weftd SIGHUP" in asked.stderr


def test_an_embedded_redis_needs_a_restart(redis, start_weftd, probe, tmp_path):
    weftd = start_weftd(**probe)
    error = refusal(weftd, redis={"url": "embedded", "dir": str(tmp_path / "data")})
    assert error == '"redis.url" changes to or from an embedded Redis, which needs a restart of weftd'


def test_signals_that_come_thick_and_fast_end_in_the_last_configuration(redis, start_weftd, probe):
    weftd = start_weftd(**probe, workers=2)
    for number in range(10):
        weftd.configure(**weftd.settings, concurrency=number + 1)
        weftd.send(signal.SIGHUP)
        time.sleep(0.05)
    weftd.configure(**weftd.settings, concurrency=77)
    begun = len(weftd.find("weftd reloading"))
    weftd.send(signal.SIGHUP)
    wait_for(lambda: len(weftd.find("weftd reloaded")) > begun, "a reload that began after the last signal is over")
    assert pids_that_start_jobs(redis, weftd)


def test_a_stop_in_the_middle_of_a_reload_is_clean(redis, start_weftd, probe):
    weftd = start_weftd(**probe, workers=2)
    weftd.send(signal.SIGHUP)
    weftd.wait_for_line("weftd reloading")
    assert weftd.stop() == 0
