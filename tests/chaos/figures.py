"""The figures of a run, as a text for people."""

import collections

from checker import pairs
from history import seconds
from inflight import Faults


def quantile(values, share):
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def times(values):
    return (f"{len(values)} measured, median {quantile(values, 0.5):.2f} s, 90 % {quantile(values, 0.9):.2f} s, "
            f"99 % {quantile(values, 0.99):.2f} s, longest {max(values):.2f} s") if values else "none"


def listed(counter):
    return ", ".join(f"{count} {name}" for name, count in counter.most_common())


def again(history, faults):
    """How often jobs ran again, by cause, and how long after the end of their worker."""
    causes, recoveries, ended = collections.Counter(), collections.defaultdict(list), 0
    deaths = {pid: (fault["t"], fault["kind"]) for fault in history.faults if not fault["missed"] and fault["kind"] in
              ("kill_worker", "kill_node") for pid in fault["pids"]}
    for job in history.jobs.values():
        for run, following in pairs(job):
            revived = job.revivals and following.attempt == 1
            if run.finish and run.result != 0 and (following.attempt == run.attempt + 1 or revived):
                continue
            found = faults.causes(run, following)
            causes[found[0] if found else "nothing"] += 1
            ended += run.finish is not None and run.result == 0
            death, kind = deaths.get(run.pid, (run.crash, "crash"))
            if death and run.start <= death <= following.start and not run.finish:
                recoveries[kind].append(seconds(following.start - death))
    return causes, recoveries, ended


def in_flight(history):
    """How many runs were under way at each fault, all in all."""
    edges = sorted([(run.start, 1) for job in history.jobs.values() for run in job.runs] +
                   [(run.last_sign(), -1) for job in history.jobs.values() for run in job.runs])
    faults = iter(sorted(fault["t"] for fault in history.faults if not fault["missed"]))
    total, count, position, fault = 0, 0, 0, next(faults, None)
    while fault is not None:
        while position < len(edges) and edges[position][0] <= fault:
            count += edges[position][1]
            position += 1
        total, fault = total + count, next(faults, None)
    return total


def figures(history, options, took):
    faults = Faults(history)
    kinds = collections.Counter(fault["kind"] for fault in history.faults if not fault["missed"])
    missed = sum(fault["missed"] for fault in history.faults)
    states = collections.Counter(job.report.get("state") for job in history.jobs.values())
    runs = sum(len(job.runs) for job in history.jobs.values())
    crashes = sum(record["event"] == "crash" for record in history.plugin)
    causes, recoveries, ended = again(history, faults)
    rows = [
        ("seed", options.seed),
        ("duration", f"{took:.0f} s, of which the check is a part"),
        ("jobs", f"{len(history.jobs)}: {listed(states)}"),
        ("runs", runs),
        ("lines logged", sum(1 for _ in history.lines)),
        ("faults", f"{sum(kinds.values())}, one every {options.every} s, and {missed} that found nothing to hit"),
        ("  by kind", listed(kinds)),
        ("crashes by handlers", crashes),
        ("runs in flight at faults", in_flight(history)),
        ("runs that were repeated", f"{sum(causes.values())}: {listed(causes)}"),
        ("  of which had succeeded", ended),
        *((f"job runs again after {kind}", times(values)) for kind, values in sorted(recoveries.items())),
    ]
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{name:{width}}  {value}" for name, value in rows)
