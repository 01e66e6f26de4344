"""DeepLOB: convolutions, an inception module and an LSTM over the last 100 rows of the book.

deeplob   input [batch, 100, 40] -> output [batch, 3], probabilities of down, flat, up

Zhang, Zohren, Roberts, "DeepLOB: Deep convolutional neural networks for limit order books" (2019), figure 3: three
blocks of 16 filters that fold (price, size), then (ask, bid), then the ten levels together, each followed by two
convolutions of four rows; three parallel branches of 32 filters; an LSTM of 64; a softmax. Leaky ReLU of slope 0.01.
The convolutions along time are unpadded as far as the inception module (100 rows become 82), padded inside it. No batch
normalisation, as in the paper.

Seeded; the same seed on the same build of PyTorch and the same instruction set gives the same weights.
"""

import torch
from torch import nn

import common

SLOPE = 0.01


def convolution(channels_in, channels_out, kernel, stride=(1, 1), padding=(0, 0)):
    return nn.Sequential(nn.Conv2d(channels_in, channels_out, kernel, stride, padding), nn.LeakyReLU(SLOPE))


def block(channels_in, fold, stride):
    return nn.Sequential(convolution(channels_in, 16, fold, stride), convolution(16, 16, (4, 1)),
                         convolution(16, 16, (4, 1)))


class DeepLob(nn.Module):
    def __init__(self):
        super().__init__()
        self.blocks = nn.Sequential(block(1, (1, 2), (1, 2)), block(16, (1, 2), (1, 2)), block(16, (1, 10), (1, 1)))
        self.three = nn.Sequential(convolution(16, 32, (1, 1)), convolution(32, 32, (3, 1), padding=(1, 0)))
        self.five = nn.Sequential(convolution(16, 32, (1, 1)), convolution(32, 32, (5, 1), padding=(2, 0)))
        self.pooled = nn.Sequential(nn.MaxPool2d((3, 1), 1, (1, 0)), convolution(16, 32, (1, 1)))
        self.lstm = nn.LSTM(96, 64, batch_first=True)
        self.head = nn.Linear(64, 3)

    def forward(self, x):
        x = self.blocks(x.unsqueeze(1))  # [batch, 16, 82, 1]
        x = torch.cat([self.three(x), self.five(x), self.pooled(x)], 1)  # [batch, 96, 82, 1]
        return self.head(self.lstm(x.squeeze(3).transpose(1, 2))[0][:, -1])


def main():
    args = common.arguments(__doc__, epochs=4)
    data = common.dataset(args)
    torch.manual_seed(args.seed)
    model = DeepLob()
    score = common.train(model, data, 100, 40, args.epochs, args.seed, stride=4, batch=128)
    common.finish_torch("deeplob", nn.Sequential(model, nn.Softmax(1)), data, args, 100, 40, dynamo=False,
                        note=dict(input="batch x 100 x 40", score=f"accuracy {score:.1%}"))


if __name__ == "__main__":
    main()
