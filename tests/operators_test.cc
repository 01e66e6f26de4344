// What the node tests leave open of the operators that move, fold and combine elements: every element type, integers
// beyond what a double holds, and what is refused.
#include <fmt/format.h>

#include "one_node.h"

namespace hayate {
namespace {

const std::vector<Type> kFloats{Type::kFloat32, Type::kFloat64, Type::kFloat16, Type::kBFloat16};
const std::vector<Type> kSigned{Type::kFloat32, Type::kFloat64, Type::kFloat16, Type::kBFloat16,
                                Type::kInt8,    Type::kInt16,   Type::kInt32,   Type::kInt64};
const std::vector<Type> kNumbers{Type::kFloat32, Type::kFloat64, Type::kFloat16, Type::kBFloat16,
                                 Type::kInt8,    Type::kInt16,   Type::kInt32,   Type::kInt64,
                                 Type::kUInt8,   Type::kUInt16,  Type::kUInt32,  Type::kUInt64};
const std::vector<Type> kIntegers(kNumbers.begin() + 4, kNumbers.end());

// The numbers in the element type. Requires: they are exact in it.
Tensor tensor_of(Type type, const Shape& shape, const std::vector<double>& values) {
  Tensor wide(Type::kFloat64, shape), made(type, shape);
  std::copy_n(values.begin(), wide.count(), wide.data<double>());
  if (is_half_float(type)) {
    doubles_to_halves(wide, &made);
    return made;
  }
  visit_type(type, [&]<typename T>() {
    for (int64_t i = 0; i < made.count(); ++i) made.data<T>()[i] = static_cast<T>(values[i]);
  });
  return made;
}

// Small numbers, some of them equal: their sums and products are exact in every type.
Tensor small(Type type, const Shape& shape, int seed) {
  std::vector<double> values(static_cast<size_t>(checked_count(shape).value()));
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<double>((i * 7 + seed * 3) % 4 + 1);
  return tensor_of(type, shape, values);
}

struct TypedCase {
  std::string op;
  std::vector<Shape> shapes;  // of the inputs whose type varies
  std::vector<Type> types;
  std::map<std::string, Attribute> attributes = {};
  std::vector<Tensor> further = {};  // inputs behind them, constants
  size_t outputs = 1;
  int64_t opset = 18;
};

OneNode node_of(const TypedCase& t, Type type) {
  std::vector<Tensor> inputs;
  for (size_t i = 0; i < t.shapes.size(); ++i) inputs.push_back(small(type, t.shapes[i], static_cast<int>(i)));
  inputs.insert(inputs.end(), t.further.begin(), t.further.end());
  OneNode one(t.op, inputs, t.attributes, t.outputs);
  for (size_t i = t.shapes.size(); i < inputs.size(); ++i) one.constants.insert(i);
  one.opset = t.opset;
  return one;
}

Tensor list(const std::vector<int64_t>& values) {
  return Tensor::of<int64_t>({static_cast<int64_t>(values.size())}, values);
}
Tensor scalar(int64_t value) { return Tensor::of<int64_t>({}, {value}); }

const std::vector<TypedCase>& typed_cases() {
  using Ints = std::vector<int64_t>;
  const std::vector<Shape> one{{2, 3}}, two{{2, 3}, {3}}, three{{2, 3}, {3}, {2, 1}};
  std::vector<Type> with_bool = kNumbers;
  with_bool.push_back(Type::kBool);
  static const std::vector<TypedCase> kCases{
      {"Add", two, kNumbers},
      {"Mul", two, kNumbers},
      {"Div", {{2, 3}, {}}, kFloats},
      {"Pow", {{2, 3}, {1}}, {Type::kFloat32, Type::kFloat16, Type::kInt16, Type::kInt32, Type::kInt64}},
      {"Mod", two, kIntegers},
      {"Mod", two, kFloats, {{"fmod", int64_t{1}}}},
      {"Min", three, kNumbers},
      {"Max", three, kNumbers},
      {"Sum", three, kFloats},
      {"Mean", {{2, 2}, {2, 2}}, kFloats},
      {"Neg", one, kSigned},
      {"Abs", one, kNumbers},
      {"Sign", one, kNumbers},
      {"Relu", one, kSigned},
      {"Clip", {{2, 3}, {}, {}}, kNumbers},
      {"Clip", one, kFloats, {{"min", 2.0f}, {"max", 3.0f}}, {}, 1, 7},
      {"PRelu", two, kNumbers},
      {"Shrink", one, kNumbers, {{"lambd", 1.5f}, {"bias", 1.0f}}},
      {"Floor", one, kFloats},
      {"Ceil", one, kFloats},
      {"Round", one, kFloats},
      {"LeakyRelu", one, kFloats, {{"alpha", 0.5f}}},
      {"ThresholdedRelu", one, kFloats, {{"alpha", 2.0f}}},
      {"HardSigmoid", one, kFloats, {{"alpha", 0.125f}}},
      {"IsNaN", one, kFloats},
      {"IsInf", one, kFloats},
      {"Equal", two, kNumbers},
      {"Less", two, kNumbers},
      {"GreaterOrEqual", two, kNumbers},
      {"Hardmax", one, kFloats},
      {"Gemm", {{2, 3}, {3, 2}, {2}}, kNumbers},
      {"MatMul", {{2, 2, 3}, {3, 2}}, kNumbers},
      {"Einsum", {{2, 3}, {3, 2}}, kNumbers, {{"equation", std::string("ij,jk->ik")}}},
      {"ReduceSum", one, kNumbers, {}, {list({1})}},
      {"ReduceProd", one, kNumbers, {}, {list({-1})}},
      {"ReduceSumSquare", one, kNumbers, {}, {list({0})}},
      {"ReduceL1", one, kNumbers, {}, {list({0, 1})}},
      {"ReduceMax", one, kNumbers, {{"keepdims", int64_t{0}}}, {list({1})}},
      {"ReduceMin", one, kNumbers, {{"keepdims", int64_t{0}}}, {list({0})}},
      {"ArgMax", one, kNumbers, {{"axis", int64_t{1}}}},
      {"ArgMin", one, kNumbers, {{"select_last_index", int64_t{1}}}},
      {"TopK", {{3, 5}}, kNumbers, {}, {list({3})}, 2},
      {"TopK", {{3, 5}}, kFloats, {{"k", int64_t{2}}}, {}, 2, 9},
      {"CumSum", one, kNumbers, {{"reverse", int64_t{1}}, {"exclusive", int64_t{1}}}, {scalar(1)}},
      {"CumProd", one, kNumbers, {}, {scalar(0)}, 1, 26},
      {"Trilu", {{3, 3}}, with_bool, {}, {scalar(1)}},
      {"Transpose", one, with_bool},
      {"Concat", {{2, 3}, {1, 3}}, with_bool, {{"axis", int64_t{0}}}},
      {"Slice", {{4, 3}}, with_bool, {}, {list({3, 0}), list({-10, 2}), list({0, 1}), list({-2, 1})}},
      {"Gather", {{4, 3}}, with_bool, {{"axis", int64_t{1}}}, {list({2, -3})}},
      {"GatherElements", one, with_bool, {}, {Tensor::of<int64_t>({1, 3}, {1, 0, -1})}},
      {"GatherND", one, with_bool, {}, {Tensor::of<int64_t>({2, 2}, {1, 2, -2, 0})}},
      {"Expand", {{2, 1}}, with_bool, {}, {list({1, 3})}},
      {"Tile", one, with_bool, {}, {list({2, 2})}},
      {"Pad", one, with_bool, {{"mode", std::string("reflect")}}, {list({3, 0, 0, 5})}},
      {"Pad", one, with_bool, {{"mode", std::string("wrap")}}, {list({3, 0, 0, 7})}, 1, 19},
      {"Pad", one, with_bool, {{"mode", std::string("edge")}}, {list({0, -1, 2, 4})}},
      {"Pad", one, kFloats, {{"pads", Ints{0, 1, 0, 2}}, {"value", 2.5f}}, {}, 1, 7},
      {"DepthToSpace", {{1, 8, 2, 3}}, with_bool, {{"blocksize", int64_t{2}}}},
      {"SpaceToDepth", {{1, 2, 4, 6}}, with_bool, {{"blocksize", int64_t{2}}}},
      {"ReverseSequence", {{4, 2}}, with_bool, {}, {list({3, 1})}},
      {"Dropout", one, kFloats, {}, {}, 2, 7},
  };
  return kCases;
}

void expect_equal(const Tensor& got, const Tensor& wanted, const std::string& what) {
  EXPECT_EQ(got.shape(), wanted.shape()) << what;
  EXPECT_EQ(to_doubles(got), to_doubles(wanted)) << what;
}

TEST(Operators, GiveInEveryTypeWhatTheyGiveInFloat64) {
  for (const TypedCase& t : typed_cases()) {
    std::vector<Type> in{Type::kFloat64};
    if (t.op == "Mod" && t.attributes.empty()) in[0] = Type::kInt64;
    const auto wanted = node_of(t, in[0]).reference();
    ASSERT_TRUE(wanted.ok()) << t.op << ": " << wanted.error().text();
    for (const Type type : t.types) {
      const std::string what = fmt::format("{} on {}", t.op, type_name(type));
      const OneNode one = node_of(t, type);
      const auto got = one.reference();
      ASSERT_TRUE(got.ok()) << what << ": " << got.error().text();
      for (const auto& [name, tensor] : got.value())
        if (type == Type::kBool)  // every small number is true
          EXPECT_EQ(tensor.type(), Type::kBool) << what;
        else
          expect_equal(tensor, wanted.value().at(name), what);
      expect_native_equals_reference(one, -1, what);
    }
  }
}

TEST(Operators, KeepIntegersThatADoubleCannotHold) {
  const int64_t big = (int64_t{1} << 60) + 1;
  const Tensor row = Tensor::of<int64_t>({1, 2}, {big, 2}), column = Tensor::of<int64_t>({2, 1}, {1, 3});
  const auto answer = [](const OneNode& one) {
    const auto got = one.reference();
    EXPECT_TRUE(got.ok()) << one.node.op;
    return got.ok() ? to_int64s(got.value().at("o0")) : std::vector<int64_t>();
  };
  using Ints = std::vector<int64_t>;
  EXPECT_EQ(answer({"MatMul", {row, column}}), Ints{big + 6});
  EXPECT_EQ(answer({"Gemm", {row, column}}), Ints{big + 6});
  EXPECT_EQ(answer({"Einsum", {row, column}, {{"equation", std::string("ij,jk")}}}), Ints{big + 6});
  EXPECT_EQ(answer({"ReduceSum", {row}}), Ints{big + 2});
  EXPECT_EQ(answer({"ReduceProd", {row}}), Ints{2 * big});
  EXPECT_EQ(answer({"ReduceMax", {row}}), Ints{big});
  EXPECT_EQ(answer({"CumSum", {row, scalar(1)}}), (Ints{big, big + 2}));
  EXPECT_EQ(answer({"Pow", {Tensor::of<int64_t>({1}, {3}), Tensor::of<int64_t>({1}, {39})}}),
            Ints{4052555153018976267});
  EXPECT_EQ(answer({"Abs", {Tensor::of<int64_t>({1}, {INT64_MIN})}}), Ints{INT64_MIN}) << "wraps as NumPy's";
  EXPECT_EQ(answer({"Neg", {Tensor::of<int64_t>({1}, {INT64_MIN})}}), Ints{INT64_MIN});
}

TEST(Operators, HalvesAreRoundedOnceToNearest) {
  // 2048 + 1 + 1 is 2050 in float16; rounding after each step would give 2048.
  const Tensor x = tensor_of(Type::kFloat16, {3}, {2048, 1, 1});
  const auto sum = OneNode("ReduceSum", {x}).reference();
  ASSERT_TRUE(sum.ok());
  EXPECT_EQ(to_doubles(sum.value().at("o0")), std::vector<double>{2050});
  EXPECT_EQ(sum.value().at("o0").type(), Type::kFloat16);
  const auto overflow = OneNode("Mul", {x, x}).reference();
  ASSERT_TRUE(overflow.ok());
  EXPECT_EQ(to_doubles(overflow.value().at("o0"))[0], INFINITY);
}

TEST(Operators, PassNaNsAndInfinitiesOn) {
  const Tensor x = Tensor::of<float>({4}, {1, NAN, INFINITY, -INFINITY});
  for (const char* op :
       {"Relu", "Abs",  "Neg",         "Sigmoid",   "Tanh",     "Exp",  "Floor", "Sign", "Softsign", "Elu",
        "Selu", "Celu", "HardSigmoid", "HardSwish", "Softplus", "Mish", "Gelu",  "Erf",  "Shrink",   "Swish"}) {
    OneNode one(op, {x});
    const auto got = one.reference();
    ASSERT_TRUE(got.ok()) << op;
    EXPECT_TRUE(std::isnan(to_doubles(got.value().at("o0"))[1])) << op;
  }
  for (const char* op : {"ReduceSum", "ReduceMax", "ReduceMin", "ReduceMean", "ReduceLogSumExp", "ReduceL2"}) {
    const auto got = OneNode(op, {x}).reference();
    ASSERT_TRUE(got.ok()) << op;
    EXPECT_TRUE(std::isnan(to_doubles(got.value().at("o0"))[0])) << op;
  }
  const auto low = OneNode("ReduceLogSumExp", {Tensor::of<float>({2}, {-INFINITY, -INFINITY})}).reference();
  EXPECT_EQ(to_doubles(low.value().at("o0"))[0], -INFINITY);
  const auto best = OneNode("TopK", {x, list({2})}, {}, 2).reference();
  EXPECT_EQ(to_int64s(best.value().at("o1")), (std::vector<int64_t>{1, 2})) << "NaN stands above all numbers";
}

TEST(Operators, ClipWithoutABoundCutsInfinityAtTheLargestNumber) {
  const float infinity = std::numeric_limits<float>::infinity(), largest = std::numeric_limits<float>::max();
  const OneNode clip("Clip", {Tensor::of<float>({3}, {-infinity, infinity, 2})});
  expect_native_equals_reference(clip, 0);
  EXPECT_EQ(to_doubles(clip.reference().value().at("o0")), (std::vector<double>{-largest, largest, 2}));
}

TEST(Operators, ClipWhoseBoundsCrossGivesTheUpperOne) {
  const Tensor x = Tensor::of<float>({4}, {-3, 0.5f, 7, NAN});
  OneNode inputs("Clip", {x, Tensor::of<float>({}, {1}), Tensor::of<float>({}, {0.01f})});
  inputs.constants = {1, 2};
  OneNode attributes("Clip", {x}, {{"min", 1.0f}, {"max", 0.01f}});
  attributes.opset = 7;
  for (const OneNode& one : {inputs, attributes}) {
    expect_native_equals_reference(one, 0);
    const auto made = to_doubles(one.reference().value().at("o0"));
    EXPECT_EQ(made[0], 0.01f);
    EXPECT_EQ(made[2], 0.01f);
    EXPECT_TRUE(std::isnan(made[3]));
  }
}

TEST(Operators, SoftmaxAlongAnyAxisIsAVectorStep) {
  for (const char* op : {"Softmax", "LogSoftmax"})
    for (const int64_t axis : {0, 1, 2, -2})
      expect_native_equals_reference({op, {random_floats({3, 20, 5}, 1)}, {{"axis", axis}}}, 0, op);
}

TEST(Operators, TileIsAViewOrOneCopy) {
  for (const Shape& repeats : {Shape{1, 3, 1}, Shape{2, 1, 1}, Shape{2, 3, 2}, Shape{1, 1, 0}}) {
    OneNode tile("Tile", {random_floats({4, 1, 3}, 1), list(repeats)});
    tile.constants = {1};
    expect_native_equals_reference(tile, 0, shape_text(repeats));
  }
}

TEST(Operators, UniqueOfRowsInBothOrders) {
  const Tensor x = Tensor::of<float>({4, 2}, {2, 1, 1, 9, 2, 1, 1, 0});
  for (const bool sorted : {true, false}) {
    OneNode one("Unique", {x}, {{"axis", int64_t{0}}, {"sorted", int64_t{sorted}}}, 4);
    one.constants.insert(0);
    const auto got = one.reference();
    ASSERT_TRUE(got.ok()) << got.error().text();
    using Ints = std::vector<int64_t>;
    EXPECT_EQ(to_int64s(got.value().at("o0")), sorted ? (Ints{1, 0, 1, 9, 2, 1}) : (Ints{2, 1, 1, 9, 1, 0}));
    EXPECT_EQ(to_int64s(got.value().at("o1")), sorted ? (Ints{3, 1, 0}) : (Ints{0, 1, 3}));
    EXPECT_EQ(to_int64s(got.value().at("o2")), sorted ? (Ints{2, 1, 2, 0}) : (Ints{0, 1, 0, 2}));
    EXPECT_EQ(to_int64s(got.value().at("o3")), sorted ? (Ints{1, 1, 2}) : (Ints{2, 1, 1}));
  }
}

// The formula of the standard divides by the samples less one where the window is symmetric.
TEST(Operators, ASymmetricWindowOfOneSampleIsNaN) {
  const auto window = [](int64_t size, int64_t periodic, int64_t type) {
    OneNode one("HammingWindow", {Tensor::of<int64_t>({}, {size})},
                {{"periodic", periodic}, {"output_datatype", type}});
    one.constants = {0};
    expect_native_equals_reference(one, -1);
    return to_doubles(one.reference().value().at("o0"));
  };
  EXPECT_TRUE(std::isnan(window(1, 0, 1)[0]));
  EXPECT_EQ(window(1, 0, 7), std::vector<double>{0});
  EXPECT_NEAR(window(1, 1, 1)[0], 4.0 / 46, 1e-7);
  EXPECT_EQ(window(0, 0, 1).size(), 0u);
}

TEST(Operators, SliceOfNothingBackwardsIsNothing) {
  OneNode one("Slice", {Tensor(Type::kInt64, {0}), list({-1}), list({-100}), list({0}), list({-2})});
  one.constants = {1, 2, 3, 4};
  const auto got = one.reference();
  ASSERT_TRUE(got.ok()) << got.error().text();
  EXPECT_EQ(got.value().at("o0").shape(), Shape{0});
  expect_native_equals_reference(one, -1);
}

struct Refused {
  OneNode one;
  std::string says;
};

TEST(Operators, RefuseWhatDoesNotFit) {
  const Tensor x = small(Type::kFloat32, {2, 3}, 0), ints = small(Type::kInt32, {2, 3}, 0),
               flags = Tensor(Type::kBool, {2, 3}), image = small(Type::kFloat32, {1, 3, 2, 3}, 0);
  const Tensor index = Tensor::of<int64_t>({1, 2}, {5, 0}), wide = small(Type::kFloat32, {2, 9}, 0);
  const std::string none = "mean";
  const std::vector<Refused> cases{
      {{"BitwiseAnd", {x, x}}, "takes integers"},
      {{"BitShift", {ints, ints}, {{"direction", std::string("UP")}}}, "neither LEFT nor RIGHT"},
      {{"BitCast", {x}, {{"to", int64_t{11}}}}, "cannot read float32 as float64"},
      {{"Cast", {x}, {{"to", int64_t{22}}}}, "casts to element type 22 (int4), which is not supported"},
      {{"Cast", {x}, {{"to", int64_t{8}}}}, "casts to element type 8 (string), which is not supported"},
      {{"Cast", {x}, {{"to", int64_t{99}}}}, "casts to element type 99, which is not supported"},
      {{"Neg", {flags}}, "takes numbers"},
      {{"Floor", {ints}}, "takes floats"},
      {{"Add", {x, ints}}, "different types"},
      {{"PRelu", {x, wide}}, "does not broadcast"},
      {{"GatherND", {x, index}}, "is outside -"},
      {{"GatherND", {x, index}, {{"batch_dims", int64_t{3}}}}, "do not fit"},
      {{"GatherND", {x, x}}, "int32 or int64"},
      {{"ScatterElements", {x, index, x}}, "do not fit"},
      {{"ScatterElements", {x, index, small(Type::kFloat32, {1, 2}, 0)}}, "index 5"},
      {{"ScatterElements", {x, index, small(Type::kFloat32, {1, 2}, 0)}, {{"reduction", none}}}, "reduction 'mean'"},
      {{"ScatterND", {x, index, small(Type::kFloat32, {1}, 0)}}, "is outside -"},
      {{"ScatterND", {x, index, x}}, "must have shape"},
      {{"TensorScatter", {image, small(Type::kFloat32, {1, 3, 9, 3}, 0)}}, "do not fit cache"},
      {{"TensorScatter", {image, image, list({1})}}, "write index 1"},
      {{"Compress", {x, Tensor::of<bool>({9}, std::vector<bool>(9, true))}}, "takes element 6 of 6"},
      {{"TopK", {x, list({4})}, {}, 2}, "cannot take [4]"},
      {{"TopK", {x}, {}, 2}, "has no k"},
      {{"CumSum", {x, scalar(2)}}, "axis 2 is outside"},
      {{"EyeLike", {image}}, "takes a matrix"},
      {{"Trilu", {list({1, 2})}}, "takes matrices"},
      {{"DepthToSpace", {image}, {{"blocksize", int64_t{2}}}}, "cannot make blocks"},
      {{"SpaceToDepth", {image}, {{"blocksize", int64_t{2}}}}, "cannot make blocks"},
      {{"DepthToSpace", {image}, {{"mode", std::string("ABC")}}}, "mode 'ABC'"},
      {{"ReverseSequence", {x, list({3, 3, 3})}}, "length 3 is outside 0 to 2"},
      {{"ReverseSequence", {x, list({1})}}, "must be int64 [3]"},
      {{"Det", {x}}, "square"},
      {{"Einsum", {x, x}, {{"equation", std::string("ij,jk->ik")}}}, "stands for"},
      {{"Einsum", {x}, {{"equation", std::string("ij->ii")}}}, "repeats a label"},
      {{"Einsum", {x}, {{"equation", std::string("ij->k")}}}, "names one no operand has"},
      {{"Einsum", {x}, {{"equation", std::string("i1->i")}}}, "letters"},
      {{"Einsum", {x}, {{"equation", std::string("ij,jk->ik")}}}, "is for 2 operands"},
      {{"HannWindow", {x}}, "must be one integer"},
      {{"Dropout", {x, Tensor::of<float>({}, {0.5f}), Tensor::of<bool>({}, {true})}}, "training mode"},
      {{"Split", {x}, {{"num_outputs", int64_t{3}}}, 2}, "num_outputs is 3"},
      {{"ReduceSum", {flags}}, "takes numbers"},
      {{"ArgMax", {flags}}, "takes numbers"},
      {{"MatMul", {flags, flags}}, "takes numbers"},
      {{"Pow", {tensor_of(Type::kFloat16, {1}, {2}), flags}}, "takes numbers"},
      {{"Add", {tensor_of(Type::kFloat16, {1}, {2}), tensor_of(Type::kBFloat16, {1}, {2})}}, "different types"},
      {{"Add", {tensor_of(Type::kFloat16, {1}, {2}), x}}, "float16 and float32"},
      {{"Mul", {tensor_of(Type::kFloat64, {1}, {2}), tensor_of(Type::kFloat16, {1}, {2})}}, "float16 and float64"},
      {{"Mul", {tensor_of(Type::kBFloat16, {1}, {2}), tensor_of(Type::kFloat64, {1}, {2})}}, "bfloat16 and float64"},
  };
  for (const Refused& refused : cases) {
    const auto got = refused.one.reference();
    ASSERT_FALSE(got.ok()) << refused.one.node.op << " was not refused (" << refused.says << ")";
    EXPECT_NE(got.error().text().find(refused.says), std::string::npos) << got.error().text();
  }
}

TEST(Operators, WhatDecidesAShapeMustBeKnownBeforeANativeProgramIsMade) {
  const Tensor x = small(Type::kFloat32, {2, 3}, 0);
  for (const OneNode& one : {OneNode("NonZero", {x}), OneNode("Unique", {x}), OneNode("TopK", {x, list({2})}, {}, 2),
                             OneNode("Compress", {x, Tensor(Type::kBool, {2})}), OneNode("HannWindow", {scalar(4)})}) {
    std::map<std::string, TensorType> types;
    for (const auto& [name, tensor] : one.feeds()) types[name] = {tensor.type(), tensor.shape()};
    const auto made = native::NativeExecutable::compile(one.graph(), types);
    ASSERT_FALSE(made.ok()) << one.node.op;
    EXPECT_EQ(made.error().code, Code::kUnsupported) << made.error().text();
    EXPECT_NE(made.error().text().find("known before the run"), std::string::npos) << made.error().text();
  }
}

}  // namespace
}  // namespace hayate
