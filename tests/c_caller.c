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

enum { STREAMS = 5, WINDOW = 50 };

static void fill(float* row, int64_t bytes, int turn, size_t stream) {
  for (int64_t i = 0; i < bytes / 4; ++i) row[i] = (float)((turn * 7 + (int)stream * 5 + i * 3) % 19 - 9) / 8;
}

static const char* walk_group(const hayate_stream_executable* executable, hayate_stream_group* group,
                              hayate_stream** alone, float* rows) {
  const int64_t bytes = hayate_stream_row_bytes(executable);
  const size_t which[STREAMS] = {3, 0, 4, 1, 2};
  const void* at[STREAMS];
  hayate_status status;
  HOLDS(hayate_stream_group_size(group) == STREAMS && hayate_stream_group_rows_at_once(group) == 4);
  for (int turn = 0; turn < 2 * WINDOW; ++turn) {
    const size_t count = turn % 4 == 0 ? 2 : STREAMS;
    for (size_t i = 0; i < count; ++i) {
      float* row = rows + (int64_t)i * bytes / 4;
      fill(row, bytes, turn, which[i]);
      at[i] = row;
      HOLDS(hayate_stream_push(alone[which[i]], row).code == HAYATE_OK);
    }
    HOLDS(hayate_stream_group_push(group, count, which, at).code == HAYATE_OK);
    for (size_t i = 0; i < STREAMS; ++i) {
      const hayate_stream* own = hayate_stream_group_stream(group, i);
      HOLDS(hayate_stream_rows(own) == hayate_stream_rows(alone[i]));
      HOLDS(*(const float*)hayate_stream_output(own, 0) == *(const float*)hayate_stream_output(alone[i], 0));
    }
    if (turn % 3 == 0) HOLDS(hayate_stream_group_settle(group).code == HAYATE_OK);
    if (turn % 3 == 1) HOLDS(hayate_stream_group_settle_slice(group, &status) == 1 && status.code == HAYATE_OK);
  }
  HOLDS(hayate_stream_group_settle(group).code == HAYATE_OK);
  HOLDS(hayate_stream_group_settle_slice(group, &status) == 0 && status.code == HAYATE_OK);
  hayate_stream* first = hayate_stream_group_stream(group, 0);
  hayate_stream_free(first); /* the group's: nothing happens */
  HOLDS(hayate_stream_refill(first, rows, STREAMS).code == HAYATE_OK && hayate_stream_rows(first) == STREAMS);
  hayate_stream_reset(first);
  HOLDS(hayate_stream_rows(first) == 0);
  const size_t none[2] = {1, STREAMS};
  status = hayate_stream_group_push(group, 2, none, at);
  HOLDS(status.code == HAYATE_BATCH && status.value == STREAMS);
  at[1] = NULL;
  HOLDS(hayate_stream_group_push(group, 2, which, at).code == HAYATE_FAILED && hayate_stream_rows(first) == 0);
  HOLDS(hayate_stream_group_push(group, 0, NULL, NULL).code == HAYATE_OK);
  HOLDS(hayate_stream_group_push(group, 1, NULL, at).code == HAYATE_FAILED);
  HOLDS(hayate_stream_group_push(group, 1, which, NULL).code == HAYATE_FAILED);
  HOLDS(hayate_stream_group_stream(group, STREAMS) == NULL);
  return NULL;
}

const char* c_caller_groups(const char* path) {
  const hayate_options options = {.size = sizeof options, .window = WINDOW};
  char* error = (char*)path; /* set to null where all goes well */
  hayate_model* model = hayate_model_load(path, NULL, &error);
  hayate_stream_executable* executable = hayate_stream_compile(model, &options, &error);
  hayate_model_free(model);
  HOLDS(executable != NULL && error == NULL);
  hayate_stream* alone[STREAMS];
  for (size_t i = 0; i < STREAMS; ++i) alone[i] = hayate_stream_new(executable, &error);
  float* rows = malloc((size_t)(STREAMS * hayate_stream_row_bytes(executable)));
  hayate_stream_group* group = hayate_stream_group_new(executable, STREAMS, &error);
  const char* wrong = group == NULL || error != NULL ? "no group" : walk_group(executable, group, alone, rows);
  if (wrong == NULL && (hayate_stream_group_new(executable, SIZE_MAX, &error) != NULL || error == NULL ||
                        strstr(error, "streams: needs") == NULL))
    wrong = "too many streams are said to be";
  hayate_free_text(error);
  hayate_stream_executable_free(executable);
  if (wrong == NULL && hayate_stream_group_settle(group).code != HAYATE_OK) wrong = "a group outlives its executable";
  for (size_t i = 0; i < STREAMS; ++i) hayate_stream_free(alone[i]);
  hayate_stream_group_free(group);
  free(rows);
  return wrong;
}

static const char* careless_of_streams(void) {
  hayate_status status;
  char* error = NULL;
  HOLDS(hayate_stream_group_new(NULL, 3, &error) == NULL && strstr(error, "executable: is null") != NULL);
  hayate_free_text(error);
  HOLDS(hayate_stream_group_size(NULL) == 0 && hayate_stream_group_rows_at_once(NULL) == 0);
  HOLDS(hayate_stream_group_stream(NULL, 0) == NULL);
  HOLDS(hayate_stream_group_push(NULL, 0, NULL, NULL).code == HAYATE_FAILED);
  HOLDS(hayate_stream_group_settle(NULL).code == HAYATE_FAILED);
  HOLDS(hayate_stream_group_settle_slice(NULL, &status) == 0 && status.code == HAYATE_FAILED);
  HOLDS(hayate_stream_group_settle_slice(NULL, NULL) == 0);
  hayate_stream_group_free(NULL), hayate_stream_free(NULL), hayate_stream_executable_free(NULL);
  return NULL;
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
  return careless_of_streams();
}
