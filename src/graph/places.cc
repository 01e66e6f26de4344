#include "graph/places.h"

#include <algorithm>
#include <numeric>

namespace hayate {

Places both(const Places& a, const Places& b) {
  Places made = a;
  int64_t step = std::abs(a.start - b.start);
  if (a.count > 1) step = std::gcd(step, a.step);
  if (b.count > 1) step = std::gcd(step, b.step);
  made.start = std::min(a.start, b.start);
  made.step = std::max<int64_t>(step, 1);
  made.count = (std::max(a.last(), b.last()) - made.start) / made.step + 1;
  return made;
}

std::optional<Narrowed> narrowed(Window w, const Places& need, int64_t length) {
  const size_t t = static_cast<size_t>(need.axis) - 2;
  const int64_t reach = (w.kernel[t] - 1) * w.dilation[t];
  // Where the windows read, places of padding included.
  const int64_t first = need.start * w.stride[t] - w.pads_begin[t],
                last = need.last() * w.stride[t] - w.pads_begin[t] + reach;
  int64_t step = 0;
  if (need.count > 1) step = std::gcd(step, need.step * w.stride[t]);
  if (w.kernel[t] > 1) step = std::gcd(step, w.dilation[t]);
  step = std::max<int64_t>(step, 1);
  const int64_t before = first < 0 ? (-first + step - 1) / step : 0,
                behind = last >= length ? (last - length) / step + 1 : 0;
  const Places reads{need.axis, first + before * step, step, (last - first) / step + 1 - before - behind};
  if (reads.count < 1) return std::nullopt;  // padding alone
  w.stride[t] = need.count > 1 ? need.step * w.stride[t] / step : 1;
  w.dilation[t] = w.kernel[t] > 1 ? w.dilation[t] / step : 1;
  w.pads_begin[t] = before, w.pads_end[t] = behind;
  return Narrowed{reads, std::move(w)};
}

void set_window(const Window& w, Node* node) {
  const bool apart =
      node->is("Conv") && w.kernel.back() > 1 && w.dilation.back() != node->get<Shape>("dilations", w.dilation).back();
  Shape pads = w.pads_begin;
  pads.insert(pads.end(), w.pads_end.begin(), w.pads_end.end());
  node->attributes["strides"] = w.stride, node->attributes["pads"] = pads;
  node->attributes["auto_pad"] = std::string("NOTSET");
  if (node->is("Conv") || node->attributes.contains("dilations") || w.dilation != Shape(w.dilation.size(), 1))
    node->attributes["dilations"] = w.dilation;
  if (apart) node->attributes["taps_apart"] = int64_t{1};
}

}  // namespace hayate
