/* real.h: one source, two precisions. Every file of src/net/op_*.c and src/engine/ is compiled
 * twice, with TARE_REAL_F32 and with TARE_REAL_F64; tare_real is the number it computes with, and
 * TARE_T(name) is name_f32 or name_f64. The float32 build is what is measured, the float64 build is
 * the truth it is measured against.
 */
#ifndef TARE_NET_REAL_H
#define TARE_NET_REAL_H

#include <math.h>

#if defined(TARE_REAL_F32)
typedef float tare_real;
#define TARE_T(name) name##_f32
#define TARE_MATH f32 /* op->TARE_MATH: an op's functions in this precision */
#define TARE_EXP(x) expf(x)
#define TARE_LOG(x) logf(x)
#define TARE_SQRT(x) sqrtf(x)
#elif defined(TARE_REAL_F64)
typedef double tare_real;
#define TARE_T(name) name##_f64
#define TARE_MATH f64
#define TARE_EXP(x) exp(x)
#define TARE_LOG(x) log(x)
#define TARE_SQRT(x) sqrt(x)
#else
#error "compile with -DTARE_REAL_F32 or -DTARE_REAL_F64 (see TYPED in the Makefile)"
#endif

#endif
