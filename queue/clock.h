/*
 * The names that the clocks of context/time.h had; for callers that have not been moved to them.
 */
#pragma once

#include "context/time.h"

#define CLOCK_TEXT_SIZE (TIME_MS_LENGTH + 1)
#define clock_now_ms    time_unix_ms
#define clock_steady_ms time_steady_ms
#define clock_text      time_text
#define clock_format    time_format_ms
