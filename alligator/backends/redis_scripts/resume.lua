-- End the pause of a queue.
-- ARGV[3] queue.

return once(function()
  local ended = redis.call('SREM', P .. 'paused', ARGV[3])
  if ended == 1 then
    -- Whether a task is ready or due later, a sleeper has to reckon with the queue again.
    wake(ARGV[3])
  end
  return ended, ended == 1
end)
