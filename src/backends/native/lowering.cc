#include "backends/native/lowering.h"

#include <algorithm>
#include <cstring>
#include <functional>
#include <mutex>
#include <string_view>

#include "backends/native/lower_ops.h"
#include "backends/native/placement.h"
#include "base/memory_budget.h"
#include "eval/trees.h"
#include "graph/window.h"

namespace hayate::native {

Lowering::Lowering(const Graph& graph, const Facts& facts, const kernels::Set& set, Packing* packing,
                   const LoweringOptions& options)
    : graph_(graph),
      facts_(facts),
      set_(set),
      packing_(packing),
      skipped_(graph.nodes.size(), false),
      options_(options) {
  for (size_t i = 0; i < graph.nodes.size(); ++i)
    for (const std::string& name : graph.nodes[i].inputs)
      if (!name.empty()) ++uses_[name], only_reader_[name] = i;
  for (size_t i = 0; i < graph.outputs.size(); ++i)
    uses_[graph.outputs[i].name] += 1000, outputs_.emplace(graph.outputs[i].name, i);
}

int Lowering::add_buffer(uint32_t base, std::byte* memory, int64_t bytes) {
  buffers_.push_back({base, memory, bytes});
  return static_cast<int>(buffers_.size()) - 1;
}

const Tensor* Lowering::constant(const std::string& name) const {
  if (name.empty()) return nullptr;
  const auto it = facts_.find(name);
  return it == facts_.end() || !it->second.value ? dequantised(name) : &*it->second.value;
}

View Lowering::view(const std::string& name) {
  if (deferred_.erase(name) != 0) {
    const Node* reader = node_;
    lower_node(graph_.nodes[makers_.at(name)]);
    node_ = reader;
  }
  const auto it = views_.find(name);
  if (it != views_.end()) return it->second;
  const Tensor& tensor = *constant(name);  // verified graphs define every value before it is read
  auto kept = std::make_shared<Tensor>(tensor);
  View made{add_buffer(1, kept->bytes(), static_cast<int64_t>(tensor.byte_count())), 0, tensor.type(), tensor.shape(),
            row_major(tensor.shape())};
  keep(kept);
  views_[name] = made;
  return made;
}

View Lowering::scratch(Type type, const Shape& shape) {
  View made{-1, 0, type, shape, row_major(shape)};
  made.buffer = add_buffer(0, nullptr, made.count() * static_cast<int64_t>(type_size(type)));
  return made;
}

View Lowering::make(const std::string& name) {
  const TensorType& t = type(name);
  if (const auto output = outputs_.find(name); output != outputs_.end()) {
    View made{-1, 0, t.type, t.shape, row_major(t.shape)};
    made.buffer = add_buffer(static_cast<uint32_t>(2 + graph_.inputs.size() + output->second), nullptr, 0);
    define(name, made);
    return made;
  }
  const View made = scratch(t.type, t.shape);
  define(name, made);
  return made;
}

void Lowering::define(const std::string& name, View view) { views_[name] = std::move(view); }

View Lowering::make_image(const std::string& name) {
  const TensorType& t = type(name);
  if (outputs_.contains(name)) return make(name);
  const size_t spatial = t.shape.size() - 2;
  Shape begin(spatial, 0), end(spatial, 0);
  if (const auto it = borders_.find(name); it != borders_.end()) begin = it->second.first, end = it->second.second;
  Shape padded{t.shape[0]};
  for (size_t i = 0; i < spatial; ++i) padded.push_back(begin[i] + t.shape[2 + i] + end[i]);
  padded.push_back(t.shape[1]);
  const View whole = scratch(t.type, padded);
  View made = whole;
  made.shape = t.shape;
  made.strides = {whole.strides[0], whole.strides.back()};
  const uint32_t zero = 0;
  for (size_t i = 0; i < spatial; ++i) {
    made.strides.push_back(whole.strides[1 + i]);
    made.offset += begin[i] * whole.strides[1 + i];
    for (const bool front : {true, false}) {
      View side = whole;
      const int64_t depth = front ? begin[i] : end[i];
      if (depth == 0) continue;
      side.offset += front ? 0 : (padded[1 + i] - depth) * whole.strides[1 + i];
      side.shape[1 + i] = depth;
      fill(side, &zero);
    }
  }
  rooms_.emplace(made.buffer, Room{made, begin, end});
  define(name, made);
  return made;
}

// Whether make_image left at least that border around it. Another image of the same shape, or a part of one, has none.
bool Lowering::has_room(const View& image, const Shape& begin, const Shape& end) const {
  const auto within = [](const Shape& wanted, const Shape& there) {
    return std::equal(wanted.begin(), wanted.end(), there.begin(), there.end(), std::less_equal<>());
  };
  const auto room = rooms_.find(image.buffer);
  if (room == rooms_.end()) return false;
  const View& held = room->second.image;
  return held.offset == image.offset && held.shape == image.shape && held.strides == image.strides &&
         within(begin, room->second.begin) && within(end, room->second.end);
}

View Lowering::dense(const View& view) {
  if (is_row_major(view)) return view;
  const View to = scratch(view.type, view.shape);
  copy(view, to);
  return to;
}

View Lowering::rows(const View& view) {
  const size_t rank = view.shape.size();
  if (rank == 0) return view;
  if (view.shape.back() == 1 || view.strides.back() == 1) {
    View outer = view;
    outer.shape.pop_back(), outer.strides.pop_back();
    Shape extents, strides;  // in file order: rows keep their order
    for (size_t i = 0; i < outer.shape.size(); ++i) {
      if (outer.shape[i] == 1) continue;
      if (!extents.empty() && strides.back() == outer.shape[i] * outer.strides[i])
        extents.back() *= outer.shape[i], strides.back() = outer.strides[i];
      else
        extents.push_back(outer.shape[i]), strides.push_back(outer.strides[i]);
    }
    if (extents.size() <= 2) return view;
  }
  const View to = scratch(view.type, view.shape);
  copy(view, to);
  return to;
}

View Lowering::image(const View& view, const Shape& begin, const Shape& end, bool stride_free) {
  // Taken as it is where its channels are consecutive and nothing is to be padded, or where make_image left room.
  const size_t spatial = begin.size();
  bool fits = view.strides[1] == 1 || view.shape[1] == 1;
  const bool pads = std::any_of(begin.begin(), begin.end(), [](int64_t p) { return p != 0; }) ||
                    std::any_of(end.begin(), end.end(), [](int64_t p) { return p != 0; });
  if (!stride_free) {
    int64_t step = view.shape[1];
    for (size_t i = spatial; i-- > 0;) {
      fits = fits && (view.shape[2 + i] == 1 || view.strides[2 + i] == step);
      step *= view.shape[2 + i];
    }
    fits = fits && (view.shape[0] == 1 || view.strides[0] == step);
  }
  if (fits && pads) fits = has_room(view, begin, end);
  if (fits) return view;
  Shape padded{view.shape[0]};
  for (size_t i = 0; i < spatial; ++i) padded.push_back(begin[i] + view.shape[2 + i] + end[i]);
  padded.push_back(view.shape[1]);
  const View whole = scratch(view.type, padded);
  if (pads) {
    const uint32_t zero = 0;
    fill(whole, &zero);
  }
  View made = whole;
  made.shape = view.shape;
  made.strides = {whole.strides[0], whole.strides.back()};
  for (size_t i = 0; i < spatial; ++i) {
    made.strides.push_back(whole.strides[1 + i]);
    made.offset += begin[i] * whole.strides[1 + i];
  }
  copy(view, made);
  return made;
}

namespace {

// Splits the innermost dimension off a loop; the rest becomes `outer`.
int64_t take_inner(const Loop& loop, size_t inner_dims, Outer* outer) {
  outer->dims = static_cast<int>(loop.extents.size() - inner_dims);
  for (int i = 0; i < outer->dims; ++i) {
    outer->extents[i] = loop.extents[i];
    for (size_t v = 0; v < loop.strides.size(); ++v) outer->strides[v][i] = loop.strides[v][i];
  }
  return loop.extents.back();
}

}  // namespace

void Lowering::copy(const View& from, const View& to) {
  if (to.count() == 0) return;
  const Loop loop = merged_loop({to, from});
  CopyArgs args;
  args.size = static_cast<int64_t>(type_size(to.type));
  args.n = take_inner(loop, 1, &args.outer);
  args.y_step = loop.strides[0].back(), args.x_step = loop.strides[1].back();
  emit(run_copy, "copy", args, {&to, &from});
}

void Lowering::fill(const View& to, const void* value) {
  if (to.count() == 0) return;
  Loop loop = merged_loop({to});
  if (loop.strides[0].back() != 1) loop.extents.push_back(1), loop.strides[0].push_back(1);
  FillArgs args;
  args.size = static_cast<int64_t>(type_size(to.type));
  std::memcpy(args.value, value, static_cast<size_t>(args.size));
  args.zero = std::all_of(args.value, args.value + 8, [](std::byte b) { return b == std::byte{0}; });
  args.n = take_inner(loop, 1, &args.outer);
  emit(run_fill, "fill", args, {&to});
}

std::shared_ptr<const kernels::AlignedVector<float>> Packing::keep(kernels::AlignedVector<float> values) {
  // Of all executables of the process: parts of one stream, and models that differ in a head, meet in the cache too.
  static std::mutex mutex;
  static std::multimap<size_t, std::weak_ptr<const kernels::AlignedVector<float>>> kept;
  const std::string_view bytes(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float));
  const size_t hash = std::hash<std::string_view>()(bytes);
  const std::lock_guard lock(mutex);
  std::erase_if(kept, [](const auto& each) { return each.second.expired(); });
  for (auto [it, end] = kept.equal_range(hash); it != end; ++it) {
    const auto there = it->second.lock();
    if (there != nullptr && there->size() == values.size() &&
        (bytes.empty() || std::memcmp(there->data(), values.data(), bytes.size()) == 0))
      return there;
  }
  struct Counted {
    kernels::AlignedVector<float> values;
    MemoryClaim claim;
  };
  auto made = std::make_shared<Counted>();
  made->values = std::move(values);
  made->claim = MemoryClaim(static_cast<int64_t>(bytes.size()));
  const std::shared_ptr<const kernels::AlignedVector<float>> shared(made, &made->values);
  kept.emplace(hash, shared);
  return shared;
}

View Lowering::kept_floats(kernels::AlignedVector<float> values) {
  const int64_t size = static_cast<int64_t>(values.size());
  const auto made = packing_->keep(std::move(values));
  auto* memory = reinterpret_cast<std::byte*>(const_cast<float*>(made->data()));  // steps only read it
  keep(std::const_pointer_cast<kernels::AlignedVector<float>>(made));
  return {add_buffer(1, memory, size * 4), 0, Type::kFloat32, {size}, {1}};
}

void Lowering::fail(Error error) {
  if (!fault_) fault_ = std::move(error);
}

Error Lowering::located(Error error) const {
  error.where = graph_.source + ": " + error.where;
  return error;
}

bool Lowering::has_room_for(int64_t bytes, const char* what) {
  if (fault_) return false;
  const std::string where = graph_.source + (node_ == nullptr ? "" : ": " + node_->where()) + ": " + what;
  if (const Result<bool> room = room_for(bytes, where); !room.ok()) fault_ = room.error();
  return !fault_;
}

bool Lowering::has_room_for_floats(int64_t count) { return has_room_for(count * 4, "packed weights"); }

View Lowering::floats(const std::vector<float>& values) {
  if (!has_room_for_floats(static_cast<int64_t>(values.size()))) return kept_floats({});
  return kept_floats({values.begin(), values.end()});
}

kernels::Activation Lowering::take_activation(std::string* name) {
  if (uses_[*name] != 1) return {};
  const size_t reader = only_reader_[*name];
  const kernels::Activation a = activation_of(*this, graph_.nodes[reader]);
  if (a.op == kernels::Unary::kNone) return {};
  skipped_[reader] = true;
  *name = graph_.nodes[reader].outputs[0];
  return a;
}

void Lowering::emit_kept(StepFunction run, const char* kernel, void* args, const std::vector<const View*>& operands,
                         PlainArgs* plain) {
  Pending pending{run, args, std::string(kernel) + ": " + (node_ == nullptr ? "output" : node_->where()), {}, plain};
  for (const View* operand : operands) pending.operands.push_back(operand == nullptr ? View() : *operand);
  pending_.push_back(std::move(pending));
}

// Of an output without a name.
TensorType Lowering::first_type(const Node& node) const {
  std::vector<const TensorType*> types;
  std::vector<const Tensor*> contents;
  for (const std::string& name : node.inputs) {
    const auto fact = facts_.find(name);
    types.push_back(name.empty() ? nullptr : &fact->second.type);
    contents.push_back(name.empty() || !fact->second.value ? nullptr : &*fact->second.value);
  }
  const Result<Types> made = output_types(ShapeContext(node, graph_.opset_of(node), types, contents));
  return made.ok() ? made.value()[0] : TensorType{Type::kFloat32, {0}};
}

void Lowering::plain(const Node& node) {
  if (is_tree_ensemble(node))
    if (auto error = ensemble_error(node, type(node.inputs[0]))) return fail(located(std::move(*error)));
  auto args = std::make_shared<PlainArgs>();
  args->node = node, args->opset = graph_.opset_of(node), args->kernel = find_kernel(node.domain, node.op);
  std::vector<View> operands;
  for (const std::string& name : node.inputs) {
    args->given.push_back(!name.empty());
    args->inputs.push_back(name.empty() ? TensorType{Type::kFloat32, {0}} : type(name));
  }
  std::vector<View> inputs;
  for (const std::string& name : node.inputs) inputs.push_back(name.empty() ? View() : dense(view(name)));
  for (const std::string& name : node.outputs) {
    const bool first = args->wanted.empty();  // is there for kernels that have no other, asked for or not
    args->wanted.push_back(first || !name.empty());
    args->outputs.push_back(!name.empty() ? type(name) : first ? first_type(node) : TensorType{Type::kFloat32, {0}});
    operands.push_back(!name.empty() ? make(name)
                       : first       ? scratch(args->outputs[0].type, args->outputs[0].shape)
                                     : View());
  }
  operands.insert(operands.end(), inputs.begin(), inputs.end());
  std::vector<const View*> pointers;
  for (const View& operand : operands) pointers.push_back(&operand);
  emit_kept(run_plain, "plain", args.get(), pointers, args.get());
  keep(args);
  ++program_.plain_steps;
}

// What Conv nodes pad is room to leave around the image they read, so that its maker writes where they read.
void Lowering::collect_borders() {
  for (const Node& node : graph_.nodes) {
    if (!node.is("Conv") && !is_conv_part(node)) continue;
    const Shape &x = type(node.inputs[0]).shape, &w = type(node.inputs[1]).shape;
    const Result<Window> window = sliding_window(node, Shape(x.begin() + 2, x.end()), Shape(w.begin() + 2, w.end()));
    if (!window.ok()) continue;
    // A unary function that will be fused writes the same image, and a layer of integers reads what they stand for.
    const std::optional<Integers> integers = integers_of(node, 1, 0);
    auto& [begin, end] = borders_[integers ? integers->x : node.inputs[0]];
    begin.resize(x.size() - 2), end.resize(x.size() - 2);
    for (size_t i = 0; i < begin.size(); ++i) {
      begin[i] = std::max(begin[i], window.value().pads_begin[i]);
      end[i] = std::max(end[i], window.value().pads_end[i]);
    }
  }
}

Ref Lowering::ref_of(const View& view) const {
  if (view.buffer < 0) return {};
  const Buffer& buffer = buffers_[view.buffer];
  const int64_t offset = view.offset * static_cast<int64_t>(type_size(view.type));
  if (buffer.base == 1) return {1, static_cast<int64_t>(reinterpret_cast<intptr_t>(buffer.memory)) + offset};
  return {buffer.base, (buffer.base == 0 ? buffer.place : 0) + offset};
}

// Of each buffer the steps that touch it first and last.
void Lowering::take_lifetimes() {
  for (size_t at = 0; at < pending_.size(); ++at) {
    const auto touch = [&](const Pending& pending) {
      for (const View& operand : pending.operands) {
        if (operand.buffer < 0) continue;
        Buffer& buffer = buffers_[operand.buffer];
        if (buffer.first < 0) buffer.first = static_cast<int64_t>(at);
        buffer.last = static_cast<int64_t>(at);
      }
    };
    touch(pending_[at]);
    for (const Pending& part : pending_[at].parts) touch(part);  // at the same time
  }
}

void Lowering::place_buffers() {
  std::vector<Lifetime> lifetimes;
  std::vector<size_t> owners;
  for (size_t i = 0; i < buffers_.size(); ++i) {
    if (buffers_[i].base != 0 || buffers_[i].first < 0) continue;
    lifetimes.push_back({buffers_[i].bytes, buffers_[i].first, buffers_[i].last});
    owners.push_back(i);
  }
  program_.arena_bytes = place(&lifetimes) / kAlign * kAlign + kAlign;
  for (size_t i = 0; i < owners.size(); ++i) buffers_[owners[i]].place = lifetimes[i].place;
}

bool Lowering::lower_node(const Node& node) {
  node_ = &node;
  const Lower lower = find_lower(node);
  if ((lower != nullptr && lower(*this, node)) || fault_) return true;
  if (find_kernel(node.domain, node.op) == nullptr) return false;
  plain(node);
  return true;
}

Step Lowering::step_of(const Pending& pending) const {
  Step step{pending.run, pending.args, {}};
  for (size_t i = 0; i < pending.operands.size(); ++i) {
    const Ref ref = ref_of(pending.operands[i]);
    if (pending.plain != nullptr)
      pending.plain->refs.push_back(ref);
    else
      step.refs[i] = ref;
  }
  auto part = pending.parts.begin();
  for (size_t stage = 0; stage < pending.stages.size(); ++stage)
    for (size_t i = 0; i < pending.stages[stage]; ++i)
      static_cast<PipelineArgs*>(pending.args)->stages[stage].steps.push_back(step_of(*part++));
  return step;
}

Result<Program> Lowering::lower() {
  defer_quantisers();
  collect_borders();
  for (size_t i = 0; i < graph_.inputs.size(); ++i) {
    const TensorType& t = type(graph_.inputs[i].name);
    define(graph_.inputs[i].name,
           {add_buffer(static_cast<uint32_t>(2 + i), nullptr, 0), 0, t.type, t.shape, row_major(t.shape)});
  }
  for (size_t i = 0; i < graph_.nodes.size(); ++i) {
    if (skipped_[i]) continue;
    const Node& node = graph_.nodes[i];
    node_ = &node;
    bool known = true;
    for (const std::string& name : node.outputs) known = known && (name.empty() || constant(name) != nullptr);
    if (known || deferred_.contains(node.outputs[0])) continue;  // a place is made when somebody reads it
    const bool done = lower_node(node);
    if (fault_) return *fault_;
    if (!done) return Error{Code::kUnsupported, graph_.source + ": " + node.where(), "native has no kernel for it"};
  }
  node_ = nullptr;
  for (size_t i = 0; i < graph_.outputs.size(); ++i) {
    const View made = view(graph_.outputs[i].name);
    const auto port = static_cast<uint32_t>(2 + graph_.inputs.size() + i);
    const bool lies_so = made.offset == 0 && is_row_major(made);
    Buffer& buffer = buffers_[made.buffer];
    if (lies_so && buffer.base == port) continue;
    // A transposition of ones, say: whoever makes it writes to the port. But where an input is as large, a caller may
    // have bound both to one memory, a state that is carried, and steps behind that one read the input.
    const auto is_as_large = [&](const ValueInfo& input) {
      const View in = view(input.name);
      return in.type == made.type && in.count() == made.count();
    };
    if (lies_so && buffer.base == 0 && buffer.bytes == made.count() * static_cast<int64_t>(type_size(made.type)) &&
        std::none_of(graph_.inputs.begin(), graph_.inputs.end(), is_as_large)) {
      buffer = {port, nullptr, 0};
      continue;
    }
    copy(made, {add_buffer(port, nullptr, 0), 0, made.type, made.shape, row_major(made.shape)});
  }
  if (fault_) return *fault_;
  fuse_narrowing();
  pipeline_layers();
  take_lifetimes();
  place_buffers();
  for (const Pending& pending : pending_) {
    program_.steps.push_back(step_of(pending));
    program_.names.push_back(pending.name);
  }
  return std::move(program_);
}

}  // namespace hayate::native
