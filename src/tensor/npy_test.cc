#include "tensor/npy.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>
#include <zip.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "base/memory_budget.h"

namespace hayate {
namespace {

namespace fs = std::filesystem;

std::string npy(const std::string& header, const std::string& data) {
  std::string bytes("\x93NUMPY\x01\x00", 8);
  bytes += {static_cast<char>(header.size() & 0xff), static_cast<char>(header.size() >> 8)};
  return bytes + header + data;
}

void expect_refused(const Result<Tensor>& made, const std::string& why) {
  ASSERT_FALSE(made.ok()) << why;
  EXPECT_NE(made.error().text().find(why), std::string::npos) << made.error().text();
}

std::string npz(const NamedTensors& tensors) {
  const std::string path = fs::path(testing::TempDir()) / fmt::format("hayate_npy_{}.npz", getpid());
  EXPECT_TRUE(write_npz(path, tensors).ok());
  const Result<std::string> bytes = read_file(path);
  fs::remove(path);
  return bytes.value();
}

TEST(Npy, HeadersAreReadAsNumpyWritesThem) {
  const std::string two("\x01\x02", 2);
  EXPECT_EQ(parse_npy(npy("{'descr': '|u1', 'fortran_order': False, 'shape': (2,), }\n", two), "a").value().shape(),
            (Shape{2}));
  EXPECT_EQ(parse_npy(npy("{'descr': '|u1', 'fortran_order': False, 'shape': (2L, 1L), }\n", two), "a").value().shape(),
            (Shape{2, 1}));
  EXPECT_EQ(parse_npy(npy("{'descr': '|u1', 'fortran_order': False, 'shape': (), }\n", two), "a").value().rank(), 0);
  const std::string four("\x01\x02\x03\x04", 4);
  const Result<Tensor> turned =
      parse_npy(npy("{'descr': '|u1', 'fortran_order': True, 'shape': (2, 2), }\n", four), "a");
  EXPECT_EQ(to_int64s(turned.value()), (std::vector<int64_t>{1, 3, 2, 4}));
}

TEST(Npy, ABoolIsZeroOrOne) {
  const Result<Tensor> made = parse_npy(
      npy("{'descr': '|b1', 'fortran_order': False, 'shape': (3,), }\n", std::string("\x00\x01\x7f", 3)), "a");
  ASSERT_TRUE(made.ok());
  EXPECT_EQ(static_cast<int>(made.value().bytes()[2]), 1);
}

TEST(Npy, HeadersThatLieAreRefused) {
  const auto with = [](const std::string& descr, const std::string& shape) {
    return parse_npy(
        npy(fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': {}, }}\n", descr, shape), "12345678"),
        "a.npy");
  };
  expect_refused(with("<f4", "(1000000000,)"), "truncated: 8 bytes of data where shape [1000000000] needs 4000000000");
  expect_refused(with("<f4", "(4294967296, 4294967296)"), "larger than 2^37 elements");
  expect_refused(with("<f4", "(99999999999999999999,)"), "unreadable shape");
  expect_refused(with("<f4", "(-1,)"), "negative extent");
  expect_refused(with("<f4", "(1, x)"), "unreadable shape");
  expect_refused(with("<f4", "3"), "without a shape");
  expect_refused(with(">f4", "(2,)"), "little-endian");
  expect_refused(with("|O", "(2,)"), "dtype '|O' is not read");
  std::string ones = "(";
  for (int i = 0; i < 100; ++i) ones += "1,";
  expect_refused(with("<f4", ones + ")"), "unreadable shape");
  expect_refused(parse_npy("", "a"), "no NUMPY magic");
  std::string long_header("\x93NUMPY\x02\x00\xff\xff\xff\x7f", 12);
  expect_refused(parse_npy(long_header + std::string(100, ' '), "a"), "its header has 2147483647 bytes");
}

TEST(Npy, MemoryIsClaimedWithinTheLimit) {
  const std::string bytes = render_npy(Tensor(Type::kFloat32, {1 << 19}));
  const MemoryScope scope(std::make_shared<MemoryBudget>(1 << 20));
  expect_refused(parse_npy(bytes, "a.npy"), "a.npy: needs 2.0 MB");
}

TEST(Npy, CutAnywhereItIsAnError) {
  const std::string bytes = render_npy(Tensor::of<float>({2, 3}, {1, 2, 3, 4, 5, 6}));
  ASSERT_TRUE(parse_npy(bytes, "a").ok());
  for (size_t n = 0; n < bytes.size(); ++n) EXPECT_FALSE(parse_npy(bytes.substr(0, n), "a").ok()) << n;
}

TEST(Npy, AnyFlippedBitIsAnErrorOrAnArray) {
  const std::string bytes = render_npy(Tensor::of<float>({2, 3}, {1, 2, 3, 4, 5, 6}));
  for (size_t i = 0; i < 8 * bytes.size(); ++i) {
    std::string flipped = bytes;
    flipped[i / 8] = static_cast<char>(flipped[i / 8] ^ (1 << i % 8));
    const Result<Tensor> made = parse_npy(flipped, "a");
    EXPECT_TRUE(made.ok() || !made.error().what.empty()) << i;
  }
}

TEST(Npz, CutOrFlippedAnywhereItIsAnErrorOrArrays) {
  const std::string bytes = npz({{"x", Tensor::of<float>({2}, {1, 2})}, {"y", Tensor::of<int64_t>({1}, {7})}});
  ASSERT_EQ(parse_npz(bytes, "a").value().size(), 2u);
  for (size_t n = 0; n < bytes.size(); ++n) EXPECT_FALSE(parse_npz(bytes.substr(0, n), "a").ok()) << n;
  for (size_t i = 0; i < 8 * bytes.size(); ++i) {
    std::string flipped = bytes;
    flipped[i / 8] = static_cast<char>(flipped[i / 8] ^ (1 << i % 8));
    const Result<NamedTensors> made = parse_npz(flipped, "a");
    EXPECT_TRUE(made.ok() || !made.error().what.empty()) << i;
  }
}

TEST(Npz, AChangedElementFailsItsChecksum) {
  std::string bytes = npz({{"x", Tensor::of<float>({2}, {1.5f, 2.5f})}});
  const float first = 1.5f;
  const size_t at = bytes.find(std::string(reinterpret_cast<const char*>(&first), 4));
  ASSERT_NE(at, std::string::npos);
  bytes[at] = 1;
  const Result<NamedTensors> made = parse_npz(bytes, "a.npz");
  ASSERT_FALSE(made.ok());
  EXPECT_NE(made.error().text().find("a.npz: array 'x.npy': CRC"), std::string::npos) << made.error().text();
}

// One array "x", deflated: zeros take a thousandth.
std::string deflated(const std::string& array) {
  const std::string path = fs::path(testing::TempDir()) / fmt::format("hayate_deflated_{}.npz", getpid());
  int code = 0;
  zip_t* archive = zip_open(path.c_str(), ZIP_CREATE | ZIP_TRUNCATE, &code);
  const zip_int64_t at =
      zip_file_add(archive, "x.npy", zip_source_buffer(archive, array.data(), array.size(), 0), ZIP_FL_ENC_UTF_8);
  EXPECT_EQ(zip_set_file_compression(archive, static_cast<zip_uint64_t>(at), ZIP_CM_DEFLATE, 9), 0);
  EXPECT_EQ(zip_close(archive), 0);
  const Result<std::string> bytes = read_file(path);
  fs::remove(path);
  return bytes.value();
}

TEST(Npz, WhatCannotBeWrittenIsSaidInTheSystemsWords) {
  const auto refusal = [](const std::string& path) {
    const Result<bool> written = write_npz(path, {{"x", Tensor::of<float>({1}, {1})}});
    return written.ok() ? "" : written.error().text();
  };
  const std::string folder = testing::TempDir();
  EXPECT_NE(refusal(folder).find("it is a folder or a device; a file is needed"), std::string::npos) << refusal(folder);
  EXPECT_NE(refusal("/dev/full").find("/dev/full: cannot be written: it is a folder or a device"), std::string::npos);
  const std::string nowhere = refusal(folder + "/hayate_nowhere/o.npz");
  EXPECT_NE(nowhere.find("cannot be written ("), std::string::npos) << nowhere;
  EXPECT_NE(nowhere.find(std::strerror(ENOENT)), std::string::npos) << nowhere;
}

TEST(Npz, DeflatedArraysAreRead) {
  const Result<NamedTensors> made = parse_npz(deflated(render_npy(Tensor::of<float>({2}, {1, 2}))), "a.npz");
  ASSERT_TRUE(made.ok()) << made.error().text();
  EXPECT_EQ(to_doubles(made.value().at("x")), (std::vector<double>{1, 2}));
}

TEST(Npz, AnArchiveThatUnfoldsBeyondTheMemoryLimitIsRefused) {
  const std::string bytes = deflated(render_npy(Tensor(Type::kFloat32, {8 << 20})));
  ASSERT_LT(bytes.size(), 100'000u);
  const MemoryScope scope(std::make_shared<MemoryBudget>(1 << 20));
  const Result<NamedTensors> made = parse_npz(bytes, "bomb.npz");
  ASSERT_FALSE(made.ok());
  EXPECT_NE(made.error().text().find("bomb.npz: array 'x.npy': needs 32.0 MB"), std::string::npos)
      << made.error().text();
}

// An array of one element in front of megabytes: only the element is unfolded.
TEST(Npz, WhatFollowsAnArrayIsNotUnfolded) {
  const std::string bytes = deflated(render_npy(Tensor::of<float>({1}, {5})) + std::string(4 << 20, '\0'));
  const MemoryScope scope(std::make_shared<MemoryBudget>(1 << 20));
  const Result<NamedTensors> made = parse_npz(bytes, "a.npz");
  ASSERT_TRUE(made.ok()) << made.error().text();
  EXPECT_EQ(to_doubles(made.value().at("x")), (std::vector<double>{5}));
}

}  // namespace
}  // namespace hayate
