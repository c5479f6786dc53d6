/*
 * From a file to a YAML document: everything that can be wrong with it before its keys are looked at.
 */
#pragma once

#include "context/macros.h"
#include "daemon/config/reader.h"

/* Reads the reader's file as one document of UTF-8 text whose root is a map, without tags of other people's and without
 * NUL bytes in its values. `*ret_document` is the caller's, to be given to yaml_document_delete(). May wait for the
 * disk. Errors: -EINVAL, -ENOMEM, and those of open() and read(); the message is noted except for -ENOMEM. */
int config_document_load(struct config_reader *reader, yaml_document_t *ret_document) MUST_CHECK;
