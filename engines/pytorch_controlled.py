"""PyTorch on the controlled track, as its own engineers would train this net: every tensor on the
device once, each batch picked out by its indices, no DataLoader; losses stay on the device until a
range is done. Indexed runs eagerly with the fused Adam; Compiled is torch.compile over unrolled
steps. pytorch_engine.py is the engine; doc/protocol.md says what the hooks mean.
"""

import numpy as np
import torch
import torch.nn.functional as F

UNROLLED_STEPS = 25  # a compiled call's fixed cost is small beside 25 steps; compilation, a minute


def check_device(name):
    """None when torch can use it, else why not."""
    if name == "cuda" and not torch.cuda.is_available():
        return "no CUDA device that this PyTorch can use"
    return None


def settings(device):
    """The options that matter, and what they are. TF32 rounds the factors of a product to 10 bits:
    off, as it is by default, but said. Adam's moments of weights that get no gradient fade into
    denormals, which cost a tenth of a step; TensorFlow and XLA flush them unasked."""
    torch.set_float32_matmul_precision("highest")
    chosen = [("num_threads", torch.get_num_threads()),
              ("num_interop_threads", torch.get_num_interop_threads()),
              ("flush_denormal", "on" if torch.set_flush_denormal(True) else "not supported")]
    if device == "cuda":
        torch.backends.cuda.matmul.allow_tf32 = False
        chosen += [("cuda.device", torch.cuda.get_device_name()), ("tf32", "off")]
    return chosen


def make_model(layers, n_in):
    model = torch.nn.Sequential()
    for units, activation in layers:
        model.append(torch.nn.Linear(n_in, units))
        if activation == "relu":
            model.append(torch.nn.ReLU())
        n_in = units
    return model


class Indexed:
    """Eager steps over tensors that are in place before the first one."""

    mode = "eager, fused optimizer"

    def __init__(self, work):
        device = work.job.device
        self.work, self.device = work, device
        self.model = make_model(work.layers, work.n_in).to(device)
        with torch.no_grad():
            for parameter, value in zip(self.model.parameters(), work.params.values()):
                parameter.copy_(torch.from_numpy(value.T))  # Linear keeps (n_out, n_in)
        if work.job.task == "train":
            self.images = torch.from_numpy(work.images).to(device)
            self.labels = torch.from_numpy(work.labels).long().to(device)
            self.order = torch.from_numpy(work.order).long().to(device)  # (steps, batch)
            self.prepare(work.job.optimizer)

    def prepare(self, config):
        parameters = self.model.parameters()
        if config.name == "adam":
            self.optimizer = torch.optim.Adam(parameters, lr=config.lr, fused=True,
                                              betas=(config.beta1, config.beta2),
                                              eps=config.epsilon)
        else:
            self.optimizer = torch.optim.SGD(parameters, lr=config.lr, fused=True)

    def train(self, first, count):
        losses = []
        for batch in self.order[first:first + count].unbind():
            x, labels = self.images.index_select(0, batch), self.labels.index_select(0, batch)
            loss = F.cross_entropy(self.model(x), labels)
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            losses.append(loss.detach())
        return torch.stack(losses).tolist()  # waits for the device

    def weights(self):
        values = [p.detach().T.cpu().numpy() for p in self.model.parameters()]
        return dict(zip(self.work.params, values))

    @torch.inference_mode()
    def infer(self, x):
        return self.model(torch.from_numpy(x).to(self.device)).cpu().numpy()


class Compiled(Indexed):
    """UNROLLED_STEPS steps in one compiled function, which maps parameters and moments to their
    next values; what is left of a range runs through the same function compiled for one step."""

    mode = f"torch.compile, {UNROLLED_STEPS} steps unrolled"

    def prepare(self, config):
        # A cache on disk would let the second run on a machine compile in no time.
        torch.compiler.config.force_disable_caches = True
        self.config = config
        parameters = dict(self.model.named_parameters())
        self.state = [{name: p.detach().clone() for name, p in parameters.items()}]
        self.state += [{name: torch.zeros_like(p) for name, p in self.state[0].items()}
                       for _ in ("m", "v")]
        t = np.arange(1, self.work.steps + 1)[:, None]
        bias = 1 - np.power([[config.beta1, config.beta2]], t)  # in double, rounded once
        bias = torch.from_numpy(bias.astype(np.float32)).to(self.device)  # (steps, 2)
        # A tensor for each step: a row picked inside would make the generated kernels of no two
        # steps the same, and each would be compiled for itself.
        self.rows = list(zip(self.order.unbind(), bias.unbind()))
        # Values that are used twice are kept: by default the compiler computes the moments of step t
        # anew from the gradients of all steps before it.
        self.compiled = torch.compile(self.steps, dynamic=False,
                                      options={"realize_reads_threshold": 1})
        self.cold = True

    def loss(self, parameters, x, labels):
        return F.cross_entropy(torch.func.functional_call(self.model, parameters, (x,)), labels)

    def updated(self, p, m, v, g, bias):
        c = self.config
        if c.name == "sgd":
            return p - c.lr * g, m, v
        m = c.beta1 * m + (1 - c.beta1) * g  # Kingma & Ba, Algorithm 1
        v = c.beta2 * v + (1 - c.beta2) * (g * g)
        return p - c.lr * (m / bias[0]) / (torch.sqrt(v / bias[1]) + c.epsilon), m, v

    def steps(self, state, images, labels, rows):
        """The state after len(rows) steps, and each step's loss."""
        losses = []
        for batch, bias in rows:
            p, m, v = state
            g, loss = torch.func.grad_and_value(self.loss)(p, images.index_select(0, batch),
                                                           labels.index_select(0, batch))
            new = {name: self.updated(p[name], m[name], v[name], g[name], bias) for name in p}
            state = [{name: new[name][i] for name in p} for i in range(3)]
            losses.append(loss)
        return state, losses

    def call(self, first, count):
        with torch.no_grad():
            return self.compiled(self.state, self.images, self.labels,
                                 self.rows[first:first + count])

    def train(self, first, count):
        longest = self.work.job.range or self.work.steps_per_epoch
        if self.cold and count < UNROLLED_STEPS <= min(longest, self.work.steps):
            self.call(0, UNROLLED_STEPS)  # compiled in the first step; the result is not used
        self.cold = False
        losses, end = [], first + count
        while first < end:
            some = UNROLLED_STEPS if end - first >= UNROLLED_STEPS else 1
            self.state, their_losses = self.call(first, some)
            losses += their_losses
            first += some
        with torch.no_grad():
            for name, parameter in self.model.named_parameters():
                parameter.copy_(self.state[0][name])
        return torch.stack(losses).tolist()


VARIANTS = {"": Indexed, "indexed": Indexed, "compile": Compiled}
