// `hayate run`, `info`, `dump` and `verify` as a user calls them, on models and arrays made here.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>

#include "backends/onnxruntime/ort_library.h"
#include "import/onnx/onnx_writer.h"
#include "program.h"
#include "tensor/npy.h"

namespace hayate {
namespace {

namespace fs = std::filesystem;

void write_file(const fs::path& path, const std::string& bytes) { std::ofstream(path, std::ios::binary) << bytes; }

// Protobuf by hand: field `number` holding bytes, or holding a small integer.
std::string field(int number, const std::string& bytes) {
  return std::string{static_cast<char>(number << 3 | 2), static_cast<char>(bytes.size())} + bytes;
}
std::string field(int number, int value) { return {static_cast<char>(number << 3), static_cast<char>(value)}; }

// x float32 [n, 2] -> y = op(x), opset 17. All messages stay below 128 bytes, so that a length is one byte.
std::string one_node_model(const std::string& op) {
  const std::string dims = field(2, field(1, field(2, std::string("n"))) + field(1, field(1, 2)));
  const std::string type = field(2, field(1, field(1, 1) + dims));
  const std::string node = field(1, std::string("x")) + field(2, std::string("y")) + field(4, op);
  const std::string graph =
      field(1, node) + field(11, field(1, std::string("x")) + type) + field(12, field(1, std::string("y")) + type);
  return field(1, 8) + field(7, graph) + field(8, field(2, 17));
}

class RunProgram : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::path(testing::TempDir()) / ("hayate_run_" + std::to_string(getpid()));
    fs::create_directories(folder_);
    write_file(folder_ / "relu.onnx", one_node_model("Relu"));
    feed({{"x", Tensor::of<float>({2, 2}, {-1, 2, 3, -4})}});
  }
  void TearDown() override { fs::remove_all(folder_); }

  void feed(const NamedTensors& tensors) { ASSERT_TRUE(write_npz(folder_ / "in.npz", tensors).ok()); }
  // One tensor of the case's only set, float32 [1, 2].
  void record(const char* name, float a, float b) {
    fs::create_directories(folder_ / "case/test_data_set_0");
    fs::copy_file(folder_ / "relu.onnx", folder_ / "case/model.onnx", fs::copy_options::overwrite_existing);
    std::string raw(8, '\0');
    std::memcpy(raw.data(), &a, 4);
    std::memcpy(raw.data() + 4, &b, 4);
    write_file(folder_ / "case/test_data_set_0" / name, field(1, 1) + field(1, 2) + field(2, 1) + field(9, raw));
  }
  Ran run(const std::string& model = "relu.onnx") {
    return call("run " + (folder_ / model).string() + " --inputs " + (folder_ / "in.npz").string() + " --output " +
                (folder_ / "out.npz").string());
  }
  // The command fails with one line on stderr that holds every one of the words; no output file appears.
  void expect_error(const Ran& ran, std::initializer_list<const char*> words) {
    EXPECT_EQ(ran.exit_code, 1) << ran.output;
    EXPECT_EQ(std::count(ran.output.begin(), ran.output.end(), '\n'), 1) << ran.output;
    for (const char* word : words)
      EXPECT_NE(ran.output.find(word), std::string::npos) << word << " is not in: " << ran.output;
    EXPECT_FALSE(fs::exists(folder_ / "out.npz"));
  }

  fs::path folder_;
};

TEST_F(RunProgram, GivesNamedOutputs) {
  const Ran ran = run();
  ASSERT_EQ(ran.exit_code, 0) << ran.output;
  const auto made = read_npz(folder_ / "out.npz");
  ASSERT_TRUE(made.ok());
  EXPECT_EQ(made.value().at("y").shape(), (Shape{2, 2}));
  EXPECT_EQ(to_doubles(made.value().at("y")), (std::vector<double>{0, 2, 3, 0}));
}

TEST_F(RunProgram, NoRowsGiveNoRows) {
  feed({{"x", Tensor(Type::kFloat32, {0, 2})}});
  ASSERT_EQ(run().exit_code, 0);
  EXPECT_EQ(read_npz(folder_ / "out.npz").value().at("y").shape(), (Shape{0, 2}));
}

// More rows than one call takes, the last call with fewer than the others.
TEST_F(RunProgram, ManyRowsAreRunInPieces) {
  constexpr int64_t kRows = 9001;
  Tensor x(Type::kFloat32, {kRows, 2});
  for (int64_t i = 0; i < x.count(); ++i) x.data<float>()[i] = static_cast<float>(i % 977 - 400);
  feed({{"x", x}});
  for (const char* backend : {"native", "reference"}) {
    ASSERT_EQ(run(std::string("relu.onnx --backend ") + backend).exit_code, 0);
    const Tensor y = read_npz(folder_ / "out.npz").value().at("y");
    ASSERT_EQ(y.shape(), x.shape());
    for (int64_t i = 0; i < x.count(); ++i)
      ASSERT_EQ(y.data<float>()[i], std::max(x.data<float>()[i], 0.0f)) << backend << " " << i;
  }
}

// The sizes of a Split come as an input: native is compiled for those given, and says so.
TEST_F(RunProgram, InputsThatDecideShapesAreCompiledIn) {
  const auto port = [](const char* name, int type, int extent) {
    return field(1, std::string(name)) + field(2, field(1, field(1, type) + field(2, field(1, field(1, extent)))));
  };
  const std::string node = field(1, std::string("x")) + field(1, std::string("s")) + field(2, std::string("a")) +
                           field(2, std::string("b")) + field(4, std::string("Split"));
  const std::string untyped = field(12, field(1, std::string("a"))) + field(12, field(1, std::string("b")));
  const std::string graph = field(1, node) + field(11, port("x", 1, 5)) + field(11, port("s", 7, 2)) + untyped;
  write_file(folder_ / "split.onnx", field(1, 8) + field(7, graph) + field(8, field(2, 17)));
  feed({{"x", Tensor::of<float>({5}, {1, 2, 3, 4, 5})}, {"s", Tensor::of<int64_t>({2}, {2, 3})}});
  for (const char* backend : {"native", "reference"}) {
    const Ran ran = run(std::string("split.onnx --backend ") + backend);
    ASSERT_EQ(ran.exit_code, 0) << ran.output;
    EXPECT_EQ(ran.output.find("native is compiled for the values given of s") != std::string::npos,
              std::string(backend) == "native")
        << ran.output;
    const auto made = read_npz(folder_ / "out.npz");
    EXPECT_EQ(to_doubles(made.value().at("a")), (std::vector<double>{1, 2}));
    EXPECT_EQ(to_doubles(made.value().at("b")), (std::vector<double>{3, 4, 5}));
  }
}

// An initializer that the file lists among its inputs too is what holds where nobody feeds it.
TEST_F(RunProgram, DefaultsMayBeFed) {
  const std::string type = field(2, field(1, field(1, 1) + field(2, field(1, field(1, 2)))));
  const std::string node = field(1, std::string("x")) + field(1, std::string("b")) + field(2, std::string("y")) +
                           field(4, std::string("Add"));
  std::string raw(8, '\0');
  const float bias[] = {10, 20};
  std::memcpy(raw.data(), bias, 8);
  const std::string tensor = field(1, 2) + field(2, 1) + field(8, std::string("b")) + field(9, raw);
  const std::string graph = field(1, node) + field(5, tensor) + field(11, field(1, std::string("x")) + type) +
                            field(11, field(1, std::string("b")) + type) + field(12, field(1, std::string("y")) + type);
  const auto with_ir = [&](int version) {
    write_file(folder_ / "bias.onnx", field(1, version) + field(7, graph) + field(8, field(2, 17)));
  };
  const Tensor x = Tensor::of<float>({2}, {1, 2}), other = Tensor::of<float>({2}, {5, 6});
  std::vector<std::string> backends{"native", "reference"};
  if (OrtLibrary::open("").ok()) backends.push_back("onnxruntime");
  for (const std::string& backend : backends) {
    with_ir(8);
    for (const bool fed : {false, true}) {
      feed(fed ? NamedTensors{{"x", x}, {"b", other}} : NamedTensors{{"x", x}});
      const Ran ran = run("bias.onnx --backend " + backend);
      ASSERT_EQ(ran.exit_code, 0) << ran.output;
      EXPECT_EQ(to_doubles(read_npz(folder_ / "out.npz").value().at("y")),
                fed ? (std::vector<double>{6, 8}) : (std::vector<double>{11, 22}));
    }
    fs::remove(folder_ / "out.npz");
    feed({{"x", x}, {"b", Tensor::of<float>({3}, {1, 2, 3})}});
    expect_error(run("bias.onnx --backend " + backend), {"input 'b' has shape [3], axis 0 must be 2"});
    with_ir(3);  // where all initializers are listed as inputs
    feed({{"x", x}, {"b", other}});
    expect_error(run("bias.onnx --backend " + backend), {"has no input 'b'"});
  }
  with_ir(8);
  const Ran info = call("info " + (folder_ / "bias.onnx").string());
  EXPECT_NE(info.output.find("b float32 [2]: an initializer, may be fed"), std::string::npos) << info.output;
}

// Shapes of several buckets, from --shape or a plan: run takes the one that its inputs fit, bench times each.
TEST_F(RunProgram, SeveralShapesAreRunAndTimed) {
  std::string open = one_node_model("Relu");  // x [n, 2]: its fixed extent is left open instead
  const std::string fixed = field(1, field(1, 2));
  for (size_t at; (at = open.find(fixed)) != std::string::npos;) open.replace(at, fixed.size(), field(1, field(2, "")));
  write_file(folder_ / "open.onnx", open);
  feed({{"x", Tensor::of<float>({1, 3}, {-1, 2, 3})}});
  const std::string two = "open.onnx --shape x:*,5 --shape x:*,3", model = (folder_ / "open.onnx").string();
  ASSERT_EQ(run(two).exit_code, 0) << run(two).output;
  EXPECT_EQ(read_npz(folder_ / "out.npz").value().at("y").shape(), (Shape{1, 3}));
  fs::remove(folder_ / "out.npz");
  expect_error(run("open.onnx --shape x:*,5 --shape x:*,4"), {"[1, 3]", "axis 1 must be 4"});
  const std::string plan = (folder_ / "plan.json").string();
  write_file(plan, R"({"version": 1, "backend": "native", "batch_max": 4, "shapes": [["x:*,5"], ["x:*,3"]]})");
  EXPECT_EQ(run("open.onnx --plan " + plan).exit_code, 0);
  fs::remove(folder_ / "out.npz");
  for (const std::string& options : {"--plan " + plan, std::string("--batch 4 --shape x:*,5 --shape x:*,3")}) {
    const Ran bench = call("bench " + model + " --backend native --seconds 0.01 " + options);
    EXPECT_EQ(bench.exit_code, 0) << bench.output;
    for (const char* row : {"open.onnx x:*,5", "open.onnx x:*,3"})
      EXPECT_NE(bench.output.find(row), std::string::npos) << bench.output;
    EXPECT_NE(bench.output.find("native           4"), std::string::npos) << "the plan's batch: " << bench.output;
  }
  write_file(plan, R"({"version": 1, "bakcend": "native"})");
  const Ran bad = run("open.onnx --plan " + plan);
  EXPECT_NE(bad.exit_code, 0);
  EXPECT_NE(bad.output.find("unknown key 'bakcend'"), std::string::npos) << bad.output;
}

TEST_F(RunProgram, NanAndInfinityAreData) {
  feed({{"x", Tensor::of<float>({1, 2}, {NAN, INFINITY})}});
  ASSERT_EQ(run().exit_code, 0);
  const std::vector<double> y = to_doubles(read_npz(folder_ / "out.npz").value().at("y"));
  EXPECT_TRUE(std::isnan(y[0]));
  EXPECT_TRUE(std::isinf(y[1]));
}

TEST_F(RunProgram, WrongInputsAreNamed) {
  feed({{"z", Tensor::of<float>({1, 2}, {1, 2})}});
  expect_error(run(), {"relu.onnx", "'x'", "is not given", "float32 [n, 2]"});
  feed({{"x", Tensor::of<float>({1, 2}, {1, 2})}, {"z", Tensor::of<float>({1}, {1})}});
  expect_error(run(), {"no input 'z'", "x float32 [n, 2]"});
  feed({{"x", Tensor::of<double>({1, 2}, {1, 2})}});
  expect_error(run(), {"'x'", "float64", "float32 [n, 2]"});
  feed({{"x", Tensor::of<float>({2}, {1, 2})}});
  expect_error(run(), {"'x'", "[2]", "float32 [n, 2]"});
  feed({{"x", Tensor::of<float>({1, 3}, {1, 2, 3})}});
  expect_error(run(), {"'x'", "[1, 3]", "axis 1 must be 2"});
}

TEST_F(RunProgram, BrokenModelsAreErrors) {
  expect_error(run("absent.onnx"), {"absent.onnx", "No such file"});
  write_file(folder_ / "empty.onnx", "");
  expect_error(run("empty.onnx"), {"empty.onnx"});
  write_file(folder_ / "odd.onnx", one_node_model("Frobnicate"));
  expect_error(run("odd.onnx"), {"odd.onnx", "Frobnicate", "not supported"});
}

TEST_F(RunProgram, NamesCannotWriteToTheTerminal) {
  std::string odd = one_node_model("Frob\x1b[2J\nhayate: fine"), named = one_node_model("Relu");
  write_file(folder_ / "odd.onnx", odd);
  expect_error(run("odd.onnx"), {"Frob\\x1b[2J\\nhayate: fine is not supported"});
  for (char& c : named)
    if (c == 'y' || c == 'x' || c == 'n') c = c == 'y' ? '\n' : c == 'x' ? '\t' : '\r';
  write_file(folder_ / "named.onnx", named);
  feed({{"\t", Tensor::of<float>({1, 2}, {1, 2})}});
  EXPECT_EQ(run("named.onnx").output, "\\n float32 [1, 2]\n");
  for (const std::string command : {"info ", "dump "}) {
    const Ran ran = call(command + (folder_ / "named.onnx").string());
    EXPECT_EQ(ran.exit_code, 0) << ran.output;
    EXPECT_EQ(ran.output.find('\t'), std::string::npos) << ran.output;
    EXPECT_NE(ran.output.find("\\t float32 [\\r, 2]"), std::string::npos) << ran.output;
  }
}

TEST_F(RunProgram, TruncatedAndFlippedModelsNeverCrash) {
  const std::string good = one_node_model("Relu");
  for (size_t i = 0; i < good.size(); ++i) {
    write_file(folder_ / "bad.onnx", good.substr(0, i));
    const Ran cut = run("bad.onnx");
    EXPECT_TRUE(cut.exit_code == 0 || cut.exit_code == 1) << i << ": " << cut.output;
    std::string flipped = good;
    flipped[i] = static_cast<char>(flipped[i] ^ 1 << (i % 8));
    write_file(folder_ / "bad.onnx", flipped);
    const Ran flip = run("bad.onnx");
    EXPECT_TRUE(flip.exit_code == 0 || flip.exit_code == 1) << i << ": " << flip.output;
  }
}

TEST_F(RunProgram, BrokenArraysAreErrors) {
  write_file(folder_ / "in.npz", "no archive");
  expect_error(run(), {"in.npz", "not an .npz archive"});
  fs::remove(folder_ / "in.npz");
  expect_error(run(), {"in.npz", "No such file"});
}

TEST_F(RunProgram, InfoAndDumpSpeakOfTheGraph) {
  const std::string model = (folder_ / "relu.onnx").string();
  const Ran info = call("info " + model), json = call("info " + model + " --json"), dump = call("dump " + model);
  EXPECT_NE(info.output.find("x float32 [n, 2]"), std::string::npos) << info.output;
  EXPECT_NE(info.output.find("runs"), std::string::npos) << info.output;
  EXPECT_NE(json.output.find("\"operators\": {\"Relu\": 1}"), std::string::npos) << json.output;
  EXPECT_EQ(dump.output, "input x float32 [n, 2]\ny = Relu(x)\noutput y float32 [n, 2]\n");
  EXPECT_NE(info.output.find("\nload "), std::string::npos) << info.output;
  EXPECT_NE(json.output.find("\"load_ms\": "), std::string::npos) << json.output;
  EXPECT_NE(json.output.find("\"compile_ms\": "), std::string::npos) << json.output;
}

TEST_F(RunProgram, DumpSaysWhatEachPassDid) {
  const std::string mlp = std::string(HAYATE_SOURCE_DIR) + "/models/mlp_small.onnx";
  const Ran all = call("dump --passes " + mlp), first = call("dump --passes --after fold_constants " + mlp);
  EXPECT_EQ(all.exit_code, 0);
  for (const char* word : {"pass ", "changes", "ms\n", "fold_constants", "drop_dead", "\nsum "})
    EXPECT_NE(all.output.find(word), std::string::npos) << word << " is not in: " << all.output;
  EXPECT_EQ(std::count(first.output.begin(), first.output.end(), '\n'), 3) << first.output;
}

TEST_F(RunProgram, InfoCountsTrees) {
  const std::string models = std::string(HAYATE_SOURCE_DIR) + "/models/";
  // The same forest in both of its forms, so the same counts.
  const std::string counts = "trees        500, 15000 splits, 15500 leaves\n";
  for (const char* name : {"lightgbm_500x31.txt", "lightgbm_500x31.onnx"}) {
    const Ran info = call("info " + models + name);
    EXPECT_NE(info.output.find(counts), std::string::npos) << info.output;
  }
  EXPECT_NE(call("info --json " + models + "lightgbm_500x31.txt")
                .output.find("\"trees\": {\"trees\": 500, \"splits\": 15000, \"leaves\": 15500}"),
            std::string::npos);
  EXPECT_EQ(call("info " + models + "mlp_small.onnx").output.find("\ntrees"), std::string::npos);
}

TEST_F(RunProgram, VerifyComparesWithTheRecord) {
  record("input_0.pb", -1, 2);
  record("output_0.pb", 0, 2);
  const Ran good = call("verify " + (folder_ / "case").string());
  EXPECT_EQ(good.exit_code, 0) << good.output;
  record("output_0.pb", 0, 2.5);
  const Ran wrong = call("verify " + (folder_ / "case").string());
  EXPECT_EQ(wrong.exit_code, 1) << wrong.output;
  EXPECT_NE(wrong.output.find("FAIL"), std::string::npos) << wrong.output;
}

TEST_F(RunProgram, VerifyFailsWhereOnlyOneIsNan) {
  record("input_0.pb", 3, 2);
  record("output_0.pb", NAN, 2);
  const Ran wrong = call("verify " + (folder_ / "case").string());
  EXPECT_EQ(wrong.exit_code, 1) << wrong.output;
  EXPECT_NE(wrong.output.find("FAIL test_data_set_0 native y: max absolute error inf"), std::string::npos)
      << wrong.output;
  EXPECT_NE(call("verify --json " + (folder_ / "case").string()).output.find("\"max_abs_error\": null"),
            std::string::npos);
}

// Numbers that are looked up in a table over a window of 6: rows of int64 from every form of file, and answers of
// float32 and int64, each held against the full window.
TEST_F(RunProgram, StreamTakesRowsOfOtherTypes) {
  Graph graph;
  graph.source = "ids", graph.opset = 17;
  graph.inputs = {{"x", Type::kInt64, true, {{1, ""}, {6, ""}, {2, ""}}}};
  graph.constants.emplace("t", Tensor::of<float>({3, 2}, {0.5f, -1, 2, 0.25f, -0.75f, 1.5f}));
  graph.constants.emplace("axes", Tensor::of<int64_t>({1}, {1}));
  graph.nodes = {{"g", "", "Gather", {"t", "x"}, {"g"}, {}},
                 {"s", "", "Tanh", {"g"}, {"s"}, {}},
                 {"m", "", "ReduceMean", {"s"}, {"y"}, {{"axes", Shape{1}}, {"keepdims", int64_t{0}}}},
                 {"n", "", "ReduceSum", {"x", "axes"}, {"n"}, {{"keepdims", int64_t{0}}}}};
  graph.outputs = {{"y", Type::kFloat32, false, {}}, {"n", Type::kInt64, false, {}}};
  ASSERT_TRUE(export_onnx(graph, (folder_ / "ids.onnx").string()).ok());
  const auto rows = Tensor::of<int64_t>({8, 2}, {0, 1, 2, 2, 1, 0, 0, 0, 2, 1, 1, 1, 0, 2, 2, 0});
  ASSERT_TRUE(write_npz(folder_ / "rows.npz", {{"rows", rows}}).ok());
  write_file(folder_ / "rows.csv", "a,b\n0,1\n2,2\n1,0\n0,0\n2,1\n+1,1\n0,2\n2,0\n");
  write_file(folder_ / "wrong.csv", "0,1\n2,0.5\n");
  const auto stream = [&](const std::string& file) {
    return call("stream " + (folder_ / "ids.onnx").string() + " --window 6 --check --inputs " +
                (folder_ / file).string() + " --output " + (folder_ / "out.npz").string());
  };
  for (const char* file : {"rows.npz", "rows.csv"}) {
    const Ran ran = stream(file);
    EXPECT_EQ(ran.exit_code, 0) << ran.output;
    EXPECT_NE(ran.output.find("16 answers compared, max absolute error 0, 0 past tolerance"), std::string::npos)
        << ran.output;
    const auto made = read_npz((folder_ / "out.npz").string());
    ASSERT_TRUE(made.ok());
    const Tensor& sums = made.value().at("n");
    ASSERT_EQ(sums.type(), Type::kInt64);
    EXPECT_EQ(sums.data<int64_t>()[0], 0);
    EXPECT_EQ(sums.data<int64_t>()[1], 1);
    EXPECT_EQ(sums.data<int64_t>()[14], 6);
    EXPECT_EQ(sums.data<int64_t>()[15], 4);
  }
  const Ran wrong = stream("wrong.csv");
  EXPECT_EQ(wrong.exit_code, 1);
  EXPECT_NE(wrong.output.find("wrong.csv:2: '0.5' is no number of int64"), std::string::npos) << wrong.output;
  const Ran other = stream("in.npz");
  EXPECT_NE(other.output.find("holds float32; int64 rows are accepted"), std::string::npos) << other.output;
}

// Time first, without a batch, and time last: every answer is held against the full window.
TEST_F(RunProgram, StreamsHaveTimeOnAnyAxis) {
  const auto noise = [](const Shape& shape) {
    Tensor made(Type::kFloat32, shape);
    for (int64_t i = 0; i < made.count(); ++i) made.data<float>()[i] = static_cast<float>(i * 7 % 23 - 11) / 16;
    return made;
  };
  ASSERT_TRUE(write_npz(folder_ / "rows.npz", {{"rows", noise({30, 4})}}).ok());
  Graph graph;
  graph.source = "time first", graph.opset = 17;
  graph.inputs = {{"x", Type::kFloat32, true, {{-1, "T"}, {4, ""}}}};
  graph.constants = {{"one", Tensor::of<int64_t>({1}, {1})},
                     {"last", Tensor::of<int64_t>({}, {-1})},
                     {"w", noise({1, 15, 4})},
                     {"r", noise({1, 15, 5})}};
  graph.nodes = {{"u", "", "Unsqueeze", {"x", "one"}, {"u"}, {}},
                 {"g", "", "GRU", {"u", "w", "r"}, {"g"}, {{"hidden_size", int64_t{5}}}},
                 {"s", "", "Squeeze", {"g", "one"}, {"s"}, {}},
                 {"y", "", "Gather", {"s", "last"}, {"y"}, {{"axis", int64_t{0}}}}};
  graph.outputs = {{"y", Type::kFloat32, false, {}}};
  ASSERT_TRUE(export_onnx(graph, (folder_ / "first.onnx").string()).ok());
  graph.source = "time last";
  graph.inputs = {{"x", Type::kFloat32, true, {{1, ""}, {4, ""}, {12, ""}}}};
  graph.constants = {{"k", noise({6, 4, 3})}};
  graph.nodes = {{"c", "", "Conv", {"x", "k"}, {"c"}, {{"pads", Shape{2, 0}}}},
                 {"y", "", "ReduceMax", {"c"}, {"y"}, {{"axes", Shape{2}}, {"keepdims", int64_t{0}}}}};
  ASSERT_TRUE(export_onnx(graph, (folder_ / "last.onnx").string()).ok());
  for (const char* options : {"first.onnx --time-axis x:0", "last.onnx --time-axis x:2", "last.onnx"}) {
    const Ran ran = call("stream " + folder_.string() + "/" + options + " --window 12 --check --inputs " +
                         (folder_ / "rows.npz").string());
    EXPECT_EQ(ran.exit_code, 0) << options << ": " << ran.output;
    for (const char* words :
         {"window 12, incremental", "full window    30 answers compared, max absolute error 0, 0 past"})
      EXPECT_NE(ran.output.find(words), std::string::npos) << options << ": " << ran.output;
  }
}

// Rows before the window is full without an answer; the explanation, figures for machines, and a stream's line of
// bench.
TEST_F(RunProgram, StreamsAreReplayedExplainedAndTimed) {
  Tensor rows(Type::kFloat32, {70, 40});
  for (int64_t i = 0; i < rows.count(); ++i) rows.data<float>()[i] = static_cast<float>(i * 7 % 23 - 11) / 8;
  ASSERT_TRUE(write_npz(folder_ / "rows.npz", {{"rows", rows}}).ok());
  const std::string gru = std::string(HAYATE_SOURCE_DIR) + "/models/gru.onnx", made = (folder_ / "out.npz").string(),
                    stream = "stream " + gru + " --window 50 --check --inputs " + (folder_ / "rows.npz").string() +
                             " --output " + made;
  const auto answers = [&] {
    const auto read = read_npz(made);
    EXPECT_TRUE(read.ok());
    return read.value().begin()->second;
  };
  const Ran all = call(stream + " --explain");
  EXPECT_EQ(all.exit_code, 0) << all.output;
  for (const char* words :
       {"steps from the window's start: 50", "Before the answer: ", "70 rows, window 50, incremental",
        "full window    70 answers compared, max absolute error 0, 0 past tolerance"})
    EXPECT_NE(all.output.find(words), std::string::npos) << words << " is not in: " << all.output;
  const Tensor zeros = answers();
  ASSERT_EQ(zeros.shape()[0], 70);
  const Ran waited = call(stream + " --warm-up wait --json");
  EXPECT_EQ(waited.exit_code, 0) << waited.output;
  for (const char* words : {"\"rows\": 70, \"unanswered\": 49, \"incremental\": true", "\"full\": {\"compared\": 21, "})
    EXPECT_NE(waited.output.find(words), std::string::npos) << words << " is not in: " << waited.output;
  const Tensor late = answers();
  ASSERT_EQ(late.shape()[0], 21);
  const auto tail = zeros.byte_count() - late.byte_count();
  EXPECT_EQ(std::memcmp(late.bytes(), zeros.bytes() + tail, late.byte_count()), 0);
  EXPECT_NE(call(stream + " --warm-up perhaps").exit_code, 0);
  Tensor few(Type::kFloat32, {10, 40});
  std::memset(few.bytes(), 0, few.byte_count());
  ASSERT_TRUE(write_npz(folder_ / "few.npz", {{"rows", few}}).ok());
  const Ran none =
      call("stream " + gru + " --window 50 --check --warm-up wait --inputs " + (folder_ / "few.npz").string());
  EXPECT_EQ(none.exit_code, 1) << "a check that compared nothing says nothing: " << none.output;
  EXPECT_NE(none.output.find("give more rows than the window has"), std::string::npos) << none.output;
  const std::string json = (folder_ / "bench.json").string();
  const Ran bench =
      call("bench " + gru + " --backend native --stream --window 50 --precision int8 --seconds 0.05 --json " + json);
  EXPECT_EQ(bench.exit_code, 0) << bench.output;
  std::ifstream file(json);
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  for (const char* words :
       {"\"stream\": true, \"window\": 50", "\"precision\": \"int8\"", "\"p999_us\": ", "\"max_us\": ",
        "\"after_p99_us\": ", "\"rows_per_s\": ", "\"read_bytes\": ", "\"read_p99_us\": "})
    EXPECT_NE(text.find(words), std::string::npos) << words << " is not in: " << text;
  size_t lines = 0;
  for (size_t at = text.find("p50_us\""); at != std::string::npos; at = text.find("p50_us\"", at + 1)) ++lines;
  EXPECT_EQ(lines, 3u) << "of the stream alone, its answer, what is after it and a bare read of its weights: " << text;
}

}  // namespace
}  // namespace hayate
