-- Take one task under a lease.
-- ARGV[3] id, [4] "1": from a worker too, [5] duration of a lease in µs, [6] token, [7] worker.
-- Returns {"leased", its queue, the task}, {"running", its worker}, or {"unknown"}.

local id = ARGV[3]

local done = once(function()
  local task, state = locate(id)
  if not task then
    return {'unknown'}, false
  end
  if state == 'running' and ARGV[4] ~= '1' then
    return {'running', worker_of(id)}, false
  end
  redis.call('ZREM', key(state, task.queue), id)
  if state == 'running' then
    -- The delivery it is taken away from did begin.
    task.deliveries = task.deliveries + 1
    redis.call('HSET', P .. 'tasks', id, pack_task(task))
  elseif state == 'blocked' then
    forget_dependencies(id)
  elseif state == 'failed' then
    retake_unique(id)
  end
  lease(task.queue, {id}, ARGV[6], ARGV[7], tonumber(ARGV[5]))
  return {'leased', task.queue}, true
end)
if done[1] == 'leased' then
  return {'leased', done[2], redis.call('HGET', P .. 'tasks', id)}
end
return done
