/* OpenMP, whose pool of threads is made for the first job that needs it and serves all. */
#include <omp.h>

#include <weft/weft.h>

static int compute(struct weft_job *job)
{
    const char *id = weft_job_id(job);
    long sum = 0;

    omp_set_num_threads(3);
#pragma omp parallel for reduction(+ : sum) schedule(static, 1)
    for (int i = 0; i < 6; i++) {
        weft_info("parallel of %s", id);
        sum += i;
    }
    weft_info("sum of %s", id);
    return sum == 15 ? 0 : -EPROTO;
}

WEFT_PLUGIN("openmp", WEFT_HANDLER("compute", compute));
