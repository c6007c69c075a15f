# PHP with opcache's JIT (docker/for-mac#6887, #7182, #6773), forks and the built-in web server.
#@ root = world
#@ each = plain tracing function server
#@ long = more than a minute under two emulators
#@ limit = 1500
cat > f.php <<'F'
<?php
function fib($n) { return $n < 2 ? $n : fib($n - 1) + fib($n - 2); }
echo fib(20), "\n"; $a = []; for ($i = 0; $i < 50000; $i++) { $a["k" . $i % 777] = ($a["k" . $i % 777] ?? 0) + $i * 1.5; } ksort($a); echo count($a), " ", array_sum($a), "\n";
class A { public function __construct(private array $x = []) {} function add($v) { $this->x[] = $v; return $this; } function n() { return count($this->x); } }
$o = new A; for ($i = 0; $i < 5000; $i++) $o->add($i); echo $o->n(), "\n"; echo preg_replace_callback('/\d+/', fn($m) => $m[0] * 2, "a1 b22 c333"), "\n";
function gen($n) { for ($i = 0; $i < $n; $i++) yield $i => $i * $i; } $s = 0; foreach (gen(5000) as $k => $v) $s += $k ^ $v; echo $s, "\n";
try { intdiv(1, 0); } catch (DivisionByZeroError $e) { echo get_class($e), "\n"; } echo hash('sha256', 'x'), " ", strlen(gzcompress(str_repeat("abc", 1000))), "\n";
F
p="php8.4 -n -d zend_extension=opcache.so -d opcache.enable_cli=1"
case $1 in
plain) php8.4 -n f.php ;;
tracing) $p -d opcache.jit=tracing -d opcache.jit_buffer_size=16M f.php; $p -d opcache.jit=tracing -d opcache.jit_buffer_size=16M -r 'var_dump(opcache_get_status()["jit"]["on"]);' ;;
function) $p -d opcache.jit=function -d opcache.jit_buffer_size=16M f.php ;;
server) echo '<?php echo "hello ", $_GET["n"] * 2;' > i.php; port=$((20000 + RANDOM % 20000)); PHP_CLI_SERVER_WORKERS=2 $p -d opcache.jit=tracing -d opcache.jit_buffer_size=8M -S 127.0.0.1:$port > log 2>&1 & for i in {1..300}; do curl -s http://127.0.0.1:$port/i.php?n=1 > /dev/null && break; sleep 0.1; done; for i in 1 2 3 4 5; do curl -s "http://127.0.0.1:$port/i.php?n=$i"; echo; done; kill $!; wait $! 2>/dev/null; echo $? ;;
esac
