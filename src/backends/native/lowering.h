// Turns a rewritten graph of fixed shapes into a Program: one function per operator picks kernels and places values.
#pragma once

#include <cstring>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "backends/native/pipeline.h"
#include "backends/native/program.h"
#include "backends/native/steps.h"
#include "backends/native/view.h"
#include "eval/evaluate.h"
#include "graph/graph.h"
#include "kernels/aligned.h"
#include "kernels/vector/kernels.h"

namespace hayate::native {

// What programs share: packed weights of equal contents, of every program in the process; and those of one executable
// tree programs, by their node.
class Packing {
 public:
  static std::shared_ptr<const kernels::AlignedVector<float>> keep(kernels::AlignedVector<float> values);
  std::map<std::string, std::shared_ptr<kernels::TreeProgram>> trees;
};

// How a layer's integers stand for its input and weights: x = (q - x_zero) * x_scale with q in uint8, and column n of
// the weights whole multiples, -128 to 127, of w_scales[n].
struct Integers {
  std::string x;  // the value that is quantised
  float x_scale = 1;
  int32_t x_zero = 0;
  std::vector<float> w_scales;
};

// Weights of a dense layer, packed, and how they want their input.
struct DenseWeights {
  View packed;
  int64_t segments = 1, segment_length = 0, n = 0;
  std::optional<kernels::Narrow> narrow;  // none: float
  float x_scale = 1;
  int32_t x_zero = 0;
};

struct LoweringOptions {
  bool bf16 = false;       // dense, convolution and recurrent layers
  int threads = 1;         // that may share a step
  std::string trees = {};  // as Plan has it
  bool near = false;       // functions between layers of fewer bits may be nearly right
};

class Lowering {
 public:
  Lowering(const Graph& graph, const Facts& facts, const kernels::Set& set, Packing* packing,
           const LoweringOptions& options = {});

  Result<Program> lower();

  // ---- for the operators' functions
  const Graph& graph() const { return graph_; }
  const kernels::Set& set() const { return set_; }
  int threads() const { return options_.threads; }
  bool bf16() const { return options_.bf16; }
  const std::string& trees() const { return options_.trees; }
  bool near() const { return options_.near; }
  Packing& packing() { return *packing_; }
  const TensorType& type(const std::string& name) const { return facts_.find(name)->second.type; }
  const Tensor* constant(const std::string& name) const;  // null where not known before the run, or left out
  View view(const std::string& name);                     // where the value lies; constants get a place when asked for
  // A place for the node's output: the caller's buffer where it is an output of the graph, else the arena. Row-major.
  View make(const std::string& name);
  View scratch(Type type, const Shape& shape);
  // A place for an image [N, C, spatial...], channels last; room for the zero border that its readers ask for is around
  // it, and set to zero.
  View make_image(const std::string& name);
  void define(const std::string& name, View view);  // name is what lies there
  // The same contents, moved if they do not lie as asked.
  View dense(const View& view);  // row-major
  View rows(const View& view);   // last axis of stride 1, the others merging into at most two
  View image(const View& view, const Shape& begin, const Shape& end,
             bool stride_free);  // channels last, the given zero border around it
  void copy(const View& from, const View& to);
  void fill(const View& to, const void* value);
  // Adds a step; args are kept by the program.
  template <typename Args>
  void emit(StepFunction run, const char* kernel, Args args, const std::vector<const View*>& operands) {
    auto kept = std::make_shared<Args>(std::move(args));
    emit_kept(run, kernel, kept.get(), operands);
    keep(kept);
  }
  // Ends lower() with the error when the node is done.
  void fail(Error error);
  Error located(Error error) const;  // with the file's name before its place
  // Whether so many bytes more, for `what` of the node, fit the memory limit; where not, lower() ends with that.
  bool has_room_for(int64_t bytes, const char* what);
  void keep(std::shared_ptr<void> what) { program_.kept.push_back(std::move(what)); }
  // Of w(k, n) = w[k * k_stride + n * n_stride], k = segment * segment_length + place in it: as `integers` says, else
  // as the options say.
  DenseWeights weights(const float* w, int64_t segments, int64_t segment_length, int64_t n, int64_t k_stride,
                       int64_t n_stride, const Integers* integers = nullptr);
  DenseWeights float_weights(const float* w, int64_t k, int64_t n, int64_t k_stride, int64_t n_stride);
  // The same elements at the same offsets and strides, in the form that the weights want; `begin` to `begin + count` is
  // the stretch of x's buffer that will be read.
  View narrowed(const View& x, int64_t begin, int64_t count, const DenseWeights& weights);
  // Where both input 0 and input `w` of the node come out of DequantizeLinear, input 0 behind a QuantizeLinear of a
  // float, with one scale, and the weights from integers around 0 with one scale for all or for each place of `axis`.
  std::optional<Integers> integers_of(const Node& node, size_t w, int64_t axis) const;
  // Of the weights alone: their scales.
  std::optional<std::vector<float>> weight_scales(const Node& node, size_t w, int64_t axis) const;
  View floats(const std::vector<float>& values);  // a constant made here
  void plain(const Node& node);
  // Fuses what follows: if the only reader of `name` is a unary function that kernels apply while they store, that node
  // is skipped, its output takes the place of `name`, and the function is given back.
  kernels::Activation take_activation(std::string* name);

 private:
  struct Buffer {
    uint32_t base = 0;            // 0: arena
    std::byte* memory = nullptr;  // base 1
    int64_t bytes = 0, place = -1;
    int64_t first = -1, last = -1;  // steps that touch it
  };
  struct Pending {
    StepFunction run;
    void* args;
    std::string name;
    std::vector<View> operands;
    PlainArgs* plain = nullptr;
    // Of a pipeline: its steps, and how many of them each stage has.
    std::vector<Pending> parts = {};
    std::vector<size_t> stages = {};
  };
  struct Room {
    View image;
    Shape begin, end;
  };
  bool has_room(const View& image, const Shape& begin, const Shape& end) const;
  void defer_quantisers();
  const Tensor* dequantised(const std::string& name) const;               // of constants; null where name is not that
  const Node* maker(const std::string& name, std::string_view op) const;  // null where it is made otherwise
  bool lower_node(const Node& node);                                      // false: native has no kernel for it
  void emit_kept(StepFunction run, const char* kernel, void* args, const std::vector<const View*>& operands,
                 PlainArgs* plain = nullptr);
  View kept_floats(kernels::AlignedVector<float> values);
  int add_buffer(uint32_t base, std::byte* memory, int64_t bytes);
  void collect_borders();
  void fuse_narrowing();
  void pipeline_layers();
  const RecurrentArgs& recurrence(size_t at) const;
  bool is_projected(size_t at) const;
  size_t pipelined_layer(size_t at) const;
  std::vector<size_t> pipelined_layers(size_t at) const;
  std::vector<size_t> directions(size_t at) const;
  PipelineArgs::Stage stage_of(size_t begin, size_t end) const;
  Step step_of(const Pending& pending) const;
  void take_lifetimes();
  void place_buffers();
  bool has_room_for_floats(int64_t count);
  TensorType first_type(const Node& node) const;
  Ref ref_of(const View& view) const;

  const Graph& graph_;
  const Facts& facts_;
  const kernels::Set& set_;
  Packing* packing_;
  Program program_;
  std::vector<Buffer> buffers_;
  std::vector<Pending> pending_;
  std::map<std::string, View> views_;
  std::map<std::string, std::pair<Shape, Shape>> borders_;  // of images: what their readers pad
  std::map<int, Room> rooms_;                               // images that have such a border around them, by buffer
  std::map<std::string, size_t> outputs_;                   // of the graph: their positions
  std::optional<Error> fault_;                              // what does not fit the memory limit; ends lower()
  std::map<std::string, int> uses_;
  std::map<std::string, size_t> only_reader_;
  std::vector<bool> skipped_;
  const Node* node_ = nullptr;
  LoweringOptions options_;
  std::map<std::string, size_t> makers_;               // of what QuantizeLinear and DequantizeLinear make
  std::set<std::string> deferred_;                     // made when somebody reads them
  mutable std::map<std::string, Tensor> dequantised_;  // constants
  std::map<std::tuple<int, int64_t, int64_t, int, float, int32_t>, View> narrowed_;
};

// Lowers one node to steps and views. False: it has no fast form here, the reference kernel runs it.
using Lower = bool (*)(Lowering& l, const Node& node);
Lower find_lower(const Node& node);

}  // namespace hayate::native
