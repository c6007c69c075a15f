# nginx: master and workers, epoll, sendfile, 10,000 requests, reload by SIGHUP and another master by SIGUSR2 while requests go on, stop by SIGQUIT.
#@ root = world
#@ each = pages load connections reload
#@ long = more than a minute under two emulators
#@ limit = 1500
mkdir -p www logs; for i in {1..500}; do echo "line $i of a page"; done > www/page.txt; echo index > www/index.html
port=$((20000 + RANDOM % 20000))
cat > n.conf <<F
worker_processes 2; pid /tmp/work/pid; error_log /tmp/work/logs/error warn; user root;
events { worker_connections 64; }
http { access_log /tmp/work/logs/access; sendfile on; gzip on; gzip_types text/plain; keepalive_requests 100000; client_body_temp_path /tmp/work/b; proxy_temp_path /tmp/work/p; fastcgi_temp_path /tmp/work/f; uwsgi_temp_path /tmp/work/u; scgi_temp_path /tmp/work/sc;
server { listen unix:/tmp/work/s; listen 127.0.0.1:$port; root /tmp/work/www; location /r { return 302 /index.html; } location /g { return 200 "generation 0\n"; } location /p/ { proxy_pass http://unix:/tmp/work/s:/; } } }
F
u() { curl -s --unix-socket s "$@"; }
page=http://127.0.0.1:$port/page.txt
load() { ab -q "$@" $page 2>&1 | grep -E 'Complete requests|Failed requests|Non-2xx|Keep-Alive|Total transferred|apr_'; }
# await COMMAND...: until it succeeds, a minute at most.
await() { local round; for round in {1..600}; do "$@" && return; sleep 0.1; done; echo "never: $*"; }
gone() { [ ! -e "$1" ]; }
answers() { u http://x/g | grep -q "generation $1"; }
nginx -t -c /tmp/work/n.conf 2>&1 | grep -o 'test is successful'
/usr/sbin/nginx -c /tmp/work/n.conf; await answers 0
case $1 in
pages)
u http://x/; u http://x/page.txt | md5sum; u --compressed http://x/page.txt | md5sum; u -o /dev/null -w '%{http_code} %{redirect_url}\n' http://x/r; u -o /dev/null -w '%{http_code}\n' http://x/none
u -r 10-40 http://x/page.txt; echo; u http://x/p/page.txt | md5sum; curl -s $page | md5sum; load -n 200 -c 10 ;;
load) load -n 10000 -c 20 -k; wc -l < logs/access; sort logs/access | grep -c 'GET /page.txt HTTP/1.0" 200 ' ;;
connections) load -n 10000 -c 20; wc -l < logs/access ;;
reload)
(n=0; while [ ! -e enough ]; do load -n 100 -c 5 > load.$n; n=$((n + 1)); done; cat load.* | sort | uniq -c | sed 's/^ *[0-9]* //') > loads &
for g in {1..5}; do sed -i "s/generation [0-9]*/generation $g/" n.conf; kill -HUP $(cat pid); await answers $g; u http://x/g; done
mv logs/access logs/old; kill -USR1 $(cat pid); await test -s logs/access; echo another log
kill -USR2 $(cat pid); await test -e pid.oldbin; await test -s pid; [ $(cat pid) != $(cat pid.oldbin) ] && echo two masters
kill -QUIT $(cat pid.oldbin); await gone pid.oldbin; u http://x/g; touch enough; wait; cat loads ;;
esac
kill -QUIT $(cat pid); await gone pid; gone pid && echo stopped; sed -E 's/.*(open\(\) .*), client.*/\1/; s/.*\] [0-9]+#[0-9]+: //' logs/error
