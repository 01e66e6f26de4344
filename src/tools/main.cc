// The `hayate` program: one subcommand per question.
#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "hardware/machine.h"

int main(int argc, char** argv) {
  CLI::App app{"hayate: trained models in microseconds", "hayate"};
  app.require_subcommand(1);
  app.set_version_flag("--version", HAYATE_VERSION);

  bool json = false;
  CLI::App* machine = app.add_subcommand("machine", "What hardware was found");
  machine->add_flag("--json", json, "One JSON object for machines");
  machine->footer("Example: hayate machine --json");
  machine->callback([&] {
    const hayate::Machine found = hayate::find_machine();
    fmt::print("{}", json ? hayate::to_json(found) : hayate::to_text(found));
  });

  CLI11_PARSE(app, argc, argv);
  return 0;
}
