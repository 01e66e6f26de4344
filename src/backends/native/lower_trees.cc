#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "backends/native/lower_ops.h"
#include "base/memory_budget.h"
#include "eval/trees.h"
#include "kernels/tree_tuning.h"

namespace hayate::native {
namespace {

// A program and what it takes.
struct Counted {
  kernels::TreeProgram program;
  MemoryClaim claim;
};

// Making one takes about this many times the ensemble beside it: thresholds by column, ranks, slots, the program
// itself.
constexpr int64_t kCopies = 5;

// With the method that the plan asks for.
std::optional<kernels::TreeProgram> built(Lowering& l, const Node& node, const kernels::Trees& trees) {
  using kernels::TreeProgram;
  const kernels::Isa isa = l.set().isa;
  if (l.trees().empty()) return TreeProgram::build_for(trees, isa);
  if (l.trees() == "measured") {
    const int64_t bytes = kernels::kTreeMethods * kCopies * trees.byte_count();
    return l.has_room_for(bytes, "the tree programs to be timed") ? kernels::build_measured(trees, isa) : std::nullopt;
  }
  const std::vector<kernels::TreeMethod> methods = TreeProgram::methods(trees, isa);
  const auto asked = kernels::tree_method_from_name(l.trees());
  if (asked && std::find(methods.begin(), methods.end(), *asked) != methods.end())
    return TreeProgram::build(trees, *asked);
  std::vector<std::string_view> names;
  for (const kernels::TreeMethod method : methods) names.push_back(kernels::tree_method_name(method));
  l.fail(l.located({Code::kUnsupported, node.where(),
                    fmt::format("does not run with trees '{}'; measured{}{} would", l.trees(),
                                names.empty() ? "" : ", ", fmt::join(names, ", "))}));
  return std::nullopt;
}

kernels::TreeProgram* tree_program(Lowering& l, const Node& node) {
  const auto output =
      std::find_if(node.outputs.begin(), node.outputs.end(), [](const auto& name) { return !name.empty(); });
  if (output == node.outputs.end()) return nullptr;
  auto& made = l.packing().trees[*output];
  if (made == nullptr) {
    const Result<kernels::Trees> trees = trees_from(node, l.type(node.inputs[0]));
    if (!trees.ok()) {
      l.fail(l.located(trees.error()));
      return nullptr;
    }
    const MemoryClaim ensemble(trees.value().byte_count());
    if (!l.has_room_for(kCopies * trees.value().byte_count(), "its tree program")) return nullptr;
    std::optional<kernels::TreeProgram> program = built(l, node, trees.value());
    if (!program) return nullptr;
    const int64_t bytes = program->byte_count();
    const auto counted = std::make_shared<Counted>(Counted{std::move(*program), MemoryClaim(bytes)});
    made = std::shared_ptr<kernels::TreeProgram>(counted, &counted->program);
  }
  l.keep(made);
  return made.get();
}

bool tree_input(const Lowering& l, const Node& node) {
  const TensorType& x = l.type(node.inputs[0]);
  return x.shape.size() == 2 && (x.type == Type::kFloat32 || x.type == Type::kFloat64);
}

View emit_trees(Lowering& l, const Node& node, const kernels::TreeProgram* program, const View& out,
                const View* touched, bool clear) {
  const View x = l.dense(l.view(node.inputs[0]));
  TreeArgs args;
  args.trees = program, args.rows = x.shape[0], args.float64_input = x.type == Type::kFloat64,
  args.clear_untouched = clear;
  l.emit(run_trees, kernels::tree_method_name(program->method()), args, {&out, &x, touched});
  return out;
}

bool own_trees(Lowering& l, const Node& node) {
  const kernels::TreeProgram* program = tree_input(l, node) ? tree_program(l, node) : nullptr;
  if (program == nullptr || program->float64_sum() != (l.type(node.outputs[0]).type == Type::kFloat64)) return false;
  emit_trees(l, node, program, l.make(node.outputs[0]), nullptr, false);
  return true;
}

bool tree_regressor(Lowering& l, const Node& node) {
  const kernels::TreeProgram* program = tree_input(l, node) ? tree_program(l, node) : nullptr;
  const Result<kernels::PostTransform> transform = post_transform_from(node);
  if (program == nullptr || !transform.ok() || program->float64_sum() || l.type(node.outputs[0]).type != Type::kFloat32)
    return false;
  const View y = l.make(node.outputs[0]);
  const int64_t n = program->outputs(), rows = l.type(node.inputs[0]).shape[0];
  const View touched = l.scratch(Type::kUInt8, {rows, n});
  emit_trees(l, node, program, y, n > 1 ? &touched : nullptr, n > 1);
  if (n == 1 && transform.value() != kernels::PostTransform::kProbit) return true;
  if (transform.value() != kernels::PostTransform::kNone)
    l.emit(run_post_transform, "post_transform", PostTransformArgs{transform.value(), rows, n}, {&y});
  return true;
}

bool tree_classifier(Lowering& l, const Node& node) {
  const kernels::TreeProgram* program = tree_input(l, node) ? tree_program(l, node) : nullptr;
  const Result<kernels::Classifier> classifier = classifier_from(node);
  if (program == nullptr || !classifier.ok() ||
      program->float64_sum() != (l.type(node.inputs[0]).type == Type::kFloat64))
    return false;
  const int64_t rows = l.type(node.inputs[0]).shape[0], n = program->outputs();
  const View sums = l.scratch(program->float64_sum() ? Type::kFloat64 : Type::kFloat32, {rows, n}),
             touched = l.scratch(Type::kUInt8, {rows, n});
  emit_trees(l, node, program, sums, &touched, false);
  const View labels = node.outputs[0].empty() ? l.scratch(Type::kInt64, {rows}) : l.make(node.outputs[0]);
  const bool scored = node.outputs.size() > 1 && !node.outputs[1].empty();
  const View out = scored ? l.make(node.outputs[1]) : l.scratch(Type::kFloat32, {rows, n});
  if (out.shape.back() != n) return false;
  l.emit(run_classify, "classify", ClassifyArgs{classifier.value(), rows, n, program->float64_sum()},
         {&labels, &out, &sums, &touched});
  return true;
}

bool linear_booster(Lowering& l, const Node& node) {
  const Tensor weights = node.get<Tensor>("weights", Tensor());
  const View w = l.floats(std::vector<float>(weights.data<float>(), weights.data<float>() + weights.count()));
  const View x = l.dense(l.view(node.inputs[0])), y = l.make(node.outputs[0]);
  const int64_t features = weights.shape()[0] - 1, outputs = weights.shape()[1];
  l.emit(run_linear_booster, "linear_booster", LinearBoosterArgs{y.count() / outputs, features, outputs}, {&y, &x, &w});
  return true;
}

}  // namespace

void add_tree_lowers(LowerTable* table) {
  table->insert({{"hayate.TreeEnsemble", own_trees},
                 {"hayate.LinearBooster", linear_booster},
                 {"ai.onnx.ml.TreeEnsembleRegressor", tree_regressor},
                 {"ai.onnx.ml.TreeEnsemble", tree_regressor},
                 {"ai.onnx.ml.TreeEnsembleClassifier", tree_classifier}});
}

}  // namespace hayate::native
