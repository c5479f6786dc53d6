/*
 * hiredis's asynchronous interface, as its versions 0.14 to 1.3 have it. Declared here, so that the context library
 * builds where hiredis is not installed; a test compares this with the real header.
 */
#pragma once

#include <stdarg.h>
#include <stddef.h>

struct redisAsyncContext;

enum { REDIS_LIBRARY_OK = 0, REDIS_LIBRARY_ERROR = -1 };

typedef void redis_reply_fn(struct redisAsyncContext *connection, void *reply, void *arg);
typedef void redis_status_fn(const struct redisAsyncContext *connection, int status);
typedef void redis_status_mutable_fn(struct redisAsyncContext *connection, int status);
typedef void redis_push_fn(struct redisAsyncContext *connection, void *reply);

int redisAsyncCommand(struct redisAsyncContext *connection, redis_reply_fn *fn, void *arg, const char *format, ...);
int redisvAsyncCommand(struct redisAsyncContext *connection, redis_reply_fn *fn, void *arg, const char *format,
                       va_list args);
int redisAsyncCommandArgv(struct redisAsyncContext *connection, redis_reply_fn *fn, void *arg, int count,
                          const char **words, const size_t *sizes);
int redisAsyncFormattedCommand(struct redisAsyncContext *connection, redis_reply_fn *fn, void *arg, const char *command,
                               size_t size);

struct redisAsyncContext *redisAsyncConnectUnix(const char *path);
void redisAsyncHandleRead(struct redisAsyncContext *connection);
void redisAsyncHandleWrite(struct redisAsyncContext *connection);
void redisAsyncHandleTimeout(struct redisAsyncContext *connection); /* since 1.0 */
void redisAsyncDisconnect(struct redisAsyncContext *connection);
void redisAsyncFree(struct redisAsyncContext *connection);

int redisAsyncSetConnectCallback(struct redisAsyncContext *connection, redis_status_fn *fn);
int redisAsyncSetConnectCallbackNC(struct redisAsyncContext *connection, redis_status_mutable_fn *fn); /* since 1.1 */
int redisAsyncSetDisconnectCallback(struct redisAsyncContext *connection, redis_status_fn *fn);
redis_push_fn *redisAsyncSetPushCallback(struct redisAsyncContext *connection, redis_push_fn *fn); /* since 1.0 */

int redisvFormatCommand(char **ret_command, const char *format, va_list args);
void redisFreeCommand(char *command);
