# LuaJIT: traces into pages that change often, addresses below 2^47, FFI.
#@ root = world
#@ long = more than a minute under two emulators
#@ limit = 1500
cat > f.lua <<'F'
local function fib(n) if n < 2 then return n end return fib(n - 1) + fib(n - 2) end
print(fib(22)); local t = {}; for i = 1, 200000 do t[i % 1000 + 1] = (t[i % 1000 + 1] or 0) + i * 0.5 end local s = 0 for _, v in ipairs(t) do s = s + v end print(s)
local ffi = require "ffi"; ffi.cdef "int abs(int); typedef struct { double x, y; } p; unsigned long strlen(const char *);"
local a = ffi.new("p[100]"); for r = 1, 500 do for i = 0, 99 do a[i].x = a[i].x + i * r; a[i].y = a[i].x / (r + 1) end end print(a[99].x, a[99].y, ffi.C.abs(-5), tonumber(ffi.C.strlen("abcd")))
local cb = ffi.cast("int (*)(int)", function(x) return x * 2 end); local n = 0 for i = 1, 100 do n = n + cb(i) end print(n)
local parts = {} for i = 1, 3000 do parts[#parts + 1] = ("%d:%x"):format(i, i) end print(#table.concat(parts, ","), bit.bxor(0x55, 0xff)) print(pcall(function() local x = nil; return x.y end))
for k = 1, 60 do local f = loadstring("local s = 0 for i = 1, 300 do s = s + i % " .. k .. " end return s"); n = n + f() end print(n)
local co = coroutine.wrap(function() for i = 1, 1e4 do coroutine.yield(i) end end); local c = 0 for i = 1, 1e4 do c = c + co() end print(c)
F
luajit f.lua; luajit -joff f.lua | md5sum; luajit -O3 -Ohotloop=2 f.lua | md5sum
