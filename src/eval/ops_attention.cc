#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "eval/floats.h"
#include "eval/kernel.h"
#include "kernels/reference/loops.h"

namespace hayate {
namespace {

namespace ref = kernels::reference;

constexpr int64_t kWindowMax = int64_t{1} << 40;  // wider than any tensor is long
constexpr double kMasked = -std::numeric_limits<double>::infinity();

// A value of heads: element (n, head, place, feature) whether heads stand before the places or inside the features.
struct Heads {
  int64_t batch, heads, places, features;
  bool flat;
  std::vector<double> values;

  Heads(const Tensor& x, int64_t head_count) : flat(x.rank() == 3), values(to_doubles(x)) {
    const Shape& s = x.shape();
    batch = s[0], heads = flat ? head_count : s[1], places = flat ? s[1] : s[2], features = flat ? s[2] / heads : s[3];
  }
  int64_t index(int64_t n, int64_t head, int64_t place) const {
    return (flat ? (n * places + place) * heads + head : (n * heads + head) * places + place) * features;
  }
  const double* row(int64_t n, int64_t head, int64_t place) const { return values.data() + index(n, head, place); }
};

// Keys or values of the past and, behind them, the new ones.
struct Cache {
  std::optional<Heads> past;
  Heads fresh;

  Cache(const Tensor* before, const Tensor& x, int64_t heads) : fresh(x, heads) {
    if (before != nullptr) past.emplace(*before, heads);
  }
  int64_t before() const { return past ? past->places : 0; }
  int64_t places() const { return before() + fresh.places; }
  const double* row(int64_t n, int64_t head, int64_t place) const {
    return place < before() ? past->row(n, head, place) : fresh.row(n, head, place - before());
  }
  void store(Tensor* to) const {
    if (to == nullptr) return;
    int64_t at = 0;
    for (int64_t n = 0; n < fresh.batch; ++n)
      for (int64_t head = 0; head < fresh.heads; ++head)
        for (int64_t place = 0; place < places(); ++place)
          for (int64_t i = 0; i < fresh.features; ++i) put(to, at++, row(n, head, place)[i]);
  }
};

// What is added to the score of (n, head, query, key): the mask, and minus infinity where the key may not be seen.
struct Bias {
  const Tensor* mask;
  std::vector<double> values;
  ref::Extents strides;
  int64_t reach = 0;  // keys that the mask speaks of
  bool causal;
  int64_t left, right;

  Bias(const KernelContext& c, const Shape& scores)
      : mask(c.input(3)),
        causal(c.node.get<int64_t>("is_causal", 0) != 0),
        left(std::min(c.node.get<int64_t>("left_window_size", -1), kWindowMax)),
        right(std::min(c.node.get<int64_t>("right_window_size", -1), kWindowMax)) {
    if (mask == nullptr) return;
    values = to_doubles(*mask);
    strides = ref::broadcast_strides(mask->shape(), scores);
    reach = mask->shape().back();
  }

  // `offset`: valid keys before the first query; `valid`: keys that are no padding.
  double at(const Shape& place, int64_t offset, int64_t valid) const {
    const int64_t query = place[2] + offset, key = place[3];
    if (key >= valid || (causal && key > query) || (left >= 0 && key < query - left) ||
        (right >= 0 && key > query + right))
      return kMasked;
    if (mask == nullptr) return 0;
    if (key >= reach) return kMasked;
    int64_t from = 0;
    for (size_t axis = 0; axis < place.size(); ++axis) from += place[axis] * strides[axis];
    const double value = values[static_cast<size_t>(from)];
    return mask->type() == Type::kBool ? (value != 0 ? 0 : kMasked) : value;
  }
};

// In place; a row that sees nothing becomes zeros, and one with NaN anywhere NaN.
void soft_max(std::vector<double>* row) {
  double highest = kMasked, sum = 0;
  for (const double value : *row) highest = std::isnan(value) || value > highest ? value : highest;
  for (double& value : *row) {
    value = highest == kMasked ? 0 : std::exp(value - highest);
    sum += value;
  }
  if (sum != 0)
    for (double& value : *row) value /= sum;
}

Result<bool> attention(const KernelContext& c) {
  const int64_t kv_heads = c.node.get<int64_t>("kv_num_heads", 1);
  const Heads q(*c.inputs[0], c.node.get<int64_t>("q_num_heads", 1));
  const Cache keys(c.input(4), *c.inputs[1], kv_heads), values(c.input(5), *c.inputs[2], kv_heads);
  keys.store(c.output(1)), values.store(c.output(2));
  const int64_t total = keys.places(), group = q.heads / std::max<int64_t>(1, keys.fresh.heads);
  const float given = c.node.get<float>("scale", 0.0f);
  const double scale = given != 0 ? static_cast<double>(given) : 1 / std::sqrt(static_cast<double>(q.features)),
               cap = static_cast<double>(c.node.get<float>("softcap", 0.0f));
  const int64_t shown = c.output(3) == nullptr ? -1 : c.node.get<int64_t>("qk_matmul_output_mode", 0);
  const Bias bias(c, {q.batch, q.heads, q.places, total});
  std::vector<double> row(static_cast<size_t>(total));
  for (int64_t n = 0; n < q.batch; ++n) {
    const int64_t valid = c.input(6) == nullptr ? total : c.input(6)->data<int64_t>()[n];
    if (valid < 0 || valid > total) return c.error(fmt::format("nonpad_kv_seqlen {} is outside 0 to {}", valid, total));
    const int64_t offset = c.input(4) == nullptr && c.input(6) != nullptr ? valid - q.places : keys.before();
    for (int64_t head = 0; head < q.heads; ++head)
      for (int64_t i = 0; i < q.places; ++i) {
        const auto show = [&](int64_t mode) {
          for (int64_t k = 0; k < total && shown == mode; ++k)
            put(c.output(3), ((n * q.heads + head) * q.places + i) * total + k, row[static_cast<size_t>(k)]);
        };
        for (int64_t k = 0; k < total; ++k) {
          const double *a = q.row(n, head, i), *b = keys.row(n, head / group, k);
          double sum = 0;
          for (int64_t f = 0; f < q.features; ++f) sum += a[f] * b[f];
          row[static_cast<size_t>(k)] = sum * scale;
        }
        show(0);
        if (cap > 0)
          for (double& value : row) value = cap * std::tanh(value / cap);
        show(1);
        for (int64_t k = 0; k < total; ++k) {
          const double added = bias.at({n, head, i, k}, offset, valid);
          row[static_cast<size_t>(k)] = added == kMasked ? kMasked : row[static_cast<size_t>(k)] + added;
        }
        show(2);
        soft_max(&row);
        show(3);
        if (c.output(0) == nullptr) continue;
        const int64_t width = values.fresh.features,
                      to = (q.flat ? (n * q.places + i) * q.heads + head : (n * q.heads + head) * q.places + i) * width;
        for (int64_t f = 0; f < width; ++f) {
          double sum = 0;
          for (int64_t k = 0; k < valid; ++k)  // what is hidden weighs nothing, but NaN times that is NaN
            sum += row[static_cast<size_t>(k)] * values.row(n, head / group, k)[f];
          put(c.output(0), to + f, sum);
        }
      }
  }
  return true;
}

// Pairs of features turned by an angle that depends on the place.
Result<bool> rotary(const KernelContext& c) {
  const Heads x(*c.inputs[0], c.node.get<int64_t>("num_heads", 1));
  const std::vector<double> cosines = to_doubles(*c.inputs[1]), sines = to_doubles(*c.inputs[2]);
  const bool interleaved = c.node.get<int64_t>("interleaved", 0) != 0;
  int64_t turned = c.node.get<int64_t>("rotary_embedding_dim", 0);
  if (turned == 0) turned = x.features;
  const int64_t half = turned / 2, listed = c.inputs[1]->shape()[0];
  for (int64_t n = 0; n < x.batch; ++n)
    for (int64_t place = 0; place < x.places; ++place) {
      int64_t at = n * x.places + place;
      if (c.input(3) != nullptr) at = c.input(3)->data<int64_t>()[at];
      if (c.input(3) != nullptr && (at < 0 || at >= listed))
        return c.error(fmt::format("position {} is outside the {} that are listed", at, listed));
      for (int64_t head = 0; head < x.heads; ++head) {
        const int64_t start = x.index(n, head, place);
        for (int64_t i = turned; i < x.features; ++i) put(c.outputs[0], start + i, x.values[start + i]);
        for (int64_t i = 0; i < half; ++i) {
          const int64_t first = start + (interleaved ? 2 * i : i),
                        second = start + (interleaved ? 2 * i + 1 : half + i);
          const double cosine = cosines[at * half + i], sine = sines[at * half + i];
          put(c.outputs[0], first, cosine * x.values[first] - sine * x.values[second]);
          put(c.outputs[0], second, sine * x.values[first] + cosine * x.values[second]);
        }
      }
    }
  return true;
}

}  // namespace

void add_attention_kernels(std::vector<KernelEntry>* table) {
  table->push_back({"", "Attention", attention});
  table->push_back({"", "RotaryEmbedding", rotary});
}

}  // namespace hayate
