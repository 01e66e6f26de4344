#include "backends/native/view.h"

#include <algorithm>
#include <numeric>

namespace hayate::native {

int64_t View::count() const {
  return std::accumulate(shape.begin(), shape.end(), int64_t{1}, std::multiplies<int64_t>());
}

Shape row_major(const Shape& shape) {
  Shape strides(shape.size());
  int64_t step = 1;
  for (size_t i = shape.size(); i-- > 0;) {
    strides[i] = step;
    step *= shape[i];
  }
  return strides;
}

bool is_row_major(const View& view) {
  int64_t step = 1;
  for (size_t i = view.shape.size(); i-- > 0;) {
    if (view.shape[i] != 1 && view.strides[i] != step) return false;
    step *= view.shape[i];
  }
  return true;
}

View transposed(const View& view, const std::vector<int64_t>& perm) {
  View out = view;
  for (size_t i = 0; i < perm.size(); ++i) {
    out.shape[i] = view.shape[perm[i]];
    out.strides[i] = view.strides[perm[i]];
  }
  return out;
}

std::optional<View> reshaped(const View& view, const Shape& shape) {
  View out = view;
  out.shape = shape;
  out.strides.assign(shape.size(), 0);
  if (view.count() == 0) {
    out.strides = row_major(shape);
    return out;
  }
  // Axes of extent 1 carry nothing; the others are matched in groups of equal product, each of which must be dense in
  // itself.
  Shape extents, strides;
  for (size_t i = 0; i < view.shape.size(); ++i)
    if (view.shape[i] != 1) extents.push_back(view.shape[i]), strides.push_back(view.strides[i]);
  size_t from = 0, to = 0;
  while (from < extents.size() && to < shape.size()) {
    size_t from_end = from + 1, to_end = to + 1;
    int64_t have = extents[from], want = shape[to];
    while (have != want) {
      if (have < want)
        have *= extents[from_end++];
      else
        want *= shape[to_end++];
    }
    for (size_t i = from; i + 1 < from_end; ++i)
      if (strides[i] != extents[i + 1] * strides[i + 1]) return std::nullopt;
    int64_t step = strides[from_end - 1];
    for (size_t i = to_end; i-- > to;) {
      out.strides[i] = step;
      step *= shape[i];
    }
    from = from_end, to = to_end;
  }
  for (; to < shape.size(); ++to) out.strides[to] = 1;  // only extents of 1 are left
  return out;
}

View broadcast_to(const View& view, const Shape& shape) {
  View out = view;
  out.shape = shape;
  out.strides.assign(shape.size(), 0);
  const size_t missing = shape.size() - view.shape.size();
  for (size_t i = 0; i < view.shape.size(); ++i)
    out.strides[missing + i] = view.shape[i] == 1 && shape[missing + i] != 1 ? 0 : view.strides[i];
  return out;
}

Loop merged_loop(const std::vector<View>& views) {
  std::vector<size_t> axes;
  for (size_t i = 0; i < views[0].shape.size(); ++i)
    if (views[0].shape[i] != 1) axes.push_back(i);
  std::stable_sort(axes.begin(), axes.end(),
                   [&](size_t a, size_t b) { return views[0].strides[a] > views[0].strides[b]; });
  Loop loop;
  loop.strides.resize(views.size());
  for (const size_t axis : axes) {
    const int64_t extent = views[0].shape[axis];
    bool merges = !loop.extents.empty();
    for (size_t v = 0; v < views.size() && merges; ++v)
      merges = loop.strides[v].back() == extent * views[v].strides[axis];
    if (merges)
      loop.extents.back() *= extent;
    else
      loop.extents.push_back(extent);
    for (size_t v = 0; v < views.size(); ++v) {
      if (merges)
        loop.strides[v].back() = views[v].strides[axis];
      else
        loop.strides[v].push_back(views[v].strides[axis]);
    }
  }
  if (loop.extents.empty()) {
    loop.extents.push_back(1);
    for (Shape& strides : loop.strides) strides.push_back(1);
  }
  return loop;
}

}  // namespace hayate::native
