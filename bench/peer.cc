#include "peer.h"

#include <cstring>

namespace hayate::peers {

Peer::Peer(const Job& job, std::string peer_name, Type type) : name(std::move(peer_name)), pools_(job.pools) {
  for (const ValueInfo& port : job.graph->inputs) {
    const Tensor& given = job.inputs.at(port.name);
    Tensor own(given.type() == Type::kFloat64 ? type : given.type(), given.shape());
    const Tensor first = given.type() == own.type() ? given : narrowed(given);
    std::memcpy(own.bytes(), first.bytes(), own.byte_count());
    inputs_.push_back(std::move(own));
  }
}

void Peer::feed(size_t call) {
  for (size_t i = 0; i < inputs_.size(); ++i)
    feed_input(pools_->pools[i], call, inputs_[i].type(), inputs_[i].count(), inputs_[i].bytes());
}

Result<std::vector<double>> Peer::first() {
  run();
  if (failed_) return Error{Code::kInternal, name, "its first call failed"};
  return answer();
}

std::vector<double> to_doubles(const float* values, size_t count) { return {values, values + count}; }

}  // namespace hayate::peers
