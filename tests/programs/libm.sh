# Debian's libm, every function of math.h over 10^5 arguments, bit for bit; its FMA and AVX2 variants are what both processors pick.
# Ten hashes a function; `libm TYPE COUNT FUNCTION` shows the arguments and results of one.
#@ needs = c/libm-dynamic
#@ each = float+ double+ long+
#@ limit = 1800
/.guests/c/libm-dynamic "$1" 100000
