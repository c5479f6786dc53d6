/*
 * weft for C++ (17 and later): the functions of <weft/weft.h> with scopes that end by themselves, lambdas, and
 * exceptions. There is nothing to link.
 *
 *     #include <weft/weft.hpp>
 *
 *     WEFT_PLUGIN("hello", weft::handler("greet", [](weft::job &job) {
 *         weft_info("Good day, %s", job.id());
 *         weft::sleep_for(std::chrono::milliseconds(20));
 *     }));
 *
 * An exception that leaves a handler fails the attempt, with its type and what() for a reason; weft::failure fails the
 * job for good, weft::retry asks for the next attempt. Exceptions pass through weft::run() and its kin, which put the
 * context back. They do not pass from one task, or thread, to another by themselves: weft::offload() and weft::await()
 * hand them on, the others log them. What fails with a negative errno in C throws a std::system_error here, and a
 * weft::interrupted where the task was cancelled or has run out of time.
 */
#pragma once

#include <chrono>
#include <exception>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <utility>

#include <cxxabi.h>

#include <weft/weft.h>

#if defined(__cpp_impl_coroutine) && __has_include(<coroutine>)
#include <coroutine>
#define WEFT_HAS_COROUTINES 1
#else
#define WEFT_HAS_COROUTINES 0
#endif

namespace weft
{

/* ---- Errors ---- */

/* A wait that ended because the task was cancelled (ECANCELED) or has run out of time (ETIME). Leaving the handler, it
 * is no failure of the handler's. */
class interrupted : public std::system_error
{
  public:
    explicit interrupted(int error) : std::system_error(error, std::generic_category())
    {
    }
};

/* Thrown in a handler: the job has failed for good, and becomes a dead letter. */
class failure : public std::runtime_error
{
  public:
    using std::runtime_error::runtime_error;
};

/* Thrown in a handler: the attempt has failed, and the next one is to begin after a delay. */
class retry : public std::runtime_error
{
  public:
    retry(std::chrono::milliseconds delay, const std::string &reason) : std::runtime_error(reason), delay_(delay)
    {
    }

    std::chrono::milliseconds delay() const noexcept
    {
        return delay_;
    }

  private:
    std::chrono::milliseconds delay_;
};

/* Gives a result of weft's back, or throws what a negative one stands for. */
inline int check(int result)
{
    if (result == -ECANCELED || result == -ETIME)
        throw interrupted(-result);
    if (result < 0)
        throw std::system_error(-result, std::generic_category());
    return result;
}

/* ---- Calls through C ---- */

namespace detail
{

template <typename Function> using result_of = std::invoke_result_t<Function &>;

/* A function object as a function and its argument. It is left to whoever calls to keep it. */
template <typename Function, typename Result = result_of<Function>> struct call {
    static_assert(!std::is_reference_v<Result>, "give a pointer or a value: the reference would have to be kept");

    Function &function;
    std::optional<Result> result{};

    static int enter(void *arg)
    {
        call *self = static_cast<call *>(arg);

        self->result.emplace(self->function());
        return 0;
    }

    Result take()
    {
        return std::move(*result);
    }
};

template <typename Function> struct call<Function, void> {
    Function &function;

    static int enter(void *arg)
    {
        static_cast<call *>(arg)->function();
        return 0;
    }

    void take()
    {
    }
};

/* One that is kept until it has been called, once. */
template <typename Function> struct kept {
    Function function;

    static int enter(void *arg)
    {
        std::unique_ptr<kept> self(static_cast<kept *>(arg));

        try {
            if constexpr (std::is_void_v<result_of<Function>>)
                self->function();
            else
                return self->function();
        } catch (const interrupted &interrupted) {
            return -interrupted.code().value();
        }
        return 0;
    }

    static void enter_void(void *arg)
    {
        (void)enter(arg);
    }
};

/* Gives it to start(fn, arg), which gives a negative errno where fn will not be called. */
template <typename Function, typename Start> void keep_for(Function &&function, Start &&start)
{
    using kept_function = kept<std::decay_t<Function>>;

    std::unique_ptr<kept_function> record(new kept_function{std::forward<Function>(function)});
    check(start(record.get()));
    (void)record.release();
}

} // namespace detail

/* ---- Values ---- */

/* The value called `name`; none where the context has none. Valid as weft_get()'s is. */
inline std::optional<std::string_view> get(const char *name)
{
    size_t size = 0;
    const void *value = weft_get_bytes(name, &size);

    if (!value)
        return std::nullopt;
    return std::string_view(static_cast<const char *>(value), size);
}

/* Sets it for the rest of the innermost run, scope, task, callback or handler. */
inline void set(const char *name, std::string_view value)
{
    check(weft_set_bytes(name, value.data() ? value.data() : "", value.size()));
}

inline void unset(const char *name)
{
    check(weft_unset(name));
}

/* ---- Scopes, runs, contexts ---- */

/* What is set while it lives is undone when it ends. On the stack only, and not across a co_await. */
class scope
{
  public:
    scope()
    {
        weft_scope_begin(&scope_);
    }
    ~scope()
    {
        (void)weft_scope_end(&scope_);
    }
    scope(const scope &) = delete;
    scope &operator=(const scope &) = delete;

  private:
    weft_scope scope_;
};

/* A captured context; empty: the root. */
class context
{
  public:
    context() noexcept = default;
    context(const context &other) noexcept : context_(weft_context_ref(other.context_))
    {
    }
    context(context &&other) noexcept : context_(std::exchange(other.context_, nullptr))
    {
    }
    ~context()
    {
        (void)weft_context_unref(context_);
    }

    context &operator=(context other) noexcept
    {
        std::swap(context_, other.context_);
        return *this;
    }

    /* The one that is current. */
    static context current() noexcept
    {
        context captured;

        captured.context_ = weft_capture();
        return captured;
    }

    explicit operator bool() const noexcept
    {
        return context_ != nullptr;
    }
    weft_context *get() const noexcept
    {
        return context_;
    }

  private:
    weft_context *context_ = nullptr;
};

/* Calls function() in a scope of its own and gives its result: what it sets is undone when it returns, or throws. */
template <typename Function> auto run(Function &&function)
{
    detail::call<std::remove_reference_t<Function>> call{function};

    (void)weft_run(call.enter, &call);
    return call.take();
}

/* The same with one value set for it. */
template <typename Function> auto run_with(const char *name, const char *value, Function &&function)
{
    detail::call<std::remove_reference_t<Function>> call{function};

    check(weft_run_with(name, value, call.enter, &call));
    return call.take();
}

/* Calls it in a captured context. */
template <typename Function> auto run_in(const context &context, Function &&function)
{
    detail::call<std::remove_reference_t<Function>> call{function};

    (void)weft_run_in(context.get(), call.enter, &call);
    return call.take();
}

/* Calls it at the root. */
template <typename Function> auto exit(Function &&function)
{
    return run_in(context(), std::forward<Function>(function));
}

/* A function object that runs in the context which is current now, whoever calls it, and from any thread. */
template <typename Function> auto bind(Function &&function)
{
    return [context = context::current(),
            function = std::decay_t<Function>(std::forward<Function>(function))](auto &&...arguments) mutable {
        return run_in(context, [&] { return function(std::forward<decltype(arguments)>(arguments)...); });
    };
}

/* ---- Tasks ---- */

/* A handle of a task. */
class task
{
  public:
    explicit task(weft_task *handle) noexcept : task_(weft_task_ref(handle))
    {
    }
    task(const task &other) noexcept : task_(weft_task_ref(other.task_))
    {
    }
    task(task &&other) noexcept : task_(std::exchange(other.task_, nullptr))
    {
    }
    ~task()
    {
        (void)weft_task_unref(task_);
    }

    task &operator=(task other) noexcept
    {
        std::swap(task_, other.task_);
        return *this;
    }

    /* Waits until it has ended, and gives its result: what its function returned, or a negative errno where that was
     * left by an exception. */
    int join() const
    {
        int result = 0;

        check(weft_join(task_, &result));
        return result;
    }

    void cancel() const noexcept
    {
        weft_cancel(task_);
    }
    weft_task *get() const noexcept
    {
        return task_;
    }

  private:
    weft_task *task_;
};

/* Starts function() as a task. It gives nothing, or an int as tasks in C do. An exception that leaves it is logged. */
template <typename Function> task spawn(const char *name, Function &&function)
{
    weft_task *started = nullptr;

    detail::keep_for(std::forward<Function>(function), [&](auto *record) {
        started = weft_spawn(name, record->enter, record);
        return started ? 0 : -errno;
    });
    return task(started);
}

/* Lets others run for so long. */
template <typename Rep, typename Period> void sleep_for(std::chrono::duration<Rep, Period> duration)
{
    auto milliseconds = std::chrono::ceil<std::chrono::milliseconds>(duration).count();

    check(weft_sleep_ms(milliseconds > 0 ? static_cast<uint64_t>(milliseconds) : 0));
}

/* Runs function() on a thread of the pool, in the caller's context, and gives its result, or throws what it throws. */
template <typename Function> auto offload(Function &&function)
{
    struct {
        detail::call<std::remove_reference_t<Function>> call;
        std::exception_ptr thrown;
    } there{{function}, nullptr};

    check(weft_offload(
        [](void *arg) {
            auto *self = static_cast<decltype(there) *>(arg);

            try {
                return self->call.enter(&self->call);
            } catch (abi::__forced_unwind &) {
                throw;
            } catch (...) {
                self->thrown = std::current_exception();
            }
            return 0;
        },
        &there, nullptr));
    if (there.thrown)
        std::rethrow_exception(there.thrown);
    return there.call.take();
}

/* Has function() called from the event loop, in the context of this call. */
template <typename Function> void call_soon(Function &&function)
{
    detail::keep_for(std::forward<Function>(function),
                     [](auto *record) { return weft_call_soon(record->enter_void, record); });
}

template <typename Rep, typename Period, typename Function>
void call_later(std::chrono::duration<Rep, Period> duration, Function &&function)
{
    auto milliseconds = std::chrono::ceil<std::chrono::milliseconds>(duration).count();

    detail::keep_for(std::forward<Function>(function), [&](auto *record) {
        return weft_call_later(milliseconds > 0 ? static_cast<uint64_t>(milliseconds) : 0, record->enter_void, record);
    });
}

/* A result that a callback delivers and a task waits for. It stays where it is made. */
class future
{
  public:
    future() noexcept
    {
        weft_future_init(&future_);
    }
    future(const future &) = delete;
    future &operator=(const future &) = delete;

    void complete(int result = 0) noexcept
    {
        weft_future_complete(&future_, result);
    }

    int wait()
    {
        int result = 0;

        check(weft_future_wait(&future_, &result));
        return result;
    }

    bool done() const noexcept
    {
        return future_.done;
    }
    weft_future *get() noexcept
    {
        return &future_;
    }

  private:
    weft_future future_;
};

/* ---- Jobs and handlers ---- */

/* The job that a handler runs for. */
class job
{
  public:
    explicit job(weft_job *handle) noexcept : job_(handle)
    {
    }

    const char *id() const noexcept
    {
        return weft_job_id(job_);
    }
    const char *type() const noexcept
    {
        return weft_job_type(job_);
    }
    const char *queue() const noexcept
    {
        return weft_job_queue(job_);
    }
    const char *root() const noexcept
    {
        return weft_job_root(job_);
    }
    const char *parent() const noexcept
    {
        return weft_job_parent(job_);
    } /* NULL: none */
    unsigned attempt() const noexcept
    {
        return weft_job_attempt(job_);
    }

    std::string_view payload() const noexcept
    {
        size_t size = 0;
        const void *data = weft_job_payload(job_, &size);

        return {static_cast<const char *>(data), size};
    }

    /* Runs the rest of the chain, and gives its result as weft_next() does: an exception of one of its handlers has
     * ended there. */
    [[nodiscard]] int next()
    {
        return weft_next(job_);
    }

    void result(std::string_view text)
    {
        check(weft_result_bytes(job_, text.data(), text.size()));
    }
    void progress(const std::string &words)
    {
        check(weft_progress(job_, "%s", words.c_str()));
    }

    /* Has function() called when the chain has ended. */
    template <typename Function> void defer(Function &&function)
    {
        detail::keep_for(std::forward<Function>(function),
                         [this](auto *record) { return weft_defer(job_, record->enter_void, record); });
    }

    weft_job *get() const noexcept
    {
        return job_;
    }

  private:
    weft_job *job_;
};

namespace detail
{

template <typename Function> int call_handler(Function &function, weft_job *handle)
{
    job current(handle);

    try {
        if constexpr (std::is_invocable_v<Function &, weft_job *>) {
            return function(handle);
        } else if constexpr (std::is_void_v<std::invoke_result_t<Function &, job &>>) {
            function(current);
            return 0;
        } else {
            return function(current);
        }
    } catch (const interrupted &interrupted) {
        return -interrupted.code().value();
    } catch (const failure &failure) {
        return weft_fail(handle, "%s", failure.what());
    } catch (const retry &retry) {
        auto delay = retry.delay().count();

        return weft_retry(handle, delay > 0 ? static_cast<uint64_t>(delay) : 0, "%s", retry.what());
    }
    /* Any other exception ends outside, with its type and what() for a reason. */
}

/* A type of function object has one object, as a lambda that is written down once has. */
template <typename Function> struct object_of {
    static inline Function *function = nullptr;

    static int enter(weft_job *handle)
    {
        return call_handler(*function, handle);
    }
};

template <auto *Function> int enter_function(weft_job *handle)
{
    return call_handler(*Function, handle);
}

} // namespace detail

/* For WEFT_PLUGIN(): a handler that is a lambda, called with a weft::job &, which gives nothing or what handlers in C
 * give. Where the very same expression makes several, they share the last object. */
template <typename Function> weft_handler handler(const char *name, Function &&function)
{
    using object = std::decay_t<Function>;
    static_assert(std::is_class_v<object>, "for a function, write weft::handler<function>(name)");
    static std::optional<object> kept;

    kept.emplace(std::forward<Function>(function));
    detail::object_of<object>::function = &*kept;
    return {name, detail::object_of<object>::enter};
}

/* The same for a function. */
template <auto *Function> weft_handler handler(const char *name)
{
    return {name, detail::enter_function<Function>};
}

/* ---- Coroutines ---- */

#if WEFT_HAS_COROUTINES

/* A coroutine that gives a T. It begins when it is awaited, by another one or by weft::await(). Between two co_awaits
 * it runs in one piece; after one it goes on in the context that it had before it, in a callback of the loop or in a
 * task.
 */
template <typename T = void> class coroutine;

namespace detail
{

struct promise_base {
    std::coroutine_handle<> continuation = std::noop_coroutine();
    std::exception_ptr thrown;

    std::suspend_always initial_suspend() noexcept
    {
        return {};
    }
    void unhandled_exception() noexcept
    {
        thrown = std::current_exception();
    }

    auto final_suspend() noexcept
    {
        struct go_on {
            bool await_ready() noexcept
            {
                return false;
            }
            void await_resume() noexcept
            {
            }
            std::coroutine_handle<> await_suspend(std::coroutine_handle<>) noexcept
            {
                return continuation;
            }
            std::coroutine_handle<> continuation;
        };

        return go_on{continuation};
    }
};

template <typename T> struct promise : promise_base {
    std::optional<T> value;

    coroutine<T> get_return_object();
    template <typename Value> void return_value(Value &&given)
    {
        value.emplace(std::forward<Value>(given));
    }

    T take()
    {
        if (thrown)
            std::rethrow_exception(thrown);
        return std::move(*value);
    }
};

template <> struct promise<void> : promise_base {
    coroutine<void> get_return_object();
    void return_void() noexcept
    {
    }

    void take()
    {
        if (thrown)
            std::rethrow_exception(thrown);
    }
};

/* One that nobody awaits: it ends by itself. */
struct driver {
    struct promise_type {
        driver get_return_object() noexcept
        {
            return {};
        }
        std::suspend_never initial_suspend() noexcept
        {
            return {};
        }
        std::suspend_never final_suspend() noexcept
        {
            return {};
        }
        void return_void() noexcept
        {
        }
        void unhandled_exception() noexcept
        {
            std::terminate();
        }
    };
};

inline void resume(void *address)
{
    std::coroutine_handle<>::from_address(address).resume();
}

} // namespace detail

template <typename T> class [[nodiscard]] coroutine
{
  public:
    using promise_type = detail::promise<T>;

    explicit coroutine(std::coroutine_handle<promise_type> handle) noexcept : handle_(handle)
    {
    }
    coroutine(coroutine &&other) noexcept : handle_(std::exchange(other.handle_, nullptr))
    {
    }
    coroutine &operator=(coroutine &&) = delete;

    ~coroutine()
    {
        if (handle_)
            handle_.destroy();
    }

    bool await_ready() const noexcept
    {
        return false;
    }

    std::coroutine_handle<> await_suspend(std::coroutine_handle<> continuation) noexcept
    {
        handle_.promise().continuation = continuation;
        return handle_;
    }

    T await_resume()
    {
        return handle_.promise().take();
    }

  private:
    std::coroutine_handle<promise_type> handle_;
};

template <typename T> coroutine<T> detail::promise<T>::get_return_object()
{
    return coroutine<T>(std::coroutine_handle<promise>::from_promise(*this));
}

inline coroutine<void> detail::promise<void>::get_return_object()
{
    return coroutine<void>(std::coroutine_handle<promise>::from_promise(*this));
}

/* co_await weft::sleep(20ms): goes on in a callback of the loop. */
template <typename Rep, typename Period> auto sleep(std::chrono::duration<Rep, Period> duration)
{
    struct sleeping {
        std::chrono::milliseconds left;

        bool await_ready() const noexcept
        {
            return false;
        }
        void await_resume() const noexcept
        {
        }

        void await_suspend(std::coroutine_handle<> handle) const
        {
            check(weft_call_later(left.count() > 0 ? static_cast<uint64_t>(left.count()) : 0, detail::resume,
                                  handle.address()));
        }
    };

    return sleeping{std::chrono::ceil<std::chrono::milliseconds>(duration)};
}

/* co_await weft::result_of(future): its result. Goes on in a task. */
inline auto result_of(weft_future *future)
{
    struct waiting {
        weft_future *future;
        int result = 0;
        int error = 0;
        std::coroutine_handle<> handle{};

        bool await_ready() const noexcept
        {
            return false;
        }

        bool await_suspend(std::coroutine_handle<> waiter)
        {
            handle = waiter;
            if (weft_spawn("await", wait, this))
                return true;
            error = -errno;
            return false;
        }

        int await_resume() const
        {
            check(error);
            return result;
        }

        static int wait(void *arg)
        {
            waiting *self = static_cast<waiting *>(arg);

            self->error = weft_future_wait(self->future, &self->result);
            self->handle.resume();
            return 0;
        }
    };

    return waiting{future};
}

inline auto result_of(future &future)
{
    return result_of(future.get());
}

/* Runs a coroutine to its end while the calling task waits, and gives its result, or throws what it throws. Where the
 * wait is interrupted, the coroutine goes on by itself, and what it gives or throws is lost: it must not use what is
 * the caller's then. */
template <typename T> T await(coroutine<T> wanted)
{
    struct state {
        future ended;
        std::conditional_t<std::is_void_v<T>, int, std::optional<T>> value{};
        std::exception_ptr thrown;
    };
    auto shared = std::make_shared<state>();

    [](coroutine<T> running, std::shared_ptr<state> result) -> detail::driver {
        try {
            if constexpr (std::is_void_v<T>)
                co_await running;
            else
                result->value.emplace(co_await running);
        } catch (...) {
            result->thrown = std::current_exception();
        }
        result->ended.complete();
    }(std::move(wanted), shared);
    (void)shared->ended.wait();
    if (shared->thrown)
        std::rethrow_exception(shared->thrown);
    if constexpr (!std::is_void_v<T>)
        return std::move(*shared->value);
}

#endif

} // namespace weft
