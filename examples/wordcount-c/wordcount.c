/*
 * Counts lines, words and bytes of the named files, or of stdin where none is named, as wc does.
 * It uses read and write alone, not stdio, and stays small enough to stand inside a job's YAML.
 */
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

struct counts {
    unsigned long long lines, words, bytes;
};

static int is_space(char byte) {
    return byte == ' ' || (byte >= '\t' && byte <= '\r');
}

/* 0, or -1 and errno. */
static int count(int file, struct counts *counts) {
    static char buffer[65536];
    int in_word = 0;
    ssize_t length;
    while ((length = read(file, buffer, sizeof buffer)) > 0) {
        counts->bytes += (unsigned long long)length;
        for (ssize_t at = 0; at < length; at++) {
            counts->lines += buffer[at] == '\n';
            int space = is_space(buffer[at]);
            counts->words += !space && !in_word;
            in_word = !space;
        }
    }
    return length < 0 ? -1 : 0;
}

static int put(int file, const char *text, size_t length) {
    while (length > 0) {
        ssize_t written = write(file, text, length);
        if (written < 0)
            return -1;
        text += written;
        length -= (size_t)written;
    }
    return 0;
}

static int put_text(int file, const char *text) {
    return put(file, text, strlen(text));
}

static int put_number(unsigned long long number) {
    char digits[24];
    size_t start = sizeof digits;
    do {
        digits[--start] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    return put(STDOUT_FILENO, digits + start, sizeof digits - start);
}

static int report(const struct counts *counts, const char *name) {
    if (put_number(counts->lines) < 0 || put_text(STDOUT_FILENO, " ") < 0 || put_number(counts->words) < 0 ||
        put_text(STDOUT_FILENO, " ") < 0 || put_number(counts->bytes) < 0)
        return -1;
    if (name && (put_text(STDOUT_FILENO, " ") < 0 || put_text(STDOUT_FILENO, name) < 0))
        return -1;
    return put_text(STDOUT_FILENO, "\n");
}

static int fail(const char *name) {
    put_text(STDERR_FILENO, "wordcount: cannot read ");
    put_text(STDERR_FILENO, name);
    put_text(STDERR_FILENO, "\n");
    return 1;
}

int main(int argc, char **argv) {
    int code = 0;
    if (argc < 2) {
        struct counts counts = {0, 0, 0};
        if (count(STDIN_FILENO, &counts) < 0)
            return fail("stdin");
        return report(&counts, NULL) < 0;
    }
    for (int index = 1; index < argc; index++) {
        struct counts counts = {0, 0, 0};
        int file = open(argv[index], O_RDONLY);
        if (file < 0 || count(file, &counts) < 0)
            code = fail(argv[index]);
        else if (report(&counts, argv[index]) < 0)
            code = 1;
        if (file >= 0)
            close(file);
    }
    return code;
}
