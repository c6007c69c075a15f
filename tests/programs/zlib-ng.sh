# zlib-ng (PyPI's wheel), whose checksums, matching and copying have AVX2 variants: every level and strategy over texts, programs, noise and
# runs, in pieces and whole, and back; its output must be the same bytes.
#@ root = extra
#@ long = takes minutes under two emulators
#@ limit = 1800
PYTHONPATH=/usr/local/lib/wheels python3 - <<'P'
import gzip, hashlib, random, zlib
from zlib_ng import gzip_ng, gzip_ng_threaded, zlib_ng

print(zlib_ng.ZLIBNG_VERSION)
r = random.Random(1)
text = b"".join(open(f"/usr/share/common-licenses/{n}", "rb").read() for n in ("GPL-3", "LGPL-2", "Artistic"))[:60000]
program = open("/usr/bin/bash", "rb").read()[20000:80000]
corpora = {
    "empty": b"", "one": b"x", "text": text, "program": program, "noise": r.randbytes(30000), "zeros": bytes(50000), "pairs": b"ab" * 20000, "tall": bytes(range(256)) * 150,
    "mixed": b"".join(r.choice((text, program))[i:i + r.randrange(300)] for i in (r.randrange(50000) for _ in range(300))),
}
for name, data in corpora.items():
    for n in (0, 1, 7, 15, 16, 31, 32, 63, 64, 255, 4096, 29999):
        assert zlib_ng.adler32(data[:n]) == zlib.adler32(data[:n]) and zlib_ng.crc32(data[:n], 5) == zlib.crc32(data[:n], 5)
    print(name, len(data), zlib_ng.adler32(data), zlib_ng.crc32(data))
    for level in range(10):
        packed = zlib_ng.compress(data, level)
        assert zlib_ng.decompress(packed) == data == zlib.decompress(packed)
        print(name, level, len(packed), hashlib.md5(packed).hexdigest())
    for strategy in (zlib_ng.Z_FILTERED, zlib_ng.Z_HUFFMAN_ONLY, zlib_ng.Z_RLE, zlib_ng.Z_FIXED):
        for window, memory in ((9, 1), (-15, 8), (31, 9)):
            c = zlib_ng.compressobj(6, zlib_ng.DEFLATED, window, memory, strategy)
            pieces = b"".join(c.compress(data[i:i + 7777]) for i in range(0, len(data), 7777)) + c.flush(zlib_ng.Z_SYNC_FLUSH) + c.flush()
            d = zlib_ng.decompressobj(window)
            assert d.decompress(pieces, 1000) + d.decompress(d.unconsumed_tail) + d.flush() == data
            print(name, strategy, window, len(pieces), hashlib.md5(pieces).hexdigest())
c = zlib_ng.compressobj(9, zdict=text[:20000])
packed = c.compress(text[10000:]) + c.flush()
print(len(packed), hashlib.md5(packed).hexdigest(), zlib_ng.decompressobj(zdict=text[:20000]).decompress(packed) == text[10000:])
packed = gzip_ng.compress(text, mtime=0)
print(hashlib.md5(packed).hexdigest(), gzip.decompress(packed) == gzip_ng.decompress(packed) == text)
for broken in (packed[:-9], packed[:500] + b"\0" * 20 + packed[520:], b"no gzip"):
    try:
        print(len(gzip_ng.decompress(broken)))
    except Exception as e:
        print(type(e).__name__, e)
with gzip_ng_threaded.open("/tmp/work/t.gz", "wb", threads=2) as f:
    f.write(text * 10)
print(gzip.open("/tmp/work/t.gz").read() == text * 10)
P
