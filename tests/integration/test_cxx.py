"""Plugins in C++: <weft/weft.hpp>, and what becomes of exceptions, wherever they are thrown."""

import os
import shutil
import subprocess

import pytest

from weft import ROOT, SANITIZED, WEFTD, Weftd, run, wait_for

HELLO = ROOT / "etc" / "plugin" / "hello.cpp"
THROWING = ROOT / "tests" / "integration" / "plugins" / "throwing.cpp"

# What each handler throws is why its attempt has failed. All but the last also run on a thread, where weft_offload() is refused.
REASONS = {
    "throw_runtime_error": "std::runtime_error: no such user",
    "throw_derived": "(anonymous namespace)::quota: quota: 100 of 100",
    "throw_sideways": "(anonymous namespace)::sideways: sideways",
    "throw_number": "int",
    "throw_text": "char const*: in words",
    "throw_struct": "(anonymous namespace)::overdrawn",
    "throw_again": "std::out_of_range: kept",
    "throw_no_memory": "std::bad_alloc: std::bad_alloc",
    "throw_in_a_scope": "std::runtime_error: in a scope",
    "throw_in_a_run": "std::runtime_error: in a run",
    "hand_on": "(anonymous namespace)::quota: quota: handed on",
}

BLOCKING = [name for name in REASONS if name != "hand_on"]


@pytest.fixture
def compile_cxx(tmp_path):
    """Compiles C++ source against the headers of the tree and gives the plugin's path."""
    def build(source, *flags, compiler="g++", standard="c++17"):
        plugin = tmp_path / f"{source.stem}-{compiler}-{standard}.so"
        done = run(compiler, f"-std={standard}", *flags, "-shared", "-fPIC", "-O1", "-g", "-Wall", "-Wextra", "-Wpedantic", "-Werror",
                   f"-I{ROOT}/context/include", f"-I{ROOT}/handlers/include", "-o", plugin, source)
        assert done.returncode == 0, done.stderr
        return str(plugin)

    return build


def throwing(plugin, **settings):
    """Settings for a weftd that runs each handler of the plugin as the type of its name, on the loop and on a thread."""
    names = [*REASONS, "throw_after_a_wait", "throw_in_a_task", "throw_in_a_callback", "throw_on_a_thread", "throw_when_deferred",
             "keep_a_secret", "explain", "fail_for_good", "ask_for_another", "nap", "run_threads"]
    jobs = {name: {"chain": [name]} for name in names}
    jobs |= {f"{name}_blocking": {"chain": [name], "blocking": True} for name in (*BLOCKING, "fail_for_good")}
    jobs |= {f"{name}_around": {"chain": ["around", name]} for name in ("throw_in_a_scope", "throw_in_a_run", "fail_for_good")}
    jobs["end_the_thread"] = {"chain": ["end_the_thread"], "blocking": True}
    return {"plugins": [plugin], "jobs": jobs, "defaults": {"attempts": 3, "backoff": {"base": "1ms", "max": "2ms", "jitter": 0}}} | settings


@pytest.mark.parametrize("standard", ["c++17", "c++20"])
@pytest.mark.parametrize("compiler", ["g++", "clang++"])
def test_the_example_compiles_without_warnings_and_runs(redis, start_weftd, compile_cxx, compiler, standard):
    plugin = compile_cxx(HELLO, compiler=compiler, standard=standard)
    weftd = start_weftd(plugins=[plugin], jobs={"greeting": {"chain": ["compose", "greet"]}, "german": {"chain": ["compose", "greet_in_german"]},
                                                "count": {"chain": ["count"]}})
    greeting, nobody = redis.enqueue("greeting", name="Ada"), redis.enqueue("greeting")
    german, count = redis.enqueue("german", name="Ada"), redis.enqueue("count")
    assert redis.wait_for_state(greeting, "done")["result"] == '{"greeted":true}'
    assert redis.wait_for_state(nobody, "dead")["error"] == 'the message has no "name": who is to be greeted?'
    assert redis.wait_for_state(german, "done")["result"] == '{"greeted":"in German"}'
    assert redis.wait_for_state(count, "done")["result"] == "5050"
    line = weftd.wait_for_line("Good day, Ada", greeting)
    assert line["ctx"]["tone"] == "polite"
    assert "tone" not in weftd.wait_for_line(f"remembered Ada of {greeting}", greeting)["ctx"]
    assert weftd.find("Guten Tag, Ada", german)


def test_an_exception_that_leaves_a_handler_is_a_failed_attempt_in_its_own_words(redis, start_weftd, compile_cxx):
    weftd = start_weftd(**throwing(compile_cxx(THROWING)))
    before = weftd.worker_pids()
    jobs = {name: redis.enqueue(name) for name in (*REASONS, *(f"{name}_blocking" for name in BLOCKING))}
    for name, job in jobs.items():
        handler = name.removesuffix("_blocking")
        report = redis.wait_for_state(job, "dead")
        assert report["error"] == f"{handler}: {REASONS[handler]}"
        assert report["attempt"] == "3"
    assert "std::out_of_range: " in redis.wait_for_state(redis.enqueue("throw_after_a_wait"), "dead")["error"]
    assert weftd.worker_pids() == before


@pytest.mark.parametrize("flags", [["-static-libstdc++", "-static-libgcc"], ["-fno-rtti"], ["-O3", "-fvisibility=hidden", "-flto"]],
                         ids=["runtime_of_its_own", "no_rtti", "hidden"])
def test_so_is_one_of_a_plugin_that_is_built_in_another_way(redis, start_weftd, compile_cxx, flags):
    weftd = start_weftd(**throwing(compile_cxx(THROWING, *flags)))
    before = weftd.worker_pids()
    jobs = {name: redis.enqueue(name) for name in REASONS}
    secrets = [redis.enqueue("keep_a_secret") for _ in range(20)]
    for name, job in jobs.items():
        assert redis.wait_for_state(job, "dead")["error"].startswith(f"{name}: ")
    assert redis.report(jobs["throw_runtime_error"])["error"] == "throw_runtime_error: std::runtime_error: no such user"
    for job in secrets:
        redis.wait_for_state(job, "done", "dead")
        assert redis.report(job)["state"] == "done"
    assert weftd.worker_pids() == before


def test_an_exception_of_the_rest_of_the_chain_is_a_result_to_middleware(redis, start_weftd, compile_cxx):
    weftd = start_weftd(**throwing(compile_cxx(THROWING)))
    for name in ("throw_in_a_scope", "throw_in_a_run"):
        job = redis.enqueue(f"{name}_around", attempts=1)
        assert redis.wait_for_state(job, "dead")["error"] == f"{name}: {REASONS[name]}"
        assert weftd.messages(job).count("around: -71, inner is gone") == 1
    assert redis.wait_for_state(redis.enqueue("fail_for_good_around"), "dead")["error"] == "cannot be mended"


def test_where_nobody_gets_it_an_exception_is_logged_and_the_worker_goes_on(redis, start_weftd, compile_cxx):
    weftd = start_weftd(**throwing(compile_cxx(THROWING)))
    before = weftd.worker_pids()
    for name, message, words, result in (
            ("throw_in_a_task", "an exception has ended a task", "in a task", "joined: -71"),
            ("throw_in_a_callback", "an exception has ended a callback", "in a callback", None),
            ("throw_on_a_thread", "an exception has ended a function on a thread", "on a thread", "offloaded: 0, -71"),
            ("throw_when_deferred", "an exception has ended a deferred function", "deferred", None)):
        job = redis.enqueue(name)
        redis.wait_for_state(job, "done")
        line = weftd.wait_for_line(message, job)
        assert (line["level"], line["data"]["error"]) == ("error", f"std::runtime_error: {words}")
        assert result is None or weftd.find(result, job)
    assert weftd.worker_pids() == before


@pytest.mark.skipif(SANITIZED, reason="the address sanitizer takes frames left by a plugin that it has not compiled for live")
def test_a_handler_that_ends_its_thread_has_failed(redis, start_weftd, compile_cxx):
    weftd = start_weftd(**throwing(compile_cxx(THROWING)))
    before = weftd.worker_pids()
    report = redis.wait_for_state(redis.enqueue("end_the_thread"), "dead")
    assert report["error"] == "end_the_thread: has ended its thread, by pthread_exit() or pthread_cancel(), and not returned"
    assert report["attempt"] == "3"
    redis.wait_for_state(redis.enqueue("fail_for_good_blocking"), "dead")
    assert weftd.worker_pids() == before


def test_jobs_that_wait_in_handlers_do_not_see_each_others_exceptions(redis, start_weftd, compile_cxx):
    start_weftd(**throwing(compile_cxx(THROWING)))
    for job in [redis.enqueue("keep_a_secret") for _ in range(100)]:
        redis.wait_for_state(job, "done", "dead")
        assert redis.report(job)["state"] == "done"


def test_exceptions_with_a_meaning_mean_it(redis, start_weftd, compile_cxx):
    weftd = start_weftd(**throwing(compile_cxx(THROWING)))
    for name in ("fail_for_good", "fail_for_good_blocking"):
        report = redis.wait_for_state(redis.enqueue(name), "dead")
        assert (report["error"], report["attempt"]) == ("cannot be mended", "1")
    assert redis.wait_for_state(redis.enqueue("ask_for_another"), "done")["attempt"] == "3"
    explained = redis.enqueue("explain")
    assert redis.wait_for_state(explained, "done")["attempt"] == "2"
    assert [line["data"]["error"] for line in weftd.find("job failed", explained)] == ["the printer is out of ink"]
    timed_out = redis.enqueue("nap", timeout="50ms", attempts=1)
    assert redis.wait_for_state(timed_out, "dead")["error"] == "timed out after 50 ms"
    cancelled = redis.enqueue("nap")
    weftd.wait_for_line("naps", cancelled)
    assert weftd.cli("cancel", cancelled).returncode == 0
    redis.wait_for_state(cancelled, "cancelled")
    threads = redis.enqueue("run_threads")
    redis.wait_for_state(threads, "done")
    assert weftd.messages(threads).count("a thread has caught one") == 4


# ---- Under tools ----


def start_under(weftd, command, environment):
    """Starts weftd by a command that it is the last words of."""
    with open(weftd.stderr, "a") as stderr:
        weftd.process = subprocess.Popen([*command, str(WEFTD), "-c", str(weftd.config)], stdin=subprocess.DEVNULL, stdout=stderr, stderr=stderr,
                                         cwd=weftd.folder, env=os.environ | environment)
    weftd.starts += 1
    wait_for(lambda: weftd.process.poll() is not None or weftd.ready_lines() == weftd.starts, "weftd is ready")
    assert weftd.process.poll() is None, weftd.stderr.read_text()


@pytest.mark.skipif(SANITIZED, reason="weftd has a sanitizer of its own")
def test_a_plugin_with_the_address_sanitizer_runs_clean_in_a_weftd_without(redis, tmp_path, compile_cxx):
    plugin = compile_cxx(THROWING, "-fsanitize=address", "-fno-omit-frame-pointer")
    # The sanitizer looks for what throws when it starts, and weftd has no C++ by itself.
    libraries = [os.path.realpath(run("g++", f"-print-file-name={name}").stdout.strip()) for name in ("libasan.so", "libstdc++.so.6")]
    weftd = Weftd(tmp_path, redis.url, **throwing(plugin))
    start_under(weftd, [], {"LD_PRELOAD": " ".join(libraries), "ASAN_OPTIONS": "detect_stack_use_after_return=1:detect_leaks=0"})
    jobs = {name: redis.enqueue(name) for name in (*REASONS, *(f"{name}_blocking" for name in BLOCKING))}
    secrets = [redis.enqueue("keep_a_secret") for _ in range(50)]
    for name, job in jobs.items():
        handler = name.removesuffix("_blocking")
        assert redis.wait_for_state(job, "dead")["error"] == f"{handler}: {REASONS[handler]}"
    for job in secrets:
        assert redis.wait_for_state(job, "done", "dead")["state"] == "done"
    for name in ("throw_in_a_task", "throw_in_a_callback", "throw_on_a_thread", "throw_when_deferred", "run_threads"):
        redis.wait_for_state(redis.enqueue(name), "done")
    assert weftd.stop() == 0
    weftd.assert_clean()


@pytest.mark.skipif(SANITIZED or not shutil.which("valgrind"), reason="valgrind, and a weftd without sanitizers")
def test_a_worker_starts_and_works_under_valgrind(redis, tmp_path, compile_cxx):
    weftd = Weftd(tmp_path, redis.url, **throwing(compile_cxx(THROWING)), watchdog=None)
    start_under(weftd, ["valgrind", "--quiet", "--trace-children=yes", "--error-exitcode=99"], {})
    jobs = {name: redis.enqueue(name, attempts=1) for name in ("throw_runtime_error", "throw_in_a_run")}
    for name, job in jobs.items():
        assert redis.wait_for_state(job, "dead")["error"] == f"{name}: {REASONS[name]}"
    redis.wait_for_state(redis.enqueue("keep_a_secret"), "done")
    assert weftd.stop() == 0
    weftd.assert_clean()
