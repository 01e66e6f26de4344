// Operators that run: for every entry of the op table the function that computes it on tensors, slow and obvious.
#pragma once

#include <string_view>
#include <vector>

#include "graph/graph.h"
#include "graph/op_table.h"
#include "tensor/tensor.h"

namespace hayate {

// One call: inputs (null: left out) and outputs of the types the shape rule gave (null: nobody asked for it). The shape
// rule has checked the node, so that a kernel only fails on values: an index out of range, an integer division by zero.
struct KernelContext {
  const Node& node;
  int64_t opset = 0;
  std::vector<const Tensor*> inputs;
  std::vector<Tensor*> outputs;

  const Tensor* input(size_t i) const { return i < inputs.size() ? inputs[i] : nullptr; }
  Tensor* output(size_t i) const { return i < outputs.size() ? outputs[i] : nullptr; }
  Error error(std::string what, Code code = Code::kOutOfRange) const {
    return Error{code, node.where(), std::move(what)};
  }
};

// Of a kernel that takes places of an axis of so many from input 1.
Error index_error(const KernelContext& c, int64_t index, int64_t extent);

using Kernel = Result<bool> (*)(const KernelContext&);

// Calls the kernel; where the operator is computed on float64 in the place of 16-bit floats (graph/halves.h), converts
// its inputs and outputs around it.
Result<bool> call_kernel(Kernel kernel, const KernelContext& context);

// Null where no kernel is known for the operator.
Kernel find_kernel(std::string_view domain, std::string_view op);

struct KernelEntry {
  std::string_view domain, op;
  Kernel kernel;
};
// The groups, one file each (ops_*.cc).
void add_elementwise_kernels(std::vector<KernelEntry>* table);
void add_layout_kernels(std::vector<KernelEntry>* table);
void add_dense_kernels(std::vector<KernelEntry>* table);
void add_norm_kernels(std::vector<KernelEntry>* table);
void add_window_kernels(std::vector<KernelEntry>* table);
void add_resize_kernels(std::vector<KernelEntry>* table);
void add_attention_kernels(std::vector<KernelEntry>* table);
void add_recurrent_kernels(std::vector<KernelEntry>* table);
void add_reduce_kernels(std::vector<KernelEntry>* table);
void add_ml_kernels(std::vector<KernelEntry>* table);
void add_svm_kernels(std::vector<KernelEntry>* table);
void add_labels_kernels(std::vector<KernelEntry>* table);
void add_quant_kernels(std::vector<KernelEntry>* table);
void add_fused_kernels(std::vector<KernelEntry>* table);
void add_index_kernels(std::vector<KernelEntry>* table);
void add_matrix_kernels(std::vector<KernelEntry>* table);
void add_bits_kernels(std::vector<KernelEntry>* table);

}  // namespace hayate
