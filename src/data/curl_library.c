/* curl_library.c: libcurl brings some thirty libraries along (TLS, Kerberos, LDAP), which took
 * longer to load than everything else that tare does before its engine runs; few runs download
 * anything. So it is no library that tare is linked with.
 */
#include "data/curl_library.h"

#include <dlfcn.h>
#include <stdbool.h>
#include <string.h>

enum tare_status tare_curl_open(const struct tare_curl **library, struct tare_err *err) {
    /* Debian has one for each TLS library; the first is what packages.sh installs. */
    static const char *const names[] = {"libcurl-gnutls.so.4", "libcurl.so.4"};
    static struct tare_curl curl;
    void *handle = NULL;
    for (size_t i = 0; handle == NULL && i < sizeof names / sizeof *names; i++)
        handle = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
    bool whole = handle != NULL;
    void *symbol;
    /* memcpy: C has no cast from an object's address to a function's. */
#define X(name, result, arguments)                                                                 \
    symbol = whole ? dlsym(handle, "curl_" #name) : NULL;                                          \
    whole = symbol != NULL;                                                                        \
    memcpy(&curl.name, &symbol, sizeof symbol);
    TARE_CURL_LIST(X)
#undef X
    if (!whole)
        return tare_fail(err, TARE_IO, names[0], "scripts/packages.sh, or get the files by hand",
                         "libcurl, which downloads, cannot be opened");
    curl.global_init(CURL_GLOBAL_DEFAULT);
    *library = &curl;
    return TARE_OK;
}
