package e2e;

/**
 * A moment at which the broker is killed, shared by cases that run side by side: it dies when each of them has either
 * called await or left, and all go on when it is back. A case that calls await again takes part in the next one.
 */
final class Crash {
    private final Servers servers;
    private int members;
    private int waiting;
    private int round;
    private Exception failure;

    Crash(Servers servers, int members) {
        this.servers = servers;
        this.members = members;
    }

    /** Returns when the broker was killed and answers again. */
    synchronized void await() throws Exception {
        waiting++;
        int mine = round;
        killIfAllWait();
        try {
            while (round == mine) {
                wait();
            }
        } catch (InterruptedException e) {
            waiting--;
            throw e;
        }
        if (failure != null) {
            throw new AssertionError("the broker did not come back: " + failure, failure);
        }
    }

    /** For a case that has ended: the others don't wait for it. */
    synchronized void leave() {
        members--;
        killIfAllWait();
    }

    private void killIfAllWait() {
        if (waiting == 0 || waiting < members) {
            return;
        }
        try {
            servers.crashBroker();
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            failure = e;
        } catch (Exception e) {
            failure = e;
        }
        waiting = 0;
        round++;
        notifyAll();
    }
}
