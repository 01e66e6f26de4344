/* The C interface: opaque handles over the same model, executable and session. Every function that can fail gives null
   or a non-zero code and, where `error` is not null, a message that hayate_free_text() frees. */
#ifndef HAYATE_HAYATE_H
#define HAYATE_HAYATE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct hayate_model hayate_model;
typedef struct hayate_executable hayate_executable;
typedef struct hayate_session hayate_session;

/* Set `size` to sizeof the struct; fields left 0 mean the default. */
typedef struct hayate_options {
  size_t size;
  int64_t batch_max; /* 0: 1 */
  const char* isa;   /* null: the best there is */
} hayate_options;

typedef struct hayate_status {
  int32_t code; /* 0: good; 1: the number of rows; 2: a value that a step cannot take */
  int32_t step;
  int64_t value;
} hayate_status;

typedef struct hayate_port {
  size_t size;       /* set by the caller to sizeof(hayate_port) */
  const char* name;  /* lives as long as the executable */
  const char* type;  /* "float32" ... */
  int64_t row_bytes;
} hayate_port;

hayate_model* hayate_model_load(const char* path, char** error);
void hayate_model_free(hayate_model* model);

hayate_executable* hayate_compile(const hayate_model* model, const hayate_options* options, char** error);
void hayate_executable_free(hayate_executable* executable);
size_t hayate_input_count(const hayate_executable* executable);
size_t hayate_output_count(const hayate_executable* executable);
int hayate_input(const hayate_executable* executable, size_t i, hayate_port* port);  /* 0: good; 1: no such port */
int hayate_output(const hayate_executable* executable, size_t i, hayate_port* port);

hayate_session* hayate_session_new(const hayate_executable* executable, char** error);
void hayate_session_free(hayate_session* session);
void* hayate_session_input(hayate_session* session, size_t i);
const void* hayate_session_output(const hayate_session* session, size_t i);
hayate_status hayate_run(hayate_session* session, int64_t rows);
char* hayate_status_text(const hayate_session* session, hayate_status status);

void hayate_free_text(char* text);

#ifdef __cplusplus
}
#endif
#endif
