/* mutate.c: see mutate.h. */
#include "mutate.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- chance ------------------------------------------------------------------------------------
 */

struct dice dice_of(unsigned seed) {
    return (struct dice){seed};
}

/* splitmix64 */
static uint64_t next(struct dice *dice) {
    uint64_t z = dice->state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

size_t roll(struct dice *dice, size_t sides) {
    return sides > 0 ? next(dice) % sides : 0;
}

bool mutate_plainly(struct dice *dice) {
    static int plain = -1;
    if (plain < 0)
        plain = getenv("TARE_FUZZ_PLAIN") != NULL;
    return plain || roll(dice, 4) == 0;
}

uint64_t odd_number(struct dice *dice) {
    static const uint64_t odd[] = {0,
                                   1,
                                   2,
                                   3,
                                   4,
                                   5,
                                   7,
                                   8,
                                   9,
                                   10,
                                   28,
                                   31,
                                   32,
                                   33,
                                   63,
                                   64,
                                   65,
                                   255,
                                   256,
                                   257,
                                   784,
                                   1000,
                                   1001,
                                   1024,
                                   10000,
                                   20000,
                                   20001,
                                   32767,
                                   65535,
                                   65536,
                                   65537,
                                   1000000,
                                   1000001,
                                   0x7ffffffe,
                                   0x7fffffff,
                                   0x80000000,
                                   0xfffffff,
                                   0xffffffff,
                                   1ULL << 32,
                                   1ULL << 62,
                                   INT64_MAX,
                                   1ULL << 63,
                                   UINT64_MAX,
                                   UINT64_MAX / 2,
                                   UINT64_MAX / 8,
                                   400000000000000,
                                   400000000000001};
    switch (roll(dice, 3)) {
    case 0:
        return roll(dice, 16);
    case 1:
        return next(dice) >> roll(dice, 64);
    default:
        return odd[roll(dice, sizeof odd / sizeof *odd)];
    }
}

size_t mutate_give(uint8_t *data, size_t max, struct tare_buf *buf) {
    const size_t size = buf->failed || buf->size > max ? 0 : buf->size;
    if (size > 0)
        memcpy(data, buf->data, size);
    tare_buf_free(buf);
    return size;
}

/* ---- JSON --------------------------------------------------------------------------------------
 */

/* A member of a list (key NULL) or of an object. */
struct place {
    json_t *parent;
    const char *key;
    size_t index;
};
#define MAX_PLACES 4096

static void collect(struct place *places, size_t *count, json_t *value) {
    const char *key = NULL;
    json_t *member = NULL;
    size_t index = 0;
    json_array_foreach(value, index, member) {
        if (*count == MAX_PLACES)
            return;
        places[(*count)++] = (struct place){value, NULL, index};
        collect(places, count, member);
    }
    json_object_foreach(value, key, member) {
        if (*count == MAX_PLACES)
            return;
        places[(*count)++] = (struct place){value, key, 0};
        collect(places, count, member);
    }
}

static json_t *value_at(const struct place *place) {
    return place->key != NULL ? json_object_get(place->parent, place->key)
                              : json_array_get(place->parent, place->index);
}

/* Takes the value over. */
static void put(const struct place *place, json_t *value) {
    if (place->key != NULL)
        json_object_set_new(place->parent, place->key, value);
    else
        json_array_set_new(place->parent, place->index, value);
}

static json_t *odd_text(struct dice *dice) {
    static const char *const odd[] = {
        "",      "\x1b[31m", "\n",     "|",     "a,b",   "=1+1",   "\"",      "../x", "/etc",
        "ok",    "nan",      "\u00e9", "<b>",   "`",     "$(x)",   "F32",     "u8",   "-1",
        "1e999", "%s%n",     "\u202e", "train", "infer", "failed", "tutorial"};
    if (roll(dice, 8) > 0)
        return json_string(odd[roll(dice, sizeof odd / sizeof *odd)]);
    char text[3000];
    const size_t size = roll(dice, sizeof text);
    memset(text, 'a' + (int)roll(dice, 26), size);
    return json_stringn(text, size);
}

static json_t *odd_value(struct dice *dice) {
    switch (roll(dice, 10)) {
    case 0:
        return json_null();
    case 1:
        return json_boolean(roll(dice, 2));
    case 2:
        return json_array();
    case 3:
        return json_object();
    case 4:
        return json_real(roll(dice, 2) ? -1.5 : 1e308);
    case 5:
    case 6:
        return odd_text(dice);
    default:
        return json_integer((json_int_t)odd_number(dice));
    }
}

/* A text changed byte by byte, or a number changed a little. */
static json_t *vary(struct dice *dice, const json_t *value) {
    if (json_is_integer(value))
        return json_integer((json_int_t)((uint64_t)json_integer_value(value) + roll(dice, 5) - 2));
    if (!json_is_string(value))
        return odd_value(dice);
    char text[1024];
    size_t size = json_string_length(value);
    size = size < sizeof text / 2 ? size : sizeof text / 2;
    memcpy(text, json_string_value(value), size);
    size = LLVMFuzzerMutate((uint8_t *)text, size, sizeof text);
    json_t *varied = json_stringn(text, size); /* NULL: no UTF-8 */
    return varied != NULL ? varied : odd_text(dice);
}

static void change(struct dice *dice, const struct place *at, const struct place *other) {
    json_t *value = value_at(at);
    switch (roll(dice, 8)) {
    case 0:
        if (at->key != NULL)
            json_object_del(at->parent, at->key);
        else
            json_array_remove(at->parent, at->index);
        return;
    case 1: /* doubled */
        if (at->key == NULL)
            json_array_insert(at->parent, at->index, value);
        else
            json_object_set_new(at->parent, "twice", json_deep_copy(value));
        return;
    case 2: /* that of another place */
        put(at, json_deep_copy(value_at(other)));
        return;
    case 3: /* under another name */
        if (at->key != NULL && other->key != NULL && strcmp(at->key, other->key) != 0) {
            json_object_set_new(at->parent, other->key, json_deep_copy(value));
            json_object_del(at->parent, at->key);
        }
        return;
    case 4: /* nested */
        put(at, roll(dice, 2) ? json_pack("[O]", value) : json_pack("{s:O}", "in", value));
        return;
    case 5:
        put(at, vary(dice, value));
        return;
    default:
        put(at, odd_value(dice));
    }
}

bool mutate_json(struct tare_buf *out, struct dice *dice, const char *text, size_t size) {
    static struct place places[MAX_PLACES];
    json_t *root = json_loadb(text, size, 0, NULL);
    if (root == NULL)
        return false;
    for (size_t times = 1 + roll(dice, 3); times > 0; times--) {
        size_t count = 0;
        collect(places, &count, root);
        if (count == 0)
            break;
        change(dice, &places[roll(dice, count)], &places[roll(dice, count)]);
    }
    char *changed = json_dumps(root, JSON_COMPACT | JSON_PRESERVE_ORDER);
    json_decref(root);
    if (changed != NULL)
        tare_buf_puts(out, changed);
    free(changed);
    return changed != NULL;
}

/* ---- words -------------------------------------------------------------------------------------
 */

struct word {
    const char *text;
    size_t size;
};
#define MAX_WORDS 256

static size_t split(struct word *words, const char *text, size_t size, char separator) {
    size_t count = 0;
    for (size_t at = 0; at <= size && count < MAX_WORDS; count++) {
        const char *end = at < size ? memchr(text + at, separator, size - at) : NULL;
        const size_t to = end != NULL ? (size_t)(end - text) : size;
        words[count] = (struct word){text + at, to - at};
        at = to + 1;
    }
    return count;
}

static void append_changed(struct tare_buf *out, struct word word) {
    char text[512];
    size_t size = word.size < sizeof text / 2 ? word.size : sizeof text / 2;
    memcpy(text, word.text, size);
    size = LLVMFuzzerMutate((uint8_t *)text, size, sizeof text);
    tare_buf_append(out, text, size);
}

void mutate_words(struct tare_buf *out, struct dice *dice, const char *text, size_t size,
                  char separator, const char *const *words, size_t count) {
    struct word old[MAX_WORDS];
    const size_t old_count = split(old, text, size, separator);
    const size_t at = roll(dice, old_count), kind = roll(dice, 7);
    const struct word other = old[roll(dice, old_count)];
    bool first = true;
    for (size_t i = 0; i < old_count; i++) {
        if (i == at && kind == 0)
            continue; /* dropped */
        if (!first)
            tare_buf_append(out, &separator, 1);
        first = false;
        const bool here = i == at;
        if (here && kind == 1 && count > 0)
            tare_buf_puts(out, words[roll(dice, count)]);
        else if (here && kind == 2)
            tare_buf_printf(out, "%llu", (unsigned long long)odd_number(dice));
        else if (here && kind == 3)
            append_changed(out, old[i]);
        else if (here && kind == 4)
            tare_buf_append(out, other.text, other.size);
        else
            tare_buf_append(out, old[i].text, old[i].size);
        if (here && kind >= 5) { /* doubled, or with another one after it */
            tare_buf_append(out, &separator, 1);
            if (kind == 5 || count == 0)
                tare_buf_append(out, old[i].text, old[i].size);
            else
                tare_buf_puts(out, words[roll(dice, count)]);
        }
    }
}
