// Another engine, ready to be timed beside native: loaded at run time, called through its own interface with memory
// that is allocated once, fed like every other contestant.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "tools/contestant.h"

namespace hayate::peers {

// What every peer is given: one model at one batch.
struct Job {
  std::filesystem::path model;                 // as asked for
  std::filesystem::path onnx;                  // the same model as ONNX: itself, or the file of that name beside it
  std::filesystem::path packages;              // the peers' Python packages, with their libraries inside
  std::filesystem::path trees;                 // what compile_trees.py made
  std::filesystem::path python, torch_script;  // who runs torch
  std::shared_ptr<const Graph> graph;
  Tensors inputs;  // of the first call, numbers that float32 holds
  const Pools* pools = nullptr;
  int64_t batch = 1;
  int threads = 1;
};

class Peer : public Runner {
 public:
  void feed(size_t call) override;
  // Makes the first call, and gives what it answered: the values of the first float output, row-major. Where it fails,
  // the reason.
  virtual Result<std::vector<double>> first();

  std::string name, precision = "fp32";
  int threads = 1;        // its own, for one call
  double compile_ms = 0;  // from the file to the first call

 protected:
  // `type` of its inputs: float32, or float64 where the model takes those.
  Peer(const Job& job, std::string name, Type type);
  virtual std::vector<double> answer() const = 0;  // of the last call

  std::vector<Tensor> inputs_;  // in the graph's order; what run() reads
  bool failed_ = false;         // set by run(), which has nobody to tell

 private:
  const Pools* pools_;
};

using MadePeer = Result<std::unique_ptr<Peer>>;

// Each an error, with the reason, where the peer is not there or does not take the model.
MadePeer make_openvino(const Job& job, const std::string& precision);  // "fp32" or "bf16": its inference precision hint
MadePeer make_onednn(const Job& job, const std::string& precision);    // the same two: the type of weights and answers
MadePeer make_lightgbm(const Job& job);
MadePeer make_xgboost(const Job& job);
MadePeer make_compiled_trees(const Job& job, const std::string& compiler);  // "tl2cgen" or "lleaves"
// torch in a Python process of its own that takes its turns with the others: its times hold Python's cost of a call.
// One peer, or the reason, for each of "torch eager", "torch torchscript", "torch inductor".
std::vector<std::pair<std::string, MadePeer>> make_torch(const Job& job);

// Values as the answer of one type or another.
std::vector<double> to_doubles(const float* values, size_t count);

}  // namespace hayate::peers
