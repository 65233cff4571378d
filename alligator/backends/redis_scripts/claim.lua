-- Take one task under a lease.
-- ARGV[3] duration of a lease in µs, [4] token, [5] worker, [6] what calls before it may have leased to
-- nobody (take_back() of moves.lua), [7] id, [8] "1": from a worker too.
-- Returns {"leased", its queue, the task}, {"running", its worker}, {"unknown"}, or {"over"} when the call was
-- repeated after the end of its lease.

local id = ARGV[7]

local done = once(function()
  local took_back = take_back(ARGV[6])
  local task, state = locate(id)
  if not task then
    return {'unknown'}, took_back
  end
  if state == 'running' and ARGV[8] ~= '1' then
    return {'running', worker_of(id)}, took_back
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
  lease(task.queue, {id}, ARGV[4], ARGV[5], tonumber(ARGV[3]))
  return {'leased', task.queue}, true
end)
if done[1] == 'leased' then
  local value = fetch_leased({id}, ARGV[4])[1]
  return value and {'leased', done[2], value} or {'over'}
end
return done
