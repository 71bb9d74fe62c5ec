"""The code a user writes after TensorFlow's "TensorFlow 2 quickstart for beginners".

Only net, optimiser, batch, epochs and data source differ from it; doc/method.md has the list.
Nothing in here knows of tare: keras_engine.py calls these functions and holds the stopwatch.
"""

import numpy as np
import tensorflow as tf


def load(path):
    with np.load(path) as mnist:
        x_train, y_train = mnist["x_train"], mnist["y_train"]
        x_test, y_test = mnist["x_test"], mnist["y_test"]
    x_train, x_test = x_train / 255.0, x_test / 255.0
    return (x_train, y_train), (x_test, y_test)


def build(input_shape, layers, learning_rate):
    model = tf.keras.models.Sequential([tf.keras.Input(input_shape)])
    if len(input_shape) > 1:
        model.add(tf.keras.layers.Flatten())
    for units, activation in layers:
        model.add(tf.keras.layers.Dense(units, activation=activation))
    loss_fn = tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    optimizer = tf.keras.optimizers.Adam(learning_rate)
    model.compile(optimizer=optimizer, loss=loss_fn, metrics=["accuracy"])
    return model


def train(model, x_train, y_train, batch_size, epochs):
    return model.fit(x_train, y_train, batch_size=batch_size, epochs=epochs)


def evaluate(model, x_test, y_test):
    return model.evaluate(x_test, y_test, verbose=2)


def predict(model, x):
    return model.predict(x)


def call(model, x):
    return model(x).numpy()


def export(model, path):
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    with open(path, "wb") as file:
        file.write(converter.convert())
