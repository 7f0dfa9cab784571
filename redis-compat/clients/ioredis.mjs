// Every stream command, messages and the basics, through ioredis.
//
//     node ioredis.mjs HOST:PORT          with node_modules beside it, or in NODE_PATH's parent
//
// Empties the server. Ends with 0 when all is as asserted; an assertion that fails names its line.

import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { join } from "node:path";

// A module is found beside its importer; ours are elsewhere.
const require = createRequire(join(process.env.HEADWATER_ORACLE ?? process.cwd(), "index.js"));
const { Redis } = require("ioredis");

const [host, port] = process.argv[2].split(":");
const connect = () => new Redis({ host, port: Number(port), connectionName: "io" });

const refused = (promise, text) =>
  assert.rejects(promise, (error) => error.message.includes(text) || assert.fail(error.message));

/** A flat array of names and values as an object. */
const object = (flat) =>
  Object.fromEntries(Array.from({ length: flat.length / 2 }, (_, i) => [flat[2 * i], flat[2 * i + 1]]));

async function basics(r) {
  assert.equal(await r.ping(), "PONG");
  assert.equal(await r.ping("hello"), "hello");
  assert.equal(await r.echo("hello"), "hello");
  assert.equal(await r.client("GETNAME"), "io");
  assert.ok((await r.client("ID")) > 0);
  assert.match(await r.client("LIST"), /name=io/);
  assert.match(await r.client("INFO"), /lib-name=ioredis/);
  assert.match(await r.info("server"), /redis_version:/);
  assert.match(await r.info(), /loading:0/);
  assert.equal((await r.time()).length, 2);
  assert.deepEqual(await r.config("GET", "stream-node-max-entries"), ["stream-node-max-entries", "100"]);
  assert.equal(await r.config("SET", "stream-node-max-entries", "100"), "OK");
  assert.ok((await r.command("COUNT")) > 50);
  assert.deepEqual(await r.command("GETKEYS", "XREAD", "STREAMS", "a", "b", "0", "0"), ["a", "b"]);
  assert.equal((await r.command("INFO", "xadd"))[0][1], -5);
  assert.equal(await r.dbsize(), 0);
  await refused(r.call("UNKNOWN", "a"), "ERR unknown command 'UNKNOWN', with args beginning with: 'a'");
}

async function keys(r) {
  for (const key of ["a", "b", "c"]) await r.xadd(key, "1-0", "f", "v");
  assert.deepEqual((await r.keys("*")).sort(), ["a", "b", "c"]);
  const found = [];
  for await (const some of r.scanStream({ match: "*", count: 1, type: "stream" })) found.push(...some);
  assert.deepEqual([...new Set(found)].sort(), ["a", "b", "c"]);
  assert.equal(await r.type("a"), "stream");
  assert.equal(await r.exists("a", "a", "none"), 2);
  assert.equal(await r.touch("a", "none"), 1);
  assert.equal(await r.object("ENCODING", "a"), "stream");
  assert.equal(await r.rename("a", "d"), "OK");
  assert.equal(await r.renamenx("b", "c"), 0);
  assert.equal(await r.copy("d", "e"), 1);
  assert.equal(await r.expire("b", 100), 1);
  assert.equal(await r.expire("b", 50, "GT"), 0);
  assert.ok((await r.ttl("b")) > 90 && (await r.pttl("b")) > 90_000);
  assert.equal(await r.pexpireat("b", 33177117420123), 1);
  assert.equal(await r.pexpiretime("b"), 33177117420123);
  assert.equal(await r.persist("b"), 1);
  assert.equal(await r.move("e", 1), 1);
  assert.equal(await r.swapdb(1, 2), "OK");
  assert.equal(await r.del("b", "none"), 1);
  assert.equal(await r.unlink("c", "d"), 2);
  assert.equal(await r.flushall(), "OK");
}

async function streams(r) {
  const id = await r.xadd("s", "*", "kind", "mail", "to", "ann");
  assert.deepEqual(await r.xrange("s", "-", "+"), [[id, ["kind", "mail", "to", "ann"]]]);
  assert.equal(await r.xadd("none", "NOMKSTREAM", "*", "f", "v"), null);
  for (let n = 1; n <= 10; n++) assert.equal(await r.xadd("t", `${n}-*`, "n", n), `${n}-0`);
  assert.equal(await r.xlen("t"), 10);
  assert.deepEqual((await r.xrange("t", "3", "(5-0")).map(([id]) => id), ["3-0", "4-0"]);
  assert.deepEqual((await r.xrevrange("t", "+", "-", "COUNT", 1)).map(([id]) => id), ["10-0"]);
  assert.equal(await r.xdel("t", "2-0", "99-0"), 1);
  assert.equal(await r.xadd("t", "MAXLEN", "=", 5, "11-0", "f", "v"), "11-0");
  assert.equal(await r.xtrim("t", "MINID", "9-0"), 2);
  assert.equal(await r.xtrim("t", "MAXLEN", "~", 1, "LIMIT", 10), 0);
  assert.deepEqual(await r.xread("STREAMS", "t", "none", "10-0", "0"), [["t", [["11-0", ["f", "v"]]]]]);
  assert.equal(await r.xread("BLOCK", 10, "STREAMS", "t", "$"), null);
  assert.equal(await r.xsetid("t", "20-0"), "OK");
  const info = object(await r.xinfo("STREAM", "t"));
  assert.equal(info.length, 3);
  assert.equal(info["last-generated-id"], "20-0");
  const bytes = Buffer.from([0, 255, 13, 10]);
  await r.xadd("bytes", "1-0", bytes, bytes);
  assert.deepEqual((await r.xrangeBuffer("bytes", "-", "+"))[0][1], [bytes, bytes]);
  await refused(r.xadd("t", "1-0", "f", "v"), "equal or smaller");
}

async function groups(r) {
  assert.equal(await r.xgroup("CREATE", "q", "g", "0", "MKSTREAM"), "OK");
  await refused(r.xgroup("CREATE", "q", "g", "0"), "BUSYGROUP Consumer Group name already exists");
  for (let n = 1; n <= 12; n++) await r.xadd("q", `${n}-0`, "n", n);
  const [[key, got]] = await r.xreadgroup("GROUP", "g", "ann", "COUNT", 5, "STREAMS", "q", ">");
  assert.equal(key, "q");
  assert.deepEqual(got[4], ["5-0", ["n", "5"]]);
  await r.xreadgroup("GROUP", "g", "bob", "COUNT", 3, "STREAMS", "q", ">");
  assert.equal(await r.xack("q", "g", "1-0", "2-0", "99-0"), 2);
  assert.deepEqual(await r.xpending("q", "g"), [6, "3-0", "8-0", [["ann", "3"], ["bob", "3"]]]);
  const rows = await r.xpending("q", "g", "IDLE", 0, "-", "+", 10, "ann");
  assert.deepEqual(rows.map(([id, name, , count]) => [id, name, count])[0], ["3-0", "ann", 1]);
  assert.deepEqual(await r.xclaim("q", "g", "bob", 0, "3-0"), [["3-0", ["n", "3"]]]);
  assert.deepEqual(await r.xclaim("q", "g", "bob", 0, "4-0", "JUSTID", "FORCE"), ["4-0"]);
  await r.xdel("q", "5-0");
  assert.deepEqual(await r.xautoclaim("q", "g", "eve", 0, "0", "COUNT", 3, "JUSTID"), ["6-0", ["3-0", "4-0"], ["5-0"]]);
  assert.equal((await r.xinfo("CONSUMERS", "q", "g")).length, 3);
  assert.equal(object((await r.xinfo("GROUPS", "q"))[0]).pending, 5);
  assert.equal(object(await r.xinfo("STREAM", "q", "FULL", "COUNT", 0)).groups.length, 1);
  assert.equal(await r.xgroup("CREATECONSUMER", "q", "g", "new"), 1);
  assert.equal(await r.xgroup("DELCONSUMER", "q", "g", "eve"), 2);
  assert.equal(await r.xgroup("SETID", "q", "g", "$"), "OK");
  assert.equal(await r.xgroup("DESTROY", "q", "g"), 1);
  await refused(r.xreadgroup("GROUP", "g", "ann", "STREAMS", "q", ">"), "NOGROUP");
}

async function waiting(r, other) {
  await r.xgroup("CREATE", "w", "g", "$", "MKSTREAM");
  const heard = r.xreadgroup("GROUP", "g", "ann", "BLOCK", 20_000, "STREAMS", "w", ">");
  while (!/blocked_clients:1\r/.test(await other.info("clients")));
  await other.xadd("w", "1-0", "f", "v");
  assert.deepEqual(await heard, [["w", [["1-0", ["f", "v"]]]]]);
  assert.equal(await r.xread("BLOCK", 10, "STREAMS", "w", "$"), null);
}

async function transactions(r, other) {
  assert.deepEqual(await r.multi().xadd("m", "1-0", "f", "1").xlen("m").exec(), [[null, "1-0"], [null, 1]]);
  const pipeline = r.pipeline();
  for (let n = 2; n < 500; n++) pipeline.xadd("m", `${n}-0`, "n", n);
  assert.equal((await pipeline.exec()).filter(([error]) => error === null).length, 498);
  await r.watch("m");
  await other.xadd("m", "1000-0", "f", "other");
  assert.equal(await r.multi().xlen("m").exec(), null);
}

async function messages(other) {
  const r = connect();
  const got = [];
  let look = () => {};
  /** So many that were heard, once they are there. */
  const all = (count) =>
    new Promise((resolve) => {
      look = () => {
        if (got.length < count) return;
        look = () => {};
        resolve(got.splice(0, count));
      };
      look();
    });
  const hear = (...message) => {
    got.push(message);
    look();
  };
  r.on("message", hear);
  r.on("pmessage", hear);
  r.on("smessage", hear);
  assert.equal(await r.subscribe("news", "sport"), 2);
  assert.equal(await r.psubscribe("n*"), 3);
  assert.equal(await r.ssubscribe("shard"), 1);
  assert.equal(await other.publish("news", "hello"), 2);
  assert.deepEqual(await all(2), [["news", "hello"], ["n*", "news", "hello"]]);
  assert.equal(await other.spublish("shard", "hello"), 1);
  assert.deepEqual(await all(1), [["shard", "hello"]]);
  assert.deepEqual((await other.pubsub("CHANNELS")).sort(), ["news", "sport"]);
  assert.deepEqual(await other.pubsub("NUMSUB", "news", "none"), ["news", 1, "none", 0]);
  assert.equal(await other.pubsub("NUMPAT"), 1);
  assert.equal(await r.ping(), "PONG");
  const many = other.multi();
  for (let n = 0; n < 500; n++) many.publish("sport", n);
  assert.deepEqual((await many.exec()).map(([, count]) => count), Array(500).fill(1));
  assert.deepEqual((await all(500)).map(([, n]) => +n), [...Array(500).keys()]);
  assert.equal(await r.unsubscribe("news", "sport"), 1);
  assert.equal(await r.punsubscribe("n*"), 0);
  assert.equal(await r.sunsubscribe(), 0);
  assert.equal(await other.publish("news", "nobody"), 0);
  assert.equal(await r.xlen("none"), 0);
  r.disconnect();
}

const r = connect();
const other = connect();
try {
  await r.flushall();
  await basics(r);
  await keys(r);
  await streams(r);
  await groups(r);
  await waiting(r, other);
  await transactions(r, other);
  await messages(other);
  await r.flushall();
  assert.equal(await r.quit(), "OK");
} finally {
  r.disconnect();
  other.disconnect();
}
