/* digit.h: a picture of a digit, made into what a net trained on MNIST expects.
 *
 *     uint8_t pixels[28 * 28];
 *     if (tare_digit_read(pixels, 28, 28, "seven.png", &err) != TARE_OK) …
 *
 * A PNG of any kind and size, dark on light or light on dark. The digit comes out light on dark,
 * as MNIST's are: its ink cropped, scaled into the middle 20 of 28 pixels with its proportions
 * kept, and placed so that its centre of mass is the picture's centre.
 */
#ifndef TARE_DIGIT_H
#define TARE_DIGIT_H

#include <stddef.h>
#include <stdint.h>

#include "tare/err.h"

/* pixels: (height, width), both at least 1. A picture that has exactly this size already is kept
 * as it is, only inverted where it is dark on light. A picture without contrast is an error. */
enum tare_status tare_digit_read(uint8_t *pixels, size_t height, size_t width, const char *path,
                                 struct tare_err *err);

#endif
