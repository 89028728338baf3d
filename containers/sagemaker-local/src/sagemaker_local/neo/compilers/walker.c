/* Answers rows by a tree ensemble that lies as tables in this object.
 *
 * One row: several trees are walked abreast, because one walk alone only waits for memory. Many rows: blocks of
 * rows, each tree in turn (block.h): a small tree is decided for 64 rows at once, a large one is walked for 16.
 * A walk is branch-free: it takes as many steps as its tree is deep, and a leaf leads to itself.
 *
 * model.h is written by the compiler (native.py): types, sizes, base margins, and each tree's root, depth and group.
 */
#include <stdint.h>

#include "model.h"

typedef struct {
    union {
        ROW threshold;
        uint32_t number; /* of a leaf: which; of a split by categories: where its set begins */
    };
    int32_t left;  /* the right child follows it; a leaf's own number */
    uint32_t code; /* column << 3 | by categories << 2 | missing values go right << 1 | no leaf */
} __attribute__((aligned(16))) Node;

/* A small tree's inner nodes, parents before children, for block.h. */
typedef struct {
    union {
        ROW threshold;
        uint32_t number; /* where the set of categories begins */
    };
    uint16_t column;    /* among the used ones; the highest bits: missing values go left, by categories */
    uint8_t self, left; /* places in a tree's list of who reaches what; the right child follows the left one */
} Split;

enum { MISSING_LEFT = 1 << 15, BY_SET = 1 << 14, COLUMN = BY_SET - 1, MOST_WORDS = 16 };

#define TABLE(type, name)                                                                                        \
    __asm__(".section .rodata\n.balign 64\n.global " #name "\n.hidden " #name "\n" #name ":\n.incbin \"" #name ".bin\"\n.text\n"); \
    extern const type name[] __attribute__((visibility("hidden")))
TABLE(Node, nodes);
TABLE(SUM, leaves);
TABLE(uint32_t, sets);
TABLE(Split, splits);
TABLE(uint8_t, places);

enum { TREES_ABREAST = 8, ROWS_ABREAST = 16, LANES = 64, STEPS = 4 };
/* Large trees stay in the cache for as many rows as possible; columns for small ones, and prepared rows, take stack. */
enum { ROWS_A_BLOCK = LANES * (ALL_SMALL || PREPARED ? 1 : SMALL_TREES || GROUPS > 16 ? 4 : 32) };

#if STRICT
#define IS_RIGHT(value, threshold) (!((value) < (threshold)))
#else
#define IS_RIGHT(value, threshold) (!((value) <= (threshold)))
#endif

#if SETS
/* The number of a category; what is none, as it is in no set, is the largest number. */
static inline int32_t category_of(ROW value) {
    return value FIRST_CATEGORY && value < (ROW)INT32_MAX ? (int32_t)value : INT32_MAX;
}

/* A set is its number of words, then the words. The first set is empty: what splits by a threshold asks it. */
static inline uint32_t is_in_set(const uint32_t *set, int32_t category) {
    uint32_t known = (uint32_t)category < set[0] * 32;
    return set[1 + (known ? category / 32 : 0)] >> category % 32 & known;
}
#endif

static inline int32_t next(int32_t at, const ROW *row) {
    const Node *node = &nodes[at];
    ROW value = row[node->code >> 3];
    uint32_t right = IS_RIGHT(value, node->threshold);
#if SETS
    uint32_t by_set = node->code >> 2 & 1;
    uint32_t in = is_in_set(sets + (by_set ? node->number : 0), category_of(value));
    right = by_set ? in ^ !IN_SET_IS_RIGHT : right;
#endif
    right = value != value ? node->code >> 1 : right;
    return node->left + (int32_t)(right & node->code & 1);
}

/* Relative error below 1e-15. No libm: the object stands alone. */
static double exponential(double x) {
    if (x > 709) x = 709;
    if (x < -708) return x != x ? x : 0;
    if (x != x) return x;
    int64_t whole = (int64_t)(x * 1.4426950408889634 + (x < 0 ? -0.5 : 0.5));
    double rest = x - (double)whole * 0.693147180369123816490;
    rest -= (double)whole * 1.90821492927058770002e-10;
    double sum = 1.0 / 6227020800;
    static const double over[] = {1.0 / 479001600, 1.0 / 39916800, 1.0 / 3628800, 1.0 / 362880, 1.0 / 40320, 1.0 / 5040,
                                  1.0 / 720, 1.0 / 120, 1.0 / 24, 1.0 / 6, 0.5, 1, 1};
    for (int power = 0; power < 13; power++) sum = sum * rest + over[power];
    union { uint64_t bits; double value; } scale = {(uint64_t)(whole + 1023) << 52};
    return sum * scale.value;
}

static inline double sigmoid(double margin) { return 1 / (1 + exponential(-SLOPE * margin)); }

/* From a row's margins, one a group, `step` apart, to its answer. */
static inline void answer(const SUM *sums, int step, OUT *out) {
    SUM margins[GROUPS];
    for (int group = 0; group < GROUPS; group++) margins[group] = sums[group * step];
#if DIVISOR != 1
    for (int group = 0; group < GROUPS; group++) margins[group] /= DIVISOR;
#endif
#if TRANSFORM == IDENTITY
    for (int group = 0; group < GROUPS; group++) out[group] = (OUT)margins[group];
#elif TRANSFORM == SIGMOID
    for (int group = 0; group < GROUPS; group++) out[group] = (OUT)sigmoid(margins[group]);
#elif TRANSFORM == SIGMOID_PAIR
    double share = sigmoid(margins[0]);
    out[0] = (OUT)(1 - share);
    out[1] = (OUT)share;
#elif TRANSFORM == EXPONENTIAL
    for (int group = 0; group < GROUPS; group++) out[group] = (OUT)exponential(margins[group]);
#elif TRANSFORM == HINGE
    for (int group = 0; group < GROUPS; group++) out[group] = margins[group] > 0;
#elif TRANSFORM == SIGNED_SQUARE
    for (int group = 0; group < GROUPS; group++)
        out[group] = (OUT)(margins[group] < 0 ? -margins[group] * margins[group] : margins[group] * margins[group]);
#else
    int best = 0;
    for (int group = 1; group < GROUPS; group++)
        if (margins[group] > margins[best]) best = group;
#if TRANSFORM == ARGMAX
    out[0] = (OUT)best;
#else
    double total = 0;
    double raised[GROUPS];
    for (int group = 0; group < GROUPS; group++) {
        raised[group] = exponential((double)margins[group] - (double)margins[best]);
        total += raised[group];
    }
    for (int group = 0; group < GROUPS; group++) out[group] = (OUT)(raised[group] / total);
#endif
#endif
}

#if PREPARED
/* What the framework does to a row before its trees see it. */
static void prepare(const ROW *row, ROW *prepared) {
    for (int column = 0; column < FEATURES; column++) prepared[column] = row[column];
    for (int number = 0; number < ZEROS; number++) {
        ROW *value = prepared + zeros[number];
        if (*value >= -(ROW)1e-35f && *value <= (ROW)1e-35f) *value = (ROW)__builtin_nan("");
    }
    for (int number = 0; number < ENCODED; number++) {
        ROW *value = prepared + encoded[number].column;
        const ROW *first = categories + encoded[number].first;
        ROW found = (ROW)__builtin_nan("");
        int32_t low = 0, high = encoded[number].count;
        while (low < high) {
            int32_t middle = (low + high) / 2;
            if (first[middle] < *value) low = middle + 1; else high = middle;
        }
        if (low < encoded[number].count && first[low] == *value) found = (ROW)low;
        *value = found;
    }
}
#endif

static inline void add(SUM *sums, int step, int tree, uint32_t leaf) {
#if WIDTH == 1
    sums[groups[tree] * step] += leaves[leaf];
#else
    for (int group = 0; group < WIDTH; group++) sums[group * step] += leaves[(uint64_t)leaf * WIDTH + group];
#endif
}

static void predict_row(const ROW *row, OUT *out) {
#if PREPARED
    ROW prepared[FEATURES];
    prepare(row, prepared);
    row = prepared;
#endif
    SUM sums[GROUPS];
    for (int group = 0; group < GROUPS; group++) sums[group] = base_margins[group];
    for (int first = 0; first < TREES; first += TREES_ABREAST) {
        int32_t at[TREES_ABREAST];
        int32_t depth = 0;
        for (int k = 0; k < TREES_ABREAST; k++) {
            at[k] = roots[first + k];
            if (depths[first + k] > depth) depth = depths[first + k];
        }
        for (int32_t level = 0; level < depth; level++)
            for (int k = 0; k < TREES_ABREAST; k++) at[k] = next(at[k], row);
        for (int k = 0; k < TREES_ABREAST; k++)
            if (first + k < REAL_TREES) add(sums, 1, first + k, nodes[at[k]].number);
    }
    answer(sums, 1, out);
}

/* A block of rows through one tree: some steps for all rows, then those that are at a leaf drop out, as most leaves
 * are not at the full depth. Gathers of AVX2 and AVX-512 were slower than this. */
static __attribute__((noinline)) void walk(int tree, const ROW *rows, int count, SUM (*sums)[ROWS_A_BLOCK]) {
    int32_t at[ROWS_A_BLOCK + ROWS_ABREAST], exits[ROWS_A_BLOCK];
    int16_t who[ROWS_A_BLOCK + ROWS_ABREAST];
    for (int row = 0; row < count; row++) {
        at[row] = roots[tree];
        who[row] = (int16_t)row;
    }
    for (int32_t left = depths[tree], walking = count;; left -= STEPS) {
        int steps = left < STEPS ? left : STEPS;
        for (int k = walking; k < walking + ROWS_ABREAST; k++) {
            at[k] = roots[tree];
            who[k] = who[0];
        }
        for (int first = 0; first < walking; first += ROWS_ABREAST) {
            for (int step = 0; step < steps; step++)
                for (int k = first; k < first + ROWS_ABREAST; k++)
                    at[k] = next(at[k], rows + (int64_t)who[k] * FEATURES);
        }
        int still = 0;
        for (int k = 0; k < walking; k++) {
            int32_t node = at[k];
            exits[who[k]] = node;
            who[still] = who[k];
            at[still] = node;
            still += nodes[node].code & 1;
        }
        walking = still;
        if (!walking) break;
    }
    for (int row = 0; row < count; row++) add(&sums[0][row], ROWS_A_BLOCK, tree, nodes[exits[row]].number);
}

#define LEVEL 0
#define NAME predict_block
#define TARGET
#include "block.h"

#if defined(__x86_64__)
#define __MM_MALLOC_H /* it wants a libc */
#include <cpuid.h>
#include <immintrin.h>

#define LEVEL 2
#define NAME predict_block_avx2
#define TARGET __attribute__((target("avx2,bmi,bmi2,popcnt")))
#include "block.h"

#define LEVEL 3
#define NAME predict_block_avx512
#define TARGET __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,bmi,bmi2,popcnt")))
#include "block.h"

/* 3: AVX-512 as every processor with it has it since 2017, 2: AVX2, 0: neither; the system must keep the registers. */
static int find_level(void) {
    uint32_t a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_OSXSAVE)) return 0;
    uint32_t kept, high;
    __asm__("xgetbv" : "=a"(kept), "=d"(high) : "c"(0));
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return 0;
    const uint32_t avx2 = bit_AVX2 | bit_BMI | bit_BMI2;
    const uint32_t avx512 = bit_AVX512F | bit_AVX512BW | bit_AVX512DQ | bit_AVX512VL;
    if ((kept & 6) != 6 || (b & avx2) != avx2) return 0;
    return (kept & 0xe6) == 0xe6 && (b & avx512) == avx512 ? 3 : 2;
}
#else
static int find_level(void) { return 0; }
#endif

static int level_here = -1; /* found twice at worst, with the same result */

/* As predict, by no newer instructions than of a level: for comparison. */
__attribute__((visibility("default"))) void predict_at_level(const ROW *rows, int64_t row_count, OUT *out, int most) {
    int level = __atomic_load_n(&level_here, __ATOMIC_RELAXED);
    if (level < 0) __atomic_store_n(&level_here, level = find_level(), __ATOMIC_RELAXED);
    if (level > most || !SMALL_TREES) level = SMALL_TREES ? most : 0;
    int64_t fewest = level && ALL_SMALL ? LANES / 8 : ROWS_ABREAST;
    int64_t row = 0;
    while (row_count - row >= fewest) {
        int64_t left = row_count - row;
        int count = left < ROWS_A_BLOCK ? (int)left : ROWS_A_BLOCK;
        const ROW *from = rows + row * FEATURES;
        OUT *to = out + row * ANSWERS;
#if defined(__x86_64__)
        if (level == 3) predict_block_avx512(from, count, to);
        else if (level == 2) predict_block_avx2(from, count, to);
        else
#endif
        predict_block(from, count, to);
        row += count;
    }
    for (; row < row_count; row++) predict_row(rows + row * FEATURES, out + row * ANSWERS);
}

/* rows: row_count x FEATURES, C order; out: row_count x ANSWERS. NaN is a missing value. Safe on many threads. */
__attribute__((visibility("default"))) void predict(const ROW *rows, int64_t row_count, OUT *out) {
    predict_at_level(rows, row_count, out, 3);
}
