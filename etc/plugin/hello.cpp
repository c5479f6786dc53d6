/*
 * The same in C++, to begin a plugin of your own with:
 *
 *     c++ -std=c++20 -O2 -shared -fPIC $(pkg-config --cflags weft) -o hello.so hello.cpp
 *
 * C++17 will do; then there are no coroutines.
 */
#include <weft/weft.hpp>

using namespace std::chrono_literals;

namespace
{

/* What a handler throws is why its attempt has failed; a weft::failure cannot be mended by another attempt. */
void compose(weft::job &)
{
    auto name = weft::get("name"); // a field of the message

    if (!name)
        throw weft::failure("the message has no \"name\": who is to be greeted?");
    weft::set("whom", *name); // for the handlers that follow, and all that they start
}

void greet(weft::job &job)
{
    weft::run_with("tone", "polite", [] { weft_info("Good day, %s", weft_get("whom")); });
    weft::sleep_for(20ms); // other jobs run meanwhile; throws where the job is cancelled
    weft::spawn("remember", [id = std::string(job.id())] {
        weft::sleep_for(100ms);
        weft_info("remembered %s of %s", weft_get("whom"), id.c_str());
    });
    job.result("{\"greeted\":true}");
}

#if WEFT_HAS_COROUTINES

/* Waits without a stack of its own, for what there are very many of. */
weft::coroutine<std::string> translate(std::string name)
{
    co_await weft::sleep(5ms);
    co_return "Guten Tag, " + name;
}

std::string translated(std::string name)
{
    return weft::await(translate(std::move(name)));
}

#else

std::string translated(std::string name)
{
    weft::sleep_for(5ms);
    return "Guten Tag, " + name;
}

#endif

} // namespace

WEFT_PLUGIN("hello", weft::handler<compose>("compose"), weft::handler<greet>("greet"),
            weft::handler("greet_in_german",
                          [](weft::job &job) {
                              std::string words = translated(std::string(weft::get("whom").value_or("you")));

                              weft_info("%s", words.c_str());
                              job.result("{\"greeted\":\"in German\"}");
                          }),
            weft::handler("count", [](weft::job &job) {
                /* On a thread, for what blocks or computes for long; what it throws arrives here. */
                job.result(std::to_string(weft::offload([] { return 100 * 101 / 2; })));
            }));
