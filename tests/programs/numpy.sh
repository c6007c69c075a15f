# numpy's own tests with OpenBLAS, and the bits of what numpy and OpenBLAS compute.
# Both runs must take the same way: xemu offers AVX2 and no AVX-512, so numpy is told to do without AVX-512, and OpenBLAS to use its
# kernels for Haswell (AVX2 and FMA); on a machine with AVX-512 the native run would rightly round otherwise. One thread: the order of sums.
#@ root = extra
#@ each = bits+ linalg+ fft+ umath+ ufunc+ numeric+ simd+ multiarray+ overlap+ indexing+ arrays+ dtypes+ casting+ strings+ rest+
#@ limit = 2400
export NPY_DISABLE_CPU_FEATURES="AVX512F AVX512CD AVX512_SKX AVX512_CLX AVX512_CNL AVX512_ICL AVX512_SPR" OPENBLAS_CORETYPE=Haswell OPENBLAS_NUM_THREADS=1
core=/usr/lib/python3/dist-packages/numpy/_core/tests
case $1 in
bits) exec python3 /.cases/lib/numpy-bits.py ;;
linalg | fft) set -- "/usr/lib/python3/dist-packages/numpy/$1" ;;
umath) set -- "$core"/test_umath*.py ;;
ufunc) set -- "$core"/test_{ufunc,scalarmath,half,einsum,errstate,longdouble}.py ;;
numeric) set -- "$core"/test_{numeric,function_base,getlimits,machar,numerictypes}.py ;;
simd) set -- "$core"/test_{simd,simd_module,cpu_dispatcher,array_api_info}.py ;;
multiarray) set -- "$core"/test_multiarray.py ;;
overlap) set -- "$core"/test_{mem_overlap,memmap,arrayprint}.py ;;
indexing) set -- "$core"/test_{indexing,indexerrors,item_selection,nditer,shape_base}.py ;;
arrays) set -- "$core"/test_{array_coercion,array_interface,arraymethod,arrayobject,api,dlpack,overrides,records,regression}.py ;;
dtypes) set -- "$core"/test_{dtype,datetime,custom_dtypes,deprecations,print,protocols,nep50_promotions}.py ;;
casting) set -- "$core"/test_casting_*.py ;;
strings) set -- "$core"/test_{defchararray,strings,stringdtype,unicode}.py ;;
# What remains, but for what starts C compilers or measures times and threads.
rest) set -- "$core"/test_{_exceptions,abc,argparse,conversion_utils,extint128,hashtable,scalar_ctors,scalar_methods,scalarbuffer,scalarinherit,scalarprint}.py ;;
esac
PYTHONPATH=/.cases/lib python3 -m pytest -p numpy_profile -p no:cacheprovider --assert=plain --tb=short --hypothesis-seed=0 -q --no-header --disable-warnings -rA -m 'not slow' "$@" 2>&1 | sed -E 's/ in [0-9.]+s( \(.*\))?$//; s/0x[0-9a-f]+/ADDRESS/g'
# More than failed tests: pytest itself. Then no two runs are equal.
status=${PIPESTATUS[0]}; [ "$status" -le 1 ] || echo "pytest ended with $status, nanosecond $(date +%N)"
