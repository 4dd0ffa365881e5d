"""
What the store does, as Lua scripts: each is one round trip, and nothing comes between its steps.

All times are microseconds by the store's own clock, so that the relays' clocks need not agree. What
a script returns on the way of a hold are whole numbers only.

Source: the Redis documentation, "Scripting with Lua" and the commands used, as of Redis 6; Valkey's
are the same.
"""

from __future__ import annotations

import hashlib

from attrs import field, frozen

DAY = 86_400
"""Seconds that a revocation is remembered, and the state of a fleet that nobody uses."""


@frozen
class Script:
    """A script. @ivar sha: what the store calls it by."""

    text: str
    sha: str = field(init=False)

    def __attrs_post_init__(self) -> None:
        """Find the name."""
        digest = hashlib.sha1(self.text.encode("ascii"), usedforsecurity=False)
        object.__setattr__(self, "sha", digest.hexdigest())


_TIME = """
local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
local function whole(x) return string.format('%.0f', x) end
"""

_SETTLED = (
    _TIME
    + f"""
local fleet, members = KEYS[1], KEYS[2]
local function settled(run, relays, lease)
  redis.call('ZREMRANGEBYSCORE', members, '-inf', whole(now))
  if redis.call('ZCARD', members) == 0 or redis.call('HGET', fleet, 'run') ~= run then
    redis.call('DEL', members)
    redis.call('HSET', fleet, 'run', run, 'since', whole(now))
  end
  redis.call('EXPIRE', fleet, {DAY})
  local alive = redis.call('ZCARD', members)
  local since = tonumber(redis.call('HGET', fleet, 'since'))
  return (alive >= relays or now - since >= lease) and 1 or 0, alive
end
"""
)
"""
Whether the store knows of all sessions. It may not if it began anew, or was away, since C{since}:
until all relays have told it of theirs, or those that have not count no longer.

The members are the relays that have told, each for a while that is shorter than a lease.
"""

_SPENT = """
local function spent(key, relay)
  local sums = {t = 0, s = 0}
  local found = redis.call('HGETALL', key)
  for i = 1, #found, 2 do
    local unit = string.sub(found[i], -1)
    if found[i] ~= relay .. unit then sums[unit] = sums[unit] + tonumber(found[i + 1]) end
  end
  return sums.t, sums.s
end
"""
"""What a caller has spent today, in tokens and in microseconds, on all relays but one."""

DECIDE = Script(
    _SETTLED
    + _SPENT
    + """
local run, relays, lease, id = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4]
local known = settled(run, relays, lease)
local keys, limits, minute = 4, 5, 60000000
for claim = 1, (#KEYS - 3) / 3 do
  local sessions, holds, bucket = KEYS[keys], KEYS[keys + 1], KEYS[keys + 2]
  local rate = tonumber(ARGV[limits + 2])
  if rate > 0 then
    local paid = math.max(tonumber(redis.call('GET', bucket) or 0), now) + minute / rate
    local wait = paid - now - minute
    if wait > 1 then return {claim, 3, wait} end
    redis.call('SET', bucket, whole(paid), 'PX', whole(math.ceil((paid - now) / 1000) + 1))
  end
  for place = 1, 0, -1 do
    local key, most = KEYS[keys + place], tonumber(ARGV[limits + place])
    if most > 0 then
      redis.call('ZREMRANGEBYSCORE', key, '-inf', whole(now))
      if redis.call('ZCARD', key) >= most then return {claim, place + 1, 0} end
    end
  end
  keys, limits = keys + 3, limits + 3
end
keys, limits = 4, 5
for claim = 1, (#KEYS - 3) / 3 do
  for place = 0, 1 do
    if tonumber(ARGV[limits + place]) > 0 then
      redis.call('ZADD', KEYS[keys + place], whole(now + lease), id)
      redis.call('PEXPIRE', KEYS[keys + place], whole(lease / 1000))
    end
  end
  keys, limits = keys + 3, limits + 3
end
return {0, known, 0, spent(KEYS[3], string.match(id, '^[^:]+'))}
"""
)
"""
Count one hold more, or say what there is too much of.

Keys: fleet, members, the caller's day, then for each claim the leases of its sessions and of its
holds, and its bucket. Arguments: run, relays, microseconds of a lease, the lease's name, which
begins with the relay's, then for each claim the most sessions, holds, and handshakes a minute; 0
for any number.

The bucket is that of L{relay.timing.allowance.Allowance}: a full one has a minute's handshakes.

Returns 0, whether the store knows of all sessions, 0, and what the caller has spent today on other
relays, in tokens and in microseconds; or the number of the claim from 1, 1 for its sessions, 2 for
its holds, 3 for its handshakes, and for these the microseconds to wait.
"""

RENEW = Script(
    _TIME
    + """
local lease = tonumber(ARGV[1])
for i = 1, #KEYS do
  redis.call('ZADD', KEYS[i], whole(now + lease), ARGV[i + 1])
  redis.call('PEXPIRE', KEYS[i], whole(lease / 1000))
end
return #KEYS
"""
)
"""
Let leases count for their whole time again, also such as the store has lost.

Keys: where each is, as often as there are leases. Arguments: microseconds, then the lease's names.
"""

FREE = Script(
    """
for i = 1, #KEYS do redis.call('ZREM', KEYS[i], ARGV[i]) end
return #KEYS
"""
)
"""Let leases count no longer. Keys: where each is. Arguments: the leases' names."""

BEAT = Script(
    _SETTLED
    + """
local run, relays, lease = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
settled(run, relays, lease)
if ARGV[5] ~= '' then
  redis.call('ZADD', members, whole(now + tonumber(ARGV[4])), ARGV[5])
  redis.call('PEXPIRE', members, whole(lease / 1000))
end
local known, alive = settled(run, relays, lease)
local newest = redis.call('ZRANGE', KEYS[3], -1, -1, 'WITHSCORES')[2] or 0
return {known, alive, tonumber(newest)}
"""
)
"""
Tell that a relay lives, and that the store has all of its leases.

Keys: fleet, members, revoked. Arguments: run, relays, microseconds of a lease and of a membership,
the relay's name; an empty one only asks.

Returns whether the store knows of all sessions, how many relays live, and the time of the last
revocation.
"""

REVOKE = Script(
    _TIME
    + f"""
local last = tonumber(redis.call('ZRANGE', KEYS[1], -1, -1, 'WITHSCORES')[2] or 0)
local at = math.max(now, last + 1)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', whole(now - {DAY} * 1000000))
redis.call('ZADD', KEYS[1], whole(at), ARGV[1])
redis.call('EXPIRE', KEYS[1], {DAY})
redis.call('PUBLISH', KEYS[1], '')
return at
"""
)
"""Remember that a subject is revoked, and tell. Keys: revoked. Arguments: the subject."""

REVOKED = Script(
    _TIME
    + """
local found = redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. ARGV[1], '+inf', 'WITHSCORES')
table.insert(found, 1, whole(now))
return found
"""
)
"""
The subjects that were revoked after a time. Keys: revoked. Arguments: the time.

Returns the time now, then each subject and when it was revoked.
"""

RESTORE = Script(
    f"""
for i = 1, #ARGV, 2 do redis.call('ZADD', KEYS[1], 'NX', ARGV[i], ARGV[i + 1]) end
redis.call('EXPIRE', KEYS[1], {DAY})
return #ARGV
"""
)
"""
Remember again what the store may have lost. Keys: revoked. Arguments: when each was revoked, and
what.
"""

SPEND = Script(
    _SPENT
    + f"""
local told = {{}}
for i = 1, #KEYS do
  for place, unit in ipairs({{'t', 's'}}) do
    local field, sum = ARGV[1] .. unit, tonumber(ARGV[2 * i + place - 1])
    if sum > tonumber(redis.call('HGET', KEYS[i], field) or 0) then
      redis.call('HSET', KEYS[i], field, ARGV[2 * i + place - 1])
      redis.call('EXPIRE', KEYS[i], {2 * DAY})
    end
  end
  told[2 * i - 1], told[2 * i] = spent(KEYS[i], ARGV[1])
end
return told
"""
)
"""
Say what callers have spent today at one relay, and learn what they have at the others. It may be
said any number of times, because it is the sum of the day.

Keys: each caller's day. Arguments: the relay's name, then for each caller tokens and microseconds.

Returns for each caller tokens and microseconds.
"""

SCRIPTS = (DECIDE, RENEW, FREE, BEAT, REVOKE, REVOKED, RESTORE, SPEND)
