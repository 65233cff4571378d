-- Remove up to CHUNK tasks of one state of a queue; the client calls again while there may be more,
-- so that no call blocks the server for long.
-- ARGV[3] queue, [4] state.
-- Returns {how many, 1 when there may be more}.

local queue, state = ARGV[3], ARGV[4]

return once(function()
  promote(queue)
  local ids = redis.call('ZRANGE', key(state, queue), 0, CHUNK - 1)
  if #ids > 0 then
    redis.call('ZREM', key(state, queue), unpack(ids))
    forget(ids)
    for _, id in ipairs(ids) do
      if state == 'blocked' then
        forget_dependencies(id)
      end
      tell_done(id)
    end
  end
  return {#ids, #ids == CHUNK and 1 or 0}, #ids > 0
end)
