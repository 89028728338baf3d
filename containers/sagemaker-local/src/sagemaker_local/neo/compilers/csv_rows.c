/* Rows of CSV to doubles, for servers: beside the model there is then no parser that is general and slow.
 *
 * A number of at most 2^53 without its point, times or by at most 10^22, is exact in double, as both factors
 * are: one rounding, as strtod has it (Clinger, "How to read floating point numbers accurately", 1990).
 * Whatever else there is, long numbers and mistakes, is left to the caller, who knows how to complain.
 */
#include <stdint.h>

static const double powers[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                                1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

enum { MOST_DIGITS = 18, MOST_POWER = 22, MOST_EXPONENT_DIGITS = 4 };
#define MOST_EXACT (UINT64_C(1) << 53)

static int is_blank(char c) { return c == ' ' || c == '\t' || c == '\r'; }

static const char *digits(const char *at, uint64_t *number) {
    unsigned digit;
    for (; (digit = (unsigned)(unsigned char)*at - '0') <= 9; at++) *number = *number * 10 + digit;
    return at;
}

/* What follows the number, or 0 where it is none that is exact. */
static const char *read_number(const char *at, double *value) {
    uint64_t number = 0;
    int64_t power = 0;
    int negative = *at == '-';
    if (negative || *at == '+') at++;
    const char *first = at;
    at = digits(at, &number);
    int64_t count = at - first;
    if (*at == '.') {
        const char *after = ++at;
        at = digits(at, &number);
        power = after - at;
        count -= power;
    }
    if (count < 1 || count > MOST_DIGITS || number > MOST_EXACT) return 0;
    if (*at == 'e' || *at == 'E') {
        uint64_t exponent = 0;
        int less = *++at == '-';
        if (less || *at == '+') at++;
        const char *after = at;
        at = digits(at, &exponent);
        if (at == after || at - after > MOST_EXPONENT_DIGITS) return 0;
        power += less ? -(int64_t)exponent : (int64_t)exponent;
    }
    double found = (double)number;
    if (power && number) {
        if (power < -MOST_POWER || power > MOST_POWER) return 0;
        found = power < 0 ? found / powers[-power] : found * powers[power];
    }
    *value = negative ? -found : found;
    return at;
}

/* How many rows of width numbers there are, or -1. text[length] is 0; rows has room for most rows. */
__attribute__((visibility("default"))) int64_t read_csv(const char *text, int64_t length, int64_t width, double *rows,
                                                        int64_t most) {
    const char *at = text, *end = text + length;
    for (int64_t row = 0; row < most; row++) {
        for (int64_t left = width; left; left--) {
            while (is_blank(*at)) at++;
            if (!(at = read_number(at, rows++))) return -1;
            while (is_blank(*at)) at++;
            if (left == 1) break;
            if (*at++ != ',') return -1;
        }
        if (at == end) return row + 1;
        if (*at++ != '\n') return -1;
        if (at == end) return row + 1;
    }
    return -1;
}
