-- Show what the workers said of themselves.
-- ARGV[3] µs after which the silent are forgotten.
-- Returns {now, then three a worker: its name, when it said so, what it said}; times are in µs.

local shown = {string.format('%.0f', now)}
local beats = redis.call('ZRANGEBYSCORE', P .. 'beats', now - ARGV[3], '+inf', 'WITHSCORES')
for at = 1, #beats, 2 do
  local said = redis.call('HGET', P .. 'workers', beats[at])
  if said then
    for _, value in ipairs({beats[at], string.format('%.0f', tonumber(beats[at + 1])), said}) do
      shown[#shown + 1] = value
    end
  end
end
return shown
