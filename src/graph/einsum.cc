#include "graph/einsum.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <map>

#include "graph/rule_checks.h"

namespace hayate {
namespace {

// Letters stand for themselves; the axes of an ellipsis are kEllipsis + distance from its right end.
using Labels = std::vector<int>;
constexpr int kEllipsis = 256;
constexpr int64_t kLoopsMax = int64_t{1} << 40;  // multiplications of one equation

// The labels of a term; `ellipsis_rank` axes stand in place of "...".
Result<Labels> labels_of(const Node& node, std::string_view term, int64_t ellipsis_rank) {
  Labels labels;
  for (size_t i = 0; i < term.size(); ++i) {
    if (term[i] == ' ') continue;
    if (std::isalpha(static_cast<unsigned char>(term[i])) != 0) {
      labels.push_back(static_cast<unsigned char>(term[i]));
    } else if (term.substr(i, 3) == "...") {
      for (int64_t k = ellipsis_rank; k-- > 0;) labels.push_back(kEllipsis + static_cast<int>(k));
      i += 2;
    } else {
      return bad(node,
                 fmt::format("term '{}' of its equation holds '{}'; letters and ... are accepted", term, term[i]));
    }
  }
  return labels;
}

std::vector<std::string_view> terms_of(std::string_view inputs) {
  std::vector<std::string_view> terms;
  for (size_t at = 0;; at = inputs.find(',', at) + 1) {
    terms.push_back(inputs.substr(at, inputs.find(',', at) - at));
    if (inputs.find(',', at) == std::string_view::npos) return terms;
  }
}

int64_t letters_in(std::string_view term) {
  return std::count_if(term.begin(), term.end(), [](unsigned char c) { return std::isalpha(c) != 0; });
}

// Without "->": the ellipsis, then every letter that occurs once, in alphabetical order.
Labels implicit_output(const std::vector<Labels>& operands) {
  std::map<int, int> counts;
  Labels out;
  int64_t ellipsis = 0;
  for (const Labels& labels : operands)
    for (const int label : labels) {
      if (label >= kEllipsis)
        ellipsis = std::max<int64_t>(ellipsis, label - kEllipsis + 1);
      else
        ++counts[label];
    }
  for (int64_t k = ellipsis; k-- > 0;) out.push_back(kEllipsis + static_cast<int>(k));
  for (const auto& [label, count] : counts)
    if (count == 1) out.push_back(label);
  return out;
}

Result<std::map<int, int64_t>> extents_of(const Node& node, const std::vector<Labels>& operands,
                                          const std::vector<Shape>& shapes) {
  std::map<int, int64_t> extents;
  for (size_t k = 0; k < operands.size(); ++k) {
    if (operands[k].size() != shapes[k].size())
      return bad(node, fmt::format("operand {} of its equation has {} axes, its shape is {}", k, operands[k].size(),
                                   shape_text(shapes[k])));
    for (size_t i = 0; i < shapes[k].size(); ++i) {
      int64_t& extent = extents.emplace(operands[k][i], 1).first->second;
      if (extent != shapes[k][i] && extent != 1 && shapes[k][i] != 1)
        return bad(node, fmt::format("one label of its equation stands for {} and for {}", extent, shapes[k][i]));
      if (extent == 1) extent = shapes[k][i];
    }
  }
  return extents;
}

Shape strides_of(const Labels& all, const Labels& operand, const Shape& shape) {
  Shape strides(all.size(), 0);
  int64_t step = 1;
  for (size_t i = shape.size(); i-- > 0; step *= shape[i])
    if (shape[i] != 1)  // a label that repeats walks its diagonal
      strides[std::find(all.begin(), all.end(), operand[i]) - all.begin()] += step;
  return strides;
}

}  // namespace

Result<EinsumLoops> einsum_loops(const Node& node, const std::vector<Shape>& shapes) {
  const std::string equation = node.get<std::string>("equation", "");
  const size_t arrow = equation.find("->");
  const std::vector<std::string_view> terms = terms_of(std::string_view(equation).substr(0, arrow));
  if (terms.size() != shapes.size())
    return bad(node,
               fmt::format("equation '{}' is for {} operands, {} are given", equation, terms.size(), shapes.size()));
  std::vector<Labels> operands;
  int64_t ellipsis = 0;
  for (size_t k = 0; k < terms.size(); ++k) {
    const int64_t rank = std::max<int64_t>(0, static_cast<int64_t>(shapes[k].size()) - letters_in(terms[k]));
    Result<Labels> labels = labels_of(node, terms[k], rank);
    if (!labels.ok()) return labels.error();
    if (terms[k].find("...") != std::string_view::npos) ellipsis = std::max(ellipsis, rank);
    operands.push_back(std::move(labels).value());
  }
  const Result<std::map<int, int64_t>> extents = extents_of(node, operands, shapes);
  if (!extents.ok()) return extents.error();
  Labels all = implicit_output(operands);
  if (arrow != std::string::npos) {
    Result<Labels> given = labels_of(node, std::string_view(equation).substr(arrow + 2), ellipsis);
    if (!given.ok()) return given.error();
    all = std::move(given).value();
  }
  EinsumLoops loops;
  int64_t total = 1;
  for (size_t i = 0; i < all.size(); ++i) {
    const auto it = extents.value().find(all[i]);
    if (it == extents.value().end() || std::count(all.begin(), all.end(), all[i]) != 1)
      return bad(node,
                 fmt::format("the output of equation '{}' repeats a label or names one no operand has", equation));
    loops.output.push_back(it->second);
  }
  for (const auto& [label, extent] : extents.value())
    if (std::find(all.begin(), all.end(), label) == all.end()) all.push_back(label), loops.summed.push_back(extent);
  for (const int label : all) {
    const int64_t extent = extents.value().at(label);
    if (extent != 0 && total > kLoopsMax / extent)
      return bad(node, fmt::format("equation '{}' takes too many steps", equation));
    total *= extent;
  }
  for (size_t k = 0; k < shapes.size(); ++k) loops.strides.push_back(strides_of(all, operands[k], shapes[k]));
  return loops;
}

}  // namespace hayate
