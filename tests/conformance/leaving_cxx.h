/* What leaving.c cannot do in C. */
#pragma once

#ifdef __cplusplus
extern "C" {
#endif

/* Throws the number. */
void leaving_throw(int number);

/* Calls fn() and gives the number that it throws; -1: it has returned. */
int leaving_catch(int (*fn)(void));

#ifdef __cplusplus
}
#endif
