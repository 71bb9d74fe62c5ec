/* provenance.h: what the numbers of a results folder came from, as SHA-256: for the records of
 * samples.jsonl (record.c) and for whoever checks them (verify.c). Internal to lab. */
#ifndef TARE_LAB_PROVENANCE_H
#define TARE_LAB_PROVENANCE_H

#include <jansson.h>

#include "tare/lab.h"

/* {"path relative to dir": "SHA-256", …} of every file in dir/folder and below, by name. A file
 * that can't be read is left out, and tare verify calls it one that nobody recorded. NULL without
 * memory. */
json_t *tare_provenance_files(const char *dir, const char *folder);

/* Of one program; "" when it can't be read. */
void tare_provenance_program(char sha256[65], const char *path);
/* Of this one. */
const char *tare_provenance_self(void);

/* Calls visit with every entry in dir/folder and below that isn't a folder, in the order of their
 * names; path is relative to dir. A folder that isn't there is an empty one. Stops at the first
 * status that isn't TARE_OK. */
enum tare_status tare_folder_visit(const char *dir, const char *folder,
                                   enum tare_status (*visit)(void *context, const char *path,
                                                             bool is_file, struct tare_err *err),
                                   void *context, struct tare_err *err);

/* ---- the chain of samples.jsonl ----------------------------------------------------------------
 * Every line ends in its link: …,"chain":"LINK"}, where LINK is the SHA-256 of the LINK of the line
 * before (nothing for the first) followed by this line up to its ,"chain". So a line that was
 * changed, dropped, doubled or moved doesn't fit. */
#define TARE_LINK_KEY ",\"chain\":\""
#define TARE_LINK_END "\"}"
#define TARE_LINK_BYTES 64 /* hexadecimal digits */
/* Bytes of a line from its ,"chain" on, without the newline. */
#define TARE_LINK_TAIL_BYTES (sizeof TARE_LINK_KEY - 1 + TARE_LINK_BYTES + sizeof TARE_LINK_END - 1)

/* false without memory. previous: TARE_LINK_BYTES digits, or "". */
bool tare_link(char link[TARE_LINK_BYTES + 1], const char *previous, const char *text, size_t size);

/* What is known of a chain after some of its lines; all zeros before the first. */
#define TARE_CHAIN_LINKS 3
struct tare_chain {
    /* What the last line's link may have been when it was written: the one that stands in it; the
     * one that fits it behind what stands in the line before; and behind what fits the line before.
     * All the same after a sound line. */
    char links[TARE_CHAIN_LINKS][TARE_LINK_BYTES + 1];
};

/* Takes the next line, without its newline, and says whether it is sound: whether its link fits it
 * behind any of the links that the line before may have had. Of a line with a fault in its text the
 * link is still what it was, and of one with a fault in its link that which fits; so the line after
 * it is sound, and each of two faults in a row is found once. false without memory. */
bool tare_chain_take(struct tare_chain *chain, bool *sound, const char *line, size_t size);

/* Whether any line of a samples.jsonl has a link: those of older versions have none. */
bool tare_is_chained(const char *text, size_t size);

#endif
