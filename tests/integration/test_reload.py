"""SIGHUP: a new configuration and new plugin code, while jobs keep flowing."""

import signal
import time

from weft import wait_for

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
    assert refusal(weftd, redis={"url": f"unix://{tmp_path}/nobody.sock"}) == "its Redis does not answer"
    assert pids_that_start_jobs(redis, weftd)


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
