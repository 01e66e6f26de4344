// The `hayate` program: one subcommand per question.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <filesystem>

#include "base/memory_budget.h"
#include "hardware/machine.h"
#include "import/onnx/onnx_writer.h"
#include "tools/bench.h"
#include "tools/commands.h"

namespace hayate {
namespace {

// What the subcommands' options fill, and the status of the one that ran.
struct Program {
  ModelOptions model;
  ConvertOptions convert;
  RunOptions run;
  VerifyOptions verify;
  BenchOptions bench;
  DumpOptions dump;
  StreamOptions stream;
  MachineOptions machine;
  bool json = false;
  int status = 0;
};

void add_bindings(CLI::App* command, ModelOptions* options) {
  command->add_option("--set", options->sets, "Bind an input to a constant: NAME=VALUE")->allow_extra_args(false);
  command
      ->add_option("--shape", options->shapes,
                   "Fix an input's shape: NAME:D1,D2,...; * keeps an extent. run, bench: an input named again starts "
                   "another set of shapes")
      ->allow_extra_args(false);
  command->add_flag("--raw-score", options->raw_score,
                    "LightGBM and XGBoost: the sum, before the objective's transform");
  command
      ->add_option_function<int64_t>(
          "--max-memory", [](int64_t mb) { MemoryBudget::process()->set_limit(mb << 20); },
          "Most that tensors and programs may take, in MB; half of the machine where left out")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 30));
}

CLI::Option* add_model(CLI::App* command, ModelOptions* options) {
  CLI::Option* model = command->add_option("model", options->model, "ONNX, LightGBM text, XGBoost JSON or UBJ");
  add_bindings(command, options);
  return model->required();
}

void add_calibration(CLI::App* command, Plan* plan) {
  command
      ->add_option("--calibrate", plan->calibration,
                   "For int8: inputs as run takes them, whose ranges set the scales; made-up rows where left out")
      ->check(CLI::ExistingFile);
}

// Read where it stands, so that options after it override the file's choices.
void add_plan_file(CLI::App* command, Plan* plan) {
  command->add_option_function<std::string>(
      "--plan",
      [plan](const std::string& path) {
        const Result<Plan> read = load_plan(path);
        if (!read.ok()) throw CLI::ValidationError("--plan", read.error().text());
        *plan = read.value();
      },
      "A plan as JSON: backend, isa, batch_max, threads, shapes ...; options beside it override it");
}

void add_plan(CLI::App* command, Plan* plan) {
  command->add_option(
      "--isa", plan->isa,
      "Instruction set of native: amx, avx512, avx2, sse4, neon, plain; the best there is where left out");
  add_calibration(command, plan);
  command->add_option("--trees", plan->trees,
                      "How tree ensembles run: 'measured' times each method when the model is compiled; or a method's "
                      "name, as bench --steps prints it; by a table of costs where left out");
  command
      ->add_option(
          "--threads", plan->threads,
          "Threads of one run: onnxruntime's own, or native's helpers and the caller, who share the steps that "
          "`hayate machine --measure` found large enough, or run recurrent layers one behind the other and the two "
          "directions of one at once")
      ->check(CLI::Range(1, 1024))
      ->each([plan](const std::string&) { share_as_measured(plan); })
      ->capture_default_str();
  command->add_option("--ort-library", plan->ort_library,
                      "ONNX Runtime's library; searched in .venv and the system where left out");
  command->add_option("--ort-optimisation", plan->ort_optimisation, "ONNX Runtime's: none, basic, extended or all")
      ->check(CLI::IsMember({"none", "basic", "extended", "all"}))
      ->capture_default_str();
  command
      ->add_option("--ort-provider", plan->ort_provider, "ONNX Runtime's execution provider: CPU, CUDA, OpenVINO ...")
      ->capture_default_str();
}

void add_precision(CLI::App* command, Plan* plan) {
  command->add_option("--precision", plan->precision, "Of native's dense, convolution and recurrent layers")
      ->check(CLI::IsMember({"fp32", "bf16", "int8"}))
      ->capture_default_str();
}

// Checked when it is used: the error names what there is.
CLI::Validator backend_name() {
  return CLI::Validator(
      [](const std::string& name) {
        return find_backend(name) != nullptr ? std::string()
                                             : fmt::format("'{}' is no backend; there are {}", name, backend_names());
      },
      "BACKEND");
}

void add_machine(CLI::App* app, Program* p) {
  CLI::App* found = app->add_subcommand("machine", "What hardware was found, and what one core of it can do");
  found->add_flag("--json", p->machine.json, "One JSON object for machines");
  found->add_flag(
      "--measure", p->machine.measure,
      "Time the caches, the arithmetic and the hand-off between cores (about three seconds; leave the machine "
      "alone meanwhile) and keep the peaks: bench holds its figures against them");
  found->footer("Example: hayate machine --measure");
  found->callback([p] { p->status = hayate::machine(p->machine); });
}

void add_info(CLI::App* app, Program* p) {
  CLI::App* info =
      app->add_subcommand("info", "Inputs, outputs, operators, size of a model, and what each backend says to it");
  add_model(info, &p->model);
  add_plan(info, &p->model.plan);
  info->add_flag("--json", p->json, "One JSON object for machines");
  info->footer("Example: hayate info model.onnx --json");
  info->callback([p] { p->status = hayate::info(p->model, p->json); });
}

void add_dump(CLI::App* app, Program* p) {
  CLI::App* dump = app->add_subcommand("dump", "The graph as text");
  add_model(dump, &p->model);
  dump->add_option("--after", p->dump.after, "Rewritten up to this pass; 'all' for every pass");
  dump->add_option("--batch", p->dump.batch, "With --after or --passes: what open extents are taken as")
      ->check(CLI::Range(int64_t{0}, int64_t{1} << 20))
      ->capture_default_str();
  dump->add_flag("--passes", p->dump.passes, "Instead of the graph: each pass, what it changed and how long it took");
  dump->footer("Example: hayate dump model.onnx --after fold_constants");
  dump->callback([p] { p->status = hayate::dump(p->model, p->dump); });
}

void add_convert(CLI::App* app, Program* p) {
  CLI::App* convert = app->add_subcommand(
      "convert", "Write a model as ONNX: text trees as TreeEnsemble of ai.onnx.ml 5, which keeps float64 thresholds");
  add_model(convert, &p->model);
  convert->add_option("--output", p->convert.output, "The .onnx to write")->required();
  convert
      ->add_option("--ml-opset", p->convert.ml_opset,
                   "Newest version of ai.onnx.ml that may be used; what needs a newer one is refused")
      ->check(CLI::Range(int64_t{1}, kMlOpsetMax));
  convert
      ->add_option("--precision", p->model.plan.precision,
                   "int8: QuantizeLinear and DequantizeLinear around what layers read, weights in 8 bits")
      ->check(CLI::IsMember({"fp32", "int8"}))
      ->capture_default_str();
  add_calibration(convert, &p->model.plan);
  convert->footer(
      "Examples: hayate convert model.txt --output model.onnx\n"
      "          hayate convert model.onnx --precision int8 --calibrate rows.npz --output int8.onnx");
  convert->callback([p] { p->status = hayate::convert(p->model, p->convert); });
}

void add_run(CLI::App* app, Program* p) {
  CLI::App* run = app->add_subcommand("run", "Run a model on arrays from a file");
  add_model(run, &p->model);
  run->add_option("--inputs", p->run.inputs,
                  ".npz with arrays named as the model's inputs; .npy or .pb for a single input")
      ->required();
  run->add_option("--output", p->run.output, ".npz to write, arrays named as the model's outputs");
  add_plan_file(run, &p->model.plan);
  run->add_option("--backend", p->model.plan.backend, "Who runs it: " + backend_names())
      ->check(backend_name())
      ->capture_default_str();
  add_precision(run, &p->model.plan);
  run->add_option("--save-quantized", p->run.quantised,
                  "With --precision int8: the model with those scales and weights, as an .onnx that others run too");
  run->add_flag("--memory", p->run.memory, "Print the process's peak memory");
  add_plan(run, &p->model.plan);
  run->footer("Example: hayate run model.onnx --inputs in.npz --output out.npz");
  run->callback([p] { p->status = hayate::run(p->model, p->run); });
}

void add_verify(CLI::App* app, Program* p) {
  CLI::App* verify = app->add_subcommand(
      "verify", "Compare every backend with the reference, or with recorded outputs; exit 1 past tolerance");
  add_model(verify, &p->model)
      ->description("A model, or a folder with model.onnx and test_data_set_*/input_N.pb, output_N.pb")
      ->check(CLI::ExistingPath);
  verify->add_option("--inputs", p->verify.inputs,
                     "Of a model: arrays to compare on, as for run; made up where left out");
  verify->add_option("--rtol", p->verify.tolerance.relative, "Relative tolerance")->capture_default_str();
  verify->add_option("--atol", p->verify.tolerance.absolute, "Absolute tolerance")->capture_default_str();
  verify->add_flag("--json", p->verify.json, "One JSON object for machines");
  add_plan(verify, &p->model.plan);
  verify->footer("Examples: hayate verify model.onnx --inputs in.npz\n          hayate verify tests/cases/relu");
  verify->callback([p] { p->status = hayate::verify(p->model, p->verify); });
}

void add_stream(CLI::App* app, Program* p) {
  CLI::App* stream = app->add_subcommand(
      "stream", "Replay rows through a sliding window: the full window's answer at the cost of one row");
  add_model(stream, &p->model);
  stream
      ->add_option("--window", p->model.plan.window, "Rows of the window; 0: the model carries its state, see --state")
      ->required()
      ->check(CLI::Range(int64_t{0}, int64_t{1} << 20));
  stream->add_option("--state", p->model.plan.states,
                     "IN=OUT: the input takes what the output was one row before; repeat for more");
  stream->add_option("--time-axis", p->model.plan.time_axis,
                     "NAME:AXIS of the input, where several axes have as many places as the window");
  stream
      ->add_option("--warm-up", p->model.plan.warm_up,
                   "Rows before the window is full: answered as if zeros were before them, or not at all")
      ->check(CLI::IsMember({"zeros", "wait"}))
      ->capture_default_str();
  stream->add_option("--inputs", p->stream.inputs,
                     ".npz or .npy with one array of rows, [N, ...], of the input's type, or .csv with a row a line");
  stream->add_option("--output", p->stream.output, ".npz to write: one answer for each row, or each that is answered");
  stream->add_flag("--check", p->stream.check,
                   "Hold every answer against the full window's, and 1,000 against ONNX Runtime's; exit 1 where the "
                   "full window's is past tolerance");
  stream->add_flag("--explain", p->stream.explain, "What every value of the model is, and what runs when");
  stream->add_option("--burst", p->stream.burst, "Rows that come at once, before anything is settled")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 20))
      ->capture_default_str();
  stream->add_flag("--json", p->stream.json, "One JSON object for machines");
  add_precision(stream, &p->model.plan);
  add_plan(stream, &p->model.plan);
  stream->footer(
      "Examples: hayate stream models/lstm_a.onnx --window 50 --inputs rows.npz --check\n"
      "          hayate stream vad.onnx --window 0 --state state=stateN --set sr=16000 --inputs chunks.npy");
  stream->callback([p] { p->status = hayate::stream(p->model, p->stream); });
}

void add_bench(CLI::App* app, Program* p) {
  CLI::App* bench = app->add_subcommand("bench", "Time backends beside each other");
  bench
      ->add_option("models", p->bench.models,
                   "ONNX, LightGBM text, XGBoost JSON or UBJ; beside text ONNX Runtime runs the .onnx of the same name")
      ->required()
      ->check(CLI::ExistingFile);
  add_bindings(bench, &p->model);
  add_plan_file(bench, &p->model.plan);
  CLI::Option* backend = bench->add_option("--backend", p->bench.backends, "Any of " + backend_names())
                             ->delimiter(',')
                             ->check(backend_name())
                             ->capture_default_str();
  CLI::Option* precision =
      bench->add_option("--precision", p->bench.precisions, "Of native, any of fp32, bf16, int8; each is timed")
          ->delimiter(',')
          ->check(CLI::IsMember({"fp32", "bf16", "int8"}))
          ->capture_default_str();
  CLI::Option* batch = bench->add_option("--batch", p->bench.batches, "Rows per call: 1,32")
                           ->delimiter(',')
                           ->check(CLI::Range(int64_t{1}, int64_t{1} << 20))
                           ->capture_default_str();
  bench->add_option("--seconds", p->bench.seconds, "Per model and batch")
      ->check(CLI::Range(0.01, 3600.0))
      ->capture_default_str();
  bench->add_flag("--summary", p->bench.summary, "One line per model, with a bar for the ratio");
  bench->add_flag("--steps", p->bench.steps,
                  "Print what each step of native takes; with --stream those from a row to its answer");
  bench->add_option("--json", p->bench.json, "File to write the results to");
  CLI::Option* stream = bench->add_flag("--stream", p->bench.streams,
                                        "Also a stream over the last --window rows; with --backend native that alone");
  bench->add_option("--window", p->bench.window, "Of --stream: rows; 0: the model carries its state, see --state")
      ->needs(stream)
      ->check(CLI::Range(int64_t{0}, int64_t{1} << 20));
  bench
      ->add_option("--state", p->model.plan.states,
                   "Of --stream: IN=OUT, an input that takes an output of the row before")
      ->needs(stream);
  bench->add_option("--time-axis", p->model.plan.time_axis, "Of --stream: NAME:AXIS of the input")->needs(stream);
  add_plan(bench, &p->model.plan);
  bench->footer("Example: hayate bench models/*.onnx --batch 1,32 --json out.json");
  bench->callback([p, bench, backend, precision, batch, stream] {
    if (!stream->empty() && p->bench.window < 0) throw CLI::ValidationError("--stream", "needs --window");
    p->bench.streams_alone =
        !stream->empty() && !backend->empty() && p->bench.backends == std::vector<std::string>{"native"};
    if (bench->count("--plan") != 0) {
      if (backend->empty() && p->model.plan.backend != "onnxruntime")
        p->bench.backends = {p->model.plan.backend, "onnxruntime"};
      if (backend->empty() && p->model.plan.backend == "onnxruntime") p->bench.backends = {"onnxruntime"};
      if (batch->empty()) p->bench.batches = {p->model.plan.batch_max};
      if (precision->empty()) p->bench.precisions = {p->model.plan.precision};
    }
    p->bench.program = std::filesystem::read_symlink("/proc/self/exe");
    p->status = hayate::bench(p->model, p->bench);
  });
}

}  // namespace
}  // namespace hayate

int main(int argc, char** argv) {
  CLI::App app{"hayate: trained models in microseconds", "hayate"};
  app.require_subcommand(1);
  app.set_version_flag("--version", HAYATE_VERSION);
  app.set_config("--config", "hayate.toml", "Defaults for options, a section per command: [bench] seconds = 3");
  app.footer("Example: hayate bench models/mlp_small.onnx");
  hayate::Program program;
  hayate::add_machine(&app, &program);
  hayate::add_info(&app, &program);
  hayate::add_dump(&app, &program);
  hayate::add_convert(&app, &program);
  hayate::add_run(&app, &program);
  hayate::add_verify(&app, &program);
  hayate::add_stream(&app, &program);
  hayate::add_bench(&app, &program);
  CLI11_PARSE(app, argc, argv);
  return program.status;
}
