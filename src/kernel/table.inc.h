/* table.inc.h: a row of the dispatch table, the same for every instruction set. */
const struct tare_kernels KERNELS = {
    .name = KERNELS_NAME,
    .lanes = LANES,
    .available = available,
    .gather_lists = NAMED(gather_lists),
    .gather_dense = NAMED(gather_dense),
    .gather_lists_floats = NAMED(gather_lists_floats),
    .find_nonzero = NAMED(find_nonzero),
    .forward_row = NAMED(forward_row),
    .sparse_pass = NAMED(sparse_pass),
    .forward = NAMED(forward),
    .weight_update = NAMED(weight_update),
    .bias_update = NAMED(bias_update),
    .spread_bias = NAMED(spread_bias),
    .relu = NAMED(relu),
    .relu_back = NAMED(relu_back),
    .softmax_loss = NAMED(softmax_loss),
};
