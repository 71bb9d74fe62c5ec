/* curl_library.h: libcurl, opened when something is downloaded and not before. */
#ifndef TARE_DATA_CURL_LIBRARY_H
#define TARE_DATA_CURL_LIBRARY_H

#define CURL_DISABLE_TYPECHECK /* which would call its functions by name */
#include <curl/curl.h>

#include "tare/err.h"

/* name of a function less "curl_", what it returns, what it takes */
#define TARE_CURL_LIST(X)                                                                          \
    X(global_init, CURLcode, (long))                                                               \
    X(easy_init, CURL *, (void))                                                                   \
    X(easy_setopt, CURLcode, (CURL *, CURLoption, ...))                                            \
    X(easy_perform, CURLcode, (CURL *))                                                            \
    X(easy_getinfo, CURLcode, (CURL *, CURLINFO, ...))                                             \
    X(easy_strerror, const char *, (CURLcode))                                                     \
    X(easy_cleanup, void, (CURL *))

struct tare_curl {
#define X(name, result, arguments) result(*name) arguments;
    TARE_CURL_LIST(X)
#undef X
};

enum tare_status tare_curl_open(const struct tare_curl **library, struct tare_err *err);

#endif
