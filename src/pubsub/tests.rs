//! Who gets what, in which order, and when no more.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use headwater_resp::{Protocol, Writer};

use super::*;

#[derive(Default)]
struct Bell(AtomicUsize);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// What a subscriber has to say to its peer, in RESP2 with spaces for line ends.
fn heard(subscriber: &mut Subscriber) -> String {
    heard_in(subscriber, Protocol::Resp2)
}

/// Publishes on no terms.
fn say(pubsub: &PubSub, channel: &str, message: &str) -> usize {
    let publication = Publication::to(channel.as_bytes(), message.as_bytes());
    pubsub.publish(publication, &Terms::default())
}

fn heard_in(subscriber: &mut Subscriber, protocol: Protocol) -> String {
    let mut out = Vec::new();
    subscriber.take(&mut Writer::new(&mut out, protocol), usize::MAX);
    String::from_utf8(out).unwrap().replace("\r\n", " ")
}

#[test]
fn a_message_reaches_those_who_subscribe_to_its_channel_or_to_a_pattern() {
    let pubsub = PubSub::default();
    let [mut ann, mut bob] = [1, 2].map(|id| pubsub.subscriber(id));
    ann.subscribe(Kind::Channel, b"news");
    ann.subscribe(Kind::Pattern, b"n*");
    bob.subscribe(Kind::Pattern, b"*s");
    bob.subscribe(Kind::Shard, b"news");
    assert_eq!(say(&pubsub, "news", "a"), 3);
    assert_eq!(say(&pubsub, "other", "b"), 0);
    let terms = Terms::default();
    assert_eq!(
        pubsub.publish(Publication::to_shard(b"news", b"c"), &terms),
        1
    );
    assert_eq!(
        heard(&mut ann),
        "*3 $7 message $4 news $1 a *4 $8 pmessage $2 n* $4 news $1 a "
    );
    assert_eq!(
        heard_in(&mut bob, Protocol::Resp3),
        ">4 $8 pmessage $2 *s $4 news $1 a >3 $8 smessage $4 news $1 c "
    );
    assert_eq!((heard(&mut ann), heard(&mut bob)), Default::default());
}

#[test]
fn a_name_is_known_as_long_as_somebody_subscribes_to_it() {
    let pubsub = PubSub::default();
    let counts = || {
        (
            Kind::ALL.map(|kind| pubsub.count(kind)),
            pubsub.subscribers(),
        )
    };
    let mut ann = pubsub.subscriber(1);
    for kind in Kind::ALL {
        ann.subscribe(kind, b"a");
        ann.subscribe(kind, b"a");
    }
    let before = ann.names();
    let mut bob = pubsub.subscriber(2);
    bob.subscribe(Kind::Channel, b"a");
    bob.subscribe(Kind::Channel, b"b");
    assert_eq!(counts(), ([2, 1, 1], 2));
    assert_eq!(pubsub.hearers(Kind::Channel, b"a"), 2);
    assert_eq!(pubsub.names(Kind::Channel, b"[b-z]"), [b"b"[..].into()]);
    drop(bob);
    assert_eq!(counts(), ([1, 1, 1], 1));
    ann.unsubscribe(Kind::Shard, b"a");
    ann.unsubscribe(Kind::Shard, b"a");
    ann.subscribe(Kind::Pattern, b"x");
    assert_eq!(counts(), ([1, 2, 0], 1));
    ann.restore(&before);
    assert_eq!(counts(), ([1, 1, 1], 1));
    assert_eq!(ann.names(), before);
    for kind in Kind::ALL {
        ann.unsubscribe(kind, b"a");
    }
    assert_eq!(counts(), ([0, 0, 0], 0));
    assert!(!ann.is_subscribed());
}

#[test]
fn the_first_message_of_many_wakes() {
    let pubsub = PubSub::default();
    let mut ann = pubsub.subscriber(1);
    ann.subscribe(Kind::Channel, b"c");
    let bell = Arc::new(Bell::default());
    let waker = Waker::from(Arc::clone(&bell));
    let cx = Context::from_waker(&waker);
    for rings in 1..=2 {
        assert_eq!(ann.poll(true, &cx), Poll::Pending);
        say(&pubsub, "c", "1");
        say(&pubsub, "c", "2");
        assert_eq!(bell.0.load(Ordering::SeqCst), rings);
        assert_eq!(ann.poll(true, &cx), Poll::Ready(Mail::Waits));
        assert_eq!(ann.poll(false, &cx), Poll::Pending);
        let mut out = Vec::new();
        ann.take(&mut Writer::new(&mut out, Protocol::Resp2), 1);
        assert!(!out.is_empty());
        // One is out of the outbox, and waits all the same.
        assert_eq!(ann.poll(true, &cx), Poll::Ready(Mail::Waits));
        assert!(!heard(&mut ann).is_empty());
    }
}

#[test]
fn more_than_the_limit_is_given_up_and_never_taken_again() {
    let pubsub = PubSub::default();
    let mut ann = pubsub.subscriber(1);
    ann.subscribe(Kind::Channel, b"c");
    let cx = Context::from_waker(Waker::noop());
    say(&pubsub, "c", "0123456789");
    let one = ann.weigh(0);
    pubsub.set_outbox_bytes(one * 3);
    say(&pubsub, "c", "0123456789");
    // What is output, and not sent, waits too.
    assert_eq!(ann.weigh(usize::try_from(one).unwrap()), one * 3);
    assert_eq!(ann.poll(false, &cx), Poll::Pending);
    say(&pubsub, "c", "");
    assert_eq!(ann.poll(false, &cx), Poll::Ready(Mail::TooMuch));
    assert_eq!(heard(&mut ann), "");
    pubsub.set_outbox_bytes(0);
    say(&pubsub, "c", "");
    assert_eq!(ann.poll(true, &cx), Poll::Ready(Mail::TooMuch));
    assert_eq!(heard(&mut ann), "");
}

#[test]
fn what_is_addressed_reaches_those_who_subscribed_then() {
    let pubsub = PubSub::default();
    let [mut ann, mut bob] = [1, 2].map(|id| pubsub.subscriber(id));
    ann.subscribe(Kind::Shard, b"c");
    let post = pubsub.address(Publication::to_shard(b"c", b"1"));
    assert_eq!(post.receivers(), 1);
    ann.unsubscribe(Kind::Shard, b"c");
    bob.subscribe(Kind::Shard, b"c");
    assert_eq!(heard(&mut ann), "");
    pubsub.send(vec![post], &Terms::default());
    assert_eq!(heard(&mut ann), "*3 $8 smessage $1 c $1 1 ");
    assert_eq!(heard(&mut bob), "");
}

#[test]
fn a_replica_hears_what_it_has_the_log_for() {
    let pubsub = PubSub::default();
    let relay = pubsub.relay();
    let at = |at| Terms {
        relay_at: Some(Lsn::new(at)),
        ..Terms::default()
    };
    let cx = Context::from_waker(Waker::noop());
    say(&pubsub, "here", "only");
    assert_eq!(relay.poll(Lsn::new(9), &cx), Poll::Pending);
    pubsub.publish(Publication::to_shard(b"c", b"7"), &at(7));
    let post = pubsub.address(Publication::to_shard(b"c", b"8"));
    pubsub.send(vec![post], &at(8));
    assert_eq!(relay.poll(Lsn::new(6), &cx), Poll::Pending);
    assert_eq!(relay.poll(Lsn::new(7), &cx), Poll::Ready(()));
    let take = |upto, bytes| {
        let mut out = Vec::new();
        let dropped = relay.take(Lsn::new(upto), bytes, &mut out);
        (
            String::from_utf8(out).unwrap().replace("\r\n", " "),
            dropped,
        )
    };
    let said = |text| (format!("*3 $8 SPUBLISH $1 c $1 {text} "), 0);
    assert_eq!(take(6, usize::MAX), Default::default());
    assert_eq!(take(7, usize::MAX), said("7"));
    assert_eq!(take(9, usize::MAX), said("8"));

    // A large one is taken alone.
    let large = vec![b'x'; relay::RELAY_BYTES];
    for _ in 0..3 {
        pubsub.publish(Publication::to_shard(b"c", &large), &at(9));
    }
    let (text, dropped) = take(9, 1);
    assert_eq!((text.len() > large.len(), dropped), (true, 2));
    assert_eq!(take(9, 1), Default::default());
    drop(relay);
    assert!(pubsub.0.lock().relays.is_empty());
}

#[test]
fn a_request_that_publishes_is_read_as_it_is_written() {
    let publication = Publication::to_shard(b"channel", b"\r\n");
    let request = publication.request();
    let mut decoder = headwater_resp::Decoder::new();
    let limits = headwater_resp::Limits::new(64);
    decoder.decode(&request, &limits).unwrap().unwrap();
    let read = Publication::read(decoder.request(&request)).unwrap();
    assert_eq!(read.request(), request);
    let request = b"*3\r\n$4\r\nXADD\r\n$1\r\ns\r\n$1\r\n*\r\n";
    decoder.decode(request, &limits).unwrap().unwrap();
    assert!(Publication::read(decoder.request(request)).is_none());
}
