-- Make failed, delayed, retrying and blocked tasks ready, each at the tail; leave a waiting one alone.
-- ARGV[3...] ids.
-- Returns "done", "missing", "running" or "waiting" for each.

local function requeue(id)
  local task, state = locate(id)
  if not task then
    return 'missing', false
  end
  if state == 'running' then
    return 'running', false
  end
  if state == 'waiting' then
    return 'waiting', false
  end
  redis.call('ZREM', key(state, task.queue), id)
  if state == 'blocked' then
    forget_dependencies(id)
  elseif state == 'failed' then
    retake_unique(id)
  end
  task.seq = next_seq(task)
  task.attempts, task.deliveries = 0, 0
  redis.call('HSET', P .. 'tasks', id, pack_task(task))
  make_ready(id, task)
  return 'done', true
end

return once(function()
  return each_argument(3, 1, requeue)
end)
