"""A job's way from XADD to its report and its log, and weftd's own from start to stop."""

import re
import signal

from weft import PATIENCE, WEFTD, Weftd, run, wait_for

TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"


def test_a_job_from_redis_cli_is_run_reported_and_gone_from_the_stream(redis, start_weftd, probe):
    start_weftd(**probe)
    job = redis.cli("XADD", "weft:{default}", "*", "type", "speak", "payload", "hello", "request_id", "req-A")
    report = redis.wait_for_state(job, "done")
    assert report["type"] == "speak"
    assert report["attempt"] == "1"
    assert report["node"] == "testnode"
    times = [report["enqueued_at"], report["started_at"], report["finished_at"]]
    assert times == sorted(times) and all(re.fullmatch(TIME, time) for time in times)
    assert int(report["duration_us"]) >= 0
    assert "error" not in report
    assert redis.waiting() == 0
    assert redis.dead_letters() == []


def test_the_report_of_a_done_job_expires(redis, start_weftd, probe):
    start_weftd(**probe, keep={"done": "1h"})
    job = redis.enqueue("speak", payload="hello")
    redis.wait_for_state(job, "done")
    assert 0 < redis.client.ttl(f"weft:{{default}}:job:{job}") <= 3600


def test_result_and_progress_are_in_the_report(redis, start_weftd, probe):
    start_weftd(**probe)
    report = redis.wait_for_state(redis.enqueue("report"), "done")
    assert report["result"] == '{"answer":42}'
    assert report["progress"] == "2 of 3"


def test_lifecycle_lines_stand_under_the_job(redis, start_weftd, probe):
    weftd = start_weftd(**probe)
    job = redis.enqueue("speak", payload="hello", tenant="acme")
    redis.wait_for_state(job, "done")
    started, spoken, done = weftd.job_lines(job)
    assert [started["msg"], spoken["msg"], done["msg"]] == ["job started", "hello", "job done"]
    assert done["data"]["duration_ms"] >= 0
    for line in (started, spoken, done):
        assert (line["type"], line["queue"], line["attempt"], line["node"]) == ("speak", "default", 1, "testnode")
        assert line["ctx"] == {"tenant": "acme"}
        assert "root_id" not in line and "task" not in line
    assert spoken["handler"] == "speak"


def test_json_keys_come_in_the_promised_order(redis, start_weftd, probe):
    weftd = start_weftd(**probe)
    parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    job = redis.enqueue("speak", payload="hello", tenant="acme", traceparent=parent, root="root-1")
    redis.wait_for_state(job, "done")
    done = weftd.find("job done", job)[0]
    assert list(done) == ["ts", "level", "msg", "job_id", "type", "queue", "attempt", "root_id", "trace_id", "span_id",
                          "node", "pid", "ctx", "data"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", done["ts"])
    assert (done["root_id"], done["trace_id"]) == ("root-1", "4bf92f3577b34da6a3ce929d0e0e4736")
    assert re.fullmatch("[0-9a-f]{16}", done["span_id"]) and done["span_id"] != "00f067aa0ba902b7"


def test_outside_any_job_no_line_has_a_job_id(redis, start_weftd, probe):
    weftd = start_weftd(**probe)
    job = redis.enqueue("speak", payload="hello")
    redis.wait_for_state(job, "done")
    weftd.stop()
    own = [line for line in weftd.lines() if "job_id" not in line]
    assert own[-1]["msg"] == "weftd stopped"
    assert "weftd ready" in [line["msg"] for line in own]
    assert {name for line in own for name in ("type", "attempt", "handler", "ctx") if name in line} == set()
    assert weftd.messages(job) == ["job started", "hello", "job done"]


def test_values_cannot_forge_a_line(redis, start_weftd, probe):
    weftd = start_weftd(**probe)
    forged = 'first\n{"ts":"2026-01-01T00:00:00.000000Z","level":"info","msg":"job done","job_id":"other"}\x1b[31m"'
    job = redis.enqueue("speak", payload=forged, tenant=forged)
    redis.wait_for_state(job, "done")
    assert weftd.messages(job) == ["job started", forged, "job done"]
    assert weftd.job_lines(job)[0]["ctx"] == {"tenant": forged}
    assert weftd.job_lines("other") == []


def test_several_outputs_get_the_same_lines(redis, start_weftd, probe, tmp_path):
    other = tmp_path / "other.log"
    log = tmp_path / "weftd-0" / "weftd.log"
    weftd = start_weftd(**probe, log={"level": "debug", "format": "json", "output": [str(log), str(other), "stderr"]})
    job = redis.enqueue("speak", payload="hello")
    redis.wait_for_state(job, "done")
    assert weftd.stop() == 0
    assert other.read_text().splitlines() == log.read_text().splitlines() == weftd.printed()


def test_text_is_one_line_a_message_whatever_the_message_holds(redis, probe, tmp_path):
    log = tmp_path / "weftd.log"
    weftd = Weftd(tmp_path, redis.url, **probe, log={"format": "text", "output": str(log)}).start()
    job = redis.enqueue("speak", payload="first\nsecond \x1b[31mred")
    redis.wait_for_state(job, "done")
    assert weftd.stop() == 0
    lines = [line for line in log.read_text().splitlines() if job in line]
    assert len(lines) == 3
    assert r"first\nsecond \x1b[31mred" in lines[1]
    assert "\x1b" not in log.read_text()


def test_a_failed_attempt_is_retried_and_says_so(redis, start_weftd, probe):
    weftd = start_weftd(**probe)
    job = redis.enqueue("fail_once")
    report = redis.wait_for_state(job, "done")
    assert report["attempt"] == "2"
    assert weftd.messages(job) == ["job started", "job failed", "retry scheduled", "job started", "job done"]
    assert [line["attempt"] for line in weftd.job_lines(job)] == [1, 1, 1, 2, 2]
    assert weftd.find("retry scheduled", job)[0]["data"]["in_ms"] == 10
    assert weftd.find("job failed", job)[0]["data"]["error"] == "fail_once: Input/output error"


def test_a_handler_chooses_the_delay_of_its_retry(redis, start_weftd, probe):
    weftd = start_weftd(**probe)
    job = redis.enqueue("retry_once")
    redis.wait_for_state(job, "done")
    assert weftd.find("job failed", job)[0]["data"]["error"] == "the other side is busy"
    assert weftd.find("retry scheduled", job)[0]["data"]["in_ms"] == 30


def test_after_the_last_attempt_a_job_is_a_dead_letter(redis, start_weftd, probe):
    weftd = start_weftd(**probe)
    job = redis.enqueue("error", attempts="2", tenant="acme", payload="p")
    report = redis.wait_for_state(job, "dead")
    assert (report["attempt"], report["error"]) == ("2", "error: Input/output error")
    assert weftd.messages(job) == ["job started", "job failed", "retry scheduled",
                                   "job started", "job failed", "job dead"]
    letter, = redis.dead_letters()
    assert (letter["weft.id"], letter["weft.error"]) == (job, "error: Input/output error")
    assert (letter["weft.attempts"], letter["weft.node"]) == ("2", "testnode")
    assert (letter["type"], letter["tenant"], letter["payload"], letter["attempts"]) == ("error", "acme", "p", "2")
    assert re.fullmatch(TIME, letter["weft.failed_at"])
    assert redis.waiting() == 0


def test_a_final_failure_is_not_retried(redis, start_weftd, probe):
    weftd = start_weftd(**probe)
    job = redis.enqueue("fail", payload="the card was refused")
    report = redis.wait_for_state(job, "dead")
    assert (report["attempt"], report["error"]) == ("1", "the card was refused")
    assert weftd.messages(job) == ["job started", "job failed", "job dead"]
    assert redis.dead_letters()[0]["weft.error"] == "the card was refused"


def test_a_job_that_takes_too_long_is_interrupted(redis, start_weftd, probe):
    weftd = start_weftd(**probe)
    job = redis.enqueue("nap", payload="3600000", timeout="50ms", attempts="1")
    report = redis.wait_for_state(job, "dead")
    assert "50 ms" in report["error"]
    assert "awake" not in weftd.messages(job)


def test_a_delayed_job_waits_outside_the_stream(redis, start_weftd, probe):
    weftd = start_weftd(**probe)
    late = redis.enqueue("speak", payload="late", delay="1h")
    soon = redis.enqueue("speak", payload="soon", delay="100ms")
    redis.wait_for_state(late, "delayed")
    redis.wait_for_state(soon, "done")
    assert redis.client.zcard("weft:{default}:delayed") == 1
    assert redis.waiting() == 0
    assert weftd.messages(soon) == ["job started", "soon", "job done"]
    assert weftd.messages(late) == []


def begin_to_stop(redis, weftd):
    """Sends SIGTERM, and waits until the worker has obeyed it."""
    wait_for(redis.has_reader, "the worker reads")
    weftd.send(signal.SIGTERM)
    wait_for(lambda: not redis.has_reader(), "the worker reads no more")


def test_sigterm_finishes_what_runs_and_takes_nothing_more(redis, start_weftd, probe):
    weftd = start_weftd(**probe)
    running = redis.enqueue("nap", payload="1000")
    weftd.wait_for_line("napping", running)
    begin_to_stop(redis, weftd)
    later = redis.enqueue("nap", payload="1")
    assert weftd.process.wait(PATIENCE) == 0
    assert redis.report(running)["state"] == "done"
    assert redis.report(later) == {}
    assert redis.waiting() == 1
    stopped = weftd.find("weftd stopped")[0]["data"]
    assert (stopped["jobs_done"], stopped["jobs_failed"]) == (1, 0)


def test_what_does_not_end_in_time_is_sent_back_without_a_charge(redis, start_weftd, probe):
    weftd = start_weftd(**probe, shutdown_timeout="100ms")
    job = redis.enqueue("nap", payload="3600000")
    weftd.wait_for_line("napping", job)
    assert weftd.stop() == 0
    assert redis.waiting() == 1
    assert redis.dead_letters() == []
    weftd.start()
    wait_for(lambda: len(weftd.find("napping", job)) == 2, "the job runs again")
    assert [line["attempt"] for line in weftd.find("napping", job)] == [1, 1]


def test_a_second_sigterm_stops_at_once(redis, start_weftd, probe):
    weftd = start_weftd(**probe, shutdown_timeout="1h")
    job = redis.enqueue("nap", payload="3600000")
    weftd.wait_for_line("napping", job)
    begin_to_stop(redis, weftd)
    assert weftd.stop(signal.SIGINT) == 0
    assert redis.waiting() == 1


def test_two_stop_signals_right_after_each_other_stop_at_once(redis, start_weftd, probe):
    weftd = start_weftd(**probe, shutdown_timeout="1h")
    job = redis.enqueue("nap", payload="3600000")
    weftd.wait_for_line("napping", job)
    weftd.send(signal.SIGTERM)
    assert weftd.stop(signal.SIGINT) == 0
    assert weftd.find("job returned to its queue", job)
    assert not weftd.find("killing workers that do not end")


def test_jobs_of_one_worker_run_beside_each_other(redis, start_weftd, probe):
    weftd = start_weftd(**probe, concurrency=10)
    for job in redis.enqueue_together([{"type": "nap", "payload": "500"}] * 10):
        redis.wait_for_state(job, "done")
    messages = [line["msg"] for line in weftd.lines() if line["msg"] in ("napping", "awake")]
    assert messages == ["napping"] * 10 + ["awake"] * 10


def test_several_workers_share_the_jobs_of_several_queues(redis, start_weftd, probe):
    weftd = start_weftd(**probe, workers=2, queues=[{"name": "critical", "weight": 5}, {"name": "bulk"}])
    jobs = [(queue, redis.enqueue("nap", queue, payload="20")) for _ in range(50) for queue in ("critical", "bulk")]
    for queue, job in jobs:
        redis.wait_for_state(job, "done", queue=queue)
    assert weftd.stop() == 0
    assert len(weftd.find("job done")) == 100
    assert weftd.find("weftd stopped")[0]["data"]["jobs_done"] == 100


def test_version_is_printed():
    done = run(WEFTD, "--version")
    assert (done.returncode, done.stderr) == (0, "")
    assert re.fullmatch(r"weftd \d+\.\d+\.\d+\n", done.stdout)


def test_check_says_that_a_good_configuration_is_good(tmp_path):
    weftd = Weftd(tmp_path, "redis://127.0.0.1:1")
    done = run(WEFTD, "-c", weftd.config, "--check")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{weftd.config}: ok\n", "")


def test_wrong_usage_exits_64():
    for words in (["--nonsense"], ["-c"], ["surplus"]):
        done = run(WEFTD, *words)
        assert (done.returncode, done.stdout) == (64, "")
        assert "Usage: weftd " in done.stderr


def test_without_redis_weftd_exits_69_and_says_where_it_looked(tmp_path):
    weftd = Weftd(tmp_path, f"unix://{tmp_path}/nobody.sock", log={"format": "json", "output": "stderr"})
    done = run(WEFTD, "-c", weftd.config)
    assert done.returncode == 69
    assert f"{tmp_path}/nobody.sock" in done.stderr


def test_a_log_output_that_is_full_is_told_of_on_the_others(redis, start_weftd):
    weftd = start_weftd(log={"level": "info", "format": "json", "output": ["/dev/full", "weftd.log"]})
    job = redis.enqueue("hello", name="Ada")
    redis.wait_for_state(job, "done")
    wait_for(lambda: len([line for line in weftd.lines() if line["msg"].startswith("log output")]) == 2,
             "supervisor and worker have told")
    assert {line["msg"] for line in weftd.lines() if line["msg"].startswith("log output")} == {
        "log output /dev/full cannot be written: No space left on device; its lines are kept and tried again"}
    assert [line["msg"] for line in weftd.job_lines(job) if line["level"] == "info"] == ["job started", "Hello, Ada!", "job done"]


def test_jobs_of_a_worker_that_a_handler_ended_are_run_again(redis, compile_plugin, tmp_path):
    plugin = compile_plugin("leaver", """
        #include <stdio.h>
        #include <unistd.h>
        #include <weft/weft.h>

        static int leave(struct weft_job *job)
        {
            const char *marker = weft_get("marker");

            if (access(marker, F_OK) == 0)
                return weft_result(job, "stayed");
            fclose(fopen(marker, "w"));
            _exit(0);
        }

        static int nap(struct weft_job *job)
        {
            (void)job;
            return weft_sleep_ms(1000);
        }

        WEFT_PLUGIN("leaver", WEFT_HANDLER("leave", leave), WEFT_HANDLER("nap", nap));
    """)
    weftd = Weftd(tmp_path, redis.url, plugins=[str(plugin)],
                  jobs={"leave": {"chain": ["leave"]}, "nap": {"chain": ["nap"]}}).start()
    naps = [redis.enqueue("nap", id=f"nap-{i}") for i in range(5)]
    leaver = redis.enqueue("leave", id="leaver", marker=str(tmp_path / "marker"))
    for job in [*naps, leaver]:
        redis.wait_for_state(job, "done")
    assert weftd.stop() == 0
    assert redis.report(leaver)["result"] == "stayed"
    assert [line["data"]["exit_status"] for line in weftd.find("worker ended")] == [0]


def test_a_plugin_that_cannot_start_ends_weftd(redis, start_weftd, compile_plugin, tmp_path):
    plugin = compile_plugin("sick", """
        #include <weft/weft.h>

        static int start(void) { return -EACCES; }
        static int work(struct weft_job *job) { (void)job; return 0; }

        WEFT_PLUGIN_WITH_HOOKS("sick", start, NULL, WEFT_HANDLER("work", work));
    """)
    weftd = Weftd(tmp_path, redis.url, plugins=[str(plugin)], jobs={"work": {"chain": ["work"]}})
    weftd.launch()
    assert weftd.process.wait(PATIENCE) == 78
    assert weftd.find('the plugin "sick" could not start: Permission denied')
