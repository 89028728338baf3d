/* A block of rows through every tree, included once per instruction set: LEVEL, NAME and TARGET say which.
 *
 * A small tree is not walked: each of its splits is decided for 64 rows at once, one bit a row, whether a row gets
 * there or not. Who reaches a child is who reaches its parent and goes its way, so two operations on 64 bits move
 * 64 rows one step. No load depends on another, and the comparisons read columns that lie side by side.
 */
#define JOINED(a, b) a##b
#define OWN(name, level) JOINED(name, level)

#if LEVEL == 3
TARGET static inline __attribute__((always_inline)) uint64_t OWN(right_, LEVEL)(const float *column, float threshold) {
    enum { HOW = STRICT ? _CMP_NLT_UQ : _CMP_NLE_UQ };
    __m512 than = _mm512_set1_ps(threshold);
    uint64_t bits = _mm512_cmp_ps_mask(_mm512_load_ps(column), than, HOW);
    bits |= (uint64_t)_mm512_cmp_ps_mask(_mm512_load_ps(column + 16), than, HOW) << 16;
    bits |= (uint64_t)_mm512_cmp_ps_mask(_mm512_load_ps(column + 32), than, HOW) << 32;
    return bits | (uint64_t)_mm512_cmp_ps_mask(_mm512_load_ps(column + 48), than, HOW) << 48;
}

TARGET static inline __attribute__((always_inline)) uint64_t OWN(right_wide_, LEVEL)(const double *column, double threshold) {
    enum { HOW = STRICT ? _CMP_NLT_UQ : _CMP_NLE_UQ };
    __m512d than = _mm512_set1_pd(threshold);
    uint64_t bits = 0;
#pragma clang loop unroll(full)
    for (int part = 0; part < 8; part++)
        bits |= (uint64_t)_mm512_cmp_pd_mask(_mm512_load_pd(column + 8 * part), than, HOW) << 8 * part;
    return bits;
}

/* Whose category is in a set of at most 512. */
TARGET static inline uint64_t OWN(in_set_, LEVEL)(const int32_t *categories, const uint32_t *set) {
    __m512i words = _mm512_maskz_loadu_epi32((__mmask16)((1u << set[0]) - 1), set + 1);
    __m512i end = _mm512_set1_epi32((int32_t)(set[0] * 32));
    uint64_t bits = 0;
    for (int part = 0; part < 4; part++) {
        __m512i category = _mm512_load_si512(categories + 16 * part);
        __m512i word = _mm512_permutexvar_epi32(_mm512_srli_epi32(category, 5), words);
        __m512i bit = _mm512_srlv_epi32(word, _mm512_and_si512(category, _mm512_set1_epi32(31)));
        __mmask16 known = _mm512_cmplt_epu32_mask(category, end);
        bits |= (uint64_t)_mm512_mask_test_epi32_mask(known, bit, _mm512_set1_epi32(1)) << 16 * part;
    }
    return bits;
}

/* Which leaf each row reaches, from who reaches each leaf. */
TARGET static inline void OWN(exits_, LEVEL)(const uint64_t *reach, const uint8_t *place, int count, uint8_t *exits) {
    __m512i even = _mm512_setzero_si512(), odd = even;
    int leaf = 0;
    for (; leaf + 1 < count; leaf += 2) {
        even = _mm512_mask_set1_epi8(even, reach[place[leaf]], (char)leaf);
        odd = _mm512_mask_set1_epi8(odd, reach[place[leaf + 1]], (char)(leaf + 1));
    }
    if (leaf < count) even = _mm512_mask_set1_epi8(even, reach[place[leaf]], (char)leaf);
    _mm512_store_si512(exits, _mm512_or_si512(even, odd));
}
#elif LEVEL == 2
TARGET static inline __attribute__((always_inline)) uint64_t OWN(right_, LEVEL)(const float *column, float threshold) {
    enum { HOW = STRICT ? _CMP_NLT_UQ : _CMP_NLE_UQ };
    __m256 than = _mm256_set1_ps(threshold);
    uint64_t bits = 0;
#pragma clang loop unroll(full)
    for (int part = 0; part < 8; part++)
        bits |= (uint64_t)(uint32_t)_mm256_movemask_ps(_mm256_cmp_ps(_mm256_load_ps(column + 8 * part), than, HOW)) << 8 * part;
    return bits;
}

TARGET static inline __attribute__((always_inline)) uint64_t OWN(right_wide_, LEVEL)(const double *column, double threshold) {
    enum { HOW = STRICT ? _CMP_NLT_UQ : _CMP_NLE_UQ };
    __m256d than = _mm256_set1_pd(threshold);
    uint64_t bits = 0;
#pragma clang loop unroll(full)
    for (int part = 0; part < 16; part++)
        bits |= (uint64_t)(uint32_t)_mm256_movemask_pd(_mm256_cmp_pd(_mm256_load_pd(column + 4 * part), than, HOW)) << 4 * part;
    return bits;
}

TARGET static inline uint64_t OWN(in_set_, LEVEL)(const int32_t *categories, const uint32_t *set) {
    __m256i end = _mm256_set1_epi32((int32_t)(set[0] * 32));
    uint64_t bits = 0;
    for (int part = 0; part < 8; part++) {
        __m256i category = _mm256_load_si256((const __m256i *)(categories + 8 * part));
        __m256i known = _mm256_cmpgt_epi32(end, category);
        __m256i place = _mm256_srli_epi32(_mm256_and_si256(category, known), 5);
        __m256i word = _mm256_i32gather_epi32((const int *)(set + 1), place, 4);
        __m256i bit = _mm256_srlv_epi32(word, _mm256_and_si256(category, _mm256_set1_epi32(31)));
        __m256i in = _mm256_and_si256(_mm256_slli_epi32(bit, 31), known);
        bits |= (uint64_t)(uint32_t)_mm256_movemask_ps(_mm256_castsi256_ps(in)) << 8 * part;
    }
    return bits;
}

TARGET static inline void OWN(exits_, LEVEL)(const uint64_t *reach, const uint8_t *place, int count, uint8_t *exits) {
    const __m256i byte = _mm256_setr_epi64x(0, 0x0101010101010101, 0x0202020202020202, 0x0303030303030303);
    const __m256i bit = _mm256_set1_epi64x((int64_t)0x8040201008040201);
    __m256i low = _mm256_setzero_si256(), high = low;
    for (int leaf = 0; leaf < count; leaf++) {
        uint64_t who = reach[place[leaf]];
        __m256i number = _mm256_set1_epi8((char)leaf);
        __m256i one = _mm256_and_si256(_mm256_shuffle_epi8(_mm256_set1_epi32((int)who), byte), bit);
        __m256i two = _mm256_and_si256(_mm256_shuffle_epi8(_mm256_set1_epi32((int)(who >> 32)), byte), bit);
        low = _mm256_or_si256(low, _mm256_and_si256(_mm256_cmpeq_epi8(one, bit), number));
        high = _mm256_or_si256(high, _mm256_and_si256(_mm256_cmpeq_epi8(two, bit), number));
    }
    _mm256_store_si256((__m256i *)exits, low);
    _mm256_store_si256((__m256i *)(exits + 32), high);
}
#endif

#if LEVEL && SMALL_TREES
TARGET static inline __attribute__((always_inline)) uint64_t OWN(decide_, LEVEL)(const ROW *column, ROW threshold) {
    return _Generic(threshold, float: OWN(right_, LEVEL), double: OWN(right_wide_, LEVEL))((const void *)column, threshold);
}

TARGET static inline __attribute__((always_inline)) void OWN(small_, LEVEL)(
    int tree, ROW (*columns)[LANES], const uint64_t *missing, int any_missing, SUM (*sums)[ROWS_A_BLOCK]) {
    uint64_t reach[256];
    uint8_t exits[LANES] __attribute__((aligned(64)));
    const Small small = smalls[tree];
    const Split *split = splits + small.split;
    reach[0] = ~(uint64_t)0;
    for (int number = 0; number + 1 < small.leaves; number++, split++) {
        uint32_t column = split->column & COLUMN;
        uint64_t right;
#if SETS
        if (split->column & BY_SET) {
            uint64_t in = OWN(in_set_, LEVEL)((const int32_t *)columns[column], sets + split->number);
            right = (IN_SET_IS_RIGHT ? in : ~in) | missing[column];
        } else
#endif
        right = OWN(decide_, LEVEL)(columns[column], split->threshold);
        if (any_missing) right &= ~(missing[column] & -(uint64_t)(split->column / MISSING_LEFT));
        uint64_t here = reach[split->self];
        reach[split->left] = here & ~right;
        reach[split->left + 1] = here & right;
    }
    OWN(exits_, LEVEL)(reach, places + small.place, small.leaves, exits);
    for (int lane = 0; lane < LANES; lane++) add(&sums[0][lane], ROWS_A_BLOCK, tree, small.leaf + exits[lane]);
}
#endif

TARGET static void NAME(const ROW *rows, int count, OUT *out) {
#if PREPARED
    ROW prepared[ROWS_A_BLOCK][FEATURES];
    for (int row = 0; row < count; row++) prepare(rows + (int64_t)row * FEATURES, prepared[row]);
    rows = prepared[0];
#endif
    SUM sums[GROUPS][ROWS_A_BLOCK];
    for (int group = 0; group < GROUPS; group++)
        for (int row = 0; row < ROWS_A_BLOCK; row++) sums[group][row] = base_margins[group];
#if LEVEL && SMALL_TREES
    ROW columns[ROWS_A_BLOCK / LANES][COLUMNS][LANES] __attribute__((aligned(64)));
    uint64_t missing[ROWS_A_BLOCK / LANES][COLUMNS];
    uint64_t any_missing[ROWS_A_BLOCK / LANES];
    int parts = (count + LANES - 1) / LANES;
    for (int part = 0; part < parts; part++) {
        any_missing[part] = 0;
        for (int lane = 0; lane < LANES; lane++) {
            int row = part * LANES + lane < count ? part * LANES + lane : count - 1;
            for (int column = 0; column < COLUMNS; column++)
                columns[part][column][lane] = rows[(int64_t)row * FEATURES + used_columns[column]];
        }
        for (int column = 0; column < COLUMNS; column++) {
            uint64_t bits = 0;
            for (int lane = 0; lane < LANES; lane++)
                bits |= (uint64_t)(columns[part][column][lane] != columns[part][column][lane]) << lane;
            any_missing[part] |= missing[part][column] = bits;
#if SETS
            if (column_is_categories[column]) {
                int32_t numbers[LANES];
                for (int lane = 0; lane < LANES; lane++) numbers[lane] = category_of(columns[part][column][lane]);
                __builtin_memcpy(columns[part][column], numbers, sizeof numbers);
            }
#endif
        }
    }
#endif
    for (int tree = 0; tree < REAL_TREES; tree++) {
#if LEVEL && SMALL_TREES
        if (ALL_SMALL || smalls[tree].leaves) {
            for (int part = 0; part < parts; part++) {
                SUM (*to)[ROWS_A_BLOCK] = (SUM (*)[ROWS_A_BLOCK])&sums[0][part * LANES];
                if (any_missing[part]) OWN(small_, LEVEL)(tree, columns[part], missing[part], 1, to);
                else OWN(small_, LEVEL)(tree, columns[part], missing[part], 0, to);
            }
            continue;
        }
#endif
        walk(tree, rows, count, sums);
    }
    for (int row = 0; row < count; row++) answer(&sums[0][row], ROWS_A_BLOCK, out + (int64_t)row * ANSWERS);
}
#undef LEVEL
#undef NAME
#undef TARGET
#undef JOINED
#undef OWN
