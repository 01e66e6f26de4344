// What is not needed is not computed, and what is keeps its bits.
#include "rewrite/needed.h"

#include "eval/macs.h"
#include "import/import.h"
#include "one_node.h"
#include "rewrite/rewrite.h"
#include "streamed.h"

namespace hayate {
namespace {

struct Pruned {
  Graph before, after;
  std::map<std::string, TensorType> types;
  bool changed = false;
  int64_t macs_before = 0, macs_after = 0;
};

Pruned pruned(const Graph& graph) {
  Pruned made;
  for (const ValueInfo& input : graph.inputs) {
    TensorType type{input.type, {}};
    for (const auto& dim : input.dims) type.shape.push_back(dim.fixed() ? dim.value : 1);
    made.types[input.name] = type;
  }
  made.before = rewrite(graph, made.types).value();
  const Result<Facts> facts = infer(made.before, made.types);
  made.after = needed_places(made.before, facts.value(), &made.changed);
  const Result<Facts> after = infer(made.after, made.types);
  EXPECT_TRUE(after.ok()) << after.error().text() << "\n" << made.after.text();
  made.macs_before = macs_of(made.before, facts.value());
  if (after.ok()) made.macs_after = macs_of(made.after, after.value());
  return made;
}

void expect_same_bits(const Pruned& made, const std::string& what) {
  std::map<std::string, Tensor> feeds;
  uint64_t seed = 3;
  for (const auto& [name, type] : made.types) feeds.emplace(name, random_floats(type.shape, seed++));
  const auto wanted = evaluate(made.before, feeds), got = evaluate(made.after, feeds);
  ASSERT_TRUE(wanted.ok() && got.ok()) << what << " " << (got.ok() ? "" : got.error().text()) << "\n"
                                       << made.after.text();
  for (const auto& [name, tensor] : wanted.value()) {
    ASSERT_EQ(got.value().at(name).shape(), tensor.shape()) << what;
    ASSERT_EQ(std::memcmp(got.value().at(name).bytes(), tensor.bytes(), tensor.byte_count()), 0)
        << what << "\n"
        << made.before.text() << "\n"
        << made.after.text();
  }
}

TEST(Needed, ACausalStackIsComputedWhereItsEndLooks) {
  for (const auto& [name, share] : {std::pair<const char*, double>{"tcn", 0.35}, {"tcn_long", 0.35}}) {
    const Result<Graph> graph = import_model(sample(name));
    ASSERT_TRUE(graph.ok());
    const Pruned made = pruned(graph.value());
    EXPECT_TRUE(made.changed);
    EXPECT_LT(static_cast<double>(made.macs_after), share * static_cast<double>(made.macs_before)) << name;
    expect_same_bits(made, name);
  }
}

TEST(Needed, WhatIsWantedWholeStays) {
  for (const char* name : {"transformer", "gru", "mlp_small"}) {
    const Result<Graph> graph = import_model(sample(name));
    ASSERT_TRUE(graph.ok());
    const Pruned made = pruned(graph.value());
    EXPECT_EQ(made.macs_after, made.macs_before) << name;
    expect_same_bits(made, name);
  }
}

TEST(Needed, RandomModelsKeepTheirBits) {
  int fewer = 0;
#ifdef HAYATE_SANITIZED
  constexpr unsigned kModels = 100;
#else
  constexpr unsigned kModels = 600;
#endif
  for (unsigned seed = 0; seed < kModels; ++seed) {
    const RandomModel random(seed);
    const Pruned made = pruned(random.graph());
    expect_same_bits(made, "seed " + std::to_string(seed));
    if (HasFatalFailure()) return;
    fewer += made.macs_after < made.macs_before;
  }
  EXPECT_GT(fewer, static_cast<int>(kModels) / 6);
}

}  // namespace
}  // namespace hayate
