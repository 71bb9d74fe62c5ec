"""Makes the tiny models of tests/vectors/ that tests/test_runtimes.c runs, with the real frameworks.

    PYTHON_OF_TENSORFLOW tests/oracle/make_tiny_models.py tflite
    PYTHON_OF_TORCH      tests/oracle/make_tiny_models.py onnx

One net, 12 -> 5 ReLU -> 3 on images of 3 x 4 pixels, with the same weights in both frameworks. The
images are bytes as tare keeps them; the logits are what the framework itself computes of them.
"""
import pathlib
import sys

import numpy as np

VECTORS = pathlib.Path(__file__).resolve().parent.parent / "vectors"
IMAGES = 7  # not a multiple of the fixed batch below
FIXED = 2

rng = np.random.default_rng(20)
w0, b0 = rng.normal(0, 0.5, (12, 5)), rng.normal(0, 0.5, 5)
w1, b1 = rng.normal(0, 0.5, (5, 3)), rng.normal(0, 0.5, 3)
weights = [a.astype(np.float32) for a in (w0, b0, w1, b1)]
images = rng.integers(0, 256, (IMAGES, 3, 4), dtype=np.uint8)
x = images.astype(np.float32) / np.float32(255)


def save_answers(framework, logits):
    hidden = np.maximum(x.reshape(IMAGES, 12).astype(np.float64) @ weights[0] + weights[1], 0)
    truth = hidden @ weights[2] + weights[3]
    assert np.abs(logits - truth).max() < 1e-5, "the framework computes another net"
    np.save(VECTORS / "tiny_images.npy", images)
    np.save(VECTORS / f"tiny_{framework}_logits.npy", logits.astype(np.float32))


def make_tflite():
    import keras
    import tensorflow as tf

    def net(batch):
        model = keras.Sequential([
            keras.Input(batch_shape=(batch, 3, 4)),
            keras.layers.Flatten(),
            keras.layers.Dense(5, activation="relu"),
            keras.layers.Dense(3),
        ])
        model.set_weights(weights)
        return model

    def convert(model, name, int8=False):
        converter = tf.lite.TFLiteConverter.from_keras_model(model)
        if int8:
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
            converter.representative_dataset = lambda: ([x[i:i + 1]] for i in range(IMAGES))
            converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
            converter.inference_input_type = converter.inference_output_type = tf.int8
        (VECTORS / name).write_bytes(converter.convert())

    free = net(None)
    convert(free, "tiny.tflite")
    convert(net(FIXED), "tiny_batch2.tflite")
    convert(free, "tiny_int8.tflite", int8=True)
    save_answers("keras", free(x).numpy())


def make_onnx():
    import onnx
    import torch

    class Net(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = torch.nn.Linear(12, 5), torch.nn.Linear(5, 3)
            for parameter, value in zip(self.parameters(), weights):
                parameter.data = torch.from_numpy(np.ascontiguousarray(value.T))

        def forward(self, image):
            return self.second(torch.relu(self.first(torch.flatten(image, 1))))

    class Bytes(Net):
        def forward(self, image):
            return super().forward(image.float())

    def convert(model, name, example, free, external):
        shapes = ({0: torch.export.Dim("batch")},) if free else None
        path = VECTORS / name
        torch.onnx.export(model, (example,), path, dynamo=True, dynamic_shapes=shapes,
                          external_data=False)
        # The exporter notes where in PyTorch each node comes from: some kilobytes, with paths.
        proto = onnx.load(path, load_external_data=False)
        for node in list(proto.graph.node) + list(proto.graph.value_info):
            node.ClearField("metadata_props")
            node.ClearField("doc_string")
        proto.graph.ClearField("metadata_props")
        data = path.with_suffix(".onnx.data")
        data.unlink(missing_ok=True)
        # The exporter puts larger weights into a file beside the model; here tiny ones too.
        onnx.save(proto, path, save_as_external_data=external, location=data.name,
                  size_threshold=50)

    net = Net().eval()
    convert(net, "tiny.onnx", torch.zeros(2, 1, 3, 4), free=True, external=True)
    convert(net, "tiny_batch2.onnx", torch.zeros(FIXED, 3, 4), free=False, external=False)
    convert(Bytes().eval(), "tiny_int8.onnx", torch.zeros((2, 12), dtype=torch.int8), free=True,
            external=False)
    save_answers("pytorch", net(torch.from_numpy(x)).detach().numpy())


if __name__ == "__main__":
    {"tflite": make_tflite, "onnx": make_onnx}[sys.argv[1]]()
