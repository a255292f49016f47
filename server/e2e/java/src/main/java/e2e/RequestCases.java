package e2e;

import java.nio.charset.StandardCharsets;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.exception.RequestTimeoutException;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.RequestCallback;
import org.apache.rocketmq.client.utils.MessageUtil;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;

/** Requests of one client that another one answers. */
final class RequestCases implements Suite {
    private static final int LONG_MILLIS = 120_000;
    private static final int SHORT_MILLIS = 3_000;
    private static final int AGAIN_MILLIS = 500;

    @Override
    public void declare(Cases cases) {
        cases.add("request: a reply comes back, to who waits and to a callback", RequestCases::replied);
        cases.add("request: without a reply it ends in time", RequestCases::notReplied);
        cases.addCrashing("request: a reply after a kill still finds who asked", RequestCases::overCrash);
    }

    /** A consumer that collects questions. */
    private static BlockingQueue<MessageExt> questions(Scope scope, String topic) throws Exception {
        BlockingQueue<MessageExt> questions = new LinkedBlockingQueue<>();
        DefaultMQPushConsumer consumer = scope.pushConsumer(scope.name("group"));
        consumer.subscribe(topic, "*");
        consumer.registerMessageListener((MessageListenerConcurrently) (batch, context) -> {
            questions.addAll(batch);
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        consumer.start();
        return questions;
    }

    private static Message replyTo(MessageExt question) throws Exception {
        return MessageUtil.createReplyMessage(question, ("reply to " + Scope.body(question)).getBytes(StandardCharsets.UTF_8));
    }

    private static String text(Message message) {
        return new String(message.getBody(), StandardCharsets.UTF_8);
    }

    private static CompletableFuture<Message> ask(DefaultMQProducer producer, Message question) {
        return CompletableFuture.supplyAsync(() -> {
            try {
                return producer.request(question, LONG_MILLIS);
            } catch (Exception e) {
                throw new IllegalStateException(e);
            }
        }, work -> {
            Thread thread = new Thread(work, "asker");
            thread.setDaemon(true);
            thread.start();
        });
    }

    private static MessageExt next(BlockingQueue<MessageExt> questions) throws InterruptedException {
        MessageExt question = questions.poll(Check.PATIENCE_SECONDS, TimeUnit.SECONDS);
        Check.that(question != null, "no question came");
        return question;
    }

    private static void replied(Scope scope) throws Exception {
        String topic = scope.topic(2);
        BlockingQueue<MessageExt> questions = questions(scope, topic);
        DefaultMQProducer asker = scope.producer();
        DefaultMQProducer answerer = scope.producer();
        CompletableFuture<Message> waiting = ask(asker, Scope.message(topic, "t", "who waits"));
        answerer.send(replyTo(next(questions)));
        Check.same("reply to who waits", text(waiting.get(Check.PATIENCE_SECONDS, TimeUnit.SECONDS)), "reply");

        CompletableFuture<Message> called = new CompletableFuture<>();
        asker.request(Scope.message(topic, "t", "callback"), new RequestCallback() {
            @Override
            public void onSuccess(Message reply) {
                if (reply != null) { // clients of 5.x also call it when the question is on its way
                    called.complete(reply);
                }
            }

            @Override
            public void onException(Throwable cause) {
                called.completeExceptionally(cause);
            }
        }, LONG_MILLIS);
        answerer.send(replyTo(next(questions)));
        Check.same("reply to callback", text(called.get(Check.PATIENCE_SECONDS, TimeUnit.SECONDS)), "reply");
    }

    private static void notReplied(Scope scope) throws Exception {
        String topic = scope.topic(2);
        Exception cause = Check.refused("a request that nobody answers", () -> scope.producer().request(Scope.message(topic, "t", "hello?"), SHORT_MILLIS));
        Check.that(cause instanceof RequestTimeoutException, "ends with: " + cause);
    }

    private static void overCrash(Scope scope) throws Exception {
        String topic = scope.topic(2);
        BlockingQueue<MessageExt> questions = questions(scope, topic);
        DefaultMQProducer answerer = scope.producer();
        CompletableFuture<Message> waiting = ask(scope.producer(), Scope.message(topic, "t", "who waits"));
        MessageExt question = next(questions);
        scope.crash();
        // The broker knows who asked from its next heartbeat on; until then a reply is refused.
        Check.eventually("a reply arrives", () -> {
            answerer.send(replyTo(question));
            Thread.sleep(AGAIN_MILLIS);
            return waiting.isDone();
        });
        Check.same("reply to who waits", text(waiting.get()), "reply");
    }
}
