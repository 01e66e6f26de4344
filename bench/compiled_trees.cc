// Trees that tl2cgen or lleaves made into machine code (compile_trees.py): the library's one function, called as it is.
#include <fmt/format.h>

#include <cmath>
#include <cstring>
#include <fstream>

#include "library.h"
#include "peer.h"

namespace hayate::peers {
namespace {

// What compile_trees.py wrote where it could not make the library.
std::string reason_beside(std::filesystem::path library) {
  std::ifstream file(library.replace_extension(".txt"));
  std::string reason;
  std::getline(file, reason);
  return reason.empty() ? "was not compiled: bench/compile_trees.py makes it" : reason;
}

// tl2cgen's row: an entry for each column, a number, or -1 as an integer where it is missing. Result: of one class.
template <typename T>
union Entry {
  int32_t missing;
  T value;
};

template <typename T>
class Tl2cgen : public Peer {
 public:
  using Predict = void (*)(Entry<T>*, int raw, T* answer);

  Tl2cgen(const Job& job, Predict predict)
      : Peer(job, "tl2cgen", type_of<T>()), predict_(predict), answer_(static_cast<size_t>(inputs_[0].shape()[0])) {
    mark_missing();
  }
  void feed(size_t call) override {
    Peer::feed(call);
    mark_missing();
  }
  void run() noexcept override {
    auto* row = reinterpret_cast<Entry<T>*>(inputs_[0].bytes());
    for (T& answer : answer_) {
      answer = 0;  // it adds to what is there
      predict_(row, 0, &answer);
      row += inputs_[0].shape()[1];
    }
  }

 private:
  void mark_missing() {
    auto* entries = reinterpret_cast<Entry<T>*>(inputs_[0].bytes());
    for (int64_t i = 0; i < inputs_[0].count(); ++i)
      if (std::isnan(entries[i].value)) entries[i].missing = -1;
  }
  std::vector<double> answer() const override { return {answer_.begin(), answer_.end()}; }

  Predict predict_;
  std::vector<T> answer_;
};

class Lleaves : public Peer {
 public:
  using Predict = void (*)(const double* rows, double* answer, int32_t first, int32_t end);

  Lleaves(const Job& job, Predict predict)
      : Peer(job, "lleaves", Type::kFloat64), predict_(predict), answer_(static_cast<size_t>(inputs_[0].shape()[0])) {}
  void run() noexcept override {
    predict_(inputs_[0].data<double>(), answer_.data(), 0, static_cast<int32_t>(answer_.size()));
  }

 private:
  std::vector<double> answer() const override { return answer_; }

  Predict predict_;
  std::vector<double> answer_;
};

MadePeer tl2cgen(const Job& job, Library library) {
  const char* (*threshold)() = nullptr;
  int32_t (*targets)() = nullptr;
  void (*classes)(int32_t*) = nullptr;
  void (*predict)() = nullptr;
  library.take("get_threshold_type", &threshold);
  library.take("get_num_target", &targets);
  library.take("get_num_class", &classes);
  library.take("predict", &predict);
  const Result<bool> complete = library.complete();
  if (!complete.ok()) return complete.error();
  int32_t class_count = 0;
  if (targets() == 1) classes(&class_count);
  if (class_count != 1) return Error{Code::kUnsupported, "tl2cgen", "is called here for one number a row only"};
  if (std::strcmp(threshold(), "float64") == 0)
    return std::unique_ptr<Peer>(new Tl2cgen<double>(job, reinterpret_cast<Tl2cgen<double>::Predict>(predict)));
  return std::unique_ptr<Peer>(new Tl2cgen<float>(job, reinterpret_cast<Tl2cgen<float>::Predict>(predict)));
}

MadePeer lleaves(const Job& job, Library library) {
  void (*predict)(const double*, double*, int32_t, int32_t) = nullptr;
  library.take("forest_root", &predict);
  const Result<bool> complete = library.complete();
  if (!complete.ok()) return complete.error();
  return std::unique_ptr<Peer>(new Lleaves(job, predict));
}

}  // namespace

MadePeer make_compiled_trees(const Job& job, const std::string& compiler) {
  if (job.model.extension() == ".onnx") return Error{Code::kUnsupported, compiler, "reads no ONNX"};
  const auto path = job.trees / fmt::format("{}.{}.so", job.model.stem().string(), compiler);
  double ms = 0;
  Result<Library> library = timed(&ms, [&] { return Library::open(path); });
  if (!library.ok())
    return std::filesystem::exists(path) ? library.error() : Error{Code::kNotFound, compiler, reason_beside(path)};
  MadePeer made = compiler == "tl2cgen" ? tl2cgen(job, library.value()) : lleaves(job, library.value());
  if (made.ok()) made.value()->compile_ms = ms;
  return made;
}

}  // namespace hayate::peers
