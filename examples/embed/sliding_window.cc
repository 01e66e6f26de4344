// A model over a sliding window, asked at every row: sliding_window MODEL WINDOW, rows of numbers on stdin.
#include <hayate/stream.h>

#include <cstdio>
#include <cstdlib>
#include <vector>

int main(int argc, char** argv) {
  if (argc != 3) return std::fprintf(stderr, "usage: sliding_window MODEL WINDOW < rows.txt\n"), 2;
  const auto model = hayate::Model::load(argv[1]);
  if (!model.ok()) return std::fprintf(stderr, "%s\n", model.error().text().c_str()), 1;
  hayate::Plan plan = hayate::Plan::defaults(model.value());
  plan.window = std::atoll(argv[2]);
  const auto executable = hayate::compile_stream(model.value(), plan);  // shared, const, any thread
  if (!executable.ok()) return std::fprintf(stderr, "%s\n", executable.error().text().c_str()), 1;
  hayate::Stream stream = executable.value().stream();  // one instrument's window
  std::vector<float> row(executable.value().row_bytes() / sizeof(float));
  for (;;) {
    for (float& value : row)
      if (std::scanf("%f", &value) != 1) return 0;
    if (!stream.push(row.data()).ok()) return 1;  // the row has come: the answer is there
    if (stream.ready()) std::printf("%g\n", static_cast<double>(*static_cast<const float*>(stream.output(0))));
    if (!stream.settle().ok()) return 1;  // and what it leaves to do, while no row is due
  }
}
