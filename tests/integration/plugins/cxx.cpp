// C++20: threads of the language's own, coroutines, and a library whose pool begins in the same runtime.
#include <coroutine>
#include <functional>
#include <future>
#include <string>
#include <thread>

#include <weft/weft.h>

void on_cxx_pool(std::function<void()> call);

namespace
{
void speak(const char *what, const std::string &id)
{
    weft_info("%s of %s", what, id.c_str());
}

// A coroutine that goes on from the loop.
struct flow {
    struct promise_type {
        flow get_return_object()
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
        void return_void()
        {
        }
        void unhandled_exception()
        {
            std::terminate();
        }
    };
};

struct soon {
    bool await_ready()
    {
        return false;
    }
    void await_suspend(std::coroutine_handle<> handle)
    {
        weft_call_soon([](void *address) { std::coroutine_handle<>::from_address(address).resume(); },
                       handle.address());
    }
    void await_resume()
    {
    }
};

flow converse(std::string id, weft_future *over)
{
    speak("coroutine", id);
    co_await soon{};
    speak("coroutine's end", id);
    weft_future_complete(over, 0);
}

int handler(weft_job *job)
{
    const std::string id = weft_job_id(job);
    weft_future over{}, pool{};

    std::jthread thread([&] { speak("jthread", id); });
    auto result = std::async(std::launch::async, [&] {
        speak("async", id);
        return 42;
    });
    std::packaged_task<void()> packaged([&] { speak("packaged", id); });
    std::thread other(std::ref(packaged));
    on_cxx_pool([&] {
        speak("pool", id);
        weft_post(
            nullptr, [](void *arg) { weft_future_complete(static_cast<weft_future *>(arg), 0); }, &pool);
    });
    converse(id, &over);
    int r = weft_future_wait(&over, nullptr);
    int last = weft_future_wait(&pool, nullptr);
    other.join();
    return result.get() == 42 ? (r < 0 ? r : last) : -EPROTO;
}
} // namespace

WEFT_PLUGIN("cxx", WEFT_HANDLER("cxx", handler));
