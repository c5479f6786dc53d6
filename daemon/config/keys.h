/*
 * The keys of one map in the file, before their values are looked at: known, given once, legal.
 */
#pragma once

#include "context/macros.h"
#include "daemon/config/table.h"

/* Checks that each key of `map` is one of the section's, is given once, and is supported. Errors: -EINVAL with a
 * message noted, -ENOMEM. */
int config_keys_check(struct config_reader *reader, const struct config_section *section,
                      const yaml_node_t *map) MUST_CHECK;

/* Checks that each key of `map`, whose keys are names that users choose, is of the key's type, and is given once.
 * Errors as above. */
int config_keys_check_names(struct config_reader *reader, const struct config_key *key,
                            const yaml_node_t *map) MUST_CHECK;

/* Checks that no two maps in `list` have the same value of a key that is unique in the section. Errors as above. */
int config_keys_check_unique(struct config_reader *reader, const struct config_section *section,
                             const yaml_node_t *list) MUST_CHECK;

/* Adds `the keys NAME, NAME and NAME`. */
void config_keys_describe(const struct config_section *section, struct config_text *text);
