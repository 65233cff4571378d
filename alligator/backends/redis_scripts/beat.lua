-- Keep what a worker says of itself, and forget those who have been silent for long.
-- ARGV[3] its name, [4] what it says, [5] µs after which the silent are forgotten, [6] the run id of the
-- server on which it holds a line, or "".
-- Returns 1, or 0 when that is not this server.

local name, text, kept, server = ARGV[3], ARGV[4], ARGV[5], ARGV[6]

return once(function()
  -- The removal first: see the note on maxmemory.
  redis.call('ZREM', P .. 'beats', name)
  local silent = redis.call('ZRANGEBYSCORE', P .. 'beats', '-inf', now - kept, 'LIMIT', 0, CHUNK)
  if #silent > 0 then
    redis.call('ZREM', P .. 'beats', unpack(silent))
    redis.call('HDEL', P .. 'workers', unpack(silent))
  end
  redis.call('HDEL', P .. 'lines', ARGV[1])
  redis.call('HDEL', P .. 'cut', ARGV[1])
  if server ~= '' then
    redis.call('HSET', P .. 'lines', ARGV[1], server)
  end
  redis.call('ZADD', P .. 'beats', now, name)
  redis.call('HSET', P .. 'workers', name, text)
  return server ~= '' and server ~= run_id() and 0 or 1, true
end)
