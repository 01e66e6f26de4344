#include "backends/onnxruntime/ort.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

#include "eval/evaluate.h"
#include "import/import.h"
#include "tensor/npy.h"

namespace hayate {
namespace {

TEST(Ort, LibrariesThatAreNoneAreErrors) {
  const auto absent = OrtLibrary::open("/nowhere/libonnxruntime.so"), other = OrtLibrary::open("libm.so.6");
  ASSERT_FALSE(absent.ok());
  EXPECT_NE(absent.error().text().find("--ort-library"), std::string::npos) << absent.error().text();
  ASSERT_FALSE(other.ok());
  EXPECT_NE(other.error().text().find("is no ONNX Runtime library"), std::string::npos) << other.error().text();
}

TEST(Ort, AnswersLikeTheReference) {
  const char* data = std::getenv("HAYATE_DATA");
  const std::string path =
      std::string(data != nullptr ? data : HAYATE_SOURCE_DIR "/../shared") + "/models/books/book_mlp.onnx";
  if (!std::filesystem::exists(path)) GTEST_SKIP() << path << " is not there (HAYATE_DATA)";
  const auto library = OrtLibrary::open("");
  if (!library.ok()) GTEST_SKIP() << library.error().text();
  const Result<std::string> bytes = read_file(path);
  ASSERT_TRUE(bytes.ok());
  const auto session = OrtSession::create(library.value(), bytes.value(), path, {});
  ASSERT_TRUE(session.ok()) << session.error().text();
  const auto truncated = OrtSession::create(library.value(), std::string_view(bytes.value()).substr(0, 100), path, {});
  EXPECT_FALSE(truncated.ok());

  Tensor book(Type::kFloat32, {3, 100, 40});
  for (int64_t i = 0; i < book.count(); ++i)
    book.data<float>()[i] = static_cast<float>((i * 7919) % 2003) / 1000.0f - 1.0f;
  const Result<Graph> graph = import_model(path);
  ASSERT_TRUE(graph.ok());
  const auto wanted = evaluate(graph.value(), {{"book", book}}), got = session.value()->run({{"book", book}});
  ASSERT_TRUE(wanted.ok());
  ASSERT_TRUE(got.ok()) << got.error().text();
  for (int64_t i = 0; i < 9; ++i)
    EXPECT_NEAR(got.value().at("probability").data<float>()[i], wanted.value().at("probability").data<float>()[i],
                2e-6);
  EXPECT_FALSE(session.value()->run({}).ok());
  EXPECT_FALSE(session.value()->run({{"book", Tensor(Type::kFloat32, {3, 100})}}).ok());
}

}  // namespace
}  // namespace hayate
