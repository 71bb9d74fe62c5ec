/* fuzz_png.c: PNG pictures, as images of a set and as digits. What is accepted has every pixel
 * written, and reads the same again. */
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>
#include <zlib.h>

#include "data/png.h"
#include "fuzz.h"
#include "tare/digit.h"

#define MOST_PIXELS ((size_t)1 << 20) /* of those that are decoded here: more are only slower */

static char path[64];
static int file = -1;

int LLVMFuzzerInitialize(int *argc, char ***argv) {
    (void)argc, (void)argv;
    file = memfd_create("picture", 0);
    snprintf(path, sizeof path, "/proc/self/fd/%d", file);
    return 0;
}

static void check_pixels(const struct tare_png_info *info, int channels) {
    const size_t size = info->height * info->width * (size_t)channels;
    uint8_t *a = malloc(size), *b = malloc(size);
    struct tare_err err = {0};
    MUST(a != NULL && b != NULL);
    memset(a, 0x00, size);
    memset(b, 0xff, size);
    const enum tare_status status = tare_png_read(a, info, channels, path, &err);
    MUST(tare_png_read(b, info, channels, path, NULL) == status);
    if (status == TARE_OK)
        MUST(memcmp(a, b, size) == 0);
    else
        MUST_BE_REFUSED(err);
    free(a);
    free(b);
}

static void check_digit(void) {
    uint8_t digit[28 * 28], again[28 * 28];
    struct tare_err err = {0};
    memset(digit, 0x00, sizeof digit);
    memset(again, 0xff, sizeof again);
    const enum tare_status status = tare_digit_read(digit, 28, 28, path, &err);
    MUST(tare_digit_read(again, 28, 28, path, NULL) == status);
    if (status == TARE_OK)
        MUST(memcmp(digit, again, sizeof digit) == 0);
    else
        MUST_BE_REFUSED(err);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    struct tare_png_info info;
    struct tare_err err = {0};
    MUST(ftruncate(file, 0) == 0 && pwrite(file, bytes, size, 0) == (ssize_t)size);
    if (tare_png_info(&info, path, &err) != TARE_OK) {
        MUST_BE_REFUSED(err);
        return 0;
    }
    MUST(info.height > 0 && info.height <= TARE_MAX_PNG_SIDE);
    MUST(info.width > 0 && info.width <= TARE_MAX_PNG_SIDE);
    MUST(info.height * info.width <= TARE_MAX_PNG_PIXELS);
    if (info.height * info.width > MOST_PIXELS)
        return 0;
    for (int channels = 1; channels <= 3; channels++)
        check_pixels(&info, channels);
    check_digit();
    return 0;
}

/* ---- chunks ------------------------------------------------------------------------------------
 */

struct chunk {
    uint8_t type[4];
    const uint8_t *data;
    size_t size;
};
#define MAX_CHUNKS 64
#define MAX_RAW 65536

static uint32_t big_endian(const uint8_t *at) {
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static size_t split(struct chunk *chunks, const uint8_t *data, size_t size) {
    size_t count = 0;
    for (size_t at = 8; size >= at + 12 && count < MAX_CHUNKS / 2; count++) {
        const size_t length = big_endian(data + at);
        if (length > size - at - 12)
            break;
        chunks[count] = (struct chunk){.data = data + at + 8, .size = length};
        memcpy(chunks[count].type, data + at + 4, 4);
        at += length + 12;
    }
    return count;
}

static void append_number(struct tare_buf *out, uint32_t number) {
    const uint8_t text[4] = {(uint8_t)(number >> 24), (uint8_t)(number >> 16),
                             (uint8_t)(number >> 8), (uint8_t)number};
    tare_buf_append(out, text, 4);
}

static void append_chunk(struct tare_buf *out, struct dice *dice, const struct chunk *chunk) {
    uint32_t crc = (uint32_t)crc32(0, chunk->type, 4);
    crc = chunk->size > 0 ? (uint32_t)crc32(crc, chunk->data, (uInt)chunk->size) : crc;
    append_number(out, (uint32_t)(roll(dice, 64) ? chunk->size : odd_number(dice)));
    tare_buf_append(out, chunk->type, 4);
    tare_buf_append(out, chunk->data, chunk->size);
    append_number(out, roll(dice, 64) ? crc : 0);
}

/* The pixels inflated, changed and compressed again; space holds them. */
static void change_pixels(struct chunk *chunk, struct dice *dice, uint8_t *space) {
    static uint8_t raw[2 * MAX_RAW];
    uLongf size = MAX_RAW, packed = MAX_RAW;
    if (uncompress(raw, &size, chunk->data, chunk->size) != Z_OK)
        size = roll(dice, 256);
    size = LLVMFuzzerMutate(raw, size, size + 256);
    if (roll(dice, 2) == 0) /* as long as most pictures need it */
        size = size < MAX_RAW / 2 ? size * 2 : size;
    if (compress2(space, &packed, raw, size, (int)roll(dice, 10)) == Z_OK)
        *chunk = (struct chunk){.type = "IDAT", .data = space, .size = packed};
}

/* Width, height, bits, colour, interlacing: mostly combinations that exist. */
static void change_header(struct chunk *chunk, struct dice *dice, uint8_t *space) {
    static const uint8_t colours[] = {0, 2, 3, 4, 6}, bits[] = {1, 2, 4, 8, 16};
    if (chunk->size != 13)
        return;
    memcpy(space, chunk->data, 13);
    const uint32_t number = (uint32_t)(roll(dice, 4) ? 1 + roll(dice, 40) : odd_number(dice));
    uint8_t *at = space + 4 * roll(dice, 2);
    switch (roll(dice, 4)) {
    case 0:
        space[8] = bits[roll(dice, 5)];
        break;
    case 1:
        space[9] = colours[roll(dice, 5)];
        break;
    case 2:
        space[12] ^= 1;
        break;
    default:
        at[0] = (uint8_t)(number >> 24), at[1] = (uint8_t)(number >> 16);
        at[2] = (uint8_t)(number >> 8), at[3] = (uint8_t)number;
    }
    chunk->data = space;
}

static void change_chunk(struct chunk *chunks, size_t *count, struct dice *dice, uint8_t *space) {
    static const char types[][5] = {"IHDR", "PLTE", "IDAT", "IEND", "tRNS", "gAMA", "cHRM", "sRGB",
                                    "iCCP", "sBIT", "bKGD", "zTXt", "tEXt", "eXIf", "acTL", "ABCD"};
    const size_t at = roll(dice, *count), other = roll(dice, *count);
    const struct chunk kept = chunks[at];
    switch (roll(dice, 8)) {
    case 0: /* dropped */
        memmove(chunks + at, chunks + at + 1, (--*count - at) * sizeof *chunks);
        return;
    case 1: /* doubled, under some name */
        memmove(chunks + at + 1, chunks + at, ((*count)++ - at) * sizeof *chunks);
        if (roll(dice, 2))
            memcpy(chunks[at].type, types[roll(dice, sizeof types / sizeof *types)], 4);
        return;
    case 2:
        chunks[at] = chunks[other];
        chunks[other] = kept;
        return;
    case 3: /* cut in two of one kind, as IDAT may be */
        memmove(chunks + at + 1, chunks + at, ((*count)++ - at) * sizeof *chunks);
        chunks[at].size = roll(dice, kept.size + 1);
        chunks[at + 1].data += chunks[at].size;
        chunks[at + 1].size -= chunks[at].size;
        return;
    default:
        if (memcmp(kept.type, "IDAT", 4) == 0)
            change_pixels(&chunks[at], dice, space);
        else if (memcmp(kept.type, "IHDR", 4) == 0)
            change_header(&chunks[at], dice, space);
        else if (kept.size < MAX_RAW / 2) {
            if (kept.size > 0)
                memcpy(space, kept.data, kept.size);
            chunks[at].size = LLVMFuzzerMutate(space, kept.size, kept.size + 64);
            chunks[at].data = space;
        }
    }
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed) {
    static uint8_t space[3][MAX_RAW];
    struct chunk chunks[MAX_CHUNKS];
    struct dice dice = dice_of(seed);
    struct tare_buf out = {0};
    size_t count = split(chunks, data, size);
    if (mutate_plainly(&dice) || count == 0)
        return LLVMFuzzerMutate(data, size, max);
    const size_t times = 1 + roll(&dice, 3);
    for (size_t i = 0; i < times && count > 0; i++)
        change_chunk(chunks, &count, &dice, space[i]);
    tare_buf_append(&out, data, 8);
    for (size_t i = 0; i < count; i++)
        append_chunk(&out, &dice, &chunks[i]);
    return mutate_give(data, max, &out);
}
