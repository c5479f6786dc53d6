/* Handlers that throw: plain ones, which know nothing of <weft/weft.hpp>, and some that do. */
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <pthread.h>

#include <weft/weft.hpp>

using namespace std::chrono_literals;

namespace
{

/* Of no standard type, and of a namespace without a name in a backtrace. */
struct overdrawn {
    int amount;
};

class quota : public std::runtime_error
{
  public:
    explicit quota(const std::string &words) : std::runtime_error("quota: " + words)
    {
    }
};

struct other_base {
    virtual ~other_base() = default;
    int number = 0;
};

/* Its std::exception is not where it begins. */
class sideways : public other_base, public std::logic_error
{
  public:
    sideways() : std::logic_error("sideways")
    {
    }
};

int throw_runtime_error(weft_job *)
{
    throw std::runtime_error("no such user");
}

int throw_derived(weft_job *)
{
    throw quota("100 of 100");
}

int throw_sideways(weft_job *)
{
    throw sideways();
}

int throw_number(weft_job *)
{
    throw 42;
}

int throw_text(weft_job *)
{
    throw "in words";
}

int throw_struct(weft_job *)
{
    throw overdrawn{7};
}

int throw_again(weft_job *)
{
    std::exception_ptr kept;

    try {
        throw std::out_of_range("kept");
    } catch (...) {
        kept = std::current_exception();
    }
    (void)weft_sleep_ms(1);
    std::rethrow_exception(kept);
}

int throw_after_a_wait(weft_job *)
{
    std::vector<int> numbers(100, 1);

    (void)weft_sleep_ms(5);
    return numbers.at(1000);
}

int throw_no_memory(weft_job *)
{
    throw std::bad_alloc();
}

int throw_in_a_scope(weft_job *)
{
    WEFT_SCOPE();
    (void)weft_set("inner", "1");
    throw std::runtime_error("in a scope");
}

int throw_in_a_run(weft_job *)
{
    weft::run_with("inner", "1", [] { throw std::runtime_error("in a run"); });
    return 0;
}

/* Middleware goes on after the rest of its chain has thrown. */
int around(weft_job *job)
{
    int result = weft_next(job);

    weft_info("around: %d, inner %s", result, weft_get("inner") ? "is there" : "is gone");
    return result;
}

int throw_in_a_task(weft_job *)
{
    weft_task *task = weft_spawn(
        "subtask",
        [](void *) -> int {
            (void)weft_sleep_ms(1);
            throw std::runtime_error("in a task");
        },
        nullptr);
    int result = 0;

    (void)weft_join(task, &result);
    weft_info("joined: %d", result);
    return 0;
}

int throw_in_a_callback(weft_job *)
{
    (void)weft_call_soon([](void *) { throw std::runtime_error("in a callback"); }, nullptr);
    return weft_sleep_ms(20);
}

int throw_on_a_thread(weft_job *)
{
    int result = 0, r = weft_offload([](void *) -> int { throw std::runtime_error("on a thread"); }, nullptr, &result);

    weft_info("offloaded: %d, %d", r, result);
    return 0;
}

int throw_when_deferred(weft_job *job)
{
    return weft_defer(
        job, [](void *) { throw std::runtime_error("deferred"); }, nullptr);
}

/* Waits in a handler with a secret, which another job must not see. */
int keep_a_secret(weft_job *job)
{
    std::string secret = "secret of " + std::string(weft_job_id(job));

    try {
        throw std::runtime_error(secret);
    } catch (const std::exception &) {
        for (int i = 0; i < 10; i++)
            (void)weft_sleep_ms(1);
        try {
            throw;
        } catch (const std::exception &again) {
            return again.what() == secret ? 0 : weft_fail(job, "has seen the %s", again.what());
        }
    }
}

void fail_for_good(weft::job &)
{
    throw weft::failure("cannot be mended");
}

void ask_for_another(weft::job &job)
{
    if (job.attempt() < 3)
        throw weft::retry(1ms, "not yet");
}

int explain(weft_job *job)
{
    return weft_job_attempt(job) < 2 ? weft_explain(job, -EAGAIN, "the printer is out of %s", "ink") : 0;
}

/* Long enough to be cancelled; what waits inside throws. */
void nap(weft::job &)
{
    weft_info("naps");
    weft::sleep_for(60s);
}

void hand_on(weft::job &)
{
    weft::offload([] { throw quota("handed on"); });
}

int end_the_thread(weft_job *)
{
    pthread_exit(nullptr);
}

void run_threads(weft::job &)
{
    std::vector<std::thread> threads;

    for (int i = 0; i < 4; i++)
        threads.emplace_back([] {
            try {
                throw std::runtime_error("caught");
            } catch (const std::exception &exception) {
                weft_info("a thread has %s one", exception.what());
            }
        });
    for (std::thread &thread : threads)
        thread.join();
}

} // namespace

#define PLAIN(function_) WEFT_HANDLER(#function_, function_)

WEFT_PLUGIN("throwing", PLAIN(throw_runtime_error), PLAIN(throw_derived), PLAIN(throw_sideways), PLAIN(throw_number),
            PLAIN(throw_text), PLAIN(throw_struct), PLAIN(throw_again), PLAIN(throw_after_a_wait),
            PLAIN(throw_no_memory), PLAIN(throw_in_a_scope), PLAIN(throw_in_a_run), PLAIN(around),
            PLAIN(throw_in_a_task), PLAIN(throw_in_a_callback), PLAIN(throw_on_a_thread), PLAIN(throw_when_deferred),
            PLAIN(keep_a_secret), PLAIN(end_the_thread), PLAIN(explain), weft::handler<fail_for_good>("fail_for_good"),
            weft::handler<ask_for_another>("ask_for_another"), weft::handler<nap>("nap"),
            weft::handler<hand_on>("hand_on"), weft::handler<run_threads>("run_threads"));
