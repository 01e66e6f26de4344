// XGBoost through its C interface: prediction in place from one dense matrix, whose description is written once.
#include <fmt/format.h>

#include "library.h"
#include "peer.h"

namespace hayate::peers {
namespace {

using Handle = void*;

struct Api {
  int (*create)(const Handle* data, uint64_t count, Handle*);
  int (*load)(Handle, const char* path);
  int (*set)(Handle, const char* name, const char* value);
  int (*create_proxy)(Handle*);
  int (*predict)(Handle, const char* values, const char* options, Handle proxy, const uint64_t** shape, uint64_t* rank,
                 const float** answer);
  const char* (*last_error)();
};

Result<Api> open_api(const std::filesystem::path& packages) {
  Result<Library> library = Library::open(packages / "xgboost/lib/libxgboost.so");
  if (!library.ok()) return library.error();
  Library& from = library.value();
  Api api{};
  from.take("XGBoosterCreate", &api.create);
  from.take("XGBoosterLoadModel", &api.load);
  from.take("XGBoosterSetParam", &api.set);
  from.take("XGProxyDMatrixCreate", &api.create_proxy);
  from.take("XGBoosterPredictFromDense", &api.predict);
  from.take("XGBGetLastError", &api.last_error);
  const Result<bool> complete = from.complete();
  if (!complete.ok()) return complete.error();
  return api;
}

class XgBoost : public Peer {
 public:
  XgBoost(const Job& job, const Api& api) : Peer(job, "xgboost", Type::kFloat32), api_(api) {
    const Tensor& x = inputs_[0];
    values_ = fmt::format(R"({{"data": [{}, true], "shape": [{}, {}], "typestr": "<f4", "version": 3}})",
                          reinterpret_cast<uintptr_t>(x.bytes()), x.shape()[0], x.shape()[1]);
  }

  Result<bool> prepare(const Job& job) {
    if (api_.create(nullptr, 0, &booster_) != 0 || api_.load(booster_, job.model.c_str()) != 0 ||
        api_.set(booster_, "nthread", std::to_string(threads).c_str()) != 0 || api_.create_proxy(&proxy_) != 0)
      return Error{Code::kUnsupported, name, api_.last_error()};
    return true;
  }

  void run() noexcept override {
    constexpr const char* kOptions =
        R"({"type": 0, "training": false, "iteration_begin": 0, "iteration_end": 0, "strict_shape": false, )"
        R"("missing": NaN, "cache_id": 0})";
    failed_ = api_.predict(booster_, values_.c_str(), kOptions, proxy_, &shape_, &rank_, &answer_) != 0;
  }

 private:
  std::vector<double> answer() const override {
    size_t count = 1;
    for (uint64_t i = 0; i < rank_; ++i) count *= shape_[i];
    return to_doubles(answer_, count);
  }

  Api api_;
  std::string values_;
  Handle booster_ = nullptr, proxy_ = nullptr;
  const uint64_t* shape_ = nullptr;
  uint64_t rank_ = 0;
  const float* answer_ = nullptr;
};

}  // namespace

MadePeer make_xgboost(const Job& job) {
  if (job.model.extension() != ".ubj" && job.model.extension() != ".json")
    return Error{Code::kUnsupported, "xgboost", "runs XGBoost models only"};
  const Result<Api> api = open_api(job.packages);
  if (!api.ok()) return api.error();
  auto peer = std::make_unique<XgBoost>(job, api.value());
  peer->threads = job.threads;
  const Result<bool> good = timed(&peer->compile_ms, [&] { return peer->prepare(job); });
  if (!good.ok()) return good.error();
  return std::unique_ptr<Peer>(std::move(peer));
}

}  // namespace hayate::peers
