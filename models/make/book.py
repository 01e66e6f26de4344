"""A simulated limit order book, and what the sample models learn from it.

The market is an event-driven queueing model in the manner of Cont, Stoikov and Talreja, "A stochastic model for order
book dynamics" (2010): limit orders, market orders and cancellations arrive at random, each price level is a queue of
lots. Two hidden processes bend the rates and make the future partly predictable, as in a real book: a sentiment that
drifts between selling (-1) and buying (+1), and herding (a market order makes the next one of its side likelier).

One row is a snapshot after a fixed number of events. Everything below is a function of the seed alone.

    simulate(rows, seed)   -> prices int64 [rows, 2, 10] in ticks, sizes int64 [rows, 2, 10] in lots (0 asks, 1 bids)
    Dataset(...)           -> features z-scored float32 [rows, 128], labels, train/validation/test indices

Columns of the features (the first 40 are the book as DeepLOB and FI-2010 order it):
      0..39   per level, best first: ask price, ask size, bid price, bid size; prices as ticks from a moving average of
              the mid price (so that a window shows how the mid moved), sizes as log(1 + lots)
     40..49   size imbalance of each level,       50..59  the same summed from the best level down
     60..69   order flow of each level (change of bid lots less change of ask lots) over 1 row
     70..99   order flow over 5, 20 and 50 rows
    100..109  change of the mid price over 1, 2, 3, 5, 8, 12, 20, 30, 50, 80 rows
    110..114  standard deviation of the mid's changes over 5, 10, 20, 50, 100 rows
    115..117  spread, mean spread over 20 rows, size-weighted mid less mid
    118..127  gaps between the first six levels, asks then bids

Run as a program it simulates and prints what came out:  python book.py [--rows N] [--seed S] [--npz FILE]
"""

import argparse

import numpy as np

LEVELS = 10
BOOK = 40  # features of the book itself
WIDE = 128  # all features
SEED = 20240808
ROWS = 200_000
HORIZON = 20  # rows ahead that the labels look
HORIZONS = (1, 2, 3, 5, 8, 12, 20, 30, 50, 80)  # rows ahead for the ten outputs of mlp_medium
CLASSES = ("down", "flat", "up")

# 64 columns for the tree and linear models: the book, imbalances, mid changes, volatility, spread.
TREE_COLUMNS = np.r_[0:40, 40:50, 100:110, 112, 115:118]

_REACH = 30  # ticks from the opposite best price at which orders arrive
_CAP = 160  # lots at which cancellation saturates
_EVENTS_PER_ROW = 10  # candidate events (some are empty cancellations) between two snapshots
_WARM_UP = 2_000  # rows dropped while the book fills
_GAP = 200  # rows between train, validation and test: longer than any window plus horizon


def simulate(rows, seed):
    """Prices and sizes of `rows` snapshots, each int64 [rows, 2, 10]; side 0 is the asks, best level first."""
    rng = np.random.default_rng(seed)
    span = 400_000
    lots = [[0] * span, [0] * span]  # lots[side][tick]
    centre = span // 2
    for distance in range(1, 200):  # a full book to start from
        lots[0][centre + distance] = 20
        lots[1][centre - distance] = 20
    best = [centre + 1, centre - 1]
    away = (1, -1)  # from the best price into the book

    weight = np.arange(1, _REACH + 1) ** -0.6
    distances = weight.cumsum() / weight.sum()

    prices = np.zeros((rows, 2, LEVELS), np.int64)
    sizes = np.zeros((rows, 2, LEVELS), np.int64)
    sentiment, herd = 0.0, 0.0
    for row in range(-_WARM_UP, rows):
        # Sentiment and activity last tens of rows; herding dies out within a row or two.
        sentiment += -0.03 * sentiment + 0.2 * rng.standard_normal()
        lean = np.tanh(sentiment)
        herd *= 0.95
        kind = rng.random(_EVENTS_PER_ROW).tolist()
        which = rng.random(_EVENTS_PER_ROW).tolist()
        draw = rng.random(_EVENTS_PER_ROW)
        far = (np.searchsorted(distances, draw) + 1).tolist()
        uniform = (draw * _REACH).astype(int).tolist()
        amount = rng.geometric(0.3, _EVENTS_PER_ROW).tolist()
        accept = rng.random(_EVENTS_PER_ROW).tolist()
        for event in range(_EVENTS_PER_ROW):
            if kind[event] < 0.36:  # limit order: buyers join the bids
                side = 1 if which[event] < 0.5 + 0.12 * lean else 0
                tick = best[1 - side] - away[1 - side] * far[event]
                lots[side][tick] += amount[event]
                if (tick - best[side]) * away[side] < 0:
                    best[side] = tick
            elif kind[event] < 0.42:  # market order: a buyer takes asks
                pressure = max(-0.45, min(0.45, 0.3 * lean + herd))
                side = 0 if which[event] < 0.5 + pressure else 1
                herd = max(-0.3, min(0.3, herd + (0.06 if side == 0 else -0.06)))
                left = 2 * amount[event]
                while left > 0:
                    taken = min(left, lots[side][best[side]])
                    lots[side][best[side]] -= taken
                    left -= taken
                    while lots[side][best[side]] == 0:
                        best[side] += away[side]
            else:  # cancellation: a queue loses orders in proportion to its length; sellers who feel a rise withdraw
                side = 0 if which[event] < 0.5 + 0.08 * lean else 1
                tick = best[side] + away[side] * uniform[event]
                held = lots[side][tick]
                if accept[event] * _CAP < held:
                    lots[side][tick] = held - min(held, amount[event])
                    while lots[side][best[side]] == 0:
                        best[side] += away[side]
        if row >= 0:
            for side in (0, 1):
                tick, level, queue = best[side], 0, lots[side]
                while level < LEVELS:
                    if queue[tick]:
                        prices[row, side, level] = tick
                        sizes[row, side, level] = queue[tick]
                        level += 1
                    tick += away[side]
    return prices, sizes


def _trailing_sum(x, n):
    """Sum of the last n rows (fewer at the start), same shape as x."""
    total = np.cumsum(x, axis=0)
    total[n:] = total[n:] - total[:-n]
    return total


def _change(x, n):
    out = np.zeros_like(x)
    out[n:] = x[n:] - x[:-n]
    return out


def features(prices, sizes):
    """The 128 raw features of each row (see the module's table) and the mid price in ticks; float64."""
    ask, bid = prices[:, 0].astype(float), prices[:, 1].astype(float)
    ask_lots, bid_lots = sizes[:, 0].astype(float), sizes[:, 1].astype(float)
    mid = (ask[:, 0] + bid[:, 0]) / 2
    average = np.empty_like(mid)
    average[0] = mid[0]
    for t in range(1, len(mid)):
        average[t] = average[t - 1] + 0.02 * (mid[t] - average[t - 1])

    book = np.empty((len(mid), LEVELS, 4))
    book[:, :, 0] = ask - average[:, None]
    book[:, :, 1] = np.log1p(ask_lots)
    book[:, :, 2] = bid - average[:, None]
    book[:, :, 3] = np.log1p(bid_lots)

    imbalance = (bid_lots - ask_lots) / (bid_lots + ask_lots)
    bid_sum, ask_sum = bid_lots.cumsum(1), ask_lots.cumsum(1)
    flow = _change(bid_lots, 1) - _change(ask_lots, 1)
    moves = _change(mid, 1)
    spread = ask[:, 0] - bid[:, 0]
    weighted = (ask[:, 0] * bid_lots[:, 0] + bid[:, 0] * ask_lots[:, 0]) / (bid_lots[:, 0] + ask_lots[:, 0])

    columns = [book.reshape(len(mid), BOOK), imbalance, (bid_sum - ask_sum) / (bid_sum + ask_sum), flow]
    columns += [_trailing_sum(flow, n) for n in (5, 20, 50)]
    columns += [_change(mid, n)[:, None] for n in HORIZONS]
    for n in (5, 10, 20, 50, 100):
        mean = _trailing_sum(moves, n) / n
        columns.append(np.sqrt(np.maximum(_trailing_sum(moves**2, n) / n - mean**2, 0))[:, None])
    columns += [spread[:, None], _trailing_sum(spread, 20)[:, None] / 20, (weighted - mid)[:, None]]
    columns += [np.diff(ask, axis=1)[:, :5], -np.diff(bid, axis=1)[:, :5]]
    out = np.concatenate(columns, axis=1)
    assert out.shape[1] == WIDE
    return out, mid


class Dataset:
    """Features, labels and a split by time.

    x        float32 [rows, 128], z-scored with the training rows' mean and standard deviation, clipped to +-6
    label    int64 [rows]: 0 down, 1 flat, 2 up: the mean mid of the next 20 rows against the mid now, with the
             threshold that makes a third of the training rows flat
    move     float32 [rows]: the same difference in units of its training standard deviation
    moves    float32 [rows, 10]: the mean mid of the next 1, 2, 3, 5, 8, 12, 20, 30, 50, 80 rows against the mid now,
             likewise scaled
    train, validation, test   indices of rows (the last row of a window), in time order, with gaps between them
    """

    def __init__(self, rows=ROWS, seed=SEED):
        raw, mid = features(*simulate(rows, seed))
        first, last = 150, rows - max(HORIZONS)
        a, b = int(first + 0.7 * (last - first)), int(first + 0.8 * (last - first))
        self.train = np.arange(first, a)
        self.validation = np.arange(a + _GAP, b)
        self.test = np.arange(b + _GAP, last)
        self.mean, self.std = raw[self.train].mean(0), raw[self.train].std(0)
        self.x = np.clip((raw - self.mean) / self.std, -6, 6).astype(np.float32)

        total = np.concatenate([[0.0], np.cumsum(mid - mid[0])])
        moves = np.zeros((rows, len(HORIZONS)))
        for k, n in enumerate(HORIZONS):
            moves[:-n, k] = (total[n + 1 :] - total[1:-n]) / n - (mid[:-n] - mid[0])
        self.moves = (moves / moves[self.train].std(0)).astype(np.float32)
        ahead = moves[:, HORIZONS.index(HORIZON)]
        threshold = np.quantile(np.abs(ahead[self.train]), 1 / 3)
        self.label = np.where(ahead > threshold, 2, np.where(ahead < -threshold, 0, 1)).astype(np.int64)
        self.move = self.moves[:, HORIZONS.index(HORIZON)]

    def window(self, last_rows, length, columns=BOOK):
        """Windows that end at `last_rows`: float32 [len(last_rows), length, columns]."""
        index = np.asarray(last_rows)[:, None] + np.arange(1 - length, 1)
        return self.x[index, :columns]


def with_missing(x, seed, share=0.02):
    """A copy of x with `share` of its values NaN, as a feed with drop-outs delivers them."""
    out = x.copy()
    out[np.random.default_rng(seed).random(x.shape) < share] = np.nan
    return out


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--npz", help="write features, label and the split there")
    args = parser.parse_args()
    prices, sizes = simulate(args.rows, args.seed)
    spread = prices[:, 0, 0] - prices[:, 1, 0]
    mid = prices[:, :, 0].mean(1)
    print(f"rows {len(mid)}, spread mean {spread.mean():.2f} ticks, lots at best mean {sizes[:, :, 0].mean():.1f}")
    print(f"mid moves in {np.mean(np.diff(mid) != 0):.0%} of rows, over the day {np.ptp(mid):.0f} ticks")
    data = Dataset(args.rows, args.seed)
    shares = np.bincount(data.label[data.test], minlength=3) / len(data.test)
    print("test rows", len(data.test), " ".join(f"{name} {share:.1%}" for name, share in zip(CLASSES, shares)))
    if args.npz:
        np.savez_compressed(args.npz, features=data.x, label=data.label, train=data.train,
                            validation=data.validation, test=data.test)


if __name__ == "__main__":
    main()
