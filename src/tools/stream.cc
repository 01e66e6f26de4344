// hayate stream: rows replayed through a stream, each answer held against that of the model run by hand.
#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <optional>

#include "base/json.h"
#include "base/tsc.h"
#include "tensor/npy.h"
#include "tools/bench.h"
#include "tools/commands.h"
#include "tools/progress.h"
#include "tools/stream_rows.h"

namespace hayate {
namespace {

class Replay {
 public:
  Replay(const ModelOptions& options, const StreamOptions& stream, const StreamExecutable& cut)
      : options_(options), stream_(stream), cut_(cut), window_(cut.stream()) {}

  // Ready to hold answers against other ones.
  Result<bool> check(const Model& model) {
    auto full = by_hand(model, options_.plan, options_.plan.backend);
    if (!full.ok()) return full.error();
    full_ = std::move(full).value();
    auto peer = by_hand(model, options_.plan, "onnxruntime");
    if (!peer.ok()) fmt::print(stderr, "hayate: not compared with ONNX Runtime: {}\n", peer.error().text());
    if (peer.ok()) peer_ = std::move(peer).value();
    return true;
  }

  Result<bool> run(const Tensor& rows) {
    count_ = rows.shape()[0];
    if (options_.plan.warm_up == "wait") unanswered_ = std::clamp<int64_t>(cut_.window() - 1, 0, count_);
    for (const Port& port : cut_.outputs()) {
      Shape shape = port.shape;
      if (shape.empty() || shape[0] != 1) shape.insert(shape.begin(), 1);
      shape[0] = count_ - unanswered_;
      answers_.emplace(port.name, Tensor(type_called(port.type), shape));
    }
    // Whole windows are as good from anywhere; states have to be fed from the first row on.
    const int64_t every = cut_.window() == 0 ? 1 : std::max<int64_t>(1, count_ / kPeerRows);
    Progress progress("stream", count_);
    for (int64_t r = 0; r < count_ && !interrupted(); ++r) {
      const uint64_t start = ticks_now();
      const Status status = window_.push(rows.bytes() + r * cut_.row_bytes());
      const uint64_t answered = ticks_now();
      const bool settles = (r + 1) % stream_.burst == 0;
      const Status settled = settles ? window_.settle() : Status{};
      answer_ticks_.push_back(answered - start);
      if (settles) after_ticks_.push_back(ticks_now() - answered);
      if ((!status.ok() && status.code != Status::kNotReady) || !settled.ok())
        return Error{Code::kOutOfRange, options_.model, fmt::format("row {} holds a value that a step cannot take", r)};
      if (r >= unanswered_) take(rows, r, peer_ != nullptr && r % every == 0 && r / every < kPeerRows);
      progress.at(r + 1);
    }
    return true;
  }

  int report() {
    take_times(&answer_ticks_, ticks_per_microsecond(), &answer_);
    take_times(&after_ticks_, ticks_per_microsecond(), &after_);
    if (stream_.json)
      print_json();
    else
      print();
    if (full_ != nullptr && (full_apart_.compared == 0 || missed_ > 0)) {
      fmt::print(stderr, "hayate: {} answers were not compared with the full window, {} were: {}\n", missed_,
                 full_apart_.compared, missed_ > 0 ? "its run failed" : "give more rows than the window has");
      return 1;
    }
    return full_apart_.outside == 0 ? 0 : 1;
  }
  const std::map<std::string, Tensor>& answers() const { return answers_; }

 private:
  void take(const Tensor& rows, int64_t r, bool ask_peer) {
    const bool full = full_ != nullptr && full_->run(rows, r).ok(), peer = ask_peer && peer_->run(rows, r).ok();
    missed_ += full_ != nullptr && !full ? 1 : 0;
    for (size_t i = 0; i < cut_.outputs().size(); ++i) {
      const Port& port = cut_.outputs()[i];
      const void* got = window_.output(i);
      std::memcpy(answers_.at(port.name).bytes() + (r - unanswered_) * port.row_bytes, got,
                  static_cast<size_t>(port.row_bytes));
      if (full) full_apart_.add(port, got, full_->output(port.name));
      if (peer) peer_apart_.add(port, got, peer_->output(port.name));
    }
  }

  std::string way() const {
    if (cut_.window() == 0) return "the model carries its state";
    return cut_.gains() ? "incremental" : "whole windows: " + cut_.why_not();
  }
  double rows_per_second() const {
    double ticks = 0;
    for (const uint64_t each : answer_ticks_) ticks += static_cast<double>(each);
    for (const uint64_t each : after_ticks_) ticks += static_cast<double>(each);
    return ticks == 0 ? 0 : static_cast<double>(answer_ticks_.size()) / ticks * ticks_per_microsecond() * 1e6;
  }

  void print() const {
    fmt::print("{} rows, window {}, {}\n", answer_ticks_.size(), cut_.window(), way());
    if (unanswered_ > 0) fmt::print("{} rows before the window was full have no answer\n", unanswered_);
    fmt::print("row to answer  p50 {:.2f} us  p99 {:.2f} us  p99.9 {:.2f} us  max {:.2f} us\n", answer_.p50_us,
               answer_.p99_us, answer_.p999_us, answer_.max_us);
    fmt::print("after it       p50 {:.2f} us  p99 {:.2f} us{}; one core sustains {:.0f} rows/s\n", after_.p50_us,
               after_.p99_us, stream_.burst > 1 ? fmt::format(" a burst of {}", stream_.burst) : "", rows_per_second());
    const auto apart = [](const char* who, const Apart& is) {
      fmt::print("{:<14} {} answers compared, max absolute error {:.3g}, {} past tolerance\n", who, is.compared,
                 is.absolute, is.outside);
    };
    if (full_ != nullptr) apart(cut_.window() == 0 ? "fed by hand" : "full window", full_apart_);
    if (peer_ != nullptr) apart("ONNX Runtime", peer_apart_);
  }

  void print_json() const {
    const auto apart = [](const char* key, const Apart& is) {
      return fmt::format(", \"{}\": {{\"compared\": {}, \"max_abs_error\": {}, \"past_tolerance\": {}}}", key,
                         is.compared, json_number(is.absolute), is.outside);
    };
    fmt::print(
        "{{\"model\": {}, \"window\": {}, \"rows\": {}, \"unanswered\": {}, \"incremental\": {}, \"why_not\": {}, "
        "\"p50_us\": {:.3f}, "
        "\"p99_us\": "
        "{:.3f}, \"p999_us\": {:.3f}, \"max_us\": {:.3f}, \"after_p50_us\": {:.3f}, \"after_p99_us\": {:.3f}, "
        "\"rows_per_s\": {:.1f}{}{}}}\n",
        json_string(options_.model), cut_.window(), answer_ticks_.size(), unanswered_, cut_.gains(),
        json_string(cut_.why_not()), answer_.p50_us, answer_.p99_us, answer_.p999_us, answer_.max_us, after_.p50_us,
        after_.p99_us, rows_per_second(), full_ != nullptr ? apart("full", full_apart_) : "",
        peer_ != nullptr ? apart("onnxruntime", peer_apart_) : "");
  }

  const ModelOptions& options_;
  const StreamOptions& stream_;
  const StreamExecutable& cut_;
  Stream window_;
  std::unique_ptr<ByHand> full_, peer_;
  Apart full_apart_, peer_apart_;
  std::vector<uint64_t> answer_ticks_, after_ticks_;
  BenchRow answer_, after_;  // their times
  std::map<std::string, Tensor> answers_;
  int64_t count_ = 0, unanswered_ = 0;  // rows; before the window is full
  int64_t missed_ = 0;                  // answers that no full window was there to hold against
};

}  // namespace

int stream(const ModelOptions& options, const StreamOptions& stream) {
  end_on_interrupt();
  const Result<Model> model = model_for_stream(options);
  if (!model.ok()) return fail(model.error());
  const Result<StreamExecutable> cut = compile_stream(model.value(), options.plan);
  if (!cut.ok()) return fail(cut.error());
  say_whose_scales(options.plan);
  if (stream.explain) fmt::print("{}", cut.value().explain());
  if (stream.inputs.empty() && stream.explain) return 0;
  if (stream.inputs.empty())
    return fail({Code::kInvalidArgument, "stream", "nothing to do: give --inputs rows.npz, or --explain"});
  const Result<Tensor> rows = read_rows(stream.inputs, type_called(cut.value().row_type()), cut.value().row_bytes());
  if (!rows.ok()) return fail(rows.error());
  Replay replay(options, stream, cut.value());
  if (stream.check)
    if (const Result<bool> ready = replay.check(model.value()); !ready.ok()) return fail(ready.error());
  if (const Result<bool> ran = replay.run(rows.value()); !ran.ok()) return fail(ran.error());
  const int status = replay.report();
  if (interrupted()) {
    fmt::print(stderr, "hayate: interrupted; the figures are of the rows so far, nothing was written\n");
    return kInterruptedStatus;
  }
  if (!stream.output.empty())
    if (const Result<bool> written = write_npz(stream.output, replay.answers()); !written.ok())
      return fail(written.error());
  return status;
}

}  // namespace hayate
