/*
 * What the table cannot say: how keys depend on each other. The functions are those of struct config_section.
 */
#pragma once

#include "daemon/config/reader.h"

/* redis: an embedded Redis has a socket in `dir`, and no password. */
int config_redis_finish(struct config_reader *reader, const yaml_node_t *map, void *base);

/* A backoff's first delay is not longer than its longest one. */
int config_backoff_finish(struct config_reader *reader, const yaml_node_t *map, void *base);

/* A job type begins with what `defaults` says. */
int config_job_begin(struct config_reader *reader, const char *name, struct config_mark mark, void *item);

/* Where no queue is named there is one, called `default`; and the queues' options point to what has been read. */
int config_root_finish(struct config_reader *reader, const yaml_node_t *map, void *base);
