# What programs look at before they start: x86-64-v2 and v3 as the loader sees them, and AVX in /proc/cpuinfo (docker/for-mac#7137, #6620:
# MongoDB; orbstack#482: Milvus; containers/podman#15456: an image for v2). What a processor has beyond v3 is its own affair.
/lib64/ld-linux-x86-64.so.2 --help | grep -E 'x86-64-v[23] \('
for flag in lm cx16 lahf_lm popcnt pni sse4_1 sse4_2 ssse3 avx avx2 bmi1 bmi2 f16c fma abm movbe xsave aes pclmulqdq; do grep -q -w "^flags.* $flag" /proc/cpuinfo && echo "$flag"; done
grep -c '^processor' /proc/cpuinfo | grep -x "$(nproc)" > /dev/null && echo "as many as nproc says"
grep -E -c '^(vendor_id|cpu family|model name|cpuid level)' /proc/cpuinfo | awk '{ print ($1 >= 4) }'; uname -m
