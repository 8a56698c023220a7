// What Verilator's writer of waveforms needs of LZ4: blocks of literals alone, which any reader takes.
#pragma once
#include <cstring>

inline int LZ4_compressBound(int size) { return size + size / 255 + 16; }

inline int LZ4_compress_default(const char* from, char* to, int size, int room) {
    if (room < LZ4_compressBound(size)) return 0;
    char* at = to;
    *at++ = char((size < 15 ? size : 15) << 4);
    if (size >= 15) {
        int left = size - 15;
        for (; left >= 255; left -= 255) *at++ = char(255);
        *at++ = char(left);
    }
    std::memcpy(at, from, size);
    return int(at - to) + size;
}
