"""What weftd keeps in Redis, under which names and for how long. Trouble with Redis is in test_redis_health.py."""

import pytest

from weft import wait_for


def test_jobs_enqueued_before_the_first_start_run(redis, start_weftd, probe):
    jobs = [redis.enqueue("speak", payload=str(i)) for i in range(3)]
    weftd = start_weftd(**probe)
    for job in jobs:
        redis.wait_for_state(job, "done")
    assert [weftd.messages(job)[1] for job in jobs] == ["0", "1", "2"]


def test_weftd_stops_while_redis_is_away(redis, start_weftd, probe):
    weftd = start_weftd(**probe, shutdown_timeout="1s")
    redis.stop()
    wait_for(lambda: [line for line in weftd.lines() if line["level"] in ("warn", "error")], "weftd misses Redis")
    assert weftd.stop() == 0
    redis.start()


@pytest.mark.parametrize("prefix", ["weft", "shop"])
def test_every_key_has_the_prefix_and_that_of_a_queue_its_tag(redis, start_weftd, probe, prefix):
    start_weftd(**probe, redis={"url": redis.url, "prefix": prefix})
    for job_type in ("speak", "fail"):
        redis.client.xadd(f"{prefix}:{{default}}", {"type": job_type, "payload": "x", "id": job_type})
    redis.client.xadd(f"{prefix}:{{default}}", {"type": "speak", "delay": "1h"})
    for job_type, state in ("speak", "done"), ("fail", "dead"):
        wait_for(lambda: redis.client.hget(f"{prefix}:{{default}}:job:{job_type}", "state") == state, state)
    wait_for(lambda: redis.client.zcard(f"{prefix}:{{default}}:delayed"), "the delayed job is put aside")
    others = {name for name in redis.client.scan_iter() if not name.startswith(f"{prefix}:{{default}}")}
    assert others == {f"{prefix}:due", f"{prefix}:workers", f"{prefix}:readers"}


def test_reports_of_done_jobs_are_bounded_by_count(redis, start_weftd, probe):
    start_weftd(**probe, keep={"done_max": 10})
    jobs = [redis.enqueue("speak", payload=str(i)) for i in range(100)]
    wait_for(lambda: redis.waiting() == 0, "all jobs have run")
    kept = wait_for(lambda: list(redis.client.scan_iter("weft:{default}:job:*")), "reports are kept")
    assert 1 <= len(kept) <= 20
    assert redis.report(jobs[-1])["state"] == "done"


def test_dead_letters_are_bounded_by_count(redis, start_weftd, probe):
    start_weftd(**probe, keep={"dead": 10})
    for i in range(300):
        redis.enqueue("fail", payload=str(i))
    wait_for(lambda: redis.waiting() == 0, "all jobs have run")
    letters = redis.dead_letters()
    assert len(letters) < 300
    assert "299" in [letter["payload"] for letter in letters]
