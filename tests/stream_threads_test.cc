// Streams that settle on a thread of their own.
#include <cstring>
#include <thread>

#include "streamed.h"

namespace hayate {
namespace {

TEST(StreamThreads, AnswersAreThoseOfAStreamThatSettlesHere) {
  const Result<Model> model = Model::load(sample("gru"));
  ASSERT_TRUE(model.ok());
  const StreamExecutable executable = streamed(model.value(), 50);
  Stream one = executable.stream(), other = executable.stream();
  other.settle_elsewhere(1);
  const std::vector<float> x = noise(300 * 40, 2);
  std::mt19937 random(7);
  std::string snapshot;
  for (int64_t r = 0; r < 300; ++r) {
    ASSERT_TRUE(one.push(x.data() + r * 40).ok() && one.settle().ok());
    ASSERT_TRUE(other.push(x.data() + r * 40).ok());
    ASSERT_EQ(std::memcmp(one.output(0), other.output(0), 4), 0) << "row " << r;
    if (random() % 4 == 0) std::this_thread::sleep_for(std::chrono::microseconds(random() % 300));
    if (r == 150) snapshot = other.snapshot();
    if (r == 200) {  // while the helper is at it
      ASSERT_TRUE(other.restore(other.snapshot()).ok());
    }
    if (r == 210) {
      ASSERT_TRUE(one.refill(x.data() + 161 * 40, 50).ok() && other.refill(x.data() + 161 * 40, 50).ok());
      ASSERT_EQ(std::memcmp(one.output(0), other.output(0), 4), 0);
    }
    if (r == 250) other.settle_here();
  }
  Stream third = executable.stream();
  third.settle_elsewhere();
  ASSERT_TRUE(third.restore(snapshot).ok());
  Stream moved = std::move(third);
  ASSERT_TRUE(moved.push(x.data() + 151 * 40).ok());
  EXPECT_EQ(moved.rows(), 152);
  one.reset(), moved.reset();
  ASSERT_TRUE(one.push(x.data()).ok() && moved.push(x.data()).ok());
  EXPECT_EQ(std::memcmp(one.output(0), moved.output(0), 4), 0);
}

TEST(StreamThreads, OneExecutableManyThreads) {
  const Result<Model> model = Model::load(sample("tcn"));
  ASSERT_TRUE(model.ok());
  const StreamExecutable executable = streamed(model.value(), 64);
  const int64_t width = executable.row_bytes() / 4;
  const std::vector<float> x = noise(100 * width, 2);
  std::vector<std::vector<float>> answers(8);
  std::vector<std::thread> threads;
  for (std::vector<float>& own : answers)
    threads.emplace_back([&] {
      Stream stream = executable.stream();
      for (int64_t r = 0; r < 100; ++r) {
        if (!stream.push(x.data() + r * width).ok()) return;
        own.push_back(*static_cast<const float*>(stream.output(0)));
      }
    });
  for (std::thread& thread : threads) thread.join();
  for (const std::vector<float>& own : answers) {
    EXPECT_EQ(own.size(), 100u);
    EXPECT_EQ(own, answers[0]);
  }
}

}  // namespace
}  // namespace hayate
