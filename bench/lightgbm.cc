// LightGBM through its C interface: for one row the single-row call whose set-up was done before, else the matrix call.
#include <fmt/format.h>

#include "library.h"
#include "peer.h"

namespace hayate::peers {
namespace {

using Handle = void*;
constexpr int kFloat64 = 1, kNormal = 0, kAllTrees = -1;  // C_API_DTYPE_FLOAT64, C_API_PREDICT_NORMAL

struct Api {
  int (*load)(const char* path, int* iterations, Handle*);
  int (*classes)(Handle, int*);
  int (*prepare_row)(Handle, int predict, int first, int count, int type, int32_t columns, const char* options,
                     Handle*);
  int (*predict_row)(Handle prepared, const void* row, int64_t* count, double* answer);
  int (*predict)(Handle, const void* rows, int type, int32_t row_count, int32_t columns, int row_major, int predict,
                 int first, int count, const char* options, int64_t* answer_count, double* answer);
  const char* (*last_error)();
};

Result<Api> open_api(const std::filesystem::path& packages) {
  Result<Library> library = Library::open(packages / "lightgbm/lib/lib_lightgbm.so");
  if (!library.ok()) return library.error();
  Library& from = library.value();
  Api api{};
  from.take("LGBM_BoosterCreateFromModelfile", &api.load);
  from.take("LGBM_BoosterGetNumClasses", &api.classes);
  from.take("LGBM_BoosterPredictForMatSingleRowFastInit", &api.prepare_row);
  from.take("LGBM_BoosterPredictForMatSingleRowFast", &api.predict_row);
  from.take("LGBM_BoosterPredictForMat", &api.predict);
  from.take("LGBM_GetLastError", &api.last_error);
  const Result<bool> complete = from.complete();
  if (!complete.ok()) return complete.error();
  return api;
}

class LightGbm : public Peer {
 public:
  LightGbm(const Job& job, const Api& api)
      : Peer(job, "lightgbm", Type::kFloat64), api_(api), options_(fmt::format("num_threads={}", job.threads)) {}

  Result<bool> prepare(const Job& job) {
    int iterations = 0, classes = 0;
    const auto columns = static_cast<int32_t>(inputs_[0].shape()[1]);
    if (api_.load(job.model.c_str(), &iterations, &booster_) != 0 || api_.classes(booster_, &classes) != 0 ||
        api_.prepare_row(booster_, kNormal, 0, kAllTrees, kFloat64, columns, options_.c_str(), &prepared_) != 0)
      return Error{Code::kUnsupported, name, api_.last_error()};
    answer_.resize(static_cast<size_t>(job.batch * classes));
    return true;
  }

  void run() noexcept override {
    const auto& shape = inputs_[0].shape();
    int64_t count = 0;
    failed_ = (shape[0] == 1 ? api_.predict_row(prepared_, inputs_[0].bytes(), &count, answer_.data())
                             : api_.predict(booster_, inputs_[0].bytes(), kFloat64, static_cast<int32_t>(shape[0]),
                                            static_cast<int32_t>(shape[1]), 1, kNormal, 0, kAllTrees, options_.c_str(),
                                            &count, answer_.data())) != 0;
  }

 private:
  std::vector<double> answer() const override { return answer_; }

  Api api_;
  std::string options_;
  Handle booster_ = nullptr, prepared_ = nullptr;
  std::vector<double> answer_;
};

}  // namespace

MadePeer make_lightgbm(const Job& job) {
  if (job.model.extension() != ".txt") return Error{Code::kUnsupported, "lightgbm", "runs LightGBM models only"};
  const Result<Api> api = open_api(job.packages);
  if (!api.ok()) return api.error();
  auto peer = std::make_unique<LightGbm>(job, api.value());
  peer->threads = job.batch == 1 ? 1 : job.threads;
  const Result<bool> good = timed(&peer->compile_ms, [&] { return peer->prepare(job); });
  if (!good.ok()) return good.error();
  return std::unique_ptr<Peer>(std::move(peer));
}

}  // namespace hayate::peers
