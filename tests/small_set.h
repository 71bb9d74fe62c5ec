/* small_set.h: a small image set that a net can learn, for tests that train: class k lights up a
 * band of pixels, with seeded noise. */
#ifndef TARE_TESTS_SMALL_SET_H
#define TARE_TESTS_SMALL_SET_H

#include <stdio.h>
#include <string.h>

#include "tare/data.h"
#include "tare/rng.h"

static inline int small_set_fill(struct tare_array *images, struct tare_array *labels, size_t n,
                                 size_t side, size_t classes, uint64_t seed) {
    struct tare_rng rng;
    tare_rng_seed(&rng, seed, TARE_STREAM_TEST);
    if (tare_array_make(images, TARE_U8, 3, (size_t[]){n, side, side}, NULL) != TARE_OK ||
        tare_array_make(labels, TARE_I32, 1, &n, NULL) != TARE_OK)
        return -1;
    for (size_t i = 0; i < n; i++) {
        size_t label = (size_t)tare_rng_below(&rng, classes);
        ((int32_t *)labels->data)[i] = (int32_t)label;
        uint8_t *image = (uint8_t *)images->data + i * side * side;
        for (size_t p = 0; p < side * side; p++)
            image[p] = (uint8_t)(tare_rng_below(&rng, 60) +
                                 (p * classes / (side * side) == label ? 190 : 0));
    }
    ((int32_t *)labels->data)[0] = (int32_t)classes - 1; /* so that every class count is right */
    memset((uint8_t *)images->data, 0, side * side);
    return 0;
}

/* 640 training and 100 test images, side × side, of `classes` classes. Freed by tare_dataset_free.
 */
static inline int small_set_make(struct tare_dataset *set, size_t side, size_t classes) {
    *set = (struct tare_dataset){.name = "bands",
                                 .title = "bands of light",
                                 .source = "a test",
                                 .licence = "none",
                                 .classes = classes};
    if (small_set_fill(&set->train_images, &set->train_labels, 640, side, classes, 1) != 0 ||
        small_set_fill(&set->test_images, &set->test_labels, 100, side, classes, 2) != 0)
        return -1;
    snprintf(set->sha256, sizeof set->sha256, "%060zu%04zu", side, classes);
    return 0;
}

#endif
