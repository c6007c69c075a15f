# `RUN apt-get update && apt-get install -y build-essential` in a build, and a RUN step that compiles and runs a program. The packages come from a local copy of
# Debian's archive: the machine has no network.
#@ where = vm
#@ long-vm = installing sixty packages and compiling takes many minutes in the machine
#@ run = host
#@ archive = build-essential
#@ limit = 2400
installed
podman load -q -i /payload/base.tar >/dev/null; same "load" $? 0
mkdir build
cat >build/main.cpp <<'C'
#include <algorithm>
#include <iostream>
#include <map>
#include <stdexcept>
#include <string>
int main(int argc, char **argv) {
    std::map<std::string, int> seen;
    for (const char *word : {"a", "b", "a", "c", "a"}) seen[word]++;
    try { seen.at("missing"); } catch (const std::out_of_range &) { std::cout << "caught "; }
    std::cout << std::max_element(seen.begin(), seen.end(), [](auto &x, auto &y) { return x.second < y.second; })->first << " " << sizeof(void *) * 8 << " " << argc << std::endl;
}
C
printf 'all: program\nprogram: main.o\n\t$(CXX) -o $@ $^\n%%.o: %%.cpp\n\t$(CXX) -O2 -Wall -Werror -c -o $@ $<\n' >build/Makefile
cat >build/Containerfile <<'C'
FROM base
RUN rm -rf /etc/apt/sources.list.d && echo "deb [trusted=yes] file:/archive ./" >/etc/apt/sources.list
RUN apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends build-essential
COPY main.cpp Makefile /src/
RUN make -C /src && test "$(/src/program)" = "caught a 64 1"
ENTRYPOINT ["/src/program", "from", "a", "build"]
C
podman build -v /payload/archive:/archive:ro --platform linux/amd64 -t built build >/tmp/log 2>&1; same "build" "$?" 0
grep -E 'STEP|^(E|W): |error|dpkg:' /tmp/log | head -n 40 >&2; tail -n 5 /tmp/log >&2
has "update" "$(cat /tmp/log)" "Reading package lists"
same "it runs" "$(amd64 built)" "caught a 64 4"
same "what is installed" "$(amd64 --entrypoint dpkg-query built -W -f '${db:Status-Status}\n' build-essential g++ libc6-dev make dpkg-dev | sort | uniq -c | tr -s ' ')" " 5 installed"
same "nothing is half done" "$(amd64 --entrypoint dpkg built --audit)" ""
has "the compiler's machine" "$(amd64 --entrypoint gcc built -dumpmachine)" x86_64-linux-gnu
