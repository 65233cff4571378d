-- Forget a worker.
-- ARGV[3] its name.

return once(function()
  redis.call('HDEL', P .. 'workers', ARGV[3])
  local known = redis.call('ZREM', P .. 'beats', ARGV[3])
  return known, known == 1
end)
