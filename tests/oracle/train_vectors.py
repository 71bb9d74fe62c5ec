"""Freezes PyTorch's answers for a tiny net into tests/vectors/train.txt, read by test_optim.c.

    python tests/oracle/train_vectors.py > tests/vectors/train.txt     (needs torch; tried with 2.15)

Ten steps of each optimiser in float64. Lines: a name and a count, then the numbers, one a line, as
hexadecimal floats (exact; strtod reads them). Weights are in tare's layout (n_in, n_out).
"""
import torch

N, BATCH, STEPS, SIZES = 12, 4, 10, (6, 5, 3)
torch.manual_seed(20)
torch.set_default_dtype(torch.float64)


def put(name, values):
    values = [float(v) for v in values]
    print(name, len(values))
    print("\n".join(v.hex() for v in values))


def turned(p):
    """PyTorch keeps (n_out, n_in), tare (n_in, n_out)."""
    return p.T if p.ndim == 2 else p


def block(net):
    """The parameters as one block: weight (n_in, n_out), bias, layer by layer."""
    return torch.cat([turned(p.detach()).reshape(-1) for p in net.parameters()])


def make_net(start):
    net = torch.nn.Sequential(torch.nn.Linear(6, 5), torch.nn.ReLU(), torch.nn.Linear(5, 3))
    at = 0
    with torch.no_grad():
        for p in net.parameters():
            p.copy_(turned(start[at : at + p.numel()].reshape(turned(p).shape)))
            at += p.numel()
    return net


# Inputs are multiples of 1/256, so that float32 holds them exactly.
x = torch.randint(-256, 257, (N, SIZES[0])) / 256
labels = torch.randint(0, SIZES[-1], (N,))
order = torch.randint(0, N, (STEPS, BATCH))
start = torch.randint(-200, 201, (6 * 5 + 5 + 5 * 3 + 3,)) / 256
put("x", x.reshape(-1))
put("labels", labels)
put("order", order.reshape(-1))
put("start", start)

OPTIMIZERS = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.1),
    "momentum": lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9),
    "adam": lambda p: torch.optim.Adam(p, lr=0.01, eps=1e-8),
    # An epsilon as large as the gradients shows on which side of the bias correction it stands.
    "adam_large_epsilon": lambda p: torch.optim.Adam(p, lr=0.1, betas=(0.8, 0.95), eps=0.05),
}
# Up to the rate over the first fifth of the steps, then down to 0.
LINEAR = ("momentum_linear", "adam_linear")
OPTIMIZERS["momentum_linear"] = OPTIMIZERS["momentum"]
OPTIMIZERS["adam_linear"] = OPTIMIZERS["adam"]


def linear(step):
    u = (step + 0.5) / STEPS
    return min(u / 0.2, (1 - u) / 0.8)


for name, make in OPTIMIZERS.items():
    net = make_net(start)
    optimizer = make(net.parameters())
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, linear if name in LINEAR else lambda step: 1)
    losses = []
    for step in range(STEPS):
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(net(x[order[step]]), labels[order[step]])
        loss.backward()
        if step == 0:
            grads = torch.cat([turned(p.grad).reshape(-1) for p in net.parameters()])
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
    if name == "sgd":
        put("grads", grads)
    put(name + ".losses", losses)
    put(name + ".params", block(net))
put("logits", make_net(start)(x).detach().reshape(-1))
