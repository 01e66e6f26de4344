#include "import/import.h"

#include <gtest/gtest.h>

namespace hayate {
namespace {

void expect_error(const Result<Graph>& graph, const std::string& what) {
  ASSERT_FALSE(graph.ok()) << what;
  EXPECT_NE(graph.error().text().find(what), std::string::npos) << graph.error().text();
}

TEST(Import, FormatIsToldByContent) {
  expect_error(import_model(std::string_view("tree\nversion=v4\n"), "a.onnx"), "holds no tree");
  expect_error(import_model(std::string_view(" {\"learner\":{}}"), "a.txt"), "learner_model_param");
  expect_error(import_model(std::string_view("{L\0\0\0\0\0\0\0\7learner{}}", 20), "a.json"), "learner_model_param");
  expect_error(import_model(std::string_view("\x08\x08"), "a.json"), "no ONNX model");
}

TEST(Import, WhatIsNoneOfThemIsToldWhatIsAccepted) {
  for (const char* bytes : {"hello", "PK\3\4",
                            "\x7f"
                            "ELF",
                            "binf", "\x89PNG", "\n\xff\xff", "1.5 2.5\n"})
    expect_error(import_model(std::string_view(bytes), "a.bin"),
                 "ONNX, LightGBM text, XGBoost JSON and UBJSON models are accepted");
  expect_error(import_model(std::string_view(), "a.bin"), "a.bin: is empty; ONNX");
}

TEST(Import, OldBinaryModelsAndPicklesAreToldWhatTheyAre) {
  const std::string old("\0\0\0\77\41\0\0\0\17\0\0\0\0\0\0\0binary:logistic\6\0\0\0\0\0\0\0gbtree", 45);
  expect_error(import_model(std::string_view(old), "a.model"), "old binary XGBoost model");
  expect_error(import_model(std::string_view("ccopy_reg\n"), "a.model"), "Python pickle");
}

TEST(Import, AMissingFileIsNamed) {
  expect_error(import_model(std::string("/nonexistent/model.onnx")), "/nonexistent/model.onnx");
}

}  // namespace
}  // namespace hayate
