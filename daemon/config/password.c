#include "daemon/config/password.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

#include "context/cleanup.h"
#include "daemon/config/file.h"

#define PASSWORD_SIZE_MAX 4096

/* Reads a file among the credentials that systemd hands to a service (LoadCredential=). */
static int read_credential(const char *name, char **ret_path, char **ret_text, size_t *ret_size)
{
    const char *folder = getenv("CREDENTIALS_DIRECTORY");
    CLEANUP_FREE char *path = NULL;
    int r;

    if (!folder || name[0] == '/')
        return -ENOENT;
    if (asprintf(&path, "%s/%s", folder, name) < 0) {
        path = NULL;
        return -ENOMEM;
    }
    r = config_file_read(path, PASSWORD_SIZE_MAX, ret_text, ret_size);
    /* Other errors too concern the file that is meant, so its path is the one to show. */
    if (r != -ENOENT)
        *ret_path = TAKE_POINTER(path);
    return r;
}

static int fail_read(struct config_reader *reader, struct config_mark mark, const char *path, int error)
{
    struct config_text quoted = {0};

    if (error == -ENOMEM)
        return error;
    config_text_add_quoted(&quoted, path, strlen(path));
    if (error == -EFBIG)
        return config_reader_fail(reader, mark, "\"redis.password_file\" must hold at most %d bytes; %s holds more",
                                  PASSWORD_SIZE_MAX, quoted.text);
    return config_reader_fail(reader, mark,
                              "\"redis.password_file\" must be a file that can be read, but %s cannot: %s", quoted.text,
                              strerror(-error));
}

/* What is wrong with it, but nothing of what it holds. */
static const char *describe_content(const char *text, size_t size)
{
    if (size == 0)
        return "is empty";
    if (strcspn(text, "\r\n") == size - 1 && text[size - 1] == '\r')
        return "ends its line as Windows does, with a carriage return, which would be taken for part of the password; "
               "\"sed -i 's/\\r$//'\" with the file's path removes it";
    return "holds something else";
}

static int read_password_file(struct config_reader *reader, const struct config_key *key,
                              const struct config_scalar *scalar, void *field)
{
    CLEANUP_FREE char *path = NULL;
    CLEANUP_FREE char *text = NULL;
    size_t size;
    int r;

    (void)key;
    if (scalar->size == 0)
        return -EINVAL;
    r = read_credential(scalar->text, &path, &text, &size);
    if (r == -ENOENT) {
        path = config_reader_resolve(reader, scalar->text);
        r = path ? config_file_read(path, PASSWORD_SIZE_MAX, &text, &size) : -ENOMEM;
    }
    if (r < 0)
        return fail_read(reader, scalar->mark, path, r);
    if (size > 0 && text[size - 1] == '\n')
        text[--size] = '\0';
    if (size == 0 || strcspn(text, "\r\n") != size) {
        struct config_text quoted = {0};

        config_text_add_quoted(&quoted, path, strlen(path));
        return config_reader_fail(reader, scalar->mark,
                                  "\"redis.password_file\" must hold a password, alone on one line, but %s %s",
                                  quoted.text, describe_content(text, size));
    }
    config_string_replace(field, TAKE_POINTER(path));
    config_string_replace(&reader->config->redis.password, TAKE_POINTER(text));
    return 0;
}

static void describe_password_file(const struct config_key *key, struct config_text *text)
{
    (void)key;
    config_text_add(text, "a file's path");
}

const struct config_type config_type_password_file = {.read = read_password_file, .describe = describe_password_file};
