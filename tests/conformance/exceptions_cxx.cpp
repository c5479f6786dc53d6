/* Exceptions of C++ on fibers: what each task expects of its own, whatever the others do meanwhile. */
#include "tests/conformance/exceptions_cxx.h"

#include <exception>
#include <stdexcept>
#include <string>

#include <weft/task.h>

#define CXX_EXPECT(condition_) cxx_cases.expect((condition_), #condition_, __FILE__, __LINE__)

extern "C" __attribute__((visibility("default"))) struct cxx_cases cxx_cases;

namespace
{

enum { TURNS = 20 };

void wait_for_others()
{
    for (int i = 0; i < TURNS; i++)
        CXX_EXPECT(weft_sleep_ms(0) == 0);
}

std::string rethrown()
{
    try {
        throw;
    } catch (const std::exception &exception) {
        return exception.what();
    }
}

int wait_in_a_handler(void *arg)
{
    const char *text = static_cast<const char *>(arg);

    CXX_EXPECT(!std::current_exception());
    try {
        throw std::runtime_error(text);
    } catch (const std::exception &exception) {
        wait_for_others();
        CXX_EXPECT(exception.what() == std::string(text));
        CXX_EXPECT(rethrown() == text);
        wait_for_others();
        CXX_EXPECT(rethrown() == text);
    }
    CXX_EXPECT(!std::current_exception());
    return 0;
}

int wait_in_nested_handlers(void *arg)
{
    const std::string outer = std::string(static_cast<const char *>(arg)) + ", outer", inner = outer + ", inner";

    try {
        throw std::runtime_error(outer);
    } catch (const std::exception &) {
        CXX_EXPECT(weft_sleep_ms(1) == 0);
        try {
            throw std::logic_error(inner);
        } catch (const std::exception &) {
            wait_for_others();
            CXX_EXPECT(rethrown() == inner);
        }
        wait_for_others();
        CXX_EXPECT(rethrown() == outer);
    }
    CXX_EXPECT(!std::current_exception());
    return 0;
}

/* A destructor that waits, as one of a transaction that is rolled back may. */
struct rollback {
    int before = std::uncaught_exceptions();

    ~rollback()
    {
        CXX_EXPECT(std::uncaught_exceptions() == before + 1);
        wait_for_others();
        CXX_EXPECT(std::uncaught_exceptions() == before + 1);
    }
};

int wait_while_unwinding(void *arg)
{
    const std::string text = static_cast<const char *>(arg);

    CXX_EXPECT(std::uncaught_exceptions() == 0);
    try {
        rollback transaction;

        throw std::runtime_error(text);
    } catch (const std::exception &exception) {
        CXX_EXPECT(std::uncaught_exceptions() == 0);
        CXX_EXPECT(exception.what() == text);
    }
    return 0;
}

int keep_an_exception(void *arg)
{
    std::exception_ptr kept;

    try {
        throw std::runtime_error(static_cast<const char *>(arg));
    } catch (...) {
        wait_for_others();
        kept = std::current_exception();
    }
    wait_for_others();
    try {
        std::rethrow_exception(kept);
    } catch (const std::exception &exception) {
        wait_for_others();
        CXX_EXPECT(exception.what() == std::string(static_cast<const char *>(arg)));
        CXX_EXPECT(std::current_exception() == kept);
    }
    return 0;
}

/* Begins clean on a stack that others have used, and sees nothing of theirs that wait. */
int end_in_no_handler(void *arg)
{
    (void)arg;
    for (int i = 0; i < TURNS; i++) {
        CXX_EXPECT(!std::current_exception());
        CXX_EXPECT(std::uncaught_exceptions() == 0);
        CXX_EXPECT(weft_sleep_ms(0) == 0);
    }
    return 0;
}

} // namespace

struct cxx_cases cxx_cases = {nullptr,           wait_in_a_handler, wait_in_nested_handlers, wait_while_unwinding,
                              keep_an_exception, end_in_no_handler};
