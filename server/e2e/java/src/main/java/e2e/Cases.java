package e2e;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.regex.Pattern;

/** Collects cases and runs them. Each prints one line: whether it passed, its name, how long it took. */
final class Cases {
    /** What is tried. It throws when something is not as it must be. */
    interface Body {
        void run(Scope scope) throws Exception;
    }

    private static final class Case {
        final String name;
        final Body body;

        Case(String name, Body body) {
            this.name = name;
            this.body = body;
        }
    }

    private static final int SIDE_BY_SIDE = 4;
    private static final int TIME_LIMIT_SECONDS = 180;

    private final List<Case> together = new ArrayList<>();
    private final List<Case> crashing = new ArrayList<>();
    private final List<Case> oneByOne = new ArrayList<>();
    private final Servers servers;
    private final String label;
    private final Pattern only;

    /** Cases whose name the pattern finds; label stands in front of every line. */
    Cases(Servers servers, String label, Pattern only) {
        this.servers = servers;
        this.label = label;
        this.only = only;
    }

    Servers servers() {
        return servers;
    }

    /** Adds a case that others may run beside. */
    void add(String name, Body body) {
        register(together, name, body);
    }

    /** Adds a case that calls Scope.crash. All of them run at once and share their crashes, after those without. */
    void addCrashing(String name, Body body) {
        register(crashing, name, body);
    }

    /** Adds a case that needs the servers, or the process, for itself. Such cases come last, in order. */
    void addAlone(String name, Body body) {
        register(oneByOne, name, body);
    }

    private void register(List<Case> list, String name, Body body) {
        if (!only.matcher(name).find()) {
            return;
        }
        String reason = servers.kind.leavesOut(name);
        if (reason != null) {
            Main.OUT.printf("skip  %s  %s  (%s)%n", label, name, reason);
            return;
        }
        list.add(new Case(name, body));
    }

    /** Runs everything and returns how many cases failed. */
    int run() throws InterruptedException {
        int failed = runWith(SIDE_BY_SIDE, together, null);
        if (!crashing.isEmpty()) {
            failed += runWith(crashing.size(), crashing, new Crash(servers, crashing.size()));
        }
        failed += runWith(1, oneByOne, null);
        int total = together.size() + crashing.size() + oneByOne.size();
        Main.OUT.printf("---- %s: %d of %d cases passed%n", label, total - failed, total);
        return failed;
    }

    private int runWith(int threads, List<Case> cases, Crash crash) throws InterruptedException {
        ExecutorService runners = Executors.newFixedThreadPool(threads, Cases::daemon);
        List<Callable<Boolean>> runs = new ArrayList<>();
        for (Case c : cases) {
            runs.add(() -> passes(c, crash));
        }
        int failed = 0;
        for (Future<Boolean> run : runners.invokeAll(runs)) {
            try {
                failed += run.get() ? 0 : 1;
            } catch (ExecutionException e) {
                failed++;
            }
        }
        runners.shutdown();
        return failed;
    }

    /** Runs one case in a thread of its own, since a client that hangs can't be ended. */
    private boolean passes(Case c, Crash crash) {
        long began = System.nanoTime();
        Throwable cause = null;
        ExecutorService runner = Executors.newSingleThreadExecutor(Cases::daemon);
        try {
            runner.submit(() -> {
                try (Scope scope = new Scope(servers, Access.OPEN, crash)) {
                    c.body.run(scope);
                } finally {
                    if (crash != null) {
                        crash.leave();
                    }
                }
                return null;
            }).get(TIME_LIMIT_SECONDS, TimeUnit.SECONDS);
        } catch (TimeoutException e) {
            cause = new AssertionError("not done after " + TIME_LIMIT_SECONDS + " s");
        } catch (ExecutionException e) {
            cause = e.getCause();
        } catch (InterruptedException e) {
            cause = e;
        }
        runner.shutdownNow();
        report(c.name, (System.nanoTime() - began) / 1e9, cause);
        return cause == null;
    }

    private synchronized void report(String name, double seconds, Throwable cause) {
        Main.OUT.printf("%s  %s  %s  %.1f s%n", cause == null ? "pass" : "FAIL", label, name, seconds);
        if (cause != null) {
            Main.OUT.println("      " + cause.toString().replace("\n", "\n      "));
            for (StackTraceElement at : cause.getStackTrace()) {
                if (at.getClassName().startsWith("e2e.")) {
                    Main.OUT.println("      at " + at);
                }
            }
        }
        Main.OUT.flush();
    }

    private static Thread daemon(Runnable work) {
        Thread thread = new Thread(work, "case");
        thread.setDaemon(true);
        return thread;
    }
}
