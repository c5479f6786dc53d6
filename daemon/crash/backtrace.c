#include "daemon/crash/backtrace.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "context/async/code_address.h"
#include "context/machinery.h"
#include "context/time.h"
#include "daemon/crash/location.h"
#include "daemon/process.h"

/* ---- One frame ---- */

/* An address in the call that a frame is in: a call returns to what follows it, which may be another line or another
 * function. */
static uintptr_t address_within(const struct crash *crash, size_t place)
{
    uintptr_t address = crash->frames[place];

    return place == 0 && crash->exact_first ? address : address - 1;
}

/* ---- All of them ---- */

struct text {
    char *buffer;
    size_t size;
    size_t used;
    unsigned frames;
    unsigned times; /* that the last frame came in a row */
    char last[LOCATION_SIZE];
};

static void add_words(struct text *text, const char *words)
{
    size_t size = strlen(words);

    if (size >= text->size - text->used)
        return;
    memcpy(text->buffer + text->used, words, size + 1);
    text->used += size;
}

static void end_repeats(struct text *text)
{
    char words[32];

    if (text->times < 2)
        return;
    (void)snprintf(words, sizeof(words), ", %u times", text->times);
    add_words(text, words);
}

/* A function that calls itself is told once. */
static void add_frame(struct text *text, const char *words)
{
    if (text->frames > 0 && strcmp(words, text->last) == 0) {
        text->times++;
        return;
    }
    end_repeats(text);
    if (text->frames > 0)
        add_words(text, " < ");
    add_words(text, words);
    text->times = 1;
    text->frames++;
    (void)strcpy(text->last, words);
}

static bool begins_with(const char *text, const char *beginning)
{
    return strncmp(text, beginning, strlen(beginning)) == 0;
}

/* What says nothing: how the C library goes about abort() and exit(), and what a broken stack was taken for. */
static bool is_noise(const struct crash *crash, const struct location *frame, size_t place)
{
    bool is_fault = crash->kind == CRASH_SIGNAL && crash->code > 0;

    if (!frame->module)
        return place > 0;
    return !is_fault && begins_with(module_name(frame->module), "libc.so") &&
           (begins_with(frame->words, "__") || begins_with(frame->words, "libc.so"));
}

static void describe_frames(const struct crash *crash, struct symbols *symbols, char *buffer)
{
    struct text text = {.buffer = buffer, .size = BACKTRACE_SIZE};

    buffer[0] = '\0';
    for (size_t i = 0; i < crash->frame_count; i++) {
        struct location frame = location_find(&crash->modules, symbols, address_within(crash, i));
        /* The executable is that of this process, from which the one that crashed was forked, so addresses mean the
         * same. */
        bool own = frame.function && frame.module == &crash->modules.modules[0];

        if (!frame.module)
            (void)snprintf(frame.words, sizeof(frame.words), "0x%llx", (unsigned long long)crash->frames[i]);

        if (own && machinery_bottom_has(address_within(crash, i)))
            break;
        if ((own && machinery_has(address_within(crash, i))) || is_noise(crash, &frame, i))
            continue;
        if (text.frames == BACKTRACE_FRAMES_MAX && strcmp(frame.words, text.last) != 0)
            break;
        add_frame(&text, frame.words);
    }
    end_repeats(&text);
}

/* ---- A thread of this process ---- */

/* Of the functions by which the C library gets to the system call, only the one that was called is told. */
void backtrace_describe_thread(const struct module_map *map, const uintptr_t *frames, size_t count,
                               char buffer[static BACKTRACE_SIZE])
{
    struct text text = {.buffer = buffer, .size = BACKTRACE_SIZE};
    char within[CODE_ADDRESS_SIZE] = "";

    buffer[0] = '\0';
    for (size_t i = 0; i < count && text.frames < BACKTRACE_FRAMES_MAX; i++) {
        const struct module *module = module_map_find(map, frames[i] - 1);
        char words[CODE_ADDRESS_SIZE];

        if (!module || machinery_has(frames[i] - 1))
            continue;
        if (machinery_bottom_has(frames[i] - 1))
            break;
        code_address_describe((const void *)frames[i], words);
        if (text.frames == 0 && begins_with(module_name(module), "libc.so")) {
            (void)strcpy(within, words);
            continue;
        }
        if (within[0])
            add_frame(&text, within);
        within[0] = '\0';
        add_frame(&text, words);
    }
    if (within[0])
        add_frame(&text, within);
    end_repeats(&text);
}

/* As context/async/operation.h has it for processes that live. */
static void describe_stack(const struct crash *crash, struct symbols *symbols, char *buffer)
{
    struct text text = {.buffer = buffer, .size = BACKTRACE_SIZE};

    buffer[0] = '\0';
    for (size_t i = 0; i < crash->link_count; i++) {
        const struct crash_link *link = &crash->links[i];
        struct location place = location_find(&crash->modules, symbols, link->place - 1);
        char words[LOCATION_SIZE + 2 * CRASH_NAME_SIZE];

        (void)snprintf(words, sizeof(words), "%s%s%s%s%s%s", i > 0 ? ", started by " : "", link->kind,
                       link->name[0] ? " " : "", link->name, link->place ? " at " : "", link->place ? place.words : "");
        add_words(&text, words);
    }
}

/* `symbols` NULL: modules and offsets. */
static void describe(const struct crash *crash, struct symbols *symbols, struct backtrace *ret_backtrace)
{
    describe_frames(crash, symbols, ret_backtrace->frames);
    describe_stack(crash, symbols, ret_backtrace->stack);
}

/* ---- In a process of its own ---- */

/* All of the texts go through the pipe at once, which has room for them. */
__attribute__((noreturn)) static void describe_in_child(const struct crash *crash, int fd)
{
    struct backtrace found = {0};
    struct symbols *symbols;

    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    (void)prctl(PR_SET_DUMPABLE, 0);
    process_close_descriptors(process_keeps_one, &fd);
    if (symbols_new(&crash->modules, &symbols) < 0)
        _exit(1);
    describe(crash, symbols, &found);
    _exit(write(fd, &found, sizeof(found)) == (ssize_t)sizeof(found) ? 0 : 1);
}

/* Reads what the child writes until it ends, or `size` bytes, or time is up. */
static size_t read_until(int fd, char *buffer, size_t size, int64_t limit_us)
{
    size_t used = 0;

    while (used < size) {
        struct pollfd readable = {.fd = fd, .events = POLLIN};
        int64_t left_us = limit_us - time_steady_us();

        if (left_us <= 0 || poll(&readable, 1, (int)(left_us / 1000) + 1) < 0)
            break;
        if (readable.revents == 0)
            continue;
        ssize_t got = read(fd, buffer + used, size - used);
        if (got <= 0)
            break;
        used += (size_t)got;
    }
    return used;
}

/* Gives whether there are texts. */
static bool ask_child(const struct crash *crash, int limit_ms, struct backtrace *ret_backtrace)
{
    int64_t limit_us = time_steady_us() + (int64_t)limit_ms * 1000;
    struct backtrace found;
    int ends[2], status = 0;

    if (pipe(ends) < 0)
        return false;
    pid_t child = process_fork();
    if (child == 0)
        describe_in_child(crash, ends[1]);
    (void)close(ends[1]);
    size_t used = child > 0 ? read_until(ends[0], (char *)&found, sizeof(found), limit_us) : 0;
    (void)close(ends[0]);
    if (child < 0)
        return false;
    /* Its texts are there, or they will never be: it has nothing more to do. */
    if (used < sizeof(found))
        (void)kill(child, SIGKILL);
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    if (status != 0 || used < sizeof(found))
        return false;
    *ret_backtrace = found;
    ret_backtrace->frames[BACKTRACE_SIZE - 1] = '\0';
    ret_backtrace->stack[BACKTRACE_SIZE - 1] = '\0';
    return true;
}

void backtrace_describe(const struct crash *crash, int limit_ms, struct backtrace *ret_backtrace)
{
    *ret_backtrace = (struct backtrace){0};
    if (crash->frame_count == 0 && crash->link_count == 0)
        return;
    if (!ask_child(crash, limit_ms, ret_backtrace))
        describe(crash, NULL, ret_backtrace);
}
