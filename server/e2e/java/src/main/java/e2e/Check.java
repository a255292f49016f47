package e2e;

import java.util.Objects;
import java.util.concurrent.Callable;

/** What cases expect. */
final class Check {
    /** How long anything may take that happens by itself. */
    static final int PATIENCE_SECONDS = 60;
    private static final long POLL_MILLIS = 50;

    private Check() {
    }

    static void that(boolean holds, String what) {
        if (!holds) {
            throw new AssertionError(what);
        }
    }

    static void same(Object want, Object got, String what) {
        if (!Objects.equals(want, got)) {
            throw new AssertionError(what + ": got " + got + ", want " + want);
        }
    }

    static void contains(String text, String part) {
        if (!text.contains(part)) {
            throw new AssertionError("want " + part + " in:\n" + text);
        }
    }

    static void lacks(String text, String part) {
        if (text.contains(part)) {
            throw new AssertionError("don't want " + part + " in:\n" + text);
        }
    }

    /** Waits until the condition holds; a condition that throws does not hold yet. */
    static void eventually(String what, Callable<Boolean> condition) throws InterruptedException {
        long end = System.nanoTime() + PATIENCE_SECONDS * 1_000_000_000L;
        Exception last = null;
        while (System.nanoTime() < end) {
            try {
                if (condition.call()) {
                    return;
                }
                last = null;
            } catch (InterruptedException e) {
                throw e;
            } catch (Exception e) {
                last = e;
            }
            Thread.sleep(POLL_MILLIS);
        }
        throw new AssertionError("not after " + PATIENCE_SECONDS + " s: " + what, last);
    }

    /** Runs something that must be refused, and returns how. */
    static Exception refused(String what, Callable<?> attempt) {
        try {
            attempt.call();
        } catch (Exception e) {
            return e;
        }
        throw new AssertionError("was not refused: " + what);
    }
}
