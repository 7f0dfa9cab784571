"""Every stream command, messages and the basics, through redis-py, in RESP2 and RESP3.

    python redis_py.py HOST:PORT

Empties the server. Ends with 0 when all is as asserted; an assertion that fails names its line.
"""

import asyncio
import sys
import threading
import time

import redis
import redis.asyncio


def entries(reply):
    """What XREAD and XREADGROUP found, in one form for RESP2 (lists) and RESP3 (a map)."""
    if isinstance(reply, dict):
        return {key: (value[0] if value and isinstance(value[0], list) else value)
                for key, value in reply.items()}
    return {key: value for key, value in reply or []}


def refused(call, text):
    """The call is refused with an error that contains the text."""
    try:
        call()
    except redis.ResponseError as error:
        assert text in str(error), f"{error!r} has no {text!r}"
    else:
        raise AssertionError(f"not refused with {text!r}")


def basics(r):
    assert r.ping() is True
    assert r.echo("hello") == "hello"
    assert r.client_setname("py") and r.client_getname() == "py"
    assert r.client_id() > 0
    assert any(client["name"] == "py" for client in r.client_list())
    assert r.client_info()["name"] == "py"
    assert r.client_info()["lib-name"].startswith("redis-py")
    assert r.info("server")["redis_version"]
    assert r.info("replication")["role"] == "master"
    assert r.info()["loading"] == 0
    assert len(r.time()) == 2
    assert r.config_get("stream-node-max-entries") == {"stream-node-max-entries": "100"}
    assert r.config_set("stream-node-max-entries", 100)
    assert r.command_count() > 50
    assert r.command_getkeys("XADD", "s", "*", "f", "v") == ["s"]
    assert r.command()["xadd"]["arity"] == -5
    assert r.dbsize() == 0


def keys(r):
    for name in ("a", "b", "c"):
        r.xadd(name, {"f": "v"}, id="1-0")
    assert sorted(r.keys("*")) == ["a", "b", "c"]
    assert sorted(r.scan_iter(match="[ab]")) == ["a", "b"]
    assert sorted(r.scan_iter(_type="stream")) == ["a", "b", "c"]
    assert r.type("a") == "stream"
    assert r.exists("a", "b", "none") == 2
    assert r.randomkey() in ("a", "b", "c")
    assert r.touch("a", "none") == 1
    assert r.object("encoding", "a") == "stream"
    assert r.rename("a", "d") and not r.renamenx("b", "c")
    assert r.copy("d", "e") and r.xlen("e") == 1
    assert r.expire("b", 100) and 0 < r.ttl("b") <= 100 and 0 < r.pttl("b") <= 100_000
    assert not r.expire("b", 200, nx=True)
    assert r.expire("b", 200, gt=True)
    assert r.persist("b") and r.ttl("b") == -1
    at = int(time.time()) + 500
    assert r.expireat("b", at) and r.expiretime("b") == at
    assert r.pexpireat("b", at * 1000 + 7) and r.pexpiretime("b") == at * 1000 + 7
    assert r.pexpire("b", 50_000)
    assert r.move("e", 1)
    assert r.swapdb(1, 2)
    assert r.delete("b", "none") == 1 and r.unlink("c", "d") == 2
    assert r.flushall() and r.dbsize() == 0


def streams(r):
    first = r.xadd("s", {"kind": "mail", "to": "ann"})
    assert r.xrange("s") == [(first, {"kind": "mail", "to": "ann"})]
    assert r.xadd("none", {"f": "v"}, nomkstream=True) is None
    assert r.xtrim("s", maxlen=0, approximate=False) == 1
    ids = [r.xadd("t", {"n": n}, id=f"{n}-*") for n in range(1, 11)]
    assert ids == [f"{n}-0" for n in range(1, 11)]
    assert r.xlen("t") == 10
    assert [id for id, _ in r.xrange("t", "3", "(5-0")] == ["3-0", "4-0"]
    assert [id for id, _ in r.xrevrange("t", "+", "-", count=2)] == ["10-0", "9-0"]
    assert r.xdel("t", "2-0", "99-0") == 1
    assert r.xadd("t", {"n": 11}, id="11-0", maxlen=5, approximate=False) == "11-0"
    assert r.xadd("t", {"n": 12}, id="12-0", minid="8-0", approximate=False) == "12-0"
    assert r.xadd("t", {"n": 13}, id="13-0", maxlen=1000, approximate=True, limit=5) == "13-0"
    assert r.xtrim("t", minid="9-0", approximate=False) == 1
    assert r.xtrim("t", maxlen=1000, approximate=True) == 0
    assert [id for id, _ in entries(r.xread({"t": "11-0", "none": "0"}))["t"]] == ["12-0", "13-0"]
    assert len(entries(r.xread({"t": "0"}, count=2))["t"]) == 2
    assert not r.xread({"t": "$"}, block=10)
    assert entries(r.xread({"t": "+"}))["t"][0][0] == "13-0"
    info = r.xinfo_stream("t")
    assert info["length"] == 5 and info["last-generated-id"] == "13-0"
    assert info["entries-added"] == 13 and info["max-deleted-entry-id"] == "2-0"
    assert info["first-entry"] == ("9-0", {"n": "9"})
    assert r.execute_command("XSETID", "t", "20-0", "ENTRIESADDED", 50, "MAXDELETEDID", "2-0") in (True, "OK")
    refused(lambda: r.xadd("t", {"f": "v"}, id="1-0"), "equal or smaller")
    refused(lambda: r.xadd("t", {"f": "v"}, id="0-0"), "must be greater than 0-0")
    refused(lambda: r.xinfo_stream("none"), "no such key")


def groups(r):
    assert r.xgroup_create("q", "g", id="0", mkstream=True)
    refused(lambda: r.xgroup_create("q", "g"), "BUSYGROUP Consumer Group name already exists")
    for n in range(1, 13):
        r.xadd("q", {"n": n}, id=f"{n}-0")
    got = entries(r.xreadgroup("g", "ann", {"q": ">"}, count=5))["q"]
    assert got == [(f"{n}-0", {"n": str(n)}) for n in range(1, 6)], got
    assert len(entries(r.xreadgroup("g", "bob", {"q": ">"}, count=3))["q"]) == 3
    assert len(entries(r.xreadgroup("g", "eve", {"q": ">"}, count=2, noack=True))["q"]) == 2
    assert [id for id, _ in entries(r.xreadgroup("g", "ann", {"q": "2-0"}))["q"]] == ["3-0", "4-0", "5-0"]
    assert r.xack("q", "g", "1-0", "2-0", "99-0") == 2
    summary = r.xpending("q", "g")
    assert summary["pending"] == 6 and summary["min"] == "3-0" and summary["max"] == "8-0"
    assert {c["name"]: c["pending"] for c in summary["consumers"]} == {"ann": 3, "bob": 3}
    row = r.xpending_range("q", "g", "-", "+", 10, "ann")[0]
    assert row["message_id"] == "3-0" and row["consumer"] == "ann" and row["times_delivered"] == 2
    assert r.xpending_range("q", "g", "-", "+", 10, idle=3_600_000) == []
    assert r.xclaim("q", "g", "bob", 0, ["3-0"]) == [("3-0", {"n": "3"})]
    assert r.xclaim("q", "g", "bob", 0, ["4-0"], justid=True, idle=500, retrycount=7) == ["4-0"]
    assert r.xclaim("q", "g", "bob", 0, ["11-0"], force=True)[0][0] == "11-0"
    assert r.xdel("q", "5-0") == 1
    cursor, claimed, deleted = r.xautoclaim("q", "g", "eve", 0, "0-0", count=3)
    assert cursor == "6-0" and [id for id, _ in claimed] == ["3-0", "4-0"] and deleted == ["5-0"]
    assert r.xautoclaim("q", "g", "eve", 0, "6-0", justid=True) == ["6-0", "7-0", "8-0", "11-0"]
    consumers = {c["name"]: c for c in r.xinfo_consumers("q", "g")}
    assert consumers["eve"]["pending"] == 6 and consumers["bob"]["pending"] == 0
    group = r.xinfo_groups("q")[0]
    assert group["name"] == "g" and group["consumers"] == 3 and group["last-delivered-id"] == "10-0"
    full = r.xinfo_stream("q", full=True)
    assert full["groups"][0]["pel-count"] == 6
    assert r.xgroup_createconsumer("q", "g", "new") == 1
    assert r.xgroup_delconsumer("q", "g", "eve") == 6
    assert r.xgroup_setid("q", "g", "0", entries_read=0)
    assert r.xinfo_groups("q")[0]["entries-read"] == 0
    assert r.xgroup_destroy("q", "g") == 1
    refused(lambda: r.xreadgroup("g", "ann", {"q": ">"}), "NOGROUP")


def waiting(r, other):
    r.xgroup_create("w", "g", id="$", mkstream=True)
    heard = []
    reader = threading.Thread(
        target=lambda: heard.append(r.xreadgroup("g", "ann", {"w": ">"}, block=20_000)))
    reader.start()
    while other.info("clients")["blocked_clients"] != 1:
        pass
    other.xadd("w", {"f": "v"}, id="1-0")
    reader.join(20)
    assert entries(heard[0])["w"] == [("1-0", {"f": "v"})]
    assert not r.xreadgroup("g", "ann", {"w": ">"}, block=10)


def transactions(r, other):
    with r.pipeline(transaction=True) as p:
        p.xadd("m", {"f": "1"}, id="1-0").xadd("m", {"f": "2"}, id="2-0").xlen("m")
        assert p.execute() == ["1-0", "2-0", 2]
    with r.pipeline(transaction=False) as p:
        for n in range(3, 500):
            p.xadd("m", {"f": n}, id=f"{n}-0")
        assert len(p.execute()) == 497
    with r.pipeline() as p:
        p.watch("m")
        other.xadd("m", {"f": "other"}, id="1000-0")
        p.multi()
        p.xlen("m")
        try:
            p.execute()
        except redis.WatchError:
            pass
        else:
            raise AssertionError("a watched key has changed, and the transaction went through")


def messages(r, other):
    def heard(p):
        message = p.get_message(timeout=20)
        return message["type"], message["pattern"], message["channel"], message["data"]

    with r.pubsub() as p:
        p.subscribe("news", "sport")
        p.psubscribe("n*")
        assert heard(p) == ("subscribe", None, "news", 1)
        assert heard(p) == ("subscribe", None, "sport", 2)
        assert heard(p) == ("psubscribe", None, "n*", 3)
        assert other.publish("news", "hello") == 2
        assert heard(p) == ("message", None, "news", "hello")
        assert heard(p) == ("pmessage", "n*", "news", "hello")
        assert sorted(other.pubsub_channels()) == ["news", "sport"]
        assert other.pubsub_numsub("news", "none") == [("news", 1), ("none", 0)]
        assert other.pubsub_numpat() == 1
        p.unsubscribe("sport")
        assert heard(p) == ("unsubscribe", None, "sport", 2)
    with r.pubsub(ignore_subscribe_messages=True) as p:
        got = []
        p.subscribe(counted=lambda message: got.append(message["data"]))
        thread = p.run_in_thread(sleep_time=0.01)
        with other.pipeline(transaction=True) as many:
            for n in range(500):
                many.publish("counted", n)
            while not other.pubsub_numsub("counted")[0][1]:
                pass
            assert many.execute() == [1] * 500
        while len(got) < 500:
            time.sleep(0.01)
        assert got == [str(n) for n in range(500)]
        thread.stop()
        thread.join()
    with r.pubsub() as p:
        p.ssubscribe("shard")
        assert p.get_sharded_message(timeout=20)["type"] == "ssubscribe"
        assert other.spublish("shard", "hello") == 1
        message = p.get_sharded_message(timeout=20)
        assert (message["type"], message["data"]) == ("smessage", "hello")
        assert other.pubsub_shardchannels() == ["shard"]
        assert other.pubsub_shardnumsub("shard") == [("shard", 1)]


async def asynchronous(host, port, protocol):
    r = redis.asyncio.Redis(host=host, port=port, protocol=protocol, decode_responses=True)
    await r.xgroup_create("async", "g", id="0", mkstream=True)
    blocked = asyncio.create_task(r.xreadgroup("g", "ann", {"async": ">"}, block=20_000))
    while (await r.info("clients"))["blocked_clients"] != 1:
        pass
    await asyncio.gather(*(r.xadd("async", {"n": n}) for n in range(50)))
    first = entries(await blocked)["async"]
    rest = entries(await r.xreadgroup("g", "ann", {"async": ">"})) or {"async": []}
    ids = [id for id, _ in first + rest["async"]]
    assert len(ids) == 50 and len(set(ids)) == 50
    assert await r.xack("async", "g", *ids) == 50
    async with r.pubsub() as p:
        await p.psubscribe("as*")
        assert (await p.get_message(timeout=20))["type"] == "psubscribe"
        assert await asyncio.gather(*(r.publish("async", n) for n in range(50))) == [1] * 50
        got = [(await p.get_message(timeout=20))["data"] for _ in range(50)]
        assert sorted(map(int, got)) == list(range(50))
    await r.aclose()


def main():
    host, port = sys.argv[1].rsplit(":", 1)
    for protocol in (2, 3):
        def connect():
            return redis.Redis(host=host, port=int(port), protocol=protocol, decode_responses=True)
        r, other = connect(), connect()
        r.flushall()
        basics(r)
        keys(r)
        streams(r)
        groups(r)
        waiting(r, other)
        transactions(r, other)
        messages(r, other)
        asyncio.run(asynchronous(host, int(port), protocol))
        r.flushall()
        r.close()
        other.close()


main()
