-- Forget the totals of a queue that holds no task.
-- ARGV[3] queue.

local queue = ARGV[3]

return once(function()
  for _, state in ipairs(STATES) do
    if redis.call('EXISTS', key(state, queue)) == 1 then
      return {}, false
    end
  end
  local gone = redis.call('HDEL', P .. 'done-total', queue)
  return {}, gone + redis.call('HDEL', P .. 'failed-total', queue) > 0
end)
