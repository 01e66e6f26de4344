// A sliding window at the cost of one row: a model that looks at the last T rows is cut into what a new row changes and
// what it leaves.
//
// Of a value with a time axis of L columns, columns `left` to L - right - 1 are kept: column j of one window is column
// j - 1 of the next; behind strides of that `every` rows on, and so many phases are kept. The first `left` see the
// zeros that convolutions put before the window's start, the last `right` those behind its end. Behind a forward LSTM,
// GRU or RNN every column depends on where the window started (a step); what is taken out of a column or a step at a
// fixed place is a tail, and so is a mean, sum or extreme of all steps, which every window carries on as one more
// state. What mixes columns otherwise (attention, sums over time) gets all of them and is a tail too; where they are
// steps, the whole window runs again. Where a tail asks for columns that see the zeros before the window, or a
// convolution reaches over the whole of it, those columns alone that are asked for are made again, evenly spaced ones
// where the head looks at one place, and before the row comes where they do not see it.
//
// A convolution along time whose first taps see kept columns alone begins before the row comes: its sums over those
// taps are made then, and the row's own taps go on from there, with the bits of the whole.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "eval/evaluate.h"
#include "graph/graph.h"

namespace hayate {

struct Streamed {
  enum Kind { kStatic, kColumns, kSteps, kTail } kind = kStatic;
  int64_t axis = -1, length = 0;  // of time, and its columns in a window
  int64_t left = 0, right = 0;
  int64_t every =
      1;  // rows between two columns, behind strides: the window so many rows on has them one column further
};
const char* kind_name(Streamed::Kind kind);

struct Incremental {
  std::string reason;  // not empty: nothing is gained, every row runs the whole window, and why
  std::string whole;   // not empty: the first node that runs on all columns of the window in `answer`, and why
  int64_t window = 0;
  bool sums = false;      // steps are summed up one after another
  bool reorders = false;  // which is another order than a full window's on native: rounded otherwise

  // Runs when a row arrives. Inputs: the row, as the model's input with one column; histories; the state of the oldest
  // window. Outputs: the model's; the newest column of each history; columns for `follow`.
  Graph answer;
  std::vector<std::string> outputs;  // of `answer`: the model's, in its order
  // Runs after the answer, where anything is recurrent: one step of windows in flight. follow_of(windows) is it for so
  // many at a time; inputs: columns, states [1, windows, hidden]; outputs: the states after it.
  std::optional<Graph> follow;
  int64_t in_flight = 0, every = 1;  // of each phase; rows between two of a window's steps, and so many phases
  int64_t edges = 0;                 // columns that see the window's start and are made again for every row
  int64_t begun = 0;                 // multiply-adds that convolutions begin with before the row comes
  Graph follow_of(int64_t windows) const;
  // Where recurrences start on columns that see the zeros before the window: runs after the answer on the first
  // `start_rows` rows of the window that joins those in flight, the last of which came one row ago. Outputs: its
  // states.
  std::optional<Graph> start;
  int64_t start_rows = 0;
  // Runs last after the answer: what the next one needs of the oldest window's states alone (the products of recurrent
  // weights with h). Inputs: states [1, 1, hidden]; outputs, under the same names inputs of `answer`.
  std::optional<Graph> prepare;
  // Run after the answer too. ahead: columns of the next window that see its start and not the row that is to come,
  // which its answer alone needs. begin: what convolutions begin with, without which no row is taken. Inputs:
  // histories; outputs, under the same names inputs of `answer`.
  std::optional<Graph> ahead, begin;

  // The last columns of a value, along `axis` of `shape`. After a row its newest column takes the place behind the
  // others, and the oldest leaves.
  struct History {
    std::string input, output;  // of `answer`, `ahead` and `begin`, where those read it; the newest column, of `answer`
    Type type = Type::kFloat32;
    Shape shape;
    size_t axis = 0;
    std::string value;
  };
  std::vector<History> histories;
  struct State {
    std::string input, output, start;  // of `answer`, `follow` and `prepare`; of `follow`; of `start`
    int64_t hidden = 0;
    std::vector<float> initial;
    std::string node;
  };
  std::vector<State> states;
  std::vector<std::string> columns;  // outputs of `answer` that are inputs of `follow`
  struct Shaped {  // a node of `follow` whose input 1 is the shape `to`, with the windows on an axis of it
    size_t node;
    Shape to;
    size_t axis;
  };
  std::vector<Shaped> shaped;

  // What the parts call a value that a layer of the model reads first, where they call it otherwise: its name there.
  std::map<std::string, std::string> origins;

  // For a person: what every value of the model is.
  struct Line {
    std::string value, node;
    Streamed what;
    int64_t begun = 0, taps = 0;  // of a convolution that begins before the row comes: taps by then, and all
  };
  std::vector<Line> lines;
};

// `graph` is rewritten for `lanes` rows of the batch and the whole window; axis `time` of its only input is time.
// `begin`: convolutions may begin before the row comes; not where they run on bfloat16. With more than one
// lane `answer` takes rows of so many windows; its ports are those of one lane, with the lanes where
// those have an extent of 1. The other graphs are of one lane alone.
Result<Incremental> make_incremental(const Graph& graph, const Facts& facts, int64_t time, bool begin,
                                     int64_t lanes = 1);

}  // namespace hayate
