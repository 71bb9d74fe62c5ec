"""The code a user writes after PyTorch's "Learn the Basics", quickstart.

Only net, optimiser, batch, epochs and data source differ from it; doc/method.md has the list.
Nothing in here knows of tare: pytorch_engine.py calls these functions and holds the stopwatch.
"""

import torch
from torch import nn
from torch.utils.data import DataLoader
from torchvision import datasets
from torchvision.transforms import ToTensor


def load(root, batch_size):
    training_data = datasets.MNIST(root=root, train=True, transform=ToTensor())
    test_data = datasets.MNIST(root=root, train=False, transform=ToTensor())
    train_dataloader = DataLoader(training_data, batch_size=batch_size, shuffle=True)
    test_dataloader = DataLoader(test_data, batch_size=batch_size)
    return train_dataloader, test_dataloader


class NeuralNetwork(nn.Module):
    def __init__(self, n_in, layers):
        super().__init__()
        self.flatten = nn.Flatten()
        self.stack = nn.Sequential()
        for units, activation in layers:
            self.stack.append(nn.Linear(n_in, units))
            if activation == "relu":
                self.stack.append(nn.ReLU())
            n_in = units

    def forward(self, x):
        return self.stack(self.flatten(x))


def build(n_in, layers, learning_rate, device):
    model = NeuralNetwork(n_in, layers).to(device)
    loss_fn = nn.CrossEntropyLoss()
    optimizer = torch.optim.Adam(model.parameters(), lr=learning_rate)
    return model, loss_fn, optimizer


def train(dataloader, model, loss_fn, optimizer, device):
    size = len(dataloader.dataset)
    model.train()
    for batch, (X, y) in enumerate(dataloader):
        X, y = X.to(device), y.to(device)
        loss = loss_fn(model(X), y)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        if batch % 100 == 0:
            print(f"loss: {loss.item():>7f}  [{(batch + 1) * len(X):>5d}/{size:>5d}]")


def train_epochs(epochs, dataloader, model, loss_fn, optimizer, device):
    for epoch in range(epochs):
        print(f"Epoch {epoch + 1}")
        train(dataloader, model, loss_fn, optimizer, device)


def evaluate(dataloader, model, loss_fn, device):
    test_loss, correct = 0, 0
    model.eval()
    with torch.no_grad():
        for X, y in dataloader:
            X, y = X.to(device), y.to(device)
            pred = model(X)
            test_loss += loss_fn(pred, y).item()
            correct += (pred.argmax(1) == y).sum().item()
    accuracy = correct / len(dataloader.dataset)
    print(f"Accuracy: {100 * accuracy:>0.1f}%, average loss: {test_loss / len(dataloader):>8f}")
    return accuracy


def predict(model, images, device):
    """Logits of images; the model is in evaluation mode since evaluate()."""
    with torch.no_grad():
        return model(torch.from_numpy(images).to(device)).cpu().numpy()


def export(model, images, path):
    model.eval()
    batch = torch.export.Dim("batch")
    torch.onnx.export(model, (images,), path, dynamo=True, dynamic_shapes=({0: batch},))
