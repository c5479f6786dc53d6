#include "tests/conformance/leaving_cxx.h"

void leaving_throw(int number)
{
    throw number;
}

int leaving_catch(int (*fn)(void))
{
    try {
        (void)fn();
    } catch (int number) {
        return number;
    }
    return -1;
}
