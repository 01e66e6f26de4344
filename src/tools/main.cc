// The `hayate` program: one subcommand per question.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <filesystem>

#include "base/memory_budget.h"
#include "hardware/machine.h"
#include "tools/bench.h"
#include "tools/commands.h"

int main(int argc, char** argv) {
  CLI::App app{"hayate: trained models in microseconds", "hayate"};
  app.require_subcommand(1);
  app.set_version_flag("--version", HAYATE_VERSION);

  bool json = false;
  int status = 0;
  hayate::ModelOptions options;
  const auto add_memory_option = [](CLI::App* command) {
    command
        ->add_option_function<int64_t>(
            "--max-memory", [](int64_t mb) { hayate::MemoryBudget::process()->set_limit(mb << 20); },
            "Most that tensors and programs may take, in MB; half of the machine where left out")
        ->check(CLI::Range(int64_t{1}, int64_t{1} << 30));
  };
  const auto add_model_options = [&](CLI::App* command) {
    command->add_option("model", options.model, "ONNX, LightGBM text, XGBoost JSON or UBJ")->required();
    command->add_option("--set", options.sets, "Bind an input to a constant: NAME=VALUE")->allow_extra_args(false);
    command->add_option("--shape", options.shapes, "Fix an input's shape: NAME:D1,D2,...")->allow_extra_args(false);
    command->add_flag("--raw-score", options.raw_score,
                      "LightGBM and XGBoost: the sum, before the objective's transform");
    add_memory_option(command);
  };

  CLI::App* machine = app.add_subcommand("machine", "What hardware was found");
  machine->add_flag("--json", json, "One JSON object for machines");
  machine->footer("Example: hayate machine --json");
  machine->callback([&] {
    const hayate::Machine found = hayate::find_machine();
    fmt::print("{}", json ? hayate::to_json(found) : hayate::to_text(found));
  });

  CLI::App* info = app.add_subcommand("info", "Inputs, outputs, operators and size of a model");
  add_model_options(info);
  info->add_flag("--json", json, "One JSON object for machines");
  info->footer("Example: hayate info model.onnx --json");
  info->callback([&] { status = hayate::info(options, json); });

  CLI::App* dump = app.add_subcommand("dump", "The graph as text");
  add_model_options(dump);
  std::string after;
  int64_t batch = 1;
  dump->add_option("--after", after, "Rewritten up to this pass; 'all' for every pass");
  dump->add_option("--batch", batch, "With --after: what open extents are taken as")
      ->check(CLI::Range(int64_t{0}, int64_t{1} << 20))
      ->capture_default_str();
  dump->footer("Example: hayate dump model.onnx --after fold_constants");
  dump->callback([&] { status = hayate::dump(options, after, batch); });

  const auto add_peer_options = [&](CLI::App* command) {
    command->add_option("--ort-library", options.ort_library,
                        "ONNX Runtime's library; searched in .venv and the system where left out");
    command->add_option("--threads", options.threads, "Threads of ONNX Runtime")
        ->check(CLI::Range(1, 1024))
        ->capture_default_str();
    command->add_option("--isa", options.isa,
                        "Instruction set of native: avx512, avx2, sse4, neon, plain; the best there is where left out");
  };
  std::string inputs, output;
  CLI::App* run = app.add_subcommand("run", "Run a model on arrays from a file");
  add_model_options(run);
  run->add_option("--inputs", inputs, ".npz with arrays named as the model's inputs; .npy or .pb for a single input")
      ->required();
  run->add_option("--output", output, ".npz to write, arrays named as the model's outputs");
  run->add_option("--backend", options.backend, "Who runs it")
      ->check(CLI::IsMember({"native", "reference", "onnxruntime"}))
      ->capture_default_str();
  bool memory = false;
  run->add_flag("--memory", memory, "Print the process's peak memory");
  add_peer_options(run);
  run->footer("Example: hayate run model.onnx --inputs in.npz --output out.npz");
  run->callback([&] { status = hayate::run(options, inputs, output, memory); });

  double relative = 1e-5, absolute = 1e-6;
  CLI::App* verify = app.add_subcommand("verify",
                                        "Compare native and ONNX Runtime with the reference, or the reference with "
                                        "recorded outputs; exit 1 past tolerance");
  add_model_options(verify);
  verify->get_option("model")
      ->description("A model, or a folder with model.onnx and test_data_set_*/input_N.pb, output_N.pb")
      ->check(CLI::ExistingPath);
  verify->add_option("--inputs", inputs, "Of a model: arrays to compare on, as for run; made up where left out");
  verify->add_option("--rtol", relative, "Relative tolerance")->capture_default_str();
  verify->add_option("--atol", absolute, "Absolute tolerance")->capture_default_str();
  add_peer_options(verify);
  verify->footer("Examples: hayate verify model.onnx --inputs in.npz\n          hayate verify tests/cases/relu");
  verify->callback([&] {
    status = std::filesystem::is_directory(options.model)
                 ? hayate::verify_folder(options.model, options.sets, relative, absolute)
                 : hayate::verify_model(options, inputs, relative, absolute);
  });

  hayate::BenchOptions timing;
  CLI::App* bench = app.add_subcommand("bench", "Time backends beside each other");
  bench
      ->add_option("models", timing.models,
                   "ONNX, LightGBM text, XGBoost JSON or UBJ; beside text ONNX Runtime runs the .onnx of the same name")
      ->required()
      ->check(CLI::ExistingFile);
  bench->add_option("--backend", timing.backends, "native,onnxruntime")
      ->delimiter(',')
      ->check(CLI::IsMember({"native", "onnxruntime"}));
  bench->add_option("--batch", timing.batches, "Rows per call: 1,32")
      ->delimiter(',')
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 20));
  bench->add_option("--seconds", timing.seconds, "Per model and batch")
      ->check(CLI::Range(0.01, 3600.0))
      ->capture_default_str();
  bench->add_flag("--summary", timing.summary, "One line per model, with a bar for the ratio");
  bench->add_flag("--steps", timing.steps, "Print what each step of native takes");
  bench->add_option("--json", timing.json, "File to write the results to");
  bench->add_option("--set", options.sets, "Bind an input to a constant: NAME=VALUE")->allow_extra_args(false);
  bench->add_option("--shape", options.shapes, "Fix an input's shape: NAME:D1,D2,...")->allow_extra_args(false);
  add_memory_option(bench);
  add_peer_options(bench);
  bench->footer("Example: hayate bench models/*.onnx --batch 1,32 --json out.json");
  bench->callback([&] {
    timing.program = std::filesystem::read_symlink("/proc/self/exe");
    status = hayate::bench(options, timing);
  });

  CLI11_PARSE(app, argc, argv);
  return status;
}
