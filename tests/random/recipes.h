// What a random graph is made of: each recipe adds one node, or a few that a rewrite looks for, to what is there.
#pragma once

#include <string>
#include <vector>

#include "random/graph_maker.h"

namespace hayate::random_graphs {

struct Recipe {
  std::string name;
  int weight;
  void (*cook)(GraphMaker&);
  int64_t oldest = 17;  // opset that knows its operators as they are written here
};

void add_elementwise_recipes(std::vector<Recipe>* all);
void add_layout_recipes(std::vector<Recipe>* all);
void add_reduce_recipes(std::vector<Recipe>* all);
void add_dense_recipes(std::vector<Recipe>* all);
void add_window_recipes(std::vector<Recipe>* all);
void add_recurrent_recipes(std::vector<Recipe>* all);
void add_pattern_recipes(std::vector<Recipe>* all);
void add_quant_recipes(std::vector<Recipe>* all);
void add_fused_recipes(std::vector<Recipe>* all);
void add_ml_recipes(std::vector<Recipe>* all);
void add_index_recipes(std::vector<Recipe>* all);
void add_old_recipes(std::vector<Recipe>* all);

const std::vector<Recipe>& recipes();

}  // namespace hayate::random_graphs
