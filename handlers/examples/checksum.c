/*
 * Blocking code, as any program has it: opening and reading a file may take as long as the disk, or the network behind
 * it, likes. The type of the job has `blocking: true`, so it runs on a thread, and nobody else waits for it.
 */
#include <stdio.h>
#include <string.h>

#include "handlers/examples/examples.h"

/* FNV-1a, 64 bits. */
static uint64_t add_to_sum(uint64_t sum, const unsigned char *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        sum = (sum ^ bytes[i]) * UINT64_C(0x100000001b3);
    return sum;
}

/* Nobody can interrupt a thread: what takes long asks whether it is to end. */
static int sum_up(struct weft_job *job, FILE *file, uint64_t *ret_sum)
{
    unsigned char buffer[65536];
    uint64_t sum = UINT64_C(0xcbf29ce484222325);
    size_t size, bytes = 0;

    while ((size = fread(buffer, 1, sizeof(buffer), file)) > 0) {
        if (weft_is_cancelled())
            return -ECANCELED;
        sum = add_to_sum(sum, buffer, size);
        bytes += size;
        weft_progress(job, "%zu bytes", bytes);
    }
    if (ferror(file))
        return -EIO;
    weft_info("Read %zu bytes", bytes);
    *ret_sum = sum;
    return 0;
}

int example_checksum(struct weft_job *job)
{
    const char *path = weft_get("file");
    uint64_t sum;

    if (!path)
        return weft_fail(job, "the metadata \"file\" is missing");
    weft_info("Reading %s", path);
    FILE *file = fopen(path, "rbe");
    if (!file)
        return weft_fail(job, "%s: %s", path, strerror(errno));
    int r = sum_up(job, file, &sum);
    fclose(file);
    if (r < 0)
        return r;
    char *result = weft_printf(job, "{\"fnv1a\":\"%016llx\"}", (unsigned long long)sum);
    return result ? weft_result(job, result) : -ENOMEM;
}
