# nginx: master and workers, epoll, sendfile, reload by SIGHUP, stop by SIGQUIT.
#@ root = world
#@ long = more than a minute under two emulators
#@ limit = 1500
mkdir -p www logs; for i in {1..500}; do echo "line $i of a page"; done > www/page.txt; echo index > www/index.html
port=$((20000 + RANDOM % 20000))
cat > n.conf <<F
worker_processes 2; pid /tmp/work/pid; error_log /tmp/work/logs/error warn; user root;
events { worker_connections 64; }
http { access_log /tmp/work/logs/access; sendfile on; gzip on; gzip_types text/plain; client_body_temp_path /tmp/work/b; proxy_temp_path /tmp/work/p; fastcgi_temp_path /tmp/work/f; uwsgi_temp_path /tmp/work/u; scgi_temp_path /tmp/work/sc;
server { listen unix:/tmp/work/s; listen 127.0.0.1:$port; root /tmp/work/www; location /r { return 302 /index.html; } location /p/ { proxy_pass http://unix:/tmp/work/s:/; } } }
F
nginx -t -c /tmp/work/n.conf 2>&1 | grep -o 'test is successful'
nginx -c /tmp/work/n.conf
for i in {1..600}; do curl -s --unix-socket s http://x/ > /dev/null && break; sleep 0.1; done
u() { curl -s --unix-socket s "$@"; }
u http://x/; u http://x/page.txt | md5sum; u --compressed http://x/page.txt | md5sum; u -o /dev/null -w '%{http_code} %{redirect_url}\n' http://x/r; u -o /dev/null -w '%{http_code}\n' http://x/none
u -r 10-40 http://x/page.txt; echo; u http://x/p/page.txt | md5sum; curl -s http://127.0.0.1:$port/page.txt | md5sum
ab -q -n 200 -c 10 http://127.0.0.1:$port/page.txt 2>&1 | grep -E 'Complete requests|Failed requests|Total transferred'
master=$(cat pid); sed -i 's/return 302/return 301/' n.conf; kill -HUP $master
for i in {1..600}; do u -o /dev/null -w '%{http_code}\n' http://x/r > code; grep -q 301 code && break; sleep 0.1; done; cat code
kill -QUIT $master; for i in {1..600}; do [ -e pid ] || break; sleep 0.1; done; [ -e pid ] || echo stopped; sed "s/.*\(open() .*\), client.*/\1/" logs/error
