/* The generated code, its runtime, and the thin layer that hides which release of wasm2c generated it.
 *
 * wasm2c's own runtime (wasm-rt-impl.c) is not used: it reserves memory, installs signal handlers and unwinds in ways
 * that a process with one instance and a reset after every run wants to decide itself. What the generated code needs of
 * a runtime is small, and is below.
 *
 * Bounds. On 64-bit targets the generated code has no comparison at loads and stores: an address is a 32-bit base plus
 * a 32-bit constant, and sandboxd_js_memory_reserve keeps every such sum inside inaccessible memory. Bulk instructions,
 * data segments and indirect calls do compare. */
#include "engine.h"

#include <stdarg.h>

#define WASM2C_AT_LEAST(minor) (SANDBOXD_WASM2C_VERSION >= (minor))

/* 1.0.32 calls the choice by this name and defaults to it; later ones have WASM_RT_MEMCHECK_GUARD_PAGES. */
#if !WASM2C_AT_LEAST(33)
#define WASM_RT_MEMCHECK_SIGNAL_HANDLER 1
#endif

#include "quickjs.c"

#if WASM2C_AT_LEAST(33)
#if !defined(WASM_RT_MEMCHECK_GUARD_PAGES) && !defined(WASM_RT_MEMCHECK_SIGNAL_HANDLER)
#error "the checks of memory accesses are not those that this runtime provides for"
#endif
#if defined(WASM_RT_MEMCHECK_GUARD_PAGES) && !WASM_RT_MEMCHECK_GUARD_PAGES
#error "the checks of memory accesses are not those that this runtime provides for"
#endif
typedef w2c_quickjs instance_type;
#define EXPORTED(name) w2c_quickjs_##name
#define ENV(name) w2c_env_##name
#define WASI(name) w2c_wasi_##name
#define ENV_INSTANCE struct w2c_env
#define WASI_INSTANCE struct w2c_wasi
#define MEMORY_NUMBER uint64_t
#else
typedef Z_quickjs_instance_t instance_type;
#define EXPORTED(name) Z_quickjsZ_##name
#define ENV(name) Z_envZ_##name
#define WASI(name) Z_wasiZ_##name
#define ENV_INSTANCE struct Z_env_instance_t
#define WASI_INSTANCE struct Z_wasi_instance_t
#define MEMORY_NUMBER uint32_t
#endif

#define WASM_PAGE 65536u
#define WASM_PAGES_MAX 65535u /* so that the size in bytes fits 32 bits */

static instance_type instance;

/* ---- The runtime. */

void wasm_rt_init(void) {}
bool wasm_rt_is_initialized(void) { return true; }
void wasm_rt_free(void) {}

void wasm_rt_trap(wasm_rt_trap_t code) {
  switch (code) {
    case WASM_RT_TRAP_UNREACHABLE: sandboxd_js_trap(SANDBOXD_JS_TRAP_UNREACHABLE);
    case WASM_RT_TRAP_EXHAUSTION: sandboxd_js_trap(SANDBOXD_JS_TRAP_STACK);
    case WASM_RT_TRAP_INT_OVERFLOW:
    case WASM_RT_TRAP_DIV_BY_ZERO:
    case WASM_RT_TRAP_INVALID_CONVERSION: sandboxd_js_trap(SANDBOXD_JS_TRAP_ARITHMETIC);
    default: sandboxd_js_trap(SANDBOXD_JS_TRAP_BOUNDS);
  }
}

#if !WASM2C_AT_LEAST(33)
/* Function types are numbers that equal signatures share. */
#define MAX_FUNCTION_TYPES 256
#define MAX_VALUES 32
static struct function_type {
  uint32_t parameters, results;
  wasm_rt_type_t values[MAX_VALUES];
} function_types[MAX_FUNCTION_TYPES];
static uint32_t function_type_count;

uint32_t wasm_rt_register_func_type(uint32_t parameters, uint32_t results, ...) {
  struct function_type made = {parameters, results, {0}};
  if (parameters + results > MAX_VALUES) abort();
  va_list values;
  va_start(values, results);
  for (uint32_t i = 0; i < parameters + results; ++i) made.values[i] = va_arg(values, wasm_rt_type_t);
  va_end(values);
  for (uint32_t i = 0; i < function_type_count; ++i)
    if (memcmp(&function_types[i], &made, sizeof made) == 0) return i + 1;
  if (function_type_count == MAX_FUNCTION_TYPES) abort();
  function_types[function_type_count++] = made;
  return function_type_count;
}
#endif

static void memory_allocate(wasm_rt_memory_t* memory, MEMORY_NUMBER pages, MEMORY_NUMBER max_pages) {
  memory->data = sandboxd_js_memory_reserve((uint32_t)pages);
  memory->pages = pages;
  memory->max_pages = max_pages < WASM_PAGES_MAX ? max_pages : WASM_PAGES_MAX;
  memory->size = pages * WASM_PAGE;
}

#if WASM2C_AT_LEAST(37)
void wasm_rt_allocate_memory(wasm_rt_memory_t* memory, uint64_t pages, uint64_t max_pages, bool is64,
                             uint32_t page_size) {
  if (is64 || page_size != WASM_PAGE) abort();
  memory->is64 = false;
  memory->page_size = page_size;
  memory_allocate(memory, pages, max_pages);
}
#elif WASM2C_AT_LEAST(33)
void wasm_rt_allocate_memory(wasm_rt_memory_t* memory, uint64_t pages, uint64_t max_pages, bool is64) {
  if (is64) abort();
  memory->is64 = false;
  memory_allocate(memory, pages, max_pages);
}
#else
void wasm_rt_allocate_memory(wasm_rt_memory_t* memory, uint32_t pages, uint32_t max_pages) {
  memory_allocate(memory, pages, max_pages);
}
#endif

MEMORY_NUMBER wasm_rt_grow_memory(wasm_rt_memory_t* memory, MEMORY_NUMBER delta) {
  const MEMORY_NUMBER old_pages = memory->pages;
  if (delta == 0) return old_pages;
  if (delta > memory->max_pages - old_pages) sandboxd_js_trap(SANDBOXD_JS_TRAP_MEMORY);
  sandboxd_js_memory_extend((uint32_t)old_pages, (uint32_t)(old_pages + delta));
  memory->pages = old_pages + delta;
  memory->size = memory->pages * WASM_PAGE;
  return old_pages;
}

void wasm_rt_free_memory(wasm_rt_memory_t* memory) { (void)memory; }

void wasm_rt_allocate_funcref_table(wasm_rt_funcref_table_t* table, uint32_t elements, uint32_t max_elements) {
  table->size = elements;
  table->max_size = max_elements;
  table->data = calloc(elements, sizeof *table->data);
  if (!table->data) abort();
}

void wasm_rt_free_funcref_table(wasm_rt_funcref_table_t* table) { free(table->data); }

/* ---- What the engine offers. */

/* An empty first argument makes room for the instance: EXPAND (, a, b) is `, a, b`. */
#define EXPAND(...) __VA_ARGS__
#define DEFINE_CALL(result, name, parameters, arguments) \
  result sandboxd_js_##name parameters { return EXPORTED(name)(&instance EXPAND arguments); }
#define DEFINE_PROCEDURE(name, parameters, arguments) \
  void sandboxd_js_##name parameters { EXPORTED(name)(&instance EXPAND arguments); }
SANDBOXD_JS_ENGINE_CALLS(DEFINE_CALL)
SANDBOXD_JS_ENGINE_PROCEDURES(DEFINE_PROCEDURE)

void sandboxd_js_instantiate(void) {
#if WASM2C_AT_LEAST(33)
  wasm2c_quickjs_instantiate(&instance, NULL, NULL);
#else
  Z_quickjs_init_module();
  Z_quickjs_instantiate(&instance, NULL, NULL);
#endif
}

uint32_t* sandboxd_js_stack_pointer(void) { return EXPORTED(stack_pointer)(&instance); }
int64_t* sandboxd_js_fuel(void) { return (int64_t*)EXPORTED(fuel)(&instance); }
uint32_t sandboxd_js_memory_pages(void) { return (uint32_t)EXPORTED(memory)(&instance)->pages; }
void sandboxd_js_set_memory_pages(uint32_t pages) {
  wasm_rt_memory_t* memory = EXPORTED(memory)(&instance);
  memory->pages = pages;
  memory->size = pages * WASM_PAGE;
}

/* ---- What the module imports. It has no files: descriptors are answered with EBADF. */

enum { wasi_success = 0, wasi_bad_descriptor = 8 };

u32 ENV(host_call)(ENV_INSTANCE* self, u32 name, u32 name_size, u32 object, u32 argc, u32 argv) {
  (void)self;
  return sandboxd_js_host_call(name, name_size, object, argc, argv);
}
u32 ENV(host_module_load)(ENV_INSTANCE* self, u32 name, u32 size_out) {
  (void)self;
  return sandboxd_js_host_module_load(name, size_out);
}
u32 ENV(host_module_normalize)(ENV_INSTANCE* self, u32 base, u32 name) {
  (void)self;
  return sandboxd_js_host_module_normalize(base, name);
}
u32 ENV(host_interrupt)(ENV_INSTANCE* self) {
  (void)self;
  return 0; /* fuel and the timer do this */
}
u32 ENV(host_get_timezone_offset)(ENV_INSTANCE* self, u32 high, u32 low) {
  (void)self, (void)high, (void)low;
  return 0; /* UTC: where the server stands is none of a script's business */
}
void ENV(host_promise_rejection)(ENV_INSTANCE* self, u32 promise, u32 reason, u32 handled) {
  (void)self;
  sandboxd_js_host_rejection(promise, reason, handled);
}
u32 WASI(clock_time_get)(WASI_INSTANCE* self, u32 id, u64 precision, u32 result) {
  (void)self, (void)precision;
  return sandboxd_js_host_clock(id, result);
}
u32 WASI(random_get)(WASI_INSTANCE* self, u32 into, u32 size) {
  (void)self;
  return sandboxd_js_host_random(into, size);
}
u32 WASI(fd_close)(WASI_INSTANCE* self, u32 fd) {
  (void)self, (void)fd;
  return wasi_bad_descriptor;
}
u32 WASI(fd_fdstat_get)(WASI_INSTANCE* self, u32 fd, u32 result) {
  (void)self, (void)fd, (void)result;
  return wasi_bad_descriptor;
}
u32 WASI(fd_seek)(WASI_INSTANCE* self, u32 fd, u64 offset, u32 whence, u32 result) {
  (void)self, (void)fd, (void)offset, (void)whence, (void)result;
  return wasi_bad_descriptor;
}
u32 WASI(fd_write)(WASI_INSTANCE* self, u32 fd, u32 vectors, u32 count, u32 written) {
  (void)self, (void)fd, (void)vectors, (void)count, (void)written;
  return wasi_bad_descriptor;
}
