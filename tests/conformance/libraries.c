/* Shared objects that come and go, and are called what they like: what is remembered of code is true of that code only.
 */
#include <dlfcn.h>
#include <pthread.h>
#include <semaphore.h>

#include <event2/event.h>

#include "context/propagate/propagate.h"
#include "tests/conformance/harness.h"

struct module {
    void *handle;
    const char *(*literal)(void);
    const char *(*get)(void);
    struct event *(*arm)(struct event_base *base, const char **ret_seen);
};

static struct module load(const char *path)
{
    struct module module = {.handle = dlopen(path, RTLD_NOW | RTLD_LOCAL)};

    if (!module.handle)
        fail_msg("%s", dlerror());
    module.literal = (const char *(*)(void))(uintptr_t)dlsym(module.handle, "module_literal");
    module.get = (const char *(*)(void))(uintptr_t)dlsym(module.handle, "module_get");
    module.arm = (struct event * (*)(struct event_base *, const char **))(uintptr_t)dlsym(module.handle, "module_arm");
    assert_non_null(module.literal);
    assert_non_null(module.get);
    assert_non_null(module.arm);
    return module;
}

static void unload(const struct module *module)
{
    assert_int_equal(dlclose(module->handle), 0);
}

static int set_names(void *arg)
{
    (void)arg;
    return weft_set("a", "of the context") || weft_set("one", "value one") || weft_set("two", "value two");
}

/* ---- What they are called ---- */

static int arm_in_context(void *arg)
{
    struct module *module = arg;
    struct event_base *base = event_base_new();
    const char *seen = NULL;

    EXPECT_EQUAL(weft_set("a", "of the context"), 0);
    struct event *event = module->arm(base, &seen);
    EXPECT(event != NULL);
    EXPECT_EQUAL(event_base_dispatch(base), 1);
    EXPECT_TEXT(seen, "of the context");
    event_free(event);
    event_base_free(base);
    return 0;
}

static void a_timer_is_followed_whatever_its_library_is_called(void)
{
    static const char *const paths[] = {MODULE_ONE, MODULE_CALLED_LIBEVENTS, MODULE_CALLED_LIBEVENT_CORE};

    for (size_t i = 0; i < sizeof(paths) / sizeof(*paths); i++) {
        struct module module = load(paths[i]);

        EXPECT_EQUAL(weft_run(arm_in_context, &module), 0);
        unload(&module);
    }
}

static void libevents_own_libraries_are_infrastructure(void)
{
    EXPECT(propagate_exempts((const void *)(uintptr_t)dlsym(RTLD_NEXT, "event_base_new")));
    EXPECT(propagate_exempts((const void *)(uintptr_t)dlsym(RTLD_NEXT, "event_add")));
    EXPECT(propagate_exempts((const void *)(uintptr_t)dlsym(RTLD_NEXT, "evhttp_new")));
    EXPECT(propagate_exempts((const void *)(uintptr_t)dlsym(RTLD_NEXT, "evdns_base_new")));
    EXPECT(propagate_exempts((const void *)(uintptr_t)dlsym(RTLD_NEXT, "evthread_use_pthreads")));
    EXPECT(!propagate_exempts((const void *)(uintptr_t)dlsym(RTLD_NEXT, "qsort")));
    EXPECT(!propagate_exempts((const void *)(uintptr_t)arm_in_context));
}

/* ---- What was at their address before ---- */

/* Loads one after the other until the second has the first one's place. The linker puts it there as a rule. */
static void one_after_the_other(const char *first_path, const char *second_path,
                                void (*use)(const struct module *module, int turn))
{
    enum { ATTEMPTS = 8 };
    bool was_in_place = false;

    for (int i = 0; i < ATTEMPTS && !was_in_place; i++) {
        struct module first = load(first_path);
        const char *literal = first.literal();

        use(&first, 0);
        unload(&first);
        struct module second = load(second_path);
        was_in_place = second.literal() == literal;
        use(&second, 1);
        unload(&second);
    }
    EXPECT(was_in_place);
}

static void get_by_turn(const struct module *module, int turn)
{
    EXPECT_TEXT(module->get(), turn == 0 ? "value one" : "value two");
    EXPECT_TEXT(module->get(), turn == 0 ? "value one" : "value two");
}

static int get_from_both(void *arg)
{
    EXPECT_EQUAL(set_names(arg), 0);
    one_after_the_other(MODULE_ONE, MODULE_TWO, get_by_turn);
    return 0;
}

static void a_literal_gives_its_own_value_where_another_ones_was(void)
{
    EXPECT_EQUAL(weft_run(get_from_both, NULL), 0);
}

/* A thread that has seen the first literal sees the second one, too, though it has neither loaded nor unloaded. */
struct onlooker {
    struct weft_context *context;
    const char *(*get)(void);
    const char *seen;
    sem_t ask, answer;
};

static int look_in_context(void *arg)
{
    struct onlooker *onlooker = arg;

    onlooker->seen = onlooker->get();
    return 0;
}

static void *look_when_asked(void *arg)
{
    struct onlooker *onlooker = arg;

    for (;;) {
        while (sem_wait(&onlooker->ask) < 0)
            continue;
        if (!onlooker->get)
            return NULL;
        (void)weft_run_in(onlooker->context, look_in_context, onlooker);
        (void)sem_post(&onlooker->answer);
    }
}

static struct onlooker onlooker;

static void have_looked(const struct module *module, int turn)
{
    onlooker.get = module->get;
    (void)sem_post(&onlooker.ask);
    while (sem_wait(&onlooker.answer) < 0)
        continue;
    EXPECT_TEXT(onlooker.seen, turn == 0 ? "value one" : "value two");
}

static int have_thread_look(void *arg)
{
    pthread_t thread;

    EXPECT_EQUAL(set_names(arg), 0);
    onlooker = (struct onlooker){.context = weft_capture()};
    assert_int_equal(sem_init(&onlooker.ask, 0, 0), 0);
    assert_int_equal(sem_init(&onlooker.answer, 0, 0), 0);
    assert_int_equal(pthread_create(&thread, NULL, look_when_asked, &onlooker), 0);
    one_after_the_other(MODULE_ONE, MODULE_TWO, have_looked);
    onlooker.get = NULL;
    (void)sem_post(&onlooker.ask);
    assert_int_equal(pthread_join(thread, NULL), 0);
    (void)weft_context_unref(onlooker.context);
    (void)sem_destroy(&onlooker.ask);
    (void)sem_destroy(&onlooker.answer);
    return 0;
}

static void so_it_does_on_a_thread_that_did_not_load_it(void)
{
    EXPECT_EQUAL(weft_run(have_thread_look, NULL), 0);
}

static void exempt_the_first(const struct module *module, int turn)
{
    const void *code = (const void *)(uintptr_t)module->get;

    if (turn == 0)
        propagate_exempt(code);
    EXPECT_EQUAL(propagate_exempts(code), turn == 0);
}

static void a_library_is_not_exempt_because_another_was_in_its_place(void)
{
    one_after_the_other(MODULE_ONE, MODULE_TWO, exempt_the_first);
    one_after_the_other(MODULE_ONE, MODULE_ONE, exempt_the_first);
}

/* ---- Threads that end ---- */

static int get_many(void *arg)
{
    (void)arg;
    EXPECT_EQUAL(weft_set("a", "1"), 0);
    EXPECT_TEXT(weft_get("a"), "1");
    return 0;
}

static void *remember_and_end(void *arg)
{
    EXPECT_EQUAL(weft_run(get_many, NULL), 0);
    return arg;
}

static void what_ended_threads_remembered_is_let_go(void)
{
    for (int i = 0; i < 20; i++) {
        pthread_t thread;

        assert_int_equal(pthread_create(&thread, NULL, remember_and_end, NULL), 0);
        assert_int_equal(pthread_join(thread, NULL), 0);
        struct module module = load(MODULE_ONE);
        unload(&module);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CONFORMANCE_CASE(a_timer_is_followed_whatever_its_library_is_called),
        CONFORMANCE_CASE(libevents_own_libraries_are_infrastructure),
        CONFORMANCE_CASE(a_literal_gives_its_own_value_where_another_ones_was),
        CONFORMANCE_CASE(so_it_does_on_a_thread_that_did_not_load_it),
        CONFORMANCE_CASE(a_library_is_not_exempt_because_another_was_in_its_place),
        CONFORMANCE_CASE(what_ended_threads_remembered_is_let_go),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
