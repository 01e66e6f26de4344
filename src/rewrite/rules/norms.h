// What the norms' recognisers share: means over the last axes, inverse roots of a variance, and scale and bias behind.
#pragma once

#include <string>

#include "rewrite/pattern.h"

namespace hayate {

// `of` averaged over its axes `axis` to the last, which are kept with extent 1.
struct Mean {
  std::string of;
  int64_t axis = 0;
};
std::optional<Mean> last_mean(Editor* editor, const std::string& name);

// factor / sqrt(mean + epsilon); `mean` is a last_mean, `scale` holds one number for each position behind its axis.
struct InverseRoot {
  std::string mean;
  double epsilon = 0;
};
// `name` as 1 / root (Reciprocal, Div of 1, Pow -0.5), or as the root itself (Sqrt, Pow 0.5).
std::optional<InverseRoot> inverse_root(Editor* editor, const std::string& name);
std::optional<InverseRoot> root(Editor* editor, const std::string& name);

// The constant, as the flat values behind `axis`, that broadcasts along the axes before; nothing where it is another.
std::optional<Tensor> behind_axis(Editor* editor, const std::string& name, const Shape& shape, int64_t axis);

// The only reader of `name`, where it is `op` of it and such a constant.
struct Behind {
  Node* node = nullptr;
  Tensor values;
};
std::optional<Behind> read_with(Editor* editor, const std::string& name, std::string_view op, const Shape& shape,
                                int64_t axis);

// Turns `last` into the norm of x over its axes from `axis` on. scale and bias hold the values behind axis.
void make_norm(Editor* editor, Node* last, const std::string& op, const std::string& x, int64_t axis, double epsilon,
               const std::optional<Tensor>& scale, const std::optional<Tensor>& bias);

}  // namespace hayate
