/*
 * Inquiries of `weft ps`, a worker's side: learns, along with what is to be cancelled, that somebody wants to know what
 * it does, and answers.
 *
 * An inquiry is a member of the queue's set of them: NONCE, or "NONCE ID" where it is about one job. Its answers are a
 * hash beside the set, whose name ends with the nonce, by consumer. Both are forgotten by Redis within seconds.
 */
#pragma once

#include <stddef.h>

#include "context/macros.h"
#include "queue/consumer/client.h"
#include "queue/link.h"
#include "queue/redis/connection.h"

/* How long an inquiry is kept, and its answers: longer than anybody waits for them. */
#define INQUIRY_KEPT_MS 10000

/* How many there may be at once in a queue, and how long one may be with its NUL. */
#define INQUIRIES_MAX 16
#define INQUIRY_SIZE  192

struct inquiry;

/* What is given is borrowed and must outlive it; `inquired` is told of each inquiry once. Errors: -ENOMEM. */
int inquiry_new(const struct queue_link *link, void (*inquired)(const struct queue_inquiry *inquiry, void *user),
                void *user, struct inquiry **ret_inquiry) MUST_CHECK;

/* Not before its redis is freed. Takes NULL, gives NULL. */
struct inquiry *inquiry_free(struct inquiry *inquiry);

/* Reads a queue, once more if that is under way. */
void inquiry_read(struct inquiry *inquiry, size_t queue);

/* Answers: `size` bytes, which are copied. Errors: -ENOTCONN, -ENOMEM. */
int inquiry_answer(struct inquiry *inquiry, const struct queue_inquiry *question, const char *text,
                   size_t size) MUST_CHECK;
