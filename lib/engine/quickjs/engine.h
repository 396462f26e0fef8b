/* The interpreter as C: what the generated code offers, under names that do not depend on the release of wabt.
 *
 * There is one instance in a process. Nothing here checks, catches or resets anything: that is machine.hpp's task. A
 * trap ends in sandboxd_js_trap, which must not return.
 *
 * Values are QuickJS's own: a JSValue is a NaN-boxed 64-bit integer on this 32-bit target, everything else that is u32
 * is an address in linear memory, a length or a flag. */
#ifndef SANDBOXD_JS_ENGINE_H
#define SANDBOXD_JS_ENGINE_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- What the engine offers. */

/* X(result, name, parameters, arguments) */
#define SANDBOXD_JS_ENGINE_CALLS(X)                                                                               \
  X(uint32_t, qjs_init, (void), ())                                                                               \
  X(uint32_t, qjs_get_runtime_ptr, (void), ())                                                                    \
  X(uint32_t, qjs_get_context_ptr, (void), ())                                                                    \
  X(uint32_t, qjs_get_undefined, (void), ())                                                                      \
  X(uint32_t, qjs_new_number, (double a), (, a))                                                                  \
  X(uint32_t, qjs_is_proxy, (uint32_t a), (, a))                                                                  \
  X(uint32_t, qjs_get_proxy_target, (uint32_t a), (, a))                                                          \
  X(uint32_t, qjs_get_class_name, (uint32_t a), (, a))                                                            \
  X(uint32_t, qjs_promise_state, (uint32_t a), (, a))                                                             \
  X(uint32_t, qjs_promise_result, (uint32_t a), (, a))                                                            \
  X(uint32_t, qjs_new_host_function, (uint32_t a, uint32_t b, uint32_t c), (, a, b, c))                           \
  X(uint32_t, wasm_malloc, (uint32_t a), (, a))                                                                   \
  X(uint64_t, JS_Eval, (uint32_t a, uint32_t b, uint32_t c, uint32_t d, uint32_t e), (, a, b, c, d, e))           \
  X(uint64_t, JS_EvalFunction, (uint32_t a, uint64_t b), (, a, b))                                                \
  X(uint64_t, JS_Call, (uint32_t a, uint64_t b, uint64_t c, uint32_t d, uint32_t e), (, a, b, c, d, e))           \
  X(uint64_t, JS_Throw, (uint32_t a, uint64_t b), (, a, b))                                                       \
  X(uint64_t, JS_ThrowReferenceError, (uint32_t a, uint32_t b, uint32_t c), (, a, b, c))                          \
  X(uint64_t, JS_GetException, (uint32_t a), (, a))                                                               \
  X(uint64_t, JS_GetGlobalObject, (uint32_t a), (, a))                                                            \
  X(uint64_t, JS_GetPropertyStr, (uint32_t a, uint64_t b, uint32_t c), (, a, b, c))                               \
  X(uint32_t, JS_SetPropertyStr, (uint32_t a, uint64_t b, uint32_t c, uint64_t d), (, a, b, c, d))                \
  X(uint64_t, JS_GetModuleNamespace, (uint32_t a, uint32_t b), (, a, b))                                          \
  X(uint64_t, JS_NewStringLen, (uint32_t a, uint32_t b, uint32_t c), (, a, b, c))                                 \
  X(uint32_t, JS_ToCStringLen2, (uint32_t a, uint32_t b, uint64_t c, uint32_t d), (, a, b, c, d))                 \
  X(uint64_t, JS_JSONStringify, (uint32_t a, uint64_t b, uint64_t c, uint64_t d), (, a, b, c, d))                 \
  X(uint32_t, JS_IsError, (uint64_t a), (, a))                                                                    \
  X(uint32_t, JS_IsFunction, (uint32_t a, uint64_t b), (, a, b))                                                  \
  X(uint32_t, JS_IsPromise, (uint64_t a), (, a))                                                                  \
  X(uint32_t, JS_PromiseState, (uint32_t a, uint64_t b), (, a, b))                                                \
  X(uint64_t, JS_PromiseResult, (uint32_t a, uint64_t b), (, a, b))                                               \
  X(uint32_t, JS_ExecutePendingJob, (uint32_t a, uint32_t b), (, a, b))                                           \
  X(uint32_t, JS_IsJobPending, (uint32_t a), (, a))                                                               \
  X(uint32_t, JS_WriteObject, (uint32_t a, uint32_t b, uint64_t c, uint32_t d), (, a, b, c, d))                   \
  X(uint64_t, JS_ReadObject, (uint32_t a, uint32_t b, uint32_t c, uint32_t d), (, a, b, c, d))                    \
  X(uint32_t, JS_GetUint8Array, (uint32_t a, uint32_t b, uint64_t c), (, a, b, c))                                \
  X(uint64_t, JS_DupValue, (uint32_t a, uint64_t b), (, a, b))

#define SANDBOXD_JS_ENGINE_PROCEDURES(X)                       \
  X(initialize, (void), ())                                    \
  X(qjs_set_module_loader, (uint32_t a), (, a))                \
  X(qjs_set_max_stack_size, (uint32_t a), (, a))               \
  X(qjs_set_promise_rejection_handler, (uint32_t a), (, a))    \
  X(wasm_free, (uint32_t a), (, a))                            \
  X(JS_FreeValue, (uint32_t a, uint64_t b), (, a, b))          \
  X(JS_FreeCString, (uint32_t a, uint32_t b), (, a, b))        \
  X(JS_RunGC, (uint32_t a), (, a))

#define SANDBOXD_JS_DECLARE(result, name, parameters, arguments) result sandboxd_js_##name parameters;
#define SANDBOXD_JS_DECLARE_PROCEDURE(name, parameters, arguments) void sandboxd_js_##name parameters;
SANDBOXD_JS_ENGINE_CALLS(SANDBOXD_JS_DECLARE)
SANDBOXD_JS_ENGINE_PROCEDURES(SANDBOXD_JS_DECLARE_PROCEDURE)
#undef SANDBOXD_JS_DECLARE
#undef SANDBOXD_JS_DECLARE_PROCEDURE

/* Makes the instance: its memory, its table, its data segments. Once. */
void sandboxd_js_instantiate(void);

/* The instance's whole state beside the content of its memory. */
uint32_t* sandboxd_js_stack_pointer(void);
int64_t* sandboxd_js_fuel(void);
uint32_t sandboxd_js_memory_pages(void);
void sandboxd_js_set_memory_pages(uint32_t pages);

/* ---- What the engine needs; machine.cpp and interpreter.cpp define these. */

enum sandboxd_js_trap_code {
  SANDBOXD_JS_TRAP_BOUNDS = 1,   /* outside linear memory or the table, or a wrong indirect call */
  SANDBOXD_JS_TRAP_ARITHMETIC,   /* division by zero, overflow, conversion of a NaN */
  SANDBOXD_JS_TRAP_UNREACHABLE,  /* `unreachable`: abort(), or the fuel is gone */
  SANDBOXD_JS_TRAP_STACK,        /* the native stack is exhausted */
  SANDBOXD_JS_TRAP_MEMORY,       /* memory.grow beyond the limit */
  SANDBOXD_JS_TRAP_DEADLINE,     /* the timer */
  SANDBOXD_JS_TRAP_OUTPUT        /* a host function refuses to take more */
};
__attribute__((noreturn)) void sandboxd_js_trap(int code);

/* A reservation in which every 32-bit address plus every 32-bit offset lies, the first `pages` pages accessible. */
uint8_t* sandboxd_js_memory_reserve(uint32_t pages);
/* Makes the pages from `old_pages` on accessible, or traps. */
void sandboxd_js_memory_extend(uint32_t old_pages, uint32_t new_pages);

uint32_t sandboxd_js_host_call(uint32_t name, uint32_t name_size, uint32_t self, uint32_t argc, uint32_t argv);
uint32_t sandboxd_js_host_module_load(uint32_t name, uint32_t size_out);
uint32_t sandboxd_js_host_module_normalize(uint32_t base, uint32_t name);
void sandboxd_js_host_rejection(uint32_t promise, uint32_t reason, uint32_t handled);
uint32_t sandboxd_js_host_clock(uint32_t id, uint32_t result);
uint32_t sandboxd_js_host_random(uint32_t into, uint32_t size);

#ifdef __cplusplus
}
#endif

#endif
