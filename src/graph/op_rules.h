// The groups of shape rules, one file each; op_table.cc gathers them.
#pragma once

#include <vector>

#include "graph/op_table.h"

namespace hayate {

void add_elementwise_rules(std::vector<OpEntry>* table);
void add_layout_rules(std::vector<OpEntry>* table);
void add_dense_rules(std::vector<OpEntry>* table);
void add_norm_rules(std::vector<OpEntry>* table);
void add_window_rules(std::vector<OpEntry>* table);
void add_resize_rules(std::vector<OpEntry>* table);
void add_attention_rules(std::vector<OpEntry>* table);
void add_recurrent_rules(std::vector<OpEntry>* table);
void add_reduce_rules(std::vector<OpEntry>* table);
void add_ml_rules(std::vector<OpEntry>* table);
void add_svm_rules(std::vector<OpEntry>* table);
void add_labels_rules(std::vector<OpEntry>* table);
void add_quant_rules(std::vector<OpEntry>* table);
void add_fused_rules(std::vector<OpEntry>* table);
void add_index_rules(std::vector<OpEntry>* table);
void add_matrix_rules(std::vector<OpEntry>* table);
void add_spelled_rules(std::vector<OpEntry>* table);  // graph/spelling.h

}  // namespace hayate
