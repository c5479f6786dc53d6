/* What the context library knows of hiredis, whose header it does not include. */
#include <hiredis/async.h>

#include "context/propagate/hiredis/redis_command.h"
#include "context/propagate/hiredis/redis_library.h" /* has to agree with the header above, or this does not compile */
#include "context/propagate/hiredis/redis_reply.h"
#include "tests/support/expect.h"

/* ---- Commands ---- */

static struct redis_command read_text(const char *formatted)
{
    return redis_command_read(formatted, strlen(formatted));
}

static bool next_is(struct redis_words *words, const char *wanted)
{
    struct redis_word word;

    return redis_words_next(words, &word) && word.size == strlen(wanted) && memcmp(word.text, wanted, word.size) == 0;
}

static void the_words_of_a_formatted_command_are_read(void **state)
{
    struct redis_command command = read_text("*3\r\n$3\r\nSET\r\n$2\r\n$5\r\n$0\r\n\r\n");

    (void)state;
    EXPECT_EQUAL(command.kind, REDIS_COMMAND_ORDINARY);
    EXPECT(command.name.size == 3 && memcmp(command.name.text, "SET", 3) == 0);
    EXPECT(next_is(&command.rest, "$5"));
    EXPECT(next_is(&command.rest, ""));
    EXPECT(!next_is(&command.rest, ""));
}

static void the_words_of_an_array_are_read(void **state)
{
    const char *words[] = {"psubscribe", "news", "sport"};
    const size_t sizes[] = {10, 1, 5};
    struct redis_command with_sizes = redis_command_read_words(3, words, sizes);
    struct redis_command without = redis_command_read_words(2, words, NULL);

    (void)state;
    EXPECT_EQUAL(with_sizes.kind, REDIS_COMMAND_SUBSCRIBE);
    EXPECT(with_sizes.is_pattern);
    EXPECT(next_is(&with_sizes.rest, "n"));
    EXPECT(next_is(&with_sizes.rest, "sport"));
    EXPECT(!next_is(&with_sizes.rest, ""));
    EXPECT(next_is(&without.rest, "news"));
    EXPECT(!next_is(&without.rest, ""));
}

static void commands_that_hiredis_keeps_are_known(void **state)
{
    static const struct {
        const char *formatted;
        enum redis_command_kind kind;
    } cases[] = {
        {"*1\r\n$4\r\nPING\r\n", REDIS_COMMAND_ORDINARY},
        {"*2\r\n$9\r\nSubscribe\r\n$1\r\na\r\n", REDIS_COMMAND_SUBSCRIBE},
        {"*1\r\n$9\r\nSUBSCRIBE\r\n", REDIS_COMMAND_ORDINARY}, /* an error's reply is all that comes */
        {"*2\r\n$10\r\nPSUBSCRIBE\r\n$1\r\na\r\n", REDIS_COMMAND_SUBSCRIBE},
        {"*1\r\n$11\r\nUNSUBSCRIBE\r\n", REDIS_COMMAND_UNSUBSCRIBE},
        {"*1\r\n$12\r\nPUNSUBSCRIBE\r\n", REDIS_COMMAND_UNSUBSCRIBE},
        {"*1\r\n$7\r\nmonitor\r\n", REDIS_COMMAND_LASTING},
        {"*2\r\n$10\r\nSSUBSCRIBE\r\n$1\r\na\r\n", REDIS_COMMAND_LASTING},
        {"*1\r\n$8\r\nMONITORS\r\n", REDIS_COMMAND_ORDINARY},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
        EXPECT_EQUAL(read_text(cases[i].formatted).kind, cases[i].kind);
}

static void what_is_no_command_is_ordinary(void **state)
{
    static const char *const texts[] = {
        "", "*1\r\n", "$", "$9", "*1\r\n$9\r\nSUBSCR", "$99999999999999999999999\r\nx\r\n"};

    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
        struct redis_command command = read_text(texts[i]);

        EXPECT_EQUAL(command.kind, REDIS_COMMAND_ORDINARY);
        EXPECT_EQUAL(command.name.size, 0);
    }
}

static void formats_are_looked_into_where_they_may_subscribe(void **state)
{
    (void)state;
    EXPECT(redis_format_may_subscribe("SUBSCRIBE %s"));
    EXPECT(redis_format_may_subscribe("  psubscribe x"));
    EXPECT(redis_format_may_subscribe("%s news"));
    EXPECT(redis_format_may_subscribe("monitor"));
    EXPECT(!redis_format_may_subscribe("HGET %s %s"));
}

/* ---- Replies ---- */

static void expect_notice(const void *reply, enum redis_notice_kind kind, bool is_pattern, const char *channel)
{
    struct redis_notice notice = redis_notice_read(reply);

    EXPECT_EQUAL(notice.kind, kind);
    if (!channel)
        return;
    EXPECT_EQUAL(notice.is_pattern, is_pattern);
    EXPECT(notice.channel.size == strlen(channel) && memcmp(notice.channel.text, channel, notice.channel.size) == 0);
}

static redisReply string_reply(char *text)
{
    return (redisReply){.type = REDIS_REPLY_STRING, .str = text, .len = strlen(text)};
}

static void the_installed_hiredis_replies_are_read(void **state)
{
    redisReply kind = string_reply((char[]){"punsubscribe"}), channel = string_reply((char[]){"news"});
    redisReply count = {.type = REDIS_REPLY_INTEGER, .integer = 1};
    redisReply *elements[] = {&kind, &channel, &count};
    redisReply reply = {.type = REDIS_REPLY_ARRAY, .elements = 3, .element = elements};
    redisReply nil = {.type = REDIS_REPLY_NIL};

    (void)state;
    expect_notice(&reply, REDIS_NOTICE_UNSUBSCRIBED, true, "news");
    kind = string_reply((char[]){"subscribe"});
    expect_notice(&reply, REDIS_NOTICE_SUBSCRIBED, false, "news");
    kind = string_reply((char[]){"message"});
    expect_notice(&reply, REDIS_NOTICE_OTHER, false, NULL);
    elements[1] = &nil;
    expect_notice(&reply, REDIS_NOTICE_OTHER, false, NULL);
    expect_notice(&channel, REDIS_NOTICE_OTHER, false, NULL);
    expect_notice(NULL, REDIS_NOTICE_OTHER, false, NULL);
}

/* As hiredis 0.14 has them, and as 1.0 and later do. */
struct reply_of_0 {
    int type;
    long long integer;
    size_t len;
    char *str;
    size_t elements;
    void **element;
};

struct reply_of_1 {
    int type;
    long long integer;
    double dval;
    size_t len;
    char *str;
    char vtype[4];
    size_t elements;
    void **element;
};

static void replies_of_every_hiredis_are_read(void **state)
{
    struct reply_of_0 old_kind = {.type = 1, .str = (char[]){"unsubscribe"}, .len = 11};
    struct reply_of_0 old_channel = {.type = 1, .str = (char[]){"news"}, .len = 4};
    struct reply_of_0 old = {.type = 2, .elements = 3, .element = (void *[]){&old_kind, &old_channel, NULL}};
    struct reply_of_1 new_kind = {.type = 1, .str = (char[]){"unsubscribe"}, .len = 11};
    struct reply_of_1 new_channel = {.type = 1, .str = (char[]){"news"}, .len = 4};
    struct reply_of_1 new = {.type = 12, .elements = 3, .element = (void *[]){&new_kind, &new_channel, NULL}};

    (void)state;
    expect_notice(&old, REDIS_NOTICE_UNSUBSCRIBED, false, "news");
    expect_notice(&new, REDIS_NOTICE_UNSUBSCRIBED, false, "news");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        EXPECT_TEST(the_words_of_a_formatted_command_are_read),
        EXPECT_TEST(the_words_of_an_array_are_read),
        EXPECT_TEST(commands_that_hiredis_keeps_are_known),
        EXPECT_TEST(what_is_no_command_is_ordinary),
        EXPECT_TEST(formats_are_looked_into_where_they_may_subscribe),
        EXPECT_TEST(the_installed_hiredis_replies_are_read),
        EXPECT_TEST(replies_of_every_hiredis_are_read),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
