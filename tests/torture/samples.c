/* samples.c: damages a finished samples.jsonl in every way that the kinds below name and looks
 * whether each damage is found, in the lines where it is and in no others, and whether the rest can
 * still be read. samples.sh runs it.
 *
 *     samples quick|long TARE DIR      TARE: the program; DIR: an empty folder to work in
 *     samples one FILE:KIND:N TARE DIR
 *
 * A case is known by its file (small: 100 lines, big: 10,000), its kind and its number, and is the
 * same each time. The whole check of a big file takes a tenth of a second, so that most cases are
 * checked from the damage on until what is known of the chain is again what it is in the sound file
 * at that place: from there on nothing can differ. A part of the cases is checked as a whole too
 * (tare_verify_lines), a part is salvaged, and some go through `tare verify` itself: all must say
 * the same.
 */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lab/provenance.h"
#include "lab/read_samples.h"
#include "lab/record.h"
#include "tare/buf.h"
#include "tare/clock.h"
#include "tare/lab.h"
#include "tare/rng.h"
#include "tare/verify.h"

#define SOURCE "doc/results/mnist-6-runs/samples.jsonl"
#define MAX_LINES 10001
#define MAX_EDITS 2
#define MAX_FOUND 16
#define MISSING_END 0 /* as the number of a line */
#define MAX_TOLD 20   /* failures that are printed */

static void die(const char *what) {
    fprintf(stderr, "samples: %s\n", what);
    exit(1);
}

/* ---- a finished file ---------------------------------------------------------------------------
 */

struct file {
    const char *name;
    struct tare_buf text;
    size_t count;                    /* lines */
    size_t begin[MAX_LINES + 1];     /* where each begins; begin[count] is the end */
    struct tare_chain at[MAX_LINES]; /* what is known before each line */
    bool is_job[MAX_LINES];
};

static struct file small = {.name = "small"}, big = {.name = "big"}, foreign = {.name = "foreign"};

static size_t line_size(const struct file *f, size_t line) {
    return f->begin[line + 1] - f->begin[line];
}

/* Adds a record with its link; the newline is part of the line. Takes the record. */
static void add_line(struct file *f, json_t *record, char link[TARE_LINK_BYTES + 1]) {
    json_object_del(record, "chain");
    char *text = json_dumps(record, JSON_COMPACT | JSON_PRESERVE_ORDER);
    char next[TARE_LINK_BYTES + 1];
    if (!text || f->count == MAX_LINES || !tare_link(next, link, text, strlen(text) - 1))
        die("no memory for a line");
    const char *kind = json_string_value(json_object_get(record, "record"));
    f->is_job[f->count] = strcmp(kind, "job") == 0;
    f->begin[f->count++] = f->text.size;
    tare_buf_append(&f->text, text, strlen(text) - 1);
    tare_buf_printf(&f->text, TARE_LINK_KEY "%s" TARE_LINK_END "\n", next);
    memcpy(link, next, sizeof next);
    f->begin[f->count] = f->text.size;
    free(text);
    json_decref(record);
}

static void add_to(json_t *object, const char *key, size_t more) {
    json_t *value = json_object_get(object, key);
    if (value)
        json_object_set_new(object, key,
                            json_integer(json_integer_value(value) + (json_int_t)more));
}

/* The records of a real experiment, as often as it takes: each round has the first run's jobs with
 * indices and a run of their own. */
static void make_file(struct file *f, const json_t *records, size_t count, const char *created,
                      size_t slower_ns) {
    char link[TARE_LINK_BYTES + 1] = "";
    size_t records_count = json_array_size(records), per_round = 0, lines = 0;
    for (size_t i = 0; i < records_count; i++) {
        const json_t *record = json_array_get(records, i), *run = json_object_get(record, "run");
        size_t index = (size_t)json_integer_value(json_object_get(record, "index"));
        bool first = json_is_integer(run) && json_integer_value(run) == 0;
        per_round = first && index >= per_round ? index + 1 : per_round;
        lines += first;
    }
    for (size_t round = 0; f->count < count - 1; round++)
        for (size_t i = 0; i < records_count && f->count < count - 1; i++) {
            const json_t *from = json_array_get(records, i), *run = json_object_get(from, "run");
            bool of_a_run = json_is_integer(run) && json_integer_value(run) >= 0;
            if (of_a_run ? json_integer_value(run) > 0 : round > 0)
                continue;
            json_t *record = json_deep_copy(from);
            add_to(record, "run", of_a_run ? round : 0);
            add_to(record, "index", round * per_round);
            add_to(json_object_get(record, "of"), "index", round * per_round);
            add_to(record, "wall_ns", slower_ns);
            if (f->count == 0) {
                json_object_set_new(record, "created", json_string(created));
                json_object_set_new(json_object_get(record, "plan"), "runs",
                                    json_integer((json_int_t)(count / lines + 1)));
            }
            add_line(f, record, link);
        }
    add_line(f, json_pack("{s:s,s:b}", "record", "end", "complete", 1), link);
}

/* What is known before each line; and the file must be one that tare report reads. */
static void know_chain(struct file *f) {
    struct tare_chain chain = {0};
    for (size_t i = 0; i < f->count; i++) {
        bool sound = false;
        f->at[i] = chain;
        if (!tare_chain_take(&chain, &sound, f->text.data + f->begin[i], line_size(f, i) - 1))
            die("no memory for a chain");
        if (!sound)
            die("a sound file isn't");
    }
    struct tare_summary summary;
    struct tare_err err = {0};
    if (tare_summary_parse(&summary, f->text.data, f->text.size, f->name, &err) != TARE_OK)
        die(err.what);
    tare_summary_free(&summary);
}

/* tare's own way to write a record must give the same bytes. */
static void compare_with_append(const struct file *f, const char *dir) {
    struct tare_buf written = {0};
    char *path = tare_path_join(dir, "samples.jsonl");
    for (size_t i = 0; i < f->count; i++) {
        json_t *record = json_loadb(f->text.data + f->begin[i], line_size(f, i), 0, NULL);
        json_object_del(record, "chain");
        enum tare_status status = i ? tare_samples_append(dir, TARE_SAMPLES_FILE, record, NULL)
                                    : tare_samples_begin(dir, TARE_SAMPLES_FILE, record, NULL);
        if (status != TARE_OK)
            die("a record can't be appended");
    }
    if (tare_file_read(&written, path, f->text.size, NULL) != TARE_OK ||
        written.size != f->text.size || memcmp(written.data, f->text.data, written.size) != 0)
        die("the files here aren't what tare writes");
    tare_buf_free(&written);
    free(path);
}

static void make_files(const char *dir) {
    struct tare_buf source = {0};
    json_t *records = json_array();
    if (tare_file_read(&source, SOURCE, TARE_MAX_SAMPLES_BYTES, NULL) != TARE_OK)
        die(SOURCE " can't be read; run from the root of the checkout");
    for (char *at = source.data, *end; (end = strchr(at, '\n')); at = end + 1) {
        json_t *record = json_loadb(at, (size_t)(end - at), 0, NULL);
        if (!record || json_array_append_new(records, record) != 0)
            die(SOURCE " has a line that isn't JSON");
    }
    json_array_remove(records, json_array_size(records) - 1); /* the end: each file has its own */
    make_file(&small, records, 100, "2026-01-31T12:00:00Z", 0);
    make_file(&foreign, records, 100, "2026-02-01T12:00:00Z", 1);
    make_file(&big, records, 10000, "2026-01-31T12:00:00Z", 0);
    know_chain(&small);
    know_chain(&big);
    compare_with_append(&small, dir);
    json_decref(records);
    tare_buf_free(&source);
}

/* ---- a damage ----------------------------------------------------------------------------------
 */

/* Lines from … to−1 (from 0) have become these bytes. */
struct edit {
    size_t from, to;
    struct tare_buf bytes;
};

struct damage {
    struct edit edits[MAX_EDITS]; /* in the file's order */
    size_t edit_count;
    size_t expected[MAX_FOUND]; /* lines of the damaged file, from 1, in its order */
    size_t expected_count;
    bool none; /* nothing to do: the next case, please */
};

static struct edit *edit_lines(struct damage *d, size_t from, size_t to) {
    struct edit *edit = &d->edits[d->edit_count++];
    edit->from = from;
    edit->to = to;
    edit->bytes.size = 0;
    return edit;
}

static void put_line(struct edit *edit, const struct file *f, size_t line) {
    tare_buf_append(&edit->bytes, f->text.data + f->begin[line], line_size(f, line));
}

static void expect(struct damage *d, size_t line) {
    d->expected[d->expected_count++] = line;
}

/* The line (from 0) that a byte belongs to. */
static size_t line_of(const struct file *f, size_t byte) {
    size_t low = 0, high = f->count;
    while (low + 1 < high) {
        size_t middle = (low + high) / 2;
        *(f->begin[middle] <= byte ? &low : &high) = middle;
    }
    return low;
}

/* In line k: found at k. The newline that ends k: k and the next line are one, found at k. A new
 * newline inside k: at k and k + 1, its two halves. Gives by how much later lines move. */
static int flip(struct damage *d, const struct file *f, size_t bit, int shift) {
    size_t byte = bit / 8, line = line_of(f, byte), at = byte - f->begin[line];
    char was = f->text.data[byte], is = (char)(was ^ (1 << bit % 8));
    bool merged = was == '\n' && line + 1 < f->count;
    struct edit *edit = edit_lines(d, line, line + 1 + merged);
    put_line(edit, f, line);
    if (merged)
        put_line(edit, f, line + 1);
    edit->bytes.data[at] = is;
    expect(d, line + 1 + (size_t)shift);
    if (is == '\n')
        expect(d, line + 2 + (size_t)shift);
    return is == '\n' ? 1 : merged ? -1 : 0;
}

static uint64_t number(const struct file *f, int kind, size_t n, uint64_t draw, uint64_t below) {
    struct tare_rng rng;
    tare_rng_seed(&rng, n * 64 + (uint64_t)kind * 8 + draw + (f == &big ? UINT64_C(1) << 40 : 0),
                  TARE_STREAM_TEST);
    return tare_rng_below(&rng, below);
}

#define KIND_LIST(X)                                                                               \
    X(FLIP, "flip")        /* one bit */                                                           \
    X(TWO, "two-flips")    /* a bit in each of two lines */                                        \
    X(DROP, "dropped")     /* a line */                                                            \
    X(DOUBLE, "doubled")   /* a line */                                                            \
    X(SWAP, "swapped")     /* a line with the next */                                              \
    X(FAR, "swapped-far")  /* a line with any other */                                             \
    X(MOVE, "moved")       /* a line to another place */                                           \
    X(REPLACE, "replaced") /* a line by one of another experiment, the same or any */              \
    X(CUT, "cut")          /* everything after a line */                                           \
    X(TEAR, "torn")        /* everything after a byte */

enum kind {
#define X(id, name) id,
    KIND_LIST(X)
#undef X
        KIND_COUNT
};
static const char *const kind_names[] = {
#define X(id, name) name,
    KIND_LIST(X)
#undef X
};

/* How many cases of a kind there are. */
static size_t case_count(const struct file *f, enum kind kind) {
    switch (kind) {
    case FLIP:
        return f == &small ? 8 * f->text.size : 10000;
    case TWO:
    case FAR:
    case MOVE:
        return 2000;
    case DROP:
    case DOUBLE:
        return f->count;
    case SWAP:
    case CUT:
        return f->count - 1;
    case REPLACE:
        return 2 * f->count;
    case TEAR: /* every byte of the last three lines, and as many anywhere */
        return 2 * (f->text.size - f->begin[f->count - 3]);
    case KIND_COUNT:
        break;
    }
    return 0;
}

/* Two bits in different lines: each found where it is. Where one of them makes or takes a newline
 * and the other is in the line beside it, which lines there are is a matter of opinion. */
static void flip_two(struct damage *d, const struct file *f, size_t n) {
    size_t a = number(f, TWO, n, 0, 8 * f->text.size), b = number(f, TWO, n, 1, 8 * f->text.size);
    if (n % 4 == 0) { /* a quarter of them side by side, half of these in the links */
        size_t line = line_of(f, a / 8), next = line + 1 < f->count ? line + 1 : 0;
        size_t from = n % 8 == 0 ? line_size(f, next) - TARE_LINK_TAIL_BYTES : 0;
        b = 8 * (f->begin[next] + from) + b % (8 * (line_size(f, next) - from));
    }
    size_t first = a < b ? a : b, second = a < b ? b : a;
    int shift = flip(d, f, first, 0);
    int more = flip(d, f, second, shift);
    size_t apart = d->edits[1].from - d->edits[0].from;
    d->none = apart == 0 || (apart == 1 && (shift != 0 || more != 0));
}

/* Line i stands where j did and the other way round; i < j. */
static void swap(struct damage *d, const struct file *f, size_t i, size_t j) {
    put_line(edit_lines(d, i, i + 1 + (j == i + 1)), f, j);
    put_line(j == i + 1 ? &d->edits[0] : edit_lines(d, j, j + 1), f, i);
    expect(d, i + 1);
    expect(d, i + 2);
    if (j > i + 1)
        expect(d, j + 1);
    if (j + 1 < f->count)
        expect(d, j + 2);
}

/* Line i is taken out and put in before line j. */
static void move(struct damage *d, const struct file *f, size_t i, size_t j) {
    d->none = j == i || j == i + 1;
    if (d->none)
        return;
    if (i < j) {
        edit_lines(d, i, i + 1);
        put_line(edit_lines(d, j, j), f, i);
        expect(d, i + 1); /* what came after it */
        if (j > i + 1)
            expect(d, j); /* itself */
        if (j < f->count)
            expect(d, j + 1);
        return;
    }
    put_line(edit_lines(d, j, j), f, i);
    edit_lines(d, i, i + 1);
    expect(d, j + 1);
    expect(d, j + 2);
    if (i + 1 < f->count)
        expect(d, i + 2);
    else if (i > j + 1) /* the end itself: the last line is another now, and fits */
        expect(d, MISSING_END);
}

static bool same_text(const struct file *f, size_t line, size_t by) {
    size_t size = line_size(f, line);
    return size == line_size(&foreign, by) &&
           memcmp(f->text.data + f->begin[line], foreign.text.data + foreign.begin[by],
                  size - TARE_LINK_TAIL_BYTES - 1) == 0;
}

/* A line of another experiment: found there, and behind it, as nothing is left of what the next one
 * was chained to; unless both experiments say the same there. The first line of any experiment is
 * as good as this one's: the second doesn't fit behind it. */
static void replace(struct damage *d, const struct file *f, size_t n) {
    size_t line = n % f->count;
    size_t by =
        n < f->count && line < foreign.count ? line : number(f, REPLACE, n, 0, foreign.count);
    put_line(edit_lines(d, line, line + 1), &foreign, by);
    if (line > 0 || by > 0)
        expect(d, line + 1);
    if (line + 1 < f->count && !same_text(f, line, by))
        expect(d, line + 2);
}

static void tear(struct damage *d, const struct file *f, size_t n) {
    size_t tail = f->text.size - f->begin[f->count - 3];
    size_t byte = n < tail ? f->begin[f->count - 3] + n : number(f, TEAR, n, 0, f->text.size);
    size_t line = line_of(f, byte), size = byte - f->begin[line];
    struct edit *edit = edit_lines(d, line, f->count);
    tare_buf_append(&edit->bytes, f->text.data + f->begin[line], size);
    expect(d, size == 0 ? MISSING_END : line + 1);
}

static void make_damage(struct damage *d, const struct file *f, enum kind kind, size_t n) {
    d->edit_count = d->expected_count = 0;
    d->none = false;
    size_t last = f->count - 1, other;
    switch (kind) {
    case FLIP:
        flip(d, f, f == &small ? n : number(f, kind, n, 0, 8 * f->text.size), 0);
        return;
    case TWO:
        flip_two(d, f, n);
        return;
    case DROP: /* the line after it stands in its place */
        edit_lines(d, n, n + 1);
        expect(d, n == last ? MISSING_END : n + 1);
        return;
    case DOUBLE: /* the second one is too many */
        put_line(edit_lines(d, n + 1, n + 1), f, n);
        expect(d, n + 2);
        return;
    case SWAP: /* neither stands behind its own, nor does the line after them */
        swap(d, f, n, n + 1);
        return;
    case FAR:
        other = number(f, kind, n, 0, f->count);
        d->none = other == n % f->count;
        if (!d->none)
            swap(d, f, other < n % f->count ? other : n % f->count,
                 other < n % f->count ? n % f->count : other);
        return;
    case MOVE:
        move(d, f, number(f, kind, n, 0, f->count), number(f, kind, n, 1, f->count + 1));
        return;
    case REPLACE:
        replace(d, f, n);
        return;
    case CUT:
        edit_lines(d, n + 1, f->count);
        expect(d, MISSING_END);
        return;
    case TEAR:
        tear(d, f, n);
        return;
    case KIND_COUNT:
        break;
    }
}

/* The whole damaged file. */
static void whole_text(struct tare_buf *text, const struct file *f, const struct damage *d) {
    size_t line = 0;
    text->size = 0;
    for (size_t i = 0; i < d->edit_count; i++) {
        const struct edit *edit = &d->edits[i];
        tare_buf_append(text, f->text.data + f->begin[line], f->begin[edit->from] - f->begin[line]);
        tare_buf_append(text, edit->bytes.data ? edit->bytes.data : "", edit->bytes.size);
        line = edit->to;
    }
    tare_buf_append(text, f->text.data + f->begin[line], f->text.size - f->begin[line]);
    if (text->failed)
        die("no memory for a damaged file");
}

/* ---- what is found -----------------------------------------------------------------------------
 */

struct found {
    size_t lines[MAX_FOUND], count;
};

static void find(struct found *found, size_t line) {
    if (found->count < MAX_FOUND)
        found->lines[found->count] = line;
    found->count++;
}

static bool is_found(const struct found *found, size_t line) {
    for (size_t i = 0; i < found->count && i < MAX_FOUND; i++)
        if (found->lines[i] == line)
            return true;
    return false;
}

static bool is_expected(const struct damage *d, const struct found *found) {
    return found->count == d->expected_count &&
           memcmp(found->lines, d->expected, found->count * sizeof *found->lines) == 0;
}

/* The checked lines so far. */
struct position {
    struct tare_chain chain;
    size_t line; /* of the damaged file, from 0: the next */
    bool ended;
};

static void take_line(struct position *p, struct found *found, const char *text, size_t size) {
    bool sound = false, newline = size > 0 && text[size - 1] == '\n';
    if (!tare_chain_take(&p->chain, &sound, text, size - newline))
        die("no memory for a chain");
    p->line++;
    if (!sound || !newline)
        find(found, p->line);
    p->ended = !sound || !newline || strncmp(text, "{\"record\":\"end\"", 15) == 0;
}

/* From the damage on until the chain is known as in the sound file. */
static void check_part(struct found *found, const struct file *f, const struct damage *d) {
    struct position p = {.ended = true};
    size_t line = 0; /* of the sound file */
    found->count = 0;
    for (size_t e = 0; e <= d->edit_count; e++) {
        size_t until = e < d->edit_count ? d->edits[e].from : f->count;
        bool same = memcmp(&p.chain, &f->at[line < f->count ? line : 0], sizeof p.chain) == 0;
        while (line < until && !same) {
            take_line(&p, found, f->text.data + f->begin[line], line_size(f, line));
            line++;
            same = line < f->count && memcmp(&p.chain, &f->at[line], sizeof p.chain) == 0;
        }
        if (line < until) { /* sound up to there: nothing can differ */
            p.line += until - line;
            p.ended = until == f->count;
            p.chain = f->at[until < f->count ? until : 0];
        }
        if (e == d->edit_count)
            break;
        const struct tare_buf *bytes = &d->edits[e].bytes;
        for (size_t at = 0; at < bytes->size;) {
            const char *newline = memchr(bytes->data + at, '\n', bytes->size - at);
            size_t end = newline ? (size_t)(newline - bytes->data) + 1 : bytes->size;
            take_line(&p, found, bytes->data + at, end - at);
            at = end;
        }
        line = d->edits[e].to;
    }
    if (!p.ended)
        find(found, MISSING_END);
}

static void remember(void *context, enum tare_finding finding, const char *path, const char *why) {
    static const char line_of[] = "samples.jsonl:";
    (void)finding, (void)why;
    bool line = strncmp(path, line_of, sizeof line_of - 1) == 0;
    find(context, line ? strtoul(path + sizeof line_of - 1, NULL, 10) : MISSING_END);
}

/* tare's own check of the lines, from the first to the last. */
static void check_whole(struct found *found, const struct tare_buf *text) {
    struct tare_verify verify = {.found = remember, .context = found};
    found->count = 0;
    if (tare_verify_lines(&verify, text->data, text->size, NULL) != TARE_OK)
        die("no memory to verify");
}

/* `tare verify DIR`; false where it says that there are no checksums at all, and is right. */
static bool check_folder(struct found *found, const struct tare_buf *text, const char *tare,
                         const char *dir) {
    struct tare_buf command = {0};
    char line[1000], *path = tare_path_join(dir, "samples.jsonl");
    tare_buf_shell_word(&command, tare);
    tare_buf_puts(&command, " verify ");
    tare_buf_shell_word(&command, dir);
    tare_buf_puts(&command, " 2>&1");
    found->count = 0;
    if (tare_file_write(path, text->data, text->size, NULL) != TARE_OK || command.failed)
        die("a damaged file can't be written");
    FILE *said = popen(command.data, "r");
    while (said && fgets(line, sizeof line, said)) {
        char *space = strchr(line, ' '), *name = space ? space + strspn(space, " ") : line;
        if (strncmp(name, "samples.jsonl:", 14) == 0)
            find(found, name[14] == ' ' ? MISSING_END : strtoul(name + 14, NULL, 10));
    }
    int status = said ? pclose(said) : -1;
    int code = status >= 0 && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    bool chained = text->size > 0 && tare_is_chained(text->data, text->size);
    if (code != (chained ? 1 : 3))
        found->count = MAX_FOUND + 1; /* as bad as any wrong finding */
    tare_buf_free(&command);
    free(path);
    return chained || found->count > 0;
}

/* Whether every line that is sound is read, and no other. */
static bool is_salvaged(const struct tare_buf *text, const struct found *found) {
    struct tare_samples samples;
    size_t jobs = 0, lines = 0, left_out = 0;
    for (size_t at = 0; at < text->size; lines++) {
        const char *newline = memchr(text->data + at, '\n', text->size - at);
        size_t end = newline ? (size_t)(newline - text->data) + 1 : text->size;
        bool sound = !is_found(found, lines + 1);
        left_out += newline && !sound;
        jobs += sound && strncmp(text->data + at, "{\"record\":\"job\"", 15) == 0;
        at = end;
    }
    enum tare_status status = tare_samples_salvage(&samples, text->data, text->size, "s", NULL);
    if (lines == 0 || is_found(found, 1) || !tare_is_chained(text->data, text->size)) {
        if (status == TARE_OK)
            tare_memory_free(&samples.memory);
        return status == TARE_DATA;
    }
    if (status != TARE_OK)
        return false;
    bool good = samples.job_count == jobs && samples.misfit_count == left_out;
    for (size_t i = 0; i < samples.misfit_count; i++)
        good = good && is_found(found, samples.misfits[i]);
    tare_memory_free(&samples.memory);
    return good;
}

/* ---- cases -------------------------------------------------------------------------------------
 */

struct torture {
    const char *tare, *dir;
    struct damage damage;
    struct tare_buf text;
    size_t tried, survived, told;
};

enum depth { PART, WHOLE, FOLDER };

static void tell(struct torture *t, const struct file *f, enum kind kind, size_t n,
                 const char *what, const struct found *found) {
    if (t->told++ >= MAX_TOLD)
        return;
    fprintf(stderr, "%s:%s:%zu: %s: expected", f->name, kind_names[kind], n, what);
    for (size_t i = 0; i < t->damage.expected_count; i++)
        fprintf(stderr, " %zu", t->damage.expected[i]);
    fprintf(stderr, ", found");
    for (size_t i = 0; i < found->count && i < MAX_FOUND; i++)
        fprintf(stderr, " %zu", found->lines[i]);
    fprintf(stderr, "\n");
}

static bool try_case(struct torture *t, const struct file *f, enum kind kind, size_t n,
                     enum depth depth) {
    struct found found;
    make_damage(&t->damage, f, kind, n);
    if (t->damage.none)
        return true;
    t->tried++;
    check_part(&found, f, &t->damage);
    const char *wrong = is_expected(&t->damage, &found) ? NULL : "checked from the damage on";
    if (depth >= WHOLE)
        whole_text(&t->text, f, &t->damage);
    if (depth >= WHOLE && !wrong) {
        check_whole(&found, &t->text);
        if (!is_expected(&t->damage, &found))
            wrong = "checked as a whole";
        else if (!is_salvaged(&t->text, &found))
            wrong = "the rest isn't read as it should be";
    }
    if (depth == FOLDER && !wrong && check_folder(&found, &t->text, t->tare, t->dir) &&
        !is_expected(&t->damage, &found))
        wrong = "tare verify";
    if (wrong)
        tell(t, f, kind, n, wrong, &found);
    t->survived += !wrong;
    return !wrong;
}

/* Which cases of a kind are tried: every `step`th; of these every `whole`th as a whole and every
 * `folder`th through tare verify. The middle ones, as the first are the easy ones. */
struct way {
    size_t step, whole, folder;
};

static struct way way_of(const struct file *f, enum kind kind, bool quick) {
    size_t count = case_count(f, kind);
    bool bits = f == &small && kind == FLIP;
    size_t step = quick && bits ? 29 : 1; /* odd, so that each bit of a byte takes its turn */
    size_t wholes = f == &big ? (quick ? 1 : 20) : quick ? 40 : bits ? 2000 : 500;
    size_t folders = f == &big ? (quick ? 0 : 1) : quick ? 2 : 20;
    size_t tried = (count + step - 1) / step;
    return (struct way){step, tried / wholes + 1, folders > 0 ? tried / folders + 1 : tried * 2};
}

static size_t try_kind(struct torture *t, const struct file *f, enum kind kind, bool quick) {
    size_t count = case_count(f, kind), tried = t->tried, survived = t->survived, all = 0;
    struct way way = way_of(f, kind, quick);
    int64_t begun = tare_now_ns();
    for (size_t n = 0; n < count; n++) {
        size_t i = n / way.step;
        bool whole = i % way.whole == way.whole / 2, folder = i % way.folder == way.folder / 2;
        if (n % way.step == 0)
            try_case(t, f, kind, n, folder ? FOLDER : whole ? WHOLE : PART);
        else
            t->damage.none = false; /* with steps, every case has something to do */
        all += !t->damage.none;
    }
    fprintf(stderr, "  %-5s %-11s %8zu of %8zu cases, %8zu survived, %5.1f s\n", f->name,
            kind_names[kind], t->tried - tried, all, t->survived - survived,
            (double)(tare_now_ns() - begun) * 1e-9);
    return all;
}

static int try_one(struct torture *t, const char *name) {
    char file[16], kind[16];
    size_t n;
    if (sscanf(name, "%15[a-z]:%15[a-z-]:%zu", file, kind, &n) != 3)
        die("a case is small:flip:1234");
    const struct file *f = strcmp(file, "big") == 0 ? &big : &small;
    for (int k = 0; k < KIND_COUNT; k++)
        if (strcmp(kind, kind_names[k]) == 0 && n < case_count(f, (enum kind)k)) {
            bool good = try_case(t, f, (enum kind)k, n, FOLDER);
            printf("result %zu %zu %zu\n", t->tried, t->survived, t->tried);
            return good ? 0 : 1;
        }
    die("there is no such case");
    return 1;
}

int main(int argc, char **argv) {
    bool one = argc == 5 && strcmp(argv[1], "one") == 0;
    if (!one && argc != 4)
        die("samples quick|long TARE DIR, or samples one CASE TARE DIR");
    struct torture t = {.tare = argv[argc - 2], .dir = argv[argc - 1]};
    make_files(t.dir);
    int code = 0;
    if (one) {
        code = try_one(&t, argv[2]);
    } else {
        size_t all = 0;
        const struct file *const files[] = {&small, &big};
        for (size_t i = 0; i < 2; i++)
            for (int k = 0; k < KIND_COUNT; k++)
                all += try_kind(&t, files[i], (enum kind)k, strcmp(argv[1], "quick") == 0);
        printf("result %zu %zu %zu\n", t.tried, t.survived, all);
        code = t.survived == t.tried ? 0 : 1;
    }
    for (size_t i = 0; i < MAX_EDITS; i++)
        tare_buf_free(&t.damage.edits[i].bytes);
    tare_buf_free(&t.text);
    tare_buf_free(&small.text);
    tare_buf_free(&big.text);
    tare_buf_free(&foreign.text);
    return code;
}
