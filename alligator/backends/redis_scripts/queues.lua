-- Name the queues that hold a task, and forget the names of those that don't; a push adds its own.

local names = {}
for _, queue in ipairs(redis.call('SMEMBERS', P .. 'queues')) do
  local held = 0
  for _, state in ipairs(STATES) do
    held = held + redis.call('EXISTS', key(state, queue))
  end
  if held > 0 then
    names[#names + 1] = queue
  else
    redis.call('SREM', P .. 'queues', queue)
  end
end
return names
