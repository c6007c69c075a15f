# The DaemonSet's containers as a kubelet starts them: the installing one with CAP_SYS_ADMIN alone and nothing of the host, the agent without any privilege.
# Readiness and metrics; an upgrade under a running server (redis); the uninstalling container.
# Thread: docker/buildx#516
#@ where = vm
#@ long-vm = dozens of containers take minutes in the machine
#@ run = host
podman load -q -i /payload/image.tar >/dev/null
podman load -q -i /payload/debian.tar >/dev/null
mkdir copies settings; printf Nehalem >settings/XEMU_CPU
registering="--cap-drop all --cap-add sys_admin --security-opt apparmor=unconfined --read-only -v /tmp/copies:/run/xemu"
install() { podman run --rm $registering -v /tmp/settings:/etc/xemu:ro xemu:latest install --replace-qemu --settings /etc/xemu --copy-to /run/xemu --mount /run/xemu/binfmt_misc; }
agent="podman run --user 65532:65532 --cap-drop all --read-only --security-opt no-new-privileges -v /tmp/copies:/run/xemu:ro --entrypoint /usr/bin/xemu"
$agent --rm xemu:latest agent --check >/tmp/check; same "before: not ready" $? 1
has "before: says" "$(cat /tmp/check)" "not ready: an x86_64 program does not run"
has "install" "$(install 2>&1)" "registered xemu-x86_64 -> /run/xemu/xemu-"
$agent -d --name agent xemu:latest agent --listen 127.0.0.1:9467 >/dev/null; same "agent" $? 0
for round in 1 2 3 4 5 6 7 8 9 10; do get /healthz >/dev/null 2>&1 && break; sleep 0.5; done
has "ready" "$(get /readyz)" "200 OK"
has "by xemu" "$(get /readyz)" "ready: an x86_64 program ran in"
metrics=$(get /metrics)
for metric in "xemu_registered 1" "xemu_selftest_success 1" 'xemu_handler_info{version="0' "xemu_selftest_duration_seconds 0." "xemu_selftest_failures_total 0"; do has "$metric" "$metrics" "$metric"; done
has "nothing else" "$(get /etc/passwd)" "404 Not Found"
has "settings" "$(amd64 debian grep -m1 'model name' /proc/cpuinfo)" "Core i7 9xx"
# A server that runs while xemu is upgraded.
podman run -d --name redis --platform linux/amd64 --health-cmd 'redis-cli ping' debian redis-server --save '' --port 7777 >/dev/null; same "redis" $? 0
cli() { podman exec redis redis-cli -p 7777 "$@"; }
for round in 1 2 3 4 5 6 7 8 9 10; do [ "$(cli ping 2>/dev/null)" = PONG ] && break; sleep 0.5; done
same "set" "$(cli set key value)" OK
printf Penryn >settings/XEMU_CPU
old=$(ls copies | grep -c xemu-)
has "upgrade" "$(install 2>&1)" "registered xemu-x86_64"
same "a new copy" "$(ls copies | grep -c xemu-)" $((old + 1))
same "the server goes on" "$(cli get key)" value
has "new programs get the new one" "$(podman exec redis grep -m1 'model name' /proc/cpuinfo)" "Core 2 Duo"
same "a transaction" "$(printf 'multi\nincr n\nincr n\nexec\n' | podman exec -i redis redis-cli -p 7777 | tail -n 2 | tr '\n' ' ')" "1 2 "
sleep 3; has "still ready" "$(get /readyz)" "200 OK"
podman stop -t 5 redis >/dev/null; same "stopped by its signal" "$(podman inspect -f '{{.State.ExitCode}}' redis)" 0
has "uninstall" "$(podman run --rm $registering xemu:latest uninstall --mount /run/xemu/binfmt_misc 2>&1)" "removed xemu-x86_64"
sleep 3.5; has "not ready any more" "$(get /readyz)" "503 Service Unavailable"
has "metrics say so" "$(get /metrics)" "xemu_registered 0"
start=$SECONDS; podman stop -t 20 agent >/dev/null; [ $((SECONDS - start)) -lt 15 ]; same "the agent ends when told" $? 0
