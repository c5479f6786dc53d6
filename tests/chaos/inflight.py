"""Which faults a run was in flight at. A job that runs again must have a reason among them."""

import bisect

from cluster import LEASE
from history import CHAOS_LINE

SECOND = 1_000_000_000

# What may be the matter for so long after a fault's own end, ns: weftd waits up to 2 s before it connects again, Redis
# reads its file, outcomes are sent once more.
AFTERMATH = 3 * SECOND
SETTLING = 1 * SECOND  # how long an outcome may take to be written when nothing is the matter
LAPSE = int((LEASE + 2) * SECOND)

OF_REDIS = ("kill_redis", "pause_redis", "client_pause", "client_kill")
OF_CONNECTIONS = ("stall", "trickle", "cut", "cut_middle")
OF_WORKERS = ("kill_worker", "kill_node", "pause_worker")
OF_NODES = ("kill_supervisor", "terminate", "hangup", "pause_supervisor")


class Spans:
    """Faults of one sort by time, each with what is the matter after it."""

    def __init__(self):
        self.spans = []
        self.begins = []
        self.longest = 0

    def add(self, begin, end, cause):
        self.spans.append((begin, end, cause))
        self.longest = max(self.longest, end - begin)

    def sort(self):
        self.spans.sort()
        self.begins = [span[0] for span in self.spans]

    def causes(self, begin, end):
        """The causes of those that touch the time from `begin` to `end`."""
        first = bisect.bisect_left(self.begins, begin - self.longest)
        last = bisect.bisect_right(self.begins, end)
        return [cause for b, e, cause in self.spans[first:last] if e >= begin]

    def latest_end(self, begin, end):
        first = bisect.bisect_left(self.begins, begin - self.longest)
        last = bisect.bisect_right(self.begins, end)
        return max((e for _, e, _ in self.spans[first:last] if e >= begin), default=0)


class Faults:
    """All faults of a history, by whom they hit."""

    def __init__(self, history):
        self.of_pid, self.of_node, self.of_connections, self.of_redis = {}, {}, {}, Spans()
        for fault in history.faults:
            if not fault["missed"]:
                self.add(fault)
        for record in history.plugin:
            if record["event"] == "crash":
                self.of(self.of_pid, record["pid"]).add(record["t"], record["t"] + AFTERMATH, "crash")
        for sort in (self.of_pid, self.of_node, self.of_connections):
            for spans in sort.values():
                spans.sort()
        self.of_redis.sort()

    @staticmethod
    def of(sort, name):
        return sort.setdefault(name, Spans())

    def add(self, fault):
        kind, begin = fault["kind"], fault["t"]
        end = begin + fault.get("ms", 0) * 1_000_000
        if kind in OF_WORKERS:
            for pid in fault["pids"]:
                self.of(self.of_pid, pid).add(begin, end, kind)
        elif kind in OF_NODES:
            self.of(self.of_node, fault["node"]).add(begin, end, kind)
        elif kind in OF_CONNECTIONS and fault["node"] != "producers":
            self.of(self.of_connections, fault["node"]).add(begin, end + AFTERMATH, kind)
        elif kind in OF_REDIS:
            self.of_redis.add(begin, end + AFTERMATH, kind)

    def spans_of(self, run):
        """What may touch a run, the closest first."""
        return [spans for spans in (self.of_pid.get(run.pid), self.of_node.get(run.node),
                                    self.of_connections.get(run.node), self.of_redis) if spans]

    def settled_by(self, run, limit):
        """When the outcome of a run was written at the latest; for one without an end, `limit`."""
        if run.finish is None:
            return limit
        end = run.finish + SETTLING
        while end < limit:
            later = max((spans.latest_end(run.finish, end) for spans in self.spans_of(run)), default=0) + SETTLING
            if later <= end:
                break
            end = later
        return min(end, limit)

    def causes(self, run, following):
        """Why the job of `run` may have been started again as `following`."""
        end = self.settled_by(run, following.start)
        found = [cause for spans in self.spans_of(run) for cause in spans.causes(run.start, end)]
        return found or self.lapses(run, following)

    def lapses(self, run, following):
        """Faults that may have cost either of two runs its lease, before it started maybe."""
        return [cause for one in (run, following)
                for spans in (self.of_pid.get(one.pid), self.of_connections.get(one.node), self.of_redis) if spans
                for cause in spans.causes(one.start - LAPSE, max(run.start, following.start))
                if cause in ("pause_worker", *OF_CONNECTIONS, *OF_REDIS)]

    def may_be_blamed(self, run):
        """Whether a run may have been charged though nothing is known of its failing: its worker stood still."""
        spans = self.of_pid.get(run.pid)
        return bool(spans) and "pause_worker" in spans.causes(run.start - LAPSE, (run.finish or run.start) + LAPSE)


def doubly_killed(history):
    """PIDs of workers whose last lines nobody was left to write: supervisor and worker were killed."""
    supervisors, lost = set(), set()
    for fault in history.faults:
        if fault["kind"] in ("kill_supervisor", "kill_node") and not fault["missed"]:
            supervisors |= set(fault["pids"])
            lost |= set(fault["workers"])
    return lost


def logged(history):
    """How often each line of the plugin was logged, by (node, PID, time)."""
    counts = {}
    for node, line in history.lines:
        told = line and CHAOS_LINE.match(line["msg"])
        if told:
            name = (node, line["pid"], int(told[3]))
            counts[name] = counts.get(name, 0) + 1
    return counts
