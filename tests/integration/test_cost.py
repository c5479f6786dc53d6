"""What weft costs Redis: next to nothing while it idles, however many queues there are, and never a long moment at once."""

import os
import signal
import socket
import time

import pytest

from weft import Weftd, key, wait_for

QUEUES = [f"q{number}" for number in range(200)]
SECONDS = 5

# A worker and its supervisor, with the web on, send, and make scripts run, at most 100 commands a second. What they do only
# now and then may fall into the few seconds that are counted.
COMMANDS_MAX = 120

HELD = 60
LARGE = "x" * 300_000  # each fills a slice of a give-back


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def count_commands(redis):
    return redis.client.info("stats")["total_commands_processed"]


@pytest.mark.alone
def test_idle_node_with_many_queues_asks_redis_for_little(start_weftd, redis, walker):
    start_weftd(queues=[{"name": name} for name in QUEUES], http={"listen": free_port()}, **walker)
    time.sleep(3)  # what a start costs is over
    before, began = count_commands(redis), time.monotonic()
    time.sleep(SECONDS)
    rate = (count_commands(redis) - before) / (time.monotonic() - began)
    print(f"{rate:.0f} commands a second with {len(QUEUES)} queues")
    assert rate <= COMMANDS_MAX
    # It is still there for each of them.
    for name in (QUEUES[0], QUEUES[-1]):
        redis.enqueue("plain", queue=name, id="now")
        redis.enqueue("plain", queue=name, id="later", delay="300ms")
        redis.wait_for_state("now", "done", queue=name)
        redis.wait_for_state("later", "done", queue=name)


def pending(redis):
    return redis.client.xpending(key("default"), "weft")["pending"]


def kill_all(weftd):
    for pid in weftd.pids():
        os.kill(pid, signal.SIGKILL)
    weftd.process.wait()


def test_node_that_is_killed_while_it_gives_jobs_back_loses_none(tmp_path, redis, walker):
    folder = tmp_path / "node"
    folder.mkdir()
    weftd = Weftd(folder, redis.url, concurrency=100, lease="1h", **walker).start()
    try:
        give_back_while_dying(weftd, redis)
        assert weftd.stop() == 0
    finally:
        if weftd.running():
            kill_all(weftd)


def give_back_while_dying(weftd, redis):
    jobs = [f"j{number}" for number in range(HELD)]
    redis.enqueue_together([{"type": "hold", "id": job, "payload": LARGE} for job in jobs])
    wait_for(lambda: pending(redis) == HELD, "all jobs are held")
    kill_all(weftd)
    for _ in range(3):
        before = redis.client.xinfo_stream(key("default"))["entries-added"]
        weftd.launch()
        wait_for(lambda: redis.client.xinfo_stream(key("default"))["entries-added"] > before, "the first are back")
        kill_all(weftd)
        assert redis.client.xlen(key("default")) == HELD
    (weftd.folder / "go").touch()
    weftd.start()
    for job in jobs:
        redis.wait_for_state(job, "done")
    assert redis.client.xlen(key("default")) == 0
    assert sorted(redis.client.lrange(key("default", "done"), 0, -1)) == sorted(jobs)
    assert {job: ends for job, ends in weftd.history("end").items() if ends != 1} == {}
