-- Name the queues that hold a task, and forget the names of those that don't; a push adds its own.
-- ARGV[3] 1 to name those too that are paused or have totals.

local function holds_a_task(queue)
  for _, state in ipairs(STATES) do
    if redis.call('EXISTS', key(state, queue)) == 1 then
      return true
    end
  end
  return false
end

local found = {}
for _, queue in ipairs(redis.call('SMEMBERS', P .. 'queues')) do
  if holds_a_task(queue) then
    found[queue] = true
  else
    redis.call('SREM', P .. 'queues', queue)
  end
end
if ARGV[3] == '1' then
  for _, known in ipairs({
    redis.call('SMEMBERS', P .. 'paused'),
    redis.call('HKEYS', P .. 'done-total'),
    redis.call('HKEYS', P .. 'failed-total'),
  }) do
    for _, queue in ipairs(known) do
      found[queue] = true
    end
  end
end
local names = {}
for queue in pairs(found) do
  names[#names + 1] = queue
end
return names
