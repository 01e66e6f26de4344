// Samples at fewer bits: near their float32 answers on every instruction set, a row's bits the same in every batch, as
// a model that others run, and what is refused.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <filesystem>
#include <random>

#include "backends/backend.h"
#include "backends/calibration.h"
#include "backends/inputs.h"
#include "eval/evaluate.h"
#include "hayate/executable.h"
#include "import/import.h"
#include "kernels/vector/kernels.h"
#include "program.h"
#include "rewrite/rewrite.h"
#include "tensor/npy.h"

namespace hayate {
namespace {

using Tensors = std::map<std::string, Tensor>;

struct Net {
  const char* name;
  double bf16, int8;  // error that is accepted, of outputs about 1 in size: about twice what was seen
};
#ifdef HAYATE_SANITIZED  // kernels that are not optimised take minutes for the others
constexpr Net kNets[] = {{"mlp_small", 4e-3, 0.02}, {"mlp_medium", 0.01, 0.03}};
#else
constexpr Net kNets[] = {{"mlp_small", 4e-3, 0.02},   {"mlp_medium", 0.01, 0.03}, {"lstm_a", 8e-3, 0.06},
                         {"gru", 6e-3, 0.06},         {"deeplob", 2e-3, 0.03},    {"tcn", 0.02, 0.08},
                         {"transformer", 0.012, 0.05}};
#endif

std::string sample(const std::string& name) { return std::string(HAYATE_SOURCE_DIR) + "/models/" + name + ".onnx"; }

std::vector<float> answers(const Executable& executable, const std::vector<float>& rows, int64_t from, int64_t n) {
  Session session = executable.session();
  const size_t row = static_cast<size_t>(executable.inputs()[0].row_bytes) / 4;
  std::memcpy(session.input(0), rows.data() + static_cast<size_t>(from) * row, static_cast<size_t>(n) * row * 4);
  EXPECT_TRUE(session.run(n).ok());
  const auto* y = static_cast<const float*>(session.output(0));
  return {y, y + n * executable.outputs()[0].row_bytes / 4};
}

Executable compiled(const Model& model, const std::string& precision, const std::string& isa = "") {
  Plan plan = Plan::defaults(model);
  plan.batch_max = 32, plan.precision = precision, plan.isa = isa;
  const Result<Executable> made = compile(model, plan);
  EXPECT_TRUE(made.ok()) << made.error().text();
  return made.value();
}

std::vector<float> rows_for(const Executable& executable) {
  std::mt19937 random(11);
  std::normal_distribution<float> normal;
  std::vector<float> rows(static_cast<size_t>(32 * executable.inputs()[0].row_bytes / 4));
  for (float& value : rows) value = normal(random);
  return rows;
}

TEST(Precision, IsNearFloat32OnEveryInstructionSetAndNotFloat32) {
  for (const Net& net : kNets) {
    const Result<Model> model = Model::load(sample(net.name));
    ASSERT_TRUE(model.ok()) << model.error().text();
    const Executable exact = compiled(model.value(), "fp32");
    const std::vector<float> rows = rows_for(exact), wanted = answers(exact, rows, 0, 32);
    for (const kernels::Isa isa : kernels::supported_isas())
      for (const std::string precision : {"bf16", "int8"}) {
        if (isa == kernels::Isa::kPlain && std::string(net.name) != "mlp_small") continue;  // seconds each
        const Executable reduced = compiled(model.value(), precision, kernels::isa_name(isa));
        EXPECT_NE(reduced.text().find("_" + precision + ":"), std::string::npos) << net.name << "\n" << reduced.text();
        const std::vector<float> got = answers(reduced, rows, 0, 32);
        double error = 0;
        for (size_t i = 0; i < got.size(); ++i)
          error = std::max(error, std::fabs(static_cast<double>(got[i]) - static_cast<double>(wanted[i])));
        EXPECT_LE(error, precision == "bf16" ? net.bf16 : net.int8)
            << net.name << " " << precision << " " << kernels::isa_name(isa);
        EXPECT_GT(error, 1e-6) << net.name << " " << precision << ": float32 ran";
      }
  }
}

TEST(Precision, ARowsBitsAreTheSameInEveryBatch) {
  for (const Net& net : kNets)
    for (const char* precision : {"bf16", "int8"}) {
      const Result<Model> model = Model::load(sample(net.name));
      ASSERT_TRUE(model.ok()) << model.error().text();
      const Executable executable = compiled(model.value(), precision);
      const std::vector<float> rows = rows_for(executable), all = answers(executable, rows, 0, 32);
      const size_t width = all.size() / 32;
      for (const int64_t n : {1, 7})
        for (int64_t at = 0; at + n <= 32; at += 11) {
          const std::vector<float> part = answers(executable, rows, at, n);
          EXPECT_EQ(std::memcmp(part.data(), all.data() + static_cast<size_t>(at) * width, part.size() * 4), 0)
              << net.name << " " << precision << " rows " << at << " to " << at + n;
        }
    }
}

// A model of integers as others make it: native takes its layers as integers, and agrees with the reference, which
// computes on the floats that they stand for.
TEST(Precision, QuantizedModelsRunOnIntegersAndEqualTheReference) {
#ifdef HAYATE_SANITIZED
  constexpr const char* kModels[] = {"mlp_small", "tcn"};
#else
  constexpr const char* kModels[] = {"mlp_small", "mlp_medium", "tcn", "deeplob"};
#endif
  for (const char* name : kModels) {
    Result<Graph> graph = import_model(sample(name), {});
    ASSERT_TRUE(graph.ok()) << graph.error().text();
    const Result<InputTypes> types = declared_types(graph.value(), 5);
    ASSERT_TRUE(types.ok());
    const Batch batch = find_batch(graph.value(), types.value());
    const Result<Graph> made = quantised_model(graph.value(), batch, Plan());
    ASSERT_TRUE(made.ok()) << made.error().text();
    const Result<Tensors> inputs = made_inputs(made.value(), 5, 3);
    ASSERT_TRUE(inputs.ok());
    Plan plan;
    const auto native = compile_graph(made.value(), types_of(inputs.value()), plan);
    ASSERT_TRUE(native.ok()) << native.error().text();
    EXPECT_NE(native.value()->text().find("_int8:"), std::string::npos) << native.value()->text();
    EXPECT_EQ(native.value()->plain_steps(), 0) << native.value()->text();
    const Result<Tensors> got = run_on(native.value()->state().get(), inputs.value()),
                          wanted = evaluate(rewrite(made.value(), types_of(inputs.value())).value(), inputs.value());
    ASSERT_TRUE(got.ok() && wanted.ok());
    for (const auto& [output, tensor] : wanted.value())
      for (int64_t i = 0; i < tensor.count(); ++i)
        // A value on the edge between two steps may round to the other one in a layer behind.
        ASSERT_NEAR(got.value().at(output).data<float>()[i], tensor.data<float>()[i], 0.02) << name;
  }
}

TEST(Precision, TheProgramSavesRunsAndReportsIt) {
  const std::string folder = testing::TempDir(), saved = folder + "/hayate-int8.onnx", x = folder + "/hayate-x.npz";
  Result<Graph> graph = import_model(sample("mlp_small"), {});
  ASSERT_TRUE(graph.ok());
  ASSERT_TRUE(write_npz(x, made_inputs(graph.value(), 40, 2).value()).ok());
  const Ran made = call("convert " + sample("mlp_small") + " --precision int8 --calibrate " + x + " --output " + saved);
  ASSERT_EQ(made.exit_code, 0) << made.output;
  const Ran verified = call("verify " + saved + " --inputs " + x + " --atol 0.02");
  EXPECT_EQ(verified.exit_code, 0) << verified.output;
  const Ran run = call("run " + sample("mlp_small") + " --inputs " + x + " --precision int8 --calibrate " + x +
                       " --save-quantized " + saved + "2");
  EXPECT_EQ(run.exit_code, 0) << run.output;
  EXPECT_EQ(run.output.find("made-up"), std::string::npos) << run.output;
  const Ran uncalibrated = call("run " + sample("mlp_small") + " --inputs " + x + " --precision int8");
  EXPECT_NE(uncalibrated.output.find("made-up normal rows"), std::string::npos) << uncalibrated.output;
  EXPECT_EQ(read_file(saved).value(), read_file(saved + "2").value());
  const Ran told = call("verify " + sample("mlp_small"));
  EXPECT_NE(told.output.find("info native bf16 "), std::string::npos) << told.output;
  EXPECT_NE(told.output.find("info native int8 "), std::string::npos) << told.output;
  EXPECT_NE(told.output.find("made-up normal rows"), std::string::npos) << told.output;
  std::filesystem::remove(saved), std::filesystem::remove(saved + "2"), std::filesystem::remove(x);
}

TEST(Precision, IsRefusedWhereItCannotBe) {
  const Result<Model> trees = Model::load(sample("xgboost_200x6")), net = Model::load(sample("mlp_small"));
  ASSERT_TRUE(trees.ok() && net.ok());
  const auto refusal = [](const Model& model, auto change) {
    Plan plan = Plan::defaults(model);
    plan.precision = "int8";
    change(&plan);
    const Result<Executable> made = compile(model, plan);
    return made.ok() ? std::string("was taken") : made.error().text();
  };
  EXPECT_NE(refusal(trees.value(), [](Plan*) {}).find("precision fp32 runs it"), std::string::npos);
  EXPECT_NE(refusal(net.value(), [](Plan* plan) { plan->precision = "int4"; }).find("fp32, bf16 and int8"),
            std::string::npos);
  EXPECT_NE(refusal(net.value(), [](Plan* plan) { plan->backend = "reference"; }).find("is native's"),
            std::string::npos);
  EXPECT_NE(refusal(net.value(), [](Plan* plan) { plan->calibration = "/nowhere.npz"; }).find("/nowhere.npz"),
            std::string::npos);
  EXPECT_NE(refusal(net.value(), [](Plan* plan) { plan->calibration = sample("mlp_small"); }).find("mlp_small"),
            std::string::npos);
}

}  // namespace
}  // namespace hayate
