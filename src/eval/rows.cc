#include "eval/rows.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <set>

#include "eval/spelled.h"
#include "eval/trees.h"

namespace hayate {
namespace {

constexpr int64_t kFirst = 3, kSecond = 5;  // the two batch sizes
constexpr int64_t kNoRows = INT32_MAX;      // no batch has as many: what exporters write for "to the end"

const std::set<std::string_view> kElementwise = {"Add",
                                                 "Sub",
                                                 "Mul",
                                                 "Div",
                                                 "Pow",
                                                 "Min",
                                                 "Max",
                                                 "Mean",
                                                 "Sum",
                                                 "Relu",
                                                 "LeakyRelu",
                                                 "PRelu",
                                                 "Sigmoid",
                                                 "Tanh",
                                                 "Elu",
                                                 "Selu",
                                                 "Celu",
                                                 "Gelu",
                                                 "HardSigmoid",
                                                 "HardSwish",
                                                 "Softplus",
                                                 "Softsign",
                                                 "Mish",
                                                 "Neg",
                                                 "Abs",
                                                 "Sqrt",
                                                 "Reciprocal",
                                                 "Exp",
                                                 "Log",
                                                 "Erf",
                                                 "Floor",
                                                 "Ceil",
                                                 "Round",
                                                 "Sign",
                                                 "Sin",
                                                 "Cos",
                                                 "Clip",
                                                 "Cast",
                                                 "Not",
                                                 "And",
                                                 "Or",
                                                 "Xor",
                                                 "Equal",
                                                 "Less",
                                                 "LessOrEqual",
                                                 "Greater",
                                                 "GreaterOrEqual",
                                                 "Where",
                                                 "IsNaN",
                                                 "IsInf",
                                                 "Mod",
                                                 "Swish",
                                                 "Shrink",
                                                 "ThresholdedRelu",
                                                 "Tan",
                                                 "Asin",
                                                 "Acos",
                                                 "Atan",
                                                 "Sinh",
                                                 "Cosh",
                                                 "Asinh",
                                                 "Acosh",
                                                 "Atanh",
                                                 "BitShift",
                                                 "BitwiseAnd",
                                                 "BitwiseOr",
                                                 "BitwiseXor",
                                                 "BitwiseNot",
                                                 "BitCast",
                                                 "CastLike",
                                                 "QuantizeLinear",
                                                 "DequantizeLinear",
                                                 "Expand"};
const std::set<std::string_view> kSameOrder = {"Reshape", "Squeeze", "Unsqueeze", "Flatten", "Identity", "Dropout"};
const std::set<std::string_view> kFirstAxis = {"Conv",
                                               "ConvTranspose",
                                               "MaxPool",
                                               "AveragePool",
                                               "GlobalAveragePool",
                                               "GlobalMaxPool",
                                               "BatchNormalization",
                                               "QLinearConv",
                                               "DepthToSpace",
                                               "SpaceToDepth",
                                               "LpPool",
                                               "GlobalLpPool",
                                               "InstanceNormalization",
                                               "GroupNormalization",
                                               "LRN",
                                               "ConvInteger"};
const std::set<std::string_view> kFirstAxisMl = {
    "LinearClassifier", "LinearRegressor", "Normalizer",   "Scaler",        "ZipMap",  "Objective", "LinearBooster",
    "SVMRegressor",     "SVMClassifier",   "LabelEncoder", "OneHotEncoder", "Imputer", "Binarizer"};

struct Track {
  bool depends = false;  // on what the model is fed
  int64_t axis = -1;     // the one that the batch lies in; -1: none
  int64_t prefix = 1;    // how often the batch repeats inside that axis: [T, N] reshaped to [T * N] has T
  bool uniform = false;  // all elements equal, so that every row is
  bool counts = false;   // contents that follow from the number of rows, not from their own
};

bool equal_elements(const Tensor& tensor) {
  const size_t size = type_size(tensor.type());
  for (int64_t i = 1; i < tensor.count(); ++i)
    if (std::memcmp(tensor.bytes(), tensor.bytes() + static_cast<size_t>(i) * size, size) != 0) return false;
  return true;
}

int64_t product(const Shape& shape, int64_t end) {
  int64_t made = 1;
  for (int64_t i = 0; i < end; ++i) made *= shape[static_cast<size_t>(i)];
  return made;
}

class Tracker {
 public:
  Tracker(const Graph& graph, const Facts& first, const Facts& second)
      : graph_(graph), first_(first), second_(second) {}

  // `deciding`: what says which branch is taken, or how often a loop runs.
  std::string run(const std::vector<std::string>& deciding) {
    for (const auto& [name, tensor] : graph_.constants) tracks_[name] = {};
    for (const ValueInfo& input : graph_.inputs) {
      const std::optional<Track> track = seen(input.name);
      if (!track || track->axis != 0 || shape(input.name)[0] != kFirst)
        return fmt::format("input {} has no open first axis", input.text());
      tracks_[input.name] = Track{.depends = true, .axis = 0};
    }
    for (const Node& node : graph_.nodes) {
      bool depends = false, varies = false;
      for (const std::string& name : node.inputs)
        if (!name.empty()) depends = depends || tracks_[name].depends;
      for (const std::string& name : node.outputs) {
        if (name.empty()) continue;
        const std::optional<Track> track = seen(name);
        if (!track) return node.where() + " mixes rows";
        const auto& value = first_.find(name)->second.value;
        Track made = *track;
        made.depends = depends && (!value || made.axis >= 0);
        made.uniform =
            value ? equal_elements(*value) : node.is("ConstantOfShape") || (!depends && carries_uniform(node));
        made.counts = counts(node, name);
        if (made.depends && made.axis < 0) return node.where() + " mixes rows";
        varies = varies || made.depends;
        tracks_[name] = made;
      }
      if (!depends) follow_even_rows(node);
      if (!varies) continue;
      for (const std::string& name : node.inputs) {
        if (name.empty()) continue;
        const Track& in = tracks_[name];
        // Contents that differ from row to row without coming from the rows: positions in the batch.
        const bool positions = !in.depends && in.axis >= 0 && !in.uniform;
        if ((positions || in.counts) && !shapes_only(node, name))
          return fmt::format("{} reads '{}', which counts rows", node.where(), name);
      }
      int64_t prefix = 0;
      for (const std::string& name : node.inputs) {
        if (name.empty() || !tracks_[name].depends) continue;
        if (prefix != 0 && prefix != tracks_[name].prefix) return node.where() + " mixes rows";
        prefix = tracks_[name].prefix;
      }
      for (const std::string& name : node.outputs)
        if (!name.empty()) tracks_[name].prefix = prefix;
      if (!keeps_rows(node)) return node.where() + " mixes rows";
    }
    for (const std::string& name : deciding)
      if (tracks_[name].counts) return fmt::format("'{}', which counts rows, decides what runs", name);
    for (const ValueInfo& output : graph_.outputs) {
      const Track& track = tracks_[output.name];
      if (!track.depends || track.axis != 0 || track.prefix != 1 || shape(output.name)[0] != kFirst)
        return fmt::format("output '{}' has no row for each row", output.name);
    }
    return "";
  }

 private:
  const Shape& shape(const std::string& name) const { return first_.find(name)->second.type.shape; }
  int64_t axis(const std::string& name) { return tracks_[name].axis; }

  // The axis that grows with the batch; nothing where that is not one axis in proportion.
  std::optional<Track> seen(const std::string& name) const {
    const Shape &a = shape(name), &b = second_.find(name)->second.type.shape;
    Track track;
    if (a.size() != b.size()) return std::nullopt;
    for (size_t i = 0; i < a.size(); ++i) {
      if (a[i] == b[i]) continue;
      if (track.axis >= 0 || a[i] * kSecond != b[i] * kFirst) return std::nullopt;
      track.axis = static_cast<int64_t>(i);
    }
    return track;
  }

  bool carries_uniform(const Node& node) {
    static const std::set<std::string_view> kCarriers = {"Expand",  "Slice", "Reshape",  "Transpose", "Unsqueeze",
                                                         "Squeeze", "Cast",  "Identity", "Gather",    "Split"};
    return node.domain.empty() && kCarriers.contains(node.op) &&
           (tracks_[node.inputs[0]].uniform ||
            (first_.find(node.inputs[0])->second.value && equal_elements(*first_.find(node.inputs[0])->second.value)));
  }

  // A value that does not come from the rows and yet holds the same for each of them (a token expanded to the batch, a
  // state of zeros after a layer) is followed like one that does.
  void follow_even_rows(const Node& node) {
    std::vector<Track*> uniform;
    for (const std::string& name : node.inputs) {
      if (name.empty() || tracks_[name].axis < 0 || shapes_only(node, name)) continue;
      if (!tracks_[name].uniform) return;
      uniform.push_back(&tracks_[name]);
    }
    const bool repeats = uniform.empty() && (node.is("Expand") || node.is("Tile")) && repeats_one(node);
    if (uniform.empty() && !repeats) return;
    const auto set = [&](bool depends, const std::vector<Track*>& tracks) {
      for (Track* track : tracks) track->depends = depends;
    };
    std::vector<Track*> outputs;
    for (const std::string& name : node.outputs) {
      if (name.empty()) continue;
      if (tracks_[name].axis < 0 || tracks_[name].uniform) return;
      outputs.push_back(&tracks_[name]);
    }
    set(true, uniform), set(true, outputs);
    const bool even = repeats || keeps_rows(node);
    set(false, uniform), set(even, outputs);
  }

  // Whether the axis of the batch is one of extent 1, or a new one, made longer.
  bool repeats_one(const Node& node) const {
    const Shape &in = shape(node.inputs[0]), &out = shape(node.outputs[0]);
    const int64_t at = tracks_.at(node.outputs[0]).axis - static_cast<int64_t>(out.size() - in.size());
    return tracks_.at(node.outputs[0]).axis >= 0 && (at < 0 || in[static_cast<size_t>(at)] == 1);
  }

  // Inputs that only say a shape: their contents name the batch, they do not enter the values. keeps_rows looks at what
  // they say.
  static bool shapes_only(const Node& node, const std::string& name) {
    if (node.is("Shape") || node.is("Size") || node.is("ConstantOfShape")) return true;
    if (node.is("Slice")) return name == node.input(1) || name == node.input(2);
    if (node.is("Resize")) return name == node.input(3);
    return (node.is("Reshape") || node.is("Expand") || node.is("Tile")) && name == node.input(1);
  }

  // Whether what comes out alike at two numbers of rows may come out otherwise at a third: a number of rows compared,
  // rounded or cut off. A comparison with what no number of rows is (an exporter's -1 for "as it is") never does.
  bool decides(const Node& node) {
    static const std::set<std::string_view> kCompares = {"Equal", "Less", "LessOrEqual", "Greater", "GreaterOrEqual"},
                                            kCuts = {"Min", "Max", "Clip", "Mod", "Sign", "Div"};
    const bool compares = kCompares.contains(node.op);
    if (!node.domain.empty() || (!compares && !kCuts.contains(node.op))) return false;
    size_t counting = 0, harmless = 0, given = 0;
    for (const std::string& name : node.inputs) {
      if (name.empty()) continue;
      const std::optional<std::vector<int64_t>> values = integers_of(first_, name);
      const bool counted = tracks_[name].counts;
      const auto none = [](int64_t value) { return value < 1; };
      ++given, counting += counted ? 1 : 0;
      harmless += !counted && compares && values && std::all_of(values->begin(), values->end(), none) ? 1 : 0;
    }
    return counting > 0 && harmless == 0 && (compares || counting < given || given == 1);
  }

  bool counts(const Node& node, const std::string& output) {
    const Fact &a = first_.find(output)->second, &b = second_.find(output)->second;
    if (decides(node)) return true;
    if (a.value && b.value && a.type == b.type)
      return std::memcmp(a.value->bytes(), b.value->bytes(), a.value->byte_count()) != 0;
    // As many equal elements as there are rows, but other ones: a mean or a softmax over them.
    if (a.value && b.value && a.value->count() > 0 && b.value->count() > 0 && equal_elements(*a.value) &&
        equal_elements(*b.value) && std::memcmp(a.value->bytes(), b.value->bytes(), type_size(a.value->type())) != 0)
      return true;
    return std::any_of(node.inputs.begin(), node.inputs.end(), [&](const std::string& name) {
      return !name.empty() && tracks_[name].counts && !shapes_only(node, name);
    });
  }

  std::optional<std::vector<int64_t>> integers(const Node& node, size_t i, const char* attribute) const {
    if (!node.input(i).empty()) return integers_of(first_, node.input(i));
    if (!node.attributes.contains(attribute)) return std::nullopt;
    return node.get<std::vector<int64_t>>(attribute, {});
  }
  static std::optional<std::vector<int64_t>> integers_of(const Facts& facts, const std::string& name) {
    const auto& value = facts.find(name)->second.value;
    return value ? std::optional(to_int64s(*value)) : std::nullopt;
  }

  // All inputs hold as many rows as the output, on the same axis.
  bool same_axis_everywhere(const Node& node, int64_t to) const {
    const int64_t rows = shape(node.outputs[0])[static_cast<size_t>(to)];
    return std::all_of(node.inputs.begin(), node.inputs.end(), [&](const std::string& name) {
      return static_cast<int64_t>(shape(name).size()) > to && shape(name)[static_cast<size_t>(to)] == rows;
    });
  }

  // Whether Slice takes every row, in order, at any number of rows: constants that do so at two numbers of rows may not
  // at a third.
  bool slice_takes_all(const Node& node, int64_t from, int64_t rank) const {
    const auto starts = integers(node, 1, "starts"), ends = integers(node, 2, "ends"), axes = integers(node, 3, "axes"),
               steps = integers(node, 4, "steps");
    const auto later = node.attributes.contains("ends") ? ends : integers_of(second_, node.input(2));
    if (!starts || !ends || !later) return false;
    for (size_t i = 0; i < starts->size(); ++i) {
      const int64_t at = axes ? (*axes)[i] : static_cast<int64_t>(i);
      if ((at < 0 ? at + rank : at) != from) continue;
      const int64_t first = shape(node.inputs[0])[static_cast<size_t>(from)], second = first / kFirst * kSecond;
      const bool to_the_end = (*ends)[i] >= kNoRows || ((*ends)[i] == first && (*later)[i] == second);
      if ((*starts)[i] != 0 || !to_the_end || (steps && (*steps)[i] != 1)) return false;
    }
    return true;
  }

  // The label of the batch is the same in every operand that depends on it, and stands in the output. Equations with an
  // ellipsis or without an output count as mixing.
  bool einsum_keeps_rows(const Node& node, int64_t to) {
    std::string equation = node.get<std::string>("equation", "");
    std::erase(equation, ' ');
    const size_t arrow = equation.find("->");
    if (arrow == std::string::npos || equation.find('.') != std::string::npos) return false;
    const char label = equation[arrow + 2 + static_cast<size_t>(to)];
    size_t start = 0;
    for (const std::string& name : node.inputs) {
      const std::string term = equation.substr(start, equation.find_first_of(",-", start) - start);
      if (tracks_[name].depends &&
          (term[static_cast<size_t>(axis(name))] != label || std::count(term.begin(), term.end(), label) != 1))
        return false;
      start += term.size() + 1;
    }
    return true;
  }

  bool same_extent(const std::string& in, const std::string& out, int64_t at) const {
    return shape(in)[static_cast<size_t>(at)] == shape(out)[static_cast<size_t>(at)];
  }

  // Each row attends to its own keys and values; a mask of fewer axes than the scores has no row for each.
  bool attention_keeps_rows(const Node& node) {
    for (size_t i = 0; i < node.inputs.size(); ++i) {
      const std::string& name = node.inputs[i];
      if (name.empty()) continue;
      if (i < 3 && !tracks_[name].depends) return false;
      if (tracks_[name].depends && (axis(name) != 0 || (i == 3 && shape(name).size() != 4))) return false;
    }
    return std::all_of(node.outputs.begin(), node.outputs.end(),
                       [&](const std::string& name) { return name.empty() || axis(name) == 0; });
  }

  // The places that MaxPool gives beside its values count through the whole batch.
  bool counts_places(const Node& node) const {
    if (!node.is("MaxPool") || node.outputs.size() < 2 || node.outputs[1].empty()) return false;
    const std::string& places = node.outputs[1];
    return std::any_of(graph_.outputs.begin(), graph_.outputs.end(),
                       [&](const ValueInfo& v) { return v.name == places; }) ||
           std::any_of(graph_.nodes.begin(), graph_.nodes.end(), [&](const Node& reader) {
             return std::find(reader.inputs.begin(), reader.inputs.end(), places) != reader.inputs.end();
           });
  }

  bool keeps_rows(const Node& node) {
    const std::string& in = node.inputs[0];
    std::string out;
    for (const std::string& name : node.outputs)
      if (out.empty()) out = name;
    const int64_t from = axis(in), to = axis(out), rank = static_cast<int64_t>(shape(in).size());
    const auto only_first_depends = [&] {
      for (size_t i = 1; i < node.inputs.size(); ++i)
        if (!node.inputs[i].empty() && tracks_[node.inputs[i]].depends) return false;
      return tracks_[in].depends;
    };
    const auto attribute_axis = [&](const char* key, int64_t fallback) {
      const int64_t at = node.get<int64_t>(key, fallback);
      return at < 0 ? at + rank : at;
    };
    // What tells features apart takes a shape of one axis as one row.
    const bool by_feature = node.op == "Normalizer" || node.op == "Scaler" || node.op == "Imputer";
    if (!node.domain.empty() && by_feature && shape(node.inputs[0]).size() < 2) return false;
    if (is_tree_ensemble(node) || (!node.domain.empty() && kFirstAxisMl.contains(node.op))) {
      for (const std::string& name : node.outputs)
        if (!name.empty() && axis(name) != 0) return false;
      return from == 0 && only_first_depends();
    }
    if (!node.domain.empty()) return false;
    if (kElementwise.contains(node.op)) {
      const int64_t right = static_cast<int64_t>(shape(out).size()) - to;
      for (const std::string& name : node.inputs)
        if (!name.empty() && tracks_[name].depends && static_cast<int64_t>(shape(name).size()) - axis(name) != right)
          return false;
      if (node.is("QuantizeLinear") || node.is("DequantizeLinear") || node.is("Expand"))
        return only_first_depends() &&
               (!node.is("Expand") || shape(in)[static_cast<size_t>(from)] == shape(out)[static_cast<size_t>(to)]);
      for (const std::string& name : node.inputs)  // the same number of elements per row on every operand
        if (!name.empty() && tracks_[name].depends &&
            shape(name)[static_cast<size_t>(axis(name))] != shape(out)[static_cast<size_t>(to)])
          return false;
      return true;
    }
    if (kSameOrder.contains(node.op)) {
      // Without axes the axis of the rows goes too where there is one row.
      if (node.is("Squeeze") && node.input(1).empty() && !node.attributes.contains("axes")) return false;
      const int64_t before = product(shape(in), from) * tracks_[in].prefix, kept = product(shape(out), to);
      if (!only_first_depends() || kept == 0 || before % kept != 0) return false;
      tracks_[out].prefix = before / kept;
      return true;
    }
    if (kFirstAxis.contains(node.op))
      return only_first_depends() && from == 0 && to == 0 && node.get<int64_t>("training_mode", 0) == 0 &&
             !counts_places(node);
    if (node.is("Gemm")) return only_first_depends() && from == 0 && to == 0 && node.get<int64_t>("transA", 0) == 0;
    if (node.is("MatMul")) {
      const std::string& b = node.inputs[1];
      if (!tracks_[b].depends)
        return tracks_[in].depends && (from < rank - 1 || rank == 1) && rank >= 2 &&
               to + static_cast<int64_t>(shape(in).size()) == from + static_cast<int64_t>(shape(out).size());
      const int64_t b_right = static_cast<int64_t>(shape(b).size()) - axis(b),
                    out_right = static_cast<int64_t>(shape(out).size()) - to;
      return b_right > 2 && b_right == out_right && (!tracks_[in].depends || rank - from == out_right);
    }
    if (node.is("LSTM") || node.is("GRU") || node.is("RNN")) {
      const int64_t batch_first = node.get<int64_t>("layout", 0);
      for (size_t i = 0; i < node.inputs.size(); ++i) {
        if (node.inputs[i].empty() || !tracks_[node.inputs[i]].depends) continue;
        const bool weights = i == 1 || i == 2 || i == 3 || i == 7;
        if (weights || axis(node.inputs[i]) != (i == 4 || batch_first ? 0 : 1)) return false;
      }
      for (size_t i = 0; i < node.outputs.size(); ++i)
        if (!node.outputs[i].empty() && axis(node.outputs[i]) != (batch_first ? 0 : i == 0 ? 2 : 1)) return false;
      return true;
    }
    if (node.is("Transpose")) {
      const auto perm = node.get<std::vector<int64_t>>("perm", {});
      return perm.empty() ? to == rank - 1 - from : perm[static_cast<size_t>(to)] == from;
    }
    if (node.is("Softmax") || node.is("LogSoftmax") || node.is("Hardmax")) {
      if (from != to) return false;
      return graph_.opset_of(node) < 13 ? attribute_axis("axis", 1) > from : attribute_axis("axis", -1) != from;
    }
    if (node.is("LayerNormalization") || node.is("RMSNormalization"))
      return only_first_depends() && attribute_axis("axis", -1) > from && from == to;
    if (node.is("LpNormalization")) return attribute_axis("axis", -1) != from && from == to;
    if (node.is("MeanVarianceNormalization")) {
      const auto axes = node.get<std::vector<int64_t>>("axes", {0, 2, 3});
      return from == to &&
             std::none_of(axes.begin(), axes.end(), [&](int64_t at) { return (at < 0 ? at + rank : at) == from; });
    }
    if (node.is("Resize"))  // as many rows, each from its own place
      return only_first_depends() && from == to && same_extent(in, out, from) &&
             node.get<std::string>("coordinate_transformation_mode", "half_pixel") != "tf_crop_and_resize";
    if (node.is("Attention")) return attention_keeps_rows(node);
    if (node.is("RotaryEmbedding")) {
      const bool listed = !node.input(3).empty();  // cosines and sines stand in tables
      for (size_t i = 0; i < node.inputs.size(); ++i)
        if (!node.inputs[i].empty() && tracks_[node.inputs[i]].depends &&
            (axis(node.inputs[i]) != 0 || (listed && (i == 1 || i == 2))))
          return false;
      return to == 0;
    }
    if (node.op.starts_with("Reduce")) {
      const std::optional<std::vector<int64_t>> axes = integers(node, 1, "axes");
      if (!axes || axes->empty()) return false;
      return std::none_of(axes->begin(), axes->end(), [&](int64_t at) { return (at < 0 ? at + rank : at) == from; });
    }
    if (node.is("ArgMax") || node.is("ArgMin")) return attribute_axis("axis", 0) != from;
    if (node.is("TopK")) return attribute_axis("axis", -1) != from && from == to;
    if (node.is("CumSum") || node.is("CumProd")) {
      const auto given = integers(node, 1, "axis");
      return given && only_first_depends() && ((*given)[0] < 0 ? (*given)[0] + rank : (*given)[0]) != from;
    }
    if (node.is("Trilu")) return only_first_depends() && from < rank - 2;
    if (node.is("Tile")) {
      const auto repeats = integers(node, 1, "repeats");
      return repeats && only_first_depends() && (*repeats)[static_cast<size_t>(from)] == 1;
    }
    if (node.is("Compress"))
      return only_first_depends() && node.attributes.contains("axis") && attribute_axis("axis", 0) != from;
    if (node.is("GatherElements") || node.is("ScatterElements"))
      return attribute_axis("axis", 0) != to && same_axis_everywhere(node, to);
    if (node.is("GatherND")) {
      if (node.get<int64_t>("batch_dims", 0) > to) return same_axis_everywhere(node, to);
      // The same elements of each row: the batch lies behind the axes that are indexed.
      const Shape& indices = shape(node.inputs[1]);
      const int64_t moved = static_cast<int64_t>(indices.size()) - 1 - indices.back();
      return node.get<int64_t>("batch_dims", 0) == 0 && only_first_depends() && axis(node.inputs[1]) < 0 &&
             from >= indices.back() && to == from + moved;
    }
    if (node.is("OneHot")) {
      const int64_t given = node.get<int64_t>("axis", -1), at = given < 0 ? given + rank + 1 : given;
      return only_first_depends() && to == from + (at <= from ? 1 : 0);
    }
    if (node.is("Einsum")) return einsum_keeps_rows(node, to);
    if (node.is("Concat")) {
      for (const std::string& name : node.inputs)
        if (axis(name) != to) return false;
      return attribute_axis("axis", 0) != to;
    }
    if (node.is("Split")) {
      for (const std::string& name : node.outputs)
        if (!name.empty() && axis(name) != from) return false;
      return attribute_axis("axis", 0) != from;
    }
    if (node.is("Gather")) {
      const int64_t at = attribute_axis("axis", 0);
      if (!tracks_[in].depends) return from < 0 && to == at + axis(node.inputs[1]);  // a table's rows, by number
      return only_first_depends() && at != from && axis(node.inputs[1]) < 0;
    }
    if (node.is("Slice")) return only_first_depends() && from == to && slice_takes_all(node, from, rank);
    if (node.is("Pad")) {
      const auto pads = integers(node, 1, "pads"), axes = integers(node, 3, "axes");
      if (!only_first_depends() || !pads || from != to) return false;
      for (size_t i = 0; i < pads->size() / 2; ++i) {
        const int64_t at = axes ? (*axes)[i] : static_cast<int64_t>(i);
        if ((at < 0 ? at + rank : at) == from && ((*pads)[i] != 0 || (*pads)[i + pads->size() / 2] != 0)) return false;
      }
      return true;
    }
    return false;
  }

  const Graph& graph_;
  const Facts &first_, &second_;
  std::map<std::string, Track> tracks_;
};

}  // namespace

std::string rows_depend(const Graph& graph, const std::map<std::string, TensorType>& at_3,
                        const std::map<std::string, TensorType>& at_5, const std::vector<std::string>& deciding) {
  const Result<Graph> whole = written_out(graph, at_3);
  if (!whole.ok()) return whole.error().text();
  const Result<Facts> first = infer(whole.value(), at_3), second = infer(whole.value(), at_5);
  if (!first.ok()) return first.error().text();
  if (!second.ok()) return second.error().text();
  return Tracker(whole.value(), first.value(), second.value()).run(deciding);
}

bool is_elementwise(const Node& node) {
  return node.domain.empty() && node.op != "Expand" && node.op != "QuantizeLinear" && node.op != "DequantizeLinear" &&
         kElementwise.contains(node.op);
}

}  // namespace hayate
