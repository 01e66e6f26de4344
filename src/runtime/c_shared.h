// What the files of the C interface share: handles, texts, errors, ports.
#pragma once

#include <cstdlib>
#include <cstring>
#include <exception>
#include <string>
#include <vector>

#include "hayate/executable.h"
#include "hayate/hayate.h"
#include "runtime/c_struct.h"

struct hayate_model {
  hayate::Model model;
  std::vector<hayate::ModelPort> inputs, outputs;
};
struct hayate_executable {
  hayate::Executable executable;
};
struct hayate_session {
  hayate::Session session;
  size_t inputs, outputs;
};

namespace hayate::c_api {

inline char* text_of(const std::string& text) {
  char* out = static_cast<char*>(std::malloc(text.size() + 1));
  if (out != nullptr) std::memcpy(out, text.c_str(), text.size() + 1);
  return out;
}

// What `make` gives in a handle of its own, or null with the message: no exception crosses into C.
template <typename Handle, typename F>
Handle* guarded(char** error, F&& make) {
  if (error != nullptr) *error = nullptr;
  const auto failed = [&](const std::string& what) -> Handle* {
    if (error != nullptr) *error = text_of(what);
    return nullptr;
  };
  try {
    Result<Handle> made = make();
    return made.ok() ? new Handle(std::move(made).value()) : failed(made.error().text());
  } catch (const std::exception& thrown) {
    return failed(thrown.what());
  } catch (...) {
    return failed("an exception without a message");
  }
}

inline Error null_argument(const char* what) { return {Code::kInvalidArgument, what, "is null"}; }

inline Result<bool> add_words(const char* const* words, size_t count, const char* field, std::vector<std::string>* to) {
  for (size_t i = 0; i < count; ++i) {
    if (words == nullptr || words[i] == nullptr) return null_argument(field);
    to->push_back(words[i]);
  }
  return true;
}

template <typename Port>
int give_port(const Port& port, int64_t row_bytes, hayate_port* to) {
  const hayate_port made = {0, port.name.c_str(), port.type.c_str(), port.shape.data(), port.shape.size(), row_bytes};
  return give(made, to) ? 0 : 2;
}

inline int port_at(const std::vector<hayate::Port>& ports, size_t i, hayate_port* to) {
  return i >= ports.size() || to == nullptr ? 1 : give_port(ports[i], ports[i].row_bytes, to);
}

inline int port_at(const std::vector<hayate::ModelPort>& ports, size_t i, hayate_port* to) {
  return i >= ports.size() || to == nullptr ? 1 : give_port(ports[i], 0, to);
}

// The options over the plan that they hold.
Result<Plan> plan_of(const Model& model, const hayate_options* options);

}  // namespace hayate::c_api
