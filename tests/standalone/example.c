/*
 * A tea house: a server that takes one order a line, and serves each guest in a task of its own. Nothing here passes
 * the guest's number along, and yet every line of the log has it: from the task, from the thread that brews, and from
 * the bookkeeping that goes on when the guest has left. Needs weft's context library and libevent, and nothing else.
 *
 *     ./example /tmp/tea.sock &
 *     nc -U /tmp/tea.sock
 */
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <event2/event.h>
#include <event2/listener.h>

#include <weft/context.h>
#include <weft/log.h>
#include <weft/loop.h>
#include <weft/task.h>

/* Blocks, and so runs on a thread of the pool. */
static int brew(void *drink)
{
    (void)usleep(20 * 1000);
    weft_info("brewed %s", (const char *)drink);
    return 0;
}

/* Nobody waits for this. It outlives the connection, and still knows whose it is. */
static int keep_books(void *arg)
{
    (void)arg;
    (void)weft_sleep_ms(50);
    weft_info("wrote down %s order(s)", weft_get("orders"));
    return 0;
}

/* Gives false when the guest has left, or has said nothing for a minute. */
static bool read_line(int fd, char *line, size_t size)
{
    for (size_t used = 0; used < size && weft_wait_fd(fd, WEFT_READ, 60 * 1000) > 0; used++) {
        if (read(fd, line + used, 1) != 1)
            return false;
        if (line[used] == '\n') {
            line[used] = '\0';
            return true;
        }
    }
    return false;
}

static int serve(void *arg)
{
    int fd = (int)(intptr_t)arg, orders = 0;
    char drink[64], count[16];

    weft_info("welcome");
    for (; read_line(fd, drink, sizeof(drink)); orders++) {
        weft_info("ordered %s", drink);
        (void)weft_offload(brew, drink, NULL); /* other guests are served meanwhile */
        (void)weft_sleep_ms(10);               /* too hot */
        (void)dprintf(fd, "your %s, %s\n", drink, weft_get("guest"));
    }
    (void)close(fd);
    weft_info("good bye");
    (void)snprintf(count, sizeof(count), "%d", orders);
    (void)weft_set("orders", count);
    (void)weft_spawn("books", keep_books, NULL);
    return 0;
}

/* A plain callback of libevent. What it sets lasts until the end of its scope, and the task that it starts there keeps
 * it. */
static void guest_comes(struct evconnlistener *doors, int fd, struct sockaddr *address, int size, void *arg)
{
    static unsigned guests;
    char guest[16];

    (void)doors, (void)address, (void)size, (void)arg;
    WEFT_SCOPE();
    (void)snprintf(guest, sizeof(guest), "guest-%u", ++guests);
    (void)weft_set("guest", guest);
    if (!weft_spawn("serve", serve, (void *)(intptr_t)fd))
        (void)close(fd);
}

/* Lets nobody else in. The loop ends by itself when the last guest has left and the books are written. */
static void close_doors(evutil_socket_t number, short what, void *doors)
{
    (void)number, (void)what;
    (void)evconnlistener_disable(doors);
    weft_info("closing");
}

int main(int argc, char **argv)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct event_base *base = event_base_new();
    struct weft_loop *loop;

    if (argc != 2 || strlen(argv[1]) >= sizeof(address.sun_path) || !base || weft_loop_new(base, &loop) < 0)
        return EXIT_FAILURE;
    (void)strcpy(address.sun_path, argv[1]);
    struct evconnlistener *doors = evconnlistener_new_bind(base, guest_comes, NULL, LEV_OPT_CLOSE_ON_FREE, 16,
                                                           (struct sockaddr *)&address, sizeof(address));
    if (!doors)
        return EXIT_FAILURE;
    (void)signal(SIGPIPE, SIG_IGN); /* of guests who leave before their tea is ready */
    struct event *evening = event_new(base, SIGTERM, EV_SIGNAL, close_doors, doors);
    (void)event_add(evening, NULL);
    weft_log_label("guest");
    weft_info("open");
    (void)event_base_dispatch(base);

    event_free(evening);
    evconnlistener_free(doors);
    (void)weft_loop_free(loop);
    event_base_free(base);
    (void)unlink(argv[1]);
    return EXIT_SUCCESS;
}
