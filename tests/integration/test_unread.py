"""Jobs that would wait for ever without anybody knowing: in streams that no node reads, and of nodes that are gone."""

import json
import os
import signal
import time

from test_reload import reload
from weft import key, wait_for


def rows(weftd, *words):
    done = weftd.cli("queues", "--json", *words)
    assert (done.returncode, done.stderr) == (0, "")
    found = [json.loads(line) for line in done.stdout.splitlines()]
    return {row["stream"]: row for row in found}


def unread_lines(*weftds):
    return [line for weftd in weftds for line in weftd.lines() if line["msg"].startswith("no node reads the stream")]


def test_queues_shows_streams_that_no_node_reads(redis, start_weftd, probe):
    weftd = start_weftd(**probe)
    redis.client.xadd("weft:default", {"type": "speak"})
    redis.enqueue("speak", "defualt")
    redis.enqueue("speak", "elsewhere")
    redis.client.xadd("weft:\x1b[31m", {"type": "speak"})
    redis.client.set("weft:a-string", "x")
    redis.client.xadd("weft:{default}:dead", {"type": "speak"})
    wait_for(lambda: rows(weftd)[key("default")]["read"], "the node has said what it reads")
    found = rows(weftd)
    assert list(found) == [key("default"), "weft:\x1b[31m", "weft:default", key("defualt"), key("elsewhere")]
    assert [row["read"] for row in found.values()] == [True, False, False, False, False]
    assert [row.get("meant") for row in found.values()] == [None, None, "default", "default", None]
    assert [row["queue"] for row in found.values()] == ["default", None, None, "defualt", "elsewhere"]
    assert [row["ready"] for row in found.values()] == [0, 1, 1, 1, 1]
    table = weftd.cli("queues").stdout
    assert table.count("no node reads it") == 4 and table.count('did you mean "weft:{default}"?') == 2
    assert "\x1b" not in table


def test_a_stream_is_found_behind_many_other_keys(redis, start_weftd, probe):
    weftd = start_weftd(**probe)
    redis.client.mset({f"weft:{{default}}:job:{number}": "x" for number in range(20000)})
    redis.client.xadd("weft:default", {"type": "speak"})
    assert "weft:default" in rows(weftd)
    assert wait_for(lambda: unread_lines(weftd), "the log tells of it")


def test_one_node_tells_once_of_each_stream_that_no_node_reads(redis, start_weftd, probe):
    nodes = [start_weftd(**probe, node=f"node{number}", queues=[{"name": name}])
             for number, name in enumerate(["default", "default", "bulk"])]
    redis.client.xadd("weft:default", {"type": "speak"})
    redis.enqueue("speak", "bluk")
    redis.enqueue("speak", "bulk")
    wait_for(lambda: len(unread_lines(*nodes)) >= 2, "both streams are told of")
    redis.enqueue("speak", "other")
    wait_for(lambda: len(unread_lines(*nodes)) >= 3, "the third is told of")
    lines = unread_lines(*nodes)
    assert len(lines) == 3 and all(line["data"] == {"jobs": 1, "delayed": 0} for line in lines)
    assert sorted(line["msg"].split('"')[1] for line in lines) == ["weft:default", "weft:{bluk}", "weft:{other}"]
    braces, = [line["msg"] for line in lines if '"weft:default"' in line["msg"]]
    # Who tells need not be who has the queue.
    assert 'did you mean "weft:{default}"?' in braces or 'in the "queues" of a node' in braces


def test_delayed_jobs_of_a_queue_that_a_reload_took_out_are_told_of(redis, start_weftd, probe):
    weftd = start_weftd(**probe, queues=[{"name": "default"}, {"name": "gone"}])
    redis.enqueue("speak", "gone", id="later", delay="1h")
    redis.wait_for_state("later", "delayed", queue="gone")
    reload(weftd, queues=[{"name": "default"}])
    long_ago = int(time.time()) - 3600

    def told():
        # Until it has ended, the generation that was replaced goes on to say that it reads the queue.
        redis.client.zadd("weft:readers", {"gone": long_ago * 1000})
        return unread_lines(weftd)

    said = f"one did until {time.strftime('%Y-%m-%dT%H:%M:%S.000Z', time.gmtime(long_ago))}"
    line, = wait_for(told, "the queue is told of")
    assert '"weft:{gone}"' in line["msg"] and said in line["msg"]
    assert line["data"] == {"jobs": 0, "delayed": 1}
    found = rows(weftd)[key("gone")]
    assert (found["read"], found["delayed"], found["queue"]) == (False, 1, "gone")
    assert said in weftd.cli("queues").stdout


def test_without_a_node_no_queue_is_read(redis, start_weftd, probe):
    weftd = start_weftd(**probe)
    wait_for(lambda: rows(weftd)[key("default")]["read"], "the node has said what it reads")
    weftd.stop()
    redis.client.delete("weft:readers")
    assert not rows(weftd)[key("default")]["read"]


def test_nodes_say_what_they_read_even_if_redis_is_full(redis, start_weftd, probe):
    weftd = start_weftd(**probe)
    wait_for(lambda: rows(weftd)[key("default")]["read"], "the node has said what it reads")
    redis.client.config_set("maxmemory", 1)
    redis.client.zremrangebyrank("weft:readers", 0, -2)
    wait_for(lambda: rows(weftd)[key("default")]["read"], "the node has said so again")


def test_a_user_who_may_not_scan_is_shown_the_configured_queues(redis, start_weftd, probe):
    weftd = start_weftd(**probe)
    redis.client.execute_command("ACL", "SETUSER", "default", "-scan")
    done = weftd.cli("queues")
    assert done.returncode == 0 and "default" in done.stdout and "refuses SCAN" in done.stderr
    redis.wait_for_state(redis.enqueue("speak", payload="all else works"), "done")


def test_jobs_of_a_node_that_died_for_good_are_said_to_be_stranded(redis, start_weftd, probe):
    weftd = start_weftd(**probe)
    jobs = [redis.enqueue("nap", payload="60000"), redis.enqueue("nap", id="mine", payload="60000")]
    for job in jobs:
        redis.wait_for_state(job, "running")
    status = json.loads(weftd.cli("status", jobs[0], "--json").stdout)
    assert status["state"] == "running" and "worker" not in status
    assert rows(weftd)[key("default")]["stranded"] == 0
    for pid in [weftd.process.pid, *weftd.worker_pids()]:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    weftd.process.wait()
    wait_for(lambda: not weftd.pids(), "all of it is gone")
    for job in jobs:
        done = weftd.cli("status", job, "--json")
        assert json.loads(done.stdout)["worker"] == "gone" and "the worker of this job is gone" in done.stderr
    assert rows(weftd)[key("default")]["stranded"] == 2
    assert "2 of those in flight" in weftd.cli("queues").stdout
    done = weftd.cli("ps", "--json")
    assert [json.loads(line)["state"] for line in done.stdout.splitlines()] == ["gone", "gone"]
    assert "is gone" in done.stderr
    # Young jobs have no report yet.
    redis.client.delete(key("default", "job", jobs[0]))
    assert json.loads(weftd.cli("status", jobs[0], "--json").stdout)["worker"] == "gone"
    # Another node gives them back, and they run.
    weftd.starts = 0
    weftd.log.unlink()
    weftd.read, weftd.offset = [], 0
    weftd.start()
    wait_for(lambda: rows(weftd)[key("default")]["stranded"] == 0, "the jobs are given back")
    redis.wait_for_state(jobs[1], "running")
    assert "worker" not in json.loads(weftd.cli("status", jobs[1], "--json").stdout)
    for job in jobs:
        weftd.cli("cancel", job)
