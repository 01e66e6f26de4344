#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <exception>

#include "hayate/executable.h"
#include "hayate/hayate.h"

struct hayate_model {
  hayate::Model model;
};
struct hayate_executable {
  hayate::Executable executable;
};
struct hayate_session {
  hayate::Session session;
};

namespace {

char* text_of(const std::string& text) {
  char* out = static_cast<char*>(std::malloc(text.size() + 1));
  if (out != nullptr) std::memcpy(out, text.c_str(), text.size() + 1);
  return out;
}

// What `make` gives, or null with the message: no exception crosses into C.
template <typename F>
auto guarded(char** error, F&& make) -> decltype(make()) {
  try {
    return make();
  } catch (const std::exception& thrown) {
    if (error != nullptr) *error = text_of(thrown.what());
    return nullptr;
  }
}

int port_at(const std::vector<hayate::Port>& ports, size_t i, hayate_port* port) {
  if (i >= ports.size() || port == nullptr || port->size < sizeof(hayate_port)) return 1;
  port->name = ports[i].name.c_str(), port->type = ports[i].type.c_str(), port->row_bytes = ports[i].row_bytes;
  return 0;
}

}  // namespace

extern "C" {

hayate_model* hayate_model_load(const char* path, char** error) {
  return guarded(error, [&]() -> hayate_model* {
    hayate::Result<hayate::Model> model = hayate::Model::load(path == nullptr ? "" : path);
    if (model.ok()) return new hayate_model{std::move(model).value()};
    if (error != nullptr) *error = text_of(model.error().text());
    return nullptr;
  });
}

void hayate_model_free(hayate_model* model) { delete model; }

hayate_executable* hayate_compile(const hayate_model* model, const hayate_options* options, char** error) {
  return guarded(error, [&]() -> hayate_executable* {
    hayate::Plan plan = hayate::Plan::defaults(model->model);
    // Fields that the caller's struct does not reach keep their defaults.
    if (options != nullptr && options->size >= offsetof(hayate_options, batch_max) + sizeof(int64_t) &&
        options->batch_max != 0)
      plan.batch_max = options->batch_max;
    if (options != nullptr && options->size >= offsetof(hayate_options, isa) + sizeof(char*) && options->isa != nullptr)
      plan.isa = options->isa;
    hayate::Result<hayate::Executable> made = hayate::compile(model->model, plan);
    if (made.ok()) return new hayate_executable{std::move(made).value()};
    if (error != nullptr) *error = text_of(made.error().text());
    return nullptr;
  });
}

void hayate_executable_free(hayate_executable* executable) { delete executable; }
size_t hayate_input_count(const hayate_executable* executable) { return executable->executable.inputs().size(); }
size_t hayate_output_count(const hayate_executable* executable) { return executable->executable.outputs().size(); }
int hayate_input(const hayate_executable* executable, size_t i, hayate_port* port) {
  return port_at(executable->executable.inputs(), i, port);
}
int hayate_output(const hayate_executable* executable, size_t i, hayate_port* port) {
  return port_at(executable->executable.outputs(), i, port);
}

hayate_session* hayate_session_new(const hayate_executable* executable, char** error) {
  return guarded(error, [&]() -> hayate_session* { return new hayate_session{executable->executable.session()}; });
}

void hayate_session_free(hayate_session* session) { delete session; }
void* hayate_session_input(hayate_session* session, size_t i) { return session->session.input(i); }
const void* hayate_session_output(const hayate_session* session, size_t i) { return session->session.output(i); }

hayate_status hayate_run(hayate_session* session, int64_t rows) {
  const hayate::Status status = session->session.run(rows);
  return {status.code, status.step, status.value};
}

char* hayate_status_text(const hayate_session* session, hayate_status status) {
  return guarded(nullptr, [&] { return text_of(session->session.text({status.code, status.step, status.value})); });
}

void hayate_free_text(char* text) { std::free(text); }

}  // extern "C"
