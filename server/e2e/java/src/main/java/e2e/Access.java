package e2e;

import org.apache.rocketmq.remoting.RPCHook;

/** How clients reach servers: who signs their requests, if anybody, and whether over TLS. */
final class Access {
    static final Access OPEN = new Access(null, false);

    /** Signs requests; null where nobody does. */
    final RPCHook hook;
    final boolean tls;

    Access(RPCHook hook, boolean tls) {
        this.hook = hook;
        this.tls = tls;
    }
}
