#include <gtest/gtest.h>

#include "hayate/result.h"

namespace hayate {
namespace {

TEST(Printable, TextStaysAsItIs) {
  for (const char* text : {"", "node 'fc1' (Gemm)", "a\\b", "日本語 é ü 𝄞"}) EXPECT_EQ(printable(text), text);
}

TEST(Printable, ControlBytesAreWritten) {
  EXPECT_EQ(printable("a\nb\r\tc\x1b[31md\x7f"), "a\\nb\\r\\tc\\x1b[31md\\x7f");
  EXPECT_EQ(printable(std::string_view("\0", 1)), "\\x00");
  EXPECT_EQ(printable("\xc2\x9b"), "\\xc2\\x9b") << "a terminal's other escape";
  EXPECT_EQ(printable("a\xe2\x80\xae"
                      "b"),
            "a\\xe2\\x80\\xaeb")
      << "turns what follows from right to left";
  EXPECT_EQ(printable(printable("a\nb")), printable("a\nb"));
}

TEST(Printable, BytesThatAreNoUtf8AreWritten) {
  EXPECT_EQ(printable("\xff"
                      "a\xc3"),
            "\\xffa\\xc3");
  EXPECT_EQ(printable("\xc0\xaf"), "\\xc0\\xaf") << "longer than its character needs";
  EXPECT_EQ(printable("\xed\xa0\x80"), "\\xed\\xa0\\x80") << "half of a pair";
}

TEST(Printable, AnErrorIsOneLine) {
  EXPECT_EQ((Error{Code::kInternal, "node 'a\nb'", "is\x1bwrong"}).text(), "node 'a\\nb': is\\x1bwrong");
  EXPECT_EQ((Error{Code::kInternal, "", "is wrong"}).text(), "is wrong");
}

TEST(Printable, OfALongPlaceTheMiddleIsLeftOut) {
  std::string where = "model.onnx";
  for (int i = 0; i < 40; ++i) where += ": node 'ü" + std::to_string(i) + "' (If): attribute 'then_branch'";
  const std::string text = Error{Code::kInternal, where, "reads value 'x'"}.text();
  EXPECT_LT(text.size(), 250u);
  EXPECT_EQ(text.rfind("model.onnx: node 'ü0' (If)", 0), 0u) << text;
  EXPECT_NE(text.find(" ... "), std::string::npos) << text;
  EXPECT_NE(text.find("node 'ü39' (If): attribute 'then_branch': reads value 'x'"), std::string::npos) << text;
  EXPECT_EQ(printable(text), text) << "no character is cut in two";
}

}  // namespace
}  // namespace hayate
