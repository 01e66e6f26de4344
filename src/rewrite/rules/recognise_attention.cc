#include <algorithm>
#include <numeric>

#include "rewrite/pattern.h"
#include "rewrite/rules/rules.h"

namespace hayate {
namespace {

using Perm = std::vector<int64_t>;
constexpr int kStepsMax = 8;

// Scores before the softmax: q k^T * scale + mask.
struct Scores {
  std::string q, k;  // k as it was before the transposition `perm` that makes it [.., S, E]
  Perm perm;
  double scale = 1;
  std::string mask;  // empty: none
};

std::string without_factor(Editor* editor, std::string name, double* scale) {
  for (int i = 0; i < kStepsMax; ++i) {
    const std::optional<AffineStep> step = affine_made(editor, name);
    if (!step || step->shift != 0) break;
    *scale *= step->factor, name = step->of;
  }
  return name;
}

// Follows k^T up over factors and transpositions; perm turns what is found into k.
void follow_keys(Editor* editor, Scores* scores) {
  for (int i = 0; i < kStepsMax; ++i) {
    scores->k = without_factor(editor, scores->k, &scores->scale);
    const Node* node = made_by(editor, scores->k, "Transpose");
    const Perm before = node == nullptr ? Perm() : node->get<Perm>("perm", {});
    if (before.size() != scores->perm.size()) return;
    for (int64_t& axis : scores->perm) axis = before[static_cast<size_t>(axis)];
    scores->k = node->inputs[0];
  }
}

// Takes `name` apart; nothing where it is not scores that nobody else reads.
std::optional<Scores> scores_of(Editor* editor, std::string name) {
  Scores scores;
  if (editor->only_reader(name) == nullptr) return std::nullopt;
  if (const Node* add = made_by(editor, name, "Add"); add != nullptr && !affine_made(editor, name)) {
    const auto is_product = [&](const std::string& input) {
      double unused = 1;
      return same_type(editor, input, name) && editor->only_reader(input) != nullptr &&
             made_by(editor, without_factor(editor, input, &unused), "MatMul") != nullptr;
    };
    const size_t side = is_product(add->inputs[0]) ? 0 : 1;
    if (!is_product(add->inputs[side])) return std::nullopt;
    name = add->inputs[side], scores.mask = add->inputs[1 - side];
  }
  for (std::optional<AffineStep> step; (step = affine_made(editor, name)) && step->shift == 0;) {
    if (editor->only_reader(step->of) == nullptr) return std::nullopt;
    scores.scale *= step->factor, name = step->of;
  }
  const Node* product = made_by(editor, name, "MatMul");
  const TensorType* type = editor->type(name);
  if (product == nullptr || type == nullptr || type->shape.size() < 2) return std::nullopt;
  scores.q = without_factor(editor, product->inputs[0], &scores.scale);
  scores.k = product->inputs[1];
  scores.perm.resize(type->shape.size());
  std::iota(scores.perm.begin(), scores.perm.end(), 0);
  std::swap(scores.perm.end()[-1], scores.perm.end()[-2]);
  const TensorType* keys = editor->type(scores.k);
  if (keys == nullptr || keys->shape.size() != type->shape.size()) return std::nullopt;
  follow_keys(editor, &scores);
  return scores;
}

bool over_last_axis(Editor* editor, const Node& softmax) {
  const TensorType* type = editor->type(softmax.inputs[0]);
  if (type == nullptr) return false;
  const int64_t axis = softmax.get<int64_t>("axis", editor->graph().opset < 13 ? 1 : -1),
                last = static_cast<int64_t>(type->shape.size()) - 1;
  return axis == -1 || axis == last;
}

// Whether the four fit what hayate.Attention takes: float32, equal ranks, equal extents before the last two.
bool fits(Editor* editor, const Scores& scores, const std::string& scored, const std::string& v,
          const std::string& out) {
  const TensorType *q = editor->type(scores.q), *s = editor->type(scored), *values = editor->type(v),
                   *y = editor->type(out);
  if (q == nullptr || s == nullptr || values == nullptr || y == nullptr) return false;
  for (const TensorType* type : {q, s, values, y}) {
    if (type->type != Type::kFloat32 || type->shape.size() != s->shape.size()) return false;
    if (!std::equal(s->shape.begin(), s->shape.end() - 2, type->shape.begin())) return false;
  }
  const TensorType* mask = scores.mask.empty() ? nullptr : editor->type(scores.mask);
  return scores.mask.empty() || (mask != nullptr && mask->type == Type::kFloat32);
}

// The keys as [.., S, E], by a Transpose where they do not lie so.
std::string keys_before(Editor* editor, const Node* node, const Scores& scores) {
  if (std::is_sorted(scores.perm.begin(), scores.perm.end())) return scores.k;
  const TensorType& found = *editor->type(scores.k);
  TensorType keys = found;
  for (size_t i = 0; i < scores.perm.size(); ++i) keys.shape[i] = found.shape[static_cast<size_t>(scores.perm[i])];
  const std::string base = node->outputs[0] + "/keys";
  const std::string name = editor->insert_before(
      node, {base, "", "Transpose", {scores.k}, {editor->new_name(base)}, {{"perm", scores.perm}}});
  editor->set_type(name, keys);
  return name;
}

}  // namespace

// softmax(q k^T * scale + mask) v = hayate.Attention(q, k, v, mask); factors on q, k and the product all are scale.
void recognise_attention(Editor* editor) {
  for (size_t i = 0; i < editor->node_count(); ++i) {
    const Node& softmax = editor->node(i);
    if (!softmax.is("Softmax") || !over_last_axis(editor, softmax)) continue;
    Node* product = read_by(editor, softmax.outputs[0], "MatMul");
    if (product == nullptr || product->inputs[0] != softmax.outputs[0]) continue;
    const std::optional<Scores> scores = scores_of(editor, softmax.inputs[0]);
    const std::string v = product->inputs[1];
    if (!scores || !fits(editor, *scores, softmax.inputs[0], v, product->outputs[0])) continue;
    std::vector<std::string> inputs{scores->q, keys_before(editor, product, *scores), v};
    if (!scores->mask.empty()) inputs.push_back(scores->mask);
    editor->become(product, "Attention", inputs, {{"scale", static_cast<float>(scores->scale)}}, "hayate");
  }
}

}  // namespace hayate
