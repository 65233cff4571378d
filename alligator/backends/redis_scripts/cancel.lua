-- Remove tasks that are not running.
-- ARGV[3] "1": show their bodies; [4...] ids.
-- Returns {"done", body}, {"missing"} or {"running"} for each.

local with_bodies = ARGV[3] == '1'

local function cancel(id)
  local task, state = locate(id)
  if not task then
    return {'missing'}, false
  end
  if state == 'running' then
    return {'running'}, false
  end
  redis.call('ZREM', key(state, task.queue), id)
  forget({id})
  forget_dependencies(id)
  tell_done(id)
  return {'done', with_bodies and task.body or nil}, true
end

return once(function()
  return each_argument(4, 1, cancel)
end)
