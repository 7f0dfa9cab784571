// Writes numbered entries to the master that monitors name, through ioredis.
//
//     node sentinel_ioredis.mjs HOST:PORT,HOST:PORT,... MASTER KEY
//
// Prints `+N` when entry N is acknowledged, and `-TEXT` for every error that the library lets
// through; then it tries the same entry again. Goes on until it is killed.

import { createRequire } from "node:module";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";

// A module is found beside its importer; ours are elsewhere.
const require = createRequire(join(process.env.HEADWATER_ORACLE ?? process.cwd(), "index.js"));
const { Redis } = require("ioredis");

const [monitors, name, key] = process.argv.slice(2);
const sentinels = monitors.split(",").map((each) => {
  const [host, port] = each.split(":");
  return { host, port: Number(port) };
});
// Without failoverDetector: a +switch-master that comes while it asks for the master makes it give
// up for good.
const master = new Redis({
  sentinels,
  name,
  commandTimeout: 1000,
  connectTimeout: 1000,
  sentinelCommandTimeout: 1000,
  sentinelRetryStrategy: () => 100,
  reconnectOnError: (error) => error.message.startsWith("READONLY"),
});
master.on("error", (error) => console.log(`-${error.message}`));

for (let number = 1; ; ) {
  try {
    await master.xadd(key, "*", "n", number);
    console.log(`+${number++}`);
    await pause(5);
  } catch (error) {
    console.log(`-${error.message}`);
    await pause(50);
  }
}
