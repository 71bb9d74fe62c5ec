/* fuzz_npy.c: .npy files of any array, of images, of labels, and of an engine's latencies. */
#include "data/parts.h"
#include "fuzz.h"

static void check_round_trip(const struct tare_array *array) {
    struct tare_buf written = {0};
    struct tare_array back;
    MUST(tare_npy_bytes(&written, array, NULL) == TARE_OK);
    MUST((written.size - tare_array_bytes(array)) % 64 == 0);
    MUST(tare_npy_parse(&back, written.data, written.size, "fuzz", NULL) == TARE_OK);
    MUST(same_array(array, &back));
    tare_array_free(&back);
    tare_buf_free(&written);
}

static void check_sets(const uint8_t *bytes, size_t size) {
    struct tare_array array;
    struct tare_decoded file;
    struct tare_err err = {0};
    if (tare_decoded_wrap(&file, bytes, size, "fuzz", NULL) != TARE_OK)
        return;
    if (tare_labels_take(&array, &file, &err) == TARE_OK) {
        MUST(array.dtype == TARE_I32 && array.rank == 1);
        for (size_t i = 0; i < array.shape[0]; i++)
            MUST(((int32_t *)array.data)[i] >= 0 && ((int32_t *)array.data)[i] < TARE_MAX_CLASSES);
        check_round_trip(&array);
    } else {
        MUST(array.data == NULL);
        MUST_BE_REFUSED(err);
    }
    tare_array_free(&array);
    if (tare_images_take(&array, &file, NULL) == TARE_OK) {
        struct tare_array plain;
        MUST(array.dtype == TARE_U8 && array.rank >= 2 && tare_array_count(&array) > 0);
        if (!file.compressed && bytes[0] == 0x93) {
            MUST(tare_npy_parse(&plain, bytes, size, "fuzz", NULL) == TARE_OK);
            MUST(same_array(&array, &plain));
            tare_array_free(&plain);
        }
    }
    tare_array_free(&array);
    tare_decoded_close(&file);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    struct tare_array array;
    struct tare_err err = {0};
    if (tare_npy_parse(&array, bytes, size, "fuzz", &err) == TARE_OK) {
        check_round_trip(&array);
    } else {
        MUST(array.data == NULL);
        MUST_BE_REFUSED(err);
    }
    tare_array_free(&array);
    check_sets(bytes, size);
    return 0;
}

static void append_shape(struct tare_buf *out, struct dice *dice, size_t *count) {
    const size_t rank = roll(dice, 16) == 0 ? roll(dice, 8) : roll(dice, 5);
    tare_buf_puts(out, "'shape': (");
    for (size_t i = 0; i < rank; i++) {
        const uint64_t dim = roll(dice, 8) == 0 ? odd_number(dice) : roll(dice, 6);
        tare_buf_printf(out, "%s%llu", i > 0 ? ", " : "", (unsigned long long)dim);
        *count = *count <= 65536 && dim <= 65536 ? *count * dim : 65537;
    }
    tare_buf_puts(out, rank == 1 && roll(dice, 16) > 0 ? ",)" : ")");
}

/* The dictionary, its keys in any order, now and then twice, not at all, or another one. */
static size_t append_dictionary(struct tare_buf *out, struct dice *dice) {
    static const char *const types[] = {"|u1", "<u1", "<i4", ">i4", "<i8", "<f4", "<f8",
                                        ">f4", "<i2", "|b1", "<c8", "|S1", "<U4", "|i1"};
    const size_t first = roll(dice, 3), skipped = roll(dice, 16), twice = roll(dice, 16);
    const char *type = types[roll(dice, sizeof types / sizeof *types)];
    size_t count = 1;
    tare_buf_puts(out, "{");
    for (size_t i = 0; i < (twice < 3 ? 4 : 3); i++) {
        switch (i == 3 ? twice : i == skipped ? 9 : (first + i) % 3) {
        case 0:
            tare_buf_printf(out, "'descr': '%s'", type);
            break;
        case 1:
            tare_buf_printf(out, "'fortran_order': %s", roll(dice, 16) > 0 ? "False" : "True");
            break;
        case 2:
            append_shape(out, dice, &count);
            break;
        default:
            tare_buf_puts(out, roll(dice, 2) ? "\"descr\": [('a', '<f4')]" : "'x': 1");
        }
        tare_buf_puts(out, ", ");
    }
    tare_buf_puts(out, roll(dice, 16) > 0 ? "}\n" : roll(dice, 2) ? "}x\n" : "\n");
    return count * (size_t)(type[2] - '0');
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed) {
    struct dice dice = dice_of(seed);
    struct tare_buf out = {0}, header = {0};
    if (mutate_plainly(&dice))
        return LLVMFuzzerMutate(data, size, max);
    size_t bytes = append_dictionary(&header, &dice);
    if (bytes > max)
        bytes = roll(&dice, 64);
    if (roll(&dice, 8) == 0)
        bytes += roll(&dice, 3) - 1;
    const size_t version = roll(&dice, 16) == 0 ? roll(&dice, 256) : 1 + roll(&dice, 3);
    const size_t length = roll(&dice, 16) == 0 ? odd_number(&dice) : header.size;
    const uint8_t start[12] = {0x93,
                               'N',
                               'U',
                               'M',
                               'P',
                               'Y',
                               (uint8_t)version,
                               0,
                               (uint8_t)length,
                               (uint8_t)(length >> 8),
                               (uint8_t)(length >> 16),
                               (uint8_t)(length >> 24)};
    tare_buf_append(&out, start, version == 1 ? 10 : 12);
    tare_buf_append(&out, header.data, header.size);
    tare_buf_free(&header);
    for (size_t i = 0; i < bytes && out.size < max; i++)
        tare_buf_append(&out, size > 0 ? &data[size - 1 - i % size] : start, 1);
    return mutate_give(data, max, &out);
}
