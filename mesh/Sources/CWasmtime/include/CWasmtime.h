// The part of wasmtime 50's C ABI that CoVM uses, written by hand so that no header package is needed. The layouts that
// cross the boundary by value are checked at compile time; `WasmEngine` checks the library's version at start.
#ifndef CWASMTIME_H
#define CWASMTIME_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct wasm_config_t wasm_config_t;
typedef struct wasm_engine_t wasm_engine_t;
typedef struct wasm_trap_t wasm_trap_t;
typedef struct wasm_frame_t wasm_frame_t;
typedef struct wasm_functype_t wasm_functype_t;
typedef struct wasm_valtype_t wasm_valtype_t;
typedef struct wasm_externtype_t wasm_externtype_t;
typedef struct wasm_importtype_t wasm_importtype_t;
typedef struct wasm_exporttype_t wasm_exporttype_t;
typedef struct wasm_memorytype_t wasm_memorytype_t;
typedef struct wasmtime_store wasmtime_store_t;
typedef struct wasmtime_context wasmtime_context_t;
typedef struct wasmtime_module wasmtime_module_t;
typedef struct wasmtime_linker wasmtime_linker_t;
typedef struct wasmtime_caller wasmtime_caller_t;
typedef struct wasmtime_error wasmtime_error_t;
typedef struct wasmtime_instance_pre wasmtime_instance_pre_t;

typedef struct { size_t size; uint8_t *data; } wasm_byte_vec_t;              // owned unless stated
typedef struct { size_t size; wasm_frame_t **data; } wasm_frame_vec_t;
typedef struct { size_t size; wasm_valtype_t **data; } wasm_valtype_vec_t;
typedef struct { size_t size; wasm_importtype_t **data; } wasm_importtype_vec_t;
typedef struct { size_t size; wasm_exporttype_t **data; } wasm_exporttype_vec_t;

enum { CW_I32 = 0, CW_I64 = 1, CW_F32 = 2, CW_F64 = 3, CW_V128 = 4, CW_FUNCREF = 5, CW_EXTERNREF = 6 };
enum { CW_EXTERN_FUNC = 0, CW_EXTERN_GLOBAL = 1, CW_EXTERN_TABLE = 2, CW_EXTERN_MEMORY = 3 };

typedef struct { uint64_t store_id; void *priv; } wasmtime_func_t;
typedef struct { uint64_t store_id; size_t priv; } wasmtime_instance_t;
typedef struct { struct { uint64_t store_id; uint32_t priv1; } h; uint32_t priv2; } wasmtime_memory_t;
typedef struct { uint64_t store_id; uint32_t priv1, priv2, priv3; } wasmtime_global_t;
typedef struct { uint64_t store_id; uint32_t priv1, priv2; void *priv3; } wasmtime_anyref_t;
typedef union {
  int32_t i32; int64_t i64; float f32; double f64; wasmtime_anyref_t ref; wasmtime_func_t funcref; uint8_t v128[16];
} wasmtime_valunion_t;
typedef struct { uint8_t kind; wasmtime_valunion_t of; } wasmtime_val_t;
typedef union { int32_t i32; int64_t i64; float f32; double f64; uint8_t v128[16]; void *funcref; } wasmtime_val_raw_t
  __attribute__((aligned(8)));
typedef union { wasmtime_func_t func; wasmtime_global_t global; wasmtime_memory_t memory; void *shared; } wasmtime_extern_union_t;
typedef struct { uint8_t kind; wasmtime_extern_union_t of; } wasmtime_extern_t;

_Static_assert(sizeof(wasmtime_func_t) == 16, "func");
_Static_assert(sizeof(wasmtime_instance_t) == 16, "instance");
_Static_assert(sizeof(wasmtime_memory_t) == 24, "memory");
_Static_assert(offsetof(wasmtime_memory_t, priv2) == 16, "memory.priv2");
_Static_assert(sizeof(wasmtime_global_t) == 24, "global");
_Static_assert(sizeof(wasmtime_valunion_t) == 24, "valunion");
_Static_assert(sizeof(wasmtime_val_t) == 32, "val");
_Static_assert(sizeof(wasmtime_val_raw_t) == 16, "val_raw");
_Static_assert(sizeof(wasmtime_extern_t) == 32, "extern");

// ---- byte vectors
void wasm_byte_vec_new(wasm_byte_vec_t *out, size_t, const uint8_t *);
void wasm_byte_vec_delete(wasm_byte_vec_t *);
void wasm_frame_vec_delete(wasm_frame_vec_t *);
void wasm_valtype_vec_new(wasm_valtype_vec_t *out, size_t, wasm_valtype_t *const *);
void wasm_valtype_vec_new_empty(wasm_valtype_vec_t *out);
void wasm_importtype_vec_delete(wasm_importtype_vec_t *);
void wasm_exporttype_vec_delete(wasm_exporttype_vec_t *);
// ---- types
wasm_valtype_t *wasm_valtype_new(uint8_t kind);
uint8_t wasm_valtype_kind(const wasm_valtype_t *);
wasm_functype_t *wasm_functype_new(wasm_valtype_vec_t *params, wasm_valtype_vec_t *results); // takes both vecs
void wasm_functype_delete(wasm_functype_t *);
const wasm_byte_vec_t *wasm_importtype_module(const wasm_importtype_t *);
const wasm_byte_vec_t *wasm_importtype_name(const wasm_importtype_t *);
const wasm_byte_vec_t *wasm_exporttype_name(const wasm_exporttype_t *);
const wasm_externtype_t *wasm_importtype_type(const wasm_importtype_t *);
uint8_t wasm_externtype_kind(const wasm_externtype_t *);   // 0 func 1 global 2 table 3 memory (wasm.h)
// ---- config
wasm_config_t *wasm_config_new(void);
void wasm_config_delete(wasm_config_t *);
#define CW_BOOL(n) void wasmtime_config_##n##_set(wasm_config_t *, bool);
CW_BOOL(debug_info) CW_BOOL(consume_fuel) CW_BOOL(epoch_interruption) CW_BOOL(wasm_threads) CW_BOOL(shared_memory)
CW_BOOL(wasm_simd) CW_BOOL(wasm_relaxed_simd) CW_BOOL(wasm_relaxed_simd_deterministic) CW_BOOL(wasm_memory64)
CW_BOOL(wasm_multi_memory) CW_BOOL(wasm_reference_types) CW_BOOL(wasm_bulk_memory) CW_BOOL(wasm_multi_value)
CW_BOOL(wasm_tail_call) CW_BOOL(wasm_gc) CW_BOOL(gc_support) CW_BOOL(wasm_function_references) CW_BOOL(wasm_exceptions)
CW_BOOL(wasm_custom_page_sizes) CW_BOOL(wasm_stack_switching) CW_BOOL(wasm_component_model)
CW_BOOL(cranelift_nan_canonicalization) CW_BOOL(cranelift_debug_verifier) CW_BOOL(parallel_compilation)
CW_BOOL(memory_may_move) CW_BOOL(memory_init_cow) CW_BOOL(native_unwind_info) CW_BOOL(signals_based_traps)
CW_BOOL(concurrency_support) CW_BOOL(macos_use_mach_ports) CW_BOOL(wasm_wide_arithmetic) CW_BOOL(wasm_compact_imports)
#undef CW_BOOL
void wasmtime_config_max_wasm_stack_set(wasm_config_t *, size_t);
void wasmtime_config_cranelift_opt_level_set(wasm_config_t *, uint8_t);  // 0 none 1 speed 2 speed_and_size
void wasmtime_config_strategy_set(wasm_config_t *, uint8_t);             // 0 auto 1 cranelift (2 winch?)
void wasmtime_config_memory_reservation_set(wasm_config_t *, uint64_t);
void wasmtime_config_memory_guard_size_set(wasm_config_t *, uint64_t);
void wasmtime_config_memory_reservation_for_growth_set(wasm_config_t *, uint64_t);
wasmtime_error_t *wasmtime_config_target_set(wasm_config_t *, const char *);
void wasmtime_config_cranelift_flag_enable(wasm_config_t *, const char *);
void wasmtime_config_cranelift_flag_set(wasm_config_t *, const char *, const char *);
// Linear memories made by the host: how growth past a job's limit is seen, not only refused. Thread-safe callbacks.
typedef struct {
  void *env;
  uint8_t *(*get_memory)(void *env, size_t *byte_size, size_t *byte_capacity);
  wasmtime_error_t *(*grow_memory)(void *env, size_t new_size);
  void (*finalizer)(void *env);
} wasmtime_linear_memory_t;
typedef struct {
  void *env;
  wasmtime_error_t *(*new_memory)(void *env, const wasm_memorytype_t *, size_t minimum, size_t maximum,
                                  size_t reserved_size_in_bytes, size_t guard_size_in_bytes,
                                  wasmtime_linear_memory_t *memory_ret);
  void (*finalizer)(void *env);
} wasmtime_memory_creator_t;
_Static_assert(sizeof(wasmtime_linear_memory_t) == 32, "linear_memory");
_Static_assert(sizeof(wasmtime_memory_creator_t) == 24, "memory_creator");
void wasmtime_config_host_memory_creator_set(wasm_config_t *, wasmtime_memory_creator_t *); // copies the struct
// ---- engine
wasm_engine_t *wasm_engine_new_with_config(wasm_config_t *);    // takes the config; NULL on failure
wasm_engine_t *wasmtime_engine_clone(wasm_engine_t *);
void wasm_engine_delete(wasm_engine_t *);
void wasmtime_engine_increment_epoch(wasm_engine_t *);          // thread-safe
// ---- module
wasmtime_error_t *wasmtime_module_new(wasm_engine_t *, const uint8_t *, size_t, wasmtime_module_t **ret);
void wasmtime_module_delete(wasmtime_module_t *);
wasmtime_module_t *wasmtime_module_clone(const wasmtime_module_t *);
void wasmtime_module_imports(const wasmtime_module_t *, wasm_importtype_vec_t *out);
void wasmtime_module_exports(const wasmtime_module_t *, wasm_exporttype_vec_t *out);
wasmtime_error_t *wasmtime_module_validate(wasm_engine_t *, const uint8_t *, size_t);
wasmtime_error_t *wasmtime_module_serialize(const wasmtime_module_t *, wasm_byte_vec_t *ret);
wasmtime_error_t *wasmtime_module_deserialize(wasm_engine_t *, const uint8_t *, size_t, wasmtime_module_t **ret);
wasmtime_error_t *wasmtime_module_deserialize_file(wasm_engine_t *, const char *path, wasmtime_module_t **ret);
wasmtime_error_t *wasmtime_wat2wasm(const char *, size_t, wasm_byte_vec_t *ret);
// ---- store
wasmtime_store_t *wasmtime_store_new(wasm_engine_t *, void *data, void (*finalizer)(void *));
wasmtime_context_t *wasmtime_store_context(wasmtime_store_t *);
void wasmtime_store_delete(wasmtime_store_t *);
void wasmtime_store_limiter(wasmtime_store_t *, int64_t memory_size, int64_t table_elements, int64_t instances,
                            int64_t tables, int64_t memories);
void *wasmtime_context_get_data(const wasmtime_context_t *);
wasmtime_error_t *wasmtime_context_set_fuel(wasmtime_context_t *, uint64_t);
wasmtime_error_t *wasmtime_context_get_fuel(const wasmtime_context_t *, uint64_t *);
void wasmtime_context_set_epoch_deadline(wasmtime_context_t *, uint64_t ticks_beyond_current);
void wasmtime_store_epoch_deadline_callback(wasmtime_store_t *,
    wasmtime_error_t *(*)(wasmtime_context_t *, void *data, uint64_t *delta, uint8_t *update_kind),
    void *data, void (*finalizer)(void *));
// ---- funcs, callers, memory, instances
typedef wasm_trap_t *(*wasmtime_func_callback_t)(void *env, wasmtime_caller_t *, const wasmtime_val_t *args, size_t nargs,
                                                 wasmtime_val_t *results, size_t nresults);
typedef wasm_trap_t *(*wasmtime_func_unchecked_callback_t)(void *env, wasmtime_caller_t *, wasmtime_val_raw_t *, size_t);
wasmtime_error_t *wasmtime_func_call(wasmtime_context_t *, const wasmtime_func_t *, const wasmtime_val_t *args, size_t nargs,
                                     wasmtime_val_t *results, size_t nresults, wasm_trap_t **trap);
wasmtime_error_t *wasmtime_func_call_unchecked(wasmtime_context_t *, const wasmtime_func_t *, wasmtime_val_raw_t *, size_t,
                                               wasm_trap_t **trap);
bool wasmtime_caller_export_get(wasmtime_caller_t *, const char *, size_t, wasmtime_extern_t *out);
wasmtime_context_t *wasmtime_caller_context(wasmtime_caller_t *);
uint8_t *wasmtime_memory_data(wasmtime_context_t *, const wasmtime_memory_t *);
size_t wasmtime_memory_data_size(const wasmtime_context_t *, const wasmtime_memory_t *);
bool wasmtime_instance_export_get(wasmtime_context_t *, const wasmtime_instance_t *, const char *, size_t, wasmtime_extern_t *);
void wasmtime_extern_delete(wasmtime_extern_t *);
wasmtime_error_t *wasmtime_instance_pre_instantiate(const wasmtime_instance_pre_t *, wasmtime_context_t *, wasmtime_instance_t *,
                                                    wasm_trap_t **);
void wasmtime_instance_pre_delete(wasmtime_instance_pre_t *);
// ---- asynchronous calls: the guest runs on a stack of its own and yields there; only `poll` runs it. The store must not
// be touched while a future of it lives; results, trap and error are written before `poll` returns true.
typedef struct wasmtime_call_future wasmtime_call_future_t;
void wasmtime_config_async_stack_size_set(wasm_config_t *, uint64_t);
wasmtime_error_t *wasmtime_context_fuel_async_yield_interval(wasmtime_context_t *, uint64_t interval);
bool wasmtime_call_future_poll(wasmtime_call_future_t *);       // whether the call has ended
void wasmtime_call_future_delete(wasmtime_call_future_t *);     // unwinds a call that has not ended
wasmtime_call_future_t *wasmtime_func_call_async(wasmtime_context_t *, const wasmtime_func_t *, const wasmtime_val_t *args,
    size_t nargs, wasmtime_val_t *results, size_t nresults, wasm_trap_t **trap, wasmtime_error_t **error);
wasmtime_call_future_t *wasmtime_instance_pre_instantiate_async(const wasmtime_instance_pre_t *, wasmtime_context_t *,
    wasmtime_instance_t *, wasm_trap_t **trap, wasmtime_error_t **error);
bool wasmtime_context_has_exception(wasmtime_context_t *);      // whether a call ended with one that nothing caught
// ---- linker
wasmtime_linker_t *wasmtime_linker_new(wasm_engine_t *);
void wasmtime_linker_delete(wasmtime_linker_t *);
wasmtime_error_t *wasmtime_linker_define_func(wasmtime_linker_t *, const char *, size_t, const char *, size_t,
    const wasm_functype_t *, wasmtime_func_callback_t, void *data, void (*finalizer)(void *));
wasmtime_error_t *wasmtime_linker_define_func_unchecked(wasmtime_linker_t *, const char *, size_t, const char *, size_t,
    const wasm_functype_t *, wasmtime_func_unchecked_callback_t, void *data, void (*finalizer)(void *));
wasmtime_error_t *wasmtime_linker_instantiate(const wasmtime_linker_t *, wasmtime_context_t *, const wasmtime_module_t *,
                                              wasmtime_instance_t *, wasm_trap_t **);
wasmtime_error_t *wasmtime_linker_instantiate_pre(const wasmtime_linker_t *, const wasmtime_module_t *,
                                                  wasmtime_instance_pre_t **);
// ---- traps and errors
void wasmtime_error_delete(wasmtime_error_t *);
wasmtime_error_t *wasmtime_error_new(const char *);
void wasmtime_error_message(const wasmtime_error_t *, wasm_byte_vec_t *out);
bool wasmtime_error_exit_status(const wasmtime_error_t *, int *);
void wasmtime_error_wasm_trace(const wasmtime_error_t *, wasm_frame_vec_t *out);
wasm_trap_t *wasmtime_trap_new(const char *, size_t);
wasm_trap_t *wasmtime_trap_new_code(uint8_t);
bool wasmtime_trap_code(const wasm_trap_t *, uint8_t *);
void wasm_trap_delete(wasm_trap_t *);
void wasm_trap_message(const wasm_trap_t *, wasm_byte_vec_t *out);   // includes trailing NUL
void wasm_trap_trace(const wasm_trap_t *, wasm_frame_vec_t *out);
uint32_t wasm_frame_func_index(const wasm_frame_t *);
size_t wasm_frame_func_offset(const wasm_frame_t *);
size_t wasm_frame_module_offset(const wasm_frame_t *);
const wasm_byte_vec_t *wasmtime_frame_func_name(const wasm_frame_t *);
const wasm_byte_vec_t *wasmtime_frame_module_name(const wasm_frame_t *);
#ifdef __cplusplus
}
#endif
#endif
