/* Steps of a program on a block of rows, included once per instruction set: OWN names its functions.
 *
 * A buffer holds rows of doubles, each as wide as its STRIDE: filled up to whole vectors, whose rest stays finite.
 * Dense tables lie as [vector of outputs][input][lane], so that one row fills the lanes as well as many rows do.
 */

static inline __attribute__((always_inline)) V OWN(all)(double value) { return (V)value; }

/* Relative error below 4e-16; NaN stays NaN. */
static inline __attribute__((always_inline)) V OWN(exponential)(V x) {
    x = x > 710.0 ? OWN(all)(710.0) : x;
    x = x < -746.0 ? OWN(all)(-746.0) : x;
    V shifted = x * 1.4426950408889634 + 0x1.8p52; /* the nearest whole number stands in the lowest bits */
    V whole = shifted - 0x1.8p52;
    V rest = x - whole * 0x1.62e42feep-1;
    rest = rest - whole * 0x1.a39ef35793c76p-33;
    V sum = OWN(all)(1.6059043836821613e-10); /* 1/13! */
    sum = sum * rest + 2.08767569878681e-09;
    sum = sum * rest + 2.505210838544172e-08;
    sum = sum * rest + 2.755731922398589e-07;
    sum = sum * rest + 2.7557319223985893e-06;
    sum = sum * rest + 2.48015873015873e-05;
    sum = sum * rest + 0.0001984126984126984;
    sum = sum * rest + 0.001388888888888889;
    sum = sum * rest + 0.008333333333333333;
    sum = sum * rest + 0.041666666666666664;
    sum = sum * rest + 0.16666666666666666;
    sum = sum * rest + 0.5;
    sum = sum * rest + 1.0;
    sum = sum * rest + 1.0;
    /* 2^whole as two factors, as one may be beyond what a double holds. */
    I bits = (I)shifted << 52 >> 52, half = bits >> 1;
    V first = (V)((half + 1023) << 52), second = (V)((bits - half + 1023) << 52);
    return sum * first * second;
}

static inline __attribute__((always_inline)) V OWN(logistic)(V x) { return 1.0 / (1.0 + OWN(exponential)(-x)); }
static inline __attribute__((always_inline)) V OWN(tangent)(V x) { return 1.0 - 2.0 / (OWN(exponential)(x + x) + 1.0); }

static void OWN(load)(const ROW *rows, int n, int width, double *buffer, int stride) {
    for (int row = 0; row < n; row++) {
        for (int at = 0; at < width; at++) AT(buffer, row, stride)[at] = rows[(int64_t)row * width + at];
        for (int at = width; at < stride; at++) AT(buffer, row, stride)[at] = 0;
    }
}

static void OWN(store)(const double *buffer, int n, int width, int stride, ROW *out) {
    for (int row = 0; row < n; row++)
        for (int at = 0; at < width; at++) out[(int64_t)row * width + at] = (ROW)AT(buffer, row, stride)[at];
}

static void OWN(gather)(const double *in, int in_stride, int n, const int32_t *columns, int width, double *buffer, int stride) {
    for (int row = 0; row < n; row++) {
        for (int at = 0; at < width; at++) AT(buffer, row, stride)[at] = AT(in, row, in_stride)[columns[at]];
        for (int at = width; at < stride; at++) AT(buffer, row, stride)[at] = 0;
    }
}

/* Columns of one buffer into a wider one. */
static void OWN(place)(const double *in, int in_stride, int n, int width, double *buffer, int stride, int first) {
    for (int row = 0; row < n; row++)
        for (int at = 0; at < width; at++) AT(buffer, row, stride)[first + at] = AT(in, row, in_stride)[at];
}

static void OWN(clear)(double *buffer, int n, int stride) { EACH_VECTOR(x = OWN(all)(0.0)) }
static void OWN(subtract)(double *buffer, int n, int stride, const double *by) { EACH_VECTOR(x -= VECTOR(by + at)) }
static void OWN(add)(double *buffer, int n, int stride, const double *by) { EACH_VECTOR(x += VECTOR(by + at)) }
static void OWN(multiply)(double *buffer, int n, int stride, const double *by) { EACH_VECTOR(x *= VECTOR(by + at)) }
static void OWN(divide)(double *buffer, int n, int stride, const double *by) { EACH_VECTOR(x /= VECTOR(by + at)) }
static void OWN(at_least)(double *buffer, int n, int stride, const double *by) { EACH_VECTOR(x = x < VECTOR(by + at) ? VECTOR(by + at) : x) }
static void OWN(at_most)(double *buffer, int n, int stride, const double *by) { EACH_VECTOR(x = x > VECTOR(by + at) ? VECTOR(by + at) : x) }
static void OWN(fill_nan)(double *buffer, int n, int stride, const double *by) { EACH_VECTOR(x = x != x ? VECTOR(by + at) : x) }
static void OWN(fill)(double *buffer, int n, int stride, const double *by, double missing) { EACH_VECTOR(x = x == missing ? VECTOR(by + at) : x) }
static void OWN(above)(double *buffer, int n, int stride, double threshold) { EACH_VECTOR(x = x > threshold ? OWN(all)(1.0) : OWN(all)(0.0)) }
static void OWN(relu)(double *buffer, int n, int stride) { EACH_VECTOR(x = x < 0.0 ? OWN(all)(0.0) : x) }
static void OWN(tanh)(double *buffer, int n, int stride) { EACH_VECTOR(x = OWN(tangent)(x)) }
static void OWN(expit)(double *buffer, int n, int stride) { EACH_VECTOR(x = OWN(logistic)(x)) }
static void OWN(exp)(double *buffer, int n, int stride) { EACH_VECTOR(x = OWN(exponential)(x)) }
static void OWN(scale)(double *buffer, int n, int stride, double by) { EACH_VECTOR(x *= by) }
static void OWN(sum)(double *buffer, int n, int stride, const double *other) { EACH_VECTOR(x += VECTOR(AT(other, row, stride) + at)) }

static void OWN(power)(double *buffer, int n, int stride, int degree, double offset) {
    EACH_VECTOR(V base = x + offset; x = OWN(all)(1.0); for (int times = 0; times < degree; times++) x *= base)
}

static void OWN(normalize)(double *buffer, int n, int width, int stride, int kind) {
    for (int row = 0; row < n; row++) {
        double *values = AT(buffer, row, stride), norm = 0;
        for (int at = 0; at < width; at++) {
            double size = values[at] < 0 ? -values[at] : values[at];
            if (kind == LARGEST) norm = size > norm ? size : norm;
            else norm += kind == L1 ? size : size * size;
        }
        if (kind == L2) norm = __builtin_elementwise_sqrt(norm);
        if (norm == 0) norm = 1;
        for (int at = 0; at < width; at++) values[at] /= norm;
    }
}

/* Products of columns: for each, how many there are, then which. */
static void OWN(products)(const double *in, int in_stride, int n, const int32_t *factors, int width, double *buffer, int stride) {
    for (int row = 0; row < n; row++) {
        const int32_t *next = factors;
        for (int at = 0; at < stride; at++) {
            double product = at < width ? 1 : 0;
            if (at < width)
                for (int count = *next++; count > 0; count--) product *= AT(in, row, in_stride)[*next++];
            AT(buffer, row, stride)[at] = product;
        }
    }
}

/* Where a value stands among the known ones, which are sorted with NaN last; -1 if it is none of them. */
static int OWN(category)(double value, const double *known, int count) {
    int first = 0, last = count;
    if (value != value) return count && known[count - 1] != known[count - 1] ? count - 1 : -1;
    while (first < last) {
        int middle = (first + last) / 2;
        if (known[middle] < value) first = middle + 1;
        else last = middle;
    }
    return first < count && known[first] == value ? first : -1;
}

/* One-hot: columns[i] is the output's column for a category, -1 for none. */
static void OWN(one_hot)(const double *in, int in_stride, int n, const double *known, const int32_t *counts, const int32_t *columns,
                         int features, double *buffer, int stride) {
    OWN(clear)(buffer, n, stride);
    for (int row = 0; row < n; row++) {
        int first = 0;
        for (int feature = 0; feature < features; first += counts[feature], feature++) {
            int found = OWN(category)(AT(in, row, in_stride)[feature], known + first, counts[feature]);
            if (found >= 0 && columns[first + found] >= 0) AT(buffer, row, stride)[columns[first + found]] = 1;
        }
    }
}

/* Ordinal: codes[i] is the code of a category. */
static void OWN(ordinal)(double *buffer, int n, int stride, const double *known, const int32_t *counts, const double *codes, int features, double unknown) {
    for (int row = 0; row < n; row++) {
        int first = 0;
        for (int feature = 0; feature < features; first += counts[feature], feature++) {
            double *value = AT(buffer, row, stride) + feature;
            int found = OWN(category)(*value, known + first, counts[feature]);
            *value = found >= 0 ? codes[first + found] : unknown;
        }
    }
}

/* ROWS rows times WIDE vectors of outputs; PARTS sums of each side by side, because one waits for itself. */
static inline __attribute__((always_inline)) void OWN(tile)(
    const int ROWS, const int WIDE, const int PARTS, const int kind, const double *in, int in_stride, int inputs, const double *table, const double *weights,
    double *out, int stride) {
    V sums[4][8][4];
    for (int row = 0; row < ROWS; row++)
        for (int wide = 0; wide < WIDE; wide++)
            for (int part = 0; part < PARTS; part++) sums[row][wide][part] = OWN(all)(0.0);
    int input = 0;
#define STEP(part, at)                                                                                               \
    for (int wide = 0; wide < WIDE; wide++) {                                                                        \
        V entry = VECTOR(table + ((int64_t)wide * inputs + (at)) * LANES);                                           \
        for (int row = 0; row < ROWS; row++) {                                                                       \
            V value = OWN(all)(AT(in, row, in_stride)[at]);                                                          \
            if (kind == PRODUCT) sums[row][wide][part] += value * entry;                                             \
            else {                                                                                                   \
                V apart = value - entry;                                                                             \
                V weighted = kind == WEIGHTED ? apart * VECTOR(weights + ((int64_t)wide * inputs + (at)) * LANES) : apart; \
                sums[row][wide][part] += apart * weighted;                                                           \
            }                                                                                                        \
        }                                                                                                            \
    }
    for (; input + PARTS <= inputs; input += PARTS)
        for (int part = 0; part < PARTS; part++) STEP(part, input + part)
    for (; input < inputs; input++) STEP(0, input)
#undef STEP
    for (int row = 0; row < ROWS; row++)
        for (int wide = 0; wide < WIDE; wide++) {
            V sum = sums[row][wide][0];
            for (int part = 1; part < PARTS; part++) sum += sums[row][wide][part];
            *(V *)(AT(out, row, stride) + wide * LANES) = sum;
        }
}

/* Outputs are products with, or squared distances from, the columns of a table. */
static inline __attribute__((always_inline)) void OWN(each_of)(
    const int kind, const double *in, int in_stride, int n, int inputs, const double *table, const double *weights, double *out, int stride) {
    int vectors = stride / LANES, wide = 0;
#define TILES(ROWS, WIDE, PARTS)                                                                                     \
    for (; row + ROWS <= n; row += ROWS)                                                                             \
        OWN(tile)(ROWS, WIDE, PARTS, kind, AT(in, row, in_stride), in_stride, inputs, table + (int64_t)wide * inputs * LANES, \
                  weights + (int64_t)wide * inputs * LANES, AT(out, row, stride) + wide * LANES, stride)
    for (; wide + MOST_WIDE <= vectors; wide += MOST_WIDE) {
        int row = 0;
        TILES(MOST_ROWS, MOST_WIDE, 1);
        TILES(1, MOST_WIDE, 2);
    }
    for (; wide < vectors; wide++) {
        int row = 0;
        TILES(MOST_ROWS, 1, 1);
        TILES(1, 1, 4);
    }
#undef TILES
}

static void OWN(dense)(const double *in, int in_stride, int n, int inputs, const double *table, double *out, int stride) {
    OWN(each_of)(PRODUCT, in, in_stride, n, inputs, table, table, out, stride);
}
static void OWN(distances)(const double *in, int in_stride, int n, int inputs, const double *table, double *out, int stride) {
    OWN(each_of)(DISTANCE, in, in_stride, n, inputs, table, table, out, stride);
}
static void OWN(weighted_distances)(const double *in, int in_stride, int n, int inputs, const double *table, const double *weights, double *out, int stride) {
    OWN(each_of)(WEIGHTED, in, in_stride, n, inputs, table, weights, out, stride);
}

/* Few outputs: the lanes run along the inputs. The table lies as [output][input, filled up with 0]. */
static void OWN(dots)(const double *in, int in_stride, int n, const double *table, int outputs, double *out, int stride) {
    OWN(clear)(out, n, stride);
    for (int row = 0; row < n; row++)
        for (int output = 0; output < outputs; output++) {
            const double *values = AT(in, row, in_stride), *entries = AT(table, output, in_stride);
            V sums[4] = {OWN(all)(0.0), OWN(all)(0.0), OWN(all)(0.0), OWN(all)(0.0)};
            int at = 0;
            for (; at + 4 * LANES <= in_stride; at += 4 * LANES)
                for (int part = 0; part < 4; part++) sums[part] += VECTOR(values + at + part * LANES) * VECTOR(entries + at + part * LANES);
            for (; at < in_stride; at += LANES) sums[0] += VECTOR(values + at) * VECTOR(entries + at);
            V sum = (sums[0] + sums[1]) + (sums[2] + sums[3]);
            double total = 0;
            for (int lane = 0; lane < LANES; lane++) total += sum[lane];
            AT(out, row, stride)[output] = total;
        }
}

static void OWN(softmax)(double *buffer, int n, int width, int stride) {
    for (int row = 0; row < n; row++) {
        double *values = AT(buffer, row, stride), most = values[0], total = 0;
        for (int at = 1; at < width; at++) most = values[at] > most ? values[at] : most;
        for (int at = 0; at < stride; at += LANES) *(V *)(values + at) = OWN(exponential)(VECTOR(values + at) - most);
        for (int at = 0; at < width; at++) total += values[at];
        for (int at = 0; at < stride; at += LANES) *(V *)(values + at) = VECTOR(values + at) / total;
        for (int at = width; at < stride; at++) values[at] = 0; /* which may be infinite here */
    }
}

/* Each row's values over their sum; all alike where that is 0. */
static void OWN(shares)(double *buffer, int n, int width, int stride) {
    for (int row = 0; row < n; row++) {
        double *values = AT(buffer, row, stride), total = 0;
        for (int at = 0; at < width; at++) total += values[at];
        for (int at = 0; at < width; at++) values[at] = total == 0 ? 1.0 / width : values[at] / total;
    }
}

/* A probability and its complement before it. */
static void OWN(two_classes)(double *buffer, int n, int stride) {
    for (int row = 0; row < n; row++) {
        double *values = AT(buffer, row, stride);
        values[1] = values[0];
        values[0] = 1 - values[1];
    }
}

/* Pairs' decisions into one score a class: votes, with the summed confidences as tie break.
 * Source: _ovr_decision_function in https://github.com/scikit-learn/scikit-learn/blob/main/sklearn/utils/multiclass.py */
static void OWN(votes)(const double *in, int in_stride, int n, int classes, double *buffer, int stride) {
    OWN(clear)(buffer, n, stride);
    for (int row = 0; row < n; row++) {
        const double *pair = AT(in, row, in_stride);
        double confidences[CLASSES_AT_MOST] = {0}, *votes = AT(buffer, row, stride);
        for (int one = 0; one < classes; one++)
            for (int other = one + 1; other < classes; other++, pair++) {
                confidences[one] += *pair;
                confidences[other] -= *pair;
                votes[*pair < 0 ? other : one] += 1;
            }
        for (int at = 0; at < classes; at++) {
            double size = confidences[at] < 0 ? -confidences[at] : confidences[at];
            votes[at] += confidences[at] / (3 * (size + 1));
        }
    }
}

/* A class's support vectors' part in the decisions of its pairs: products[k] belongs to the pair with the k-th other class. */
static void OWN(pair_up)(const double *products, int in_stride, int n, int classes, int own, double *pairs, int stride) {
    for (int row = 0; row < n; row++)
        for (int other = 0; other < classes; other++) {
            if (other == own) continue;
            int low = own < other ? own : other, high = own < other ? other : own;
            int pair = low * classes - low * (low + 1) / 2 + high - low - 1;
            AT(pairs, row, stride)[pair] += AT(products, row, in_stride)[other < own ? other : other - 1];
        }
}
