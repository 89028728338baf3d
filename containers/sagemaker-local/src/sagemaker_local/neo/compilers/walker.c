/* Walks a tree ensemble that lies as one flat table of nodes in this object.
 *
 * Branch-free: every tree is walked to its full depth, and a leaf leads to itself. Several walks run side by side
 * (trees of one row, rows of one tree), because one walk alone only waits for memory.
 * model.h is written by the compiler: sizes, base margins, and each tree's root, depth and group.
 */
#include <stdint.h>

#include "model.h"

typedef struct {
    float threshold; /* a leaf's value, as a leaf compares nothing */
    uint32_t feature;
    int32_t left;        /* the right child follows it; a leaf's own number */
    uint16_t inner;      /* 0 at a leaf */
    uint16_t missing_right; /* where a missing value (NaN) goes */
} Node;

__asm__(".section .rodata\n.balign 64\n.global nodes\n.hidden nodes\nnodes:\n.incbin \"" NODES_FILE "\"\n.text\n");
extern const Node nodes[] __attribute__((visibility("hidden")));

enum { TREES_ABREAST = 8, ROWS_ABREAST = 16, ROWS_A_BLOCK = 128 };

static inline int32_t next(int32_t at, const float *row) {
    const Node *node = &nodes[at];
    float value = row[node->feature];
    uint32_t right = !(value < node->threshold);
    right = value != value ? node->missing_right : right;
    return node->left + (int32_t)(right & node->inner);
}

/* Relative error below 1e-15 in double; the answers are single precision. No libm: the object stands alone. */
static double exponential(double x) {
    if (x > 700) x = 700;
    if (x < -700) return 0;
    int64_t whole = (int64_t)(x * 1.4426950408889634 + (x < 0 ? -0.5 : 0.5));
    double rest = x - (double)whole * 0.693147180369123816490;
    rest -= (double)whole * 1.90821492927058770002e-10;
    double sum = 1, term = 1;
    for (int power = 1; power <= 13; power++) {
        term *= rest / power;
        sum += term;
    }
    union { uint64_t bits; double value; } scale = {(uint64_t)(whole + 1023) << 52};
    return sum * scale.value;
}

/* From a row's margins, one a group, to its answer. */
static void answer(const float *margins, float *out) {
#if TRANSFORM == IDENTITY
    for (int group = 0; group < GROUPS; group++) out[group] = margins[group];
#elif TRANSFORM == SIGMOID
    for (int group = 0; group < GROUPS; group++) out[group] = (float)(1 / (1 + exponential(-(double)margins[group])));
#elif TRANSFORM == EXPONENTIAL
    for (int group = 0; group < GROUPS; group++) out[group] = (float)exponential(margins[group]);
#else
    int best = 0;
    for (int group = 1; group < GROUPS; group++)
        if (margins[group] > margins[best]) best = group;
#if TRANSFORM == ARGMAX
    out[0] = (float)best;
#else
    double total = 0;
    double raised[GROUPS];
    for (int group = 0; group < GROUPS; group++) {
        raised[group] = exponential((double)margins[group] - (double)margins[best]);
        total += raised[group];
    }
    for (int group = 0; group < GROUPS; group++) out[group] = (float)(raised[group] / total);
#endif
#endif
}

static void predict_row(const float *row, float *out) {
    float margins[GROUPS];
    for (int group = 0; group < GROUPS; group++) margins[group] = base_margins[group];
    for (int first = 0; first < TREES; first += TREES_ABREAST) {
        int32_t at[TREES_ABREAST];
        int32_t depth = 0;
        for (int k = 0; k < TREES_ABREAST; k++) {
            at[k] = roots[first + k];
            if (depths[first + k] > depth) depth = depths[first + k];
        }
        for (int32_t level = 0; level < depth; level++)
            for (int k = 0; k < TREES_ABREAST; k++) at[k] = next(at[k], row);
        for (int k = 0; k < TREES_ABREAST; k++) margins[groups[first + k]] += nodes[at[k]].threshold;
    }
    answer(margins, out);
}

static void predict_block(const float *rows, float *out) {
    float margins[ROWS_A_BLOCK][GROUPS];
    for (int row = 0; row < ROWS_A_BLOCK; row++)
        for (int group = 0; group < GROUPS; group++) margins[row][group] = base_margins[group];
    for (int tree = 0; tree < TREES; tree++) {
        for (int first = 0; first < ROWS_A_BLOCK; first += ROWS_ABREAST) {
            int32_t at[ROWS_ABREAST];
            for (int k = 0; k < ROWS_ABREAST; k++) at[k] = roots[tree];
            for (int32_t level = 0; level < depths[tree]; level++)
                for (int k = 0; k < ROWS_ABREAST; k++) at[k] = next(at[k], rows + (int64_t)(first + k) * FEATURES);
            for (int k = 0; k < ROWS_ABREAST; k++) margins[first + k][groups[tree]] += nodes[at[k]].threshold;
        }
    }
    for (int row = 0; row < ROWS_A_BLOCK; row++) answer(margins[row], out + (int64_t)row * ANSWERS);
}

/* rows: row_count x FEATURES, C order; out: row_count x ANSWERS. NaN is a missing value. Safe on many threads. */
__attribute__((visibility("default"))) void predict(const float *rows, int64_t row_count, float *out) {
    int64_t row = 0;
    for (; row + ROWS_A_BLOCK <= row_count; row += ROWS_A_BLOCK) predict_block(rows + row * FEATURES, out + row * ANSWERS);
    for (; row < row_count; row++) predict_row(rows + row * FEATURES, out + row * ANSWERS);
}
