"""Architectures of trading papers in Keras, small; each a function that gives a model of fixed input shapes but the
batch."""

import keras
import numpy as np
import tensorflow as tf
from keras import layers

STEPS, FEATURES = 12, 6
MODELS = {}


def model(function):
    MODELS[function.__name__] = function
    return function


def gelu(x):
    """By tanh: tf2onnx 1.17 does not know Erfc, which the exact one is made of."""
    return keras.activations.gelu(x, approximate=True)


def series(steps=STEPS, features=FEATURES):
    return keras.Input((steps, features), name="series")


@model
def mlp():
    x = keras.Input((10,), name="features")
    y = layers.Dense(16, activation="relu")(x)
    y = layers.BatchNormalization()(y)
    y = layers.Dropout(0.2)(y)
    y = layers.Dense(8, activation=gelu)(y)
    return keras.Model(x, layers.Dense(3, activation="softmax")(y))


@model
def conv1d():
    x = series()
    y = layers.Conv1D(8, 3, padding="same", activation="relu")(x)
    y = layers.MaxPooling1D(2)(y)
    y = layers.SeparableConv1D(8, 3, padding="valid", activation="swish")(y)
    y = layers.GlobalAveragePooling1D()(y)
    return keras.Model(x, layers.Dense(2, activation="tanh")(y))


@model
def tcn():
    x = series()
    y = layers.Conv1D(8, 1)(x)
    for dilation in (1, 2, 4):
        z = layers.Conv1D(8, 3, padding="causal", dilation_rate=dilation, activation="relu")(y)
        z = layers.LayerNormalization()(z)
        z = layers.Conv1D(8, 3, padding="causal", dilation_rate=dilation)(z)
        y = layers.ReLU()(layers.Add()([y, z]))
    return keras.Model(x, layers.Dense(1)(y[:, -1]))


@model
def wavenet():
    x = series()
    y, skips = layers.Conv1D(6, 1)(x), []
    for dilation in (1, 2):
        gate = layers.Conv1D(6, 2, padding="causal", dilation_rate=dilation, activation="sigmoid")(y)
        value = layers.Conv1D(6, 2, padding="causal", dilation_rate=dilation, activation="tanh")(y)
        z = layers.Multiply()([gate, value])
        skips.append(layers.Conv1D(6, 1)(z))
        y = layers.Add()([y, layers.Conv1D(6, 1)(z)])
    y = layers.Activation("elu")(layers.Add()(skips))
    return keras.Model(x, layers.Dense(1)(y))


@model
def lstm():
    x = series()
    return keras.Model(x, layers.Dense(3, activation="softmax")(layers.LSTM(8)(x)))


@model
def stacked_lstm():
    x = series()
    y = layers.LSTM(8, return_sequences=True)(x)
    y = layers.LSTM(6, return_sequences=True, go_backwards=True)(y)
    return keras.Model(x, layers.TimeDistributed(layers.Dense(2))(y))


@model
def gru():
    x = series()
    return keras.Model(x, layers.Dense(1)(layers.GRU(8)(x)))


@model
def gru_reset_before():
    x = series()
    return keras.Model(x, layers.Dense(1)(layers.GRU(8, reset_after=False)(x)))


@model
def simple_rnn():
    x = series()
    return keras.Model(x, layers.Dense(1)(layers.SimpleRNN(8)(x)))


@model
def bilstm():
    x = series()
    y = layers.Bidirectional(layers.LSTM(6, return_sequences=True))(x)
    return keras.Model(x, layers.Dense(2)(layers.GlobalMaxPooling1D()(y)))


@model
def attention():
    x = series()
    y = layers.Dense(8)(x)
    z = layers.MultiHeadAttention(num_heads=2, key_dim=4)(y, y, use_causal_mask=True)
    y = layers.LayerNormalization()(layers.Add()([y, z]))
    z = layers.Dense(8)(layers.Dense(16, activation=gelu)(y))
    y = layers.LayerNormalization()(layers.Add()([y, z]))
    return keras.Model(x, layers.Dense(3, activation="softmax")(layers.Flatten()(y)))


@model
def lstm_attention():
    x = series()
    y = layers.LSTM(6, return_sequences=True)(x)
    z = layers.Attention(use_scale=True)([y, y])
    return keras.Model(x, layers.Dense(1)(layers.Concatenate()([y, z])[:, -1]))


@model
def deeplob():
    x = keras.Input((16, 8, 1), name="book")
    y = x
    for width in (2, 2):
        y = layers.LeakyReLU(0.01)(layers.Conv2D(4, (1, width), strides=(1, width))(y))
        y = layers.LeakyReLU(0.01)(layers.Conv2D(4, (4, 1), padding="same")(y))
    y = layers.LeakyReLU(0.01)(layers.Conv2D(4, (1, 2))(y))
    a = layers.Conv2D(4, (3, 1), padding="same")(layers.Conv2D(4, (1, 1), padding="same")(y))
    b = layers.Conv2D(4, (5, 1), padding="same")(layers.Conv2D(4, (1, 1), padding="same")(y))
    c = layers.Conv2D(4, (1, 1), padding="same")(layers.MaxPooling2D((3, 1), strides=(1, 1), padding="same")(y))
    y = layers.Reshape((16, 12))(layers.Concatenate(axis=3)([a, b, c]))
    return keras.Model(x, layers.Dense(3, activation="softmax")(layers.LSTM(8)(y)))


@model
def autoencoder():
    x = keras.Input((12,), name="features")
    y = layers.Dense(3, activation="tanh")(layers.Dense(8, activation="selu")(x))
    y = layers.Dense(12)(layers.Dense(8, activation="softplus")(y))
    return keras.Model(x, [y, tf_mean_square(x, y)])


def tf_mean_square(x, y):
    return layers.Lambda(lambda pair: tf.reduce_mean(tf.square(pair[0] - pair[1]), -1), output_shape=())([x, y])


@model
def conv_autoencoder():
    x = series(16, 3)
    y = layers.Conv1D(6, 3, strides=2, padding="same", activation="relu")(x)
    y = layers.Conv1DTranspose(6, 3, strides=2, padding="same", activation="relu")(y)
    y = layers.UpSampling1D(2)(layers.AveragePooling1D(2)(y))
    return keras.Model(x, layers.Conv1D(3, 3, padding="same")(y))


@model
def multi_input():
    x, asset = series(), keras.Input((2,), dtype="int32", name="asset")
    y = layers.GRU(6)(x)
    z = layers.Flatten()(layers.Embedding(10, 3)(asset))
    y = layers.Concatenate()([y, z])
    return keras.Model([x, asset], [layers.Dense(1, name="price")(y), layers.Dense(2, activation="softmax", name="side")(y)])


@model
def nbeats():
    x = keras.Input((12,), name="history")
    rest, answer = x, None
    for _ in range(3):
        y = layers.Dense(8, activation="relu")(layers.Dense(8, activation="relu")(rest))
        rest = layers.Subtract()([rest, layers.Dense(12, use_bias=False)(y)])
        part = layers.Dense(4, use_bias=False)(y)
        answer = part if answer is None else layers.Add()([answer, part])
    return keras.Model(x, answer)


@model
def gated_residual():
    x = keras.Input((10,), name="features")
    y = layers.Dense(10, activation="elu")(x)
    y = layers.Multiply()([layers.Dense(10, activation="sigmoid")(y), layers.Dense(10)(y)])
    y = layers.LayerNormalization()(layers.Add()([x, y]))
    return keras.Model(x, layers.Dense(3)(y))


@model
def squeeze_excite():
    x = series()
    y = layers.Conv1D(8, 3, padding="same", activation="relu")(x)
    z = layers.Dense(8, activation="hard_sigmoid")(layers.Dense(2, activation="relu")(layers.GlobalAveragePooling1D()(y)))
    y = layers.Multiply()([y, layers.Reshape((1, 8))(z)])
    return keras.Model(x, layers.Dense(1)(layers.GlobalAveragePooling1D()(y)))


@model
def bilinear():
    x = series()
    random = np.random.default_rng(1)
    across, along = random.standard_normal((FEATURES, 4)).astype(np.float32), random.standard_normal((STEPS, 3)).astype(np.float32)
    y = layers.Lambda(lambda v: tf.nn.relu(tf.einsum("btf,fg,ts->bgs", v, across, along)), output_shape=(4, 3))(x)
    y = layers.Lambda(lambda v: v * tf.nn.softmax(v, 1), output_shape=(4, 3))(y)
    return keras.Model(x, layers.Dense(3)(layers.Flatten()(y)))


@model
def experts():
    x = keras.Input((8,), name="features")
    gate = layers.Dense(4)(x)
    all_of_them = layers.Reshape((4, 3))(layers.Dense(12)(x))

    def best(pair):
        values, places = tf.math.top_k(pair[0], 2)
        return tf.reduce_sum(tf.gather(pair[1], places, batch_dims=1) * tf.nn.softmax(values)[..., None], 1)

    return keras.Model(x, layers.Lambda(best, output_shape=(3,))([gate, all_of_them]))


@model
def dlinear():
    x = series()
    front = layers.Lambda(lambda v: tf.concat([tf.repeat(v[:, :1], 2, 1), v, tf.repeat(v[:, -1:], 2, 1)], 1), output_shape=(STEPS + 4, FEATURES))(x)
    trend = layers.AveragePooling1D(5, strides=1)(front)
    season = layers.Subtract()([x, trend])
    y = layers.Add()([layers.Dense(4)(layers.Permute((2, 1))(part)) for part in (trend, season)])
    return keras.Model(x, layers.Permute((2, 1))(y))


@model
def patches():
    x = series(16, 2)
    y = layers.Lambda(lambda v: tf.signal.frame(v, 4, 2, axis=1), output_shape=(7, 4, 2))(x)
    y = layers.Dense(8)(layers.Reshape((7, 8))(y))
    y = layers.Add()([y, layers.MultiHeadAttention(2, 4)(y, y)])
    return keras.Model(x, layers.Dense(2)(layers.GlobalAveragePooling1D()(y)))


@model
def masked_lstm():
    x = series()
    y = layers.LSTM(6)(layers.Masking(0.0)(x))
    return keras.Model(x, layers.Dense(1)(y))
