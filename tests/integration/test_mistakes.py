"""Mistakes in the configuration: weftd does not start, and says where the mistake is and what would be right."""

import re
import shutil

import pytest

from weft import EXAMPLES, ROOT, SANITIZED, WEFTD, run

GOOD = "redis: {url: unix:///tmp/nobody.sock}\n"


def refuse(tmp_path, text, *options):
    """What weftd prints about a file that it must refuse, without the file's name: LINE:COLUMN: MESSAGE."""
    config = tmp_path / "bad.yaml"
    config.write_text(text)
    done = run(WEFTD, "-c", config, *options)
    assert (done.returncode, done.stdout) == (78, "")
    line, = done.stderr.splitlines()
    assert line.startswith(f"weftd: {config}:")
    return line.removeprefix(f"weftd: {config}:")


@pytest.mark.parametrize("options", [(), ("--check",)], ids=["start", "check"])
@pytest.mark.parametrize("text, message", [
    ("worker: 2\n", '1:1: unknown key "worker"; did you mean "workers"?'),
    ("workers: many\n", '1:10: "workers" must be a whole number between 1 and 1024, not "many"'),
    (GOOD + "log:\n  level: loud\n", '3:10: "log.level" must be debug, info, warn or error, not "loud"'),
    (GOOD + "jobs:\n  mail: {chain: send}\n",
     '3:17: "jobs.mail.chain" must be a list of one or more handler names, not "send"'),
    (GOOD + "lease: 30\n", '2:8: "lease" must be a duration between 2s and 1d (units: ms, s, m, h, d), not "30"'),
], ids=["unknown_key", "not_a_number", "not_a_choice", "not_a_list", "no_unit"])
def test_a_mistake_is_shown_with_its_place_and_what_would_be_right(tmp_path, text, message, options):
    assert refuse(tmp_path, text, *options) == message


def test_invalid_yaml_is_shown_with_its_place(tmp_path):
    assert refuse(tmp_path, "workers: [2\n").startswith("2:1: this is not valid YAML: ")


def test_an_unknown_handler_in_a_chain_is_shown_where_it_stands(tmp_path):
    text = GOOD + f"plugins: [{EXAMPLES}]\njobs:\n  mail: {{chain: [noop, sned]}}\n"
    assert refuse(tmp_path, text) == (
        '4:24: no plugin has a handler "sned"; correct the name, or add its plugin under "plugins"')


def test_a_missing_plugin_is_shown_where_it_stands(tmp_path):
    message = refuse(tmp_path, GOOD + f"plugins:\n  - {tmp_path}/none.so\n")
    assert message.startswith(f"3:5: plugin {tmp_path}/none.so: it cannot be loaded: ")
    assert "No such file or directory" in message


def test_a_shared_object_that_is_no_plugin_is_refused(tmp_path, compile_plugin):
    plugin = compile_plugin("alien", "int alien;\n")
    assert refuse(tmp_path, GOOD + f"plugins: [{plugin}]\n") == (
        f"2:11: plugin {plugin}: it has no descriptor; a plugin is made with WEFT_PLUGIN() of <weft/weft.h>")


def test_a_plugin_of_another_abi_is_refused_with_both_numbers(tmp_path, compile_plugin):
    plugin = compile_plugin("old", """
        #include <weft/weft.h>
        static const struct weft_handler handlers[] = {{NULL, NULL}};
        WEFT_API extern const struct weft_plugin weft_plugin;
        WEFT_API const struct weft_plugin weft_plugin = {999, sizeof(struct weft_plugin), "old", handlers, NULL, NULL};
        """)
    assert refuse(tmp_path, GOOD + f"plugins: [{plugin}]\n") == (
        f"2:11: plugin {plugin}: it was built for ABI 999 (descriptor of 40 bytes), and this weftd has ABI 1 (40 bytes); "
        "build it again with this version's headers")


def test_two_plugins_with_one_handler_are_refused(tmp_path, compile_plugin):
    source = """
        #include <weft/weft.h>
        static int run(struct weft_job *job) { (void)job; return 0; }
        WEFT_PLUGIN("twin", WEFT_HANDLER("run", run));
        """
    first, second = compile_plugin("first", source), compile_plugin("second", source)
    assert refuse(tmp_path, GOOD + f"plugins:\n  - {first}\n  - {second}\n") == (
        f'4:5: plugin {second}: the handler "run" is already there, from {first}; rename one')


PLAIN_PLUGIN = """
    #include <event2/event.h>
    #include <weft/weft.h>
    %s
    static int run(struct weft_job *job) { (void)job; return event_add(NULL, NULL); }
    WEFT_PLUGIN("plain", WEFT_HANDLER("run", run));
    """


def test_a_plugin_with_a_libevent_of_its_own_is_refused(tmp_path, compile_plugin):
    plugin = compile_plugin("static", PLAIN_PLUGIN % """
        int event_add(struct event *event, const struct timeval *timeout) { (void)event; (void)timeout; return 0; }
        """, "-Wl,-Bsymbolic")
    assert refuse(tmp_path, GOOD + f"plugins: [{plugin}]\n") == (
        f"2:11: plugin {plugin}: {plugin} has an event_add() of its own: libevent is linked into it statically, and what it "
        "schedules would lose its context; link it with the shared library")


@pytest.mark.skipif(SANITIZED, reason="sanitizers refuse such a library themselves, and end the process")
def test_a_plugin_that_loads_past_weft_is_refused(tmp_path, compile_plugin):
    inner = compile_plugin("inner", """
        #include <event2/event.h>
        int inner(void);
        int inner(void) { return event_add(NULL, NULL); }
        """, "-levent_core")
    plugin = compile_plugin("outer", PLAIN_PLUGIN % f"""
        #include <dlfcn.h>
        #define DEEPBIND 8 /* RTLD_DEEPBIND, which wants _GNU_SOURCE before all headers */
        __attribute__((constructor)) static void load(void) {{ (void)dlopen("{inner}", RTLD_NOW | DEEPBIND); }}
        """, "-levent_core", "-ldl")
    said = refuse(tmp_path, GOOD + f"plugins: [{plugin}]\n")
    assert re.sub(r"of \S*/libevent_core\S+,", "of libevent's,", said) == (
        f"2:11: plugin {plugin}: {inner} calls the event_add() of libevent's, past weft's, as after dlopen() with "
        "RTLD_DEEPBIND: what it schedules would lose its context")


def test_a_plugin_may_be_called_as_libevent_is(tmp_path, compile_plugin):
    plugin = compile_plugin("libevents", PLAIN_PLUGIN % "", "-levent_core")
    (tmp_path / "weftd.yaml").write_text(GOOD + f"plugins: [{plugin}]\n")
    done = run(WEFTD, "--check", "-c", tmp_path / "weftd.yaml")
    assert (done.returncode, done.stderr) == (0, "")


def test_a_file_that_is_not_there_is_named(tmp_path):
    done = run(WEFTD, "-c", tmp_path / "none.yaml")
    assert done.returncode == 78
    assert str(tmp_path / "none.yaml") in done.stderr and "No such file or directory" in done.stderr


def test_the_configuration_of_the_examples_is_good(tmp_path):
    config = shutil.copy(ROOT / "etc" / "examples.yaml", tmp_path)
    shutil.copy(EXAMPLES, tmp_path)
    done = run(WEFTD, "--check", "-c", config)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{config}: ok\n", "")


def test_the_configuration_that_is_installed_is_good(installed):
    config, = installed.rglob("etc/weft/weftd.yaml")
    done = run(WEFTD, "--check", "-c", config)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{config}: ok\n", "")
