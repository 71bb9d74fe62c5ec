"""Do the frameworks themselves take the files that tare exports, and compute what is expected?

    PYTHON_OF_TORCH      tests/oracle/check_export.py onnx DIR
    PYTHON_OF_TENSORFLOW tests/oracle/check_export.py tflite DIR

DIR is what tests/test_export_runtimes.c leaves with $TARE_EXPORT_KEEP: NNN.onnx, NNN.tflite,
NNN.images.npy (uint8) and NNN.wanted.npy (tare's own answers). Every .onnx must pass ONNX's checker
with full, strict shape inference, and ONNX's reference evaluator must agree; every .tflite must run
in TensorFlow's interpreter, by its signature, and every part of it must be readable through
TensorFlow's generated schema code, weights included.
"""
import pathlib
import sys

import numpy as np

TOLERANCE = 1e-5  # of test_export_runtimes.c
ALIGNMENT = 16  # of a .tflite's buffers


def distance(got, wanted):
    apart = np.linalg.norm(got.astype(np.float64) - wanted)
    return apart / np.linalg.norm(wanted) if apart > 0 else 0.0


def inputs(path, takes_pixels):
    images = np.load(path.with_suffix(".images.npy"))
    return images if takes_pixels else images.astype(np.float32) / np.float32(255)


def in_batches(x, batch, run):
    """A fixed batch gets zeros after the last image."""
    if batch is None:
        return run(x)
    rows = []
    for first in range(0, len(x), batch):
        part = x[first:first + batch]
        filled = np.concatenate([part, np.zeros((batch - len(part),) + part.shape[1:], x.dtype)])
        rows.append(run(filled)[:len(part)])
    return np.concatenate(rows)


def check_onnx(path):
    import onnx
    from onnx.reference import ReferenceEvaluator
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    inferred = onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True,
                                                 data_prop=True)
    assert len(inferred.graph.value_info) == len(model.graph.value_info), "a shape wasn't stated"
    for stated, found in zip(model.graph.value_info, inferred.graph.value_info):
        assert stated == found, f"{stated.name}: another shape is inferred"
    assert {entry.key for entry in model.metadata_props} >= {"model", "dataset", "normalisation"}
    image = model.graph.input[0].type.tensor_type
    batch = image.shape.dim[0].dim_value or None
    assert batch or image.shape.dim[0].dim_param == "batch"
    session = ReferenceEvaluator(model)
    x = inputs(path, image.elem_type == onnx.TensorProto.UINT8)
    return in_batches(x, batch, lambda x: session.run(None, {"image": x})[0])


def check_schema(path):
    """Reads every table through the generated code; fails on offsets that lead nowhere."""
    from tensorflow.lite.python import schema_py_generated as schema
    data = path.read_bytes()
    assert schema.Model.ModelBufferHasIdentifier(data, 0)
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(data, 0))
    assert model.version == 3 and len(model.subgraphs) == 1 and model.description
    assert model.buffers[0].data is None
    root = schema.Model.GetRootAs(data, 0)
    for i in range(1, len(model.buffers)):
        vector = root.Buffers(i)._tab
        start = vector.Vector(vector.Offset(4))
        assert start % ALIGNMENT == 0, f"buffer {i} begins at byte {start}"
    texts = {entry.name.decode(): bytes(model.buffers[entry.buffer].data).decode()
             for entry in model.metadata}
    assert set(texts) >= {"min_runtime_version", "model", "dataset", "normalisation"}
    assert model.signatureDefs[0].signatureKey == b"serving_default"
    for operator in model.subgraphs[0].operators:
        code = model.operatorCodes[operator.opcodeIndex]
        assert code.version == 1 and code.builtinCode == code.deprecatedBuiltinCode


def check_tflite(path):
    import tensorflow as tf
    check_schema(path)
    interpreter = tf.lite.Interpreter(model_path=str(path))
    image = interpreter.get_input_details()[0]
    free = image["shape_signature"][0] == -1
    batch = None if free else int(image["shape"][0])
    x = inputs(path, image["dtype"] == np.uint8)
    if free:
        interpreter.resize_tensor_input(image["index"], x.shape)
    run = interpreter.get_signature_runner("serving_default")
    output = next(iter(run.get_output_details()))
    return in_batches(x, batch, lambda x: run(image=x)[output])


def main():
    suffix, folder = sys.argv[1], pathlib.Path(sys.argv[2])
    check = {"onnx": check_onnx, "tflite": check_tflite}[suffix]
    paths = sorted(folder.glob("*." + suffix))
    assert len(paths) >= 200, f"only {len(paths)} files in {folder}"
    largest = 0.0
    for path in paths:
        d = distance(check(path), np.load(path.with_suffix(".wanted.npy")))
        assert d <= TOLERANCE, f"{path}: {d:.3g} away"
        largest = max(largest, d)
    print(f"{len(paths)} files of .{suffix}: within {largest:.2g}")


if __name__ == "__main__":
    main()
