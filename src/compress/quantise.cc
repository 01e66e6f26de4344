#include "compress/quantise.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "graph/window.h"

namespace hayate {
namespace {

constexpr float kLevels = 255, kWeightMost = 127;

Tensor one_float(float value) {
  Tensor made(Type::kFloat32, {});
  *made.data<float>() = value;
  return made;
}

// Which axis of the weights is the output channel.
int64_t channel_axis(const Node& node, size_t input) {
  if (node.is("Conv") || is_conv_part(node)) return 0;
  if (node.is("Gemm") && input == 1) return node.get<int64_t>("transB", 0) != 0 ? 0 : 1;
  return 1;
}

class Quantiser {
 public:
  explicit Quantiser(Graph* graph) : graph_(*graph) {
    for (const Node& node : graph_.nodes)
      for (const std::string& name : node.outputs) names_.insert(name);
    for (const auto& [name, tensor] : graph_.constants) names_.insert(name);
    for (const ValueInfo& input : graph_.inputs) names_.insert(input.name);
  }

  int run(const Ranges& ranges) {
    std::vector<Node> nodes;
    std::swap(nodes, graph_.nodes);
    int layers = 0;
    for (Node& node : nodes) {
      const bool fits = can_be_integers(graph_, node);
      const auto range = fits ? ranges.find(node.inputs[0]) : ranges.end();
      if (range != ranges.end() && range->second.high > range->second.low) {
        node.inputs[0] = quantised(node.inputs[0], range->second);
        node.inputs[1] = weights(node.inputs[1], channel_axis(node, 1));
        if (node.is("LSTM") || node.is("GRU") || node.is("RNN"))
          node.inputs[2] = weights(node.inputs[2], channel_axis(node, 2));
        ++layers;
      }
      if (node.domain == "hayate" && (node.op == "RecurrentSteps" || node.op == "RecurrentProduct") &&
          ranges.contains(node.inputs[1]) && graph_.constant(node.inputs[1]) != nullptr) {
        node.inputs[1] = weights(node.inputs[1], 1);
        ++layers;
      }
      graph_.nodes.push_back(std::move(node));
    }
    drop_replaced();
    return layers;
  }

 private:
  // Float weights that nobody reads any more. Subgraphs read by name too: with one of those all stay.
  void drop_replaced() {
    std::set<std::string> read;
    for (const Node& node : graph_.nodes) {
      for (const auto& [key, value] : node.attributes)
        if (std::holds_alternative<std::shared_ptr<const Graph>>(value)) return;
      read.insert(node.inputs.begin(), node.inputs.end());
    }
    for (const ValueInfo& output : graph_.outputs) read.insert(output.name);
    std::erase_if(graph_.constants, [&](const auto& each) { return !read.contains(each.first); });
  }

  std::string fresh(const std::string& base) {
    std::string name = base;
    for (int i = 2; !names_.insert(name).second; ++i) name = base + "_" + std::to_string(i);
    return name;
  }

  std::string keep(const std::string& base, Tensor tensor) {
    const std::string name = fresh(base);
    graph_.constants.emplace(name, std::move(tensor));
    return name;
  }

  void add(const char* op, std::vector<std::string> inputs, const std::string& output, Attributes attributes) {
    Node node{fresh(output + "/" + op), "", op, std::move(inputs), {output}, std::move(attributes)};
    if (graph_.opset < kPerAxisOpset) node.opset = kPerAxisOpset;
    graph_.nodes.push_back(std::move(node));
  }

  // What DequantizeLinear makes of the integers that stand for the value.
  std::string quantised(const std::string& name, const Range& range) {
    if (const auto made = made_.find(name); made != made_.end()) return made->second;
    const float scale = (range.high - range.low) / kLevels;
    Tensor zero(Type::kUInt8, {});
    *zero.data<uint8_t>() = static_cast<uint8_t>(std::clamp(std::nearbyint(-range.low / scale), 0.0f, kLevels));
    const std::string scale_name = keep(name + "_scale", one_float(scale)),
                      zero_name = keep(name + "_zero_point", std::move(zero)), integers = fresh(name + "_quantized"),
                      floats = fresh(name + "_dequantized");
    add("QuantizeLinear", {name, scale_name, zero_name}, integers, {});
    add("DequantizeLinear", {integers, scale_name, zero_name}, floats, {});
    return made_[name] = floats;
  }

  std::string weights(const std::string& name, int64_t axis) {
    const std::string key = name + "\n" + std::to_string(axis);
    if (const auto made = made_.find(key); made != made_.end()) return made->second;
    const Tensor& w = *graph_.constant(name);
    const Shape shape = w.shape();
    const int64_t places = shape[static_cast<size_t>(axis)];
    int64_t inner = 1;
    for (size_t i = static_cast<size_t>(axis) + 1; i < shape.size(); ++i) inner *= shape[i];
    Tensor scales(Type::kFloat32, {places}), whole(Type::kInt8, shape), zeros(Type::kInt8, {places});
    float* scale = scales.data<float>();
    std::fill(scale, scale + places, 0.0f);
    std::fill(zeros.data<int8_t>(), zeros.data<int8_t>() + places, int8_t{0});
    const auto place = [&](int64_t i) { return i / inner % places; };
    for (int64_t i = 0; i < w.count(); ++i)
      scale[place(i)] = std::max(scale[place(i)], std::abs(w.data<float>()[i]) / kWeightMost);
    for (int64_t p = 0; p < places; ++p)
      if (!(scale[p] > 0)) scale[p] = 1;  // nothing but zeros
    for (int64_t i = 0; i < w.count(); ++i)
      whole.data<int8_t>()[i] = static_cast<int8_t>(
          std::clamp(std::nearbyint(w.data<float>()[i] / scale[place(i)]), -kWeightMost, kWeightMost));
    const std::string floats = fresh(name + "_dequantized");
    add("DequantizeLinear",
        {keep(name + "_quantized", std::move(whole)), keep(name + "_scale", std::move(scales)),
         keep(name + "_zero_point", std::move(zeros))},
        floats, {{"axis", axis}});
    return made_[key] = floats;
  }

  Graph& graph_;
  std::set<std::string> names_;
  std::map<std::string, std::string> made_;
};

}  // namespace

Result<int> quantise(Graph* graph, const Ranges& ranges) {
  const int layers = Quantiser(graph).run(ranges);
  if (layers == 0)
    return Error{Code::kUnsupported, graph->source,
                 "has no dense, convolution or recurrent layer with constant float32 weights to run on 8-bit integers; "
                 "precision fp32 runs it"};
  return layers;
}

}  // namespace hayate
