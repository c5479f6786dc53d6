#include "daemon/supervisor/reload_outcome.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include <weft/log.h>

/* One line: the number of the last reload that has begun, from 1, and what became of it. */
static const char going_on[] = "goes on", well[] = "ok";

enum { PATH_SIZE = 4096, LINE_SIZE = RELOAD_WHY_SIZE + 64, POLL_US = 50 * 1000 };

/* Gives false where there is none. The unit may have several folders; the first is this one. */
static bool find_file(const char *suffix, char path[static PATH_SIZE])
{
    const char *folders = getenv("RUNTIME_DIRECTORY");

    return folders && folders[0] == '/' &&
           snprintf(path, PATH_SIZE, "%.*s/reload%s", (int)strcspn(folders, ":"), folders, suffix) < PATH_SIZE;
}

/* ---- The supervisor's side ---- */

static int write_file(unsigned begun, const char *state)
{
    char path[PATH_SIZE], fresh[PATH_SIZE], line[LINE_SIZE];

    if (!find_file("", path) || !find_file(".new", fresh))
        return 0;
    FILE *file = fopen(fresh, "we");
    if (!file)
        return -errno;
    (void)snprintf(line, sizeof(line), "%u %s", begun, state);
    for (char *at = strchr(line, '\n'); at; at = strchr(at, '\n'))
        *at = ' ';
    bool written = fprintf(file, "%s\n", line) > 0;
    /* It is renamed into place, so that nobody reads half of it. */
    if (fclose(file) < 0 || !written || rename(fresh, path) < 0)
        return errno ? -errno : -EIO;
    return 0;
}

void reload_outcome_tell(struct reload_outcome *outcome, const struct reload *reload)
{
    bool ended = reload->state == RELOAD_NOT;

    if (outcome->told && outcome->begun == reload->begun && outcome->ended == ended)
        return;
    *outcome = (struct reload_outcome){.told = true, .begun = reload->begun, .ended = ended};
    int r = write_file(reload->begun, !ended ? going_on : *reload->why_refused ? reload->why_refused : well);
    if (r < 0)
        weft_warn("what becomes of reloads cannot be written to the runtime folder: %s", strerror(-r));
}

/* ---- The other side ---- */

/* Gives the number of the last reload, and its state, "" where weftd has written nothing yet. */
static unsigned read_file(const char *path, char state[static LINE_SIZE])
{
    FILE *file = fopen(path, "re");
    unsigned begun = 0;
    int at = 0;
    char line[LINE_SIZE];

    state[0] = '\0';
    if (!file)
        return 0;
    if (fgets(line, sizeof(line), file) && sscanf(line, "%u %n", &begun, &at) == 1 && at > 0) {
        line[strcspn(line, "\n")] = '\0';
        (void)snprintf(state, LINE_SIZE, "%s", line + at);
    }
    (void)fclose(file);
    return begun;
}

int reload_outcome_ask(void)
{
    const char *number = getenv("MAINPID");
    pid_t pid = number ? (pid_t)strtol(number, NULL, 10) : 0;
    char path[PATH_SIZE], state[LINE_SIZE];

    if (pid <= 0 || !find_file("", path)) {
        fprintf(stderr, "weftd: --reload is what the unit's ExecReload= runs: systemd then sets MAINPID, and with "
                        "RuntimeDirectory= also RUNTIME_DIRECTORY. Elsewhere, send weftd SIGHUP\n");
        return EX_USAGE;
    }
    /* Any reload that begins from now on has read what is to be read, whoever asked for it. */
    unsigned before = read_file(path, state);
    if (kill(pid, SIGHUP) < 0) {
        fprintf(stderr, "weftd: process %d cannot be asked to reload: %s\n", (int)pid, strerror(errno));
        return EX_UNAVAILABLE;
    }
    while (read_file(path, state) == before || !*state || strcmp(state, going_on) == 0) {
        if (kill(pid, 0) < 0 && errno == ESRCH) {
            fprintf(stderr, "weftd: the process that was to reload has ended\n");
            return EX_UNAVAILABLE;
        }
        (void)usleep(POLL_US);
    }
    if (strcmp(state, well) == 0)
        return EX_OK;
    fprintf(stderr, "weftd: the new configuration is refused and the old one stays: %s\n", state);
    return EX_CONFIG;
}
