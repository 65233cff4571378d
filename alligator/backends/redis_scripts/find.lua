-- Look at one task and at the result it may have left.
-- ARGV[3] id.
-- Returns {row or false, result or false}.

local id = ARGV[3]
local task, state, score = locate(id)
return {
  task and row(id, pack_task(task), state, score) or false,
  redis.call('GET', P .. 'result:' .. id),
}
