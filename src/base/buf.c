/* buf.c: growable bytes. Files that are read into them or written from them: file.c. */
#include "tare/buf.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* Makes room for `more` further bytes and the NUL. */
static bool reserve(struct tare_buf *buf, size_t more) {
    if (buf->failed || more > SIZE_MAX / 4 || buf->size > SIZE_MAX / 4) {
        buf->failed = true;
        return false;
    }
    size_t need = buf->size + more + 1;
    if (need <= buf->capacity)
        return true;
    size_t capacity = buf->capacity * 2 > need ? buf->capacity * 2 : need;
    char *grown = realloc(buf->data, capacity);
    if (!grown) {
        buf->failed = true;
        return false;
    }
    buf->data = grown;
    buf->capacity = capacity;
    return true;
}

void tare_buf_reserve(struct tare_buf *buf, size_t more) {
    reserve(buf, more);
}

void tare_buf_append(struct tare_buf *buf, const void *data, size_t size) {
    if (!reserve(buf, size))
        return;
    if (size > 0)
        memcpy(buf->data + buf->size, data, size);
    buf->size += size;
    buf->data[buf->size] = '\0';
}

void tare_buf_puts(struct tare_buf *buf, const char *text) {
    tare_buf_append(buf, text, strlen(text));
}

void tare_buf_printf(struct tare_buf *buf, const char *fmt, ...) {
    va_list args, again;
    va_start(args, fmt);
    va_copy(again, args);
    int length = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    if (length < 0)
        buf->failed = true;
    else if (reserve(buf, (size_t)length)) {
        vsnprintf(buf->data + buf->size, (size_t)length + 1, fmt, again);
        buf->size += (size_t)length;
    }
    va_end(again);
}

void tare_buf_free(struct tare_buf *buf) {
    free(buf->data);
    *buf = (struct tare_buf){0};
}

void tare_buf_shell_word(struct tare_buf *buf, const char *text) {
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                "_-+=:,./@%";
    if (text[0] != '\0' && text[strspn(text, plain)] == '\0') {
        tare_buf_puts(buf, text);
        return;
    }
    tare_buf_puts(buf, "'");
    for (; *text; text++) {
        if (*text == '\'')
            tare_buf_puts(buf, "'\\''");
        else
            tare_buf_append(buf, text, 1);
    }
    tare_buf_puts(buf, "'");
}
