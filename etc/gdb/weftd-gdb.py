"""gdb commands for weftd: the jobs of a worker, its fibers, and their stacks, in a live process or a core dump.

gdb loads this file by itself for a weftd that was installed with the Debian package; else `source` it, or pass it with
-x. docs/DEBUGGING.md shows how to use it, and `help weft` lists the commands. weftd must have its debug information.

A fiber that waits has its registers saved by coroutine.c, in a sigjmp_buf (of which glibc mangles the stack pointer and
the program counter) or, under sanitizers and shadow stacks, in a ucontext_t. An unwinder has gdb continue with them.
"""

import time

import gdb
import gdb.unwinder

# ---- What is known of weftd's code. Whatever is renamed there is renamed here and nowhere below. ----

LOOP = "loop_of_thread"  # struct weft_loop *, of the thread
RUNNER = "runner_of_thread"  # struct runner *, of the thread
CURRENT = "current_state"  # struct current, of the thread
OPERATIONS = "operation_home_of_thread"  # struct operation_home, of the thread: the newest first
HOMES = "operation_homes"  # the other ones, of event bases and of all threads
OUTERMOST = "run_function"  # of a fiber's stack, as far as anybody wants to see it
BORROWS = "OPERATION_HOLDS_NOTHING"  # enum operation_hold: the operation is a wait
STATES = {"TASK_READY": "ready", "TASK_RUNNING": "running", "TASK_WAITING": "waiting", "TASK_ENDED": "ended"}


def tasks_of(loop):
    """struct weft_loop: its tasks, the oldest first."""
    return list(follow(loop["tasks"]["lh_first"], "in_loop", "le_next"))[::-1]


def running_task(loop):
    return loop["running"]


class Task:
    """struct weft_task"""

    def __init__(self, task):
        operation = Operation(task["operation"])
        self.address = int(task)
        self.number = operation.number
        self.name = string(task["name"])
        self.is_chain = operation.kind == "job"
        self.place = operation.place
        self.state = STATES.get(str(task["state"]), "?")
        self.context = task["current"]["context"]
        self.interruption = int(task["interruption"])
        self.coroutine = task["coroutine"]

    def has_begun(self):
        """struct coroutine"""
        return bool(self.coroutine) and bool(self.coroutine["entered"])

    def saved(self):
        """struct side: where the registers are, and whether that is a struct switch_frame (else a ucontext_t)."""
        side = self.coroutine["inside"]
        by_hand = any(field.name == "left" for field in side.type.fields())
        return (side["left"].dereference(), True) if by_hand else (side["context"]["uc_mcontext"], False)


class Operation:
    """struct operation"""

    def __init__(self, operation):
        info = operation["info"]
        self.address = int(operation.address)
        self.number = int(info["id"])
        self.trigger = int(info["trigger"])
        self.kind = string(info["kind"])
        self.name = string(info["name"])
        self.place = int(info["place"])
        self.since_us = int(info["since_us"])
        self.context = info["context"]
        self.is_wait = str(operation["hold"]) == BORROWS and self.kind not in ("task", "job")


class Job:
    """struct weft_job"""

    def __init__(self, job):
        record = job["record"]
        chain, position = job["type"]["chain"], int(job["position"])
        self.address = int(job)
        self.id = string(record["id"])
        self.type = string(record["type"])
        self.queue = string(record["queue"])
        self.attempt = int(record["attempt"])
        self.state = "outlived" if job["reported"] else "running"
        self.handler = string(chain[position - 1]["name"]) if position > 0 else ""


def job_of(context):
    """struct weft_context: the job that it belongs to, or None."""
    if not context or not context["owner"]:
        return None
    return Job(context["owner"].cast(gdb.lookup_type("struct weft_job").pointer()))


def jobs_of(runner):
    """struct runner: its jobs, the oldest first, those that have been reported too."""
    return [Job(job) for job in follow(runner["active_jobs"]["jobs"]["tqh_first"], "among_active", "tqe_next")]


def current_context():
    return gdb.parse_and_eval(CURRENT)["context"]


def operations():
    """Those of the selected thread, of event bases and of all threads, the oldest first."""
    others = gdb.lookup_static_symbol(HOMES).value()["lh_first"]
    homes = [gdb.parse_and_eval(OPERATIONS), *(home.dereference() for home in follow(others, "homes", "le_next"))]
    found = [Operation(item.dereference()) for home in homes for item in follow(home["pending"]["lh_first"], "pending", "le_next")]
    return sorted(found, key=lambda operation: operation.number)


# ---- Values ----

def follow(item, *members):
    """The items of a list. Memory that is damaged may have made a ring of it."""
    seen = set()
    while item and int(item) not in seen:
        seen.add(int(item))
        yield item
        for member in members:
            item = item[member]


def string(value):
    """A char * as text; what a terminal would take for commands is escaped."""
    if not value:
        return ""
    text = value.string("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def place_in_words(address):
    """`function (file.c:12)` for an address that a call returns to."""
    if not address:
        return ""
    block, line = gdb.block_for_pc(address - 1), gdb.find_pc_line(address - 1)
    while block and not block.function:
        block = block.superblock
    name = block.function.name if block else gdb.execute(f"info symbol {address - 1}", to_string=True).split()[0]
    if not block and name == "No":
        name = hex(address)
    return f"{name} ({line.symtab.filename.rpartition('/')[2]}:{line.line})" if line.symtab else name


def now_us():
    """CLOCK_MONOTONIC where the process runs on this machine; of a core dump nobody knows when it was."""
    connection = getattr(gdb.selected_inferior(), "connection", None)
    return time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000 if connection and connection.type == "native" else None


def operation_in_words(operation):
    words = operation.kind + (f" {operation.name}" if operation.name else "")
    if operation.place:
        words += f" at {place_in_words(operation.place)}"
    if operation.since_us and now_us() is not None:
        words += f", for {(now_us() - operation.since_us) / 1e6:.1f} s"
    return words


def table(rows):
    widths = [max(map(len, column)) for column in zip(*rows)]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip())


# ---- Threads ----

def select_loop():
    """Selects the thread that runs the loop, and gives the loop."""
    for thread in gdb.selected_inferior().threads():
        before = gdb.selected_thread()
        thread.switch()
        try:
            loop = gdb.parse_and_eval(LOOP)
            if loop:
                return loop
        except gdb.error as error:
            problem = str(error)
            if "No symbol" in problem:
                raise gdb.GdbError("weftd has no debug information here; for the Debian package install weft-dbgsym") from None
        before.switch()
    raise gdb.GdbError("there is no loop in this process: is it a worker, and not the supervisor?")


# ---- A fiber's registers ----

FRAME_REGISTERS = {
    "i386:x86-64": {name: name for name in ("rbx", "rbp", "r12", "r13", "r14", "r15", "rip")},
    "aarch64": {f"x{n}": f"x{n}" for n in range(19, 30)} | {"pc": "pc"},
}
CONTEXT_REGISTERS = {"rbx": 11, "rbp": 10, "r12": 4, "r13": 5, "r14": 6, "r15": 7, "rsp": 15, "rip": 16}
POINTERS = {"i386:x86-64": ("rsp", "rip"), "aarch64": ("sp", "pc")}


def architecture():
    name = gdb.selected_frame().architecture().name()
    if name not in POINTERS:
        raise gdb.GdbError(f"fibers can be unwound on x86-64 and arm64, and not on {name}")
    return name


def saved_registers(task):
    machine = architecture()
    saved, is_frame = task.saved()
    mask = (1 << 64) - 1
    if is_frame:
        values = {name: int(saved[field]) & mask for name, field in FRAME_REGISTERS[machine].items()}
        return values | {POINTERS[machine][0]: int(saved.address) + saved.type.sizeof}
    if machine == "aarch64":
        return {f"x{n}": int(saved["regs"][n]) & mask for n in range(19, 30)} | {
            "sp": int(saved["sp"]) & mask, "pc": int(saved["pc"]) & mask}
    return {name: int(saved["gregs"][place]) & mask for name, place in CONTEXT_REGISTERS.items()}


class FrameId:
    def __init__(self, sp, pc):
        self.sp, self.pc = sp, pc


class FiberUnwinder(gdb.unwinder.Unwinder):
    """Has the thread's innermost frame be followed by those of a fiber. It changes nothing in the process, so that it
    works on core dumps."""

    def __init__(self):
        super().__init__("weft fiber")
        self.enabled = False

    def enter(self, task):
        self.leave()
        machine = architecture()
        sp, pc = POINTERS[machine]
        frame = gdb.newest_frame()
        self.here = [(name, int(frame.read_register(name)) & (1 << 64) - 1) for name in (sp, pc)]
        self.registers = saved_registers(task)
        # Below the fiber's frames: gdb believes only in stacks that grow to one side.
        self.id = FrameId(gdb.Value(self.registers[sp] - 16), gdb.Value(self.registers[pc]))
        self.enabled = True
        gdb.invalidate_cached_frames()

    def leave(self, _event=None):
        if self.enabled:
            self.enabled = False
            gdb.invalidate_cached_frames()

    def __call__(self, pending):
        if any(int(pending.read_register(name)) & (1 << 64) - 1 != value for name, value in self.here):
            return None
        info = pending.create_unwind_info(self.id)
        for name, value in self.registers.items():
            info.add_saved_register(name, gdb.Value(value).cast(pending.read_register(name).type))
        return info


unwinder = FiberUnwinder()
gdb.unwinder.register_unwinder(None, unwinder, replace=True)
gdb.events.cont.connect(unwinder.leave)


# ---- Commands ----

def fiber_title(task, running, waits):
    job = job_of(current_context() if running else task.context)
    waiting = "; ".join(operation_in_words(wait) for wait in waits.get(task.number, []))
    if task.interruption:
        waiting += f" (interrupted: {task.interruption})"
    return job, waiting


def fibers(wanted=None):
    """(task, whether it runs, its job, what it waits for) of each fiber; of one job's, if `wanted` is a job ID."""
    loop = select_loop()
    waits = {}
    for operation in operations():
        if operation.is_wait:
            waits.setdefault(operation.trigger, []).append(operation)
    found = []
    for task in map(Task, tasks_of(loop)):
        running = task.address == int(running_task(loop))
        job, waiting = fiber_title(task, running, waits)
        if wanted is None or job and job.id == wanted:
            found.append((task, running, job, waiting))
    return found


def task_name(task, job):
    return f"job {job.type}" if task.is_chain and job else f"task {task.name}"


def print_stack(task, running):
    if running:
        unwinder.leave()
    elif not task.has_begun():
        print("  it has not begun")
        return
    else:
        unwinder.enter(task)
    lines = gdb.execute("backtrace", to_string=True).splitlines()
    if not running:
        # The first frame is the thread's own.
        lines = lines[next((n for n, line in enumerate(lines) if line.startswith("#1")), 0):]
    for line in lines:
        print(f"  {line}")
        if f" {OUTERMOST} (" in line:
            break


def print_fiber(task, running, job, waiting):
    words = f"fiber {task.number}: {task_name(task, job)}" + (f", job {job.id}" if job else "") + f", {task.state}"
    print(words + (f": {waiting}" if waiting else ""))
    print_stack(task, running)
    if not running:
        unwinder.leave()


class Weft(gdb.Command):
    """The jobs and fibers of a weftd worker.

weft jobs           all jobs of this worker
weft job ID         one job: what it waits for, and the stacks of its fibers
weft fibers [ID]    all fibers, or those of one job: their job, state, and what they wait for
weft stacks [ID]    the same with their stacks
weft fiber NUMBER   goes into a fiber: backtrace, up, frame N, info locals then show it; frame 0 stays the thread's own
weft fiber off      goes back to the thread's own stack, as continuing the process does

A fiber's number is that of its operation, as `weft ps --json` shows it."""

    def __init__(self):
        super().__init__("weft", gdb.COMMAND_STACK, gdb.COMPLETE_NONE, True)

    def invoke(self, argument, from_tty):
        gdb.execute("help weft")


class Jobs(gdb.Command):
    """The jobs of this worker, those too that have ended and left something running (outlived)."""

    def __init__(self):
        super().__init__("weft jobs", gdb.COMMAND_STACK, gdb.COMPLETE_NONE)

    def invoke(self, argument, from_tty):
        select_loop()
        rows = [("JOB", "STATE", "TYPE", "QUEUE", "ATTEMPT", "HANDLER", "STRUCT WEFT_JOB")]
        for job in jobs_of(gdb.parse_and_eval(RUNNER)):
            rows.append((job.id, job.state, job.type, job.queue, str(job.attempt), job.handler, hex(job.address)))
        table(rows)


class OneJob(gdb.Command):
    """weft job ID: what a job waits for, and the stacks of its fibers."""

    def __init__(self):
        super().__init__("weft job", gdb.COMMAND_STACK, gdb.COMPLETE_NONE)

    def invoke(self, argument, from_tty):
        loop = select_loop()
        jobs = [job for job in jobs_of(gdb.parse_and_eval(RUNNER)) if job.id == argument.strip()]
        if not jobs:
            raise gdb.GdbError(f'this worker has no job "{argument.strip()}"; `weft jobs` lists those that it has')
        for job in jobs:
            print(f"job {job.id}, type {job.type}, queue {job.queue}, attempt {job.attempt}, {job.state}, handler {job.handler}")
        for operation in operations():
            owner = job_of(operation.context)
            if owner and owner.id == argument.strip() and not operation.is_wait:
                print(f"  holds its context: {operation_in_words(operation)}")
        for fiber in fibers(argument.strip()):
            print_fiber(*fiber)


class Fibers(gdb.Command):
    """weft fibers [ID]: all fibers of this worker, or those of one job."""

    def __init__(self):
        super().__init__("weft fibers", gdb.COMMAND_STACK, gdb.COMPLETE_NONE)

    def invoke(self, argument, from_tty):
        rows = [("FIBER", "STATE", "JOB", "NAME", "WAITS FOR")]
        for task, _, job, waiting in fibers(argument.strip() or None):
            rows.append((str(task.number), task.state, job.id if job else "-", task_name(task, job), waiting))
        table(rows)


class Stacks(gdb.Command):
    """weft stacks [ID]: all fibers of this worker, or those of one job, with their stacks."""

    def __init__(self):
        super().__init__("weft stacks", gdb.COMMAND_STACK, gdb.COMPLETE_NONE)

    def invoke(self, argument, from_tty):
        for fiber in fibers(argument.strip() or None):
            print_fiber(*fiber)


class Fiber(gdb.Command):
    """weft fiber NUMBER: goes into a fiber. weft fiber off: goes back to the thread's own stack."""

    def __init__(self):
        super().__init__("weft fiber", gdb.COMMAND_STACK, gdb.COMPLETE_NONE)

    def invoke(self, argument, from_tty):
        if argument.strip() == "off":
            unwinder.leave()
            return
        for task, running, job, waiting in fibers():
            if str(task.number) == argument.strip():
                print_fiber(task, running, job, waiting)
                if not running and task.has_begun():
                    unwinder.enter(task)
                    gdb.execute("frame 1", to_string=True)
                return
        raise gdb.GdbError(f'there is no fiber "{argument.strip()}"; `weft fibers` lists those that there are')


for command in (Weft, Jobs, OneJob, Fibers, Stacks, Fiber):
    command()
