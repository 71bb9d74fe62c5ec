"""Keras on the controlled track: the given weights and order through Keras's own training step.

model.fit takes its order from a data set and returns to Python after every step or few. Here the
data are tensors in place, and one tf.function, compiled by XLA, runs a whole range of steps: each
gathers its batch and calls the model's unchanged train_step (forward, loss, gradients, optimizer,
metrics), as fit's own function would. It is the fastest of the ways to keep Keras's step: without
XLA the same loop takes twice as long, and a train_on_batch per step, ten times. The number of
turns is an argument, so that one executable serves every range; it is compiled in the first step.
keras_engine.py is the engine; doc/protocol.md says what the hooks mean.
"""

import tensorflow as tf

keras = tf.keras


class KingmaBaAdam(keras.optimizers.Adam):
    """Keras adds epsilon to sqrt(v) before the bias correction of v, Kingma & Ba's Algorithm 1
    after it. Keras's epsilon times sqrt(1 - beta_2^t) makes them one; the rest is Keras's."""

    def build(self, variables):
        super().build(variables)
        self.epsilon_after_correction = self.epsilon

    def update_step(self, gradient, variable, learning_rate):
        t = tf.cast(self.iterations + 1, variable.dtype)
        self.epsilon = self.epsilon_after_correction * tf.sqrt(1 - tf.pow(self.beta_2, t))
        super().update_step(gradient, variable, learning_rate)
        self.epsilon = self.epsilon_after_correction


def make_optimizer(config):
    if config.name == "sgd":
        return keras.optimizers.SGD(config.lr)
    return KingmaBaAdam(config.lr, config.beta1, config.beta2, config.epsilon)


class Trainer:
    mode = "tf.function(jit_compile=True) of a loop over train_step"

    def __init__(self, work):
        self.model = keras.Sequential([keras.Input((work.n_in,))])
        for units, activation in work.layers:
            self.model.add(keras.layers.Dense(units, activation=activation))
        self.model.set_weights(list(work.params.values()))
        # One trace for every number of images.
        self.call = tf.function(self.model, autograph=False,
                                input_signature=[tf.TensorSpec((None, work.n_in), tf.float32)])
        if work.job.task == "train":
            self.model.compile(make_optimizer(work.job.optimizer),
                               keras.losses.SparseCategoricalCrossentropy(from_logits=True))
            self.images, self.labels, self.order = map(
                tf.constant, (work.images, work.labels, work.order))  # order: (steps, batch)
            self.longest = work.steps_per_epoch
            self.run_steps = tf.function(self.steps, jit_compile=True, autograph=False,
                                         input_signature=[tf.TensorSpec((), tf.int32)] * 2)

    def steps(self, first, count):
        """Runs steps [first, first + count); their losses in front of an array as long as an epoch:
        XLA wants to know its size."""
        losses = tf.TensorArray(tf.float32, self.longest, element_shape=())

        def step(i, some):
            batch = tf.gather(self.order, first + i)  # a slice would compile anew for each place
            self.model.reset_metrics()  # what train_step returns are running means: of this step
            logs = self.model.train_step((tf.gather(self.images, batch),
                                          tf.gather(self.labels, batch)))
            return i + 1, some.write(i, logs["loss"])

        _, losses = tf.while_loop(lambda i, _: i < count, step, (0, losses))
        return losses.stack()

    def train(self, first, count):
        return self.run_steps(first, count).numpy()[:count].tolist()

    def infer(self, x):
        return self.call(x).numpy()
