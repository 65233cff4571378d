-- Remove one task that is not running.
-- ARGV[3] id.
-- Returns {"canceled", its body}, {"running", its worker}, or {"unknown"}.

local id = ARGV[3]

return once(function()
  local task, state = locate(id)
  if not task then
    return {'unknown'}, false
  end
  if state == 'running' then
    return {'running', worker_of(id)}, false
  end
  redis.call('ZREM', key(state, task.queue), id)
  forget({id})
  forget_dependencies(id)
  tell_done(id)
  return {'canceled', task.body}, true
end)
