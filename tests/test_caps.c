/* test_caps.c: every cap of doc/formats.md, at the limit and one over. What is one over is refused
 * with a message that names the cap, and before memory is taken for what it claims to hold. */
#include <fcntl.h>
#include <math.h>

#include "base/json.h"
#include "base/npy.h"
#include "data/parts.h"
#include "data/png.h"
#include "lab/provenance.h"
#include "lab/read_samples.h"
#include "scratch.h"
#include "tare/environment.h"
#include "tare/lab.h"
#include "tare/net.h"
#include "tare/protocol.h"
#include "tare/safetensors.h"
#include "tare/summary.h"

#define GIB ((size_t)1 << 30)
#define MIB ((size_t)1 << 20)

/* The status, and of a refusal the message. */
static void must_be(enum tare_status expected, enum tare_status status, const struct tare_err *err,
                    const char *says) {
    if (status != expected)
        fail_msg("status %d, not %d: %s", (int)status, (int)expected, err->what);
    if (expected != TARE_OK && strstr(err->what, says) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", err->what, says);
    if (expected != TARE_OK)
        assert_true(err->where[0] != '\0');
}
#define OK(call) must_be(TARE_OK, call, &err, "")
#define REFUSED(call, says) must_be(TARE_DATA, call, &err, says)

/* ---- arrays ------------------------------------------------------------------------------------
 */

/* The start of a .npy file, version 2, whose header has so many bytes. */
static void npy_header(struct tare_buf *out, const char *shape, size_t header_bytes) {
    char text[256];
    const int length = snprintf(text, sizeof text,
                                "{'descr': '<f4', 'fortran_order': False, 'shape': (%s), }", shape);
    const uint8_t start[12] = {0x93,
                               'N',
                               'U',
                               'M',
                               'P',
                               'Y',
                               2,
                               0,
                               (uint8_t)header_bytes,
                               (uint8_t)(header_bytes >> 8),
                               (uint8_t)(header_bytes >> 16),
                               0};
    tare_buf_append(out, start, sizeof start);
    tare_buf_append(out, text, (size_t)length);
    for (size_t i = (size_t)length; i < header_bytes; i++)
        tare_buf_puts(out, i + 1 < header_bytes ? " " : "\n");
}

static enum tare_status parse_npy(const char *shape, size_t header_bytes, struct tare_err *err) {
    struct tare_buf file = {0};
    struct tare_npy_header header;
    npy_header(&file, shape, header_bytes);
    const enum tare_status status = tare_npy_header_parse(&header, file.data, file.size, "f", err);
    tare_buf_free(&file);
    return status;
}

static void caps_of_npy(void **state) {
    (void)state;
    struct tare_err err = {0};
    OK(parse_npy("1, 2, 3, 4", 128, &err));
    REFUSED(parse_npy("1, 2, 3, 4, 5", 128, &err), "more than 4 dimensions");
    OK(parse_npy("1,", TARE_MAX_NPY_HEADER_BYTES, &err));
    REFUSED(parse_npy("1,", TARE_MAX_NPY_HEADER_BYTES + 1, &err), "more than 65536");
    OK(parse_npy("1024, 1048576", 128, &err)); /* 4 GiB */
    REFUSED(parse_npy("1073741825,", 128, &err), "larger than 4096 MiB");
    REFUSED(parse_npy("0, 1073741825", 128, &err), "larger than 4096 MiB");
    /* The file of 4 GiB itself, but for its last byte, and with one more. */
    struct tare_buf head = {0};
    struct tare_array array;
    npy_header(&head, "1024, 1048576", 116);
    for (size_t more = 0; more < 3; more += 2) {
        const char *path = scratch_write("big.npy", head.data, head.size);
        assert_int_equal(truncate(path, (off_t)(head.size + 4 * GIB - 1 + more)), 0);
        REFUSED(tare_npy_read(&array, path, &err), more ? "goes on" : "the file ends after");
    }
    tare_buf_free(&head);
}

static enum tare_status parse_idx(uint8_t rank, const size_t *shape, struct tare_err *err) {
    uint8_t bytes[64] = {0, 0, 8, rank};
    struct tare_npy_header header;
    for (size_t i = 0; i < 4 * (size_t)rank; i++)
        bytes[4 + i] = (uint8_t)(shape[i / 4] >> (24 - 8 * (i % 4)));
    return tare_idx_header_parse(&header, bytes, sizeof bytes, "f", err);
}

static void caps_of_idx(void **state) {
    (void)state;
    struct tare_err err = {0};
    OK(parse_idx(4, (size_t[]){1, 2, 3, 4}, &err));
    REFUSED(parse_idx(5, (size_t[]){1, 1, 1, 1, 1}, &err), "5 dimensions, not 1 to 4");
    OK(parse_idx(2, (size_t[]){65536, 65536}, &err));
    REFUSED(parse_idx(2, (size_t[]){65536, 65537}, &err), "more than 4096 MiB");
}

/* A .gz may hold what its header promises, and nothing more, however little space that takes. */
static void caps_of_gzip(void **state) {
    (void)state;
    const uint8_t idx[29] = {0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0, 3};
    for (size_t size = 27; size <= 29; size++) {
        struct tare_err err = {0};
        struct tare_buf packed = {0};
        struct tare_array images;
        gzip_bytes(&packed, idx, size);
        const char *path = scratch_write("images.gz", packed.data, packed.size);
        if (size == 28)
            OK(tare_images_read(&images, path, &err));
        else
            REFUSED(tare_images_read(&images, path, &err), size < 28 ? "ends after" : "goes on");
        tare_array_free(&images);
        tare_buf_free(&packed);
    }
}

static enum tare_status read_label(int32_t label, struct tare_err *err) {
    struct tare_array one, labels;
    const size_t shape[1] = {1};
    assert_int_equal(tare_array_make(&one, TARE_I32, 1, shape, NULL), TARE_OK);
    memcpy(one.data, &label, sizeof label);
    assert_int_equal(tare_npy_write(scratch_path("labels.npy"), &one, NULL), TARE_OK);
    const enum tare_status status = tare_labels_read(&labels, scratch_path("labels.npy"), err);
    tare_array_free(&labels);
    tare_array_free(&one);
    return status;
}

static void make_folders(const char *dir, size_t from, size_t to) {
    char name[600];
    assert_int_equal(tare_make_dirs(dir, NULL), TARE_OK);
    for (size_t i = from; i < to; i++) {
        snprintf(name, sizeof name, "%s/%zu", dir, i);
        assert_int_equal(mkdir(name, 0777), 0);
    }
}

static void caps_of_classes(void **state) {
    (void)state;
    struct tare_err err = {0};
    struct tare_dataset set = {0};
    OK(read_label(TARE_MAX_CLASSES - 1, &err));
    REFUSED(read_label(TARE_MAX_CLASSES, &err), "outside 0 … 65535");
    make_folders(scratch_path("set/train"), 0, TARE_MAX_CLASSES);
    make_folders(scratch_path("set/test"), 0, 0);
    REFUSED(tare_folder_load(&set, scratch_path("set"), &err), "no pictures");
    make_folders(scratch_path("set/train"), TARE_MAX_CLASSES, TARE_MAX_CLASSES + 1);
    REFUSED(tare_folder_load(&set, scratch_path("set"), &err), "more than 65536 classes");
}

static enum tare_status look_at_png(uint32_t width, uint32_t height, struct tare_err *err) {
    uint8_t bytes[33] = "\x89PNG\r\n\x1a\n\0\0\0\rIHDR";
    struct tare_png_info info;
    for (int i = 0; i < 4; i++) {
        bytes[16 + i] = (uint8_t)(width >> (24 - 8 * i));
        bytes[20 + i] = (uint8_t)(height >> (24 - 8 * i));
    }
    bytes[24] = 8;
    const uint32_t crc = (uint32_t)crc32(0, bytes + 12, 17);
    for (int i = 0; i < 4; i++)
        bytes[29 + i] = (uint8_t)(crc >> (24 - 8 * i));
    struct tare_buf file = {0};
    tare_buf_append(&file, bytes, sizeof bytes);
    tare_buf_append(&file, "\0\0\0\0IDAT\x35\xaf\x06\x1e", 12); /* begins after the header */
    const char *path = scratch_write("x.png", file.data, file.size);
    tare_buf_free(&file);
    return tare_png_info(&info, path, err);
}

static void caps_of_png(void **state) {
    (void)state;
    struct tare_err err = {0};
    OK(look_at_png(TARE_MAX_PNG_SIDE, 1, &err));
    OK(look_at_png(1, TARE_MAX_PNG_SIDE, &err));
    REFUSED(look_at_png(TARE_MAX_PNG_SIDE + 1, 1, &err), "longer than 65536");
    REFUSED(look_at_png(1, TARE_MAX_PNG_SIDE + 1, &err), "longer than 65536");
    OK(look_at_png(8192, 8192, &err));
    REFUSED(look_at_png(8193, 8192, &err), "more than 67108864");
}

/* ---- JSON --------------------------------------------------------------------------------------
 */

/* "[[…]]", or a list of so many items. */
static bool loads(size_t depth, size_t items, const char **says) {
    static json_error_t error;
    struct tare_buf text = {0};
    enum tare_status status = TARE_OK;
    for (size_t i = 0; i < depth; i++)
        tare_buf_puts(&text, "[");
    for (size_t i = depth; i < items; i++)
        tare_buf_puts(&text, i + 1 < items ? "0," : "0,0"); /* each list is an item too */
    for (size_t i = 0; i < depth; i++)
        tare_buf_puts(&text, "]");
    json_t *value = tare_json_load(text.data, text.size, &error, &status);
    const bool good = value != NULL;
    assert_int_equal(status, good ? TARE_OK : TARE_DATA);
    *says = error.text;
    json_decref(value);
    tare_buf_free(&text);
    return good;
}

static void caps_of_json(void **state) {
    (void)state;
    const char *says = NULL;
    assert_true(loads(TARE_MAX_JSON_DEPTH, 0, &says));
    assert_false(loads(TARE_MAX_JSON_DEPTH + 1, 0, &says));
    assert_non_null(strstr(says, "more than 16 deep"));
    assert_true(loads(1, TARE_MAX_JSON_ITEMS, &says));
    assert_false(loads(1, TARE_MAX_JSON_ITEMS + 1, &says));
    assert_non_null(strstr(says, "more than 131072 items"));
}

/* ---- safetensors -------------------------------------------------------------------------------
 */

/* text: the header, padded to `padded` bytes. */
static enum tare_status parse_tensors(const char *text, size_t padded, struct tare_err *err) {
    struct tare_buf file = {0};
    struct tare_tensors tensors;
    const size_t length = strlen(text) < padded ? padded : strlen(text);
    uint8_t number[8];
    for (int i = 0; i < 8; i++)
        number[i] = (uint8_t)((uint64_t)length >> 8 * i);
    tare_buf_append(&file, number, 8);
    tare_buf_printf(&file, "%-*s", (int)length, text);
    const enum tare_status status =
        tare_safetensors_parse(&tensors, file.data, file.size, "f", err);
    tare_tensors_free(&tensors);
    tare_buf_free(&file);
    return status;
}

/* A header of `count` empty tensors, of `metadata` pairs, with a name of `name` bytes. */
static enum tare_status parse_header(size_t count, size_t metadata, size_t name,
                                     struct tare_err *err) {
    struct tare_buf text = {0};
    tare_buf_puts(&text, "{\"__metadata__\":{");
    for (size_t i = 0; i < metadata; i++)
        tare_buf_printf(&text, "%s\"%zu\":\"\"", i > 0 ? "," : "", i);
    tare_buf_puts(&text, "}");
    for (size_t i = 0; i < count; i++)
        tare_buf_printf(&text, ",\"%0*zu\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}",
                        (int)name, i);
    tare_buf_puts(&text, "}");
    const enum tare_status status = parse_tensors(text.data, 0, err);
    tare_buf_free(&text);
    return status;
}

static void caps_of_safetensors(void **state) {
    (void)state;
    struct tare_err err = {0};
    OK(parse_header(TARE_MAX_TENSORS, 0, 1, &err));
    REFUSED(parse_header(TARE_MAX_TENSORS + 1, 0, 1, &err), "more than 256 tensors");
    OK(parse_header(1, TARE_MAX_METADATA, 1, &err));
    REFUSED(parse_header(1, TARE_MAX_METADATA + 1, 1, &err), "more than 1024 keys");
    OK(parse_header(1, 0, TARE_MAX_TENSOR_NAME - 1, &err));
    REFUSED(parse_header(1, 0, TARE_MAX_TENSOR_NAME, &err), "longer than 63 bytes");
    OK(parse_tensors("{}", TARE_MAX_SAFETENSORS_HEADER, &err));
    REFUSED(parse_tensors("{}", TARE_MAX_SAFETENSORS_HEADER + 1, &err), "more than 1048576");
#define OF_SHAPE(shape) "{\"a\":{\"dtype\":\"U8\",\"shape\":" shape ",\"data_offsets\":[0,0]}}"
    OK(parse_tensors(OF_SHAPE("[0,1,1,1]"), 0, &err));
    REFUSED(parse_tensors(OF_SHAPE("[0,1,1,1,1]"), 0, &err), "at most 4 sizes");
    REFUSED(parse_tensors(OF_SHAPE("[0,4294967297]"), 0, &err), "too large");
    /* 4 GiB of data, and a byte more: a hole, so nothing of it is on the disk. */
    static const uint8_t start[10] = {2, 0, 0, 0, 0, 0, 0, 0, '{', '}'};
    struct tare_tensors tensors;
    for (size_t more = 0; more < 2; more++) {
        const char *path = scratch_write("big.safetensors", start, sizeof start);
        assert_int_equal(truncate(path, (off_t)(sizeof start + 4 * GIB + more)), 0);
        REFUSED(tare_safetensors_read(&tensors, path, &err),
                more ? "more than 4096 MiB" : "belong to no tensor");
    }
}

/* ---- the protocol ------------------------------------------------------------------------------
 */

static enum tare_status parse_event_of(size_t size, struct tare_err *err) {
    struct tare_buf line = {0};
    struct tare_event event;
    tare_buf_puts(&line, "{\"event\":\"bye\"");
    tare_buf_printf(&line, "%*s", (int)(size - line.size), "}");
    const enum tare_status status = tare_event_parse(&event, line.data, line.size, err);
    tare_buf_free(&line);
    return status;
}

static enum tare_status parse_event(const char *text, struct tare_err *err) {
    struct tare_event event;
    return tare_event_parse(&event, text, strlen(text), err);
}

/* {"abi":1,KEY:[1,2,…]}, or KEY:"aaa…", or KEY:number */
static enum tare_status parse_list(const char *key, size_t count, struct tare_err *err) {
    struct tare_buf line = {0};
    struct tare_job job;
    tare_buf_printf(&line, "{\"abi\":1,\"%s\":[", key);
    for (size_t i = 0; i < count; i++)
        tare_buf_printf(&line, "%s%zu", i > 0 ? "," : "", i + 1);
    tare_buf_puts(&line, "]}");
    const enum tare_status status = tare_job_parse(&job, line.data, line.size, err);
    tare_buf_free(&line);
    return status;
}
static enum tare_status parse_text(const char *key, size_t length, struct tare_err *err) {
    struct tare_buf line = {0};
    struct tare_job job;
    tare_buf_printf(&line, "{\"abi\":1,\"%s\":\"%0*d\"}", key, (int)length, 0);
    const enum tare_status status = tare_job_parse(&job, line.data, line.size, err);
    tare_buf_free(&line);
    return status;
}
static enum tare_status parse_number(const char *key, size_t number, struct tare_err *err) {
    char line[128];
    struct tare_job job;
    snprintf(line, sizeof line, "{\"abi\":1,%s%zu%s}", key, number, strchr(key, '[') ? "]" : "");
    return tare_job_parse(&job, line, strlen(line), err);
}

static void caps_of_the_protocol(void **state) {
    (void)state;
    static const char key[] = "a key has the wrong type, or a text is too long";
    struct tare_err err = {0};
    OK(parse_event_of(TARE_MAX_LINE_BYTES, &err));
    REFUSED(parse_event_of(TARE_MAX_LINE_BYTES + 1, &err), "at most 65536");
    OK(parse_event("{\"event\":\"phase\",\"name\":\"x\",\"wall_ns\":400000000000000}", &err));
    REFUSED(parse_event("{\"event\":\"phase\",\"name\":\"x\",\"wall_ns\":400000000000001}", &err),
            "\"phase\" lacks a key");
    OK(parse_list("batches", TARE_MAX_BATCHES, &err));
    REFUSED(parse_list("batches", TARE_MAX_BATCHES + 1, &err), key);
    OK(parse_list("dump_at", TARE_MAX_DUMPS, &err));
    REFUSED(parse_list("dump_at", TARE_MAX_DUMPS + 1, &err), key);
    OK(parse_number("\"batches\":[", TARE_MAX_BATCH, &err));
    REFUSED(parse_number("\"batches\":[", TARE_MAX_BATCH + 1, &err), key);
    OK(parse_number("\"queries\":", TARE_MAX_QUERIES, &err));
    REFUSED(parse_number("\"queries\":", TARE_MAX_QUERIES + 1, &err), key);
    OK(parse_number("\"threads\":", 1000000, &err));
    REFUSED(parse_number("\"threads\":", 1000001, &err), key);
    OK(parse_text("images", TARE_MAX_PATH - 1, &err));
    REFUSED(parse_text("images", TARE_MAX_PATH, &err), key);
    OK(parse_text("model", TARE_MAX_SPEC - 1, &err));
    REFUSED(parse_text("model", TARE_MAX_SPEC, &err), key);
}

/* An event's text is cut, at a length that a report can show; its path must be whole. */
static void long_texts_of_events(void **state) {
    (void)state;
    for (size_t length = TARE_MAX_TEXT - 1; length <= TARE_MAX_TEXT; length++) {
        struct tare_err err = {0};
        struct tare_event event;
        char line[TARE_MAX_TEXT + 100];
        snprintf(line, sizeof line, "{\"event\":\"fail\",\"message\":\"%0*d\"}", (int)length, 0);
        OK(tare_event_parse(&event, line, strlen(line), &err));
        assert_int_equal(strlen(event.text), TARE_MAX_TEXT - 1);
        snprintf(line, sizeof line,
                 "{\"event\":\"export\",\"format\":\"onnx\",\"wall_ns\":1,\"path\":\"%0*d\"}",
                 (int)length, 0);
        if (length < TARE_MAX_TEXT)
            OK(tare_event_parse(&event, line, strlen(line), &err));
        else
            REFUSED(tare_event_parse(&event, line, strlen(line), &err), "\"export\" lacks a key");
    }
}

/* ---- nets, plans, environments -----------------------------------------------------------------
 */

static enum tare_status parse_net(const char *first, size_t layers, size_t length,
                                  struct tare_err *err) {
    struct tare_buf text = {0};
    static struct tare_net net;
    tare_buf_puts(&text, first);
    for (size_t i = 0; i < layers; i++)
        tare_buf_puts(&text, " relu");
    while (text.size < length)
        tare_buf_puts(&text, " ");
    const enum tare_status status = tare_net_parse(&net, text.data, err);
    tare_buf_free(&text);
    return status;
}
#define UNUSABLE(call, says) must_be(TARE_USAGE, call, &err, says)

static void caps_of_nets(void **state) {
    (void)state;
    struct tare_err err = {0};
    OK(parse_net("4 dense:2", 0, TARE_MAX_SPEC - 1, &err));
    UNUSABLE(parse_net("4 dense:2", 0, TARE_MAX_SPEC, &err), "longer than 1023 characters");
    OK(parse_net("4 dense:2", TARE_MAX_LAYERS - 1, 0, &err));
    UNUSABLE(parse_net("4 dense:2", TARE_MAX_LAYERS, 0, &err), "one layer too many");
    OK(parse_net("65536 dense:1", 0, 0, &err));
    UNUSABLE(parse_net("65537 dense:1", 0, 0, &err), "too large");
    UNUSABLE(parse_net("256x256x2 dense:1", 0, 0, &err), "too large");
    OK(parse_net("1 dense:65536", 0, 0, &err));
    UNUSABLE(parse_net("1 dense:65537", 0, 0, &err), "too large");
    OK(parse_net("4095 dense:65536", 0, 0, &err)); /* and the bias: 2^28 parameters */
    UNUSABLE(parse_net("4095 dense:65536 dense:1", 0, 0, &err), "more than 268435456 parameters");
}

static void caps_of_plans(void **state) {
    (void)state;
    static struct tare_plan plan;
    struct tare_err err = {0};
    char name[128];
    tare_plan_defaults(&plan);
    for (int i = 0; i < TARE_MAX_CELLS; i++) {
        snprintf(name, sizeof name, "e%d", i);
        OK(tare_plan_add(&plan, name, NULL, &err));
    }
    UNUSABLE(tare_plan_add(&plan, "one-more", NULL, &err), "32");
    tare_plan_defaults(&plan);
    snprintf(name, sizeof name, "%0*d/%0*d", (int)sizeof plan.cells[0].engine - 1, 0,
             (int)sizeof plan.cells[0].variant - 1, 0);
    OK(tare_plan_add(&plan, name, NULL, &err));
    snprintf(name, sizeof name, "%0*d", (int)sizeof plan.cells[0].engine, 0);
    UNUSABLE(tare_plan_add(&plan, name, NULL, &err), "not an engine's name");
    snprintf(name, sizeof name, "x/%0*d", (int)sizeof plan.cells[0].variant, 0);
    UNUSABLE(tare_plan_add(&plan, name, NULL, &err), "not an engine's name");
}

static void caps_of_environments(void **state) {
    (void)state;
    for (size_t length = TARE_ENVIRONMENT_PATH - 1; length <= TARE_ENVIRONMENT_PATH; length++) {
        struct tare_err err = {0};
        struct tare_environment found;
        char line[TARE_ENVIRONMENT_PATH + 64];
        const int size = snprintf(line, sizeof line, "x /python /%0*d 812\n", (int)length - 1, 0);
        if (length < TARE_ENVIRONMENT_PATH)
            OK(tare_environment_parse(&found, "x", line, (size_t)size, "f", &err));
        else
            REFUSED(tare_environment_parse(&found, "x", line, (size_t)size, "f", &err),
                    "at most 1023 fit");
    }
}

/* ---- samples -----------------------------------------------------------------------------------
 */

static void put_experiment(struct tare_buf *out, size_t runs, size_t cells) {
    tare_buf_printf(out,
                    "{\"record\":\"experiment\",\"format\":\"tare-samples/1\",\"dataset\":{"
                    "\"name\":\"m\",\"title\":\"M\",\"train\":64,\"test\":16},\"plan\":{"
                    "\"model\":\"4 dense:2\",\"epochs\":1,\"batch\":32,\"runs\":%zu,"
                    "\"threads\":2,\"cells\":[",
                    runs);
    for (size_t i = 0; i < cells; i++)
        tare_buf_printf(out, "%s{\"engine\":\"e%zu\",\"track\":\"controlled\",\"threads\":2}",
                        i > 0 ? "," : "", i);
    tare_buf_puts(out, "]}}\n");
}

static void put_jobs(struct tare_buf *out, size_t jobs, size_t phases) {
    for (size_t i = 0; i < jobs; i++) {
        tare_buf_printf(out,
                        "{\"record\":\"job\",\"index\":%zu,\"task\":\"infer\",\"run\":0,\"state\":"
                        "\"ok\",\"engine\":\"e0\",\"track\":\"controlled\",\"phases\":[",
                        i);
        for (size_t k = 0; k < phases; k++)
            tare_buf_printf(out, "%s{\"name\":\"p\",\"wall_ns\":1}", k > 0 ? "," : "");
        tare_buf_puts(out, "]}\n");
    }
}

/* Reads the text as a file, and frees it. */
static enum tare_status read_samples(struct tare_buf *text, struct tare_err *err) {
    struct tare_summary summary;
    assert_false(text->failed);
    const char *path = scratch_write("samples.jsonl", text->data, text->size);
    const enum tare_status status = tare_summary_read(&summary, path, err);
    tare_summary_free(&summary);
    tare_buf_free(text);
    return status;
}

static enum tare_status read_plan(size_t runs, size_t cells, struct tare_err *err) {
    struct tare_buf text = {0};
    put_experiment(&text, runs, cells);
    return read_samples(&text, err);
}

static enum tare_status read_jobs(size_t jobs, size_t phases, struct tare_err *err) {
    struct tare_buf text = {0};
    put_experiment(&text, 1, 1);
    put_jobs(&text, jobs, phases);
    return read_samples(&text, err);
}

static enum tare_status read_certificates(size_t count, struct tare_err *err) {
    struct tare_buf text = {0};
    put_experiment(&text, 1, 1);
    for (size_t i = 0; i < count; i++)
        tare_buf_puts(&text, "{\"record\":\"certificate\",\"engine\":\"e0\",\"state\":\"ok\"}\n");
    return read_samples(&text, err);
}

/* A second line of so many bytes. */
static enum tare_status read_line_of(size_t bytes, struct tare_err *err) {
    struct tare_buf text = {0};
    put_experiment(&text, 1, 1);
    tare_buf_printf(&text, "{\"record\":\"x\",\"x\":\"%0*d\"}\n", (int)bytes - 21, 0);
    return read_samples(&text, err);
}

static enum tare_status read_misfits(size_t count, struct tare_err *err) {
    char link[TARE_LINK_BYTES + 1];
    struct tare_buf text = {0};
    put_experiment(&text, 1, 1);
    text.size -= 2; /* "}\n" */
    assert_true(tare_link(link, "", text.data, text.size));
    tare_buf_printf(&text, TARE_LINK_KEY "%s" TARE_LINK_END "\n", link);
    for (size_t i = 0; i < count; i++)
        tare_buf_puts(&text, "{\"record\":\"x\"}\n");
    return read_samples(&text, err);
}

static void caps_of_samples(void **state) {
    (void)state;
    struct tare_err err = {0};
    OK(read_plan(TARE_MAX_RUNS, 1, &err));
    REFUSED(read_plan(TARE_MAX_RUNS + 1, 1, &err), "between 1 and 1000");
    REFUSED(read_plan(0, 1, &err), "between 1 and 1000");
    OK(read_plan(1, TARE_MAX_SAMPLE_CELLS, &err));
    REFUSED(read_plan(1, TARE_MAX_SAMPLE_CELLS + 1, &err), "at most 64");
    OK(read_jobs(1, TARE_MAX_EVENTS, &err));
    REFUSED(read_jobs(1, TARE_MAX_EVENTS + 1, &err), "at most 8192 items");
    OK(read_certificates(TARE_MAX_CERTIFICATES, &err));
    REFUSED(read_certificates(TARE_MAX_CERTIFICATES + 1, &err), "more than 128 certificates");
    OK(read_line_of(TARE_MAX_SAMPLES_LINE, &err));
    REFUSED(read_line_of(TARE_MAX_SAMPLES_LINE + 1, &err), "longer than 4194304 bytes");
    assert_non_null(strstr(err.where, "samples.jsonl:2"));
    OK(read_misfits(TARE_MAX_MISFITS, &err));
    REFUSED(read_misfits(TARE_MAX_MISFITS + 1, &err), "more than 20000 lines");
}

static void caps_of_jobs(void **state) {
    (void)state;
    struct tare_err err = {0};
    OK(read_jobs(TARE_MAX_JOBS, 0, &err));
    REFUSED(read_jobs(TARE_MAX_JOBS + 1, 0, &err), "more than 20000 jobs");
}

/* A line of so many bytes, its newline among them, and none of it to be kept. */
static void put_line(struct tare_buf *out, size_t bytes) {
    static const char begin[] = "{\"record\":\"x\",\"x\":\"";
    static char filler[MIB];
    memset(filler, 'x', sizeof filler);
    tare_buf_puts(out, begin);
    for (size_t left = bytes - (sizeof begin - 1) - 3, some; left > 0; left -= some) {
        some = left < MIB ? left : MIB;
        tare_buf_append(out, filler, some);
    }
    tare_buf_puts(out, "\"}\n");
}

/* 64 MiB, which are read up to a line that is nothing, and one byte more, which isn't read at all:
 * parsing all of it would only be slow. */
static void caps_of_samples_bytes(void **state) {
    (void)state;
    for (size_t more = 0; more < 2; more++) {
        struct tare_buf text = {0};
        struct tare_err err = {0};
        put_experiment(&text, 1, 1);
        tare_buf_puts(&text, "nothing\n");
        while (text.size + 8 * MIB < TARE_MAX_SAMPLES_BYTES)
            put_line(&text, 4 * MIB);
        put_line(&text, 4 * MIB);
        put_line(&text, TARE_MAX_SAMPLES_BYTES + more - text.size);
        assert_int_equal(text.size, TARE_MAX_SAMPLES_BYTES + more);
        REFUSED(read_samples(&text, &err),
                more == 0 ? "not a JSON object" : "larger than the 67108864 bytes");
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(caps_of_npy),           cmocka_unit_test(caps_of_idx),
        cmocka_unit_test(caps_of_gzip),          cmocka_unit_test(caps_of_classes),
        cmocka_unit_test(caps_of_png),           cmocka_unit_test(caps_of_json),
        cmocka_unit_test(caps_of_safetensors),   cmocka_unit_test(caps_of_the_protocol),
        cmocka_unit_test(long_texts_of_events),  cmocka_unit_test(caps_of_nets),
        cmocka_unit_test(caps_of_plans),         cmocka_unit_test(caps_of_environments),
        cmocka_unit_test(caps_of_samples),       cmocka_unit_test(caps_of_jobs),
        cmocka_unit_test(caps_of_samples_bytes),
    };
    /* Large files and many folders, which a disk would take minutes for. */
    if (access("/dev/shm", W_OK) == 0)
        setenv("TMPDIR", "/dev/shm", 1);
    return cmocka_run_group_tests_name("caps", tests, scratch_setup, scratch_teardown);
}
