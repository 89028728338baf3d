/* A scikit-learn pipeline as a program of steps (kernels.h) on tables that lie in this object.
 *
 * The steps are there once per instruction set, and the newest that this machine has are chosen when called.
 * model.h and steps.h are written by the compiler (program.py).
 */
#include <stdint.h>

#include "model.h"

enum { LANES = 8 };
typedef double V __attribute__((ext_vector_type(8)));
typedef int64_t I __attribute__((ext_vector_type(8)));

__asm__(".section .rodata\n.balign 64\n.global table\n.hidden table\ntable:\n.incbin \"table.bin\"\n.text\n");
extern const double table[] __attribute__((visibility("hidden"), aligned(64)));

#pragma clang fp contract(fast)

enum { L1, L2, LARGEST };
enum { PRODUCT, DISTANCE, WEIGHTED };

#define AT(buffer, row, stride) ((buffer) + (int64_t)(row) * (stride))
#define VECTOR(address) (*(const V *)(address))
#define EACH_VECTOR(code)                                                                                            \
    for (int row = 0; row < n; row++)                                                                                \
        for (int at = 0; at < stride; at += LANES) {                                                                 \
            V *here = (V *)(AT(buffer, row, stride) + at);                                                           \
            V x = *here;                                                                                             \
            code;                                                                                                    \
            *here = x;                                                                                               \
        }

#define JOINED(name, level) name##_##level
#define OWN_LEVEL(name, level) JOINED(name, level)
#define OWN(name) OWN_LEVEL(name, LEVEL)

#define LEVEL 0
#define MOST_ROWS 2
#define MOST_WIDE 1
#include "steps.h"
#undef LEVEL
#undef MOST_ROWS
#undef MOST_WIDE

#if __x86_64__
#include <cpuid.h>

#define LEVEL 2
#define MOST_ROWS 2
#define MOST_WIDE 2
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#include "steps.h"
#pragma clang attribute pop
#undef LEVEL
#undef MOST_ROWS
#undef MOST_WIDE

#define LEVEL 3
#define MOST_ROWS 4
#define MOST_WIDE 4
#pragma clang attribute push(__attribute__((target("avx512f,avx512dq,avx512vl,avx2,fma"))), apply_to = function)
#include "steps.h"
#pragma clang attribute pop

static int find_level(void) {
    unsigned a, b, c, d, kept, high;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_OSXSAVE) || !(c & bit_FMA)) return 0;
    /* Which registers the system keeps: those of AVX, and of AVX-512. */
    __asm__("xgetbv" : "=a"(kept), "=d"(high) : "c"(0));
    if ((kept & 6) != 6 || !__get_cpuid_count(7, 0, &a, &b, &c, &d) || !(b & bit_AVX2)) return 0;
    unsigned wanted = bit_AVX512F | bit_AVX512DQ | bit_AVX512VL;
    return (kept & 0xe6) == 0xe6 && (b & wanted) == wanted ? 3 : 2;
}
#else
static int find_level(void) { return 0; }
#endif

static int level_here = -1; /* found twice at worst, with the same result */

/* As predict, by no newer instructions than of a level: for comparison. */
__attribute__((visibility("default"))) void predict_at_level(const ROW *rows, int64_t row_count, ROW *out, int most) {
    int level = __atomic_load_n(&level_here, __ATOMIC_RELAXED);
    if (level < 0) __atomic_store_n(&level_here, level = find_level(), __ATOMIC_RELAXED);
    if (level > most) level = most;
    for (int64_t row = 0; row < row_count; row += ROWS_A_BLOCK) {
        int n = row_count - row < ROWS_A_BLOCK ? (int)(row_count - row) : ROWS_A_BLOCK;
        const ROW *from = rows + row * FEATURES;
        ROW *to = out + row * ANSWERS;
#if __x86_64__
        if (level == 3) { block_3(from, n, to); continue; }
        if (level == 2) { block_2(from, n, to); continue; }
#endif
        block_0(from, n, to);
    }
}

/* rows: row_count x FEATURES, C order; out: row_count x ANSWERS. Safe on many threads. */
__attribute__((visibility("default"))) void predict(const ROW *rows, int64_t row_count, ROW *out) {
    predict_at_level(rows, row_count, out, 3);
}
