#include "c_caller.h"

#include <stdlib.h>
#include <string.h>

#include "hayate/hayate.h"

#define HOLDS(condition) \
  if (!(condition)) return #condition

static float sum(const float* values, int64_t count) {
  float made = 0;
  for (int64_t i = 0; i < count; ++i) made += values[i] * (float)(i + 1);
  return made;
}

static const char* walk_session(const hayate_executable* executable, hayate_session* session) {
  hayate_port in = {.size = sizeof in}, out = {.size = sizeof out};
  HOLDS(hayate_input(executable, 0, &in) == 0 && hayate_output(executable, 0, &out) == 0);
  HOLDS(in.rank > 0 && in.shape[0] == 7 && strcmp(in.type, "float32") == 0 && in.size == sizeof in);
  float* x = hayate_session_input(session, 0);
  for (int64_t i = 0; i < 7 * in.row_bytes / 4; ++i) x[i] = (float)(i % 13) / 6 - 1;
  HOLDS(hayate_run(session, 7).code == HAYATE_OK);
  const int64_t count = out.row_bytes / 4;
  const float own = sum(hayate_session_output(session, 0), 7 * count);
  HOLDS(own != 0);
  float* mine = aligned_alloc(64, (size_t)(7 * out.row_bytes + 63) / 64 * 64);
  HOLDS(hayate_session_bind_output(session, 0, mine) == 0);
  const int ran = hayate_run(session, 7).code;
  const float bound = sum(mine, 7 * count);
  HOLDS(hayate_session_bind_output(session, 0, NULL) == 0);
  free(mine);
  HOLDS(ran == HAYATE_OK && bound == own);
  HOLDS(hayate_session_bind_input(session, 0, (char*)x + 4) == 2 && hayate_session_bind_output(session, 0, x + 1) == 2);
  HOLDS(hayate_session_bind_input(session, 1, x) == 1 && hayate_session_bind_output(session, 1, x) == 1);
  HOLDS(hayate_session_input(session, 1) == NULL && hayate_session_output(session, 1) == NULL);
  const hayate_status status = hayate_run(session, 8);
  HOLDS(status.code == HAYATE_BATCH && status.value == 8);
  char* text = hayate_status_text(session, status);
  HOLDS(text != NULL && strstr(text, "0 to 7 are accepted") != NULL);
  hayate_free_text(text);
  return NULL;
}

const char* c_caller_walks(const char* path) {
  char* error = (char*)path; /* set to null where all goes well */
  hayate_model* model = hayate_model_load(path, NULL, &error);
  HOLDS(model != NULL && error == NULL);
  hayate_port port = {.size = sizeof port};
  HOLDS(hayate_model_input_count(model) == 1 && hayate_model_output_count(model) == 1);
  HOLDS(hayate_model_input(model, 0, &port) == 0 && port.shape[0] == -1 && port.row_bytes == 0);
  HOLDS(hayate_model_output(model, 0, &port) == 0 && strcmp(port.name, "output") == 0);
  HOLDS(hayate_model_output(model, 1, &port) == 1);
  const hayate_options options = {
      .size = sizeof options, .plan = "{\"version\": 1, \"batch_max\": 3}", .isa = "plain", .batch_max = 7};
  hayate_executable* executable = hayate_compile(model, &options, &error);
  HOLDS(executable != NULL && error == NULL);
  hayate_model_free(model);
  HOLDS(hayate_input_count(executable) == 1 && hayate_output_count(executable) == 1);
  HOLDS(hayate_batch_max(executable) == 7 && hayate_fixed_batch(executable) == NULL);
  HOLDS(hayate_input(executable, 1, &port) == 1 && hayate_output(executable, 0, NULL) == 1);
  hayate_session* session = hayate_session_new(executable, &error);
  HOLDS(session != NULL && error == NULL);
  const char* wrong = walk_session(executable, session);
  hayate_executable_free(executable);
  if (wrong == NULL && hayate_run(session, 7).code != HAYATE_OK) wrong = "a session outlives its executable's handle";
  hayate_session_free(session);
  return wrong;
}

const char* c_caller_is_careless(void) {
  hayate_port port = {.size = sizeof port};
  HOLDS(hayate_abi_version() == HAYATE_ABI_VERSION);
  HOLDS(hayate_model_load(NULL, NULL, NULL) == NULL && hayate_compile(NULL, NULL, NULL) == NULL);
  HOLDS(hayate_session_new(NULL, NULL) == NULL);
  HOLDS(hayate_model_input_count(NULL) == 0 && hayate_model_output_count(NULL) == 0);
  HOLDS(hayate_input_count(NULL) == 0 && hayate_output_count(NULL) == 0);
  HOLDS(hayate_model_input(NULL, 0, &port) == 1 && hayate_model_output(NULL, 0, &port) == 1);
  HOLDS(hayate_input(NULL, 0, &port) == 1 && hayate_output(NULL, 0, &port) == 1);
  HOLDS(hayate_batch_max(NULL) == 0 && hayate_fixed_batch(NULL) == NULL);
  HOLDS(hayate_session_input(NULL, 0) == NULL && hayate_session_output(NULL, 0) == NULL);
  HOLDS(hayate_session_bind_input(NULL, 0, NULL) == 1 && hayate_session_bind_output(NULL, 0, NULL) == 1);
  const hayate_status status = hayate_run(NULL, 1);
  HOLDS(status.code == HAYATE_FAILED);
  char* text = hayate_status_text(NULL, status);
  HOLDS(text != NULL && strstr(text, "session") != NULL);
  hayate_free_text(text);
  hayate_free_text(NULL), hayate_model_free(NULL), hayate_executable_free(NULL), hayate_session_free(NULL);
  return NULL;
}
