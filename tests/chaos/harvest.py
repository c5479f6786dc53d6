"""Takes old reports of done jobs out of Redis into the history, as `keep.done_max` would: a Redis that holds hundreds of
thousands of them takes so long to read its file that a run would consist of waiting for it."""

import itertools
import threading

import redis

from cluster import QUEUES, connect, key

KEPT = 3000  # reports of done jobs that stay in Redis, so that all that are taken were written long ago
CHUNK = 1000


class Harvester(threading.Thread):
    """What is taken is first read, then noted, then removed, so that nothing is lost if Redis dies in between."""

    def __init__(self, socket, journal):
        super().__init__(name="harvester")
        self.client, self.journal = connect(socket), journal
        self.noted = {queue: None for queue in QUEUES}
        self.stopped = threading.Event()
        self.problem = None

    def run(self):
        try:
            while not self.stopped.wait(0.5):
                for queue in QUEUES:
                    try:
                        self.harvest(queue)
                    except redis.exceptions.RedisError:
                        pass  # it is tried again; what was noted is not noted twice
        except Exception as problem:  # told by whoever waits for this thread
            self.problem = problem

    def harvest(self, queue):
        done = key(queue, "done")
        while self.client.llen(done) > KEPT + CHUNK:
            jobs = self.client.lrange(done, 0, CHUNK - 1)
            if jobs != self.noted[queue]:
                self.journal.write("harvest", queue=queue, done=jobs, reports=read_reports(self.client, queue, jobs))
                self.noted[queue] = jobs
            pipeline = self.client.pipeline(transaction=True)
            pipeline.ltrim(done, CHUNK, -1)
            pipeline.unlink(*(key(queue, "job", job) for job in jobs))
            pipeline.execute()


def read_reports(client, queue, jobs):
    """The reports of jobs, by job ID; those that there are."""
    found, jobs = {}, iter(jobs)
    while batch := list(itertools.islice(jobs, CHUNK)):
        pipeline = client.pipeline(transaction=False)
        for job in batch:
            pipeline.hgetall(key(queue, "job", job))
        found.update((job, report) for job, report in zip(batch, pipeline.execute()) if report)
    return found
