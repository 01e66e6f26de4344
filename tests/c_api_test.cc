// The C interface: called from C, every error said, no exception across, structs of other versions.
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstddef>
#include <cstring>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "c_caller.h"
#include "hayate/executable.h"
#include "hayate/hayate.h"
#include "hayate/stream.h"

namespace hayate {
namespace {

std::string sample(const std::string& name) { return std::string(HAYATE_SOURCE_DIR) + "/models/" + name; }

struct Free {
  void operator()(hayate_model* model) const { hayate_model_free(model); }
  void operator()(hayate_executable* executable) const { hayate_executable_free(executable); }
  void operator()(hayate_session* session) const { hayate_session_free(session); }
  void operator()(hayate_stream_executable* executable) const { hayate_stream_executable_free(executable); }
  void operator()(hayate_stream* stream) const { hayate_stream_free(stream); }
};
using ModelHandle = std::unique_ptr<hayate_model, Free>;
using ExecutableHandle = std::unique_ptr<hayate_executable, Free>;
using SessionHandle = std::unique_ptr<hayate_session, Free>;

std::string taken(char* text) {
  const std::string made = text == nullptr ? "" : text;
  hayate_free_text(text);
  return made;
}

// What loading says where it gives null; "loads" else.
std::string load_error(const std::string& path, const hayate_load_options* options = nullptr) {
  char* error = nullptr;
  return ModelHandle(hayate_model_load(path.c_str(), options, &error)) ? "loads" : taken(error);
}

std::string compile_error(const hayate_model* model, const hayate_options* options) {
  char* error = nullptr;
  return ExecutableHandle(hayate_compile(model, options, &error)) ? "compiles" : taken(error);
}

void expect_says(const std::string& said, const std::string& wanted) {
  EXPECT_NE(said.find(wanted), std::string::npos) << "'" << said << "' instead of '" << wanted << "'";
}

hayate_load_options load_options() {
  hayate_load_options options{};
  options.size = sizeof options;
  return options;
}

hayate_options options() {
  hayate_options made{};
  made.size = sizeof made;
  return made;
}

TEST(CInterface, ACallerInC) {
  for (const char* name : {"mlp_small.onnx", "lstm_a.onnx"}) {
    const char* wrong = c_caller_walks(sample(name).c_str());
    EXPECT_EQ(wrong, nullptr) << name << ": " << wrong;
  }
  const char* wrong = c_caller_is_careless();
  EXPECT_EQ(wrong, nullptr) << wrong;
}

TEST(CInterface, TheSameBitsAsFromCpp) {
  const Result<Executable> own = compile(Model::load(sample("mlp_small.onnx")).value(), {});
  Session wanted = own.value().session();
  float* x = static_cast<float*>(wanted.input(0));
  for (int i = 0; i < 40; ++i) x[i] = static_cast<float>(i - 20) / 10;
  ASSERT_TRUE(wanted.run(1).ok());
  const ModelHandle model(hayate_model_load(sample("mlp_small.onnx").c_str(), nullptr, nullptr));
  const ExecutableHandle executable(hayate_compile(model.get(), nullptr, nullptr));
  const SessionHandle session(hayate_session_new(executable.get(), nullptr));
  ASSERT_NE(session, nullptr);
  std::memcpy(hayate_session_input(session.get(), 0), x, 160);
  EXPECT_EQ(hayate_run(session.get(), 1).code, HAYATE_OK);
  EXPECT_EQ(std::memcmp(hayate_session_output(session.get(), 0), wanted.output(0), 12), 0);
}

TEST(CInterface, AStream) {
  using StreamExecutableHandle = std::unique_ptr<hayate_stream_executable, Free>;
  using StreamHandle = std::unique_ptr<hayate_stream, Free>;
  char* error = nullptr;
  const ModelHandle model(hayate_model_load(sample("gru.onnx").c_str(), nullptr, &error));
  hayate_options with = options();
  with.window = 50;
  const StreamExecutableHandle executable(hayate_stream_compile(model.get(), &with, &error));
  ASSERT_NE(executable, nullptr) << taken(error);
  ASSERT_EQ(hayate_stream_row_bytes(executable.get()), 160);
  ASSERT_EQ(hayate_stream_output_count(executable.get()), 1u);
  hayate_port port{};
  port.size = sizeof port;
  EXPECT_EQ(hayate_stream_port(executable.get(), 0, &port), 0);
  EXPECT_STREQ(port.name, "output");
  EXPECT_EQ(hayate_stream_port(executable.get(), 1, &port), 1);
  EXPECT_EQ(hayate_stream_why_not(executable.get()), nullptr);
  expect_says(taken(hayate_stream_explain(executable.get())), "windows in flight");
  const StreamHandle stream(hayate_stream_new(executable.get(), &error)),
      other(hayate_stream_new(executable.get(), &error));
  Plan plan;
  plan.window = 50;
  Stream wanted = compile_stream(Model::load(sample("gru.onnx")).value(), plan).value().stream();
  std::vector<float> row(40);
  std::vector<char> snapshot;
  for (int r = 0; r < 60; ++r) {
    for (int i = 0; i < 40; ++i) row[static_cast<size_t>(i)] = static_cast<float>((r * 7 + i * 3) % 19 - 9) / 8;
    ASSERT_EQ(hayate_stream_push(stream.get(), row.data()).code, HAYATE_OK);
    ASSERT_TRUE(wanted.push(row.data()).ok());
    ASSERT_EQ(std::memcmp(hayate_stream_output(stream.get(), 0), wanted.output(0), 4), 0) << "row " << r;
    hayate_status status;
    if (r % 3 == 0) {
      ASSERT_EQ(hayate_stream_settle(stream.get()).code, HAYATE_OK);
    }
    (void)hayate_stream_settle_slice(stream.get(), &status);
    ASSERT_EQ(status.code, HAYATE_OK);
    if (r == 40) {
      size_t size = 0;
      EXPECT_EQ(hayate_stream_snapshot(stream.get(), nullptr, 0, &size), 1);
      snapshot.resize(size);
      EXPECT_EQ(hayate_stream_snapshot(stream.get(), snapshot.data(), snapshot.size(), &size), 0);
      EXPECT_EQ(hayate_stream_restore(other.get(), snapshot.data(), snapshot.size(), &error), 0);
      EXPECT_EQ(hayate_stream_rows(other.get()), 41);
      EXPECT_EQ(hayate_stream_settle_elsewhere(other.get(), -1), 0);
    }
    if (r == 50) hayate_stream_settle_here(other.get());
    if (r > 40) {
      ASSERT_EQ(hayate_stream_push(other.get(), row.data()).code, HAYATE_OK);
      ASSERT_EQ(std::memcmp(hayate_stream_output(other.get(), 0), wanted.output(0), 4), 0) << "row " << r;
    }
  }
  EXPECT_EQ(hayate_stream_restore(other.get(), "x", 1, &error), 1);
  expect_says(taken(error), "none of a stream");
  hayate_stream_reset(stream.get());
  EXPECT_EQ(hayate_stream_rows(stream.get()), 0);
  EXPECT_EQ(hayate_stream_output(stream.get(), 1), nullptr);
  std::vector<float> rows(50 * 40, 0.25f);
  EXPECT_EQ(hayate_stream_refill(stream.get(), rows.data(), 50).code, HAYATE_OK);
  EXPECT_EQ(hayate_stream_rows(stream.get()), 50);
  EXPECT_EQ(hayate_stream_refill(stream.get(), rows.data(), -2).code, HAYATE_BATCH);
  EXPECT_EQ(hayate_stream_refill(stream.get(), nullptr, 1).code, HAYATE_FAILED);
  hayate_options patient = with;
  patient.warm_up = "wait";
  const StreamExecutableHandle waits(hayate_stream_compile(model.get(), &patient, &error));
  ASSERT_NE(waits, nullptr) << taken(error);
  const StreamHandle waiting(hayate_stream_new(waits.get(), &error));
  const hayate_status early = hayate_stream_push(waiting.get(), row.data());
  EXPECT_EQ(early.code, HAYATE_NOT_READY);
  EXPECT_EQ(early.value, 49);
  EXPECT_EQ(hayate_stream_refill(waiting.get(), rows.data(), 50).code, HAYATE_OK);
  // Nulls, and what cannot be.
  EXPECT_EQ(hayate_stream_compile(nullptr, &with, &error), nullptr);
  expect_says(taken(error), "model: is null");
  with.window = 49;
  EXPECT_EQ(hayate_stream_compile(model.get(), &with, &error), nullptr);
  expect_says(taken(error), "no axis has the window's 49 places");
  EXPECT_EQ(hayate_stream_new(nullptr, &error), nullptr);
  taken(error);
  EXPECT_EQ(hayate_stream_push(nullptr, row.data()).code, HAYATE_FAILED);
  EXPECT_EQ(hayate_stream_push(stream.get(), nullptr).code, HAYATE_FAILED);
  EXPECT_EQ(hayate_stream_settle(nullptr).code, HAYATE_FAILED);
  EXPECT_EQ(hayate_stream_settle_slice(nullptr, nullptr), 0);
  EXPECT_EQ(hayate_stream_settle_elsewhere(nullptr, 0), 1);
  EXPECT_EQ(hayate_stream_restore(nullptr, "x", 1, nullptr), 1);
  EXPECT_EQ(hayate_stream_snapshot(nullptr, nullptr, 0, nullptr), 1);
  hayate_stream_reset(nullptr);
  hayate_stream_settle_here(nullptr);
}

TEST(CInterface, AGroupOfStreams) {
  const char* wrong = c_caller_groups(sample("gru.onnx").c_str());
  EXPECT_EQ(wrong, nullptr) << wrong;
}

TEST(CInterface, LoadingSaysWhatIsWrong) {
  expect_says(load_error("/nowhere/model.onnx"), "/nowhere/model.onnx");
  expect_says(load_error(sample("README.md")), "README.md");
  hayate_load_options options = load_options();
  const char* const words[] = {"colour=3", "nothing:1"};
  options.sets = words, options.set_count = 1;
  expect_says(load_error(sample("mlp_small.onnx"), &options), "colour");
  options.set_count = 0, options.shapes = words + 1, options.shape_count = 1;
  expect_says(load_error(sample("mlp_small.onnx"), &options), "nothing");
  options.shapes = nullptr;
  expect_says(load_error(sample("mlp_small.onnx"), &options), "shapes: is null");
  options.shape_count = 0, options.memory_max = -1;
  expect_says(load_error(sample("mlp_small.onnx"), &options), "memory_max is -1");
}

TEST(CInterface, CompilingSaysWhatIsWrong) {
  const ModelHandle model(hayate_model_load(sample("mlp_small.onnx").c_str(), nullptr, nullptr));
  const auto says = [&](auto change, const std::string& wanted) {
    hayate_options changed = options();
    change(&changed);
    expect_says(compile_error(model.get(), &changed), wanted);
  };
  says([](hayate_options* o) { o->backend = "abacus"; }, "backend 'abacus' is not known; there are native");
  says([](hayate_options* o) { o->isa = "mmx"; }, "isa 'mmx'");
  says([](hayate_options* o) { o->batch_max = -3; }, "batch_max is -3");
  says([](hayate_options* o) { o->plan = "{\"version\": 1, \"colour\": 3}"; }, "unknown key 'colour'");
  says([](hayate_options* o) { o->backend = "onnxruntime", o->ort_library = "/nowhere/ort.so"; }, "/nowhere/ort.so");
  says([](hayate_options* o) { o->backend = "onnxruntime", o->ort_optimisation = "most"; }, "most");
  says([](hayate_options* o) { o->backend = "onnxruntime", o->threads = -2; }, "threads is -2");
  says([](hayate_options* o) { o->backend = "reference"; }, "compiles");
}

TEST(CInterface, OptionsReachWhatTheyName) {
  // A file's sum before its objective's transform is another number.
  hayate_load_options raw = load_options();
  raw.raw_score = 1;
  float scores[2] = {};
  for (int i = 0; i < 2; ++i) {
    const ModelHandle model(hayate_model_load(sample("xgboost_200x6.ubj").c_str(), i ? &raw : nullptr, nullptr));
    const ExecutableHandle executable(hayate_compile(model.get(), nullptr, nullptr));
    const SessionHandle session(hayate_session_new(executable.get(), nullptr));
    ASSERT_NE(session, nullptr);
    hayate_port in{};
    in.size = sizeof in;
    ASSERT_EQ(hayate_input(executable.get(), 0, &in), 0);
    std::memset(hayate_session_input(session.get(), 0), 0, static_cast<size_t>(in.row_bytes));
    ASSERT_EQ(hayate_run(session.get(), 1).code, HAYATE_OK);
    std::memcpy(&scores[i], hayate_session_output(session.get(), 0), sizeof(float));
  }
  EXPECT_NE(scores[0], scores[1]);
  // A fixed shape shows in the model's ports; with every extent fixed the batch is one whole.
  hayate_load_options shaped = load_options();
  const char* const shape = "input:5,40";
  shaped.shapes = &shape, shaped.shape_count = 1;
  const ModelHandle model(hayate_model_load(sample("mlp_small.onnx").c_str(), &shaped, nullptr));
  hayate_port port{};
  port.size = sizeof port;
  ASSERT_EQ(hayate_model_input(model.get(), 0, &port), 0);
  EXPECT_EQ(std::vector<int64_t>(port.shape, port.shape + port.rank), (std::vector<int64_t>{5, 40}));
  const ExecutableHandle executable(hayate_compile(model.get(), nullptr, nullptr));
  EXPECT_NE(hayate_fixed_batch(executable.get()), nullptr);
}

TEST(CInterface, MemoryOfAModelItsExecutablesAndSessionsIsBounded) {
  hayate_load_options limited = load_options();
  limited.memory_max = 1000;
  expect_says(load_error(sample("mlp_medium.onnx"), &limited), "the memory limit");
  limited.memory_max = 4 << 20;
  const ModelHandle model(hayate_model_load(sample("mlp_medium.onnx").c_str(), &limited, nullptr));
  ASSERT_NE(model, nullptr);
  hayate_options wide = options();
  wide.batch_max = 1 << 15;
  expect_says(compile_error(model.get(), &wide), "the memory limit");
  wide.batch_max = 256;
  const ExecutableHandle executable(hayate_compile(model.get(), &wide, nullptr));
  ASSERT_NE(executable, nullptr);
  std::vector<SessionHandle> sessions;
  char* error = nullptr;
  while (sessions.size() < 1000 && error == nullptr)
    sessions.emplace_back(hayate_session_new(executable.get(), &error));
  expect_says(taken(error), ": a session");
  EXPECT_GT(sessions.size(), 2u);
  EXPECT_EQ(sessions.back(), nullptr);
  sessions.resize(sessions.size() - 2);  // what is freed can be taken again
  EXPECT_NE(SessionHandle(hayate_session_new(executable.get(), nullptr)), nullptr);
  // Streams count too.
  limited.memory_max = 2 << 20;
  const ModelHandle streamed(hayate_model_load(sample("gru.onnx").c_str(), &limited, nullptr));
  hayate_options window = options();
  window.window = 50;
  const std::unique_ptr<hayate_stream_executable, Free> cut(hayate_stream_compile(streamed.get(), &window, nullptr));
  ASSERT_NE(cut, nullptr);
  std::vector<std::unique_ptr<hayate_stream, Free>> streams;
  error = nullptr;
  while (streams.size() < 1000 && error == nullptr) streams.emplace_back(hayate_stream_new(cut.get(), &error));
  expect_says(taken(error), ": a stream: needs");
  EXPECT_GT(streams.size(), 2u);
  // Others are not touched by it.
  EXPECT_EQ(load_error(sample("mlp_medium.onnx")), "loads");
}

TEST(CInterface, StructsOfOtherVersions) {
  const ModelHandle model(hayate_model_load(sample("mlp_small.onnx").c_str(), nullptr, nullptr));
  hayate_options given{};
  given.batch_max = 7;
  expect_says(compile_error(model.get(), &given), "set it to sizeof(hayate_options)");
  hayate_load_options load{};
  expect_says(load_error(sample("mlp_small.onnx"), &load), "set it to sizeof(hayate_load_options)");
  given.size = 1 << 20;
  expect_says(compile_error(model.get(), &given), "its size is 1048576");
  // Shorter: what lies past its end is not read. Here that is an isa which would be refused.
  given.size = offsetof(hayate_options, isa), given.isa = "mmx";
  EXPECT_EQ(compile_error(model.get(), &given), "compiles");
  // Longer: taken while the rest is 0.
  struct Longer {
    hayate_options known{};
    int64_t later = 0;
  } longer;
  longer.known.size = sizeof longer;
  EXPECT_EQ(compile_error(model.get(), &longer.known), "compiles");
  longer.later = 1;
  expect_says(compile_error(model.get(), &longer.known), "sets what this version does not have");
  // A port is filled as far as it reaches.
  hayate_port port{};
  EXPECT_EQ(hayate_model_input(model.get(), 0, &port), 2);
  port.size = offsetof(hayate_port, shape), port.row_bytes = 77;
  ASSERT_EQ(hayate_model_input(model.get(), 0, &port), 0);
  EXPECT_STREQ(port.name, "input");
  EXPECT_EQ(port.shape, nullptr);
  EXPECT_EQ(port.row_bytes, 77);
}

TEST(CInterface, ThreadsWithASessionEachGiveTheSameBits) {
  const ModelHandle model(hayate_model_load(sample("gru.onnx").c_str(), nullptr, nullptr));
  hayate_options four = options();
  four.batch_max = 4;
  const ExecutableHandle executable(hayate_compile(model.get(), &four, nullptr));
  ASSERT_NE(executable, nullptr);
  hayate_port in{}, out{};
  in.size = sizeof in, out.size = sizeof out;
  ASSERT_EQ(hayate_input(executable.get(), 0, &in) + hayate_output(executable.get(), 0, &out), 0);
  std::vector<std::string> made(8);
  std::vector<std::thread> threads;
  for (std::string& bits : made)
    threads.emplace_back([&] {
      const SessionHandle session(hayate_session_new(executable.get(), nullptr));
      float* x = static_cast<float*>(hayate_session_input(session.get(), 0));
      for (int64_t i = 0; i < 4 * in.row_bytes / 4; ++i) x[i] = static_cast<float>(i % 11) / 5 - 1;
      if (hayate_run(session.get(), 4).code != HAYATE_OK) return;
      bits.assign(static_cast<const char*>(hayate_session_output(session.get(), 0)), 4 * out.row_bytes);
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_FALSE(made[0].empty());
  for (const std::string& bits : made) EXPECT_EQ(bits, made[0]);
}

// In a child whose address space has no room: what throws inside comes out as a message.
TEST(CInterface, NoExceptionCrosses) {
#ifdef HAYATE_SANITIZED
  GTEST_SKIP() << "sanitizers reserve address space of their own";
#endif
  const ModelHandle model(hayate_model_load(sample("mlp_small.onnx").c_str(), nullptr, nullptr));
  hayate_options wide = options();
  wide.batch_max = 1 << 20;  // 160 MB of input, which no heap has left over
  const ExecutableHandle executable(hayate_compile(model.get(), &wide, nullptr));
  ASSERT_NE(executable, nullptr);
  const pid_t child = fork();
  if (child == 0) {
    const rlimit none = {1 << 20, 1 << 20};
    if (setrlimit(RLIMIT_AS, &none) != 0) _exit(3);
    char* error = nullptr;
    const hayate_session* session = hayate_session_new(executable.get(), &error);
    _exit(session == nullptr && error != nullptr && std::strstr(error, "bad_alloc") != nullptr ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
}

}  // namespace
}  // namespace hayate
