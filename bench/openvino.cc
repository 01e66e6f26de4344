// OpenVINO through its C interface: static shapes, the latency hint, input and output memory set once.
#include <fmt/format.h>

#include "library.h"
#include "peer.h"

namespace hayate::peers {
namespace {

struct Core;
struct Model;
struct Compiled;
struct Request;
struct OvTensor;
struct Extent {
  int64_t min, max;
};
struct PartialShape {
  Extent rank;
  Extent* extents;
};
struct OvShape {
  int64_t rank;
  int64_t* extents;
};

struct Api {
  int (*core_create)(Core**);
  int (*read_model)(const Core*, const char* path, const char* weights, Model**);
  int (*reshape)(const Model*, const char* input, PartialShape);
  int (*compile)(const Core*, const Model*, const char* device, size_t properties, Compiled**, ...);
  int (*create_request)(const Compiled*, Request**);
  int (*tensor_over)(int type, OvShape, void* memory, OvTensor**);
  int (*set_input)(Request*, size_t, const OvTensor*);
  int (*get_output)(const Request*, size_t, OvTensor**);
  int (*infer)(Request*);
  int (*data)(const OvTensor*, void**);
  int (*count)(const OvTensor*, size_t*);
  int (*type)(const OvTensor*, int*);
  const char* (*last_error)();
};
constexpr int kF32 = 4;  // of ov_element_type_e

Result<Api> open_api(const std::filesystem::path& packages) {
  Result<Library> library = Library::open(packages / "openvino/libs", "libopenvino_c.so");
  if (!library.ok()) return library.error();
  Library& from = library.value();
  Api api{};
  from.take("ov_core_create", &api.core_create);
  from.take("ov_core_read_model", &api.read_model);
  from.take("ov_model_reshape_input_by_name", &api.reshape);
  from.take("ov_core_compile_model", &api.compile);
  from.take("ov_compiled_model_create_infer_request", &api.create_request);
  from.take("ov_tensor_create_from_host_ptr", &api.tensor_over);
  from.take("ov_infer_request_set_input_tensor_by_index", &api.set_input);
  from.take("ov_infer_request_get_output_tensor_by_index", &api.get_output);
  from.take("ov_infer_request_infer", &api.infer);
  from.take("ov_tensor_data", &api.data);
  from.take("ov_tensor_get_size", &api.count);
  from.take("ov_tensor_get_element_type", &api.type);
  from.take("ov_get_last_err_msg", &api.last_error);
  const Result<bool> complete = from.complete();
  if (!complete.ok()) return complete.error();
  return api;
}

// The last line of what it says: the lines before name its own source files.
std::string last_line(std::string text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.pop_back();
  const size_t at = text.rfind('\n');
  return at == std::string::npos ? text : text.substr(at + 1);
}

// Objects live as long as the process: a peer is made once.
class OpenVino : public Peer {
 public:
  OpenVino(const Job& job, const Api& api) : Peer(job, "openvino", Type::kFloat32), api_(api) {}

  Result<bool> prepare(const Job& job, const std::string& hint) {
    Core* core = nullptr;
    Model* model = nullptr;
    Compiled* compiled = nullptr;
    bool good = api_.core_create(&core) == 0 && api_.read_model(core, job.onnx.c_str(), nullptr, &model) == 0;
    for (size_t i = 0; good && i < inputs_.size(); ++i) {
      std::vector<Extent> extents;
      for (const int64_t extent : inputs_[i].shape()) extents.push_back({extent, extent});
      const auto rank = static_cast<int64_t>(extents.size());
      good = api_.reshape(model, job.graph->inputs[i].name.c_str(), {{rank, rank}, extents.data()}) == 0;
    }
    good = good && api_.compile(core, model, "CPU", 8, &compiled, "PERFORMANCE_HINT", "LATENCY",
                                "INFERENCE_NUM_THREADS", std::to_string(threads).c_str(), "NUM_STREAMS", "1",
                                "INFERENCE_PRECISION_HINT", hint.c_str()) == 0;
    good = good && api_.create_request(compiled, &request_) == 0;
    for (size_t i = 0; good && i < inputs_.size(); ++i) {
      if (inputs_[i].type() != Type::kFloat32)
        return Error{Code::kUnsupported, name, "only float32 inputs are fed here"};
      Shape shape = inputs_[i].shape();
      OvTensor* tensor = nullptr;
      good = api_.tensor_over(kF32, {static_cast<int64_t>(shape.size()), shape.data()}, inputs_[i].bytes(), &tensor) ==
                 0 &&
             api_.set_input(request_, i, tensor) == 0;
    }
    if (!good) return Error{Code::kUnsupported, name, last_line(api_.last_error())};
    return true;
  }

  void run() noexcept override { failed_ = api_.infer(request_) != 0; }

 private:
  std::vector<double> answer() const override {
    OvTensor* tensor = nullptr;
    void* data = nullptr;
    size_t count = 0;
    int type = 0;
    if (api_.get_output(request_, 0, &tensor) != 0 || api_.type(tensor, &type) != 0 || type != kF32 ||
        api_.data(tensor, &data) != 0 || api_.count(tensor, &count) != 0)
      return {};
    return to_doubles(static_cast<const float*>(data), count);
  }

  Api api_;
  Request* request_ = nullptr;
};

}  // namespace

MadePeer make_openvino(const Job& job, const std::string& precision) {
  const Result<Api> api = open_api(job.packages);
  if (!api.ok()) return api.error();
  auto peer = std::make_unique<OpenVino>(job, api.value());
  peer->precision = precision, peer->threads = job.threads;
  const Result<bool> good =
      timed(&peer->compile_ms, [&] { return peer->prepare(job, precision == "fp32" ? "f32" : precision); });
  if (!good.ok()) return good.error();
  return std::unique_ptr<Peer>(std::move(peer));
}

}  // namespace hayate::peers
