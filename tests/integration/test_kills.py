"""kill -9, or SIGSTOP, of a worker, of the supervisor, of a whole node, of Redis: jobs that were in flight run again, nothing
else does, and nothing of the dead is left. test_command_boundaries.py does it at every command; here is what a node says,
and who is relieved when."""

import os
import signal
import time

import pytest

from proxy import Proxy
from weft import PATIENCE, Weftd, connect, key, wait_for

FAR = "1h"  # a lease that nothing waits for


@pytest.fixture
def node(redis, walker, tmp_path):
    """Makes nodes that the test may kill; what is left of them at the end is killed."""
    nodes = []

    def make(name="web1", **settings):
        folder = tmp_path / f"node-{len(nodes)}"
        folder.mkdir()
        nodes.append(Weftd(folder, redis.url, **(walker | {"node": name, "lease": FAR} | settings)))
        return nodes[-1]

    yield make
    for weftd in nodes:
        send_all(weftd.pids(), signal.SIGKILL)
        print(weftd.log.read_text() if weftd.log.exists() else "no log")
    assert [line for weftd in nodes for line in weftd.printed()] == []


def send_all(pids, number):
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            pass


def kill_node(weftd):
    send_all(weftd.pids(), signal.SIGKILL)
    weftd.process.wait(PATIENCE)


def begin_job(redis, weftd, job_type="hold", job="held", **fields):
    redis.enqueue(job_type, id=job, **fields)
    wait_for_starts(weftd, job, 1)
    return job


def wait_for_starts(weftd, job, times):
    wait_for(lambda: weftd.history("start")[job] >= times, f"{job} runs {times} times")


def finish_jobs(*nodes):
    for weftd in nodes:
        (weftd.folder / "go").touch()


def holders(redis):
    """Which consumers hold which number of jobs; those that hold none are left out."""
    return {one["name"]: one["pending"] for one in redis.client.xinfo_consumers(key("default"), "weft") if one["pending"]}


def worker_of(consumer):
    """The PID in a consumer's name."""
    return int(consumer.rpartition(".")[2].split("-")[0], 16)


def assert_nothing_is_left(redis, *living):
    """Of the dead, that is: what consumers there are belong to nodes that run."""
    def clean():
        names = [one["name"] for one in redis.client.xinfo_consumers(key("default"), "weft")]
        workers = [pid for weftd in living for pid in weftd.worker_pids()]
        return redis.waiting() == 0 and all(worker_of(name) in workers for name in names)

    wait_for(clean, "no entry and no consumer of the dead is left")


def stop_all(*nodes):
    for weftd in nodes:
        assert weftd.stop() == 0


def test_a_killed_worker_is_replaced_and_only_its_jobs_run_again(redis, node):
    weftd = node(workers=2).start()
    jobs = [f"held-{i}" for i in range(20)]
    redis.enqueue_together([{"type": "hold", "id": job} for job in jobs])
    wait_for(lambda: len(weftd.history("start")) == 20, "all run")

    victim, held = next(iter(holders(redis).items()))
    os.kill(worker_of(victim), signal.SIGKILL)
    wait_for(lambda: weftd.history("start").total() == 20 + held, "its jobs run again")
    finish_jobs(weftd)
    for job in jobs:
        assert redis.wait_for_state(job, "done")["attempt"] == "1"
    assert weftd.history("start").total() == 20 + held
    assert_nothing_is_left(redis, weftd)
    stop_all(weftd)
    assert weftd.find("worker killed by a signal")[0]["data"]["worker_pid"] == worker_of(victim)


def test_a_job_given_back_to_a_worker_that_is_dead_already_is_given_back_again(redis, walker, node, tmp_path):
    """Redis may hear later of the end of a worker's connections than from its supervisor, and serves it meanwhile."""
    proxy = Proxy(tmp_path / "p", redis.socket).start()
    weftd = node(redis={"url": proxy.url}).start()
    job = begin_job(redis, weftd)
    wait_for(redis.has_reader, "the worker waits for more")
    victim, = holders(redis)
    proxy.linger()
    os.kill(worker_of(victim), signal.SIGKILL)
    wait_for(lambda: holders(redis) == {victim: 1} and redis.client.xinfo_stream(key("default"))["entries-added"] == 2,
             "the dead worker has the job for a second time")
    proxy.part()
    wait_for_starts(weftd, job, 2)
    finish_jobs(weftd)
    redis.wait_for_state(job, "done")
    assert_nothing_is_left(redis, weftd)
    stop_all(weftd)
    proxy.stop()


def test_workers_of_a_killed_supervisor_finish_what_they_run_and_stop(redis, node):
    weftd = node(workers=2).start()
    job = begin_job(redis, weftd)
    weftd.process.kill()
    weftd.process.wait(PATIENCE)
    wait_for(lambda: not redis.has_reader(), "the workers take no more")
    later = redis.enqueue("plain", id="later")
    finish_jobs(weftd)
    redis.wait_for_state(job, "done")
    wait_for(lambda: weftd.pids() == [], "the workers have stopped")
    assert redis.report(later) == {}
    assert weftd.history("start") == {job: 1}
    assert redis.waiting() == 1
    assert redis.client.xinfo_consumers(key("default"), "weft") == []


def test_a_weftd_started_again_takes_over_beside_workers_that_still_run(redis, node):
    weftd = node(workers=2).start()
    job = begin_job(redis, weftd)
    old = weftd.worker_pids()
    weftd.process.kill()
    weftd.process.wait(PATIENCE)
    weftd.start()
    redis.wait_for_state(redis.enqueue("plain", id="later"), "done")
    time.sleep(2.5)  # for two looks at who is dead
    finish_jobs(weftd)
    redis.wait_for_state(job, "done")
    wait_for(lambda: not set(old) & set(weftd.pids()), "the old workers have stopped")
    assert weftd.history("start") == {job: 1, "later": 1}
    assert_nothing_is_left(redis, weftd)
    stop_all(weftd)


def test_jobs_of_a_killed_node_run_again_long_before_their_lease_ends(redis, node):
    weftd = node(workers=2).start()
    jobs = [begin_job(redis, weftd, job=f"held-{i}") for i in range(5)]
    redis.wait_for_state(redis.enqueue("plain", id="before"), "done")
    kill_node(weftd)
    weftd.start()
    for job in jobs:
        wait_for_starts(weftd, job, 2)
    finish_jobs(weftd)
    for job in jobs:
        assert redis.wait_for_state(job, "done")["attempt"] == "1"
    assert weftd.history("start") == {job: 2 for job in jobs} | {"before": 1}
    assert_nothing_is_left(redis, weftd)
    stop_all(weftd)


def test_a_unique_key_goes_from_a_killed_node_to_another_with_its_job_and_ends_with_it(redis, node):
    lock = key("default", "unique", "k")
    first, second = node("web1").start(), node("web2")
    job = begin_job(redis, first, unique="k", unique_for="1h")
    place = redis.client.get(lock)
    kill_node(first)
    assert redis.client.get(lock) == place
    redis.enqueue("plain", id="twin", unique="k")
    second.start()
    wait_for_starts(second, job, 1)
    assert redis.wait_for_state("twin", "duplicate")["duplicate_of"] == job
    assert redis.client.get(lock) not in (None, place)
    assert 0 < redis.client.pttl(lock) <= 3600 * 1000  # a give-back does not begin it anew
    finish_jobs(second)
    redis.wait_for_state(job, "done")
    assert not redis.client.exists(lock)
    assert_nothing_is_left(redis, second)
    stop_all(second)


def test_a_unique_key_is_free_once_unique_for_is_over_though_its_node_is_dead(redis, node):
    first, second = node("web1").start(), node("web2")
    begin_job(redis, first, unique="k", unique_for="3s")
    kill_node(first)
    wait_for(lambda: not redis.client.exists(key("default", "unique", "k")), "unique_for is over")
    redis.enqueue("plain", id="next", unique="k")
    second.start()
    redis.wait_for_state("next", "done")
    finish_jobs(second)
    redis.wait_for_state("held", "done", "duplicate")  # it asks anew, and `next` may have ended or not
    assert not redis.client.exists(key("default", "unique", "k"))
    assert_nothing_is_left(redis, second)
    stop_all(second)


def test_another_node_of_the_host_relieves_a_killed_one(redis, node):
    first, second = node("web1").start(), node("web2")
    job = begin_job(redis, first)
    second.start()
    kill_node(first)
    wait_for_starts(second, job, 1)
    finish_jobs(second)
    assert redis.wait_for_state(job, "done")["node"] == "web2"
    assert_nothing_is_left(redis, second)
    stop_all(second)


def test_consumers_do_not_grow_with_kills(redis, node):
    weftd = node(workers=2)
    for i in range(5):
        weftd.launch()
        wait_for(lambda: weftd.ready_lines() == weftd.starts, "weftd is ready")
        redis.wait_for_state(redis.enqueue("plain", id=f"job-{i}"), "done")
        kill_node(weftd)
    weftd.start()
    assert_nothing_is_left(redis, weftd)
    stop_all(weftd)
    assert redis.client.xinfo_consumers(key("default"), "weft") == []


@pytest.mark.parametrize("victim", ["weftd", "redis"])
def test_jobs_survive_a_kill_of_the_embedded_redis_or_of_all_with_it(node, tmp_path, victim):
    state = tmp_path / "state"
    weftd = node(redis={"url": "embedded", "dir": str(state)}).start()
    client = connect(state / "redis.sock")
    jobs = [client.xadd(key("default"), {"type": "hold", "id": f"held-{i}"}) and f"held-{i}" for i in range(5)]
    for job in jobs:
        wait_for_starts(weftd, job, 1)
    waiting = client.xadd(key("default"), {"type": "plain", "id": "waiting", "delay": "1s"}) and "waiting"
    pid = client.info("server")["process_id"]
    if victim == "weftd":
        send_all([*weftd.pids(), pid], signal.SIGKILL)
        weftd.process.wait(PATIENCE)
        weftd.start()
    else:
        os.kill(pid, signal.SIGKILL)
    finish_jobs(weftd)
    for job in (*jobs, waiting):
        wait_for(lambda: state_of(client, job) == "done", f"{job} is done")
    runs = 2 if victim == "weftd" else 1
    assert weftd.history("start") == {job: runs for job in jobs} | {waiting: 1}
    assert client.xlen(key("default")) == 0
    stop_all(weftd)


def state_of(client, job):
    try:
        return client.hget(key("default", "job", job), "state")
    except Exception:
        return None


def test_two_nodes_of_one_name_run_each_job_once(redis, node):
    nodes = [node("twin", workers=2, lease="2s", concurrency=50).start() for _ in range(2)]
    jobs = redis.enqueue_together([{"type": "nap", "id": f"job-{i}", "payload": str(i % 50 * 40)} for i in range(500)])
    for job in jobs:
        redis.wait_for_state(job, "done")
    runs = nodes[0].history("start") + nodes[1].history("start")
    assert runs == {job: 1 for job in jobs}
    assert all(weftd.history("start") for weftd in nodes)
    stop_all(*nodes)


def test_a_killed_node_is_not_mistaken_for_another_of_its_name(redis, node):
    first, second = node("twin").start(), node("twin").start()
    job = redis.enqueue("hold", id="held")
    wait_for(lambda: first.history("start") + second.history("start"), "the job runs")
    holder, other = (first, second) if first.history("start") else (second, first)
    kill_node(other)
    other.start()
    time.sleep(2.5)  # for two looks at who is dead
    finish_jobs(holder)
    redis.wait_for_state(job, "done")
    assert first.history("start") + second.history("start") == {job: 1}
    stop_all(first, second)


def test_a_node_that_lost_its_host_is_relieved_and_settles_nothing_when_it_comes_back(redis, node):
    """Frozen as a whole, a node is to the others of its host what a lost one is: it lives, and is not heard of."""
    first, second = node("web1", lease="4s").start(), node("web2", lease="4s")
    job = begin_job(redis, first)
    frozen = first.pids()
    send_all(frozen, signal.SIGSTOP)
    second.start()
    wait_for_starts(second, job, 1)
    finish_jobs(second)
    report = redis.wait_for_state(job, "done")
    assert report["node"] == "web2"
    send_all(frozen, signal.SIGCONT)
    first.wait_for_line("job lost: another worker has it", job)
    redis.wait_for_state(redis.enqueue("plain", id="last"), "done")
    assert redis.report(job) == report
    assert redis.client.lrange(key("default", "done"), 0, -1).count(job) == 1
    assert redis.waiting() == 0 and redis.dead_letters() == []
    stop_all(first, second)
    assert first.find("job done", job) == []
