#include "daemon/scoreboard/job_slot.h"

#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "handlers/attempt.h"

/* What is known of a page of job slots. */
enum job_slot_page {
    JOB_SLOT_PAGE_UNUSED, /* its memory has been given back, or never been used */
    JOB_SLOT_PAGE_OLD,    /* no job slot on it was taken since the last look */
    JOB_SLOT_PAGE_YOUNG,
};

/* So that no job slot shares a cache line with another. */
#define CACHE_LINE 64

static size_t whole_lines(size_t size)
{
    return (size + CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE;
}

static size_t states_size(size_t capacity)
{
    return whole_lines(capacity * sizeof(atomic_uchar));
}

/* Their memory need not begin where a page does. */
static size_t count_pages(size_t capacity, size_t page_size)
{
    return capacity * sizeof(struct job_slot) / page_size + 2;
}

size_t job_slot_table_size(size_t capacity)
{
    size_t page_size = (size_t)sysconf(_SC_PAGESIZE);

    return states_size(capacity) + capacity * sizeof(struct job_slot) + whole_lines(count_pages(capacity, page_size));
}

void job_slot_table_init(struct job_slot_table *table, void *memory, size_t capacity)
{
    char *job_slots = (char *)memory + states_size(capacity);

    *table = (struct job_slot_table){
        .states = memory,
        .job_slots = (struct job_slot *)job_slots,
        .capacity = capacity,
        .pages = (unsigned char *)job_slots + capacity * sizeof(struct job_slot),
        .page_size = (size_t)sysconf(_SC_PAGESIZE),
    };
}

static void set_state(const struct job_slot_table *table, const struct job_slot *job_slot, enum job_slot_state state)
{
    atomic_store_explicit(&table->states[job_slot - table->job_slots], (unsigned char)state, memory_order_release);
}

static unsigned char get_state(const struct job_slot_table *table, size_t place)
{
    return atomic_load_explicit(&table->states[place], memory_order_acquire);
}

enum job_slot_state job_slot_state(const struct job_slot_table *table, size_t place)
{
    unsigned char state = get_state(table, place);

    return state <= JOB_SLOT_ENDED ? (enum job_slot_state)state : JOB_SLOT_FREE;
}

/* ---- Writing ---- */

static void put_bytes(struct job_slot *job_slot, const char *bytes, size_t size)
{
    char *place = job_slot->text + job_slot->used;

    memcpy(place, bytes, size);
    place[size] = '\0';
    job_slot->used = (uint16_t)(job_slot->used + size + 1);
}

/* Names are of bounded length and all fit; one that did not would make the job slot unreadable, and nothing else. */
static void put_name(struct job_slot *job_slot, enum job_slot_name name, const char *text)
{
    size_t size = text ? strlen(text) : 0;

    if (size + 1 > sizeof(job_slot->text) - job_slot->used)
        size = 0;
    job_slot->sizes[name] = (uint16_t)size;
    put_bytes(job_slot, text ? text : "", size);
}

static void put_metadata(struct job_slot *job_slot, const struct job_field *field)
{
    size_t name_size = strlen(field->name);
    size_t left = sizeof(job_slot->text) - job_slot->used;

    if (name_size >= left || field->size >= left || sizeof(struct job_slot_field) + name_size + field->size + 2 > left)
        return;

    struct job_slot_field sizes = {.name_size = (uint16_t)name_size, .size = (uint16_t)field->size};
    memcpy(job_slot->text + job_slot->used, &sizes, sizeof(sizes));
    job_slot->used = (uint16_t)(job_slot->used + sizeof(sizes));
    put_bytes(job_slot, field->name, name_size);
    put_bytes(job_slot, field->value, field->size);
}

/* The page that a byte of the job slots is on, the first of them being 0. */
static size_t page_of(const struct job_slot_table *table, const void *byte)
{
    return (uintptr_t)byte / table->page_size - (uintptr_t)table->job_slots / table->page_size;
}

struct job_slot *job_slot_take(struct job_slot_table *table, const struct weft_job *job)
{
    const struct job *record = job->record;
    size_t place = table->last, tried = 0;

    for (; tried < table->capacity && get_state(table, place) != JOB_SLOT_FREE; tried++)
        place = place + 1 < table->capacity ? place + 1 : 0;
    if (tried == table->capacity)
        return NULL;
    table->last = place;
    struct job_slot *job_slot = &table->job_slots[place];
    /* A job slot may lie across two pages. */
    table->pages[page_of(table, job_slot)] = JOB_SLOT_PAGE_YOUNG;
    table->pages[page_of(table, (const char *)(job_slot + 1) - 1)] = JOB_SLOT_PAGE_YOUNG;
    atomic_store_explicit(&job_slot->running_job, (uintptr_t)job, memory_order_relaxed);
    atomic_store_explicit(&job_slot->heard_us, 0, memory_order_relaxed);
    job_slot->enqueued_ms = record->enqueued_ms;
    job_slot->attempt = record->attempt;
    job_slot->attempts = attempt_limit(job);
    job_slot->used = 0;
    put_name(job_slot, JOB_SLOT_NAME_ID, record->id);
    put_name(job_slot, JOB_SLOT_NAME_TYPE, record->type);
    put_name(job_slot, JOB_SLOT_NAME_QUEUE, record->queue);
    put_name(job_slot, JOB_SLOT_NAME_ROOT, record->root);
    put_name(job_slot, JOB_SLOT_NAME_TRACE, record->trace_id);
    put_name(job_slot, JOB_SLOT_NAME_SPAN, job->span_id);
    put_name(job_slot, JOB_SLOT_NAME_ENTRY, record->entry);
    for (size_t i = 0; i < record->metadata_count; i++)
        put_metadata(job_slot, &record->metadata[i]);
    job_slot_start(job_slot, job);
    set_state(table, job_slot, JOB_SLOT_RUNNING);
    return job_slot;
}

void job_slot_start(struct job_slot *job_slot, const struct weft_job *job)
{
    if (!job_slot)
        return;
    atomic_store_explicit(&job_slot->started_ms, job->started_ms, memory_order_relaxed);
    atomic_store_explicit(&job_slot->deadline_us, attempt_deadline_us(job), memory_order_relaxed);
}

void job_slot_hear(struct job_slot *job_slot, int64_t since_us)
{
    if (job_slot)
        atomic_store_explicit(&job_slot->heard_us, since_us, memory_order_relaxed);
}

void job_slot_end(const struct job_slot_table *table, const struct job_slot *job_slot)
{
    if (job_slot)
        set_state(table, job_slot, JOB_SLOT_ENDED);
}

void job_slot_drop(const struct job_slot_table *table, const struct job_slot *job_slot)
{
    if (job_slot)
        set_state(table, job_slot, JOB_SLOT_FREE);
}

/* ---- Giving back ---- */

/* Whether the page lies in the job slots as a whole, and none on it is in use. Job slots may become free meanwhile, but
 * only this thread takes any. */
static bool is_free(const struct job_slot_table *table, const char *page)
{
    const char *first = (const char *)table->job_slots, *end = (const char *)(table->job_slots + table->capacity);

    if (page < first || page + table->page_size > end)
        return false;
    size_t from = (size_t)(page - first) / sizeof(struct job_slot);
    size_t to = ((size_t)(page - first) + table->page_size - 1) / sizeof(struct job_slot);
    while (from <= to && get_state(table, from) == JOB_SLOT_FREE)
        from++;
    return from > to;
}

/* Memory that is shared with nobody, as in tests, cannot be given back so, and stays. */
void job_slot_table_trim(struct job_slot_table *table)
{
    char *page = (char *)((uintptr_t)table->job_slots / table->page_size * table->page_size);
    size_t count = count_pages(table->capacity, table->page_size);
    size_t run = 0; /* pages before this one that are to be given back together */

    for (size_t i = 0; i < count; i++, page += table->page_size) {
        bool goes = table->pages[i] == JOB_SLOT_PAGE_OLD && is_free(table, page);

        if (table->pages[i] == JOB_SLOT_PAGE_YOUNG)
            table->pages[i] = JOB_SLOT_PAGE_OLD;
        if (goes) {
            table->pages[i] = JOB_SLOT_PAGE_UNUSED;
            run++;
            continue;
        }
        if (run > 0)
            (void)madvise(page - run * table->page_size, run * table->page_size, MADV_REMOVE);
        run = 0;
    }
    /* The last page is never among them: it is behind the job slots, at least in part. */
}

const struct job_slot *job_slot_find_running(const struct job_slot_table *table, uintptr_t running_job)
{
    for (size_t place = 0; place < table->capacity && running_job; place++) {
        const struct job_slot *job_slot = &table->job_slots[place];

        if (job_slot_state(table, place) != JOB_SLOT_FREE &&
            atomic_load_explicit(&job_slot->running_job, memory_order_relaxed) == running_job)
            return job_slot;
    }
    return NULL;
}
