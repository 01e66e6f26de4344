#include "random/dice.h"

#include <type_traits>

namespace hayate::random_graphs {

Tensor Dice::tensor(Type type, const Shape& shape, double scale) {
  if (is_half_float(type)) {
    Tensor half(type, shape);
    doubles_to_halves(tensor(Type::kFloat64, shape, scale), &half);
    return half;
  }
  Tensor made(type, shape);
  visit_type(type, [&]<typename T>() {
    for (int64_t i = 0; i < made.count(); ++i) {
      if constexpr (std::is_same_v<T, bool>) {
        made.data<T>()[i] = one_in(2);
      } else if constexpr (std::is_floating_point_v<T>) {
        made.data<T>()[i] = static_cast<T>(normal() * scale);
      } else {
        made.data<T>()[i] = static_cast<T>(between(std::is_signed_v<T> ? -3 : 0, 6));
      }
    }
  });
  return made;
}

}  // namespace hayate::random_graphs
