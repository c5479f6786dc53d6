// A library in C++ with a pool of one thread, which is made on first use.
#include <condition_variable>
#include <functional>
#include <mutex>
#include <queue>
#include <thread>

namespace
{
// Never destroyed: the thread waits on after main() has ended.
std::mutex &lock = *new std::mutex;
std::condition_variable &filled = *new std::condition_variable;
std::queue<std::function<void()>> &calls = *new std::queue<std::function<void()>>;
bool has_thread;

[[noreturn]] void work()
{
    for (;;) {
        std::unique_lock<std::mutex> held(lock);
        filled.wait(held, [] { return !calls.empty(); });
        auto call = std::move(calls.front());
        calls.pop();
        held.unlock();
        call();
    }
}
} // namespace

void on_cxx_pool(std::function<void()> call)
{
    std::lock_guard<std::mutex> held(lock);
    if (!has_thread)
        std::thread([] { work(); }).detach();
    has_thread = true;
    calls.push(std::move(call));
    filled.notify_one();
}
