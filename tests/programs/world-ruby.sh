# ruby: threads and timers, fibers, fork.
#@ root = world
#@ long = more than a minute under two emulators
#@ limit = 1500
cat > f.rb <<'F'
def fib(n) = n < 2 ? n : fib(n - 1) + fib(n - 2)
puts fib(18), (1..2000).map { |x| x ** 2 }.select(&:even?).sum, 3 ** 200, "abc".gsub(/b/) { $&.upcase }
h = Hash.new(0); 20000.times { |i| h["k#{i % 99}"] += i }; puts h["k5"]
q = Queue.new; t = 4.times.map { |i| Thread.new { 50.times { |j| q << i * j }; i } }; puts t.map(&:value).sum, q.size
f = Fiber.new { 3.times { |i| Fiber.yield i }; :done }; puts 4.times.map { f.resume }.inspect
r, w = IO.pipe; pid = fork { r.close; w.puts "child"; exit!(3) }; w.close; puts r.read; Process.wait pid; puts $?.exitstatus
m = Mutex.new; c = 0; 4.times.map { Thread.new { 500.times { m.synchronize { c += 1 } } } }.each(&:join); puts c
trap("USR1") { puts "usr1" }; Process.kill("USR1", $$); sleep 0.1; begin; raise "x"; rescue => e; puts e.message; end
def deep(n) = deep(n + 1); begin; deep(0); rescue SystemStackError; puts "deep"; end; GC.start; puts GC.count > 0, `echo sub`
F
ruby --disable-gems f.rb
