"""Writes numbered entries to the master that monitors name, through redis-py.

    python sentinel_redis_py.py HOST:PORT,HOST:PORT,... MASTER KEY

Prints `+N` when entry N is acknowledged, and `-TEXT` for every error that the library lets through;
then it tries the same entry again. Goes on until it is killed.
"""

import sys
import time

import redis
from redis.sentinel import Sentinel

monitors, name, key = sys.argv[1:]
addresses = [(host, int(port)) for host, port in (each.split(":") for each in monitors.split(","))]
master = Sentinel(addresses, socket_timeout=1).master_for(name, socket_timeout=1)

number = 1
while True:
    try:
        master.xadd(key, {"n": number})
    except redis.RedisError as error:
        print(f"-{type(error).__name__}: {error}", flush=True)
        time.sleep(0.05)
    else:
        print(f"+{number}", flush=True)
        number += 1
        time.sleep(0.005)
