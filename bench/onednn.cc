// oneDNN's primitives in a row: LSTM, GRU, and inner products with their ReLU fused. Each is made once, its weights lie
// as it wants them, and its memory is set once.
#include "chain.h"
#include "peer.h"

#ifdef HAYATE_ONEDNN
#include <dlfcn.h>

#include <dnnl.hpp>
#endif

namespace hayate::peers {

#ifdef HAYATE_ONEDNN
namespace {

using dnnl::memory;
using Tag = memory::format_tag;
constexpr auto kFloat32 = memory::data_type::f32;

struct Step {
  dnnl::primitive primitive;
  std::vector<dnnl_exec_arg_t> arguments;
};

// ONNX's gates i, o, f, c as oneDNN's i, f, c, o; those of GRU stand in the same order.
constexpr int kLstmGates[] = {0, 2, 3, 1}, kGruGates[] = {0, 1, 2};

// Rows of `row` numbers for each of `hidden`, gate by gate, in oneDNN's order.
std::vector<float> by_gates(LayerKind kind, const float* from, int64_t hidden, int64_t row) {
  std::vector<float> made;
  const int gates = kind == LayerKind::kLstm ? 4 : 3;
  for (int g = 0; g < gates; ++g) {
    const float* gate = from + (kind == LayerKind::kLstm ? kLstmGates[g] : kGruGates[g]) * hidden * row;
    made.insert(made.end(), gate, gate + hidden * row);
  }
  return made;
}

// Of each gate the sum of both of ONNX's biases, but GRU's last gate keeps them apart.
std::vector<float> biases_of(const Layer& layer, int64_t hidden) {
  const int64_t count = layer.bias->count() / 2;
  std::vector<float> input = by_gates(layer.kind, layer.bias->data<float>(), hidden, 1);
  const std::vector<float> recurrent = by_gates(layer.kind, layer.bias->data<float>() + count, hidden, 1);
  const int64_t together = layer.kind == LayerKind::kLstm ? count : 2 * hidden;
  for (int64_t i = 0; i < together; ++i) input[i] += recurrent[i];
  input.insert(input.end(), recurrent.begin() + together, recurrent.end());
  return input;
}

class OneDnn : public Peer {
 public:
  OneDnn(const Job& job, Chain chain)
      : Peer(job, "onednn", Type::kFloat32), chain_(std::move(chain)), engine_(dnnl::engine::kind::cpu, 0) {
    stream_ = dnnl::stream(engine_);
  }

  // Throws dnnl::error.
  void prepare(memory::data_type type) {
    memory x = add_input(type);
    for (const Layer& layer : chain_.layers) {
      const bool last = &layer == &chain_.layers.back();
      if (layer.kind != LayerKind::kDense) {
        x = add_recurrent(layer, x, type);
        continue;
      }
      if (x.get_desc().dims().size() == 3) x = last_step(x);
      x = add_dense(layer, x, type, last ? kFloat32 : type);
    }
    if (chain_.softmax) {
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
  // Of a window [batch, time, channels] time comes first, which for one row is the same.
  memory add_input(memory::data_type type) {
    const Shape& shape = inputs_[0].shape();
    const bool window = shape.size() == 3;
    const memory::dims dims = window ? memory::dims{shape[1], shape[0], shape[2]} : shape;
    const Tag wanted = window ? Tag::abc : Tag::ab, given = window && shape[0] > 1 ? Tag::bac : wanted;
    memory x({dims, kFloat32, given}, engine_, inputs_[0].bytes());
    if (type == kFloat32 && given == wanted) return x;
    memory made({dims, type, wanted}, engine_);
    add(dnnl::reorder(x, made), {{DNNL_ARG_FROM, x}, {DNNL_ARG_TO, made}});
    return made;
  }

  memory add_dense(const Layer& layer, const memory& x, memory::data_type type, memory::data_type answer_type) {
    const memory::dim outputs = layer.bias->shape()[0], inputs = x.get_desc().dims()[1];
    const memory::desc any({outputs, inputs}, type, Tag::any), bias_desc({outputs}, kFloat32, Tag::a);
    const memory::desc y_desc({x.get_desc().dims()[0], outputs}, answer_type, Tag::ab);
    dnnl::primitive_attr attributes;
    if (layer.relu) {
      dnnl::post_ops after;
      after.append_eltwise(1, dnnl::algorithm::eltwise_relu, 0, 0);
      attributes.set_post_ops(after);
    }
    const dnnl::inner_product_forward::primitive_desc chosen(
        {dnnl::prop_kind::forward_inference, x.get_desc(), any, bias_desc, y_desc}, attributes, engine_);
    memory weights = laid({outputs, inputs}, layer.transposed ? Tag::ab : Tag::ba, layer.weights->data<float>(),
                          chosen.weights_desc());
    memory bias = laid({outputs}, Tag::a, layer.bias->data<float>(), bias_desc), y(y_desc, engine_);
    add(dnnl::inner_product_forward(chosen),
        {{DNNL_ARG_SRC, x}, {DNNL_ARG_WEIGHTS, weights}, {DNNL_ARG_BIAS, bias}, {DNNL_ARG_DST, y}});
    return y;
  }

  memory add_recurrent(const Layer& layer, const memory& x, memory::data_type type) {
    const memory::dims from = x.get_desc().dims();
    const memory::dim hidden = layer.recurrent->shape()[2], gates = layer.weights->shape()[1] / hidden;
    const memory::dims layer_dims{1, 1, from[2], gates, hidden}, iter_dims{1, 1, hidden, gates, hidden};
    const memory::desc none, bias({1, 1, 4, hidden}, kFloat32, Tag::ldgo);
    const memory::desc y({from[0], from[1], hidden}, type, Tag::tnc);
    const memory::desc input(layer_dims, type, Tag::any), recurrent(iter_dims, type, Tag::any);
    constexpr auto kInference = dnnl::prop_kind::forward_inference;
    constexpr auto kForward = dnnl::rnn_direction::unidirectional_left2right;
    const std::vector<float> w = by_gates(layer.kind, layer.weights->data<float>(), hidden, from[2]),
                             r = by_gates(layer.kind, layer.recurrent->data<float>(), hidden, hidden),
                             b = biases_of(layer, hidden);
    memory answer(y, engine_);
    const auto add_chosen = [&](const auto& chosen, const auto& make) {
      add(make(chosen),
          {{DNNL_ARG_SRC_LAYER, x},
           {DNNL_ARG_WEIGHTS_LAYER, laid(layer_dims, Tag::ldgoi, w.data(), chosen.weights_layer_desc())},
           {DNNL_ARG_WEIGHTS_ITER, laid(iter_dims, Tag::ldgoi, r.data(), chosen.weights_iter_desc())},
           {DNNL_ARG_BIAS, laid({1, 1, 4, hidden}, Tag::ldgo, b.data(), bias)},
           {DNNL_ARG_DST_LAYER, answer}});
    };
    if (layer.kind == LayerKind::kLstm)
      add_chosen(dnnl::lstm_forward::primitive_desc(
                     {kInference, kForward, x.get_desc(), none, none, input, recurrent, bias, y, none, none}, engine_),
                 [](const auto& chosen) { return dnnl::lstm_forward(chosen); });
    else
      add_chosen(dnnl::lbr_gru_forward::primitive_desc(
                     {kInference, kForward, x.get_desc(), none, input, recurrent, bias, y, none}, engine_),
                 [](const auto& chosen) { return dnnl::lbr_gru_forward(chosen); });
    return answer;
  }

  // The rows of the last step, where they lie.
  memory last_step(const memory& steps) {
    const memory::dims dims = steps.get_desc().dims();
    const size_t bytes = steps.get_desc().get_size() / static_cast<size_t>(dims[0]);
    const memory::desc rows({dims[1], dims[2]}, steps.get_desc().data_type(), Tag::ab);
    return {rows, engine_, static_cast<std::byte*>(steps.get_data_handle()) + bytes * static_cast<size_t>(dims[0] - 1)};
  }

  // A copy of `values` as a primitive wants them. Only read, though a memory takes them as if it wrote.
  memory laid(const memory::dims& dims, Tag tag, const float* values, const memory::desc& wanted) {
    memory given({dims, kFloat32, tag}, engine_, const_cast<float*>(values)), made(wanted, engine_);
    dnnl::reorder(given, made).execute(stream_, given, made);
    stream_.wait();
    return made;
  }

  void add(dnnl::primitive primitive, const std::vector<std::pair<int, memory>>& arguments) {
    Step step{std::move(primitive), {}};
    for (const auto& [number, place] : arguments)
      step.arguments.push_back({number, place.get()}), places_.push_back(place);
    steps_.push_back(std::move(step));
  }

  std::vector<double> answer() const override {
    return to_doubles(static_cast<const float*>(last_.get_data_handle()), last_.get_desc().get_size() / sizeof(float));
  }

  Chain chain_;
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
  Result<Chain> chain = chain_of(job, "onednn");
  if (!chain.ok()) return chain.error();
  if (chain.value().layers.back().kind != LayerKind::kDense)
    return Error{Code::kUnsupported, "onednn", "is timed on chains that end in a dense layer"};
  set_threads(job.threads);
  try {
    auto peer = std::make_unique<OneDnn>(job, std::move(chain).value());
    peer->precision = precision, peer->threads = job.threads;
    timed(&peer->compile_ms, [&] {
      peer->prepare(precision == "bf16" ? memory::data_type::bf16 : kFloat32);
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
