/* Attributes that the public headers share. */
#pragma once

#ifdef __cplusplus
#define WEFT_BEGIN_DECLS extern "C" {
#define WEFT_END_DECLS   }
#else
#define WEFT_BEGIN_DECLS
#define WEFT_END_DECLS
#endif

/* Part of the stable interface: exported by weftd for its plugins. */
#define WEFT_API __attribute__((visibility("default")))

/* The result must be looked at. */
#define WEFT_MUST_CHECK __attribute__((warn_unused_result))

/* The function may suspend the calling fiber; other jobs run meanwhile. */
#define WEFT_MAY_WAIT

#define WEFT_PRINTF(format_, first_) __attribute__((__format__(__printf__, format_, first_)))
