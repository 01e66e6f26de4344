// Indices that a caller feeds: outside of the data they cost an error that names the node, on every backend and
// instruction set, and the next run is right again.
#include <gtest/gtest.h>

#include "conformance/backends.h"
#include "one_node.h"

namespace hayate {
namespace {

struct Case {
  OneNode one;
  std::vector<int64_t> outside;  // contents of input 1 (all the same) that are refused
};

Tensor filled(const Shape& shape, int64_t value) {
  Tensor made(Type::kInt64, shape);
  std::fill_n(made.data<int64_t>(), made.count(), value);
  return made;
}

std::vector<Case> cases() {
  const std::vector<int64_t> ends{3, -4, INT64_MAX, INT64_MIN, int64_t{1} << 40};
  const Tensor x = random_floats({3, 3}, 1);
  return {{OneNode("Gather", {x, filled({2}, 2)}), ends},
          {OneNode("Gather", {x, filled({}, 2)}, {{"axis", int64_t{1}}}), ends},
          {OneNode("GatherElements", {x, filled({3, 3}, 2)}), ends},
          {OneNode("GatherND", {x, filled({1, 2}, 2)}), ends},
          {OneNode("ScatterElements", {x, filled({1, 3}, 2), random_floats({1, 3}, 2)}), ends},
          {OneNode("ScatterND", {x, filled({1, 2}, 2), random_floats({1}, 2)}), ends},
          {OneNode("ReverseSequence", {x, filled({3}, 2)}), {4, -1, INT64_MAX, INT64_MIN}},
          {OneNode("CumSum", {x, filled({}, 1)}), {2, -3, INT64_MAX, INT64_MIN}}};
}

TEST(RunTimeIndices, OutsideTheDataAreErrorsThatNameTheNode) {
  for (const Case& each : cases())
    for (const conformance::Backend& backend : conformance::backends()) {
      const std::string what = backend.name + " " + each.one.node.op;
      ASSERT_TRUE(backend.run(each.one.graph(), each.one.feeds()).ok()) << what;
      for (const int64_t value : each.outside) {
        auto feeds = each.one.feeds();
        feeds["i1"] = filled(feeds["i1"].shape(), value);
        const auto ran = backend.run(each.one.graph(), feeds);
        ASSERT_FALSE(ran.ok()) << what << " " << value;
        EXPECT_NE(ran.error().text().find(each.one.node.op), std::string::npos) << ran.error().text();
      }
    }
}

// Slice clamps: any numbers are right, and none reads outside.
TEST(RunTimeIndices, SliceTakesAnyNumbers) {
  const std::vector<int64_t> wild{INT64_MIN, INT64_MIN + 1, -5, -1, 0, 2, 7, INT64_MAX - 1, INT64_MAX};
  const Tensor x = Tensor::of<float>({5}, {0, 1, 2, 3, 4});
  for (const int64_t start : wild)
    for (const int64_t end : wild)
      for (const int64_t step : {int64_t{1}, int64_t{-1}, int64_t{3}, INT64_MAX, INT64_MIN + 1}) {
        OneNode one("Slice", {x, filled({1}, start), filled({1}, end), filled({1}, 0), filled({1}, step)});
        one.constants = {1, 2, 3, 4};
        expect_native_equals_reference(one, -1, std::to_string(start) + " " + std::to_string(end));
      }
}

TEST(RunTimeIndices, ASessionGoesOnAfterOne) {
  const OneNode one("Gather", {random_floats({3, 3}, 1), filled({2}, 2)});
  const auto made =
      native::NativeExecutable::compile(one.graph(), {{"i0", {Type::kFloat32, {3, 3}}}, {"i1", {Type::kInt64, {2}}}});
  ASSERT_TRUE(made.ok()) << made.error().text();
  native::NativeState state(made.value());
  const Tensor x = one.feeds().at("i0");
  std::memcpy(state.input(0), x.bytes(), x.byte_count());
  for (const int64_t index : {int64_t{1}, int64_t{99}, int64_t{-1}, INT64_MIN, int64_t{2}}) {
    const Tensor indices = filled({2}, index);
    std::memcpy(state.input(1), indices.bytes(), indices.byte_count());
    const bool inside = index >= -3 && index < 3;
    ASSERT_EQ(state.run().ok(), inside) << index;
    if (!inside) continue;
    EXPECT_EQ(std::memcmp(state.output(0), x.data<float>() + (index + 3) % 3 * 3, 3 * sizeof(float)), 0) << index;
  }
}

}  // namespace
}  // namespace hayate
