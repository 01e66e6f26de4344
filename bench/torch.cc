// torch, in a Python process that takes its turns when told so over a pipe (torch_peers.py), and says how long each of
// its calls took.
#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <sstream>

#include "base/tsc.h"
#include "peer.h"
#include "tensor/npy.h"

namespace hayate::peers {
namespace {

// The process and a line of talk each way. Ended when the last of its peers is gone.
class Python {
 public:
  static std::shared_ptr<Python> start(std::vector<std::string> words) {
    int to[2], from[2];
    if (pipe2(to, O_CLOEXEC) != 0 || pipe2(from, O_CLOEXEC) != 0) return nullptr;
    signal(SIGPIPE, SIG_IGN);
    const pid_t child = fork();
    if (child == 0) {
      dup2(to[0], 0), dup2(from[1], 1);
      std::vector<char*> arguments;
      for (std::string& word : words) arguments.push_back(word.data());
      arguments.push_back(nullptr);
      execv(arguments[0], arguments.data());
      _exit(127);
    }
    close(to[0]), close(from[1]);
    std::shared_ptr<Python> made(new Python);
    made->child_ = child, made->to_ = fdopen(to[1], "w"), made->from_ = fdopen(from[0], "r");
    return made;
  }
  ~Python() {
    std::fclose(to_);  // it ends when there is nothing more to read
    std::fclose(from_);
    if (child_ > 0) waitpid(child_, nullptr, 0);
  }

  void tell(const std::string& line) {
    std::fputs((line + "\n").c_str(), to_);
    std::fflush(to_);
  }
  // Without its line break; empty where the process has ended.
  std::string hear() {
    std::string line;
    for (int c; (c = std::fgetc(from_)) != EOF && c != '\n';) line += static_cast<char>(c);
    return line;
  }

 private:
  Python() = default;
  pid_t child_ = 0;
  std::FILE *to_ = nullptr, *from_ = nullptr;
};

class Torch : public Peer {
 public:
  Torch(const Job& job, const std::string& variant, std::shared_ptr<Python> python, std::vector<double> first)
      : Peer(job, "torch " + variant, Type::kFloat32),
        variant_(variant),
        python_(std::move(python)),
        first_(std::move(first)),
        ticks_per_ns_(ticks_per_microsecond() / 1000) {}

  Result<std::vector<double>> first() override { return first_; }
  void run() noexcept override {}
  void turn(std::chrono::microseconds length, bool counts) override {
    python_->tell(fmt::format("{} {} {} {} {}", variant_, length.count(), kWarm.count(), kWarmCalls, kCallsMin));
    std::istringstream times(python_->hear());
    for (double ns; times >> ns;)
      if (counts) ticks.push_back(static_cast<uint64_t>(ns * ticks_per_ns_));
  }

 private:
  std::vector<double> answer() const override { return first_; }

  std::string variant_;
  std::shared_ptr<Python> python_;
  std::vector<double> first_;
  double ticks_per_ns_;
};

std::vector<double> numbers(std::istringstream& line) {
  std::vector<double> all;
  for (double value; line >> value;) all.push_back(value);
  return all;
}

}  // namespace

std::vector<std::pair<std::string, MadePeer>> make_torch(const Job& job) {
  std::vector<std::pair<std::string, MadePeer>> made;
  const auto all_out = [&](const std::string& reason) {
    for (const char* variant : {"eager", "torchscript", "inductor"})
      made.emplace_back(fmt::format("torch {}", variant), Error{Code::kUnsupported, "torch", reason});
    return std::move(made);
  };
  if (job.model.extension() != ".onnx" || job.inputs.size() != 1) return all_out("is timed on networks of one input");
  const auto arrays = std::filesystem::temp_directory_path() / fmt::format("hayate-peers-{}.npz", getpid());
  const Result<bool> written =
      write_npz(arrays, {{"first", job.inputs.begin()->second}, {"pool", job.pools->pools[0]}});
  if (!written.ok()) return all_out(written.error().text());
  const auto python = Python::start({job.python, job.torch_script, job.model, arrays, std::to_string(job.threads)});
  if (python == nullptr) return all_out("no process could be started");
  // A line for each variant: "ready NAME MS VALUES..." or "out NAME REASON", then "end".
  std::string said = python->hear();
  for (; !said.empty() && said != "end"; said = python->hear()) {
    std::istringstream line(said);
    std::string word, variant, reason;
    double ms = 0;
    line >> word >> variant;
    if (word == "ready") {
      line >> ms;
      auto peer = std::make_unique<Torch>(job, variant, python, numbers(line));
      peer->threads = job.threads, peer->compile_ms = ms;
      made.emplace_back("torch " + variant, std::unique_ptr<Peer>(std::move(peer)));
    } else {
      std::getline(line >> std::ws, reason);
      made.emplace_back("torch " + variant, Error{Code::kUnsupported, "torch", reason});
    }
  }
  std::error_code ignored;
  std::filesystem::remove(arrays, ignored);
  if (said.empty()) made.clear();
  return said.empty() ? all_out("its process ended; is torch installed?") : std::move(made);
}

}  // namespace hayate::peers
