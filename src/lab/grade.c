/* grade.c: accuracy is tare's to compute: logits against labels, and logits against logits. */
#include <math.h>
#include <string.h>

#include "tare/lab.h"

static enum tare_status check_logits(const struct tare_array *logits, struct tare_err *err) {
    if (logits->dtype != TARE_F32 || logits->rank != 2 || logits->shape[1] == 0)
        return tare_fail(err, TARE_DATA, "logits", NULL, "must be float32 (images, classes)");
    return TARE_OK;
}

static size_t answer(const float *row, size_t classes) {
    size_t best = 0;
    for (size_t c = 1; c < classes; c++)
        if (row[c] > row[best])
            best = c;
    return best;
}

enum tare_status tare_grade_logits(struct tare_grade *grade, const struct tare_array *logits,
                                   const struct tare_array *labels, struct tare_err *err) {
    *grade = (struct tare_grade){.finite = true};
    enum tare_status status = check_logits(logits, err);
    if (status != TARE_OK)
        return status;
    size_t n = logits->shape[0], classes = logits->shape[1];
    if (labels->shape[0] != n)
        return tare_fail(err, TARE_DATA, "logits", NULL, "%zu rows for %zu test images", n,
                         labels->shape[0]);
    const float *row = logits->data;
    const int32_t *label = labels->data;
    for (size_t i = 0; i < n; i++, row += classes) {
        for (size_t c = 0; c < classes; c++)
            grade->finite = grade->finite && isfinite(row[c]);
        grade->correct += answer(row, classes) == (size_t)label[i];
    }
    grade->total = n;
    return TARE_OK;
}

void tare_grade_right(uint8_t *right, const struct tare_array *logits,
                      const struct tare_array *labels) {
    size_t n = logits->shape[0], classes = logits->shape[1];
    const float *row = logits->data;
    const int32_t *label = labels->data;
    memset(right, 0, TARE_RIGHT_BYTES(n));
    for (size_t i = 0; i < n; i++, row += classes)
        if (answer(row, classes) == (size_t)label[i])
            right[i / 8] |= (uint8_t)(1u << i % 8);
}

enum tare_status tare_compare_logits(double *max_abs_diff, size_t *changed,
                                     const struct tare_array *a, const struct tare_array *b,
                                     struct tare_err *err) {
    enum tare_status status = check_logits(a, err);
    if (status == TARE_OK)
        status = check_logits(b, err);
    if (status != TARE_OK)
        return status;
    if (a->shape[0] != b->shape[0] || a->shape[1] != b->shape[1])
        return tare_fail(err, TARE_DATA, "logits", NULL, "(%zu, %zu) against (%zu, %zu)",
                         a->shape[0], a->shape[1], b->shape[0], b->shape[1]);
    size_t n = a->shape[0], classes = a->shape[1];
    const float *x = a->data, *y = b->data;
    *max_abs_diff = 0;
    *changed = 0;
    for (size_t i = 0; i < n; i++, x += classes, y += classes) {
        for (size_t c = 0; c < classes; c++)
            *max_abs_diff = fmax(*max_abs_diff, fabs((double)x[c] - (double)y[c]));
        *changed += answer(x, classes) != answer(y, classes);
    }
    return TARE_OK;
}
