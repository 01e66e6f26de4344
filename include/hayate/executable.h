// A model compiled for this machine.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "hayate/model.h"
#include "hayate/plan.h"
#include "hayate/result.h"
#include "hayate/session.h"

namespace hayate {

struct Port {
  std::string name, type;
  std::vector<int64_t> shape;  // of one run at batch_max; the first extent is the batch unless fixed_batch()
  int64_t row_bytes = 0;       // of one row; of everything where the batch is fixed
};

// A shared handle. Const: any thread; sessions of one executable run side by side.
class Executable {
 public:
  const std::vector<Port>& inputs() const;
  const std::vector<Port>& outputs() const;
  int64_t batch_max() const;  // rows that one run takes at most; 1, the whole, where no input has an open first axis
  // Not empty: why rows cannot be run apart. Then run(n) takes batch_max or 0 rows only.
  const std::string& fixed_batch() const;
  std::string text() const;  // one line per step
  Session session() const;
  int64_t session_bytes() const;  // memory of one session, its inputs and outputs included
  // Whether another session fits the model's memory_max (else the process's limit). session() itself does not ask.
  Result<bool> room_for_session() const;

  // The model compiled for other shapes of its inputs, as Plan::shapes writes them: one of the plan's buckets, or one
  // kept from before, at once; else compiled by the calling thread, so not where microseconds count, and of those that
  // the plan does not list the one unused for longest is let go (its sessions stay). Any thread.
  Result<Executable> at(const std::vector<std::string>& shapes) const;
  // The same, but never compiles: nothing where that is not there.
  std::optional<Executable> ready(const std::vector<std::string>& shapes) const;

  struct Data;

 private:
  explicit Executable(std::shared_ptr<const Data> data) : data_(std::move(data)) {}
  friend Result<Executable> compile(const Model& model, const Plan& plan);
  friend class Session;
  std::shared_ptr<const Data> data_;
};

// An error too where not even one session would fit the model's memory_max.
Result<Executable> compile(const Model& model, const Plan& plan);

}  // namespace hayate
