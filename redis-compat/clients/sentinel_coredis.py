"""Writes numbered entries to the master that monitors name, through coredis.

    python sentinel_coredis.py HOST:PORT,HOST:PORT,... MASTER KEY

Prints `+N` when entry N is acknowledged, and `-TEXT` for every error that the library lets through;
then it tries the same entry again. Goes on until it is killed.
"""

import asyncio
import sys

from coredis import Sentinel
from coredis.connection import TCPLocation
from coredis.exceptions import RedisError


async def write(monitors, name, key):
    locations = [TCPLocation(host, int(port)) for host, port in (each.split(":") for each in monitors.split(","))]
    async with Sentinel(locations, stream_timeout=1, connect_timeout=1) as sentinel:
        async with sentinel.primary_for(name) as master:
            number = 1
            while True:
                try:
                    await master.xadd(key, {"n": number})
                except (RedisError, OSError, TimeoutError) as error:
                    print(f"-{type(error).__name__}: {error}", flush=True)
                    await asyncio.sleep(0.05)
                else:
                    print(f"+{number}", flush=True)
                    number += 1
                    await asyncio.sleep(0.005)


asyncio.run(write(*sys.argv[1:]))
