/* The stand-alone example, with two guests at once: each line of its log has its guest's number, and none another's. */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static struct {
    char folder[32];
    char path[64];
    pid_t child;
    FILE *log;
} house;

static const char *program;

/* ---- The log ---- */

enum { LINES_MAX = 256 };

static char lines[LINES_MAX][128];
static size_t line_count;

/* Gives the next line without its time, or NULL at the end. What a sanitizer has to say is not the program's. */
static const char *read_log(void)
{
    static char line[512];

    while (fgets(line, sizeof(line), house.log)) {
        if (strncmp(line, "==", 2) == 0)
            continue;
        line[strcspn(line, "\n")] = '\0';
        char *words = strchr(line, ' ');
        assert_non_null(words);
        assert_true(line_count < LINES_MAX);
        (void)snprintf(lines[line_count++], sizeof(lines[0]), "%s", words + 1);
        return words + 1;
    }
    return NULL;
}

/* Compares the lines of one guest ("-": of nobody), in their order, with `wanted`. */
static void assert_lines_of(const char *guest, const char *wanted)
{
    char found[2048] = "";
    size_t used = 0;

    for (size_t i = 0; i < line_count; i++) {
        char subject[16];

        assert_int_equal(sscanf(lines[i], "%*s %15s", subject), 1);
        if (strcmp(subject, guest) == 0)
            used += (size_t)snprintf(found + used, sizeof(found) - used, "%s\n", lines[i]);
    }
    assert_string_equal(found, wanted);
}

/* ---- The guests ---- */

static int come(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", house.path);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

static void order(int fd, const char *drink)
{
    assert_int_equal(dprintf(fd, "%s\n", drink), strlen(drink) + 1);
}

static void assert_served(int fd, const char *wanted)
{
    char reply[128] = "";
    size_t used = 0;

    while (used + 1 < sizeof(reply) && !memchr(reply, '\n', used) && read(fd, reply + used, 1) == 1)
        used++;
    assert_string_equal(reply, wanted);
}

/* ---- The house ---- */

static int open_house(void **state)
{
    int ends[2];

    (void)state;
    line_count = 0;
    (void)snprintf(house.folder, sizeof(house.folder), "/tmp/weft-example-XXXXXX");
    assert_non_null(mkdtemp(house.folder));
    (void)snprintf(house.path, sizeof(house.path), "%s/socket", house.folder);
    assert_int_equal(pipe(ends), 0);
    house.child = fork();
    if (house.child == 0) {
        (void)dup2(ends[1], STDERR_FILENO);
        (void)close(ends[0]);
        (void)close(ends[1]);
        (void)execl(program, program, house.path, NULL);
        _exit(127);
    }
    (void)close(ends[1]);
    house.log = fdopen(ends[0], "r");
    assert_string_equal(read_log(), "INFO  - open");
    return 0;
}

static int leave_house(void **state)
{
    (void)state;
    if (house.child > 0) {
        (void)kill(house.child, SIGKILL);
        (void)waitpid(house.child, NULL, 0);
    }
    (void)fclose(house.log);
    (void)unlink(house.path);
    return rmdir(house.folder);
}

/* Waits for the end, and for all that was logged until then. */
static void close_house(void)
{
    int status = -1;

    assert_int_equal(kill(house.child, SIGTERM), 0);
    while (read_log())
        ;
    assert_int_equal(waitpid(house.child, &status, 0), house.child);
    house.child = 0;
    assert_int_equal(status, 0);
}

static void every_line_is_about_its_own_guest(void **state)
{
    (void)state;
    int first = come();
    assert_string_equal(read_log(), "INFO  guest-1 welcome");
    int second = come();
    assert_string_equal(read_log(), "INFO  guest-2 welcome");

    order(first, "oolong");
    order(second, "coffee");
    assert_served(first, "your oolong, guest-1\n");
    order(first, "rooibos\x1b[2J guest-2");
    assert_served(second, "your coffee, guest-2\n");
    assert_served(first, "your rooibos\x1b[2J guest-2, guest-1\n");
    (void)close(second);
    order(first, "mint");
    assert_served(first, "your mint, guest-1\n");
    (void)close(first);
    close_house();

    assert_lines_of("guest-1", "INFO  guest-1 welcome\n"
                               "INFO  guest-1 ordered oolong\n"
                               "INFO  guest-1 brewed oolong\n"
                               "INFO  guest-1 ordered rooibos\\x1b[2J guest-2\n"
                               "INFO  guest-1 brewed rooibos\\x1b[2J guest-2\n"
                               "INFO  guest-1 ordered mint\n"
                               "INFO  guest-1 brewed mint\n"
                               "INFO  guest-1 good bye\n"
                               "INFO  guest-1 wrote down 3 order(s)\n");
    assert_lines_of("guest-2", "INFO  guest-2 welcome\n"
                               "INFO  guest-2 ordered coffee\n"
                               "INFO  guest-2 brewed coffee\n"
                               "INFO  guest-2 good bye\n"
                               "INFO  guest-2 wrote down 1 order(s)\n");
    assert_lines_of("-", "INFO  - open\n"
                         "INFO  - closing\n");
    assert_int_equal(line_count, 16);
}

static void forty_guests_at_once_are_served_under_their_own_numbers(void **state)
{
    enum { GUESTS = 40 };
    int fds[GUESTS];
    char guest[16], text[256];

    (void)state;
    for (int i = 0; i < GUESTS; i++)
        fds[i] = come();
    for (int i = 0; i < GUESTS; i++)
        order(fds[i], "water");
    for (int i = GUESTS - 1; i >= 0; i--) {
        (void)snprintf(text, sizeof(text), "your water, guest-%d\n", i + 1);
        assert_served(fds[i], text);
        (void)close(fds[i]);
    }
    close_house();
    for (int i = 1; i <= GUESTS; i++) {
        (void)snprintf(guest, sizeof(guest), "guest-%d", i);
        (void)snprintf(text, sizeof(text),
                       "INFO  %s welcome\nINFO  %s ordered water\nINFO  %s brewed water\nINFO  %s good bye\n"
                       "INFO  %s wrote down 1 order(s)\n",
                       guest, guest, guest, guest, guest);
        assert_lines_of(guest, text);
    }
    assert_int_equal(line_count, 2 + 5 * GUESTS);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_line_is_about_its_own_guest, open_house, leave_house),
        cmocka_unit_test_setup_teardown(forty_guests_at_once_are_served_under_their_own_numbers, open_house,
                                        leave_house),
    };

    if (argc != 2)
        return EXIT_FAILURE;
    program = argv[1];
    (void)signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests_name("standalone", tests, NULL, NULL);
}
