-- Have nothing reserved from a queue.
-- ARGV[3] queue.

return once(function()
  -- Also the removal that lets this work at maxmemory.
  redis.call('DEL', P .. 'wake:' .. ARGV[3])
  redis.call('SADD', P .. 'paused', ARGV[3])
  return 1, true
end)
