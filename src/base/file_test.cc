#include "base/file.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <thread>

#include "base/memory_budget.h"

namespace hayate {
namespace {

namespace fs = std::filesystem;

class File : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::path(testing::TempDir()) / fmt::format("hayate_file_{}", getpid());
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }

  std::string path(const std::string& name) const { return folder_ / name; }
  void write(const std::string& name, const std::string& bytes) const {
    std::ofstream(path(name), std::ios::binary) << bytes;
  }
  static void expect_refused(const std::string& path, const std::string& why) {
    const Result<std::string> read = read_file(path);
    ASSERT_FALSE(read.ok()) << path;
    EXPECT_NE(read.error().text().find(why), std::string::npos) << read.error().text();
    EXPECT_EQ(read.error().where, path);
  }

  fs::path folder_;
};

TEST_F(File, IsReadWhole) {
  for (const size_t size : {size_t{0}, size_t{1}, size_t{65535}, size_t{65536}, size_t{65537}, size_t{300000}}) {
    std::string bytes(size, 'a');
    for (size_t i = 0; i < size; ++i) bytes[i] = static_cast<char>(i * 31 + i / 251);
    write("whole", bytes);
    const Result<std::string> read = read_file(path("whole"));
    ASSERT_TRUE(read.ok()) << read.error().text();
    EXPECT_TRUE(read.value() == bytes) << size;
  }
}

TEST_F(File, ThatSaysItIsEmptyIsReadToItsEnd) {
  const Result<std::string> read = read_file("/proc/self/status");
  ASSERT_TRUE(read.ok()) << read.error().text();
  EXPECT_NE(read.value().find("VmRSS"), std::string::npos);
}

TEST_F(File, OfAnotherKindIsRefusedAtOnce) {
  expect_refused(path("absent"), "No such file");
  expect_refused(folder_, "is a folder; a file is needed");
  ASSERT_EQ(mkfifo(path("fifo").c_str(), 0600), 0);
  expect_refused(path("fifo"), "is no regular file");
  expect_refused("/dev/zero", "is no regular file");
  const int socket_file = socket(AF_UNIX, SOCK_STREAM, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, path("socket").c_str(), sizeof address.sun_path - 1);
  ASSERT_EQ(bind(socket_file, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  EXPECT_FALSE(read_file(path("socket")).ok());
  close(socket_file);
}

TEST_F(File, LargerThanTheMemoryLimitIsRefusedUnread) {
  write("large", "x");
  fs::resize_file(path("large"), uintmax_t{1} << 36);  // a hole: takes no space
  const MemoryScope scope(std::make_shared<MemoryBudget>(1 << 20));
  expect_refused(path("large"), "needs 65536.0 MB");
  EXPECT_EQ(MemoryBudget::current()->used(), 0);
}

// A writer cuts the file again and again: what was read is whole, or an error says so.
TEST_F(File, ThatShrinksMeanwhileIsAnError) {
  write("shrinks", "x");
  int cut = 0;
  for (int i = 0; i < 200 && cut == 0; ++i) {
    fs::resize_file(path("shrinks"), 8 << 20);
    std::atomic<bool> started = false;
    std::thread writer([&] {
      started = true;
      std::this_thread::sleep_for(std::chrono::microseconds(i * 20));
      fs::resize_file(path("shrinks"), 100);
    });
    while (!started) std::this_thread::yield();
    const Result<std::string> read = read_file(path("shrinks"));
    writer.join();
    if (read.ok()) {
      EXPECT_TRUE(read.value().size() == 8 << 20 || read.value().size() == 100) << read.value().size();
      continue;
    }
    EXPECT_NE(read.error().text().find("became shorter while it was read"), std::string::npos) << read.error().text();
    ++cut;
  }
}

}  // namespace
}  // namespace hayate
