"""Makes the SavedModel that the engine "tensorflow", variant "xla-epoch", runs (tensorflow_epoch.c).

    python tensorflow_savedmodel.py FOLDER OPTIMIZER BETA1 BETA2 LAYER…

LAYER is dense:N_IN:N_OUT or relu. The model is one function, compiled by XLA when it first runs:
the first count rows of order are so many steps of training, in one call. count is an input, so one
step, a hundred and an epoch run the same executable. What TensorFlow's C API cannot express is made here,
the gradients of a loop's body and jit_compile; the data, the constants of each step and the clock
stay with the engine. C finds the inputs and outputs by the names given below.
"""

import sys

import tensorflow as tf

tf1 = tf.compat.v1


def forward(layers, x, values):
    """logits: (batch, classes) of x: (batch, n_in); values: weight, bias, weight, bias …"""
    values = iter(values)
    for kind, *_ in layers:
        x = tf.nn.relu(x) if kind == "relu" else tf.matmul(x, next(values)) + next(values)
    return x


def adam(alpha, epsilon, beta1, beta2, p, m, v, g):
    """Kingma & Ba's Algorithm 1; alpha and epsilon hold the bias corrections of the step."""
    m = beta1 * m + (1 - beta1) * g
    v = beta2 * v + (1 - beta2) * (g * g)
    return p - alpha * m / (tf.sqrt(v) + epsilon), m, v


def sgd(alpha, _epsilon, _beta1, _beta2, p, g):
    return (p - alpha * g,)


def make_function(layers, update, beta1, beta2, tensor_count):
    def step(images, labels, rows, alpha, epsilon, state):
        x, y = tf.gather(images, rows), tf.gather(labels, rows)
        values = state[:tensor_count]
        with tf.GradientTape() as tape:
            tape.watch(values)
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(y, forward(layers, x, values))
            loss = tf.reduce_mean(losses)
        gradients = tape.gradient(loss, values)
        updated = [update(alpha, epsilon, beta1, beta2, *state[i::tensor_count], gradient)
                   for i, gradient in enumerate(gradients)]
        return loss, [tensor for kind in zip(*updated) for tensor in kind]

    @tf.function(jit_compile=True)
    def train(images, labels, order, count, alpha, epsilon, state):
        def body(i, losses, state):
            loss, state = step(images, labels, order[i], alpha[i], epsilon[i], state)
            return i + 1, tf.tensor_scatter_nd_update(losses, [[i]], [loss]), state

        return tf.while_loop(lambda i, *_: i < count, body,
                             (tf.constant(0), tf.zeros_like(alpha), state))[1:]

    return train


def main(folder, optimizer, beta1, beta2, *words):
    layers = [tuple(word.split(":")) for word in words]
    shapes = []
    for _, *sizes in layers:
        if sizes:
            n_in, n_out = map(int, sizes)
            shapes += [(n_in, n_out), (n_out,)]
    # β is float32 and 1 − β is exact, as in the bias corrections that the engine computes.
    update, copies = {"adam": (adam, 3), "sgd": (sgd, 1)}[optimizer]
    train = make_function(layers, update, tf.constant(float(beta1)).numpy(),
                          tf.constant(float(beta2)).numpy(), len(shapes))
    with tf.Graph().as_default(), tf1.Session() as session:
        data = [tf1.placeholder(dtype, shape, name) for name, dtype, shape in (
            ("images", tf.float32, (None, shapes[0][0])), ("labels", tf.int32, (None,)),
            ("order", tf.int32, (None, None)), ("count", tf.int32, ()),
            ("alpha", tf.float32, (None,)), ("epsilon", tf.float32, (None,)))]
        state = [tf1.placeholder(tf.float32, shape, f"state_{i}")
                 for i, shape in enumerate(shapes * copies)]
        losses, next_state = train(*data, state)
        tf.identity(losses, "losses")
        for i, tensor in enumerate(next_state):
            tf.identity(tensor, f"next_{i}")
        builder = tf1.saved_model.Builder(folder)
        builder.add_meta_graph_and_variables(session, ["train"])
        builder.save()


if __name__ == "__main__":
    main(*sys.argv[1:])
