"""The web server: health, readiness, and metrics that Prometheus reads."""

import contextlib
import http.client
import json
import os
import re
import resource
import shutil
import signal
import socket
from collections import defaultdict

import pytest

from weft import EXAMPLES, PATIENCE, WEFTD, configuration, run, wait_for

LINEAR = {"keys", "scan", "hscan", "zscan", "sscan", "hgetall", "hkeys", "hvals", "smembers", "xpending", "xrevrange", "lrange", "sort"}


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Web:
    def __init__(self, port):
        self.port = port

    def get(self, path, method="GET"):
        """The status, the headers and the text."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        connection.request(method, path)
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        return answer.status, answer.headers, text

    def answers(self):
        try:
            return self.get("/healthz")
        except ConnectionError:
            return None

    def text(self):
        status, _, text = self.get("/metrics")
        assert status == 200
        return text

    def metrics(self):
        """Values by the samples' names and labels, as they are spelled, and sums of them by the names alone."""
        found = defaultdict(float)
        for line in self.text().splitlines():
            if not line.startswith("#"):
                sample, value = line.rsplit(" ", 1)
                found[sample] = float(value)
                if "{" in sample:
                    found[sample.split("{")[0]] += float(value)
        return found

    def wait_for(self, sample, value):
        wait_for(lambda: self.metrics()[sample] == value, f"{sample} is {value}")


def of(family, job_type, queue="default", **more):
    labels = {"queue": queue, "type": job_type} | more
    return family + "{" + ",".join(f'{name}="{value}"' for name, value in labels.items()) + "}"


@pytest.fixture
def web():
    return Web(free_port())


@pytest.fixture
def weftd(start_weftd, probe, web):
    return start_weftd(http={"listen": web.port}, **probe)


def set_http(weftd, port, **settings):
    """Writes another configuration and has it read."""
    weftd.configure(**weftd.settings | settings | {"http": {"listen": port} if port else None})
    weftd.send(signal.SIGHUP)


# ---- Health ----

def test_it_is_healthy_and_ready_once_it_has_started(weftd, web):
    assert [web.get(path)[::2] for path in ("/healthz", "/readyz")] == [(200, "ok\n"), (200, "ready\n")]


def test_without_redis_it_is_healthy_but_not_ready_and_says_why(weftd, redis, web):
    redis.stop()
    wait_for(lambda: web.get("/readyz")[0] == 503, "it is not ready")
    assert web.get("/readyz")[2].startswith("Redis is unavailable: ")
    assert web.get("/healthz")[0] == 200
    web.wait_for("weft_redis_up", 0)
    redis.start()
    wait_for(lambda: web.get("/readyz")[0] == 200, "it is ready again")
    web.wait_for("weft_redis_up", 1)


def test_before_redis_has_answered_it_is_not_ready(start_weftd, tmp_path, web, monkeypatch):
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "nobody"))
    weftd = start_weftd(url=f"unix://{tmp_path}/redis.sock", launch_only=True, http={"listen": web.port})
    wait_for(web.answers, "the web server answers")
    assert web.get("/healthz")[0] == 200
    assert web.get("/readyz")[0] == 503
    assert web.metrics()["weft_redis_up"] == 0
    assert weftd.stop() == 0


def test_while_it_stops_it_is_not_ready(weftd, redis, web):
    job = redis.enqueue("nap", payload="1500")
    wait_for(lambda: web.metrics()[of("weft_jobs_in_flight", "nap")] == 1, "the job runs")
    weftd.send(signal.SIGTERM)
    wait_for(lambda: web.get("/readyz")[0] == 503, "it is not ready")
    assert web.get("/readyz")[2] == "weftd is stopping\n"
    redis.wait_for_state(job, "done")


# ---- What is asked wrongly ----

def test_other_pages_are_not_found_and_other_methods_refused(weftd, web):
    assert web.get("/nothing")[::2] == (404, "weftd has /healthz, /readyz and /metrics\n")
    assert web.get("/metrics", "POST")[0] in (405, 501)
    status, headers, text = web.get("/metrics", "HEAD")
    assert (status, text) == (200, "") and headers["Content-Type"].startswith("text/plain; version=0.0.4")


def test_rubbish_and_silence_cost_nothing(weftd, redis, web):
    silent = socket.create_connection(("127.0.0.1", web.port))
    for rubbish in (b"\0" * 100, b"GET /metrics HTTP/1.1\r\nX: " + b"x" * 100000, b"GET /" + b"a" * 100000 + b" HTTP/1.1\r\n\r\n"):
        with socket.create_connection(("127.0.0.1", web.port)) as connection:
            try:
                connection.sendall(rubbish)
                connection.shutdown(socket.SHUT_WR)
                connection.recv(100)
            except OSError:  # it has hung up already
                pass
    assert web.get("/healthz")[0] == 200
    redis.wait_for_state(redis.enqueue("speak", name="x"), "done")
    silent.close()


def test_more_connections_than_descriptors_keep_no_job_from_running(redis, start_weftd, probe, web):
    weftd = start_weftd(http={"listen": web.port}, **probe)
    resource.prlimit(weftd.process.pid, resource.RLIMIT_NOFILE, (100, 4096))
    crowd = [socket.create_connection(("127.0.0.1", web.port)) for _ in range(150)]
    for _ in range(10):
        redis.wait_for_state(redis.enqueue("speak"), "done")
    os.kill(weftd.worker_pids()[0], signal.SIGKILL)
    weftd.forgive("worker killed by a signal")
    for connection in crowd:
        connection.close()
    redis.wait_for_state(redis.enqueue("speak"), "done")
    wait_for(web.answers, "it answers again")
    assert len(weftd.lines()) < 500, "nobody was flooded with complaints"


# ---- Metrics ----

def test_promtool_has_nothing_to_complain_of(weftd, redis, web):
    for job_type in ("speak", "fail", "fail_once", "unheard.of"):
        redis.enqueue(job_type)
    web.wait_for(of("weft_jobs_total", "fail_once", outcome="done"), 1)
    promtool = shutil.which("promtool")
    if not promtool:
        pytest.skip("there is no promtool here (Debian package prometheus)")
    done = run(promtool, "check", "metrics", input=web.text())
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_attempts_are_counted_by_queue_type_and_outcome(weftd, redis, web):
    for job_type in ("speak", "speak", "fail", "fail_once", "error", "unheard.of"):
        redis.enqueue(job_type)
    web.wait_for(of("weft_jobs_total", "error", outcome="dead"), 1)
    web.wait_for(of("weft_jobs_total", "fail_once", outcome="done"), 1)
    web.wait_for(of("weft_jobs_total", "speak", outcome="done"), 2)
    metrics = web.metrics()
    assert metrics[of("weft_jobs_total", "fail", outcome="dead")] == 1
    assert metrics[of("weft_jobs_total", "(unknown)", outcome="dead")] == 1
    assert metrics[of("weft_job_attempts_total", "fail_once")] == 2
    assert metrics[of("weft_job_retries_total", "fail_once")] == 1
    assert metrics[of("weft_job_attempts_total", "error")] == 3
    assert metrics["weft_job_attempts_total"] == metrics["weft_jobs_total"] - 1, "the unknown one was never tried"
    assert metrics["weft_job_duration_seconds_count"] == metrics["weft_job_attempts_total"]
    assert metrics["weft_job_wait_seconds_count"] == metrics["weft_job_attempts_total"]
    assert metrics["weft_jobs_in_flight"] == 0


def test_the_log_lines_are_counted_by_their_level(weftd, redis, web):
    redis.wait_for_state(redis.enqueue("speak"), "done")
    redis.wait_for_state(redis.enqueue("fail"), "dead")
    levels = ("debug", "info", "warn", "error")
    wait_for(lambda: [web.metrics()[f'weft_log_lines_total{{level="{level}"}}'] for level in levels]
             == [sum(line["level"] == level for line in weftd.lines()) for level in levels], "as many as there are")


def test_durations_and_contexts_are_those_of_the_jobs(weftd, redis, web):
    jobs = [redis.enqueue("nap", payload="400") for _ in range(3)]
    wait_for(lambda: web.metrics()["weft_context_frames"] >= 3 and web.metrics()["weft_tasks"] >= 3, "there is a context for each")
    for job in jobs:
        redis.wait_for_state(job, "done")
    web.wait_for(of("weft_job_duration_seconds_count", "nap"), 3)
    metrics = web.metrics()
    assert metrics[of("weft_job_duration_seconds_bucket", "nap", le="0.25")] == 0
    assert metrics[of("weft_job_duration_seconds_sum", "nap")] >= 1.2
    web.wait_for("weft_context_frames", 0)


def test_queues_are_shown_as_full_as_they_are(redis, start_weftd, probe, web):
    start_weftd(http={"listen": web.port}, concurrency=1, **probe)
    redis.enqueue("fail")
    web.wait_for('weft_queue_dead{queue="default"}', 1)
    redis.enqueue("speak", delay="1h")
    web.wait_for('weft_queue_delayed{queue="default"}', 1)
    nap = redis.enqueue("nap", payload="3500")
    wait_for(lambda: web.metrics()[of("weft_jobs_in_flight", "nap")] == 1, "the job runs")
    redis.enqueue_together([{"type": "speak"}] * 7)
    wait_for(lambda: web.metrics()['weft_queue_ready{queue="default"}'] >= 7 - 1, "the others wait")
    wait_for(lambda: web.metrics()['weft_queue_age_seconds{queue="default"}'] > 1, "and get older")
    redis.wait_for_state(nap, "done")
    web.wait_for('weft_queue_ready{queue="default"}', 0)
    web.wait_for('weft_queue_in_flight{queue="default"}', 0)
    web.wait_for('weft_queue_age_seconds{queue="default"}', 0)
    wait_for(lambda: web.metrics()['weft_job_wait_seconds_sum{queue="default"}'] > 6, "that they waited is seen")


def test_what_redis_is_asked_takes_no_longer_for_long_queues(weftd, redis, web):
    web.wait_for('weft_queue_ready{queue="default"}', 0)
    redis.client.config_resetstat()
    before = web.metrics()["weft_redis_round_trip_seconds_count"]
    wait_for(lambda: web.metrics()["weft_redis_round_trip_seconds_count"] >= before + 2, "it is asked twice more")
    used = {name.removeprefix("cmdstat_") for name in redis.client.info("commandstats")}
    assert {"xlen", "zcard", "xinfo|groups"} <= used
    assert not used & LINEAR


# ---- Ends of workers, and of configurations ----

def test_what_a_crash_leaves_is_counted(redis, start_weftd, walker, web):
    weftd = start_weftd(http={"listen": web.port}, **walker)
    weftd.forgive("worker killed by a signal")
    hold = redis.enqueue("nap", payload="1500")
    wait_for(lambda: web.metrics()[of("weft_jobs_in_flight", "nap")] == 1, "it runs")
    redis.wait_for_state(redis.enqueue("crash_once"), "done")
    redis.wait_for_state(hold, "done")
    wait_for(lambda: web.metrics()[of("weft_jobs_total", "nap", outcome="done")] == 1, "all is counted")
    metrics = web.metrics()
    assert metrics['weft_worker_crashes_total{cause="signal"}'] == 1
    assert metrics[of("weft_jobs_total", "crash_once", outcome="retry")] == 1
    assert metrics[of("weft_jobs_total", "crash_once", outcome="done")] == 1
    assert metrics[of("weft_jobs_total", "nap", outcome="returned")] == 1
    assert metrics["weft_job_attempts_total"] == metrics["weft_jobs_total"] == 4
    assert metrics["weft_jobs_in_flight"] == 0


def test_counts_never_fall_while_workers_come_and_go(weftd, redis, web):
    weftd.forgive("worker killed by a signal")
    highest = defaultdict(float)
    for turn in range(6):
        if turn % 2:
            for pid in weftd.worker_pids():
                with contextlib.suppress(ProcessLookupError):  # one that the last reload has replaced may end by itself
                    os.kill(pid, signal.SIGKILL)
        else:
            weftd.send(signal.SIGHUP)
        jobs = [redis.enqueue("speak") for _ in range(20)]
        for job in jobs:
            redis.wait_for_state(job, "done")
            for sample, value in web.metrics().items():
                if re.search(r"(_total|_count|_bucket|_sum)\b", sample):
                    assert value >= highest[sample], sample
                    highest[sample] = value
    wait_for(lambda: web.metrics()[of("weft_jobs_total", "speak", outcome="done")] >= 120, "each was counted")


def test_a_reload_moves_it_to_another_port(weftd, web):
    other = Web(free_port())
    set_http(weftd, other.port)
    wait_for(other.answers, "it answers there")
    wait_for(lambda: not web.answers(), "and not here")
    assert other.get("/readyz")[0] == 200


def test_a_reload_that_ends_it_ends_its_connections_too(weftd, redis, web):
    idle = [http.client.HTTPConnection("127.0.0.1", web.port, timeout=PATIENCE) for _ in range(5)]
    for connection in idle:
        connection.request("GET", "/metrics", headers={"Connection": "keep-alive"})
        connection.getresponse().read()
    unread = http.client.HTTPConnection("127.0.0.1", web.port, timeout=PATIENCE)
    unread.request("GET", "/metrics")
    set_http(weftd, None)
    weftd.wait_for_line("weftd reloaded")
    wait_for(lambda: not web.answers(), "nobody answers")
    assert [connection.sock.recv(1) for connection in idle] == [b""] * 5
    redis.wait_for_state(redis.enqueue("speak"), "done")


def test_a_reload_with_another_configuration_keeps_it_answering_and_the_counts(weftd, redis, web):
    redis.wait_for_state(redis.enqueue("speak"), "done")
    set_http(weftd, f"127.0.0.1:{web.port}", jobs={"other": {"chain": ["speak"]}}, queues=[{"name": "web"}, {"name": "default"}])
    while not weftd.find("weftd reloaded"):
        assert web.get("/healthz")[0] == 200
    redis.wait_for_state(redis.enqueue("other", queue="web"), "done", queue="web")
    web.wait_for(of("weft_jobs_total", "other", queue="web", outcome="done"), 1)
    assert web.metrics()[of("weft_jobs_total", "speak", outcome="done")] == 1


def test_a_reload_to_an_address_that_is_taken_is_refused(weftd, web):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        set_http(weftd, taken.getsockname()[1])
        line = weftd.wait_for_line("the new configuration is refused and the old one stays")
    assert "Address already in use" in line["data"]["error"]
    assert web.get("/readyz")[0] == 200


def test_a_start_at_an_address_that_is_taken_is_refused(redis, tmp_path):
    path = tmp_path / "taken.yaml"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        path.write_text(configuration(redis={"url": redis.url}, plugins=[str(EXAMPLES)], http={"listen": port}))
        done = run(WEFTD, "-c", path)
    assert done.returncode == 73
    assert f'"http.listen" ({port}) cannot be listened on: Address already in use' in json.loads(done.stderr.splitlines()[0])["msg"]


def test_duplicates_are_counted(redis, weftd, web):
    assert weftd.cli("enqueue", "speak", "unique=k", "--delay", "1h").returncode == 0
    assert redis.wait_for_state(redis.enqueue("speak", unique="k"), "duplicate")
    web.wait_for(of("weft_jobs_total", "speak", outcome="duplicate"), 1)


def test_nothing_listens_unless_it_is_asked_for(start_weftd):
    weftd = start_weftd()
    listening = {line.split()[9] for line in open("/proc/net/tcp").readlines()[1:] if line.split()[3] == "0A"}
    for pid in weftd.pids():
        held = {os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")}
        assert not {f"socket:[{inode}]" for inode in listening} & held


def test_workers_do_not_hold_its_sockets(weftd, web):
    inode, = [line.split()[9] for line in open("/proc/net/tcp").readlines()[1:]
              if line.split()[3] == "0A" and line.split()[1].endswith(f":{web.port:04X}")]
    for pid in weftd.worker_pids():
        assert f"socket:[{inode}]" not in {os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")}
