#include "daemon/scoreboard/job_slot.h"

#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "handlers/attempt.h"

/* What is known of a page of cards. */
enum card_page {
    CARD_PAGE_UNUSED, /* its memory has been given back, or never been used */
    CARD_PAGE_OLD,    /* no card on it was taken since the last look */
    CARD_PAGE_YOUNG,
};

/* So that no card shares a cache line with another. */
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
    return capacity * sizeof(struct card) / page_size + 2;
}

size_t card_table_size(size_t capacity)
{
    size_t page_size = (size_t)sysconf(_SC_PAGESIZE);

    return states_size(capacity) + capacity * sizeof(struct card) + whole_lines(count_pages(capacity, page_size));
}

void card_table_init(struct card_table *table, void *memory, size_t capacity)
{
    char *cards = (char *)memory + states_size(capacity);

    *table = (struct card_table){
        .states = memory,
        .cards = (struct card *)cards,
        .capacity = capacity,
        .pages = (unsigned char *)cards + capacity * sizeof(struct card),
        .page_size = (size_t)sysconf(_SC_PAGESIZE),
    };
}

static void set_state(const struct card_table *table, const struct card *card, enum card_state state)
{
    atomic_store_explicit(&table->states[card - table->cards], (unsigned char)state, memory_order_release);
}

static unsigned char get_state(const struct card_table *table, size_t place)
{
    return atomic_load_explicit(&table->states[place], memory_order_acquire);
}

enum card_state card_state(const struct card_table *table, size_t place)
{
    unsigned char state = get_state(table, place);

    return state <= CARD_ENDED ? (enum card_state)state : CARD_FREE;
}

/* ---- Writing ---- */

static void put_bytes(struct card *card, const char *bytes, size_t size)
{
    char *place = card->text + card->used;

    memcpy(place, bytes, size);
    place[size] = '\0';
    card->used = (uint16_t)(card->used + size + 1);
}

/* Names are of bounded length and all fit; one that did not would make the card unreadable, and nothing else. */
static void put_name(struct card *card, enum card_name name, const char *text)
{
    size_t size = text ? strlen(text) : 0;

    if (size + 1 > sizeof(card->text) - card->used)
        size = 0;
    card->sizes[name] = (uint16_t)size;
    put_bytes(card, text ? text : "", size);
}

static void put_names(struct card *card, const struct weft_job *job)
{
    const struct job *record = job->record;

    put_name(card, CARD_NAME_ID, record->id);
    put_name(card, CARD_NAME_TYPE, record->type);
    put_name(card, CARD_NAME_QUEUE, record->queue);
    put_name(card, CARD_NAME_ROOT, record->root);
    put_name(card, CARD_NAME_TRACE, record->trace_id);
    put_name(card, CARD_NAME_SPAN, job->span_id);
    put_name(card, CARD_NAME_ENTRY, record->entry);
}

static void put_metadata(struct card *card, const struct job_field *field)
{
    size_t name_size = strlen(field->name);
    size_t left = sizeof(card->text) - card->used;

    if (name_size >= left || field->size >= left || sizeof(struct card_field) + name_size + field->size + 2 > left)
        return;

    struct card_field sizes = {.name_size = (uint16_t)name_size, .size = (uint16_t)field->size};
    memcpy(card->text + card->used, &sizes, sizeof(sizes));
    card->used = (uint16_t)(card->used + sizeof(sizes));
    put_bytes(card, field->name, name_size);
    put_bytes(card, field->value, field->size);
}

static struct card *find_free(struct card_table *table)
{
    for (size_t tried = 0, place = table->last; tried < table->capacity; tried++, place++) {
        if (place == table->capacity)
            place = 0;
        if (get_state(table, place) == CARD_FREE) {
            table->last = place;
            return &table->cards[place];
        }
    }
    return NULL;
}

/* The page that a byte of the cards is on, the first of them being 0. */
static size_t page_of(const struct card_table *table, const void *byte)
{
    return (uintptr_t)byte / table->page_size - (uintptr_t)table->cards / table->page_size;
}

/* A card may lie across two. */
static void note_use(const struct card_table *table, const struct card *card)
{
    table->pages[page_of(table, card)] = CARD_PAGE_YOUNG;
    table->pages[page_of(table, (const char *)(card + 1) - 1)] = CARD_PAGE_YOUNG;
}

struct card *card_take(struct card_table *table, const struct weft_job *job)
{
    const struct job *record = job->record;
    struct card *card = find_free(table);

    if (!card)
        return NULL;
    note_use(table, card);
    atomic_store_explicit(&card->witness, (uintptr_t)job, memory_order_relaxed);
    atomic_store_explicit(&card->heard_us, 0, memory_order_relaxed);
    card->enqueued_ms = record->enqueued_ms;
    card->attempt = record->attempt;
    card->attempts = attempt_limit(job);
    card->used = 0;
    put_names(card, job);
    for (size_t i = 0; i < record->metadata_count; i++)
        put_metadata(card, &record->metadata[i]);
    card_start(card, job);
    set_state(table, card, CARD_RUNNING);
    return card;
}

void card_start(struct card *card, const struct weft_job *job)
{
    if (!card)
        return;
    atomic_store_explicit(&card->started_ms, job->started_ms, memory_order_relaxed);
    atomic_store_explicit(&card->deadline_us, attempt_deadline_us(job), memory_order_relaxed);
}

void card_hear(struct card *card, int64_t since_us)
{
    if (card)
        atomic_store_explicit(&card->heard_us, since_us, memory_order_relaxed);
}

void card_end(const struct card_table *table, const struct card *card)
{
    if (card)
        set_state(table, card, CARD_ENDED);
}

void card_drop(const struct card_table *table, const struct card *card)
{
    if (card)
        set_state(table, card, CARD_FREE);
}

/* ---- Giving back ---- */

/* Whether the page lies in the cards as a whole, and none on it is in use. Cards may become free meanwhile, but only
 * this thread takes any. */
static bool is_free(const struct card_table *table, const char *page)
{
    const char *first = (const char *)table->cards, *end = (const char *)(table->cards + table->capacity);

    if (page < first || page + table->page_size > end)
        return false;
    size_t from = (size_t)(page - first) / sizeof(struct card);
    size_t to = ((size_t)(page - first) + table->page_size - 1) / sizeof(struct card);
    while (from <= to && get_state(table, from) == CARD_FREE)
        from++;
    return from > to;
}

/* Memory that is shared with nobody, as in tests, cannot be given back so, and stays. */
void card_table_trim(struct card_table *table)
{
    char *page = (char *)((uintptr_t)table->cards / table->page_size * table->page_size);
    size_t count = count_pages(table->capacity, table->page_size);
    size_t run = 0; /* pages before this one that are to be given back together */

    for (size_t i = 0; i < count; i++, page += table->page_size) {
        bool goes = table->pages[i] == CARD_PAGE_OLD && is_free(table, page);

        if (table->pages[i] == CARD_PAGE_YOUNG)
            table->pages[i] = CARD_PAGE_OLD;
        if (goes) {
            table->pages[i] = CARD_PAGE_UNUSED;
            run++;
            continue;
        }
        if (run > 0)
            (void)madvise(page - run * table->page_size, run * table->page_size, MADV_REMOVE);
        run = 0;
    }
    /* The last page is never among them: it is behind the cards, at least in part. */
}

const struct card *card_find_witness(const struct card_table *table, uintptr_t witness)
{
    for (size_t place = 0; place < table->capacity && witness; place++) {
        const struct card *card = &table->cards[place];

        if (card_state(table, place) != CARD_FREE &&
            atomic_load_explicit(&card->witness, memory_order_relaxed) == witness)
            return card;
    }
    return NULL;
}
