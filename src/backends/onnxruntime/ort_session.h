// A model loaded by ONNX Runtime, and the values that one caller feeds it.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "backends/onnxruntime/ort_library.h"
#include "tensor/tensor.h"

namespace hayate {

struct OrtOptions {
  int threads = 1;
  std::string optimisation = "all";  // "none", "basic", "extended", "all"
  std::string provider = "CPU";      // with or without "ExecutionProvider" behind it
};

// Any thread runs it.
class OrtSession {
 public:
  // Loads the file, or the model in `bytes` where they are not empty (`path` then only names it in errors).
  static Result<std::shared_ptr<const OrtSession>> create(std::shared_ptr<const OrtLibrary> library,
                                                          const std::string& path, const std::string& bytes,
                                                          const OrtOptions& options);
  ~OrtSession();
  OrtSession(const OrtSession&) = delete;
  OrtSession& operator=(const OrtSession&) = delete;

  const std::vector<std::string>& inputs() const { return inputs_; }
  const std::vector<std::string>& outputs() const { return outputs_; }
  const std::string& source() const { return source_; }

 private:
  friend class OrtValues;
  OrtSession() = default;
  bool configure(const OrtOptions& options, Error* error);
  bool load(const std::string& path, const std::string& bytes, Error* error);
  bool add_provider(const std::string& provider, Error* error);
  bool names(ort_abi::Place count_of, ort_abi::Place name_of, std::vector<std::string>* out, Error* error) const;

  std::shared_ptr<const OrtLibrary> library_;
  std::string source_;
  ort_abi::Env* env_ = nullptr;
  ort_abi::Session* session_ = nullptr;
  ort_abi::SessionOptions* options_ = nullptr;
  ort_abi::MemoryInfo* memory_ = nullptr;
  std::vector<std::string> inputs_, outputs_;
};

// Inputs and outputs of one caller, made once over memory that stays where it is; a run reads and writes in place.
class OrtValues {
 public:
  explicit OrtValues(std::shared_ptr<const OrtSession> session);
  ~OrtValues();
  OrtValues(const OrtValues&) = delete;
  OrtValues& operator=(const OrtValues&) = delete;

  // The tensor's memory becomes input or output number i of the session. An output that is never given is made anew in
  // each run and read with output().
  bool set_input(size_t i, const Tensor& tensor, Error* error);
  bool set_output(size_t i, const Tensor& tensor, Error* error);
  bool run(Error* error);
  Result<Tensor> output(size_t i) const;  // a copy

 private:
  bool value_of(const Tensor& tensor, ort_abi::Value** value, Error* error) const;

  std::shared_ptr<const OrtSession> session_;
  std::vector<ort_abi::Value*> inputs_, outputs_;
  std::vector<bool> own_memory_;  // of outputs: over the caller's
  std::vector<const char*> input_names_, output_names_;
};

}  // namespace hayate
