"""Bits of what numpy (its AVX2 loops) and OpenBLAS (its Haswell kernels) compute: a hash of each result."""
import ctypes
import hashlib
import warnings

import numpy as np

warnings.simplefilter("ignore")
rng = np.random.default_rng(1)


def show(name, *arrays):
    h = hashlib.sha256()
    for a in arrays:
        h.update(np.ascontiguousarray(a).tobytes())
    print(name, h.hexdigest()[:16])


features = np._core._multiarray_umath.__cpu_features__
print({f: features[f] for f in ("AVX2", "FMA3", "AVX512F")})
corename = ctypes.CDLL("libopenblas.so.0").openblas_get_corename
corename.restype = ctypes.c_char_p
print(corename())

# Of x87's type the last six bytes of sixteen are padding, so it is left to libm.sh.
for t in (np.float16, np.float32, np.float64, np.complex64, np.complex128):
    a = (rng.standard_normal(5003) * 10).astype(t)
    b = (rng.standard_normal(5003) * 3).astype(t)
    if np.iscomplexobj(a):
        a, b = a + a[::-1] * t(1j), b + b[::-1] * t(1j)
    a[::97], b[::89], b[5::101] = np.inf, np.nan, 0
    for f in sorted((k for k, v in vars(np).items() if isinstance(v, np.ufunc))):
        u = getattr(np, f)
        if u.nin > 2 or u.signature:
            continue
        try:
            r = u(*(a, b)[: u.nin])
        except TypeError:
            continue
        show(f"{t.__name__} {f}", *(r if isinstance(r, tuple) else (r,)))
    for f in ("sum", "prod", "mean", "std", "max", "argmin", "cumsum", "sort", "argsort", "median", "nansum", "nanvar"):
        show(f"{t.__name__} {f}", getattr(np, f)(a[1:90]))

for t in (np.int8, np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.int64, np.uint64):
    i = np.iinfo(t)
    a, b = (rng.integers(i.min, i.max, 5003, t, endpoint=True) for _ in range(2))
    b[::50] = 0
    for f in ("add", "multiply", "floor_divide", "remainder", "left_shift", "bitwise_xor", "maximum", "less", "gcd", "bitwise_count", "square", "absolute", "sign", "true_divide"):
        u = getattr(np, f)
        show(f"{t.__name__} {f}", u(*(a, b)[: u.nin]))
    for f in ("sum", "sort", "argsort", "unique", "cumsum", "argmax"):
        show(f"{t.__name__} {f}", getattr(np, f)(a))
    show(f"{t.__name__} casts", *(a.astype(np.dtype(c)) for c in "bBhHiIqQefdFD"))

for t in (np.float32, np.float64, np.complex64, np.complex128):
    n = 129
    m = rng.standard_normal((n, n)).astype(t)
    if np.iscomplexobj(m):
        m = m + m.T * t(1j)
    v, s = m[:, 3].copy(), m + m.conj().T
    L = np.linalg
    for name, f in {
        "gemm": lambda: m @ m, "gemm with transposes": lambda: m.T @ m[:, :40], "syrk": lambda: m @ m.T, "gemv": lambda: m @ v, "dot": lambda: np.vdot(v, m[:, 1]),
        "solve": lambda: L.solve(m, v), "inv": lambda: L.inv(m), "det": lambda: L.det(m / 10), "cholesky": lambda: L.cholesky(m @ m.conj().T + 50 * np.eye(n, dtype=t)),
        "qr": lambda: L.qr(m), "svd": lambda: L.svd(m), "eigh": lambda: L.eigh(s), "eig": lambda: L.eig(m[:40, :40]), "lstsq": lambda: L.lstsq(m[:, :30], v, rcond=None)[0],
        "norms": lambda: [L.norm(m, o) for o in (None, 1, 2, np.inf, "nuc")], "pinv": lambda: L.pinv(m[:, :50]), "expm by squaring": lambda: L.matrix_power(m / 20, 13),
    }.items():
        r = f()
        show(f"{t.__name__} {name}", *(r if isinstance(r, (tuple, list)) else (r,)))
    for k in (64, 100, 127, 1000):
        x = rng.standard_normal(k).astype(t)
        show(f"{t.__name__} fft {k}", np.fft.fft(x), np.fft.ifft(x), np.fft.rfft(x.real), np.fft.fft2(np.outer(x[:30], x[:30])))

g = np.random.default_rng(2)
for f in ("standard_normal", "standard_exponential", "standard_cauchy", "random"):
    show(f"random {f}", getattr(g, f)(10000))
show("random others", g.gamma(2, 3, 1000), g.beta(2, 3, 1000), g.binomial(50, 0.3, 1000), g.poisson(20, 1000), g.permutation(1000), g.multivariate_normal([0, 1], [[2, 1], [1, 3]], 100))
print(repr(rng.standard_normal(20)), np.array([1e300, 1e-310, 0.1, 1 / 3]).astype(str), np.polyfit(range(9), [1, 3, 2, 5, 7, 8, 6, 9, 4], 3))
