//! Every stream command, messages and the basics, through the crate `redis`, in RESP2 and RESP3.
//!
//! Runs as a process of its own, so an assertion that fails ends it and names its line.

use std::net::SocketAddr;

use redis::streams::{
    StreamAddOptions, StreamAutoClaimOptions, StreamAutoClaimReply, StreamClaimOptions,
    StreamClaimReply, StreamInfoConsumersReply, StreamInfoGroupsReply, StreamInfoStreamReply,
    StreamPendingCountReply, StreamPendingReply, StreamRangeReply, StreamReadOptions,
    StreamReadReply, StreamTrimOptions, StreamTrimStrategy, StreamTrimmingMode,
};
use redis::{Client, Commands, Connection, RedisResult, Value, cmd};

/// Talks to the server at an address, which it empties.
///
/// # Errors
///
/// What the library says, when the server refuses what it should not.
///
/// # Panics
///
/// When a reply is not what it should be.
pub(crate) fn run(addr: SocketAddr) -> RedisResult<()> {
    for protocol in ["resp2", "resp3"] {
        let client = Client::open(format!("redis://{addr}/?protocol={protocol}"))?;
        let mut r = client.get_connection()?;
        let mut other = client.get_connection()?;
        let () = cmd("FLUSHALL").query(&mut r)?;
        basics(&mut r)?;
        keys(&mut r)?;
        streams(&mut r)?;
        groups(&mut r)?;
        waiting(client.get_connection()?, &mut other)?;
        transactions(&mut r, &mut other)?;
        messages(client.get_connection()?, &mut other)?;
        let () = cmd("FLUSHALL").query(&mut r)?;
    }
    Ok(())
}

fn basics(r: &mut Connection) -> RedisResult<()> {
    assert_eq!(cmd("PING").query::<String>(r)?, "PONG");
    assert_eq!(cmd("ECHO").arg("hello").query::<String>(r)?, "hello");
    let () = r.client_setname("rust")?;
    assert_eq!(
        r.client_getname::<Option<String>>()?.as_deref(),
        Some("rust")
    );
    assert!(r.client_id::<i64>()? > 0);
    let info: redis::InfoDict = cmd("INFO").query(r)?;
    assert_eq!(info.get::<String>("role").as_deref(), Some("master"));
    assert!(info.get::<String>("redis_version").is_some());
    assert_eq!(cmd("TIME").query::<Vec<String>>(r)?.len(), 2);
    assert!(cmd("COMMAND").arg("COUNT").query::<i64>(r)? > 50);
    assert_eq!(cmd("DBSIZE").query::<i64>(r)?, 0);
    let unknown = cmd("UNKNOWN").arg("a").query::<Value>(r);
    assert!(
        unknown
            .expect_err("there is no such command")
            .to_string()
            .contains("unknown command")
    );
    Ok(())
}

fn keys(r: &mut Connection) -> RedisResult<()> {
    for key in ["a", "b", "c"] {
        let _: String = r.xadd(key, "1-0", &[("f", "v")])?;
    }
    let mut found: Vec<String> = r.scan::<String>()?.collect::<RedisResult<_>>()?;
    found.sort_unstable();
    found.dedup();
    assert_eq!(found, ["a", "b", "c"]);
    assert_eq!(r.keys::<_, Vec<String>>("[ab]")?.len(), 2);
    assert_eq!(r.exists::<_, i64>(&["a", "a", "none"])?, 2);
    assert_eq!(cmd("TYPE").arg("a").query::<String>(r)?, "stream");
    let () = r.rename("a", "d")?;
    assert!(!r.rename_nx::<_, _, bool>("b", "c")?);
    assert!(cmd("COPY").arg(&["d", "e"]).query::<bool>(r)?);
    assert!(r.expire::<_, bool>("b", 100)?);
    assert!((1..=100).contains(&r.ttl::<_, i64>("b")?));
    assert!(r.pexpire_at::<_, bool>("b", 33_177_117_420_123)?);
    assert_eq!(r.pexpire_time::<_, i64>("b")?, 33_177_117_420_123);
    assert!(r.persist::<_, bool>("b")?);
    assert_eq!(r.del::<_, i64>(&["b", "none"])?, 1);
    assert_eq!(r.unlink::<_, i64>(&["c", "d", "e"])?, 3);
    Ok(())
}

/// The IDs of a range.
fn ids(range: &StreamRangeReply) -> Vec<&str> {
    range.ids.iter().map(|entry| entry.id.as_str()).collect()
}

fn streams(r: &mut Connection) -> RedisResult<()> {
    let id: String = r.xadd("s", "*", &[("kind", "mail"), ("to", "ann")])?;
    let all: StreamRangeReply = r.xrange_all("s")?;
    assert_eq!(ids(&all), [id.as_str()]);
    assert_eq!(all.ids[0].get::<String>("to").as_deref(), Some("ann"));
    let nothing: Option<String> = r.xadd_options(
        "none",
        "*",
        &[("f", "v")],
        &StreamAddOptions::default().nomkstream(),
    )?;
    assert_eq!(nothing, None);
    for n in 1..=10 {
        let id: String = r.xadd("t", format!("{n}-*"), &[("n", n)])?;
        assert_eq!(id, format!("{n}-0"));
    }
    assert_eq!(r.xlen::<_, usize>("t")?, 10);
    let range: StreamRangeReply = r.xrange("t", "3", "(5-0")?;
    assert_eq!(ids(&range), ["3-0", "4-0"]);
    let range: StreamRangeReply = r.xrevrange_count("t", "+", "-", 2)?;
    assert_eq!(ids(&range), ["10-0", "9-0"]);
    assert_eq!(r.xdel::<_, _, i64>("t", &["2-0", "99-0"])?, 1);
    let five = StreamTrimStrategy::maxlen(StreamTrimmingMode::Exact, 5);
    let id: String = r.xadd_options(
        "t",
        "11-0",
        &[("f", "v")],
        &StreamAddOptions::default().trim(five),
    )?;
    assert_eq!(id, "11-0");
    let from_nine = StreamTrimOptions::minid(StreamTrimmingMode::Exact, "9-0");
    assert_eq!(r.xtrim_options::<_, i64>("t", &from_nine)?, 2);
    let about = StreamTrimOptions::maxlen(StreamTrimmingMode::Approx, 1).limit(10);
    assert_eq!(r.xtrim_options::<_, i64>("t", &about)?, 0);
    let read: StreamReadReply = r.xread(&["t", "none"], &["10-0", "0"])?;
    assert_eq!(
        (read.keys.len(), read.keys[0].ids[0].id.as_str()),
        (1, "11-0")
    );
    let in_vain = StreamReadOptions::default().block(10).count(5);
    assert!(
        r.xread_options::<_, _, Option<StreamReadReply>>(&["t"], &["$"], &in_vain)?
            .is_none()
    );
    let info: StreamInfoStreamReply = r.xinfo_stream("t")?;
    assert_eq!((info.length, info.last_generated_id.as_str()), (3, "11-0"));
    let () = cmd("XSETID").arg("t").arg("20-0").query(r)?;
    let refused: RedisResult<String> = r.xadd("t", "1-0", &[("f", "v")]);
    assert!(
        refused
            .expect_err("the ID is too small")
            .to_string()
            .contains("equal or smaller")
    );
    Ok(())
}

fn groups(r: &mut Connection) -> RedisResult<()> {
    let () = r.xgroup_create_mkstream("q", "g", "0")?;
    let again: RedisResult<()> = r.xgroup_create("q", "g", "0");
    assert_eq!(
        again.expect_err("the group exists").code(),
        Some("BUSYGROUP")
    );
    for n in 1..=12 {
        let _: String = r.xadd("q", format!("{n}-0"), &[("n", n)])?;
    }
    let read = |consumer: &str, count| {
        StreamReadOptions::default()
            .group("g", consumer)
            .count(count)
    };
    let got: StreamReadReply = r.xread_options(&["q"], &[">"], &read("ann", 5))?;
    assert_eq!(got.keys[0].ids.len(), 5);
    let _: StreamReadReply = r.xread_options(&["q"], &[">"], &read("bob", 3))?;
    let _: StreamReadReply = r.xread_options(&["q"], &[">"], &read("eve", 1).noack())?;
    assert_eq!(
        r.xack::<_, _, _, i64>("q", "g", &["1-0", "2-0", "99-0"])?,
        2
    );
    let StreamPendingReply::Data(pending) = r.xpending("q", "g")? else {
        panic!("entries are pending");
    };
    assert_eq!(
        (
            pending.count,
            pending.start_id.as_str(),
            pending.end_id.as_str()
        ),
        (6, "3-0", "8-0")
    );
    let rows: StreamPendingCountReply = r.xpending_consumer_count("q", "g", "-", "+", 10, "ann")?;
    assert_eq!((rows.ids.len(), rows.ids[0].times_delivered), (3, 1));
    let claimed: StreamClaimReply = r.xclaim("q", "g", "bob", 0, &["3-0"])?;
    assert_eq!(claimed.ids[0].id, "3-0");
    let just_id = StreamClaimOptions::default()
        .with_justid()
        .with_force()
        .retry(5);
    let claimed: Vec<String> = r.xclaim_options("q", "g", "bob", 0, &["4-0"], just_id)?;
    assert_eq!(claimed, ["4-0"]);
    let _: i64 = r.xdel("q", &["5-0"])?;
    let three = StreamAutoClaimOptions::default().count(3);
    let claimed: StreamAutoClaimReply = r.xautoclaim_options("q", "g", "eve", 0, "0", three)?;
    assert_eq!(
        (claimed.next_stream_id.as_str(), claimed.claimed.len()),
        ("6-0", 2)
    );
    assert_eq!(claimed.deleted_ids, ["5-0"]);
    let consumers: StreamInfoConsumersReply = r.xinfo_consumers("q", "g")?;
    assert_eq!(consumers.consumers.len(), 3);
    let infos: StreamInfoGroupsReply = r.xinfo_groups("q")?;
    assert_eq!(
        (infos.groups[0].pending, infos.groups[0].entries_read),
        (5, Some(9))
    );
    // 5-0 was deleted behind the group, so what is before it can be counted.
    assert_eq!(infos.groups[0].lag, Some(3));
    assert!(r.xgroup_createconsumer::<_, _, _, bool>("q", "g", "new")?);
    assert_eq!(r.xgroup_delconsumer::<_, _, _, i64>("q", "g", "eve")?, 2);
    let () = r.xgroup_setid("q", "g", "$")?;
    assert!(r.xgroup_destroy::<_, _, bool>("q", "g")?);
    let gone: RedisResult<StreamReadReply> = r.xread_options(&["q"], &[">"], &read("ann", 1));
    assert_eq!(gone.expect_err("the group is gone").code(), Some("NOGROUP"));
    Ok(())
}

fn waiting(mut r: Connection, other: &mut Connection) -> RedisResult<()> {
    let () = other.xgroup_create_mkstream("w", "g", "$")?;
    std::thread::scope(|scope| {
        let reader = scope.spawn(move || {
            let options = StreamReadOptions::default().group("g", "ann").block(20_000);
            r.xread_options::<_, _, StreamReadReply>(&["w"], &[">"], &options)
        });
        let blocked = |other: &mut Connection| -> RedisResult<Option<u64>> {
            Ok(cmd("INFO")
                .arg("clients")
                .query::<redis::InfoDict>(other)?
                .get("blocked_clients"))
        };
        while blocked(other)? != Some(1) {}
        let _: String = other.xadd("w", "1-0", &[("f", "v")])?;
        let heard = reader.join().expect("the reader does not panic")?;
        assert_eq!(heard.keys[0].ids[0].id, "1-0");
        Ok(())
    })
}

fn transactions(r: &mut Connection, other: &mut Connection) -> RedisResult<()> {
    let mut pipe = redis::pipe();
    pipe.atomic().xadd("m", "1-0", &[("f", "1")]).xlen("m");
    assert_eq!(pipe.query::<(String, i64)>(r)?, ("1-0".to_owned(), 1));
    let mut pipe = redis::pipe();
    for n in 2..500 {
        pipe.xadd("m", format!("{n}-0"), &[("n", n)]);
    }
    assert_eq!(pipe.query::<Vec<String>>(r)?.len(), 498);
    let () = cmd("WATCH").arg("m").query(r)?;
    let _: String = other.xadd("m", "1000-0", &[("f", "other")])?;
    let mut pipe = redis::pipe();
    pipe.atomic().xlen("m");
    assert_eq!(pipe.query::<Option<Vec<i64>>>(r)?, None);
    Ok(())
}

fn messages(mut r: Connection, other: &mut Connection) -> RedisResult<()> {
    // The library waits for one confirmation at most, whatever it asked for: the server is asked.
    let heard = |other: &mut Connection| -> RedisResult<(i64, i64, i64)> {
        let numsub = cmd("PUBSUB")
            .arg(&["NUMSUB", "news", "sport"])
            .query(other)?;
        let (_, news, _, sport): (String, i64, String, i64) = numsub;
        Ok((news, sport, cmd("PUBSUB").arg("NUMPAT").query(other)?))
    };
    let mut hearer = r.as_pubsub();
    hearer.subscribe(&["news", "sport"])?;
    hearer.psubscribe("n*")?;
    while heard(other)? != (1, 1, 1) {}
    assert_eq!(other.publish::<_, _, i64>("news", "hello")?, 2);
    let first = hearer.get_message()?;
    assert_eq!(
        (first.get_channel_name(), first.from_pattern()),
        ("news", false)
    );
    assert_eq!(first.get_payload::<String>()?, "hello");
    let second = hearer.get_message()?;
    assert_eq!(second.get_pattern::<String>()?, "n*");
    assert_eq!(second.get_channel_name(), "news");
    let mut pipe = redis::pipe();
    pipe.atomic();
    for n in 0..500 {
        pipe.publish("sport", n);
    }
    assert_eq!(pipe.query::<Vec<i64>>(other)?, [1; 500]);
    for n in 0..500 {
        assert_eq!(hearer.get_message()?.get_payload::<i64>()?, n);
    }
    hearer.unsubscribe("news")?;
    hearer.punsubscribe("n*")?;
    while heard(other)? != (0, 1, 0) {}
    assert_eq!(other.publish::<_, _, i64>("news", "nobody")?, 0);
    drop(hearer);
    assert_eq!(r.xlen::<_, usize>("none")?, 0);
    Ok(())
}
