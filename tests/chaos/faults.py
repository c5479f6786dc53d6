"""What goes wrong, and how. The choices are drawn from the seed alone: the same seed gives the same sequence of them."""

import dataclasses
import heapq
import os
import random
import signal
import time

import redis

from cluster import LEASE, NODES, WORKERS, hold, send


@dataclasses.dataclass(frozen=True)
class Choice:
    number: int
    kind: str
    node: str
    slot: int      # which of the node's workers
    amount: float  # from 0 to 1: how much of it

    def milliseconds(self, shortest, longest, beyond_lease):
        """A duration; one in twenty is longer than the lease, where the fault is one of those."""
        if beyond_lease and self.amount > 0.95:
            return int(LEASE * 1300)
        return int(shortest + (longest - shortest) * self.amount)


# How often each is chosen, of 100.
WEIGHTS = {
    "kill_worker": 14, "kill_supervisor": 8, "kill_node": 4, "kill_redis": 7,
    "hangup": 9, "terminate": 7,
    "pause_worker": 9, "pause_supervisor": 4, "pause_redis": 4, "client_pause": 5, "stall": 7,
    "trickle": 5, "cut": 7, "cut_middle": 6, "client_kill": 4,
}


def choices(seed, without=()):
    """The endless sequence of choices. What is left out is drawn all the same and skipped by whoever applies it."""
    drawn = random.Random(f"faults {seed}")
    kinds = [kind for kind in WEIGHTS if kind not in without]
    weights = [WEIGHTS[kind] for kind in kinds]
    number = 0
    while True:
        kind = drawn.choices(kinds, weights)[0]
        yield Choice(number, kind, drawn.choice((*NODES, "producers") if kind in RELAYED else NODES),
                     drawn.randrange(WORKERS), drawn.random())
        number += 1


def wake(handle):
    """Ends a pause. The process may be gone, or the child of another by now: the handle stands for no other."""
    try:
        signal.pidfd_send_signal(handle, signal.SIGCONT)
    except ProcessLookupError:
        pass
    os.close(handle)


class Breaker:
    """Applies choices to a cluster, without waiting: what has a second half does it later, in poll(). Each of the methods
    named as a kind gives what it hit, for the history, or None if there was nothing to hit."""

    def __init__(self, server, proxy, nodes, journal):
        self.redis, self.proxy, self.nodes, self.journal = server, proxy, nodes, journal
        self.later = []
        self.count = 0

    def apply(self, choice):
        hit = getattr(self, choice.kind)(choice)
        self.journal.write("fault", number=choice.number, kind=choice.kind, node=choice.node, slot=choice.slot,
                           missed=hit is None, **(hit or {}))

    def poll(self):
        while self.later and self.later[0][0] <= time.monotonic():
            heapq.heappop(self.later)[2]()

    def finish(self):
        """Ends what is still paused."""
        while self.later:
            heapq.heappop(self.later)[2]()

    def do_later(self, milliseconds, action):
        self.count += 1  # so that two actions are never compared
        heapq.heappush(self.later, (time.monotonic() + milliseconds / 1000, self.count, action))

    # ---- Processes ----

    def supervisor(self, choice):
        process = self.nodes[choice.node].process
        return process if process and process.poll() is None else None

    def worker(self, choice):
        """A worker's PID and that of its supervisor."""
        workers = self.nodes[choice.node].workers()
        if choice.slot >= len(workers):
            return None, None
        return workers[choice.slot], self.supervisor(choice).pid

    def kill_worker(self, choice):
        worker, supervisor = self.worker(choice)
        if worker and send(worker, signal.SIGKILL, supervisor):
            return {"pids": [worker], "supervisor": supervisor}
        return None

    def kill_supervisor(self, choice):
        supervisor = self.supervisor(choice)
        if not supervisor:
            return None
        workers = self.nodes[choice.node].workers()
        supervisor.kill()
        return {"pids": [supervisor.pid], "workers": workers}

    def kill_node(self, choice):
        """The workers first, since they would be nobody's children afterwards; the supervisor has no time to notice."""
        supervisor = self.supervisor(choice)
        if not supervisor:
            return None
        supervisor.send_signal(signal.SIGSTOP)
        workers = self.nodes[choice.node].workers()
        killed = [pid for pid in workers if send(pid, signal.SIGKILL, supervisor.pid)]
        supervisor.kill()
        return {"pids": [supervisor.pid, *killed], "workers": workers}

    def hangup(self, choice):
        supervisor = self.supervisor(choice)
        if not supervisor or not self.nodes[choice.node].is_ready():
            return None
        workers = self.nodes[choice.node].workers()
        supervisor.send_signal(signal.SIGHUP)
        return {"pids": [supervisor.pid], "workers": workers}

    def terminate(self, choice):
        if not self.supervisor(choice):
            return None
        node = self.nodes[choice.node]
        workers = node.workers()
        node.ask_to_end()
        return {"pids": [node.process.pid], "workers": workers}

    def pause(self, pid, parent, milliseconds):
        handle = hold(pid, parent)
        if handle is None:
            return None
        signal.pidfd_send_signal(handle, signal.SIGSTOP)
        self.do_later(milliseconds, lambda: wake(handle))
        return {"pids": [pid], "ms": milliseconds}

    def pause_worker(self, choice):
        worker, supervisor = self.worker(choice)
        return self.pause(worker, supervisor, choice.milliseconds(100, 1000, True)) if worker else None

    def pause_supervisor(self, choice):
        process = self.supervisor(choice)
        if not process:
            return None
        return self.pause(process.pid, os.getpid(), choice.milliseconds(100, 1000, True))

    # ---- Redis ----

    def kill_redis(self, choice):
        self.redis.kill()
        self.redis.start()
        return {"pids": []}

    def pause_redis(self, choice):
        return self.pause(self.redis.process.pid, os.getpid(), choice.milliseconds(100, 800, True))

    def ask_redis(self, ask, **hit):
        try:
            ask(self.redis.hasty)
        except redis.exceptions.RedisError:
            return None
        return {"pids": []} | hit

    def client_pause(self, choice):
        milliseconds = choice.milliseconds(100, 800, False)
        return self.ask_redis(lambda client: client.execute_command("CLIENT", "PAUSE", milliseconds, "ALL"), ms=milliseconds)

    def client_kill(self, choice):
        return self.ask_redis(lambda client: client.execute_command("CLIENT", "KILL", "TYPE", "normal"))

    # ---- Connections ----

    def relay(self, order, choice, milliseconds=0, number=None):
        self.proxy.order(order, choice.node, milliseconds if number is None else number)
        return {"pids": [], "relay": choice.node, "ms": milliseconds}

    def stall(self, choice):
        return self.relay("stall", choice, choice.milliseconds(100, 1000, True))

    def trickle(self, choice):
        return self.relay("trickle", choice, choice.milliseconds(100, 500, False))

    def cut(self, choice):
        return self.relay("cut", choice)

    def cut_middle(self, choice):
        return self.relay("middle", choice, number=int(choice.amount * 300))


RELAYED = ("stall", "trickle", "cut", "cut_middle")
