#include "queue/message/metadata.h"

#include <errno.h>
#include <string.h>

#include "context/name.h"

void metadata_init(struct metadata *metadata)
{
    metadata->count = 0;
    metadata->bad_name = NULL;
    metadata->too_many = false;
    memset(metadata->slots, 0, sizeof(metadata->slots));
}

/* Where to look for a name first. Poor on purpose: a message has few names, and even if all of them met in one slot,
 * finding one would cost at most JOB_METADATA_MAX comparisons. */
static unsigned slot_of(const struct message_field *field)
{
    const unsigned char *name = (const unsigned char *)field->name;
    size_t size = field->name_size;

    return (unsigned)(size + name[0] * 7u + name[size / 2] * 31u + name[size - 1] * 17u);
}

void metadata_add(struct metadata *metadata, const struct message_field *field)
{
    unsigned slot;

    if (metadata->bad_name || metadata->too_many)
        return;
    if (!name_is_valid(field->name, field->name_size)) {
        metadata->bad_name = field;
        return;
    }
    if (name_is_own(field->name, field->name_size))
        return;

    for (slot = slot_of(field) % METADATA_SLOTS; metadata->slots[slot]; slot = (slot + 1) % METADATA_SLOTS) {
        const struct message_field **known = &metadata->fields[metadata->slots[slot] - 1];

        if ((*known)->name_size == field->name_size && memcmp((*known)->name, field->name, field->name_size) == 0) {
            *known = field;
            return;
        }
    }
    if (metadata->count == JOB_METADATA_MAX) {
        metadata->too_many = true;
        return;
    }
    metadata->fields[metadata->count++] = field;
    metadata->slots[slot] = (uint8_t)metadata->count;
}

static size_t count_bytes(const struct metadata *metadata)
{
    size_t bytes = 0;

    for (size_t i = 0; i < metadata->count; i++)
        bytes += metadata->fields[i]->name_size + metadata->fields[i]->value_size;
    return bytes;
}

int metadata_check(const struct metadata *metadata, struct message_rejection *rejection)
{
    size_t bytes = count_bytes(metadata);

    if (metadata->bad_name) {
        struct rejection_quote quote = rejection_quote(metadata->bad_name->name, metadata->bad_name->name_size);

        rejection_write_reason(rejection, "the field name %s is not " NAME_ALPHABET, quote.text);
        return -EBADMSG;
    }
    if (metadata->too_many) {
        rejection_write_reason(rejection,
                               "the message has more than %d metadata fields; send at most %d, and the rest as payload",
                               JOB_METADATA_MAX, JOB_METADATA_MAX);
        return -EBADMSG;
    }
    if (bytes > JOB_METADATA_BYTES) {
        rejection_write_reason(rejection,
                               "the metadata takes %zu bytes, names and values together; send at most %d, and the rest "
                               "as payload",
                               bytes, JOB_METADATA_BYTES);
        return -EBADMSG;
    }
    return 0;
}
