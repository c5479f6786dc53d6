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

#include "context/timer.h"
#include "daemon/crash/symbols.h"

#define WAIT_LIMIT_US (INT64_C(1000) * 1000)

/* Room for the words about one frame. */
#define FRAME_SIZE 256

/* ---- One frame ---- */

/* Functions of weft that say nothing about what went wrong, and those below which all is weft's. */
static const struct machinery {
    const char *function;
    bool is_bottom;
} machinery[] = {
    {"note_backtrace", false}, {"run_steps", false},   {"note_signal", false},       {"on_signal", false},
    {"on_exit_call", false},   {"run_attempt", false}, {"attempt_run_chain", false}, {"run_function", false},
    {"weft_run_in", false},    {"enter", true},        {"run_functions", true},      {"run_callback", true},
    {"run_calls", true},       {"thread_main", true},  {"run_ready", true},
};

static const struct machinery *find_machinery(const char *function)
{
    for (size_t i = 0; i < sizeof(machinery) / sizeof(machinery[0]); i++)
        if (strcmp(machinery[i].function, function) == 0)
            return &machinery[i];
    return NULL;
}

struct frame {
    const struct module *module; /* NULL: the address is nobody's */
    const struct machinery *machinery;
    char words[FRAME_SIZE];
};

static const char *last_part(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? slash + 1 : path;
}

/* Compilers cut functions into parts (load.part.0, load.cold), and linkers add versions (abort@@GLIBC_2.2.5): names
 * that nobody has written. */
static int written_size(const char *function)
{
    size_t size = strcspn(function + 1, ".@") + 1;

    return size < FRAME_SIZE ? (int)size : FRAME_SIZE;
}

static void name_frame(struct frame *frame, const struct symbol *symbol)
{
    int size = written_size(symbol->function);

    if (symbol->file)
        (void)snprintf(frame->words, sizeof(frame->words), "%.*s (%s:%d)", size, symbol->function,
                       last_part(symbol->file), symbol->line);
    else
        (void)snprintf(frame->words, sizeof(frame->words), "%.*s (%s)", size, symbol->function,
                       module_name(frame->module));
}

static struct frame read_frame(const struct crash *crash, struct symbols *symbols, size_t place)
{
    uintptr_t address = crash->frames[place];
    /* A call returns to what follows it, which may be another line or another function. */
    uintptr_t within = place == 0 && crash->exact_first ? address : address - 1;
    struct frame frame = {.module = module_map_find(&crash->modules, within)};
    struct symbol symbol;

    if (symbols && symbols_find(symbols, within, &symbol) == 0 && symbol.function[0]) {
        if (frame.module == &crash->modules.modules[0])
            frame.machinery = find_machinery(symbol.function);
        name_frame(&frame, &symbol);
    } else if (frame.module) {
        (void)snprintf(frame.words, sizeof(frame.words), "%s+0x%llx", module_name(frame.module),
                       (unsigned long long)(within - frame.module->bias));
    } else {
        (void)snprintf(frame.words, sizeof(frame.words), "0x%llx", (unsigned long long)address);
    }
    return frame;
}

/* ---- All of them ---- */

struct text {
    char *buffer;
    size_t size;
    size_t used;
    unsigned frames;
    unsigned times; /* that the last frame came in a row */
    char last[FRAME_SIZE];
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
static bool is_noise(const struct crash *crash, const struct frame *frame, size_t place)
{
    bool is_fault = crash->kind == CRASH_SIGNAL && crash->code > 0;

    if (!frame->module)
        return place > 0;
    return !is_fault && begins_with(module_name(frame->module), "libc.so") &&
           (begins_with(frame->words, "__") || begins_with(frame->words, "libc.so"));
}

/* `symbols` NULL: modules and offsets. */
static size_t describe_frames(const struct crash *crash, struct symbols *symbols, char *buffer, size_t size)
{
    struct text text = {.buffer = buffer, .size = size};

    buffer[0] = '\0';
    for (size_t i = 0; i < crash->frame_count; i++) {
        struct frame frame = read_frame(crash, symbols, i);

        if (frame.machinery && frame.machinery->is_bottom)
            break;
        if (frame.machinery || is_noise(crash, &frame, i))
            continue;
        if (text.frames == BACKTRACE_FRAMES_MAX && strcmp(frame.words, text.last) != 0)
            break;
        add_frame(&text, frame.words);
    }
    end_repeats(&text);
    return text.used;
}

/* ---- In a process of its own ---- */

__attribute__((noreturn)) static void describe_in_child(const struct crash *crash, char *buffer, size_t size, int fd)
{
    struct symbols *symbols;

    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    (void)prctl(PR_SET_DUMPABLE, 0);
    if (symbols_new(&crash->modules, &symbols) < 0)
        _exit(1);
    size_t used = describe_frames(crash, symbols, buffer, size);
    _exit(write(fd, buffer, used) == (ssize_t)used ? 0 : 1);
}

/* Reads what the child writes until it ends, or `size` bytes, or time is up. */
static size_t read_until(int fd, char *buffer, size_t size, int64_t limit_us)
{
    size_t used = 0;

    while (used < size) {
        struct pollfd readable = {.fd = fd, .events = POLLIN};
        int64_t left_us = limit_us - timer_now_us();

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

/* Gives the length of the text, or a negative errno where there is none. */
static ssize_t ask_child(const struct crash *crash, char *buffer, size_t size)
{
    int64_t limit_us = timer_now_us() + WAIT_LIMIT_US;
    sigset_t all, before;
    int ends[2], status = 0;

    if (pipe(ends) < 0)
        return -errno;
    /* The child has the supervisor's handlers of signals, which would speak for the supervisor. */
    (void)sigfillset(&all);
    (void)sigprocmask(SIG_SETMASK, &all, &before);
    pid_t child = fork();
    if (child == 0)
        describe_in_child(crash, buffer, size, ends[1]);
    (void)sigprocmask(SIG_SETMASK, &before, NULL);
    (void)close(ends[1]);
    size_t used = child > 0 ? read_until(ends[0], buffer, size - 1, limit_us) : 0;
    (void)close(ends[0]);
    if (child < 0)
        return -EAGAIN;
    /* Its text is there, or it will never be: it has nothing more to do. */
    if (used == 0)
        (void)kill(child, SIGKILL);
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    buffer[used] = '\0';
    return status == 0 && used > 0 ? (ssize_t)used : -ENOENT;
}

size_t backtrace_describe(const struct crash *crash, char *buffer, size_t size)
{
    buffer[0] = '\0';
    if (crash->frame_count == 0)
        return 0;
    ssize_t used = ask_child(crash, buffer, size);
    return used > 0 ? (size_t)used : describe_frames(crash, NULL, buffer, size);
}
