-- Count a queue's tasks.
-- ARGV[3] queue.
-- Returns {waiting, delayed, retrying, running, blocked, failed, age in ms of the first in line, or
-- -1 when none waits, 1 when it is paused, tasks acked, tasks failed for good}.

local queue = ARGV[3]
promote(queue)
local counts = {}
for _, state in ipairs(STATES) do
  counts[#counts + 1] = redis.call('ZCARD', key(state, queue))
end
-- promote() is bounded; what it left is ready all the same.
for at = 2, 4 do
  local due = redis.call('ZCOUNT', key(STATES[at], queue), '-inf', now)
  counts[at], counts[1] = counts[at] - due, counts[1] + due
end
local first = redis.call('ZRANGE', key('waiting', queue), 0, 0)[1]
local value = first and redis.call('HGET', P .. 'tasks', first)
counts[#counts + 1] = value and math.floor(now / 1000) - unpack_task(value, queue).pushed or -1
counts[#counts + 1] = is_paused(queue) and 1 or 0
for _, name in ipairs({'done-total', 'failed-total'}) do
  counts[#counts + 1] = tonumber(redis.call('HGET', P .. name, queue) or 0) or 0
end
return counts
