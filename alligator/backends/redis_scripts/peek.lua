-- Show one page of a state.
-- ARGV[3] queue, [4] state, [5] page size, [6] "1": from the end, [7] score and [8] id of the last
-- task of the page before, or "".
-- Returns {rows, 1 when there are more}.

local queue, state, size, backwards = ARGV[3], ARGV[4], tonumber(ARGV[5]), ARGV[6] == '1'
promote(queue)
local name = key(state, queue)

-- Compare as sorted sets do, byte by byte; Lua's own < follows the server's locale.
local function before(one, other)
  for at = 1, math.min(#one, #other) do
    local a, b = string.byte(one, at), string.byte(other, at)
    if a ~= b then
      return a < b
    end
  end
  return #one < #other
end

-- How many members stand before (score, id): a search by halves over the ranks of equal scores, since
-- the member itself may be gone by now.
local function rank(score, id)
  local low = redis.call('ZCOUNT', name, '-inf', '(' .. score)
  local high = redis.call('ZCOUNT', name, '-inf', score)
  while low < high do
    local middle = math.floor((low + high) / 2)
    if before(redis.call('ZRANGE', name, middle, middle)[1], id) then
      low = middle + 1
    else
      high = middle
    end
  end
  return low
end

local total = redis.call('ZCARD', name)
local first, last
if backwards then
  last = (ARGV[7] == '' and total or rank(ARGV[7], ARGV[8])) - 1
  first = math.max(0, last - size + 1)
else
  first = 0
  if ARGV[7] ~= '' then
    first = rank(ARGV[7], ARGV[8])
    if redis.call('ZRANGE', name, first, first)[1] == ARGV[8] then
      first = first + 1
    end
  end
  last = math.min(total, first + size) - 1
end

local rows = {}
if first <= last then
  local found = redis.call('ZRANGE', name, first, last, 'WITHSCORES')
  local ids = {}
  for at = 1, #found, 2 do
    ids[#ids + 1] = found[at]
  end
  local values = fetch(P .. 'tasks', ids)
  for at = 1, #ids do
    local index = backwards and #ids + 1 - at or at
    local value = values[index] and pack_task(unpack_task(values[index], queue))
    rows[at] = row(ids[index], value, state, tonumber(found[2 * index]))
  end
end
return {rows, (backwards and first > 0 or not backwards and last < total - 1) and 1 or 0}
