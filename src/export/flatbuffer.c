/* flatbuffer.c: FlatBuffers from front to back, as much of them as TensorFlow Lite needs
 * (tflite_file.c). A table is an array of fields behind a pointer to its *vtable*, which says at
 * which byte of the table each field is, 0 for absent ones. Offsets to vectors, texts and tables
 * are unsigned and count from where they stand, so what they point to must come later. */
#include "export/flatbuffer.h"

#include <assert.h>
#include <string.h>

/* Numbers are stored little-endian, which is how they lie in memory here. */
static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "FlatBuffers are little-endian");

static size_t position(const struct tare_fb *fb) {
    return fb->out->size - fb->start;
}

/* Zeros up to the place from which `ahead` more bytes end at a multiple of alignment. */
static void align(struct tare_fb *fb, size_t ahead, size_t alignment) {
    while ((position(fb) + ahead) % alignment != 0 && !fb->out->failed)
        tare_buf_append(fb->out, "", 1);
}

static void append_u32(struct tare_fb *fb, uint32_t value) {
    tare_buf_append(fb->out, &value, sizeof value);
}

/* Makes the slot point at what is written next. */
static void take(struct tare_fb *fb, size_t slot) {
    uint32_t distance = (uint32_t)(position(fb) - slot);
    if (!fb->out->failed)
        memcpy(fb->out->data + fb->start + slot, &distance, sizeof distance);
}

size_t tare_fb_begin(struct tare_fb *fb, struct tare_buf *out, const char *identifier) {
    *fb = (struct tare_fb){out, out->size};
    append_u32(fb, 0);
    tare_buf_append(out, identifier, 4);
    return 0;
}

static size_t kind_bytes(enum tare_fb_kind kind) {
    switch (kind) {
    case TARE_FB_ABSENT:
        return 0;
    case TARE_FB_KIND_BYTE:
        return 1;
    case TARE_FB_KIND_INT:
    case TARE_FB_KIND_LINK:
        return 4;
    }
    return 0;
}

/* The vtable stands right before its table. Four-byte fields come before single bytes, so that all
 * of them are aligned without gaps. */
size_t tare_fb_table(struct tare_fb *fb, size_t slot, const struct tare_fb_field *fields,
                     size_t count) {
    uint16_t vtable[2 + TARE_FB_MAX_FIELDS] = {0};
    static const size_t widths[] = {4, 1};
    size_t vtable_bytes = (2 + count) * sizeof vtable[0], table_bytes = 4; /* its offset */
    for (size_t w = 0; w < 2; w++)
        for (size_t i = 0; i < count; i++)
            if (kind_bytes(fields[i].kind) == widths[w]) {
                vtable[2 + i] = (uint16_t)table_bytes;
                table_bytes += widths[w];
            }
    vtable[0] = (uint16_t)vtable_bytes;
    vtable[1] = (uint16_t)table_bytes;
    align(fb, vtable_bytes, 4);
    tare_buf_append(fb->out, vtable, vtable_bytes);
    size_t table = position(fb);
    take(fb, slot);
    append_u32(fb, (uint32_t)vtable_bytes); /* back to the vtable */
    for (size_t w = 0; w < 2; w++)
        for (size_t i = 0; i < count; i++)
            if (kind_bytes(fields[i].kind) == widths[w])
                tare_buf_append(fb->out, &fields[i].value, widths[w]);
    return table;
}

size_t tare_fb_slot(const struct tare_fb *fb, size_t table, size_t field) {
    uint32_t vtable_bytes = 0;
    uint16_t at = 0;
    if (fb->out->failed)
        return 0;
    const char *bytes = fb->out->data + fb->start + table;
    memcpy(&vtable_bytes, bytes, sizeof vtable_bytes);
    memcpy(&at, bytes - vtable_bytes + (2 + field) * sizeof at, sizeof at);
    return table + at;
}

/* A vector: the number of its elements, then the elements. */
static void begin_vector(struct tare_fb *fb, size_t slot, size_t count, size_t alignment) {
    align(fb, 4, alignment);
    take(fb, slot);
    append_u32(fb, (uint32_t)count);
}

size_t tare_fb_links(struct tare_fb *fb, size_t slot, size_t count) {
    begin_vector(fb, slot, count, 4);
    size_t first = position(fb);
    for (size_t i = 0; i < count; i++)
        append_u32(fb, 0);
    return first;
}

void tare_fb_text(struct tare_fb *fb, size_t slot, const char *text) {
    size_t size = strlen(text);
    begin_vector(fb, slot, size, 4);
    tare_buf_append(fb->out, text, size + 1); /* the NUL is there, and not counted */
}

void tare_fb_ints(struct tare_fb *fb, size_t slot, const int32_t *values, size_t count) {
    begin_vector(fb, slot, count, 4);
    tare_buf_append(fb->out, values, count * sizeof *values);
}

void tare_fb_bytes(struct tare_fb *fb, size_t slot, size_t size, size_t alignment) {
    begin_vector(fb, slot, size, alignment);
}
