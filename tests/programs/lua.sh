# Lua 5.4: tables, strings, closures, coroutines, metatables, integers and floats, files.
cat > l.lua <<'L'
local t = {}; for i = 1, 1000 do t[i] = (i * 7919) % 1009 end; table.sort(t); print(t[1], t[500], #t, table.concat(t, ",", 1, 5))
print(math.maxinteger + 1 == math.mininteger, 7 // 2, -7 // 2, -7 % 3, 7.5 // 2, 2 ^ 0.5, 1 / 0, 0 / 0 ~= 0 / 0, 3 | 4, 5 ~ 1, 1 << 62, "10" + 5, 10 == 10.0, math.type(3), math.tointeger(3.0))
print(("hello world"):gsub("o", "0"), ("key=val"):match("(%w+)=(%w+)"), ("%5.2f|%-5s|%x"):format(3.14159, "ab", 255), ("x"):rep(5, "-"), ("abc"):byte(1, -1), utf8.char(233, 8364), utf8.len("é€"), string.pack("<i4d", 7, 1.5):gsub(".", function(c) return ("%02x"):format(c:byte()) end))
local function gen(n) return coroutine.wrap(function() for i = 1, n do coroutine.yield(i * i) end end) end; for v in gen(5) do io.write(v, " ") end print()
local mt = { __add = function(a, b) return setmetatable({ v = a.v + b.v }, getmetatable(a)) end, __tostring = function(a) return "<" .. a.v .. ">" end, __index = function(_, k) return k .. "!" end, __close = function() print("closed") end, __gc = function() end }
local a, b = setmetatable({ v = 1 }, mt), setmetatable({ v = 2 }, mt); print(tostring(a + b), a.missing); do local c <close> = a end
print(select(2, pcall(error, { code = 1 })).code); print(select("#", pcall(function() error("msg", 0) end)), select(2, pcall(function() local x = nil; return x.y end)))
local function fib(n) if n < 2 then return n end return fib(n - 1) + fib(n - 2) end; print(fib(24)); local s = 0.0; for i = 1, 200000 do s = s + 1 / i end; print(s); collectgarbage(); local f = assert(io.open("f", "w")); f:write("a\nb\n", 12, "\n"); f:close(); for l in io.lines("f") do io.write("[", l, "]") end print(); print(os.time({ year = 2020, month = 1, day = 1, hour = 0 }), os.date("!%F", 86400), io.popen("echo popen"):read("a")); goto done; print("no"); ::done:: print(load("return 1 + 1")(), #arg, os.getenv("LC_ALL")); os.exit(9, true)
L
lua5.4 l.lua; echo $?; lua5.4 -e 'error("x")'; echo $?; echo 'print(6*7)' | lua5.4 -
