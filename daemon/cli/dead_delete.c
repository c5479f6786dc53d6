/* weft dead delete: deletes a dead letter. */
#include "daemon/cli/dead_delete.h"

#include <stdio.h>
#include <sysexits.h>

#include "daemon/cli/dead_find.h"
#include "daemon/cli/job_id.h"
#include "daemon/cli/print.h"
#include "daemon/cli/problem.h"
#include "daemon/cli/script.h"

static int delete_letter(struct session *session, const char *id, bool json)
{
    struct dead_letter letter;
    int status = dead_find(session, id, &letter);

    if (status != EX_OK)
        return status;
    const char *entry = letter.entry;
    SESSION_REPLY *reply = script_call(session, REDIS_REPLY_INTEGER, &queue_script_erase, letter.keys, &entry, 1);

    if (!reply)
        return EX_UNAVAILABLE;
    if (reply->integer == 0)
        return dead_report_missing(id);
    return dead_report_done("deleted the dead letter of", id, &letter, json);
}

int dead_delete(const struct invocation *invocation)
{
    const char *id = invocation->options.words[0];
    struct session session;
    int status = job_id_check("dead delete", id);

    if (status == EX_OK)
        status = session_open(&session, invocation->config, invocation->options.queue);
    if (status != EX_OK)
        return status;
    status = delete_letter(&session, id, invocation->options.json);
    session_close(&session);
    return status;
}
