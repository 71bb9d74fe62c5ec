"""A complete engine in Python to copy: dense nets with ReLU, trained by Adam, in numpy.

Copy it to NAME_engine.py (never to the name of a package: it would be imported in its place),
replace the hooks, and add it to scripts/python-engines.sh. tare_engine.py calls them in the order
below, and owns the clock, the protocol and the files. build/san/test_conformance NAME is the judge.
"""

import sys

import tare_engine


class Template(tare_engine.Engine):
    name = "template"
    infer_call = "numpy"

    def import_framework(self, job):
        global np
        import numpy as np
        return np.__version__

    def build(self, work):
        self.work, self.relu = work, [activation == "relu" for _, activation in work.layers]
        self.params = list(work.params.values())  # weight, bias, weight, bias …
        self.m = [np.zeros_like(p) for p in self.params]
        self.v = [np.zeros_like(p) for p in self.params]

    def forward(self, x):
        """Every layer's output, the input first. x: (batch, n_in)"""
        outputs = [x]
        for i, relu in enumerate(self.relu):
            y = outputs[-1] @ self.params[2 * i] + self.params[2 * i + 1]
            outputs.append(np.maximum(y, 0) if relu else y)
        return outputs

    def gradients(self, x, labels):
        """The batch's mean loss, and its gradients in the order of params."""
        outputs, rows, grads = self.forward(x), np.arange(len(x)), []
        d = outputs[-1] - outputs[-1].max(axis=1, keepdims=True)  # (batch, n_out)
        log_p = d - np.log(np.exp(d).sum(axis=1, keepdims=True))
        d = np.exp(log_p)
        d[rows, labels] -= 1
        d /= len(x)
        for i in reversed(range(len(self.relu))):
            if self.relu[i]:
                d = d * (outputs[i + 1] > 0)
            grads = [outputs[i].T @ d, d.sum(axis=0), *grads]
            d = d @ self.params[2 * i].T
        return -log_p[rows, labels].mean(), grads

    def train(self, first, count):
        losses, adam = [], self.work.job.optimizer
        for step in range(first, first + count):
            batch = self.work.order[step]
            loss, grads = self.gradients(self.work.images[batch], self.work.labels[batch])
            losses.append(loss)
            t = step + 1  # Kingma & Ba, Algorithm 1
            for p, m, v, g in zip(self.params, self.m, self.v, grads):
                m += (1 - adam.beta1) * (g - m)
                v += (1 - adam.beta2) * (g * g - v)
                v_hat = v / (1 - adam.beta2**t)
                p -= adam.lr / (1 - adam.beta1**t) * m / (np.sqrt(v_hat) + adam.epsilon)
        return losses

    def weights(self):
        return dict(zip(self.work.params, self.params))

    def infer(self, x):
        return self.forward(x)[-1]


if __name__ == "__main__":
    sys.exit(tare_engine.main(Template()))
