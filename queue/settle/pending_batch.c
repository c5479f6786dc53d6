#include "queue/settle/pending_batch.h"

#include <string.h>

struct batch_record *pending_batch_find(struct batch *batch, long long number)
{
    bool done = number <= (long long)batch->done_count;
    long long place = done ? number : number - (long long)batch->done_count;

    for (size_t i = 0; i < batch->record_count; i++)
        if (batch->records[i].done == done && --place == 0)
            return &batch->records[i];
    return NULL;
}

/* Where the records of a list are moved to, to close the gaps. */
struct shift {
    struct msgpack *msgpack;
    size_t from;
    size_t to;
};

static struct shift begin_shift(struct msgpack *msgpack)
{
    return (struct shift){msgpack, MSGPACK_ARRAY_HEADER_SIZE, MSGPACK_ARRAY_HEADER_SIZE};
}

static void shift_bytes(struct shift *shift, size_t size, bool kept)
{
    if (kept) {
        memmove(shift->msgpack->bytes + shift->to, shift->msgpack->bytes + shift->from, size);
        shift->to += size;
    }
    shift->from += size;
}

void pending_batch_keep(struct batch *batch, const bool *kept)
{
    struct shift entries = begin_shift(&batch->entries);
    struct shift values = begin_shift(&batch->values);
    struct shift others = begin_shift(&batch->others);
    size_t count = 0;

    batch->done_count = 0;
    batch->other_count = 0;
    for (size_t i = 0; i < batch->record_count; i++) {
        struct batch_record record = batch->records[i];

        shift_bytes(record.done ? &entries : &others, record.size, kept[i]);
        shift_bytes(&values, record.values_size, kept[i]);
        if (!kept[i])
            continue;
        batch->records[count++] = record;
        batch->done_count += record.done;
        batch->other_count += !record.done;
    }
    batch->record_count = count;
    msgpack_truncate(&batch->entries, entries.to);
    msgpack_truncate(&batch->values, values.to);
    msgpack_truncate(&batch->others, others.to);
}
