/* read_back.h: reads protobuf messages and FlatBuffers in the shortest way, written from their
 * specifications and not from the writers' code, to see what src/export wrote. Everything is
 * checked against the bytes that are there; what doesn't fit fails the test. Included by test
 * programs after cmocka.h. */
#ifndef TARE_TESTS_READ_BACK_H
#define TARE_TESTS_READ_BACK_H

#include <stdint.h>
#include <string.h>

/* ---- protobuf ----------------------------------------------------------------------------------
 */

struct message {
    const uint8_t *bytes;
    size_t size;
};
struct pb_value { /* of one field: a number, or bytes */
    uint32_t field;
    uint64_t number;
    struct message bytes;
};

static inline uint64_t pb_varint(struct message *rest) {
    uint64_t value = 0;
    for (unsigned shift = 0;; shift += 7) {
        assert_true(rest->size > 0 && shift < 64);
        uint8_t byte = *rest->bytes++;
        rest->size--;
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            assert_true(byte != 0 || shift == 0); /* no longer than it must be */
            return value;
        }
    }
}

/* Takes one field off the front. */
static inline struct pb_value pb_next(struct message *rest) {
    struct pb_value value = {0};
    uint64_t tag = pb_varint(rest);
    value.field = (uint32_t)(tag >> 3);
    assert_true(value.field > 0 && ((tag & 7) == 0 || (tag & 7) == 2));
    value.number = pb_varint(rest);
    if ((tag & 7) == 2) {
        assert_true(value.number <= rest->size);
        value.bytes = (struct message){rest->bytes, value.number};
        rest->bytes += value.number;
        rest->size -= value.number;
    }
    return value;
}

static inline size_t pb_count(struct message message, uint32_t field) {
    size_t count = 0;
    while (message.size > 0)
        count += pb_next(&message).field == field;
    return count;
}

/* The nth value of a field, which must be there. */
static inline struct pb_value pb_get(struct message message, uint32_t field, size_t nth) {
    while (message.size > 0) {
        struct pb_value value = pb_next(&message);
        if (value.field == field && nth-- == 0)
            return value;
    }
    fail_msg("no field %u", field);
    return (struct pb_value){0};
}

static inline struct message pb_inner(struct message message, uint32_t field, size_t nth) {
    return pb_get(message, field, nth).bytes;
}

static inline void pb_is(struct message message, uint32_t field, size_t nth, const char *text) {
    struct message is = pb_inner(message, field, nth);
    if (is.size != strlen(text) || memcmp(is.bytes, text, is.size) != 0)
        fail_msg("field %u is \"%.*s\", not \"%s\"", field, (int)is.size, (const char *)is.bytes,
                 text);
}

/* ---- FlatBuffers -------------------------------------------------------------------------------
 */

struct flat { /* a file; positions are from its start */
    const uint8_t *bytes;
    size_t size;
};

static inline uint32_t fb_u32(struct flat f, size_t at) {
    uint32_t value;
    assert_true(at % 4 == 0 && at <= f.size && f.size - at >= 4);
    memcpy(&value, f.bytes + at, 4);
    return value;
}

/* Where an offset points to. */
static inline size_t fb_follow(struct flat f, size_t at) {
    size_t to = at + fb_u32(f, at);
    assert_true(to > at && to < f.size);
    return to;
}

/* Where a table has a field; 0 when it is absent. */
static inline size_t fb_field(struct flat f, size_t table, unsigned field) {
    size_t vtable = table - (size_t)(int64_t)(int32_t)fb_u32(f, table);
    uint16_t sizes[2], offset;
    assert_true(vtable % 2 == 0 && vtable + 4 <= f.size);
    memcpy(sizes, f.bytes + vtable, 4);
    assert_true(vtable + sizes[0] <= f.size && table + sizes[1] <= f.size);
    if (4 + 2 * field >= sizes[0])
        return 0;
    memcpy(&offset, f.bytes + vtable + 4 + 2 * field, 2);
    assert_true(offset < sizes[1]);
    return offset ? table + offset : 0;
}

static inline uint8_t fb_byte(struct flat f, size_t table, unsigned field) {
    size_t at = fb_field(f, table, field);
    return at ? f.bytes[at] : 0;
}

static inline uint32_t fb_int(struct flat f, size_t table, unsigned field) {
    size_t at = fb_field(f, table, field);
    return at ? fb_u32(f, at) : 0;
}

/* The table, or the vector (its count; its elements come after), that a field points to. */
static inline size_t fb_link(struct flat f, size_t table, unsigned field) {
    size_t at = fb_field(f, table, field);
    assert_true(at != 0);
    return fb_follow(f, at);
}

static inline size_t fb_count(struct flat f, size_t table, unsigned field) {
    return fb_field(f, table, field) ? fb_u32(f, fb_link(f, table, field)) : 0;
}

/* Element i of a vector of tables. */
static inline size_t fb_element(struct flat f, size_t table, unsigned field, size_t i) {
    size_t vector = fb_link(f, table, field);
    assert_true(i < fb_u32(f, vector));
    return fb_follow(f, vector + 4 + 4 * i);
}

static inline int32_t fb_element_int(struct flat f, size_t table, unsigned field, size_t i) {
    size_t vector = fb_link(f, table, field);
    assert_true(i < fb_u32(f, vector));
    return (int32_t)fb_u32(f, vector + 4 + 4 * i);
}

static inline void fb_is(struct flat f, size_t table, unsigned field, const char *text) {
    size_t at = fb_link(f, table, field), size = fb_u32(f, at);
    assert_true(size <= f.size - at - 5 && f.bytes[at + 4 + size] == 0);
    if (strcmp((const char *)f.bytes + at + 4, text) != 0)
        fail_msg("field %u is \"%s\", not \"%s\"", field, (const char *)f.bytes + at + 4, text);
}

#endif
