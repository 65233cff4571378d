-- Say how long there is nothing to do.
-- ARGV[3...] queues.
-- Returns µs until a task is due, a lease ends or it is time to look for dead workers, 0 when one is ready
-- now, or -1 when nothing is held back by time. What a paused queue holds is not waited for.
--
-- A hint left from before is removed, so that the sleep that follows ends for news only. Whatever
-- becomes ready after this script sets the hint anew, so nothing is missed in between.

-- µs until it is to be looked for workers that have died (bury() of settle.lua), where there are others:
-- while something runs, and while nothing does, as the sleep may go on when that begins.
local SOON, LATER = 400000, 1200000
local guarded = redis.call('HLEN', P .. 'lines') > 1

local soonest = guarded and LATER or -1
for at = 3, #ARGV do
  local queue = ARGV[at]
  if not is_paused(queue) then
    if redis.call('EXISTS', key('waiting', queue)) == 1 then
      return 0
    end
    for _, state in ipairs({'delayed', 'retrying', 'running'}) do
      local due = redis.call('ZRANGE', key(state, queue), 0, 0, 'WITHSCORES')[2]
      if due then
        local left = math.max(0, due - now)
        if guarded and state == 'running' then
          left = math.min(left, SOON)
        end
        soonest = soonest < 0 and left or math.min(soonest, left)
      end
    end
  end
end
if soonest ~= 0 then
  for at = 3, #ARGV do
    redis.call('DEL', P .. 'wake:' .. ARGV[at])
  end
end
return soonest
