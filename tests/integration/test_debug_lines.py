"""With `log.level: debug` the log tells the way of a job, one line for each step, under the job's ID."""

import pytest

from weft import wait_for

SOURCE = """
#include <errno.h>
#include <weft/weft.h>

static int audit(void *arg)
{
    (void)arg;
    return weft_sleep_ms(1);
}

static int check(struct weft_job *job)
{
    (void)job;
    return 0;
}

static int work(struct weft_job *job)
{
    struct weft_task *task = weft_spawn("audit", audit, NULL);

    (void)job;
    return task ? weft_join(task, NULL) : -errno;
}

static int fail(struct weft_job *job)
{
    (void)job;
    return -EIO;
}

WEFT_PLUGIN("way", WEFT_HANDLER("check", check), WEFT_HANDLER("work", work), WEFT_HANDLER("fail", fail));
"""

FAILED = "fail: Input/output error"


def log_at(level, folder):
    return {"level": level, "format": "json", "output": str(folder / "weftd-0" / "weftd.log")}


@pytest.fixture
def weftd(start_weftd, compile_plugin, tmp_path):
    return start_weftd(plugins=[str(compile_plugin("way", SOURCE))], concurrency=4, log=log_at("debug", tmp_path), jobs={
        "good": {"chain": ["check", "work"]},
        "retried": {"chain": ["fail"], "attempts": 2, "backoff": {"base": "20ms"}},
        "dead": {"chain": ["check", "fail"], "attempts": 1},
        "one.by.one": {"chain": ["work"], "concurrency": 1},
    })


def way_of(weftd, job, last="context freed: nothing of the job is left", times=1):
    """What the log says of a job, with its entries numbered."""
    def lines():
        return [line["msg"] for line in weftd.job_lines(job)]

    wait_for(lambda: lines().count(last) == times, f"the log says {times} times: {last}")
    entries = [message.split()[-1] for message in lines() if message.startswith("taken from")]
    for number, entry in enumerate(entries, 1):
        wait_for(lambda entry=entry: weftd.find(f"Redis has the outcome of entry {entry} of queue default"), f"entry {entry} is settled")
    return [message.replace(entries[0], "E1").replace(entries[-1], "E2") for message in lines()]


def test_the_way_of_a_job_that_succeeds(redis, weftd):
    assert way_of(weftd, redis.enqueue("good", id="good-1")) == [
        "taken from queue default, entry E1",
        "job started",
        "handler check starts, 1 of 2",
        "handler work starts, 2 of 2",
        "subtask started",
        "subtask done",
        "job done",
        "outcome added to the next batch for Redis",
        "context freed: nothing of the job is left",
    ]


def test_the_way_of_a_job_that_is_retried(redis, weftd):
    assert way_of(weftd, redis.enqueue("retried", id="retried-1"), times=2) == [
        "taken from queue default, entry E1",
        "job started",
        "handler fail starts, 1 of 1",
        "job failed",
        "retry scheduled",
        "outcome added to the next batch for Redis",
        "context freed: nothing of the job is left",
        "taken from queue default, entry E2",
        "job started",
        "handler fail starts, 1 of 1",
        "job failed",
        "job dead",
        "outcome added to the next batch for Redis",
        "context freed: nothing of the job is left",
    ]


def test_the_way_of_a_job_that_is_dead(redis, weftd):
    assert way_of(weftd, redis.enqueue("dead", id="dead-1")) == [
        "taken from queue default, entry E1",
        "job started",
        "handler check starts, 1 of 2",
        "handler fail starts, 2 of 2",
        "job failed",
        "job dead",
        "outcome added to the next batch for Redis",
        "context freed: nothing of the job is left",
    ]
    assert {line["data"]["error"] for line in weftd.job_lines("dead-1") if "data" in line} == {FAILED}


def test_the_way_of_a_job_that_waits_for_its_turn(redis, weftd):
    first, second = redis.enqueue_together([{"type": "one.by.one", "id": "first"}, {"type": "one.by.one", "id": "second"}])
    assert way_of(weftd, first)[:2] == ["taken from queue default, entry E1", "job started"]
    assert way_of(weftd, second)[:3] == ["taken from queue default, entry E1", "waiting for its turn: as many jobs as may already run",
                                         "job started"]


def test_at_the_level_info_none_of_this_is_said(redis, start_weftd, compile_plugin, tmp_path):
    weftd = start_weftd(plugins=[str(compile_plugin("way", SOURCE))], jobs={"good": {"chain": ["check"]}},
                        log=log_at("info", tmp_path))
    redis.wait_for_state(redis.enqueue("good", id="good-1"), "done")
    assert [line["msg"] for line in weftd.job_lines("good-1")] == ["job started", "job done"]
