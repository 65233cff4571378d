-- Make one failed, delayed, retrying or blocked task ready, at the tail; leave a waiting one alone.
-- ARGV[3] id.
-- Returns {"waiting"}, {"running", its worker}, or {"unknown"}.

local id = ARGV[3]

return once(function()
  local task, state = locate(id)
  if not task then
    return {'unknown'}, false
  end
  if state == 'running' then
    return {'running', worker_of(id)}, false
  end
  if state == 'waiting' then
    return {'waiting'}, false
  end
  redis.call('ZREM', key(state, task.queue), id)
  if state == 'blocked' then
    forget_dependencies(id)
  elseif state == 'failed' then
    retake_unique(id)
  end
  task.seq = redis.call('INCR', P .. 'seq')
  task.attempts, task.deliveries = 0, 0
  redis.call('HSET', P .. 'tasks', id, pack_task(task))
  make_ready(id, task)
  return {'waiting'}, true
end)
