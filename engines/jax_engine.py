"""The engine "jax": a range of steps, an epoch as a rule, in one compiled call.

The loop over steps is a lax.fori_loop whose number of turns is an argument, so that one executable
serves every range: what the certificate looks at step by step is the program that is timed. It is
compiled in the first step. Adam is written out; JAX itself has no optimisers. State is donated: it
is updated in place. tare_engine.py has the protocol and the phases.
"""

import os
import sys

import tare_engine


class Jax(tare_engine.Engine):
    name = "jax"
    devices = ("cpu", "cuda")
    optimizers = ("adam", "sgd")
    infer_call = "jit(model)(x)"

    def import_framework(self, job):
        if job.device == "cpu":
            os.environ["JAX_PLATFORMS"] = "cpu"  # a GPU that is there would be the default
        global jax, jnp, lax, np
        import jax
        import jax.numpy as jnp
        import numpy as np
        from jax import lax
        try:
            device = jax.devices(job.device)[0]
        except RuntimeError as error:
            raise tare_engine.Skip(
                f"no {job.device.upper()} device that this JAX can use: {error}",
                'a machine with a GPU, and TARE_PYTHON_JAX=/path/to/python with "jax[cuda13]"'
            ) from error
        # Full float32 products: on a GPU the default may be TF32, whose factors have 10 bits.
        jax.config.update("jax_default_matmul_precision", "highest")
        for name, value in (("device", device.device_kind), ("x64", jax.config.jax_enable_x64),
                            ("matmul_precision", jax.config.jax_default_matmul_precision),
                            # XLA has no option for it: it makes a pool of as many as it may use.
                            ("threads", f"{len(os.sched_getaffinity(0))} by affinity"),
                            ("mode", "jit of a loop over a range of steps")):
            self.protocol.setting(name, value)
        return jax.__version__

    def build(self, work):
        self.work, self.relu = work, [activation == "relu" for _, activation in work.layers]
        # device_put copies: what the donated state becomes must not be numpy's own memory.
        params = [jax.device_put(value) for value in work.params.values()]
        self.state = params, *([jnp.zeros_like(p) for p in params] for _ in ("m", "v"))
        self.jitted_model = jax.jit(self.model)
        if work.job.task == "train":
            adam = work.job.optimizer
            t = np.arange(1, work.steps + 1)[:, None]
            bias = 1 - np.power([[adam.beta1, adam.beta2]], t)  # in double, rounded once
            self.data = [jax.device_put(values) for values in (
                work.images, work.labels, work.order, bias.astype(np.float32))]
            self.jitted_steps = jax.jit(self.steps, donate_argnums=0)
        jax.block_until_ready((self.state, self.data if work.job.task == "train" else []))

    def model(self, params, x):
        """logits: (batch, n_out) of x: (batch, n_in)"""
        for i, relu in enumerate(self.relu):
            x = x @ params[2 * i] + params[2 * i + 1]
            x = jax.nn.relu(x) if relu else x
        return x

    def loss(self, params, x, labels):
        logits = self.model(params, x)
        chosen = jnp.take_along_axis(logits, labels[:, None], axis=1)[:, 0]
        return jnp.mean(jax.nn.logsumexp(logits, axis=1) - chosen)

    def update(self, p, m, v, g, bias):
        c = self.work.job.optimizer
        if c.name == "sgd":
            return p - c.lr * g, m, v
        m = c.beta1 * m + (1 - c.beta1) * g  # Kingma & Ba, Algorithm 1
        v = c.beta2 * v + (1 - c.beta2) * (g * g)
        return p - c.lr * (m / bias[0]) / (jnp.sqrt(v / bias[1]) + c.epsilon), m, v

    def steps(self, state, data, first, count):
        """The state after steps [first, first + count), and their losses in front of an array that
        could hold an epoch's."""
        images, labels, order, bias = data

        def step(i, carry):
            (params, m, v), losses = carry
            batch = order[first + i]
            loss, grads = jax.value_and_grad(self.loss)(params, images[batch], labels[batch])
            new = [self.update(*tensors, bias[first + i]) for tensors in zip(params, m, v, grads)]
            return tuple(map(list, zip(*new))), losses.at[i].set(loss)

        losses = jnp.zeros(self.work.steps_per_epoch, jnp.float32)
        return lax.fori_loop(0, count, step, (state, losses))

    def train(self, first, count):
        self.state, losses = self.jitted_steps(self.state, self.data, first, count)
        return np.asarray(losses)[:count].tolist()  # waits for the device

    def weights(self):
        return {name: np.array(p) for name, p in zip(self.work.params, self.state[0])}

    def infer(self, x):
        return np.asarray(self.jitted_model(self.state[0], x))


if __name__ == "__main__":
    sys.exit(tare_engine.main(Jax()))
