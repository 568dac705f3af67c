//! The scripts that the server runs, each as a whole or not at all.
//!
//! Most begin with the same fence: the record of a generation must still be what the caller saw. Arguments are bound,
//! never pasted. A script takes many pairs in slices, because Lua's stack is bounded.

/// Most keys that one purge of a table takes away, so that no script holds the server up for long.
pub(super) const STEP: u64 = 10_000;

/// Keys: load, tables. Arguments: the load's record as seen (empty for none), the new one, the table.
pub(super) const BEGIN: &str = "
if (redis.call('HGET', KEYS[1], '') or '') ~= ARGV[1] then return 0 end
redis.call('UNLINK', KEYS[1])
redis.call('HSET', KEYS[1], '', ARGV[2])
redis.call('SADD', KEYS[2], ARGV[3])
return 1";

/// Keys: load. Arguments: the record as seen, the new one, then key and value of each pair. Answers with the record.
pub(super) const PUT: &str = "
local record = redis.call('HGET', KEYS[1], '')
if record ~= ARGV[1] then return record end
for first = 3, #ARGV, 1000 do
  redis.call('HSET', KEYS[1], unpack(ARGV, first, math.min(first + 999, #ARGV)))
end
redis.call('HSET', KEYS[1], '', ARGV[2])
return ARGV[2]";

/// Keys: load, active, expiry. Arguments: the load's record as seen, the published one.
pub(super) const PUBLISH: &str = "
if redis.call('HGET', KEYS[1], '') ~= ARGV[1] then return 0 end
redis.call('UNLINK', KEYS[2], KEYS[3])
redis.call('RENAME', KEYS[1], KEYS[2])
redis.call('HSET', KEYS[2], '', ARGV[2])
return 1";

/// Keys: load, active, tables. Arguments: the load's record as seen, the table.
pub(super) const ABANDON: &str = "
if redis.call('HGET', KEYS[1], '') ~= ARGV[1] then return 0 end
redis.call('UNLINK', KEYS[1])
if redis.call('EXISTS', KEYS[2]) == 0 then redis.call('SREM', KEYS[3], ARGV[2]) end
return 1";

/// Keys: active, expiry. Arguments: the record as seen, the expiry or nothing, then key and value of each pair.
pub(super) const UPSERT: &str = "
if redis.call('HGET', KEYS[1], '') ~= ARGV[1] then return 0 end
for first = 3, #ARGV, 1000 do
  redis.call('HSET', KEYS[1], unpack(ARGV, first, math.min(first + 999, #ARGV)))
end
for key = 3, #ARGV, 2 do
  if ARGV[2] == '' then redis.call('ZREM', KEYS[2], ARGV[key])
  else redis.call('ZADD', KEYS[2], ARGV[2], ARGV[key]) end
end
return 1";

/// Keys: active, expiry, load, tables. Arguments: the active record as seen, the table.
pub(super) const EXPIRE: &str = "
if redis.call('HGET', KEYS[1], '') ~= ARGV[1] then return 0 end
redis.call('UNLINK', KEYS[1], KEYS[2])
if redis.call('EXISTS', KEYS[3]) == 0 then redis.call('SREM', KEYS[4], ARGV[2]) end
return 1";

/// Keys: active, expiry. Arguments: the time, the limit. A score holds microseconds exactly until the year 2255.
pub(super) const PURGE: &str = "
local gone = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', ARGV[1], 'LIMIT', 0, ARGV[2])
for first = 1, #gone, 1000 do
  local last = math.min(first + 999, #gone)
  redis.call('HDEL', KEYS[1], unpack(gone, first, last))
  redis.call('ZREM', KEYS[2], unpack(gone, first, last))
end
return #gone";

/// A call of a script with its keys; its arguments follow.
pub(super) fn call(script: &str, keys: &[&str]) -> redis::Cmd {
    let mut call = redis::cmd("EVAL");
    call.arg(script).arg(keys.len());
    for key in keys {
        call.arg(*key);
    }
    call
}
