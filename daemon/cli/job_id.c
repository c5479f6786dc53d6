#include "daemon/cli/job_id.h"

#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "context/macros.h"
#include "context/name.h"
#include "daemon/cli/problem.h"
#include "queue/message/rejection.h"

int job_id_check(const char *command, const char *id)
{
    size_t size = strlen(id);

    if (name_is_job_id(id, size))
        return EX_OK;
    return problem_report_usage(command, "%s is not a job ID, which is " NAME_JOB_ID_ALPHABET,
                                rejection_quote(id, size).text);
}

bool job_id_is_of(const char *id, const struct stream_entry *entry)
{
    static const char *const names[] = {"weft.id", "id"};

    for (size_t i = 0; i < ELEMENTS(names); i++) {
        const redisReply *value = stream_entry_find(entry, names[i]);

        if (value && name_is_job_id(value->str, (size_t)value->len))
            return strlen(id) == (size_t)value->len && memcmp(id, value->str, (size_t)value->len) == 0;
    }
    return strcmp(id, entry->id) == 0;
}

bool job_search_visit(const struct stream_entry *entry, void *user)
{
    struct job_search *search = user;

    if (!job_id_is_of(search->id, entry))
        return false;
    (void)snprintf(search->entry, sizeof(search->entry), "%s", entry->id);
    return true;
}
