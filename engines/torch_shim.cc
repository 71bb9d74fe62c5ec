// torch_shim.cc: LibTorch behind the C table of torch_shim.h, for libtorch.c. The only C++ of
// tare's programs: calls into LibTorch and no decisions. No exception leaves it.
//
// A step is what LibTorch's users write: gather, forward, autograd, optimiser; each through the
// function that costs least on a net this small. Measured choices stand beside the lines.
#include "torch_shim.h"

#include <ATen/ATen.h>
#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <c10/core/InferenceMode.h>
#include <torch/csrc/api/include/torch/cuda.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/grad_mode.h>
#include <torch/version.h>

#include <cstring>
#include <exception>
#include <memory>
#include <string>
#include <vector>

namespace {

struct Model {
    at::Device device = at::kCPU;
    int64_t n_in = 0;
    std::vector<int> is_dense;        // by layer; a dense layer takes the next two of params
    std::vector<at::Tensor> params;   // weight (n_in, n_out), bias (n_out), weight, …
    at::Tensor images, labels, order; // (n, n_in) float32, (n) int64, (steps, batch) int32
    torch_optimizer optimizer = {};
    at::Tensor step; // one counter, shared by all parameters
    std::vector<at::Tensor> steps, moments, squares;
};

// Runs body; its exception becomes a message.
template <typename Body> const char *guarded(const Body &body) {
    static std::string message;
    try {
        body();
        return nullptr;
    } catch (const c10::Error &error) {
        message = error.what_without_backtrace();
    } catch (const std::exception &error) {
        message = error.what();
    } catch (...) {
        message = "an exception that is not a std::exception";
    }
    return message.c_str();
}

// A tensor over the caller's memory; copied before the caller may free it.
at::Tensor view_of(const void *data, at::IntArrayRef shape, at::ScalarType type) {
    return at::from_blob(const_cast<void *>(data), shape, at::dtype(type));
}

// logits: (n, n_out)  x: (n, n_in)
at::Tensor forward(const Model &model, at::Tensor x) {
    size_t next = 0;
    for (int is_dense : model.is_dense) {
        if (is_dense) {
            x = at::addmm(model.params[next + 1], x, model.params[next]);
            next += 2;
        } else {
            x = at::relu(x);
        }
    }
    return x;
}

void update(Model &model, const std::vector<at::Tensor> &grads) {
    const torch_optimizer &o = model.optimizer;
    at::NoGradGuard no_grad;
    if (o.is_adam) {
        model.step.add_(1);
        at::_fused_adam_(model.params, grads, model.moments, model.squares, {}, model.steps, o.lr,
                         o.beta1, o.beta2, /*weight_decay=*/0, o.epsilon, /*amsgrad=*/false,
                         /*maximize=*/false);
    } else {
        at::_fused_sgd_(model.params, grads, model.moments, /*weight_decay=*/0, o.momentum, o.lr,
                        /*dampening=*/0, /*nesterov=*/false, /*maximize=*/false,
                        /*is_first_step=*/false);
    }
}

const char *start(int threads, int *has_cuda) {
    return guarded([&] {
        // Threads made later inherit it. Adam's moments of pixels that are seldom lit fade into
        // denormals, which cost a tenth of a step; TensorFlow and XLA flush them unasked.
        at::globalContext().setFlushDenormal(true);
        at::set_num_threads(threads);
        at::set_num_interop_threads(1);
        at::globalContext().setFloat32MatmulPrecision("highest");
        at::globalContext().setAllowTF32CuDNN(false);
        *has_cuda = torch::cuda::is_available();
    });
}

const char *make(void **model, const torch_net *net, int on_cuda) {
    return guarded([&] {
        auto made = std::make_unique<Model>();
        made->n_in = net->layers[0].n_in;
        made->device = on_cuda ? at::Device(at::kCUDA, 0) : at::Device(at::kCPU);
        auto add = [&](const float *values, at::IntArrayRef shape) {
            at::Tensor copy = view_of(values, shape, at::kFloat)
                                  .to(made->device, at::kFloat, false, /*copy=*/true);
            made->params.push_back(copy.set_requires_grad(true));
        };
        for (size_t i = 0; i < net->layer_count; i++) {
            const torch_layer &layer = net->layers[i];
            made->is_dense.push_back(layer.weight != nullptr);
            if (layer.weight) {
                add(layer.weight, {layer.n_in, layer.n_out});
                add(layer.bias, {layer.n_out});
            }
        }
        *model = made.release();
    });
}

void drop(void *model) {
    delete static_cast<Model *>(model);
}

const char *prepare(void *state, const torch_examples *examples, const torch_optimizer *optimizer) {
    return guarded([&] {
        Model &model = *static_cast<Model *>(state);
        const torch_examples &e = *examples;
        auto put = [&](const void *data, at::IntArrayRef shape, at::ScalarType from,
                       at::ScalarType to) {
            return view_of(data, shape, from).to(model.device, to, false, /*copy=*/true);
        };
        model.images = put(e.images, {e.n, e.n_in}, at::kFloat, at::kFloat);
        model.labels = put(e.labels, {e.n}, at::kInt, at::kLong);
        model.order = put(e.order, {e.steps, e.batch}, at::kInt, at::kInt);
        model.optimizer = *optimizer;
        model.step = at::zeros({}, at::dtype(at::kFloat).device(model.device));
        model.steps.assign(model.params.size(), model.step);
        model.moments.clear();
        model.squares.clear();
        at::NoGradGuard no_grad;
        for (const at::Tensor &param : model.params) {
            if (optimizer->is_adam || optimizer->momentum != 0) // plain SGD insists on no moments
                model.moments.push_back(at::zeros_like(param));
            model.squares.push_back(at::zeros_like(param));
        }
    });
}

const char *train(void *state, size_t first, size_t count, float *losses) {
    return guarded([&] {
        Model &model = *static_cast<Model *>(state);
        std::vector<at::Tensor> all;
        all.reserve(count);
        for (size_t step = first; step < first + count; step++) {
            at::Tensor rows = model.order.select(0, static_cast<int64_t>(step));
            at::Tensor x = model.images.index_select(0, rows);
            at::Tensor y = model.labels.index_select(0, rows);
            at::Tensor loss = at::nll_loss(at::log_softmax(forward(model, x), 1), y);
            update(model, torch::autograd::grad({loss}, model.params));
            all.push_back(loss.detach());
        }
        // One copy to the host, which also waits for a GPU to have done its work.
        at::Tensor host = at::stack(all).cpu();
        std::memcpy(losses, host.const_data_ptr<float>(), count * sizeof *losses);
    });
}

const char *params(void *state, float *params) {
    return guarded([&] {
        c10::InferenceMode inference;
        for (const at::Tensor &param : static_cast<Model *>(state)->params) {
            at::Tensor host = param.cpu();
            auto count = static_cast<size_t>(host.numel());
            std::memcpy(params, host.const_data_ptr<float>(), count * sizeof *params);
            params += count;
        }
    });
}

const char *infer(void *state, float *logits, const float *x, size_t n) {
    return guarded([&] {
        const Model &model = *static_cast<Model *>(state);
        c10::InferenceMode inference;
        auto rows = static_cast<int64_t>(n);
        at::Tensor in = view_of(x, {rows, model.n_in}, at::kFloat).to(model.device);
        at::Tensor out = forward(model, in).cpu();
        std::memcpy(logits, out.const_data_ptr<float>(),
                    static_cast<size_t>(out.numel()) * sizeof *logits);
    });
}

const torch_shim table = {TORCH_SHIM_ABI, TORCH_VERSION, start,  make, drop,
                          prepare,        train,         params, infer};

} // namespace

const torch_shim *tare_torch_shim(void) {
    return &table;
}
