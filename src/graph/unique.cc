#include <algorithm>
#include <numeric>

#include "graph/op_table.h"

namespace hayate {
namespace {

// Orders slices of a tensor by their contents, element by element.
class SliceOrder {
 public:
  SliceOrder(const Tensor& tensor, std::optional<int64_t> axis) : tensor_(tensor) {
    if (!axis) {
      slices_ = tensor.count();
      return;
    }
    slices_ = tensor.shape()[*axis];
    for (int64_t i = 0; i < tensor.rank(); ++i)
      (i < *axis ? outer_ : i > *axis ? inner_ : slices_) *= i == *axis ? 1 : tensor.shape()[i];
  }

  int64_t slices() const { return slices_; }
  // Below 0, 0 or above: how slice a stands to slice b.
  int compare(int64_t a, int64_t b) const {
    int order = 0;
    visit_type(tensor_.type(), [&]<typename T>() {
      const T* data = tensor_.data<T>();
      for (int64_t o = 0; o < outer_ && order == 0; ++o)
        for (int64_t i = 0; i < inner_ && order == 0; ++i) {
          const T x = data[(o * slices_ + a) * inner_ + i], y = data[(o * slices_ + b) * inner_ + i];
          order = x < y ? -1 : y < x ? 1 : (x != x) - (y != y);  // NaN behind all numbers, equal to itself
        }
    });
    return order;
  }

 private:
  const Tensor& tensor_;
  int64_t outer_ = 1, slices_ = 1, inner_ = 1;
};

}  // namespace

std::pair<std::vector<int64_t>, std::vector<int64_t>> unique_slices(const Tensor& tensor, std::optional<int64_t> axis,
                                                                    bool sorted) {
  const SliceOrder order(tensor, axis);
  std::vector<int64_t> by_contents(static_cast<size_t>(order.slices()));
  std::iota(by_contents.begin(), by_contents.end(), 0);
  std::stable_sort(by_contents.begin(), by_contents.end(),
                   [&](int64_t a, int64_t b) { return order.compare(a, b) < 0; });
  std::vector<int64_t> first, group(by_contents.size());
  for (size_t i = 0; i < by_contents.size(); ++i) {
    if (i == 0 || order.compare(by_contents[i - 1], by_contents[i]) != 0) first.push_back(by_contents[i]);
    group[by_contents[i]] = static_cast<int64_t>(first.size()) - 1;
  }
  if (sorted) return {first, group};
  std::vector<int64_t> rank(first.size()), place(first.size()), by_place;
  std::iota(rank.begin(), rank.end(), 0);
  std::sort(rank.begin(), rank.end(), [&](int64_t a, int64_t b) { return first[a] < first[b]; });
  for (size_t i = 0; i < rank.size(); ++i) place[rank[i]] = static_cast<int64_t>(i), by_place.push_back(first[rank[i]]);
  for (int64_t& index : group) index = place[index];
  return {by_place, group};
}

}  // namespace hayate
