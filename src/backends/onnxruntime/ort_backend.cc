#include "backends/onnxruntime/ort_backend.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "backends/onnxruntime/ort_session.h"
#include "eval/evaluate.h"
#include "import/onnx/onnx_writer.h"
#include "rewrite/bind.h"

namespace hayate {
namespace {

Result<Facts> facts_of(const Graph& graph, const InputTypes& types) {
  const Result<Graph> resolved = resolve_branches(graph, types);
  if (!resolved.ok()) return resolved.error();
  return infer(resolved.value(), types);
}

// Whether an output is declared with a rank or extents that it does not have.
bool declared_wrongly(const ValueInfo& output, const Shape& shape) {
  if (!output.has_shape) return false;
  bool fits = output.dims.size() == shape.size();
  for (size_t i = 0; fits && i < shape.size(); ++i) fits = !output.dims[i].fixed() || output.dims[i].value == shape[i];
  return !fits;
}

// Some files ONNX Runtime does not run into tensors of ours: those that give lists of maps (ZipMap), and those that
// declare outputs with shapes they do not have. It is given such a graph as we write it: tensors, of open shape. Empty:
// the file runs as it is, unless that is `needed` for another reason.
std::string written_anew(const Graph& graph, const Result<Facts>& facts, bool needed = false) {
  needed = needed ||
           std::any_of(graph.nodes.begin(), graph.nodes.end(), [](const Node& node) { return node.op == "ZipMap"; });
  Graph open = graph;
  for (ValueInfo& output : open.outputs) {
    const auto fact = facts.ok() ? facts.value().find(output.name) : Facts::const_iterator();
    if (facts.ok() && fact != facts.value().end()) needed = needed || declared_wrongly(output, fact->second.type.shape);
    output.has_shape = false, output.dims.clear();
  }
  if (!needed) return "";
  Result<std::string> bytes = export_onnx(open);
  return bytes.ok() ? std::move(bytes).value() : "";
}

bool takes(const OrtSession& session, const std::string& input) {
  return std::find(session.inputs().begin(), session.inputs().end(), input) != session.inputs().end();
}

class OrtCompiled : public Compiled {
 public:
  OrtCompiled(const Graph& graph, const Batch& batch, const Result<Facts>& facts,
              std::shared_ptr<const OrtSession> session)
      : Compiled(batch), session_(std::move(session)) {
    std::vector<PortType> inputs, outputs;
    for (const ValueInfo& input : graph.inputs) inputs.push_back(port(input.name, batch.types.at(input.name)));
    for (const ValueInfo& output : graph.outputs) {
      // What our own shape rules do not know, ONNX Runtime says after the run.
      const auto fact = facts.ok() ? facts.value().find(output.name) : Facts::const_iterator();
      if (facts.ok() && fact != facts.value().end())
        outputs.push_back(port(output.name, fact->second.type));
      else
        outputs.push_back({output.name, {output.type, {0}}, 0, true});
    }
    set_ports(std::move(inputs), std::move(outputs));
  }

  // Which of its inputs is which of ours; the others are constants of the graph. False where it has one that we lack.
  bool match(const Graph& graph, Error* error) {
    for (const std::string& name : session_->inputs()) {
      const auto it = std::find_if(inputs().begin(), inputs().end(), [&](const auto& p) { return p.name == name; });
      const Tensor* constant = graph.constant(name);
      if (it == inputs().end() && constant == nullptr) {
        *error = {Code::kInvalidArgument, graph.source, fmt::format("ONNX Runtime asks for an input '{}'", name)};
        return false;
      }
      sources_.push_back(it == inputs().end() ? -1 : it - inputs().begin());
      constants_.push_back(it == inputs().end() ? *constant : Tensor());
    }
    for (const PortType& input : inputs())
      if (!takes(*session_, input.name)) {
        *error = {Code::kUnsupported, graph.source, fmt::format("ONNX Runtime takes no input '{}'", input.name)};
        return false;
      }
    for (const PortType& output : outputs()) {
      const auto& theirs = session_->outputs();
      const auto it = std::find(theirs.begin(), theirs.end(), output.name);
      if (it == theirs.end()) {
        *error = {Code::kInvalidArgument, graph.source,
                  fmt::format("ONNX Runtime does not give output '{}'", output.name)};
        return false;
      }
      targets_.push_back(static_cast<size_t>(it - theirs.begin()));
    }
    return true;
  }

  const std::shared_ptr<const OrtSession>& session() const { return session_; }
  const std::vector<int64_t>& sources() const { return sources_; }  // of each of its inputs: which of ours; -1: none
  const std::vector<Tensor>& constants() const { return constants_; }
  const std::vector<size_t>& targets() const { return targets_; }  // of each of our outputs: which of its

  std::unique_ptr<State> state() const override;
  std::string text() const override { return session_->source() + " as ONNX Runtime runs it\n"; }

 private:
  std::shared_ptr<const OrtSession> session_;
  std::vector<int64_t> sources_;
  std::vector<Tensor> constants_;
  std::vector<size_t> targets_;
};

class OrtState : public State {
 public:
  explicit OrtState(std::shared_ptr<const OrtCompiled> compiled)
      : State(compiled), ort_(*compiled), values_(compiled->session()), made_(compiled->outputs().size()) {}

  TensorType made(size_t i, int64_t n) const override {
    return ort_.outputs()[i].open ? TensorType{made_[i].type(), made_[i].shape()} : State::made(i, n);
  }

 protected:
  Status run_rows(int64_t n) noexcept override {
    try {
      if (!(placed_as(n) || place(n)) || !values_.run(&error_) || !fetch()) return {Status::kFailed, -1, 0};
      return {};
    } catch (const std::exception& thrown) {
      error_ = {Code::kResourceExhausted, ort_.session()->source(), thrown.what()};
      return {Status::kFailed, -1, 0};
    }
  }
  std::string failure(Status) const override { return error_.text(); }

 private:
  // Whether the values still stand for n rows of the memory that is bound now.
  bool placed_as(int64_t n) const {
    if (n != placed_rows_) return false;
    for (size_t i = 0; i < ort_.inputs().size(); ++i)
      if (places_[i] != input(i)) return false;
    for (size_t i = 0; i < ort_.outputs().size(); ++i)
      if (!ort_.outputs()[i].open && places_[ort_.inputs().size() + i] != output(i)) return false;
    return true;
  }

  bool place(int64_t n) {
    placed_rows_ = -1;
    const InputTypes types = ort_.batch().fixed.empty() ? ort_.batch().types_at(n) : ort_.batch().types;
    places_.clear();
    for (size_t i = 0; i < ort_.inputs().size(); ++i) places_.push_back(input(i));
    for (size_t i = 0; i < ort_.outputs().size(); ++i) places_.push_back(output(i));
    for (size_t k = 0; k < ort_.sources().size(); ++k) {
      const int64_t i = ort_.sources()[k];
      if (i < 0) {
        if (!values_.set_input(k, ort_.constants()[k], &error_)) return false;
        continue;
      }
      const TensorType& type = types.at(ort_.inputs()[static_cast<size_t>(i)].name);
      if (!values_.set_input(k, Tensor(type.type, type.shape, input(static_cast<size_t>(i))), &error_)) return false;
    }
    for (size_t i = 0; i < ort_.outputs().size(); ++i) {
      if (ort_.outputs()[i].open) continue;
      const TensorType type = State::made(i, n);
      if (!values_.set_output(ort_.targets()[i], Tensor(type.type, type.shape, output(i)), &error_)) return false;
    }
    placed_rows_ = n;
    return true;
  }

  bool fetch() {
    for (size_t i = 0; i < ort_.outputs().size(); ++i) {
      if (!ort_.outputs()[i].open) continue;
      Result<Tensor> tensor = values_.output(ort_.targets()[i]);
      if (!tensor.ok()) {
        error_ = tensor.error();
        return false;
      }
      made_[i] = std::move(tensor).value();
      place_output(i, made_[i].bytes());
    }
    return true;
  }

  const OrtCompiled& ort_;
  OrtValues values_;
  int64_t placed_rows_ = -1;
  std::vector<std::byte*> places_;  // of inputs, then outputs, when the values were made
  std::vector<Tensor> made_;        // open outputs
  Error error_;
};

std::unique_ptr<State> OrtCompiled::state() const {
  return std::unique_ptr<State>(new OrtState(std::static_pointer_cast<const OrtCompiled>(shared_from_this())));
}

class OrtBackend : public Backend {
 public:
  std::string_view name() const override { return "onnxruntime"; }
  Result<std::shared_ptr<const Compiled>> compile(const Graph& graph, const Batch& batch,
                                                  const Plan& plan) const override {
    if (graph.opset == 0) return Error{Code::kUnsupported, graph.source, "ONNX Runtime reads ONNX files alone"};
    const auto library = OrtLibrary::open(plan.ort_library);
    if (!library.ok()) return library.error();
    const Result<Facts> facts = facts_of(graph, batch.types);
    const auto session_of = [&](const std::string& bytes) {
      return OrtSession::create(library.value(), graph.source, bytes,
                                {plan.threads, plan.ort_optimisation, plan.ort_provider});
    };
    auto session = session_of(written_anew(graph, facts));
    // An initializer of the file that is fed is no input that it must have.
    if (session.ok() && std::any_of(graph.inputs.begin(), graph.inputs.end(),
                                    [&](const ValueInfo& input) { return !takes(*session.value(), input.name); }))
      session = session_of(written_anew(graph, facts, true));
    if (!session.ok()) return session.error();
    auto compiled = std::make_shared<OrtCompiled>(graph, batch, facts, session.value());
    Error error;
    if (!compiled->match(graph, &error)) return error;
    return std::shared_ptr<const Compiled>(compiled);
  }
};

}  // namespace

const Backend& ort_backend() {
  static const OrtBackend kBackend;
  return kBackend;
}

}  // namespace hayate
