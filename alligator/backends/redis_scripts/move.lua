-- Put tasks that are not running into another queue, in the state they are in.
-- ARGV[3] the other queue; then three a task: id, "1" when it gets a new body, that body.
-- Returns "done", "missing" or "running" for each.

local target = ARGV[3]

local function put(state, id, score)
  if state == 'delayed' or state == 'retrying' then
    hold(state, target, id, score)
  else
    redis.call('ZADD', key(state, target), score, id)
  end
  if state == 'waiting' then
    wake(target)
  end
end

-- The score goes along: sequences are those of all queues, so it is a place by age there too.
local function move(id, at)
  local task, state, score = locate(id)
  if not task then
    return 'missing', false
  end
  if state == 'running' then
    return 'running', false
  end
  if ARGV[at + 1] == '1' then
    task.body = ARGV[at + 2]
  elseif task.queue == target then
    return 'done', false
  end
  redis.call('ZREM', key(state, task.queue), id)
  task.queue = target
  redis.call('HSET', P .. 'tasks', id, pack_task(task))
  put(state, id, score)
  redis.call('SADD', P .. 'queues', target)
  return 'done', true
end

return once(function()
  return each_argument(4, 3, move)
end)
