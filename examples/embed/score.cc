// Scores one row of zeros: score MODEL
#include <hayate/executable.h>

#include <cstdio>
#include <cstring>

int main(int argc, char** argv) {
  if (argc != 2) return std::fprintf(stderr, "usage: score MODEL\n"), 2;
  const hayate::Result<hayate::Model> model = hayate::Model::load(argv[1]);
  if (!model.ok()) return std::fprintf(stderr, "%s\n", model.error().text().c_str()), 1;
  const hayate::Result<hayate::Executable> executable =
      hayate::compile(model.value(), hayate::Plan::defaults(model.value()));
  if (!executable.ok()) return std::fprintf(stderr, "%s\n", executable.error().text().c_str()), 1;
  hayate::Session session = executable.value().session();
  std::memset(session.input(0), 0, static_cast<size_t>(executable.value().inputs()[0].row_bytes));
  const hayate::Status status = session.run(1);
  if (!status.ok()) return std::fprintf(stderr, "%s\n", session.text(status).c_str()), 1;
  std::printf("%s:", executable.value().outputs()[0].name.c_str());
  for (int64_t i = 0; i < executable.value().outputs()[0].row_bytes / 4; ++i)
    std::printf(" %g", static_cast<double>(static_cast<const float*>(session.output(0))[i]));
  std::printf("\n");
  return 0;
}
