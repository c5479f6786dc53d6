/*
 * The anchor: whoever refers to it has all of the wrappers linked, also in a program that calls them only by way of the
 * libraries, and wherever in its command line those are.
 */
#include "context/propagate/linked.h"

#define ANCHOR(name_) propagate_linked_##name_,

const char *const propagate_anchor[] = {PROPAGATE_FILES(ANCHOR)};
