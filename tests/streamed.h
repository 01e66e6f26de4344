// Streams beside the full window, for their tests.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "graph/graph.h"
#include "hayate/stream.h"
#include "import/onnx/onnx_writer.h"
#include "tensor/tensor.h"

namespace hayate {

inline std::string sample(const std::string& name) {
  return std::string(HAYATE_SOURCE_DIR) + "/models/" + name + ".onnx";
}

// Tests of one binary run beside each other, each in a process of its own.
inline std::string scratch_file(const std::string& name) {
  return testing::TempDir() + "/hayate-" + std::to_string(getpid()) + "-" + name + ".onnx";
}

inline std::vector<float> noise(int64_t n, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> made(static_cast<size_t>(n));
  for (float& value : made) value = normal(random);
  return made;
}

inline Model loaded(const std::string& path) {
  const Result<Model> model = Model::load(path);
  EXPECT_TRUE(model.ok()) << model.error().text();
  return model.value();
}
// The graph as a file says it, which is written at `path`.
inline Model loaded(const Graph& graph, const std::string& path) {
  const Result<bool> written = export_onnx(graph, path);
  EXPECT_TRUE(written.ok()) << written.error().text();
  const Result<Model> model = Model::load(path);
  EXPECT_TRUE(model.ok()) << model.error().text() << "\n" << graph.text();
  return model.value();
}

inline StreamExecutable streamed(const Model& model, int64_t window, const std::string& precision = "fp32") {
  Plan plan = Plan::defaults(model);
  plan.window = window, plan.precision = precision;
  const Result<StreamExecutable> made = compile_stream(model, plan);
  EXPECT_TRUE(made.ok()) << made.error().text();
  return made.value();
}

// The full window's answers, time behind the batch; rows before the first are zeros.
class Whole {
 public:
  Whole(const Model& model, int64_t window, int64_t width, const std::string& precision = "fp32")
      : window_(window), width_(width), session_(made(model, precision).session()) {}

  const float* at(const std::vector<float>& rows, int64_t r) {
    auto* x = static_cast<float*>(session_.input(0));
    for (int64_t t = 0; t < window_; ++t)
      for (int64_t f = 0; f < width_; ++f)
        x[t * width_ + f] = r - window_ + 1 + t < 0 ? 0 : rows[static_cast<size_t>((r - window_ + 1 + t) * width_ + f)];
    EXPECT_TRUE(session_.run(1).ok());
    return static_cast<const float*>(session_.output(0));
  }

 private:
  static Executable made(const Model& model, const std::string& precision) {
    Plan plan = Plan::defaults(model);
    plan.precision = precision;
    const Result<Executable> executable = compile(model, plan);
    EXPECT_TRUE(executable.ok()) << executable.error().text();
    return executable.value();
  }
  int64_t window_, width_;
  Session session_;
};

// Every answer of a stream over random rows is the full window's. `between` rows it settles what it likes; else now and
// then. Tolerance 0: the same bits.
inline void expect_equal(const Model& model, int64_t window, int64_t rows, const std::string& what,
                         const std::string& precision = "fp32", double tolerance = 1e-6,
                         const std::function<void(Stream*, int64_t)>& between = nullptr) {
  const StreamExecutable executable = streamed(model, window, precision);
  const int64_t width = executable.row_bytes() / 4, answers = executable.outputs()[0].row_bytes / 4;
  Whole whole(model, window, width, precision);
  Stream stream = executable.stream();
  const std::vector<float> x = noise(rows * width, 21);
  for (int64_t r = 0; r < rows; ++r) {
    EXPECT_EQ(stream.ready(), r >= window);
    ASSERT_TRUE(stream.push(x.data() + r * width).ok());
    const float *wanted = whole.at(x, r), *got = static_cast<const float*>(stream.output(0));
    for (int64_t i = 0; i < answers; ++i)
      ASSERT_LE(std::fabs(got[i] - wanted[i]), tolerance == 0 ? 0 : tolerance + 1e-5 * std::fabs(wanted[i]))
          << what << " row " << r << " output " << i << "\n"
          << executable.explain();
    if (between != nullptr) {
      between(&stream, r);
    } else if (r % 3 == 0) {
      ASSERT_TRUE(stream.settle().ok());
    }
  }
}

// What builds a graph at random.
class RandomGraph {
 public:
  const Graph& graph() const { return graph_; }
  int64_t window = 0;

 protected:
  // Constants are of this deviation.
  RandomGraph(unsigned seed, float deviation) : random_(seed), deviation_(deviation) {}

  int64_t pick(int64_t n) { return static_cast<int64_t>(random_() % static_cast<uint64_t>(n)); }
  std::string keep(const Tensor& tensor) {
    const std::string name = "c" + std::to_string(count_++);
    graph_.constants.emplace(name, tensor);
    return name;
  }
  std::string numbers(const Shape& values) {
    return keep(Tensor::of<int64_t>({static_cast<int64_t>(values.size())}, values));
  }
  std::string constant(const Shape& shape) {
    Tensor made(Type::kFloat32, shape);
    std::normal_distribution<float> normal(0, deviation_);
    for (int64_t i = 0; i < made.count(); ++i) made.data<float>()[i] = normal(random_);
    return keep(made);
  }
  std::string add(const std::string& op, std::vector<std::string> inputs, Attributes attributes = {}) {
    const std::string name = "v" + std::to_string(count_++);
    graph_.nodes.push_back({name, "", op, std::move(inputs), {name}, std::move(attributes)});
    return name;
  }

  Graph graph_;
  std::string name_;  // of what the layers so far make

 private:
  std::mt19937 random_;
  float deviation_;
  int count_ = 0;
};

// Models of the layers that a stream cuts, put together at random: [1, T, F] to the last place's few numbers.
class RandomModel : public RandomGraph {
 public:
  // `more`: also branches that are joined, averages, recurrences of both directions, z-scores of the window.
  explicit RandomModel(unsigned seed, bool more = false) : RandomGraph(seed, 0.4f), more_(more) {
    window = 12 + pick(20), width_ = 3 + pick(5);
    graph_.source = "random", graph_.opset = 17;
    graph_.inputs = {{"x", Type::kFloat32, true, {{1, ""}, {window, ""}, {width_, ""}}}};
    name_ = "x";
    if (pick(8) == 0) normalise();
    if (more_ && pick(4) == 0) batch_norm(2);
    name_ = add("Transpose", {name_}, {{"perm", std::vector<int64_t>{0, 2, 1}}});  // [1, C, T]
    length_ = window;
    for (int64_t layers = pick(4); layers > 0; --layers) convolution();
    if (pick(2) == 0) {
      name_ = add("Transpose", {name_}, {{"perm", std::vector<int64_t>{2, 0, 1}}});  // [T, 1, C]
      time_ = 0;
      if (pick(3) == 0) row_layers();
      for (int64_t layers = 1 + pick(2); layers > 0; --layers) recurrence();
      take_last(0);
    } else {
      name_ = add("Transpose", {name_}, {{"perm", std::vector<int64_t>{0, 2, 1}}});  // [1, T, C]
      if (pick(2) == 0) row_layers();
      take_last(1);
    }
    const std::string w = constant({width_, 3});
    graph_.outputs = {{add("MatMul", {name_, w}), Type::kFloat32, false, {}}};
  }

 private:
  // Of the features, by constants.
  void batch_norm(int64_t axis) {
    const Shape perm{0, 2, 1};
    if (axis == 2) name_ = add("Transpose", {name_}, {{"perm", perm}});
    const std::string variance = add("Exp", {constant({width_})});
    name_ = add("BatchNormalization", {name_, constant({width_}), constant({width_}), constant({width_}), variance});
    if (axis == 2) name_ = add("Transpose", {name_}, {{"perm", perm}});
  }
  // Convolutions of different reach and a pool over the same columns, side by side.
  void branches() {
    const std::string from = name_;
    const int64_t each = 2;
    std::vector<std::string> made;
    for (int64_t n = 2 + pick(2); n > 0; --n) {
      const int64_t kernel = 1 + pick(4), dilation = 1 + pick(3), reach = (kernel - 1) * dilation;
      const int64_t before = pick(3) == 0 ? reach / 2 : reach;  // zeros on both sides, or causal
      made.push_back(add("Conv", {from, constant({each, width_, kernel}), constant({each})},
                         {{"dilations", Shape{dilation}}, {"pads", Shape{before, reach - before}}}));
      if (pick(2) == 0) made.back() = add("Tanh", {made.back()});
    }
    int64_t channels = each * static_cast<int64_t>(made.size());
    if (pick(2) == 0) {
      const std::string pooled =
          add(pick(2) == 0 ? "MaxPool" : "AveragePool", {from}, {{"kernel_shape", Shape{3}}, {"pads", Shape{1, 1}}});
      made.push_back(add("Conv", {pooled, constant({each, width_, 1})}));
      channels += each;
    }
    name_ = add("Concat", made, {{"axis", int64_t{1}}});
    width_ = channels;
  }
  void convolution() {
    if (more_ && pick(3) == 0) return branches();
    const int64_t kernel = 1 + pick(3), dilation = 1 + pick(2), reach = (kernel - 1) * dilation;
    // Causal, none, or zeros on both sides (then nothing recurrent may follow that would start on them).
    const int64_t kind = pick(3), before = kind == 0 ? reach : 0, after = kind == 2 ? reach : 0;
    const int64_t stride = pick(6) == 0 ? 2 + pick(2) : 1;
    if (length_ + before + after - reach < 6 * stride) return;
    const std::string from = name_;
    const int64_t to = 4;
    name_ = add("Conv", {name_, constant({to, width_, kernel}), constant({to})},
                {{"dilations", std::vector<int64_t>{dilation}},
                 {"pads", std::vector<int64_t>{before, after}},
                 {"kernel_shape", std::vector<int64_t>{kernel}},
                 {"strides", std::vector<int64_t>{stride}}});
    name_ = add(pick(2) == 0 ? "Relu" : "Tanh", {name_});
    if (before + after == reach && stride == 1 && width_ == to && pick(2) == 0)
      name_ = add("Add", {name_, from});  // a residual branch
    length_ = (length_ + before + after - reach - 1) / stride + 1;
    width_ = to;
    if (pick(4) == 0 && length_ > 8) {
      const int64_t apart = pick(3) == 0 ? 2 : 1;
      name_ = add(more_ && pick(2) == 0 ? "AveragePool" : "MaxPool", {name_},
                  {{"kernel_shape", std::vector<int64_t>{2}}, {"strides", std::vector<int64_t>{apart}}});
      length_ = (length_ - 2) / apart + 1;
    }
  }
  void row_layers() {
    const int64_t to = 3 + pick(4);
    if (more_ && pick(2) == 0) {  // over rows alone
      const std::string rows = add("Reshape", {name_, numbers({length_, width_})});
      name_ = add("Gemm", {rows, constant({to, width_}), constant({to})}, {{"transB", int64_t{1}}});
      name_ = add("Reshape", {name_, numbers(time_ == 0 ? Shape{length_, 1, to} : Shape{1, length_, to})});
    } else {
      name_ = add("MatMul", {name_, constant({width_, to})});
      name_ = add("Add", {name_, constant({to})});
    }
    width_ = to;
    if (pick(2) == 0)
      name_ = add("LayerNormalization", {name_, constant({to}), constant({to})}, {{"axis", int64_t{-1}}});
    name_ = add("Sigmoid", {name_});
  }
  void recurrence() {
    const char* op = pick(3) == 0 ? "RNN" : pick(2) == 0 ? "GRU" : "LSTM";
    const bool reverse = pick(10) == 0, both = more_ && pick(5) == 0;
    const int64_t directions = both ? 2 : 1;
    const int64_t gates = op[0] == 'L' ? 4 : op[0] == 'G' ? 3 : 1, hidden = 3 + pick(6);
    std::vector<std::string> inputs{name_, constant({directions, gates * hidden, width_}),
                                    constant({directions, gates * hidden, hidden}),
                                    constant({directions, 2 * gates * hidden})};
    if (pick(2) == 0) inputs.insert(inputs.end(), {"", constant({directions, 1, hidden})});
    Attributes attributes{{"hidden_size", hidden}};
    if (both)
      attributes["direction"] = std::string("bidirectional");
    else if (reverse)
      attributes["direction"] = std::string("reverse");
    if (gates == 3) attributes["linear_before_reset"] = pick(2);
    const std::string y = add(op, inputs, attributes);
    width_ = hidden;
    if (both) {  // [T, 2, 1, H] to [T, 1, 2 H]
      const std::string beside = add("Transpose", {y}, {{"perm", Shape{0, 2, 1, 3}}});
      name_ = add("Reshape", {beside, numbers({length_, 1, 2 * hidden})});
      width_ = 2 * hidden;
      return;
    }
    name_ = add("Squeeze", {y, numbers({1})});
    if (pick(3) == 0) name_ = add("Tanh", {name_});
  }
  // x less its mean over the window; or that over its deviation.
  void normalise() {
    const std::string mean = add("ReduceMean", {name_}, {{"axes", std::vector<int64_t>{1}}, {"keepdims", int64_t{1}}});
    name_ = add("Sub", {name_, mean});
    if (!more_ || pick(2) == 0) return;
    const std::string variance = add("ReduceMean", {add("Mul", {name_, name_})},
                                     {{"axes", std::vector<int64_t>{1}}, {"keepdims", int64_t{1}}}),
                      least = keep(Tensor::of<float>({1}, {1e-3f}));
    name_ = add("Div", {name_, add("Sqrt", {add("Add", {variance, least})})});
  }
  // The last place of an axis, or all of them as one.
  void take_last(int64_t axis) {
    if (pick(3) == 0) {
      if (pick(2) == 0) attend(axis);
      name_ = add(pick(2) == 0 ? "ReduceMean" : "ReduceMax", {name_},
                  {{"axes", std::vector<int64_t>{axis}}, {"keepdims", int64_t{0}}});
      return;
    }
    const int64_t last = pick(2) == 0 ? -1 : length_ - 1;
    name_ = add("Gather", {name_, keep(Tensor::of<int64_t>({}, {last}))}, {{"axis", axis}});
  }

  // Softmax(x w x^T) x over [1, T, F].
  void attend(int64_t axis) {
    if (axis != 1) return;
    const std::string keys = add("Transpose", {name_}, {{"perm", std::vector<int64_t>{0, 2, 1}}}),
                      queries = add("MatMul", {name_, constant({width_, width_})});
    name_ = add("MatMul", {add("Softmax", {add("MatMul", {queries, keys})}, {{"axis", int64_t{-1}}}), name_});
  }

  bool more_;
  int64_t time_ = 1;  // the axis of rows
  int64_t width_ = 0, length_ = 0;
};

}  // namespace hayate
