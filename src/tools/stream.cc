// hayate stream: rows replayed through a sliding window, and each answer held against the full window's.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/tsc.h"
#include "hayate/stream.h"
#include "tensor/npy.h"
#include "tools/commands.h"
#include "tools/progress.h"

namespace hayate {
namespace {

constexpr double kRelative = 1e-5, kAbsolute = 1e-6;  // design: of float32 against another order of sums

Error bad(const std::string& where, std::string what) { return {Code::kInvalidArgument, where, std::move(what)}; }

// The rows of the file's only array, [N, ...], each of row_bytes.
Result<Tensor> read_rows(const std::string& path, int64_t row_bytes) {
  Tensor rows;
  if (path.ends_with(".npy")) {
    const Result<std::string> bytes = read_file(path);
    if (!bytes.ok()) return bytes.error();
    Result<Tensor> made = parse_npy(bytes.value(), path);
    if (!made.ok()) return made;
    rows = made.value();
  } else {
    const auto made = read_npz(path);
    if (!made.ok()) return made.error();
    if (made.value().size() != 1)
      return bad(path, fmt::format("holds {} arrays; one array of rows [N, ...] is accepted", made.value().size()));
    rows = made.value().begin()->second;
  }
  if (rows.type() != Type::kFloat32) return bad(path, fmt::format("holds {}; float32 rows are accepted", type_name(rows.type())));
  if (rows.rank() < 1 || static_cast<int64_t>(rows.byte_count()) != rows.shape()[0] * row_bytes)
    return bad(path, fmt::format("has shape {}; rows of {} float32 each, [N, ...], are accepted", shape_text(rows.shape()),
                                 row_bytes / 4));
  return rows;
}

// The same window whole, on the same rows.
class Whole {
 public:
  Whole(const Executable& executable, int64_t window, int64_t row_bytes)
      : session_(executable.session()), window_(window), row_bytes_(row_bytes) {}

  // Of rows at - window + 1 to at; those before the first are zeros. Requires: time is the axis behind the batch.
  Status run(const Tensor& rows, int64_t at) {
    auto* to = static_cast<std::byte*>(session_.input(0));
    const int64_t missing = std::max<int64_t>(0, window_ - 1 - at);
    std::memset(to, 0, static_cast<size_t>(missing * row_bytes_));
    std::memcpy(to + missing * row_bytes_, rows.bytes() + (at - window_ + 1 + missing) * row_bytes_,
                static_cast<size_t>((window_ - missing) * row_bytes_));
    return session_.run(1);
  }
  const void* output(size_t i) const { return session_.output(i); }

 private:
  Session session_;
  int64_t window_, row_bytes_;
};

struct Worst {
  double absolute = 0;
  int64_t outside = 0;  // answers past the tolerance
  int64_t compared = 0;
};

void compare(const float* got, const float* wanted, int64_t n, Worst* worst) {
  bool outside = false;
  for (int64_t i = 0; i < n; ++i) {
    const double a = static_cast<double>(got[i]), b = static_cast<double>(wanted[i]);
    if (std::isnan(a) && std::isnan(b)) continue;
    const double error = std::fabs(a - b);
    if (!(error <= kAbsolute + kRelative * std::fabs(b))) outside = true;
    worst->absolute = std::isnan(error) ? error : std::max(worst->absolute, error);
  }
  worst->outside += outside;
  ++worst->compared;
}

double percentile(std::vector<uint64_t> ticks, double part) {
  if (ticks.empty()) return 0;
  std::sort(ticks.begin(), ticks.end());
  const double rank = std::ceil(part * static_cast<double>(ticks.size()));
  return static_cast<double>(ticks[static_cast<size_t>(std::max(rank, 1.0)) - 1]) / ticks_per_microsecond();
}

struct Replayed {
  std::vector<uint64_t> answer, after;  // ticks of each row
  Worst full, peer;
};

Result<Executable> whole_window(const Model& model, Plan plan, const std::string& backend) {
  plan.backend = backend, plan.batch_max = 1;
  if (backend != "native") plan.precision = "fp32";
  return compile(model, plan);
}

}  // namespace

int stream(const ModelOptions& options, const StreamOptions& stream) {
  LoadOptions load;
  load.sets = options.sets, load.shapes = options.shapes, load.raw_score = options.raw_score;
  const Result<Model> model = Model::load(options.model, load);
  if (!model.ok()) return fail(model.error());
  const Result<StreamExecutable> cut = compile_stream(model.value(), options.plan);
  if (!cut.ok()) return fail(cut.error());
  if (stream.explain) fmt::print("{}", cut.value().explain());
  if (stream.inputs.empty()) return stream.explain ? 0 : fail(bad("stream", "nothing to do: give --inputs rows.npz, or --explain"));
  const Result<Tensor> rows = read_rows(stream.inputs, cut.value().row_bytes());
  if (!rows.ok()) return fail(rows.error());
  std::optional<Whole> full, peer;
  if (stream.check) {
    const std::vector<int64_t> shape = model.value().inputs()[0].shape;
    if (shape.size() < 2 || (shape[1] != -1 && shape[1] != options.plan.window))
      return fail(bad(options.model, "--check needs time on the axis behind the batch"));
    const Result<Executable> native = whole_window(model.value(), options.plan, options.plan.backend);
    if (!native.ok()) return fail(native.error());
    full.emplace(native.value(), cut.value().window(), cut.value().row_bytes());
    const Result<Executable> other = whole_window(model.value(), options.plan, "onnxruntime");
    if (other.ok())
      peer.emplace(other.value(), cut.value().window(), cut.value().row_bytes());
    else
      fmt::print(stderr, "hayate: not compared with ONNX Runtime: {}\n", other.error().text());
  }
  Stream window = cut.value().stream();
  Replayed replayed;
  const int64_t count = rows.value().shape()[0], every = std::max<int64_t>(1, count / kPeerRows);
  std::map<std::string, Tensor> answers;
  for (const Port& port : cut.value().outputs()) {
    Shape shape = port.shape;
    shape[0] = count;
    if (port.type == "float32") answers.emplace(port.name, Tensor(Type::kFloat32, shape));
  }
  Progress progress("stream", count);
  for (int64_t r = 0; r < count && !interrupted(); ++r) {
    const uint64_t start = ticks_now();
    const Status status = window.push(rows.value().bytes() + r * cut.value().row_bytes());
    const uint64_t answered = ticks_now();
    const Status settled = window.settle();
    replayed.answer.push_back(answered - start), replayed.after.push_back(ticks_now() - answered);
    if (!status.ok() || !settled.ok()) return fail({Code::kOutOfRange, options.model, fmt::format("row {} failed", r)});
    for (size_t i = 0; i < cut.value().outputs().size(); ++i) {
      const Port& port = cut.value().outputs()[i];
      const auto answer = answers.find(port.name);
      if (answer == answers.end()) continue;
      const auto* got = static_cast<const float*>(window.output(i));
      std::memcpy(answer->second.bytes() + r * port.row_bytes, got, static_cast<size_t>(port.row_bytes));
      if (full && (i > 0 || full->run(rows.value(), r).ok()))
        compare(got, static_cast<const float*>(full->output(i)), port.row_bytes / 4, &replayed.full);
      if (peer && r % every == 0 && (i > 0 || peer->run(rows.value(), r).ok()))
        compare(got, static_cast<const float*>(peer->output(i)), port.row_bytes / 4, &replayed.peer);
    }
    progress.at(r + 1);
  }
  double after = 0, before = 0;
  for (const uint64_t ticks : replayed.after) after += static_cast<double>(ticks);
  for (const uint64_t ticks : replayed.answer) before += static_cast<double>(ticks);
  const double per_row = (before + after) / static_cast<double>(std::max<int64_t>(count, 1)) / ticks_per_microsecond();
  fmt::print("{} rows, window {}, {}\n", count, cut.value().window(),
             cut.value().gains() ? "incremental" : "whole windows: " + cut.value().why_not());
  fmt::print("row to answer  p50 {:.2f} us  p99 {:.2f} us  p99.9 {:.2f} us  max {:.2f} us\n", percentile(replayed.answer, 0.5),
             percentile(replayed.answer, 0.99), percentile(replayed.answer, 0.999), percentile(replayed.answer, 1));
  fmt::print("after it       p50 {:.2f} us  p99 {:.2f} us; one core sustains {:.0f} rows/s\n",
             percentile(replayed.after, 0.5), percentile(replayed.after, 0.99), per_row == 0 ? 0 : 1e6 / per_row);
  if (full)
    fmt::print("full window    {} answers compared, max absolute error {:.3g}, {} past tolerance\n", replayed.full.compared,
               replayed.full.absolute, replayed.full.outside);
  if (peer)
    fmt::print("ONNX Runtime   {} answers compared, max absolute error {:.3g}, {} past tolerance\n", replayed.peer.compared,
               replayed.peer.absolute, replayed.peer.outside);
  if (!stream.output.empty()) {
    const Result<bool> written = write_npz(stream.output, answers);
    if (!written.ok()) return fail(written.error());
  }
  if (interrupted()) return kInterruptedStatus;
  return replayed.full.outside == 0 ? 0 : 1;
}

}  // namespace hayate
