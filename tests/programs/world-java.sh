# OpenJDK (HotSpot): interpreter and compilers, safepoints by protected pages, exceptions by signals, collectors, javac
# (docker/for-mac#7172, #7006, #7286, #7320).
#@ root = world
#@ each = version hello work c1 c2 g1 z parallel
#@ long = more than a minute under two emulators
#@ limit = 1500
j=/usr/lib/jvm/java-21-openjdk-amd64/bin
[ $1 = version ] && { $j/java -version 2>&1; exit; }
[ $1 = hello ] && { echo 'public class H { public static void main(String[] a) { System.out.println("hello " + System.getProperty("os.arch") + " " + a.length); } }' > H.java; $j/javac -d . H.java && $j/java -XX:+UseSerialGC -cp . H a b; $j/java -Xint -XX:+UseSerialGC -cp . H; exit; }
case $1 in work) how=-XX:+UseSerialGC ;; c1) how='-XX:+UseSerialGC -XX:TieredStopAtLevel=1' ;; c2) how='-XX:+UseSerialGC -XX:-TieredCompilation' ;; g1) how=-XX:+UseG1GC ;; z) how=-XX:+UseZGC ;; parallel) how=-XX:+UseParallelGC ;; esac
cat > Work.java <<'J'
import java.util.*;
import java.util.concurrent.*;
import java.util.concurrent.atomic.*;
import java.util.stream.*;

public class Work {
    static int fib(int n) { return n < 2 ? n : fib(n - 1) + fib(n - 2); }
    static int depth(int n) { return 1 + depth(n + 1); }
    interface Shape { double area(); }
    record Circle(double r) implements Shape { public double area() { return Math.PI * r * r; } }
    record Square(double s) implements Shape { public double area() { return s * s; } }
    static String nothing;

    public static void main(String[] args) throws Exception {
        System.out.println(fib(20));
        Shape[] shapes = new Shape[1000];
        for (int i = 0; i < shapes.length; i++) shapes[i] = i % 3 == 0 ? new Circle(i) : new Square(i);
        double sum = 0;
        for (int r = 0; r < 10; r++) for (Shape s : shapes) sum += s.area();
        System.out.printf("%.3f%n", sum);
        // Implicit null checks and stack banging are SIGSEGV; division by zero is SIGFPE.
        int caught = 0;
        for (int i = 0; i < 300; i++) {
            try { if (nothing.length() > i) caught--; } catch (NullPointerException e) { caught++; }
            try { caught += 1 / (caught - caught); } catch (ArithmeticException e) { caught++; }
        }
        try { depth(0); } catch (StackOverflowError e) { caught++; }
        System.out.println(caught);
        ExecutorService pool = Executors.newFixedThreadPool(4);
        AtomicLong total = new AtomicLong();
        ConcurrentHashMap<Integer, Integer> map = new ConcurrentHashMap<>();
        List<Future<Integer>> all = new ArrayList<>();
        for (int t = 0; t < 8; t++) {
            int n = t;
            all.add(pool.submit(() -> { for (int i = 0; i < 1000; i++) { total.addAndGet(i); map.merge(i % 97, 1, Integer::sum); } return n; }));
        }
        int got = 0;
        for (Future<Integer> f : all) got += f.get();
        pool.shutdown();
        System.out.println(total + " " + got + " " + map.values().stream().mapToInt(x -> x).sum());
        Object lock = new Object();
        int[] turn = {0};
        Thread[] two = new Thread[2];
        for (int k = 0; k < 2; k++) {
            int me = k;
            two[k] = new Thread(() -> { for (int i = 0; i < 50; i++) synchronized (lock) { while (turn[0] % 2 != me) try { lock.wait(); } catch (InterruptedException e) { return; } turn[0]++; lock.notifyAll(); } });
            two[k].start();
        }
        for (Thread t : two) t.join();
        System.out.println(turn[0]);
        try (var ex = Executors.newVirtualThreadPerTaskExecutor()) {
            System.out.println(IntStream.range(0, 50).mapToObj(i -> ex.submit(() -> { Thread.sleep(5); return i; })).mapToInt(f -> { try { return f.get(); } catch (Exception e) { return -1; } }).sum());
        }
        List<byte[]> keep = new LinkedList<>();
        for (int i = 0; i < 1000; i++) { keep.add(new byte[10000]); if (keep.size() > 300) keep.remove(0); }
        System.gc();
        System.out.println(keep.size() + " " + Stream.of("a", "b", "c").parallel().map(String::toUpperCase).collect(Collectors.joining(",")));
    }
}
J
$j/javac -d . Work.java && $j/java -Xmx256m $how -cp . Work 2>&1
