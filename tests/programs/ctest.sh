# cmake and ctest: a project configured, built and tested, tests in parallel with time limits, one that fails and one that hangs (apple/container#293).
#@ root = extra
#@ long = minutes under two emulators
#@ limit = 1200
mkdir p; cd p
cat > CMakeLists.txt <<'C'
cmake_minimum_required(VERSION 3.20)
project(p C)
enable_testing()
add_library(l STATIC l.c)
add_executable(t t.c)
target_link_libraries(t l)
foreach(i RANGE 1 8)
    add_test(NAME t${i} COMMAND t ${i})
endforeach()
add_test(NAME fails COMMAND t 0)
add_test(NAME hangs COMMAND t hang)
set_tests_properties(hangs PROPERTIES TIMEOUT 2)
add_test(NAME after COMMAND t 9)
set_tests_properties(after PROPERTIES DEPENDS t1 ENVIRONMENT "X=1" PASS_REGULAR_EXPRESSION "9")
C
echo 'int twice(int x) { return 2 * x; }' > l.c
printf '#include <stdio.h>\n#include <stdlib.h>\n#include <unistd.h>\nint twice(int);\nint main(int n, char **a) { int i = atoi(a[1]); if (a[1][0] == 104) pause(); printf("%%d\\n", i); return twice(i) != 2 * i || i == 0; }\n' > t.c
cmake -S . -B b > log 2>&1; echo $?; grep -E '^-- (Configuring|Generating) done' log | cut -c1-18; cmake --build b -j2 2>&1 | grep -o 'Built target.*' | sort
ctest --test-dir b -j 4 --timeout 60 2>/dev/null | grep -E '^[[:space:]]*[0-9]+ - |tests passed' | sed 's/ *[0-9.]* sec//'; echo "${PIPESTATUS[0]}"
cmake -E sha256sum t.c | cut -c1-16; cmake --install b --prefix i 2>&1 | head -1; cmake --version | head -1
