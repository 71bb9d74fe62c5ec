/* protobuf.c: the wire format of Protocol Buffers, as much of it as ONNX needs (onnx.c): numbers as
 * varints, and everything else with its length in front. */
#include "export/protobuf.h"

#include <string.h>

enum wire { WIRE_VARINT = 0, WIRE_LENGTH = 2 };
enum { VARINT_BYTES = 10 }; /* of 64 bits, seven in a byte */

/* Seven bits a byte, the lowest first; the top bit says that more follow. Returns the bytes. */
static size_t encode(uint8_t bytes[VARINT_BYTES], uint64_t value) {
    size_t size = 0;
    for (; value >= 0x80; value >>= 7)
        bytes[size++] = (uint8_t)(value | 0x80);
    bytes[size++] = (uint8_t)value;
    return size;
}

static void varint(struct tare_buf *out, uint64_t value) {
    uint8_t bytes[VARINT_BYTES];
    size_t size = encode(bytes, value);
    tare_buf_append(out, bytes, size);
}

static void tag(struct tare_buf *out, uint32_t field, enum wire wire) {
    varint(out, (uint64_t)field << 3 | wire);
}

void tare_pb_number(struct tare_buf *out, uint32_t field, uint64_t value) {
    tag(out, field, WIRE_VARINT);
    varint(out, value);
}

void tare_pb_bytes(struct tare_buf *out, uint32_t field, const void *data, size_t size) {
    tag(out, field, WIRE_LENGTH);
    varint(out, size);
    tare_buf_append(out, data, size);
}

void tare_pb_text(struct tare_buf *out, uint32_t field, const char *text) {
    tare_pb_bytes(out, field, text, strlen(text));
}

size_t tare_pb_open(struct tare_buf *out, uint32_t field) {
    tag(out, field, WIRE_LENGTH);
    return out->size;
}

/* The length has as many bytes as it needs, which is known only now; so the content moves up. Once
 * per level of nesting, and ONNX has three. */
void tare_pb_close(struct tare_buf *out, size_t opened) {
    uint8_t length[VARINT_BYTES];
    size_t content = out->size - opened, size = encode(length, content);
    tare_buf_append(out, length, size); /* makes the room; the bytes are overwritten */
    if (out->failed)
        return;
    memmove(out->data + opened + size, out->data + opened, content);
    memcpy(out->data + opened, length, size);
}
