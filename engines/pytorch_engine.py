"""The engine "pytorch": PyTorch under tare's stopwatch. On the tutorial track its beginner tutorial
(pytorch_tutorial.py), on the controlled track pytorch_controlled.py; variants there: "indexed"
(also ""), and "compile", which takes a minute to compile and runs when it is named.

tare_engine.py has the protocol and the phases; this file only connects.
"""

import os
import sys

import tare_engine


class PyTorch(tare_engine.Engine):
    name = "pytorch"
    tracks = ("tutorial", "controlled")
    variants = ("", "indexed", "compile")
    devices = ("cpu", "cuda")
    optimizers = ("adam", "sgd")
    infer_call = "model(x)"
    tutorial = "pytorch_tutorial"
    train_code = ("import", "load", "NeuralNetwork", "build", "train", "train_epochs")
    export_code = ("export",)
    export_format = "onnx"

    def import_framework(self, job):
        if job.track == "tutorial":
            import pytorch_tutorial as user
        else:
            import pytorch_controlled as user
        self.user, self.torch = user, user.torch
        if job.device == "cuda" and not self.torch.cuda.is_available():
            raise tare_engine.Skip("no CUDA device that this PyTorch can use",
                                   "a machine where nvidia-smi lists a GPU, or --device cpu")
        if job.threads:
            self.torch.set_num_threads(job.threads)
            self.torch.set_num_interop_threads(job.threads)
        self.torch.manual_seed(job.seed)
        for name, value in (("seed", job.seed), ("num_threads", self.torch.get_num_threads()),
                            ("num_interop_threads", self.torch.get_num_interop_threads())):
            self.protocol.setting(name, value)
        return self.torch.__version__

    def weights(self):
        # Linear keeps (n_out, n_in); the data contract is (n_in, n_out).
        values = [value.detach().T.cpu().numpy() for value in self.model.parameters()]
        return {f"{i // 2}.{('weight', 'bias')[i % 2]}": value for i, value in enumerate(values)}

    # ---- the controlled track ----

    def build(self, work):
        self.trainer = self.user.VARIANTS[work.job.variant](work)
        self.model = self.trainer.model
        for name, value in [("mode", self.trainer.mode), *self.user.settings(work.job.device)]:
            self.protocol.setting(name, value)

    def train(self, first, count):
        return self.trainer.train(first, count)

    def infer(self, x):
        return self.trainer.infer(x)

    # ---- the tutorial track ----

    def tutorial_load(self, job, layers):
        self.protocol.setting("mode", "eager")
        self.device = job.device
        root = os.path.join(job.data_dir, "torchvision")
        self.train_dataloader, self.test_dataloader = self.user.load(root, job.batch)
        self.shape = tuple(self.test_dataloader.dataset[0][0].shape)  # (1, h, w), as ToTensor gives
        return self.shape

    def tutorial_build(self, job, layers):
        n_in, _ = tare_engine.parse_model(job.model)
        self.model, self.loss_fn, self.optimizer = self.user.build(n_in, layers, job.optimizer.lr,
                                                                   self.device)
        adam = self.optimizer.defaults
        for name, value in (("adam.lr", adam["lr"]), ("adam.beta1", adam["betas"][0]),
                            ("adam.beta2", adam["betas"][1]), ("adam.epsilon", adam["eps"]),
                            ("adam.epsilon_added_to", "sqrt(v) after bias correction"),
                            ("dataloader.num_workers", self.train_dataloader.num_workers)):
            self.protocol.setting(name, value)

    def tutorial_train(self, job):
        self.user.train_epochs(job.epochs, self.train_dataloader, self.model, self.loss_fn,
                               self.optimizer, self.device)

    def tutorial_evaluate(self):
        return self.user.evaluate(self.test_dataloader, self.model, self.loss_fn, self.device)

    def tutorial_calls(self):
        return (("model(x)", lambda x: self.user.predict(self.model, x, self.device)),)

    def tutorial_export(self, path):
        # Two images: an example of one would fix the batch at one.
        self.user.export(self.model, self.torch.zeros(2, *self.shape), path)


if __name__ == "__main__":
    sys.exit(tare_engine.main(PyTorch()))
