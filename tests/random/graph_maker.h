// Random graphs that are valid and well-conditioned, one per seed. The maker runs every node as it adds it: what the
// shape rules or kernels refuse is not added, and neither is a node that rounding errors at its inputs would carry past
// the tolerance of a result, so that two right engines agree on all of it.
#pragma once

#include <array>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "graph/graph.h"
#include "graph/op_table.h"
#include "random/dice.h"

namespace hayate::random_graphs {

// How an operator treats a rounding error of its inputs.
enum class Kind {
  kExact,       // passes it on and adds none: moves, Relu, Max, integers
  kArithmetic,  // adds one of its own
  kNorm,        // the same, and larger ones where the spread is small beside the mean
  kAbsolute,    // adds one as large as that of a 1, also to the smallest numbers: what is left of larger ones
  kTie,         // of integers by way of floats: where these fall between two steps, an error of theirs decides
  kJump,        // may turn it into another answer: comparisons, Floor, ArgMax
};

struct Value {
  std::string name;
  Type type = Type::kFloat32;
  Shape shape;         // with kRows rows
  int64_t batch = -1;  // the axis that counts rows; -1: none

  int64_t rank() const { return static_cast<int64_t>(shape.size()); }
  bool is_float32() const { return type == Type::kFloat32; }
};

constexpr int64_t kRows = 16, kFewRows = 3;

class GraphMaker {
 public:
  using Attributes = std::map<std::string, Attribute>;

  explicit GraphMaker(uint64_t seed);

  // What was made.
  const Graph& graph() const { return graph_; }
  bool symbolic() const { return symbolic_; }  // the inputs' first extents are open
  bool special() const { return special_; }    // NaN and infinity are among the inputs
  bool empties() const;                        // some value has no elements
  bool halves() const;                         // some node makes 16-bit floats
  // The inputs with that many rows: the first of kRows. All of them where nothing is open.
  std::map<std::string, Tensor> feeds(int64_t rows) const;
  const std::map<std::string, TensorType>& types() const { return types_; }  // of every value, with kRows rows
  static const std::vector<std::string>& recipe_names();
  const std::map<std::string, int>& used() const { return used_; }  // how many nodes each recipe added

  // For recipes.
  Dice& dice() { return dice_; }
  int64_t opset() const { return graph_.opset; }
  // A value that `fits`, the newer the likelier; nothing where there is none.
  std::optional<Value> find(const std::function<bool(const Value&)>& fits);
  std::optional<Value> find_float(int64_t rank_min = 0, int64_t rank_max = 6);
  std::string constant(Tensor tensor);
  std::string weights(Type type, const Shape& shape, double scale = 1) {
    return constant(dice_.tensor(type, shape, scale));
  }
  std::string scalar(Type type, double value);
  std::string ints(const std::vector<int64_t>& values) {
    return constant(Tensor::of<int64_t>({static_cast<int64_t>(values.size())}, values));
  }
  // Something to broadcast against the value: another of its type, or a constant (one element, a suffix, ones inside).
  std::string partner(const Value& value);
  // Adds a node ("Op", or "domain.Op"); nothing where it is refused.
  std::optional<std::vector<Value>> add(const std::string& op, const std::vector<std::string>& inputs, Kind kind,
                                        Attributes attributes = {}, size_t outputs = 1);
  // The first output's name, or empty where it is refused; an empty input makes it refused, so that calls nest.
  std::string chain(const std::string& op, const std::vector<std::string>& inputs, Kind kind,
                    Attributes attributes = {});
  const Value& value(const std::string& name) const;

 private:
  static constexpr size_t kNoises = 3;
  // Everything that was computed at one number of rows: as it is, and with rounding errors of three seeds.
  struct World {
    int64_t rows;
    std::map<std::string, Tensor> clean;
    std::array<std::map<std::string, Tensor>, kNoises> noisy;
  };

  void add_inputs();
  void add_input();
  void choose_outputs();
  using Read = std::function<Tensor(const std::string&)>;
  Result<std::vector<Tensor>> outputs_of(const Node& node, const Read& read) const;
  bool ties_hold(const Node& node, const World& world, const std::vector<Tensor>& clean) const;
  bool jumps_hold(const Node& node, const World& world, size_t noise, const std::vector<Tensor>& clean) const;
  bool run(const Node& node, Kind kind, World* world, std::vector<Tensor>* clean,
           std::array<std::vector<Tensor>, kNoises>* noisy);
  void disturb(Tensor* tensor, double units, double absolute = 0);

  Dice dice_;
  Graph graph_;
  bool symbolic_ = false, special_ = false;
  std::vector<Value> values_;
  std::vector<World> worlds_;
  std::map<std::string, TensorType> types_;
  std::map<std::string, int> used_;
};

}  // namespace hayate::random_graphs
