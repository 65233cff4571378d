-- Forget a worker.
-- ARGV[3] its name.

return once(function()
  redis.call('HDEL', P .. 'workers', ARGV[3])
  redis.call('HDEL', P .. 'lines', ARGV[1])
  redis.call('HDEL', P .. 'cut', ARGV[1])
  local known = redis.call('ZREM', P .. 'beats', ARGV[3])
  return known, known == 1
end)
