# What people build from source, as its maker publishes it: configure, make, the package's own tests. The programs that come out are the native ones, bit by bit.
#@ root = world
#@ each = bzip2 hello lua zlib
#@ long = configure and compilers under two emulators
#@ limit = 14400
case $1 in
bzip2) cp -a /usr/src/bzip2 b; cd b; make -s -j2 -f Makefile-libbz2_so > log 2>&1; echo $?; md5sum bzip2-shared libbz2.so.1.0.*; make -s clean; make -j2 all > log 2>&1; echo $?; grep -c '^cmp sample' log
make -s install PREFIX=/tmp/work/to > /dev/null; echo hello | ../to/bin/bzip2 | ../to/bin/bunzip2; md5sum bzip2 bzip2recover libbz2.a; (cd ../to; find . -type f -o -type l | sort) ;;
hello) cp -a /usr/src/hello h; cd h; ./configure --disable-dependency-tracking > log 2>&1; echo $?; grep -c '^checking' log; grep '^checking for gcc\|^checking whether' log | head -n 8; md5sum config.h Makefile
make -s -j2 > log 2>&1; echo $?; make check 2>&1 | grep -E '^(# )?(PASS|FAIL|TOTAL|ERROR|SKIP)'; ./hello -g 'built here'; make -s install DESTDIR=/tmp/work/to > /dev/null; ../to/usr/local/bin/hello --version | head -n 1; md5sum hello ;;
zlib) cp -a /usr/src/zlib z; cd z; ./configure --prefix=/usr; echo $?; md5sum Makefile zconf.h; make -s -j2 > log 2>&1; echo $?; make test 2>&1 | grep -v '^make'; make -s install DESTDIR=/tmp/work/to > /dev/null; md5sum libz.so.1.* libz.a minigzip example64; (cd ../to; find . -type f -o -type l | sort) ;;
lua) cp -a /usr/src/lua5.4 l; cd l; make -s -j2 linux > log 2>&1; echo $?; make -s test; make -s install INSTALL_TOP=/tmp/work/to; cd ../to; find . -type f | sort; md5sum bin/* lib/*.a
cat > t.lua <<'L'
local function sieve(n) local c, p = {}, {} for i = 2, n do if not c[i] then p[#p + 1] = i for j = i * i, n, i do c[j] = true end end end return p end
local co = coroutine.wrap(function() for _, p in ipairs(sieve(1000)) do coroutine.yield(p) end end)
local s = 0 for p in co do s = s + p end print(s, math.type(s), 7 // 2, 7.5 // 2, -7 % 3, 2^53, 1 << 62, math.maxinteger + 1 == math.mininteger)
print(string.format("%5.2f %q %x %s", math.pi, "a\nb", 255, "ok"), ("x"):rep(3, ","), utf8.char(228, 8364), string.pack("<i4z", 7, "z"):byte(1, -1))
print(pcall(error, { 1 }), select("#", table.unpack({}, 1, 3)), load("return ...")(5), #string.dump(sieve) > 100)
local t = setmetatable({}, { __gc = function() print("collected") end, __close = function() print("closed") end, __index = function(_, k) return k .. "!" end })
do local c <close> = t print(c.key) end t = nil collectgarbage()
L
bin/luac -o t.luac t.lua; bin/lua t.luac > one; bin/lua t.lua | cmp - one; grep -v '^table' one | sed 's/table: 0x[0-9a-f]*/table/'; bin/luac -l t.lua | sed 's/0x[0-9a-f]*/ADDRESS/' | md5sum ;;
esac
