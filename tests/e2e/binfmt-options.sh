# The options of `xemu binfmt` that tests/e2e/uninstall.sh and replace.sh leave out: JSON and exit codes, settings in the registered copy, a replacement that no
# program misses, and the options of the image that everybody scripts against.
# Thread: tonistiigi/binfmt#261
#@ where = namespace vm
#@ run = node
#@ needs = rust/marker
mount=/proc/sys/fs/binfmt_misc
xemu=$NODE/xemu
json() { $xemu binfmt status --json | tr -d ' \n'; }
$xemu binfmt status >/dev/null; same "status before: exit" $? 1
has "JSON before" "$(json)" '"enabled":false,"entry":null,"mount":"/proc/sys/fs/binfmt_misc","mounted":true'
has "version" "$($xemu binfmt --version)" "xemu "
has "help" "$($xemu binfmt --help)" "--replace-qemu"
for wrong in "install --nonsense" "install --flags X" "install --path relative" "--install" "status --flags F" "--uninstall qemu-arm"; do
    $xemu binfmt $wrong >/dev/null 2>&1; same "refused: '$wrong'" $? 1
done
has "elsewhere" "$($xemu binfmt status --mount /nowhere)" "not mounted on /nowhere"
# Settings: the registered copy carries them, whatever the environment says later.
plain=$($xemu binfmt install --flags F >/dev/null; guest /.guests/rust/marker)
printf '# a comment\nXEMU_CPU=Nehalem\n' >$NODE/settings
said=$($xemu binfmt install --flags F --settings $NODE/settings --copy-to $NODE/copies); same "settings" $? 0
copy=$(ls $NODE/copies); has "a copy" "$said" "registered xemu-x86_64 -> $NODE/copies/$copy"
has "its version" "$(json)" '"version":"'"$($xemu --version | cut -d' ' -f2)"'"'
rm -r $NODE/copies
set=$(guest /.guests/rust/marker); [ -n "$set" ] && [ "$set" != "$plain" ]; same "they count" $? 0
has "they are seen" "$(guest /bin/grep 'model name' /proc/cpuinfo | head -n 1)" "Core i7 9xx"
for wrong in XEMU_CPU=nonsense XEMU_LOG_FILE=/tmp/x XEMU_STRACE=1 CPU; do
    echo "$wrong" >$NODE/settings; $xemu binfmt install --settings $NODE/settings --copy-to $NODE/copies >/dev/null 2>&1; same "not a setting: $wrong" $? 1
done
same "nothing was changed" "$(guest /.guests/rust/marker)" "$set"
# A folder, as a ConfigMap is mounted.
mkdir -p $NODE/map/..data; echo Penryn >$NODE/map/XEMU_CPU
$xemu binfmt install --flags F --settings $NODE/map --copy-to $NODE/copies >/dev/null
has "by a folder" "$(guest /bin/grep 'model name' /proc/cpuinfo | head -n 1)" "Core 2 Duo"
# Registered again and again while programs start all the time: none of them finds nobody.
( while [ ! -e $NODE/stop ]; do guest /.guests/rust/marker >/dev/null 2>&1 || echo missed; done >$NODE/missed ) &
for round in 1 2 3 4 5 6; do $xemu binfmt install --flags F >/dev/null; done
touch $NODE/stop; wait
same "missed" "$(cat $NODE/missed)" ""
same "one entry" "$(ls $mount | grep -c xemu)" 1
# The image's options.
has "one of two" "$($xemu binfmt --install riscv64,amd64)" "installing: amd64 OK"
has "the other" "$($xemu binfmt --install riscv64,amd64)" "installing: riscv64: there is no emulator for it here"
has "state" "$($xemu binfmt | tr -d ' \n' 2>/dev/null; $xemu binfmt -mount $mount | tr -d ' \n')" '"xemu-x86_64"'
has "uninstall" "$($xemu binfmt --uninstall 'xemu-*')" "uninstalling: xemu-* OK"
same "gone" "$(ls $mount | grep -c xemu)" 0
