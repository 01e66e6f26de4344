#include "random/graph_maker.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <set>

#include "eval/evaluate.h"
#include "random/recipes.h"
#include "tools/compare.h"

namespace hayate::random_graphs {
namespace {

constexpr std::initializer_list<int64_t> kOpsets = {17, 18, 21, 22, 23, 24, 26}, kOldOpsets = {9, 10};
constexpr int64_t kElementsMax = 6000;  // of one value
constexpr double kLargest = 1e4;        // no float beyond, but infinity where there is any
constexpr double kShare = 1.0 / 3;      // of the tolerance, for the errors tried here
constexpr double kNormUnits = 8;        // errors at the input of a normalisation, in units of the last place
constexpr double kJumpUnits = 64;       // how much larger errors are where they may change the answer

Tensor first_rows(const Tensor& tensor, int64_t rows) {
  Shape shape = tensor.shape();
  shape[0] = rows;
  Tensor made(tensor.type(), shape);
  std::memcpy(made.bytes(), tensor.bytes(), made.byte_count());
  return made;
}

Tensor copy(const Tensor& tensor) {
  Tensor made(tensor.type(), tensor.shape());
  std::memcpy(made.bytes(), tensor.bytes(), made.byte_count());
  return made;
}

bool near(const Tensor& noisy, const Tensor& clean, double share) {
  const bool rounds = clean.type() == Type::kFloat32 || clean.type() == Type::kFloat64;
  const Difference d = difference(noisy, clean, rounds ? Tolerance{share * 1e-5, share * 1e-6} : Tolerance{0, 0});
  return d.shapes.empty() && d.outside == 0;
}

bool near(const Node& node, const std::vector<Tensor>& got, const std::vector<Tensor>& clean, double share) {
  for (size_t i = 0; i < node.outputs.size(); ++i)
    if (!near(got[i], clean[i], share)) return false;
  return true;
}

bool tame(const Tensor& tensor, bool special) {
  if (tensor.count() > kElementsMax) return false;
  for (const double value : to_doubles(tensor))
    if (std::isfinite(value) ? std::fabs(value) > kLargest : !special) return false;
  return true;
}

// value + units * (noisy - value): the same errors, larger.
Tensor stretched(const Tensor& noisy, const Tensor& clean, double units) {
  if (clean.type() != Type::kFloat32 && clean.type() != Type::kFloat64) return noisy;
  Tensor made(clean.type(), clean.shape());
  visit_type(clean.type(), [&]<typename T>() {
    for (int64_t i = 0; i < made.count(); ++i) {
      const T from = clean.data<T>()[i], to = noisy.data<T>()[i];
      made.data<T>()[i] = to == from || !std::isfinite(from) ? from : static_cast<T>(from + units * (to - from));
    }
  });
  return made;
}

// Float32, all of it larger by as many units of the last place.
Tensor scaled(const Tensor& tensor, double units) {
  Tensor made(tensor.type(), tensor.shape());
  for (int64_t i = 0; i < made.count(); ++i)
    made.data<float>()[i] = static_cast<float>(static_cast<double>(tensor.data<float>()[i]) * (1 + units * 0x1p-23));
  return made;
}

void sprinkle(Tensor* tensor, Dice* dice) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  for (int64_t i = 0; i < tensor->count(); ++i)
    if (dice->one_in(12))
      tensor->data<float>()[i] = dice->pick({std::nanf(""), kInfinity, -kInfinity, 0.0f, -0.0f, 1e-40f});
}

}  // namespace

const std::vector<Recipe>& recipes() {
  static const std::vector<Recipe> kAll = [] {
    std::vector<Recipe> all;
    add_elementwise_recipes(&all);
    add_layout_recipes(&all);
    add_reduce_recipes(&all);
    add_dense_recipes(&all);
    add_window_recipes(&all);
    add_recurrent_recipes(&all);
    add_pattern_recipes(&all);
    add_quant_recipes(&all);
    add_fused_recipes(&all);
    add_ml_recipes(&all);
    add_index_recipes(&all);
    add_old_recipes(&all);
    return all;
  }();
  return kAll;
}

const std::vector<std::string>& GraphMaker::recipe_names() {
  static const std::vector<std::string> kNames = [] {
    std::vector<std::string> names;
    for (const Recipe& recipe : recipes()) names.push_back(recipe.name);
    return names;
  }();
  return kNames;
}

GraphMaker::GraphMaker(uint64_t seed) : dice_(seed) {
  graph_.source = fmt::format("random graph {}", seed);
  graph_.opset = dice_.one_in(25) ? dice_.pick(kOldOpsets) : dice_.pick(kOpsets);
  symbolic_ = dice_.one_in(2);
  special_ = dice_.one_in(8);
  worlds_.push_back({kRows, {}, {}});
  if (symbolic_) worlds_.push_back({kFewRows, {}, {}});
  add_inputs();

  std::vector<const Recipe*> weighted;
  for (const Recipe& recipe : recipes())
    for (int i = 0; i < recipe.weight && graph_.opset >= recipe.oldest; ++i) weighted.push_back(&recipe);
  const size_t wanted = static_cast<size_t>(dice_.one_in(3) ? dice_.between(1, 30) : dice_.between(1, 10));
  for (int tries = 0; graph_.nodes.size() < wanted && tries < 200; ++tries) {
    const Recipe& recipe = *dice_.pick(weighted);
    const size_t before = graph_.nodes.size();
    recipe.cook(*this);
    used_[recipe.name] += static_cast<int>(graph_.nodes.size() - before);
  }
  if (graph_.nodes.empty()) add("Shape", {graph_.inputs[0].name}, Kind::kExact);  // nothing else took any of them
  choose_outputs();
}

void GraphMaker::add_inputs() {
  for (int64_t count = dice_.between(1, 3); count-- > 0;) add_input();
}

void GraphMaker::add_input() {
  Shape shape;
  for (int64_t rank = dice_.pick({1, 2, 2, 3, 3, 3, 4, 4, 5}); rank-- > 0;)
    shape.push_back(dice_.one_in(40) ? 0 : dice_.one_in(5) ? 1 : dice_.between(2, 7));
  if (symbolic_) shape[0] = kRows;
  if (!symbolic_ && dice_.one_in(20)) shape.clear();
  const Type type = !dice_.one_in(5) ? Type::kFloat32
                                     : dice_.pick({Type::kFloat64, Type::kFloat16, Type::kInt32, Type::kInt64,
                                                   Type::kInt8, Type::kUInt8, Type::kBool});
  const std::string name = fmt::format("x{}", graph_.inputs.size());
  Tensor tensor = dice_.tensor(type, shape);
  if (special_ && type == Type::kFloat32) sprinkle(&tensor, &dice_);
  ValueInfo info{name, type, true, {}};
  for (const int64_t extent : shape) info.dims.push_back({extent, ""});
  if (symbolic_) info.dims[0] = {-1, "N"};
  graph_.inputs.push_back(info);
  for (World& world : worlds_) {
    const Tensor own = symbolic_ ? first_rows(tensor, world.rows) : tensor;
    world.clean[name] = own;
    for (auto& noisy : world.noisy) noisy[name] = own;
  }
  types_[name] = {type, shape};
  values_.push_back({name, type, shape, symbolic_ ? 0 : -1});
}

std::map<std::string, Tensor> GraphMaker::feeds(int64_t rows) const {
  std::map<std::string, Tensor> made;
  for (const ValueInfo& input : graph_.inputs) {
    const Tensor& all = worlds_[0].clean.at(input.name);
    made.emplace(input.name, symbolic_ ? first_rows(all, rows) : all);
  }
  return made;
}

bool GraphMaker::halves() const {
  return std::any_of(values_.begin() + static_cast<int64_t>(graph_.inputs.size()), values_.end(),
                     [](const Value& v) { return is_half_float(v.type); });
}

bool GraphMaker::empties() const {
  return std::any_of(values_.begin(), values_.end(),
                     [](const Value& v) { return std::find(v.shape.begin(), v.shape.end(), 0) != v.shape.end(); });
}

std::optional<Value> GraphMaker::find(const std::function<bool(const Value&)>& fits) {
  std::vector<const Value*> all;
  for (const Value& value : values_)
    if (fits(value)) all.push_back(&value);
  if (all.empty()) return std::nullopt;
  const int64_t count = static_cast<int64_t>(all.size());
  return *all[static_cast<size_t>(std::max(dice_.below(count), dice_.below(count)))];
}

std::optional<Value> GraphMaker::find_float(int64_t rank_min, int64_t rank_max) {
  return find([&](const Value& v) { return v.is_float32() && v.rank() >= rank_min && v.rank() <= rank_max; });
}

std::string GraphMaker::constant(Tensor tensor) {
  const std::string name = fmt::format("c{}", graph_.constants.size());
  for (World& world : worlds_) {
    world.clean[name] = tensor;
    for (auto& noisy : world.noisy) noisy[name] = tensor;
  }
  types_[name] = {tensor.type(), tensor.shape()};
  graph_.constants.emplace(name, std::move(tensor));
  return name;
}

std::string GraphMaker::scalar(Type type, double value) {
  if (is_half_float(type)) {
    Tensor half(type, {});
    doubles_to_halves(Tensor::of<double>({}, {value}), &half);
    return constant(half);
  }
  Tensor made(type, {});
  visit_type(type, [&]<typename T>() { made.data<T>()[0] = static_cast<T>(value); });
  return constant(made);
}

std::string GraphMaker::partner(const Value& value) {
  if (dice_.one_in(2)) {
    const auto other = find([&](const Value& v) { return v.type == value.type && broadcast(v.shape, value.shape); });
    if (other) return other->name;
  }
  if (dice_.one_in(3)) return scalar(value.type, dice_.pick({0.0, 1.0, 2.0, 0.5, 3.0}));
  Shape shape = value.shape;
  if (value.batch >= 0) shape[static_cast<size_t>(value.batch)] = 1;
  for (int64_t& extent : shape)
    if (dice_.one_in(3)) extent = 1;
  shape.erase(shape.begin(), shape.begin() + dice_.below(value.rank() + 1));
  return weights(value.type, shape);
}

const Value& GraphMaker::value(const std::string& name) const {
  return *std::find_if(values_.begin(), values_.end(), [&](const Value& v) { return v.name == name; });
}

void GraphMaker::disturb(Tensor* tensor, double units, double absolute) {
  if (tensor->type() != Type::kFloat32 && tensor->type() != Type::kFloat64) return;
  *tensor = copy(*tensor);
  const double step = units * (tensor->type() == Type::kFloat32 ? 0x1p-23 : 0x1p-50);
  visit_type(tensor->type(), [&]<typename T>() {
    for (int64_t i = 0; i < tensor->count(); ++i) {
      T& x = tensor->data<T>()[i];
      if (!std::isfinite(x)) continue;
      const T moved =
          static_cast<T>(x * (1 + dice_.around(step)) + dice_.around(std::max(absolute, units > 1 ? 1e-9 : 1e-36)));
      // At least to the next number: a function that has reached its limit may stop one short of it elsewhere.
      x = moved != x || x == 0 || units < 1 ? moved : std::nextafter(x, dice_.one_in(2) ? T{0} : 2 * x);
    }
  });
}

Result<std::vector<Tensor>> GraphMaker::outputs_of(const Node& node, const Read& read) const {
  std::vector<Tensor> tensors(node.inputs.size());
  std::vector<const Tensor*> pointers(node.inputs.size(), nullptr);
  for (size_t i = 0; i < node.inputs.size(); ++i)
    if (!node.inputs[i].empty()) tensors[i] = read(node.inputs[i]), pointers[i] = &tensors[i];
  return run_node(node, graph_.opset, pointers);
}

// The step is the last of the floats.
bool GraphMaker::ties_hold(const Node& node, const World& world, const std::vector<Tensor>& clean) const {
  std::string step;
  for (const std::string& name : node.inputs)
    if (!name.empty() && world.clean.at(name).type() == Type::kFloat32) step = name;
  for (const double units : {kNormUnits, -kNormUnits}) {
    const auto beside = outputs_of(node, [&](const std::string& name) {
      return name == step ? scaled(world.clean.at(name), units) : world.clean.at(name);
    });
    if (!beside.ok() || !near(node, beside.value(), clean, kShare)) return false;
  }
  return true;
}

bool GraphMaker::jumps_hold(const Node& node, const World& world, size_t noise,
                            const std::vector<Tensor>& clean) const {
  for (const double units : {kJumpUnits, -kJumpUnits}) {
    const auto far = outputs_of(node, [&](const std::string& name) {
      return stretched(world.noisy[noise].at(name), world.clean.at(name), units);
    });
    if (!far.ok() || !near(node, far.value(), clean, kShare * kJumpUnits)) return false;
  }
  return true;
}

bool GraphMaker::run(const Node& node, Kind kind, World* world, std::vector<Tensor>* clean,
                     std::array<std::vector<Tensor>, kNoises>* noisy) {
  const auto exact = outputs_of(node, [&](const std::string& name) { return world->clean.at(name); });
  if (!exact.ok()) return false;
  *clean = exact.value();
  for (size_t i = 0; i < node.outputs.size(); ++i)
    if (!tame((*clean)[i], special_)) return false;
  if (kind == Kind::kTie && !ties_hold(node, *world, *clean)) return false;
  for (size_t k = 0; k < kNoises; ++k) {
    auto disturbed = outputs_of(node, [&](const std::string& name) {
      Tensor tensor = world->noisy[k].at(name);
      if (kind == Kind::kArithmetic || kind == Kind::kAbsolute) disturb(&tensor, 0.5);
      if (kind == Kind::kNorm) disturb(&tensor, kNormUnits);
      return tensor;
    });
    if (!disturbed.ok()) return false;
    (*noisy)[k] = std::move(disturbed).value();
    if (kind == Kind::kArithmetic || kind == Kind::kNorm || kind == Kind::kAbsolute)
      for (Tensor& tensor : (*noisy)[k]) disturb(&tensor, 1, kind == Kind::kAbsolute ? 0x1p-24 : 0);
    if (!near(node, (*noisy)[k], *clean, kShare)) return false;
    if (kind == Kind::kJump && !jumps_hold(node, *world, k, *clean)) return false;
  }
  return true;
}

std::optional<std::vector<Value>> GraphMaker::add(const std::string& op, const std::vector<std::string>& inputs,
                                                  Kind kind, Attributes attributes, size_t outputs) {
  const size_t dot = op.rfind('.');
  const std::string domain = dot == std::string::npos ? "" : op.substr(0, dot), name = op.substr(dot + 1);
  Node node{fmt::format("{}_{}", name, graph_.nodes.size()), domain, name, inputs, {}, std::move(attributes)};
  for (size_t i = 0; i < outputs; ++i)
    node.outputs.push_back(i == 0 ? fmt::format("v{}", graph_.nodes.size())
                                  : fmt::format("v{}_{}", graph_.nodes.size(), i));
  if (node.op == "Sigmoid") kind = Kind::kAbsolute;  // ONNX Runtime's is off by up to 3e-7 however small it is
  std::vector<std::vector<Tensor>> clean(worlds_.size());
  std::vector<std::array<std::vector<Tensor>, kNoises>> noisy(worlds_.size());
  for (size_t w = 0; w < worlds_.size(); ++w)
    if (!run(node, kind, &worlds_[w], &clean[w], &noisy[w])) return std::nullopt;
  std::vector<Value> made;
  for (size_t i = 0; i < outputs; ++i) {
    Value value{node.outputs[i], clean[0][i].type(), clean[0][i].shape()};
    if (clean.back()[i].rank() != clean[0][i].rank()) return std::nullopt;
    for (size_t d = 0; d < value.shape.size(); ++d)
      if (clean.back()[i].shape()[d] != value.shape[d]) value.batch = static_cast<int64_t>(d);
    made.push_back(value);
  }
  for (size_t i = 0; i < outputs; ++i) {
    types_[node.outputs[i]] = {made[i].type, made[i].shape};
    for (size_t w = 0; w < worlds_.size(); ++w) {
      worlds_[w].clean[node.outputs[i]] = clean[w][i];
      for (size_t k = 0; k < kNoises; ++k) worlds_[w].noisy[k][node.outputs[i]] = noisy[w][k][i];
    }
    values_.push_back(made[i]);
  }
  graph_.nodes.push_back(std::move(node));
  return made;
}

std::string GraphMaker::chain(const std::string& op, const std::vector<std::string>& inputs, Kind kind,
                              Attributes attributes) {
  if (std::find(inputs.begin(), inputs.end(), "") != inputs.end()) return "";
  const auto made = add(op, inputs, kind, std::move(attributes));
  return made ? (*made)[0].name : "";
}

void GraphMaker::choose_outputs() {
  std::set<std::string> read, kept;
  for (const Node& node : graph_.nodes) read.insert(node.inputs.begin(), node.inputs.end());
  const auto give = [&](const Value& value) { graph_.outputs.push_back({value.name, value.type, false, {}}); };
  const size_t made_from = graph_.inputs.size();
  for (size_t i = made_from; i < values_.size(); ++i)
    if (!read.contains(values_[i].name) || dice_.one_in(8)) give(values_[i]);
  std::erase_if(graph_.constants, [&](const auto& each) { return !read.contains(each.first); });
}

}  // namespace hayate::random_graphs
