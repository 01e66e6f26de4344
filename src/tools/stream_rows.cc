#include "tools/stream_rows.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <deque>
#include <limits>
#include <map>

#include "base/file.h"
#include "tensor/npy.h"
#include "tools/compare.h"

namespace hayate {
namespace {

Error bad(const std::string& where, std::string what) { return {Code::kInvalidArgument, where, std::move(what)}; }

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t' || text.back() == '\r')) text.remove_suffix(1);
  return text;
}

// A number, or of floats nothing for NaN; false where the cell is neither, or out of the type's range.
template <typename T>
bool number(std::string_view cell, T* value) {
  if constexpr (std::is_floating_point_v<T>) {
    *value = std::numeric_limits<T>::quiet_NaN();
    if (cell.empty()) return true;
  }
  if (!cell.empty() && cell.front() == '+') cell.remove_prefix(1);
  const auto [end, error] = std::from_chars(cell.data(), cell.data() + cell.size(), *value);
  return error == std::errc() && end == cell.data() + cell.size();
}
template <>
bool number(std::string_view cell, bool* value) {
  *value = cell == "1" || cell == "true";
  return *value || cell == "0" || cell == "false";
}

template <typename T>
Result<Tensor> parse_csv(const std::string& text, const std::string& path, int64_t columns) {
  std::deque<T> values;  // a vector of bool has no bools
  int64_t line = 0, rows = 0;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    std::string_view rest = std::string_view(text).substr(at, end - at);
    at = end + 1, ++line;
    if (trimmed(rest).empty()) continue;
    const size_t before = values.size();
    std::string_view wrong;
    bool is_wrong = false;
    for (bool more = true; more;) {
      const size_t comma = rest.find(',');
      const std::string_view cell = trimmed(rest.substr(0, comma));
      if (!number(cell, &values.emplace_back()) && !is_wrong) wrong = cell, is_wrong = true;
      more = comma != std::string_view::npos;
      rest.remove_prefix(more ? comma + 1 : rest.size());
    }
    if (is_wrong && rows == 0 && before == 0 && line == 1) {  // names
      values.clear();
      continue;
    }
    const auto place = [&] { return fmt::format("{}:{}", path, line); };
    if (is_wrong)
      return bad(place(),
                 fmt::format("'{}' is no number of {}", std::string(wrong.substr(0, 40)), type_name(type_of<T>())));
    if (static_cast<int64_t>(values.size() - before) != columns)
      return bad(place(),
                 fmt::format("has {} columns; rows of {} numbers are accepted", values.size() - before, columns));
    ++rows;
  }
  auto made = Tensor::make(type_of<T>(), {rows, columns}, path);
  if (made.ok()) std::copy(values.begin(), values.end(), made.value().template data<T>());
  return made;
}

Result<Tensor> only_array(const std::string& path) {
  if (path.ends_with(".npy")) {
    const Result<std::string> bytes = read_file(path);
    if (!bytes.ok()) return bytes.error();
    return parse_npy(bytes.value(), path);
  }
  const auto made = read_npz(path);
  if (!made.ok()) return made.error();
  if (made.value().size() != 1)
    return bad(path, fmt::format("holds {} arrays; one array of rows [N, ...] is accepted", made.value().size()));
  return made.value().begin()->second;
}

// The session's ports by name.
std::map<std::string, size_t> places(const std::vector<Port>& ports) {
  std::map<std::string, size_t> made;
  for (size_t i = 0; i < ports.size(); ++i) made[ports[i].name] = i;
  return made;
}

class OverWindows final : public ByHand {
 public:
  OverWindows(const Executable& executable, int64_t window, size_t axis)
      : session_(executable.session()), outputs_(places(executable.outputs())), window_(window) {
    const Port& port = executable.inputs()[0];
    at_once_ = executable.fixed_batch().empty() ? 1 : executable.batch_max();
    for (size_t i = 0; i < axis; ++i) outer_ *= port.shape[i];
    piece_bytes_ = static_cast<int64_t>(type_size(type_called(port.type)));
    for (size_t i = axis + 1; i < port.shape.size(); ++i) piece_bytes_ *= port.shape[i];
  }
  // A row is so many pieces as lie before its time axis.
  Status run(const Tensor& rows, int64_t row) override {
    auto* to = static_cast<std::byte*>(session_.input(0));
    const int64_t row_bytes = outer_ * piece_bytes_;
    for (int64_t o = 0; o < outer_; ++o)
      for (int64_t r = row - window_ + 1; r <= row; ++r, to += piece_bytes_) {
        if (r < 0)
          std::memset(to, 0, static_cast<size_t>(piece_bytes_));
        else
          std::memcpy(to, rows.bytes() + r * row_bytes + o * piece_bytes_, static_cast<size_t>(piece_bytes_));
      }
    return session_.run(at_once_);
  }
  const void* output(const std::string& name) const override { return session_.output(outputs_.at(name)); }

 private:
  Session session_;
  std::map<std::string, size_t> outputs_;
  int64_t window_, at_once_ = 1, outer_ = 1, piece_bytes_ = 0;
};

class FedBack final : public ByHand {
 public:
  FedBack(const Executable& executable, const std::vector<std::string>& states)
      : session_(executable.session()), outputs_(places(executable.outputs())) {
    std::map<std::string, size_t> inputs = places(executable.inputs());
    for (const std::string& text : states) {
      const size_t equal = text.find('='), input = inputs.at(text.substr(0, equal)),
                   output = outputs_.at(text.substr(equal + 1));
      const size_t bytes = static_cast<size_t>(executable.inputs()[input].row_bytes);
      std::memset(session_.input(input), 0, bytes);
      states_.push_back({input, output, bytes});
      inputs.erase(text.substr(0, equal));
    }
    row_ = inputs.begin()->second;
    row_bytes_ = executable.inputs()[row_].row_bytes;
  }
  Status run(const Tensor& rows, int64_t row) override {
    if (row > 0)
      for (const auto& [input, output, bytes] : states_)
        std::memcpy(session_.input(input), session_.output(output), bytes);
    std::memcpy(session_.input(row_), rows.bytes() + row * row_bytes_, static_cast<size_t>(row_bytes_));
    return session_.run(1);
  }
  const void* output(const std::string& name) const override { return session_.output(outputs_.at(name)); }

 private:
  struct Fed {
    size_t input, output, bytes;
  };
  Session session_;
  std::map<std::string, size_t> outputs_;
  std::vector<Fed> states_;
  size_t row_ = 0;
  int64_t row_bytes_ = 0;
};

}  // namespace

Type type_called(const std::string& name) {
  int type = 0;
  while (name != type_name(static_cast<Type>(type))) ++type;
  return static_cast<Type>(type);
}

Result<Tensor> read_rows(const std::string& path, Type type, int64_t row_bytes) {
  const int64_t numbers = row_bytes / static_cast<int64_t>(type_size(type));
  if (path.ends_with(".csv")) {
    const Result<std::string> text = read_file(path);
    if (!text.ok()) return text.error();
    Result<Tensor> made = bad(path, fmt::format("rows of {} are accepted from .npy and .npz alone", type_name(type)));
    visit_type(type, [&]<typename T>() { made = parse_csv<T>(text.value(), path, numbers); });
    return made;
  }
  Result<Tensor> made = only_array(path);
  if (!made.ok()) return made;
  const Tensor& rows = made.value();
  if (rows.type() != type)
    return bad(path, fmt::format("holds {}; {} rows are accepted", type_name(rows.type()), type_name(type)));
  if (rows.rank() < 1 || static_cast<int64_t>(rows.byte_count()) != rows.shape()[0] * row_bytes)
    return bad(path, fmt::format("has shape {}; rows of {} {} each, [N, ...], are accepted", shape_text(rows.shape()),
                                 numbers, type_name(type)));
  return made;
}

Result<Model> model_for_stream(const ModelOptions& options) {
  LoadOptions load;
  load.sets = options.sets, load.shapes = options.shapes, load.raw_score = options.raw_score;
  return Model::load(options.model, load);
}

Result<std::unique_ptr<ByHand>> by_hand(const Model& model, const Plan& given, const std::string& backend) {
  Plan plan = given;
  plan.backend = backend, plan.batch_max = 1;
  if (backend != "native") plan.precision = "fp32", plan.isa = "";
  size_t axis = 1;
  if (plan.window > 0) {
    const std::vector<int64_t> shape = model.inputs()[0].shape;
    if (!plan.time_axis.empty()) {  // which compile_stream() has taken
      axis = static_cast<size_t>(std::stoll(plan.time_axis.substr(plan.time_axis.rfind(':') + 1)));
    } else {
      while (axis < shape.size() && shape[axis] != -1 && shape[axis] != plan.window) ++axis;
    }
    if (axis >= shape.size()) return bad("stream", "no axis of the model's input has the window's places");
    if (std::find(shape.begin() + 1, shape.end(), -1) != shape.end() || (axis == 0 && shape[0] == -1)) {
      std::string text = model.inputs()[0].name;
      for (size_t i = 0; i < shape.size(); ++i)
        text += (i == 0 ? ":" : ",") + (shape[i] != -1 || (i == 0 && axis != 0) ? "*" : std::to_string(plan.window));
      plan.shapes = {{text}};
    }
  }
  const Result<Executable> made = compile(model, plan);
  if (!made.ok()) return made.error();
  if (plan.window > 0) return std::unique_ptr<ByHand>(new OverWindows(made.value(), plan.window, axis));
  return std::unique_ptr<ByHand>(new FedBack(made.value(), plan.states));
}

void Apart::add(const Port& port, const void* got, const void* wanted) {
  const auto as_tensor = [&](const void* memory) {
    return Tensor(type_called(port.type), port.shape, static_cast<std::byte*>(const_cast<void*>(memory)));
  };
  const Difference apart = difference(as_tensor(got), as_tensor(wanted), Tolerance{});
  absolute = std::max(absolute, apart.max_absolute), relative = std::max(relative, apart.max_relative);
  outside += apart.outside > 0;
  ++compared;
}

}  // namespace hayate
