#include "context/boundary.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unwind.h>

#include <weft/hooks.h>
#include <weft/log.h>

#include "context/machinery.h"

#if defined(__x86_64__) || defined(__aarch64__)

/* ---- Catching ----
 *
 * What a compiler makes of `try { return fn(arg); } catch (...) {}` needs the runtime of C++, which weft is not linked
 * with. All that it takes is a frame with a personality, the function that unwinders ask what is to be done with a
 * frame; ours has them go on at boundary_landing, with the exception in the register of a result. */

int boundary_enter(int (*fn)(void *arg), void *arg, struct _Unwind_Exception **ret_exception);

_Unwind_Reason_Code boundary_personality(int version, _Unwind_Action actions, _Unwind_Exception_Class class,
                                         struct _Unwind_Exception *exception, struct _Unwind_Context *context);

/* Called by name from the unwinder's tables only. */
__attribute__((used)) _Unwind_Reason_Code boundary_personality(int version, _Unwind_Action actions,
                                                               _Unwind_Exception_Class class,
                                                               struct _Unwind_Exception *exception,
                                                               struct _Unwind_Context *context)
{
    (void)class;
    if (version != 1)
        return _URC_FATAL_PHASE1_ERROR;
    /* A thread that ends is not to be held up. */
    if (actions & _UA_FORCE_UNWIND)
        return _URC_CONTINUE_UNWIND;
    if (actions & _UA_SEARCH_PHASE)
        return _URC_HANDLER_FOUND;
    if (!(actions & _UA_HANDLER_FRAME))
        return _URC_CONTINUE_UNWIND;
    _Unwind_SetGR(context, __builtin_eh_return_data_regno(0), (_Unwind_Word)(uintptr_t)exception);
    _Unwind_SetIP(context, (_Unwind_Ptr)(uintptr_t)_Unwind_GetLanguageSpecificData(context));
    return _URC_INSTALL_CONTEXT;
}

#if defined(__x86_64__)
__asm__(".pushsection weft_machinery, \"ax\", @progbits\n"
        ".globl boundary_enter\n"
        ".hidden boundary_enter\n"
        ".hidden boundary_personality\n"
        ".type boundary_enter, @function\n"
        "boundary_enter:\n"
        "    .cfi_startproc\n"
        "    .cfi_personality 0x1b, boundary_personality\n"
        "    .cfi_lsda 0x1b, boundary_landing\n"
        "    pushq %rbx\n"
        "    .cfi_adjust_cfa_offset 8\n"
        "    .cfi_rel_offset %rbx, 0\n"
        "    movq %rdx, %rbx\n"
        "    movq %rdi, %rax\n"
        "    movq %rsi, %rdi\n"
        "    call *%rax\n"
        "boundary_leave:\n"
        "    popq %rbx\n"
        "    .cfi_remember_state\n"
        "    .cfi_adjust_cfa_offset -8\n"
        "    .cfi_restore %rbx\n"
        "    ret\n"
        "boundary_landing:\n"
        "    .cfi_restore_state\n"
        "    movq %rax, (%rbx)\n"
        "    xorl %eax, %eax\n"
        "    jmp boundary_leave\n"
        "    .cfi_endproc\n"
        ".size boundary_enter, . - boundary_enter\n"
        ".popsection\n");
#else
__asm__(".pushsection weft_machinery, \"ax\", %progbits\n"
        ".globl boundary_enter\n"
        ".hidden boundary_enter\n"
        ".hidden boundary_personality\n"
        ".type boundary_enter, %function\n"
        "boundary_enter:\n"
        "    .cfi_startproc\n"
        "    .cfi_personality 0x1b, boundary_personality\n"
        "    .cfi_lsda 0x1b, boundary_landing\n"
        "    stp x29, x30, [sp, #-32]!\n"
        "    .cfi_adjust_cfa_offset 32\n"
        "    .cfi_rel_offset x29, 0\n"
        "    .cfi_rel_offset x30, 8\n"
        "    str x19, [sp, #16]\n"
        "    .cfi_rel_offset x19, 16\n"
        "    mov x29, sp\n"
        "    mov x19, x2\n"
        "    mov x9, x0\n"
        "    mov x0, x1\n"
        "    blr x9\n"
        "boundary_leave:\n"
        "    ldr x19, [sp, #16]\n"
        "    ldp x29, x30, [sp], #32\n"
        "    .cfi_remember_state\n"
        "    .cfi_adjust_cfa_offset -32\n"
        "    .cfi_restore x29\n"
        "    .cfi_restore x30\n"
        "    .cfi_restore x19\n"
        "    ret\n"
        "boundary_landing:\n"
        "    .cfi_restore_state\n"
        "    str x0, [x19]\n"
        "    mov w0, #0\n"
        "    b boundary_leave\n"
        "    .cfi_endproc\n"
        ".size boundary_enter, . - boundary_enter\n"
        ".popsection\n");
#endif

/* ---- In words ----
 *
 * Types and objects of C++ as its ABI lays them out, which GCC and Clang, libstdc++ and libc++ share on Linux. */

/* std::type_info. */
struct cxx_type {
    const struct cxx_type_functions *functions;
    const char *name; /* mangled; an asterisk may come first */
};

/* Whether a handler for `type` takes an object of type `thrown`; then `*object` becomes the part that it takes. */
struct cxx_type_functions {
    void *others[4];
    bool (*takes)(const struct cxx_type *type, const struct cxx_type *thrown, void **object, unsigned depth);
};

/* std::exception. */
struct cxx_exception {
    const struct cxx_exception_functions *functions;
};

struct cxx_exception_functions {
    void *destructors[2];
    const char *(*what)(const struct cxx_exception *exception);
};

/* What is needed of the runtime that threw it, of which there may be several. */
struct cxx_runtime {
    void *(*begin_catch)(struct _Unwind_Exception *exception);
    void (*end_catch)(void);
    const struct cxx_type *(*current_type)(void);
    char *(*demangle)(const char *name, char *buffer, size_t *size, int *ret_status);
    const struct cxx_type *exception_type;
};

#define CXX_CLASS_GNU   UINT64_C(0x474E5543432B2B00) /* "GNUCC++" */
#define CXX_CLASS_CLANG UINT64_C(0x434C4E47432B2B00) /* "CLNGC++" */

/* How far before the unwinder's part of an exception that was thrown again, as by std::rethrow_exception(), GNU's keeps
 * the address of the object. */
enum { GNU_PRIMARY_OFFSET = 80 };

/* The file that is to delete it has the runtime, or uses it. */
static bool find_runtime(const struct _Unwind_Exception *exception, struct cxx_runtime *ret_runtime)
{
    Dl_info where;

    if (!exception->exception_cleanup || dladdr((const void *)(uintptr_t)exception->exception_cleanup, &where) == 0)
        return false;
    void *library = dlopen(where.dli_fname, RTLD_LAZY | RTLD_NOLOAD);
    if (!library)
        library = dlopen(NULL, RTLD_LAZY | RTLD_NOLOAD);
    if (!library)
        return false;
    ret_runtime->begin_catch = (void *(*)(struct _Unwind_Exception *))(uintptr_t)dlsym(library, "__cxa_begin_catch");
    ret_runtime->end_catch = (void (*)(void))(uintptr_t)dlsym(library, "__cxa_end_catch");
    ret_runtime->current_type =
        (const struct cxx_type *(*)(void))(uintptr_t)dlsym(library, "__cxa_current_exception_type");
    ret_runtime->demangle =
        (char *(*)(const char *, char *, size_t *, int *))(uintptr_t)dlsym(library, "__cxa_demangle");
    ret_runtime->exception_type = dlsym(library, "_ZTISt9exception");
    (void)dlclose(library);
    return ret_runtime->begin_catch && ret_runtime->end_catch && ret_runtime->current_type;
}

/* NULL: that is not known. */
static void *object_of(struct _Unwind_Exception *exception)
{
    if ((exception->exception_class & 0xff) == 0)
        return exception + 1;
    if ((exception->exception_class & ~UINT64_C(0xff)) == CXX_CLASS_GNU)
        return *(void **)((char *)exception - GNU_PRIMARY_OFFSET);
    return NULL;
}

/* What it says of itself; NULL: nothing. */
static const char *what_of(const struct cxx_runtime *runtime, const struct cxx_type *type, void *object)
{
    if (!object)
        return NULL;
    if (strcmp(type->name, "PKc") == 0 || strcmp(type->name, "Pc") == 0)
        return *(const char **)object;
    if (runtime->exception_type &&
        runtime->exception_type->functions->takes(runtime->exception_type, type, &object, 1)) {
        const struct cxx_exception *thrown = object;

        return thrown->functions->what(thrown);
    }
    return NULL;
}

/* NULL: there is no memory. */
static char *describe_cxx(const struct cxx_runtime *runtime, struct _Unwind_Exception *exception)
{
    void *object = object_of(exception);
    char *words = NULL;

    (void)runtime->begin_catch(exception);
    const struct cxx_type *type = runtime->current_type();
    if (type) {
        const char *name = type->name + (*type->name == '*');
        int status = 0;
        char *plain = runtime->demangle ? runtime->demangle(name, NULL, NULL, &status) : NULL;
        const char *what = what_of(runtime, type, object);

        if (asprintf(&words, "%s%s%s", plain ? plain : name, what ? ": " : "", what ? what : "") < 0)
            words = NULL;
        free(plain);
    }
    runtime->end_catch();
    return words;
}

/* And deletes it. */
static char *describe(struct _Unwind_Exception *exception)
{
    uint64_t class = exception->exception_class & ~UINT64_C(0xff);
    struct cxx_runtime runtime;

    if ((class == CXX_CLASS_GNU || class == CXX_CLASS_CLANG) && find_runtime(exception, &runtime))
        return describe_cxx(&runtime, exception);
    _Unwind_DeleteException(exception);
    return NULL;
}

MACHINERY int boundary_call(int (*fn)(void *arg), void *arg, struct boundary *ret_boundary)
{
    struct _Unwind_Exception *exception = NULL;

    int result = boundary_enter(fn, arg, &exception);
    ret_boundary->thrown = exception != NULL;
    if (__builtin_expect(!exception, 1))
        return result;
    ret_boundary->words = describe(exception);
    return BOUNDARY_THROWN;
}

#else

MACHINERY int boundary_call(int (*fn)(void *arg), void *arg, struct boundary *ret_boundary)
{
    ret_boundary->thrown = false;
    return fn(arg);
}

#endif

void boundary_report(struct boundary *boundary, const char *message)
{
    char stack[1024];
    struct weft_field fields[2] = {WEFT_TEXT("error", BOUNDARY_WORDS(boundary))};
    size_t count = 1;

    if (weft_async_stack(stack, sizeof(stack)) > 0)
        fields[count++] = WEFT_TEXT("stack", stack);
    weft_log_fields(WEFT_ERROR, message, fields, count);
    free(boundary->words);
    boundary->words = NULL;
}

struct call {
    void (*fn)(void *arg);
    void *arg;
};

MACHINERY static int call_it(void *arg)
{
    const struct call *call = arg;

    call->fn(call->arg);
    return 0;
}

MACHINERY void boundary_call_void(void (*fn)(void *arg), void *arg, struct boundary *ret_boundary)
{
    (void)boundary_call(call_it, &(struct call){fn, arg}, ret_boundary);
}
