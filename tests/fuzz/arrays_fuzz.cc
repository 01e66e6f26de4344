// Inputs: the first byte says whether the others are an .npy, an .npz or an ONNX tensor.
#include "fuzz/fuzz.h"
#include "import/onnx/onnx.h"
#include "tensor/npy.h"

using namespace hayate;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const MemoryScope scope(std::make_shared<MemoryBudget>(fuzz::kMemoryMax));
  fuzz::Choices choices(data, size);
  const uint8_t kind = choices.byte();
  const std::string_view bytes = choices.rest();
  if (kind == 'z') {
    const Result<NamedTensors> made = parse_npz(bytes, "fuzzed");
    if (!made.ok()) fuzz::check_error(made.error());
    return 0;
  }
  std::string name;
  const Result<Tensor> made = kind == 'p' ? import_onnx_tensor(bytes, "fuzzed", &name) : parse_npy(bytes, "fuzzed");
  if (!made.ok()) {
    fuzz::check_error(made.error());
    return 0;
  }
  to_doubles(made.value());
  const Result<Tensor> again = parse_npy(render_npy(made.value()), "rendered");
  if (!again.ok()) fuzz::found(again.error().text());
  if (again.value().shape() != made.value().shape()) fuzz::found("a rendered array has another shape");
  return 0;
}
