#include <algorithm>
#include <cmath>

#include "eval/floats.h"
#include "eval/kernel.h"
#include "kernels/reference/loops.h"

namespace hayate {
namespace {

namespace ref = kernels::reference;

struct Moments {
  double mean, variance;
};
template <typename T>
Moments moments(const T* x, int64_t n) {
  double sum = 0, squares = 0;
  for (int64_t i = 0; i < n; ++i) sum += static_cast<double>(x[i]);
  const double mean = sum / static_cast<double>(n);
  for (int64_t i = 0; i < n; ++i) squares += (static_cast<double>(x[i]) - mean) * (static_cast<double>(x[i]) - mean);
  return {mean, squares / static_cast<double>(n)};
}

// Around zero instead of the mean.
template <typename T>
Moments moments_around_zero(const T* x, int64_t n) {
  double squares = 0;
  for (int64_t i = 0; i < n; ++i) squares += static_cast<double>(x[i]) * static_cast<double>(x[i]);
  return {0, squares / static_cast<double>(n)};
}

double epsilon_of(const KernelContext& c) { return static_cast<double>(c.node.get<float>("epsilon", 1e-5f)); }

// Element i of a tensor of floats, as a double; `otherwise` where there is none.
double at(const Tensor* tensor, int64_t i, double otherwise) {
  if (tensor == nullptr) return otherwise;
  return tensor->type() == Type::kFloat32 ? static_cast<double>(tensor->data<float>()[i]) : tensor->data<double>()[i];
}
// y = (x - mean) * inverse * scale + bias over rows of n elements; moments_of(row) gives mean and inverse.
template <bool kCentred>
Result<bool> affine_norm(const KernelContext& c) {
  const Tensor& x = *c.inputs[0];
  if (x.count() == 0) return true;
  const int64_t axis = *normal_axis(c.node.get<int64_t>("axis", -1), x.rank());
  const Shape normalized(x.shape().begin() + axis, x.shape().end());
  const int64_t n = ref::product(normalized);
  const Tensor *scale = c.input(1), *bias = c.input(2);
  const ref::Extents strides[2] = {ref::broadcast_strides(scale == nullptr ? Shape{} : scale->shape(), normalized),
                                   ref::broadcast_strides(bias == nullptr ? Shape{} : bias->shape(), normalized)};
  return on_floats(x.type(), [&]<typename T>() {
    for (int64_t row = 0; row < x.count() / n; ++row) {
      const T* from = x.data<T>() + row * n;
      const Moments m = kCentred ? moments(from, n) : moments_around_zero(from, n);
      const double inverse = 1.0 / std::sqrt(m.variance + epsilon_of(c));
      put(c.output(1), row, m.mean);
      put(c.output(2), row, inverse);
      if (c.output(0) == nullptr) continue;
      ref::for_each_element(normalized, strides, [&](int64_t i, const int64_t* offsets) {
        const double shift = at(bias, offsets[1], 0);
        put(c.output(0), row * n + i,
            (static_cast<double>(from[i]) - m.mean) * inverse * at(scale, offsets[0], 1) + shift);
      });
    }
  });
}

// y = (x - mean) / sqrt(variance + epsilon) * scale + bias over planes of one channel (axis 1) each.
template <typename MomentsOf>
Result<bool> channel_norm(const KernelContext& c, MomentsOf&& moments_of) {
  const Tensor& x = *c.inputs[0];
  if (x.count() == 0) return true;
  const int64_t channels = x.rank() < 2 ? 1 : x.shape()[1], plane = x.count() / (x.shape()[0] * channels);
  return on_floats(x.type(), [&]<typename T>() {
    for (int64_t i = 0; i < x.shape()[0] * channels; ++i) {
      const int64_t channel = i % channels;
      const Moments m = moments_of.template operator()<T>(x.data<T>() + i * plane, plane, channel);
      const double scale = at(c.inputs[1], channel, 1) / std::sqrt(m.variance + epsilon_of(c)),
                   bias = at(c.inputs[2], channel, 0);
      for (int64_t k = 0; k < plane; ++k)
        c.outputs[0]->data<T>()[i * plane + k] =
            static_cast<T>((static_cast<double>(x.data<T>()[i * plane + k]) - m.mean) * scale + bias);
    }
  });
}

Result<bool> batch_norm(const KernelContext& c) {
  return channel_norm(c, [&]<typename T>(const T*, int64_t, int64_t channel) {
    return Moments{at(c.inputs[3], channel, 0), at(c.inputs[4], channel, 1)};
  });
}

Result<bool> instance_norm(const KernelContext& c) {
  return channel_norm(c, []<typename T>(const T* x, int64_t n, int64_t) { return moments(x, n); });
}

Result<bool> group_norm(const KernelContext& c) {
  const Tensor& x = *c.inputs[0];
  if (x.count() == 0) return true;
  const int64_t groups = c.node.get<int64_t>("num_groups", 1), channels = x.shape()[1], width = channels / groups,
                plane = x.count() / (x.shape()[0] * channels);
  const int64_t per_scale = c.inputs[1]->count() == channels && c.opset >= 21 ? 1 : width;  // channels that share one
  return on_floats(x.type(), [&]<typename T>() {
    for (int64_t i = 0; i < x.shape()[0] * groups; ++i) {
      const T* from = x.data<T>() + i * width * plane;
      const Moments m = moments(from, width * plane);
      const double inverse = 1.0 / std::sqrt(m.variance + epsilon_of(c));
      for (int64_t k = 0; k < width * plane; ++k) {
        const int64_t which = (i % groups * width + k / plane) / per_scale;
        c.outputs[0]->data<T>()[i * width * plane + k] = static_cast<T>(
            (static_cast<double>(from[k]) - m.mean) * inverse * at(c.inputs[1], which, 1) + at(c.inputs[2], which, 0));
      }
    }
  });
}

// y = x / (bias + alpha / size * sum of squares over `size` channels around)^beta.
Result<bool> local_response(const KernelContext& c) {
  const Tensor& x = *c.inputs[0];
  if (x.count() == 0) return true;
  const int64_t size = c.node.get<int64_t>("size", 1), channels = x.shape()[1],
                plane = x.count() / (x.shape()[0] * channels);
  const double alpha = static_cast<double>(c.node.get<float>("alpha", 1e-4f)),
               beta = static_cast<double>(c.node.get<float>("beta", 0.75f)),
               bias = static_cast<double>(c.node.get<float>("bias", 1.0f));
  return on_floats(x.type(), [&]<typename T>() {
    for (int64_t i = 0; i < x.count(); ++i) {
      const int64_t channel = i / plane % channels, first = std::max<int64_t>(0, channel - (size - 1) / 2),
                    last = std::min(channels - 1, channel + size / 2);
      double squares = 0;
      for (int64_t k = first; k <= last; ++k) {
        const double value = static_cast<double>(x.data<T>()[i + (k - channel) * plane]);
        squares += value * value;
      }
      const double divisor = std::pow(bias + alpha / static_cast<double>(size) * squares, beta);
      c.outputs[0]->data<T>()[i] = static_cast<T>(static_cast<double>(x.data<T>()[i]) / divisor);
    }
  });
}

// Over any axes at once: y = (x - mean) / (standard deviation + 1e-9).
Result<bool> mean_variance(const KernelContext& c) {
  const Tensor& x = *c.inputs[0];
  if (x.count() == 0) return true;
  Shape kept = x.shape();
  for (const int64_t axis : c.node.get<Shape>("axes", {0, 2, 3})) kept[*normal_axis(axis, x.rank())] = 1;
  const ref::Extents groups[1] = {ref::broadcast_strides(kept, x.shape())};  // the group that an element belongs to
  const size_t count = static_cast<size_t>(ref::product(kept));
  const double n = static_cast<double>(x.count()) / static_cast<double>(count);
  return on_floats(x.type(), [&]<typename T>() {
    std::vector<double> mean(count, 0.0), variance(count, 0.0);
    const auto each = [&](auto&& f) {
      ref::for_each_element(x.shape(), groups, [&](int64_t i, const int64_t* group) {
        f(i, group[0], static_cast<double>(x.data<T>()[i]));
      });
    };
    each([&](int64_t, int64_t g, double value) { mean[g] += value / n; });
    each([&](int64_t, int64_t g, double value) { variance[g] += (value - mean[g]) * (value - mean[g]) / n; });
    each([&](int64_t i, int64_t g, double value) {
      c.outputs[0]->data<T>()[i] = static_cast<T>((value - mean[g]) / (std::sqrt(variance[g]) + 1e-9));
    });
  });
}

// x divided by its norm along an axis; zeros stay.
Result<bool> lp_norm(const KernelContext& c) {
  const Tensor& x = *c.inputs[0];
  if (x.count() == 0) return true;
  const int64_t axis = *normal_axis(c.node.get<int64_t>("axis", -1), x.rank()), n = x.shape()[axis];
  const bool absolute = c.node.get<int64_t>("p", 2) == 1;
  int64_t inner = 1;
  for (int64_t i = axis + 1; i < x.rank(); ++i) inner *= x.shape()[i];
  return on_floats(x.type(), [&]<typename T>() {
    for (int64_t row = 0; row < x.count() / n; ++row) {
      const int64_t start = row / inner * n * inner + row % inner;
      double sum = 0;
      for (int64_t i = 0; i < n; ++i) {
        const double value = static_cast<double>(x.data<T>()[start + i * inner]);
        sum += absolute ? std::fabs(value) : value * value;
      }
      const double norm = absolute ? sum : std::sqrt(sum);
      for (int64_t i = 0; i < n; ++i)
        c.outputs[0]->data<T>()[start + i * inner] =
            norm == 0 ? T{0} : static_cast<T>(static_cast<double>(x.data<T>()[start + i * inner]) / norm);
    }
  });
}

}  // namespace

void add_norm_kernels(std::vector<KernelEntry>* table) {
  table->push_back({"", "LayerNormalization", affine_norm<true>});
  table->push_back({"", "RMSNormalization", affine_norm<false>});
  table->push_back({"", "BatchNormalization", batch_norm});
  table->push_back({"", "InstanceNormalization", instance_norm});
  table->push_back({"", "GroupNormalization", group_norm});
  table->push_back({"", "LRN", local_response});
  table->push_back({"", "MeanVarianceNormalization", mean_variance});
  table->push_back({"", "LpNormalization", lp_norm});
}

}  // namespace hayate
