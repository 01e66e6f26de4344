// Convolutions that a stream begins before the row comes: two nodes for one, and streams of them against full windows.
#include <cstring>
#include <limits>

#include "kernels/vector/kernels.h"
#include "one_node.h"
#include "streamed.h"

namespace hayate {
namespace {

// ---- two nodes for one

struct Cut {
  int64_t rank = 1, channels = 8, filters = 16, groups = 1, taps = 3, begun = 2, dilation = 1;
  bool bias = true, height = false;  // whether time is the first of two spatial axes

  std::string text() const {
    return std::to_string(rank) + "-D, " + std::to_string(channels) + " to " + std::to_string(filters) + " in " +
           std::to_string(groups) + ", " + std::to_string(begun) + " of " + std::to_string(taps) + " taps " +
           std::to_string(dilation) + " apart";
  }
};

Tensor random_tensor(const Shape& shape, unsigned seed) {
  Tensor made(Type::kFloat32, shape);
  const std::vector<float> values = noise(made.count(), seed);
  std::transform(values.begin(), values.end(), made.data<float>(), [](float value) { return 0.3f * value; });
  return made;
}

// Of one convolution over two images, of 9 places of time: the whole of it as `whole`, and what its halves make as
// `parts`, behind a LeakyRelu each.
Graph halves(const Cut& cut) {
  const bool flat = cut.rank == 1;
  const int64_t axis = flat || cut.height ? 2 : 3, length = 9, reach = (cut.taps - 1) * cut.dilation;
  Shape x = flat ? Shape{2, cut.channels, length} : Shape{2, cut.channels, 5, 5};
  x[static_cast<size_t>(axis)] = length;
  Shape kernel = flat ? Shape{1} : Shape{1, 1};
  if (!flat && cut.height) kernel = {1, 2};
  kernel[static_cast<size_t>(axis) - 2] = cut.taps;
  Shape weights{cut.filters, cut.channels / cut.groups};
  weights.insert(weights.end(), kernel.begin(), kernel.end());
  const Tensor w = random_tensor(weights, 3);

  Graph graph;
  graph.source = "halves", graph.opset = 17;
  ValueInfo input{"x", Type::kFloat32, true, {}};
  for (const int64_t extent : x) input.dims.push_back({extent, ""});
  graph.inputs = {input};
  graph.outputs = {{"whole", Type::kFloat32, false, {}}, {"parts", Type::kFloat32, false, {}}};
  graph.constants.emplace("w", w);
  graph.constants.emplace("b", random_tensor({cut.filters}, 4));
  const auto cut_x = [&](const std::string& name, int64_t first, int64_t end) {
    graph.constants.emplace(name + "_first", Tensor::of<int64_t>({1}, {first}));
    graph.constants.emplace(name + "_end", Tensor::of<int64_t>({1}, {end}));
    graph.constants.emplace(name + "_axis", Tensor::of<int64_t>({1}, {axis}));
    graph.nodes.push_back({name, "", "Slice", {"x", name + "_first", name + "_end", name + "_axis"}, {name}, {}});
  };
  cut_x("x0", 0, length - reach + (cut.begun - 1) * cut.dilation);
  cut_x("x1", cut.begun * cut.dilation, length);
  Shape dilations(kernel.size(), 1);
  dilations[static_cast<size_t>(axis) - 2] = cut.dilation;
  const Attributes common{{"group", cut.groups}, {"dilations", dilations}};
  Attributes ends = common;
  ends["axis"] = axis, ends["taps"] = cut.begun;
  Attributes begins = ends;
  begins["size"] = kernels::begun_size(cut.filters / cut.groups);
  const std::string bias = cut.bias ? "b" : "";
  graph.nodes.push_back({"conv", "", "Conv", {"x", "w", bias}, {"y"}, common});
  graph.nodes.push_back({"begin", "hayate", "ConvBegin", {"x0", "w", bias}, {"sums"}, begins});
  graph.nodes.push_back({"end", "hayate", "ConvEnd", {"x1", "w", "sums", bias}, {"z"}, ends});
  graph.nodes.push_back({"one", "", "LeakyRelu", {"y"}, {"whole"}, {}});
  graph.nodes.push_back({"two", "", "LeakyRelu", {"z"}, {"parts"}, {}});
  return graph;
}

void expect_parts_equal_the_whole(const std::map<std::string, Tensor>& outputs, const std::string& what) {
  const Tensor &whole = outputs.at("whole"), &parts = outputs.at("parts");
  ASSERT_EQ(whole.shape(), parts.shape()) << what;
  ASSERT_EQ(std::memcmp(whole.bytes(), parts.bytes(), whole.byte_count()), 0) << what;
}

TEST(Begun, TwoNodesHaveTheBitsOfOne) {
  std::vector<Cut> cuts;
  for (const int64_t filters : {3, 8, 16, 20, 32, 64, 65, 128, 130})
    for (const int64_t dilation : {1, 2}) cuts.push_back({.filters = filters, .dilation = dilation});
  for (const int64_t groups : {2, 4}) cuts.push_back({.channels = 32, .filters = 24, .groups = groups});
  for (const bool height : {false, true})
    for (const int64_t filters : {5, 16, 70})
      cuts.push_back({.rank = 2, .filters = filters, .taps = 4, .begun = 3, .bias = filters != 16, .height = height});
  cuts.push_back({.channels = 3, .taps = 4, .begun = 1, .dilation = 2});
  cuts.push_back({.filters = 1, .taps = 5, .begun = 2, .bias = false});
  for (const Cut& cut : cuts) {
    const Graph graph = halves(cut);
    const Tensor x = random_tensor(
        [&] {
          Shape shape;
          for (const auto& dim : graph.inputs[0].dims) shape.push_back(dim.value);
          return shape;
        }(),
        5);
    const auto reference = evaluate(graph, {{"x", x}});
    ASSERT_TRUE(reference.ok()) << cut.text() << ": " << reference.error().text();
    expect_parts_equal_the_whole(reference.value(), cut.text() + ", reference");
    expect_native_equals_reference(graph, {{"x", x}}, 0, cut.text());
    for (const kernels::Isa isa : kernels::supported_isas()) {
      const auto made = native::NativeExecutable::compile(graph, {{"x", {x.type(), x.shape()}}}, {.isa = isa});
      ASSERT_TRUE(made.ok()) << cut.text() << ": " << made.error().text();
      native::NativeState state(made.value());
      std::memcpy(state.input(0), x.bytes(), x.byte_count());
      ASSERT_TRUE(state.run().ok()) << cut.text();
      const size_t bytes = reference.value().at("whole").byte_count();
      ASSERT_EQ(std::memcmp(state.output(0), state.output(1), bytes), 0) << cut.text() << " " << isa_name(isa);
    }
  }
}

TEST(Begun, PartsThatDoNotFitAreRefused) {
  const Graph good = halves({});
  const auto fault = [&](const std::function<void(Node * begin, Node * end)>& spoil) {
    Graph graph = good;
    spoil(&graph.nodes[3], &graph.nodes[4]);
    const auto made = infer(graph, {{"x", {Type::kFloat32, {2, 8, 9}}}});
    return made.ok() ? "" : made.error().text();
  };
  EXPECT_EQ(fault([](Node*, Node*) {}), "");
  EXPECT_NE(
      fault([](Node* begin, Node*) { begin->attributes.erase("size"); }).find("size 0 does not hold the sums of 16"),
      std::string::npos);
  EXPECT_NE(fault([](Node*, Node* end) { end->inputs[0] = "x"; }).find("are none of its output"), std::string::npos);
  EXPECT_NE(fault([](Node*, Node* end) { end->inputs[2] = "x0"; }).find("are none of its output"), std::string::npos);
  for (const int64_t taps : {0, 3})
    EXPECT_NE(fault([&](Node* begin, Node* end) { begin->attributes["taps"] = end->attributes["taps"] = taps; }), "");
  EXPECT_NE(fault([](Node*, Node* end) { end->inputs[3] = "w"; }).find("bias"), std::string::npos);
}

// ---- streams

// Convolutions along time at random, of [1, T, F], some of them beside each other; to a few numbers of the window.
class Layers : public RandomGraph {
 public:
  explicit Layers(unsigned seed) : RandomGraph(seed, 0.3f) {
    window = 16 + pick(14);
    const int64_t features = 3 + pick(6);
    graph_.source = "layers", graph_.opset = 17;
    graph_.inputs = {{"x", Type::kFloat32, true, {{1, ""}, {window, ""}, {features, ""}}}};
    length_ = window;
    kind_ = static_cast<Kind>(pick(3));
    if (kind_ == kLine) {  // [1, F, T]
      name_ = add("Transpose", {"x"}, {{"perm", Shape{0, 2, 1}}});
      channels_ = features;
    } else {  // [1, 1, T, F] or [1, 1, F, T]
      name_ = kind_ == kDown ? "x" : add("Transpose", {"x"}, {{"perm", Shape{0, 2, 1}}});
      name_ = add("Unsqueeze", {name_, numbers({1})});
      channels_ = 1, across_ = features;
    }
    for (int64_t layers = 2 + pick(3); layers > 0; --layers) layer();
    end();
  }

 private:
  enum Kind { kLine, kDown, kAlong };  // one spatial axis; time is the first of two, or the second

  // An attribute of the spatial axes, of time and the other.
  Shape spatial(int64_t time, int64_t other) const {
    if (kind_ == kLine) return {time};
    return kind_ == kDown ? Shape{time, other} : Shape{other, time};
  }

  std::string convolution(const std::string& from, int64_t filters, int64_t before, int64_t after, int64_t taps,
                          int64_t dilation, int64_t stride, int64_t groups, int64_t other) {
    const Shape kernel = spatial(taps, other);
    Shape weights{filters, channels_ / groups}, pads = spatial(before, other / 2),
                                                end = spatial(after, (other - 1) / 2);
    weights.insert(weights.end(), kernel.begin(), kernel.end());
    pads.insert(pads.end(), end.begin(), end.end());
    std::vector<std::string> inputs{from, constant(weights)};
    if (pick(3) > 0) inputs.push_back(constant({filters}));
    const std::string made = add("Conv", inputs,
                                 {{"kernel_shape", kernel},
                                  {"pads", pads},
                                  {"group", groups},
                                  {"strides", spatial(stride, 1)},
                                  {"dilations", spatial(dilation, 1)}});
    return pick(4) == 0 ? made : add(pick(2) == 0 ? "LeakyRelu" : "Tanh", {made});
  }
  void layer() {
    constexpr int64_t kFilters[] = {3, 8, 16, 20, 32, 64, 65, 128, 130};
    const int64_t taps = 1 + pick(5), dilation = 1 + pick(3), reach = (taps - 1) * dilation,
                  stride = pick(6) == 0 ? 2 : 1;
    const int64_t where = pick(4);  // zeros before the window, on both sides, behind it, or none
    const int64_t before = where == 0   ? reach
                           : where == 1 ? reach / 2
                                        : 0,
                  after = where == 1   ? reach - reach / 2
                          : where == 2 ? reach
                                       : 0;
    if (length_ + before + after - reach < 5 * stride) return;
    const int64_t filters = kFilters[pick(9)];
    const int64_t groups = pick(4) == 0 && channels_ % 4 == 0 && filters % 4 == 0 ? 2 + 2 * pick(2) : 1;
    const int64_t other = kind_ == kLine ? 1 : 1 + pick(2);
    const std::string from = name_;
    name_ = convolution(from, filters, before, after, taps, dilation, stride, groups, other);
    if (stride == 1 && before + after == reach && pick(3) == 0) {  // another that sees the same columns
      const int64_t more = pick(2);
      const std::string beside = convolution(from, filters, reach + more, 0, taps + more,
                                             1 + (taps > 1 ? dilation - 1 : 0), 1, 1, 1 + (other - 1));
      if (more * dilation == more) name_ = add("Add", {name_, beside});
    }
    length_ = (length_ + before + after - reach - 1) / stride + 1;
    channels_ = filters;
  }
  void end() {
    const int64_t time = kind_ == kAlong ? 3 : 2;
    const bool recurrent = kind_ == kLine && pick(3) == 0;
    if (recurrent) {
      name_ = add("Transpose", {name_}, {{"perm", Shape{2, 0, 1}}});
      name_ = add("LSTM", {name_, constant({1, 20, channels_}), constant({1, 20, 5})}, {{"hidden_size", int64_t{5}}});
      name_ = add("Squeeze", {name_, numbers({1})});
      name_ = add("Gather", {name_, keep(Tensor::of<int64_t>({}, {-1}))}, {{"axis", int64_t{0}}});
    } else if (pick(3) == 0) {
      name_ = add("ReduceMax", {name_}, {{"axes", Shape{time}}, {"keepdims", int64_t{0}}});
    } else {
      name_ = add("Gather", {name_, keep(Tensor::of<int64_t>({}, {-1}))}, {{"axis", time}});
    }
    name_ = add("Flatten", {name_});
    const int64_t width = recurrent ? 5 : channels_ * across_;
    graph_.outputs = {{add("MatMul", {name_, constant({width, 3})}), Type::kFloat32, false, {}}};
  }

  Kind kind_ = kLine;
  int64_t channels_ = 0, across_ = 1, length_ = 0;
};

// What may happen to a stream between two rows: all that an answer leaves is done, or a piece of it, or nothing; it
// goes on from a snapshot of itself; or its window is given again.
void disturb(Stream* stream, int64_t r, const std::vector<float>& x) {
  if (r % 5 < 2) {
    ASSERT_TRUE(stream->settle().ok());
  } else if (r % 5 == 2) {
    Status status;
    (void)stream->settle_slice(&status);
    ASSERT_TRUE(status.ok());
  }
  if (r % 7 == 3) {
    const std::string snapshot = stream->snapshot();
    if (r % 2 == 0) stream->reset();
    ASSERT_TRUE(stream->restore(snapshot).ok());
  }
  if (r % 13 == 12) {
    ASSERT_TRUE(stream->refill(x.data(), r + 1).ok());
  }
}

TEST(Begun, StreamsEqualTheFullWindow) {
#ifdef HAYATE_SANITIZED
  constexpr int kModels = 12;
#else
  constexpr int kModels = 200;
#endif
  const std::string path = scratch_file("begun");
  int begun = 0;
  for (unsigned seed = 0; seed < kModels; ++seed) {
    const Layers layers(seed);
    const Model model = loaded(layers.graph(), path);
    const StreamExecutable executable = streamed(model, layers.window);
    const int64_t rows = 2 * layers.window + 5;
    const std::vector<float> x = noise(rows * executable.row_bytes() / 4, 21);
    for (const char* precision : {"fp32", "int8"})
      if (seed % 4 == 0 || std::string(precision) == "fp32")
        expect_equal(model, layers.window, rows, "seed " + std::to_string(seed) + ", " + precision, precision, 0,
                     [&](Stream* stream, int64_t r) { disturb(stream, r, x); });
    if (HasFatalFailure()) return;
    begun += executable.explain().find("taps before the row comes") != std::string::npos;
  }
  EXPECT_GT(begun, kModels / 3);
}

// A convolution in each of the forms that may begin does, and is right; what may not stays whole.
TEST(Begun, SaysHowManyTapsCameBefore) {
  struct Case {
    int64_t filters, taps, dilation, stride, before, after;
    const char* said;
  };
  for (const Case& each :
       {Case{64, 3, 1, 1, 2, 0, "2 of 3 taps"}, Case{64, 3, 4, 1, 8, 0, "2 of 3 taps"},
        Case{130, 5, 1, 1, 2, 2, "2 of 5 taps"}, Case{65, 4, 1, 1, 0, 0, "3 of 4 taps"},
        Case{64, 4, 1, 2, 0, 0, "3 of 4 taps"}, Case{64, 1, 1, 1, 0, 0, ""}, Case{3, 3, 1, 1, 2, 0, ""}}) {
    Graph graph;
    graph.source = "one", graph.opset = 17;
    graph.inputs = {{"x", Type::kFloat32, true, {{1, ""}, {20, ""}, {16, ""}}}};
    graph.constants.emplace("w0", random_tensor({40, 16, 1}, 1));
    graph.constants.emplace("w", random_tensor({each.filters, 40, each.taps}, 2));
    graph.constants.emplace("b", random_tensor({each.filters}, 3));
    graph.nodes = {{"t", "", "Transpose", {"x"}, {"t"}, {{"perm", Shape{0, 2, 1}}}},
                   {"first", "", "Conv", {"t", "w0"}, {"v"}, {}},
                   {"conv",
                    "",
                    "Conv",
                    {"v", "w", "b"},
                    {"y"},
                    {{"pads", Shape{each.before, each.after}},
                     {"dilations", Shape{each.dilation}},
                     {"strides", Shape{each.stride}}}},
                   {"max", "", "ReduceMax", {"y"}, {"z"}, {{"axes", Shape{2}}, {"keepdims", int64_t{0}}}}};
    graph.outputs = {{"z", Type::kFloat32, false, {}}};
    const std::string path = scratch_file("begun-one");
    const Model model = loaded(graph, path);
    for (const char* precision : {"fp32", "bf16", "int8"}) {
      const std::string said = streamed(model, 20, precision).explain(), what = std::string(each.said) + precision;
      const bool begins = std::string(precision) != "bf16" && *each.said != 0;
      EXPECT_EQ(said.find("taps before the row comes") != std::string::npos, begins) << said;
      if (begins) {
        EXPECT_NE(said.find(std::string(each.said) + " before the row comes"), std::string::npos) << said;
      }
      expect_equal(model, 20, 50, what, precision, 0);
    }
  }
}

// A row of NaN is in the sums that have begun, and leaves with its columns.
TEST(Begun, ARowOfNaNIsForgotten) {
  const Result<Model> model = Model::load(sample("tcn"));
  ASSERT_TRUE(model.ok());
  const StreamExecutable executable = streamed(model.value(), 64);
  const int64_t width = executable.row_bytes() / 4, rows = 150;
  std::vector<float> x = noise(rows * width, 4);
  x[static_cast<size_t>(10 * width)] = std::numeric_limits<float>::quiet_NaN();
  Whole whole(model.value(), 64, width);
  Stream stream = executable.stream();
  for (int64_t r = 0; r < rows; ++r) {
    ASSERT_TRUE(stream.push(x.data() + r * width).ok());
    const float got = *static_cast<const float*>(stream.output(0)), wanted = *whole.at(x, r);
    ASSERT_TRUE(got == wanted || (std::isnan(got) && std::isnan(wanted))) << "row " << r;
    if (r % 2 == 0) {
      ASSERT_TRUE(stream.settle().ok());
    }
  }
}

}  // namespace
}  // namespace hayate
