/* The same from C: score_c MODEL [BACKEND [SET]]. Scores one row of zeros; SET is "sr=16000", say. */
#include <hayate/hayate.h>
#include <stdio.h>
#include <string.h>

static int failed(char* error) {
  fprintf(stderr, "%s\n", error == NULL ? "failed" : error);
  hayate_free_text(error);
  return 1;
}

static int score(const hayate_executable* executable, hayate_session* session) {
  hayate_port in = {.size = sizeof in}, out = {.size = sizeof out};
  for (size_t i = 0; hayate_input(executable, i, &in) == 0; ++i)
    memset(hayate_session_input(session, i), 0, (size_t)in.row_bytes);
  const hayate_status status = hayate_run(session, 1);
  if (status.code != HAYATE_OK) return failed(hayate_status_text(session, status));
  for (size_t i = 0; hayate_output(executable, i, &out) == 0; ++i) {
    printf("%s:", out.name);
    const void* values = hayate_session_output(session, i);
    if (strcmp(out.type, "float32") == 0)
      for (int64_t k = 0; k < out.row_bytes / 4; ++k) printf(" %g", (double)((const float*)values)[k]);
    else
      printf(" %lld bytes of %s", (long long)out.row_bytes, out.type);
    printf("\n");
  }
  return 0;
}

int main(int argc, char** argv) {
  char* error = NULL;
  const char* const sets[] = {argc > 3 ? argv[3] : ""};
  const hayate_load_options load = {.size = sizeof load, .sets = sets, .set_count = argc > 3};
  hayate_model* model = hayate_model_load(argc > 1 ? argv[1] : "", &load, &error);
  if (model == NULL) return failed(error);

  const hayate_options options = {.size = sizeof options, .backend = argc > 2 ? argv[2] : NULL};
  hayate_executable* executable = hayate_compile(model, &options, &error);
  hayate_model_free(model);
  if (executable == NULL) return failed(error);

  hayate_session* session = hayate_session_new(executable, &error);
  const int result = session == NULL ? failed(error) : score(executable, session);
  hayate_session_free(session);
  hayate_executable_free(executable);
  return result;
}
