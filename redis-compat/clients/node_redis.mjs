// Every stream command, messages and the basics, through node-redis, in RESP2 and RESP3.
//
//     node node_redis.mjs HOST:PORT          with node_modules in $HEADWATER_ORACLE
//
// Empties the server. Ends with 0 when all is as asserted; an assertion that fails names its line.

import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { join } from "node:path";

// A module is found beside its importer; ours are elsewhere.
const require = createRequire(join(process.env.HEADWATER_ORACLE ?? process.cwd(), "index.js"));
const { createClient, WatchError } = require("redis");

const url = `redis://${process.argv[2]}`;

const refused = (promise, text) =>
  assert.rejects(promise, (error) => error.message.includes(text) || assert.fail(error.message));

/** Objects without a prototype, and arrays of them, as plain ones. */
const plain = (value) => JSON.parse(JSON.stringify(value));

/** What XREAD and XREADGROUP found, by key; in RESP3 it comes as a map. */
const entries = (reply) =>
  Array.isArray(reply)
    ? Object.fromEntries(reply.map(({ name, messages }) => [name, plain(messages)]))
    : plain(reply);

async function basics(r) {
  assert.equal(await r.ping(), "PONG");
  assert.equal(await r.echo("hello"), "hello");
  await r.clientSetName("node");
  assert.equal(await r.clientGetName(), "node");
  assert.ok((await r.clientId()) > 0);
  assert.equal((await r.clientInfo()).name, "node");
  assert.ok((await r.clientList()).some((client) => client.name === "node"));
  assert.match(await r.info("server"), /redis_version:/);
  assert.ok(await r.time());
  assert.equal((await r.configGet("stream-node-max-entries"))["stream-node-max-entries"], "100");
  assert.equal(await r.configSet("stream-node-max-entries", "100"), "OK");
  assert.ok((await r.commandCount()) > 50);
  assert.deepEqual(await r.commandGetKeys(["XADD", "s", "*", "f", "v"]), ["s"]);
  assert.equal((await r.commandInfo(["xadd"]))[0].arity, -5);
  assert.equal(await r.dbSize(), 0);
  await refused(r.sendCommand(["UNKNOWN", "a"]), "ERR unknown command");
}

async function keys(r) {
  for (const key of ["a", "b", "c"]) await r.xAdd(key, "1-0", { f: "v" });
  assert.deepEqual((await r.keys("*")).sort(), ["a", "b", "c"]);
  const found = [];
  for await (const some of r.scanIterator({ MATCH: "*", TYPE: "stream" })) found.push(...some);
  assert.deepEqual([...new Set(found)].sort(), ["a", "b", "c"]);
  assert.equal(await r.type("a"), "stream");
  assert.equal(await r.exists(["a", "a", "none"]), 2);
  assert.equal(await r.touch(["a", "none"]), 1);
  assert.equal(await r.objectEncoding("a"), "stream");
  assert.equal(await r.rename("a", "d"), "OK");
  assert.equal(Number(await r.renameNX("b", "c")), 0);
  assert.equal(Number(await r.copy("d", "e")), 1);
  assert.equal(Number(await r.expire("b", 100)), 1);
  assert.equal(Number(await r.expire("b", 50, "GT")), 0);
  assert.ok((await r.ttl("b")) > 90 && (await r.pTTL("b")) > 90_000);
  assert.equal(Number(await r.pExpireAt("b", 33177117420123)), 1);
  assert.equal(await r.pExpireTime("b"), 33177117420123);
  assert.equal(Number(await r.persist("b")), 1);
  assert.equal(Number(await r.move("e", 1)), 1);
  assert.equal(await r.swapDb(1, 2), "OK");
  assert.equal(await r.del(["b", "none"]), 1);
  assert.equal(await r.unlink(["c", "d"]), 2);
  assert.equal(await r.flushAll(), "OK");
}

async function streams(r) {
  const id = await r.xAdd("s", "*", { kind: "mail", to: "ann" });
  assert.deepEqual(plain(await r.xRange("s", "-", "+")), [{ id, message: { kind: "mail", to: "ann" } }]);
  assert.equal(await r.xAddNoMkStream("none", "*", { f: "v" }), null);
  for (let n = 1; n <= 10; n++) assert.equal(await r.xAdd("t", `${n}-*`, { n: `${n}` }), `${n}-0`);
  assert.equal(await r.xLen("t"), 10);
  assert.deepEqual((await r.xRange("t", "3", "(5-0")).map(({ id }) => id), ["3-0", "4-0"]);
  assert.deepEqual((await r.xRevRange("t", "+", "-", { COUNT: 1 })).map(({ id }) => id), ["10-0"]);
  assert.equal(await r.xDel("t", ["2-0", "99-0"]), 1);
  const trim = { strategy: "MAXLEN", strategyModifier: "=", threshold: 5 };
  assert.equal(await r.xAdd("t", "11-0", { f: "v" }, { TRIM: trim }), "11-0");
  assert.equal(await r.xTrim("t", "MINID", 9), 2);
  assert.equal(await r.xTrim("t", "MAXLEN", 1, { strategyModifier: "~", LIMIT: 10 }), 0);
  const read = entries(await r.xRead([{ key: "t", id: "10-0" }, { key: "none", id: "0" }]));
  assert.deepEqual(Object.keys(read), ["t"]);
  assert.equal(await r.xRead({ key: "t", id: "$" }, { BLOCK: 10 }), null);
  assert.equal(await r.xSetId("t", "20-0", { ENTRIESADDED: 50, MAXDELETEDID: "2-0" }), "OK");
  const info = await r.xInfoStream("t");
  assert.equal(info.length, 3);
  assert.equal(info["last-generated-id"], "20-0");
  assert.equal(info["entries-added"], 50);
  await refused(r.xAdd("t", "1-0", { f: "v" }), "equal or smaller");
}

async function groups(r) {
  assert.equal(await r.xGroupCreate("q", "g", "0", { MKSTREAM: true }), "OK");
  await refused(r.xGroupCreate("q", "g", "0"), "BUSYGROUP Consumer Group name already exists");
  for (let n = 1; n <= 12; n++) await r.xAdd("q", `${n}-0`, { n: `${n}` });
  const got = entries(await r.xReadGroup("g", "ann", { key: "q", id: ">" }, { COUNT: 5 }));
  assert.equal(got.q.length, 5);
  await r.xReadGroup("g", "bob", { key: "q", id: ">" }, { COUNT: 3 });
  await r.xReadGroup("g", "eve", { key: "q", id: ">" }, { COUNT: 1, NOACK: true });
  assert.equal(await r.xAck("q", "g", ["1-0", "2-0", "99-0"]), 2);
  const summary = await r.xPending("q", "g");
  assert.deepEqual([summary.pending, summary.firstId, summary.lastId], [6, "3-0", "8-0"]);
  assert.deepEqual(plain(summary.consumers).map(({ name }) => name), ["ann", "bob"]);
  const [row] = await r.xPendingRange("q", "g", "-", "+", 10, { IDLE: 0, consumer: "ann" });
  assert.deepEqual([row.id, row.consumer, row.deliveriesCounter], ["3-0", "ann", 1]);
  assert.equal((await r.xClaim("q", "g", "bob", 0, "3-0"))[0].id, "3-0");
  assert.deepEqual(await r.xClaimJustId("q", "g", "bob", 0, ["4-0"], { RETRYCOUNT: 5 }), ["4-0"]);
  await r.xDel("q", "5-0");
  const claimed = await r.xAutoClaim("q", "g", "eve", 0, "0", { COUNT: 3 });
  assert.equal(claimed.nextId, "6-0");
  assert.deepEqual(claimed.messages.map(({ id }) => id), ["3-0", "4-0"]);
  const ids = await r.xAutoClaimJustId("q", "g", "eve", 0, "6-0");
  assert.deepEqual(ids.messages, ["6-0", "7-0", "8-0"]);
  assert.equal((await r.xInfoConsumers("q", "g")).length, 3);
  assert.equal((await r.xInfoGroups("q"))[0].pending, 5);
  assert.equal(await r.xGroupCreateConsumer("q", "g", "new").then(Number), 1);
  assert.equal(await r.xGroupDelConsumer("q", "g", "eve"), 5);
  assert.equal(await r.xGroupSetId("q", "g", "$"), "OK");
  assert.equal(Number(await r.xGroupDestroy("q", "g")), 1);
  await refused(r.xReadGroup("g", "ann", { key: "q", id: ">" }), "NOGROUP");
}

async function waiting(r, other) {
  await r.xGroupCreate("w", "g", "$", { MKSTREAM: true });
  const heard = r.xReadGroup("g", "ann", { key: "w", id: ">" }, { BLOCK: 20_000 });
  while (!/blocked_clients:1\r/.test(await other.info("clients")));
  await other.xAdd("w", "1-0", { f: "v" });
  assert.equal(entries(await heard).w.length, 1);
}

async function transactions(r, other) {
  assert.deepEqual(await r.multi().xAdd("m", "1-0", { f: "1" }).xLen("m").exec(), ["1-0", 1]);
  const all = Array.from({ length: 498 }, (_, n) => r.xAdd("m", `${n + 2}-0`, { n: `${n}` }));
  assert.equal((await Promise.all(all)).length, 498);
  await r.watch("m");
  await other.xAdd("m", "1000-0", { f: "other" });
  await assert.rejects(r.multi().xLen("m").exec(), WatchError);
}

async function messages(r, other) {
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
  const listen = (text, channel) => hear(channel, text);
  await r.subscribe(["news", "sport"], listen);
  await r.pSubscribe("n*", listen);
  await r.sSubscribe("shard", listen);
  assert.equal(await other.publish("news", "hello"), 2);
  assert.deepEqual(await all(2), [["news", "hello"], ["news", "hello"]]);
  assert.equal(await other.sPublish("shard", "hello"), 1);
  assert.deepEqual(await all(1), [["shard", "hello"]]);
  assert.deepEqual((await other.pubSubChannels()).sort(), ["news", "sport"]);
  assert.deepEqual(plain(await other.pubSubNumSub(["news", "none"])), { news: 1, none: 0 });
  assert.equal(await other.pubSubNumPat(), 1);
  assert.deepEqual(await other.pubSubShardChannels(), ["shard"]);
  assert.deepEqual(plain(await other.pubSubShardNumSub(["shard"])), { shard: 1 });
  const many = other.multi();
  for (let n = 0; n < 500; n++) many.publish("sport", `${n}`);
  assert.deepEqual(await many.exec(), Array(500).fill(1));
  assert.deepEqual((await all(500)).map(([, n]) => +n), [...Array(500).keys()]);
  assert.ok(await r.ping());
  await r.unsubscribe();
  await r.pUnsubscribe("n*");
  await r.sUnsubscribe("shard");
  assert.equal(await other.publish("news", "nobody"), 0);
  assert.equal(await r.xLen("none"), 0);
}

for (const RESP of [2, 3]) {
  const r = await createClient({ url, RESP }).on("error", (error) => { throw error; }).connect();
  const other = await createClient({ url, RESP }).on("error", (error) => { throw error; }).connect();
  await r.flushAll();
  await basics(r);
  await keys(r);
  await streams(r);
  await groups(r);
  await waiting(r, other);
  await transactions(r, other);
  await messages(r, other);
  await r.flushAll();
  r.destroy();
  other.destroy();
}
