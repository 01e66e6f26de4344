#include "runtime/c_shared.h"

using namespace hayate::c_api;
using hayate::Result;

namespace hayate::c_api {

Result<Plan> plan_of(const Model& model, const hayate_options* options) {
  const Result<hayate_options> given = hayate::c_api::taken(options, "hayate_options");
  if (!given.ok()) return given.error();
  const hayate_options& from = given.value();
  Result<hayate::Plan> read = from.plan == nullptr ? hayate::Plan::defaults(model) : hayate::Plan::from_json(from.plan);
  if (!read.ok()) return read;
  hayate::Plan& plan = read.value();
  const auto word = [](const char* text, std::string* to) {
    if (text != nullptr) *to = text;
  };
  word(from.backend, &plan.backend), word(from.isa, &plan.isa);
  word(from.ort_library, &plan.ort_library), word(from.ort_optimisation, &plan.ort_optimisation);
  word(from.ort_provider, &plan.ort_provider);
  word(from.precision, &plan.precision), word(from.time_axis, &plan.time_axis);
  word(from.warm_up, &plan.warm_up);
  if (from.window != 0) plan.window = from.window;
  if (const Result<bool> added = add_words(from.states, from.state_count, "hayate_options.states", &plan.states);
      !added.ok())
    return added.error();
  if (from.batch_max != 0) plan.batch_max = from.batch_max;
  if (from.threads != 0) plan.threads = from.threads;
  return read;
}

}  // namespace hayate::c_api

namespace {

Result<hayate::LoadOptions> load_options(const hayate_load_options* options) {
  const Result<hayate_load_options> given = hayate::c_api::taken(options, "hayate_load_options");
  if (!given.ok()) return given.error();
  const hayate_load_options& from = given.value();
  hayate::LoadOptions made;
  for (const Result<bool>& added :
       {add_words(from.sets, from.set_count, "hayate_load_options.sets", &made.sets),
        add_words(from.shapes, from.shape_count, "hayate_load_options.shapes", &made.shapes)})
    if (!added.ok()) return added.error();
  made.raw_score = from.raw_score != 0, made.memory_max = from.memory_max;
  return made;
}

bool aligned(const void* memory) { return reinterpret_cast<uintptr_t>(memory) % 64 == 0; }

}  // namespace

extern "C" {

int hayate_abi_version(void) { return HAYATE_ABI_VERSION; }

hayate_model* hayate_model_load(const char* path, const hayate_load_options* options, char** error) {
  return guarded<hayate_model>(error, [&]() -> Result<hayate_model> {
    if (path == nullptr) return null_argument("path");
    const Result<hayate::LoadOptions> read = load_options(options);
    if (!read.ok()) return read.error();
    Result<hayate::Model> model = hayate::Model::load(path, read.value());
    if (!model.ok()) return model.error();
    return hayate_model{model.value(), model.value().inputs(), model.value().outputs()};
  });
}

void hayate_model_free(hayate_model* model) { delete model; }
size_t hayate_model_input_count(const hayate_model* model) { return model == nullptr ? 0 : model->inputs.size(); }
size_t hayate_model_output_count(const hayate_model* model) { return model == nullptr ? 0 : model->outputs.size(); }
int hayate_model_input(const hayate_model* model, size_t i, hayate_port* port) {
  return model == nullptr ? 1 : port_at(model->inputs, i, port);
}
int hayate_model_output(const hayate_model* model, size_t i, hayate_port* port) {
  return model == nullptr ? 1 : port_at(model->outputs, i, port);
}

hayate_executable* hayate_compile(const hayate_model* model, const hayate_options* options, char** error) {
  return guarded<hayate_executable>(error, [&]() -> Result<hayate_executable> {
    if (model == nullptr) return null_argument("model");
    const Result<hayate::Plan> plan = plan_of(model->model, options);
    if (!plan.ok()) return plan.error();
    Result<hayate::Executable> made = hayate::compile(model->model, plan.value());
    if (!made.ok()) return made.error();
    return hayate_executable{std::move(made).value()};
  });
}

void hayate_executable_free(hayate_executable* executable) { delete executable; }
size_t hayate_input_count(const hayate_executable* executable) {
  return executable == nullptr ? 0 : executable->executable.inputs().size();
}
size_t hayate_output_count(const hayate_executable* executable) {
  return executable == nullptr ? 0 : executable->executable.outputs().size();
}
int hayate_input(const hayate_executable* executable, size_t i, hayate_port* port) {
  return executable == nullptr ? 1 : port_at(executable->executable.inputs(), i, port);
}
int hayate_output(const hayate_executable* executable, size_t i, hayate_port* port) {
  return executable == nullptr ? 1 : port_at(executable->executable.outputs(), i, port);
}
int64_t hayate_batch_max(const hayate_executable* executable) {
  return executable == nullptr ? 0 : executable->executable.batch_max();
}
const char* hayate_fixed_batch(const hayate_executable* executable) {
  if (executable == nullptr || executable->executable.fixed_batch().empty()) return nullptr;
  return executable->executable.fixed_batch().c_str();
}

hayate_session* hayate_session_new(const hayate_executable* executable, char** error) {
  return guarded<hayate_session>(error, [&]() -> Result<hayate_session> {
    if (executable == nullptr) return null_argument("executable");
    const hayate::Executable& made = executable->executable;
    if (const Result<bool> room = made.room_for_session(); !room.ok()) return room.error();
    return hayate_session{made.session(), made.inputs().size(), made.outputs().size()};
  });
}

void hayate_session_free(hayate_session* session) { delete session; }
void* hayate_session_input(hayate_session* session, size_t i) {
  return session == nullptr || i >= session->inputs ? nullptr : session->session.input(i);
}
const void* hayate_session_output(const hayate_session* session, size_t i) {
  return session == nullptr || i >= session->outputs ? nullptr : session->session.output(i);
}
int hayate_session_bind_input(hayate_session* session, size_t i, void* memory) {
  if (session == nullptr || i >= session->inputs) return 1;
  if (!aligned(memory)) return 2;
  session->session.bind_input(i, memory);
  return 0;
}
int hayate_session_bind_output(hayate_session* session, size_t i, void* memory) {
  if (session == nullptr || i >= session->outputs) return 1;
  if (!aligned(memory)) return 2;
  session->session.bind_output(i, memory);
  return 0;
}

hayate_status hayate_run(hayate_session* session, int64_t rows) {
  if (session == nullptr) return {hayate::Status::kFailed, -1, 0};
  const hayate::Status status = session->session.run(rows);
  return {status.code, status.step, status.value};
}

char* hayate_status_text(const hayate_session* session, hayate_status status) {
  try {
    if (session == nullptr) return text_of(null_argument("session").text());
    return text_of(session->session.text({status.code, status.step, status.value}));
  } catch (...) {
    return nullptr;  // no memory for the words
  }
}

void hayate_free_text(char* text) { std::free(text); }

}  // extern "C"
