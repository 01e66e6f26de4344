/* The C interface: opaque handles over the same model, executable and session, and the same threads' rules: models and
   executables are read by any thread, a session by one at a time. A handle lives on its own: freeing the model or the
   executable that it came from is allowed at once.

   What can fail gives null or a code that is not 0. Where `error` is not null it is set: to null where all went well,
   else to a message that hayate_free_text() frees. Null handles are errors too, and freeing null does nothing. No
   exception leaves.

   Structs begin with `size`: set it to sizeof the struct and leave at 0 what shall have its default. A newer library
   takes the shorter struct of an older header; an older library refuses a longer one unless what it does not know is
   0. */
#ifndef HAYATE_HAYATE_H
#define HAYATE_HAYATE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Of this header; hayate_abi_version() says the library's. Programs built with one run with the other where they are
   equal. */
#define HAYATE_ABI_VERSION 1
int hayate_abi_version(void);

typedef struct hayate_model hayate_model;
typedef struct hayate_executable hayate_executable;
typedef struct hayate_session hayate_session;

typedef struct hayate_load_options {
  size_t size;
  const char* const* sets; /* "sr=16000": that input becomes a constant */
  size_t set_count;
  const char* const* shapes; /* "input:1,512": open extents are fixed */
  size_t shape_count;
  int32_t raw_score;  /* not 0: LightGBM's and XGBoost's sum, before the objective's transform */
  int64_t memory_max; /* bytes that the model, its executables, sessions and streams may take together; 0: half of what
                         the process may have, shared by all such models */
} hayate_load_options;

typedef struct hayate_options {
  size_t size;
  const char* plan;             /* a plan as JSON, over which the fields below go; null: the defaults */
  const char* backend;          /* "native", "onnxruntime", "reference"; null: native */
  const char* isa;              /* native: "amx", "avx512", "avx2", "sse4", "neon", "plain"; null: the best there is */
  int64_t batch_max;            /* rows that one run may take; 0: 1 */
  int32_t threads;              /* of one run: onnxruntime's own, or native's helpers and the caller; 0: 1 */
  const char* ort_library;      /* onnxruntime: its library; null: searched for */
  const char* ort_optimisation; /* onnxruntime: "all", "extended", "basic", "none"; null: all */
  const char* ort_provider;     /* onnxruntime: "CPU", or what the library has; null: CPU */
  const char* precision;        /* native: "fp32", "bf16", "int8"; null: fp32 */
  int64_t window;               /* of a stream: rows of its window */
  const char* time_axis;        /* of a stream: "input:1", where several axes are as long as the window; null: found */
  const char* const* states; /* of a stream with window 0: "state=next_state", an input that takes an output of the row
                                before */
  size_t state_count;
  const char* warm_up; /* of a stream whose window is not full: "zeros", or "wait" for HAYATE_NOT_READY; null: zeros */
} hayate_options;

/* The texts and the shape live as long as the handle that was asked. */
typedef struct hayate_port {
  size_t size;
  const char* name;
  const char* type;     /* "float32" ... */
  const int64_t* shape; /* a model's: -1 where the extent is open; an executable's: of one run at the most rows */
  size_t rank;
  int64_t row_bytes; /* an executable's: bytes of one row, of everything where the batch is fixed; a model's: 0 */
} hayate_port;

enum {
  HAYATE_OK = 0,
  HAYATE_BATCH = 1,     /* the number of rows is not accepted */
  HAYATE_VALUE = 2,     /* a step met a value it cannot take */
  HAYATE_FAILED = 3,    /* the backend's library refused, or there was no session */
  HAYATE_NOT_READY = 4, /* of a stream that waits: the row has come, its window is not full yet */
};

typedef struct hayate_status {
  int32_t code;  /* of the above */
  int32_t step;  /* HAYATE_VALUE: which */
  int64_t value; /* HAYATE_BATCH: the number of rows that was asked for; HAYATE_NOT_READY: of those that are missing */
} hayate_status;

/* ONNX, LightGBM text, XGBoost JSON or UBJ, told by content. `options` may be null. */
hayate_model* hayate_model_load(const char* path, const hayate_load_options* options, char** error);
void hayate_model_free(hayate_model* model);
size_t hayate_model_input_count(const hayate_model* model);
size_t hayate_model_output_count(const hayate_model* model);
/* These, and those of an executable: 0 good; 1 no such port; 2 a port whose size is not accepted. */
int hayate_model_input(const hayate_model* model, size_t i, hayate_port* port);
int hayate_model_output(const hayate_model* model, size_t i, hayate_port* port);

/* `options` may be null. */
hayate_executable* hayate_compile(const hayate_model* model, const hayate_options* options, char** error);
void hayate_executable_free(hayate_executable* executable);
size_t hayate_input_count(const hayate_executable* executable);
size_t hayate_output_count(const hayate_executable* executable);
int hayate_input(const hayate_executable* executable, size_t i, hayate_port* port);
int hayate_output(const hayate_executable* executable, size_t i, hayate_port* port);
int64_t hayate_batch_max(const hayate_executable* executable);
/* Null, or why rows cannot be run apart: hayate_run() then takes 0 or batch_max rows. Lives as the executable. */
const char* hayate_fixed_batch(const hayate_executable* executable);

/* An error where the session would pass the model's memory_max. */
hayate_session* hayate_session_new(const hayate_executable* executable, char** error);
void hayate_session_free(hayate_session* session);
/* Row r lies row_bytes * r after it; null: no such port. */
void* hayate_session_input(hayate_session* session, size_t i);
const void* hayate_session_output(const hayate_session* session, size_t i);
/* The caller's memory instead, for batch_max rows; null: the session's own again. 0 good; 1 no such port; 2 not 64-byte
   aligned. */
int hayate_session_bind_input(hayate_session* session, size_t i, void* memory);
int hayate_session_bind_output(hayate_session* session, size_t i, void* memory);
hayate_status hayate_run(hayate_session* session, int64_t rows);
char* hayate_status_text(const hayate_session* session, hayate_status status); /* hayate_free_text() frees it */

/* Streams: a model asked again at every row, over the last `window` ones, or with its own state. One thread at a time;
   executables of streams are read by any. */
typedef struct hayate_stream_executable hayate_stream_executable;
typedef struct hayate_stream hayate_stream;

hayate_stream_executable* hayate_stream_compile(const hayate_model* model, const hayate_options* options, char** error);
void hayate_stream_executable_free(hayate_stream_executable* executable);
int64_t hayate_stream_row_bytes(const hayate_stream_executable* executable);
size_t hayate_stream_output_count(const hayate_stream_executable* executable);
int hayate_stream_port(const hayate_stream_executable* executable, size_t i, hayate_port* port); /* of output i */
/* Null: a row costs less than a window; else why not. Lives as the executable. */
const char* hayate_stream_why_not(const hayate_stream_executable* executable);
char* hayate_stream_explain(const hayate_stream_executable* executable); /* hayate_free_text() frees it */

/* An error where the stream would pass the model's memory_max. */
hayate_stream* hayate_stream_new(const hayate_stream_executable* executable, char** error);
void hayate_stream_free(hayate_stream* stream);
/* The row has come; hayate_stream_output() is then its answer, until the next. Rows before the first are zeros, or
   with warm_up "wait" there is no answer, HAYATE_NOT_READY, until the window is full. */
hayate_status hayate_stream_push(hayate_stream* stream, const void* row);
const void* hayate_stream_output(const hayate_stream* stream, size_t i);
int64_t hayate_stream_rows(const hayate_stream* stream); /* that have come */
/* What an answer leaves to do: all of it, or a slice (1: there may be more; 0: nothing is left). */
hayate_status hayate_stream_settle(hayate_stream* stream);
int hayate_stream_settle_slice(hayate_stream* stream, hayate_status* status);
/* From here on on a thread of its own, on that core (-1: any). 0 good; 1 no thread was to be had. */
int hayate_stream_settle_elsewhere(hayate_stream* stream, int core);
void hayate_stream_settle_here(hayate_stream* stream); /* ends that */
void hayate_stream_reset(hayate_stream* stream);
/* Rows were missed: here are the last `count` (of more than the window the last count), one behind the other. All
   before is forgotten; the next answers, and the last of these rows' at once, are the full window's. Takes about as
   long as one; settling does the rest, and until then so do rows. HAYATE_NOT_READY: taken, but fewer than the window has,
   of a stream that waits for them. */
hayate_status hayate_stream_refill(hayate_stream* stream, const void* rows, int64_t count);
/* What the rows have left. `size` is set to its bytes, which are written where `room` holds them: 0; else 1. */
int hayate_stream_snapshot(const hayate_stream* stream, void* to, size_t room, size_t* size);
int hayate_stream_restore(hayate_stream* stream, const void* snapshot, size_t size, char** error); /* 0 good */

/* Streams of several instruments, on one thread: rows that come together are all answered before anything is settled,
   several by one run where the model's rows can be run apart, with the same bits. An error where so many streams would
   pass the model's memory_max. */
typedef struct hayate_stream_group hayate_stream_group;
hayate_stream_group* hayate_stream_group_new(const hayate_stream_executable* executable, size_t count, char** error);
void hayate_stream_group_free(hayate_stream_group* group);
size_t hayate_stream_group_size(const hayate_stream_group* group);
int64_t hayate_stream_group_rows_at_once(const hayate_stream_group* group); /* at most, by one run; 1: one by one */
/* One of its streams, for its answers and all the functions above: the group's, which frees it. Null: there is none. */
hayate_stream* hayate_stream_group_stream(hayate_stream_group* group, size_t i);
/* rows[i] is a row of stream which[i]; answered in this order, up to one that fails. HAYATE_BATCH: its value is the
   number of a stream that is not there. HAYATE_NOT_READY: all have come; some stream waits, its value for how many rows
   at most. */
hayate_status hayate_stream_group_push(hayate_stream_group* group, size_t count, const size_t* which,
                                       const void* const* rows);
/* As for a stream: all that is left to do, or a slice of it for the next one that has any. */
hayate_status hayate_stream_group_settle(hayate_stream_group* group);
int hayate_stream_group_settle_slice(hayate_stream_group* group, hayate_status* status);

void hayate_free_text(char* text);

#ifdef __cplusplus
}
#endif
#endif
