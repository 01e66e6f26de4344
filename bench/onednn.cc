// oneDNN's primitives: a chain of dense layers as inner products with their ReLU fused. Each is made once, its weights
// lie as it wants them, and its memory is set once.
#include "peer.h"

#ifdef HAYATE_ONEDNN
#include <dlfcn.h>

#include <dnnl.hpp>
#endif

namespace hayate::peers {

#ifdef HAYATE_ONEDNN
namespace {

using dnnl::memory;

struct Step {
  dnnl::primitive primitive;
  std::vector<dnnl_exec_arg_t> arguments;
};

// What a chain may hold; the reason where a node is something else.
struct Layer {
  const Tensor *weights = nullptr, *bias = nullptr;
  bool transposed = false, relu = false;  // transposed: weights [outputs, inputs]
};
struct Chain {
  std::vector<Layer> layers;
  bool softmax = false;
};

bool is_plain_gemm(const Node& node, const Graph& graph) {
  const Tensor *weights = graph.constant(node.input(1)), *bias = graph.constant(node.input(2));
  return node.is("Gemm") && weights != nullptr && bias != nullptr && weights->type() == Type::kFloat32 &&
         bias->shape().size() == 1 && node.get("alpha", 1.0f) == 1 && node.get("beta", 1.0f) == 1 &&
         node.get("transA", int64_t{0}) == 0;
}

Result<Chain> chain_of(const Graph& graph) {
  const Error other{Code::kUnsupported, "onednn", "is timed on chains of Gemm with Relu, and Softmax at the end"};
  Chain chain;
  if (graph.inputs.size() != 1) return other;
  std::string value = graph.inputs[0].name;
  for (const Node& node : graph.nodes) {
    if (chain.softmax || node.input(0) != value) return other;
    if (is_plain_gemm(node, graph)) {
      chain.layers.push_back(
          {graph.constant(node.input(1)), graph.constant(node.input(2)), node.get("transB", int64_t{0}) != 0});
    } else if (node.is("Relu") && !chain.layers.empty() && !chain.layers.back().relu) {
      chain.layers.back().relu = true;
    } else if (node.is("Softmax") && !chain.layers.empty() && node.get("axis", int64_t{-1}) == -1) {
      chain.softmax = true;
    } else {
      return other;
    }
    value = node.outputs[0];
  }
  if (chain.layers.empty() || value != graph.outputs[0].name) return other;
  return chain;
}

class OneDnn : public Peer {
 public:
  explicit OneDnn(const Job& job) : Peer(job, "onednn", Type::kFloat32), engine_(dnnl::engine::kind::cpu, 0) {
    stream_ = dnnl::stream(engine_);
  }

  // Throws dnnl::error.
  void prepare(const Job& job, const Chain& chain, memory::data_type type) {
    const Shape& shape = inputs_[0].shape();
    memory x({{job.batch, shape[1]}, memory::data_type::f32, memory::format_tag::ab}, engine_, inputs_[0].bytes());
    if (type != memory::data_type::f32) {
      memory narrow({{job.batch, shape[1]}, type, memory::format_tag::ab}, engine_);
      add(dnnl::reorder(x, narrow), {{DNNL_ARG_FROM, x}, {DNNL_ARG_TO, narrow}});
      x = narrow;
    }
    for (size_t i = 0; i < chain.layers.size(); ++i)
      x = add_layer(chain.layers[i], x, type, i + 1 == chain.layers.size() ? memory::data_type::f32 : type);
    if (chain.softmax) {
      const dnnl::softmax_forward::desc softmax(dnnl::prop_kind::forward_inference, x.get_desc(), 1);
      add(dnnl::softmax_forward(dnnl::softmax_forward::primitive_desc(softmax, engine_)),
          {{DNNL_ARG_SRC, x}, {DNNL_ARG_DST, x}});
    }
    last_ = x;
    stream_.wait();
  }

  void run() noexcept override {
    failed_ = false;
    for (const Step& step : steps_)
      failed_ |= dnnl_primitive_execute(step.primitive.get(), stream_.get(), static_cast<int>(step.arguments.size()),
                                        step.arguments.data()) != dnnl_success;
    failed_ |= dnnl_stream_wait(stream_.get()) != dnnl_success;
  }

 private:
  memory add_layer(const Layer& layer, const memory& x, memory::data_type type, memory::data_type answer_type) {
    const memory::dim outputs = layer.bias->shape()[0], inputs = x.get_desc().dims()[1];
    const memory::desc any({outputs, inputs}, type, memory::format_tag::any);
    const memory::desc bias_desc({outputs}, memory::data_type::f32, memory::format_tag::a);
    const memory::desc y_desc({x.get_desc().dims()[0], outputs}, answer_type, memory::format_tag::ab);
    dnnl::primitive_attr attributes;
    if (layer.relu) {
      dnnl::post_ops after;
      after.append_eltwise(1, dnnl::algorithm::eltwise_relu, 0, 0);
      attributes.set_post_ops(after);
    }
    const dnnl::inner_product_forward::primitive_desc chosen(
        {dnnl::prop_kind::forward_inference, x.get_desc(), any, bias_desc, y_desc}, attributes, engine_);
    const auto order = layer.transposed ? memory::format_tag::ab : memory::format_tag::ba;
    memory given({{outputs, inputs}, memory::data_type::f32, order}, engine_, bytes_of(*layer.weights));
    memory weights(chosen.weights_desc(), engine_), y(y_desc, engine_);
    dnnl::reorder(given, weights).execute(stream_, given, weights);
    const memory bias(bias_desc, engine_, bytes_of(*layer.bias));
    add(dnnl::inner_product_forward(chosen),
        {{DNNL_ARG_SRC, x}, {DNNL_ARG_WEIGHTS, weights}, {DNNL_ARG_BIAS, bias}, {DNNL_ARG_DST, y}});
    return y;
  }

  // oneDNN takes what it only reads as if it wrote it. The graph lives as long as its peers.
  static void* bytes_of(const Tensor& tensor) { return const_cast<std::byte*>(tensor.bytes()); }

  void add(dnnl::primitive primitive, const std::vector<std::pair<int, memory>>& arguments) {
    Step step{std::move(primitive), {}};
    for (const auto& [number, place] : arguments)
      step.arguments.push_back({number, place.get()}), places_.push_back(place);
    steps_.push_back(std::move(step));
  }

  std::vector<double> answer() const override {
    return to_doubles(static_cast<const float*>(last_.get_data_handle()), last_.get_desc().get_size() / sizeof(float));
  }

  dnnl::engine engine_;
  dnnl::stream stream_;
  std::vector<Step> steps_;
  std::vector<memory> places_;  // what the steps' arguments are handles of
  memory last_;
};

// Its threads are OpenMP's, whose number is the calling thread's.
void set_threads(int count) {
  const auto set = reinterpret_cast<void (*)(int)>(dlsym(RTLD_DEFAULT, "omp_set_num_threads"));
  if (set != nullptr) set(count);
}

}  // namespace

MadePeer make_onednn(const Job& job, const std::string& precision) {
  const Result<Chain> chain = chain_of(*job.graph);
  if (!chain.ok()) return chain.error();
  set_threads(job.threads);
  try {
    auto peer = std::make_unique<OneDnn>(job);
    peer->precision = precision, peer->threads = job.threads;
    timed(&peer->compile_ms, [&] {
      peer->prepare(job, chain.value(), precision == "bf16" ? memory::data_type::bf16 : memory::data_type::f32);
      return true;
    });
    return std::unique_ptr<Peer>(std::move(peer));
  } catch (const dnnl::error& error) {
    return Error{Code::kUnsupported, "onednn", error.message};
  }
}

#else

MadePeer make_onednn(const Job&, const std::string&) {
  return Error{Code::kUnsupported, "onednn", "was not there when this was built (libdnnl-dev)"};
}

#endif

}  // namespace hayate::peers
