"""`redis: {url: embedded}`: weftd supervises a Redis of its own."""

import os
import shutil
import stat

from weft import connect, run


def embedded(tmp_path):
    return {"url": "embedded", "dir": str(tmp_path / "state")}


def enqueue(tmp_path, job_type, **fields):
    return connect(tmp_path / "state" / "redis.sock").xadd("weft:{default}", {"type": job_type, **fields})


def test_jobs_run_on_the_embedded_redis(start_weftd, probe, tmp_path):
    weftd = start_weftd("embedded", **probe, redis=embedded(tmp_path))
    done = run("redis-cli", "-s", tmp_path / "state" / "redis.sock", "XADD", "weft:{default}", "*", "type", "speak",
               "payload", "hello")
    weftd.wait_for_line("job done", done.stdout.strip())


def test_the_embedded_redis_stops_with_weftd_and_keeps_its_jobs(start_weftd, probe, tmp_path):
    weftd = start_weftd("embedded", **probe, redis=embedded(tmp_path), shutdown_timeout="100ms")
    job = enqueue(tmp_path, "nap", payload="2000")
    weftd.wait_for_line("napping", job)
    assert weftd.stop() == 0
    assert not (tmp_path / "state" / "redis.sock").exists()
    weftd.start()
    weftd.wait_for_line("awake", job)


def test_the_embedded_redis_is_private_and_appends_to_a_file(start_weftd, probe, tmp_path):
    start_weftd("embedded", **probe, redis=embedded(tmp_path))
    client = connect(tmp_path / "state" / "redis.sock")
    assert client.config_get("port") == {"port": "0"}
    assert client.config_get("appendonly") == {"appendonly": "yes"}
    assert stat.S_IMODE((tmp_path / "state" / "redis.sock").stat().st_mode) & 0o077 == 0


def test_an_embedded_redis_is_waited_for_as_long_as_it_reads_its_data(start_weftd, probe, tmp_path, monkeypatch):
    slow = tmp_path / "bin" / "redis-server"
    slow.parent.mkdir()
    slow.write_text(f'#!/bin/sh\nsleep 7\nexec {shutil.which("redis-server")} "$@"\n')
    slow.chmod(0o755)
    monkeypatch.setenv("PATH", f"{slow.parent}:{os.environ['PATH']}")
    weftd = start_weftd("embedded", **probe, redis=embedded(tmp_path))
    weftd.forgive("Redis does not answer as it should; trying again")
    weftd.wait_for_line("job done", enqueue(tmp_path, "speak", payload="hello"))
