#include "import/xgboost/xgboost.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>

#include "eval/evaluate.h"
#include "import/import.h"

namespace hayate {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

// x0 < 0.5 ? (x1 in {2} ? 4 : 1) : 2, missing x0 left, missing x1 right. Node 5 is not reached.
const char* const kTree =
    R"({"tree_param":{"num_nodes":"6","size_leaf_vector":"1"},"left_children":[1,3,-1,-1,-1,-1],"right_children":[2,4,-1,-1,-1,-1],"split_indices":[0,1,0,0,0,77],)"
    R"("split_conditions":[5E-1,1E0,2E0,1E0,4E0,0E0],"default_left":[1,0,0,0,0,0],"split_type":[0,1,0,0,0,0],"categories":[2],"categories_nodes":[1],"categories_segments":[0],"categories_sizes":[1]})";

std::string booster(const std::string& trees, const std::string& info) {
  return fmt::format(R"({{"model":{{"tree_info":[{}],"trees":[{}]}},"name":"gbtree"}})", info, trees);
}

std::string model(const std::string& gradient_booster, const std::string& objective = "reg:squarederror",
                  const std::string& base = "[5E-1]", int classes = 0) {
  return fmt::format(
      R"({{"learner":{{"gradient_booster":{},"learner_model_param":{{"base_score":"{}","num_class":"{}","num_feature":"2","num_target":"1"}},"objective":{{"name":"{}"}}}},"version":[3,2,0]}})",
      gradient_booster, base, classes, objective);
}

std::string one_tree(const std::string& objective = "reg:squarederror", const std::string& base = "[5E-1]") {
  return model(booster(kTree, "0"), objective, base);
}

// The document in XGBoost's UBJSON: typed arrays of numbers, counted arrays of the rest.
class Ubjson {
 public:
  static std::string of(const Document& document) {
    Ubjson writer;
    writer.value(document);
    return writer.out_;
  }

 private:
  void big_endian(uint64_t bits, int bytes) {
    for (int i = bytes - 1; i >= 0; --i) out_ += static_cast<char>(bits >> (8 * i));
  }
  void length(size_t n) { out_ += 'L', big_endian(n, 8); }
  void text(const std::string& t) { length(t.size()), out_ += t; }

  void value(const Document& d) {
    switch (d.kind) {
      case Document::Kind::kNull:
        out_ += 'Z';
        break;
      case Document::Kind::kNumber:
        out_ += 'd', big_endian(std::bit_cast<uint32_t>(static_cast<float>(d.number)), 4);
        break;
      case Document::Kind::kText:
        out_ += 'S', text(d.text);
        break;
      case Document::Kind::kArray:
        array(d);
        break;
      case Document::Kind::kObject:
        out_ += '{';
        for (const auto& [key, field] : d.fields) text(key), value(field);
        out_ += '}';
    }
  }

  void array(const Document& d) {
    out_ += d.numbers.empty() ? "[#" : "[$d#";
    length(d.numbers.size() + d.items.size());
    for (const double n : d.numbers) big_endian(std::bit_cast<uint32_t>(static_cast<float>(n)), 4);
    for (const Document& item : d.items) value(item);
  }

  std::string out_;
};

Result<Graph> load(const std::string& bytes, bool raw = false) {
  return import_model(bytes, "m.json", ImportOptions{raw});
}

std::vector<double> scores(const Result<Graph>& graph, const std::vector<float>& x) {
  EXPECT_TRUE(graph.ok()) << graph.error().text();
  if (!graph.ok()) return {};
  const auto out = evaluate(graph.value(), {{"input", Tensor::of<float>({static_cast<int64_t>(x.size() / 2), 2}, x)}});
  EXPECT_TRUE(out.ok()) << out.error().text();
  return out.ok() ? to_doubles(out.value().at("output")) : std::vector<double>();
}
std::vector<double> predict(const std::string& json, const std::vector<float>& x, bool raw = false) {
  return scores(load(json, raw), x);
}

using Values = std::vector<double>;
const std::vector<float> kRows = {0.5f, 0, 0.49f, 0, 0.49f, 2, kNan, 2, 0, kNan, 0, -1};
const Values kSums = {2.5, 1.5, 4.5, 4.5, 4.5, 1.5};

TEST(XgBoost, SplitsMissingAndCategories) { EXPECT_EQ(predict(one_tree(), kRows), kSums); }

TEST(XgBoost, BothFormatsGiveTheSame) {
  MemoryClaim memory;
  const Result<Document> document = parse_json(one_tree(), "m", &memory);
  ASSERT_TRUE(document.ok());
  EXPECT_EQ(predict(Ubjson::of(document.value()), kRows), kSums);
}

TEST(XgBoost, BaseScoreOfAllVersions) {
  for (const char* base : {"5E-1", "0.5", "[5E-1]", "[0.5]"})
    EXPECT_EQ(predict(one_tree("reg:squarederror", base), kRows), kSums) << base;
  const std::string two = model(booster(std::string(kTree) + "," + kTree, "0,1"), "multi:softprob", "[1E0,-2E0]", 2);
  EXPECT_EQ(predict(two, {0.5f, 0}, true), (Values{3, 0}));
}

TEST(XgBoost, ObjectivesTransformInFloat32) {
  const auto one = [](const char* objective, const char* base) {
    return static_cast<float>(predict(one_tree(objective, base), {0.5f, 0})[0]);
  };
  const float logit = -std::log(1.0f / 0.25f - 1.0f) + 2.0f;
  EXPECT_EQ(one("binary:logistic", "[2.5E-1]"), 1.0f / (std::exp(-logit) + 1.0f + 1e-16f));
  EXPECT_EQ(one("binary:logitraw", "[2.5E-1]"), 2.25f);
  EXPECT_EQ(one("count:poisson", "[2.5E-1]"), std::exp(std::log(0.25f) + 2.0f));
  EXPECT_EQ(one("binary:hinge", "[-3E0]"), 0.0f);
  EXPECT_EQ(one("rank:ndcg", "[5E-1]"), 2.5f);
  const std::string two = model(booster(std::string(kTree) + "," + kTree, "0,1"), "multi:softmax", "[1E0,2E0]", 2);
  EXPECT_EQ(predict(two, {0.5f, 0}), Values{1}) << "the class";
}

TEST(XgBoost, DartScalesItsTrees) {
  const std::string dart = fmt::format(R"({{"gbtree":{},"name":"dart","weight_drop":[5E-1,1E0]}})",
                                       booster(std::string(kTree) + "," + kTree, "0,0"));
  EXPECT_EQ(predict(model(dart), {0.5f, 0}), Values{3.5});
}

TEST(XgBoost, DecimalsRoundOnceToFloat32) {
  // Halfway between two floats but for the last digit: through float64 it would round to the even one.
  const std::string number = "1.00000017881393432617187500001";
  std::string text = one_tree("reg:squarederror", "[0E0]");
  text.replace(text.find("2E0"), 3, number);
  EXPECT_EQ(predict(text, {0.5f, 0}), Values{static_cast<double>(1.00000023841857910156f)});
}

void expect_error(const std::string& text, const std::string& what) {
  const Result<Graph> graph = load(text);
  ASSERT_FALSE(graph.ok()) << what;
  EXPECT_NE(graph.error().text().find(what), std::string::npos) << graph.error().text();
}

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  return text.replace(text.find(from), from.size(), to);
}

TEST(XgBoost, FaultsAreNamedWithTreeAndField) {
  const std::string good = one_tree();
  expect_error(replaced(good, "[1,3,-1", "[1,0,-1"), "tree 0: node 1: child 0 of 6");
  expect_error(replaced(good, "[1,3,-1", "[1,1,-1"), "cycle");
  expect_error(replaced(good, "[2,4,-1", "[2,6,-1"), "child 6 of 6");
  expect_error(replaced(good, "[0,1,0,0,0,77]", "[2,1,0,0,0,77]"), "tree 0: node 0: feature 2 of 2");
  expect_error(replaced(good, "[0,1,0,0,0,77]", "[0,1,0,0,0]"), "differ in length");
  expect_error(replaced(good, R"("categories":[2])", R"("categories":[-1])"), "a category is outside");
  expect_error(replaced(good, R"("categories":[2])", R"("categories":[16777216])"), "a category is outside");
  expect_error(replaced(good, R"("categories_sizes":[1])", R"("categories_sizes":[2])"), "its categories 0 + 2 of 1");
  expect_error(replaced(good, R"("categories_nodes":[1])", R"("categories_nodes":[9])"), "node 9 of 6");
  expect_error(replaced(good, R"("tree_info":[0])", R"("tree_info":[1])"), "adds to output 1 of 1");
  expect_error(replaced(good, R"("tree_info":[0])", R"("tree_info":[])"), "0 numbers for 1 trees");
  expect_error(replaced(good, "[5E-1]\"", "[x]\""), "field base_score: is '[x]'");
  expect_error(replaced(good, "[5E-1]\"", "[1,2]\""), "2 numbers for 1 outputs");
  expect_error(replaced(good, R"("num_feature":"2")", R"("num_feature":"-2")"), "field num_feature");
  expect_error(replaced(good, R"("num_class":"0")", R"("num_class":"999999999999")"), "field num_class");
  expect_error(replaced(good, "gbtree", "gbforest"), "booster 'gbforest' is not supported");
  expect_error(replaced(good, "gbtree", "gblinear"), "holds 0 numbers; 2 features and a bias for 1 outputs need 3");
  expect_error(replaced(good, R"("size_leaf_vector":"1")", R"("size_leaf_vector":"3")"), "leaves of 3 weights");
  expect_error(replaced(good, "reg:squarederror", "reg:mystery"), "'reg:mystery' is unknown; --raw-score");
  expect_error(one_tree("count:poisson", "[0E0]"), "above 0");
  expect_error("{}", "has no field learner");
  expect_error(R"({"name":"tree"})", "LightGBM's JSON dump");
  expect_error(R"({"a":[)", "JSON");
  expect_error(R"({"a":)" + std::string(100, '[') + std::string(100, ']') + "}", "nested deeper");
  EXPECT_TRUE(load(replaced(good, "reg:squarederror", "reg:mystery"), true).ok());
}

TEST(XgBoost, CutAnywhereItIsAnError) {
  MemoryClaim memory;
  const std::string json = one_tree(), ubjson = Ubjson::of(parse_json(json, "m", &memory).value());
  for (const std::string& whole : {json, ubjson})
    for (size_t length = 0; length < whole.size(); ++length) EXPECT_FALSE(load(whole.substr(0, length)).ok()) << length;
}

TEST(XgBoost, AnyChangedByteIsAnErrorOrAModel) {
  MemoryClaim memory;
  const std::string json = one_tree(), ubjson = Ubjson::of(parse_json(json, "m", &memory).value());
  for (const std::string& whole : {json, ubjson})
    for (size_t at = 0; at < whole.size(); ++at)
      for (int bit = 0; bit < 8; ++bit) {
        std::string changed = whole;
        changed[at] = static_cast<char>(changed[at] ^ 1 << bit);
        const Result<Graph> graph = load(changed);
        if (graph.ok() && graph.value().inputs[0].dims[1].value == 2)
          (void)evaluate(graph.value(), {{"input", Tensor::of<float>({1, 2}, {1, 0})}});
      }
}

TEST(Ubjson, LengthsBeyondTheBytesAreErrors) {
  MemoryClaim memory;
  using namespace std::string_literals;
  for (const std::string& bytes : {"[$d#L\x10\0\0\0\0\0\0\0"s, "[$d#L\xff\xff\xff\xff\xff\xff\xff\xff"s,
                                   "{L\0\0\0\0\0\0\0\x20"
                                   "ab"s,
                                   "[#l\x7f\xff\xff\xff"s, "[$Z#i\x01"s, "[$d"s, "[$di\x01"s, "[#S"s, "Sd\x41\0\0\0"s,
                                   "q"s, ""s, "[i\x01{}]"s, "i\x01i\x01"s})
    EXPECT_FALSE(parse_ubjson(bytes, "m", &memory).ok()) << bytes;
  const Result<Document> deep = parse_ubjson(std::string(100000, '['), "m", &memory);
  ASSERT_FALSE(deep.ok());
  EXPECT_NE(deep.error().what.find("nested deeper"), std::string::npos);
}

TEST(Ubjson, ManyValuesAreRefusedBeforeTheyTakeMemory) {
  MemoryClaim memory;
  const Result<Document> d = parse_ubjson("[" + std::string(size_t{1} << 23, 'Z') + "]", "m", &memory);
  ASSERT_FALSE(d.ok());
  EXPECT_NE(d.error().what.find("more than"), std::string::npos);
}

TEST(Ubjson, EveryNumberType) {
  MemoryClaim memory;
  using namespace std::string_literals;
  const Result<Document> d =
      parse_ubjson("[i\xffU\xffI\xff\xfel\0\0\1\0L\0\0\0\1\0\0\0\0d\x3f\0\0\0D\x3f\xe0\0\0\0\0\0\0TF]"s, "m", &memory);
  ASSERT_TRUE(d.ok()) << d.error().text();
  EXPECT_EQ(d.value().numbers, (std::vector<double>{-1, 255, -2, 256, 4294967296.0, 0.5, 0.5, 1, 0}));
}

}  // namespace
}  // namespace hayate
