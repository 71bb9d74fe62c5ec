/* protobuf.h: writes the wire format of Protocol Buffers
 * (protobuf.dev/programming-guides/encoding): a message is its fields one after the other, each a
 * tag and a value.
 *
 *     size_t graph = tare_pb_open(out, MODEL_GRAPH);
 *     tare_pb_text(out, GRAPH_NAME, "digits");
 *     tare_pb_close(out, graph);
 *
 * A failed allocation is remembered by the buffer (tare/buf.h), so nothing here returns a status.
 */
#ifndef TARE_EXPORT_PROTOBUF_H
#define TARE_EXPORT_PROTOBUF_H

#include <stddef.h>
#include <stdint.h>

#include "tare/buf.h"

void tare_pb_number(struct tare_buf *out, uint32_t field, uint64_t value);
void tare_pb_bytes(struct tare_buf *out, uint32_t field, const void *data, size_t size);
void tare_pb_text(struct tare_buf *out, uint32_t field, const char *text);

/* A message inside a message: what is written between the two is its content. */
size_t tare_pb_open(struct tare_buf *out, uint32_t field);
void tare_pb_close(struct tare_buf *out, size_t opened);

#endif
