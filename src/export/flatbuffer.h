/* flatbuffer.h: writes FlatBuffers (flatbuffers.dev/internals): tables that point forward to their
 * vectors, texts and tables.
 *
 *     struct tare_fb fb;
 *     size_t root = tare_fb_begin(&fb, out, "TFL3");
 *     size_t model = tare_fb_table(&fb, root, (struct tare_fb_field[]){
 *         [MODEL_VERSION] = TARE_FB_INT(3), [MODEL_DESCRIPTION] = TARE_FB_LINK}, MODEL_FIELDS);
 *     tare_fb_text(&fb, tare_fb_slot(&fb, model, MODEL_DESCRIPTION), "digits");
 *
 * Parents are written before their children: a *slot* is the place of an offset that waits for what
 * it points to, and whatever is written takes the slot it belongs in. Every slot must be taken. A
 * failed allocation is remembered by the buffer (tare/buf.h), so nothing here returns a status.
 */
#ifndef TARE_EXPORT_FLATBUFFER_H
#define TARE_EXPORT_FLATBUFFER_H

#include <stddef.h>
#include <stdint.h>

#include "tare/buf.h"

#define TARE_FB_MAX_FIELDS 16 /* of a table */

struct tare_fb {
    struct tare_buf *out;
    size_t start; /* positions are counted from here in out */
};

enum tare_fb_kind { TARE_FB_ABSENT, TARE_FB_KIND_BYTE, TARE_FB_KIND_INT, TARE_FB_KIND_LINK };

/* A table's fields are an array, each at its number in the schema; what is left out is absent. */
struct tare_fb_field {
    enum tare_fb_kind kind;
    uint32_t value;
};
#define TARE_FB_BYTE(number)                                                                       \
    { TARE_FB_KIND_BYTE, (number) }
#define TARE_FB_INT(number)                                                                        \
    { TARE_FB_KIND_INT, (number) }
#define TARE_FB_LINK                                                                               \
    { TARE_FB_KIND_LINK, 0 } /* to a vector, a text or a table */

/* Returns the root's slot. The identifier has four characters. */
size_t tare_fb_begin(struct tare_fb *fb, struct tare_buf *out, const char *identifier);

/* Returns the table, for tare_fb_slot. count ≤ TARE_FB_MAX_FIELDS. */
size_t tare_fb_table(struct tare_fb *fb, size_t slot, const struct tare_fb_field *fields,
                     size_t count);
size_t tare_fb_slot(const struct tare_fb *fb, size_t table, size_t field);

/* A vector of links: returns the slot of element 0; element i is TARE_FB_ELEMENT(first, i). */
size_t tare_fb_links(struct tare_fb *fb, size_t slot, size_t count);
#define TARE_FB_ELEMENT(first, i) ((first) + 4 * (size_t)(i))

void tare_fb_text(struct tare_fb *fb, size_t slot, const char *text);
void tare_fb_ints(struct tare_fb *fb, size_t slot, const int32_t *values, size_t count);

/* A vector of size bytes, which the caller appends to out next; their first is aligned to a
 * multiple of alignment (a power of two, at least 4). */
void tare_fb_bytes(struct tare_fb *fb, size_t slot, size_t size, size_t alignment);

#endif
