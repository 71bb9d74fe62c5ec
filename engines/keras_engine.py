"""The engine "keras": Keras under tare's stopwatch. On the tutorial track TensorFlow's beginner
tutorial (keras_tutorial.py), on the controlled track keras_controlled.py.

tare_engine.py has the protocol and the phases; this file only connects.
"""

import os
import sys

import tare_engine


class Keras(tare_engine.Engine):
    name = "keras"
    tracks = ("tutorial", "controlled")
    optimizers = ("adam", "sgd")
    infer_call = "tf.function(model)(x)"
    tutorial = "keras_tutorial"
    train_code = ("import", "load", "build", "train")
    export_code = ("export",)
    export_format = "tflite"

    def import_framework(self, job):
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "1")  # warnings and errors, no chatter
        if job.track == "tutorial":
            import keras_tutorial as user
        else:
            import keras_controlled as user
        self.user, tf = user, user.tf
        if job.threads:
            tf.config.threading.set_intra_op_parallelism_threads(job.threads)
            tf.config.threading.set_inter_op_parallelism_threads(job.threads)
        seed = job.seed % 2**32  # all that NumPy's part of set_random_seed takes
        tf.keras.utils.set_random_seed(seed)
        threading = tf.config.threading
        for name, value in (("tensorflow", tf.__version__), ("seed", seed),
                            ("keras.backend", tf.keras.backend.backend()),
                            ("intra_op_threads", threading.get_intra_op_parallelism_threads()),
                            ("inter_op_threads", threading.get_inter_op_parallelism_threads())):
            self.protocol.setting(name, value)
        return tf.keras.__version__

    def weights(self):
        values = self.model.get_weights()  # weight, bias, weight, bias …, as (n_in, n_out)
        return {f"{i // 2}.{('weight', 'bias')[i % 2]}": value for i, value in enumerate(values)}

    # ---- the controlled track ----

    def build(self, work):
        self.trainer = self.user.Trainer(work)
        self.model = self.trainer.model
        self.protocol.setting("mode", self.trainer.mode)

    def train(self, first, count):
        return self.trainer.train(first, count)

    def infer(self, x):
        return self.trainer.infer(x)

    # ---- the tutorial track ----

    def tutorial_load(self, job, layers):
        path = os.path.join(job.data_dir, "keras", "datasets", "mnist.npz")
        self.train_set, self.test_set = self.user.load(path)
        return self.train_set[0].shape[1:]

    def tutorial_build(self, job, layers):
        shape = self.train_set[0].shape[1:]
        self.model = self.user.build(shape, layers, job.optimizer.lr)
        adam = self.model.optimizer
        for name, value in (("adam.lr", job.optimizer.lr), ("adam.beta1", adam.beta_1),
                            ("adam.beta2", adam.beta_2), ("adam.epsilon", adam.epsilon),
                            ("adam.epsilon_added_to", "sqrt(v) before bias correction"),
                            ("jit_compile", self.model.jit_compile)):
            self.protocol.setting(name, value)

    def tutorial_train(self, job):
        return self.user.train(self.model, *self.train_set, job.batch, job.epochs).history["loss"]

    def tutorial_evaluate(self):
        return self.user.evaluate(self.model, *self.test_set)[1]

    def tutorial_calls(self):
        return (("predict", lambda x: self.user.predict(self.model, x)),
                ("model(x)", lambda x: self.user.call(self.model, x)))

    def tutorial_export(self, path):
        self.user.export(self.model, path)


if __name__ == "__main__":
    sys.exit(tare_engine.main(Keras()))
