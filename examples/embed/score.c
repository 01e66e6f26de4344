/* The same from C: score_c MODEL */
#include <hayate/hayate.h>
#include <stdio.h>
#include <string.h>

int main(int argc, char** argv) {
  char* error = NULL;
  hayate_model* model = hayate_model_load(argc == 2 ? argv[1] : "", &error);
  hayate_executable* executable = model == NULL ? NULL : hayate_compile(model, NULL, &error);
  hayate_session* session = executable == NULL ? NULL : hayate_session_new(executable, &error);
  int result = 1;
  if (session == NULL) {
    fprintf(stderr, "%s\n", error == NULL ? "failed" : error);
    hayate_free_text(error);
  } else {
    hayate_port in = {sizeof in, NULL, NULL, 0}, out = {sizeof out, NULL, NULL, 0};
    hayate_input(executable, 0, &in);
    hayate_output(executable, 0, &out);
    memset(hayate_session_input(session, 0), 0, (size_t)in.row_bytes);
    result = hayate_run(session, 1).code;
    printf("%s:", out.name);
    for (int64_t i = 0; result == 0 && i < out.row_bytes / 4; ++i) printf(" %g", (double)((const float*)hayate_session_output(session, 0))[i]);
    printf("\n");
  }
  hayate_session_free(session);
  hayate_executable_free(executable);
  hayate_model_free(model);
  return result;
}
